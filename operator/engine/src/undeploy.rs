//! When a stack is gone: not when its services are, but when no container of it is left.

use crate::client::Engine;
use crate::container::{ContainerFilter, ContainerSummary};
use crate::error::EngineError;
use crate::task::{Task, TaskFilter};

/// What is left of a stack that is being removed. Volumes, secrets, configs and networks are not counted: they stay.
#[derive(Clone, Debug, Default)]
pub struct Remains {
    /// Names of services.
    pub services: Vec<String>,
    /// Tasks, old ones included.
    pub tasks: Vec<Task>,
    /// Containers on this engine's node, stopped ones included. One that is being removed still mounts its volumes.
    pub containers: Vec<ContainerSummary>,
}

impl Remains {
    /// Nothing is left.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.tasks.is_empty() && self.containers.is_empty()
    }
}

impl Engine {
    /// What is left of a stack. Empty once the services, their tasks and the tasks' containers are gone.
    ///
    /// # Caveats
    /// Containers on other nodes are invisible here; their tasks are not, and go last.
    pub async fn remains(&self, stack: &str) -> Result<Remains, EngineError> {
        // In the order things disappear, so that nothing slips from a list not yet read into one already read.
        let services = self
            .services(stack)
            .await?
            .into_iter()
            .map(|service| service.name)
            .collect();
        let tasks = self.tasks(TaskFilter::Stack(stack)).await?;
        let containers = self.containers(ContainerFilter::Stack(stack)).await?;
        Ok(Remains {
            services,
            tasks,
            containers,
        })
    }
}
