//! Whether a stored spec is the submitted one: the engine fills in defaults, drops what it does not know and stores
//! network IDs for names, so equality is not equality of bytes.

use serde_json::{Map, Value, json};

/// Whether the engine's stored spec is this submitted one, apart from what the engine itself changes.
///
/// This is not the test for drift: it overlooks a forced restart (`ForceUpdate`) and which networks are meant, and takes
/// absent and empty for the same.
pub fn is_same_spec(submitted: &Value, stored: &Value) -> bool {
    first_difference(submitted, stored).is_none()
}

/// JSON pointer to the first difference.
pub(super) fn first_difference(submitted: &Value, stored: &Value) -> Option<String> {
    differs(&canonical("", submitted), &canonical("", stored), "")
}

/// What the engine stores when nothing is sent (seen on API 1.41), as (parent, key, value). Left out on both sides.
const DEFAULTS: [(&str, &str, &str); 7] = [
    ("TaskTemplate", "Runtime", "container"),
    ("RestartPolicy", "Condition", "any"),
    ("UpdateConfig", "FailureAction", "pause"),
    ("UpdateConfig", "Order", "stop-first"),
    ("RollbackConfig", "FailureAction", "pause"),
    ("RollbackConfig", "Order", "stop-first"),
    ("EndpointSpec", "Mode", "vip"),
];

/// Words of which the engine knows only these, in any case, as (parent, key, words). It stores every other word as its
/// default. Left out on both sides unless known.
const WORDS: [(&str, &str, &[&str]); 3] = [
    ("Ports", "Protocol", &["udp", "sctp"]),
    ("Ports", "PublishMode", &["host"]),
    ("ContainerSpec", "Isolation", &["process", "hyperv"]),
];

/// Dropped by the engine (the first three), replaced by it, or changed by a forced restart.
const IGNORED: [(&str, &str); 5] = [
    ("Healthcheck", "StartInterval"),
    ("Mounts", "Consistency"),
    ("VolumeOptions", "Subpath"),
    ("Networks", "Target"),
    ("TaskTemplate", "ForceUpdate"),
];

/// Maps whose keys are the user's: nothing in them is a default, and an empty value is a value.
const USERS_MAPS: [&str; 4] = ["Labels", "Options", "Sysctls", "DriverOpts"];

/// Without defaults, without empty values, without what is ignored. `key` is where the value hangs; an item of a list
/// hangs where the list does.
fn canonical(key: &str, value: &Value) -> Value {
    match value {
        Value::Object(map) if USERS_MAPS.contains(&key) => Value::Object(map.clone()),
        Value::Object(map) => {
            let mut out = Map::new();
            for (name, value) in map {
                let is_default = value
                    .as_str()
                    .is_some_and(|text| DEFAULTS.contains(&(key, name, text)));
                if is_default || IGNORED.contains(&(key, name)) {
                    continue;
                }
                let words = WORDS
                    .iter()
                    .find(|(parent, word, _)| (*parent, *word) == (key, name.as_str()));
                let value = match words {
                    Some((_, _, known)) => known_word(value, known),
                    None => canonical(name, value),
                };
                // Which mode it is, is said by the key; no replicas is a number like any other.
                let means_something = (key == "Mode" && value.is_object()) || name == "Replicas";
                if means_something || !is_empty(&value) {
                    out.insert(name.clone(), value);
                }
            }
            fill(key, &mut out);
            Value::Object(out)
        }
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| canonical(key, item)).collect())
        }
        other => other.clone(),
    }
}

fn known_word(value: &Value, known: &[&str]) -> Value {
    let word = value.as_str().unwrap_or_default().to_lowercase();
    if known.contains(&word.as_str()) {
        Value::String(word)
    } else {
        Value::Null
    }
}

/// Numbers that the engine fills in.
fn fill(key: &str, map: &mut Map<String, Value>) {
    match key {
        "Replicated" => {
            map.entry("Replicas").or_insert(json!(1));
        }
        "ReplicatedJob" => {
            let together = map.entry("MaxConcurrent").or_insert(json!(1)).clone();
            map.entry("TotalCompletions").or_insert(together);
        }
        "" => {
            map.entry("Mode")
                .or_insert(json!({ "Replicated": { "Replicas": 1 } }));
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

fn differs(a: &Value, b: &Value, at: &str) -> Option<String> {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            keys.into_iter().find_map(|key| {
                let place = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                differs(
                    a.get(key).unwrap_or(&Value::Null),
                    b.get(key).unwrap_or(&Value::Null),
                    &place,
                )
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(index, (a, b))| differs(a, b, &format!("{at}/{index}"))),
        // 0 and 0.0 are one number to the engine.
        (Value::Number(x), Value::Number(y))
            if x == y || (x.is_f64() != y.is_f64() && x.as_f64() == y.as_f64()) =>
        {
            None
        }
        _ => (a != b).then(|| at.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_spec_should_overlook_only_what_the_engine_does() {
        let same = |a: Value, b: Value| assert_eq!(first_difference(&a, &b), None);
        let other = |a: Value, b: Value, at: &str| {
            assert_eq!(first_difference(&a, &b).as_deref(), Some(at));
        };
        same(
            json!({ "Mode": { "Replicated": {} } }),
            json!({ "Mode": { "Replicated": { "Replicas": 1 } } }),
        );
        same(
            json!({}),
            json!({ "Mode": { "Replicated": { "Replicas": 1 } }, "EndpointSpec": { "Mode": "vip" } }),
        );
        same(
            json!({ "UpdateConfig": { "MaxFailureRatio": 0.0 } }),
            json!({ "UpdateConfig": { "MaxFailureRatio": 0 } }),
        );
        same(
            json!({ "TaskTemplate": { "ForceUpdate": 1 } }),
            json!({ "TaskTemplate": { "Runtime": "container" } }),
        );
        same(
            json!({ "TaskTemplate": { "Networks": [ { "Target": "proxy", "Aliases": ["a"] } ] } }),
            json!({ "TaskTemplate": { "Networks": [ { "Target": "x1", "Aliases": ["a"] } ] } }),
        );
        let port = |protocol: &str, mode: &str| json!({ "EndpointSpec": { "Ports": [ { "TargetPort": 80, "Protocol": protocol, "PublishMode": mode } ] } });
        same(port("TCP", "foo"), port("tcp", "ingress"));
        same(port("UDP", "host"), port("udp", "host"));
        other(
            port("udp", "host"),
            port("tcp", "host"),
            "/EndpointSpec/Ports/0/Protocol",
        );
        other(
            json!({ "Mode": { "Replicated": { "Replicas": 0 } } }),
            json!({}),
            "/Mode/Replicated/Replicas",
        );
        other(
            json!({ "Mode": { "Global": {} } }),
            json!({}),
            "/Mode/Global",
        );
        other(
            json!({ "Labels": { "a/b": "" } }),
            json!({ "Labels": {} }),
            "/Labels",
        );
        other(
            json!({ "Labels": { "a/b": "", "c": "" } }),
            json!({ "Labels": { "c": "" } }),
            "/Labels/a~1b",
        );
        other(
            json!({ "Env": ["A=1"] }),
            json!({ "Env": ["A=1", "B=2"] }),
            "/Env",
        );
        other(
            json!({ "TaskTemplate": { "Networks": [ { "Target": "a" } ] } }),
            json!({ "TaskTemplate": { "Networks": [ { "Target": "a" }, { "Target": "b" } ] } }),
            "/TaskTemplate/Networks",
        );
    }
}
