//! An object as one line.

use ci_warm_api_types::conditions::{reasons, types};
use ci_warm_api_types::manifest::KindName;
use ci_warm_api_types::snapshot::SnapshotStatus;
use ci_warm_api_types::warm_app::WarmAppStatus;
use ci_warm_runtime::ConditionStatus;
use jiff::Timestamp;
use serde::Deserialize as _;

use super::objects::{Found, ManifestFile, Observed, StatusFile};
use super::words::{self, NOTHING};

/// How much a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// What fits a terminal.
    Normal,
    /// `-o wide`
    Wide,
}

/// No operator has looked at the object.
pub(super) const NOT_OBSERVED: &str = "NotObserved";
/// The status file cannot be read.
pub(super) const UNREADABLE_STATUS: &str = "UnreadableStatus";

/// The headers of a kind's lines.
pub(super) fn headers(kind: KindName, width: Width) -> &'static [&'static str] {
    match (kind, width) {
        (KindName::WarmApp, Width::Normal) => {
            &["NAME", "VERSION", "RESULT", "READY", "REASON", "AGE"]
        }
        (KindName::WarmApp, Width::Wide) => &[
            "NAME",
            "VERSION",
            "RESULT",
            "READY",
            "REASON",
            "AGE",
            "LATEST",
            "HELD",
            "STACK",
            "OPERATION",
            "MESSAGE",
        ],
        (KindName::Snapshot, Width::Normal) => {
            &["NAME", "INSTANCE", "READY", "VERSION", "SIZE", "AGE"]
        }
        (KindName::Snapshot, Width::Wide) => &[
            "NAME",
            "INSTANCE",
            "READY",
            "VERSION",
            "SIZE",
            "AGE",
            "CLEAN-STOP",
            "REASON",
            "MESSAGE",
        ],
    }
}

/// Whether an object is ready, and why: the one place `get` and `describe` take it from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Readiness {
    /// `True`, `False` or `Unknown`.
    pub(super) status: &'static str,
    /// One word.
    pub(super) reason: String,
    /// For a person.
    pub(super) message: String,
}

impl Readiness {
    fn new(status: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}

/// A condition's status as a word.
pub(super) fn word(status: ConditionStatus) -> &'static str {
    match status {
        ConditionStatus::True => "True",
        ConditionStatus::False => "False",
        ConditionStatus::Unknown => "Unknown",
    }
}

/// Whether an object is ready. A manifest that is not in force comes first, or the app would look as its user wants it.
pub(super) fn readiness(found: &Found) -> Readiness {
    let observed = match &found.status {
        StatusFile::Read(observed) => observed,
        StatusFile::Missing => {
            let message = match &found.manifest {
                ManifestFile::Bad(problems) => problems
                    .first()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                ManifestFile::Good { .. } | ManifestFile::Missing => {
                    "no operator has looked at it yet; is one running with this root?".to_owned()
                }
            };
            return Readiness::new("Unknown", NOT_OBSERVED, message);
        }
        StatusFile::Unreadable(message) => {
            return Readiness::new("Unknown", UNREADABLE_STATUS, message);
        }
    };
    if let Some(accepted) = observed.conditions.get(types::ACCEPTED)
        && accepted.status == ConditionStatus::False
    {
        // The runtime's words say what stays in force; for a person the manifest is what is wrong.
        let reason = match accepted.reason.as_str() {
            "LastAcceptedKept" | "NotAccepted" => reasons::INVALID_MANIFEST,
            other => other,
        };
        return Readiness::new("False", reason, &accepted.message);
    }
    observed.conditions.get(types::READY).map_or_else(
        || {
            Readiness::new(
                "Unknown",
                NOT_OBSERVED,
                "the operator has not judged it yet",
            )
        },
        |ready| Readiness::new(word(ready.status), ready.reason.as_str(), &ready.message),
    )
}

/// What the operator says of an app; nothing of it while it says nothing, or nothing this program understands.
pub(super) fn warm_app_status(found: &Found) -> WarmAppStatus {
    let read = |observed: &Observed| WarmAppStatus::deserialize(&observed.status).ok();
    found.observed().and_then(read).unwrap_or_default()
}

/// What the operator says of a snapshot, likewise.
pub(super) fn snapshot_status(found: &Found) -> SnapshotStatus {
    let read = |observed: &Observed| SnapshotStatus::deserialize(&observed.status).ok();
    found.observed().and_then(read).unwrap_or_default()
}

fn cell(value: Option<impl ToString>) -> String {
    let text = value.map(|value| value.to_string()).unwrap_or_default();
    let line = text.lines().next().unwrap_or_default().trim_end();
    if line.is_empty() {
        NOTHING.to_owned()
    } else {
        line.to_owned()
    }
}

/// The line of an object.
pub(super) fn row(found: &Found, width: Width, now: Timestamp) -> Vec<String> {
    let ready = readiness(found);
    let age = cell(
        found
            .observed()
            .map(|observed| words::age(observed.meta.creation_timestamp, now)),
    );
    match found.kind {
        KindName::WarmApp => {
            let status = warm_app_status(found);
            let mut row = vec![
                found.name.to_string(),
                cell(status.version),
                cell(status.result),
                ready.status.to_owned(),
                ready.reason,
                age,
            ];
            if width == Width::Wide {
                let declared = || Some(found.spec()?.warm_app()?.stack_name());
                row.extend([
                    cell(status.latest),
                    cell(status.held.map(|held| held.version)),
                    cell(status.stack.or_else(declared)),
                    cell(status.operation),
                    cell(Some(ready.message)),
                ]);
            }
            row
        }
        KindName::Snapshot => {
            let status = snapshot_status(found);
            let instance = found.spec().and_then(|spec| match spec {
                super::document::AnySpec::Snapshot(spec) => Some(spec.instance),
                super::document::AnySpec::WarmApp(_) => None,
            });
            let usable = status.ready_to_use.map_or("Unknown", truth);
            let mut row = vec![
                found.name.to_string(),
                cell(instance),
                usable.to_owned(),
                cell(status.version),
                cell(status.restore_size.map(words::size)),
                age,
            ];
            if width == Width::Wide {
                let message = status.error.unwrap_or(ready.message);
                row.extend([
                    cell(status.clean_stop.map(truth)),
                    ready.reason,
                    cell(Some(message)),
                ]);
            }
            row
        }
    }
}

fn truth(yes: bool) -> &'static str {
    if yes { "True" } else { "False" }
}
