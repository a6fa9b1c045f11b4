//! Small files and directories, durably.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with, syncfs};
use rustix::io::Errno;

use crate::DataError;
use crate::text::shown;

pub(crate) fn error(doing: &'static str, path: &Path, source: impl Into<io::Error>) -> DataError {
    DataError::io(doing, shown(path, b""), source)
}

/// The directory something is in.
pub(crate) fn parent(path: &Path) -> Result<&Path, DataError> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() && path.file_name().is_some() => Ok(parent),
        _ => Err(DataError::BadRequest(format!(
            "{} is not a full path of something in a directory",
            path.display()
        ))),
    }
}

/// `<parent>/.<name>.<suffix>`: beside `path`, hidden, and never the name of a volume or snapshot.
pub(crate) fn beside(path: &Path, suffix: &str) -> Result<PathBuf, DataError> {
    let mut name = b".".to_vec();
    name.extend_from_slice(path.file_name().unwrap_or_default().as_bytes());
    name.extend_from_slice(b".");
    name.extend_from_slice(suffix.as_bytes());
    Ok(parent(path)?.join(std::ffi::OsStr::from_bytes(&name)))
}

/// Whether a name exists, a dangling symlink included. Only "no such name in an existing directory" is no.
pub(crate) fn exists(path: &Path) -> Result<bool, DataError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let above = parent(path)?;
            fs::metadata(above)
                .map(|_| false)
                .map_err(|e| error("inspect", above, e))
        }
        Err(e) => Err(error("inspect", path, e)),
    }
}

/// Makes the directory, readable for its owner only, and at most one missing level above it: a whole missing tree
/// is more likely a disk that is not mounted.
pub(crate) fn make_directory(path: &Path) -> Result<(), DataError> {
    let create = |path: &Path| DirBuilder::new().mode(0o700).create(path);
    let created = match create(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let above = parent(path)?;
            create(above).map_err(|e| error("make the directory", above, e))?;
            sync_directory(parent(above)?)?;
            create(path)
        }
        created => created,
    };
    match created {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(e) => Err(error("make the directory", path, e)),
        Ok(()) => sync_directory(parent(path)?),
    }
}

/// Writes a new file and flushes it.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(|e| error("create", path, e))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(|e| error("write", path, e))
}

/// Writes a file so that it is there either whole or as it was before.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let new = beside(path, "new")?;
    write_new(&new, bytes)?;
    fs::rename(&new, path).map_err(|e| error("write", path, e))?;
    sync_directory(parent(path)?)
}

pub(crate) fn remove_file(path: &Path) -> Result<(), DataError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(error("remove", path, e)),
        Ok(()) => sync_directory(parent(path)?),
    }
}

pub(crate) fn sync_directory(path: &Path) -> Result<(), DataError> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| error("flush", path, e))
}

/// Makes everything written to the filesystem of `path` durable. One call, where one per file would be thousands.
pub(crate) fn flush(path: &Path) -> Result<(), DataError> {
    let dir = File::open(path).map_err(|e| error("open", path, e))?;
    syncfs(dir).map_err(|e| error("flush", path, e))
}

/// Why a rename did not happen.
pub(crate) enum NotRenamed {
    OtherFilesystem,
    Failed(DataError),
}

/// Renames, durably, to a name that must be free.
pub(crate) fn rename_to_free(old: &Path, new: &Path) -> Result<(), NotRenamed> {
    let renamed = match renameat_with(CWD, old, CWD, new, RenameFlags::NOREPLACE) {
        // The filesystem does not know the flag. A directory never replaces one with anything in it.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            if exists(new).map_err(NotRenamed::Failed)? {
                Err(Errno::EXIST)
            } else {
                rustix::fs::rename(old, new)
            }
        }
        renamed => renamed,
    };
    match renamed {
        Err(Errno::XDEV) => return Err(NotRenamed::OtherFilesystem),
        Err(e) => return Err(NotRenamed::Failed(error("rename to", new, e))),
        Ok(()) => {}
    }
    let flush = || sync_directory(parent(new)?).and_then(|()| sync_directory(parent(old)?));
    flush().map_err(NotRenamed::Failed)
}

impl NotRenamed {
    pub(crate) fn into_error(self, new: &Path) -> DataError {
        match self {
            Self::OtherFilesystem => error("rename to", new, Errno::XDEV),
            Self::Failed(error) => error,
        }
    }
}
