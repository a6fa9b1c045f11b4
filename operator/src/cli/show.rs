//! An object whole, as YAML or JSON that can be applied again.

use ci_warm_api_types::{API_VERSION, yaml};
use serde_json::{Map, Value, json};

use super::failure::{Failure, refused};
use super::objects::Found;

/// The object as one value: header, metadata, spec as wanted with every default, status as observed.
pub(super) fn value(found: &Found) -> Value {
    let observed = found.observed();
    let mut metadata = match observed.map(|observed| serde_json::to_value(&observed.meta)) {
        Some(Ok(Value::Object(kept))) => kept,
        _ => Map::from_iter([("name".to_owned(), json!(found.name.as_str()))]),
    };
    // Names and labels are wishes: as written now, not as they were when last accepted.
    if let Some(meaning) = found.meaning() {
        for key in ["labels", "annotations", "ownerReferences"] {
            metadata.shift_remove(key);
        }
        if let Ok(Value::Object(written)) = serde_json::to_value(&meaning.metadata) {
            metadata.extend(written);
        }
    }
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), json!(API_VERSION));
    object.insert("kind".to_owned(), json!(found.kind.kind()));
    object.insert("metadata".to_owned(), Value::Object(metadata));
    let kept = || observed.and_then(|observed| observed.spec.clone());
    if let Some(spec) = found.spec().map(|spec| spec.to_value()).or_else(kept) {
        object.insert("spec".to_owned(), spec);
    }
    if let Some(observed) = observed {
        object.insert("status".to_owned(), observed.status.clone());
    }
    Value::Object(object)
}

/// As YAML, with a line break at the end.
pub(super) fn yaml(value: &Value) -> Result<String, Failure> {
    let text = yaml::write(value).map_err(refused)?;
    Ok(format!("{}\n", text.trim_end()))
}

/// As JSON, with a line break at the end.
pub(super) fn json(value: &Value) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(refused)?;
    Ok(format!("{text}\n"))
}
