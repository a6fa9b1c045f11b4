//! Whether a release can be deployed without risk: its data covered, its needs there, the way back open.
//!
//! Coverage comes from what the containers really mount, and from what the release says they will. What cannot be covered is
//! refused by name, before anything is stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use ci_warm_api_types::conditions::reasons;
use ci_warm_api_types::journal::{Release, VolumeName};
use ci_warm_api_types::warm_app::{DataPolicy, SnapshotPolicy};
use ci_warm_engine::{
    ContainerFilter, Engine, EngineError, Mount, ObjectKind, STACK_LABEL, TaskFilter, Volume,
};
use ci_warm_rollout::Preflight;
use ci_warm_stack::{Stack, VolumeKind, VolumeUse};
use thiserror::Error;

use crate::instance::Instance;
use crate::release::{self, Frozen, ValueSource};
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

/// What the release needs and nobody makes for it.
async fn needs(look: Look<'_>) -> Result<(), Stop> {
    for secret in &look.release.secrets {
        if secret.source == ValueSource::Manual
            && look
                .engine
                .object(ObjectKind::Secret, &secret.swarm_name)
                .await?
                .is_none()
        {
            let message = format!(
                "secret not inserted (#generate=false): {0}; insert it (`docker secret create {1} FILE`), or give it under \
                 spec.secrets.{0}",
                secret.name, secret.swarm_name
            );
            return refuse(reasons::SECRET_MISSING, message);
        }
        if let ValueSource::File(path) = &secret.source
            && let Err(error) = std::fs::metadata(path)
            && look
                .engine
                .object(ObjectKind::Secret, &secret.swarm_name)
                .await?
                .is_none()
        {
            let message = format!(
                "the value of secret `{}`: cannot read {}: {error}",
                secret.name,
                path.display()
            );
            return refuse(reasons::SECRET_MISSING, message);
        }
    }
    let made: BTreeSet<&str> = look
        .release
        .secrets
        .iter()
        .map(|secret| secret.swarm_name.as_str())
        .collect();
    for (kind, word, objects) in [
        (ObjectKind::Secret, "secret", &look.release.stack.secrets),
        (ObjectKind::Config, "config", &look.release.stack.configs),
    ] {
        for object in objects {
            let found = look.engine.object(kind, &object.name).await?;
            match (&object.body, found) {
                (None, None) if !made.contains(object.name.as_str()) => {
                    let message = format!("external {word} `{}` does not exist", object.name);
                    return refuse(reasons::SECRET_MISSING, message);
                }
                (Some(body), Some(found))
                    if kind == ObjectKind::Config
                        && found.data.as_deref() != body["Data"].as_str() =>
                {
                    let message = format!(
                        "config `{}` exists with another content, and Swarm cannot change a config: the recipe has to \
                         give it a new version name in abra.sh",
                        object.name
                    );
                    return refuse(reasons::INVALID_RECIPE, message);
                }
                _ => {}
            }
        }
    }
    networks(look).await
}

async fn networks(look: Look<'_>) -> Result<(), Stop> {
    for network in look
        .release
        .stack
        .networks
        .iter()
        .filter(|network| network.body.is_none())
    {
        let declared = look
            .release
            .networks
            .iter()
            .any(|spec| spec.name == network.name);
        let predefined = matches!(
            network.name.as_str(),
            "host" | "bridge" | "none" | "default"
        );
        if declared || predefined || !look.engine.networks_named(&network.name).await?.is_empty() {
            continue;
        }
        let message = format!(
            "network `{0}` is external and does not exist: declare it under spec.networks, or create it \
             (`docker network create -d overlay {0}`)",
            network.name
        );
        return refuse(reasons::INVALID_RECIPE, message);
    }
    Ok(())
}

/// The way back: last good as stored, with its images, secrets and configs.
async fn way_back(look: Look<'_>) -> Result<Option<Frozen>, Stop> {
    let Some(good) = look.last_good else {
        return Ok(None);
    };
    let frozen = match release::load(&look.instance.release(&good.of.id)) {
        Ok(Some(frozen)) => frozen,
        Ok(None) => {
            let message = format!(
                "the stored release of {} is missing, so a failure could not be undone",
                good.of.version
            );
            return refuse(reasons::WAY_BACK_MISSING, message);
        }
        Err(error) => return refuse(reasons::WAY_BACK_MISSING, error.to_string()),
    };
    for (service, image) in &frozen.images {
        let by_name = look.engine.image(&image.reference).await?;
        if by_name.is_none() && look.engine.image(&image.id).await?.is_none() {
            let message = format!(
                "image {} of service {service} of {} is not on this host",
                image.reference, good.of.version
            );
            return refuse(reasons::WAY_BACK_MISSING, message);
        }
    }
    for (kind, objects) in [
        (ObjectKind::Secret, &frozen.stack.secrets),
        (ObjectKind::Config, &frozen.stack.configs),
    ] {
        for object in objects {
            if look.engine.object(kind, &object.name).await?.is_none() && object.body.is_none() {
                let message = format!(
                    "`{}`, which {} needs, does not exist",
                    object.name, good.of.version
                );
                return refuse(reasons::WAY_BACK_MISSING, message);
            }
        }
    }
    Ok(Some(frozen))
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

/// Room for the copy where snapshots lie, and for the data that is put back beside the failed one, where each volume lies.
fn space(look: Look<'_>, volumes: &BTreeMap<VolumeName, PathBuf>) -> Result<(), Stop> {
    const MARGIN_BYTES: u64 = 16 << 20;
    let mut total = 0;
    let mut demands = Vec::new();
    for (name, dir) in volumes {
        let bytes = match ci_warm_data::required_space(&[dir]) {
            Err(
                error @ (ci_warm_data::DataError::Unsupported { .. }
                | ci_warm_data::DataError::MountPoint { .. }),
            ) => {
                let message = format!("volume `{name}` cannot be copied: {error}");
                return refuse(reasons::DATA_NOT_COVERED, message);
            }
            bytes => bytes?,
        };
        total += bytes;
        demands.push((dir.as_path(), bytes));
    }
    let snapshots = look.instance.dir();
    let snapshots = snapshots.ancestors().find(|dir| dir.exists());
    demands.push((snapshots.unwrap_or(Path::new("/")), total));
    let mut disks = Vec::new();
    for (place, bytes) in demands {
        let device = std::fs::metadata(place)
            .map_err(DurableError::at("inspect", place))?
            .dev();
        disks.push((device, place, bytes));
    }
    for (place, need) in by_disk(&disks) {
        let free = ci_warm_data::free_space(place)?;
        if free < need + MARGIN_BYTES {
            let message = format!(
                "the disk of {} has {free} bytes free, and a snapshot and its restore need {}",
                place.display(),
                need + MARGIN_BYTES
            );
            return refuse(reasons::DATA_NOT_COVERED, message);
        }
    }
    Ok(())
}

/// The demands on each disk together, with a place on it.
fn by_disk<'a>(demands: &[(u64, &'a Path, u64)]) -> Vec<(&'a Path, u64)> {
    let mut disks: BTreeMap<u64, (&Path, u64)> = BTreeMap::new();
    for (device, place, bytes) in demands {
        disks.entry(*device).or_insert((place, 0)).1 += bytes;
    }
    disks.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_should_hold_everything_that_comes_to_lie_on_it() {
        let (root, data, other) = (Path::new("/root"), Path::new("/data"), Path::new("/other"));
        let demands = [(1, data, 10), (2, other, 5), (1, root, 15)];
        assert_eq!(by_disk(&demands), [(data, 25), (other, 5)]);
    }

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
