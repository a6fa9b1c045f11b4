//! The alerts directory: what a person must hear about, one file each, written before the cause counts as finished.
//!
//! `alerts/` holds what is still to be delivered, `alerts/seen/` what a relay has delivered and moved there. Everything here
//! blocks; from async code, call it through `tokio::task::spawn_blocking`.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ci_warm_api_types::alert::{Alert, AlertId};
use serde::Deserialize;

use ci_warm_runtime::durable::{self, DurableError};

mod redact;

pub use redact::Redactor;

/// How long a free text (notes, message) may be in an alert, in bytes. Release notes of 100 MB exist.
const MAX_TEXT: usize = 16 * 1024;
/// How long an alert file may be to be read, in bytes. Ours stay far below.
const MAX_FILE: u64 = 1024 * 1024;
/// How many alerts of one app, reason and second are told apart by a number before giving up.
const MAX_SAME_NAME: u32 = 1000;

/// Why alerts were not read or written.
#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    /// A file or directory could not be read or written.
    #[error(transparent)]
    File(#[from] DurableError),
    /// The alert is not JSON; cannot happen with today's fields.
    #[error("cannot write the alert {id} as JSON")]
    Encode {
        /// Which alert.
        id: AlertId,
        /// What the encoder said.
        source: serde_json::Error,
    },
    /// The directory is flooded with alerts of one name.
    #[error("{} and {MAX_SAME_NAME} more of that name exist; something raises alerts without end, see the operator's log", path.display())]
    Flooded {
        /// The first of them.
        path: PathBuf,
    },
}

/// What [`raise`] found or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raised {
    /// The alert is new, and now on disk at this path.
    Written(PathBuf),
    /// An alert with this identity was raised before and lies at this path; nothing was written.
    Before(PathBuf),
}

/// Whether an alert has been delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It lies in `alerts/`.
    Due,
    /// It lies in `alerts/seen/`.
    Seen,
}

/// One file of the alerts directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it has been delivered.
    pub delivery: Delivery,
    /// What it says, or why it cannot be read as an alert.
    pub content: Result<Alert, String>,
}

/// Puts an alert on disk, durably, as `<root>/alerts/<ts>-<app>-<reason>.json`, unless one with this identity is there.
///
/// The identity comes from what caused the alert, so an operation that is repeated after a crash raises nothing twice, also
/// when the first one has been delivered since and when the time differs. Two alerts that would have one name get a number: `…-2.json`.
/// Notes and message are cut at 16 KiB. The caller has taken secrets out ([`Redactor`]).
///
/// A file that is broken has no identity, so what it said may be raised again: twice is better than never. An error means
/// that the alert may not be on disk: what caused it must not count as finished, and is to be repeated.
pub fn raise(root: &Path, alert: &Alert, id: &AlertId) -> Result<Raised, AlertError> {
    let due = directory(root, Delivery::Due);
    let seen = directory(root, Delivery::Seen);
    match fs::create_dir(&due) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(DurableError::at("create", &due)(error).into());
        }
        _ => durable::sync_directory(root)?,
    }
    if let Some(path) = find(root, id)? {
        // The process that wrote it may have died before its directory was synced.
        durable::sync_directory(path.parent().unwrap_or(&due))?;
        return Ok(Raised::Before(path));
    }

    let mut alert = alert.clone();
    alert.id = Some(id.clone());
    for text in [&mut alert.release_notes, &mut alert.message]
        .into_iter()
        .flatten()
    {
        cut(text);
    }
    let mut bytes = serde_json::to_vec(&alert).map_err(|source| AlertError::Encode {
        id: id.clone(),
        source,
    })?;
    bytes.push(b'\n');

    let stem = format!(
        "{}-{}-{}",
        alert.ts,
        file_name_part(&alert.app),
        alert.reason
    );
    for number in 1..=MAX_SAME_NAME {
        let name = if number == 1 {
            format!("{stem}.json")
        } else {
            format!("{stem}-{number}.json")
        };
        // A relay that moves the new file must not overwrite the delivered one.
        if exists(&seen.join(&name))? {
            continue;
        }
        let path = due.join(&name);
        match durable::write_new(&path, &bytes, 0o644) {
            Ok(()) => return Ok(Raised::Written(path)),
            Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(AlertError::Flooded {
        path: due.join(format!("{stem}.json")),
    })
}

/// All alerts, due and seen, by file name and so by time. Without any there may be no `alerts/` yet; that is an empty list, but a missing
/// root or a directory that cannot be read is an error.
///
/// A file that is not an alert is listed as broken. Only `*.json` counts, and no hidden file: those are writes in progress.
pub fn list(root: &Path) -> Result<Vec<Listed>, AlertError> {
    fs::metadata(root).map_err(DurableError::at("read", root))?;
    let mut all = Vec::new();
    for delivery in [Delivery::Due, Delivery::Seen] {
        for path in alert_files(&directory(root, delivery))? {
            let content = match read(&path) {
                Ok(bytes) => serde_json::from_slice(&bytes)
                    .map_err(|error| format!("{} is not an alert: {error}", path.display())),
                // A relay moved it away between listing and reading; it comes up among the seen.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => Err(DurableError::at("read", &path)(error).to_string()),
            };
            all.push(Listed {
                path,
                delivery,
                content,
            });
        }
    }
    all.sort_by(|a, b| a.path.file_name().cmp(&b.path.file_name()));
    Ok(all)
}

fn directory(root: &Path, delivery: Delivery) -> PathBuf {
    match delivery {
        Delivery::Due => root.join("alerts"),
        Delivery::Seen => root.join("alerts/seen"),
    }
}

/// The file that has this identity. `alerts/` is read before `seen/`, so that one on its way there is not missed.
fn find(root: &Path, id: &AlertId) -> Result<Option<PathBuf>, AlertError> {
    #[derive(Deserialize)]
    struct Identity {
        id: Option<AlertId>,
    }
    for delivery in [Delivery::Due, Delivery::Seen] {
        for path in alert_files(&directory(root, delivery))? {
            let identity = read(&path)
                .ok()
                .and_then(|bytes| serde_json::from_slice::<Identity>(&bytes).ok())
                .and_then(|found| found.id);
            if identity.as_ref() == Some(id) {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}

/// The alert files of a directory; none when there is no such directory.
fn alert_files(directory: &Path) -> Result<Vec<PathBuf>, AlertError> {
    let unreadable = || DurableError::at("list", directory);
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable()(error).into()),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable())?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden
            && path
                .extension()
                .is_some_and(|extension| extension == "json")
        {
            paths.push(path);
        }
    }
    Ok(paths)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe or device would hold up the operator for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other(
            "it is longer than an alert can be (1 MiB)",
        ));
    }
    Ok(bytes)
}

fn exists(path: &Path) -> Result<bool, DurableError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(DurableError::at("look for", path)(error)),
    }
}

/// The app as a part of a file name. An alert is never refused for an odd name, so what does not fit is replaced.
fn file_name_part(app: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = app
        .chars()
        .take(100)
        .map(|c| if fits(c) { c } else { '_' })
        .collect();
    if name.is_empty() {
        "_".to_owned()
    } else {
        name
    }
}

/// Cuts a text at [`MAX_TEXT`] and says so in it.
fn cut(text: &mut String) {
    if text.len() > MAX_TEXT {
        let whole = text.len();
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push_str("\n[cut here; ");
        text.push_str(&whole.to_string());
        text.push_str(" bytes in all]");
    }
}

#[cfg(test)]
mod tests;
