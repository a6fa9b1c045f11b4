//! Whether sending a spec again is seen as the nothing it is, and whether what matters is seen at all.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ci_warm_stack::{EngineView, difference};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn engine() -> EngineView {
    EngineView {
        networks: BTreeMap::new(),
        api_minor: 41,
    }
}

fn collect(folder: &Path, specs: &mut Vec<Value>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, specs);
            continue;
        }
        let case: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let requests = case["requests"].as_array().unwrap().iter();
        let services = requests.filter(|request| request["path"] == "/services/create");
        specs.extend(services.map(|request| request["body"].clone()));
    }
}

/// Every service the docker CLI was recorded to create.
fn recorded() -> Vec<Value> {
    let mut specs = Vec::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/expected"),
        &mut specs,
    );
    assert!(specs.len() > 80);
    specs
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.entry(key).or_insert(value);
    }
}

fn put_if_object(spec: &mut Value, pointer: &str, key: &str, value: Value) {
    if let Some(object) = spec.pointer_mut(pointer) {
        put(object, key, value);
    }
}

/// What an engine of API 1.41 was seen to make of a spec.
fn kept_by_engine(spec: &Value, networks: &mut BTreeMap<String, String>) -> Value {
    let mut spec = spec.clone();
    put_if_object(&mut spec, "/Mode/Replicated", "Replicas", json!(1));
    put_if_object(&mut spec, "/Mode/ReplicatedJob", "MaxConcurrent", json!(1));
    put_if_object(
        &mut spec,
        "/Mode/ReplicatedJob",
        "TotalCompletions",
        json!(1),
    );
    put_if_object(&mut spec, "/EndpointSpec", "Mode", json!("vip"));
    put_if_object(&mut spec, "/TaskTemplate", "Runtime", json!("container"));
    put_if_object(
        &mut spec,
        "/TaskTemplate/ContainerSpec",
        "Isolation",
        json!("default"),
    );
    put_if_object(
        &mut spec,
        "/TaskTemplate/RestartPolicy",
        "Condition",
        json!("any"),
    );
    put_if_object(
        &mut spec,
        "/TaskTemplate/RestartPolicy",
        "MaxAttempts",
        json!(0),
    );
    spec["TaskTemplate"]["ForceUpdate"] = json!(7);
    spec["TaskTemplate"]["Placement"]["Platforms"] =
        json!([{ "Architecture": "amd64", "OS": "linux" }]);
    for config in ["UpdateConfig", "RollbackConfig"] {
        if let Some(config) = spec.get_mut(config) {
            put(config, "FailureAction", json!("pause"));
            if config["Order"] == "" {
                config["Order"] = json!("stop-first");
            }
        }
    }
    for port in spec
        .pointer_mut("/EndpointSpec/Ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        put(port, "Protocol", json!("tcp"));
        put(port, "PublishMode", json!("ingress"));
    }
    for network in spec["TaskTemplate"]["Networks"].as_array_mut().unwrap() {
        let name = network["Target"].as_str().unwrap().to_owned();
        let id = format!("id-of-{name}");
        network["Target"] = json!(id);
        networks.insert(id, name);
    }
    if let Some(Value::Object(check)) = spec.pointer_mut("/TaskTemplate/ContainerSpec/Healthcheck")
    {
        check.remove("StartInterval");
    }
    for mount in spec
        .pointer_mut("/TaskTemplate/ContainerSpec/Mounts")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let mount = mount.as_object_mut().unwrap();
        mount.remove("Consistency");
        if let Some(Value::Object(options)) = mount.get_mut("VolumeOptions") {
            options.remove("Subpath");
        }
        if mount.get("BindOptions") == Some(&json!({})) {
            mount.remove("BindOptions");
        }
    }
    spec["TaskTemplate"]["ContainerSpec"]["Privileges"] =
        match &spec["TaskTemplate"]["ContainerSpec"]["Privileges"] {
            Value::Object(map) if map["CredentialSpec"].is_null() => {
                json!({ "CredentialSpec": null, "SELinuxContext": null })
            }
            other => other.clone(),
        };
    spec
}

fn full() -> Value {
    recorded()
        .into_iter()
        .find(|spec| spec["Name"] == "gold_web" && spec["UpdateConfig"].is_object())
        .unwrap()
}

#[test]
fn a_spec_should_not_differ_from_what_the_engine_keeps_of_it() {
    for spec in recorded() {
        let mut networks = BTreeMap::new();
        let current = kept_by_engine(&spec, &mut networks);
        let engine = EngineView {
            networks,
            api_minor: 41,
        };
        assert_eq!(difference(&spec, &current, &engine), [], "{spec}");
        assert_eq!(difference(&current, &spec, &engine), [], "{spec}");
    }
}

#[test]
fn objects_that_restart_tasks_should_differ_from_absent_ones() {
    let container = "/TaskTemplate/ContainerSpec";
    let minimal = recorded()
        .into_iter()
        .find(|spec| spec["EndpointSpec"] == json!({}))
        .unwrap();
    for (parent, key, value) in [
        ("", "EndpointSpec", Value::Null),
        ("/TaskTemplate", "Resources", Value::Null),
        (container, "Privileges", Value::Null),
        ("/TaskTemplate", "RestartPolicy", json!({})),
        ("/TaskTemplate", "LogDriver", json!({})),
        (container, "DNSConfig", json!({})),
        (container, "Healthcheck", json!({})),
        (container, "StopGracePeriod", json!(0)),
        (container, "StopGracePeriod", json!(10_000_000_000_i64)),
        (container, "Init", json!(false)),
    ] {
        let mut other = minimal.clone();
        let map = other.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        map.insert(key.to_owned(), value.clone());
        let found = difference(&minimal, &other, &engine());
        assert_eq!(found.len(), 1, "{key} {value}");
        assert!(found[0].path.ends_with(key), "{key} {value}");
    }
}

#[test]
fn what_the_engine_cannot_tell_apart_should_not_differ() {
    let spec = full();
    let mut other = spec.clone();
    let container = other
        .pointer_mut("/TaskTemplate/ContainerSpec")
        .unwrap()
        .as_object_mut()
        .unwrap();
    for key in ["Groups", "CapabilityFoo"] {
        container.insert(key.to_owned(), json!([]));
    }
    container.insert("Sysctls2".to_owned(), json!({}));
    container.insert("OomScoreAdj".to_owned(), json!(0));
    container.insert("Nothing".to_owned(), Value::Null);
    assert_eq!(difference(&spec, &other, &engine()), []);
}

#[test]
fn a_change_should_be_named_by_its_path() {
    let spec = full();
    let mut other = spec.clone();
    other["TaskTemplate"]["ContainerSpec"]["Env"][2] = json!("EF_B=changed");
    other["TaskTemplate"]["ContainerSpec"]["Labels"]["num"] = json!("");
    other["Mode"]["Replicated"]["Replicas"] = json!(0);
    other["UpdateConfig"]["MaxFailureRatio"] = json!(0.25);
    other["EndpointSpec"]["Ports"][0]["TargetPort"] = json!(99);
    other["TaskTemplate"]["ContainerSpec"]["Later"] = json!(true);
    let paths: Vec<String> = difference(&other, &spec, &engine())
        .into_iter()
        .map(|diff| diff.path)
        .collect();
    assert_eq!(
        paths,
        [
            "EndpointSpec.Ports[0].TargetPort",
            "Mode.Replicated.Replicas",
            "TaskTemplate.ContainerSpec.Env[2]",
            "TaskTemplate.ContainerSpec.Labels.num",
            "TaskTemplate.ContainerSpec.Later",
            "UpdateConfig.MaxFailureRatio",
        ]
    );
}

#[test]
fn newer_engines_should_be_held_to_what_they_keep() {
    let spec = full();
    let mut other = spec.clone();
    let check = other
        .pointer_mut("/TaskTemplate/ContainerSpec/Healthcheck")
        .unwrap();
    check.as_object_mut().unwrap().remove("StartInterval");
    let newer = EngineView {
        api_minor: 44,
        ..engine()
    };
    assert_eq!(difference(&spec, &other, &engine()), []);
    let paths: Vec<String> = difference(&spec, &other, &newer)
        .into_iter()
        .map(|diff| diff.path)
        .collect();
    assert_eq!(
        paths,
        ["TaskTemplate.ContainerSpec.Healthcheck.StartInterval"]
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z]{0,4}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("TaskTemplate".to_owned()),
        Just("ContainerSpec".to_owned()),
        Just("Mode".to_owned()),
        Just("Networks".to_owned()),
        Just("Ports".to_owned()),
        Just("EndpointSpec".to_owned()),
        Just("Mounts".to_owned()),
        "[A-Z]{0,3}",
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_should_differ_from_itself(spec in any_json()) {
        prop_assert_eq!(difference(&spec, &spec, &engine()), []);
    }
}
