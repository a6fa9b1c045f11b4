//! Later files over earlier ones, field by field as the reference does it.
//!
//! The odd rules are the reference's and recipes were written against them: an empty value never overrides, plain lists
//! grow, ports and mounts are keyed, and a service's keyed lists are sorted as soon as a second file mentions it.

use std::collections::BTreeMap;

use crate::model::{
    Attachment, Compose, Deploy, Healthcheck, Logging, Resources, RestartPolicy, Service,
    UpdateConfig,
};

/// Puts `over` on top of `base`. Networks, volumes, secrets and configs of the same key are replaced whole.
pub(crate) fn merge(base: &mut Compose, over: Compose) {
    for (key, service) in over.services {
        match base.services.get_mut(&key) {
            Some(known) => merge_service(known, service),
            None => {
                base.services.insert(key, service);
            }
        }
    }
    base.networks.extend(over.networks);
    base.volumes.extend(over.volumes);
    base.secrets.extend(over.secrets);
    base.configs.extend(over.configs);
}

fn merge_service(base: &mut Service, over: Service) {
    set(&mut base.image, over.image);
    set(&mut base.hostname, over.hostname);
    set(&mut base.user, over.user);
    set(&mut base.working_dir, over.working_dir);
    set(&mut base.stop_signal, over.stop_signal);
    set(&mut base.isolation, over.isolation);
    set(&mut base.restart, over.restart);
    set(&mut base.command, over.command);
    set(&mut base.entrypoint, over.entrypoint);
    environment(&mut base.environment, over.environment);
    base.labels.extend(over.labels);
    base.sysctls.extend(over.sysctls);
    base.cap_add.extend(over.cap_add);
    base.cap_drop.extend(over.cap_drop);
    append(&mut base.dns, over.dns);
    append(&mut base.dns_search, over.dns_search);
    base.extra_hosts.extend(over.extra_hosts);
    inner(&mut base.healthcheck, over.healthcheck, healthcheck);
    inner(&mut base.init, over.init, set);
    inner(&mut base.logging, over.logging, logging);
    for (key, network) in over.networks {
        attach(base.networks.entry(key).or_default(), network);
    }
    keyed(&mut base.ports, over.ports, |port| port.published);
    keyed(&mut base.secrets, over.secrets, |secret| {
        secret.source.clone()
    });
    keyed(&mut base.configs, over.configs, |config| {
        config.source.clone()
    });
    keyed(&mut base.volumes, over.volumes, |mount| {
        mount.target.clone()
    });
    set(
        &mut base.credential_spec.config,
        over.credential_spec.config,
    );
    set(&mut base.credential_spec.file, over.credential_spec.file);
    set(
        &mut base.credential_spec.registry,
        over.credential_spec.registry,
    );
    set(&mut base.read_only, over.read_only);
    set(&mut base.stdin_open, over.stdin_open);
    set(&mut base.tty, over.tty);
    inner(
        &mut base.stop_grace_period_ns,
        over.stop_grace_period_ns,
        set,
    );
    base.ulimits.extend(over.ulimits);
    deploy(&mut base.deploy, over.deploy);
}

/// A value overrides unless it is what an absent one would be.
fn set<T: Default + PartialEq>(base: &mut T, over: T) {
    if over != T::default() {
        *base = over;
    }
}

fn append(base: &mut Option<Vec<String>>, over: Option<Vec<String>>) {
    let over = over.unwrap_or_default();
    match base {
        Some(base) => base.extend(over),
        // An empty list over none stays none.
        None if over.is_empty() => {}
        None => *base = Some(over),
    }
}

fn inner<T>(base: &mut Option<T>, over: Option<T>, merge: impl FnOnce(&mut T, T)) {
    match (base.as_mut(), over) {
        (Some(base), Some(over)) => merge(base, over),
        (None, Some(over)) => *base = Some(over),
        (_, None) => {}
    }
}

/// Of entries with the same key the last one stays; the result is sorted by key, even when `over` has nothing to add.
fn keyed<T, K: Ord>(base: &mut Option<Vec<T>>, over: Option<Vec<T>>, key: impl Fn(&T) -> K) {
    let over = over.unwrap_or_default();
    let Some(items) = base.take() else {
        *base = (!over.is_empty()).then_some(over);
        return;
    };
    let merged: BTreeMap<K, T> = items
        .into_iter()
        .chain(over)
        .map(|item| (key(&item), item))
        .collect();
    *base = Some(merged.into_values().collect());
}

/// Neither nothing nor an empty text overrides a value; over an empty text or nothing, whatever comes last stays.
fn environment(
    base: &mut BTreeMap<String, Option<String>>,
    over: BTreeMap<String, Option<String>>,
) {
    for (key, value) in over {
        let kept = base
            .get(&key)
            .is_some_and(|known| known.as_ref().is_some_and(|text| !text.is_empty()));
        if !kept || value.as_ref().is_some_and(|text| !text.is_empty()) {
            base.insert(key, value);
        }
    }
}

fn healthcheck(base: &mut Healthcheck, over: Healthcheck) {
    base.test.extend(over.test);
    set(&mut base.disable, over.disable);
    inner(&mut base.interval_ns, over.interval_ns, set);
    inner(&mut base.timeout_ns, over.timeout_ns, set);
    inner(&mut base.start_period_ns, over.start_period_ns, set);
    inner(&mut base.start_interval_ns, over.start_interval_ns, set);
    replace(&mut base.retries, over.retries);
}

/// Unlike durations, these take an explicit 0.
fn replace(base: &mut Option<u64>, over: Option<u64>) {
    if over.is_some() {
        *base = over;
    }
}

fn logging(base: &mut Logging, over: Logging) {
    if base.driver != over.driver && !base.driver.is_empty() && !over.driver.is_empty() {
        *base = over;
        return;
    }
    set(&mut base.driver, over.driver);
    // Options over a base without any are lost in the reference, and so they are here.
    if let (Some(base), Some(over)) = (&mut base.options, over.options) {
        base.extend(over);
    }
}

fn attach(base: &mut Option<Attachment>, over: Option<Attachment>) {
    // Aliases are replaced even by none; the driver options of the base stay.
    inner(base, over, |base, over| base.aliases = over.aliases);
}

fn deploy(base: &mut Deploy, over: Deploy) {
    set(&mut base.mode, over.mode);
    replace(&mut base.replicas, over.replicas);
    base.labels.extend(over.labels);
    inner(&mut base.update_config, over.update_config, update_config);
    inner(
        &mut base.rollback_config,
        over.rollback_config,
        update_config,
    );
    inner(&mut base.limits, over.limits, resources);
    inner(&mut base.reservations, over.reservations, resources);
    inner(
        &mut base.restart_policy,
        over.restart_policy,
        restart_policy,
    );
    base.constraints.extend(over.constraints);
    base.preferences.extend(over.preferences);
    set(&mut base.max_replicas, over.max_replicas);
    set(&mut base.endpoint_mode, over.endpoint_mode);
}

fn update_config(base: &mut UpdateConfig, over: UpdateConfig) {
    replace(&mut base.parallelism, over.parallelism);
    set(&mut base.delay_ns, over.delay_ns);
    set(&mut base.failure_action, over.failure_action);
    set(&mut base.monitor_ns, over.monitor_ns);
    set(&mut base.max_failure_ratio, over.max_failure_ratio);
    set(&mut base.order, over.order);
}

fn resources(base: &mut Resources, over: Resources) {
    set(&mut base.cpus, over.cpus);
    set(&mut base.memory_bytes, over.memory_bytes);
    set(&mut base.pids, over.pids);
    base.generic.extend(over.generic);
}

fn restart_policy(base: &mut RestartPolicy, over: RestartPolicy) {
    set(&mut base.condition, over.condition);
    inner(&mut base.delay_ns, over.delay_ns, set);
    replace(&mut base.max_attempts, over.max_attempts);
    inner(&mut base.window_ns, over.window_ns, set);
}
