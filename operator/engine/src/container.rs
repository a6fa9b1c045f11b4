//! Containers of this engine's node.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::STACK_LABEL;
use crate::client::{Engine, Removed};
use crate::error::EngineError;
use crate::network::null_as_empty;
use crate::query::Call;

/// The ID of a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(pub String);

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which containers. Stopped ones are always included.
#[derive(Clone, Copy, Debug)]
pub enum ContainerFilter<'a> {
    /// Of a stack.
    Stack(&'a str),
    /// That mount the volume of this name, whoever made them. A bind mount of the volume's directory is not found by this.
    Volume(&'a str),
    /// All of them.
    All,
}

/// A container in a list.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerSummary {
    /// ID.
    pub id: ContainerId,
    /// Names, each with a leading slash.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub names: Vec<String>,
    /// The image as it was asked for.
    #[serde(default)]
    pub image: String,
    /// `created`, `running`, `exited`, `removing`, `dead`, …
    pub state: String,
    /// Labels.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub labels: BTreeMap<String, String>,
    /// What it mounts.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub mounts: Vec<Mount>,
}

impl ContainerSummary {
    /// The task it was made for.
    pub fn task(&self) -> Option<&str> {
        self.labels
            .get("com.docker.swarm.task.id")
            .map(String::as_str)
    }

    /// It does not run, and nothing is being done to it.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state.as_str(), "created" | "exited" | "dead")
    }

    /// The stack it belongs to.
    pub fn stack(&self) -> Option<&str> {
        self.labels.get(STACK_LABEL).map(String::as_str)
    }
}

/// One mount, as the container really has it: anonymous volumes of the image included.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Mount {
    /// `volume`, `bind`, `tmpfs`, …
    #[serde(rename = "Type")]
    pub kind: String,
    /// The volume's name; empty for other kinds. An anonymous volume has 64 hex digits.
    #[serde(rename = "Name", default)]
    pub name: String,
    /// The path on the node.
    #[serde(rename = "Source", default)]
    pub source: String,
    /// The path in the container.
    #[serde(rename = "Destination")]
    pub destination: String,
    /// The volume's driver; empty for other kinds.
    #[serde(rename = "Driver", default)]
    pub driver: String,
    /// Whether the container may write to it.
    #[serde(rename = "RW")]
    pub rw: bool,
}

/// One container in full.
#[derive(Clone, Debug)]
pub struct ContainerInfo {
    /// ID.
    pub id: ContainerId,
    /// Name, without a slash.
    pub name: String,
    /// ID of its image.
    pub image_id: String,
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited`, `dead`.
    pub state: String,
    /// Exit code of the last run; none while it runs and before it ever ran.
    pub exit_code: Option<i64>,
    /// Whether the kernel killed it for its memory.
    pub oom_killed: bool,
    /// What went wrong when it was started or stopped.
    pub error: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// What it mounts.
    pub mounts: Vec<Mount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectJson {
    id: ContainerId,
    name: String,
    image: String,
    state: StateJson,
    #[serde(default, deserialize_with = "null_as_empty")]
    mounts: Vec<Mount>,
    config: ConfigJson,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StateJson {
    status: String,
    #[serde(rename = "OOMKilled", default)]
    oom_killed: bool,
    exit_code: i64,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigJson {
    #[serde(default, deserialize_with = "null_as_empty")]
    labels: BTreeMap<String, String>,
}

impl From<InspectJson> for ContainerInfo {
    fn from(json: InspectJson) -> Self {
        let ended = matches!(json.state.status.as_str(), "exited" | "dead" | "removing");
        Self {
            id: json.id,
            name: json.name.trim_start_matches('/').to_owned(),
            image_id: json.image,
            exit_code: ended.then_some(json.state.exit_code),
            state: json.state.status,
            oom_killed: json.state.oom_killed,
            error: Some(json.state.error).filter(|error| !error.is_empty()),
            labels: json.config.labels,
            mounts: json.mounts,
        }
    }
}

impl Engine {
    /// Containers on this engine's node, stopped ones included.
    pub async fn containers(
        &self,
        filter: ContainerFilter<'_>,
    ) -> Result<Vec<ContainerSummary>, EngineError> {
        let label;
        let filters = match filter {
            ContainerFilter::Stack(stack) => {
                label = format!("{STACK_LABEL}={stack}");
                vec![("label", label.as_str())]
            }
            ContainerFilter::Volume(name) => vec![("volume", name)],
            ContainerFilter::All => Vec::new(),
        };
        let call = Call::get(&["containers", "json"])
            .with("all", "true")
            .filter(&filters);
        let mut containers: Vec<ContainerSummary> = self.json(&call).await?;
        if let ContainerFilter::Volume(name) = filter {
            containers.retain(|container| container.mounts.iter().any(|mount| mount.name == name));
        }
        Ok(containers)
    }

    /// One container in full.
    pub async fn container(&self, id: &ContainerId) -> Result<Option<ContainerInfo>, EngineError> {
        let found: Option<InspectJson> = self
            .json_or_absent(&Call::get(&["containers", &id.0, "json"]))
            .await?;
        Ok(found.filter(|json| json.id == *id).map(ContainerInfo::from))
    }

    /// Stop a container: its stop signal, then, after `grace`, a kill. One that is stopped or gone is fine.
    ///
    /// # Errors
    /// [`EngineError::TimedOut`] when it does not even die within the time limit of a call after that.
    pub async fn stop_container(
        &self,
        id: &ContainerId,
        grace: Duration,
    ) -> Result<(), EngineError> {
        let call =
            Call::post(&["containers", &id.0, "stop"]).with("t", &grace.as_secs().to_string());
        self.act_within(&call, grace + self.limits().call).await
    }

    /// Remove a stopped container. Its volumes stay, anonymous ones too. [`EngineError::Refused`] while it runs.
    ///
    /// Containers of services are Swarm's to stop and remove, but for the one kind it forgets: [`crate::Remains::forgotten`].
    pub async fn remove_container(&self, id: &ContainerId) -> Result<Removed, EngineError> {
        self.remove(&Call::delete(&["containers", &id.0])).await
    }
}
