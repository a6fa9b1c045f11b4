//! A compose file in the types of the reference, ready to be merged.
//!
//! Whether a list is absent or empty matters in places, to merging and to the engine; there it is an `Option`.

use std::collections::BTreeMap;

use crate::ports::Port;

pub(crate) type Texts = BTreeMap<String, String>;

/// One file, or several merged ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Compose {
    pub services: BTreeMap<String, Service>,
    pub networks: BTreeMap<String, Network>,
    pub volumes: BTreeMap<String, Volume>,
    pub secrets: BTreeMap<String, FileObject>,
    pub configs: BTreeMap<String, FileObject>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Service {
    pub image: String,
    pub hostname: String,
    pub user: String,
    pub working_dir: String,
    pub stop_signal: String,
    pub isolation: String,
    pub restart: String,
    pub command: Vec<String>,
    pub entrypoint: Vec<String>,
    pub environment: BTreeMap<String, Option<String>>,
    pub labels: Texts,
    pub sysctls: Texts,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub dns: Option<Vec<String>>,
    pub dns_search: Option<Vec<String>>,
    /// `HOST:IP` each.
    pub extra_hosts: Vec<String>,
    pub healthcheck: Option<Healthcheck>,
    pub init: Option<bool>,
    pub logging: Option<Logging>,
    pub networks: BTreeMap<String, Option<Attachment>>,
    pub ports: Option<Vec<Port>>,
    pub secrets: Option<Vec<FileReference>>,
    pub configs: Option<Vec<FileReference>>,
    pub credential_spec: CredentialSpec,
    pub read_only: bool,
    pub stdin_open: bool,
    pub tty: bool,
    pub stop_grace_period_ns: Option<i64>,
    pub ulimits: BTreeMap<String, Ulimit>,
    pub volumes: Option<Vec<Mount>>,
    pub deploy: Deploy,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Healthcheck {
    pub test: Vec<String>,
    pub disable: bool,
    pub interval_ns: Option<i64>,
    pub timeout_ns: Option<i64>,
    pub start_period_ns: Option<i64>,
    pub start_interval_ns: Option<i64>,
    pub retries: Option<u64>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Logging {
    pub driver: String,
    pub options: Option<Texts>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Attachment {
    pub aliases: Vec<String>,
    pub driver_opts: Texts,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct FileReference {
    pub source: String,
    pub target: String,
    pub uid: String,
    pub gid: String,
    pub mode: Option<u32>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct CredentialSpec {
    pub config: String,
    pub file: String,
    pub registry: String,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ulimit {
    pub soft: i64,
    pub hard: i64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Mount {
    pub kind: String,
    pub source: String,
    pub target: String,
    pub read_only: bool,
    pub consistency: String,
    /// The propagation, if bind options are given.
    pub bind: Option<String>,
    pub volume: Option<VolumeOptions>,
    /// The size in bytes, if tmpfs options are given.
    pub tmpfs: Option<i64>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct VolumeOptions {
    pub no_copy: bool,
    pub subpath: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Deploy {
    pub mode: String,
    pub replicas: Option<u64>,
    pub labels: Texts,
    pub update_config: Option<UpdateConfig>,
    pub rollback_config: Option<UpdateConfig>,
    pub limits: Option<Resources>,
    pub reservations: Option<Resources>,
    pub restart_policy: Option<RestartPolicy>,
    pub constraints: Vec<String>,
    pub preferences: Vec<String>,
    pub max_replicas: u64,
    pub endpoint_mode: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct UpdateConfig {
    pub parallelism: Option<u64>,
    pub delay_ns: i64,
    pub failure_action: String,
    pub monitor_ns: i64,
    pub max_failure_ratio: f32,
    pub order: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Resources {
    pub cpus: String,
    pub memory_bytes: i64,
    pub pids: i64,
    /// Kind and value each; `None` for an entry that is empty.
    pub generic: Vec<Option<(String, i64)>>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct RestartPolicy {
    pub condition: String,
    pub delay_ns: Option<i64>,
    pub max_attempts: Option<u64>,
    pub window_ns: Option<i64>,
}

/// Whether something exists apart from the stack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Owner {
    #[default]
    Stack,
    External,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Network {
    pub name: String,
    pub owner: Owner,
    pub driver: String,
    pub driver_opts: Option<Texts>,
    pub ipam_driver: String,
    pub subnets: Vec<String>,
    pub internal: bool,
    pub attachable: bool,
    pub labels: Texts,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Volume {
    pub name: String,
    pub owner: Owner,
    pub driver: String,
    pub driver_opts: Option<Texts>,
    pub labels: Texts,
}

/// A secret or a config.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileObject {
    pub name: String,
    pub owner: Owner,
    /// Absolute, once loaded.
    pub file: String,
    pub labels: Texts,
    pub driver: String,
    pub driver_opts: Texts,
    pub template_driver: String,
}
