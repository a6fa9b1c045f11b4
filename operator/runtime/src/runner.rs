//! The runner: starts what is due, ends what is done. It owns all runs and sends to nobody, so it cannot deadlock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use crate::controller::{Finished, Runs};
use crate::handle::{Handle, Shared};
use crate::ids::Key;
use crate::metrics::Ended;
use crate::shutdown::Shutdown;

pub(crate) async fn run(
    shared: Arc<Shared>,
    controllers: BTreeMap<Arc<str>, Arc<dyn Runs>>,
    shutdown: Shutdown,
) {
    let mut runs: JoinSet<Finished> = JoinSet::new();
    let mut keys: HashMap<Id, (Key, Instant)> = HashMap::new();
    let mut listed = shared.listed.subscribe();
    loop {
        let draining = shutdown.drain.is_cancelled();
        if draining {
            shared.queue().close();
            if runs.is_empty() {
                return;
            }
        }
        let open = *listed.borrow_and_update();
        if open {
            while let Some(key) = { shared.queue().pop(Instant::now()) } {
                start(&shared, &controllers, &shutdown, key, &mut runs, &mut keys);
            }
        }
        let next = if open {
            shared.queue().next_due()
        } else {
            None
        };
        tokio::select! {
            Some(done) = runs.join_next_with_id(), if !runs.is_empty() => {
                let (id, finished) = match done {
                    Ok((id, finished)) => (id, finished),
                    // The reconcile's own panics are caught; this is one of ours. The key must not stay busy for ever.
                    Err(error) => (error.id(), Finished { ended: Ended::Panicked, again: None }),
                };
                if let Some((key, since)) = keys.remove(&id) {
                    let now = Instant::now();
                    shared.metrics.ended(finished.ended, now - since);
                    shared.queue().finish(key, finished.again, now);
                }
            }
            () = shared.bell.notified() => {}
            Ok(()) = listed.changed(), if !open => {}
            () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            () = shutdown.drain.cancelled(), if !draining => {}
        }
    }
}

fn start(
    shared: &Arc<Shared>,
    controllers: &BTreeMap<Arc<str>, Arc<dyn Runs>>,
    shutdown: &Shutdown,
    key: Key,
    runs: &mut JoinSet<Finished>,
    keys: &mut HashMap<Id, (Key, Instant)>,
) {
    let now = Instant::now();
    let Some(controller) = controllers.get(&key.kind) else {
        shared.queue().finish(key, None, now);
        return;
    };
    let run = controller
        .clone()
        .run(key.name.clone(), Handle(shared.clone()), shutdown.clone());
    let id = runs.spawn(run).id();
    keys.insert(id, (key, now));
}
