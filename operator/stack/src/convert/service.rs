//! One service to a `ServiceSpec`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{DEFAULT_NETWORK, PutFilled, To, deploy};
use crate::error::{LoadError, Problem};
use crate::image;
use crate::model::{FileObject, FileReference, Healthcheck, Service};
use crate::stack::IMAGE_LABEL;

pub(super) fn spec(
    to: &To<'_>,
    key: &str,
    service: &Service,
    mounts: &[Value],
) -> Result<Value, LoadError> {
    let at = |part: &'static str| {
        let path = if part.is_empty() {
            format!("services.{key}")
        } else {
            format!("services.{key}.{part}")
        };
        move |problem| LoadError::new(path, problem)
    };
    let placed = &service.deploy;
    let mut labels = placed.labels.clone();
    labels.insert(IMAGE_LABEL.to_owned(), service.image.clone());
    let mut template = Map::new();
    template.insert(
        "ContainerSpec".to_owned(),
        container(to, key, service, mounts)?,
    );
    template.insert(
        "Resources".to_owned(),
        deploy::resources(placed).map_err(at("deploy.resources"))?,
    );
    template.put_some(
        "RestartPolicy",
        deploy::restart_policy(service).map_err(at("restart"))?,
    );
    template.insert("Placement".to_owned(), deploy::placement(placed));
    template.insert(
        "Networks".to_owned(),
        networks(to, key, service).map_err(at("networks"))?,
    );
    if let Some(logging) = &service.logging {
        let mut driver = Map::new();
        driver.put_text("Name", &logging.driver);
        driver.put_map(
            "Options",
            logging.options.as_ref().unwrap_or(&BTreeMap::new()),
        );
        template.insert("LogDriver".to_owned(), driver.into());
    }
    template.insert("ForceUpdate".to_owned(), json!(0));
    let mut spec = Map::new();
    spec.insert("Name".to_owned(), json!(to.name.scope(key)));
    spec.insert("Labels".to_owned(), to.labels(&labels));
    spec.insert("TaskTemplate".to_owned(), template.into());
    spec.insert(
        "Mode".to_owned(),
        deploy::mode(placed).map_err(at("deploy.mode"))?,
    );
    spec.put_some(
        "UpdateConfig",
        placed.update_config.as_ref().map(deploy::update_config),
    );
    spec.put_some(
        "RollbackConfig",
        placed.rollback_config.as_ref().map(deploy::update_config),
    );
    spec.insert("EndpointSpec".to_owned(), deploy::endpoint(service));
    Ok(spec.into())
}

fn container(
    to: &To<'_>,
    key: &str,
    service: &Service,
    mounts: &[Value],
) -> Result<Value, LoadError> {
    let at = |part: &str| {
        let path = format!("services.{key}.{part}");
        move |problem| LoadError::new(path, problem)
    };
    let image =
        image::familiar(&service.image).map_err(|reason| at("image")(Problem::Image(reason)))?;
    let mut spec = Map::new();
    spec.insert("Image".to_owned(), json!(image));
    spec.insert("Labels".to_owned(), to.labels(&service.labels));
    spec.put_list("Command", &service.entrypoint);
    spec.put_list("Args", &service.command);
    spec.put_text("Hostname", &service.hostname);
    spec.put_list("Env", &environment(service));
    spec.put_text("Dir", &service.working_dir);
    spec.put_text("User", &service.user);
    spec.insert(
        "Privileges".to_owned(),
        privileges(to, service).map_err(at("credential_spec"))?,
    );
    spec.put_some("Init", service.init);
    spec.put_text("StopSignal", &service.stop_signal);
    spec.put_true("TTY", service.tty);
    spec.put_true("OpenStdin", service.stdin_open);
    spec.put_true("ReadOnly", service.read_only);
    spec.put_list("Mounts", mounts);
    spec.put_some("StopGracePeriod", service.stop_grace_period_ns);
    let healthcheck = service.healthcheck.as_ref().map(healthcheck).transpose();
    spec.put_some("Healthcheck", healthcheck.map_err(at("healthcheck"))?);
    spec.put_list("Hosts", &hosts(service));
    spec.put_some("DNSConfig", dns(service));
    spec.put_list("Secrets", &secrets(to, service).map_err(at("secrets"))?);
    spec.put_list("Configs", &configs(to, service).map_err(at("configs"))?);
    spec.put_text("Isolation", &service.isolation);
    spec.put_map("Sysctls", &service.sysctls);
    let (add, drop) = capabilities(service);
    spec.put_list("CapabilityAdd", &add);
    spec.put_list("CapabilityDrop", &drop);
    let ulimits = service.ulimits.iter();
    let ulimits: Vec<Value> = ulimits
        .map(|(name, limit)| json!({ "Name": name, "Hard": limit.hard, "Soft": limit.soft }))
        .collect();
    spec.put_list("Ulimits", &ulimits);
    Ok(spec.into())
}

fn environment(service: &Service) -> Vec<String> {
    let variables = service.environment.iter();
    let mut variables: Vec<String> = variables
        .map(|(key, value)| match value {
            Some(value) => format!("{key}={value}"),
            None => key.clone(),
        })
        .collect();
    variables.sort();
    variables
}

fn hosts(service: &Service) -> Vec<String> {
    let hosts = service
        .extra_hosts
        .iter()
        .filter_map(|host| host.split_once(':'));
    hosts
        .map(|(host, address)| format!("{address} {host}"))
        .collect()
}

/// Present as soon as one of the keys is, even if both lists are empty.
fn dns(service: &Service) -> Option<Value> {
    if service.dns.is_none() && service.dns_search.is_none() {
        return None;
    }
    let mut dns = Map::new();
    dns.put_list("Nameservers", service.dns.as_deref().unwrap_or_default());
    dns.put_list("Search", service.dns_search.as_deref().unwrap_or_default());
    Some(dns.into())
}

fn healthcheck(check: &Healthcheck) -> Result<Value, Problem> {
    if check.disable && !check.test.is_empty() {
        return Err(Problem::Conflict(
            "`test` and `disable` exclude each other; remove one".to_owned(),
        ));
    }
    if check.disable {
        return Ok(json!({ "Test": ["NONE"] }));
    }
    let mut json = Map::new();
    json.put_list("Test", &check.test);
    json.put_number("Interval", check.interval_ns.unwrap_or_default());
    json.put_number("Timeout", check.timeout_ns.unwrap_or_default());
    json.put_number("StartPeriod", check.start_period_ns.unwrap_or_default());
    json.put_number("StartInterval", check.start_interval_ns.unwrap_or_default());
    json.put_some("Retries", check.retries.filter(|retries| *retries != 0));
    Ok(json.into())
}

/// Upper case with `CAP_`, sorted; `ALL` swallows the rest; what is added is not dropped.
fn capabilities(service: &Service) -> (Vec<String>, Vec<String>) {
    let normal = |capabilities: &[String]| -> BTreeSet<String> {
        let all = capabilities.iter().map(|text| {
            let text = text.trim().to_uppercase();
            match text.as_str() {
                "ALL" | "RESET" => text,
                known if known.starts_with("CAP_") => text,
                _ => format!("CAP_{text}"),
            }
        });
        let all: BTreeSet<String> = all.collect();
        if all.contains("ALL") {
            ["ALL".to_owned()].into()
        } else {
            all
        }
    };
    let (add, drop) = (normal(&service.cap_add), normal(&service.cap_drop));
    // RESET only means something when a single service is updated by hand.
    let kept = |name: &&String| name.as_str() != "RESET";
    let drop = drop.difference(&add).filter(kept).cloned().collect();
    (add.iter().filter(kept).cloned().collect(), drop)
}

/// Named by config until the ids are filled in.
fn privileges(to: &To<'_>, service: &Service) -> Result<Value, Problem> {
    let spec = &service.credential_spec;
    let given = [&spec.config, &spec.file, &spec.registry]
        .iter()
        .filter(|part| !part.is_empty())
        .count();
    if given > 1 {
        return Err(Problem::Conflict(
            "`config`, `file` and `registry` exclude each other; keep one".to_owned(),
        ));
    }
    let mut credentials = Value::Null;
    if given == 1 {
        let mut config = String::new();
        if !spec.config.is_empty() {
            config = object_name(to, "config", &to.compose.configs, &spec.config)?;
            // The reference looks for the key itself and for STACK_KEY among the real names.
            if config != spec.config && config != to.name.scope(&spec.config) {
                return Err(Problem::Conflict(format!(
                    "the config `{}` has a name of its own, which a credential spec cannot refer to; remove its `name`",
                    spec.config
                )));
            }
        }
        credentials = json!({ "Config": config, "File": spec.file, "Registry": spec.registry });
    }
    Ok(json!({ "CredentialSpec": credentials, "SELinuxContext": null, "NoNewPrivileges": false }))
}

fn object_name(
    to: &To<'_>,
    kind: &'static str,
    objects: &BTreeMap<String, FileObject>,
    key: &str,
) -> Result<String, Problem> {
    let object = objects.get(key).ok_or_else(|| Problem::Undefined {
        kind,
        name: key.to_owned(),
    })?;
    Ok(to.real_name(key, &object.name))
}

fn secrets(to: &To<'_>, service: &Service) -> Result<Vec<Value>, Problem> {
    let named = files(
        to,
        "secret",
        &to.compose.secrets,
        service.secrets.as_deref(),
    )?;
    let secrets = named.into_iter();
    Ok(secrets
        .map(|(name, file)| json!({ "File": file, "SecretID": "", "SecretName": name }))
        .collect())
}

fn configs(to: &To<'_>, service: &Service) -> Result<Vec<Value>, Problem> {
    let named = files(
        to,
        "config",
        &to.compose.configs,
        service.configs.as_deref(),
    )?;
    let mut configs: Vec<(String, Value)> = named
        .into_iter()
        .map(|(name, file)| {
            let json = json!({ "File": file, "ConfigID": "", "ConfigName": name });
            (name, json)
        })
        .collect();
    if !service.credential_spec.config.is_empty() {
        let name = object_name(
            to,
            "config",
            &to.compose.configs,
            &service.credential_spec.config,
        )?;
        let json = json!({ "Runtime": {}, "ConfigID": "", "ConfigName": name });
        configs.push((name, json));
    }
    configs.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(configs.into_iter().map(|(_, json)| json).collect())
}

/// Real name and target file of each reference, sorted by both: the reference leaves the order of one object mounted
/// twice to chance, which would restart tasks.
fn files(
    to: &To<'_>,
    kind: &'static str,
    objects: &BTreeMap<String, FileObject>,
    references: Option<&[FileReference]>,
) -> Result<Vec<(String, Value)>, Problem> {
    let mut files: BTreeMap<(String, &str), Value> = BTreeMap::new();
    let mut targets = BTreeSet::new();
    for reference in references.unwrap_or_default() {
        let name = object_name(to, kind, objects, &reference.source)?;
        let target = if reference.target.is_empty() {
            &reference.source
        } else {
            &reference.target
        };
        if !targets.insert(target) {
            return Err(Problem::Conflict(format!(
                "two {kind}s have the target `{target}`; give each its own `target`"
            )));
        }
        let or_root = |id: &str| {
            if id.is_empty() {
                "0".to_owned()
            } else {
                id.to_owned()
            }
        };
        let file = json!({
            "Name": target,
            "UID": or_root(&reference.uid),
            "GID": or_root(&reference.gid),
            "Mode": reference.mode.unwrap_or(0o444),
        });
        files.insert((name, target), file);
    }
    Ok(files
        .into_iter()
        .map(|((name, _), file)| (name, file))
        .collect())
}

fn networks(to: &To<'_>, key: &str, service: &Service) -> Result<Value, Problem> {
    let mut attachments: Vec<(String, Value)> = Vec::new();
    let none = BTreeMap::from([(DEFAULT_NETWORK.to_owned(), None)]);
    let networks = if service.networks.is_empty() {
        &none
    } else {
        &service.networks
    };
    for (name, attachment) in networks {
        let network = to.compose.networks.get(name);
        if network.is_none() && name != DEFAULT_NETWORK {
            return Err(Problem::Undefined {
                kind: "network",
                name: name.clone(),
            });
        }
        let target = to.real_name(name, network.map_or("", |network| &network.name));
        let attachment = attachment.clone().unwrap_or_default();
        let mut aliases = attachment.aliases;
        // The engine's own networks take no aliases.
        let own = matches!(
            target.as_str(),
            "default" | "bridge" | "host" | "none" | "container"
        );
        if !own && !target.starts_with("container:") {
            aliases.push(key.to_owned());
        }
        let mut json = Map::new();
        json.put_text("Target", &target);
        json.put_list("Aliases", &aliases);
        json.put_map("DriverOpts", &attachment.driver_opts);
        attachments.push((target, json.into()));
    }
    attachments.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(attachments.into_iter().map(|(_, json)| json).collect())
}
