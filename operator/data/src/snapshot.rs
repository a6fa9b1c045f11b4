//! A sealed snapshot on disk: opened and verified.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, compare};
use crate::files::{error, exists, parent};
use crate::{DataError, Watch};

pub(crate) const FORMAT: &str = "ci-warm-seal/1";
pub(crate) const SEAL: &str = "seal.json";
pub(crate) const CHECK: &str = "seal.b3";
pub(crate) const VOLUMES: &str = "volumes";
pub(crate) const MANIFESTS: &str = "manifests";

/// The name of a volume, as Docker allows them, and short enough to be part of a file name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct VolumeName(String);

impl VolumeName {
    /// Refuses what Docker would refuse, so that a name is always one component of a path.
    pub fn new(name: impl Into<String>) -> Result<Self, DataError> {
        let name = name.into();
        check_name("a volume", &name)?;
        Ok(Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for VolumeName {
    type Err = DataError;

    fn from_str(name: &str) -> Result<Self, DataError> {
        Self::new(name)
    }
}

impl TryFrom<String> for VolumeName {
    type Error = DataError;

    fn try_from(name: String) -> Result<Self, DataError> {
        Self::new(name)
    }
}

impl From<VolumeName> for String {
    fn from(name: VolumeName) -> Self {
        name.0
    }
}

pub(crate) fn check_name(what: &'static str, name: &str) -> Result<(), DataError> {
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if starts_well && name.len() <= 200 && name.chars().all(allowed) {
        return Ok(());
    }
    Err(DataError::BadName {
        what,
        name: name.to_owned(),
    })
}

/// One volume of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedVolume {
    /// The volume.
    pub name: VolumeName,
    /// What [`crate::digest()`] gave for the volume, and gives for it once it is restored.
    pub digest: Digest,
    /// Files, directories and so on, the volume's own directory included.
    pub entries: u64,
    /// Bytes in regular files, holes included.
    pub bytes: u64,
    /// Bytes allocated to the copy, so without holes: the room a restore needs.
    pub allocated: u64,
}

/// What `seal.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seal {
    pub(crate) format: String,
    pub(crate) volumes: Vec<SealedVolume>,
    pub(crate) context: serde_json::Value,
}

/// A snapshot that was published whole. That it is *still* whole is what [`verify`] says.
#[derive(Debug, Clone, PartialEq)]
pub struct Sealed {
    pub(crate) dir: PathBuf,
    pub(crate) seal: Seal,
}

impl Sealed {
    /// The snapshot's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The volumes, in the order in which they were given.
    pub fn volumes(&self) -> &[SealedVolume] {
        &self.seal.volumes
    }

    /// What the caller recorded with the snapshot.
    pub fn context(&self) -> &serde_json::Value {
        &self.seal.context
    }

    /// Bytes allocated to all volumes together.
    pub fn allocated(&self) -> u64 {
        self.seal
            .volumes
            .iter()
            .map(|volume| volume.allocated)
            .sum()
    }

    pub(crate) fn tree(&self, volume: &VolumeName) -> PathBuf {
        self.dir.join(VOLUMES).join(volume.as_str())
    }

    pub(crate) fn manifest(&self, volume: &VolumeName) -> PathBuf {
        self.dir.join(MANIFESTS).join(format!("{volume}.jsonl"))
    }
}

/// Opens a snapshot. Nothing means that there truly is none: the directory it would be in, or the one above that, was
/// asked and answered. A directory that is there but was not published by [`crate::seal()`], or whose seal was altered, is
/// [`DataError::Corrupt`]; anything else that hinders is [`DataError::Io`].
///
/// Does not read the data: that is [`verify`].
pub fn open_sealed(snapshot_dir: &Path) -> Result<Option<Sealed>, DataError> {
    let above = parent(snapshot_dir)?;
    if !exists(above)? || !exists(snapshot_dir)? {
        return Ok(None);
    }
    let corrupt = |why: String| DataError::Corrupt {
        snapshot: snapshot_dir.to_owned(),
        why,
    };
    let read = |name: &str| {
        let path = snapshot_dir.join(name);
        fs::read(&path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                corrupt(format!("it has no {name}"))
            }
            _ => error("read", &path, e),
        })
    };
    let (text, check) = (read(SEAL)?, read(CHECK)?);
    if check != check_line(&text).as_bytes() {
        return Err(corrupt(format!("{SEAL} is not what {CHECK} says")));
    }
    let seal: Seal = serde_json::from_slice(&text)
        .map_err(|e| corrupt(format!("{SEAL} is not understood: {e}")))?;
    if seal.format != FORMAT {
        return Err(corrupt(format!(
            "its format is {:?}, and only {FORMAT:?} is understood",
            seal.format
        )));
    }
    Ok(Some(Sealed {
        dir: snapshot_dir.to_owned(),
        seal,
    }))
}

/// The content of `seal.b3`, as `b3sum` writes it.
pub(crate) fn check_line(seal: &[u8]) -> String {
    format!("{}  {SEAL}\n", Digest::of(seal))
}

/// Reads everything in the snapshot again, from the disk, and compares it with the manifests, and those with the seal.
/// [`DataError::Corrupt`] or [`DataError::Differs`] mean that it must not be restored.
pub fn verify(sealed: &Sealed, watch: &dyn Watch) -> Result<(), DataError> {
    for volume in &sealed.seal.volumes {
        let corrupt = |why: String| DataError::Corrupt {
            snapshot: sealed.dir.clone(),
            why,
        };
        let missing = |path: &Path, failed: DataError| {
            if failed.is_not_found() {
                corrupt(format!("{} is missing", path.display()))
            } else {
                failed
            }
        };
        let path = sealed.manifest(&volume.name);
        let manifest = File::open(&path).map_err(|e| missing(&path, error("open", &path, e)))?;
        if hash_of(&manifest).map_err(|e| error("read", &path, e))? != volume.digest {
            return Err(corrupt(format!(
                "the manifest of volume {} was altered or cut off",
                volume.name
            )));
        }
        let manifest = BufReader::new(File::open(&path).map_err(|e| error("open", &path, e))?);
        let tree = sealed.tree(&volume.name);
        if !exists(&tree).map_err(|e| missing(&tree, e))? {
            return Err(corrupt(format!("{} is missing", tree.display())));
        }
        compare(
            manifest,
            &tree,
            &format!(
                "volume {} of snapshot {}",
                volume.name,
                sealed.dir.display()
            ),
            watch,
        )?;
    }
    Ok(())
}

fn hash_of(mut file: &File) -> io::Result<Digest> {
    let mut bytes = Vec::new();
    let mut hasher = blake3::Hasher::new();
    while (&mut file).take(1 << 20).read_to_end(&mut bytes)? > 0 {
        hasher.update(&bytes);
        bytes.clear();
    }
    Ok(Digest::from(hasher.finalize()))
}
