//! Files that are there whole or not at all, also after a power cut.
//!
//! A write goes to a temporary file beside the target, is synced, renamed over it, and the directory is synced. A reader
//! sees the old bytes or the new ones.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// What a write, removal or directory creation could not do, and where.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}{}", path.display(), advice(source))]
pub struct DurableError {
    /// What was tried, as words: `write`, `remove`.
    pub action: &'static str,
    /// The file or directory it was tried on.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl DurableError {
    /// Turns an I/O error into one that says what was tried on which path; for `map_err`.
    pub fn at(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self {
            action,
            path,
            source,
        }
    }
}

fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DurableError + use<> {
    DurableError::at(action, path.to_owned())
}

/// What a person can do about an I/O error, as the tail of a message; empty where the error says it all.
fn advice(error: &io::Error) -> &'static str {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::StorageFull | Kind::QuotaExceeded => "; free some space there",
        Kind::ReadOnlyFilesystem => {
            "; the file system is mounted read-only, or went so after a disk error"
        }
        Kind::PermissionDenied => {
            "; check the owner and mode of the file and of the directories above it"
        }
        Kind::NotFound | Kind::NotADirectory => "; check that the directory exists and is mounted",
        _ => "",
    }
}

/// Numbers temporary files, so that two writers of one process never share one.
static SERIAL: AtomicU64 = AtomicU64::new(0);

/// Writes `bytes` to `path` with permission bits `mode` (as umask allows), durably and whole.
///
/// The directory must exist. On an error the target is untouched and no temporary file is left, unless the process died.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DurableError> {
    place(path, bytes, mode, |temporary| fs::rename(temporary, path))
}

/// Writes a file that must not exist yet, durably and whole.
///
/// The error's source is of the kind [`io::ErrorKind::AlreadyExists`] when anything is at `path`, a dangling symlink too; it is
/// left as it is.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DurableError> {
    // A link fails where a rename would replace.
    place(path, bytes, mode, |temporary| {
        fs::hard_link(temporary, path).and_then(|()| fs::remove_file(temporary))
    })
}

/// The content of a file; `None` only when there is no such file. Every other error stays one, so that a disk that
/// fails is not taken for an empty one.
pub fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, DurableError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at("read", path)(error)),
    }
}

fn place(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    publish: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), DurableError> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(at("write", path)(io::ErrorKind::InvalidInput.into()));
    };
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let temporary = dir.join(format!(
        ".{}.{}-{serial}.tmp",
        name.to_string_lossy(),
        std::process::id()
    ));
    let written = write_temporary(&temporary, bytes, mode).and_then(|()| publish(&temporary));
    if let Err(error) = written {
        // Best effort: the write error is the one worth telling, and leftovers are swept at the next start.
        let _ = fs::remove_file(&temporary);
        return Err(at("write", path)(error));
    }
    sync_directory(dir)
}

fn write_temporary(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Removes a file durably. One that is not there is fine.
pub fn remove(path: &Path) -> Result<(), DurableError> {
    match fs::remove_file(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_directory),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(at("remove", path)(error)),
    }
}

/// Removes a directory with all in it, durably. One that is not there is fine.
pub fn remove_tree(path: &Path) -> Result<(), DurableError> {
    match fs::remove_dir_all(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_directory),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(at("remove", path)(error)),
    }
}

/// Creates a directory and its missing parents, each durably. One that is there is fine.
pub fn create_directory(path: &Path) -> Result<(), DurableError> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_directory(parent)?;
    }
    match fs::create_dir(path) {
        Ok(()) => parent.map_or(Ok(()), sync_directory),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(at("create", path)(error)),
    }
}

/// Makes the names in a directory durable.
pub fn sync_directory(path: &Path) -> Result<(), DurableError> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(at("sync", path))
}

/// Removes temporary files that a process which died in [`write()`] left in `dir`. Missing directories are fine.
///
/// Call it only while no other writer can be at work there, so under the root's lock.
pub fn sweep_leftovers(dir: &Path) -> Result<(), DurableError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at("list", dir)(error)),
    };
    for entry in entries {
        let path = entry.map_err(at("list", dir))?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        if name.starts_with('.') && Path::new(&name).extension().is_some_and(|ext| ext == "tmp") {
            remove(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_should_leave_the_old_file_or_the_new_one_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");
        write(&path, b"one", 0o640).unwrap();
        write(&path, b"two", 0o640).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let error = write(&dir.path().join("no/such/b.yaml"), b"", 0o640).unwrap_err();
        assert!(error.to_string().contains("no/such/b.yaml"), "{error}");
    }

    #[test]
    fn write_new_should_leave_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write_new(&path, b"one", 0o640).unwrap();
        let error = write_new(&path, b"two", 0o640).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists, "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"one");
        let dangling = dir.path().join("b");
        std::os::unix::fs::symlink("/nowhere/at/all", &dangling).unwrap();
        assert!(write_new(&dangling, b"", 0o640).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn read_optional_should_be_none_for_a_missing_file_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        assert_eq!(read_optional(&path).unwrap(), None);
        fs::write(&path, "x").unwrap();
        assert_eq!(read_optional(&path).unwrap().as_deref(), Some(&b"x"[..]));
        // A file where a directory should be is not "no such file".
        assert!(read_optional(&path.join("b")).is_err());
        let error = write(&dir.path().join("none/a"), b"x", 0o600).unwrap_err();
        assert!(error.to_string().contains("mounted"), "{error}");
    }

    #[test]
    fn remove_should_tolerate_what_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        remove(&dir.path().join("x")).unwrap();
        remove_tree(&dir.path().join("y")).unwrap();
        fs::write(dir.path().join(".a.1-1.tmp"), "").unwrap();
        sweep_leftovers(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
