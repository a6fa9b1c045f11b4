//! Walking a tree in a fixed order, at any depth: one open directory, no path ever handed to the system.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::vec;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Statx, StatxAttributes, StatxFlags, openat, statx,
};
use rustix::io::Errno;

use crate::DataError;
use crate::text::shown;

/// What the system says about one entry.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    pub(crate) kind: FileType,
    /// Permission bits with suid, sgid and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    /// In units of 512 bytes.
    pub(crate) blocks: u64,
    /// Seconds and nanoseconds.
    pub(crate) modified: (i64, u32),
    pub(crate) changed: (i64, u32),
    pub(crate) device: (u32, u32),
    pub(crate) inode: u64,
    pub(crate) links: u32,
    /// Major and minor number of a device node.
    pub(crate) node: (u32, u32),
    mount: Option<u64>,
    attributes: StatxAttributes,
}

impl Status {
    pub(crate) fn of(dir: BorrowedFd<'_>, name: &CStr) -> Result<Self, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        statx(
            dir,
            name,
            flags,
            StatxFlags::BASIC_STATS | StatxFlags::MNT_ID,
        )
        .map(|raw| Self::from_raw(&raw))
    }

    fn from_raw(raw: &Statx) -> Self {
        let mode = u32::from(raw.stx_mode);
        Self {
            kind: FileType::from_raw_mode(mode),
            mode: mode & 0o7777,
            uid: raw.stx_uid,
            gid: raw.stx_gid,
            size: raw.stx_size,
            blocks: raw.stx_blocks,
            modified: (raw.stx_mtime.tv_sec, raw.stx_mtime.tv_nsec),
            changed: (raw.stx_ctime.tv_sec, raw.stx_ctime.tv_nsec),
            device: (raw.stx_dev_major, raw.stx_dev_minor),
            inode: raw.stx_ino,
            links: raw.stx_nlink,
            node: (raw.stx_rdev_major, raw.stx_rdev_minor),
            mount: (raw.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(raw.stx_mnt_id),
            attributes: raw.stx_attributes,
        }
    }

    pub(crate) fn identity(&self) -> ((u32, u32), u64) {
        (self.device, self.inode)
    }

    /// A bind mount of the same filesystem has the same device number, so the mount itself is asked too. Only
    /// directories are held to the device number: on overlayfs files may have another one than their directory.
    pub(crate) fn is_mounted_over(&self, top: &Self) -> bool {
        self.attributes.contains(StatxAttributes::MOUNT_ROOT)
            || self.mount != top.mount
            || (self.kind == FileType::Directory && self.device != top.device)
    }
}

/// One entry during a walk.
pub(crate) struct Node<'a> {
    /// The directory of the entry; the entry itself if that is a directory.
    pub(crate) dir: BorrowedFd<'a>,
    /// The name in `dir`; `.` if the entry is a directory.
    pub(crate) name: &'a CStr,
    /// Relative to `root`, empty for the root itself.
    pub(crate) path: &'a [u8],
    pub(crate) status: &'a Status,
    root: &'a Path,
}

impl Node<'_> {
    /// The last component of the path, under which the entry is known to its parent.
    pub(crate) fn base(&self) -> &[u8] {
        self.path
            .rsplit(|byte| *byte == b'/')
            .next()
            .unwrap_or_default()
    }

    pub(crate) fn error(
        &self,
        doing: &'static str,
        source: impl Into<std::io::Error>,
    ) -> DataError {
        DataError::io(doing, shown(self.root, self.path), source)
    }

    fn check(&self, top: &Status) -> Result<(), DataError> {
        if self.status.is_mounted_over(top) {
            return Err(DataError::MountPoint {
                path: shown(self.root, self.path),
            });
        }
        if self
            .status
            .attributes
            .intersects(StatxAttributes::IMMUTABLE | StatxAttributes::APPEND)
        {
            let path = shown(self.root, self.path);
            return Err(DataError::Unsupported {
                path,
                why: "is immutable or append-only (chattr +i or +a)",
            });
        }
        Ok(())
    }
}

/// Sees every entry: a directory before what is in it, names in byte order.
pub(crate) trait Visit {
    fn enter(&mut self, node: &Node<'_>) -> Result<(), DataError>;
    fn leaf(&mut self, node: &Node<'_>) -> Result<(), DataError>;
    /// Everything in the directory entered last, and not left yet, has been seen.
    fn leave(&mut self) -> Result<(), DataError>;
}

/// Shows `visit` the whole tree, the root first.
pub(crate) fn walk(root: &Path, visit: &mut dyn Visit) -> Result<(), DataError> {
    let mut cursor = Cursor::open(root)?;
    let mut path = Vec::new();
    let top = Status::of(cursor.fd(), c".")
        .map_err(|e| DataError::io("inspect", shown(root, &path), e))?;
    let node = Node {
        dir: cursor.fd(),
        name: c".",
        path: &path,
        status: &top,
        root,
    };
    node.check(&top)?;
    visit.enter(&node)?;
    let mut frames = vec![(cursor.names(root, &path)?, 0)];
    while let Some((names, length)) = frames.last_mut() {
        let Some(name) = names.next() else {
            visit.leave()?;
            path.truncate(*length);
            frames.pop();
            if !frames.is_empty() {
                cursor
                    .up()
                    .map_err(|e| DataError::io("return to", shown(root, &path), e))?;
            }
            continue;
        };
        let length = path.len();
        if length > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(name.to_bytes());
        let status = Status::of(cursor.fd(), &name)
            .map_err(|e| DataError::io("inspect", shown(root, &path), e))?;
        if status.kind == FileType::Directory {
            Node {
                dir: cursor.fd(),
                name: &name,
                path: &path,
                status: &status,
                root,
            }
            .check(&top)?;
            cursor
                .down(&name)
                .map_err(|e| DataError::io("open", shown(root, &path), e))?;
            visit.enter(&Node {
                dir: cursor.fd(),
                name: c".",
                path: &path,
                status: &status,
                root,
            })?;
            frames.push((cursor.names(root, &path)?, length));
        } else {
            let node = Node {
                dir: cursor.fd(),
                name: &name,
                path: &path,
                status: &status,
                root,
            };
            node.check(&top)?;
            visit.leaf(&node)?;
            path.truncate(length);
        }
    }
    Ok(())
}

/// A place in a tree. Holds one descriptor however deep it is, and goes up by `..`, having checked where that leads.
pub(crate) struct Cursor {
    fd: OwnedFd,
    trail: Vec<((u32, u32), u64)>,
}

impl Cursor {
    pub(crate) fn open(root: &Path) -> Result<Self, DataError> {
        let fd =
            open_directory(CWD, root).map_err(|e| DataError::io("open", shown(root, b""), e))?;
        Ok(Self {
            fd,
            trail: Vec::new(),
        })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn down(&mut self, name: &CStr) -> Result<(), Errno> {
        let here = Status::of(self.fd(), c".")?.identity();
        self.fd = open_directory(&self.fd, name)?;
        self.trail.push(here);
        Ok(())
    }

    pub(crate) fn up(&mut self) -> Result<(), Errno> {
        let fd = open_directory(&self.fd, c"..")?;
        if self.trail.pop() != Some(Status::of(fd.as_fd(), c".")?.identity()) {
            // Somebody moved the directory while we were in it.
            return Err(Errno::STALE);
        }
        self.fd = fd;
        Ok(())
    }

    fn names(&self, root: &Path, path: &[u8]) -> Result<vec::IntoIter<CString>, DataError> {
        list(self.fd())
            .map(Vec::into_iter)
            .map_err(|e| DataError::io("list", shown(root, path), e))
    }
}

/// The names in a directory, in byte order.
pub(crate) fn list(dir: BorrowedFd<'_>) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::new(open_directory(dir, c".")?)? {
        let entry = entry?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            names.push(entry.file_name().to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn open_directory<P: rustix::path::Arg + Copy>(dir: impl AsFd, name: P) -> Result<OwnedFd, Errno> {
    open_quietly(dir, name, OFlags::RDONLY | OFlags::DIRECTORY)
}

/// Opens without following a symlink in the last component and, where allowed, without touching the access time.
pub(crate) fn open_quietly<P: rustix::path::Arg + Copy>(
    dir: impl AsFd,
    name: P,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match openat(&dir, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => openat(&dir, name, flags, Mode::empty()),
        opened => opened,
    }
}

/// A short path to an entry of an open directory, for calls that take nothing but a path.
pub(crate) fn path_through(dir: BorrowedFd<'_>, name: &CStr) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    path
}
