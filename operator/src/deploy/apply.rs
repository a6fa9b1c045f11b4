//! Have the Swarm run a release; have it run nothing of a stack.

use std::collections::BTreeMap;
use std::time::Duration;

use ci_warm_api_types::warm_app::NetworkSpec;
use ci_warm_engine::{Engine, EngineError, ErrorClass, ObjectKind, RawService};
use ci_warm_stack::difference;
use serde_json::{Value, json};

use super::{DeployError, Known, insert_missing};
use crate::release::Frozen;

/// Has the Swarm run exactly this release: what it lacks is created, what differs is updated, services that are not in it are
/// removed. With a nonce every task is made anew, once.
///
/// Services are created and updated in the order of their names, and the first error ends it; nothing is undone here.
///
/// # Errors
/// See [`DeployError::is_final`].
pub async fn apply(
    engine: &Engine,
    frozen: &Frozen,
    nonce: Option<u64>,
) -> Result<(), DeployError> {
    set_images_right(engine, frozen).await?;
    create_networks(engine, frozen).await?;
    insert_missing(engine, frozen).await?;
    create_objects(engine, frozen).await?;
    let known = Known::of(engine, frozen).await?;
    let current = engine.services(frozen.stack.name.as_str()).await?;
    for service in &current {
        if !frozen
            .stack
            .services
            .iter()
            .any(|wanted| wanted.name == service.name)
        {
            engine.remove_service(&service.id).await?;
        }
    }
    for wanted in &frozen.stack.services {
        let spec = wanted
            .spec_with_ids(&known.ids)
            .map_err(|error| DeployError::Refused(error.to_string()))?;
        let running = current.iter().find(|service| service.name == wanted.name);
        submit(engine, &known, running, spec, nonce).await?;
    }
    Ok(())
}

async fn submit(
    engine: &Engine,
    known: &Known,
    running: Option<&RawService>,
    mut spec: Value,
    nonce: Option<u64>,
) -> Result<(), DeployError> {
    let Some(running) = running else {
        if let Some(nonce) = nonce {
            spec["TaskTemplate"]["ForceUpdate"] = json!(nonce);
        }
        engine.create_service(&spec, None).await.map_err(not_yet)?;
        return Ok(());
    };
    let counter = running
        .spec
        .pointer("/TaskTemplate/ForceUpdate")
        .and_then(Value::as_u64);
    let restart = nonce.is_some() && nonce != counter;
    if !restart && difference(&spec, &running.spec, &known.view).is_empty() {
        return Ok(());
    }
    if let Some(counter) = nonce.or(counter) {
        spec["TaskTemplate"]["ForceUpdate"] = json!(counter);
    }
    // Allocating a virtual address bumps the version right after a create: one fresh look settles that.
    match engine
        .update_service(&running.id, running.version, &spec, None)
        .await
    {
        Err(error) if error.class() == ErrorClass::OutOfSequence => {
            let fresh = engine.service(&running.id.0).await?;
            let fresh = fresh
                .ok_or_else(|| DeployError::NotYet(format!("{} was just removed", running.name)))?;
            Ok(engine
                .update_service(&fresh.id, fresh.version, &spec, None)
                .await?)
        }
        other => Ok(other.map_err(not_yet)?),
    }
}

/// An overlay network that is on its way out is still listed, so it was not created; the service then misses it.
fn not_yet(error: EngineError) -> DeployError {
    let text = error.to_string();
    if text.contains("network") && text.contains("not found") {
        return DeployError::NotYet(text);
    }
    error.into()
}

/// A tag may have moved since the release was frozen, and the registry may be gone: the image is still here under its id.
async fn set_images_right(engine: &Engine, frozen: &Frozen) -> Result<(), DeployError> {
    for image in frozen.images.values() {
        if engine
            .image(&image.reference)
            .await?
            .is_some_and(|found| found.id == image.id)
        {
            continue;
        }
        if engine.image(&image.id).await?.is_none() {
            // The Swarm may still be able to pull it; if not, the tasks will say so.
            continue;
        }
        if let Some((repository, tag)) = split_tag(&image.reference) {
            engine.tag(&image.id, repository, tag).await?;
        }
    }
    Ok(())
}

/// Repository and tag of a reference without a digest.
pub(crate) fn split_tag(reference: &str) -> Option<(&str, &str)> {
    if reference.contains('@') {
        return None;
    }
    reference
        .rsplit_once(':')
        .filter(|(_, tag)| !tag.contains('/'))
}

async fn create_networks(engine: &Engine, frozen: &Frozen) -> Result<(), DeployError> {
    let declared: BTreeMap<&str, &NetworkSpec> = frozen
        .networks
        .iter()
        .map(|network| (network.name.as_str(), network))
        .collect();
    for network in &frozen.stack.networks {
        let found = engine.networks_named(&network.name).await?;
        if found.iter().any(|found| found.scope == "swarm") || is_predefined(&network.name) {
            continue;
        }
        let body = match (&network.body, declared.get(network.name.as_str())) {
            (Some(body), _) => body.clone(),
            (None, Some(spec)) => external_body(spec),
            (None, None) => {
                return Err(DeployError::Refused(format!(
                    "network `{0}` is declared as external, and there is no overlay network of that name: create it \
                     (`docker network create -d overlay {0}`), or declare it under spec.networks",
                    network.name
                )));
            }
        };
        engine.create_network(&body).await?;
    }
    Ok(())
}

/// Networks that every engine has.
pub(crate) fn is_predefined(name: &str) -> bool {
    matches!(name, "host" | "bridge" | "none" | "default")
}

fn external_body(spec: &NetworkSpec) -> Value {
    let mut body = json!({
        "Name": spec.name,
        "Driver": "overlay",
        "Attachable": spec.attachable,
        "CheckDuplicate": true,
    });
    if let Some(subnet) = &spec.subnet {
        body["IPAM"] = json!({ "Config": [{ "Subnet": subnet }] });
    }
    body
}

/// Secrets and configs that the stack itself brings. One that is there is used as it is; a config with another content under the
/// same name is refused, because Swarm cannot change it.
async fn create_objects(engine: &Engine, frozen: &Frozen) -> Result<(), DeployError> {
    for (kind, objects) in [
        (ObjectKind::Secret, &frozen.stack.secrets),
        (ObjectKind::Config, &frozen.stack.configs),
    ] {
        for object in objects {
            let Some(body) = &object.body else { continue };
            match engine.object(kind, &object.name).await? {
                None => {
                    engine.create_object(kind, body).await?;
                }
                Some(found)
                    if kind == ObjectKind::Config
                        && found.data.as_deref() != body["Data"].as_str() =>
                {
                    return Err(DeployError::Refused(format!(
                        "config `{}` exists with another content, and Swarm cannot change a config: give it a new \
                         version name in abra.sh",
                        object.name
                    )));
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

/// Removes every service of a stack, and nothing else.
///
/// # Errors
/// The engine refused one, or did not answer.
pub async fn undeploy(engine: &Engine, stack: &str) -> Result<(), DeployError> {
    for service in engine.services(stack).await? {
        engine.remove_service(&service.id).await?;
    }
    // Swarm leaves the containers of removed jobs alone, running ones too.
    let remains = engine.remains(stack).await?;
    engine
        .clear_forgotten(&remains, Duration::from_secs(10))
        .await?;
    Ok(())
}
