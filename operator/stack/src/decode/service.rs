//! One service.

use std::collections::BTreeMap;

use super::{At, Surroundings, absolute};
use crate::env_file;
use crate::error::{LoadError, Problem, Warning};
use crate::interpolate::Environment;
use crate::model::{
    Attachment, CredentialSpec, Deploy, FileReference, Healthcheck, Logging, Mount, Resources,
    RestartPolicy, Service, Ulimit, UpdateConfig, VolumeOptions,
};
use crate::mount_spec;
use crate::ports::{self, Port};
use crate::quantity;
use crate::shell;
use crate::yaml::Value;

pub(super) fn service(
    at: &At<'_>,
    around: &Surroundings<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<Service, LoadError> {
    Ok(Service {
        image: at.text("image")?,
        hostname: at.text("hostname")?,
        user: at.text("user")?,
        working_dir: at.text("working_dir")?,
        stop_signal: at.text("stop_signal")?,
        isolation: at.text("isolation")?,
        restart: at.text("restart")?,
        command: command(at, "command")?,
        entrypoint: command(at, "entrypoint")?,
        environment: environment(at, around)?,
        labels: at.labels("labels")?,
        sysctls: at.labels("sysctls")?,
        cap_add: at.texts("cap_add")?,
        cap_drop: at.texts("cap_drop")?,
        dns: at.one_or_more("dns")?,
        dns_search: at.one_or_more("dns_search")?,
        extra_hosts: extra_hosts(at),
        healthcheck: at
            .get("healthcheck")
            .map(|at| healthcheck(&at))
            .transpose()?,
        init: at.optional_boolean("init"),
        logging: at.get("logging").map(|at| logging(&at)).transpose()?,
        networks: networks(at)?,
        ports: all_ports(at, warnings)?,
        secrets: file_references(at, "secrets")?,
        configs: file_references(at, "configs")?,
        credential_spec: at
            .get("credential_spec")
            .map(|at| credential_spec(&at))
            .transpose()?
            .unwrap_or_default(),
        read_only: at.boolean("read_only"),
        stdin_open: at.boolean("stdin_open"),
        tty: at.boolean("tty"),
        stop_grace_period_ns: at.duration("stop_grace_period")?,
        ulimits: ulimits(at)?,
        volumes: volumes(at, around, warnings)?,
        deploy: at
            .get("deploy")
            .map(|at| deploy(&at))
            .transpose()?
            .unwrap_or_default(),
    })
}

fn command(at: &At<'_>, key: &str) -> Result<Vec<String>, LoadError> {
    let Some(at) = at.get(key) else {
        return Ok(Vec::new());
    };
    match at.node.text() {
        Some(text) => shell::split(text).map_err(|error| {
            at.fail(Problem::Value {
                value: text.to_owned(),
                expected: format!("a command line: {error}"),
            })
        }),
        None => at.as_texts(),
    }
}

/// Env files first, then `environment`; in each, the process environment fills in what has no value or an empty one.
fn environment(
    at: &At<'_>,
    around: &Surroundings<'_>,
) -> Result<BTreeMap<String, Option<String>>, LoadError> {
    let mut variables = BTreeMap::new();
    let mut from_files = Vec::new();
    for file in at.one_or_more("env_file")?.unwrap_or_default() {
        let path = absolute(around.working_dir, &file);
        let node = at.get("env_file").unwrap_or_else(|| at.clone());
        let read = env_file::read(&path, around.env, around.reader)
            .map_err(|problem| node.fail(problem))?;
        from_files.extend(read.into_iter().map(|(key, value)| (key, Some(value))));
    }
    let from_files: BTreeMap<_, _> = from_files.into_iter().collect();
    fill(&mut variables, from_files, around.env);
    fill(&mut variables, at.pairs("environment")?, around.env);
    Ok(variables)
}

fn fill(
    into: &mut BTreeMap<String, Option<String>>,
    variables: impl IntoIterator<Item = (String, Option<String>)>,
    env: &Environment,
) {
    for (key, value) in variables {
        let empty = value.as_ref().is_none_or(String::is_empty);
        let value = match env.get(&key) {
            Some(ours) if empty => Some(ours.clone()),
            _ => value,
        };
        into.insert(key, value);
    }
}

/// `HOST=IP` and `HOST:IP` keep their order; a mapping is sorted and loses entries without an address.
fn extra_hosts(at: &At<'_>) -> Vec<String> {
    let Some(at) = at.get("extra_hosts") else {
        return Vec::new();
    };
    let mut pairs: Vec<(String, String)> = Vec::new();
    if at.node.map().is_some() {
        let hosts = at.all().into_iter();
        let mut hosts: Vec<String> = hosts
            .filter_map(|(host, at)| at.node.print().map(|address| format!("{host}:{address}")))
            .collect();
        hosts.sort();
        pairs.extend(hosts.iter().filter_map(|host| split_host(host, ':')));
    } else {
        let hosts = at.each();
        let hosts = hosts.iter().filter_map(|at| at.node.print());
        pairs.extend(
            hosts.filter_map(|host| split_host(&host, '=').or_else(|| split_host(&host, ':'))),
        );
    }
    let bare = |address: &str| {
        let inner = address
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        inner
            .filter(|inner| !inner.is_empty())
            .unwrap_or(address)
            .to_owned()
    };
    pairs
        .iter()
        .map(|(host, address)| format!("{host}:{}", bare(address)))
        .collect()
}

fn split_host(text: &str, separator: char) -> Option<(String, String)> {
    let (host, address) = text.split_once(separator)?;
    Some((host.to_owned(), address.to_owned()))
}

fn healthcheck(at: &At<'_>) -> Result<Healthcheck, LoadError> {
    let test = match at.get("test") {
        Some(at) => match at.node.text() {
            Some(text) => vec!["CMD-SHELL".to_owned(), text.to_owned()],
            None => at.as_texts()?,
        },
        None => Vec::new(),
    };
    Ok(Healthcheck {
        test,
        disable: at.boolean("disable"),
        interval_ns: at.duration("interval")?,
        timeout_ns: at.duration("timeout")?,
        start_period_ns: at.duration("start_period")?,
        start_interval_ns: at.duration("start_interval")?,
        retries: at.whole("retries")?,
    })
}

fn logging(at: &At<'_>) -> Result<Logging, LoadError> {
    Ok(Logging {
        driver: at.text("driver")?,
        options: at.options("options"),
    })
}

fn networks(at: &At<'_>) -> Result<BTreeMap<String, Option<Attachment>>, LoadError> {
    let Some(at) = at.get("networks") else {
        return Ok(BTreeMap::new());
    };
    if at.node.list().is_some() {
        return Ok(at
            .as_texts()?
            .into_iter()
            .map(|name| (name, None))
            .collect());
    }
    let mut networks = BTreeMap::new();
    for (name, at) in at.all() {
        let attachment = (!at.node.is_null()).then(|| {
            Ok(Attachment {
                aliases: at.texts("aliases")?,
                driver_opts: at.options("driver_opts").unwrap_or_default(),
            })
        });
        networks.insert(name, attachment.transpose()?);
    }
    Ok(networks)
}

fn all_ports(at: &At<'_>, warnings: &mut Vec<Warning>) -> Result<Option<Vec<Port>>, LoadError> {
    let Some(items) = at.items("ports") else {
        return Ok(None);
    };
    let mut ports = Vec::new();
    for at in items {
        if at.node.map().is_some() {
            ports.push(Port {
                mode: at.text("mode")?,
                target: at.whole("target")?.unwrap_or_default(),
                published: at.whole("published")?.unwrap_or_default(),
                protocol: at.text("protocol")?,
            });
            continue;
        }
        let text = at.node.print().unwrap_or_default();
        let parsed =
            ports::parse(&text).map_err(|reason| at.wrong(&format!("a port: {reason}")))?;
        if let Some(address) = parsed.address {
            let message = format!(
                "the address {address} is ignored: a Swarm service listens on every interface"
            );
            at.warn(warnings, &message);
        }
        ports.extend(parsed.ports);
    }
    Ok(Some(ports))
}

fn file_references(at: &At<'_>, key: &str) -> Result<Option<Vec<FileReference>>, LoadError> {
    let Some(items) = at.items(key) else {
        return Ok(None);
    };
    let reference = |at: At<'_>| match at.node.text() {
        Some(source) => Ok(FileReference {
            source: source.to_owned(),
            ..FileReference::default()
        }),
        None => Ok(FileReference {
            source: at.text("source")?,
            target: at.text("target")?,
            uid: at.text("uid")?,
            gid: at.text("gid")?,
            mode: at.whole("mode")?,
        }),
    };
    items
        .into_iter()
        .map(reference)
        .collect::<Result<_, _>>()
        .map(Some)
}

fn credential_spec(at: &At<'_>) -> Result<CredentialSpec, LoadError> {
    Ok(CredentialSpec {
        config: at.text("config")?,
        file: at.text("file")?,
        registry: at.text("registry")?,
    })
}

fn ulimits(at: &At<'_>) -> Result<BTreeMap<String, Ulimit>, LoadError> {
    let mut ulimits = BTreeMap::new();
    for (name, at) in at.entries("ulimits") {
        let limit = |at: &At<'_>| match at.node.value {
            Value::Int(number) => {
                i64::try_from(number).map_err(|_| at.wrong("in the range of 64 bits"))
            }
            _ => Err(at.wrong("a whole number, or a mapping with `soft` and `hard`")),
        };
        let ulimit = if at.node.map().is_some() {
            let part = |key| at.get(key).ok_or_else(|| at.fail(Problem::MissingKey(key)));
            Ulimit {
                soft: limit(&part("soft")?)?,
                hard: limit(&part("hard")?)?,
            }
        } else {
            let single = limit(&at)?;
            Ulimit {
                soft: single,
                hard: single,
            }
        };
        ulimits.insert(name, ulimit);
    }
    Ok(ulimits)
}

fn volumes(
    at: &At<'_>,
    around: &Surroundings<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Vec<Mount>>, LoadError> {
    let Some(items) = at.items("volumes") else {
        return Ok(None);
    };
    let mut mounts = Vec::new();
    for at in items {
        let mut mount = match at.node.text() {
            Some(text) => mount_spec::parse(text).map_err(|reason| {
                at.fail(Problem::Value {
                    value: text.to_owned(),
                    expected: format!("a volume of the form [SOURCE:]TARGET[:OPTIONS]: {reason}"),
                })
            })?,
            None => long_mount(&at)?,
        };
        if mount.kind == "bind" {
            if mount.source.is_empty() {
                return Err(at.fail(Problem::MissingKey("source")));
            }
            let source = match (mount.source.strip_prefix('~'), around.env.get("HOME")) {
                (Some(rest), Some(home)) => format!("{home}{rest}"),
                (Some(_), None) => {
                    at.warn(warnings, "`~` is taken literally because HOME is not set");
                    mount.source
                }
                (None, _) => mount.source,
            };
            mount.source = if mount_spec::is_absolute(&source) {
                source
            } else {
                absolute(around.working_dir, &source)
            };
        }
        mounts.push(mount);
    }
    Ok(Some(mounts))
}

fn long_mount(at: &At<'_>) -> Result<Mount, LoadError> {
    let options = |at: At<'_>| {
        Ok(VolumeOptions {
            no_copy: at.boolean("nocopy"),
            subpath: at.text("subpath")?,
        })
    };
    Ok(Mount {
        kind: at.text("type")?,
        source: at.text("source")?,
        target: at.text("target")?,
        read_only: at.boolean("read_only"),
        consistency: at.text("consistency")?,
        bind: at
            .get("bind")
            .map(|at| at.text("propagation"))
            .transpose()?,
        volume: at.get("volume").map(options).transpose()?,
        tmpfs: at
            .get("tmpfs")
            .map(|at| Ok(at.whole("size")?.unwrap_or_default()))
            .transpose()?,
    })
}

fn deploy(at: &At<'_>) -> Result<Deploy, LoadError> {
    let resources = at.get("resources");
    let part = |key: &str| {
        let at = resources.as_ref().and_then(|at| at.get(key));
        at.map(|at| self::resources(&at)).transpose()
    };
    let mut deploy = Deploy {
        mode: at.text("mode")?,
        replicas: at.whole("replicas")?,
        labels: at.labels("labels")?,
        update_config: at
            .get("update_config")
            .map(|at| update_config(&at))
            .transpose()?,
        rollback_config: at
            .get("rollback_config")
            .map(|at| update_config(&at))
            .transpose()?,
        limits: part("limits")?,
        reservations: part("reservations")?,
        restart_policy: at
            .get("restart_policy")
            .map(|at| restart_policy(&at))
            .transpose()?,
        endpoint_mode: at.text("endpoint_mode")?,
        ..Deploy::default()
    };
    if let Some(at) = at.get("placement") {
        deploy.constraints = at.texts("constraints")?;
        let preferences = at.items("preferences").unwrap_or_default();
        deploy.preferences = preferences
            .iter()
            .map(|at| at.text("spread"))
            .collect::<Result<_, _>>()?;
        deploy.max_replicas = at.whole("max_replicas_per_node")?.unwrap_or_default();
    }
    Ok(deploy)
}

fn update_config(at: &At<'_>) -> Result<UpdateConfig, LoadError> {
    let ratio = at
        .get("max_failure_ratio")
        .map_or(0.0, |at| match at.node.value {
            #[expect(clippy::cast_possible_truncation, reason = "the engine keeps 32 bits")]
            Value::Float(number) => number as f32,
            #[expect(clippy::cast_precision_loss, reason = "a ratio is small")]
            Value::Int(number) => number as f32,
            _ => 0.0,
        });
    Ok(UpdateConfig {
        parallelism: at.whole("parallelism")?,
        delay_ns: at.duration("delay")?.unwrap_or_default(),
        failure_action: at.text("failure_action")?,
        monitor_ns: at.duration("monitor")?.unwrap_or_default(),
        max_failure_ratio: ratio,
        order: at.text("order")?,
    })
}

fn resources(at: &At<'_>) -> Result<Resources, LoadError> {
    let memory_bytes = match at.get("memory") {
        Some(memory) => quantity::bytes(&memory.as_text()?)
            .map_err(|reason| memory.fail(Problem::Conflict(reason)))?,
        None => 0,
    };
    let mut generic = Vec::new();
    for item in at.items("generic_resources").unwrap_or_default() {
        let spec = item.get("discrete_resource_spec");
        let spec = spec.map(|at| Ok((at.text("kind")?, at.whole("value")?.unwrap_or_default())));
        generic.push(spec.transpose()?);
    }
    Ok(Resources {
        cpus: at.text("cpus")?,
        memory_bytes,
        pids: at.whole("pids")?.unwrap_or_default(),
        generic,
    })
}

fn restart_policy(at: &At<'_>) -> Result<RestartPolicy, LoadError> {
    Ok(RestartPolicy {
        condition: at.text("condition")?,
        delay_ns: at.duration("delay")?,
        max_attempts: at.whole("max_attempts")?,
        window_ns: at.duration("window")?,
    })
}
