//! The one line that says what a reconcile did.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What happened, without the versions it happened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Nothing was to be done and the app is healthy.
    NoopHealthy,
    /// A first deploy passed its gate.
    Deployed,
    /// A first deploy failed.
    DeployFailed,
    /// Another release passed its gate.
    Upgraded,
    /// The same release was submitted again and passed.
    Redeployed,
    /// A release failed; last good runs again.
    RolledBack,
    /// The spec changed while a release was on its way.
    Superseded,
    /// A release was turned down before anything was touched.
    Refused,
    /// A version waits for a person: a first component rises.
    HeldMajor,
    /// A version waits for a person: its notes ask for manual steps.
    HeldManualMigration,
    /// A version waits for a person: a generated secret would change.
    HeldSecretRotation,
    /// Last good does not pass, although it was redeployed.
    UnhealthyOnLatest,
    /// An undoing failed; a person has to look.
    RollbackFailed,
}

impl Verb {
    const ALL: [(Self, &'static str); 13] = [
        (Self::NoopHealthy, "noop-healthy"),
        (Self::Deployed, "deployed"),
        (Self::DeployFailed, "deploy-failed"),
        (Self::Upgraded, "upgraded"),
        (Self::Redeployed, "redeployed"),
        (Self::RolledBack, "rolled-back"),
        (Self::Superseded, "superseded"),
        (Self::Refused, "refused"),
        (Self::HeldMajor, "held-major"),
        (Self::HeldManualMigration, "held-manual-migration"),
        (Self::HeldSecretRotation, "held-secret-rotation"),
        (Self::UnhealthyOnLatest, "unhealthy-on-latest"),
        (Self::RollbackFailed, "rollback-failed"),
    ];

    /// The word as results and alerts show it.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(verb, _)| *verb == self)
            .map_or("unknown", |(_, word)| word)
    }
}

/// A result: `upgraded:A->B`, `deployed:V`. Versions are text as shown, with a config digest behind them where A = B.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Outcome {
    /// What happened.
    pub verb: Verb,
    /// To which version, or from which to which.
    pub subject: String,
}

impl Outcome {
    /// A result about one version.
    pub fn of(verb: Verb, version: impl fmt::Display) -> Self {
        Self {
            verb,
            subject: version.to_string(),
        }
    }

    /// A result about a move. Without a version to come from it reads `none->B`.
    pub fn moved(verb: Verb, from: Option<&dyn fmt::Display>, to: impl fmt::Display) -> Self {
        let from = from.map_or_else(|| "none".to_owned(), ToString::to_string);
        Self {
            verb,
            subject: format!("{from}->{to}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.verb.as_str(), self.subject)
    }
}

/// The text is not a result.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not a result: expected `<what>:<version>`, for example `upgraded:1.0.0+1.0->1.1.0+1.1`"
)]
pub struct NotAnOutcome(String);

impl FromStr for Outcome {
    type Err = NotAnOutcome;

    fn from_str(text: &str) -> Result<Self, NotAnOutcome> {
        let (word, subject) = text
            .split_once(':')
            .ok_or_else(|| NotAnOutcome(text.to_owned()))?;
        let (verb, _) = Verb::ALL
            .iter()
            .find(|(_, known)| *known == word)
            .ok_or_else(|| NotAnOutcome(text.to_owned()))?;
        Ok(Self {
            verb: *verb,
            subject: subject.to_owned(),
        })
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcome_should_read_back_what_it_shows() {
        for (verb, _) in Verb::ALL {
            let outcome = Outcome::moved(verb, Some(&"1.0.0+1.0"), "1.1.0+v2");
            assert_eq!(outcome.to_string().parse::<Outcome>().unwrap(), outcome);
        }
    }

    #[test]
    fn outcome_should_refuse_an_unknown_word() {
        assert!("exploded:1.0.0+1".parse::<Outcome>().is_err());
        assert!("deployed".parse::<Outcome>().is_err());
    }
}
