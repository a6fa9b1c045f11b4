//! `Snapshot`: one sealed, consistent copy of an instance's volumes.
//!
//! An upgrade's own snapshots get their objects here when it has settled; a person's are taken when the instance is undeployed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ci_warm_api_types::journal::{
    Back, Forward, Guard, InstanceName, Operation, Resume, SnapshotName, Standing,
};
use ci_warm_api_types::snapshot::{
    SnapshotDeletionPolicy, SnapshotSpec, SnapshotStatus, SnapshotVolume,
};
use ci_warm_data::{Cancel, Sealed, Unwatched, VolumeName};
use ci_warm_engine::{ContainerFilter, Engine};
use ci_warm_rollout::Deployment;
use ci_warm_runtime::{
    Action, ConditionStatus, Context, Kind, Manifest, Object, ObjectName, Problem, Reason,
    Reconcile, ReconcileError, Store, StoreError, Verdict,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::deploy;
use crate::instance::Instance;
use crate::manifest;

/// The label of a snapshot that an upgrade took, with the instance's name.
pub const PRE_UPGRADE: &str = "ci-warm/pre-upgrade-of";

const FINALIZER: &str = "ci-warm/snapshot";

/// The kind.
#[derive(Debug)]
pub struct Snapshot;

impl Kind for Snapshot {
    const KIND: &'static str = "Snapshot";
    const PLURAL: &'static str = "snapshots";
    type Spec = SnapshotSpec;
    type Status = SnapshotStatus;

    fn parse(
        path: &std::path::Path,
        stem: &str,
        text: &str,
    ) -> Result<Manifest<SnapshotSpec>, Problem> {
        manifest::read(path, stem, text)
    }

    fn ready(object: &Object<Self>) -> Verdict {
        let own = &object.status.own;
        match (own.ready_to_use, &own.error) {
            (Some(true), _) => Verdict::new(ConditionStatus::True, Reason::of("Sealed"), ""),
            (_, Some(error)) => Verdict::new(
                ConditionStatus::False,
                Reason::of("NotSealed"),
                error.clone(),
            ),
            _ => Verdict::new(
                ConditionStatus::Unknown,
                Reason::of("Pending"),
                "not sealed yet",
            ),
        }
    }
}

/// What is recorded with a snapshot when it is sealed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SealContext {
    /// The instance.
    pub instance: String,
    /// When.
    pub sealed_at: Option<Timestamp>,
    /// The release that ran on the data before.
    pub version: Option<ci_warm_api_types::version::Version>,
    /// Its commit.
    pub commit: Option<String>,
    /// Whether every container had ended with exit code 0; absent when that could not be told any more.
    pub clean_stop: Option<bool>,
    /// The exit codes by the containers' names, where they could be told.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exit_codes: BTreeMap<String, i64>,
}

/// The controller of `Snapshot`.
#[derive(Debug)]
pub struct Snapshots {
    root: PathBuf,
    engine: Engine,
}

impl Snapshots {
    /// A controller over a root and an engine.
    pub fn new(root: PathBuf, engine: Engine) -> Self {
        Self { root, engine }
    }
}

impl Reconcile<Snapshot> for Snapshots {
    async fn reconcile(&self, cx: &Context<Snapshot>) -> Result<Action, ReconcileError> {
        let object = cx.object();
        let instance = Instance::new(&self.root, &object.spec.instance);
        let name = SnapshotName(cx.name().to_string());
        if object.deleting() {
            return self.remove(cx, &instance, &name).await;
        }
        cx.add_finalizer(FINALIZER).await?;
        let dir = instance.snapshot(&name);
        let opened = blocking(move || ci_warm_data::open_sealed(&dir)).await?;
        let (status, action) = match opened {
            Ok(Some(sealed)) => (status_of(&sealed), Action::Resync),
            // Taken anew it would be a copy of other data than its name says.
            Ok(None) if object.meta.labels.contains_key(PRE_UPGRADE) => (
                failed(Some(false), "its sealed copy is gone".to_owned()),
                Action::Resync,
            ),
            Ok(None) => self.take(cx, &instance, &name).await?,
            Err(error) => (failed(Some(false), error.to_string()), Action::Resync),
        };
        cx.set_status(&status).await?;
        cx.finish(object.meta.generation).await?;
        Ok(action)
    }
}

impl Snapshots {
    /// Seals what a person asked for, when the instance is at rest.
    async fn take(
        &self,
        cx: &Context<Snapshot>,
        instance: &Instance,
        name: &SnapshotName,
    ) -> Result<(SnapshotStatus, Action), ReconcileError> {
        let soon = Action::After(Duration::from_secs(15));
        let standing = instance.standing().map_err(ReconcileError::terminal)?;
        if standing.operation.is_some() {
            return Ok((
                failed(
                    None,
                    "an operation is under way; waiting for its end".to_owned(),
                ),
                soon,
            ));
        }
        let stack = instance.stack();
        if deploy::left_of(&self.engine, stack)
            .await
            .map_err(ReconcileError::transient)?
            == Deployment::Absent
        {
        } else {
            let message =
                format!("stack {stack} is deployed: a snapshot is taken while it is undeployed");
            return Ok((failed(Some(false), message), soon));
        }
        let mut volumes = Vec::new();
        for volume in self
            .engine
            .volumes(stack)
            .await
            .map_err(ReconcileError::transient)?
        {
            let held = self
                .engine
                .containers(ContainerFilter::Volume(&volume.name))
                .await;
            if let Some(holder) = held.map_err(ReconcileError::transient)?.first() {
                let message = format!(
                    "volume {} is in use by container {}",
                    volume.name, holder.id
                );
                return Ok((failed(Some(false), message), soon));
            }
            let plain = VolumeName::new(&volume.name).map_err(ReconcileError::terminal)?;
            volumes.push((plain, PathBuf::from(volume.mountpoint)));
        }
        if volumes.is_empty() {
            let message = format!("stack {stack} has no volumes on this node");
            return Ok((
                failed(Some(false), message),
                Action::After(Duration::from_mins(1)),
            ));
        }
        let good = standing.last_good.as_ref();
        let context = SealContext {
            instance: stack.to_owned(),
            sealed_at: Some(cx.now()),
            version: good.map(|good| good.of.version.clone()),
            commit: good.map(|good| good.of.commit.clone()),
            ..SealContext::default()
        };
        let dir = instance.snapshot(name);
        std::fs::create_dir_all(instance.snapshots()).map_err(ReconcileError::transient)?;
        let sealed = blocking(move || {
            let context = serde_json::to_value(&context).unwrap_or_default();
            let request = ci_warm_data::SealRequest {
                snapshot_dir: &dir,
                volumes: &volumes,
                context: &context,
            };
            ci_warm_data::seal(&request, &Cancel::default())
        })
        .await?;
        Ok(match sealed {
            Ok(sealed) => (status_of(&sealed), Action::Resync),
            Err(error) => (failed(Some(false), error.to_string()), soon),
        })
    }

    async fn remove(
        &self,
        cx: &Context<Snapshot>,
        instance: &Instance,
        name: &SnapshotName,
    ) -> Result<Action, ReconcileError> {
        let standing = instance.standing().map_err(ReconcileError::terminal)?;
        if cx.object().spec.deletion_policy == SnapshotDeletionPolicy::Delete {
            if needed(&standing, name) {
                return Ok(Action::After(Duration::from_secs(15)));
            }
            let dir = instance.snapshot(name);
            blocking(move || {
                if dir.exists() {
                    ci_warm_data::remove_snapshot(&dir, &Unwatched)
                } else {
                    Ok(())
                }
            })
            .await?
            .map_err(ReconcileError::transient)?;
        }
        cx.remove_finalizer(FINALIZER).await?;
        Ok(Action::Resync)
    }
}

fn failed(ready: Option<bool>, error: String) -> SnapshotStatus {
    SnapshotStatus {
        ready_to_use: ready,
        error: Some(error),
        ..SnapshotStatus::default()
    }
}

fn status_of(sealed: &Sealed) -> SnapshotStatus {
    let context: SealContext = serde_json::from_value(sealed.context().clone()).unwrap_or_default();
    let volumes: Vec<_> = sealed
        .volumes()
        .iter()
        .map(|volume| SnapshotVolume {
            name: volume.name.as_str().to_owned(),
            size: volume.bytes,
            digest: volume.digest.to_string(),
        })
        .collect();
    SnapshotStatus {
        ready_to_use: Some(true),
        sealed_at: context.sealed_at,
        version: context.version,
        commit: context.commit,
        restore_size: Some(sealed.allocated()),
        clean_stop: context.clean_stop,
        volumes,
        error: None,
    }
}

/// Whether an operation may still need this snapshot.
fn needed(standing: &Standing, name: &SnapshotName) -> bool {
    let by_guard = |guard: &Guard| matches!(guard, Guard::Sealed(sealed) if sealed.name == *name);
    match &standing.operation {
        Some(Operation::Forward(op)) => match &op.at {
            Forward::Deploy(guard) | Forward::Prove { guard, .. } => by_guard(guard),
            Forward::Pull | Forward::Freeze => false,
            // It may just be being taken.
            Forward::Undeploy | Forward::Seal => true,
        },
        Some(Operation::Stuck {
            resume: Resume::Forward { guard, .. },
            ..
        }) => by_guard(guard),
        Some(
            Operation::Back(op)
            | Operation::Stuck {
                resume: Resume::Back(op),
                ..
            },
        ) => match &op.at {
            Back::Undeploy(sealed) | Back::Restore(sealed) => sealed.name == *name,
            // It went wrong after this was put back; a person may want to look at it again.
            Back::Deploy | Back::Prove(_) => true,
        },
        _ => false,
    }
}

/// Brings the folder in line with the journal after an operation's end: a Snapshot object for each sealed copy, and no more of
/// them, of stored releases and of set-aside data than are kept.
///
/// # Errors
/// Something could not be listed, written or removed. Nothing is lost by that: it is tried again at the next end.
pub fn keep_house(
    store: &Arc<Store<Snapshot>>,
    instance: &Instance,
    standing: &Standing,
    retain: u32,
) -> Result<(), StoreError> {
    let io = |path: PathBuf| move |source| StoreError::List { path, source };
    let retain = usize::try_from(retain).unwrap_or(usize::MAX);
    let mut names: Vec<String> =
        folders(&instance.snapshots()).map_err(io(instance.snapshots()))?;
    names.retain(|name| {
        ci_warm_data::open_sealed(&instance.snapshot(&SnapshotName(name.clone())))
            .is_ok_and(|sealed| sealed.is_some())
    });
    for name in &names {
        if let Ok(name) = ObjectName::new(name)
            && store.get(&name).is_none()
        {
            match store.create(&name, &object_text(name.as_str(), instance.name())) {
                Ok(_) | Err(StoreError::Exists(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    // Names of an upgrade's snapshots end in the operation's time and number, so they sort by age.
    let mut own: Vec<_> = names
        .into_iter()
        .filter_map(|name| store.get(&ObjectName::new(&name).ok()?))
        .filter(|record| record.meta.labels.get(PRE_UPGRADE) == Some(&instance.stack().to_owned()))
        .filter(|record| !needed(standing, &SnapshotName(record.meta.name.to_string())))
        .collect();
    own.sort_by(|a, b| b.meta.name.as_str().cmp(a.meta.name.as_str()));
    for record in own.iter().skip(retain) {
        if record.meta.deletion_timestamp.is_none() {
            store.delete(&record.meta.name, &record.meta.uid)?;
        }
    }
    forget_releases(instance, standing).map_err(io(instance.releases()))?;
    let aside = instance.dir().join("aside");
    let mut set_aside: Vec<String> = folders(&aside).map_err(io(aside.clone()))?;
    set_aside.sort();
    let operation = standing
        .operation
        .as_ref()
        .map(|operation| operation.id().0.clone());
    for name in set_aside
        .iter()
        .rev()
        .skip(retain.max(1))
        .filter(|name| Some(*name) != operation.as_ref())
    {
        // What cannot be removed now is removed the next time.
        let _ = ci_warm_data::remove_aside(&aside.join(name), &Unwatched);
        let _ = std::fs::remove_file(aside.join(format!("{name}.restored")));
    }
    Ok(())
}

/// Removes the objects of those upgrades' snapshots whose sealed copies are gone, as after a purge.
///
/// # Errors
/// One could not be removed.
pub fn forget_lost(store: &Store<Snapshot>, instance: &Instance) -> Result<(), StoreError> {
    for record in store.snapshot().iter() {
        let name = SnapshotName(record.meta.name.to_string());
        let of_upgrade = record
            .meta
            .labels
            .get(PRE_UPGRADE)
            .is_some_and(|of| of == instance.stack());
        // What cannot be looked at is not gone.
        let gone = matches!(instance.snapshot(&name).try_exists(), Ok(false));
        if of_upgrade && gone && record.meta.deletion_timestamp.is_none() {
            store.delete(&record.meta.name, &record.meta.uid)?;
        }
    }
    Ok(())
}

/// Stored releases are kept while anything in the journal may want to deploy them.
fn forget_releases(instance: &Instance, standing: &Standing) -> std::io::Result<()> {
    let mut keep: Vec<String> = standing
        .last_good
        .iter()
        .map(|good| good.of.id.0.clone())
        .collect();
    match &standing.operation {
        Some(Operation::Forward(op)) => keep.push(op.to.id.0.clone()),
        Some(Operation::Stuck {
            resume: Resume::Forward { to, .. },
            ..
        }) => keep.push(to.id.0.clone()),
        Some(
            Operation::Back(op)
            | Operation::Stuck {
                resume: Resume::Back(op),
                ..
            },
        ) => {
            keep.extend([op.to.of.id.0.clone(), op.failed.id.0.clone()]);
        }
        _ => {}
    }
    for name in folders(&instance.releases())? {
        if !keep.contains(&name) {
            std::fs::remove_dir_all(instance.releases().join(name))?;
        }
    }
    Ok(())
}

fn folders(dir: &std::path::Path) -> std::io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    Ok(names)
}

fn object_text(name: &str, instance: &InstanceName) -> String {
    format!(
        "# Taken before an upgrade; kept as spec.data.retain of its app says.\n\
         apiVersion: ci-warm/v1alpha1\nkind: Snapshot\nmetadata:\n  name: {name}\n  labels:\n    {PRE_UPGRADE}: {instance}\n\
         spec:\n  instance: {instance}\n"
    )
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReconcileError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(ReconcileError::transient)
}
