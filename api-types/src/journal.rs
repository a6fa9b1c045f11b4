//! The journal of one instance: what is durably known of it, and the operation it is in the middle of.
//!
//! Stored as `instances/<stack>/standing.yaml`. It holds durable facts only (which release passed its gate, which snapshot
//! belongs to this operation, when a deadline ends); what perishes (is it running, is it draining) is observed again.
//!
//! ```text
//!            ┌── Forward: Pull → Freeze → Undeploy → Seal → Deploy → Prove ──▶ last good moves
//!   idle ────┤                             │            │        │
//!            │                             ▼            ▼        ▼
//!            │              Back: (Undeploy → Restore →) Deploy → Prove ──▶ last good again, or Stuck
//!            ├── Keep: Submit → Prove                    the same release once more
//!            ├── Remove: Undeploy → Purge                the object was deleted
//!            └── Abandon: Undeploy                       a first deploy failed: nothing to go back to
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;
use crate::version::Version;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

name_type! {
    /// The name of an instance, which is the name of its stack.
    InstanceName
}
name_type! {
    /// One operation on one instance. Alerts, snapshots and set-aside data carry it, so that a crash cannot double them.
    OperationId
}
name_type! {
    /// A stored release of one instance: `<version>-<config digest>`, safe as a file name.
    ReleaseId
}
name_type! {
    /// A digest over everything of a release that is not its version: rendered stack, configs, environment, secret names.
    ConfigDigest
}
name_type! {
    /// The name of a Swarm volume, as the engine knows it.
    VolumeName
}
name_type! {
    /// The name of a Snapshot object, and of its folder.
    SnapshotName
}

impl SnapshotName {
    /// The snapshot that an operation takes of an instance: the name of a Snapshot object, so at most 63 characters.
    pub fn of(instance: &InstanceName, operation: &OperationId) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let operation: String = operation.0.chars().map(plain).collect();
        let room = 62_usize.saturating_sub(operation.len());
        let instance: String = instance.0.chars().map(plain).take(room).collect();
        Self(format!("{}-{operation}", instance.trim_matches('-')))
    }
}

impl ConfigDigest {
    /// The first eight characters, as results show it.
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

/// Which spec an operation serves: an object of the same name made anew is another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Generation {
    /// The object's uid.
    pub uid: String,
    /// The object's generation.
    pub number: u64,
}

/// A release as it is about to be deployed: everything of it is stored under its id before that.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// Where it is stored.
    pub id: ReleaseId,
    /// The recipe's version.
    pub version: Version,
    /// The commit the version's tag pointed to.
    pub commit: String,
    /// What beside the version makes this release this release.
    pub digest: ConfigDigest,
    /// Generated secrets by short name, with the version in their Swarm name: a database knows one of these and no other.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
}

/// Proof that a health gate was passed. Zero probes are not healthy, so there is no such value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Passed {
    /// When the last probe of the streak succeeded.
    pub at: Timestamp,
    /// How many probes in a row succeeded.
    pub probes: NonZeroU32,
}

/// A candidate that passed its gate. Last good has no other constructor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Release {
    /// What was deployed.
    pub of: Candidate,
    /// The proof.
    pub passed: Passed,
}

/// A sealed, verified copy of the data as it was before an operation deployed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sealed {
    /// The Snapshot's name; its folder lies under the instance's `snapshots/`.
    pub name: SnapshotName,
    /// The volumes in it. None at all is a truth worth sealing too: what a failed release adds is then emptied.
    pub volumes: BTreeSet<VolumeName>,
}

/// What protects the data while a changed release runs on it. A deploy cannot leave it out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Guard {
    /// The app is declared stateless, or it never ran: there is nothing to protect.
    NoData,
    /// The data lies sealed.
    Sealed(Sealed),
}

/// A deadline that can be stopped while it would be unfair to let it run (a dependency is not Ready, the engine is away).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Clock {
    /// It ends then.
    Until(Timestamp),
    /// It stands; this many milliseconds are left.
    PausedWithMs(i64),
}

/// Where a forward operation stands. Each value names the effect that may already have happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Forward {
    /// The images are being pulled; nothing was touched.
    Pull,
    /// The release is being stored; nothing was touched.
    Freeze,
    /// The services are being removed.
    Undeploy,
    /// The volumes are being copied.
    Seal,
    /// The release is being submitted: from here the data may have been changed by it.
    Deploy(Guard),
    /// The release was submitted and has to prove itself.
    Prove {
        /// What protects the data.
        guard: Guard,
        /// When the gate's deadline ends.
        clock: Clock,
    },
}

/// Where an undoing stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Back {
    /// The failed release is being removed, so that its data can be set aside.
    Undeploy(Sealed),
    /// The sealed data is being put back.
    Restore(Sealed),
    /// Last good is being submitted.
    Deploy,
    /// Last good was submitted and has to prove itself again.
    Prove(Clock),
}

/// Where the keeping alive of last good stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Keep {
    /// Last good is being submitted again. With a nonce every task is made anew, without one only what differs.
    Submit {
        /// Goes into the services' force-update counter, so that doing it twice is doing it once.
        nonce: Option<u64>,
    },
    /// It has to prove itself.
    Prove(Clock),
}

/// Where a removal stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Remove {
    /// The services are being removed.
    Undeploy,
    /// Volumes, secrets, configs and snapshots are being removed, as `deletionPolicy: Purge` says.
    Purge,
}

/// Why an operation did not end as it was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// The engine refused the release, or the Swarm gave up on it, or it never converged.
    DeployFailed,
    /// Tasks of the release keep failing.
    TasksFailing,
    /// It runs, and its probes did not pass before the deadline.
    HealthGateFailed,
    /// The data could not be sealed; the release was not deployed.
    SealFailed,
    /// The sealed data could not be put back.
    RestoreFailed,
    /// The spec changed, or the object was suspended or deleted.
    Superseded,
}

impl Cause {
    /// The reason as conditions and alerts show it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::DeployFailed => "DeployFailed",
            Self::TasksFailing => "TasksFailing",
            Self::HealthGateFailed => "HealthGateFailed",
            Self::SealFailed => "SealFailed",
            Self::RestoreFailed => "RestoreFailed",
            Self::Superseded => "Superseded",
        }
    }
}

/// What went wrong, for a person: a cause and the words of whoever said so.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fault {
    /// The cause.
    pub cause: Cause,
    /// What was seen.
    pub message: String,
}

/// An undoing: from a failed candidate back to last good.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BackOperation {
    /// The operation this undoes, under its own id.
    pub id: OperationId,
    /// Why.
    pub fault: Fault,
    /// What is undone.
    pub failed: Candidate,
    /// Where it goes.
    pub to: Release,
    /// Where it stands.
    pub at: Back,
}

/// A move to another release.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ForwardOperation {
    /// Its id.
    pub id: OperationId,
    /// The spec it serves.
    pub of: Generation,
    /// The release it moves to.
    pub to: Candidate,
    /// The volumes that have to be sealed before it deploys; none when the app is declared stateless or never ran.
    pub covers: Option<BTreeSet<VolumeName>>,
    /// Where it stands.
    pub at: Forward,
}

/// What a person's retry takes up again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Resume {
    /// The release that failed in a way the spec does not roll back for. It was deployed, so it has its guard.
    Forward {
        /// The operation.
        id: OperationId,
        /// The spec it serves.
        of: Generation,
        /// The release.
        to: Candidate,
        /// What protects the data.
        guard: Guard,
    },
    /// The undoing that failed.
    Back(BackOperation),
}

/// The one operation an instance is in the middle of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// To another release.
    Forward(ForwardOperation),
    /// Back to last good.
    Back(BackOperation),
    /// Last good once more.
    Keep {
        /// Its id.
        id: OperationId,
        /// The spec it serves.
        of: Generation,
        /// What called for it.
        why: String,
        /// Where it stands.
        at: Keep,
    },
    /// A first deploy failed: there is nothing to go back to. Its services are stopped, its data is kept.
    Abandon {
        /// The operation that failed.
        id: OperationId,
        /// Why.
        fault: Fault,
        /// What is given up.
        failed: Candidate,
    },
    /// The object was deleted.
    Remove {
        /// Its id.
        id: OperationId,
        /// Where it stands.
        at: Remove,
    },
    /// Nothing happens any more until a person asks. Everything is kept.
    Stuck {
        /// Why.
        fault: Fault,
        /// What a retry takes up.
        resume: Resume,
    },
}

impl Operation {
    /// The id that alerts, snapshots and set-aside data of this operation carry.
    pub fn id(&self) -> &OperationId {
        match self {
            Self::Forward(ForwardOperation { id, .. })
            | Self::Back(BackOperation { id, .. })
            | Self::Keep { id, .. }
            | Self::Abandon { id, .. }
            | Self::Remove { id, .. }
            | Self::Stuck {
                resume: Resume::Forward { id, .. } | Resume::Back(BackOperation { id, .. }),
                ..
            } => id,
        }
    }

    /// The operation and its phase in a word or two, for status and logs.
    pub fn phase(&self) -> &'static str {
        match self {
            Self::Forward(op) => match op.at {
                Forward::Pull => "Forward/Pull",
                Forward::Freeze => "Forward/Freeze",
                Forward::Undeploy => "Forward/Undeploy",
                Forward::Seal => "Forward/Seal",
                Forward::Deploy(_) => "Forward/Deploy",
                Forward::Prove { .. } => "Forward/Prove",
            },
            Self::Back(op) => match op.at {
                Back::Undeploy(_) => "Back/Undeploy",
                Back::Restore(_) => "Back/Restore",
                Back::Deploy => "Back/Deploy",
                Back::Prove(_) => "Back/Prove",
            },
            Self::Keep {
                at: Keep::Submit { .. },
                ..
            } => "Keep/Submit",
            Self::Keep {
                at: Keep::Prove(_), ..
            } => "Keep/Prove",
            Self::Abandon { .. } => "Abandon",
            Self::Remove {
                at: Remove::Undeploy,
                ..
            } => "Remove/Undeploy",
            Self::Remove {
                at: Remove::Purge, ..
            } => "Remove/Purge",
            Self::Stuck { .. } => "Stuck",
        }
    }
}

/// A release that failed here and is not tried again until something changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Quarantined {
    /// Its version.
    pub version: Version,
    /// Its digest: the same version configured otherwise is another release.
    pub digest: ConfigDigest,
    /// Why it failed.
    pub cause: Cause,
}

/// A version that is not taken, and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NotTaken {
    /// The version.
    pub version: Version,
    /// As conditions show it: a hold's word, or a reason such as `InvalidRecipe`.
    pub reason: String,
    /// What a person should know.
    pub message: String,
}

/// What the last look at the versions on offer found, and for which spec.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// For this spec.
    pub of: Generation,
    /// At that time.
    pub at: Timestamp,
    /// The newest version that the policy allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<Version>,
    /// The newest version that waits for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<NotTaken>,
    /// The newest version that cannot be taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<NotTaken>,
    /// A version that will be taken once nothing stands in its way (the window opens, a dependency is Ready).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Version>,
}

/// One line of an instance's history.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When it ended.
    pub at: Timestamp,
    /// Which operation.
    pub operation: OperationId,
    /// How.
    pub result: Outcome,
    /// Whether what runs since then passed its gate; said outright, never derived from a word.
    pub healthy: bool,
    /// What was seen, for a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What is durably known of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// How many operations were begun; the next id is made of it.
    #[serde(default)]
    pub operations: u64,
    /// The newest release that passed its gate here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good: Option<Release>,
    /// The newest version that ever ran on the data as it lies there now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_of: Option<Version>,
    /// What is going on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// Releases that failed here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantine: Vec<Quarantined>,
    /// Versions that a person let through.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub approved: BTreeSet<Version>,
    /// When the versions were last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<Checked>,
    /// Set while last good runs and does not pass, after it was redeployed for that once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unhealthy_since: Option<Timestamp>,
    /// How the last reconcile that came to an end went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Outcome>,
    /// Ids of alerts that were raised for something that lasts (a hold, a refusal), so that each is raised once.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub alerted: BTreeSet<String>,
    /// Ids of the newest requests that were consumed, so that a crash between consuming and deleting does not repeat one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumed: Vec<String>,
    /// Newest last, bounded by [`Standing::HISTORY`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
}

impl Standing {
    /// How many history entries are kept.
    pub const HISTORY: usize = 20;
    /// How many ids of consumed requests are kept.
    pub const CONSUMED: usize = 32;

    /// Whether this release failed here.
    pub fn is_quarantined(&self, candidate: &Candidate) -> bool {
        self.quarantine
            .iter()
            .any(|q| q.version == candidate.version && q.digest == candidate.digest)
    }
}
