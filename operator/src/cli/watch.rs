//! `ccctl get -w`: what changes, as it changes.
//!
//! Events of the file system only say that it is time to look again. What is printed comes from comparing what was found
//! with what was printed last, so that an event that is lost, repeated or about nothing prints nothing wrong.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use ci_warm_api_types::manifest::KindName;
use ci_warm_runtime::{ObjectName, Root};
use jiff::Timestamp;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use super::failure::{Exit, Failure};
use super::get::{Format, Selector, warn_of_strays};
use super::objects::Found;
use super::row::{self, Width};
use super::show;
use super::table::Table;
use super::target::{self, Target};
use super::terminal::Terminal;

/// An event that was lost is made good for after this time.
const LOOK_ANYWAY: Duration = Duration::from_secs(20);
/// One write is several events; they are taken together.
const SETTLE: Duration = Duration::from_millis(50);

/// The directories of some kinds, watched.
pub(super) struct Directories {
    watcher: RecommendedWatcher,
    events: Receiver<()>,
    wanted: Vec<PathBuf>,
    watched: BTreeSet<PathBuf>,
}

impl Directories {
    /// Watches manifests and statuses of these kinds, also where the directories come to be only later.
    pub(super) fn watch(root: &Root, kinds: &[KindName]) -> Result<Self, Failure> {
        let (sender, events) = channel();
        let watcher = notify::recommended_watcher(move |_| {
            // The receiver goes with the command; then nobody wants to know.
            let _ = sender.send(());
        });
        let watcher = watcher.map_err(|error| {
            Failure::Refused(format!(
                "cannot watch {}: {error}; run without -w, or raise fs.inotify.max_user_instances",
                root.path().display()
            ))
        })?;
        let mut wanted = vec![root.path().to_owned(), root.path().join("status")];
        for kind in kinds {
            wanted.extend([root.manifests(kind.plural()), root.statuses(kind.plural())]);
        }
        let mut directories = Self {
            watcher,
            events,
            wanted,
            watched: BTreeSet::new(),
        };
        directories.catch_up();
        Ok(directories)
    }

    /// Begins with directories that are there by now, and forgets those that are gone.
    fn catch_up(&mut self) {
        for path in &self.wanted {
            if !path.is_dir() {
                self.watched.remove(path);
            } else if !self.watched.contains(path)
                && self
                    .watcher
                    .watch(path, RecursiveMode::NonRecursive)
                    .is_ok()
            {
                self.watched.insert(path.clone());
            }
        }
    }

    /// Waits until it is worth looking again, or `limit` has passed.
    pub(super) fn wait(&mut self, limit: Duration) {
        if self.events.recv_timeout(limit) != Err(RecvTimeoutError::Timeout) {
            while self.events.recv_timeout(SETTLE).is_ok() {}
        }
        self.catch_up();
    }
}

type Key = (KindName, ObjectName);

/// What an object looked like when it was printed last. The age is not part of it: it changes by itself.
type Looks = BTreeMap<Key, String>;

pub(super) fn run(
    root: &Root,
    target: &Target,
    format: Format,
    selector: &Selector,
    terminal: &mut Terminal,
) -> Result<Exit, Failure> {
    let kinds = kinds(target);
    // Before the first look, so that nothing falls between the two.
    let mut directories = Directories::watch(root, &kinds)?;
    let mut looks = Looks::new();
    let mut tables: BTreeMap<KindName, Table> = BTreeMap::new();
    warn_of_strays(root, target, terminal)?;
    loop {
        let (mut found, _) = target::find(root, target)?;
        found.retain(|object| selector.matches(object));
        let now: Looks = found
            .iter()
            .map(|object| (key(object), look(object, format)))
            .collect();
        let changed: Vec<&Found> = found
            .iter()
            .filter(|object| looks.get(&key(object)) != now.get(&key(object)))
            .collect();
        print(&changed, format, &mut tables, terminal)?;
        for (kind, name) in looks.keys().filter(|key| !now.contains_key(*key)) {
            gone(*kind, name, format, &tables, terminal)?;
        }
        terminal.flush()?;
        looks = now;
        directories.wait(LOOK_ANYWAY);
        root.check()
            .map_err(|error| super::failure::no_root(&error))?;
    }
}

fn key(object: &Found) -> Key {
    (object.kind, object.name.clone())
}

fn kinds(target: &Target) -> Vec<KindName> {
    match target {
        Target::Kinds(kinds) => kinds.clone(),
        Target::Named(names) => {
            let kinds: BTreeSet<_> = names.iter().map(|(kind, _)| *kind).collect();
            kinds.into_iter().collect()
        }
    }
}

fn look(object: &Found, format: Format) -> String {
    match (format.width(), format) {
        (Some(width), _) => {
            let mut row = row::row(object, width, Timestamp::UNIX_EPOCH);
            let age = row::headers(object.kind, width)
                .iter()
                .position(|header| *header == "AGE");
            if let Some(age) = age {
                row.remove(age);
            }
            row.join("\0")
        }
        (None, Format::Name) => object.title(),
        (None, _) => show::value(object).to_string(),
    }
}

fn print(
    changed: &[&Found],
    format: Format,
    tables: &mut BTreeMap<KindName, Table>,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    if let Some(width) = format.width() {
        return print_rows(changed, width, tables, terminal);
    }
    for object in changed {
        match format {
            Format::Name => terminal.line(&object.title())?,
            Format::Json => terminal.text(&show::json(&show::value(object))?)?,
            _ => {
                terminal.line("---")?;
                terminal.text(&show::yaml(&show::value(object))?)?;
            }
        }
    }
    Ok(())
}

fn print_rows(
    changed: &[&Found],
    width: Width,
    tables: &mut BTreeMap<KindName, Table>,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let now = Timestamp::now();
    for kind in KindName::ALL {
        let rows: Vec<_> = changed
            .iter()
            .filter(|object| object.kind == kind)
            .map(|object| row::row(object, width, now))
            .collect();
        if rows.is_empty() {
            continue;
        }
        let table = match tables.entry(kind) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => {
                let table = Table::new(row::headers(kind, width), &rows);
                terminal.line(&table.header())?;
                free.insert(table)
            }
        };
        for row in &rows {
            let line = table.row(row, terminal);
            terminal.line(&line)?;
        }
    }
    Ok(())
}

fn gone(
    kind: KindName,
    name: &ObjectName,
    format: Format,
    tables: &BTreeMap<KindName, Table>,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let (Some(width), Some(table)) = (format.width(), tables.get(&kind)) else {
        return Ok(());
    };
    let headers = row::headers(kind, width);
    let ready = if headers.contains(&"REASON") {
        "False"
    } else {
        "Deleted"
    };
    let cell = |header: &&str| match *header {
        "NAME" => name.to_string(),
        "READY" => ready.to_owned(),
        "REASON" => "Deleted".to_owned(),
        _ => super::words::NOTHING.to_owned(),
    };
    let cells: Vec<_> = headers.iter().map(cell).collect();
    let line = table.row(&cells, terminal);
    terminal.line(&line)
}
