//! Tasks by slot: each slot (or node, for a global service) is one thing that is to run.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::{Condition, Failure, Named, Rules};
use crate::task::{Task, TaskState};

/// When Swarm restarts a task that ended.
pub(super) struct Policy {
    restart: Restart,
    limited: Limited,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Restart {
    Any,
    OnFailure,
    Never,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Limited {
    Yes,
    No,
}

impl Policy {
    pub(super) fn of(spec: &Value, is_job: bool) -> Self {
        let policy = &spec["TaskTemplate"]["RestartPolicy"];
        let restart = match policy["Condition"].as_str() {
            Some("none") => Restart::Never,
            Some("on-failure") => Restart::OnFailure,
            // A job's task is never restarted for having succeeded.
            _ if is_job => Restart::OnFailure,
            _ => Restart::Any,
        };
        let limited = if policy["MaxAttempts"].as_u64().unwrap_or(0) > 0 {
            Limited::Yes
        } else {
            Limited::No
        };
        Self { restart, limited }
    }

    /// Whether a task ended in a way that is not what its service is for.
    fn is_failure(&self, task: &Task) -> bool {
        match task.state {
            TaskState::Failed | TaskState::Rejected => true,
            // A service that exits with 0 and is restarted for it is not running either.
            TaskState::Complete => self.restart == Restart::Any,
            _ => false,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Slot(u64),
    Node(Option<&'a str>),
}

/// Tasks of one spec, by slot, each slot's oldest first.
pub(super) struct Slots<'a>(BTreeMap<Key<'a>, Vec<&'a Task>>);

/// What the slots come to.
#[derive(Default)]
pub(super) struct Tally {
    /// Slots with a running task.
    pub(super) running: u64,
    /// Slots whose task ended well and is not to be restarted.
    pub(super) finished: u64,
    /// Tasks that ended well.
    pub(super) completed: u64,
    /// The worst that a slot says for good.
    pub(super) failed: Option<Condition>,
    /// No node takes a task.
    pub(super) unschedulable: Option<String>,
    /// What a slot is waiting for.
    pub(super) waiting: Option<String>,
}

enum Slot {
    Running,
    Finished,
    Waiting(String),
    Unschedulable(String),
    Failed(Condition),
}

/// The nodes that have, or are to have, a task.
pub(super) fn nodes(tasks: &[&Task]) -> u64 {
    let wanted = |task: &&&Task| task.is_wanted() || task.state == TaskState::Complete;
    tasks
        .iter()
        .filter(wanted)
        .filter_map(|task| task.node.as_deref())
        .collect::<BTreeSet<_>>()
        .len() as u64
}

impl<'a> Slots<'a> {
    pub(super) fn of(tasks: &[&'a Task]) -> Self {
        let mut slots: BTreeMap<Key<'a>, Vec<&'a Task>> = BTreeMap::new();
        for task in tasks {
            let key = task.slot.map_or(Key::Node(task.node.as_deref()), Key::Slot);
            slots.entry(key).or_default().push(task);
        }
        for tasks in slots.values_mut() {
            tasks.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        }
        Self(slots)
    }

    pub(super) fn tally(
        &self,
        policy: &Policy,
        since: Timestamp,
        now: Timestamp,
        rules: &Rules,
    ) -> Tally {
        let mut tally = Tally::default();
        for tasks in self.0.values() {
            tally.completed += tasks
                .iter()
                .filter(|task| task.state == TaskState::Complete)
                .count() as u64;
            match judge_slot(tasks, policy, since, now, rules) {
                None => {}
                Some(Slot::Running) => tally.running += 1,
                Some(Slot::Finished) => tally.finished += 1,
                Some(Slot::Waiting(why)) => tally.waiting = tally.waiting.or(Some(why)),
                Some(Slot::Unschedulable(message)) => {
                    tally.unschedulable = tally.unschedulable.or(Some(message));
                }
                Some(Slot::Failed(worse)) => {
                    let known = tally.failed.as_ref().map_or(0, Condition::rank);
                    if worse.rank() > known {
                        tally.failed = Some(worse);
                    }
                }
            }
        }
        tally
    }
}

/// What one slot has come to; `None` for a slot that is no longer wanted.
fn judge_slot(
    tasks: &[&Task],
    policy: &Policy,
    since: Timestamp,
    now: Timestamp,
    rules: &Rules,
) -> Option<Slot> {
    let live = tasks
        .iter()
        .rev()
        .find(|task| !task.state.is_over() && task.is_wanted());
    let failed: Vec<&&Task> = tasks
        .iter()
        .filter(|task| task.created_at >= since && policy.is_failure(task))
        .collect();
    let failures = u32::try_from(failed.len()).unwrap_or(u32::MAX);
    let looping = failures >= rules.failures.get();
    let Some(live) = live else {
        return judge_ended(tasks.last()?, policy);
    };
    if live.state == TaskState::Running {
        return Some(judge_running(live, failures, now, rules));
    }
    let Some(last) = failed.last() else {
        return Some(judge_pending(live));
    };
    let message = why(last);
    if last.state == TaskState::Rejected && is_about_image(&message) {
        return Some(Slot::Failed(Condition::failed(Failure::ImageRejected {
            message,
        })));
    }
    if looping {
        let condition = if failed.iter().all(|task| task.state == TaskState::Rejected) {
            Condition::failed(Failure::Rejected { message })
        } else {
            Condition::CrashLooping {
                failures,
                last_error: message,
            }
        };
        return Some(Slot::Failed(condition));
    }
    Some(match judge_pending(live) {
        Slot::Waiting(what) => {
            Slot::Waiting(format!("{what} after {failures} failures: {message}"))
        }
        other => other,
    })
}

/// A task that runs: since when, decides.
fn judge_running(task: &Task, failures: u32, now: Timestamp, rules: &Rules) -> Slot {
    let runs_for = now.duration_since(task.state_at);
    let wanted = if failures == 0 {
        rules.steady
    } else {
        rules.settled
    };
    if runs_for >= wanted {
        return Slot::Running;
    }
    let seconds = runs_for.as_secs().max(0);
    let named = Named(task);
    Slot::Waiting(match failures {
        0 => format!("{named} has run for {seconds} s of {} s", wanted.as_secs()),
        _ => format!(
            "{named} runs again for {seconds} s of {} s, after {failures} failures",
            wanted.as_secs()
        ),
    })
}

/// A task that is on its way.
fn judge_pending(task: &Task) -> Slot {
    match &task.error {
        Some(error) if task.state <= TaskState::Pending => Slot::Unschedulable(error.clone()),
        _ => Slot::Waiting(format!("{} is not running yet", Named(task))),
    }
}

/// A slot in which nothing is on its way.
fn judge_ended(last: &Task, policy: &Policy) -> Option<Slot> {
    if !last.state.is_over() {
        // Being stopped: no longer wanted.
        return None;
    }
    if last.state == TaskState::Complete && policy.restart != Restart::Any {
        return Some(Slot::Finished);
    }
    if !policy.is_failure(last) {
        return None;
    }
    let message = why(last);
    // A replacement is made in the same moment in which the failed task is marked for shutdown. None means: never.
    let over =
        !last.is_wanted() && (policy.restart == Restart::Never || policy.limited == Limited::Yes);
    Some(if over {
        Slot::Failed(Condition::failed(
            if last.state == TaskState::Rejected && is_about_image(&message) {
                Failure::ImageRejected { message }
            } else {
                Failure::GaveUp { message }
            },
        ))
    } else {
        Slot::Waiting(format!("{} ended: {message}", Named(last)))
    })
}

fn why(task: &Task) -> String {
    match (&task.error, task.exit_code) {
        (Some(error), _) => error.clone(),
        (None, Some(code)) => format!("exited with {code}"),
        (None, None) => task.message.clone(),
    }
}

/// Swarm pulls, ignores a failure, and then does not find the image; so the first is what is seen. The others come from
/// engines that do report the pull.
fn is_about_image(message: &str) -> bool {
    const SIGNS: [&str; 6] = [
        "no such image",
        "pull access denied",
        "manifest unknown",
        "no matching manifest",
        "repository does not exist",
        "invalid reference format",
    ];
    let message = message.to_lowercase();
    SIGNS.iter().any(|sign| message.contains(sign))
}
