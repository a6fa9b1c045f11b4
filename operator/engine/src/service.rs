//! Services, sent and read as the engine's own JSON: bollard's types lose `Healthcheck` and `PreviousSpec`.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::STACK_LABEL;
use crate::client::{Engine, Removed};
use crate::error::EngineError;
use crate::image::RegistryAuth;
use crate::query::Call;

/// The ID of a service. A service that was removed and created again has another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct ServiceId(pub String);

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A service as the engine has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "ServiceJson")]
pub struct RawService {
    /// ID.
    pub id: ServiceId,
    /// `Version.Index`, to be sent with an update. Moves without us too: the engine raises it when it assigns an address.
    pub version: u64,
    /// Name: `<stack>_<service>` for a service of a stack.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed, by whomever.
    pub updated_at: Timestamp,
    /// `Spec`, as stored: without the defaults that `docker service inspect` adds.
    pub spec: Value,
    /// `PreviousSpec`: what a Swarm-side rollback goes back to.
    pub previous_spec: Option<Value>,
    /// `UpdateStatus`: none after a creation, and after an update that changed no task.
    pub update_status: Option<UpdateStatus>,
    /// `Endpoint`: published ports and addresses as assigned. `Null` when there is none.
    pub endpoint: Value,
    /// For a job: the number of its current iteration.
    pub job_iteration: Option<u64>,
}

impl RawService {
    /// The service's labels.
    pub fn labels(&self) -> BTreeMap<&str, &str> {
        let labels = self.spec.get("Labels").and_then(Value::as_object);
        labels
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
            .collect()
    }

    /// The stack it belongs to.
    pub fn stack(&self) -> Option<&str> {
        self.spec.get("Labels")?.get(STACK_LABEL)?.as_str()
    }
}

/// How far Swarm is with the last update.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateStatus {
    /// Where it stands.
    pub state: UpdateState,
    /// When Swarm began with it.
    pub started_at: Option<Timestamp>,
    /// When Swarm was done with it.
    pub completed_at: Option<Timestamp>,
    /// Swarm's words.
    #[serde(default)]
    pub message: String,
}

/// The engine's update states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the engine's own words
pub enum UpdateState {
    Updating,
    Paused,
    Completed,
    RollbackStarted,
    RollbackPaused,
    RollbackCompleted,
}

/// The engine's `{"Index": n}`.
#[derive(Deserialize)]
pub(crate) struct Index {
    #[serde(rename = "Index", default)]
    pub(crate) index: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ServiceJson {
    #[serde(rename = "ID")]
    id: ServiceId,
    version: Index,
    created_at: Timestamp,
    updated_at: Timestamp,
    spec: Value,
    previous_spec: Option<Value>,
    update_status: Option<Value>,
    #[serde(default)]
    endpoint: Value,
    job_status: Option<JobStatusJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct JobStatusJson {
    job_iteration: Index,
}

impl TryFrom<ServiceJson> for RawService {
    type Error = String;

    fn try_from(json: ServiceJson) -> Result<Self, String> {
        let name = json
            .spec
            .get("Name")
            .and_then(Value::as_str)
            .ok_or("a service without Spec.Name")?
            .to_owned();
        // An empty status object is another way to say that there is none.
        let status = json
            .update_status
            .filter(|status| status.get("State").is_some_and(|state| state != ""));
        let update_status = match status {
            Some(status) => Some(
                serde_json::from_value(status).map_err(|error| format!("UpdateStatus: {error}"))?,
            ),
            None => None,
        };
        Ok(Self {
            id: json.id,
            version: json.version.index,
            name,
            created_at: json.created_at,
            updated_at: json.updated_at,
            spec: json.spec,
            previous_spec: json.previous_spec,
            update_status,
            endpoint: json.endpoint,
            job_iteration: json.job_status.map(|status| status.job_iteration.index),
        })
    }
}

impl Engine {
    /// All services of a stack, by name.
    pub async fn services(&self, stack: &str) -> Result<Vec<RawService>, EngineError> {
        let label = format!("{STACK_LABEL}={stack}");
        let call = Call::get(&["services"]).filter(&[("label", &label)]);
        let mut services: Vec<RawService> = self.json(&call).await?;
        services.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(services)
    }

    /// One service by its whole ID or name.
    pub async fn service(&self, id_or_name: &str) -> Result<Option<RawService>, EngineError> {
        let call = Call::get(&["services", id_or_name]);
        let found: Option<RawService> = self.json_or_absent(&call).await?;
        Ok(found.filter(|service| service.id.0 == id_or_name || service.name == id_or_name))
    }

    /// Create a service from a `ServiceSpec`. `Placement` must be present in its `TaskTemplate`, if empty: an update that
    /// drops it makes the engine panic at every start. [`EngineError::Refused`] is returned, unsent, when it is missing.
    pub async fn create_service(
        &self,
        spec: &Value,
        auth: Option<&RegistryAuth>,
    ) -> Result<ServiceId, EngineError> {
        let call = Call::post(&["services", "create"]);
        require_placement(&call, spec)?;
        let auth = auth.map(RegistryAuth::header);
        self.create(&call, spec, auth.as_ref()).await.map(ServiceId)
    }

    /// Replace a service's spec. `version` is [`RawService::version`] as it was read.
    ///
    /// Without `auth` the engine keeps the credentials it has. `Placement`: see [`Engine::create_service`].
    ///
    /// # Errors
    /// [`EngineError::OutOfSequence`] when the service changed since: read it again and decide again.
    pub async fn update_service(
        &self,
        id: &ServiceId,
        version: u64,
        spec: &Value,
        auth: Option<&RegistryAuth>,
    ) -> Result<(), EngineError> {
        let call = Call::post(&["services", &id.0, "update"]);
        require_placement(&call, spec)?;
        let call = call.with("version", &version.to_string());
        let auth = auth.map(RegistryAuth::header);
        self.send::<Value>(&call, spec, auth.as_ref())
            .await
            .map(drop)
    }

    /// Remove a service by its ID. Its tasks and containers go later: see [`Engine::remains`].
    pub async fn remove_service(&self, id: &ServiceId) -> Result<Removed, EngineError> {
        self.remove(&Call::delete(&["services", &id.0])).await
    }
}

/// moby's orchestrator reads `Spec.Task.Placement` unchecked when an update changes nothing else (20.10 to 28).
fn require_placement(call: &Call, spec: &Value) -> Result<(), EngineError> {
    if spec
        .pointer("/TaskTemplate/Placement")
        .is_some_and(Value::is_object)
    {
        return Ok(());
    }
    Err(EngineError::Refused {
        call: call.to_string(),
        status: 400,
        message:
            "not sent: TaskTemplate.Placement is missing, and the engine panics on that; send {}"
                .to_owned(),
    })
}
