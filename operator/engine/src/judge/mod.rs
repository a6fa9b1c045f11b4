//! What has become of a deployment. Pure: no I/O, no clock.
//!
//! A deployment is judged from tasks and update status, not from what the docker CLI reports: that takes a Swarm-side
//! rollback for a success, waits for ever for an image that does not exist, and calls an update with nothing running complete.
//!
//! # Rules
//! - Only tasks of the submitted spec count. A task of another spec that still runs keeps the service converging.
//! - A task runs once it has run for [`Rules::steady`]: one that exits at once is `running` for a moment too. After a
//!   failure since the submission it has to run for [`Rules::settled`], and is then forgiven. Failures count per slot.
//! - A Swarm-side rollback is a failure of the submission, also when the service runs well afterwards.
//! - An image that is not there fails at the first rejection; other rejections and exits fail when repeated.
//!
//! # Caveats
//! - Swarm keeps five old tasks per slot unless configured otherwise (`task-history-limit`). With a limit of two or less a
//!   crash loop cannot be counted, and only the caller's deadline finds it.
//! - Where a network of the spec is named, the engine stores its ID; which network it is, is not compared.

mod same;
mod slots;
#[cfg(test)]
mod tests;

use std::fmt;
use std::num::NonZeroU32;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::service::{RawService, UpdateState, UpdateStatus};
use crate::task::Task;
use crate::view::StackView;
use slots::{Policy, Slots, Tally};

pub use same::is_same_spec;

/// What was asked of the engine for one service.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The `ServiceSpec` as it was sent, or as it was found when nothing had to be sent. Its `Name` says which service.
    pub spec: Value,
    /// When it was sent, by the engine's clock ([`crate::EngineInfo::time`]), taken before sending.
    pub since: Timestamp,
}

impl Submission {
    fn name(&self) -> &str {
        self.spec
            .get("Name")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// Where judgement has a choice.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// So many failures of one slot are a crash loop.
    pub failures: NonZeroU32,
    /// A task that has run for so long counts as running.
    pub steady: SignedDuration,
    /// The same after a failure since the submission: so long, and the slot has recovered.
    pub settled: SignedDuration,
}

impl Default for Rules {
    /// Three failures: one may be a backend that was not up yet, twice is bad luck. Five seconds steady: Swarm's own default
    /// monitor, which the docker CLI waits for as well. Ten seconds settled: twice Swarm's restart delay.
    fn default() -> Self {
        Self {
            failures: NonZeroU32::MIN.saturating_add(2),
            steady: SignedDuration::from_secs(5),
            settled: SignedDuration::from_secs(10),
        }
    }
}

/// The condition of a service, or of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Everything that should run runs, from the submitted spec; jobs are complete.
    Converged,
    /// Not there yet, and nothing says that it will not be.
    Converging {
        /// What is waited for.
        why: String,
    },
    /// No node can take a task. A fact of this moment: a node may come back, a port may become free. Whether to wait is
    /// the caller's decision.
    Unschedulable {
        /// Swarm's words.
        message: String,
    },
    /// Tasks of the submitted spec fail again and again.
    CrashLooping {
        /// How often one slot failed since the submission, as far as Swarm remembers.
        failures: u32,
        /// Why the last time.
        last_error: String,
    },
    /// It will not converge by itself.
    Failed {
        /// Why.
        why: Failure,
    },
}

/// Why a service will not converge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was submitted: an empty set is never a success.
    NothingSubmitted,
    /// The service is not there: somebody removed it.
    Missing,
    /// The service has another spec than the submitted one: somebody updated it.
    SpecReplaced {
        /// The first difference: a JSON pointer.
        at: String,
    },
    /// Swarm paused the update after failures.
    UpdatePaused {
        /// Swarm's words.
        message: String,
    },
    /// Swarm went back to the previous spec, or is on its way.
    RolledBackBySwarm {
        /// Swarm's words.
        message: String,
    },
    /// The node has no such image and could not pull it.
    ImageRejected {
        /// The engine's words.
        message: String,
    },
    /// The node refused the task again and again: a mount, a network, a port.
    Rejected {
        /// The engine's words.
        message: String,
    },
    /// A task failed and its restart policy allows no further attempt.
    GaveUp {
        /// Why the last time.
        message: String,
    },
}

/// A condition, and which service it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The condition.
    pub condition: Condition,
    /// The service that decides it; none when the stack has converged or nothing was submitted.
    pub service: Option<String>,
}

impl Condition {
    /// How bad it is: the worst service decides for its stack.
    fn rank(&self) -> u8 {
        match self {
            Self::Converged => 0,
            Self::Converging { .. } => 1,
            Self::Unschedulable { .. } => 2,
            Self::CrashLooping { .. } => 3,
            Self::Failed { .. } => 4,
        }
    }

    pub(crate) fn converging(why: impl Into<String>) -> Self {
        Self::Converging { why: why.into() }
    }

    pub(crate) fn failed(why: Failure) -> Self {
        Self::Failed { why }
    }
}

/// Judge a whole stack: the worst of its submitted services, the first by name among equals. Services of the stack that
/// were not submitted do not count.
pub fn stack(
    view: &StackView,
    submissions: &[Submission],
    now: Timestamp,
    rules: &Rules,
) -> Verdict {
    if submissions.is_empty() {
        return Verdict {
            condition: Condition::failed(Failure::NothingSubmitted),
            service: None,
        };
    }
    let mut worst = Verdict {
        condition: Condition::Converged,
        service: None,
    };
    let mut ordered: Vec<&Submission> = submissions.iter().collect();
    ordered.sort_by_key(|submission| submission.name());
    for submission in ordered {
        let condition = service(view, submission, now, rules);
        if condition.rank() > worst.condition.rank() {
            worst = Verdict {
                condition,
                service: Some(submission.name().to_owned()),
            };
        }
    }
    worst
}

/// Judge one service.
pub fn service(
    view: &StackView,
    submission: &Submission,
    now: Timestamp,
    rules: &Rules,
) -> Condition {
    let Some(service) = view
        .services
        .iter()
        .find(|service| service.name == submission.name())
    else {
        return Condition::failed(Failure::Missing);
    };
    let status = service.update_status.as_ref();
    let fresh = status.filter(|status| status.started_at.is_none_or(|at| at >= submission.since));
    if let Some(status) = fresh
        && is_rollback(status.state)
    {
        return Condition::failed(Failure::RolledBackBySwarm {
            message: status.message.clone(),
        });
    }
    if let Some(at) = same::first_difference(&submission.spec, &service.spec) {
        return Condition::failed(Failure::SpecReplaced { at });
    }
    if let Some(status) = fresh
        && status.state == UpdateState::Paused
    {
        return Condition::failed(Failure::UpdatePaused {
            message: status.message.clone(),
        });
    }
    if view.moved.contains(&service.name) {
        return Condition::converging("the service changed while it was looked at");
    }
    let tasks = judge_tasks(view, service, submission, now, rules);
    match (&tasks, status) {
        // An update that was paused before this submission was not resumed by it: what is missing will not come.
        (Condition::Converging { .. }, Some(status)) if is_stuck(status) => match status.state {
            UpdateState::Paused => Condition::failed(Failure::UpdatePaused {
                message: status.message.clone(),
            }),
            _ => Condition::failed(Failure::RolledBackBySwarm {
                message: status.message.clone(),
            }),
        },
        (Condition::Converged, Some(status)) if status.state == UpdateState::Updating => {
            Condition::converging("Swarm is still updating")
        }
        _ => tasks,
    }
}

fn is_rollback(state: UpdateState) -> bool {
    matches!(
        state,
        UpdateState::RollbackStarted | UpdateState::RollbackPaused | UpdateState::RollbackCompleted
    )
}

fn is_stuck(status: &UpdateStatus) -> bool {
    matches!(
        status.state,
        UpdateState::Paused | UpdateState::RollbackPaused
    )
}

/// How many tasks there are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Replicated(u64),
    Global,
    ReplicatedJob(u64),
    GlobalJob,
}

impl Mode {
    fn of(spec: &Value) -> Self {
        let mode = &spec["Mode"];
        let number = |pointer: &str| mode.pointer(pointer).and_then(Value::as_u64);
        if !mode["Global"].is_null() {
            Self::Global
        } else if !mode["GlobalJob"].is_null() {
            Self::GlobalJob
        } else if !mode["ReplicatedJob"].is_null() {
            let together = number("/ReplicatedJob/MaxConcurrent").unwrap_or(1);
            Self::ReplicatedJob(number("/ReplicatedJob/TotalCompletions").unwrap_or(together))
        } else {
            Self::Replicated(number("/Replicated/Replicas").unwrap_or(1))
        }
    }

    fn is_job(self) -> bool {
        matches!(self, Self::ReplicatedJob(_) | Self::GlobalJob)
    }
}

fn judge_tasks(
    view: &StackView,
    service: &RawService,
    submission: &Submission,
    now: Timestamp,
    rules: &Rules,
) -> Condition {
    let mode = Mode::of(&service.spec);
    let (current, other): (Vec<&Task>, Vec<&Task>) = view
        .tasks
        .iter()
        .filter(|task| task.service == service.id)
        .partition(|task| {
            // A job runs again without a change of its spec: only the iteration tells its tasks apart.
            if mode.is_job() {
                task.job_iteration == service.job_iteration
            } else {
                view.current.contains(&task.id)
            }
        });
    let policy = Policy::of(&service.spec, mode.is_job());
    let tally = Slots::of(&current).tally(&policy, submission.since, now, rules);
    if let Some(failed) = tally.failed {
        return failed;
    }
    let leaving = other
        .iter()
        .chain(&current)
        .find(|task| !task.state.is_over() && is_leaving(task, &other));
    if let Some(unschedulable) = tally.unschedulable {
        // A task on its way out may hold the very port or memory that the new one waits for.
        return match leaving {
            Some(task) => {
                Condition::converging(format!("{} until {} has ended", unschedulable, Named(task)))
            }
            None => Condition::Unschedulable {
                message: unschedulable,
            },
        };
    }
    if let Some(why) = missing(mode, &tally, &current) {
        return Condition::converging(
            tally
                .waiting
                .map_or(why.clone(), |waiting| format!("{why}; {waiting}")),
        );
    }
    match leaving {
        Some(task) => {
            Condition::converging(format!("{} of an earlier state has not ended", Named(task)))
        }
        None => tally
            .waiting
            .map_or(Condition::Converged, Condition::converging),
    }
}

/// A task that has not ended but has no future: of another spec, or wished away by a smaller number of replicas.
fn is_leaving(task: &Task, other: &[&Task]) -> bool {
    !task.is_wanted() || other.iter().any(|old| old.id == task.id)
}

/// What is missing to the number there is to be, in words.
fn missing(mode: Mode, tally: &Tally, current: &[&Task]) -> Option<String> {
    let running = tally.running + tally.finished;
    match mode {
        Mode::Replicated(wanted) => {
            (running != wanted).then(|| format!("{running}/{wanted} running"))
        }
        Mode::Global => {
            let wanted = slots::nodes(current);
            (running == 0 || running != wanted).then(|| format!("{running}/{wanted} nodes running"))
        }
        Mode::ReplicatedJob(wanted) => {
            let done = tally.completed;
            (done < wanted).then(|| format!("{done}/{wanted} complete"))
        }
        Mode::GlobalJob => {
            let (done, wanted) = (tally.finished, slots::nodes(current));
            (done == 0 || done < wanted).then(|| format!("{done}/{wanted} nodes complete"))
        }
    }
}

/// A task in a sentence.
struct Named<'a>(&'a Task);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = self.0;
        match (task.slot, task.node.as_deref()) {
            (Some(slot), _) => write!(f, "task {slot} ({}, {})", task.id, task.state),
            (None, Some(node)) => {
                write!(f, "the task on node {node} ({}, {})", task.id, task.state)
            }
            (None, None) => write!(f, "task {} ({})", task.id, task.state),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingSubmitted => f.write_str("nothing was submitted"),
            Self::Missing => f.write_str("the service is gone: somebody removed it"),
            Self::SpecReplaced { at } => write!(
                f,
                "the service has another spec than the submitted one, at {at}"
            ),
            Self::UpdatePaused { message } => write!(f, "Swarm paused the update: {message}"),
            Self::RolledBackBySwarm { message } => {
                write!(f, "Swarm went back to the previous spec: {message}")
            }
            Self::ImageRejected { message } => write!(f, "the image is not to be had: {message}"),
            Self::Rejected { message } => write!(f, "the node refuses the task: {message}"),
            Self::GaveUp { message } => write!(f, "no attempt is left: {message}"),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Converged => f.write_str("converged"),
            Self::Converging { why } => write!(f, "converging: {why}"),
            Self::Unschedulable { message } => write!(f, "unschedulable: {message}"),
            Self::CrashLooping {
                failures,
                last_error,
            } => write!(f, "crash loop, {failures} failures: {last_error}"),
            Self::Failed { why } => write!(f, "failed: {why}"),
        }
    }
}
