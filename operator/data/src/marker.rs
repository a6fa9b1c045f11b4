//! The marker beside a volume that says: a restore is unfinished, nothing may start on it.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::files::{beside, error, parent, replace};
use crate::{DataError, VolumeName};

/// What an unfinished restore goes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The operation that restores.
    pub operation: String,
    /// The volume.
    pub volume: VolumeName,
    /// What the volume becomes.
    pub role: Role,
    /// How far it is.
    pub phase: Phase,
    /// The directory for the data set aside, as it was requested.
    pub aside_dir: PathBuf,
}

/// What a restore makes of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// What it is in this sealed snapshot.
    Restored {
        /// The directory of the snapshot.
        snapshot: PathBuf,
    },
    /// Empty: the failed release added it.
    Emptied,
}

/// How far a restore is. The volume itself is untouched in the first phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// The data to be is being prepared beside the volume.
    Preparing,
    /// It is ready for every volume of the operation, and takes the place of the failed data.
    Exchanging {
        /// Of the data to be.
        digest: Digest,
    },
}

pub(crate) fn marker_path(volume_dir: &Path) -> Result<PathBuf, DataError> {
    beside(volume_dir, "ci-warm-restoring")
}

/// Whether a restore of this volume is unfinished. Nothing may start on the volume before [`crate::restore()`] with the same
/// request has finished it. Only a readable directory without a marker is no.
pub fn pending(volume_dir: &Path) -> Result<Option<Marker>, DataError> {
    let path = marker_path(volume_dir)?;
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|e| DataError::BadMarker {
                path,
                why: e.to_string(),
            }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let above = parent(&path)?;
            fs::metadata(above)
                .map(|_| None)
                .map_err(|e| error("inspect", above, e))
        }
        Err(e) => Err(error("read", &path, e)),
    }
}

pub(crate) fn write(volume_dir: &Path, marker: &Marker) -> Result<(), DataError> {
    let path = marker_path(volume_dir)?;
    let text = serde_json::to_vec_pretty(marker)
        .map_err(|e| DataError::io("describe", path.display().to_string(), io::Error::from(e)))?;
    replace(&path, &text)
}
