//! The model: every way an upgrade or its undoing can go, in an abstract world, looked at one by one.
//!
//! From the first state, each turn of the planner is followed to where it leads when all goes well, when each of its
//! questions cannot be answered, when its step fails or the process dies at any point, and when the environment moves. What
//! the design says always holds is checked in each; and from each, with no more faults, it has to come to rest where it
//! should.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod canon;
mod check;
mod driver;
mod moves;
mod scenario;
mod search;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use ci_warm_api_types::journal::Standing;
use ci_warm_api_types::warm_app::{DeletionPolicy, RollbackPolicy, SnapshotPolicy};
use ci_warm_rollout::Want;

use moves::Move;
use scenario::{Behaviour, Scenario};
use search::{State, explore};
use world::{Obstacle, Rel, Stack, World};

fn first(scenario: &Scenario) -> State {
    State {
        standing: Standing::default(),
        world: World {
            offers: scenario.offers,
            want: Some(Want::Run),
            generation: 1,
            env: 0,
            stack: Stack::Absent,
            data: None,
            snapshots: BTreeMap::new(),
            aside: BTreeSet::new(),
            restored: None,
            images: 0,
            stored: 0,
            alerts: BTreeSet::new(),
            dependency_ready: true,
            obstacle: Obstacle::None,
            cursed: 0,
            gate: (0, 0),
            failed: false,
            before: None,
            moves: scenario.move_budget,
            faults: scenario.fault_budget,
        },
    }
}

fn check(scenario: &Scenario) {
    check_from(scenario, first(scenario));
}

fn check_from(scenario: &Scenario, state: State) {
    let states = explore(scenario, state);
    assert!(
        states >= scenario.at_least || moves() < 2,
        "{}: only {states} states, it no longer looks everywhere",
        scenario.name
    );
}

fn newer_is(behaviour: Behaviour) -> fn(Rel) -> Behaviour {
    macro_rules! newer {
        ($what:ident) => {
            |rel| {
                if rel.version == 1 {
                    Behaviour::$what
                } else {
                    Behaviour::Good
                }
            }
        };
    }
    match behaviour {
        Behaviour::Good => newer!(Good),
        Behaviour::Rejected => newer!(Rejected),
        Behaviour::GivenUp => newer!(GivenUp),
        Behaviour::NeverConverges => newer!(NeverConverges),
        Behaviour::TasksFail => newer!(TasksFail),
        Behaviour::GateFails => newer!(GateFails),
    }
}

const TROUBLE: &[Move] = &[
    Move::Publish(1),
    Move::Tag,
    Move::Env,
    Move::Dependency,
    Move::StackRm,
    Move::StackUp,
    Move::Drift,
    Move::Crash,
    Move::Ail,
    Move::Curse,
    Move::Obstruct(Obstacle::Rendering),
    Move::Obstruct(Obstacle::Preflight),
    Move::Obstruct(Obstacle::None),
    Move::Retry,
    Move::Reconcile,
];

const VERSIONS: &[Move] = &[
    Move::Publish(1),
    Move::Publish(2),
    Move::Publish(3),
    Move::Approve(2),
    Move::Approve(3),
    Move::Env,
    Move::Retry,
];

const PERSON: &[Move] = &[
    Move::Env,
    Move::Dependency,
    Move::StackRm,
    Move::StackUp,
    Move::Retry,
    Move::Suspend,
    Move::Resume,
    Move::Delete(DeletionPolicy::Undeploy),
    Move::Delete(DeletionPolicy::Orphan),
    Move::Delete(DeletionPolicy::Purge),
    Move::Create,
];

const SPEC: &[Move] = &[
    Move::Publish(1),
    Move::Env,
    Move::Suspend,
    Move::Resume,
    Move::Delete(DeletionPolicy::Undeploy),
    Move::Delete(DeletionPolicy::Orphan),
    Move::Delete(DeletionPolicy::Purge),
    Move::Create,
];

fn base(name: &'static str) -> Scenario {
    Scenario {
        name,
        snapshot: SnapshotPolicy::BeforeUpgrade,
        rollback: RollbackPolicy::default(),
        offers: 0b1,
        flagged: None,
        behaviour: newer_is(Behaviour::Good),
        curse: Behaviour::GateFails,
        moves: SPEC,
        move_budget: moves(),
        fault_budget: budget("CI_WARM_MODEL_FAULTS", 1),
        at_least: 5_000,
    }
}

/// How many moves the environment has on each way.
fn moves() -> u8 {
    budget("CI_WARM_MODEL_MOVES", 2)
}

/// More than the default looks deeper, and takes minutes.
fn budget(variable: &str, default: u8) -> u8 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// The app after it was deployed once: the searches below start where it runs.
fn settled(scenario: &Scenario) -> State {
    let mut state = first(scenario);
    state.world.moves = 0;
    state.world.faults = 0;
    let mut state = search::rest(scenario, state);
    state.world.moves = scenario.move_budget;
    state.world.faults = scenario.fault_budget;
    state
}

#[test]
fn first_deploys_should_hold_every_invariant() {
    check(&Scenario {
        at_least: 25_000,
        ..base("first deploy")
    });
}

const ALL_BEHAVIOURS: [Behaviour; 6] = [
    Behaviour::Good,
    Behaviour::Rejected,
    Behaviour::GivenUp,
    Behaviour::NeverConverges,
    Behaviour::TasksFail,
    Behaviour::GateFails,
];

/// A bad release is on offer, or none, and this is what goes on around it.
fn check_upgrades(scenario: &Scenario) {
    check_some(scenario, &ALL_BEHAVIOURS);
}

fn check_some(scenario: &Scenario, behaviours: &[Behaviour]) {
    for behaviour in behaviours.iter().copied() {
        let scenario = Scenario {
            behaviour: newer_is(behaviour),
            curse: behaviour,
            ..scenario.clone()
        };
        println!("{behaviour:?}:");
        check_from(&scenario, settled(&scenario));
    }
}

#[test]
fn upgrades_of_an_app_with_data_should_hold_every_invariant() {
    check_upgrades(&base("spec"));
    check_upgrades(&Scenario {
        moves: TROUBLE,
        at_least: 20_000,
        ..base("trouble")
    });
}

#[test]
fn upgrades_of_a_stateless_app_should_hold_every_invariant() {
    let stateless = Scenario {
        snapshot: SnapshotPolicy::Never,
        ..base("stateless, spec")
    };
    check_upgrades(&stateless);
    check_upgrades(&Scenario {
        moves: TROUBLE,
        name: "stateless, trouble",
        at_least: 15_000,
        ..stateless
    });
}

#[test]
fn upgrades_that_nobody_wants_undone_should_hold_every_invariant() {
    let kept = Scenario {
        rollback: scenario::never_back(),
        ..base("not undone, spec")
    };
    check_upgrades(&kept);
    check_upgrades(&Scenario {
        moves: TROUBLE,
        name: "not undone, trouble",
        at_least: 15_000,
        ..kept
    });
}

#[test]
fn versions_that_wait_for_a_person_should_hold_every_invariant() {
    let scenario = Scenario {
        moves: VERSIONS,
        flagged: Some(2),
        move_budget: moves() + 1,
        at_least: 70_000,
        ..base("versions")
    };
    check_some(&scenario, &[Behaviour::Good, Behaviour::GateFails]);
}

#[test]
fn persons_in_the_middle_of_an_undoing_should_hold_every_invariant() {
    let scenario = Scenario {
        moves: PERSON,
        offers: 0b11,
        behaviour: newer_is(Behaviour::GateFails),
        at_least: 90_000,
        ..base("persons")
    };
    let without = Scenario {
        offers: 0b1,
        ..scenario.clone()
    };
    let mut state = settled(&without);
    state.world.offers = scenario.offers;
    check_from(&scenario, state);
}
