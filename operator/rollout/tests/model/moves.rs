//! What happens to the world: effects of steps, and moves of the environment.

use ci_warm_api_types::journal::Standing;
use ci_warm_api_types::warm_app::DeletionPolicy;
use ci_warm_rollout::{Request, Step, Want, apply};

use crate::check::ensure;
use crate::scenario::{Behaviour, Scenario};
use crate::search::State;
use crate::world::{Bytes, Obstacle, Rel, Stack, Tasks, VERSIONS, World};

/// A move of the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// The recipe offers this version.
    Publish(usize),
    /// The tag of the oldest version vanishes, or comes back.
    Tag,
    /// The env changes, and back.
    Env,
    Suspend,
    Resume,
    Delete(DeletionPolicy),
    /// The object is declared (again).
    Create,
    Dependency,
    /// An administrator removes the stack.
    StackRm,
    /// An administrator starts last good again, at the wrong moment.
    StackUp,
    /// An administrator changes a service.
    Drift,
    /// Tasks fail until they are made anew.
    Crash,
    /// The app stops answering until its tasks are made anew.
    Ail,
    /// What runs turns bad for good.
    Curse,
    Obstruct(Obstacle),
    Approve(usize),
    Retry,
    Reconcile,
}

/// The state after the move; nothing when it cannot happen now.
pub fn moved(state: &State, what: Move) -> Option<State> {
    let mut next = state.clone();
    let world = &mut next.world;
    world.moves -= 1;
    let respec = |world: &mut World, want: Want| {
        world.generation += 1;
        world.want = Some(want);
    };
    match (what, world.want) {
        (Move::Publish(version), _) => world.offers |= 1 << version,
        (Move::Tag, _) => world.offers ^= 1,
        (Move::Env, Some(want @ (Want::Run | Want::Suspended))) => {
            world.env = 1 - world.env;
            respec(world, want);
        }
        (Move::Suspend, Some(Want::Run)) => respec(world, Want::Suspended),
        // Deleting an object does not change its generation.
        (Move::Delete(policy), Some(Want::Run | Want::Suspended)) => {
            world.want = Some(Want::Gone(policy));
        }
        (Move::Resume, Some(Want::Suspended)) | (Move::Create, None | Some(Want::Gone(_))) => {
            respec(world, Want::Run);
        }
        (Move::Dependency, Some(_)) => world.dependency_ready = !world.dependency_ready,
        (Move::StackUp, want) if want != Some(Want::Gone(DeletionPolicy::Purge)) => {
            by_hand(&next.standing, world)?;
        }
        (Move::Obstruct(obstacle), Some(_)) => world.obstacle = obstacle,
        (Move::Approve(version), Some(_)) => {
            let version = VERSIONS[version].parse().unwrap();
            next.standing = apply(&next.standing, &Request::Approve(version));
        }
        (Move::Retry, Some(_)) => next.standing = apply(&next.standing, &Request::Retry),
        (Move::Reconcile, Some(_)) => next.standing = apply(&next.standing, &Request::Reconcile),
        (Move::StackRm | Move::Drift | Move::Crash | Move::Ail | Move::Curse, _) => {
            hurt(world, what)?;
        }
        _ => return None,
    }
    (next != with_moves(state, next.world.moves)).then_some(next)
}

fn with_moves(state: &State, moves: u8) -> State {
    let mut same = state.clone();
    same.world.moves = moves;
    same
}

fn by_hand(standing: &Standing, world: &mut World) -> Option<()> {
    let rel = Rel::of(&standing.last_good.as_ref()?.of);
    let bytes = world.data.filter(|bytes| !bytes.half_restored)?;
    if world.stack != Stack::Absent {
        return None;
    }
    world.data = Some(Bytes {
        writers: bytes.writers | rel.bit(),
        half_restored: false,
    });
    world.gate = (0, 0);
    world.stack = Stack::Running {
        rel,
        nonce: None,
        tasks: Tasks::Converging(0),
        drift: false,
        ails: false,
    };
    Some(())
}

fn hurt(world: &mut World, what: Move) -> Option<()> {
    let Stack::Running {
        rel,
        tasks,
        drift,
        ails,
        ..
    } = &mut world.stack
    else {
        return None;
    };
    match what {
        Move::StackRm => world.stack = Stack::Draining,
        Move::Drift => *drift = true,
        Move::Crash => *tasks = Tasks::Failing,
        Move::Ail => *ails = true,
        Move::Curse => {
            world.cursed |= rel.bit();
            // As when its tasks were killed: what it does from here on is what it does when it starts.
            *tasks = Tasks::Converging(0);
        }
        _ => return None,
    }
    Some(())
}

/// How a step can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Done,
    /// Nothing happened, and it may work next time.
    Passing,
    /// Nothing happened, and nothing will.
    Final,
    /// The process died before the effect.
    DiedBefore,
    /// The process died in the middle of the effect.
    DiedWithin,
    /// The process died after the effect.
    DiedAfter,
}

/// The world after a recorded step.
pub fn take(scenario: &Scenario, state: &mut State, step: &Step, how: How) -> Result<(), String> {
    let rejected = match step {
        Step::Deploy { candidate, .. } => is_rejected(scenario, state, Rel::of(candidate)),
        Step::Submit { release, .. } => is_rejected(scenario, state, Rel::of(&release.of)),
        _ => false,
    };
    match how {
        How::Passing | How::DiedBefore => {}
        How::Final => state.world.failed = true,
        How::Done | How::DiedAfter if rejected => state.world.failed = true,
        How::Done | How::DiedAfter => effect(scenario, state, step, Part::Whole)?,
        How::DiedWithin => effect(scenario, state, step, Part::Half)?,
    }
    if matches!(how, How::DiedBefore | How::DiedWithin | How::DiedAfter) {
        died(&mut state.world);
    }
    Ok(())
}

fn is_rejected(scenario: &Scenario, state: &State, rel: Rel) -> bool {
    state.world.behaviour(scenario, rel) == Behaviour::Rejected
}

/// What a process takes with it.
pub fn died(world: &mut World) {
    world.gate = (0, 0);
    world.failed = false;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    Half,
}

fn effect(scenario: &Scenario, state: &mut State, step: &Step, part: Part) -> Result<(), String> {
    let world = &mut state.world;
    match step {
        Step::Pull(candidate) if part == Part::Whole => world.images |= Rel::of(candidate).bit(),
        Step::Freeze(candidate) if part == Part::Whole => world.stored |= Rel::of(candidate).bit(),
        Step::Pull(_) | Step::Freeze(_) => {}
        Step::Undeploy => {
            if world.stack != Stack::Absent {
                world.stack = Stack::Draining;
            }
        }
        Step::Seal { name, volumes } => {
            ensure(world.stack == Stack::Absent, "13: sealed while deployed")?;
            ensure(
                *volumes == crate::world::volumes(),
                "2: sealed is not what is covered",
            )?;
            if part == Part::Whole {
                let bytes = world.data;
                let before = world.snapshots.insert(name.0.clone(), bytes);
                ensure(
                    before.is_none_or(|before| before == bytes),
                    "3: a snapshot was overwritten",
                )?;
            }
        }
        Step::Deploy { candidate, .. } => {
            start(scenario, world, Rel::of(candidate), None, part)?;
        }
        Step::Submit { release, nonce } => {
            start(scenario, world, Rel::of(&release.of), *nonce, part)?;
        }
        Step::Restore { sealed, operation } => {
            ensure(world.stack == Stack::Absent, "13: restored while deployed")?;
            let Some(bytes) = world.snapshots.get(&sealed.name.0).copied() else {
                return Err("11: restored from a snapshot that is not there".into());
            };
            world.aside.insert(operation.0.clone());
            if part == Part::Whole {
                world.data = bytes;
                world.restored = Some(operation.0.clone());
            } else {
                world.restored = None;
                world.data = Some(Bytes {
                    writers: bytes.map_or(0, |bytes| bytes.writers),
                    half_restored: true,
                });
            }
        }
        Step::Purge => {
            world.data = None;
            if part == Part::Whole {
                world.snapshots.clear();
                world.aside.clear();
                world.stored = 0;
            }
        }
    }
    Ok(())
}

/// Services of this release are submitted; its tasks work on the data from now on.
fn start(
    scenario: &Scenario,
    world: &mut World,
    rel: Rel,
    nonce: Option<u64>,
    part: Part,
) -> Result<(), String> {
    let bytes = world.data.unwrap_or(Bytes {
        writers: 0,
        half_restored: false,
    });
    ensure(
        world.stack != Stack::Draining,
        "13: submitted while the old containers are still there",
    )?;
    ensure(!bytes.half_restored, "9: started on half-restored data")?;
    let newer = u16::MAX << (rel.version * 2 + 2);
    ensure(
        !scenario.stateful() || bytes.writers & newer == 0,
        "12: an older release runs on data that a newer one touched",
    )?;
    ensure(
        world.stored & rel.bit() != 0 && world.images & rel.bit() != 0,
        "14: a release runs that is not stored, or whose images are not there",
    )?;
    world.data = Some(Bytes {
        writers: bytes.writers | rel.bit(),
        half_restored: false,
    });
    let same = match &world.stack {
        Stack::Running {
            rel: runs,
            nonce: carried,
            drift,
            ..
        } => *runs == rel && !*drift && (nonce.is_none() || nonce == *carried),
        Stack::Absent | Stack::Draining => false,
    };
    if !same || part == Part::Half {
        world.gate = (0, 0);
        world.stack = Stack::Running {
            rel,
            nonce,
            tasks: Tasks::Converging(0),
            drift: part == Part::Half,
            ails: false,
        };
    }
    Ok(())
}
