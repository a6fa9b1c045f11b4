//! A frozen release: everything that deploying it again needs, when tag, mirror, manifest and registry may all be gone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ci_warm_api_types::journal::Candidate;
use ci_warm_api_types::warm_app::NetworkSpec;
use ci_warm_stack::Stack;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::recipe::SecretSource as Generated;
use ci_warm_runtime::durable::{self, DurableError};

/// A release as it is deployed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frozen {
    /// Which release it is.
    pub candidate: Candidate,
    /// The stack, configs' bytes included. Images are pinned to digests where the registry gave any.
    pub stack: Stack,
    /// The image of each service, by its key.
    pub images: BTreeMap<String, FrozenImage>,
    /// The environment it was rendered with; the gate's address is made of it.
    pub env: BTreeMap<String, String>,
    /// The secrets it needs. Their values are in the Swarm and nowhere else.
    pub secrets: Vec<FrozenSecret>,
    /// External networks that are created when missing.
    pub networks: Vec<NetworkSpec>,
}

/// One service's image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrozenImage {
    /// As the service names it.
    pub reference: String,
    /// The image's id on this host: what a tag that moved is set back to.
    pub id: String,
}

/// One secret that a release needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrozenSecret {
    /// Short name.
    pub name: String,
    /// Name in the Swarm.
    pub swarm_name: String,
    /// Where its value comes from while it is missing.
    pub source: ValueSource,
}

/// Where a missing secret's value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ValueSource {
    /// It is generated.
    Characters {
        /// How many characters.
        length: usize,
        /// From which.
        alphabet: String,
    },
    /// It is generated as syllables.
    Passphrase,
    /// A file or credential, byte for byte.
    File(PathBuf),
    /// Only a person can insert it.
    Manual,
}

impl From<&Generated> for ValueSource {
    fn from(source: &Generated) -> Self {
        match source {
            Generated::Characters { length, alphabet } => Self::Characters {
                length: *length,
                alphabet: alphabet.clone(),
            },
            Generated::Passphrase => Self::Passphrase,
            Generated::Manual => Self::Manual,
        }
    }
}

/// Why a stored release cannot be used.
#[derive(Debug, Error)]
pub enum ReleaseError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] DurableError),
    /// It is there and is not what was stored.
    #[error("the stored release {} is damaged: {why}", path.display())]
    Damaged {
        /// Its folder.
        path: PathBuf,
        /// How that shows.
        why: String,
    },
}

const FILE: &str = "release.json";
const CHECK: &str = "release.b3";

/// Stores a release in `dir`. Doing it again changes nothing.
///
/// # Errors
/// It could not be made durable.
pub fn store(dir: &Path, frozen: &Frozen) -> Result<(), ReleaseError> {
    let damaged = |why: String| ReleaseError::Damaged {
        path: dir.to_owned(),
        why,
    };
    let text = serde_json::to_vec_pretty(frozen).map_err(|error| damaged(error.to_string()))?;
    std::fs::create_dir_all(dir).map_err(DurableError::at("create", dir))?;
    durable::write(&dir.join(FILE), &text, 0o600)?;
    // Last, so that a release without it is known not to be whole.
    durable::write(
        &dir.join(CHECK),
        blake3::hash(&text).to_hex().as_bytes(),
        0o600,
    )?;
    Ok(())
}

/// The release stored in `dir`; nothing only when there truly is none, or it was never stored whole.
///
/// # Errors
/// It cannot be read, or is not what was stored.
pub fn load(dir: &Path) -> Result<Option<Frozen>, ReleaseError> {
    let (Some(text), Some(check)) = (
        durable::read_optional(&dir.join(FILE))?,
        durable::read_optional(&dir.join(CHECK))?,
    ) else {
        return Ok(None);
    };
    let damaged = |why: String| ReleaseError::Damaged {
        path: dir.to_owned(),
        why,
    };
    if blake3::hash(&text).to_hex().as_bytes() != check.as_slice() {
        return Err(damaged(format!("{FILE} is not what {CHECK} says")));
    }
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| damaged(error.to_string()))
}
