//! Owner, mode, modification time and extended attributes: read, and put on a copy.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chmodat,
    chownat, lgetxattr, llistxattr, lremovexattr, lsetxattr, utimensat,
};
use rustix::io::Errno;

use crate::DataError;
use crate::walk::{Node, path_through};

type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// Everything about an entry that is neither its name nor its contents.
#[derive(Debug, Clone)]
pub(crate) struct Attributes {
    kind: FileType,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: (i64, u32),
    pub(crate) xattrs: Xattrs,
}

impl Attributes {
    pub(crate) fn read(node: &Node<'_>) -> Result<Self, DataError> {
        let xattrs = xattrs(&path_through(node.dir, node.name))
            .map_err(|errno| node.error("read the extended attributes of", errno))?;
        let status = node.status;
        Ok(Self {
            kind: status.kind,
            mode: status.mode,
            uid: status.uid,
            gid: status.gid,
            modified: status.modified,
            xattrs,
        })
    }

    /// Makes `name` in `dir` have exactly these. `wrap` says where that is, should it fail.
    ///
    /// The order matters: a change of owner clears suid, sgid and capabilities, an ACL moves the group bits, and
    /// everything but the last step may move the modification time.
    pub(crate) fn apply(
        &self,
        dir: BorrowedFd<'_>,
        name: &CStr,
        wrap: &dyn Fn(&'static str, Errno) -> DataError,
    ) -> Result<(), DataError> {
        let owner = (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)));
        chownat(dir, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| wrap("set the owner of", e))?;
        self.apply_xattrs(&path_through(dir, name))
            .map_err(|e| wrap("set the extended attributes of", e))?;
        if self.kind != FileType::Symlink {
            let mode = Mode::from_raw_mode(self.mode);
            chmodat(dir, name, mode, AtFlags::empty()).map_err(|e| wrap("set the mode of", e))?;
        }
        let (tv_sec, nanoseconds) = self.modified;
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec,
                tv_nsec: nanoseconds.into(),
            },
        };
        utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| wrap("set the modification time of", e))
    }

    /// Also removes what the copy was born with, such as an ACL inherited from its new parent.
    fn apply_xattrs(&self, path: &[u8]) -> Result<(), Errno> {
        let present = xattrs(path)?;
        for name in present
            .keys()
            .filter(|name| !self.xattrs.contains_key(*name))
        {
            lremovexattr(path, name.as_slice())?;
        }
        for (name, value) in &self.xattrs {
            if present.get(name) != Some(value) {
                lsetxattr(path, name.as_slice(), value, XattrFlags::empty())?;
            }
        }
        Ok(())
    }
}

/// The same ACLs once more, as only XFS shows them.
const XFS_ACLS: [&[u8]; 2] = [b"trusted.SGI_ACL_FILE", b"trusted.SGI_ACL_DEFAULT"];

fn xattrs(path: &[u8]) -> Result<Xattrs, Errno> {
    let list = match grown(|buffer| llistxattr(path, buffer)) {
        Err(Errno::NOTSUP) => return Ok(Xattrs::new()),
        list => list?,
    };
    list.split(|byte| *byte == 0)
        .filter(|name| !name.is_empty() && !XFS_ACLS.contains(name))
        .map(|name| {
            Ok((
                name.to_vec(),
                grown(|buffer| lgetxattr(path, name, buffer))?,
            ))
        })
        .collect()
}

/// Calls `read` with a larger buffer until the answer fits. The largest value Linux allows is 64 KiB.
fn grown(mut read: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 512];
    loop {
        match read(&mut buffer) {
            Err(Errno::RANGE) if buffer.len() <= 1 << 20 => buffer.resize(buffer.len() * 4, 0),
            length => {
                buffer.truncate(length?);
                return Ok(buffer);
            }
        }
    }
}
