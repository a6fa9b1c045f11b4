//! `Snapshot`: one sealed, consistent copy of an instance's volumes.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::version::Version;

/// Which instance a snapshot is of, and what becomes of the copy. Immutable: a changed spec is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SnapshotSpec {
    /// The instance, by the name of its stack. It has to be undeployed while the copy is taken.
    pub instance: String,
    /// What becomes of the copy when this object is deleted.
    #[serde(default)]
    pub deletion_policy: SnapshotDeletionPolicy,
}

/// What becomes of the copy when its Snapshot is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum SnapshotDeletionPolicy {
    /// The copy stays in the instance's folder.
    Retain,
    /// The copy goes with the object, unless an operation still needs it.
    #[default]
    Delete,
}

/// What the operator says of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SnapshotStatus {
    /// Whether the copy is whole and verified; absent while that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_to_use: Option<bool>,
    /// When it was sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub sealed_at: Option<Timestamp>,
    /// The version that ran on the data before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// The commit of that version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The volumes in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<SnapshotVolume>,
    /// How many bytes a restore writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_size: Option<u64>,
    /// Whether every container of the instance had ended by itself or on request with exit code 0 before the copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clean_stop: Option<bool>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One volume of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotVolume {
    /// The volume's name in Swarm.
    pub name: String,
    /// Bytes of content.
    pub size: u64,
    /// A digest over content and metadata of everything in it.
    pub digest: String,
}

impl SnapshotSpec {
    /// What the types alone cannot say: pairs of a field's path and what is wrong with it.
    pub fn validate(&self) -> Vec<(String, String)> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if self.instance.is_empty() || !self.instance.bytes().all(plain) {
            return vec![(
                "spec.instance".into(),
                format!("`{}` is not the name of a stack", self.instance),
            )];
        }
        Vec::new()
    }
}
