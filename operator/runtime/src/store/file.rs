//! The status file: one object as YAML a person can read, written whole.
//!
//! It is read in three passes over the same text, one per owner of a part, because a `flatten`ed read would lose both
//! positions and the difference between `"0440"` and 440.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Record;
use crate::conditions::Conditions;
use crate::ids::Generation;
use crate::kind::{API_VERSION, Kind, Meta, Status};
use ci_warm_api_types::problem::Problem;
use ci_warm_api_types::yaml;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a, K: Kind> {
    api_version: &'static str,
    kind: &'static str,
    metadata: &'a Meta,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<&'a K::Spec>,
    status: WrittenStatus<'a, K::Status>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenStatus<'a, S> {
    observed_generation: Generation,
    conditions: &'a Conditions,
    #[serde(flatten)]
    own: &'a S,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Common {
    kind: String,
    metadata: Meta,
    status: CommonStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommonStatus {
    #[serde(default)]
    observed_generation: Generation,
    #[serde(default)]
    conditions: Conditions,
}

#[derive(Deserialize)]
struct SpecOnly<S> {
    spec: S,
}

#[derive(Deserialize)]
struct OwnOnly<S> {
    status: S,
}

#[derive(Deserialize)]
struct HasSpec {
    #[serde(default)]
    spec: Option<serde::de::IgnoredAny>,
}

pub(super) fn encode<K: Kind>(record: &Record<K>) -> Result<String, io::Error> {
    let written = Written::<K> {
        api_version: API_VERSION,
        kind: K::KIND,
        metadata: &record.meta,
        spec: record.spec.as_ref(),
        status: WrittenStatus {
            observed_generation: record.status.observed_generation,
            conditions: &record.status.conditions,
            own: &record.status.own,
        },
    };
    yaml::write(&written).map_err(io::Error::other)
}

/// Reads a status file. A spec that this program cannot read (an older or newer one wrote it) is left out: the object is
/// not reconciled until its manifest is accepted again. Everything else that cannot be read is a problem, never a new object.
pub(super) fn decode<K: Kind>(path: &Path) -> Result<Record<K>, Problem> {
    let text = fs::read_to_string(path).map_err(|error| {
        Problem::of(path, format!("the status file cannot be read: {error}"))
            .suggest("the object is left alone until it can be; restore the file, or remove it to begin anew with a new uid")
    })?;
    let file = path.display().to_string();
    let wrong = |problem: Problem| {
        Problem::of(path, format!("the status file is damaged: {problem}"))
            .suggest("the object is left alone until it can be; restore the file, or remove it to begin anew with a new uid")
    };
    let common: Common = yaml::read(&file, &text).map_err(wrong)?;
    if common.kind != K::KIND {
        return Err(Problem::of(
            path,
            format!("is the status of a {}, not of a {}", common.kind, K::KIND),
        ));
    }
    let has_spec = yaml::read::<HasSpec>(&file, &text)
        .map_err(wrong)?
        .spec
        .is_some();
    let spec = if has_spec {
        match yaml::read::<SpecOnly<K::Spec>>(&file, &text) {
            Ok(read) => Some(read.spec),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the last accepted spec cannot be read; the manifest must be accepted again");
                None
            }
        }
    } else {
        None
    };
    let own: OwnOnly<K::Status> = yaml::read(&file, &text).map_err(wrong)?;
    let status = Status {
        observed_generation: common.status.observed_generation,
        conditions: common.status.conditions,
        own: own.status,
    };
    Ok(Record {
        meta: common.metadata,
        spec,
        status,
    })
}
