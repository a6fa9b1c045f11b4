//! What a person asks for once: a file that is handed to the reconcile and consumed by it.
//!
//! `requests/<plural>/<name>/<verb>[-<unique>].yaml`. The verb is one lower-case word. The verb `delete` is the runtime's
//! own: it says that the absence of that object's manifest is meant.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::durable::{self, DurableError};
use crate::ids::{ObjectName, Uid};
use crate::root::Root;
use ci_warm_api_types::problem::Problem;
use ci_warm_api_types::yaml;

/// The verb that confirms a deletion.
pub const DELETE: &str = "delete";

/// One request, as it lay there when the run began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Unique; the name of the file where the body names none. Record it in status with the effect, then consume.
    pub id: String,
    /// What is asked for, such as `approve`.
    pub verb: String,
    /// The file's text: a small YAML map with `id`, `by`, `at` and what the verb needs.
    pub body: String,
    /// The file.
    pub path: PathBuf,
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    id: Option<String>,
}

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    by: &'a str,
    at: Timestamp,
    #[serde(flatten)]
    arguments: &'a BTreeMap<String, String>,
}

/// Why a request could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The verb is not one lower-case word.
    #[error("{0:?} cannot be a request's verb: use lower-case letters only")]
    BadVerb(String),
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] DurableError),
    /// The body could not be put into YAML.
    #[error("cannot write the request as YAML: {0}")]
    Encode(String),
}

fn is_verb(verb: &str) -> bool {
    !verb.is_empty() && verb.bytes().all(|c| c.is_ascii_lowercase())
}

/// Writes a request for an object, durably, as `by` (a person or program). `arguments` stand beside `id`, `by` and `at`,
/// which they must not repeat. Returns the request as a reconcile will see it. Whether the object exists is for the caller to say.
pub fn write_request(
    root: &Root,
    plural: &str,
    name: &ObjectName,
    verb: &str,
    by: &str,
    arguments: &BTreeMap<String, String>,
) -> Result<Request, RequestError> {
    if !is_verb(verb) {
        return Err(RequestError::BadVerb(verb.into()));
    }
    let uid = Uid::fresh();
    let body = Body {
        id: uid.as_str(),
        by,
        at: Timestamp::now(),
        arguments,
    };
    let body = yaml::write(&body).map_err(RequestError::Encode)?;
    let directory = root.requests(plural, name);
    durable::create_directory(&directory)?;
    let path = directory.join(format!("{verb}-{uid}.yaml"));
    durable::write(&path, body.as_bytes(), 0o640)?;
    Ok(Request {
        id: uid.to_string(),
        verb: verb.into(),
        body,
        path,
    })
}

/// The requests for an object, oldest first, and those that cannot be read. A directory that is missing holds none;
/// one that cannot be listed is an error, because unknown is not none.
pub fn list(
    root: &Root,
    plural: &str,
    name: &ObjectName,
) -> io::Result<(Vec<Request>, Vec<Problem>)> {
    let (mut requests, mut problems) = (Vec::new(), Vec::new());
    for (path, changed) in files(root, plural, name)? {
        match read(path) {
            Ok(Some(request)) => requests.push((changed, request)),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    requests.sort_by(|(a, x), (b, y)| (a, &x.path).cmp(&(b, &y.path)));
    Ok((
        requests.into_iter().map(|(_, request)| request).collect(),
        problems,
    ))
}

/// The request files of an object with the time each last changed: what tells a new one from one already seen.
pub(crate) fn files(
    root: &Root,
    plural: &str,
    name: &ObjectName,
) -> io::Result<BTreeSet<(PathBuf, SystemTime)>> {
    let entries = match fs::read_dir(root.requests(plural, name)) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    let mut found = BTreeSet::new();
    for entry in entries {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden || path.extension().is_none_or(|ext| ext != "yaml") {
            continue;
        }
        // Gone between listing and looking: consumed or withdrawn.
        if let Ok(meta) = fs::metadata(&path) {
            found.insert((path, meta.modified().unwrap_or(SystemTime::UNIX_EPOCH)));
        }
    }
    Ok(found)
}

fn read(path: PathBuf) -> Result<Option<Request>, Problem> {
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    let verb = stem.split('-').next().unwrap_or_default().to_owned();
    if !is_verb(&verb) {
        return Err(
            Problem::of(path, "the file's name does not begin with a verb")
                .suggest("use <verb>-<unique>.yaml"),
        );
    }
    let body = match fs::read_to_string(&path) {
        Ok(body) => body,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Problem::of(path, format!("cannot be read: {error}"))),
    };
    // `touch requests/…/retry.yaml` is a fair way to ask by hand.
    let id = if body.trim().is_empty() {
        None
    } else {
        match yaml::read::<Head>(&path.display().to_string(), &body) {
            Ok(head) => head.id,
            Err(problem) => return Err(problem),
        }
    };
    Ok(Some(Request {
        id: id.unwrap_or(stem),
        verb,
        body,
        path,
    }))
}

/// Removes a request durably. One that is gone is fine.
pub fn consume(request: &Request) -> Result<(), DurableError> {
    durable::remove(&request.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_should_be_read_back_and_consumed_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::initialise(dir.path()).unwrap();
        let name = ObjectName::new("a").unwrap();
        let arguments = BTreeMap::from([("version".to_owned(), "10.7.1+26.6.2".to_owned())]);
        let written = write_request(&root, "things", &name, "approve", "ada", &arguments).unwrap();
        fs::write(root.requests("things", &name).join("retry.yaml"), "").unwrap();
        fs::write(root.requests("things", &name).join("Bad.yaml"), "").unwrap();
        fs::write(root.requests("things", &name).join("retry-2.yaml"), "][").unwrap();
        fs::write(root.requests("things", &name).join("notes.txt"), "").unwrap();
        let (requests, problems) = list(&root, "things", &name).unwrap();
        assert_eq!(requests[0], written);
        assert!(
            written.body.contains("version: 10.7.1+26.6.2"),
            "{}",
            written.body
        );
        assert_eq!(
            (requests[1].id.as_str(), requests[1].verb.as_str()),
            ("retry", "retry")
        );
        assert_eq!(problems.len(), 2);
        consume(&written).unwrap();
        consume(&written).unwrap();
        assert_eq!(list(&root, "things", &name).unwrap().0.len(), 1);
        assert!(write_request(&root, "things", &name, "../x", "ada", &arguments).is_err());
    }
}
