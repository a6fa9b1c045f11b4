//! Volumes of this engine's node.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::STACK_LABEL;
use crate::client::{Engine, Removed};
use crate::error::EngineError;
use crate::network::null_as_empty;
use crate::query::Call;

/// A volume as the engine has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Volume {
    /// Name.
    pub name: String,
    /// `local`, or a plugin.
    pub driver: String,
    /// Where its data is on the node.
    pub mountpoint: String,
    /// `local` or `global`.
    pub scope: String,
    /// Labels.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub labels: BTreeMap<String, String>,
    /// Driver options: with any, the data may be elsewhere than at `mountpoint`.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub options: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VolumeList {
    #[serde(default, deserialize_with = "null_as_empty")]
    volumes: Vec<Volume>,
    /// A driver that could not be asked: its volumes are missing from the list.
    #[serde(default, deserialize_with = "null_as_empty")]
    warnings: Vec<String>,
}

impl Engine {
    /// One volume.
    pub async fn volume(&self, name: &str) -> Result<Option<Volume>, EngineError> {
        self.json_or_absent(&Call::get(&["volumes", name])).await
    }

    /// All volumes with a stack's label.
    ///
    /// # Errors
    /// [`EngineError::Internal`] also when a volume driver did not answer: the list would not be complete.
    pub async fn volumes(&self, stack: &str) -> Result<Vec<Volume>, EngineError> {
        let label = format!("{STACK_LABEL}={stack}");
        let call = Call::get(&["volumes"]).filter(&[("label", &label)]);
        let list: VolumeList = self.json(&call).await?;
        if !list.warnings.is_empty() {
            let message = format!("the list is not complete: {}", list.warnings.join("; "));
            return Err(EngineError::Internal {
                call: call.to_string(),
                status: 500,
                message,
            });
        }
        Ok(list.volumes)
    }

    /// Remove a volume and its data. [`EngineError::Refused`] while a container, also a stopped one, uses it.
    pub async fn remove_volume(&self, name: &str) -> Result<Removed, EngineError> {
        self.remove(&Call::delete(&["volumes", name])).await
    }
}
