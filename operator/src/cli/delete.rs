//! `ccctl delete`: manifests away, and said so by name, so that no guard against accidents holds the deletion.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ci_warm_api_types::span::Span;
use ci_warm_runtime::requests::{self, DELETE};
use ci_warm_runtime::{Root, durable};
use clap::Args;

use super::ask;
use super::failure::{Exit, Failure, refused};
use super::objects::{self, Found, ManifestFile, StatusFile};
use super::source::{self, Sources};
use super::target::{self, Name};
use super::terminal::Terminal;
use super::watch::Directories;

/// Arguments of `delete`.
#[derive(Debug, Args)]
pub(super) struct Delete {
    /// KIND NAME… or KIND/NAME…
    #[arg(
        value_name = "KIND/NAME",
        required_unless_present = "filename",
        conflicts_with = "filename"
    )]
    target: Vec<String>,
    /// Delete the objects that a file, a directory or `-` (standard input) declares; may be repeated
    #[arg(short, long, value_name = "FILE")]
    filename: Vec<std::path::PathBuf>,
    /// Take directories with all that is below them
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Wait until the operator has finished
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(long, default_value = "15m", value_name = "TIME", requires = "wait")]
    timeout: Span,
    /// Pass over objects that do not exist
    #[arg(long)]
    ignore_not_found: bool,
}

pub(super) fn run(verb: &Delete, root: &Root, terminal: &mut Terminal) -> Result<Exit, Failure> {
    let names = names(verb, root)?;
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in &names {
        match target::find_one(root, name) {
            Ok(object) => {
                objects::refuse_symlink(&root.manifest(name.0.plural(), &name.1))?;
                found.push(object);
            }
            Err(Failure::NotFound(message)) => missing.push(message),
            Err(failure) => return Err(failure),
        }
    }
    for object in &found {
        let said = delete(root, object)?;
        terminal.line(&format!("{} {said}", object.title()))?;
    }
    terminal.flush()?;
    if verb.wait {
        wait(root, &found, verb.timeout.duration(), terminal)?;
    }
    if missing.is_empty() || verb.ignore_not_found {
        return Ok(Exit::Done);
    }
    for message in &missing {
        terminal.error(message);
    }
    Ok(Exit::NotFound)
}

fn names(verb: &Delete, root: &Root) -> Result<Vec<Name>, Failure> {
    if verb.filename.is_empty() {
        return target::parse_named(&verb.target);
    }
    let sources = Sources {
        filename: verb.filename.clone(),
        recursive: verb.recursive,
    };
    let all = source::read(&sources, None)?;
    if !all.problems.is_empty() {
        let said: Vec<_> = all.problems.iter().map(ToString::to_string).collect();
        return Err(Failure::Refused(format!(
            "{}\nnothing was deleted; name the objects instead",
            said.join("\n")
        )));
    }
    all.given
        .iter()
        .map(|given| {
            Ok((
                given.meaning.spec.kind(),
                source::path_of(root, &given.meaning)?.0,
            ))
        })
        .collect()
}

/// Deletes one object as far as that is ours to do, and says how far that is.
fn delete(root: &Root, object: &Found) -> Result<&'static str, Failure> {
    let path = root.manifest(object.kind.plural(), &object.name);
    if matches!(object.status, StatusFile::Missing) {
        // Nothing was ever done for it. What was asked of it must not be done for a later one of that name.
        durable::remove(&path).map_err(refused)?;
        durable::remove_tree(&root.requests(object.kind.plural(), &object.name))
            .map_err(refused)?;
        return Ok("deleted");
    }
    let begun = object
        .observed()
        .is_some_and(|observed| observed.meta.deletion_timestamp.is_some());
    let asked = ask::outstanding(root, object)?
        .iter()
        .any(|request| request.verb == DELETE);
    if (begun || asked) && matches!(object.manifest, ManifestFile::Missing) {
        return Ok("is being deleted already");
    }
    // The word before the deed: a file that vanishes first could be taken for an accident.
    let asked = ask::ask(root, object, DELETE, &BTreeMap::new());
    if Found::look(root, object.kind, &object.name)?.is_none() {
        // An operator was first, and took its directories with it. The word would be about a later object of that name.
        asked
            .map_or(Ok(()), |request| requests::consume(&request))
            .map_err(refused)?;
        return Ok("deleted");
    }
    let request = asked?;
    if let Err(error) = durable::remove(&path) {
        // Else it would confirm an accident that is yet to come. What cannot be withdrawn is named.
        let left = requests::consume(&request)
            .err()
            .map(|left| format!("\n{left}; remove it by hand"));
        return Err(Failure::Refused(format!(
            "{error}{}",
            left.unwrap_or_default()
        )));
    }
    Ok("deletion asked for")
}

fn wait(
    root: &Root,
    found: &[Found],
    limit: Duration,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let kinds: Vec<_> = found.iter().map(|object| object.kind).collect();
    let mut directories = Directories::watch(root, &kinds)?;
    let until = Instant::now() + limit;
    let mut left: Vec<&Found> = found.iter().collect();
    loop {
        let mut still = Vec::new();
        for object in left {
            if Found::look(root, object.kind, &object.name)?.is_some() {
                still.push(object);
            } else {
                terminal.line(&format!("{} gone", object.title()))?;
                terminal.flush()?;
            }
        }
        left = still;
        if left.is_empty() {
            return Ok(());
        }
        let Some(time) = until
            .checked_duration_since(Instant::now())
            .filter(|time| !time.is_zero())
        else {
            let titles: Vec<_> = left.iter().map(|object| object.title()).collect();
            return Err(Failure::Refused(format!(
                "still there: {}; the deletion goes on while an operator runs, see `ccctl describe {}`",
                titles.join(", "),
                titles[0]
            )));
        };
        directories.wait(time.min(Duration::from_secs(1)));
    }
}
