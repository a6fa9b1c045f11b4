//! `ccctl describe`: all about an object, for a person.

mod spec;

use ci_warm_api_types::conditions::reasons;
use ci_warm_api_types::manifest::KindName;
use ci_warm_api_types::snapshot::SnapshotStatus;
use ci_warm_api_types::warm_app::WarmAppStatus;
use ci_warm_runtime::{EventType, Root, events};
use clap::Args;
use jiff::Timestamp;

use super::ask;
use super::failure::{Exit, Failure};
use super::objects::{Found, ManifestFile, StatusFile};
use super::row;
use super::table::Table;
use super::target;
use super::terminal::{Colour, Terminal};
use super::words::{self, NOTHING};

/// Arguments of `describe`.
#[derive(Debug, Args)]
pub(super) struct Describe {
    /// KIND, KIND NAME… or KIND/NAME…
    #[arg(required = true, value_name = "KIND[/NAME]")]
    target: Vec<String>,
}

pub(super) fn run(verb: &Describe, root: &Root, terminal: &mut Terminal) -> Result<Exit, Failure> {
    let target = target::parse(&verb.target)?;
    let (found, missing) = target::find(root, &target)?;
    for (index, object) in found.iter().enumerate() {
        if index > 0 {
            terminal.line("\n")?;
        }
        let mut page = Page {
            terminal: &mut *terminal,
            now: Timestamp::now(),
        };
        describe(root, object, &mut page)?;
    }
    for message in &missing {
        terminal.error(message);
    }
    Ok(if missing.is_empty() {
        Exit::Done
    } else {
        Exit::NotFound
    })
}

/// Where a description is written to.
struct Page<'a> {
    terminal: &'a mut Terminal,
    now: Timestamp,
}

/// Where values begin, within their section.
const COLUMN: usize = 14;

impl Page<'_> {
    /// A named value; one of several lines goes on below itself.
    fn field(&mut self, indent: usize, name: &str, value: &str) -> Result<(), Failure> {
        let mut lines = value.lines();
        let first = lines
            .next()
            .filter(|line| !line.is_empty())
            .unwrap_or(NOTHING);
        let pad = " ".repeat(indent);
        let head = format!("{name}:");
        self.terminal
            .line(&format!("{pad}{head:<COLUMN$} {first}"))?;
        let below = " ".repeat(indent + COLUMN + 1);
        lines.try_for_each(|line| self.terminal.line(format!("{below}{line}").trim_end()))
    }

    /// A named value, when there is one.
    fn maybe(&mut self, name: &str, value: Option<impl ToString>) -> Result<(), Failure> {
        value.map_or(Ok(()), |value| self.field(2, name, &value.to_string()))
    }

    fn section(&mut self, name: &str) -> Result<(), Failure> {
        self.terminal.line(&format!("\n{name}:"))
    }

    fn when(&self, at: Timestamp) -> String {
        format!("{} ({} ago)", seconds(at), words::age(at, self.now))
    }

    fn table(
        &mut self,
        headers: &'static [&'static str],
        rows: &[Vec<String>],
    ) -> Result<(), Failure> {
        let table = Table::new(headers, rows);
        self.terminal.line(&format!("  {}", table.header()))?;
        for row in rows {
            let line = table.row(row, self.terminal);
            self.terminal.line(&format!("  {line}"))?;
        }
        Ok(())
    }
}

/// A time as people read it: what is finer than a second is left out.
fn seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second())
        .unwrap_or(at)
        .to_string()
}

fn describe(root: &Root, object: &Found, page: &mut Page<'_>) -> Result<(), Failure> {
    metadata(root, object, page)?;
    if let Some(spec) = object.spec() {
        page.section("Spec")?;
        spec::print(&spec, page)?;
    }
    match object.kind {
        KindName::WarmApp => {
            let status = row::warm_app_status(object);
            app(&status, page)?;
            held(object, &status, page)?;
            health(&status, page)?;
            conditions(object, page)?;
            history(&status, page)?;
        }
        KindName::Snapshot => {
            snapshot(&row::snapshot_status(object), page)?;
            conditions(object, page)?;
        }
    }
    happened(root, object, page)?;
    requests(root, object, page)
}

fn metadata(root: &Root, object: &Found, page: &mut Page<'_>) -> Result<(), Failure> {
    page.field(0, "Name", object.name.as_str())?;
    page.field(0, "Kind", object.kind.kind())?;
    let kept = object.observed().map(|observed| &observed.meta);
    let (labels, annotations) = match (object.meaning(), kept) {
        (Some(meaning), _) => (
            meaning.metadata.labels.clone(),
            meaning.metadata.annotations.clone(),
        ),
        (None, Some(meta)) => (meta.labels.clone(), meta.annotations.clone()),
        (None, None) => Default::default(),
    };
    for (name, map) in [("Labels", labels), ("Annotations", annotations)] {
        if !map.is_empty() {
            let pairs: Vec<_> = map
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            page.field(0, name, &pairs.join("\n"))?;
        }
    }
    if let Some(observed) = object.observed() {
        let meta = &observed.meta;
        page.field(0, "Uid", meta.uid.as_str())?;
        let finished = observed
            .status
            .get("observedGeneration")
            .map(ToString::to_string);
        let generation = format!(
            "{} (finished: {})",
            meta.generation,
            finished.unwrap_or_else(|| "0".to_owned())
        );
        page.field(0, "Generation", &generation)?;
        page.field(0, "Created", &page.when(meta.creation_timestamp))?;
        if let Some(at) = meta.deletion_timestamp {
            page.field(0, "Deleting", &format!("since {}", page.when(at)))?;
        }
    }
    let path = root.manifest(object.kind.plural(), &object.name);
    let manifest = match (&object.manifest, path.read_link()) {
        (ManifestFile::Missing, _) => format!("{} (gone)", path.display()),
        (_, Ok(target)) => format!("{} -> {}", path.display(), target.display()),
        (_, Err(_)) => path.display().to_string(),
    };
    page.field(0, "Manifest", &manifest)?;
    let ready = row::readiness(object);
    let colour = match ready.status {
        "True" => Colour::Green,
        "False" => Colour::Red,
        _ => Colour::Yellow,
    };
    let status = page.terminal.paint(colour, ready.status);
    let message = if ready.message.is_empty() {
        String::new()
    } else {
        format!(": {}", ready.message)
    };
    page.field(0, "Ready", &format!("{status}, {}{message}", ready.reason))?;
    // A manifest can have become wrong since an operator looked, or before any did.
    if let (ManifestFile::Bad(problems), true) =
        (&object.manifest, ready.reason != reasons::INVALID_MANIFEST)
    {
        let said: Vec<_> = problems.iter().map(ToString::to_string).collect();
        if said != [ready.message] {
            page.field(0, "Problems", &said.join("\n"))?;
        }
    }
    if let StatusFile::Unreadable(message) = &object.status {
        page.field(0, "Status", message)?;
    }
    Ok(())
}

fn app(status: &WarmAppStatus, page: &mut Page<'_>) -> Result<(), Failure> {
    if *status == WarmAppStatus::default() {
        return Ok(());
    }
    page.section("Status")?;
    page.maybe("Stack", status.stack.as_ref())?;
    page.maybe("Version", status.version.as_ref())?;
    page.maybe("Commit", status.commit.as_ref())?;
    page.maybe("Result", status.result.as_ref())?;
    page.maybe("Latest", status.latest.as_ref())?;
    page.maybe("Moving to", status.target.as_ref())?;
    page.maybe("Operation", status.operation.as_ref())?;
    page.maybe("Snapshot", status.snapshot.as_ref())?;
    if !status.quarantined.is_empty() {
        page.field(2, "Quarantined", &status.quarantined.join("\n"))?;
    }
    if status.unparsable_tags > 0 {
        let tags = format!("{} of the recipe are no versions", status.unparsable_tags);
        page.field(2, "Tags", &tags)?;
    }
    if !status.warnings.is_empty() {
        page.field(2, "Warnings", &status.warnings.join("\n"))?;
    }
    Ok(())
}

fn held(object: &Found, status: &WarmAppStatus, page: &mut Page<'_>) -> Result<(), Failure> {
    let Some(held) = &status.held else {
        return Ok(());
    };
    page.section("Held")?;
    page.field(2, "Version", &held.version.to_string())?;
    page.field(2, "Because", &held.reason)?;
    page.field(2, "Look at", &held.message)?;
    let next = format!("ccctl approve {} {}", object.title(), held.version);
    page.field(2, "Then", &next)
}

fn health(status: &WarmAppStatus, page: &mut Page<'_>) -> Result<(), Failure> {
    let Some(health) = &status.health else {
        return Ok(());
    };
    page.section("Health")?;
    page.field(2, "Probe", &health.probe)?;
    let code = match health.code {
        0 => "no answer".to_owned(),
        code => code.to_string(),
    };
    page.field(2, "Last code", &code)?;
    page.maybe("Error", health.error.as_ref())?;
    page.field(2, "Since", &page.when(health.since))
}

fn snapshot(status: &SnapshotStatus, page: &mut Page<'_>) -> Result<(), Failure> {
    if *status == SnapshotStatus::default() {
        return Ok(());
    }
    let yes = |yes: bool| if yes { "yes" } else { "no" };
    page.section("Status")?;
    page.field(
        2,
        "Ready to use",
        status.ready_to_use.map_or("unknown", yes),
    )?;
    let sealed = status.sealed_at.map(|at| page.when(at));
    page.maybe("Sealed", sealed)?;
    page.maybe("Version", status.version.as_ref())?;
    page.maybe("Commit", status.commit.as_ref())?;
    page.maybe("Size", status.restore_size.map(words::size))?;
    page.maybe("Clean stop", status.clean_stop.map(yes))?;
    page.maybe("Error", status.error.as_ref())?;
    if status.volumes.is_empty() {
        return Ok(());
    }
    page.section("Volumes")?;
    let rows: Vec<_> = status
        .volumes
        .iter()
        .map(|volume| {
            vec![
                volume.name.clone(),
                words::size(volume.size),
                volume.digest.clone(),
            ]
        })
        .collect();
    page.table(&["NAME", "SIZE", "DIGEST"], &rows)
}

fn conditions(object: &Found, page: &mut Page<'_>) -> Result<(), Failure> {
    let Some(observed) = object.observed() else {
        return Ok(());
    };
    let rows: Vec<_> = observed
        .conditions
        .iter()
        .map(|condition| {
            vec![
                condition.kind.clone(),
                row::word(condition.status).to_owned(),
                condition.reason.to_string(),
                words::age(condition.last_transition_time, page.now),
                one_line(&condition.message),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    page.section("Conditions")?;
    page.table(&["TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"], &rows)
}

fn one_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        NOTHING.to_owned()
    } else {
        line.to_owned()
    }
}

fn history(status: &WarmAppStatus, page: &mut Page<'_>) -> Result<(), Failure> {
    if status.history.is_empty() {
        return Ok(());
    }
    page.section("History")?;
    let rows: Vec<_> = status
        .history
        .iter()
        .rev()
        .map(|entry| {
            let healthy = if entry.healthy { "yes" } else { "no" };
            vec![
                seconds(entry.at),
                entry.result.to_string(),
                healthy.to_owned(),
                entry.operation.to_string(),
                one_line(&entry.message),
            ]
        })
        .collect();
    page.table(
        &["TIME", "RESULT", "HEALTHY", "OPERATION", "MESSAGE"],
        &rows,
    )
}

fn happened(root: &Root, object: &Found, page: &mut Page<'_>) -> Result<(), Failure> {
    let path = root.events(object.kind.plural(), &object.name);
    let mut events = events::read(&path)
        .map_err(|error| Failure::Refused(format!("cannot read {}: {error}", path.display())))?;
    if events.is_empty() {
        return Ok(());
    }
    events.sort_by_key(|event| std::cmp::Reverse(event.last_timestamp));
    page.section("Events")?;
    let rows: Vec<_> = events
        .iter()
        .map(|event| {
            let kind = match event.kind {
                EventType::Normal => "Normal",
                EventType::Warning => "Warning",
            };
            vec![
                words::age(event.last_timestamp, page.now),
                kind.to_owned(),
                event.reason.to_string(),
                event.count.to_string(),
                one_line(&event.message),
            ]
        })
        .collect();
    page.table(&["LAST", "TYPE", "REASON", "COUNT", "MESSAGE"], &rows)
}

fn requests(root: &Root, object: &Found, page: &mut Page<'_>) -> Result<(), Failure> {
    #[derive(serde::Deserialize)]
    struct Body {
        #[serde(default)]
        by: Option<String>,
        #[serde(default)]
        at: Option<Timestamp>,
        #[serde(default)]
        version: Option<String>,
    }
    let asked = ask::outstanding(root, object)?;
    if asked.is_empty() {
        return Ok(());
    }
    page.section("Requests, not yet taken up")?;
    let rows: Vec<_> = asked
        .iter()
        .map(|request| {
            let body = ci_warm_api_types::yaml::read::<Body>("", &request.body).ok();
            let (by, at, version) =
                body.map_or((None, None, None), |body| (body.by, body.at, body.version));
            let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
            vec![
                request.verb.clone(),
                or_nothing(version),
                or_nothing(by),
                or_nothing(at.map(|at| words::age(at, page.now))),
            ]
        })
        .collect();
    page.table(&["VERB", "VERSION", "BY", "AGE"], &rows)
}
