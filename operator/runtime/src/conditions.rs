//! Conditions: what can be said of an object, each with a status, a reason, and since when.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::Generation;

/// Whether the manifest as it stands is in force. Written by the runtime only.
pub const ACCEPTED: &str = "Accepted";
/// The one summary. Derived by [`crate::Kind::ready`] whenever status is written, and in no other place.
pub const READY: &str = "Ready";
/// How the last finished run ended. Written by the runtime only.
pub const RECONCILED: &str = "Reconciled";
/// What is about to be done; on disk before it is done.
pub const PROGRESSING: &str = "Progressing";
/// The file went away, but that is not taken for a deletion.
pub const DELETION_HELD: &str = "DeletionHeld";

/// Types that only the runtime writes.
pub const RUNTIME_OWNED: [&str; 4] = [ACCEPTED, READY, RECONCILED, DELETION_HELD];

/// The longest a reason can be.
pub const LONGEST_REASON: usize = 128;

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It is not known. Unknown is never no.
    Unknown,
}

/// One word, in `PascalCase` and at most 128 characters, that programs can compare.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reason(Cow<'static, str>);

const fn is_reason(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.is_empty() || bytes.len() > LONGEST_REASON || !bytes[0].is_ascii_uppercase() {
        return false;
    }
    let mut i = 0;
    while i < bytes.len() {
        if !bytes[i].is_ascii_alphanumeric() {
            return false;
        }
        i += 1;
    }
    true
}

/// A text that cannot be a reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be a reason: one PascalCase word of at most 128 letters and digits")]
pub struct BadReason(pub String);

impl Reason {
    /// A reason known when the program is compiled.
    ///
    /// # Panics
    /// When it is not a `PascalCase` word; in a `const` that fails the build.
    pub const fn of(text: &'static str) -> Self {
        assert!(
            is_reason(text),
            "a reason is one PascalCase word of at most 128 characters"
        );
        Self(Cow::Borrowed(text))
    }

    /// A reason made while running.
    pub fn new(text: &str) -> Result<Self, BadReason> {
        if is_reason(text) {
            Ok(Self(Cow::Owned(text.into())))
        } else {
            Err(BadReason(text.into()))
        }
    }

    /// The reason as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A condition as it is to be; generation and time are filled in when it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionDraft {
    /// What is said, such as `Ready`.
    pub kind: Cow<'static, str>,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, for programs.
    pub reason: Reason,
    /// Why, for people. No durations and no counts, or every write differs.
    pub message: String,
}

/// A condition as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is said, such as `Ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, for programs.
    pub reason: Reason,
    /// Why, for people.
    pub message: String,
    /// The generation this was said about.
    pub observed_generation: Generation,
    /// When `status` last changed; a new reason or message does not move it.
    pub last_transition_time: Timestamp,
}

impl Condition {
    /// A condition to be written.
    pub fn draft(
        kind: impl Into<Cow<'static, str>>,
        status: ConditionStatus,
        reason: Reason,
        message: impl Into<String>,
    ) -> ConditionDraft {
        ConditionDraft {
            kind: kind.into(),
            status,
            reason,
            message: message.into(),
        }
    }
}

/// The conditions of one object, at most one of each type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Conditions(Vec<Condition>);

impl Conditions {
    /// The condition of that type.
    pub fn get(&self, kind: &str) -> Option<&Condition> {
        self.0.iter().find(|condition| condition.kind == kind)
    }

    /// Whether the condition of that type is there with that status.
    pub fn is(&self, kind: &str, status: ConditionStatus) -> bool {
        self.get(kind)
            .is_some_and(|condition| condition.status == status)
    }

    /// All of them, in the order they first came.
    pub fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.0.iter()
    }

    /// Sets a condition. Times are not compared: saying the same again changes nothing at all.
    pub fn set(&mut self, draft: ConditionDraft, generation: Generation, now: Timestamp) {
        let old = self
            .0
            .iter_mut()
            .find(|condition| condition.kind == draft.kind);
        let since = old
            .as_ref()
            .filter(|old| old.status == draft.status)
            .map_or(now, |old| old.last_transition_time);
        let new = Condition {
            kind: draft.kind.into_owned(),
            status: draft.status,
            reason: draft.reason,
            message: draft.message,
            observed_generation: generation,
            last_transition_time: since,
        };
        match old {
            Some(old) => *old = new,
            None => self.0.push(new),
        }
    }

    /// Takes a condition away.
    pub fn remove(&mut self, kind: &str) {
        self.0.retain(|condition| condition.kind != kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(status: ConditionStatus, message: &str) -> ConditionDraft {
        Condition::draft("Ready", status, Reason::of("Testing"), message)
    }

    #[test]
    fn conditions_should_move_transition_time_only_with_status() {
        let (early, late) = (
            Timestamp::from_second(1).unwrap(),
            Timestamp::from_second(2).unwrap(),
        );
        let mut conditions = Conditions::default();
        conditions.set(draft(ConditionStatus::True, "a"), Generation(1), early);
        let before = conditions.clone();
        conditions.set(draft(ConditionStatus::True, "a"), Generation(1), late);
        assert_eq!(conditions, before, "the same again is no change");
        conditions.set(draft(ConditionStatus::True, "b"), Generation(2), late);
        let ready = conditions.get("Ready").unwrap();
        assert_eq!(
            (ready.last_transition_time, ready.observed_generation),
            (early, Generation(2))
        );
        conditions.set(draft(ConditionStatus::False, "b"), Generation(2), late);
        assert_eq!(conditions.get("Ready").unwrap().last_transition_time, late);
        assert_eq!(conditions.iter().count(), 1);
    }

    #[test]
    fn reasons_should_be_one_pascal_case_word() {
        assert!(Reason::new("HealthGateFailed").is_ok());
        for bad in ["", "lower", "Two Words", "Dash-ed", &"X".repeat(129)] {
            assert!(Reason::new(bad).is_err(), "{bad}");
        }
    }
}
