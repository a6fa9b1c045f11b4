//! How one operator runs on one host: `/etc/ci-warm/operator.yaml`, read at the start and again on a reload.

use serde::{Deserialize, Serialize};

use crate::API_VERSION;
use crate::problem::Problem;
use crate::yaml;

/// The `kind` in the file.
pub const KIND: &str = "OperatorConfiguration";

/// The operator's own settings. Every field has a default, so that an empty file, or none, is a working operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// Always `ci-warm/v1alpha1`.
    #[serde(default = "api_version")]
    pub api_version: String,
    /// Always `OperatorConfiguration`.
    #[serde(default = "kind")]
    pub kind: String,
    /// What is logged, as in `info,ci_warm=debug`. The command line's `--log` goes before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

fn api_version() -> String {
    API_VERSION.to_owned()
}

fn kind() -> String {
    KIND.to_owned()
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            api_version: api_version(),
            kind: kind(),
            log: None,
        }
    }
}

/// Reads the settings strictly. `file` is what problems call it.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn read(file: &str, text: &str) -> Result<Settings, Problem> {
    if text.lines().all(is_blank) {
        return Ok(Settings::default());
    }
    let settings: Settings = yaml::read(file, text)?;
    let header = |field: &str, found: &str, expected: &str| {
        let at = yaml::locate(text, &yaml::path(field));
        let message = format!("{field} is `{found}`, which is not `{expected}`");
        Err(Problem::at(file, text, at, message).suggest(expected))
    };
    if settings.api_version != API_VERSION {
        return header("apiVersion", &settings.api_version, API_VERSION);
    }
    if settings.kind != KIND {
        return header("kind", &settings.kind, KIND);
    }
    Ok(settings)
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_should_be_the_defaults() {
        assert_eq!(read("f", "# nothing\n\n"), Ok(Settings::default()));
    }

    #[test]
    fn a_misspelt_field_should_be_named_with_its_place() {
        let problem = read("f", "kind: OperatorConfiguration\nlgo: debug\n").unwrap_err();
        let said = problem.to_string();
        assert!(said.contains("f:2:1") && said.contains("`lgo`"), "{said}");
    }

    #[test]
    fn another_kind_should_be_refused() {
        let said = read("f", "kind: WarmApp\n").unwrap_err().to_string();
        assert!(said.contains("f:1:") && said.contains(KIND), "{said}");
    }
}
