//! Every recorded deployment of the docker CLI, against what this crate makes of the same files.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ci_warm_stack::{ComposeFile, Ids, ReadFile, Stack, StackName, load};
use serde_json::{Value, json};

/// Stands for the folder of the cases, as the recordings have it.
const CORPUS: &str = "/corpus";

struct Cases(PathBuf);

impl ReadFile for Cases {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let below = path.strip_prefix(CORPUS).map_err(io::Error::other)?;
        fs::read(
            self.0
                .join(below.strip_prefix("own").map_err(io::Error::other)?),
        )
    }
}

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

fn expectations(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            expectations(&path, found);
        } else {
            found.push(path);
        }
    }
    found.sort();
}

fn stack(expected: &Value) -> Result<Stack, String> {
    let cases = Cases(goldens().join("cases"));
    let paths: Vec<&str> = expected["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file.as_str().unwrap())
        .collect();
    let files: Vec<ComposeFile> = paths
        .iter()
        .map(|path| ComposeFile {
            name: (*path).to_owned(),
            text: String::from_utf8(cases.read(&Path::new(CORPUS).join(path)).unwrap()).unwrap(),
        })
        .collect();
    let env: BTreeMap<String, String> = serde_json::from_value(expected["env"].clone()).unwrap();
    let working_dir = Path::new(CORPUS).join(Path::new(paths[0]).parent().unwrap());
    let loaded = load(&files, &env, &working_dir, &cases).map_err(|error| error.to_string())?;
    let stack = loaded
        .stack(&StackName::new("gold").unwrap())
        .map_err(|error| error.to_string())?;
    let stored = serde_json::to_string(&stack).unwrap();
    let restored: Stack = serde_json::from_str(&stored).unwrap();
    assert_eq!(serde_json::to_string(&restored).unwrap(), stored);
    assert_eq!(restored, stack);
    Ok(stack)
}

/// What would be posted, with the ids the recording engine gives out.
fn requests(stack: &Stack) -> Vec<(String, Value)> {
    let mut ids = Ids::default();
    for secret in &stack.secrets {
        ids.secrets
            .insert(secret.name.clone(), format!("secret-{}", secret.name));
    }
    for config in &stack.configs {
        ids.configs
            .insert(config.name.clone(), format!("config-{}", config.name));
    }
    let mut requests = Vec::new();
    let networks = stack.networks.iter().map(|network| &network.body);
    let secrets = stack.secrets.iter().map(|secret| &secret.body);
    let configs = stack.configs.iter().map(|config| &config.body);
    requests.extend(
        networks
            .flatten()
            .map(|body| ("/networks/create".to_owned(), body.clone())),
    );
    requests.extend(
        secrets
            .flatten()
            .map(|body| ("/secrets/create".to_owned(), body.clone())),
    );
    requests.extend(
        configs
            .flatten()
            .map(|body| ("/configs/create".to_owned(), body.clone())),
    );
    for service in &stack.services {
        requests.push((
            "/services/create".to_owned(),
            service.spec_with_ids(&ids).unwrap(),
        ));
    }
    requests
}

/// The CLI leaves the order of one config mounted twice to chance; here it is the order of the targets.
fn settle(body: &mut Value) {
    for list in ["Secrets", "Configs"] {
        let references = body.pointer_mut(&format!("/TaskTemplate/ContainerSpec/{list}"));
        if let Some(references) = references.and_then(Value::as_array_mut) {
            let name = list.trim_end_matches('s');
            references.sort_by_key(|reference| {
                (
                    reference[format!("{name}Name")].to_string(),
                    reference["File"]["Name"].to_string(),
                )
            });
        }
    }
}

fn sorted(mut requests: Vec<(String, Value)>) -> Vec<(String, Value)> {
    for (_, body) in &mut requests {
        settle(body);
    }
    requests.sort_by_key(|(path, body)| (path.clone(), body["Name"].to_string()));
    requests
}

fn check(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path)
        .unwrap()
        .replace("@CORPUS@", CORPUS);
    let expected: Value = serde_json::from_str(&text).unwrap();
    let refused = expected["rc"] != json!(0);
    let stack = match stack(&expected) {
        Err(_) if refused => return Ok(()),
        Err(error) => return Err(format!("refused: {error}")),
        Ok(_) if refused => {
            return Err(format!(
                "not refused, though the CLI says {}",
                expected["stderr"]
            ));
        }
        Ok(stack) => stack,
    };
    let recorded = expected["requests"].as_array().unwrap().iter();
    let recorded = recorded.map(|request| {
        (
            request["path"].as_str().unwrap().to_owned(),
            request["body"].clone(),
        )
    });
    let (ours, theirs) = (sorted(requests(&stack)), sorted(recorded.collect()));
    if ours == theirs {
        return Ok(());
    }
    let differing = ours
        .iter()
        .zip(&theirs)
        .find(|(ours, theirs)| ours != theirs);
    Err(match differing {
        Some((ours, theirs)) => format!(
            "ours   {} {}\n  theirs {} {}",
            ours.0, ours.1, theirs.0, theirs.1
        ),
        None => format!("{} requests instead of {}", ours.len(), theirs.len()),
    })
}

#[test]
fn every_recorded_deployment_should_come_out_the_same() {
    let mut cases = Vec::new();
    expectations(&goldens().join("expected"), &mut cases);
    assert!(cases.len() > 100, "the goldens are missing");
    let faults: Vec<String> = cases
        .iter()
        .filter_map(|path| {
            check(path)
                .err()
                .map(|fault| format!("{}\n  {fault}", path.display()))
        })
        .collect();
    assert!(
        faults.is_empty(),
        "{} of {} differ\n{}",
        faults.len(),
        cases.len(),
        faults.join("\n")
    );
}

/// What a person reads for each refused case. The CLI's own words are not part of the contract.
#[test]
fn refusals_should_say_what_where_and_what_to_do() {
    let mut cases = Vec::new();
    expectations(&goldens().join("expected"), &mut cases);
    let mut lines = Vec::new();
    for path in cases {
        let text = fs::read_to_string(&path)
            .unwrap()
            .replace("@CORPUS@", CORPUS);
        let expected: Value = serde_json::from_str(&text).unwrap();
        if let Err(error) = stack(&expected) {
            lines.push(error);
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
}
