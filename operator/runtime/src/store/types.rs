//! What the store says: changes, held deletions, errors.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use crate::durable::DurableError;
use crate::ids::{Key, ObjectName, OwnerReference};
use ci_warm_api_types::problem::Problem;

/// What a write to the store could not do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The object is gone, or is another one of the same name by now. The run that asked is about nothing.
    #[error("{0} is gone, or was created anew under the same name")]
    Gone(Key),
    /// A manifest with that name exists.
    #[error("{0} exists already")]
    Exists(Key),
    /// A manifest the operator wanted to write would not be accepted.
    #[error("the manifest would not be accepted: {0}")]
    Refused(Box<Problem>),
    /// No finalizer can be added once the deletion has begun; what it would guard must not be started.
    #[error("{0} is being deleted, so nothing new can be started for it")]
    Deleting(Key),
    /// Only the runtime writes conditions of this type.
    #[error("the condition {0} is written by the runtime only")]
    RuntimeOwned(String),
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] DurableError),
    /// A directory could not be listed.
    #[error("cannot list {}: {source}", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The write was given up because the process is stopping.
    #[error("given up: the process is stopping")]
    Stopping,
}

/// Why absent files are not taken for deletions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldReason {
    /// Root or directory cannot be read, for this reason.
    Unreadable(String),
    /// The root has no marker: probably its disk is not mounted.
    MarkerMissing,
    /// The kind's directory is missing.
    DirectoryMissing,
    /// Several objects vanished at once and none is left.
    AllVanished,
}

/// Deletions that are held until the files come back or a `delete` request names the objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldDeletions {
    /// The kind.
    pub kind: &'static str,
    /// Why.
    pub reason: HeldReason,
    /// Which objects.
    pub names: BTreeSet<ObjectName>,
}

/// What changed about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It is new, or what is wished for it changed: generation, labels, annotations, owners, or its deletion began.
    Wish,
    /// Only what is known of it changed.
    Status,
    /// A request came.
    Request,
    /// It is gone.
    Gone,
}

/// A change, as told to the sink after it is on disk and in the snapshot.
#[derive(Debug, Clone)]
pub struct Change {
    /// Which object.
    pub key: Key,
    /// What about it.
    pub what: What,
    /// Whom it belongs to.
    pub owners: Vec<OwnerReference>,
}

/// Paths the watch knows to be unfinished, and whether absence can be judged now.
#[derive(Debug, Clone, Default)]
pub struct Unsettled {
    /// Files that are being written, replaced or removed right now.
    pub paths: BTreeSet<PathBuf>,
}

/// What a relist has to say besides the changes.
#[derive(Debug, Default)]
pub struct Relisted {
    /// Deletions not carried out.
    pub held: Option<HeldDeletions>,
    /// Files and objects that are left alone, and why.
    pub problems: Vec<Problem>,
    /// The files that symlinked manifests stand for.
    pub targets: BTreeSet<PathBuf>,
    /// Whether this may count as a first complete list: root and marker were there.
    pub listed: Listed,
}

/// Whether the root could be listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Listed {
    /// It could.
    #[default]
    Yes,
    /// Root or marker are missing. Nothing was written.
    No,
}
