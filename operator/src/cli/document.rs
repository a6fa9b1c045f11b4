//! One manifest of any kind, read strictly.

use ci_warm_api_types::manifest::{self, KindName, Manifest, Metadata, Spec};
use ci_warm_api_types::problem::Problem;
use ci_warm_api_types::snapshot::SnapshotSpec;
use ci_warm_api_types::warm_app::WarmAppSpec;
use serde::Deserialize as _;
use serde_json::Value;

/// The spec of any kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AnySpec {
    /// Of an app.
    WarmApp(Box<WarmAppSpec>),
    /// Of a snapshot.
    Snapshot(SnapshotSpec),
}

impl AnySpec {
    /// Its kind.
    pub(super) fn kind(&self) -> KindName {
        match self {
            Self::WarmApp(_) => KindName::WarmApp,
            Self::Snapshot(_) => KindName::Snapshot,
        }
    }

    /// As it is shown: with every default said.
    pub(super) fn to_value(&self) -> Value {
        let value = match self {
            Self::WarmApp(spec) => serde_json::to_value(spec),
            Self::Snapshot(spec) => serde_json::to_value(spec),
        };
        // Maps with texts for keys, and numbers that are whole: JSON can say all of it.
        value.unwrap_or_default()
    }

    /// The spec that a status file keeps, when this program can read it.
    pub(super) fn from_value(kind: KindName, value: &Value) -> Option<Self> {
        match kind {
            KindName::WarmApp => WarmAppSpec::deserialize(value)
                .ok()
                .map(|spec| Self::WarmApp(Box::new(spec))),
            KindName::Snapshot => SnapshotSpec::deserialize(value).ok().map(Self::Snapshot),
        }
    }

    /// The spec of an app.
    pub(super) fn warm_app(&self) -> Option<&WarmAppSpec> {
        match self {
            Self::WarmApp(spec) => Some(spec),
            Self::Snapshot(_) => None,
        }
    }
}

/// What a manifest means, all that is the operator's left aside.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Meaning {
    /// Names and labels.
    pub(super) metadata: Metadata,
    /// What is wanted.
    pub(super) spec: AnySpec,
}

/// Reads a manifest of whichever kind it says it is. `stem` is the file's name without `.yaml` where the two must agree.
pub(super) fn read(file: &str, stem: Option<&str>, text: &str) -> Result<Meaning, Vec<Problem>> {
    match manifest::kind_of(file, text).map_err(|problem| vec![problem])? {
        KindName::WarmApp => read_as(file, stem, text, |spec| AnySpec::WarmApp(Box::new(spec))),
        KindName::Snapshot => read_as(file, stem, text, AnySpec::Snapshot),
    }
}

fn read_as<S: Spec>(
    file: &str,
    stem: Option<&str>,
    text: &str,
    any: impl FnOnce(S) -> AnySpec,
) -> Result<Meaning, Vec<Problem>> {
    let Manifest { metadata, spec, .. } = manifest::read_or_all::<S>(file, stem, text)?;
    Ok(Meaning {
        metadata,
        spec: any(spec),
    })
}
