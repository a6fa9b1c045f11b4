//! The operator: stores, controllers, watch and runner put together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::backoff::Backoff;
use crate::controller::{Controller, Reconcile, Runs};
use crate::durable::DurableError;
use crate::handle::{Handle, Mapper, Rules, Shared};
use crate::ids::Key;
use crate::kind::Kind;
use crate::queue::{Debounce, Queue};
use crate::root::Root;
use crate::runner;
use crate::shutdown::Shutdown;
use crate::store::{Change, Relisted, Store, Unsettled};
use crate::watch::{self as watching, Inbox};

/// How changes of files are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watching {
    /// By inotify on directories, and by the timer.
    Directories,
    /// By the timer and [`Handle::relist`] only: for file systems that tell nothing.
    TimerOnly,
}

/// How the loop behaves. The defaults are meant for a daemon.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How many objects run at the same time.
    pub at_once: usize,
    /// When an object runs again although nothing happened.
    pub resync: Duration,
    /// By how much that varies, in percent of it, up and down.
    pub resync_jitter_percent: u32,
    /// Delays after failures.
    pub backoff: Backoff,
    /// After this a run is told to end at its next declared point.
    pub run_limit: Duration,
    /// After this much more it is dropped, as by a crash.
    pub abandon_after: Duration,
    /// How files that are still being written are waited for.
    pub writes: Debounce,
    /// How bursts of [`Handle::wake_after_burst`] are waited for.
    pub burst: Debounce,
    /// How often directories are looked at although nothing was reported.
    pub relist: Duration,
    /// How changes of files are noticed.
    pub watching: Watching,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            at_once: 4,
            resync: Duration::from_hours(1),
            resync_jitter_percent: 10,
            backoff: Backoff::default(),
            run_limit: Duration::from_mins(30),
            abandon_after: Duration::from_mins(10),
            writes: Debounce {
                quiet: Duration::from_millis(300),
                max_wait: Duration::from_secs(3),
            },
            burst: Debounce {
                quiet: Duration::from_millis(500),
                max_wait: Duration::from_secs(5),
            },
            relist: Duration::from_mins(1),
            watching: Watching::Directories,
        }
    }
}

/// Why the loop could not run.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The watch could not be set up.
    #[error(
        "cannot watch directories: {0}; raise fs.inotify.max_user_instances, or watch by timer only"
    )]
    Watch(#[source] notify::Error),
    /// Events in memory could not be written when stopping.
    #[error("stopped, but the last events could not be written: {0}")]
    Events(#[source] DurableError),
    /// A part of the loop panicked.
    #[error("a part of the loop panicked: {0}")]
    Panicked(#[source] tokio::task::JoinError),
}

/// A store with its kind forgotten.
pub(crate) trait Kept: Send + Sync {
    fn kind(&self) -> &'static str;
    fn plural(&self) -> &'static str;
    fn relist(&self, unsettled: &Unsettled) -> Relisted;
    fn flush_events(&self) -> Result<(), DurableError>;
}

impl<K: Kind> Kept for Store<K> {
    fn kind(&self) -> &'static str {
        K::KIND
    }
    fn plural(&self) -> &'static str {
        K::PLURAL
    }
    fn relist(&self, unsettled: &Unsettled) -> Relisted {
        self.relist(unsettled)
    }
    fn flush_events(&self) -> Result<(), DurableError> {
        self.flush_events()
    }
}

/// The loop before it runs: add stores, controllers and mappers, then [`Operator::run`].
pub struct Operator {
    root: Root,
    settings: Settings,
    shared: Arc<Shared>,
    stores: Vec<Arc<dyn Kept>>,
    controllers: BTreeMap<Arc<str>, Arc<dyn Runs>>,
    rules: Rules,
}

impl Operator {
    /// A loop over a root, which must be locked by this process.
    pub fn new(root: &Root, settings: Settings) -> Self {
        let shared = Arc::new(Shared {
            queue: std::sync::Mutex::new(Queue::new(settings.at_once)),
            bell: tokio::sync::Notify::new(),
            inbox: Inbox::new(root.path().to_owned(), settings.writes),
            metrics: crate::metrics::Metrics::default(),
            held: watch::Sender::new(Vec::new()),
            rules: std::sync::OnceLock::new(),
            burst: settings.burst,
            listed: watch::Sender::new(false),
        });
        Self {
            root: root.clone(),
            settings,
            shared,
            stores: Vec::new(),
            controllers: BTreeMap::new(),
            rules: Rules::default(),
        }
    }

    /// For waking objects, also before the loop runs.
    pub fn handle(&self) -> Handle {
        Handle(self.shared.clone())
    }

    /// Keeps a kind without reconciling it.
    pub fn keep<K: Kind>(&mut self, store: &Arc<Store<K>>) {
        let shared = Arc::downgrade(&self.shared);
        store.tell(Box::new(move |change| {
            if let Some(shared) = shared.upgrade() {
                shared.dispatch(&change);
            }
        }));
        self.rules.plurals.insert(K::KIND.into(), K::PLURAL);
        self.stores.push(store.clone());
    }

    /// Keeps a kind and reconciles its objects. What happens to an object that names one of them as its owner wakes the owner.
    pub fn control<K: Kind>(&mut self, store: &Arc<Store<K>>, reconciler: impl Reconcile<K>) {
        self.keep(store);
        let named = store.clone();
        self.rules.controlled.insert(
            K::KIND.into(),
            Arc::new(move || {
                named
                    .snapshot()
                    .iter()
                    .map(|record| record.meta.name.clone())
                    .collect()
            }),
        );
        let controller = Controller::new(store.clone(), reconciler, self.settings);
        self.controllers
            .insert(K::KIND.into(), Arc::new(controller));
    }

    /// Has changes of objects of kind `K` wake what `mapper` names. Many to many.
    pub fn map<K: Kind>(&mut self, mapper: impl Fn(&Change) -> Vec<Key> + Send + Sync + 'static) {
        let mapper: Mapper = Box::new(mapper);
        self.rules.mappers.push((K::KIND, mapper));
    }

    /// Runs until `shutdown` has drained or aborted it. Nothing is reconciled before every kind was listed completely.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), OperatorError> {
        let Self {
            root,
            settings,
            shared,
            stores,
            controllers,
            rules,
        } = self;
        // Set once: `run` takes the operator by value.
        let _ = shared.rules.set(rules);
        let plurals = stores.iter().map(|store| store.plural()).collect();
        let watcher = match settings.watching {
            Watching::TimerOnly => None,
            Watching::Directories => Some(
                watching::Watcher::new(&root, plurals, shared.clone())
                    .map_err(OperatorError::Watch)?,
            ),
        };
        let watch = tokio::spawn(watching::run(
            shared.clone(),
            stores.clone(),
            watcher,
            settings.relist,
            shutdown.drain.clone(),
        ));
        let runner = tokio::spawn(runner::run(shared, controllers, shutdown.clone()));
        // Whichever ends first without being asked to has panicked; the other must not go on alone.
        let (watch, runner) = tokio::join!(ends(watch, &shutdown), ends(runner, &shutdown));
        watch.and(runner).map_err(OperatorError::Panicked)?;
        stores
            .iter()
            .try_for_each(|store| store.flush_events())
            .map_err(OperatorError::Events)
    }
}

async fn ends(
    task: tokio::task::JoinHandle<()>,
    shutdown: &Shutdown,
) -> Result<(), tokio::task::JoinError> {
    let ended = task.await;
    shutdown.drain.cancel();
    ended
}
