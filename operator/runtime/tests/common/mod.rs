//! A small kind, a root to keep it in, and ways to wait for things.
#![allow(dead_code, clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use ci_warm_runtime::operator::Watching;
use ci_warm_runtime::store::Unsettled;
use ci_warm_runtime::*;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub struct Thing;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    pub size: u64,
    #[serde(default)]
    pub text: String,
    #[serde(default)]
    pub suspend: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Own {
    pub note: String,
    pub looked_at: Option<jiff::Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Metadata {
    name: ObjectName,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    owner_references: Vec<OwnerReference>,
}

fn parse(path: &Path, text: &str) -> Result<Manifest<Spec>, Problem> {
    let read: Document =
        serde_saphyr::from_str(text).map_err(|error| Problem::of(path, error.to_string()))?;
    Ok(Manifest {
        name: read.metadata.name,
        labels: read.metadata.labels,
        annotations: BTreeMap::new(),
        owner_references: read.metadata.owner_references,
        spec: read.spec,
    })
}

impl Kind for Thing {
    const KIND: &'static str = "Thing";
    const PLURAL: &'static str = "things";
    type Spec = Spec;
    type Status = Own;

    fn parse(path: &Path, _stem: &str, text: &str) -> Result<Manifest<Spec>, Problem> {
        parse(path, text)
    }

    fn suspension(object: &Object<Self>) -> Suspension {
        if object.spec.suspend {
            Suspension::Suspended
        } else {
            Suspension::Active
        }
    }

    fn says_the_same(old: &Own, new: &Own) -> bool {
        old.note == new.note
    }
}

/// A second kind, to be owned or mapped.
pub struct Part;

impl Kind for Part {
    const KIND: &'static str = "Part";
    const PLURAL: &'static str = "parts";
    type Spec = Spec;
    type Status = Own;

    fn parse(path: &Path, _stem: &str, text: &str) -> Result<Manifest<Spec>, Problem> {
        parse(path, text)
    }
}

pub fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

pub fn manifest(name: &str, size: u64) -> String {
    format!("metadata:\n  name: {name}\nspec:\n  size: {size}\n")
}

pub fn owned(name: &str, owner: &str) -> String {
    format!(
        "metadata:\n  name: {name}\n  ownerReferences: [ {{ kind: Thing, name: {owner} }} ]\nspec:\n  size: 1\n"
    )
}

pub struct Home {
    pub dir: TempDir,
    pub root: Root,
}

impl Home {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::initialise(&dir.path().join("root")).unwrap();
        Self { dir, root }
    }

    pub fn store(&self) -> Arc<Store<Thing>> {
        Store::open(&self.root).unwrap()
    }

    pub fn things(&self) -> PathBuf {
        self.root.manifests("things")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.things().join(format!("{name}.yaml"))
    }

    pub fn put(&self, name: &str, size: u64) {
        fs::write(self.file(name), manifest(name, size)).unwrap();
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.file(name)).unwrap();
    }

    pub fn status_text(&self, name: &str) -> String {
        fs::read_to_string(self.root.status("things", &ObjectName::new(name).unwrap())).unwrap()
    }

    pub fn request(&self, object: &str, verb: &str) -> Request {
        write_request(
            &self.root,
            "things",
            &name(object),
            verb,
            "a test",
            &BTreeMap::new(),
        )
        .unwrap()
    }
}

pub fn relist<K: Kind>(store: &Store<K>) -> store::Relisted {
    store.relist(&Unsettled::default())
}

pub fn get(store: &Store<Thing>, of: &str) -> Option<Record<Thing>> {
    store.get(&name(of)).map(|record| Record::clone(&record))
}

pub fn condition<K: Kind>(record: &Record<K>, kind: &str) -> Option<(ConditionStatus, String)> {
    record
        .status
        .conditions
        .get(kind)
        .map(|found| (found.status, found.reason.to_string()))
}

/// A reconcile made of a closure.
type Boxed<'a> = Pin<Box<dyn Future<Output = Result<Action, ReconcileError>> + Send + 'a>>;

pub struct Does<F>(pub F);

impl<F> Reconcile<Thing> for Does<F>
where
    F: for<'a> Fn(&'a Context<Thing>) -> Boxed<'a> + Send + Sync + 'static,
{
    fn reconcile(
        &self,
        cx: &Context<Thing>,
    ) -> impl Future<Output = Result<Action, ReconcileError>> + Send {
        (self.0)(cx)
    }
}

pub fn does<F>(f: F) -> Does<F>
where
    F: for<'a> Fn(&'a Context<Thing>) -> Boxed<'a> + Send + Sync + 'static,
{
    Does(f)
}

pub struct Running {
    pub handle: Handle,
    pub shutdown: Shutdown,
    pub task: JoinHandle<Result<(), OperatorError>>,
}

impl Running {
    pub async fn stop(self) {
        self.shutdown.advance();
        self.task.await.unwrap().unwrap();
    }

    pub async fn listed(&self) {
        self.handle
            .listed()
            .wait_for(|listed| *listed)
            .await
            .unwrap();
    }
}

/// Settings for paused time: no watch, and no resync unless a test asks for it.
pub fn by_timer() -> Settings {
    Settings {
        watching: Watching::TimerOnly,
        relist: Duration::from_hours(20),
        resync: Duration::from_hours(23),
        resync_jitter_percent: 0,
        ..Settings::default()
    }
}

pub fn start(operator: Operator) -> Running {
    let (handle, shutdown) = (operator.handle(), Shutdown::new());
    let task = tokio::spawn(operator.run(shutdown.clone()));
    Running {
        handle,
        shutdown,
        task,
    }
}

pub fn start_with(
    home: &Home,
    store: &Arc<Store<Thing>>,
    settings: Settings,
    r: impl Reconcile<Thing>,
) -> Running {
    let mut operator = Operator::new(&home.root, settings);
    operator.control(store, r);
    start(operator)
}

/// Waits until `what` holds, or fails saying so. The wait is long because the machine may be busy.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(
            std::time::Instant::now() < deadline,
            "did not come about: {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub const SECOND: Duration = Duration::from_secs(1);

/// Every run is told through a channel: which object, and when.
pub type Told = mpsc::UnboundedReceiver<(String, Instant)>;

pub fn tells(
    result: impl Fn(u32) -> Result<Action, ReconcileError> + Send + Sync + 'static,
) -> (impl Reconcile<Thing>, Told) {
    let (tell, told) = mpsc::unbounded_channel();
    let (count, result) = (Arc::new(AtomicU32::new(0)), Arc::new(result));
    let reconciler = does(move |cx| {
        let (n, result) = (count.fetch_add(1, SeqCst), result.clone());
        tell.send((cx.name().to_string(), Instant::now())).ok();
        Box::pin(async move { result(n) })
    });
    (reconciler, told)
}

/// Nothing runs for that long. On paused time this costs nothing.
pub async fn quiet(told: &mut Told, for_: Duration) {
    let run = tokio::time::timeout(for_, told.recv()).await;
    assert!(run.is_err(), "ran: {run:?}");
}

pub async fn seconds_to_next(told: &mut Told) -> u64 {
    let asked = Instant::now();
    let (_, at) = told.recv().await.unwrap();
    (at - asked + Duration::from_millis(100)).as_secs()
}
