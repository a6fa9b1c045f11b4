//! Copying a tree exactly.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, linkat, makedev, mkdirat, mknodat, openat, symlinkat,
};
use rustix::io::Errno;

use crate::attributes::Attributes;
use crate::contents::Transfer;
use crate::entry::{Describe, Entry, link_target};
use crate::read::{Totals, explain, open_file};
use crate::text::shown;
use crate::walk::{Cursor, Node, Status, Visit, walk};
use crate::{DataError, Watch};

/// What a tree looked like during the copy: one number per entry, in walking order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stamps(Vec<u64>);

/// Copies the tree at `source` into the empty directory `target`, and gives `sink` every entry on the way.
///
/// Nothing is flushed to the disk: [`crate::files::flush`] does that for the whole copy at once.
pub(crate) fn copy(
    source: &Path,
    target: &Path,
    watch: &dyn Watch,
    sink: &mut dyn FnMut(Entry) -> Result<(), DataError>,
) -> Result<(Totals, Stamps), DataError> {
    let mut copier = Copier {
        describe: Describe::default(),
        transfer: Transfer::new(watch),
        root: target.to_owned(),
        cursor: Cursor::open(target)?,
        open: Vec::new(),
        stamps: Vec::new(),
        watch,
        sink,
    };
    walk(source, &mut copier)?;
    let totals = Totals {
        entries: copier.describe.entries,
        bytes: copier.describe.bytes,
    };
    Ok((totals, Stamps(copier.stamps)))
}

struct Copier<'a> {
    describe: Describe,
    transfer: Transfer<'a>,
    root: PathBuf,
    cursor: Cursor,
    /// Of the directories we are in: they can be put on only when nothing more changes inside.
    open: Vec<(Vec<u8>, Attributes)>,
    stamps: Vec<u64>,
    watch: &'a dyn Watch,
    sink: &'a mut dyn FnMut(Entry) -> Result<(), DataError>,
}

impl Visit for Copier<'_> {
    fn enter(&mut self, node: &Node<'_>) -> Result<(), DataError> {
        self.stamps.push(stamp(node));
        let attributes = Attributes::read(node)?;
        let entry = self.describe.entry(node, &attributes, &mut || {
            Err(node.error("read", Errno::ISDIR))
        })?;
        if !node.path.is_empty() {
            let name = base(node)?;
            mkdirat(self.cursor.fd(), name.as_c_str(), Mode::RWXU)
                .and_then(|()| self.cursor.down(&name))
                .map_err(|errno| self.error("make the directory", node, errno))?;
        }
        self.open.push((node.path.to_vec(), attributes));
        self.watch.reached("copy:directory-made")?;
        (self.sink)(entry)
    }

    fn leaf(&mut self, node: &Node<'_>) -> Result<(), DataError> {
        self.stamps.push(stamp(node));
        let attributes = Attributes::read(node)?;
        let Self {
            describe,
            transfer,
            cursor,
            root,
            ..
        } = self;
        let entry = describe.entry(node, &attributes, &mut || {
            let source = open_file(node)?;
            let flags =
                OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let target: OwnedFd = openat(cursor.fd(), node.name, flags, Mode::RUSR | Mode::WUSR)
                .map_err(|errno| DataError::io("create", shown(root, node.path), errno))?;
            transfer
                .copy(&source, node.status.size, &File::from(target))
                .map_err(|failed| explain(failed, node))
        })?;
        if entry.same_as.is_some() {
            self.link(node)?;
        } else {
            self.make(node)?;
            attributes.apply(self.cursor.fd(), node.name, &|doing, errno| {
                self.error(doing, node, errno)
            })?;
        }
        self.watch.reached("copy:entry-made")?;
        (self.sink)(entry)
    }

    fn leave(&mut self) -> Result<(), DataError> {
        let Some((path, attributes)) = self.open.pop() else {
            return Ok(());
        };
        let fail = |doing, errno: Errno| DataError::io(doing, shown(&self.root, &path), errno);
        attributes.apply(self.cursor.fd(), c".", &fail)?;
        if !self.open.is_empty() {
            self.cursor.up().map_err(|errno| fail("leave", errno))?;
        }
        Ok(())
    }
}

impl Copier<'_> {
    fn error(&self, doing: &'static str, node: &Node<'_>, errno: Errno) -> DataError {
        DataError::io(doing, shown(&self.root, node.path), errno)
    }

    /// Makes what is neither a directory nor a regular file.
    fn make(&self, node: &Node<'_>) -> Result<(), DataError> {
        let dir = self.cursor.fd();
        match node.status.kind {
            FileType::RegularFile | FileType::Directory => Ok(()),
            FileType::Symlink => symlinkat(link_target(node)?.as_slice(), dir, node.name),
            kind => {
                let (major, minor) = node.status.node;
                mknodat(
                    dir,
                    node.name,
                    kind,
                    Mode::RUSR | Mode::WUSR,
                    makedev(major, minor),
                )
            }
        }
        .map_err(|errno| self.error("create", node, errno))
    }

    /// Gives the copy of the same file, made before, one more name.
    fn link(&self, node: &Node<'_>) -> Result<(), DataError> {
        let Some(first) = self.describe.first_path(node) else {
            return Err(self.error("find the first name of", node, Errno::NOENT));
        };
        let mut parents: Vec<&[u8]> = first.split(|byte| *byte == b'/').collect();
        let name = parents.pop().unwrap_or_default();
        let mut cursor = Cursor::open(&self.root)?;
        for parent in parents {
            CString::new(parent)
                .map_err(|_| Errno::INVAL)
                .and_then(|parent| cursor.down(&parent))
                .map_err(|errno| self.error("find the first name of", node, errno))?;
        }
        linkat(
            cursor.fd(),
            name,
            self.cursor.fd(),
            node.name,
            AtFlags::empty(),
        )
        .map_err(|errno| self.error("link", node, errno))
    }
}

fn base(node: &Node<'_>) -> Result<CString, DataError> {
    CString::new(node.base()).map_err(|_| node.error("name", Errno::INVAL))
}

/// Anything done to an entry moves its change time, which nobody can set back.
fn stamp(node: &Node<'_>) -> u64 {
    let Status {
        kind,
        mode,
        size,
        modified,
        changed,
        device,
        inode,
        links,
        ..
    } = node.status;
    let text =
        format!("{kind:?} {mode} {size} {modified:?} {changed:?} {device:?} {inode} {links} ");
    let mut hasher = blake3::Hasher::new();
    hasher.update(text.as_bytes()).update(node.path);
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_le_bytes(first)
}

/// The first entry at which the tree is no longer as it was during the copy, without reading any contents.
pub(crate) fn first_change(source: &Path, stamps: &Stamps) -> Result<Option<String>, DataError> {
    let mut check = Check {
        source,
        expected: stamps.0.iter(),
        changed: None,
    };
    walk(source, &mut check)?;
    if check.changed.is_none() && check.expected.next().is_some() {
        check.changed = Some(shown(source, b""));
    }
    Ok(check.changed)
}

struct Check<'a> {
    source: &'a Path,
    expected: std::slice::Iter<'a, u64>,
    changed: Option<String>,
}

impl Visit for Check<'_> {
    fn enter(&mut self, node: &Node<'_>) -> Result<(), DataError> {
        self.leaf(node)
    }

    fn leaf(&mut self, node: &Node<'_>) -> Result<(), DataError> {
        if self.expected.next() != Some(&stamp(node)) && self.changed.is_none() {
            self.changed = Some(shown(self.source, node.path));
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<(), DataError> {
        Ok(())
    }
}

/// Makes an empty directory, as a new volume is: `rwxr-xr-x`, and owned as its parent is.
pub(crate) fn make_empty(parent: &Cursor, name: &CStr) -> Result<(), Errno> {
    let owner = Status::of(parent.fd(), c".")?;
    mkdirat(parent.fd(), name, Mode::RWXU)?;
    let ids = (
        rustix::fs::Uid::from_raw(owner.uid),
        rustix::fs::Gid::from_raw(owner.gid),
    );
    rustix::fs::chownat(
        parent.fd(),
        name,
        Some(ids.0),
        Some(ids.1),
        AtFlags::SYMLINK_NOFOLLOW,
    )?;
    rustix::fs::chmodat(
        parent.fd(),
        name,
        Mode::from_raw_mode(0o755),
        AtFlags::empty(),
    )
}
