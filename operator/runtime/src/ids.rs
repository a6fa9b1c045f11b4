//! Names, uids, generations, keys: what identifies an object.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest name an object can have: that of a DNS label, because names become host and stack names.
pub const LONGEST_NAME: usize = 63;

/// A name that follows the rules: a lower-case DNS label of at most 63 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectName(Arc<str>);

/// Why a text is not an object's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot be an object's name: use 1 to 63 lower-case letters, digits and '-', beginning and ending with a letter or digit"
)]
pub struct BadName(pub String);

impl ObjectName {
    /// Checks `name` against the rules.
    pub fn new(name: &str) -> Result<Self, BadName> {
        let label = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        let bytes = name.as_bytes();
        let ends =
            bytes.first().copied().is_some_and(label) && bytes.last().copied().is_some_and(label);
        if ends && bytes.len() <= LONGEST_NAME && bytes.iter().all(|c| label(*c) || *c == b'-') {
            Ok(Self(name.into()))
        } else {
            Err(BadName(name.into()))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ObjectName {
    type Error = BadName;
    fn try_from(name: String) -> Result<Self, BadName> {
        Self::new(&name)
    }
}

impl From<ObjectName> for String {
    fn from(name: ObjectName) -> Self {
        name.0.as_ref().into()
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tells an object from an earlier one of the same name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Uid(String);

impl Uid {
    /// A uid that was never given before: a random (version 4) UUID.
    ///
    /// # Panics
    /// When the system has no random numbers; nothing unique can be made then.
    pub fn fresh() -> Self {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).expect("the system's random numbers are available");
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let hex = |part: &[u8]| {
            part.iter()
                .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
        };
        Self(
            [
                &bytes[..4],
                &bytes[4..6],
                &bytes[6..8],
                &bytes[8..10],
                &bytes[10..],
            ]
            .map(hex)
            .join("-"),
        )
    }

    /// The uid as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Counts the wishes for one object: rises when its spec changes and when it is deleted, never on a status write.
/// An observed generation of 0 means that none was finished yet.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The object that another one belongs to. Whatever happens to the owned one wakes its owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OwnerReference {
    /// The owner's kind, such as `Sweep`.
    pub kind: String,
    /// The owner's name.
    pub name: ObjectName,
    /// The owner's uid. A manifest written by hand may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Uid>,
}

/// What the queue is keyed by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The kind, such as `WarmApp`.
    pub kind: Arc<str>,
    /// The object's name.
    pub name: ObjectName,
}

impl Key {
    /// The key of an object.
    pub fn new(kind: &str, name: ObjectName) -> Self {
        Self {
            kind: kind.into(),
            name,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_should_be_lower_case_labels() {
        for good in ["a", "keycloak", "warm-a1", &"x".repeat(63)] {
            assert!(ObjectName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "A",
            "-a",
            "a-",
            "a.b",
            "../a",
            "a/b",
            "a_b",
            "ä",
            &"x".repeat(64),
        ] {
            assert!(ObjectName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn uids_should_differ() {
        assert_ne!(Uid::fresh(), Uid::fresh());
        assert_eq!(Uid::fresh().as_str().len(), 36);
    }
}
