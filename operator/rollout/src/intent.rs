//! What is wanted of an instance, whichever kind wants it.

use std::num::NonZeroU32;

use ci_warm_api_types::journal::{Generation, InstanceName};
use ci_warm_api_types::version::VersionPolicy;
use ci_warm_api_types::warm_app::{DeletionPolicy, HoldPolicy, RollbackPolicy, SnapshotPolicy};
use ci_warm_api_types::window::Window;
use jiff::SignedDuration;

/// What is wanted of an instance. The kinds choose it; the planner does not know kinds.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// The instance.
    pub instance: InstanceName,
    /// Which spec this is.
    pub generation: Generation,
    /// The goal.
    pub want: Want,
    /// Which versions may run.
    pub policy: VersionPolicy,
    /// Which upgrades wait for a person.
    pub hold: HoldPolicy,
    /// Whether there is data to protect.
    pub snapshot: SnapshotPolicy,
    /// What leads back.
    pub rollback: RollbackPolicy,
    /// When another version may be taken.
    pub window: Option<Window>,
    /// How often the versions on offer are looked at.
    pub interval: SignedDuration,
    /// What passing means.
    pub gate: GateTerms,
}

/// The goal for an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// It runs, at the newest safe version.
    Run,
    /// Nothing is done to it.
    Suspended,
    /// Its object was deleted.
    Gone(DeletionPolicy),
}

/// What passing the health gate means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateTerms {
    /// So many probes in a row.
    pub passes: NonZeroU32,
    /// So many failures in a row make a running app unhealthy.
    pub failures: NonZeroU32,
    /// Time between probes.
    pub every: SignedDuration,
    /// Time to pass in, from the submission.
    pub deadline: SignedDuration,
    /// Time between looks at an app that is well.
    pub idle: SignedDuration,
}
