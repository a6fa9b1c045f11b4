//! The merged model to the Engine API's JSON, for one stack name.

mod deploy;
mod mounts;
mod objects;
mod service;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::error::{LoadError, Problem, Warning};
use crate::model::{Compose, Owner, Texts};
use crate::stack::{NAMESPACE_LABEL, Service, Stack, StackName};

/// File contents by the path they were read from.
pub(crate) type Contents = BTreeMap<String, Vec<u8>>;

/// The key of the network that services without any are attached to.
const DEFAULT_NETWORK: &str = "default";

pub(crate) fn convert(
    compose: &Compose,
    name: &StackName,
    contents: &Contents,
    warnings: &[Warning],
) -> Result<Stack, LoadError> {
    let mut warnings = warnings.to_vec();
    let to = To { name, compose };
    let mut services = Vec::new();
    let mut volumes = Vec::new();
    for (key, service) in &compose.services {
        let path = format!("services.{key}");
        check_name("service", &name.scope(key), 63, &path)?;
        let mounts = mounts::mounts(&to, key, service)?;
        volumes.extend(mounts.uses);
        services.push(Service {
            key: key.clone(),
            name: name.scope(key),
            image: service.image.clone(),
            spec: service::spec(&to, key, service, &mounts.json)?,
        });
    }
    objects::warn_unused(compose, &mut warnings);
    services.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Stack {
        name: name.clone(),
        services,
        networks: objects::networks(&to)?,
        secrets: objects::secrets(&to, contents)?,
        configs: objects::configs(&to, contents)?,
        volumes,
        warnings,
    })
}

/// What all of the conversion needs.
struct To<'stack> {
    name: &'stack StackName,
    compose: &'stack Compose,
}

impl To<'_> {
    /// The real name of something whose own name may be empty.
    fn real_name(&self, key: &str, own: &str) -> String {
        if own.is_empty() {
            self.name.scope(key)
        } else {
            own.to_owned()
        }
    }

    /// Labels with the stack's on top.
    fn labels(&self, labels: &Texts) -> Value {
        let mut labels = labels.clone();
        labels.insert(NAMESPACE_LABEL.to_owned(), self.name.to_string());
        json!(labels)
    }
}

/// The keys of the networks a service is attached to.
fn networks_of(service: &crate::model::Service) -> Vec<&str> {
    if service.networks.is_empty() {
        vec![DEFAULT_NETWORK]
    } else {
        service.networks.keys().map(String::as_str).collect()
    }
}

fn is_external(owner: Owner) -> bool {
    owner == Owner::External
}

/// The engine checks names only when objects are created, half way through a deployment.
fn check_name(kind: &'static str, name: &str, most: usize, path: &str) -> Result<(), LoadError> {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| {
        c.is_ascii_alphanumeric() || c == '-' || c == '_' || (c == '.' && kind != "service")
    };
    let rule = if name.len() > most {
        if most == 63 {
            "it is longer than 63 characters"
        } else {
            "it is longer than 64 characters"
        }
    } else if !edge(name.chars().next()) || !edge(name.chars().next_back()) {
        "it must begin and end with a letter or a digit"
    } else if !name.chars().all(inner) {
        "it may hold letters, digits, dashes and underscores (and dots, in secrets and configs)"
    } else {
        return Ok(());
    };
    let name = name.to_owned();
    Err(LoadError::new(path, Problem::Name { kind, name, rule }))
}

/// Go leaves zero values out of most of these objects.
trait PutFilled {
    fn put_text(&mut self, key: &str, value: &str);
    fn put_number(&mut self, key: &str, value: i64);
    fn put_true(&mut self, key: &str, value: bool);
    fn put_list<T: serde::Serialize>(&mut self, key: &str, value: &[T]);
    fn put_map(&mut self, key: &str, value: &Texts);
    fn put_some<T: serde::Serialize>(&mut self, key: &str, value: Option<T>);
}

impl PutFilled for Map<String, Value> {
    fn put_text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.insert(key.to_owned(), json!(value));
        }
    }

    fn put_number(&mut self, key: &str, value: i64) {
        if value != 0 {
            self.insert(key.to_owned(), json!(value));
        }
    }

    fn put_true(&mut self, key: &str, value: bool) {
        if value {
            self.insert(key.to_owned(), json!(true));
        }
    }

    fn put_list<T: serde::Serialize>(&mut self, key: &str, value: &[T]) {
        if !value.is_empty() {
            self.insert(key.to_owned(), json!(value));
        }
    }

    fn put_map(&mut self, key: &str, value: &Texts) {
        if !value.is_empty() {
            self.insert(key.to_owned(), json!(value));
        }
    }

    fn put_some<T: serde::Serialize>(&mut self, key: &str, value: Option<T>) {
        if let Some(value) = value {
            self.insert(key.to_owned(), json!(value));
        }
    }
}
