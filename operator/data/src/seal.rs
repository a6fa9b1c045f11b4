//! Sealing: copy, verify, publish by one rename.

use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::copy::{Stamps, copy, first_change};
use crate::digest::Lines;
use crate::files::{
    beside, error, exists, flush, make_directory, parent, rename_to_free, sync_directory, write_new,
};
use crate::remove::{PARTIAL, remove_tree};
use crate::snapshot::{CHECK, FORMAT, MANIFESTS, SEAL, Seal, VOLUMES, check_line};
use crate::space::required_space;
use crate::{DataError, Sealed, SealedVolume, Unwatched, VolumeName, Watch, open_sealed, verify};

/// What to seal, and where.
#[derive(Debug, Clone, Copy)]
pub struct SealRequest<'a> {
    /// Where the snapshot will be, for example `instances/<stack>/snapshots/<name>`. The directory it is in is made if
    /// only that is missing.
    pub snapshot_dir: &'a Path,
    /// The volumes with their directories. No container may have them mounted. None at all is sealed too: that there was
    /// no data is what a restore has to know to empty what a failed release added.
    pub volumes: &'a [(VolumeName, PathBuf)],
    /// Recorded with the snapshot and not looked at: version, commit, exit codes.
    pub context: &'a serde_json::Value,
}

/// Makes a sealed, verified copy of the volumes, published whole by one rename that never replaces anything.
///
/// Can be called again after an interruption anywhere. A snapshot of that name and of those volumes that is there
/// already, and verifies, is returned as it is, whatever the volumes and the context are now.
pub fn seal(request: &SealRequest<'_>, watch: &dyn Watch) -> Result<Sealed, DataError> {
    check(request)?;
    if let Some(sealed) = open_sealed(request.snapshot_dir)? {
        return existing(request, sealed, watch);
    }
    let partial = beside(request.snapshot_dir, PARTIAL)?;
    make_directory(parent(request.snapshot_dir)?)?;
    remove_tree(&partial, watch)?;
    let published = build(request, &partial, watch)
        .and_then(|sealed| publish(request, &partial, sealed, watch));
    if published.is_err() {
        // The space may be what everybody is waiting for. The error to tell is the first one, not one from here, and
        // what stays is removed by the next call.
        let _ = remove_tree(&partial, &Unwatched);
    }
    published
}

fn check(request: &SealRequest<'_>) -> Result<(), DataError> {
    let snapshots = parent(request.snapshot_dir)?;
    let snapshots = fs::canonicalize(snapshots)
        .or_else(|e| {
            if e.kind() == ErrorKind::NotFound {
                fs::canonicalize(parent(snapshots).unwrap_or(snapshots))
            } else {
                Err(e)
            }
        })
        .map_err(|e| error("find", snapshots, e))?;
    for (index, (name, dir)) in request.volumes.iter().enumerate() {
        if request.volumes[..index]
            .iter()
            .any(|(other, _)| other == name)
        {
            return Err(DataError::BadRequest(format!(
                "volume {name} was given twice"
            )));
        }
        let dir = fs::canonicalize(dir).map_err(|e| error("find the volume", dir, e))?;
        if snapshots.starts_with(&dir) {
            let snapshot = request.snapshot_dir.display();
            return Err(DataError::BadRequest(format!(
                "the snapshot {snapshot} would lie in volume {name}"
            )));
        }
    }
    Ok(())
}

fn existing(
    request: &SealRequest<'_>,
    sealed: Sealed,
    watch: &dyn Watch,
) -> Result<Sealed, DataError> {
    let mut has: Vec<&str> = sealed
        .volumes()
        .iter()
        .map(|volume| volume.name.as_str())
        .collect();
    let mut wants: Vec<&str> = request
        .volumes
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    has.sort_unstable();
    wants.sort_unstable();
    if has != wants {
        let snapshot = request.snapshot_dir.to_owned();
        return Err(DataError::OtherVolumes {
            snapshot,
            has: has.join(", "),
            wants: wants.join(", "),
        });
    }
    verify(&sealed, watch)?;
    sync_directory(parent(request.snapshot_dir)?)?;
    Ok(sealed)
}

/// Everything but the rename.
fn build(
    request: &SealRequest<'_>,
    partial: &Path,
    watch: &dyn Watch,
) -> Result<Sealed, DataError> {
    make_directory(partial)?;
    make_directory(&partial.join(VOLUMES))?;
    make_directory(&partial.join(MANIFESTS))?;
    watch.reached("seal:partial-made")?;
    let seal = Seal {
        format: FORMAT.to_owned(),
        volumes: Vec::new(),
        context: request.context.clone(),
    };
    let mut sealed = Sealed {
        dir: partial.to_owned(),
        seal,
    };
    let mut stamps = Vec::new();
    for (name, dir) in request.volumes {
        let (volume, stamp) = copy_volume(&sealed, name, dir, watch)?;
        sealed.seal.volumes.push(volume);
        stamps.push(stamp);
        watch.reached("seal:volume-copied")?;
    }
    flush(partial)?;
    watch.reached("seal:flushed")?;
    verify(&sealed, watch)?;
    watch.reached("seal:verified")?;
    // Last, so that volumes that belong together were all still for the whole time.
    for ((name, dir), stamps) in request.volumes.iter().zip(&stamps) {
        let changed = first_change(dir, stamps).or_else(|failed| gone(failed, dir))?;
        if let Some(path) = changed {
            return Err(DataError::Changed {
                volume: name.clone(),
                path,
            });
        }
    }
    let text = serde_json::to_vec_pretty(&sealed.seal).map_err(|e| {
        DataError::io(
            "describe",
            partial.display().to_string(),
            std::io::Error::from(e),
        )
    })?;
    write_new(&partial.join(SEAL), &text)?;
    write_new(&partial.join(CHECK), check_line(&text).as_bytes())?;
    sync_directory(partial)?;
    watch.reached("seal:sealed")?;
    Ok(sealed)
}

fn copy_volume(
    sealed: &Sealed,
    name: &VolumeName,
    dir: &Path,
    watch: &dyn Watch,
) -> Result<(SealedVolume, Stamps), DataError> {
    let (tree, path) = (sealed.tree(name), sealed.manifest(name));
    make_directory(&tree)?;
    let failed = |e| error("write", &path, e);
    let mut manifest = BufWriter::new(File::create_new(&path).map_err(failed)?);
    let mut lines = Lines::default();
    let copied = copy(dir, &tree, watch, &mut |entry| {
        manifest
            .write_all(lines.add(&entry)?.as_bytes())
            .map_err(failed)
    });
    let (totals, stamps) = copied.map_err(|failed| match vanished(&failed) {
        Some(path) => DataError::Changed {
            volume: name.clone(),
            path,
        },
        None => failed,
    })?;
    manifest
        .into_inner()
        .map_err(|e| failed(e.into_error()))?
        .sync_all()
        .map_err(failed)?;
    let allocated = required_space(&[&tree])?;
    let digest = lines.digest();
    let volume = SealedVolume {
        name: name.clone(),
        digest,
        entries: totals.entries,
        bytes: totals.bytes,
        allocated,
    };
    Ok((volume, stamps))
}

/// Something that was listed is not there any more, or is shorter than it was: somebody changed it just now.
fn vanished(failed: &DataError) -> Option<String> {
    let DataError::Io { path, source, .. } = failed else {
        return None;
    };
    let kinds = [ErrorKind::NotFound, ErrorKind::UnexpectedEof];
    kinds.contains(&source.kind()).then(|| path.clone())
}

fn gone(failed: DataError, dir: &Path) -> Result<Option<String>, DataError> {
    match vanished(&failed) {
        Some(path) if exists(dir)? => Ok(Some(path)),
        _ => Err(failed),
    }
}

fn publish(
    request: &SealRequest<'_>,
    partial: &Path,
    sealed: Sealed,
    watch: &dyn Watch,
) -> Result<Sealed, DataError> {
    let dir = request.snapshot_dir.to_owned();
    rename_to_free(partial, &dir).map_err(|failed| failed.into_error(&dir))?;
    watch.reached("seal:published")?;
    Ok(Sealed { dir, ..sealed })
}
