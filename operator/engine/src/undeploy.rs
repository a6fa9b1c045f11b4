//! When a stack is gone: not when its services are, but when no container of it is left.

use std::collections::BTreeSet;

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
    /// Stopped containers of jobs whose service is gone. Swarm keeps these, and their tasks, for ever (seen on 20.10), so
    /// there is nothing to wait for: remove them with [`Engine::remove_container`] before anything needs their volumes.
    pub forgotten: Vec<ContainerSummary>,
}

impl Remains {
    /// Nothing is left that goes by waiting. `forgotten` may still hold something.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.tasks.is_empty() && self.containers.is_empty()
    }

    fn of(services: Vec<RawService>, tasks: Vec<Task>, containers: Vec<ContainerSummary>) -> Self {
        let known: BTreeSet<&ServiceId> = services.iter().map(|service| &service.id).collect();
        let (ended, tasks): (Vec<Task>, Vec<Task>) = tasks.into_iter().partition(|task| {
            task.job_iteration.is_some() && task.state.is_over() && !known.contains(&task.service)
        });
        let ended: BTreeSet<&str> = ended.iter().map(|task| task.id.0.as_str()).collect();
        let (forgotten, containers) = containers.into_iter().partition(|container| {
            container.is_stopped() && container.task().is_some_and(|task| ended.contains(task))
        });
        let services = services.into_iter().map(|service| service.name).collect();
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
        let services = self.services(stack).await?;
        let tasks = self.tasks(TaskFilter::Stack(stack)).await?;
        let containers = self.containers(ContainerFilter::Stack(stack)).await?;
        Ok(Remains::of(services, tasks, containers))
    }
}
