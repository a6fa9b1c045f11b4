//! What can go wrong, told so that a person knows what happened, where, and what to do next.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::{Marker, VolumeName};

/// Why volumes could not be copied, sealed, verified or restored.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The system refused something.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried, as a verb: `open`, `list`, `set the owner of`.
        doing: &'static str,
        /// Where. Bytes that are not UTF-8 appear as `\xNN`.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A volume has another filesystem mounted in it, or is a mount point itself.
    #[error(
        "{path} is a mount point: what is mounted there is not part of the volume and cannot be sealed with it. \
         Unmount it, or declare it as a volume of its own"
    )]
    MountPoint {
        /// The mount point.
        path: String,
    },
    /// A volume holds something that could not be put back as it was.
    #[error("{path} {why}, so it cannot be put back as it was")]
    Unsupported {
        /// The entry.
        path: String,
        /// What about it.
        why: &'static str,
    },
    /// The source was written to during the copy.
    #[error(
        "volume {volume} changed while it was being sealed (first seen at {path}): something still writes to it. Stop that, then seal again"
    )]
    Changed {
        /// The volume.
        volume: VolumeName,
        /// The first entry that changed, or the directory it is in.
        path: String,
    },
    /// A name that cannot be used as part of a path.
    #[error(
        "{name:?} cannot be used as the name of {what}: up to 200 of a-z A-Z 0-9 _ . - are allowed, the first one a letter or digit"
    )]
    BadName {
        /// What it should have named.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A request that contradicts itself or the snapshot.
    #[error("refused: {0}")]
    BadRequest(String),
    /// A sealed snapshot is there, but not of the volumes that were asked for.
    #[error("{} is already sealed, with volumes {has} instead of {wants}. Seal under another name", snapshot.display())]
    OtherVolumes {
        /// The snapshot.
        snapshot: PathBuf,
        /// What it holds.
        has: String,
        /// What was asked for.
        wants: String,
    },
    /// A snapshot is torn or was altered. It must not be restored.
    #[error("snapshot {} is corrupt: {why}. It must not be restored; it is kept for inspection", snapshot.display())]
    Corrupt {
        /// The snapshot.
        snapshot: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Two trees that should be equal are not.
    #[error(
        "{what} does not match its manifest ({total} differences): {}",
        shown(first)
    )]
    Differs {
        /// What was compared, for example `volume data of snapshot /x/y`.
        what: String,
        /// The first differences, in path order, at most ten.
        first: Vec<Difference>,
        /// How many there are in all.
        total: u64,
    },
    /// Another restore of this volume is unfinished, and comes first.
    #[error("volume {} has an unfinished restore of operation {}: finish that one first", marker.volume, marker.operation)]
    RestorePending {
        /// What the unfinished restore left to go by.
        marker: Box<Marker>,
    },
    /// A restore marker that cannot be read.
    #[error("the restore marker {} cannot be understood ({why}): nothing may start on this volume until a person has looked", path.display())]
    BadMarker {
        /// The marker's file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An interrupted restore finds neither of the two trees as it left them. Both are kept.
    #[error(
        "the restore of volume {volume} was interrupted, and neither {} nor {} is the restored data now: both are kept, a person must choose",
        data.display(), staging.display()
    )]
    Torn {
        /// The volume.
        volume: VolumeName,
        /// The volume's directory.
        data: PathBuf,
        /// The other tree.
        staging: PathBuf,
    },
    /// This operation restored the volume before, and it was written to since.
    #[error("operation {operation} has restored volume {volume} already, and its data changed since: it is not restored a second time. The data set aside then is in {}", aside.display())]
    ChangedSince {
        /// The volume.
        volume: VolumeName,
        /// The operation.
        operation: String,
        /// Where the data from before the restore is.
        aside: PathBuf,
    },
    /// [`crate::Cancel`] was used.
    #[error("cancelled")]
    Cancelled,
    /// A [`crate::Watch`] stopped the work.
    #[error("stopped at {0}")]
    Stopped(&'static str),
}

impl DataError {
    /// No space or no quota was left. What was half done has been removed or is finished by running again.
    pub fn is_no_space(&self) -> bool {
        let full = [Errno::NOSPC, Errno::DQUOT].map(|errno| Some(errno.raw_os_error()));
        matches!(self, Self::Io { source, .. } if full.contains(&source.raw_os_error()))
    }

    /// The snapshot itself is bad: trying again does not help.
    pub fn is_corrupt(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Differs { .. })
    }

    /// Something that was expected is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<String>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::Io {
            doing,
            path: path.into(),
            source: source.into(),
        }
    }
}

/// One entry that is not as its manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The entry, relative to its volume; `.` is the volume's own directory.
    pub path: String,
    /// What differs.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path, self.what)
    }
}

fn shown(first: &[Difference]) -> String {
    first
        .iter()
        .map(Difference::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
