//! Several hundred small recordings of the docker CLI: quirks of every key, every version, every rule of merging.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ci_warm_stack::{ComposeFile, Ids, LoadError, Stack, StackName, load};
use serde_json::{Value, json};

const CORPUS: &str = "/corpus";

/// Where this crate differs from the CLI on purpose: a text in the first file, and why.
const DEVIATIONS: [(&str, &str); 5] = [
    (
        "\"on-failure:-1\"",
        "the CLI sends 2^64-1 attempts; refused here",
    ),
    (
        "extra_hosts: {a: 1.5",
        "the CLI sends `%!s(float64=1.5)` for a number; it is the number here",
    ),
    ("extra_hosts: [\"a:1\"]\n", "the same, in the second file"),
    (
        "{c: {file: dat, name: same}",
        "the CLI posts one object twice; once here",
    ),
    (
        "{\"a.b\": {image: x}}",
        "the engine refuses the name half way through the deployment; refused at once here",
    ),
];

fn environment() -> BTreeMap<String, String> {
    [
        ("HOME", "/home/res"),
        ("A", "aval"),
        ("B", "yes"),
        ("E", ""),
        ("N", "12"),
        ("P", "8080"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

fn stack(texts: &[String]) -> Result<Stack, LoadError> {
    let beside: BTreeMap<PathBuf, Vec<u8>> =
        [("dat", "d\n"), ("e.env", "K=1\nB=\n"), ("empty", "")]
            .map(|(name, text)| (Path::new(CORPUS).join(name), text.as_bytes().to_vec()))
            .into();
    let files: Vec<ComposeFile> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| ComposeFile {
            name: format!("c{index}.yml"),
            text: text.clone(),
        })
        .collect();
    load(&files, &environment(), Path::new(CORPUS), &beside)?
        .stack(&StackName::new("gold").unwrap())
}

fn requests(stack: &Stack) -> Vec<Value> {
    let ids = Ids {
        secrets: stack
            .secrets
            .iter()
            .map(|object| (object.name.clone(), format!("secret-{}", object.name)))
            .collect(),
        configs: stack
            .configs
            .iter()
            .map(|object| (object.name.clone(), format!("config-{}", object.name)))
            .collect(),
    };
    let networks = stack
        .networks
        .iter()
        .filter_map(|network| network.body.as_ref());
    let secrets = stack
        .secrets
        .iter()
        .filter_map(|secret| secret.body.as_ref());
    let configs = stack
        .configs
        .iter()
        .filter_map(|config| config.body.as_ref());
    networks
        .filter(|body| {
            let bare = body["Options"].is_null() && body["Labels"].as_object().unwrap().len() == 1;
            body["Name"] != "gold_default" || !bare
        })
        .map(|body| json!({ "path": "/networks/create", "body": body }))
        .chain(secrets.map(|body| json!({ "path": "/secrets/create", "body": body })))
        .chain(configs.map(|body| json!({ "path": "/configs/create", "body": body })))
        .chain(stack.services.iter().map(|service| {
            json!({ "path": "/services/create", "body": service.spec_with_ids(&ids).unwrap() })
        }))
        .collect()
}

/// The CLI leaves the order of one config mounted twice to chance, and that of the requests.
fn settled(mut requests: Vec<Value>) -> Vec<Value> {
    for list in ["Secrets", "Configs"] {
        for request in &mut requests {
            let references =
                request.pointer_mut(&format!("/body/TaskTemplate/ContainerSpec/{list}"));
            let name = format!("{}Name", list.trim_end_matches('s'));
            if let Some(references) = references.and_then(Value::as_array_mut) {
                references
                    .sort_by_key(|one| (one[&name].to_string(), one["File"]["Name"].to_string()));
            }
        }
    }
    requests.sort_by_key(|request| {
        (
            request["path"].to_string(),
            request["body"]["Name"].to_string(),
        )
    });
    requests
}

fn check(case: &Value) -> Option<String> {
    let texts: Vec<String> = serde_json::from_value(case["files"].clone()).unwrap();
    let refused = case["refused"] == json!(true);
    let fault = match stack(&texts) {
        Err(_) if refused => return None,
        Err(error) => format!("refused: {error}"),
        Ok(_) if refused => "not refused".to_owned(),
        Ok(stack) => {
            let ours = settled(requests(&stack));
            let theirs = settled(case["requests"].as_array().unwrap().clone());
            if ours == theirs {
                return None;
            }
            format!("ours   {}\ntheirs {}", json!(ours), json!(theirs))
        }
    };
    Some(format!("{}\n{fault}", texts.join("---\n")))
}

#[test]
fn every_recorded_line_should_come_out_the_same() {
    let recorded = include_str!("goldens/recorded.jsonl").replace("@CORPUS@", CORPUS);
    let cases: Vec<Value> = recorded
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(cases.len() > 700);
    let mut faults: Vec<String> = cases.iter().filter_map(check).collect();
    for (text, why) in DEVIATIONS {
        let place = faults.iter().position(|fault| fault.contains(text));
        faults.remove(place.unwrap_or_else(|| panic!("no deviation at {text} any more: {why}")));
    }
    assert!(
        faults.is_empty(),
        "{} differ\n{}",
        faults.len(),
        faults.join("\n\n")
    );
}
