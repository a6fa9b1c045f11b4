//! `WarmApp`: an app that always runs, at the newest safe version of its recipe.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::health::HealthSpec;
use crate::journal::{Cause, HistoryEntry};
use crate::outcome::Outcome;
use crate::span::Span;
use crate::version::{Version, VersionPolicy};
use crate::window::Window;

/// What a person wants of a live-warm app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WarmAppSpec {
    /// Where the recipe comes from.
    pub recipe: RecipeSpec,
    /// Which versions may run: `latest`, a range over the recipe's part (`~10.7`), or one version (`10.7.1+26.6.2`).
    #[serde(default)]
    pub version: VersionPolicy,
    /// The domain the app is served at; `${DOMAIN}` in the recipe.
    pub domain: String,
    /// The stack's name. Without one it is the domain with `.` as `_`, cut at 45 characters, as abra does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// Values for the recipe's environment, over its `.env.sample`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Secrets that a person gives; the rest is generated, only when missing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretSource>,
    /// External overlay networks that are created when missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NetworkSpec>,
    /// What becomes of the data.
    #[serde(default)]
    pub data: DataPolicy,
    /// What proves that the app is alive.
    pub health: HealthSpec,
    /// Which upgrades wait for a person.
    #[serde(default)]
    pub hold: HoldPolicy,
    /// What leads to a rollback.
    #[serde(default)]
    pub rollback: RollbackPolicy,
    /// When upgrades may start.
    #[serde(default)]
    pub upgrade: UpgradePolicy,
    /// Objects that have to be Ready before anything is done here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    /// What happens to the app when this object is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// While true nothing is done: no deploy, no upgrade, no correction.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// How often the recipe is asked for new versions.
    #[serde(default = "fifteen_minutes")]
    pub interval: Span,
}

fn fifteen_minutes() -> Span {
    Span::from_secs(15 * 60)
}

/// A recipe's repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RecipeSpec {
    /// A URL that git can clone (https, file), or an absolute path.
    pub git: String,
}

/// Where the value of a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SecretSource {
    /// A file that holds the value, byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_file: Option<PathBuf>,
    /// A credential that systemd handed to the operator (`LoadCredential=`), by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_credential: Option<String>,
}

/// An external overlay network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NetworkSpec {
    /// Its name.
    pub name: String,
    /// Its subnet in CIDR notation. Without one the engine chooses, and may choose one that overlaps later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// Whether containers outside of Swarm may join.
    #[serde(default = "yes")]
    pub attachable: bool,
}

fn yes() -> bool {
    true
}

/// What becomes of the data around an upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct DataPolicy {
    /// `BeforeUpgrade` for an app with data, `Never` for one without: then only the version is rolled back.
    pub snapshot: SnapshotPolicy,
    /// Host paths that containers may write to although no snapshot covers them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub exempt: BTreeSet<PathBuf>,
    /// How many pre-upgrade snapshots are kept, counted from the newest.
    pub retain: u32,
}

impl Default for DataPolicy {
    fn default() -> Self {
        Self {
            snapshot: SnapshotPolicy::BeforeUpgrade,
            exempt: BTreeSet::new(),
            retain: 2,
        }
    }
}

/// Whether an upgrade takes a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum SnapshotPolicy {
    /// The app has data.
    #[default]
    BeforeUpgrade,
    /// The app has none that matters.
    Never,
}

/// Which upgrades wait for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct HoldPolicy {
    /// Hold when the first component of the recipe's or the app's version rises.
    pub major: bool,
    /// Hold when the notes of the target or of a skipped version ask for manual steps.
    pub manual_migration: bool,
    /// Hold when a generated secret of an app with data would change.
    pub secret_rotation: bool,
}

impl Default for HoldPolicy {
    fn default() -> Self {
        Self {
            major: true,
            manual_migration: true,
            secret_rotation: true,
        }
    }
}

/// What leads to a rollback.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct RollbackPolicy {
    /// The conditions that do. For one that is left out the failed release stays, for a person to look at.
    pub on: BTreeSet<RollbackCondition>,
}

impl Default for RollbackPolicy {
    fn default() -> Self {
        use RollbackCondition::{DeployFailed, HealthGateFailed, TasksFailing};
        Self {
            on: [DeployFailed, TasksFailing, HealthGateFailed].into(),
        }
    }
}

/// A condition that can lead to a rollback.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum RollbackCondition {
    /// The engine refused the release, the Swarm gave up on it, or it never converged.
    DeployFailed,
    /// Its tasks keep failing.
    TasksFailing,
    /// It runs, and its probes did not pass in time.
    HealthGateFailed,
}

impl RollbackCondition {
    /// The condition that a cause belongs to. A cause without one always leads back.
    pub fn of(cause: Cause) -> Option<Self> {
        match cause {
            Cause::DeployFailed => Some(Self::DeployFailed),
            Cause::TasksFailing => Some(Self::TasksFailing),
            Cause::HealthGateFailed => Some(Self::HealthGateFailed),
            Cause::SealFailed | Cause::RestoreFailed | Cause::Superseded => None,
        }
    }
}

/// When upgrades may start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct UpgradePolicy {
    /// New versions are taken only in this window. First deploys and changes of env or secrets do not wait for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

/// Another object that has to be Ready first.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Dependency {
    /// Its kind.
    pub kind: DependencyKind,
    /// Its name.
    pub name: String,
}

/// Kinds that can be depended on.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum DependencyKind {
    /// A live-warm app.
    WarmApp,
}

/// What happens to the app when its object is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Its services go; volumes, secrets and snapshots stay.
    #[default]
    Undeploy,
    /// Nothing of it is touched.
    Orphan,
    /// Everything of it goes, data and snapshots too.
    Purge,
}

/// Whether an app is what its spec asks for, and why. Decided in one place; the `Ready` condition says the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// It is, it is not, or it cannot be told; the last when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// For programs, and for the column of `ccctl get`.
    pub reason: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What the operator says of a live-warm app.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WarmAppStatus {
    /// Whether it is what its spec asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Readiness>,
    /// The instance's stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// The version of last good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// The commit of last good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// How the last reconcile that came to an end went.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub result: Option<Outcome>,
    /// The newest version on offer that matches the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest: Option<Version>,
    /// The version that an operation under way moves to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Version>,
    /// The operation under way and its phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The version that waits for a person, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldStatus>,
    /// Tags of the recipe that are no versions.
    #[serde(skip_serializing_if = "is_zero")]
    pub unparsable_tags: u64,
    /// Warnings about the recipe or its stack.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What the gate saw last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthStatus>,
    /// Releases that failed here, as `<version> <config digest>`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<String>,
    /// The newest pre-upgrade snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// What was done, newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<std::collections::BTreeMap<String, String>>")]
    pub history: Vec<HistoryEntry>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands a reference
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// A version that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldStatus {
    /// The version.
    pub version: Version,
    /// Why, as in results: `held-major` and so on.
    pub reason: String,
    /// What to look at before `ccctl approve`.
    pub message: String,
}

/// What the gate saw last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthStatus {
    /// What was probed.
    pub probe: String,
    /// The last answer's code; 0 when there was no answer.
    pub code: u16,
    /// What went wrong, when something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Since when it is this way.
    #[schemars(with = "String")]
    pub since: Timestamp,
}

impl WarmAppSpec {
    /// The stack's name: as declared, or made of the domain as abra does.
    pub fn stack_name(&self) -> String {
        self.stack
            .clone()
            .unwrap_or_else(|| self.domain.replace('.', "_").chars().take(45).collect())
    }

    /// What the types alone cannot say: pairs of a field's path and what is wrong with it.
    pub fn validate(&self) -> Vec<(String, String)> {
        let mut wrong = Vec::new();
        let mut say = |path: &str, message: String| wrong.push((path.to_owned(), message));
        if self.recipe.git.trim().is_empty() {
            say(
                "spec.recipe.git",
                "must name a repository: a URL or an absolute path".into(),
            );
        }
        if !is_domain(&self.domain) {
            say(
                "spec.domain",
                format!(
                    "`{}` is not a domain name, for example app.example.org",
                    self.domain
                ),
            );
        }
        if !is_stack_name(&self.stack_name()) {
            let path = if self.stack.is_some() {
                "spec.stack"
            } else {
                "spec.domain"
            };
            say(
                path,
                format!(
                    "`{}` cannot name a stack: letters, digits, `-` and `_`, at most 45",
                    self.stack_name()
                ),
            );
        }
        for (name, source) in &self.secrets {
            if source.from_file.is_some() == source.from_credential.is_some() {
                say(
                    &format!("spec.secrets.{name}"),
                    "give exactly one of `fromFile` and `fromCredential`".into(),
                );
            }
            if source
                .from_file
                .as_ref()
                .is_some_and(|path| !path.is_absolute())
            {
                say(
                    &format!("spec.secrets.{name}.fromFile"),
                    "must be an absolute path".into(),
                );
            }
        }
        for (index, network) in self.networks.iter().enumerate() {
            if network
                .subnet
                .as_ref()
                .is_some_and(|subnet| !is_cidr(subnet))
            {
                let message =
                    "is not a subnet in CIDR notation, for example 10.10.0.0/16".to_owned();
                say(&format!("spec.networks[{index}].subnet"), message);
            }
        }
        for path in self.data.exempt.iter().filter(|path| !path.is_absolute()) {
            say(
                "spec.data.exempt",
                format!("`{}` must be an absolute path", path.display()),
            );
        }
        if let Some(Err(error)) = self.upgrade.window.as_ref().map(Window::validate) {
            say("spec.upgrade.window", error.to_string());
        }
        for crate::health::Invalid {
            field: path,
            message,
        } in self.health.validate()
        {
            say(&format!("spec.health.{path}"), message);
        }
        wrong
    }
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn is_stack_name(text: &str) -> bool {
    (1..=45).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

fn is_cidr(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, bits)| {
        let limit = match address.parse() {
            Ok(std::net::IpAddr::V4(_)) => 32,
            Ok(std::net::IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        bits.parse::<u8>().is_ok_and(|bits| bits <= limit)
    })
}
