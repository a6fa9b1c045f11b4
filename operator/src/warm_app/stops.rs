//! How containers ended. Swarm removes the containers of a removed service, so they are watched from before they are asked to stop.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ci_warm_engine::{ContainerFilter, Engine, EngineError, EventKind, EventStream, Notice};
use tokio::task::JoinHandle;

/// Longer than any container has to stop; what is not known by then stays unknown.
const PATIENCE: Duration = Duration::from_mins(30);
/// An event comes a moment after what it tells.
const LAG: Duration = Duration::from_secs(2);

/// The stacks that are being stopped. In memory: after a restart it cannot be told any more, and is not told.
#[derive(Debug, Default)]
pub(super) struct Stops {
    stacks: Mutex<HashMap<String, Stopping>>,
}

#[derive(Debug, Default)]
struct Stopping {
    seen: Arc<Mutex<BTreeMap<String, Container>>>,
    followers: Vec<JoinHandle<()>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Container {
    name: String,
    exit_code: Option<i64>,
}

impl Stops {
    /// Follows what runs of a stack now until it has ended. To be called before it is stopped; again does no harm.
    ///
    /// # Errors
    /// The engine did not answer.
    pub(super) async fn follow(&self, engine: &Engine, stack: &str) -> Result<(), EngineError> {
        // Before the list, so that nothing ends in between unseen.
        let events = engine.events().await?;
        let containers = engine.containers(ContainerFilter::Stack(stack)).await?;
        let mut stacks = lock(&self.stacks);
        let stopping = stacks.entry(stack.to_owned()).or_default();
        let mut is_new = false;
        for container in containers
            .iter()
            .filter(|container| !container.is_stopped())
        {
            let mut seen = lock(&stopping.seen);
            if !seen.contains_key(&container.id.0) {
                let name = container.names.first().map_or("", String::as_str);
                let name = name.trim_start_matches('/').to_owned();
                let exit_code = None;
                seen.insert(container.id.0.clone(), Container { name, exit_code });
                is_new = true;
            }
        }
        if is_new {
            let seen = stopping.seen.clone();
            stopping.followers.push(tokio::spawn(async move {
                let _ = tokio::time::timeout(PATIENCE, until_all_ended(events, &seen)).await;
            }));
        }
        Ok(())
    }

    /// The exit codes by the containers' names, once all of them have ended; nothing when that cannot be told, or nothing ran.
    pub(super) async fn exit_codes(&self, stack: &str) -> Option<BTreeMap<String, i64>> {
        let (seen, followers) = {
            let mut stacks = lock(&self.stacks);
            let stopping = stacks.get_mut(stack)?;
            (
                stopping.seen.clone(),
                std::mem::take(&mut stopping.followers),
            )
        };
        for follower in followers {
            let _ = tokio::time::timeout(LAG, follower).await;
        }
        let seen = lock(&seen);
        let codes: Option<BTreeMap<String, i64>> = seen
            .values()
            .map(|container| Some((container.name.clone(), container.exit_code?)))
            .collect();
        codes.filter(|codes| !codes.is_empty())
    }

    /// Something of the stack is started: what ended before is past.
    pub(super) fn forget(&self, stack: &str) {
        lock(&self.stacks).remove(stack);
    }
}

async fn until_all_ended(mut events: EventStream, seen: &Mutex<BTreeMap<String, Container>>) {
    while lock(seen)
        .values()
        .any(|container| container.exit_code.is_none())
    {
        // An end of the stream leaves a gap: then it cannot be told.
        let Ok(notice) = events.next().await else {
            return;
        };
        let Notice::Event(event) = notice else {
            continue;
        };
        if event.kind == EventKind::Container
            && event.action == "die"
            && let Some(container) = lock(seen).get_mut(&event.id)
        {
            let code = event.attributes.get("exitCode");
            container.exit_code = code.and_then(|code| code.parse().ok());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
