//! What a release needs and nobody makes for it, and the way back from it.

use std::collections::BTreeSet;

use ci_warm_api_types::conditions::reasons;
use ci_warm_engine::ObjectKind;

use super::{Look, Stop, refuse};
use crate::deploy::is_predefined;
use crate::release::{self, Frozen, ValueSource};

/// What the release needs and nobody makes for it.
pub(super) async fn needs(look: Look<'_>) -> Result<(), Stop> {
    for secret in &look.release.secrets {
        let why = match &secret.source {
            ValueSource::Manual => format!(
                "secret not inserted (#generate=false): {0}; insert it (`docker secret create {1} FILE`), or give it under \
                 spec.secrets.{0}",
                secret.name, secret.swarm_name
            ),
            ValueSource::File(path) => match std::fs::metadata(path) {
                Ok(_) => continue,
                Err(error) => format!(
                    "the value of secret `{}`: cannot read {}: {error}",
                    secret.name,
                    path.display()
                ),
            },
            ValueSource::Characters { .. } | ValueSource::Passphrase => continue,
        };
        let there = look
            .engine
            .object(ObjectKind::Secret, &secret.swarm_name)
            .await?;
        if there.is_none() {
            return refuse(reasons::SECRET_MISSING, why);
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
        let predefined = is_predefined(&network.name);
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
pub(super) async fn way_back(look: Look<'_>) -> Result<Option<Frozen>, Stop> {
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
