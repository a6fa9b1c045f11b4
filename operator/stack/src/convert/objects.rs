//! Networks, secrets and configs of a stack.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Contents, DEFAULT_NETWORK, PutFilled, To, check_name, is_external, networks_of};
use crate::error::{LoadError, Problem, Warning};
use crate::model::{self, Compose, Owner, Service};
use crate::stack::{FileObject, Network};

/// Only networks that a service uses are created.
pub(super) fn networks(to: &To<'_>) -> Result<Vec<Network>, LoadError> {
    let used: BTreeSet<&str> = to.compose.services.values().flat_map(networks_of).collect();
    let unset = model::Network::default();
    let mut networks: Vec<Network> = used
        .into_iter()
        .map(|key| {
            let network = to.compose.networks.get(key).unwrap_or(&unset);
            let name = to.real_name(key, &network.name);
            let body = (!is_external(network.owner)).then(|| network_body(to, &name, network));
            let key = key.to_owned();
            Network { key, name, body }
        })
        .collect();
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    once("network", networks, |network| {
        (&network.key, &network.name, &network.body)
    })
}

/// Several keys may stand for one object, if they agree on what it is.
fn once<T>(
    kind: &'static str,
    sorted: Vec<T>,
    parts: impl Fn(&T) -> (&String, &String, &Option<Value>),
) -> Result<Vec<T>, LoadError> {
    let mut kept: Vec<T> = Vec::new();
    for object in sorted {
        let (key, name, body) = parts(&object);
        match kept.last().map(&parts) {
            Some((first, known, other)) if known == name => {
                if other != body {
                    let text = format!(
                        "`{first}` and `{key}` have the name `{name}` but differ; give each its own `name`"
                    );
                    return Err(LoadError::new(
                        format!("{kind}s.{key}"),
                        Problem::Conflict(text),
                    ));
                }
            }
            _ => kept.push(object),
        }
    }
    Ok(kept)
}

fn network_body(to: &To<'_>, name: &str, network: &model::Network) -> Value {
    let driver = if network.driver.is_empty() {
        "overlay"
    } else {
        &network.driver
    };
    let subnets: Vec<Value> = network
        .subnets
        .iter()
        .map(|subnet| {
            if subnet.is_empty() {
                json!({})
            } else {
                json!({ "Subnet": subnet })
            }
        })
        .collect();
    let ipam = (!network.ipam_driver.is_empty() || !subnets.is_empty()).then(|| {
        let pools = (!subnets.is_empty()).then_some(&subnets);
        json!({ "Driver": network.ipam_driver, "Options": null, "Config": pools })
    });
    json!({
        "Name": name,
        "CheckDuplicate": true,
        "Labels": to.labels(&network.labels),
        "Driver": driver,
        "Options": network.driver_opts,
        "IPAM": ipam,
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": false,
        "Scope": "",
        "ConfigOnly": false,
        "ConfigFrom": null,
    })
}

pub(super) fn secrets(to: &To<'_>, contents: &Contents) -> Result<Vec<FileObject>, LoadError> {
    let used = references(to.compose, |service| {
        service
            .secrets
            .iter()
            .flatten()
            .map(|secret| secret.source.as_str())
            .collect()
    });
    // The engine's limits on content, in bytes.
    file_objects(to, "secret", &to.compose.secrets, &used, contents, 512_000)
}

pub(super) fn configs(to: &To<'_>, contents: &Contents) -> Result<Vec<FileObject>, LoadError> {
    let used = references(to.compose, |service| {
        let configs = service
            .configs
            .iter()
            .flatten()
            .map(|config| config.source.as_str());
        configs
            .chain([service.credential_spec.config.as_str()])
            .collect()
    });
    file_objects(
        to,
        "config",
        &to.compose.configs,
        &used,
        contents,
        1_024_000,
    )
}

fn references<'a>(
    compose: &'a Compose,
    of: impl Fn(&'a Service) -> Vec<&'a str>,
) -> BTreeSet<&'a str> {
    compose.services.values().flat_map(of).collect()
}

fn file_objects(
    to: &To<'_>,
    kind: &'static str,
    objects: &BTreeMap<String, model::FileObject>,
    used: &BTreeSet<&str>,
    contents: &Contents,
    limit_bytes: usize,
) -> Result<Vec<FileObject>, LoadError> {
    let mut result = Vec::new();
    for (key, object) in objects {
        let name = to.real_name(key, &object.name);
        let body = match object.owner {
            Owner::External if !used.contains(key.as_str()) => continue,
            Owner::External => None,
            Owner::Stack => {
                let path = format!("{kind}s.{key}");
                check_name(kind, &name, 64, &path)?;
                let body = body(to, &name, object, contents, limit_bytes);
                Some(body.map_err(|problem| LoadError::new(path, problem))?)
            }
        };
        let key = key.clone();
        result.push(FileObject { key, name, body });
    }
    result.sort_by(|a: &FileObject, b| a.name.cmp(&b.name));
    once(kind, result, |object| {
        (&object.key, &object.name, &object.body)
    })
}

fn body(
    to: &To<'_>,
    name: &str,
    object: &model::FileObject,
    contents: &Contents,
    limit_bytes: usize,
) -> Result<Value, Problem> {
    let mut body = Map::new();
    body.insert("Name".to_owned(), json!(name));
    body.insert("Labels".to_owned(), to.labels(&object.labels));
    if object.driver.is_empty() {
        let data = contents
            .get(&object.file)
            .map(Vec::as_slice)
            .unwrap_or_default();
        // The engine refuses to create such an object, and an update to it would silently keep the old content.
        if data.is_empty() || data.len() >= limit_bytes {
            return Err(Problem::Conflict(format!(
                "{} has {} bytes, and the engine takes 1 to {}; put the right content there",
                object.file,
                data.len(),
                limit_bytes - 1
            )));
        }
        body.insert("Data".to_owned(), json!(STANDARD.encode(data)));
    } else {
        let mut driver = Map::new();
        driver.put_text("Name", &object.driver);
        driver.put_map("Options", &object.driver_opts);
        body.insert("Driver".to_owned(), driver.into());
    }
    if !object.template_driver.is_empty() {
        body.insert(
            "Templating".to_owned(),
            json!({ "Name": object.template_driver }),
        );
    }
    Ok(body.into())
}

/// Networks and volumes nobody uses are never created.
pub(super) fn warn_unused(compose: &Compose, warnings: &mut Vec<Warning>) {
    let networks: BTreeSet<&str> = compose.services.values().flat_map(networks_of).collect();
    let mounts = compose
        .services
        .values()
        .flat_map(|service| service.volumes.iter().flatten());
    let volumes: BTreeSet<&str> = mounts.map(|mount| mount.source.as_str()).collect();
    let unused_networks = compose
        .networks
        .keys()
        .filter(|key| !networks.contains(key.as_str()));
    let unused_volumes = compose
        .volumes
        .keys()
        .filter(|key| !volumes.contains(key.as_str()));
    let paths = unused_networks
        .filter(|key| key.as_str() != DEFAULT_NETWORK)
        .map(|key| format!("networks.{key}"))
        .chain(unused_volumes.map(|key| format!("volumes.{key}")));
    warnings.extend(paths.map(|path| Warning {
        path,
        message: "no service uses it, so it is not created".to_owned(),
    }));
}
