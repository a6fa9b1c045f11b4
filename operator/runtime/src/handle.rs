//! The handle: how the rest of the program wakes objects and asks the loop how it is.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::ids::{Key, ObjectName};
use crate::metrics::{Metrics, MetricsSnapshot};
use crate::queue::{Debounce, Queue};
use crate::store::{Change, HeldDeletions, What};
use crate::watch::Inbox;

/// Says which objects a change of another one concerns. Many to many; when in doubt, name it.
pub type Mapper = Box<dyn Fn(&Change) -> Vec<Key> + Send + Sync>;

/// Whom changes concern. Complete before the first change comes.
#[derive(Default)]
pub(crate) struct Rules {
    /// The directory of every kind that is kept.
    pub(crate) plurals: BTreeMap<Arc<str>, &'static str>,
    /// The kinds that have a controller.
    pub(crate) controlled: BTreeMap<Arc<str>, Controlled>,
    /// Mappers by the kind they look at.
    pub(crate) mappers: Vec<(&'static str, Mapper)>,
}

/// How the objects of a controlled kind can be named all at once.
pub(crate) type Controlled = Arc<dyn Fn() -> Vec<ObjectName> + Send + Sync>;

pub(crate) struct Shared {
    pub(crate) queue: Mutex<Queue<Key>>,
    pub(crate) bell: Notify,
    pub(crate) inbox: Inbox,
    pub(crate) metrics: Metrics,
    pub(crate) held: watch::Sender<Vec<HeldDeletions>>,
    pub(crate) rules: OnceLock<Rules>,
    pub(crate) burst: Debounce,
    /// Whether every kind was listed completely once. Nothing runs before.
    pub(crate) listed: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue<Key>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wake(&self, key: Key) {
        let now = Instant::now();
        self.queue().schedule(key, now, now);
        self.bell.notify_one();
    }

    fn is_controlled(&self, kind: &str) -> bool {
        self.rules
            .get()
            .is_some_and(|rules| rules.controlled.contains_key(kind))
    }

    /// Wakes whom a change concerns. A status never wakes its own controller.
    pub(crate) fn dispatch(&self, change: &Change) {
        let Some(rules) = self.rules.get() else {
            return;
        };
        match change.what {
            What::Wish | What::Request if self.is_controlled(&change.key.kind) => {
                self.wake(change.key.clone());
            }
            What::Wish | What::Request | What::Status => {}
            What::Gone => {
                self.queue().forget(&change.key);
                // The manifest may have come back meanwhile.
                if let Some(plural) = rules.plurals.get(&change.key.kind) {
                    self.inbox.ask(plural);
                }
            }
        }
        if change.what == What::Request {
            return;
        }
        let owners = change
            .owners
            .iter()
            .map(|owner| Key::new(&owner.kind, owner.name.clone()));
        let mapped = rules
            .mappers
            .iter()
            .filter(|(kind, _)| **kind == *change.key.kind)
            .flat_map(|(_, map)| map(change));
        for key in owners.chain(mapped) {
            if key != change.key && self.is_controlled(&key.kind) {
                self.wake(key);
            }
        }
    }

    pub(crate) fn wake_all(&self) {
        let Some(rules) = self.rules.get() else {
            return;
        };
        for (kind, names) in &rules.controlled {
            for name in names() {
                self.wake(Key {
                    kind: kind.clone(),
                    name,
                });
            }
        }
    }
}

/// Wakes objects and reads the loop's own numbers. Cheap to clone; works before, while and after the loop runs.
#[derive(Clone)]
pub struct Handle(pub(crate) Arc<Shared>);

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl Handle {
    /// Wakes an object: it runs as soon as it can, once more if it runs already. A name nobody knows is no error.
    pub fn wake(&self, kind: &str, name: &ObjectName) {
        self.0.wake(Key::new(kind, name.clone()));
    }

    /// Wakes an object after a burst of events about it is over, as [`crate::Settings::burst`] says.
    pub fn wake_after_burst(&self, kind: &str, name: &ObjectName) {
        self.0
            .queue()
            .debounce(Key::new(kind, name.clone()), Instant::now(), self.0.burst);
        self.0.bell.notify_one();
    }

    /// Wakes every object of every kind that has a controller.
    pub fn wake_all(&self) {
        self.0.wake_all();
    }

    /// Has all directories looked at anew.
    pub fn relist(&self) {
        self.0.inbox.ask_all();
    }

    /// The loop's numbers right now.
    pub fn metrics(&self) -> MetricsSnapshot {
        let now = Instant::now();
        let mut metrics = self.0.metrics.read();
        let queue = self.0.queue();
        metrics.queue_depth = queue.depth(now);
        metrics.oldest_age = queue.oldest_age(now);
        metrics.running = queue.running();
        metrics.longest_running = queue.longest_running(now);
        metrics
    }

    /// Deletions that are held, as they change. An entry that stays is worth an alert.
    pub fn held_deletions(&self) -> watch::Receiver<Vec<HeldDeletions>> {
        self.0.held.subscribe()
    }

    /// Whether all kinds were listed completely once, as it changes.
    pub fn listed(&self) -> watch::Receiver<bool> {
        self.0.listed.subscribe()
    }
}
