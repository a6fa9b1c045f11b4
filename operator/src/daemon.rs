//! The operator: stores, controllers, and what wakes them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ci_warm_api_types::conditions::reasons;
use ci_warm_engine::{Engine, Event, EventKind, Notice};
use ci_warm_runtime::{Handle, HeldDeletions, Kind, Operator, Root, Settings, Shutdown, Store};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::held;
use crate::snapshot::{Snapshot, Snapshots};
use crate::warm_app::{WarmApp, WarmApps};

/// Where the operator works.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory that is the API.
    pub root: PathBuf,
    /// The engine, as in `DOCKER_HOST`.
    pub docker_host: String,
}

/// Runs until it is told to stop: the first signal lets running work finish, the second does not.
///
/// # Errors
/// The root cannot be used, another operator has it, or the engine's address means nothing.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let root = if options.root.join(ci_warm_runtime::root::MARKER).exists() {
        Root::open(&options.root)
    } else {
        Root::initialise(&options.root)
    }
    .with_context(|| format!("cannot use {} as the root", options.root.display()))?;
    let _lock = root
        .lock()
        .context("cannot become the operator of this root")?;
    let engine = Engine::connect(&options.docker_host)
        .await
        .with_context(|| format!("cannot speak to the engine at {}", options.docker_host))?;
    let apps = Store::<WarmApp>::open(&root)?;
    let snapshots = Store::<Snapshot>::open(&root)?;
    // A snapshot of a large volume takes as long as it takes; a step that hangs ends by its own limits.
    let settings = Settings {
        run_limit: Duration::from_hours(12),
        ..Settings::default()
    };
    let mut operator = Operator::new(&root, settings);
    operator.control(
        &apps,
        WarmApps::new(options.root.clone(), engine.clone(), snapshots.clone()),
    );
    operator.control(
        &snapshots,
        Snapshots::new(options.root.clone(), engine.clone()),
    );
    operator.map::<WarmApp>({
        let apps = apps.clone();
        move |change| dependents(&apps, change)
    });
    let shutdown = Shutdown::new();
    let handle = operator.handle();
    let held_since = {
        let apps = apps.clone();
        move |held: &HeldDeletions| match held.kind {
            WarmApp::KIND => held::since(&apps, held),
            Snapshot::KIND => held::since(&snapshots, held),
            _ => None,
        }
    };
    let events = tokio::spawn(follow(engine, apps, handle.clone(), shutdown.drain.clone()));
    let alarms = tokio::spawn(held::watch(
        options.root.clone(),
        handle.clone(),
        held_since,
        shutdown.drain.clone(),
    ));
    let signals = tokio::spawn(signals(shutdown.clone()));
    announce(&handle, &shutdown.drain);
    let ended = operator.run(shutdown).await;
    for task in [
        events.abort_handle(),
        alarms.abort_handle(),
        signals.abort_handle(),
    ] {
        task.abort();
    }
    ended.context("the loop ended")
}

/// Tells systemd that the first complete list is there.
fn announce(handle: &Handle, drain: &CancellationToken) {
    let (mut listed, drain) = (handle.listed(), drain.clone());
    tokio::spawn(async move {
        if listed.wait_for(|listed| *listed).await.is_ok() {
            tracing::info!("the first list is complete");
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
            drain.cancelled().await;
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        }
    });
}

async fn signals(shutdown: Shutdown) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to stop");
        shutdown.advance();
    }
}

/// The apps that wait for the one that changed: they depend on it, or are refused because of what another says.
fn dependents(
    apps: &Store<WarmApp>,
    change: &ci_warm_runtime::store::Change,
) -> Vec<ci_warm_runtime::Key> {
    apps.snapshot()
        .iter()
        .filter(|record| record.meta.name != change.key.name)
        .filter(|record| {
            let depends = record.spec.as_ref().is_some_and(|spec| {
                spec.depends_on
                    .iter()
                    .any(|on| on.name == change.key.name.as_str())
            });
            let readiness = record.status.own.readiness.as_ref();
            depends || readiness.is_some_and(|ready| of_relations(&ready.reason))
        })
        .map(|record| ci_warm_runtime::Key::new(WarmApp::KIND, record.meta.name.clone()))
        .collect()
}

fn of_relations(reason: &str) -> bool {
    [reasons::NAME_TAKEN, reasons::DEPENDENCY_CYCLE].contains(&reason)
}

/// Wakes apps when something of their stack moves. Events are hints: what is missed here is found by looking.
async fn follow(
    engine: Engine,
    apps: Arc<Store<WarmApp>>,
    handle: Handle,
    drain: CancellationToken,
) {
    let mut backoff = backon::BackoffBuilder::build(
        backon::ExponentialBuilder::default()
            .with_max_delay(Duration::from_secs(30))
            .without_max_times(),
    );
    while !drain.is_cancelled() {
        if let Err(error) = listen(&engine, &apps, &handle).await {
            tracing::warn!(%error, "the engine's events ended");
        }
        let delay = backoff.next().unwrap_or(Duration::from_secs(30));
        tokio::select! { () = drain.cancelled() => {}, () = tokio::time::sleep(delay) => {} }
    }
}

async fn listen(
    engine: &Engine,
    apps: &Store<WarmApp>,
    handle: &Handle,
) -> Result<(), ci_warm_engine::EngineError> {
    let mut events = engine.events().await?;
    loop {
        match events.next().await? {
            Notice::EventGap => handle.wake_all(),
            Notice::Event(event) => {
                for record in apps.snapshot().iter() {
                    if record
                        .spec
                        .as_ref()
                        .is_some_and(|spec| concerns(&event, &spec.stack_name()))
                    {
                        handle.wake_after_burst(WarmApp::KIND, &record.meta.name);
                    }
                }
            }
        }
    }
}

/// A container's event names its stack; a service's has only the service's name, which begins with it. What a probe does in a
/// container is no news.
fn concerns(event: &Event, stack: &str) -> bool {
    match event.kind {
        EventKind::Container => {
            event.stack.as_deref() == Some(stack) && !event.action.starts_with("exec_")
        }
        EventKind::Service => event
            .name
            .as_deref()
            .and_then(|name| name.strip_prefix(stack))
            .is_some_and(|rest| rest.starts_with('_')),
        EventKind::Network | EventKind::Secret | EventKind::Config | EventKind::Volume => false,
    }
}
