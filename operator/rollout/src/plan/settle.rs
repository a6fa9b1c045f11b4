//! How operations end: the journal without them, the result, and what a person is told.

use ci_warm_api_types::journal::{
    Candidate, Cause, Fault, HistoryEntry, OperationId, Quarantined, Standing,
};
use ci_warm_api_types::outcome::{Outcome, Verb};
use ci_warm_api_types::version::Version;
use jiff::Timestamp;

use super::Turn;
use crate::decision::{Decision, End, Notice};

/// What a person is told, as far as one operation's end decides it.
pub(super) struct Told {
    pub(super) attempted: Option<Version>,
    pub(super) recovered: Option<bool>,
}

impl Turn<'_> {
    /// The journal without its operation, with one more line of history.
    pub(super) fn ended(
        &self,
        mut record: Standing,
        id: &OperationId,
        result: &Outcome,
        healthy: Healthy,
        message: &str,
    ) -> Standing {
        record.operation = None;
        record.result = Some(result.clone());
        record.history.push(HistoryEntry {
            at: self.now,
            operation: id.clone(),
            result: result.clone(),
            healthy: healthy == Healthy::Yes,
            message: message.to_owned(),
        });
        let excess = record.history.len().saturating_sub(Standing::HISTORY);
        record.history.drain(..excess);
        record
    }

    /// The notice that an operation's end gives.
    pub(super) fn notice(
        &self,
        verb: Verb,
        id: &OperationId,
        told: Told,
        message: impl Into<String>,
    ) -> Notice {
        Notice {
            identity: format!("{id}-{}", verb.as_str()),
            reason: verb.as_str(),
            version: self.last_good_version().cloned(),
            attempted: told.attempted,
            last_good: self.last_good_version().cloned(),
            latest: self.latest(),
            recovered: told.recovered,
            operation: Some(id.clone()),
            message: message.into(),
        }
    }

    pub(super) fn settle(
        &self,
        record: Standing,
        result: Outcome,
        notice: Option<Notice>,
    ) -> Decision {
        Decision::Settle {
            record,
            end: End::Result(result),
            notice,
            until: self.soon(),
        }
    }

    /// An end is followed by a fresh look, at once.
    pub(super) fn soon(&self) -> Timestamp {
        self.now
    }
}

/// Whether what runs after an operation's end passed its gate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Healthy {
    Yes,
    No,
}

/// A result about a move. Where only the configuration differs, the digest tells the two apart.
pub(super) fn moved(verb: Verb, from: Option<&Candidate>, to: &Candidate) -> Outcome {
    let text = |candidate: &Candidate, other: Option<&Candidate>| match other {
        Some(other) if other.version == candidate.version => {
            format!("{}#{}", candidate.version, candidate.digest.short())
        }
        _ => candidate.version.to_string(),
    };
    let from_text = from.map(|from| text(from, Some(to)));
    Outcome::moved(
        verb,
        from_text
            .as_ref()
            .map(|text| text as &dyn std::fmt::Display),
        text(to, from),
    )
}

/// The journal with this release marked as failed, unless it was only in the way of a new spec.
pub(super) fn quarantined(mut record: Standing, failed: &Candidate, fault: &Fault) -> Standing {
    if fault.cause != Cause::Superseded && !record.is_quarantined(failed) {
        record.quarantine.push(Quarantined {
            version: failed.version.clone(),
            digest: failed.digest.clone(),
            cause: fault.cause,
        });
    }
    record
}
