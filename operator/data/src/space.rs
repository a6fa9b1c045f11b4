//! How much room a snapshot needs, and how much there is.

use std::collections::HashSet;
use std::path::Path;

use rustix::fs::statvfs;

use crate::DataError;
use crate::files::error;
use crate::walk::{Node, Visit, walk};

/// The bytes allocated to these volumes: what a snapshot of them takes, about. A restore needs as much again on the
/// filesystem of the volumes, because the failed data is kept.
///
/// Looks at every entry, and fails with the error [`crate::seal()`] would fail with if one of them cannot be sealed.
pub fn required_space<P: AsRef<Path>>(volume_dirs: &[P]) -> Result<u64, DataError> {
    let mut sum = Sum::default();
    for dir in volume_dirs {
        walk(dir.as_ref(), &mut sum)?;
    }
    Ok(sum.bytes)
}

/// The bytes that may still be written to the filesystem of `path`, which must exist.
pub fn free_space(path: &Path) -> Result<u64, DataError> {
    let space = statvfs(path).map_err(|errno| error("ask for the free space at", path, errno))?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

#[derive(Default)]
struct Sum {
    bytes: u64,
    seen: HashSet<((u32, u32), u64)>,
}

impl Visit for Sum {
    fn enter(&mut self, node: &Node<'_>) -> Result<(), DataError> {
        self.bytes += node.status.blocks * 512;
        Ok(())
    }

    fn leaf(&mut self, node: &Node<'_>) -> Result<(), DataError> {
        if node.status.links == 1 || self.seen.insert(node.status.identity()) {
            self.bytes += node.status.blocks * 512;
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<(), DataError> {
        Ok(())
    }
}
