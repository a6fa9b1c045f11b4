//! One look at a kind's directory: everything in it, or a reason why that cannot be known.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::{HeldReason, Unsettled};
use crate::ids::ObjectName;
use crate::root::{Root, RootError};
use ci_warm_api_types::problem::Problem;

/// The largest manifest that is read, in bytes. What people write is a thousand times smaller.
pub const LARGEST_MANIFEST: u64 = 1 << 20;

/// What a complete look found.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Text, or what is wrong with the file, by object.
    pub(super) files: BTreeMap<ObjectName, Result<String, Problem>>,
    /// Files that are there, but are not to be read now: half written, or gone while we looked.
    pub(super) unclear: BTreeSet<ObjectName>,
    /// Files whose name no object can have.
    pub(super) strays: Vec<Problem>,
    /// The files that symlinked manifests stand for.
    pub(super) targets: BTreeSet<PathBuf>,
}

/// Why there is no listing.
#[derive(Debug)]
pub(super) enum Unlisted {
    /// Root or marker are missing: nothing below can be believed, and nothing may be written.
    Root(HeldReason),
    /// The root is fine, the kind's directory is not.
    Directory(HeldReason),
}

/// Lists a kind's manifests. Absence may be concluded from an `Ok` only: root and marker were there before and after.
pub(super) fn list(root: &Root, plural: &str, unsettled: &Unsettled) -> Result<Listing, Unlisted> {
    available(root)?;
    let directory = root.manifests(plural);
    let gone = |error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound => Unlisted::Directory(HeldReason::DirectoryMissing),
        _ => Unlisted::Directory(HeldReason::Unreadable(error.to_string())),
    };
    let mut listing = Listing::default();
    for entry in fs::read_dir(&directory).map_err(|error| gone(&error))? {
        let path = entry.map_err(|error| gone(&error))?.path();
        look_at(&path, unsettled, &mut listing);
    }
    // A path that was handed to the watch may not be in the list (removed, perhaps to be written anew).
    for path in unsettled
        .paths
        .iter()
        .filter(|path| path.parent() == Some(&directory))
    {
        if let Some(Ok(name)) = name_of(path) {
            listing.unclear.insert(name);
        }
    }
    // Unmounted while we looked: what was read may be the mount point below.
    available(root)?;
    Ok(listing)
}

fn available(root: &Root) -> Result<(), Unlisted> {
    root.check().map_err(|error| {
        Unlisted::Root(match error {
            RootError::NoMarker { .. } => HeldReason::MarkerMissing,
            other => HeldReason::Unreadable(other.to_string()),
        })
    })
}

/// `None` for files that are none of ours: hidden ones, editors' copies, directories of notes.
fn name_of(path: &Path) -> Option<Result<ObjectName, Problem>> {
    let file = path.file_name()?.to_string_lossy();
    if file.starts_with('.') {
        return None;
    }
    match path.extension()?.to_str()? {
        "yaml" => {}
        "yml" => {
            return Some(Err(
                Problem::of(path, "is not read").suggest("rename it to end in .yaml")
            ));
        }
        _ => return None,
    }
    let stem = path.file_stem()?.to_string_lossy();
    Some(ObjectName::new(&stem).map_err(|error| Problem::of(path, error.to_string())))
}

fn look_at(path: &Path, unsettled: &Unsettled, listing: &mut Listing) {
    let name = match name_of(path) {
        None => return,
        Some(Err(problem)) => {
            listing.strays.push(problem);
            return;
        }
        Some(Ok(name)) => name,
    };
    let target = if path.is_symlink() {
        path.canonicalize().ok()
    } else {
        None
    };
    let unfinished = |path: &Path| unsettled.paths.contains(path);
    let unclear = unfinished(path) || target.as_deref().is_some_and(unfinished);
    listing.targets.extend(target);
    if unclear {
        listing.unclear.insert(name);
        return;
    }
    match read(path) {
        Ok(text) => listing.files.insert(name, Ok(text)).map_or((), drop),
        // The name itself is gone: removed while we looked. A dangling symlink still has its name.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() =>
        {
            listing.unclear.insert(name);
        }
        Err(error) => {
            let problem = match error.kind() {
                io::ErrorKind::NotFound => {
                    Problem::of(path, "is a symlink to a file that does not exist")
                }
                io::ErrorKind::InvalidData => Problem::of(path, "is not text in UTF-8"),
                _ => Problem::of(path, format!("cannot be read: {error}")),
            };
            listing.files.insert(name, Err(problem));
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    // Asked before opening: opening a FIFO waits for a writer.
    let meta = fs::metadata(path)?;
    if !meta.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = String::new();
    fs::File::open(path)?
        .take(LARGEST_MANIFEST + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST_MANIFEST {
        return Err(io::Error::other(format!(
            "larger than {LARGEST_MANIFEST} bytes"
        )));
    }
    Ok(text)
}
