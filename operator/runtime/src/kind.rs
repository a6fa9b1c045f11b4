//! What the runtime needs to know of a kind, and what an object of it looks like.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::conditions::{self, ConditionStatus, Conditions, Reason};
use crate::ids::{Generation, ObjectName, OwnerReference, Uid};
use ci_warm_api_types::problem::Problem;

/// The version of the API that status files carry.
pub const API_VERSION: &str = "ci-warm/v1alpha1";

/// A kind the runtime can keep.
pub trait Kind: Send + Sync + 'static {
    /// Its name, such as `WarmApp`.
    const KIND: &'static str;
    /// The name of its directory, such as `warmapps`.
    const PLURAL: &'static str;
    /// What a person wishes for. The last accepted one is kept in the status file, so it must read back what it wrote.
    type Spec: Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + Debug + 'static;
    /// What only this kind says in `status`. Its fields stand beside `observedGeneration` and `conditions`, so it has no
    /// fields of these names, is written as a map, and tolerates fields it does not know.
    type Status: Clone
        + PartialEq
        + Default
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + Debug
        + 'static;

    /// Reads a manifest strictly. `stem` is the file's name without `.yaml`, which the manifest's name must equal.
    fn parse(path: &Path, stem: &str, text: &str) -> Result<Manifest<Self::Spec>, Problem>;

    /// Decides `Ready`. Called whenever status is written; the one place that does.
    fn ready(object: &Object<Self>) -> Verdict
    where
        Self: Sized,
    {
        default_ready(&object.meta, &object.status)
    }

    /// Whether nothing at all is to be done for this object. A suspended object is not reconciled, unless it is being
    /// deleted. A kind that must first reach a safe point answers `Active` until then, or always.
    fn suspension(_object: &Object<Self>) -> Suspension
    where
        Self: Sized,
    {
        Suspension::Active
    }

    /// Whether two statuses say the same when time fields are left aside; the newer one is then not written.
    fn says_the_same(old: &Self::Status, new: &Self::Status) -> bool {
        old == new
    }
}

/// Whether an object may have effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspension {
    /// It may.
    Active,
    /// None at all.
    Suspended,
}

/// What a kind says about `Ready`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the object is what its spec asks for.
    pub status: ConditionStatus,
    /// Why, for programs. This is the word `get` shows, so it says more than that some other condition is false.
    pub reason: Reason,
    /// Why, for people.
    pub message: String,
}

impl Verdict {
    /// A verdict.
    pub fn new(status: ConditionStatus, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            message: message.into(),
        }
    }
}

/// The verdict of a kind that has no more to say: being deleted is not ready, a failed run is not ready and says why, a
/// generation not yet finished is unknown.
pub fn default_ready<S>(meta: &Meta, status: &Status<S>) -> Verdict {
    if meta.deletion_timestamp.is_some() {
        return Verdict::new(
            ConditionStatus::False,
            Reason::of("Deleting"),
            "being deleted",
        );
    }
    if let Some(failed) = status.conditions.get(conditions::RECONCILED)
        && failed.status == ConditionStatus::False
    {
        return Verdict::new(
            ConditionStatus::False,
            failed.reason.clone(),
            failed.message.clone(),
        );
    }
    if status.observed_generation == meta.generation {
        Verdict::new(ConditionStatus::True, Reason::of("Reconciled"), "")
    } else {
        Verdict::new(
            ConditionStatus::Unknown,
            Reason::of("Reconciling"),
            "the newest spec has not been finished yet",
        )
    }
}

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest<S> {
    /// `metadata.name`, equal to the file's stem.
    pub name: ObjectName,
    /// `metadata.labels`
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`
    pub annotations: BTreeMap<String, String>,
    /// `metadata.ownerReferences`
    pub owner_references: Vec<OwnerReference>,
    /// `spec`
    pub spec: S,
}

/// `metadata` as the operator keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// The file's stem.
    pub name: ObjectName,
    /// Fresh whenever the name is created anew.
    pub uid: Uid,
    /// Rises with the spec and on deletion.
    pub generation: Generation,
    /// When it was first seen.
    pub creation_timestamp: Timestamp,
    /// When its deletion began, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<Timestamp>,
    /// Who must let go before it can disappear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
    /// As in the last accepted manifest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// As in the last accepted manifest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// As in the last accepted manifest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<OwnerReference>,
}

/// `status`: what every kind has, and what this one adds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status<S> {
    /// The newest generation whose attempt has finished; 0 while none has.
    pub observed_generation: Generation,
    /// What can be said of the object.
    pub conditions: Conditions,
    /// What only this kind says.
    pub own: S,
}

/// An object whose spec was accepted at least once: the only sort that is reconciled.
#[derive(Debug)]
pub struct Object<K: Kind> {
    /// Who it is.
    pub meta: Meta,
    /// The last accepted wish.
    pub spec: K::Spec,
    /// What is known of it.
    pub status: Status<K::Status>,
}

impl<K: Kind> Object<K> {
    /// Whether its deletion has begun.
    pub fn deleting(&self) -> bool {
        self.meta.deletion_timestamp.is_some()
    }
}

impl<K: Kind> Clone for Object<K> {
    fn clone(&self) -> Self {
        Self {
            meta: self.meta.clone(),
            spec: self.spec.clone(),
            status: self.status.clone(),
        }
    }
}
