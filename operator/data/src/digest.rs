//! The digest of a volume, and the comparison of a tree with a manifest.

use std::fmt;
use std::io::BufRead;
use std::iter::Peekable;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::entry::Entry;
use crate::read::{From, read};
use crate::{DataError, Difference, Watch};

/// A blake3 digest; as text, 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Digest(blake3::Hash);

impl Digest {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

impl std::convert::From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Self(hash)
    }
}

impl FromStr for Digest {
    type Err = blake3::HexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        blake3::Hash::from_hex(text).map(Self)
    }
}

impl TryFrom<String> for Digest {
    type Error = blake3::HexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl std::convert::From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// All of a volume in one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeDigest {
    /// Over contents and metadata of everything in the volume and of its own directory. Access and change times,
    /// inode numbers and the place of holes are not part of it.
    pub digest: Digest,
    /// Files, directories and so on, the volume's own directory included.
    pub entries: u64,
    /// Bytes in regular files, holes included, a file with several names once.
    pub bytes: u64,
}

/// Reads all of a volume, which must not be written to meanwhile.
pub fn digest(volume_dir: &Path, watch: &dyn Watch) -> Result<VolumeDigest, DataError> {
    digest_from(volume_dir, From::Anywhere, watch)
}

pub(crate) fn digest_from(
    volume_dir: &Path,
    from: From,
    watch: &dyn Watch,
) -> Result<VolumeDigest, DataError> {
    let mut lines = Lines::default();
    let totals = read(volume_dir, from, watch, &mut |entry| {
        lines.add(&entry).map(drop)
    })?;
    Ok(VolumeDigest {
        digest: lines.digest(),
        entries: totals.entries,
        bytes: totals.bytes,
    })
}

/// The digest of a manifest, line by line.
#[derive(Default)]
pub(crate) struct Lines(blake3::Hasher);

impl Lines {
    /// Gives the line back.
    pub(crate) fn add(&mut self, entry: &Entry) -> Result<String, DataError> {
        let line = entry.line()?;
        self.0.update(line.as_bytes());
        Ok(line)
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest(self.0.finalize())
    }
}

/// The first differences are told, no more.
const TOLD: usize = 10;

/// Reads the tree and compares it with `manifest`. `what` names the tree in the error.
pub(crate) fn compare(
    manifest: impl BufRead,
    tree: &Path,
    what: &str,
    watch: &dyn Watch,
) -> Result<(), DataError> {
    let mut expected = manifest.lines().map(|line| entry(line, what)).peekable();
    let mut found = Found::default();
    read(tree, From::Disk, watch, &mut |actual| {
        let here = actual.order();
        while let Some(entry) = next_if(&mut expected, |entry| entry.order() < here)? {
            found.add(&entry, "is missing");
        }
        match next_if(&mut expected, |entry| entry.order() == here)? {
            None => found.add(&actual, "was not there when it was sealed"),
            Some(entry) if entry != actual => found.add(&entry, &entry.difference(&actual)),
            Some(_) => {}
        }
        Ok(())
    })?;
    while let Some(entry) = next_if(&mut expected, |_| true)? {
        found.add(&entry, "is missing");
    }
    if found.total == 0 {
        return Ok(());
    }
    Err(DataError::Differs {
        what: what.to_owned(),
        first: found.first,
        total: found.total,
    })
}

fn entry(line: Result<String, std::io::Error>, what: &str) -> Result<Entry, DataError> {
    let line = line.map_err(|e| DataError::io("read the manifest of", what, e))?;
    serde_json::from_str(&line)
        .map_err(|e| DataError::io("understand the manifest of", what, std::io::Error::from(e)))
}

fn next_if(
    entries: &mut Peekable<impl Iterator<Item = Result<Entry, DataError>>>,
    wanted: impl Fn(&Entry) -> bool,
) -> Result<Option<Entry>, DataError> {
    entries
        .next_if(|entry| entry.as_ref().map_or(true, &wanted))
        .transpose()
}

#[derive(Default)]
struct Found {
    first: Vec<Difference>,
    total: u64,
}

impl Found {
    fn add(&mut self, entry: &Entry, what: &str) {
        self.total += 1;
        if self.first.len() < TOLD {
            self.first.push(Difference {
                path: entry.path.clone(),
                what: what.to_owned(),
            });
        }
    }
}
