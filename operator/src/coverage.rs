//! Whether a release can be deployed without risk: its data covered, its needs there, the way back open.
//!
//! Coverage comes from what the containers really mount, and from what the release says they will. What cannot be covered is
//! refused by name, before anything is stopped.

mod needs;
mod space;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use ci_warm_api_types::conditions::reasons;
use ci_warm_api_types::journal::{Release, VolumeName};
use ci_warm_api_types::warm_app::{DataPolicy, SnapshotPolicy};
use ci_warm_engine::{
    ContainerFilter, Engine, EngineError, Mount, STACK_LABEL, TaskFilter, Volume,
};
use ci_warm_rollout::Preflight;
use ci_warm_stack::{Stack, VolumeKind, VolumeUse};
use thiserror::Error;

use needs::{needs, way_back};
use space::space;

use crate::instance::Instance;
use crate::release::Frozen;
use ci_warm_runtime::durable::DurableError;

/// Why it could not be told.
#[derive(Debug, Error)]
pub enum CoverageError {
    /// The engine did not say.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The disk did not say.
    #[error(transparent)]
    Data(#[from] ci_warm_data::DataError),
    /// Nor did it of a path.
    #[error(transparent)]
    File(#[from] DurableError),
}

/// A refusal: a condition's reason, and what a person should know.
struct Refusal(&'static str, String);

enum Stop {
    Refused(Refusal),
    Unknown(CoverageError),
}

impl<E: Into<CoverageError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Unknown(error.into())
    }
}

fn refuse<T>(reason: &'static str, message: String) -> Result<T, Stop> {
    Err(Stop::Refused(Refusal(reason, message)))
}

/// Everything that a look needs.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The instance.
    pub instance: &'a Instance,
    /// What is to be deployed, not yet pinned.
    pub release: &'a Frozen,
    /// What runs.
    pub last_good: Option<&'a Release>,
    /// What the spec says of data.
    pub policy: &'a DataPolicy,
}

/// Looks whether the release can be deployed.
///
/// # Errors
/// It cannot be told now: neither yes nor no.
pub async fn preflight(look: Look<'_>) -> Result<Preflight, CoverageError> {
    match clear(look).await {
        Ok(covers) => Ok(Preflight::Clear { covers }),
        Err(Stop::Refused(Refusal(reason, message))) => Ok(Preflight::Refused {
            reason: reason.to_owned(),
            message,
        }),
        Err(Stop::Unknown(error)) => Err(error),
    }
}

async fn clear(look: Look<'_>) -> Result<Option<BTreeSet<VolumeName>>, Stop> {
    needs(look).await?;
    let way_back = way_back(look).await?;
    if look.policy.snapshot == SnapshotPolicy::Never {
        return Ok(None);
    }
    declared(look)?;
    anonymous_by_image(look).await?;
    let mut names = mounted(look).await?;
    for stack in [
        Some(&look.release.stack),
        way_back.as_ref().map(|frozen| &frozen.stack),
    ]
    .into_iter()
    .flatten()
    {
        names.extend(named(stack));
    }
    let mut volumes = existing(look, &names).await?;
    volumes.extend(left_over(look, &names).await?);
    space(look, &volumes)?;
    // Where nothing ever ran there is nothing to protect; where something did, even "no volumes" is worth keeping.
    let ever_ran = look.last_good.is_some() || !volumes.is_empty();
    Ok(ever_ran.then(|| volumes.into_keys().collect()))
}

/// What the release says of its volumes.
fn declared(look: Look<'_>) -> Result<(), Stop> {
    for volume in &look.release.stack.volumes {
        let at = format!("service {} mounts at {}", volume.service, volume.target);
        let wrong = match volume.kind {
            _ if volume.read_only => None,
            VolumeKind::Anonymous => {
                Some("an anonymous volume, which every task gets anew".to_owned())
            }
            VolumeKind::Bind => writable_bind(look, volume),
            VolumeKind::Cluster | VolumeKind::Pipe => {
                Some("something that is not a local volume".to_owned())
            }
            VolumeKind::Named | VolumeKind::External if is_elsewhere(volume) => Some(format!(
                "volume `{}`, whose driver options put the data elsewhere",
                source(volume)
            )),
            VolumeKind::Named | VolumeKind::External | VolumeKind::Tmpfs | VolumeKind::Image => {
                None
            }
        };
        if let Some(wrong) = wrong {
            return refuse(
                reasons::DATA_NOT_COVERED,
                format!("{at} {wrong}: no snapshot can cover that"),
            );
        }
    }
    Ok(())
}

fn source(volume: &VolumeUse) -> &str {
    volume.source.as_deref().unwrap_or("without a name")
}

fn is_elsewhere(volume: &VolumeUse) -> bool {
    !volume.driver_options.is_empty()
        || volume
            .driver
            .as_deref()
            .is_some_and(|driver| driver != "local")
}

fn writable_bind(look: Look<'_>, volume: &VolumeUse) -> Option<String> {
    let path = source(volume);
    (!is_exempt(look.policy, path)).then(|| {
        format!("the host path {path}, writable; mount it read-only, or exempt it under spec.data.exempt")
    })
}

fn is_exempt(policy: &DataPolicy, path: &str) -> bool {
    let path = Path::new(path);
    // A path that climbs is not where it seems to be.
    let climbs = path.components().any(|part| part == Component::ParentDir);
    !climbs && policy.exempt.iter().any(|exempt| path.starts_with(exempt))
}

/// Volumes that an image declares and no mount names become anonymous ones.
async fn anonymous_by_image(look: Look<'_>) -> Result<(), Stop> {
    for service in &look.release.stack.services {
        let Some(image) = look.engine.image(service.sent_image()).await? else {
            continue;
        };
        for path in &image.volumes {
            let mounted = look.release.stack.volumes.iter().any(|volume| {
                volume.service == service.key
                    && volume.target.trim_end_matches('/') == path.trim_end_matches('/')
            });
            if !mounted {
                let message = format!(
                    "service {} gets an anonymous volume at {path}, which its image declares and no volume is mounted \
                     at: no snapshot can cover that",
                    service.key
                );
                return refuse(reasons::DATA_NOT_COVERED, message);
            }
        }
    }
    Ok(())
}

/// The named volumes that a stack mounts, as the engine knows them.
pub(crate) fn named(stack: &Stack) -> impl Iterator<Item = String> + '_ {
    stack
        .volumes
        .iter()
        .filter(|volume| matches!(volume.kind, VolumeKind::Named | VolumeKind::External))
        .filter_map(|volume| volume.source.clone())
}

/// What the stack's containers mount, as they are.
async fn mounted(look: Look<'_>) -> Result<BTreeSet<String>, Stop> {
    let stack = look.instance.stack();
    let here = look.engine.info().await?.node_id;
    for task in look.engine.tasks(TaskFilter::Stack(stack)).await? {
        if !task.state.is_over() && task.node.is_some() && task.node != here {
            let message = format!(
                "task {} runs on another node ({}): only data on this one can be covered",
                task.id,
                task.node.unwrap_or_default()
            );
            return refuse(reasons::DATA_NOT_COVERED, message);
        }
    }
    let mut names = BTreeSet::new();
    for container in look
        .engine
        .containers(ContainerFilter::Stack(stack))
        .await?
    {
        for mount in container.mounts.iter().filter(|mount| mount.rw) {
            match mount.kind.as_str() {
                "volume" if is_anonymous(&mount.name) => {
                    let message = format!(
                        "container {} mounts an anonymous volume at {}: no snapshot can cover that",
                        container.names.first().map_or("?", String::as_str),
                        mount.destination
                    );
                    return refuse(reasons::DATA_NOT_COVERED, message);
                }
                "volume" => {
                    names.insert(mount.name.clone());
                }
                "bind" => bound(look, mount)?,
                _ => {}
            }
        }
    }
    Ok(names)
}

fn bound(look: Look<'_>, mount: &Mount) -> Result<(), Stop> {
    if is_exempt(look.policy, &mount.source) {
        return Ok(());
    }
    let message = format!(
        "a container mounts the host path {} writable: mount it read-only, or exempt it under spec.data.exempt",
        mount.source
    );
    refuse(reasons::DATA_NOT_COVERED, message)
}

/// Docker names these by 64 hexadecimal digits.
fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The volumes that exist, with where their data is.
async fn existing(
    look: Look<'_>,
    names: &BTreeSet<String>,
) -> Result<BTreeMap<VolumeName, PathBuf>, Stop> {
    let mut found = BTreeMap::new();
    for name in names {
        let Some(volume) = look.engine.volume(name).await? else {
            continue;
        };
        coverable(look, &volume).await?;
        found.insert(VolumeName(volume.name), PathBuf::from(volume.mountpoint));
    }
    Ok(found)
}

/// Volumes of the stack that no release of now mounts, an older one's for example. What is not sealed is emptied by a restore,
/// as something that the failed release added.
async fn left_over(
    look: Look<'_>,
    mounted: &BTreeSet<String>,
) -> Result<BTreeMap<VolumeName, PathBuf>, Stop> {
    let mut found = BTreeMap::new();
    for volume in look.engine.volumes(look.instance.stack()).await? {
        if !mounted.contains(&volume.name) && is_plain(&volume) {
            coverable(look, &volume).await?;
            found.insert(VolumeName(volume.name), PathBuf::from(volume.mountpoint));
        }
    }
    Ok(found)
}

/// Whether the data of a volume is where the engine says.
pub(crate) fn is_plain(volume: &Volume) -> bool {
    volume.driver == "local" && volume.options.is_empty()
}

async fn coverable(look: Look<'_>, volume: &Volume) -> Result<(), Stop> {
    let name = &volume.name;
    if !is_plain(volume) {
        let message = format!(
            "volume `{name}` has driver options or a driver of its own, so its data may be elsewhere"
        );
        return refuse(reasons::DATA_NOT_COVERED, message);
    }
    if let Some(marker) = ci_warm_data::pending(volume.mountpoint.as_ref())? {
        let message = format!(
            "volume `{name}` is in the middle of a restore, by operation {}: that has to be finished first",
            marker.operation
        );
        return refuse(reasons::DATA_NOT_COVERED, message);
    }
    let stack = look.instance.stack();
    if let Some(owner) = volume
        .labels
        .get(STACK_LABEL)
        .filter(|owner| *owner != stack)
    {
        let message = format!(
            "volume `{name}` belongs to stack {owner}: data that is shared cannot be put back for one"
        );
        return refuse(reasons::DATA_NOT_COVERED, message);
    }
    for container in look
        .engine
        .containers(ContainerFilter::Volume(name))
        .await?
    {
        if container.stack() == Some(stack) {
            continue;
        }
        let holder = container.names.first().map_or("?", String::as_str);
        let message = match container.stack() {
            Some(other) => {
                format!("volume `{name}` is shared with stack {other} (container {holder})")
            }
            None => {
                format!("volume `{name}` is held by container {holder}, which is not the stack's")
            }
        };
        return refuse(reasons::DATA_NOT_COVERED, message);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exempt_path_should_cover_what_is_below_it_and_nothing_beside_it() {
        let policy = DataPolicy {
            exempt: [PathBuf::from("/srv/media")].into(),
            ..DataPolicy::default()
        };
        assert!(is_exempt(&policy, "/srv/media/films"));
        assert!(!is_exempt(&policy, "/srv/media2"));
        assert!(!is_exempt(&policy, "/srv/media/../secret"));
    }
}
