//! The directory that is the API: its layout, its marker, its lock.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::durable::{self, DurableError};
use crate::ids::ObjectName;

/// The file that tells a root from an empty mount point or a wrong directory.
pub const MARKER: &str = ".ci-warm";
/// What the marker says: the format of everything below it.
pub const FORMAT: &str = "ci-warm/v1alpha1";
/// The file one operator holds a lock on.
pub const LOCK: &str = ".lock";

/// Why a directory cannot be used as root.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// There is no such directory, or it cannot be read.
    #[error("cannot read the root {}: {source}", root.display())]
    Unreadable {
        /// The directory.
        root: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The marker is missing. An unmounted disk looks like this too, so nothing is made up.
    #[error(
        "{} has no {MARKER} marker, so it is not a ci-warm root, or its disk is not mounted; \
         name the right directory, or initialise an empty one", root.display()
    )]
    NoMarker {
        /// The directory.
        root: PathBuf,
    },
    /// Initialising a directory that holds other things.
    #[error("{} is not empty and has no {MARKER} marker; initialise an empty directory instead", root.display())]
    NotEmpty {
        /// The directory.
        root: PathBuf,
    },
    /// The marker names a format this program does not know.
    #[error("{} has the format {found:?}, this program knows {FORMAT:?}; use the version of ci-warm it was made with", root.display())]
    WrongFormat {
        /// The directory.
        root: PathBuf,
        /// What its marker says.
        found: String,
    },
    /// Another operator works on this root.
    #[error("another operator holds {}{}; stop it first, or use another --root", root.display(), held_by(*.holder))]
    Locked {
        /// The directory.
        root: PathBuf,
        /// The process that holds it, when it said so.
        holder: Option<u32>,
    },
    /// The lock could not be tried.
    #[error("cannot lock {}: {source}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something could not be written.
    #[error(transparent)]
    Write(#[from] DurableError),
}

fn held_by(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})"))
        .unwrap_or_default()
}

/// An opened root. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(Arc<Path>);

/// Held while an operator works on a root; freed when dropped, or when the process dies.
#[derive(Debug)]
pub struct RootLock {
    _file: File,
}

impl Root {
    /// Opens a root that exists. Fails when the marker is missing or of another format; creates nothing.
    pub fn open(path: &Path) -> Result<Self, RootError> {
        let absolute = path
            .canonicalize()
            .map_err(|source| RootError::Unreadable {
                root: path.into(),
                source,
            })?;
        let root = Self(absolute.into());
        root.check()?;
        Ok(root)
    }

    /// Opens a root, and makes one first where there is no directory or an empty one.
    ///
    /// A daemon that starts at boot should use [`Self::open`] instead: an empty mount point is an empty directory.
    pub fn initialise(path: &Path) -> Result<Self, RootError> {
        let unreadable = |source| RootError::Unreadable {
            root: path.into(),
            source,
        };
        if !path.join(MARKER).exists() {
            durable::create_directory(path)?;
            // What mkfs leaves on a new disk is nobody's.
            let foreign = |entry: io::Result<fs::DirEntry>| {
                entry.map_or(true, |entry| entry.file_name() != "lost+found")
            };
            if fs::read_dir(path).map_err(unreadable)?.any(foreign) {
                return Err(RootError::NotEmpty { root: path.into() });
            }
            durable::write(&path.join(MARKER), format!("{FORMAT}\n").as_bytes(), 0o644)?;
        }
        Self::open(path)
    }

    /// Whether the root is there with its marker right now. Absence of anything below it means nothing otherwise.
    pub fn check(&self) -> Result<(), RootError> {
        let unreadable = |source| RootError::Unreadable {
            root: self.path().into(),
            source,
        };
        match fs::read_to_string(self.path().join(MARKER)) {
            Ok(found) if found.trim() == FORMAT => Ok(()),
            Ok(found) => Err(RootError::WrongFormat {
                root: self.path().into(),
                found: found.trim().into(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::metadata(self.path()).map_err(unreadable)?;
                Err(RootError::NoMarker {
                    root: self.path().into(),
                })
            }
            Err(error) => Err(unreadable(error)),
        }
    }

    /// Takes the root for this process. A second taker is told who holds it.
    pub fn lock(&self) -> Result<RootLock, RootError> {
        let path = self.path().join(LOCK);
        let failed = |source| RootError::Lock {
            path: path.clone(),
            source,
        };
        // Not truncated when opened: the pid in it belongs to whoever holds the lock.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)
                    .and_then(|()| file.rewind())
                    .map_err(failed)?;
                writeln!(file, "{}", std::process::id()).map_err(failed)?;
                Ok(RootLock { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let holder = file
                    .read_to_string(&mut pid)
                    .ok()
                    .and_then(|_| pid.trim().parse().ok());
                Err(RootError::Locked {
                    root: self.path().into(),
                    holder,
                })
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The directory, absolute.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where manifests of a kind live.
    pub fn manifests(&self, plural: &str) -> PathBuf {
        self.path().join(plural)
    }

    /// The manifest of an object.
    pub fn manifest(&self, plural: &str, name: &ObjectName) -> PathBuf {
        self.manifests(plural).join(format!("{name}.yaml"))
    }

    /// Where statuses of a kind live.
    pub fn statuses(&self, plural: &str) -> PathBuf {
        self.path().join("status").join(plural)
    }

    /// The status file of an object.
    pub fn status(&self, plural: &str, name: &ObjectName) -> PathBuf {
        self.statuses(plural).join(format!("{name}.yaml"))
    }

    /// The events file of an object. No object's name has a dot, so it cannot be another one's status.
    pub fn events(&self, plural: &str, name: &ObjectName) -> PathBuf {
        self.statuses(plural).join(format!("{name}.events.yaml"))
    }

    /// Where all requests live.
    pub fn all_requests(&self) -> PathBuf {
        self.path().join("requests")
    }

    /// Where requests for an object live.
    pub fn requests(&self, plural: &str, name: &ObjectName) -> PathBuf {
        self.all_requests().join(plural).join(name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_should_not_be_made_up_where_something_else_is() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            Root::open(dir.path()),
            Err(RootError::NoMarker { .. })
        ));
        Root::initialise(dir.path()).unwrap();
        Root::initialise(dir.path()).unwrap();
        Root::open(dir.path()).unwrap();
        fs::write(dir.path().join(MARKER), "ci-warm/v9\n").unwrap();
        assert!(matches!(
            Root::open(dir.path()),
            Err(RootError::WrongFormat { .. })
        ));
        fs::remove_file(dir.path().join(MARKER)).unwrap();
        fs::write(dir.path().join("precious"), "").unwrap();
        assert!(matches!(
            Root::initialise(dir.path()),
            Err(RootError::NotEmpty { .. })
        ));
        assert!(matches!(
            Root::open(&dir.path().join("none")),
            Err(RootError::Unreadable { .. })
        ));
    }

    #[test]
    fn root_should_have_one_operator() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::initialise(dir.path()).unwrap();
        let lock = root.lock().unwrap();
        let refused = root.lock().unwrap_err().to_string();
        assert!(
            refused.contains(&std::process::id().to_string()),
            "{refused}"
        );
        drop(lock);
        root.lock().unwrap();
    }
}
