//! What the planner can decide.

use std::collections::BTreeSet;

use ci_warm_api_types::journal::{
    Candidate, Guard, OperationId, Release, Sealed, SnapshotName, Standing, VolumeName,
};
use ci_warm_api_types::outcome::Outcome;
use ci_warm_api_types::version::Version;
use jiff::Timestamp;

use crate::observed::Question;

/// What the planner says.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Something has to be known first.
    Ask(Question),
    /// What to do.
    Decide(Box<Decision>),
}

/// What to do now. In each, `record` has to be durable before anything else happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Do this one thing, then look again.
    Act {
        /// The journal that says so.
        record: Standing,
        /// The thing.
        step: Step,
    },
    /// Look again at that time, or when something moves.
    Wait {
        /// The journal; often unchanged.
        record: Standing,
        /// When.
        until: Timestamp,
        /// For what.
        why: Why,
    },
    /// Something came to an end.
    Settle {
        /// The journal without it. Durable only after the notice is.
        record: Standing,
        /// How it ended.
        end: End,
        /// What a person has to be told.
        notice: Option<Notice>,
        /// When to look again.
        until: Timestamp,
    },
}

/// Why there is nothing to do, as conditions show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// A condition's reason.
    pub reason: &'static str,
    /// For a person.
    pub message: String,
}

/// How something came to an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With a result.
    Result(Outcome),
    /// The instance is gone as far as its object asked: the object may go.
    Removed,
}

/// One effect, to be made so however often it is tried. Nothing in here is a choice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Have all images of the release on the host.
    Pull(Candidate),
    /// Have the release stored.
    Freeze(Candidate),
    /// Have no service of the stack.
    Undeploy,
    /// Have these volumes sealed under this name.
    Seal {
        /// The snapshot.
        name: SnapshotName,
        /// What goes into it.
        volumes: BTreeSet<VolumeName>,
    },
    /// Have the Swarm run a changed release. The guard says that its data lies safe.
    Deploy {
        /// The release.
        candidate: Candidate,
        /// What protects the data.
        guard: Guard,
    },
    /// Have the Swarm run last good.
    Submit {
        /// The release.
        release: Release,
        /// See [`crate::Subject::nonce`].
        nonce: Option<u64>,
    },
    /// Have the sealed data back, the failed data set aside.
    Restore {
        /// The snapshot.
        sealed: Sealed,
        /// The operation whose failed data is set aside under its id.
        operation: OperationId,
    },
    /// Have no volume, secret, config or snapshot of the instance.
    Purge,
}

impl Step {
    /// The step's name, for logs and kill points.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pull(_) => "Pull",
            Self::Freeze(_) => "Freeze",
            Self::Undeploy => "Undeploy",
            Self::Seal { .. } => "Seal",
            Self::Deploy { .. } => "Deploy",
            Self::Submit { .. } => "Submit",
            Self::Restore { .. } => "Restore",
            Self::Purge => "Purge",
        }
    }
}

/// What a person has to be told. It is on disk before the record that ends its operation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The same for the same occasion, however often a crash repeats it.
    pub identity: String,
    /// The word in the alert's file name: a result's word.
    pub reason: &'static str,
    /// What runs now.
    pub version: Option<Version>,
    /// What was tried.
    pub attempted: Option<Version>,
    /// The release that passed last.
    pub last_good: Option<Version>,
    /// The newest version on offer, where known.
    pub latest: Option<Version>,
    /// Whether the service is back as it was; nothing where nothing had happened to it.
    pub recovered: Option<bool>,
    /// The operation.
    pub operation: Option<OperationId>,
    /// For a person.
    pub message: String,
}
