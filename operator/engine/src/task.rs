//! Tasks: what Swarm makes of a service. There are no task events, so these are asked for.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::STACK_LABEL;
use crate::client::Engine;
use crate::error::EngineError;
use crate::query::Call;
use crate::service::{Index, ServiceId};

/// The ID of a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub String);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The engine's task states, in the order a task goes through them. Everything after `Running` is an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the engine's own words
pub enum TaskState {
    New,
    Allocated,
    Pending,
    Assigned,
    Accepted,
    Preparing,
    Ready,
    Starting,
    Running,
    Complete,
    Shutdown,
    Failed,
    Rejected,
    Remove,
    Orphaned,
}

impl TaskState {
    /// It will not run again.
    pub fn is_over(self) -> bool {
        self > Self::Running
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

/// One task.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "TaskJson")]
pub struct Task {
    /// ID.
    pub id: TaskId,
    /// The service it is a task of.
    pub service: ServiceId,
    /// Slot, from 1, of a replicated service; none for a global one, which has one per node.
    pub slot: Option<u64>,
    /// The node it was given to.
    pub node: Option<String>,
    /// What it is.
    pub state: TaskState,
    /// What it is to become. A replacement waits with `Ready`; one that is being stopped has `Shutdown` or `Remove`.
    pub desired: TaskState,
    /// When `state` was reached.
    pub state_at: Timestamp,
    /// Swarm's words on the state.
    pub message: String,
    /// What went wrong: `No such image: …`, `task: non-zero exit (3)`, `no suitable node (…)`.
    pub error: Option<String>,
    /// Its container, on `node`.
    pub container: Option<String>,
    /// The container's exit code; 0 also when it has not ended.
    pub exit_code: Option<i64>,
    /// The task spec it was made from (the service's `TaskTemplate` then).
    pub spec: Value,
    /// For a task of a job: the iteration it belongs to.
    pub job_iteration: Option<u64>,
    /// `Version.Index` of the task itself, not of its spec.
    pub version: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Task {
    /// Swarm wants it to run, or, for a job, to complete.
    pub fn is_wanted(&self) -> bool {
        !self.desired.is_over() || self.desired == TaskState::Complete
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TaskJson {
    #[serde(rename = "ID")]
    id: TaskId,
    version: Index,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(default)]
    spec: Value,
    #[serde(rename = "ServiceID")]
    service: ServiceId,
    slot: Option<u64>,
    #[serde(rename = "NodeID")]
    node: Option<String>,
    status: StatusJson,
    desired_state: TaskState,
    job_iteration: Option<Index>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StatusJson {
    timestamp: Timestamp,
    state: TaskState,
    #[serde(default)]
    message: String,
    err: Option<String>,
    container_status: Option<ContainerStatusJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerStatusJson {
    #[serde(rename = "ContainerID", default)]
    container: String,
    exit_code: Option<i64>,
}

impl From<TaskJson> for Task {
    fn from(json: TaskJson) -> Self {
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let exit_code = json
            .status
            .container_status
            .as_ref()
            .and_then(|status| status.exit_code);
        Self {
            id: json.id,
            service: json.service,
            slot: json.slot.filter(|slot| *slot != 0),
            node: filled(json.node),
            state: json.status.state,
            desired: json.desired_state,
            state_at: json.status.timestamp,
            message: json.status.message,
            error: filled(json.status.err),
            container: filled(json.status.container_status.map(|status| status.container)),
            exit_code,
            spec: json.spec,
            job_iteration: json.job_iteration.map(|index| index.index),
            version: json.version.index,
            created_at: json.created_at,
            updated_at: json.updated_at,
        }
    }
}

/// Which tasks.
#[derive(Clone, Copy, Debug)]
pub enum TaskFilter<'a> {
    /// Of every service of a stack, also of services that are being removed.
    Stack(&'a str),
    /// Of one service.
    Service(&'a ServiceId),
}

impl Engine {
    /// The tasks, old ones included as far as Swarm keeps them (5 per slot unless configured otherwise), oldest first.
    pub async fn tasks(&self, filter: TaskFilter<'_>) -> Result<Vec<Task>, EngineError> {
        self.list_tasks(filter, &[]).await
    }

    /// The tasks that match their service's present spec, by Swarm's own rule.
    ///
    /// `_up-to-date` is undocumented; the docker CLI's own progress display relies on it. It sees what a comparison of task
    /// specs cannot: changed ports, and a changed placement that the node of a running task still satisfies.
    pub async fn current_tasks(
        &self,
        filter: TaskFilter<'_>,
    ) -> Result<BTreeSet<TaskId>, EngineError> {
        let tasks = self.list_tasks(filter, &[("_up-to-date", "true")]).await?;
        Ok(tasks.into_iter().map(|task| task.id).collect())
    }

    async fn list_tasks(
        &self,
        filter: TaskFilter<'_>,
        more: &[(&str, &str)],
    ) -> Result<Vec<Task>, EngineError> {
        let (key, value) = match filter {
            TaskFilter::Stack(stack) => ("label", format!("{STACK_LABEL}={stack}")),
            TaskFilter::Service(id) => ("service", id.0.clone()),
        };
        let mut filters = vec![(key, value.as_str())];
        filters.extend_from_slice(more);
        let mut tasks: Vec<Task> = self.json(&Call::get(&["tasks"]).filter(&filters)).await?;
        tasks.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(tasks)
    }
}
