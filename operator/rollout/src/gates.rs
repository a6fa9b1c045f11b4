//! Which upgrades wait for a person.

use ci_warm_api_types::journal::{NotTaken, Release};
use ci_warm_api_types::outcome::Verb;
use ci_warm_api_types::version::major_rise;
use ci_warm_api_types::warm_app::SnapshotPolicy;

use crate::intent::Intent;
use crate::observed::{MigrationNotes, Offer};

/// A version that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Which gate holds it, as results show it.
    pub verb: Verb,
    /// What a person should know before approving.
    pub message: String,
}

impl Hold {
    /// The hold as the journal keeps it.
    pub fn of(&self, offer: &Offer) -> NotTaken {
        NotTaken {
            version: offer.version.clone(),
            reason: self.verb.as_str().to_owned(),
            message: self.message.clone(),
        }
    }
}

/// Whether going from `current` to `target` waits for a person. `offers` are all versions on offer: those between the two
/// are skipped, and their notes count too.
pub fn hold(intent: &Intent, current: &Release, target: &Offer, offers: &[Offer]) -> Option<Hold> {
    let from = &current.of.version;
    if intent.hold.major
        && let Some(part) = major_rise(from, &target.version)
    {
        let message = format!(
            "the {part} part rises in its first component from {from} to {}",
            target.version
        );
        return Some(Hold {
            verb: Verb::HeldMajor,
            message,
        });
    }
    if intent.hold.manual_migration {
        let flagged = offers
            .iter()
            .filter(|offer| offer.version > *from && offer.version <= target.version)
            .filter(|offer| offer.notes == MigrationNotes::ManualMigration)
            .min_by_key(|offer| &offer.version);
        if let Some(offer) = flagged {
            let message = format!(
                "the release notes of {} ask for manual steps",
                offer.version
            );
            return Some(Hold {
                verb: Verb::HeldManualMigration,
                message,
            });
        }
    }
    if intent.hold.secret_rotation && intent.snapshot == SnapshotPolicy::BeforeUpgrade {
        let rotated = current.of.secrets.iter().find(|(name, before)| {
            target
                .secrets
                .get(*name)
                .is_some_and(|after| after != *before)
        });
        if let Some((name, before)) = rotated {
            let message = format!(
                "the generated secret `{name}` would change from {before} to {}, and the data knows only the old one",
                target.secrets[name]
            );
            return Some(Hold {
                verb: Verb::HeldSecretRotation,
                message,
            });
        }
    }
    None
}
