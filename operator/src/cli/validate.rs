//! `ccctl validate`: everything that is wrong with manifests, and nothing changed.

use std::path::Path;

use ci_warm_api_types::conditions::reasons;
use ci_warm_api_types::problem::Problem;
use ci_warm_api_types::relations::{Weight, relations};
use ci_warm_api_types::yaml;
use ci_warm_runtime::Root;
use clap::Args;

use super::failure::{Exit, Failure};
use super::objects::{self, App};
use super::source::{self, Given, Sources};
use super::terminal::Terminal;

/// Arguments of `validate`.
#[derive(Debug, Args)]
pub(super) struct Validate {
    #[command(flatten)]
    sources: Sources,
}

pub(super) fn run(verb: &Validate, path: &Path, terminal: &mut Terminal) -> Result<Exit, Failure> {
    // Files can be checked where there is no operator; with one, also against the objects it knows.
    let root = Root::open(path).ok();
    let all = source::read(&verb.sources, root.as_ref().map(Root::path))?;
    let related = related(root.as_ref(), &all.given)?;
    let mut problems = all.problems;
    problems.extend(related.refused);
    for problem in &problems {
        terminal.line(&problem.to_string())?;
    }
    for warning in &related.warnings {
        terminal.line(&format!("warning: {warning}"))?;
    }
    if problems.is_empty() {
        let objects = counted(all.given.len(), "object");
        let warnings = match related.warnings.len() {
            0 => String::new(),
            count => format!(", {}", counted(count, "warning")),
        };
        terminal.line(&format!("{objects} valid{warnings}"))?;
        return Ok(Exit::Done);
    }
    terminal.flush()?;
    terminal.error(&format!("{} found", counted(problems.len(), "problem")));
    Ok(Exit::Problems)
}

/// A number and what is counted, in the singular for one.
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// What is wrong between objects.
#[derive(Debug, Default)]
pub(super) struct Related {
    /// What the operator would refuse.
    pub(super) refused: Vec<Problem>,
    /// What works out once the rest is there.
    pub(super) warnings: Vec<Problem>,
}

/// What is wrong between the objects given and those that exist, as far as any of those given is concerned.
pub(super) fn related(root: Option<&Root>, given: &[Given]) -> Result<Related, Failure> {
    let mut apps = root.map_or(Ok(Vec::new()), objects::apps)?;
    for one in given {
        let Some(spec) = one.meaning.spec.warm_app() else {
            continue;
        };
        let name = &one.meaning.metadata.name;
        match apps.iter_mut().find(|app| app.name == *name) {
            Some(app) => app.spec = spec.clone(),
            None => apps.push(App {
                name: name.clone(),
                created: None,
                spec: spec.clone(),
            }),
        }
    }
    let declared: Vec<_> = apps.iter().map(App::declared).collect();
    let of = |name: &str| {
        given
            .iter()
            .find(|one| one.meaning.spec.warm_app().is_some() && one.meaning.metadata.name == *name)
    };
    let mut related = Related::default();
    for relation in relations(&declared) {
        let message = format!("{}: {}", relation.reason, relation.message);
        let problem = if let Some(one) = of(&relation.object) {
            let at = yaml::locate(&one.placed, &yaml::path(&relation.path));
            Problem::at(
                &one.file,
                &one.placed,
                at,
                format!("{}: {message}", relation.path),
            )
        } else if relation.reason == reasons::NAME_TAKEN
            && let Some(one) = relation.with.iter().find_map(|name| of(name))
        {
            // The existing object would suffer from the one given.
            let message = format!("this takes it from WarmApp {}: {message}", relation.object);
            let at = yaml::locate(&one.placed, &yaml::path("metadata.name"));
            Problem::at(&one.file, &one.placed, at, message)
        } else {
            continue;
        };
        match relation.weight {
            Weight::Refused => related.refused.push(problem),
            Weight::Warning => related.warnings.push(problem),
        }
    }
    Ok(related)
}
