//! The parts of a `ServiceSpec` that say where, how often and how a service runs.

use serde_json::{Map, Value, json};

use super::PutFilled;
use crate::error::Problem;
use crate::model::{Deploy, Resources, RestartPolicy, Service, UpdateConfig};
use crate::{ports, quantity};

pub(super) fn resources(deploy: &Deploy) -> Result<Value, Problem> {
    let part = |resources: &Resources| -> Result<Map<String, Value>, Problem> {
        let mut json = Map::new();
        if !resources.cpus.is_empty() {
            let cpus = quantity::nano_cpus(&resources.cpus).map_err(Problem::Conflict)?;
            json.put_number("NanoCPUs", cpus);
        }
        json.put_number("MemoryBytes", resources.memory_bytes);
        json.put_number("Pids", resources.pids);
        Ok(json)
    };
    let mut json = Map::new();
    json.put_some("Limits", deploy.limits.as_ref().map(part).transpose()?);
    if let Some(reservations) = &deploy.reservations {
        let mut reserved = part(reservations)?;
        let generic = reservations.generic.iter();
        let generic: Vec<Value> = generic
            .map(|spec| match spec {
                Some((kind, value)) => {
                    let mut spec = Map::new();
                    spec.put_text("Kind", kind);
                    spec.put_number("Value", *value);
                    json!({ "DiscreteResourceSpec": spec })
                }
                None => json!({}),
            })
            .collect();
        reserved.put_list("GenericResources", &generic);
        json.insert("Reservations".to_owned(), reserved.into());
    }
    Ok(json.into())
}

/// `deploy.restart_policy`, or else what `restart` says.
pub(super) fn restart_policy(service: &Service) -> Result<Option<Value>, Problem> {
    if let Some(RestartPolicy {
        condition,
        delay_ns,
        max_attempts,
        window_ns,
    }) = &service.deploy.restart_policy
    {
        let mut json = Map::new();
        json.put_text("Condition", condition);
        json.put_some("Delay", *delay_ns);
        json.put_some("MaxAttempts", *max_attempts);
        json.put_some("Window", *window_ns);
        return Ok(Some(json.into()));
    }
    let (name, count) = match service.restart.split_once(':') {
        Some((name, count)) => (name, Some(count)),
        None => (service.restart.as_str(), None),
    };
    let wrong = || Problem::Value {
        value: service.restart.clone(),
        expected: "a restart policy: no, always, unless-stopped or on-failure[:ATTEMPTS]"
            .to_owned(),
    };
    let count: u64 = match count {
        None | Some("") => 0,
        Some(count) => count.parse().map_err(|_| wrong())?,
    };
    match name {
        "" if service.restart.is_empty() => Ok(None),
        "no" => Ok(None),
        "always" | "unless-stopped" => Ok(Some(json!({ "Condition": "any" }))),
        "on-failure" => Ok(Some(
            json!({ "Condition": "on-failure", "MaxAttempts": count }),
        )),
        _ => Err(wrong()),
    }
}

/// Never absent: the engine panics on an update that takes an existing placement away.
pub(super) fn placement(deploy: &Deploy) -> Value {
    let mut json = Map::new();
    json.put_list("Constraints", &deploy.constraints);
    let preferences = deploy.preferences.iter();
    let preferences: Vec<Value> = preferences
        .map(|spread| json!({ "Spread": { "SpreadDescriptor": spread } }))
        .collect();
    json.put_list("Preferences", &preferences);
    json.put_some(
        "MaxReplicas",
        (deploy.max_replicas != 0).then_some(deploy.max_replicas),
    );
    json.into()
}

pub(super) fn mode(deploy: &Deploy) -> Result<Value, Problem> {
    let global = deploy.mode.starts_with("global");
    if global && deploy.replicas.is_some() {
        return Err(Problem::Conflict(format!(
            "`replicas` does not go with mode {}; remove one of the two",
            deploy.mode
        )));
    }
    let mut json = Map::new();
    let name = match deploy.mode.as_str() {
        "global" => "Global",
        "global-job" => "GlobalJob",
        "replicated-job" => {
            json.put_some("MaxConcurrent", deploy.replicas);
            json.put_some("TotalCompletions", deploy.replicas);
            "ReplicatedJob"
        }
        "" | "replicated" => {
            json.put_some("Replicas", deploy.replicas);
            "Replicated"
        }
        other => {
            return Err(Problem::Value {
                value: other.to_owned(),
                expected: "a mode: replicated, global, replicated-job or global-job".to_owned(),
            });
        }
    };
    Ok(json!({ name: json }))
}

pub(super) fn update_config(config: &UpdateConfig) -> Value {
    let mut json = Map::new();
    json.insert(
        "Parallelism".to_owned(),
        json!(config.parallelism.unwrap_or(1)),
    );
    json.put_number("Delay", config.delay_ns);
    json.put_text("FailureAction", &config.failure_action);
    json.put_number("Monitor", config.monitor_ns);
    json.insert(
        "MaxFailureRatio".to_owned(),
        ratio(config.max_failure_ratio),
    );
    json.insert("Order".to_owned(), json!(config.order));
    json.into()
}

/// With the shortest digits that mean the same 32-bit number, as Go writes it.
fn ratio(ratio: f32) -> Value {
    serde_json::from_str(&ratio.to_string()).unwrap_or(json!(0))
}

pub(super) fn endpoint(service: &Service) -> Value {
    let mut ports = service.ports.clone().unwrap_or_default();
    ports::sort(&mut ports);
    let ports: Vec<Value> = ports
        .iter()
        .map(|port| {
            let mut json = Map::new();
            json.put_text("Protocol", &port.protocol);
            json.put_number("TargetPort", port.target.into());
            json.put_number("PublishedPort", port.published.into());
            json.put_text("PublishMode", &port.mode);
            json.into()
        })
        .collect();
    let mut json = Map::new();
    json.put_text("Mode", &service.deploy.endpoint_mode.to_lowercase());
    json.put_list("Ports", &ports);
    json.into()
}
