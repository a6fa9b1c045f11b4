//! The turn: ask, observe, plan, record, act, tell.

use std::path::PathBuf;
use std::sync::Arc;

use ci_warm_api_types::alert::{Alert, AlertId, AlertReason, AlertTime};
use ci_warm_api_types::journal::{Operation, Standing};
use ci_warm_api_types::version::Version;
use ci_warm_api_types::warm_app::WarmAppSpec;
use ci_warm_api_types::yaml;
use ci_warm_data::Cancel;
use ci_warm_engine::Engine;
use ci_warm_rollout::{Decision, End, Next, Notice, Observed, Step, apply, next};
use ci_warm_runtime::{
    Action, Context, EventType, Reason, Reconcile, ReconcileError, Store, requests,
};
use jiff::Timestamp;

use super::WarmApp;
use super::act::Failed;
use super::intent::intent;
use super::observe::{Desk, Found};
use super::patience::{Patience, Verdict};
use super::probing::Probing;
use super::relations;
use super::status::{Came, Telling};
use super::stops::Stops;
use crate::alert::{self, Redactor};
use crate::instance::Instance;
use crate::snapshot::{self, Snapshot};

/// Keeps an object's file until the instance is gone as far as its deletion policy says.
const FINALIZER: &str = "ci-warm/instance";
/// One run does at most so many steps before it lets others run; an operation has fewer.
const STEPS: usize = 64;

/// The controller of `WarmApp`.
#[allow(missing_debug_implementations)] // a store is not shown
pub struct WarmApps {
    root: PathBuf,
    engine: Engine,
    snapshots: Arc<Store<Snapshot>>,
    probing: Probing,
    patience: Patience,
    stops: Stops,
}

/// How one run goes on after a decision.
enum Turned {
    Again,
    Done(Action),
}

impl WarmApps {
    /// A controller over a root and an engine.
    pub fn new(root: PathBuf, engine: Engine, snapshots: Arc<Store<Snapshot>>) -> Self {
        Self {
            root,
            engine,
            snapshots,
            probing: Probing::default(),
            patience: Patience::default(),
            stops: Stops::default(),
        }
    }
}

impl Reconcile<WarmApp> for WarmApps {
    async fn reconcile(&self, cx: &Context<WarmApp>) -> Result<Action, ReconcileError> {
        let app = cx.object();
        if let Some(problem) = relations::refusal(cx.store(), app) {
            return self.refuse(cx, problem).await;
        }
        if !app.deleting() {
            cx.add_finalizer(FINALIZER).await?;
        }
        let stack = app
            .status
            .own
            .stack
            .clone()
            .unwrap_or_else(|| app.spec.stack_name());
        let instance = Instance::new(&self.root, &stack);
        self.take_requests(cx, &instance).await?;
        let mut failed = None;
        for _ in 0..STEPS {
            match self.turn(cx, &instance, failed.take()).await? {
                (Turned::Done(action), _) => return Ok(action),
                (Turned::Again, failure) => failed = failure,
            }
            // A step is whole; a process that is to end ends here and goes on from the journal.
            if cx.draining().is_cancelled() {
                return Ok(Action::After(std::time::Duration::ZERO));
            }
            cx.checkpoint()?;
        }
        Ok(Action::After(std::time::Duration::ZERO))
    }
}

impl WarmApps {
    /// One decision and what follows from it. `failed` is why the step that the journal records will not work.
    async fn turn(
        &self,
        cx: &Context<WarmApp>,
        instance: &Instance,
        failed: Option<String>,
    ) -> Result<(Turned, Option<String>), ReconcileError> {
        let app = cx.object();
        let intent = intent(app);
        let standing = instance.standing().map_err(ReconcileError::terminal)?;
        let mut desk = Desk {
            spec: &app.spec,
            intent: &intent,
            instance,
            engine: &self.engine,
            root: &self.root,
            store: cx.store(),
            probing: &self.probing,
            stops: &self.stops,
            now: Timestamp::now(),
            found: Found::default(),
        };
        let mut observed = Observed {
            failed,
            ..Observed::default()
        };
        let decision = loop {
            match next(&intent, &standing, &observed, desk.now) {
                Next::Ask(question) => desk.answer(question, &standing, &mut observed).await,
                Next::Decide(decision) => break *decision,
            }
        };
        match decision {
            Decision::Act { record, step } => {
                self.tell(cx, &desk, &record, Came::Ended).await?;
                let failure = self.act(cx, &mut desk, &record, step).await?;
                Ok((Turned::Again, failure))
            }
            Decision::Wait { record, until, why } => {
                instance
                    .record(&record)
                    .map_err(ReconcileError::transient)?;
                self.tell(cx, &desk, &record, Came::Waits(&why)).await?;
                Ok((until_turned(until, desk.now), None))
            }
            Decision::Settle {
                record,
                end,
                notice,
                until,
            } => {
                self.raise(cx, &desk, &standing, notice.as_ref()).await?;
                instance
                    .record(&record)
                    .map_err(ReconcileError::transient)?;
                if let End::Result(result) = &end {
                    let kind = if notice.is_some() {
                        EventType::Warning
                    } else {
                        EventType::Normal
                    };
                    let reason = Reason::of("Settled");
                    cx.event(kind, reason, result.to_string()).await?;
                }
                if end == End::Removed {
                    self.probing.reset(instance.stack());
                    snapshot::forget_lost(&self.snapshots, instance)
                        .map_err(ReconcileError::transient)?;
                    cx.remove_finalizer(FINALIZER).await?;
                    return Ok((Turned::Done(Action::Resync), None));
                }
                self.tell(cx, &desk, &record, Came::Ended).await?;
                snapshot::keep_house(&self.snapshots, instance, &record, app.spec.data.retain)
                    .map_err(ReconcileError::transient)?;
                Ok((until_turned(until, desk.now), None))
            }
        }
    }

    /// Records, then acts. A failure that may pass is the run's error, tried again with growing delays; one that will not is the
    /// planner's to deal with.
    async fn act(
        &self,
        cx: &Context<WarmApp>,
        desk: &mut Desk<'_>,
        record: &Standing,
        step: Step,
    ) -> Result<Option<String>, ReconcileError> {
        let name = step.name();
        // Nothing serves between these, or may serve as it should.
        let urgent = matches!(
            step,
            Step::Seal { .. } | Step::Deploy { .. } | Step::Submit { .. } | Step::Restore { .. }
        );
        let recorded = desk
            .instance
            .record_step(record, step)
            .map_err(ReconcileError::transient)?;
        tracing::info!(kind = "WarmApp", name = %cx.name(), instance = desk.instance.stack(), step = name, "acting");
        let cancel = Cancel::default();
        let switch = cancel.clone();
        let interrupt = cx.interrupt().clone();
        let draining = cx.draining().clone();
        let watcher = tokio::spawn(async move {
            tokio::select! { () = interrupt.cancelled() => {}, () = draining.cancelled() => {} }
            switch.cancel();
        });
        let done = desk.act(&recorded, &cancel).await;
        watcher.abort();
        match done {
            Ok(()) => {
                tracing::info!(kind = "WarmApp", name = %cx.name(), step = name, "done");
                self.patience.forget(desk.instance.stack());
                Ok(None)
            }
            Err(Failed::Final(error)) => {
                tracing::warn!(kind = "WarmApp", name = %cx.name(), step = name, %error, "failed");
                Ok(Some(error.to_string()))
            }
            Err(Failed::Passing(error)) => {
                tracing::warn!(kind = "WarmApp", name = %cx.name(), step = name, %error, "not done yet");
                if error.says_nothing() {
                    self.patience.forget(desk.instance.stack());
                } else if urgent && self.out_of_patience(desk, record, name) {
                    return Ok(Some(error.to_string()));
                }
                Err(ReconcileError::transient(format!("{name}: {error}")))
            }
        }
    }

    fn out_of_patience(&self, desk: &Desk<'_>, record: &Standing, step: &str) -> bool {
        let operation = record.operation.as_ref().map(Operation::id);
        let step = format!("{} {step}", operation.map_or("", |id| id.0.as_str()));
        let limit = desk.intent.gate.deadline;
        let stack = desk.instance.stack();
        self.patience.failed(stack, &step, Timestamp::now(), limit) == Verdict::Ended
    }

    // ---- telling ----

    async fn tell(
        &self,
        cx: &Context<WarmApp>,
        desk: &Desk<'_>,
        standing: &Standing,
        came: Came<'_>,
    ) -> Result<(), ReconcileError> {
        let app = cx.current().unwrap_or_else(|| cx.object().clone());
        let telling = Telling {
            intent: desk.intent,
            standing,
            came,
            found: &desk.found,
            health: self.probing.health(desk.instance.stack()),
            before: &app.status.own,
        };
        let (own, conditions, finished) = (telling.own(), telling.conditions(), telling.finished());
        let generation = cx.object().meta.generation;
        let (store, name, uid) = (cx.store().clone(), cx.name().clone(), app.meta.uid.clone());
        let written = tokio::task::spawn_blocking(move || {
            store.update(&name, &uid, |record, now| {
                record.status.own = own;
                for draft in conditions {
                    record.status.conditions.set(draft, generation, now);
                }
                if finished {
                    record.status.observed_generation =
                        generation.max(record.status.observed_generation);
                }
            })
        });
        written.await.map_err(ReconcileError::transient)??;
        Ok(())
    }

    /// The object stands in another's way, or in its own.
    async fn refuse(
        &self,
        cx: &Context<WarmApp>,
        problem: relations::Refusal,
    ) -> Result<Action, ReconcileError> {
        let mut own = cx.object().status.own.clone();
        own.readiness = Some(ci_warm_api_types::warm_app::Readiness {
            ready: Some(false),
            reason: problem.reason.to_owned(),
            message: problem.message,
        });
        cx.set_status(&own).await?;
        cx.finish(cx.object().meta.generation).await?;
        if cx.object().deleting() {
            cx.remove_finalizer(FINALIZER).await?;
        }
        Ok(Action::Resync)
    }

    /// On disk before what caused it counts as finished.
    async fn raise(
        &self,
        cx: &Context<WarmApp>,
        desk: &Desk<'_>,
        standing: &Standing,
        notice: Option<&Notice>,
    ) -> Result<(), ReconcileError> {
        let Some(notice) = notice else { return Ok(()) };
        let reason: AlertReason = notice.reason.parse().map_err(ReconcileError::terminal)?;
        let id = match &notice.operation {
            Some(operation) => {
                // Taken up again by a person, it may end another time, which is another occasion.
                let ended = standing
                    .history
                    .iter()
                    .filter(|entry| entry.operation == *operation);
                let name = format!("{}/{operation}/{}", desk.instance.stack(), ended.count());
                AlertId::of_operation(&name, &reason)
            }
            None => AlertId::of_episode(cx.object().meta.uid.as_str(), &notice.identity, &reason),
        };
        let text = |version: &Option<Version>| version.as_ref().map(ToString::to_string);
        // A hold is for a person to decide, who then wants to read what the versions in question say.
        let release_notes = match (&notice.operation, &notice.attempted) {
            (None, Some(to)) => desk.notes_between(notice.last_good.as_ref(), to).await,
            _ => None,
        };
        let alert = Alert {
            version: text(&notice.version),
            attempted: text(&notice.attempted),
            last_good: text(&notice.last_good),
            latest: text(&notice.latest),
            recovered: notice.recovered,
            operation: notice.operation.as_ref().map(ToString::to_string),
            message: Some(notice.message.clone()),
            release_notes,
            ..Alert::new(cx.name().as_str(), reason, AlertTime::from(desk.now))
        };
        let alert = redactor(&cx.object().spec).alert(&alert);
        alert::raise(&self.root, &alert, &id).map_err(ReconcileError::transient)?;
        Ok(())
    }

    // ---- requests ----

    /// Takes what a person asked for into the journal, once, then removes the files.
    async fn take_requests(
        &self,
        cx: &Context<WarmApp>,
        instance: &Instance,
    ) -> Result<(), ReconcileError> {
        for request in cx.requests() {
            let mut standing = instance.standing().map_err(ReconcileError::terminal)?;
            let id = identity(request);
            if !standing.consumed.contains(&id) {
                match understood(request) {
                    Ok(asked) => standing = apply(&standing, &asked),
                    Err(why) => {
                        let reason = Reason::of("RequestRefused");
                        let message = format!("{}: {why}", request.path.display());
                        cx.event(EventType::Warning, reason, message).await?;
                    }
                }
                standing.consumed.push(id);
                let excess = standing.consumed.len().saturating_sub(Standing::CONSUMED);
                standing.consumed.drain(..excess);
                instance
                    .record(&standing)
                    .map_err(ReconcileError::transient)?;
            }
            cx.consume(request).await?;
        }
        Ok(())
    }
}

/// Takes the values that a person gave out of what is told: a probe may quote what an app wrote. Those that were generated are
/// known to the Swarm alone.
fn redactor(spec: &WarmAppSpec) -> Redactor {
    let files = spec
        .secrets
        .values()
        .filter_map(|source| source.from_file.as_ref());
    Redactor::new(
        files
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .map(|value| value.trim_end().to_owned()),
    )
}

/// A file without an id of its own, as `touch` makes it, is another request each time it is made.
fn identity(request: &requests::Request) -> String {
    let by_hand = request
        .path
        .file_stem()
        .is_some_and(|stem| stem.to_string_lossy() == request.id);
    let changed = std::fs::metadata(&request.path)
        .and_then(|metadata| metadata.modified())
        .ok();
    let since = changed.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    match since.filter(|_| by_hand) {
        Some(since) => format!("{}@{}", request.id, since.as_nanos()),
        None => request.id.clone(),
    }
}

fn understood(request: &requests::Request) -> Result<ci_warm_rollout::Request, String> {
    #[derive(serde::Deserialize)]
    struct Approval {
        version: Option<Version>,
    }
    match request.verb.as_str() {
        "approve" => {
            let body: Approval = yaml::read(&request.path.display().to_string(), &request.body)
                .map_err(|problem| problem.to_string())?;
            let version = body.version.ok_or("approve needs a `version`")?;
            Ok(ci_warm_rollout::Request::Approve(version))
        }
        "retry" => Ok(ci_warm_rollout::Request::Retry),
        "reconcile" => Ok(ci_warm_rollout::Request::Reconcile),
        verb => Err(format!(
            "`{verb}` is not something that can be asked of a WarmApp"
        )),
    }
}

fn until_turned(until: Timestamp, now: Timestamp) -> Turned {
    if until <= now {
        Turned::Again
    } else {
        Turned::Done(Action::At(until))
    }
}
