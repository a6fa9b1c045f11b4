//! What a reconcile is given: the object, its requests, and the ways to write about it.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::conditions::{self, Condition, ConditionDraft, ConditionStatus, Reason};
use crate::controller::ReconcileError;
use crate::events::EventType;
use crate::handle::Handle;
use crate::ids::{Generation, Key, ObjectName};
use crate::kind::{Kind, Object};
use crate::requests::{self, Request};
use crate::store::{Record, Store, StoreError};

/// How long the last observation may take to be written when a run ends or is aborted.
pub const LAST_WRITE: Duration = Duration::from_secs(5);

/// One run's view of its object. Every write is durable when it returns, and fails with [`StoreError::Gone`] when the
/// object is another one by now.
pub struct Context<K: Kind> {
    pub(crate) store: Arc<Store<K>>,
    pub(crate) object: Object<K>,
    pub(crate) requests: Vec<Request>,
    pub(crate) handle: Handle,
    pub(crate) drain: CancellationToken,
    pub(crate) interrupt: CancellationToken,
    pub(crate) observed: Arc<Mutex<Option<K::Status>>>,
}

/// Runs blocking work off the async threads. It goes on to its end even if the caller is aborted.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(StoreError::Stopping),
    }
}

impl<K: Kind> Context<K> {
    /// The object as it was when this run began.
    pub fn object(&self) -> &Object<K> {
        &self.object
    }

    /// The object's name.
    pub fn name(&self) -> &ObjectName {
        &self.object.meta.name
    }

    /// The object as it is now, or `None` when it is gone.
    pub fn current(&self) -> Option<Object<K>> {
        self.store
            .get(self.name())
            .filter(|record| record.meta.uid == self.object.meta.uid)?
            .object()
    }

    /// What was asked for once, oldest first, as it lay there when this run began.
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// The store of this kind.
    pub fn store(&self) -> &Arc<Store<K>> {
        &self.store
    }

    /// For waking other objects.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The time of day.
    pub fn now(&self) -> Timestamp {
        self.store.now()
    }

    /// Cancelled when the process begins to stop. A run may go on to its end.
    pub fn draining(&self) -> &CancellationToken {
        &self.drain
    }

    /// Cancelled when this run is to end at its next declared point: it took too long. Blocking work polls this.
    pub fn interrupt(&self) -> &CancellationToken {
        &self.interrupt
    }

    /// A declared point: ends the run here if it is to end.
    pub fn checkpoint(&self) -> Result<(), ReconcileError> {
        if self.interrupt.is_cancelled() {
            Err(ReconcileError::Interrupted)
        } else {
            Ok(())
        }
    }

    /// A declared stretch: `work` may be dropped at any of its awaits when the run is to end.
    pub async fn interruptible<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T, ReconcileError> {
        tokio::select! {
            biased;
            () = self.interrupt.cancelled() => Err(ReconcileError::Interrupted),
            done = work => Ok(done),
        }
    }

    async fn update(
        &self,
        change: impl FnOnce(&mut Record<K>, Timestamp) + Send + 'static,
    ) -> Result<(), StoreError> {
        let store = self.store.clone();
        let (name, uid) = (self.name().clone(), self.object.meta.uid.clone());
        blocking(move || store.update(&name, &uid, change))
            .await
            .map(drop)
    }

    /// Writes the kind's own part of status.
    pub async fn set_status(&self, status: &K::Status) -> Result<(), StoreError> {
        *self.observed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let status = status.clone();
        self.update(move |record, _| record.status.own = status)
            .await
    }

    /// Keeps the kind's own part of status in memory. It is written when the run ends, in whatever way: also when it
    /// panics or is aborted.
    pub fn observe(&self, status: K::Status) {
        *self.observed.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
    }

    /// Sets a condition. Those that the runtime derives are refused, so that one place decides each.
    pub async fn set_condition(&self, draft: ConditionDraft) -> Result<(), StoreError> {
        if conditions::RUNTIME_OWNED.contains(&draft.kind.as_ref()) {
            return Err(StoreError::RuntimeOwned(draft.kind.into_owned()));
        }
        let generation = self.object.meta.generation;
        self.update(move |record, now| record.status.conditions.set(draft, generation, now))
            .await
    }

    /// Says what is about to be done. On disk before it is done.
    pub async fn progress(
        &self,
        reason: Reason,
        message: impl Into<String>,
    ) -> Result<(), StoreError> {
        let draft = Condition::draft(
            conditions::PROGRESSING,
            ConditionStatus::True,
            reason,
            message,
        );
        self.set_condition(draft).await
    }

    /// Says that the attempt for that generation has finished, well or not.
    pub async fn finish(&self, generation: Generation) -> Result<(), StoreError> {
        self.update(move |record, now| {
            record.status.observed_generation = generation.max(record.status.observed_generation);
            if record
                .status
                .conditions
                .get(conditions::PROGRESSING)
                .is_some()
            {
                let draft = Condition::draft(
                    conditions::PROGRESSING,
                    ConditionStatus::False,
                    Reason::of("Finished"),
                    "",
                );
                record.status.conditions.set(draft, generation, now);
            }
        })
        .await
    }

    /// Makes sure that the object cannot disappear without another run. Call it before the first effect.
    pub async fn add_finalizer(&self, finalizer: &str) -> Result<(), StoreError> {
        let current = self.store.get(self.name());
        if current.is_some_and(|record| {
            record.meta.uid == self.object.meta.uid && record.meta.deletion_timestamp.is_some()
        }) {
            return Err(StoreError::Deleting(Key::new(K::KIND, self.name().clone())));
        }
        let finalizer = finalizer.to_owned();
        self.update(move |record, _| {
            if record.meta.deletion_timestamp.is_none()
                && !record.meta.finalizers.contains(&finalizer)
            {
                record.meta.finalizers.push(finalizer);
            }
        })
        .await
    }

    /// Lets go of the object. If it is being deleted and nobody else holds it, it is gone when this returns.
    pub async fn remove_finalizer(&self, finalizer: &str) -> Result<(), StoreError> {
        let finalizer = finalizer.to_owned();
        self.update(move |record, _| record.meta.finalizers.retain(|held| *held != finalizer))
            .await
    }

    /// Removes a request durably. Record what it asked for first: a crash between the two hands it out again.
    pub async fn consume(&self, request: &Request) -> Result<(), StoreError> {
        let request = request.clone();
        blocking(move || Ok(requests::consume(&request)?)).await
    }

    /// Records an event. Repeats of type and reason raise a count; leave durations out of messages.
    pub async fn event(
        &self,
        kind: EventType,
        reason: Reason,
        message: impl Into<String>,
    ) -> Result<(), StoreError> {
        let (store, name, message) = (self.store.clone(), self.name().clone(), message.into());
        blocking(move || Ok(store.event(&name, kind, reason, message)?)).await
    }
}
