//! What one search is about: how releases behave, and what the spec says.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use ci_warm_api_types::journal::{Generation, InstanceName};
use ci_warm_api_types::version::VersionPolicy;
use ci_warm_api_types::warm_app::{HoldPolicy, RollbackPolicy, SnapshotPolicy};
use ci_warm_rollout::{GateTerms, Intent, Want};
use jiff::SignedDuration;

use crate::moves::Move;
use crate::world::{Rel, World};

/// In ticks.
pub const DEADLINE: i64 = 4;
/// In ticks.
pub const INTERVAL: i64 = 2;

/// What a release does when it is deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Good,
    /// The engine refuses it, for good.
    Rejected,
    /// The Swarm pauses its update.
    GivenUp,
    NeverConverges,
    TasksFail,
    GateFails,
}

#[derive(Clone)]
pub struct Scenario {
    pub name: &'static str,
    pub snapshot: SnapshotPolicy,
    pub rollback: RollbackPolicy,
    /// Versions on offer at first, one bit each.
    pub offers: u8,
    /// The version whose notes ask for manual steps.
    pub flagged: Option<usize>,
    pub behaviour: fn(Rel) -> Behaviour,
    /// How a good release behaves that turns bad.
    pub curse: Behaviour,
    /// What the environment may do.
    pub moves: &'static [Move],
    pub move_budget: u8,
    pub fault_budget: u8,
    /// Fewer would mean that the search no longer looks where it did.
    pub at_least: usize,
}

impl Scenario {
    pub fn stateful(&self) -> bool {
        self.snapshot == SnapshotPolicy::BeforeUpgrade
    }

    pub fn intent(&self, world: &World, want: Want) -> Intent {
        Intent {
            instance: InstanceName::from("app"),
            generation: Generation {
                uid: "u".into(),
                number: world.generation,
            },
            want,
            policy: VersionPolicy::Latest,
            hold: HoldPolicy::default(),
            snapshot: self.snapshot,
            rollback: self.rollback.clone(),
            window: None,
            interval: SignedDuration::from_secs(INTERVAL),
            gate: GateTerms {
                passes: NonZeroU32::new(2).unwrap(),
                failures: NonZeroU32::new(2).unwrap(),
                every: SignedDuration::from_secs(1),
                deadline: SignedDuration::from_secs(DEADLINE),
                idle: SignedDuration::from_secs(1),
            },
        }
    }
}

pub fn never_back() -> RollbackPolicy {
    RollbackPolicy {
        on: BTreeSet::new(),
    }
}
