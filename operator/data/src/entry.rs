//! One line of a manifest: all that is promised about one entry of a volume.

use std::collections::{BTreeMap, HashMap};

use rustix::fs::{FileType, readlinkat};
use serde::{Deserialize, Serialize};

use crate::DataError;
use crate::attributes::Attributes;
use crate::text::{escape, unescape};
use crate::walk::Node;

/// The order of the fields is part of the format: the digest of a volume is that of its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Relative to the volume and escaped; `.` for the volume's own directory.
    pub(crate) path: String,
    #[serde(flatten)]
    pub(crate) kind: Kind,
    /// The path of the first entry that is the same file, for all its further hard links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) same_as: Option<String>,
    /// Octal, with suid, sgid and sticky.
    pub(crate) mode: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds since the epoch, a dot, nine digits of nanoseconds.
    pub(crate) modified: String,
    /// Names and values escaped. POSIX ACLs are among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) xattrs: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum Kind {
    Directory,
    File { size: u64, blake3: String },
    Symlink { target: String },
    Fifo,
    Socket,
    Character { major: u32, minor: u32 },
    Block { major: u32, minor: u32 },
}

impl Entry {
    /// The line of this entry, with its end.
    pub(crate) fn line(&self) -> Result<String, DataError> {
        let mut line = serde_json::to_string(self)
            .map_err(|e| DataError::io("describe", self.path.as_str(), std::io::Error::from(e)))?;
        line.push('\n');
        Ok(line)
    }

    /// Sorts as a walk goes: a directory, then what is in it, then its next sibling.
    pub(crate) fn order(&self) -> Vec<u8> {
        if self.path == "." {
            return Vec::new();
        }
        let mut key = unescape(&self.path).unwrap_or_else(|| self.path.clone().into_bytes());
        // No name contains a zero byte, so that a separator sorts before all else.
        key.iter_mut()
            .filter(|byte| **byte == b'/')
            .for_each(|byte| *byte = 0);
        key
    }

    /// What is not as in `self`, for a person.
    pub(crate) fn difference(&self, found: &Self) -> String {
        let mut parts = Vec::new();
        if self.kind != found.kind {
            parts.push(match (&self.kind, &found.kind) {
                (Kind::File { size: a, .. }, Kind::File { size: b, .. }) if a == b => {
                    "has other contents".to_owned()
                }
                (Kind::File { size: a, .. }, Kind::File { size: b, .. }) => {
                    format!("has {b} bytes instead of {a}")
                }
                (expected, actual) => format!("is {actual:?} instead of {expected:?}"),
            });
        }
        let mut compare = |what, expected: &dyn std::fmt::Debug, actual: &dyn std::fmt::Debug| {
            let (expected, actual) = (format!("{expected:?}"), format!("{actual:?}"));
            if expected != actual {
                parts.push(format!("has {what} {actual} instead of {expected}"));
            }
        };
        compare("hard link", &self.same_as, &found.same_as);
        compare("mode", &self.mode, &found.mode);
        compare("owner", &(self.uid, self.gid), &(found.uid, found.gid));
        compare("modification time", &self.modified, &found.modified);
        // Their values may be long, and are not for reading.
        let mut names: Vec<&String> = self.xattrs.keys().chain(found.xattrs.keys()).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| self.xattrs.get(*name) != found.xattrs.get(*name));
        parts.extend(
            names
                .into_iter()
                .map(|name| format!("has another extended attribute {name}")),
        );
        parts.join(", ")
    }
}

/// What the first entry of a hard-linked file was.
struct First {
    path: Vec<u8>,
    kind: Kind,
}

/// Turns what a walk sees into entries, and remembers hard links for that.
#[derive(Default)]
pub(crate) struct Describe {
    first: HashMap<((u32, u32), u64), First>,
    /// Bytes of regular files, each file once however many names it has.
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
}

impl Describe {
    /// The entry for `node`. `contents` is asked for the digest of a regular file when it is seen for the first time.
    pub(crate) fn entry(
        &mut self,
        node: &Node<'_>,
        attributes: &Attributes,
        contents: &mut dyn FnMut() -> Result<blake3::Hash, DataError>,
    ) -> Result<Entry, DataError> {
        let status = node.status;
        let may_be_linked = status.kind != FileType::Directory && status.links > 1;
        let first = if may_be_linked {
            self.first.get(&status.identity())
        } else {
            None
        };
        let same_as = first.map(|first| escape(&first.path));
        let kind = match first {
            Some(first) => first.kind.clone(),
            None => self.kind(node, contents)?,
        };
        if may_be_linked && same_as.is_none() {
            self.first.insert(
                status.identity(),
                First {
                    path: node.path.to_vec(),
                    kind: kind.clone(),
                },
            );
        }
        self.entries += 1;
        let (seconds, nanoseconds) = attributes.modified;
        Ok(Entry {
            path: if node.path.is_empty() {
                ".".to_owned()
            } else {
                escape(node.path)
            },
            kind,
            same_as,
            mode: format!("{:04o}", attributes.mode),
            uid: attributes.uid,
            gid: attributes.gid,
            modified: format!("{seconds}.{nanoseconds:09}"),
            xattrs: attributes
                .xattrs
                .iter()
                .map(|(name, value)| (escape(name), escape(value)))
                .collect(),
        })
    }

    /// The path under which the same file was seen first, if this is not that.
    pub(crate) fn first_path(&self, node: &Node<'_>) -> Option<&[u8]> {
        let first = self.first.get(&node.status.identity())?;
        (first.path != node.path).then_some(first.path.as_slice())
    }

    fn kind(
        &mut self,
        node: &Node<'_>,
        contents: &mut dyn FnMut() -> Result<blake3::Hash, DataError>,
    ) -> Result<Kind, DataError> {
        let (major, minor) = node.status.node;
        Ok(match node.status.kind {
            FileType::RegularFile => {
                self.bytes += node.status.size;
                Kind::File {
                    size: node.status.size,
                    blake3: contents()?.to_hex().to_string(),
                }
            }
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink {
                target: escape(&link_target(node)?),
            },
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::CharacterDevice => Kind::Character { major, minor },
            FileType::BlockDevice => Kind::Block { major, minor },
            FileType::Unknown => {
                return Err(node.error("tell the type of", rustix::io::Errno::NOTSUP));
            }
        })
    }
}

pub(crate) fn link_target(node: &Node<'_>) -> Result<Vec<u8>, DataError> {
    let target = readlinkat(node.dir, node.name, Vec::new())
        .map_err(|e| node.error("read the symlink", e))?;
    Ok(target.into_bytes())
}
