//! The files of one commit, read from the repository without a work tree.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use super::git::{Call, Git, GitError, Overflow};
use super::mirror::Health;
use super::tags::CommitId;

/// The largest file that is read whole. Swarm takes no config or secret above 1000 KiB, and a recipe's own files are small.
pub const FILE_MAX_BYTES: u64 = 1 << 20;
/// The most that the files of one commit may take in memory together.
const ALL_FILES_MAX_BYTES: u64 = 64 << 20;
/// A recipe has a few dozen files; this is room for some ten thousand names.
const LISTING_MAX_BYTES: usize = 4 << 20;
const LINKS_MAX: usize = 16;

/// Why a file of a commit cannot be had.
#[derive(Debug, Error)]
pub enum TreeError {
    /// It is not in this commit.
    #[error("there is no file `{path}` in commit {commit}")]
    NotFound {
        /// The path that was asked for.
        path: String,
        /// Where it was looked for.
        commit: CommitId,
    },
    /// The path, or a link on its way, leads out of the recipe.
    #[error("`{path}` leads out of the recipe; only the recipe's own files can be read")]
    Outside {
        /// The path that was asked for.
        path: String,
    },
    /// It is a directory or a submodule, or a chain of links that does not end.
    #[error("`{path}` in commit {commit} is {what}, not a file")]
    NotAFile {
        /// The path that was asked for.
        path: String,
        /// Where it was looked for.
        commit: CommitId,
        /// What it is.
        what: &'static str,
    },
    /// It is larger than anything that is read whole.
    #[error(
        "`{path}` in commit {commit} has {size_bytes} bytes; at most {FILE_MAX_BYTES} are read"
    )]
    TooLarge {
        /// The path that was asked for.
        path: String,
        /// Where it was looked for.
        commit: CommitId,
        /// Its size.
        size_bytes: u64,
    },
    /// It should be text.
    #[error("`{path}` in commit {commit} is not UTF-8 text (byte {at} is not valid)")]
    NotText {
        /// The path that was asked for.
        path: String,
        /// Where it was looked for.
        commit: CommitId,
        /// Offset of the first bad byte.
        at: usize,
    },
    /// Git gave no answer; nothing is known about the file.
    #[error("cannot read the files of commit {commit}: {source}")]
    Git {
        /// The commit.
        commit: CommitId,
        /// What git said.
        source: GitError,
    },
}

/// The files of a commit by name; contents are read when asked for.
#[derive(Debug, Clone)]
pub struct Tree {
    git: Git,
    health: Health,
    index: Arc<Index>,
}

/// The files of a commit with their contents in memory, for readers that cannot wait.
#[derive(Debug, Clone)]
pub struct Files {
    index: Arc<Index>,
    blobs: BTreeMap<String, Vec<u8>>,
}

/// The first bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The size of the whole file.
    pub size_bytes: u64,
}

#[derive(Debug)]
struct Index {
    commit: CommitId,
    entries: BTreeMap<Vec<u8>, Entry>,
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    object: String,
    size_bytes: u64,
}

#[derive(Debug)]
enum Kind {
    File,
    Link(Vec<u8>),
    Submodule,
}

impl Tree {
    /// Lists a commit's files. A commit that is not there, or an object that is damaged, is an error.
    pub(super) async fn at(git: Git, health: Health, commit: &CommitId) -> Result<Self, TreeError> {
        let list = Call::new("ls-tree")
            .args(["ls-tree", "-r", "-l", "-z", "--full-tree", commit.as_str()])
            .limit_bytes(LISTING_MAX_BYTES, Overflow::Refuse);
        let failed = |source| failed(&health, commit, source);
        let listing = git.run(list).await.map_err(failed)?;
        let mut entries = parse_listing(&listing).map_err(failed)?;
        let links: Vec<&Entry> = entries
            .values()
            .filter(|entry| matches!(entry.kind, Kind::Link(_)))
            .collect();
        let targets = read_blobs(&git, &links).await.map_err(failed)?;
        for entry in entries.values_mut() {
            if let (Kind::Link(target), Some(bytes)) = (&mut entry.kind, targets.get(&entry.object))
            {
                target.clone_from(bytes);
            }
        }
        let index = Arc::new(Index {
            commit: commit.clone(),
            entries,
        });
        Ok(Self { git, health, index })
    }

    /// The commit these are the files of.
    pub fn commit(&self) -> &CommitId {
        &self.index.commit
    }

    /// Whether there is a file at this path.
    pub fn has(&self, path: &str) -> bool {
        self.index.find("", path).is_ok()
    }

    /// Every file's path, sorted; what is not UTF-8 is replaced.
    pub fn paths(&self) -> impl Iterator<Item = String> + '_ {
        self.index
            .entries
            .keys()
            .map(|path| String::from_utf8_lossy(path).into_owned())
    }

    /// A file's bytes, at most [`FILE_MAX_BYTES`].
    pub async fn read(&self, path: &str) -> Result<Vec<u8>, TreeError> {
        let entry = self.index.find("", path)?;
        self.index.check_size(path, entry)?;
        self.blob(entry, usize::try_from(FILE_MAX_BYTES).unwrap_or(usize::MAX))
            .await
    }

    /// A file's text.
    pub async fn read_text(&self, path: &str) -> Result<String, TreeError> {
        self.index.text(path, self.read(path).await?)
    }

    /// The first bytes of a file of any size; none when there is no such file.
    pub async fn read_head(
        &self,
        path: &str,
        limit_bytes: usize,
    ) -> Result<Option<Head>, TreeError> {
        let entry = match self.index.find("", path) {
            Ok(entry) => entry,
            Err(TreeError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = self.blob(entry, limit_bytes).await?;
        Ok(Some(Head {
            bytes,
            size_bytes: entry.size_bytes,
        }))
    }

    /// Reads every file of at most [`FILE_MAX_BYTES`] into memory, in one call of git; a larger one is an error when it is read.
    pub async fn load(&self) -> Result<Files, TreeError> {
        let mut room = ALL_FILES_MAX_BYTES;
        let wanted: Vec<&Entry> = self
            .index
            .entries
            .values()
            .filter(|entry| matches!(entry.kind, Kind::File) && entry.size_bytes <= FILE_MAX_BYTES)
            .take_while(|entry| {
                let fits = entry.size_bytes <= room;
                room = room.saturating_sub(entry.size_bytes);
                fits
            })
            .collect();
        let blobs = read_blobs(&self.git, &wanted)
            .await
            .map_err(|source| failed(&self.health, self.commit(), source))?;
        Ok(Files {
            index: self.index.clone(),
            blobs,
        })
    }

    async fn blob(&self, entry: &Entry, limit_bytes: usize) -> Result<Vec<u8>, TreeError> {
        let call = Call::new("cat-file")
            .args(["cat-file", "blob", &entry.object])
            .limit_bytes(limit_bytes, Overflow::Cut);
        let output = self
            .git
            .run(call)
            .await
            .map_err(|source| failed(&self.health, self.commit(), source))?;
        Ok(output)
    }
}

impl Files {
    /// The commit these are the files of.
    pub fn commit(&self) -> &CommitId {
        &self.index.commit
    }

    /// Whether there is a file at this path.
    pub fn has(&self, path: &str) -> bool {
        self.index.find("", path).is_ok()
    }

    /// The bytes of the file at `path`, which is relative to the directory `from` (empty for the recipe's own directory).
    pub fn read(&self, from: &str, path: &str) -> Result<Vec<u8>, TreeError> {
        let entry = self.index.find(from, path)?;
        match self.blobs.get(&entry.object) {
            Some(bytes) => Ok(bytes.clone()),
            None => Err(self.index.too_large(path, entry)),
        }
    }

    /// A file's text.
    pub fn read_text(&self, path: &str) -> Result<String, TreeError> {
        self.index.text(path, self.read("", path)?)
    }
}

impl Index {
    /// The file at a path, through links, never out of the tree.
    fn find(&self, from: &str, path: &str) -> Result<&Entry, TreeError> {
        let outside = || TreeError::Outside {
            path: path.to_owned(),
        };
        let what = |what| TreeError::NotAFile {
            path: path.to_owned(),
            commit: self.commit.clone(),
            what,
        };
        if path.starts_with('/') {
            return Err(outside());
        }
        let mut links = 0;
        let mut at: Vec<Vec<u8>> = Vec::new();
        let mut rest: Vec<Vec<u8>> = reversed(path.as_bytes());
        rest.extend(reversed(from.as_bytes()));
        while let Some(part) = rest.pop() {
            match part.as_slice() {
                b"" | b"." => {}
                b".." => {
                    at.pop().ok_or_else(outside)?;
                }
                _ => at.push(part),
            }
            let Some(Entry {
                kind: Kind::Link(target),
                ..
            }) = self.entries.get(&at.join(&b'/'))
            else {
                continue;
            };
            links += 1;
            if links > LINKS_MAX {
                return Err(what("a chain of links without end"));
            }
            if target.starts_with(b"/") {
                return Err(outside());
            }
            at.pop();
            rest.extend(reversed(target));
        }
        let full = at.join(&b'/');
        match self.entries.get(&full) {
            Some(Entry {
                kind: Kind::Submodule,
                ..
            }) => Err(what("a submodule")),
            Some(entry) => Ok(entry),
            None if full.is_empty() || self.is_directory(&full) => Err(what("a directory")),
            None => Err(TreeError::NotFound {
                path: path.to_owned(),
                commit: self.commit.clone(),
            }),
        }
    }

    fn is_directory(&self, path: &[u8]) -> bool {
        let prefix = [path, b"/"].concat();
        self.entries
            .range(prefix.clone()..)
            .next()
            .is_some_and(|(name, _)| name.starts_with(&prefix))
    }

    fn check_size(&self, path: &str, entry: &Entry) -> Result<(), TreeError> {
        if entry.size_bytes > FILE_MAX_BYTES {
            Err(self.too_large(path, entry))
        } else {
            Ok(())
        }
    }

    fn too_large(&self, path: &str, entry: &Entry) -> TreeError {
        TreeError::TooLarge {
            path: path.to_owned(),
            commit: self.commit.clone(),
            size_bytes: entry.size_bytes,
        }
    }

    fn text(&self, path: &str, bytes: Vec<u8>) -> Result<String, TreeError> {
        String::from_utf8(bytes).map_err(|error| TreeError::NotText {
            path: path.to_owned(),
            commit: self.commit.clone(),
            at: error.utf8_error().valid_up_to(),
        })
    }
}

/// The parts of a path, last first.
fn reversed(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .rev()
        .map(<[u8]>::to_vec)
        .collect()
}

fn failed(health: &Health, commit: &CommitId, source: GitError) -> TreeError {
    // Git fails here only when an object that a ref leads to is missing or damaged.
    if matches!(source, GitError::Failed { .. } | GitError::Nonsense { .. }) {
        health.mark_damaged();
    }
    TreeError::Git {
        commit: commit.clone(),
        source,
    }
}

/// Reads `<mode> <type> <object> <size>\t<path>\0` records.
fn parse_listing(listing: &[u8]) -> Result<BTreeMap<Vec<u8>, Entry>, GitError> {
    let mut entries = BTreeMap::new();
    for record in listing
        .split(|byte| *byte == 0)
        .filter(|record| !record.is_empty())
    {
        let nonsense = || GitError::Nonsense {
            what: "ls-tree",
            detail: String::from_utf8_lossy(record).into_owned(),
        };
        let tab = record
            .iter()
            .position(|byte| *byte == b'\t')
            .ok_or_else(nonsense)?;
        let head = String::from_utf8_lossy(&record[..tab]);
        let mut fields = head.split_whitespace();
        let (Some(mode), Some(_), Some(object), Some(size)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(nonsense());
        };
        let kind = match mode {
            "120000" => Kind::Link(Vec::new()),
            "160000" => Kind::Submodule,
            _ => Kind::File,
        };
        let size_bytes = if size == "-" {
            0
        } else {
            size.parse().map_err(|_| nonsense())?
        };
        entries.insert(
            record[tab + 1..].to_vec(),
            Entry {
                kind,
                object: object.to_owned(),
                size_bytes,
            },
        );
    }
    Ok(entries)
}

/// The contents of these objects, which together fit in memory.
async fn read_blobs(git: &Git, entries: &[&Entry]) -> Result<BTreeMap<String, Vec<u8>>, GitError> {
    let mut blobs = BTreeMap::new();
    if entries.is_empty() {
        return Ok(blobs);
    }
    let asked: String = entries
        .iter()
        .flat_map(|entry| [entry.object.as_str(), "\n"])
        .collect();
    let expected: u64 = entries.iter().map(|entry| entry.size_bytes + 128).sum();
    let limit_bytes = usize::try_from(expected).unwrap_or(usize::MAX);
    let call = Call::new("cat-file")
        .args(["cat-file", "--batch"])
        .stdin(asked.as_bytes())
        .limit_bytes(limit_bytes, Overflow::Refuse);
    let output = git.run(call).await?;
    let mut rest = output.as_slice();
    for entry in entries {
        let end = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(rest.len());
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        let size = head
            .strip_prefix(&format!("{} blob ", entry.object))
            .and_then(|size| size.parse::<usize>().ok());
        let content = size.and_then(|size| {
            Some((
                rest.get(end + 1..end + 1 + size)?,
                rest.get(end + 2 + size..)?,
            ))
        });
        let Some((bytes, after)) = content else {
            return Err(GitError::Nonsense {
                what: "cat-file",
                detail: head,
            });
        };
        blobs.insert(entry.object.clone(), bytes.to_vec());
        rest = after;
    }
    Ok(blobs)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
