//! Networks.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::STACK_LABEL;
use crate::client::{Engine, Removed};
use crate::error::EngineError;
use crate::query::Call;

/// A network as the engine has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Network {
    /// ID.
    pub id: String,
    /// Name. Networks of the scope `local` may share one.
    pub name: String,
    /// `overlay`, `bridge`, … Empty for an overlay that was just created: Swarm fills it in a moment later.
    pub driver: String,
    /// `swarm`, `local` or `global`.
    pub scope: String,
    /// Whether containers outside Swarm may join.
    #[serde(default)]
    pub attachable: bool,
    /// Whether it is cut off from the outside.
    #[serde(default)]
    pub internal: bool,
    /// Labels.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub labels: BTreeMap<String, String>,
    /// Driver options.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub options: BTreeMap<String, String>,
    /// `IPAM`: driver and subnets.
    #[serde(rename = "IPAM", default)]
    pub ipam: Value,
}

/// Go writes an empty map as `null`.
pub(crate) fn null_as_empty<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Engine {
    /// All networks of a stack.
    ///
    /// # Caveats
    /// Right after a stack was removed, its overlay may still be listed although it is going.
    pub async fn networks(&self, stack: &str) -> Result<Vec<Network>, EngineError> {
        let label = format!("{STACK_LABEL}={stack}");
        self.json(&Call::get(&["networks"]).filter(&[("label", &label)]))
            .await
    }

    /// All networks of exactly this name: several are possible when they are local.
    pub async fn networks_named(&self, name: &str) -> Result<Vec<Network>, EngineError> {
        // The engine's filter also finds parts of names.
        let mut networks: Vec<Network> = self
            .json(&Call::get(&["networks"]).filter(&[("name", name)]))
            .await?;
        networks.retain(|network| network.name == name);
        Ok(networks)
    }

    /// One network by its whole ID or name.
    pub async fn network(&self, id_or_name: &str) -> Result<Option<Network>, EngineError> {
        let found: Option<Network> = self
            .json_or_absent(&Call::get(&["networks", id_or_name]))
            .await?;
        Ok(found.filter(|network| network.id == id_or_name || network.name == id_or_name))
    }

    /// Create a network from a `NetworkCreate` body (`Name`, `Driver`, `Attachable`, `IPAM`, `Options`, `Labels`). Gives its ID.
    pub async fn create_network(&self, body: &Value) -> Result<String, EngineError> {
        self.create(&Call::post(&["networks", "create"]), body, None)
            .await
    }

    /// Remove a network by its ID. [`EngineError::Refused`] while something uses it.
    pub async fn remove_network(&self, id: &str) -> Result<Removed, EngineError> {
        self.remove(&Call::delete(&["networks", id])).await
    }
}
