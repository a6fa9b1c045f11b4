//! `ccctl apply`: manifests into the root, all or none of them as far as can be told beforehand.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ci_warm_api_types::manifest::KindName;
use ci_warm_api_types::problem::Problem;
use ci_warm_api_types::yaml;
use ci_warm_runtime::{Root, durable};
use clap::Args;

use super::document;
use super::exported;
use super::failure::{Exit, Failure, refused};
use super::objects::{self, Found, ManifestFile};
use super::show;
use super::source::{self, Given, Sources};
use super::terminal::Terminal;
use super::validate::{self, counted};

/// Arguments of `apply`.
#[derive(Debug, Args)]
pub(super) struct Apply {
    #[command(flatten)]
    sources: Sources,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// What is to be done about one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Created,
    Configured,
    Unchanged,
}

impl Change {
    fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        }
    }
}

struct Step {
    title: String,
    path: PathBuf,
    text: String,
    change: Change,
}

pub(super) fn run(verb: &Apply, root: &Root, terminal: &mut Terminal) -> Result<Exit, Failure> {
    let all = source::read(&verb.sources, Some(root.path()))?;
    let related = validate::related(Some(root), &all.given)?;
    let mut problems = all.problems;
    problems.extend(related.refused);
    let mut steps = Vec::new();
    for given in &all.given {
        match step(root, given)? {
            Ok(step) => steps.push(step),
            Err(problem) => problems.push(*problem),
        }
    }
    if !problems.is_empty() {
        for problem in &problems {
            terminal.error(&problem.to_string());
        }
        let count = counted(problems.len(), "problem");
        return Err(Failure::Refused(format!(
            "{count} found, so nothing was applied"
        )));
    }
    for step in steps.iter().filter(|step| step.change != Change::Unchanged) {
        objects::refuse_symlink(&step.path)?;
    }
    for warning in &related.warnings {
        terminal.warn(&warning.to_string());
    }
    for kind in KindName::ALL {
        if all
            .given
            .iter()
            .any(|given| given.meaning.spec.kind() == kind)
        {
            directory(root, kind)?;
        }
    }
    for step in steps {
        if step.change != Change::Unchanged && !verb.dry_run {
            write(&step.path, &step.text)?;
        }
        let note = if verb.dry_run { " (dry run)" } else { "" };
        terminal.line(&format!("{} {}{note}", step.title, step.change.word()))?;
    }
    Ok(Exit::Done)
}

/// Writes a manifest durably, with the permissions it had.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path).map_or(0o644, |about| about.permissions().mode() & 0o777);
    durable::write(path, text.as_bytes(), mode).map_err(refused)
}

/// What one object comes to, or why it cannot be applied.
fn step(root: &Root, given: &Given) -> Result<Result<Step, Box<Problem>>, Failure> {
    let kind = given.meaning.spec.kind();
    let (name, path) = source::path_of(root, &given.meaning)?;
    let existing = Found::look(root, kind, &name)?;
    if let Some(problem) = existing
        .as_ref()
        .and_then(|existing| conflict(existing, given))
    {
        return Ok(Err(Box::new(problem)));
    }
    let stripped = exported::without_observed(&given.text).filter(|text| {
        document::read(&given.file, None, text).is_ok_and(|read| read == given.meaning)
    });
    let text = stripped.unwrap_or_else(|| given.text.clone());
    let change = match existing {
        None => Change::Created,
        Some(existing) => match &existing.manifest {
            ManifestFile::Missing => Change::Created,
            ManifestFile::Good { text: old, .. } if *old == text || printed(&existing)? == text => {
                Change::Unchanged
            }
            ManifestFile::Good { .. } | ManifestFile::Bad(_) => Change::Configured,
        },
    };
    Ok(Ok(Step {
        title: objects::title(kind, &name),
        path,
        text,
        change,
    }))
}

/// What `get -o yaml` prints of an object, the operator's fields taken out. Whoever gives it back changes nothing, and what
/// the person wrote, comments and all, is the better text.
fn printed(existing: &Found) -> Result<String, Failure> {
    let text = show::yaml(&show::value(existing))?;
    Ok(exported::without_observed(&text).unwrap_or(text))
}

/// Why an existing object forbids what is given.
fn conflict(existing: &Found, given: &Given) -> Option<Problem> {
    let at = |path: &str, message: String| {
        let place = yaml::locate(&given.placed, &yaml::path(path));
        Some(Problem::at(&given.file, &given.placed, place, message))
    };
    let title = existing.title();
    if existing
        .observed()
        .is_some_and(|observed| observed.meta.deletion_timestamp.is_some())
    {
        let message = format!(
            "{title} is being deleted; apply it again once `ccctl get {title}` no longer finds it"
        );
        return at("metadata.name", message);
    }
    // The spec in force is the one the operator keeps, if it has looked at all.
    let kept = existing
        .observed()
        .and_then(|observed| document::AnySpec::from_value(existing.kind, observed.spec.as_ref()?))
        .or_else(|| existing.spec());
    if existing.kind == KindName::Snapshot
        && let (Some(document::AnySpec::Snapshot(kept)), document::AnySpec::Snapshot(new)) =
            (kept, &given.meaning.spec)
        && kept != *new
    {
        let path = if kept.instance == new.instance {
            "spec.deletionPolicy"
        } else {
            "spec.instance"
        };
        let message = format!(
            "the spec of {title} cannot change once it was declared; give this one another name"
        );
        return at(path, message);
    }
    None
}

/// Makes the directory of a kind where there is none yet. Where objects are known its absence is an accident: with one file
/// in a new directory, all others would count as deleted.
fn directory(root: &Root, kind: KindName) -> Result<(), Failure> {
    let path = root.manifests(kind.plural());
    match fs::metadata(&path) {
        Ok(about) if about.is_dir() => return Ok(()),
        Ok(_) => {
            return Err(Failure::Refused(format!(
                "{} is not a directory",
                path.display()
            )));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(Failure::Refused(format!(
                "cannot look at {}: {error}",
                path.display()
            )));
        }
    }
    let known = objects::names(root, kind)?.objects.len();
    if known > 0 {
        return Err(Failure::Refused(format!(
            "{} is missing although the operator knows {} that belong there; mount or restore it first, or create it by hand and know that what is not in it counts as deleted",
            path.display(),
            counted(known, "object")
        )));
    }
    durable::create_directory(&path).map_err(refused)
}
