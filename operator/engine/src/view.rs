//! What there is of a stack, read so that it can be judged.

use std::collections::BTreeSet;

use crate::client::Engine;
use crate::error::EngineError;
use crate::service::RawService;
use crate::task::{Task, TaskFilter, TaskId};

/// Services and tasks of one stack. The input of [`crate::judge`].
#[derive(Clone, Debug, Default)]
pub struct StackView {
    /// Its services, by name.
    pub services: Vec<RawService>,
    /// Its tasks, old ones included, oldest first.
    pub tasks: Vec<Task>,
    /// The tasks that match their service's present spec.
    pub current: BTreeSet<TaskId>,
    /// Services that changed while this was read: what is said of their tasks may mix two moments.
    pub moved: BTreeSet<String>,
}

impl Engine {
    /// Read a stack.
    ///
    /// The engine has no snapshot of several lists. The order makes every mixture harmless: a task made in between is not
    /// in `current` (so it counts as not there yet), and a service changed in between is named in `moved`.
    pub async fn view(&self, stack: &str) -> Result<StackView, EngineError> {
        let before = self.services(stack).await?;
        let current = self.current_tasks(TaskFilter::Stack(stack)).await?;
        let tasks = self.tasks(TaskFilter::Stack(stack)).await?;
        let services = self.services(stack).await?;
        let stamp =
            |service: &RawService| (service.name.clone(), service.id.clone(), service.version);
        let old: BTreeSet<_> = before.iter().map(stamp).collect();
        let new: BTreeSet<_> = services.iter().map(stamp).collect();
        let moved = old
            .symmetric_difference(&new)
            .map(|(name, ..)| name.clone())
            .collect();
        Ok(StackView {
            services,
            tasks,
            current,
            moved,
        })
    }
}
