//! What sending a service spec would change for the Swarm.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// What has to be known of the engine to compare with what it reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineView {
    /// Network names by id: the engine reports targets by id.
    pub networks: BTreeMap<String, String>,
    /// The minor of the API version, `41` for 1.41: older ones forget some fields.
    pub api_minor: u32,
}

/// One difference.
#[derive(Debug, Clone, PartialEq)]
pub struct PathDiff {
    /// The path in the spec, such as `TaskTemplate.ContainerSpec.Env[2]`.
    pub path: String,
    /// What would be sent; `None` if nothing.
    pub desired: Option<Value>,
    /// What the engine has; `None` if nothing.
    pub current: Option<Value>,
}

/// What would change for the Swarm if `desired`, a `ServiceSpec`, were sent where `current` is.
///
/// `current` is the raw `Spec` of `GET /services/{id}`, without `insertDefaults`. Empty means there is nothing to send:
/// what the engine adds by itself does not count, nor does what it drops or cannot tell apart. An absent object and an
/// empty one do differ where the engine restarts tasks over it.
pub fn difference(desired: &Value, current: &Value, engine: &EngineView) -> Vec<PathDiff> {
    let desired = normal(desired, engine);
    let current = normal(current, engine);
    let mut differences = Vec::new();
    compare("", Some(&desired), Some(&current), &mut differences);
    differences
}

fn compare(
    path: &str,
    desired: Option<&Value>,
    current: Option<&Value>,
    found: &mut Vec<PathDiff>,
) {
    match (desired, current) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                compare(&path, a.get(key), b.get(key), found);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for index in 0..a.len().max(b.len()) {
                compare(
                    &format!("{path}[{index}]"),
                    a.get(index),
                    b.get(index),
                    found,
                );
            }
        }
        (desired, current) if desired == current => {}
        (desired, current) => found.push(PathDiff {
            path: path.to_owned(),
            desired: desired.cloned(),
            current: current.cloned(),
        }),
    }
}

/// Objects that the engine tells apart from absent ones even if they are empty. All other empty values, and zeros,
/// read the same as absent.
const MESSAGES: &[&str] = &[
    "CredentialSpec",
    "DNSConfig",
    "DriverConfig",
    "EndpointSpec",
    "Global",
    "GlobalJob",
    "Healthcheck",
    "Limits",
    "LogDriver",
    "Privileges",
    "Replicated",
    "ReplicatedJob",
    "Reservations",
    "Resources",
    "RestartPolicy",
    "RollbackConfig",
    "Runtime",
    "SELinuxContext",
    "TmpfsOptions",
    "UpdateConfig",
    "VolumeOptions",
];

/// Maps with keys of the user's choosing: there every value counts, empty or not.
const FREE_MAPS: &[&str] = &["Labels", "Options", "DriverOpts", "Sysctls"];

/// Numbers and booleans that the engine tells apart from absent ones even if they are zero: by the object they are in
/// (`None` for any) and their key.
const PRESENT: &[(Option<&str>, &str)] = &[
    (None, "StopGracePeriod"),
    (None, "Init"),
    (None, "Replicas"),
    (None, "MaxConcurrent"),
    (None, "TotalCompletions"),
    (Some("RestartPolicy"), "Delay"),
    (Some("RestartPolicy"), "Window"),
    (Some("RestartPolicy"), "MaxAttempts"),
];

/// The first API version that keeps `StartInterval`, and the one that keeps `Subpath`.
const KEEPS_START_INTERVAL: u32 = 44;
const KEEPS_SUBPATH: u32 = 45;

/// A spec as the engine would keep it, with what it adds by itself spelled out or left out on both sides alike.
fn normal(spec: &Value, engine: &EngineView) -> Value {
    let mut spec = spec.clone();
    if let Some(template) = object(&mut spec, "/TaskTemplate") {
        template.remove("ForceUpdate");
        if template.get("Runtime") == Some(&json!("container")) {
            template.remove("Runtime");
        }
    }
    if let Some(placement) = object(&mut spec, "/TaskTemplate/Placement") {
        placement.remove("Platforms");
    }
    if let Some(policy) = object(&mut spec, "/TaskTemplate/RestartPolicy") {
        default(policy, "Condition", &json!("any"));
        default(policy, "MaxAttempts", &json!(0));
    }
    container(&mut spec, engine);
    networks(&mut spec, engine);
    mode(&mut spec);
    for config in ["/UpdateConfig", "/RollbackConfig"] {
        if let Some(config) = object(&mut spec, config) {
            default(config, "FailureAction", &json!("pause"));
            default(config, "Order", &json!("stop-first"));
        }
    }
    if let Some(endpoint) = object(&mut spec, "/EndpointSpec") {
        default(endpoint, "Mode", &json!("vip"));
        for port in endpoint
            .get_mut("Ports")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if let Some(port) = port.as_object_mut() {
                default(port, "Protocol", &json!("tcp"));
                default(port, "PublishMode", &json!("ingress"));
                lower(port, "Protocol");
                lower(port, "PublishMode");
            }
        }
    }
    prune("", "", &spec).unwrap_or(Value::Null)
}

fn container(spec: &mut Value, engine: &EngineView) {
    let Some(container) = object(spec, "/TaskTemplate/ContainerSpec") else {
        return;
    };
    if container.get("Isolation") == Some(&json!("default")) {
        container.remove("Isolation");
    }
    if let Some(check) = container
        .get_mut("Healthcheck")
        .and_then(Value::as_object_mut)
        && engine.api_minor < KEEPS_START_INTERVAL
    {
        check.remove("StartInterval");
    }
    for mount in container
        .get_mut("Mounts")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let Some(mount) = mount.as_object_mut() else {
            continue;
        };
        mount.remove("Consistency");
        if let Some(options) = mount
            .get_mut("VolumeOptions")
            .and_then(Value::as_object_mut)
            && engine.api_minor < KEEPS_SUBPATH
        {
            options.remove("Subpath");
        }
    }
}

fn networks(spec: &mut Value, engine: &EngineView) {
    let attached = spec
        .pointer_mut("/TaskTemplate/Networks")
        .and_then(Value::as_array_mut);
    for network in attached.into_iter().flatten() {
        let name = network
            .get("Target")
            .and_then(Value::as_str)
            .and_then(|id| engine.networks.get(id));
        if let Some(name) = name.cloned() {
            network["Target"] = Value::String(name);
        }
    }
}

fn mode(spec: &mut Value) {
    if let Some(replicated) = object(spec, "/Mode/Replicated") {
        default(replicated, "Replicas", &json!(1));
    }
    if let Some(job) = object(spec, "/Mode/ReplicatedJob") {
        default(job, "MaxConcurrent", &json!(1));
        let concurrent = job.get("MaxConcurrent").cloned().unwrap_or_default();
        default(job, "TotalCompletions", &concurrent);
    }
}

fn object<'spec>(spec: &'spec mut Value, path: &str) -> Option<&'spec mut Map<String, Value>> {
    spec.pointer_mut(path).and_then(Value::as_object_mut)
}

fn default(object: &mut Map<String, Value>, key: &str, value: &Value) {
    if object
        .get(key)
        .is_none_or(|known| known.is_null() || known == "")
    {
        object.insert(key.to_owned(), value.clone());
    }
}

fn lower(object: &mut Map<String, Value>, key: &str) {
    if let Some(Value::String(text)) = object.get_mut(key) {
        *text = text.to_lowercase();
    }
}

/// Without what reads the same as absent. `parent` is the key of the object that `key` is in.
fn prune(parent: &str, key: &str, value: &Value) -> Option<Value> {
    let present = || {
        PRESENT
            .iter()
            .any(|(within, name)| *name == key && within.is_none_or(|within| within == parent))
    };
    match value {
        Value::Null => None,
        Value::Object(map) if FREE_MAPS.contains(&key) => (!map.is_empty()).then(|| value.clone()),
        Value::Object(map) => {
            let map: Map<String, Value> = map
                .iter()
                .filter_map(|(child, value)| Some((child.clone(), prune(key, child, value)?)))
                .collect();
            let kept = !map.is_empty() || MESSAGES.contains(&key) || key.is_empty();
            kept.then_some(Value::Object(map))
        }
        Value::Array(items) => {
            // An item holds its place even if it is empty.
            let item = |item: &Value| prune(key, "", item).unwrap_or(Value::Null);
            let items: Vec<Value> = items.iter().map(item).collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::String(text) => (!text.is_empty() || key.is_empty()).then(|| value.clone()),
        Value::Bool(false) => (key.is_empty() || present()).then(|| value.clone()),
        Value::Bool(true) => Some(value.clone()),
        Value::Number(number) => {
            let zero = number.as_f64() == Some(0.0);
            (!zero || key.is_empty() || present()).then(|| whole(number.as_f64(), value))
        }
    }
}

/// `1.0` and `1` are the same number.
fn whole(number: Option<f64>, value: &Value) -> Value {
    match number {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "checked to be whole and small"
        )]
        Some(number) if number.fract() == 0.0 && number.abs() < 1e15 => json!(number as i64),
        _ => value.clone(),
    }
}
