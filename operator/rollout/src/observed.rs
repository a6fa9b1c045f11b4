//! Questions that the planner can ask, and their answers.

use std::collections::{BTreeMap, BTreeSet};

use ci_warm_api_types::journal::{Candidate, OperationId, Sealed, SnapshotName, VolumeName};
use ci_warm_api_types::version::Version;
use jiff::Timestamp;

/// An answer, or why there is none. Unknown is never no.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Seen<T> {
    /// The question was not asked in this turn.
    #[default]
    NotAsked,
    /// It was asked, and could not be answered: for a person, why.
    Unknown(String),
    /// The answer.
    Is(T),
}

/// A question of the planner's. One turn answers each at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Which versions does the recipe offer?
    Catalog(Refresh),
    /// What would this version be as a release, under the spec as it is now?
    Render(Version),
    /// How does the stack stand, measured against this release?
    Deployment(Option<Subject>),
    /// Are the objects this one depends on Ready?
    Dependencies,
    /// Can this release be deployed, its data be covered, and the way back be walked?
    Preflight(Candidate),
    /// Are all images of this release on the host?
    Images(Candidate),
    /// Is this release stored?
    Stored(Candidate),
    /// Is this snapshot sealed?
    Seal(SnapshotName),
    /// Has this snapshot been put back, for this operation?
    Restoration(Sealed, OperationId),
    /// Does the app pass its probes, counted since this subject was submitted?
    Gate(Subject),
    /// Is anything left of the instance?
    Purged,
}

/// Whether git's remote has to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// Ask the remote.
    Now,
    /// What was fetched last will do.
    Cached,
}

/// A release as it was, or is to be, submitted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The release.
    pub release: Candidate,
    /// The force-update counter that every service of it must carry, when tasks had to be made anew.
    pub nonce: Option<u64>,
}

/// Everything that was answered in this turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// See [`Question::Catalog`].
    pub catalog: Seen<Catalog>,
    /// See [`Question::Render`], by version.
    pub renderings: BTreeMap<Version, Seen<Rendering>>,
    /// See [`Question::Deployment`].
    pub deployment: Seen<Deployment>,
    /// See [`Question::Dependencies`].
    pub dependencies: Seen<Dependencies>,
    /// See [`Question::Preflight`].
    pub preflight: Seen<Preflight>,
    /// See [`Question::Images`].
    pub images: Seen<Images>,
    /// See [`Question::Stored`].
    pub stored: Seen<Stored>,
    /// See [`Question::Seal`].
    pub seal: Seen<Seal>,
    /// See [`Question::Restoration`].
    pub restoration: Seen<Restoration>,
    /// See [`Question::Gate`].
    pub gate: Seen<Gate>,
    /// See [`Question::Purged`].
    pub purged: Seen<Purged>,
    /// The step that the standing records was just tried and will not work however often it is tried: why.
    pub failed: Option<String>,
}

/// The versions that a recipe offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// In no particular order.
    pub offers: Vec<Offer>,
}

/// One version on offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The version.
    pub version: Version,
    /// What its notes say.
    pub notes: MigrationNotes,
    /// Its generated secrets by short name, with the version in their Swarm name.
    pub secrets: BTreeMap<String, String>,
}

/// What a version's notes say of manual steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationNotes {
    /// Nothing, or there are no notes.
    Unflagged,
    /// A person has to do something.
    ManualMigration,
}

/// A version as a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rendering {
    /// It can be one.
    Candidate(Candidate),
    /// It cannot.
    Refused {
        /// As conditions show it.
        reason: String,
        /// For a person.
        message: String,
    },
}

/// How a stack stands, measured against a release.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Deployment {
    /// Nothing of the stack is there: no service, no task, no container.
    Absent,
    /// The services are gone; some tasks or containers are not.
    Draining(String),
    /// Services are missing, or are not as the release says.
    Differs(String),
    /// As the release says; tasks are on their way.
    Converging {
        /// What is missing.
        why: String,
        /// Since when.
        since: Timestamp,
    },
    /// Every task that should run does, from the release as submitted.
    Converged,
    /// Tasks keep failing.
    TasksFailing(String),
    /// The Swarm has given the submission up: paused, rolled back by itself, image rejected.
    GivenUp(String),
}

/// How the objects stand that this one depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dependencies {
    /// All Ready, or there are none.
    Ready,
    /// One is not.
    NotReady(String),
}

/// Whether a release can be deployed without risk to the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preflight {
    /// It can.
    Clear {
        /// The volumes that have to be sealed first. Nothing when the app is stateless, or nothing of it ever ran.
        covers: Option<BTreeSet<VolumeName>>,
    },
    /// It cannot.
    Refused {
        /// As conditions show it.
        reason: String,
        /// For a person, by name.
        message: String,
    },
}

/// Whether images are on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Images {
    /// All of them.
    Present,
    /// Some have to be pulled.
    Missing,
}

/// Whether a release is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stored {
    /// It is, whole.
    Whole,
    /// It is not.
    Missing,
}

/// Whether a snapshot is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Seal {
    /// There is no whole snapshot of that name.
    Absent,
    /// There is.
    Whole(Sealed),
}

/// Whether a snapshot was put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Restoration {
    /// Not, or not wholly.
    Pending,
    /// It was, and was compared.
    Done,
}

/// What the probes say, counted since the release was submitted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gate {
    /// Successes in a row, at the end.
    pub passes: u32,
    /// Failures in a row, at the end.
    pub failures: u32,
    /// When the last probe was answered.
    pub at: Timestamp,
    /// What the last one said.
    pub message: String,
}

/// Whether anything of an instance is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purged {
    /// Nothing.
    Clean,
    /// Something.
    Remains,
}

impl<T> Seen<T> {
    /// The answer, or the question to ask. The inner error is why it is unknown.
    pub(crate) fn answer(
        &self,
        question: impl FnOnce() -> Question,
    ) -> Result<Result<&T, &str>, Question> {
        match self {
            Self::NotAsked => Err(question()),
            Self::Unknown(why) => Ok(Err(why)),
            Self::Is(answer) => Ok(Ok(answer)),
        }
    }
}
