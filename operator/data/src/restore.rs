//! Restoring: prepare all beside the volumes, exchange, keep what was there.
//!
//! For all volumes of a request together, each step for all of them before the next:
//!
//! 1. A marker beside the volume: nothing may start on it.
//! 2. The data to be is copied beside the volume, flushed, read back and compared with the seal. Until here the volume
//!    is untouched, so a full disk or a bad snapshot costs nothing.
//! 3. The marker says that all is prepared.
//! 4. The prepared directory and the volume's change places, in one step.
//! 5. The failed data, now beside the volume, is moved to where it is kept.
//! 6. The marker goes.
//!
//! The failed data is thus never written to, and the volume's directory is at every moment either the failed data or
//! the restored data, whole. What a repeated call finds is told apart by names and, in step 4, by reading.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::copy::{copy, make_empty};
use crate::digest::{Digest, digest_from};
use crate::files::{
    NotRenamed, beside, error, exists, flush, make_directory, parent, remove_file, rename_to_free,
    sync_directory,
};
use crate::marker::{marker_path, write};
use crate::read::From;
use crate::remove::remove_tree;
use crate::snapshot::check_name;
use crate::walk::Cursor;
use crate::{DataError, Marker, Phase, Role, Sealed, Unwatched, VolumeName, Watch, pending};

/// What to restore, where to, and where to keep what was there.
#[derive(Debug, Clone, Copy)]
pub struct RestoreRequest<'a> {
    /// The operation, as part of file names: the same again for a repeated call, never the same for another restore.
    pub operation: &'a str,
    /// What to restore. Nothing if the failed release only added volumes.
    pub sealed: Option<&'a Sealed>,
    /// The directories of exactly the sealed volumes. No container may have them mounted.
    pub targets: &'a [(VolumeName, PathBuf)],
    /// Volumes the failed release added: their data is set aside and they become empty.
    pub added: &'a [(VolumeName, PathBuf)],
    /// Where the failed data is kept, for example `instances/<stack>/aside/<operation>`: afterwards it has an entry
    /// per volume, a symlink where the data had to stay on the filesystem of the volume.
    pub aside_dir: &'a Path,
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// One for each of the request's volumes, in its order.
    pub volumes: Vec<RestoredVolume>,
}

/// One restored or emptied volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredVolume {
    /// The volume.
    pub name: VolumeName,
    /// Where its failed data is now.
    pub aside: PathBuf,
    /// Of the data in the volume now, equal to the sealed one.
    pub digest: Digest,
}

/// Gives the volumes back the data of the snapshot, having set aside what was in them.
///
/// Can be called again after an interruption anywhere, with the same request and the same end: data is set aside once. A
/// finished restore is recognised and not done again. As long as it is unfinished, [`pending`] says so.
///
/// On a full disk ([`DataError::is_no_space`]) or with a bad snapshot ([`DataError::is_corrupt`]) the failed data is still
/// in place, and the marker stays, as the volume still waits for its restore.
pub fn restore(request: &RestoreRequest<'_>, watch: &dyn Watch) -> Result<Restored, DataError> {
    let mut works = plan(request, watch)?;
    make_directory(request.aside_dir)?;
    for work in &mut works {
        if matches!(work.state, State::Fresh) {
            work.mark(Phase::Preparing)?;
            work.state = State::Preparing;
            watch.reached("restore:marked")?;
        }
    }
    if let Err(failed) = prepare_all(&mut works, watch) {
        for work in works
            .iter()
            .filter(|work| matches!(work.state, State::Preparing | State::Prepared(_)))
        {
            // The error to tell is the one we have. What stays is removed by the next call.
            let _ = remove_tree(&work.staging, &Unwatched);
        }
        return Err(failed);
    }
    for work in &works {
        if let State::Prepared(digest) = work.state {
            work.mark(Phase::Exchanging { digest })?;
            watch.reached("restore:prepared")?;
        }
    }
    for work in &mut works {
        work.exchange(watch)?;
    }
    for work in &works {
        work.set_aside()?;
        watch.reached("restore:set-aside")?;
    }
    for work in &works {
        remove_file(&marker_path(work.data)?)?;
        watch.reached("restore:unmarked")?;
    }
    works.into_iter().map(Work::finish).collect()
}

impl FromIterator<RestoredVolume> for Restored {
    fn from_iter<I: IntoIterator<Item = RestoredVolume>>(volumes: I) -> Self {
        Self {
            volumes: volumes.into_iter().collect(),
        }
    }
}

fn plan<'a>(
    request: &'a RestoreRequest<'_>,
    watch: &dyn Watch,
) -> Result<Vec<Work<'a>>, DataError> {
    check_name("an operation", request.operation)?;
    let sealed = request.sealed.map_or(&[][..], Sealed::volumes);
    let bad = |why: String| Err(DataError::BadRequest(why));
    if let Some(volume) = sealed
        .iter()
        .find(|volume| request.targets.iter().all(|(name, _)| *name != volume.name))
    {
        return bad(format!(
            "volume {} is sealed and has no directory to be restored to",
            volume.name
        ));
    }
    let mut works: Vec<Work<'a>> = Vec::new();
    let added = request.added.iter().map(|target| (target, true));
    for ((name, data), is_added) in request
        .targets
        .iter()
        .map(|target| (target, false))
        .chain(added)
    {
        if works
            .iter()
            .any(|work| work.name == name || work.data == data)
        {
            return bad(format!("volume {name} or its directory was given twice"));
        }
        let source = match (
            is_added,
            request.sealed,
            sealed.iter().find(|volume| volume.name == *name),
        ) {
            (true, _, None) => Source::Empty,
            (false, Some(sealed), Some(volume)) => Source::Sealed {
                sealed,
                digest: volume.digest,
            },
            (true, _, Some(_)) => {
                return bad(format!(
                    "volume {name} is sealed, so the failed release did not add it"
                ));
            }
            _ => return bad(format!("volume {name} is not in the snapshot")),
        };
        works.push(Work::new(request, name, data, source)?);
    }
    for work in &mut works {
        work.state = work.find_state(watch)?;
    }
    Ok(works)
}

fn prepare_all(works: &mut [Work<'_>], watch: &dyn Watch) -> Result<(), DataError> {
    for work in works {
        if matches!(work.state, State::Preparing) {
            work.state = State::Prepared(work.prepare(watch)?);
        }
    }
    Ok(())
}

enum Source<'a> {
    Sealed { sealed: &'a Sealed, digest: Digest },
    Empty,
}

/// How far a volume is. [`State::Interrupted`] was prepared by a call that did not come back.
enum State {
    Fresh,
    Preparing,
    Prepared(Digest),
    Interrupted(Digest),
    Done(Digest),
}

struct Work<'a> {
    operation: &'a str,
    name: &'a VolumeName,
    source: Source<'a>,
    state: State,
    aside_dir: &'a Path,
    /// The volume's directory.
    data: &'a Path,
    /// Beside it: first the data to be, after the exchange the failed data.
    staging: PathBuf,
    /// Beside it: the failed data, on the way from `data` to `staging` where they cannot be exchanged in one step.
    displaced: PathBuf,
    /// Beside it: where the failed data stays if `aside` is on another filesystem.
    aside_beside: PathBuf,
    aside: PathBuf,
}

impl<'a> Work<'a> {
    fn new(
        request: &'a RestoreRequest<'_>,
        name: &'a VolumeName,
        data: &'a Path,
        source: Source<'a>,
    ) -> Result<Self, DataError> {
        Ok(Self {
            operation: request.operation,
            name,
            source,
            state: State::Fresh,
            aside_dir: request.aside_dir,
            data,
            staging: beside(data, &format!("ci-warm-staging-{}", request.operation))?,
            displaced: beside(data, &format!("ci-warm-displaced-{}", request.operation))?,
            aside_beside: beside(data, &format!("ci-warm-aside-{}", request.operation))?,
            aside: request.aside_dir.join(name.as_str()),
        })
    }

    fn find_state(&self, watch: &dyn Watch) -> Result<State, DataError> {
        if let Some(marker) = pending(self.data)? {
            if marker.operation != self.operation || marker.volume != *self.name {
                return Err(DataError::RestorePending {
                    marker: Box::new(marker),
                });
            }
            return Ok(match marker.phase {
                Phase::Preparing => State::Preparing,
                Phase::Exchanging { digest } => State::Interrupted(digest),
            });
        }
        let is_set_aside =
            exists(parent(self.aside_dir)?).and_then(|above| Ok(above && exists(self.aside_dir)?));
        if is_set_aside? && exists(&self.aside)? {
            let found = digest_from(self.data, From::Anywhere, watch)?;
            let is_as_left = match self.source {
                Source::Sealed { digest, .. } => found.digest == digest,
                Source::Empty => found.entries == 1,
            };
            if is_as_left {
                return Ok(State::Done(found.digest));
            }
            let (volume, operation) = (self.name.clone(), self.operation.to_owned());
            return Err(DataError::ChangedSince {
                volume,
                operation,
                aside: self.aside.clone(),
            });
        }
        for left in [&self.staging, &self.displaced, &self.aside_beside] {
            if exists(left)? {
                let (left, marker) = (left.display(), marker_path(self.data)?);
                let why = format!(
                    "{left} is from this operation, and may be the failed data, but its marker {} is gone. Move it away first",
                    marker.display()
                );
                return Err(DataError::BadRequest(why));
            }
        }
        // A volume that is gone is not restored into a directory Docker would not know of.
        Cursor::open(self.data).map(|_| State::Fresh)
    }

    fn mark(&self, phase: Phase) -> Result<(), DataError> {
        let role = match &self.source {
            Source::Sealed { sealed, .. } => Role::Restored {
                snapshot: sealed.dir().to_owned(),
            },
            Source::Empty => Role::Emptied,
        };
        let (operation, volume) = (self.operation.to_owned(), self.name.clone());
        write(
            self.data,
            &Marker {
                operation,
                volume,
                role,
                phase,
                aside_dir: self.aside_dir.to_owned(),
            },
        )
    }

    /// Makes the data to be, and gives its digest, read from the disk.
    fn prepare(&self, watch: &dyn Watch) -> Result<Digest, DataError> {
        remove_tree(&self.staging, watch)?;
        let above = Cursor::open(parent(self.staging.as_path())?)?;
        let name = self.staging.file_name().unwrap_or_default().as_bytes();
        let name = CString::new(name).map_err(|_| error("name", &self.staging, Errno::INVAL))?;
        make_empty(&above, &name)
            .map_err(|errno| error("make the directory", &self.staging, errno))?;
        if let Source::Sealed { sealed, .. } = self.source {
            let copied = copy(&sealed.tree(self.name), &self.staging, watch, &mut |_| {
                Ok(())
            });
            if copied.as_ref().is_err_and(DataError::is_not_found) {
                crate::verify(sealed, watch)?;
            }
            copied?;
        }
        flush(&self.staging)?;
        watch.reached("restore:copied")?;
        let found = digest_from(&self.staging, From::Disk, watch)?.digest;
        match self.source {
            Source::Sealed { sealed, digest } if digest != found => {
                crate::verify(sealed, watch)?;
                let what = format!(
                    "volume {} was sealed as {digest} and copied back as {found}",
                    self.name
                );
                Err(DataError::Corrupt {
                    snapshot: sealed.dir().to_owned(),
                    why: what,
                })
            }
            _ => Ok(found),
        }
    }

    fn exchange(&mut self, watch: &dyn Watch) -> Result<(), DataError> {
        let digest = match self.state {
            State::Prepared(digest) => digest,
            State::Interrupted(digest) => {
                if self.is_exchanged(digest, watch)? {
                    self.state = State::Done(digest);
                    return Ok(());
                }
                digest
            }
            State::Fresh | State::Preparing | State::Done(_) => return Ok(()),
        };
        watch.reached("restore:exchanging")?;
        match renameat_with(CWD, &self.staging, CWD, self.data, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => self.exchange_by_renames(watch)?,
            Err(errno) => return Err(error("put the restored data in place of", self.data, errno)),
            Ok(()) => sync_directory(parent(self.data)?)?,
        }
        self.state = State::Done(digest);
        watch.reached("restore:exchanged")
    }

    /// For filesystems that cannot exchange. The marker keeps everybody away while there is no directory.
    fn exchange_by_renames(&self, watch: &dyn Watch) -> Result<(), DataError> {
        rename(self.data, &self.displaced)?;
        watch.reached("restore:displaced")?;
        self.finish_renames(watch)
    }

    fn finish_renames(&self, watch: &dyn Watch) -> Result<(), DataError> {
        if !exists(self.data)? {
            rename(&self.staging, self.data)?;
            watch.reached("restore:replaced")?;
        }
        rename(&self.displaced, &self.staging)
    }

    /// After an interruption: which of the two trees is where?
    fn is_exchanged(&self, digest: Digest, watch: &dyn Watch) -> Result<bool, DataError> {
        if exists(&self.displaced)? {
            self.finish_renames(watch)?;
        }
        if digest_from(self.data, From::Disk, watch)?.digest == digest {
            return Ok(true);
        }
        if exists(&self.staging)? && digest_from(&self.staging, From::Disk, watch)?.digest == digest
        {
            return Ok(false);
        }
        let (data, staging) = (self.data.to_owned(), self.staging.clone());
        Err(DataError::Torn {
            volume: self.name.clone(),
            data,
            staging,
        })
    }

    fn set_aside(&self) -> Result<(), DataError> {
        if exists(&self.staging)? {
            match rename_to_free(&self.staging, &self.aside) {
                Ok(()) => return Ok(()),
                Err(NotRenamed::Failed(failed)) => return Err(failed),
                Err(NotRenamed::OtherFilesystem) => rename(&self.staging, &self.aside_beside)?,
            }
        }
        if !exists(&self.aside)? && exists(&self.aside_beside)? {
            let target = fs::canonicalize(&self.aside_beside)
                .map_err(|e| error("find", &self.aside_beside, e))?;
            std::os::unix::fs::symlink(target, &self.aside)
                .map_err(|e| error("make the symlink", &self.aside, e))?;
            sync_directory(self.aside_dir)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<RestoredVolume, DataError> {
        let State::Done(digest) = self.state else {
            return Err(DataError::BadRequest(format!(
                "the restore of volume {} is not done",
                self.name
            )));
        };
        let aside = fs::canonicalize(&self.aside)
            .map_err(|e| error("find the data set aside at", &self.aside, e))?;
        Ok(RestoredVolume {
            name: self.name.clone(),
            aside,
            digest,
        })
    }
}

fn rename(old: &Path, new: &Path) -> Result<(), DataError> {
    rename_to_free(old, new).map_err(|failed| failed.into_error(new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    struct CrashAt(&'static str);

    impl Watch for CrashAt {
        fn reached(&self, point: &'static str) -> Result<(), DataError> {
            assert_ne!(point, self.0, "this is the crash");
            Ok(())
        }

        fn advanced(&self, _bytes: u64) -> Result<(), DataError> {
            Ok(())
        }
    }

    /// No filesystem at hand refuses the exchange, so that the way around it is taken here directly.
    #[test]
    fn renames_instead_of_an_exchange_can_be_finished_from_anywhere() {
        for point in ["restore:displaced", "restore:replaced", "never"] {
            let dir = tempfile::tempdir().unwrap();
            let (data, aside_dir) = (dir.path().join("v/_data"), dir.path().join("aside/op"));
            let name = VolumeName::new("v").unwrap();
            let request = RestoreRequest {
                operation: "op",
                sealed: None,
                targets: &[],
                added: &[],
                aside_dir: &aside_dir,
            };
            let work = Work::new(&request, &name, &data, Source::Empty).unwrap();
            for (path, text) in [(&data, "failed"), (&work.staging, "restored")] {
                fs::create_dir_all(path).unwrap();
                fs::write(path.join("file"), text).unwrap();
            }
            let restored = crate::digest(&work.staging, &Unwatched).unwrap().digest;
            let crashed = catch_unwind(AssertUnwindSafe(|| {
                work.exchange_by_renames(&CrashAt(point))
            }))
            .is_err();
            assert_eq!(crashed, point != "never");
            assert!(work.is_exchanged(restored, &Unwatched).unwrap());
            assert_eq!(fs::read_to_string(data.join("file")).unwrap(), "restored");
            assert_eq!(
                fs::read_to_string(work.staging.join("file")).unwrap(),
                "failed"
            );
            fs::write(data.join("file"), "somebody else").unwrap();
            assert!(matches!(
                work.is_exchanged(restored, &Unwatched),
                Err(DataError::Torn { .. })
            ));
        }
    }
}
