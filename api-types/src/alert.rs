//! An alert: what a person must hear about, as it lies in `alerts/`.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The form of an [`AlertTime`]: in UTC, to the second, without punctuation.
const FORM: &str = "%Y%m%dT%H%M%SZ";

/// What a person must hear about. Its JSON is the body of one file in `alerts/`, with fields left out that do not apply.
///
/// The field names are those that relays of the system ci-warm replaces already read. Fields that are not known are passed
/// over in reading, so that files of that system, and of later versions, can be listed. No field ever holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Who this is: the same occasion has the same identity, however often it is raised. Files of the replaced system have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<AlertId>,
    /// The object it is about, by `metadata.name`; for one about the whole host, `ci-warm`.
    pub app: String,
    /// What happened.
    pub reason: AlertReason,
    /// When it was first raised.
    pub ts: AlertTime,
    /// The version that runs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version that was tried, or held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempted: Option<String>,
    /// The newest version that passed its gate here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good: Option<String>,
    /// The newest version of the recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<String>,
    /// Whether the app is healthy again: `true` after a rollback that ended well, `false` when a person is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<bool>,
    /// The notes of the releases in question, for a hold; cut when they are very long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_notes: Option<String>,
    /// The operation it came from, by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// What happened and what to do next, in a sentence or two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Alert {
    /// An alert with what every alert has; the other fields are filled in as they apply.
    pub fn new(app: impl Into<String>, reason: AlertReason, ts: AlertTime) -> Self {
        Self {
            id: None,
            app: app.into(),
            reason,
            ts,
            version: None,
            attempted: None,
            last_good: None,
            latest: None,
            recovered: None,
            release_notes: None,
            operation: None,
            message: None,
        }
    }
}

/// Who an alert is, made from what caused it: raised again after a crash, it is the same alert.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AlertId(String);

impl AlertId {
    /// The alert with which an operation ends.
    pub fn of_operation(operation: &str, reason: &AlertReason) -> Self {
        Self(format!("operation/{operation}/{reason}"))
    }

    /// The alert about something that holds for an app and a version, such as a hold: one per version, however long it holds.
    ///
    /// `app` is the object's uid where there is one, so that a later object of the same name is not taken for this one.
    pub fn of_version(app: &str, version: &str, reason: &AlertReason) -> Self {
        Self(format!("version/{app}/{version}/{reason}"))
    }

    /// The alert about an episode outside of any operation; `episode` names it, for instance by when it began.
    pub fn of_episode(app: &str, episode: &str, reason: &AlertReason) -> Self {
        Self(format!("episode/{app}/{episode}/{reason}"))
    }

    /// The identity as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What an alert is about, such as `rolled-back` or `unhealthy-on-latest`: lower-case words with hyphens, at most 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct AlertReason(String);

/// A text that is not an [`AlertReason`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the reason of an alert; write lower-case words with hyphens, such as `rolled-back`"
)]
pub struct BadReason(String);

impl FromStr for AlertReason {
    type Err = BadReason;

    fn from_str(text: &str) -> Result<Self, BadReason> {
        let word = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        if text.len() <= 64 && text.split('-').all(word) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadReason(text.to_owned()))
        }
    }
}

impl AlertReason {
    /// The reason as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AlertReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for AlertReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// A moment to the second, written `20260613T054428Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AlertTime(Timestamp);

/// A text that is not an [`AlertTime`].
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{text}` is not a time such as 20260613T054428Z")]
pub struct BadTime {
    text: String,
    source: jiff::Error,
}

impl AlertTime {
    /// The moment.
    pub const fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl From<Timestamp> for AlertTime {
    /// Cuts what is finer than a second.
    fn from(at: Timestamp) -> Self {
        Self(Timestamp::from_second(at.as_second()).unwrap_or(at))
    }
}

impl FromStr for AlertTime {
    type Err = BadTime;

    fn from_str(text: &str) -> Result<Self, BadTime> {
        DateTime::strptime(FORM, text)
            .and_then(|civil| TimeZone::UTC.to_timestamp(civil))
            .map(Self)
            .map_err(|source| BadTime {
                text: text.to_owned(),
                source,
            })
    }
}

impl fmt::Display for AlertTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.strftime(FORM).to_string())
    }
}

impl Serialize for AlertTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AlertTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"app": "traefik", "reason": "unhealthy-on-latest", "ts": "20260613T054428Z", "version": "5.1.1+v3.6.15"}"#;

    #[test]
    fn a_file_of_the_replaced_system_reads_and_writes_back() {
        let alert: Alert = serde_json::from_str(OLD).unwrap();
        assert_eq!(
            alert.ts.timestamp(),
            "2026-06-13T05:44:28Z".parse::<Timestamp>().unwrap()
        );
        assert_eq!(alert.version.as_deref(), Some("5.1.1+v3.6.15"));
        let written = serde_json::to_value(&alert).unwrap();
        assert_eq!(
            written,
            serde_json::from_str::<serde_json::Value>(OLD).unwrap()
        );
    }

    #[test]
    fn fields_are_snake_case_and_left_out_when_they_do_not_apply() {
        let mut alert = Alert::new(
            "keycloak",
            "held-major".parse().unwrap(),
            AlertTime::from("2026-06-13T05:44:28.9Z".parse::<Timestamp>().unwrap()),
        );
        alert.last_good = Some("1.0.0+1".to_owned());
        alert.release_notes = Some("notes".to_owned());
        alert.recovered = Some(false);
        assert_eq!(
            serde_json::to_string(&alert).unwrap(),
            r#"{"app":"keycloak","reason":"held-major","ts":"20260613T054428Z","last_good":"1.0.0+1","recovered":false,"release_notes":"notes"}"#
        );
    }

    #[test]
    fn unknown_fields_are_passed_over_and_wrong_ones_refused() {
        assert!(serde_json::from_str::<Alert>(&OLD.replace("version", "extra")).is_ok());
        for broken in [
            OLD.replace("20260613T054428Z", "yesterday"),
            OLD.replace("unhealthy-on-latest", "../x"),
            OLD.replace("\"app\"", "\"apq\""),
        ] {
            assert!(serde_json::from_str::<Alert>(&broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn reasons_are_words_with_hyphens() {
        for good in ["rolled-back", "held-major", "a1"] {
            assert_eq!(good.parse::<AlertReason>().unwrap().as_str(), good);
        }
        for bad in ["", "-", "a-", "A", "a/b", "a b", "a.b", &"a".repeat(65)] {
            assert!(bad.parse::<AlertReason>().is_err(), "{bad}");
        }
    }

    #[test]
    fn identities_of_different_occasions_differ() {
        let reason: AlertReason = "rolled-back".parse().unwrap();
        let other: AlertReason = "rollback-failed".parse().unwrap();
        let ids = [
            AlertId::of_operation("op", &reason),
            AlertId::of_operation("op", &other),
            AlertId::of_version("op", "1", &reason),
            AlertId::of_episode("op", "1", &reason),
        ];
        for (at, one) in ids.iter().enumerate() {
            assert!(!ids[..at].contains(one), "{one}");
        }
    }
}
