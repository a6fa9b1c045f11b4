//! What the documentation shows is true as far as it can be checked: its manifests are valid, and its links lead somewhere.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
