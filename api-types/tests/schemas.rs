//! The schemas and samples in `manifests/` are up to date, and agree with the strict reader.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

use ci_warm_api_types::manifest::{self, KindName};
use ci_warm_api_types::relations::{Declared, relations};
use ci_warm_api_types::snapshot::SnapshotSpec;
use ci_warm_api_types::warm_app::WarmAppSpec;
use ci_warm_api_types::yaml;
use serde_json::{Value, json};

fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests")
}

fn validator(kind: KindName) -> jsonschema::Validator {
    let schema = kind.schema();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

/// Name and text of every sample.
fn samples() -> Vec<(String, String)> {
    let mut samples: Vec<_> = fs::read_dir(manifests())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    samples.sort();
    samples
}

#[test]
fn schemas_should_be_up_to_date() {
    for kind in KindName::ALL {
        let path = manifests().join(format!("schemas/{}.json", kind.singular()));
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            kind.schema_text(),
            "{} is out of date: cargo run -p ci-warm-api-types --example schemas",
            path.display()
        );
    }
}

#[test]
fn samples_should_satisfy_the_schemas_and_the_strict_reader() {
    let samples = samples();
    assert!(samples.len() >= 3, "{samples:?}");
    for (file, text) in &samples {
        let kind = manifest::kind_of(file, text).unwrap();
        let value: Value = yaml::read(file, text).unwrap();
        let errors: Vec<_> = validator(kind)
            .iter_errors(&value)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors, Vec::<String>::new(), "{file}");
        match kind {
            KindName::WarmApp => drop(manifest::read::<WarmAppSpec>(file, None, text).unwrap()),
            KindName::Snapshot => drop(manifest::read::<SnapshotSpec>(file, None, text).unwrap()),
        }
    }
}

#[test]
fn samples_should_go_together() {
    let apps: Vec<_> = samples()
        .iter()
        .filter_map(|(file, text)| manifest::read::<WarmAppSpec>(file, None, text).ok())
        .collect();
    let declared: Vec<_> = apps
        .iter()
        .map(|app| Declared {
            name: &app.metadata.name,
            created: None,
            spec: &app.spec,
        })
        .collect();
    assert_eq!(relations(&declared), []);
}

#[test]
fn what_the_reader_writes_should_satisfy_the_schema() {
    for (file, text) in samples() {
        let kind = manifest::kind_of(&file, &text).unwrap();
        let value = match kind {
            KindName::WarmApp => {
                serde_json::to_value(manifest::read::<WarmAppSpec>(&file, None, &text).unwrap())
            }
            KindName::Snapshot => {
                serde_json::to_value(manifest::read::<SnapshotSpec>(&file, None, &text).unwrap())
            }
        }
        .unwrap();
        assert!(validator(kind).is_valid(&value), "{file}: {value:#}");
    }
}

#[test]
fn schemas_should_refuse_what_the_reader_refuses() {
    let validator = validator(KindName::WarmApp);
    let good = json!({
        "apiVersion": "ci-warm/v1alpha1", "kind": "WarmApp", "metadata": { "name": "a" },
        "spec": { "recipe": { "git": "/r" }, "domain": "a.org", "health": { "tcp": { "address": "a:1" } } },
    });
    assert!(validator.is_valid(&good));
    for (path, value) in [
        ("/apiVersion", json!("v1")),
        ("/kind", json!("Snapshot")),
        ("/metadata/name", json!("A")),
        ("/spec/recipe", json!("text")),
        ("/spec/deletionPolicy", json!("Keep")),
        ("/spec/data", json!({ "snapshots": "Never" })),
        (
            "/spec/health",
            json!({ "http": { "url": "https://a", "status": [99] } }),
        ),
        ("/spec/interval", json!("10")),
        ("/spec/domian", json!("a.org")),
    ] {
        let mut bad = good.clone();
        let (parent, key) = path.rsplit_once('/').unwrap();
        bad.pointer_mut(parent).unwrap()[key] = value;
        assert!(!validator.is_valid(&bad), "{path}");
    }
}
