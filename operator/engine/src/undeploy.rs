//! When a stack is gone: not when its services are, but when no container of it is left.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::client::Engine;
use crate::container::{ContainerFilter, ContainerSummary};
use crate::error::EngineError;
use crate::service::{RawService, ServiceId};
use crate::task::{Task, TaskFilter};

/// What is left of a stack that is being removed. Volumes, secrets, configs and networks are not counted: they stay.
#[derive(Clone, Debug, Default)]
pub struct Remains {
    /// Names of services.
    pub services: Vec<String>,
    /// Tasks that Swarm still has to end or to remove.
    pub tasks: Vec<Task>,
    /// Containers on this engine's node, stopped ones included. One that is being removed still mounts its volumes.
    pub containers: Vec<ContainerSummary>,
    /// Containers of jobs whose service is gone. Swarm (seen on 20.10) neither stops nor removes these: a job that ran when
    /// its service was removed goes on, and writes to its volumes. Waiting does not help: [`Engine::clear_forgotten`] does.
    pub forgotten: Vec<ContainerSummary>,
}

impl Remains {
    /// Nothing is left: no container of the stack mounts anything on this node.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
            && self.tasks.is_empty()
            && self.containers.is_empty()
            && self.forgotten.is_empty()
    }

    fn of(services: &[RawService], tasks: Vec<Task>, containers: Vec<ContainerSummary>) -> Self {
        let known: BTreeSet<&ServiceId> = services.iter().map(|service| &service.id).collect();
        let is_forgotten =
            |task: &Task| task.job_iteration.is_some() && !known.contains(&task.service);
        let jobs: BTreeSet<String> = tasks
            .iter()
            .filter(|task| is_forgotten(task))
            .map(|task| task.id.0.clone())
            .collect();
        let (forgotten, containers) = containers
            .into_iter()
            .partition(|container| container.task().is_some_and(|task| jobs.contains(task)));
        // The record of an ended task of such a job can be removed by nobody.
        let tasks = tasks
            .into_iter()
            .filter(|task| !(is_forgotten(task) && task.state.is_over()))
            .collect();
        let services = services
            .iter()
            .map(|service| service.name.clone())
            .collect();
        Self {
            services,
            tasks,
            containers,
            forgotten,
        }
    }
}

impl Engine {
    /// What is left of a stack. Empty once the services, their tasks and the tasks' containers are gone.
    ///
    /// # Caveats
    /// Containers on other nodes are invisible here; their tasks are not, and go last.
    pub async fn remains(&self, stack: &str) -> Result<Remains, EngineError> {
        // In the order things disappear, so that nothing slips from a list not yet read into one already read.
        let mut services = self.services(stack).await?;
        let tasks = self.tasks(TaskFilter::Stack(stack)).await?;
        let containers = self.containers(ContainerFilter::Stack(stack)).await?;
        // A service that was created in between must not have its tasks taken for forgotten ones.
        for late in self.services(stack).await? {
            if services.iter().all(|service| service.id != late.id) {
                services.push(late);
            }
        }
        Ok(Remains::of(&services, tasks, containers))
    }

    /// Stop and remove the containers of jobs that Swarm has forgotten. Their volumes stay.
    ///
    /// A container gets `grace` after its stop signal before it is killed. Idempotent; one that is just being started is left to
    /// the next call.
    pub async fn clear_forgotten(
        &self,
        remains: &Remains,
        grace: Duration,
    ) -> Result<(), EngineError> {
        for container in &remains.forgotten {
            if !container.is_stopped() {
                self.stop_container(&container.id, grace).await?;
            }
            match self.remove_container(&container.id).await {
                // It was started since it was looked at; the next look sees it running.
                Err(EngineError::Refused { status: 409, .. }) => {}
                other => {
                    other?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const AT: &str = "2026-01-01T00:00:00Z";

    fn task(id: &str, service: &str, state: &str, iteration: Option<u64>) -> Task {
        let mut json = json!({
            "ID": id, "Version": { "Index": 1 }, "CreatedAt": AT, "UpdatedAt": AT, "ServiceID": service,
            "DesiredState": "complete", "Status": { "Timestamp": AT, "State": state },
        });
        if let Some(index) = iteration {
            json["JobIteration"] = json!({ "Index": index });
        }
        serde_json::from_value(json).unwrap()
    }

    fn container(id: &str, task: &str, state: &str) -> ContainerSummary {
        let labels = json!({ "com.docker.swarm.task.id": task });
        serde_json::from_value(json!({ "Id": id, "State": state, "Labels": labels })).unwrap()
    }

    fn service(id: &str) -> RawService {
        let spec: Value = json!({ "Name": id });
        serde_json::from_value(
            json!({ "ID": id, "Version": { "Index": 1 }, "CreatedAt": AT, "UpdatedAt": AT, "Spec": spec }),
        )
        .unwrap()
    }

    #[test]
    fn remains_should_tell_what_goes_from_what_is_forgotten() {
        let remains = Remains::of(
            &[service("there")],
            vec![
                task("t1", "gone", "complete", Some(0)),
                task("t2", "gone", "running", Some(0)),
                task("t3", "gone", "running", None),
                task("t4", "there", "complete", Some(0)),
            ],
            vec![
                container("c1", "t1", "exited"),
                container("c2", "t2", "running"),
                container("c3", "t3", "running"),
                container("c4", "t4", "exited"),
                container("c5", "unknown", "exited"),
            ],
        );
        let ids =
            |list: &[ContainerSummary]| list.iter().map(|one| one.id.0.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&remains.forgotten), ["c1", "c2"]);
        assert_eq!(ids(&remains.containers), ["c3", "c4", "c5"]);
        let tasks: Vec<&str> = remains
            .tasks
            .iter()
            .map(|task| task.id.0.as_str())
            .collect();
        assert_eq!(tasks, ["t2", "t3", "t4"]);
        assert!(!remains.is_empty());
        assert!(Remains::of(&[], vec![task("t1", "gone", "failed", Some(0))], vec![]).is_empty());
        assert!(!Remains::of(&[], vec![], vec![container("c", "t", "exited")]).is_empty());
    }
}
