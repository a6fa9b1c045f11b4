//! JSON Schemas of manifests, for editors and for checks before a manifest reaches a host.
//!
//! They say what the types say. What only validation can know (an existing time zone, exactly one of two fields) they
//! leave out. They are stricter in one thing: a number where a text belongs (`TIMEOUT: 600`) is read as the text it is written as.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::API_VERSION;
use crate::manifest::{KindName, Manifest};
use crate::snapshot::SnapshotSpec;
use crate::warm_app::WarmAppSpec;

impl KindName {
    /// The JSON Schema (draft 2020-12) of a manifest of this kind.
    pub fn schema(self) -> Value {
        let generator = SchemaSettings::draft2020_12().into_generator();
        let schema = match self {
            Self::WarmApp => generator.into_root_schema_for::<Manifest<WarmAppSpec>>(),
            Self::Snapshot => generator.into_root_schema_for::<Manifest<SnapshotSpec>>(),
        };
        let mut schema = Value::from(schema);
        let about = match self {
            Self::WarmApp => {
                "A live-warm app: always running, at the newest safe version of its recipe."
            }
            Self::Snapshot => "One sealed, consistent copy of an instance's volumes.",
        };
        // The types read any text here and say which they know; a schema can say it at once.
        schema["properties"]["apiVersion"]["const"] = json!(API_VERSION);
        schema["properties"]["kind"]["const"] = json!(self.kind());
        schema["properties"]["status"] = json!({ "description": "The operator's, as `ccctl get -o yaml` prints it; passed over." });
        let mut whole =
            json!({ "$schema": schema["$schema"], "title": self.kind(), "description": about });
        if let (Value::Object(whole), Value::Object(rest)) = (&mut whole, schema) {
            for (key, value) in rest {
                whole.entry(key).or_insert(value);
            }
        }
        whole
    }

    /// The schema as text, with a line break at the end.
    pub fn schema_text(self) -> String {
        format!("{:#}\n", self.schema())
    }
}
