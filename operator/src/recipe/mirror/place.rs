//! Where a mirror is on disk, and what lies beside it: its lock, its stand-in for the user's git configuration, and what a build makes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::error::MirrorError;

/// The time of the last success is written at most this often while nothing changes.
const FRESH_WRITE_EVERY: SignedDuration = SignedDuration::from_hours(1);
const FRESH_FILE: &str = "ci-warm-fresh";

/// Whether something is at the mirror's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    There,
    Absent,
}

#[derive(Debug, Clone)]
pub(super) struct Place {
    dir: PathBuf,
}

impl Place {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a new mirror is built.
    pub(super) fn new_dir(&self) -> PathBuf {
        self.beside("new")
    }

    pub(super) fn config_file(&self) -> PathBuf {
        self.beside("gitconfig")
    }

    pub(super) fn presence(&self) -> Result<Presence, MirrorError> {
        match fs::symlink_metadata(&self.dir) {
            Ok(_) => Ok(Presence::There),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Presence::Absent),
            Err(source) => Err(failed("look at", &self.dir, source)),
        }
    }

    /// One writer at a time, across processes; the lock ends with the file.
    pub(super) async fn lock(&self) -> Result<File, MirrorError> {
        let recipes = self.dir.parent().unwrap_or(&self.dir);
        fs::create_dir_all(recipes).map_err(|source| failed("make", recipes, source))?;
        let path = self.beside("lock");
        let open = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = open.map_err(|source| failed("open", &path, source))?;
        let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
        locked
            .map_err(io::Error::other)
            .and_then(|file| file)
            .map_err(|source| failed("lock", &path, source))
    }

    /// Git refuses a local repository that another user owns unless it is named as safe; the manifest names it.
    /// A failure to write it is left to git to complain about, if it matters.
    pub(super) fn write_config(&self, local: Option<&Path>) {
        let safe = |path: &Path| {
            let path = path
                .to_string_lossy()
                .replace('\\', "\\\\")
                .replace('"', "\\\"");
            format!("\tdirectory = \"{path}\"\n")
        };
        let text = match local {
            Some(path) => format!("[safe]\n{}{}", safe(path), safe(&path.join(".git"))),
            None => String::new(),
        };
        let file = self.config_file();
        if !fs::read_to_string(&file).is_ok_and(|old| old == text) {
            note(&file, &text);
        }
    }

    /// Puts the new mirror in the place of what is there.
    pub(super) fn put_in_place(&self) -> Result<(), MirrorError> {
        match fs::rename(&self.dir, self.beside("old")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("set aside", &self.dir, error));
            }
            _ => {}
        }
        fs::rename(self.new_dir(), &self.dir)
            .map_err(|source| failed("put in place", &self.dir, source))?;
        self.sweep()
    }

    /// Removes what an interrupted build left.
    pub(super) fn sweep(&self) -> Result<(), MirrorError> {
        for path in [self.beside("new"), self.beside("old")] {
            let removed = match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
                Ok(_) => fs::remove_file(&path),
                Err(error) => Err(error),
            };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", &path, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// When the remote was last asked with success; none when that is not known.
    pub(super) fn last_fresh(&self) -> Option<Timestamp> {
        fs::read_to_string(self.dir.join(FRESH_FILE))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    pub(super) fn note_fresh(&self, now: Timestamp) {
        note(&self.dir.join(FRESH_FILE), &format!("{now}\n"));
    }

    /// Notes the time only once in a while, so that a recipe without news writes next to nothing.
    pub(super) fn note_still_fresh(&self, now: Timestamp) {
        if self
            .last_fresh()
            .is_none_or(|last| now.duration_since(last).abs() >= FRESH_WRITE_EVERY)
        {
            self.note_fresh(now);
        }
    }

    /// `<mirror>.<what>`, in the same directory.
    pub(super) fn beside(&self, what: &str) -> PathBuf {
        let mut name = self.dir.as_os_str().to_owned();
        name.push(".");
        name.push(what);
        name.into()
    }
}

/// Writes what is good to have; a full disk must not take the mirror out of use.
fn note(path: &Path, text: &str) {
    if let Err(error) = fs::write(path, text) {
        tracing::warn!(path = %path.display(), %error, "cannot write beside a mirror");
    }
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> MirrorError {
    MirrorError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}
