//! The engine itself.

use bollard::models::LocalNodeState;
use jiff::Timestamp;

use crate::client::Engine;
use crate::error::EngineError;

/// Whether this node takes part in a Swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the engine's own words
pub enum SwarmState {
    Inactive,
    Pending,
    Active,
    Error,
    Locked,
}

/// What this node is in the Swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwarmRole {
    /// It can be asked about services.
    Manager,
    /// It cannot.
    Other,
}

/// What an engine says of itself.
#[derive(Clone, Debug)]
pub struct EngineInfo {
    /// Host name.
    pub name: String,
    /// `20.10.24`, …
    pub server_version: String,
    /// API version agreed on, such as `1.41`.
    pub api_version: String,
    /// Where it keeps its data, volumes included.
    pub data_root: String,
    /// Whether it takes part in a Swarm.
    pub swarm: SwarmState,
    /// What it is in the Swarm.
    pub role: SwarmRole,
    /// Node ID in the Swarm.
    pub node_id: Option<String>,
    /// What the engine's clock says. All times of services and tasks are by that clock.
    pub time: Timestamp,
}

impl Engine {
    /// What the engine says of itself.
    pub async fn info(&self) -> Result<EngineInfo, EngineError> {
        let call = "GET /info";
        let missing = |what: &str| EngineError::Protocol {
            call: call.to_owned(),
            what: format!("no {what}"),
        };
        let info = self.typed(call, bollard::Docker::info).await?;
        let swarm = info.swarm.ok_or_else(|| missing("Swarm"))?;
        let time = info.system_time.ok_or_else(|| missing("SystemTime"))?;
        Ok(EngineInfo {
            name: info.name.ok_or_else(|| missing("Name"))?,
            server_version: info
                .server_version
                .ok_or_else(|| missing("ServerVersion"))?,
            api_version: self.api_version().to_owned(),
            data_root: info
                .docker_root_dir
                .ok_or_else(|| missing("DockerRootDir"))?,
            swarm: match swarm.local_node_state {
                Some(LocalNodeState::ACTIVE) => SwarmState::Active,
                Some(LocalNodeState::PENDING) => SwarmState::Pending,
                Some(LocalNodeState::LOCKED) => SwarmState::Locked,
                Some(LocalNodeState::ERROR) => SwarmState::Error,
                Some(LocalNodeState::INACTIVE | LocalNodeState::EMPTY) => SwarmState::Inactive,
                None => return Err(missing("Swarm.LocalNodeState")),
            },
            role: if swarm.control_available == Some(true) {
                SwarmRole::Manager
            } else {
                SwarmRole::Other
            },
            node_id: swarm.node_id.filter(|id| !id.is_empty()),
            time: time.parse().map_err(|error| EngineError::Protocol {
                call: call.to_owned(),
                what: format!("SystemTime {time:?}: {error}"),
            })?,
        })
    }

    /// How many nodes the Swarm has, whatever their state.
    pub async fn node_count(&self) -> Result<usize, EngineError> {
        let nodes = self
            .typed("GET /nodes", |docker| docker.list_nodes(None))
            .await?;
        Ok(nodes.len())
    }
}
