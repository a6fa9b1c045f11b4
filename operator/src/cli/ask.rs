//! What a person asks for once: a request beside the object, never a change of its manifest.

use std::collections::BTreeMap;

use ci_warm_api_types::manifest::KindName;
use ci_warm_runtime::requests::{self, Request};
use ci_warm_runtime::{Root, write_request};

use super::failure::{Exit, Failure, refused};
use super::objects::{Found, ManifestFile, StatusFile};
use super::target::{self, Name};
use super::terminal::Terminal;

/// Asks for `verb` for every app named, and says so. `now` is what happens then, for a person.
pub(super) fn for_each(
    words: &[String],
    verb: &str,
    now: &str,
    root: &Root,
    terminal: &mut Terminal,
) -> Result<Exit, Failure> {
    let names = target::parse_named(words)?;
    let found = names
        .iter()
        .map(|name| warm_app(root, name, verb))
        .collect::<Result<Vec<_>, _>>()?;
    for object in &found {
        ask(root, object, verb, &BTreeMap::new())?;
        terminal.line(&format!("{} {now}", object.title()))?;
        mention_absence(object, terminal);
    }
    Ok(Exit::Done)
}

/// The app that something is asked of.
pub(super) fn warm_app(root: &Root, name: &Name, verb: &str) -> Result<Found, Failure> {
    if name.0 != KindName::WarmApp {
        let kind = name.0.plural();
        return Err(Failure::Usage(format!(
            "{kind} know no `{verb}`; it is for warmapps"
        )));
    }
    target::find_one(root, name)
}

/// Writes a request for an object.
pub(super) fn ask(
    root: &Root,
    object: &Found,
    verb: &str,
    arguments: &BTreeMap<String, String>,
) -> Result<Request, Failure> {
    write_request(
        root,
        object.kind.plural(),
        &object.name,
        verb,
        &asker(),
        arguments,
    )
    .map_err(refused)
}

/// The requests of an object that still lie there.
pub(super) fn outstanding(root: &Root, object: &Found) -> Result<Vec<Request>, Failure> {
    let (found, _) = requests::list(root, object.kind.plural(), &object.name).map_err(|error| {
        Failure::Refused(format!(
            "cannot list the requests of {}: {error}",
            object.title()
        ))
    })?;
    Ok(found)
}

/// Says when nobody may be there to do what was asked.
pub(super) fn mention_absence(object: &Found, terminal: &mut Terminal) {
    if matches!(object.status, StatusFile::Missing)
        && !matches!(object.manifest, ManifestFile::Missing)
    {
        let title = object.title();
        terminal.warn(&format!(
            "no operator has looked at {title} yet; the request waits for one"
        ));
    }
}

/// Who asks: behind sudo, the person and not root.
fn asker() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .filter_map(|variable| std::env::var(variable).ok())
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}
