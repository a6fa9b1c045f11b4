//! Removing trees, so that what has been published is never seen half gone.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, unlinkat};
use rustix::io::Errno;

use crate::files::{beside, error, exists, parent, remove_file, rename_to_free, sync_directory};
use crate::text::shown;
use crate::walk::{Cursor, Status, list};
use crate::{DataError, Watch};

const REMOVING: &str = "removing";
pub(crate) const PARTIAL: &str = "partial";

/// Removes a snapshot: renamed away first, so that it is there whole or not at all. Nothing to remove is no error,
/// and neither is what an interrupted call left.
pub fn remove_snapshot(snapshot_dir: &Path, watch: &dyn Watch) -> Result<(), DataError> {
    let removing = beside(snapshot_dir, REMOVING)?;
    remove_tree(&removing, watch)?;
    if exists(snapshot_dir)? {
        rename_to_free(snapshot_dir, &removing).map_err(|failed| failed.into_error(&removing))?;
        watch.reached("remove:renamed")?;
        remove_tree(&removing, watch)?;
    }
    Ok(())
}

/// Removes what interrupted calls of [`crate::seal()`] and [`remove_snapshot`] left in a directory of snapshots. Not to
/// be called while one of them runs there. A missing directory has no leftovers.
pub fn remove_leftovers(snapshots_dir: &Path, watch: &dyn Watch) -> Result<(), DataError> {
    if !exists(snapshots_dir)? {
        return Ok(());
    }
    let failed = |e: io::Error| error("list", snapshots_dir, e);
    for entry in fs::read_dir(snapshots_dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let ends = |suffix: &str| name.as_bytes().ends_with(format!(".{suffix}").as_bytes());
        if name.as_bytes().starts_with(b".") && (ends(PARTIAL) || ends(REMOVING)) {
            remove_tree(&entry.path(), watch)?;
        }
    }
    Ok(())
}

/// Removes the data an operation set aside, also where it lies beside the volume. For a person, or for a retention rule
/// that a person wrote: nothing in this crate calls it.
pub fn remove_aside(aside_dir: &Path, watch: &dyn Watch) -> Result<(), DataError> {
    if !exists(aside_dir)? {
        return Ok(());
    }
    let failed = |e: io::Error| error("list", aside_dir, e);
    for entry in fs::read_dir(aside_dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        match fs::read_link(&path) {
            Ok(elsewhere) => {
                remove_tree(&elsewhere, watch)?;
                remove_file(&path)?;
            }
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => remove_tree(&path, watch)?,
            Err(e) => return Err(error("inspect", &path, e)),
        }
    }
    remove_tree(aside_dir, watch)
}

/// Removes a directory and all in it, at any depth, never into another mount. Nothing there is no error.
pub(crate) fn remove_tree(root: &Path, watch: &dyn Watch) -> Result<(), DataError> {
    if !exists(root)? {
        return Ok(());
    }
    let failed = |errno: Errno| error("remove something in", root, errno);
    let mut cursor = Cursor::open(root)?;
    let top = Status::of(cursor.fd(), c".").map_err(failed)?;
    let mut frames: Vec<(Vec<CString>, CString)> =
        vec![(list(cursor.fd()).map_err(failed)?, c".".to_owned())];
    while let Some((names, _)) = frames.last_mut() {
        let Some(name) = names.pop() else {
            let Some((_, name)) = frames.pop() else { break };
            if !frames.is_empty() {
                cursor.up().map_err(failed)?;
                unlinkat(cursor.fd(), &name, AtFlags::REMOVEDIR).map_err(failed)?;
            }
            continue;
        };
        let status = Status::of(cursor.fd(), &name).map_err(failed)?;
        if status.is_mounted_over(&top) {
            return Err(DataError::MountPoint {
                path: format!("{} in {}", name.to_string_lossy(), shown(root, b"")),
            });
        }
        if status.kind == FileType::Directory {
            cursor.down(&name).map_err(failed)?;
            frames.push((list(cursor.fd()).map_err(failed)?, name));
        } else {
            unlinkat(cursor.fd(), &name, AtFlags::empty()).map_err(failed)?;
        }
        watch.reached("remove:entry-removed")?;
    }
    fs::remove_dir(root).map_err(|e| error("remove", root, e))?;
    sync_directory(parent(root)?)
}
