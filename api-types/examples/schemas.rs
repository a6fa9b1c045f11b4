//! Writes the JSON Schemas of all kinds to `manifests/schemas/`: `cargo run -p ci-warm-api-types --example schemas`.
//!
//! With `--check` nothing is written, and the exit code says whether they are up to date.
#![allow(missing_docs)]

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use ci_warm_api_types::manifest::KindName;

fn main() -> ExitCode {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/schemas");
    let check = std::env::args().any(|argument| argument == "--check");
    let mut exit = ExitCode::SUCCESS;
    for kind in KindName::ALL {
        let path = directory.join(format!("{}.json", kind.singular()));
        let text = kind.schema_text();
        let failed = if check {
            (fs::read_to_string(&path).ok().as_ref() != Some(&text))
                .then(|| "is out of date".to_owned())
        } else {
            fs::write(&path, text).err().map(|error| error.to_string())
        };
        if let Some(failed) = failed {
            eprintln!("{}: {failed}", path.display());
            exit = ExitCode::FAILURE;
        }
    }
    exit
}
