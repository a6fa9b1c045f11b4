//! One effect, made so however often it is tried. Nothing here looks at versions, health or policy.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ci_warm_api_types::journal::{
    Candidate, OperationId, Release, Sealed, SnapshotName, VolumeName,
};
use ci_warm_data::{Cancel, DataError, RestoreRequest, SealRequest, Unwatched};
use ci_warm_engine::{
    ContainerFilter, Engine, EngineError, ErrorClass, ObjectKind, Removed, Volume,
};
use ci_warm_rollout::Step;
use thiserror::Error;

use super::observe::Desk;
use crate::coverage::{is_plain, named};
use crate::deploy::{self, DeployError};
use crate::instance::{Instance, InstanceError, Recorded};
use crate::release::{self, Frozen, FrozenImage, ReleaseError};
use crate::snapshot::SealContext;
use ci_warm_runtime::durable::{self, DurableError};

/// Why a step was not done.
#[derive(Debug, Error)]
pub(super) enum ActError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Deploy(#[from] DeployError),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Release(#[from] ReleaseError),
    #[error(transparent)]
    File(#[from] DurableError),
    #[error(transparent)]
    Instance(#[from] InstanceError),
    #[error("volume {0} is gone: nothing can be sealed from it or put back into it")]
    Gone(VolumeName),
    #[error("{0}")]
    Other(String),
}

impl ActError {
    /// The engine did not answer, or the process is to stop: nothing is known of what the step would do.
    pub(super) fn says_nothing(&self) -> bool {
        match self {
            Self::Engine(error) | Self::Deploy(DeployError::Engine(error)) => {
                matches!(
                    error.class(),
                    ErrorClass::Unreachable | ErrorClass::TimedOut
                )
            }
            Self::Data(DataError::Cancelled) => true,
            _ => false,
        }
    }
}

/// Whether trying again is of use.
#[derive(Debug)]
pub(super) enum Failed {
    /// It may work later.
    Passing(ActError),
    /// It will not work as it is.
    Final(ActError),
}

impl Desk<'_> {
    /// Does what was recorded.
    pub(super) async fn act(&mut self, recorded: &Recorded, cancel: &Cancel) -> Result<(), Failed> {
        match recorded.step() {
            Step::Pull(candidate) => self.pull(candidate).await.map_err(pull_failed),
            Step::Freeze(candidate) => self.freeze(candidate).await.map_err(Failed::Final),
            Step::Undeploy => self.undeploy().await.map_err(Failed::Passing),
            Step::Seal { name, volumes } => self
                .seal_volumes(name, volumes, cancel)
                .await
                .map_err(data_failed),
            Step::Deploy { candidate, .. } => {
                self.submit(candidate, None).await.map_err(deploy_failed)
            }
            Step::Submit {
                release: Release { of, .. },
                nonce,
            } => self.submit(of, *nonce).await.map_err(deploy_failed),
            Step::Restore { sealed, operation } => self
                .restore(sealed, operation, cancel)
                .await
                .map_err(data_failed),
            Step::Purge => self.purge().await.map_err(Failed::Passing),
        }
    }

    async fn pull(&mut self, candidate: &Candidate) -> Result<(), ActError> {
        let frozen = self.release(candidate).await.map_err(ActError::Other)?;
        for service in &frozen.stack.services {
            if self.engine.image(service.sent_image()).await?.is_none() {
                tracing::info!(image = service.sent_image(), "pulling");
                self.engine.pull(service.sent_image(), None).await?;
            }
        }
        Ok(())
    }

    async fn freeze(&mut self, candidate: &Candidate) -> Result<(), ActError> {
        let mut frozen = self
            .rendered(&candidate.version, Some(&candidate.commit))
            .await
            .map_err(|error| ActError::Other(error.to_string()))?;
        if frozen.candidate != *candidate {
            let message = format!(
                "{} renders differently now than when it was chosen",
                candidate.version
            );
            return Err(ActError::Other(message));
        }
        self.pin(&mut frozen).await?;
        Ok(release::store(
            &self.instance.release(&candidate.id),
            &frozen,
        )?)
    }

    /// The images as they lie on the host: by digest where a registry gave one, and by id in any case.
    async fn pin(&self, frozen: &mut Frozen) -> Result<(), ActError> {
        for service in &mut frozen.stack.services {
            let sent = service.sent_image().to_owned();
            let image = self.engine.image(&sent).await?;
            let image = image.ok_or_else(|| {
                ActError::Other(format!("image {sent} is not on this host any more"))
            })?;
            for digest in &image.repo_digests {
                let Some((_, hash)) = digest.split_once('@') else {
                    continue;
                };
                // One of another repository does not pin this one.
                let base = sent.split('@').next().unwrap_or(&sent);
                if same_repository(base, digest)
                    && service.pin_image(&format!("{base}@{hash}")).is_ok()
                {
                    break;
                }
            }
            let reference = service.sent_image().to_owned();
            frozen.images.insert(
                service.key.clone(),
                FrozenImage {
                    reference,
                    id: image.id,
                },
            );
        }
        Ok(())
    }

    async fn undeploy(&self) -> Result<(), ActError> {
        let stack = self.instance.stack();
        self.stops.follow(self.engine, stack).await?;
        Ok(deploy::undeploy(self.engine, stack).await?)
    }

    async fn submit(&mut self, candidate: &Candidate, nonce: Option<u64>) -> Result<(), ActError> {
        self.nothing_half_restored(candidate).await?;
        let frozen = self.stored_release(candidate).map_err(ActError::Other)?;
        self.probing.reset(self.instance.stack());
        self.stops.forget(self.instance.stack());
        Ok(deploy::apply(self.engine, &frozen, nonce).await?)
    }

    /// Nothing starts on data that is half put back.
    async fn nothing_half_restored(&self, candidate: &Candidate) -> Result<(), ActError> {
        let frozen = self.stored_release(candidate).map_err(ActError::Other)?;
        for name in named(&frozen.stack) {
            let Some(volume) = self.engine.volume(&name).await? else {
                continue;
            };
            if let Some(marker) = ci_warm_data::pending(volume.mountpoint.as_ref())? {
                let marker = Box::new(marker);
                return Err(DataError::RestorePending { marker }.into());
            }
        }
        Ok(())
    }

    // ---- data ----

    async fn seal_volumes(
        &self,
        name: &SnapshotName,
        volumes: &BTreeSet<VolumeName>,
        cancel: &Cancel,
    ) -> Result<(), ActError> {
        self.unused(volumes).await?;
        let places = self.places(volumes).await?;
        let context = self.seal_context().await?;
        let (dir, watch) = (self.instance.snapshot(name), cancel.clone());
        std::fs::create_dir_all(self.instance.snapshots())
            .map_err(DurableError::at("create", self.instance.snapshots()))?;
        blocking(move || {
            let request = SealRequest {
                snapshot_dir: &dir,
                volumes: &places,
                context: &context,
            };
            ci_warm_data::seal(&request, &watch).map(drop)
        })
        .await?;
        // Somebody may have started a container meanwhile: then this is no copy of data at rest.
        let at_rest = self.unused(volumes).await;
        if at_rest.is_err() {
            let dir = self.instance.snapshot(name);
            blocking(move || ci_warm_data::remove_snapshot(&dir, &Unwatched)).await?;
        }
        at_rest
    }

    /// What a person wants to know of a copy: of which release, and whether the app had come to rest well.
    async fn seal_context(&self) -> Result<serde_json::Value, ActError> {
        let standing = self.instance.standing()?;
        let good = standing.last_good.map(|good| good.of);
        let codes = self.stops.exit_codes(self.instance.stack()).await;
        let context = SealContext {
            instance: self.instance.stack().to_owned(),
            sealed_at: Some(self.now),
            commit: good.as_ref().map(|good| good.commit.clone()),
            version: good.map(|good| good.version).or(standing.data_of),
            clean_stop: codes
                .as_ref()
                .map(|codes| codes.values().all(|code| *code == 0)),
            exit_codes: codes.unwrap_or_default(),
        };
        serde_json::to_value(&context).map_err(|error| ActError::Other(error.to_string()))
    }

    async fn restore(
        &self,
        sealed: &Sealed,
        operation: &OperationId,
        cancel: &Cancel,
    ) -> Result<(), ActError> {
        let existing = self.stack_volumes(|_| true).await?;
        self.unused(&existing).await?;
        let targets = self.places(&sealed.volumes).await?;
        let added = self.stack_volumes(is_plain).await?;
        let added: BTreeSet<VolumeName> = added.difference(&sealed.volumes).cloned().collect();
        let added = self.places(&added).await?;
        let (dir, aside) = (
            self.instance.snapshot(&sealed.name),
            self.instance.aside(operation),
        );
        let (id, watch) = (operation.0.clone(), cancel.clone());
        std::fs::create_dir_all(&aside).map_err(DurableError::at("create", &aside))?;
        blocking(move || {
            let Some(snapshot) = ci_warm_data::open_sealed(&dir)? else {
                return Err(DataError::Corrupt {
                    snapshot: dir,
                    why: "it is gone".to_owned(),
                });
            };
            ci_warm_data::verify(&snapshot, &watch)?;
            let request = RestoreRequest {
                operation: &id,
                sealed: Some(&snapshot),
                targets: &targets,
                added: &added,
                aside_dir: &aside,
            };
            ci_warm_data::restore(&request, &watch).map(drop)
        })
        .await?;
        Ok(durable::write(
            &self.instance.restored_mark(operation),
            b"",
            0o600,
        )?)
    }

    /// The named volumes of the stack that exist.
    async fn stack_volumes(
        &self,
        which: impl Fn(&Volume) -> bool,
    ) -> Result<BTreeSet<VolumeName>, ActError> {
        let volumes = self.engine.volumes(self.instance.stack()).await?;
        Ok(volumes
            .into_iter()
            .filter(which)
            .map(|volume| VolumeName(volume.name))
            .collect())
    }

    async fn places(
        &self,
        volumes: &BTreeSet<VolumeName>,
    ) -> Result<Vec<(ci_warm_data::VolumeName, PathBuf)>, ActError> {
        let mut places = Vec::new();
        for name in volumes {
            let volume = self.engine.volume(&name.0).await?;
            let volume = volume.ok_or_else(|| ActError::Gone(name.clone()))?;
            places.push((
                ci_warm_data::VolumeName::new(&name.0)?,
                PathBuf::from(volume.mountpoint),
            ));
        }
        Ok(places)
    }

    /// No container, also none that has stopped, mounts any of the volumes.
    async fn unused(&self, volumes: &BTreeSet<VolumeName>) -> Result<(), ActError> {
        for name in volumes {
            if let Some(holder) = self
                .engine
                .containers(ContainerFilter::Volume(&name.0))
                .await?
                .first()
            {
                let holder = holder.names.first().map_or("?", String::as_str);
                return Err(ActError::Other(format!(
                    "volume {name} is in use by container {holder}"
                )));
            }
        }
        Ok(())
    }

    // ---- the end ----

    async fn purge(&self) -> Result<(), ActError> {
        let stack = self.instance.stack();
        for volume in self.engine.volumes(stack).await? {
            let _: Removed = self.engine.remove_volume(&volume.name).await?;
        }
        for (kind, name) in stored_objects(self.instance) {
            if let Some(object) = self.engine.object(kind, &name).await? {
                let _: Removed = self.engine.remove_object(kind, &object.id).await?;
            }
        }
        for kind in [ObjectKind::Secret, ObjectKind::Config] {
            for object in self.engine.objects(kind, stack).await? {
                let _: Removed = self.engine.remove_object(kind, &object.id).await?;
            }
        }
        for network in self.engine.networks(stack).await? {
            let _: Removed = self.engine.remove_network(&network.id).await?;
        }
        for dir in [
            self.instance.snapshots(),
            self.instance.dir().join("aside"),
            self.instance.releases(),
        ] {
            match std::fs::remove_dir_all(&dir) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(DurableError::at("remove", dir)(error).into());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Secrets that stored releases name: they carry no label of the stack's.
fn stored_objects(instance: &Instance) -> BTreeSet<(ObjectKind, String)> {
    let entries = std::fs::read_dir(instance.releases())
        .into_iter()
        .flatten()
        .flatten();
    entries
        .filter_map(|entry| release::load(&entry.path()).ok().flatten())
        .flat_map(|frozen| frozen.secrets)
        .map(|secret| (ObjectKind::Secret, secret.swarm_name))
        .collect()
}

/// Whether nothing is left that a purge removes.
pub(super) async fn remains(engine: &Engine, instance: &Instance) -> Result<bool, EngineError> {
    let stack = instance.stack();
    let nothing_there = engine.volumes(stack).await?.is_empty()
        && engine.objects(ObjectKind::Secret, stack).await?.is_empty()
        && engine.objects(ObjectKind::Config, stack).await?.is_empty()
        && engine.networks(stack).await?.is_empty();
    Ok(nothing_there && !instance.releases().exists() && !instance.snapshots().exists())
}

/// Whether a digest reference is of the repository that a plain reference names.
fn same_repository(reference: &str, digest: &str) -> bool {
    fn repository(text: &str) -> &str {
        let text = text.split('@').next().unwrap_or(text);
        deploy::split_tag(text).map_or(text, |(name, _)| name)
    }
    repository(reference) == repository(digest)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DataError> + Send + 'static,
) -> Result<T, ActError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(ActError::Other(format!(
            "the work on the data was cut off: {error}"
        ))),
    }
}

/// What the registry says will not change by asking again at once; an engine that is away is another matter.
fn pull_failed(error: ActError) -> Failed {
    match &error {
        ActError::Engine(engine) if engine.class() == ErrorClass::Unreachable => {
            Failed::Passing(error)
        }
        _ => Failed::Final(error),
    }
}

fn deploy_failed(error: ActError) -> Failed {
    match &error {
        ActError::Deploy(deploy) if deploy.is_final() => Failed::Final(error),
        // Another operation's restore: only a person can know what is to become of it.
        ActError::Data(DataError::RestorePending { .. } | DataError::BadMarker { .. }) => {
            Failed::Final(error)
        }
        _ => Failed::Passing(error),
    }
}

/// A copy that was told to stop goes on later; whatever else is wrong with data is for a person.
fn data_failed(error: ActError) -> Failed {
    match &error {
        ActError::Data(DataError::Cancelled) | ActError::Engine(_) | ActError::Other(_) => {
            Failed::Passing(error)
        }
        _ => Failed::Final(error),
    }
}
