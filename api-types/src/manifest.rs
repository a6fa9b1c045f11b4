//! A manifest: the header that all kinds share, and one kind's spec under it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::API_VERSION;
use crate::problem::Problem;
use crate::snapshot::SnapshotSpec;
use crate::warm_app::WarmAppSpec;
use crate::yaml;

/// Every kind, with the names that people and paths use for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KindName {
    /// A live-warm app.
    WarmApp,
    /// A sealed copy of data.
    Snapshot,
}

impl KindName {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::WarmApp, Self::Snapshot];

    /// As in a manifest's `kind`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::WarmApp => "WarmApp",
            Self::Snapshot => "Snapshot",
        }
    }

    /// As the folder is called.
    pub fn plural(self) -> &'static str {
        match self {
            Self::WarmApp => "warmapps",
            Self::Snapshot => "snapshots",
        }
    }

    /// As `ccctl` prints it: `warmapp/keycloak`.
    pub fn singular(self) -> &'static str {
        match self {
            Self::WarmApp => "warmapp",
            Self::Snapshot => "snapshot",
        }
    }

    /// For quick fingers.
    pub fn short(self) -> &'static str {
        match self {
            Self::WarmApp => "wa",
            Self::Snapshot => "snap",
        }
    }

    /// The kind that a person's word means: plural, singular, short name or kind.
    pub fn from_word(word: &str) -> Option<Self> {
        let word = word.to_lowercase();
        Self::ALL
            .into_iter()
            .find(|kind| [kind.plural(), kind.singular(), kind.short()].contains(&word.as_str()))
    }
}

/// What every kind's spec can do.
pub trait Spec: Clone + PartialEq + Serialize + DeserializeOwned {
    /// Its kind.
    const KIND: KindName;

    /// What the types alone cannot say: pairs of a field's path and what is wrong with it.
    fn validate(&self) -> Vec<(String, String)>;
}

impl Spec for WarmAppSpec {
    const KIND: KindName = KindName::WarmApp;

    fn validate(&self) -> Vec<(String, String)> {
        Self::validate(self)
    }
}

impl Spec for SnapshotSpec {
    const KIND: KindName = KindName::Snapshot;

    fn validate(&self) -> Vec<(String, String)> {
        Self::validate(self)
    }
}

/// Names and labels of an object.
///
/// What the operator keeps beside them (uid, generation, times, finalizers) may stand in a manifest, because `ccctl get -o yaml`
/// shows it; it is passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "MetadataAsWritten", rename_all = "camelCase")]
pub struct Metadata {
    /// The object's name; the file's name without `.yaml`.
    pub name: String,
    /// For selecting objects.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// For everything else.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The objects this one goes with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<OwnerReference>,
}

/// Names and labels of an object.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(rename = "Metadata")]
#[allow(dead_code)] // The fields that are passed over.
struct MetadataAsWritten {
    /// The object's name: lower-case letters, digits and `-`, at most 63. The file's name without `.yaml`.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"))]
    name: String,
    /// For selecting objects.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// For everything else.
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    /// The objects this one goes with.
    #[serde(default)]
    owner_references: Vec<OwnerReference>,
    /// The operator's; passed over.
    #[serde(default)]
    #[schemars(with = "serde_json::Value")]
    uid: IgnoredAny,
    /// The operator's; passed over.
    #[serde(default)]
    #[schemars(with = "serde_json::Value")]
    generation: IgnoredAny,
    /// The operator's; passed over.
    #[serde(default)]
    #[schemars(with = "serde_json::Value")]
    creation_timestamp: IgnoredAny,
    /// The operator's; passed over.
    #[serde(default)]
    #[schemars(with = "serde_json::Value")]
    deletion_timestamp: IgnoredAny,
    /// The operator's; passed over.
    #[serde(default)]
    #[schemars(with = "serde_json::Value")]
    finalizers: IgnoredAny,
}

impl From<MetadataAsWritten> for Metadata {
    fn from(written: MetadataAsWritten) -> Self {
        Self {
            name: written.name,
            labels: written.labels,
            annotations: written.annotations,
            owner_references: written.owner_references,
        }
    }
}

impl schemars::JsonSchema for Metadata {
    fn schema_name() -> Cow<'static, str> {
        MetadataAsWritten::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        MetadataAsWritten::json_schema(generator)
    }
}

/// An object that another one goes with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OwnerReference {
    /// The owner's kind.
    pub kind: String,
    /// The owner's name.
    pub name: String,
    /// The owner's uid, so that one made anew under the same name is not the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// A whole manifest of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Manifest<S> {
    /// `ci-warm/v1alpha1`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// Names and labels.
    pub metadata: Metadata,
    /// What is wanted.
    pub spec: S,
    /// Allowed so that the output of `ccctl get -o yaml` can be applied; ignored.
    #[serde(default, skip_serializing)]
    #[schemars(with = "serde_json::Value")]
    pub status: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    kind: Option<String>,
}

/// Which kind a text claims to be, so that it can then be read as that kind with exact error places.
///
/// # Errors
/// When it is no YAML mapping, or names another API version or an unknown kind.
pub fn kind_of(file: &str, text: &str) -> Result<KindName, Problem> {
    let header: Header = yaml::read(file, text)?;
    let at = |field: &str| yaml::locate(text, &yaml::path(field));
    match header.api_version.as_deref() {
        Some(API_VERSION) => {}
        Some(other) => {
            let message = format!("unknown apiVersion `{other}`: expected `{API_VERSION}`");
            return Err(Problem::at(file, text, at("apiVersion"), message));
        }
        None => {
            return Err(Problem::at(
                file,
                text,
                (1, 1),
                format!("missing field `apiVersion`: write `apiVersion: {API_VERSION}`"),
            ));
        }
    }
    let kind = header.kind.ok_or_else(|| {
        Problem::at(
            file,
            text,
            (1, 1),
            "missing field `kind`: for example `kind: WarmApp`",
        )
    })?;
    KindName::ALL
        .into_iter()
        .find(|known| known.kind() == kind)
        .ok_or_else(|| {
            let known: Vec<_> = KindName::ALL.iter().map(|known| known.kind()).collect();
            let message = format!(
                "unknown kind `{kind}`: expected one of {}",
                known.join(", ")
            );
            Problem::at(file, text, at("kind"), message)
                .suggesting(yaml::did_you_mean(&kind, &known))
        })
}

/// Reads a manifest strictly and validates it. `stem` is the file's name without `.yaml`, where there is a file.
///
/// # Errors
/// The first thing that is wrong with it, with its place.
pub fn read<S: Spec>(file: &str, stem: Option<&str>, text: &str) -> Result<Manifest<S>, Problem> {
    read_or_all(file, stem, text).map_err(|problems| {
        problems
            .into_iter()
            .next()
            .unwrap_or_else(|| Problem::whole(file, "cannot be accepted"))
    })
}

/// As [`read`], for whoever mends a manifest: says everything that is wrong with it at once. What the types say comes
/// alone, because nothing more can be judged before it is mended.
///
/// # Errors
/// Never an empty list.
pub fn read_or_all<S: Spec>(
    file: &str,
    stem: Option<&str>,
    text: &str,
) -> Result<Manifest<S>, Vec<Problem>> {
    let kind = kind_of(file, text).map_err(|problem| vec![problem])?;
    let at = |path: &str, message: String| {
        Problem::at(file, text, yaml::locate(text, &yaml::path(path)), message)
    };
    if kind != S::KIND {
        let message = format!(
            "kind `{}` does not belong here: expected `{}`",
            kind.kind(),
            S::KIND.kind()
        );
        return Err(vec![at("kind", message)]);
    }
    let manifest: Manifest<S> = yaml::read(file, text).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    let name = &manifest.metadata.name;
    if !is_object_name(name) {
        let message = format!(
            "`{name}` cannot name an object: lower-case letters, digits and `-`, at most 63, with a letter or digit at both ends"
        );
        problems.push(at("metadata.name", message));
    } else if let Some(stem) = stem.filter(|stem| stem != name) {
        let message = format!(
            "the name `{name}` differs from the file's: rename the file to `{name}.yaml`, or the object to `{stem}`"
        );
        problems.push(at("metadata.name", message));
    }
    for (path, message) in manifest.spec.validate() {
        problems.push(at(&path, format!("{path}: {message}")));
    }
    if problems.is_empty() {
        Ok(manifest)
    } else {
        Err(problems)
    }
}

/// Whether a text can name an object: a DNS label.
pub fn is_object_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}
