//! The operator's own settings, from a file.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ci_warm_api_types::settings::{self, Settings};

/// Where they are when nothing else is said.
pub const DEFAULT: &str = "/etc/ci-warm/operator.yaml";

/// Reads `file`, or the default place. That there is no file in the default place is fine; that a file which was named is missing is
/// not.
///
/// # Errors
/// The file cannot be read, or says what cannot be; then with line and column.
pub fn load(file: Option<&Path>) -> anyhow::Result<Settings> {
    let path = file.map_or_else(|| PathBuf::from(DEFAULT), Path::to_path_buf);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(settings::read(&path.display().to_string(), &text)?),
        Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            Ok(Settings::default())
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
