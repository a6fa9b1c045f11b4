//! Two states that differ only in names and times are one state.

use ci_warm_api_types::journal::{
    Back, BackOperation, Clock, Forward, ForwardOperation, Generation, Keep, Operation,
    OperationId, Resume, Standing,
};
use jiff::{SignedDuration, Timestamp};

use crate::scenario::{DEADLINE, INTERVAL};
use crate::search::State;
use crate::world::{NOW, Stack};

/// The id of every operation: only one is under way at a time.
fn only() -> OperationId {
    OperationId(format!("{}-0001", NOW.strftime("%Y%m%dT%H%M%SZ")))
}

/// Lets one tick pass: the present stays, the past and the deadlines move.
pub fn tick(state: &mut State) {
    let second = SignedDuration::from_secs(1);
    each_time(&mut state.standing, &mut |time| *time -= second);
}

fn each_time(standing: &mut Standing, each: &mut impl FnMut(&mut Timestamp)) {
    if let Some(checked) = &mut standing.checked {
        each(&mut checked.at);
    }
    if let Some(since) = &mut standing.unhealthy_since {
        each(since);
    }
    for entry in &mut standing.history {
        each(&mut entry.at);
    }
    if let Some(Clock::Until(until)) = clock(standing.operation.as_mut()) {
        each(until);
    }
}

fn clock(operation: Option<&mut Operation>) -> Option<&mut Clock> {
    match operation? {
        Operation::Forward(ForwardOperation {
            at: Forward::Prove { clock, .. },
            ..
        })
        | Operation::Back(BackOperation {
            at: Back::Prove(clock),
            ..
        })
        | Operation::Keep {
            at: Keep::Prove(clock),
            ..
        }
        | Operation::Stuck {
            resume:
                Resume::Back(BackOperation {
                    at: Back::Prove(clock),
                    ..
                }),
            ..
        } => Some(clock),
        _ => None,
    }
}

/// Of the history only the time of its last line matters, and only for a while.
fn keep_last_line(standing: &mut Standing) {
    let oldest = NOW - SignedDuration::from_secs(DEADLINE);
    let last = standing
        .history
        .pop()
        .filter(|entry| entry.at > oldest && standing.unhealthy_since.is_some());
    standing.history.clear();
    if let Some(mut entry) = last {
        entry.message.clear();
        standing.history.push(entry);
    }
}

pub fn canonical(state: &mut State) {
    let State { standing, world } = state;
    let current = world.generation;
    let generation = |of: &mut Generation| of.number = u64::from(of.number == current);
    if let Some(checked) = &mut standing.checked {
        generation(&mut checked.of);
    }
    match &mut standing.operation {
        Some(
            Operation::Forward(ForwardOperation { of, .. })
            | Operation::Keep { of, .. }
            | Operation::Stuck {
                resume: Resume::Forward { of, .. },
                ..
            },
        ) => generation(of),
        Some(Operation::Remove { id, .. }) => *id = only(),
        _ => {}
    }
    world.generation = 1;
    let oldest = NOW - SignedDuration::from_secs(INTERVAL);
    if let Some(checked) = &mut standing.checked {
        checked.at = checked.at.max(oldest);
    }
    if let Some(Clock::Until(until)) = clock(standing.operation.as_mut()) {
        *until = (*until).max(oldest);
    }
    if let Some(since) = &mut standing.unhealthy_since {
        *since = NOW;
    }
    keep_last_line(standing);
    standing.result = None;
    standing
        .quarantine
        .sort_by(|a, b| (&a.version, &a.digest.0).cmp(&(&b.version, &b.digest.0)));
    if let Some(operation) = &standing.operation {
        assert_eq!(*operation.id(), only(), "6: an operation was replaced");
        standing.operations = 1;
    } else {
        standing.operations = 0;
        world.before = None;
        world.restored = None;
        world.aside.clear();
        world
            .alerts
            .retain(|identity| !identity.starts_with(&only().0));
        if !world.snapshots.is_empty() {
            world.snapshots = [("old".to_owned(), None)].into();
        }
    }
    let keeps = matches!(
        &standing.operation,
        Some(Operation::Keep {
            at: Keep::Submit { .. },
            ..
        })
    );
    if let Stack::Running { nonce, .. } = &mut world.stack
        && !keeps
    {
        *nonce = None;
    }
}
