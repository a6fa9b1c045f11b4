//! The inbox: which paths were reported, and whether what lies there is finished.
//!
//! A file that was closed after writing, or renamed into place, is finished at once. One that was created, changed or
//! removed without that is waited for: until it was quiet for a while, with a maximum. Removals belong there, because an
//! editor that writes a file anew removes it first, and because "several vanished at once" needs a moment to be seen.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::queue::Debounce;
use crate::root::MARKER;
use crate::store::Unsettled;

/// What there is to look at.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Everything, with all watches set anew.
    pub(crate) all: bool,
    /// Kinds, by their directory.
    pub(crate) plurals: BTreeSet<String>,
    /// Directories that came or went, so that their watch may be on something else.
    pub(crate) directories: HashSet<PathBuf>,
}

/// How sure a report is that a file is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Finished,
    Unfinished,
    Removed,
}

#[derive(Debug, Default)]
struct State {
    work: Work,
    /// First report of the burst and when it is due, by path.
    settling: BTreeMap<PathBuf, (Instant, Instant)>,
    /// Files that symlinks stand for, and for which kinds. Only these: their directory may hold the whole system.
    targets: BTreeMap<PathBuf, BTreeSet<String>>,
}

#[derive(Debug)]
pub(crate) struct Inbox {
    root: PathBuf,
    debounce: Debounce,
    state: Mutex<State>,
    pub(crate) bell: Notify,
}

/// Where a path lies.
enum Place {
    /// The root, its marker, or a directory with requests: look at everything.
    Structure,
    /// A kind's directory.
    KindDirectory(String),
    Manifest(String),
    Request(String),
    Nowhere,
}

impl Inbox {
    pub(crate) fn new(root: PathBuf, debounce: Debounce) -> Self {
        Self {
            root,
            debounce,
            state: Mutex::default(),
            bell: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a look at a kind.
    pub(crate) fn ask(&self, plural: &str) {
        self.state().work.plurals.insert(plural.into());
        self.bell.notify_one();
    }

    /// Asks for a look at everything.
    pub(crate) fn ask_all(&self) {
        self.state().work.all = true;
        self.bell.notify_one();
    }

    pub(crate) fn set_targets(&self, targets: BTreeMap<PathBuf, BTreeSet<String>>) {
        self.state().targets = targets;
    }

    /// Takes a report. Returns whether it said that reports were lost.
    pub(crate) fn report(&self, event: &Event, now: Instant) -> Rescan {
        if event.need_rescan() || event.paths.is_empty() {
            self.ask_all();
            return Rescan::Yes;
        }
        let Some(sort) = sort_of(event.kind) else {
            return Rescan::No;
        };
        let mut state = self.state();
        let mut news = false;
        for path in &event.paths {
            news |= self.place(&mut state, path, sort, now);
        }
        drop(state);
        if news {
            self.bell.notify_one();
        }
        Rescan::No
    }

    fn place(&self, state: &mut State, path: &Path, sort: Sort, now: Instant) -> bool {
        match self.place_of(state, path) {
            Place::Nowhere => return false,
            Place::Structure => {
                state.work.all = true;
                state.work.directories.insert(path.to_owned());
            }
            Place::KindDirectory(plural) => {
                state.work.plurals.insert(plural);
                state.work.directories.insert(path.to_owned());
            }
            // Consumed or withdrawn: nothing to do any more.
            Place::Request(_) if sort == Sort::Removed => {
                state.settling.remove(path);
                return false;
            }
            Place::Manifest(plural) | Place::Request(plural) if sort == Sort::Finished => {
                state.settling.remove(path);
                state.work.plurals.insert(plural);
            }
            Place::Manifest(_) | Place::Request(_) => {
                let first = state.settling.get(path).map_or(now, |(first, _)| *first);
                state
                    .settling
                    .insert(path.to_owned(), (first, self.debounce.due(first, now)));
            }
        }
        true
    }

    fn place_of(&self, state: &State, path: &Path) -> Place {
        let yaml = path
            .extension()
            .is_some_and(|ext| ext == "yaml" || ext == "yml")
            && path
                .file_name()
                .is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."));
        let inside = path
            .strip_prefix(&self.root)
            .map(|inside| inside.components().collect::<Vec<_>>());
        let name = |component: &Component<'_>| component.as_os_str().to_string_lossy().into_owned();
        match inside.as_deref() {
            Ok([]) => Place::Structure,
            Ok([one]) if one.as_os_str() == MARKER || one.as_os_str() == "requests" => {
                Place::Structure
            }
            Ok([plural]) => Place::KindDirectory(name(plural)),
            Ok([requests, plural, _]) if requests.as_os_str() == "requests" => {
                Place::KindDirectory(name(plural))
            }
            Ok([requests, _]) if requests.as_os_str() == "requests" => Place::Structure,
            Ok([requests, plural, _, _]) if requests.as_os_str() == "requests" && yaml => {
                Place::Request(name(plural))
            }
            Ok([plural, _]) if yaml => Place::Manifest(name(plural)),
            _ => match state.targets.get(path).and_then(BTreeSet::first) {
                Some(plural) => Place::Manifest(plural.clone()),
                None => Place::Nowhere,
            },
        }
    }

    /// Takes what there is to look at now.
    pub(crate) fn ripe(&self, now: Instant) -> Work {
        let mut state = self.state();
        let due: Vec<PathBuf> = state
            .settling
            .iter()
            .filter(|(_, (_, due))| *due <= now)
            .map(|(path, _)| path.clone())
            .collect();
        for path in due {
            state.settling.remove(&path);
            match self.place_of(&state, &path) {
                Place::Manifest(plural) | Place::Request(plural) => {
                    state.work.plurals.insert(plural);
                }
                _ => state.work.all = true,
            }
        }
        std::mem::take(&mut state.work)
    }

    /// When [`Self::ripe`] is worth calling again, if nothing is reported.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.state().settling.values().map(|(_, due)| *due).min()
    }

    /// What is not to be judged right now.
    pub(crate) fn unsettled(&self) -> Unsettled {
        Unsettled {
            paths: self.state().settling.keys().cloned().collect(),
        }
    }
}

/// Whether reports were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rescan {
    Yes,
    No,
}

fn sort_of(kind: EventKind) -> Option<Sort> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Some(Sort::Finished),
        // Our own reading; and the sum of a From and a To that were reported already.
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => None,
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
            Some(Sort::Removed)
        }
        _ => Some(Sort::Unfinished),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{CreateKind, DataChange, Flag, RemoveKind};
    use std::time::Duration;

    const WAIT: Debounce = Debounce {
        quiet: Duration::from_millis(100),
        max_wait: Duration::from_millis(250),
    };
    const MODIFIED: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));

    fn inbox() -> Inbox {
        Inbox::new("/r".into(), WAIT)
    }

    fn event(kind: EventKind, path: &str) -> Event {
        Event::new(kind).add_path(path.into())
    }

    #[test]
    fn watch_should_take_closed_and_renamed_files_at_once_and_wait_for_others() {
        let (inbox, t) = (inbox(), Instant::now());
        inbox.report(
            &event(EventKind::Create(CreateKind::File), "/r/things/a.yaml"),
            t,
        );
        inbox.report(&event(MODIFIED, "/r/things/a.yaml"), t);
        assert!(inbox.ripe(t).plurals.is_empty());
        assert!(
            inbox
                .unsettled()
                .paths
                .contains(Path::new("/r/things/a.yaml"))
        );
        inbox.report(&event(CLOSED, "/r/things/a.yaml"), t);
        assert!(inbox.ripe(t).plurals.contains("things"));
        assert!(inbox.unsettled().paths.is_empty());
        inbox.report(
            &event(
                EventKind::Modify(ModifyKind::Name(RenameMode::To)),
                "/r/things/b.yaml",
            ),
            t,
        );
        assert!(inbox.ripe(t).plurals.contains("things"));
    }

    #[test]
    fn watch_should_wait_on_the_trailing_edge_with_a_maximum() {
        let (inbox, t) = (inbox(), Instant::now());
        for ms in [0, 80, 160, 240] {
            let now = t + Duration::from_millis(ms);
            inbox.report(&event(MODIFIED, "/r/things/a.yaml"), now);
            assert!(inbox.ripe(now).plurals.is_empty(), "at {ms}");
        }
        assert_eq!(inbox.next_due(), Some(t + WAIT.max_wait));
        assert!(inbox.ripe(t + WAIT.max_wait).plurals.contains("things"));
        inbox.report(
            &event(EventKind::Remove(RemoveKind::File), "/r/things/a.yaml"),
            t,
        );
        assert!(
            inbox.ripe(t).plurals.is_empty(),
            "a removal may be half of a replacement"
        );
        assert!(inbox.ripe(t + WAIT.quiet).plurals.contains("things"));
    }

    #[test]
    fn watch_should_look_at_everything_when_reports_were_lost() {
        let (inbox, t) = (inbox(), Instant::now());
        let lost = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert_eq!(inbox.report(&lost, t), Rescan::Yes);
        assert!(inbox.ripe(t).all);
        inbox.report(
            &event(EventKind::Remove(RemoveKind::File), "/r/.ci-warm"),
            t,
        );
        assert!(inbox.ripe(t).all);
    }

    #[test]
    fn watch_should_not_hear_its_own_writes() {
        let (inbox, t) = (inbox(), Instant::now());
        inbox.report(&event(CLOSED, "/r/status/things/a.yaml"), t);
        inbox.report(&event(CLOSED, "/r/things/.a.yaml.1-1.tmp"), t);
        inbox.report(
            &event(
                EventKind::Remove(RemoveKind::File),
                "/r/requests/things/a/retry.yaml",
            ),
            t,
        );
        inbox.report(
            &event(
                EventKind::Access(AccessKind::Open(AccessMode::Any)),
                "/r/things",
            ),
            t,
        );
        let work = inbox.ripe(t + Duration::from_hours(1));
        assert!(!work.all && work.plurals.is_empty(), "{work:?}");
        inbox.report(&event(CLOSED, "/r/requests/things/a/retry.yaml"), t);
        assert!(inbox.ripe(t).plurals.contains("things"));
    }
}
