//! The watches themselves: on directories only, and on the right ones.
//!
//! A watch follows a directory, not its name. When a directory goes and comes back, its watch must be set anew, and what
//! happened in between must be looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::time::Instant;

use super::inbox::{Rescan, Work};
use crate::handle::Shared;
use crate::root::Root;

/// Which directory a name stood for: device and inode.
type Identity = (u64, u64);

pub(crate) struct Watcher {
    notify: RecommendedWatcher,
    shared: Arc<Shared>,
    root: Root,
    plurals: Vec<&'static str>,
    targets: BTreeMap<&'static str, BTreeSet<PathBuf>>,
    watched: BTreeMap<PathBuf, Identity>,
}

impl Watcher {
    pub(crate) fn new(
        root: &Root,
        plurals: Vec<&'static str>,
        shared: Arc<Shared>,
    ) -> notify::Result<Self> {
        let weak = Arc::downgrade(&shared);
        let notify = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Some(shared) = weak.upgrade() else { return };
            let rescan = match event {
                Ok(event) => shared.inbox.report(&event, Instant::now()),
                Err(error) => {
                    tracing::warn!(%error, "the watch failed; looking at everything");
                    shared.inbox.ask_all();
                    Rescan::Yes
                }
            };
            if rescan == Rescan::Yes {
                shared.metrics.change(|metrics| metrics.rescans += 1);
            }
        })?;
        Ok(Self {
            notify,
            shared,
            root: root.clone(),
            plurals,
            targets: BTreeMap::new(),
            watched: BTreeMap::new(),
        })
    }

    fn wanted(&self) -> BTreeSet<PathBuf> {
        let mut wanted = BTreeSet::from([self.root.path().to_owned(), self.root.all_requests()]);
        // So that a root that is moved away and back, or mounted over, is noticed before the timer.
        wanted.extend(self.root.path().parent().map(Path::to_owned));
        for plural in &self.plurals {
            wanted.insert(self.root.manifests(plural));
            let requests = self.root.all_requests().join(plural);
            for entry in fs::read_dir(&requests).into_iter().flatten().flatten() {
                wanted.insert(entry.path());
            }
            wanted.insert(requests);
        }
        let parents = self
            .targets
            .values()
            .flatten()
            .filter_map(|target| target.parent());
        wanted.extend(parents.map(Path::to_owned));
        wanted
    }

    /// Has every directory that matters watched. Returns whether one is watched only from now on, so that it must be
    /// looked at.
    pub(crate) fn ensure(&mut self, work: &Work) -> bool {
        let wanted = self.wanted();
        let stale = |path: &PathBuf, identity: &Identity| {
            !wanted.contains(path)
                || work.directories.contains(path)
                || identity_of(path) != Some(*identity)
        };
        let stale: Vec<PathBuf> = self
            .watched
            .iter()
            .filter(|(path, identity)| stale(path, identity))
            .map(|(path, _)| path.clone())
            .collect();
        for path in stale {
            self.watched.remove(&path);
            // Fails when the directory is gone, and its watch with it.
            let _ = self.notify.unwatch(&path);
        }
        let mut new = false;
        for path in wanted {
            // Watching again what is watched is free, and heals a watch that was lost without our knowing.
            if self.watched.contains_key(&path) && !work.all {
                continue;
            }
            let Some(identity) = identity_of(&path) else {
                continue;
            };
            match self.notify.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => new |= self.watched.insert(path, identity).is_none(),
                Err(error) => {
                    // The timer still looks there; `max_user_watches` may be used up.
                    tracing::warn!(path = %path.display(), %error, "cannot watch; changes are seen by the timer only");
                }
            }
        }
        new
    }

    /// Sets which files a kind's symlinks stand for. Returns whether a directory is watched only from now on.
    pub(crate) fn set_targets(&mut self, plural: &'static str, targets: BTreeSet<PathBuf>) -> bool {
        if self
            .targets
            .get(plural)
            .map_or(targets.is_empty(), |old| *old == targets)
        {
            return false;
        }
        self.targets.insert(plural, targets);
        let mut places: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
        for (plural, targets) in &self.targets {
            for target in targets {
                places
                    .entry(target.clone())
                    .or_default()
                    .insert((*plural).to_owned());
            }
        }
        self.shared.inbox.set_targets(places);
        self.ensure(&Work::default())
    }
}

fn identity_of(path: &Path) -> Option<Identity> {
    let meta = fs::metadata(path).ok().filter(fs::Metadata::is_dir)?;
    Some((meta.dev(), meta.ino()))
}
