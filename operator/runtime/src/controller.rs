//! One run of one object: fetch, call the reconcile, judge how it ended, say when the next run is.

use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::conditions::{self, Condition, ConditionStatus, Reason};
use crate::context::{Context, LAST_WRITE, blocking};
use crate::handle::Handle;
use crate::ids::{Generation, ObjectName, Uid};
use crate::kind::{Kind, Object, Suspension};
use crate::metrics::Ended;
use crate::operator::Settings;
use crate::shutdown::Shutdown;
use crate::store::{Store, StoreError};

/// When an object is to run again although nothing wakes it. Each run returns its own; any earlier trigger replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// At the next resync, about an hour from now as [`Settings::resync`] says.
    Resync,
    /// After that long.
    After(Duration),
    /// At that time of day; at once if it has passed.
    At(Timestamp),
}

/// Why a run did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// It may work later: tried again with growing delays.
    #[error("{0}")]
    Transient(#[source] Box<dyn Error + Send + Sync>),
    /// It cannot work as things stand: not tried again until a new generation, a request or another trigger comes.
    #[error("{0}")]
    Terminal(#[source] Box<dyn Error + Send + Sync>),
    /// It ended at a declared point, because it was told to.
    #[error("the run was told to end")]
    Interrupted,
}

impl ReconcileError {
    /// An error that may go away.
    pub fn transient(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Transient(error.into())
    }

    /// An error that stays until something changes.
    pub fn terminal(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Terminal(error.into())
    }
}

impl From<StoreError> for ReconcileError {
    fn from(error: StoreError) -> Self {
        Self::transient(error)
    }
}

/// What a kind's controller does. It never learns what woke it: it looks at the object and at the world.
pub trait Reconcile<K: Kind>: Send + Sync + 'static {
    /// Brings the world one step nearer to the object's spec. Called for one object at a time; must survive being
    /// stopped after any effect, and being called again.
    fn reconcile(
        &self,
        cx: &Context<K>,
    ) -> impl Future<Output = Result<Action, ReconcileError>> + Send;
}

/// What the runner learns of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finished {
    pub(crate) ended: Ended,
    pub(crate) again: Option<Instant>,
}

/// A controller with its kind forgotten.
pub(crate) trait Runs: Send + Sync {
    fn run(
        self: Arc<Self>,
        name: ObjectName,
        handle: Handle,
        shutdown: Shutdown,
    ) -> BoxFuture<'static, Finished>;
}

/// Failures in a row of one generation of one object.
struct Failing {
    uid: Uid,
    generation: Generation,
    failures: u32,
    until: Instant,
}

pub(crate) struct Controller<K: Kind, R> {
    store: Arc<Store<K>>,
    reconciler: R,
    settings: Settings,
    failing: Mutex<HashMap<ObjectName, Failing>>,
}

/// How the reconcile itself ended.
enum Outcome {
    Returned(Result<Action, ReconcileError>),
    Panicked(String),
    Abandoned,
    Aborted,
}

impl<K: Kind, R: Reconcile<K>> Controller<K, R> {
    pub(crate) fn new(store: Arc<Store<K>>, reconciler: R, settings: Settings) -> Self {
        Self {
            store,
            reconciler,
            settings,
            failing: Mutex::default(),
        }
    }

    async fn run_once(&self, name: ObjectName, handle: Handle, shutdown: &Shutdown) -> Finished {
        let skipped = Finished {
            ended: Ended::Skipped,
            again: None,
        };
        let Some(object) = self.store.get(&name).and_then(|record| record.object()) else {
            self.forget(&name);
            return skipped;
        };
        if !object.deleting() && K::suspension(&object) == Suspension::Suspended {
            self.forget(&name);
            return skipped;
        }
        let began = object.clone();
        let outcome = match self.prepare(object, handle, shutdown).await {
            Ok(cx) => {
                let outcome = self.call(&cx, shutdown).await;
                self.write_last_observation(&cx).await;
                outcome
            }
            Err(error) => Outcome::Returned(Err(error.into())),
        };
        self.conclude(&began, outcome, shutdown).await
    }

    async fn prepare(
        &self,
        object: Object<K>,
        handle: Handle,
        shutdown: &Shutdown,
    ) -> Result<Context<K>, StoreError> {
        let (store, name) = (self.store.clone(), object.meta.name.clone());
        let (requests, problems) = blocking(move || store.requests(&name)).await?;
        for problem in problems {
            tracing::warn!(object = %object.meta.name, %problem, "a request cannot be read");
        }
        Ok(Context {
            store: self.store.clone(),
            object,
            requests,
            handle,
            drain: shutdown.drain.clone(),
            interrupt: CancellationToken::new(),
            observed: Arc::default(),
        })
    }

    /// Calls the reconcile. At the time limit it is told to end at its next declared point; only one that does not for
    /// another `abandon_after` is dropped, which is what a crash would have done.
    async fn call(&self, cx: &Context<K>, shutdown: &Shutdown) -> Outcome {
        let limit = Instant::now() + self.settings.run_limit;
        let run = AssertUnwindSafe(self.reconciler.reconcile(cx)).catch_unwind();
        tokio::pin!(run);
        let returned = tokio::select! {
            biased;
            () = shutdown.abort.cancelled() => return Outcome::Aborted,
            returned = &mut run => Some(returned),
            () = tokio::time::sleep_until(limit) => None,
        };
        let returned = if let Some(returned) = returned {
            returned
        } else {
            cx.interrupt.cancel();
            tokio::select! {
                biased;
                () = shutdown.abort.cancelled() => return Outcome::Aborted,
                returned = &mut run => returned,
                () = tokio::time::sleep_until(limit + self.settings.abandon_after) => return Outcome::Abandoned,
            }
        };
        match returned {
            Ok(returned) => Outcome::Returned(returned),
            Err(panic) => Outcome::Panicked(panic_text(panic.as_ref())),
        }
    }

    async fn write_last_observation(&self, cx: &Context<K>) {
        let Some(own) = cx
            .observed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        else {
            return;
        };
        let written = tokio::time::timeout(LAST_WRITE, cx.set_status(&own)).await;
        if !matches!(written, Ok(Ok(()))) {
            tracing::warn!(object = %cx.name(), ?written, "the last observation of a run could not be written");
        }
    }

    async fn conclude(
        &self,
        object: &Object<K>,
        outcome: Outcome,
        shutdown: &Shutdown,
    ) -> Finished {
        let name = &object.meta.name;
        let seconds = self.settings.run_limit.as_secs();
        let (ended, reason, message) = match outcome {
            Outcome::Returned(Ok(action)) => {
                self.forget(name);
                self.record(
                    object,
                    ConditionStatus::True,
                    Reason::of("Succeeded"),
                    String::new(),
                )
                .await;
                return Finished {
                    ended: Ended::Done,
                    again: Some(self.again(action)),
                };
            }
            Outcome::Aborted => {
                return Finished {
                    ended: Ended::Stopped,
                    again: None,
                };
            }
            Outcome::Returned(Err(ReconcileError::Interrupted))
                if shutdown.drain.is_cancelled() =>
            {
                return Finished {
                    ended: Ended::Stopped,
                    again: None,
                };
            }
            Outcome::Returned(Err(ReconcileError::Terminal(error))) => {
                self.forget(name);
                tracing::warn!(kind = K::KIND, object = %name, error = chain(error.as_ref()), "cannot be reconciled");
                self.record(
                    object,
                    ConditionStatus::False,
                    Reason::of("Stalled"),
                    chain(error.as_ref()),
                )
                .await;
                return Finished {
                    ended: Ended::Terminal,
                    again: None,
                };
            }
            Outcome::Returned(Err(ReconcileError::Transient(error))) => (
                Ended::Transient,
                Reason::of("Failed"),
                chain(error.as_ref()),
            ),
            Outcome::Panicked(text) => (
                Ended::Panicked,
                Reason::of("Panicked"),
                format!("the run panicked: {text}"),
            ),
            Outcome::Returned(Err(ReconcileError::Interrupted)) | Outcome::Abandoned => (
                Ended::TimedOut,
                Reason::of("TimedOut"),
                format!("the run did not end within {seconds} s"),
            ),
        };
        let again = self.back_off(object);
        tracing::warn!(kind = K::KIND, object = %name, %message, "a run failed; it will be tried again");
        self.record(object, ConditionStatus::False, reason, message)
            .await;
        Finished {
            ended,
            again: Some(again),
        }
    }

    async fn record(
        &self,
        object: &Object<K>,
        status: ConditionStatus,
        reason: Reason,
        message: String,
    ) {
        let (store, name, uid) = (
            self.store.clone(),
            object.meta.name.clone(),
            object.meta.uid.clone(),
        );
        let generation = object.meta.generation;
        let draft = Condition::draft(conditions::RECONCILED, status, reason, message);
        let written = blocking(move || {
            store
                .update(&name, &uid, |record, now| {
                    record.status.conditions.set(draft, generation, now);
                })
                .map(drop)
        })
        .await;
        match written {
            Ok(()) | Err(StoreError::Gone(_)) => {}
            Err(error) => {
                tracing::error!(kind = K::KIND, object = %object.meta.name, %error, "status cannot be written");
            }
        }
    }

    fn forget(&self, name: &ObjectName) {
        self.failing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
    }

    /// Counts a failure and says when to try again. A run that came early, during the delay, does not count: else a
    /// chatty neighbour would drive an object's delay to its maximum.
    fn back_off(&self, object: &Object<K>) -> Instant {
        let now = Instant::now();
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = failing.remove(&object.meta.name).filter(|before| {
            before.uid == object.meta.uid && before.generation == object.meta.generation
        });
        let (failures, until) = match before {
            Some(before) if now < before.until => (before.failures, before.until),
            before => {
                let failures = before.map_or(0, |before| before.failures).saturating_add(1);
                (failures, now + self.settings.backoff.delay(failures))
            }
        };
        let (uid, generation) = (object.meta.uid.clone(), object.meta.generation);
        failing.insert(
            object.meta.name.clone(),
            Failing {
                uid,
                generation,
                failures,
                until,
            },
        );
        until
    }

    fn again(&self, action: Action) -> Instant {
        let delay = match action {
            Action::Resync => jittered(self.settings.resync, self.settings.resync_jitter_percent),
            Action::After(delay) => delay,
            Action::At(time) => {
                Duration::try_from(time.duration_since(self.store.now())).unwrap_or_default()
            }
        };
        Instant::now() + delay.min(crate::queue::LONGEST_DELAY)
    }
}

impl<K: Kind, R: Reconcile<K>> Runs for Controller<K, R> {
    fn run(
        self: Arc<Self>,
        name: ObjectName,
        handle: Handle,
        shutdown: Shutdown,
    ) -> BoxFuture<'static, Finished> {
        Box::pin(async move { self.run_once(name, handle, &shutdown).await })
    }
}

/// `base`, up to `percent` more or less, so that objects made together do not run together for ever.
fn jittered(base: Duration, percent: u32) -> Duration {
    let spread = base * percent.min(100) / 100;
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    let share = f64::from(random) / f64::from(u32::MAX);
    base.saturating_sub(spread) + (spread * 2).mul_f64(share)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}

/// An error with its sources, each said once.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_should_stay_within_its_bounds() {
        let hour = Duration::from_hours(1);
        for _ in 0..1000 {
            let delay = jittered(hour, 10);
            assert!(
                delay >= hour * 90 / 100 && delay <= hour * 110 / 100,
                "{delay:?}"
            );
        }
    }
}
