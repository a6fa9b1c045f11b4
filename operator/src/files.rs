//! Files that are whole or absent, also after a power cut.
//!
//! Everything here blocks; from async code, call it through `tokio::task::spawn_blocking`.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, PersistError};

/// Why a file was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// [`write_new`] found something at the path.
    #[error("{} exists already and was left as it is", path.display())]
    Exists {
        /// The path that was to be written.
        path: PathBuf,
    },
    /// The path does not end in a file name.
    #[error("{} does not name a file", path.display())]
    NotAFile {
        /// The path that was to be written.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {doing} {}: {source}{}", path.display(), advice(source))]
    Io {
        /// What was being done, such as "read" or "write".
        doing: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FileError {
    /// The path the error is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Exists { path } | Self::NotAFile { path } | Self::Io { path, .. } => path,
        }
    }

    /// Turns an I/O error into one that says what was done to which path; for `map_err`.
    pub fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
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

/// Writes the whole content of a file, durably: after success it survives a power cut, and at every moment, also after
/// an error, readers see the old content or the new, never a mixture. `mode` is the permission bits, whatever the umask.
///
/// The new content replaces the file itself: a symlink at `path` is replaced, not followed, and a hard link elsewhere keeps
/// the old content. The directory must exist. When the error came last (while syncing the directory), the new content may be in
/// place; writing again is safe. What a crash leaves behind is a hidden file `.<name>.<random>.tmp` beside it.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let (temporary, directory) = prepare(path, bytes, mode)?;
    temporary
        .persist(path)
        .map_err(|PersistError { error, .. }| FileError::io("write", path)(error))?;
    sync_directory(&directory)
}

/// Writes a file that must not exist yet, durably and whole, with the promises of [`write_atomic`].
///
/// [`FileError::Exists`] when anything is at `path`, a dangling symlink too; it is left as it is.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let (temporary, directory) = prepare(path, bytes, mode)?;
    temporary
        .persist_noclobber(path)
        .map_err(|PersistError { error, .. }| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                FileError::Exists {
                    path: path.to_owned(),
                }
            } else {
                FileError::io("write", path)(error)
            }
        })?;
    sync_directory(&directory)
}

/// The content of a file; `None` only when there is no such file. Every other error stays one, so that a disk that
/// fails is not taken for an empty one.
///
/// A missing directory above the file is "no such file" too: callers that must tell the two apart look at the directory first.
pub fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::io("read", path)(error)),
    }
}

/// Makes what happened to the entries of a directory durable.
pub fn sync_directory(directory: &Path) -> Result<(), FileError> {
    File::open(directory)
        .and_then(|opened| opened.sync_all())
        .map_err(FileError::io("sync the directory", directory))
}

/// A synced temporary file with the content beside `path`, and the directory of both.
fn prepare(path: &Path, bytes: &[u8], mode: u32) -> Result<(NamedTempFile, PathBuf), FileError> {
    let name = path.file_name().ok_or_else(|| FileError::NotAFile {
        path: path.to_owned(),
    })?;
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    let mut temporary = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".tmp")
        .tempfile_in(&directory)
        .map_err(FileError::io("write", path))?;
    let file = temporary.as_file_mut();
    file.write_all(bytes)
        .and_then(|()| file.set_permissions(Permissions::from_mode(mode)))
        .and_then(|()| file.sync_all())
        .map_err(FileError::io("write", path))?;
    Ok((temporary, directory))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    /// The names in a directory, sorted.
    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn write_atomic_creates_then_replaces_and_sets_the_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");
        write_atomic(&path, b"one", 0o666).unwrap();
        assert_eq!(
            (fs::read(&path).unwrap().as_slice(), mode(&path)),
            (&b"one"[..], 0o666)
        );
        write_atomic(&path, b"two", 0o600).unwrap();
        assert_eq!(
            (fs::read(&path).unwrap().as_slice(), mode(&path)),
            (&b"two"[..], 0o600)
        );
        assert_eq!(names(dir.path()), ["a.yaml"]);
    }

    #[test]
    fn a_reader_keeps_the_old_content_and_a_symlink_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (path, target) = (dir.path().join("link"), dir.path().join("target"));
        fs::write(&target, "old").unwrap();
        symlink(&target, &path).unwrap();
        let reader = File::open(&path).unwrap();
        write_atomic(&path, b"new", 0o644).unwrap();
        assert_eq!(io::read_to_string(reader).unwrap(), "old");
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert!(!path.is_symlink());
    }

    #[test]
    fn write_new_leaves_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write_new(&path, b"one", 0o640).unwrap();
        assert_eq!(mode(&path), 0o640);
        let error = write_new(&path, b"two", 0o640).unwrap_err();
        assert!(
            matches!(&error, FileError::Exists { path: at } if *at == path),
            "{error}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"one");

        let dangling = dir.path().join("b");
        symlink("/nowhere/at/all", &dangling).unwrap();
        assert!(matches!(
            write_new(&dangling, b"", 0o640),
            Err(FileError::Exists { .. })
        ));
        assert_eq!(names(dir.path()), ["a", "b"]);
    }

    #[test]
    fn failed_writes_leave_nothing_behind_and_name_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none/a");
        let error = write_atomic(&missing, b"x", 0o600).unwrap_err();
        assert_eq!(error.path(), missing);
        let text = error.to_string();
        assert!(
            text.contains("none/a: No such file") && text.contains("mounted"),
            "{text}"
        );

        let occupied = dir.path().join("sub");
        fs::create_dir(&occupied).unwrap();
        assert!(matches!(
            write_atomic(&occupied, b"x", 0o600),
            Err(FileError::Io { .. })
        ));
        assert_eq!(names(dir.path()), ["sub"]);
        assert!(matches!(
            write_new(Path::new("/"), b"", 0o600),
            Err(FileError::NotAFile { .. })
        ));
    }

    #[test]
    fn only_a_missing_file_reads_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        assert_eq!(read_optional(&path).unwrap(), None);
        fs::write(&path, "x").unwrap();
        assert_eq!(read_optional(&path).unwrap().as_deref(), Some(&b"x"[..]));
        // A file where a directory should be is not "no such file".
        let error = read_optional(&path.join("b")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read "), "{error}");
        assert!(read_optional(dir.path()).is_err());
    }
}
