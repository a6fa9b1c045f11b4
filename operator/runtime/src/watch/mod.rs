//! The watch: from what the kernel reports to complete looks at directories.
//!
//! ```text
//!   inotify ──> Inbox: which files are finished, which are still being written ──> relist of a kind
//!   Rescan, errors, the timer ────────────────────────────────────────────────────> relist of all
//! ```
//!
//! Reports only say *where* to look. What changed is found by looking, so a lost or repeated report changes nothing but
//! the time.

mod inbox;
mod watcher;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use inbox::Inbox;
pub(crate) use watcher::Watcher;

use crate::handle::Shared;
use crate::operator::Kept;
use crate::store::{HeldDeletions, Listed};
use inbox::Work;

/// How soon a root that is not there is looked for again, at first.
const RETRY: Duration = Duration::from_secs(2);

struct Looker {
    shared: Arc<Shared>,
    stores: Vec<Arc<dyn Kept>>,
    watcher: Option<Watcher>,
    held: BTreeMap<&'static str, HeldDeletions>,
    listed: BTreeMap<&'static str, Listed>,
    /// Problems that were logged, so that each is logged once.
    told: BTreeMap<&'static str, Vec<String>>,
}

/// Looks when there is a reason to, until `drain`.
pub(crate) async fn run(
    shared: Arc<Shared>,
    stores: Vec<Arc<dyn Kept>>,
    watcher: Option<Watcher>,
    every: Duration,
    drain: CancellationToken,
) {
    let mut looker = Looker {
        shared: shared.clone(),
        stores,
        watcher,
        held: BTreeMap::new(),
        listed: BTreeMap::new(),
        told: BTreeMap::new(),
    };
    shared.inbox.ask_all();
    let mut timer = Instant::now() + every;
    while !drain.is_cancelled() {
        let now = Instant::now();
        let mut work = shared.inbox.ripe(now);
        if now >= timer {
            work.all = true;
        }
        if work.all || !work.plurals.is_empty() {
            // Blocking, and it owns the watcher meanwhile; a look once begun is finished.
            let look = tokio::task::spawn_blocking(move || {
                looker.look(&work);
                looker
            });
            looker = match look.await {
                Ok(looker) => looker,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => return,
            };
            let complete = looker.listed.values().all(|listed| *listed == Listed::Yes);
            timer = Instant::now() + if complete { every } else { every.min(RETRY) };
            if complete && !*shared.listed.borrow() {
                shared.wake_all();
                shared.listed.send_replace(true);
            }
            continue;
        }
        let due = shared.inbox.next_due().map_or(timer, |due| due.min(timer));
        tokio::select! {
            () = drain.cancelled() => return,
            () = shared.inbox.bell.notified() => {}
            () = tokio::time::sleep_until(due) => {}
        }
    }
}

impl Looker {
    fn look(&mut self, work: &Work) {
        let mut all = work.all;
        if let Some(watcher) = &mut self.watcher {
            // Watches first: what changes after the look is then reported.
            all |= watcher.ensure(work);
        }
        for store in &self.stores {
            if !all && !work.plurals.contains(store.plural()) {
                continue;
            }
            let relisted = store.relist(&self.shared.inbox.unsettled());
            self.shared.metrics.change(|metrics| metrics.relists += 1);
            let problems: Vec<String> = relisted.problems.iter().map(ToString::to_string).collect();
            if self.told.get(store.kind()) != Some(&problems) {
                for problem in &problems {
                    tracing::warn!(kind = store.kind(), problem, "left alone");
                }
                self.told.insert(store.kind(), problems);
            }
            match relisted.held {
                Some(held) => self.held.insert(store.kind(), held).map_or((), drop),
                None => self.held.remove(store.kind()).map_or((), drop),
            }
            self.listed.insert(store.kind(), relisted.listed);
            if let Some(watcher) = &mut self.watcher
                && relisted.listed == Listed::Yes
                && watcher.set_targets(store.plural(), relisted.targets)
            {
                // A target's directory is watched only from now on.
                self.shared.inbox.ask(store.plural());
            }
        }
        let held: Vec<HeldDeletions> = self.held.values().cloned().collect();
        self.shared.held.send_if_modified(|old| {
            let changed = *old != held;
            *old = held;
            changed
        });
    }
}
