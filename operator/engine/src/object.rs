//! Secrets and configs: the same calls on two paths.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::STACK_LABEL;
use crate::client::{Engine, Removed};
use crate::error::EngineError;
use crate::network::null_as_empty;
use crate::query::Call;
use crate::service::Index;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A secret: its data can be written, never read.
    Secret,
    /// A config.
    Config,
}

impl ObjectKind {
    fn path(self) -> &'static str {
        match self {
            Self::Secret => "secrets",
            Self::Config => "configs",
        }
    }
}

/// A secret or a config as the engine has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "ObjectJson")]
pub struct Object {
    /// ID.
    pub id: String,
    /// Name.
    pub name: String,
    /// `Version.Index`.
    pub version: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The data in base64. Always none for a secret.
    pub data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ObjectJson {
    #[serde(rename = "ID")]
    id: String,
    version: Index,
    created_at: Timestamp,
    spec: SpecJson,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SpecJson {
    name: String,
    #[serde(default, deserialize_with = "null_as_empty")]
    labels: BTreeMap<String, String>,
    data: Option<String>,
}

impl From<ObjectJson> for Object {
    fn from(json: ObjectJson) -> Self {
        Self {
            id: json.id,
            name: json.spec.name,
            version: json.version.index,
            created_at: json.created_at,
            labels: json.spec.labels,
            data: json.spec.data,
        }
    }
}

impl Engine {
    /// All secrets or configs of a stack.
    pub async fn objects(&self, kind: ObjectKind, stack: &str) -> Result<Vec<Object>, EngineError> {
        let label = format!("{STACK_LABEL}={stack}");
        self.json(&Call::get(&[kind.path()]).filter(&[("label", &label)]))
            .await
    }

    /// The one of exactly this name.
    pub async fn object(
        &self,
        kind: ObjectKind,
        name: &str,
    ) -> Result<Option<Object>, EngineError> {
        // Listed, not inspected: an inspect resolves prefixes of IDs, and the filter prefixes of names.
        let objects: Vec<Object> = self
            .json(&Call::get(&[kind.path()]).filter(&[("name", name)]))
            .await?;
        Ok(objects.into_iter().find(|object| object.name == name))
    }

    /// Create one from a `SecretSpec` or `ConfigSpec` body (`Name`, `Labels`, `Data` in base64). Gives its ID.
    pub async fn create_object(
        &self,
        kind: ObjectKind,
        body: &Value,
    ) -> Result<String, EngineError> {
        self.create(&Call::post(&[kind.path(), "create"]), body, None)
            .await
    }

    /// Remove one by its ID. [`EngineError::Refused`] while a service uses it.
    pub async fn remove_object(&self, kind: ObjectKind, id: &str) -> Result<Removed, EngineError> {
        self.remove(&Call::delete(&[kind.path(), id])).await
    }
}
