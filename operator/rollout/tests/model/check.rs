//! What has to hold. The numbers are those of the design's list.

use ci_warm_api_types::journal::{
    Back, Candidate, Cause, Forward, Guard, Operation, Remove, Resume, Standing,
};
use ci_warm_api_types::outcome::Verb;
use ci_warm_api_types::warm_app::DeletionPolicy;
use ci_warm_rollout::{Decision, End, Notice, Question, Step, Want};

use crate::driver::Turn;
use crate::scenario::Scenario;
use crate::search::State;
use crate::world::{NOW, Obstacle, Rel, Stack, Tasks, VERSIONS};

pub fn ensure(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(otherwise.to_owned())
    }
}

/// What holds for every decision.
pub fn decision(scenario: &Scenario, state: &State, turn: &Turn) -> Result<(), String> {
    let wrapped = |wrong: String| format!("{wrong}\nin {}", turn.label());
    let record = match &turn.decision {
        Decision::Act { record, step } => {
            act(scenario, state, record, step).map_err(wrapped)?;
            record
        }
        Decision::Wait { record, until, .. } => {
            ensure(
                *until > NOW || *record != state.standing,
                "it waits for nothing",
            )
            .map_err(wrapped)?;
            record
        }
        Decision::Settle {
            record,
            end,
            notice,
            ..
        } => {
            settled(scenario, state, record, end, notice.as_ref()).map_err(wrapped)?;
            record
        }
    };
    standing(scenario, state, record).map_err(wrapped)
}

/// Whether what a person asked for is what holds a stuck instance.
fn is_stuck(standing: &Standing) -> bool {
    matches!(standing.operation, Some(Operation::Stuck { .. }))
}

/// What holds for every journal that is written.
fn standing(scenario: &Scenario, state: &State, record: &Standing) -> Result<(), String> {
    let world = &state.world;
    let of = |standing: &Standing| standing.last_good.as_ref().map(|good| good.of.clone());
    if of(record) != of(&state.standing) {
        match of(record) {
            None => ensure(world.is_clean(), "last good is forgotten, not purged")?,
            Some(to) => {
                ensure(
                    runs(state, &to) && world.gate.0 >= 2 && world.want == Some(Want::Run),
                    "1: last good moved without proof",
                )?;
                ensure(
                    matches!(&state.standing.operation, Some(Operation::Forward(op))
                        if op.to == to && matches!(op.at, Forward::Prove { .. })),
                    "1: last good moved from nowhere",
                )?;
            }
        }
    }
    ensure(
        record
            .quarantine
            .iter()
            .all(|failed| failed.cause != Cause::Superseded),
        "10: a superseded release is blamed",
    )?;
    if is_stuck(&state.standing) && !matches!(world.want, Some(Want::Gone(_))) {
        ensure(
            record.operation == state.standing.operation,
            "4: stuck, and yet it moves",
        )?;
    }
    if let Some(Operation::Forward(op)) = &record.operation
        && scenario.stateful()
        && let Forward::Deploy(guard) | Forward::Prove { guard, .. } = &op.at
    {
        ensure(
            *guard != Guard::NoData || record.last_good.is_none(),
            "2: data without a guard",
        )?;
    }
    Ok(())
}

/// Whether this release runs as submitted.
fn runs(state: &State, candidate: &Candidate) -> bool {
    matches!(&state.world.stack, Stack::Running { rel, tasks: Tasks::Up, drift: false, .. }
        if rel.candidate() == candidate)
}

fn act(scenario: &Scenario, state: &State, record: &Standing, step: &Step) -> Result<(), String> {
    let world = &state.world;
    let (before, after) = (&state.standing.operation, &record.operation);
    let Some(after) = after else {
        return Err("6: a step of no operation".into());
    };
    if before.is_none() {
        ensure(
            record.operations > state.standing.operations,
            "7: two operations of one number",
        )?;
        ensure(
            matches!(
                world.want,
                Some(Want::Run | Want::Gone(DeletionPolicy::Undeploy | DeletionPolicy::Purge))
            ),
            "10: begun for an object that is suspended or orphaned",
        )?;
    }
    match step {
        Step::Deploy { candidate, guard } => {
            let Operation::Forward(op) = after else {
                return Err("2: deployed by no forward operation".into());
            };
            ensure(
                op.of.number == world.generation && world.want == Some(Want::Run),
                "10: deployed for a spec that is no more",
            )?;
            ensure(
                op.to == *candidate && !is_held(scenario, state, Rel::of(candidate).version),
                "5: a held version is deployed",
            )?;
            covered(scenario, state, candidate, guard)
        }
        Step::Submit { release, .. } => ensure(
            record.last_good.as_ref() == Some(release),
            "12: submitted is not last good",
        ),
        Step::Undeploy => match after {
            Operation::Forward(op) if op.at == Forward::Undeploy => ensure(
                before
                    .as_ref()
                    .is_some_and(|op| op.phase() != "Forward/Freeze")
                    || world.obstacle != Obstacle::Preflight,
                "14: undeployed although the way back is not proven",
            ),
            Operation::Remove { .. } | Operation::Stuck { .. } => ensure(
                !matches!(
                    world.want,
                    Some(Want::Gone(DeletionPolicy::Orphan) | Want::Run | Want::Suspended)
                ),
                "8: undeployed although nobody asked",
            ),
            Operation::Back(_) | Operation::Abandon { .. } | Operation::Forward(_) => Ok(()),
            Operation::Keep { .. } => Err("undeployed to keep it alive".into()),
        },
        Step::Restore { sealed, operation } => ensure(
            matches!(after, Operation::Back(op) if op.id == *operation
                && sealed.name.0.ends_with(&op.id.0.to_lowercase())
                && matches!(op.at, Back::Restore(_))),
            "11: restored from another operation's snapshot",
        ),
        Step::Purge => ensure(
            world.want == Some(Want::Gone(DeletionPolicy::Purge))
                || matches!(
                    before,
                    Some(Operation::Remove {
                        at: Remove::Purge,
                        ..
                    })
                ),
            "8: purged although nobody asked",
        ),
        Step::Pull(_) | Step::Freeze(_) | Step::Seal { .. } => ensure(
            world.want == Some(Want::Run),
            "10: prepared for an object that does not want it",
        ),
    }
}

/// The data under a changed release lies safe.
fn covered(
    scenario: &Scenario,
    state: &State,
    candidate: &Candidate,
    guard: &Guard,
) -> Result<(), String> {
    let world = &state.world;
    if !scenario.stateful() {
        return Ok(());
    }
    let bit = Rel::of(candidate).bit();
    let writers = |bytes: Option<crate::world::Bytes>| bytes.map_or(0, |bytes| bytes.writers) | bit;
    match guard {
        Guard::NoData => ensure(
            writers(world.data) == bit,
            "2: deployed on data that is not sealed",
        ),
        Guard::Sealed(sealed) => match world.snapshots.get(&sealed.name.0) {
            None => Err("2: deployed on the word of a snapshot that is not there".into()),
            Some(bytes) => ensure(
                writers(*bytes) == writers(world.data),
                "2: deployed on other data than what is sealed",
            ),
        },
    }
}

/// Whether this version waits for a person.
fn is_held(scenario: &Scenario, state: &State, version: usize) -> bool {
    let Some(good) = &state.standing.last_good else {
        return false;
    };
    let from = Rel::of(&good.of).version;
    let approved = state
        .standing
        .approved
        .contains(&VERSIONS[version].parse().unwrap());
    let major = version == 3 && from < 3;
    let flagged = scenario.flagged.is_some_and(|flagged| {
        from < flagged && flagged <= version && state.world.offers & (1 << flagged) != 0
    });
    !approved && (major || flagged)
}

fn settled(
    scenario: &Scenario,
    state: &State,
    record: &Standing,
    end: &End,
    notice: Option<&Notice>,
) -> Result<(), String> {
    let world = &state.world;
    let verb = match end {
        End::Removed => return removed(state),
        End::Result(result) => result.verb,
    };
    let fresh = record.alerted != state.standing.alerted;
    match verb {
        Verb::RolledBack | Verb::RollbackFailed | Verb::DeployFailed => {
            ensure(notice.is_some(), "7: it failed, and nobody is told")?;
        }
        Verb::UnhealthyOnLatest => ensure(
            notice.is_some() == state.standing.unhealthy_since.is_none(),
            "7: unhealthy is to be told once",
        )?,
        Verb::HeldMajor | Verb::HeldManualMigration | Verb::Refused => ensure(
            notice.is_some() == fresh && !record.alerted.is_empty(),
            "7: what lasts is to be told once",
        )?,
        // A version may be held beside the one that was taken.
        Verb::Upgraded => ensure(
            notice.is_some() != record.alerted.is_subset(&state.standing.alerted),
            "7: a hold beside an upgrade is to be told once",
        )?,
        _ => ensure(notice.is_none(), "7: told without need")?,
    }
    if let Some(Operation::Back(_)) = &state.standing.operation
        && record.operation.is_none()
    {
        let Some(good) = &record.last_good else {
            return Err("4: went back to nothing".into());
        };
        ensure(runs(state, &good.of), "4: back, but last good does not run")?;
        if scenario.stateful() {
            let before = world.before.map(|bytes| bytes.writers);
            let bit = Rel::of(&good.of).bit();
            ensure(
                world.data.map(|bytes| bytes.writers) == Some(before.unwrap_or(0) | bit),
                "4: back, but the data is not what it was",
            )?;
        }
    }
    Ok(())
}

fn removed(state: &State) -> Result<(), String> {
    let world = &state.world;
    match world.want {
        Some(Want::Gone(DeletionPolicy::Orphan)) => Ok(()),
        Some(Want::Gone(DeletionPolicy::Undeploy)) => {
            ensure(world.stack == Stack::Absent, "removed, and it runs")
        }
        Some(Want::Gone(DeletionPolicy::Purge)) => {
            ensure(world.stack == Stack::Absent, "purged, and it runs")?;
            ensure(world.is_clean(), "purged, and something is left")
        }
        Some(Want::Run | Want::Suspended) | None => {
            Err("10: let go of an object that is not deleted".into())
        }
    }
}

/// 15: what cannot be told is not acted upon.
pub fn unknown(state: &State, turn: &Turn) -> Result<(), String> {
    let acts = match &turn.decision {
        Decision::Act { step, .. } => Some(step),
        Decision::Wait { .. } => None,
        Decision::Settle { end, .. } => {
            return ensure(
                matches!(
                    turn.unknown,
                    Some(Question::Catalog(_) | Question::Render(_) | Question::Preflight(_))
                ) || *end == End::Removed,
                "15: an end that rests on what is not known",
            );
        }
    };
    let holds = match &turn.unknown {
        // The app is kept alive all the same; nothing new is begun.
        Some(
            Question::Catalog(_)
            | Question::Render(_)
            | Question::Dependencies
            | Question::Preflight(_),
        ) => matches!(acts, None | Some(Step::Submit { .. })),
        _ => acts.is_none(),
    };
    ensure(
        holds,
        &format!(
            "15: unknown is read as an answer: {:?} in {:?}",
            turn.unknown, state.standing.operation
        ),
    )
}

/// How it may come to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing is done any more.
    Quiet,
    /// Last good is not there and cannot be submitted; that is tried for ever, and a person was told.
    Trying,
}

/// Where it may come to rest.
pub fn goal(scenario: &Scenario, state: &State) -> Result<Rest, String> {
    let State { standing, world } = state;
    let stuck = match &standing.operation {
        Some(Operation::Keep { .. }) if standing.unhealthy_since.is_some() => {
            return Ok(Rest::Trying);
        }
        None => false,
        Some(Operation::Stuck { resume, .. }) => {
            let verb = match resume {
                Resume::Forward { .. } => Verb::DeployFailed,
                Resume::Back(_) => Verb::RollbackFailed,
            };
            let id = standing.operation.as_ref().map(|op| op.id().0.clone());
            let identity = format!("{}-{}", id.unwrap_or_default(), verb.as_str());
            ensure(
                world.alerts.contains(&identity),
                "7: stuck, and nobody is told",
            )?;
            true
        }
        Some(other) => return Err(format!("it rests in {}", other.phase())),
    };
    match world.want {
        None | Some(Want::Suspended) => Ok(Rest::Quiet),
        Some(Want::Gone(_)) => Err("it is never let go".into()),
        Some(Want::Run) if stuck => Ok(Rest::Quiet),
        Some(Want::Run) => {
            running(scenario, state)?;
            let trying = standing.unhealthy_since.is_some()
                && !matches!(world.stack, Stack::Running { drift: false, .. });
            Ok(if trying { Rest::Trying } else { Rest::Quiet })
        }
    }
}

fn running(scenario: &Scenario, state: &State) -> Result<(), String> {
    let State { standing, world } = state;
    let oldest = match &standing.last_good {
        Some(good) => {
            let lasting = format!("unhealthy: {:?}", world.stack);
            ensure(
                runs(state, &good.of) && world.gate.0 > 0 || standing.unhealthy_since.is_some(),
                &lasting,
            )?;
            Rel::of(&good.of).version
        }
        None => standing
            .data_of
            .as_ref()
            .filter(|_| scenario.stateful())
            .map_or(0, crate::world::index),
    };
    let offered = (oldest..VERSIONS.len())
        .rev()
        .filter(|version| world.offers & (1 << version) != 0);
    for version in offered {
        let rel = Rel {
            version,
            env: world.env,
        };
        let unhealthy = standing.unhealthy_since.is_some();
        if is_held(scenario, state, version) {
            let told = |identity: &String| identity.ends_with(VERSIONS[version]);
            let checked = standing.checked.as_ref();
            ensure(
                unhealthy
                    || checked.is_some_and(|checked| checked.held.is_some())
                        && (world.alerts.iter().any(told)
                            || checked
                                .and_then(|c| c.held.as_ref())
                                .is_some_and(|held| held.version.to_string() != VERSIONS[version])),
                "7: held, and nobody is told",
            )?;
            continue;
        }
        let good = standing.last_good.as_ref().map(|good| &good.of);
        if good == Some(rel.candidate()) {
            return Ok(());
        }
        if world.obstacle != Obstacle::None {
            let said = standing
                .checked
                .as_ref()
                .is_some_and(|checked| checked.refused.is_some());
            return ensure(unhealthy || said, "refused, and it does not say so");
        }
        ensure(
            standing.is_quarantined(rel.candidate()),
            &format!("{} could be taken and is not", VERSIONS[version]),
        )?;
    }
    Ok(())
}
