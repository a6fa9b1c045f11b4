//! What the documentation shows is true as far as it can be checked: its manifests are valid, and its links lead somewhere.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ci_warm_api_types::outcome::Outcome;

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// README.md and everything below docs/.
fn pages() -> Vec<(PathBuf, String)> {
    let mut pages = vec![project().join("README.md")];
    let mut directories = vec![project().join("docs")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages
        .into_iter()
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect()
}

/// The blocks of a page that are marked as `yaml`.
fn yaml_blocks(text: &str) -> Vec<&str> {
    let blocks = text.split("```yaml\n").skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

/// Where the links of a page lead, without those to other sites.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1);
    targets
        .filter_map(|rest| rest.split([')', ' ', '\n']).next())
        .filter(|target| !target.contains("://"))
        .collect()
}

fn validate(manifest: &Path) -> Result<(), String> {
    let ran = Command::new(env!("CARGO_BIN_EXE_ccctl"))
        .args(["--root", "/nonexistent", "validate", "-f"])
        .arg(manifest)
        .output()
        .unwrap();
    if ran.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&ran.stdout).into_owned())
    }
}

#[test]
fn manifests_in_the_documentation_should_be_valid() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("manifest.yaml");
    let mut seen = 0;
    for (path, text) in pages() {
        for block in yaml_blocks(&text) {
            fs::write(&file, block).unwrap();
            seen += 1;
            if let Err(problems) = validate(&file) {
                panic!("{}:\n{block}\n{problems}", path.display());
            }
        }
    }
    assert!(seen >= 4, "only {seen} manifests were found");
}

#[test]
fn manifests_that_are_samples_should_be_valid() {
    validate(&project().join("manifests")).unwrap();
}

#[test]
fn links_in_the_documentation_should_lead_somewhere() {
    let mut dead = Vec::new();
    for (path, text) in pages() {
        for link in links(&text) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                path.clone()
            } else {
                path.parent().unwrap().join(file)
            };
            let found = match fs::read_to_string(&target) {
                Ok(text) => heading.is_empty() || headings(&text).contains(&heading.to_owned()),
                Err(_) => target.is_dir(),
            };
            if !found {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert_eq!(dead, Vec::<String>::new());
}

/// Every property that a schema names, wherever it is.
fn properties(schema: &serde_json::Value, found: &mut BTreeSet<String>) {
    match schema {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                if let ("properties", Some(named)) = (key.as_str(), value.as_object()) {
                    found.extend(named.keys().cloned());
                }
                properties(value, found);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|it| properties(it, found)),
        _ => {}
    }
}

/// Whether a page has the word in code, by itself or as the end of a path: `http.url`, `.end`, `snapshot: Never`.
fn tells(page: &str, word: &str) -> bool {
    let code = page.split('`').skip(1).step_by(2);
    code.flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_'))
        .any(|it| it == word)
}

fn check_told(page: &str, words: impl IntoIterator<Item = String>) {
    let text = fs::read_to_string(project().join("docs/reference").join(page)).unwrap();
    let text = text.replace("```", "");
    let untold: Vec<String> = words
        .into_iter()
        .filter(|word| !tells(&text, word))
        .collect();
    assert_eq!(untold, Vec::<String>::new(), "not in docs/reference/{page}");
}

#[test]
fn every_field_should_be_in_the_reference() {
    for (schema, page) in [
        ("warmapp.json", "warmapp.md"),
        ("snapshot.json", "snapshot.md"),
    ] {
        let text = fs::read_to_string(project().join("manifests/schemas").join(schema)).unwrap();
        let mut found = BTreeSet::new();
        properties(&serde_json::from_str(&text).unwrap(), &mut found);
        // Those that every object has are explained once, with the app.
        if schema == "snapshot.json" {
            let common = ["apiVersion", "kind", "metadata", "labels", "annotations"];
            found.retain(|field| !common.contains(&field.as_str()));
            let of_metadata = ["ownerReferences", "uid", "generation", "finalizers"];
            found.retain(|field| !of_metadata.contains(&field.as_str()));
        }
        found.retain(|field| !field.ends_with("Timestamp"));
        check_told(page, found);
    }
}

/// The texts of a source file's constants.
fn constants(path: &str) -> Vec<String> {
    let text = fs::read_to_string(project().join(path)).unwrap();
    let values = text.lines().filter_map(|line| {
        let (_, value) = line
            .trim()
            .strip_prefix("pub const ")?
            .split_once(": &str = \"")?;
        value.strip_suffix("\";").map(str::to_owned)
    });
    values.collect()
}

#[test]
fn every_condition_and_reason_should_be_in_the_reference() {
    let words = constants("api-types/src/conditions.rs");
    assert!(words.len() > 30, "{words:?}");
    check_told("conditions.md", words);
}

#[test]
fn every_result_should_be_in_the_reference() {
    let text = fs::read_to_string(project().join("docs/reference/results.md")).unwrap();
    let told: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split_once(':'))
        .map(|(word, _)| word)
        .collect();
    for word in &told {
        let outcome: Outcome = format!("{word}:1.0.0+1").parse().unwrap();
        assert_eq!(outcome.verb.as_str(), *word);
    }
    let known = fs::read_to_string(project().join("api-types/src/outcome.rs")).unwrap();
    let known = known.matches("(Self::").count();
    assert_eq!(told.len(), known);
}

/// The headings of a page, as links name them.
fn headings(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let name = line.trim_start_matches('#').trim().to_lowercase();
            let kept = name
                .chars()
                .filter(|c| c.is_alphanumeric() || " -".contains(*c));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}
