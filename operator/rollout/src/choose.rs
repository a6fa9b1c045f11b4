//! Which release is wanted now.

use ci_warm_api_types::conditions::reasons;
use ci_warm_api_types::journal::{Candidate, Checked, NotTaken, Release, ReleaseId, Standing};
use ci_warm_api_types::version::{Version, VersionPolicy};
use ci_warm_api_types::warm_app::SnapshotPolicy;
use jiff::Timestamp;

use crate::gates::hold;
use crate::intent::Intent;
use crate::observed::{Observed, Offer, Question, Refresh, Rendering};

/// What should run, from the versions on offer.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// It cannot be told now: the remote is away, say.
    Unknown(String),
    /// What runs is what should run.
    Stay(Checked),
    /// Another release should run.
    Take(Box<Candidate>, Checked),
}

/// Chooses the newest version that the policy allows, that no gate holds, that can be rendered and that did not fail here.
///
/// # Errors
/// The question whose answer is missing.
pub fn choose(
    intent: &Intent,
    standing: &Standing,
    observed: &Observed,
    now: Timestamp,
    refresh: Refresh,
) -> Result<Choice, Question> {
    let catalog = match observed.catalog.answer(|| Question::Catalog(refresh))? {
        Ok(catalog) => catalog,
        Err(why) => return Ok(Choice::Unknown(why.to_owned())),
    };
    let mut eligible: Vec<&Offer> = catalog
        .offers
        .iter()
        .filter(|offer| intent.policy.matches(&offer.version))
        .collect();
    eligible.sort_by(|a, b| b.version.cmp(&a.version));
    let mut search = Search {
        intent,
        standing,
        observed,
        checked: Checked {
            of: intent.generation.clone(),
            at: now,
            latest: eligible.first().map(|offer| offer.version.clone()),
            held: None,
            refused: None,
            pending: None,
            measured: known_spec(intent, standing),
        },
    };
    let found = match &standing.last_good {
        Some(current) => search.upgrade(current, &eligible, &catalog.offers)?,
        None => search.newest(&eligible)?,
    };
    Ok(match found {
        Found::Unknown(why) => Choice::Unknown(why),
        Found::Nothing => Choice::Stay(search.checked),
        Found::Candidate(candidate) => Choice::Take(candidate, search.checked),
    })
}

/// What runs, when it was already measured against this spec. A refusal is not known for good: a missing file may be there now.
fn known_spec(intent: &Intent, standing: &Standing) -> Option<ReleaseId> {
    let (checked, good) = (standing.checked.as_ref()?, standing.last_good.as_ref()?);
    (checked.of == intent.generation && checked.measured.as_ref() == Some(&good.of.id))
        .then(|| good.of.id.clone())
}

enum Found {
    Unknown(String),
    Nothing,
    Candidate(Box<Candidate>),
}

/// One attempt's end for one offer.
enum Tried {
    Unknown(String),
    /// It is what runs.
    Same,
    /// It cannot be, or must not be again; `checked` may say why.
    Passed,
    Candidate(Box<Candidate>),
}

struct Search<'a> {
    intent: &'a Intent,
    standing: &'a Standing,
    observed: &'a Observed,
    checked: Checked,
}

impl Search<'_> {
    /// Newest first: the first that is not held, not refused and not quarantined, down to what runs.
    fn upgrade(
        &mut self,
        current: &Release,
        eligible: &[&Offer],
        offers: &[Offer],
    ) -> Result<Found, Question> {
        let from = &current.of.version;
        for offer in eligible.iter().take_while(|offer| offer.version >= *from) {
            if offer.version == *from && self.checked.measured.is_some() {
                return Ok(Found::Nothing);
            }
            if !self.standing.approved.contains(&offer.version)
                && let Some(hold) = hold(self.intent, current, offer, offers)
            {
                self.checked.held.get_or_insert_with(|| hold.of(offer));
                continue;
            }
            match self.attempt(&offer.version)? {
                Tried::Unknown(why) => return Ok(Found::Unknown(why)),
                Tried::Same => return Ok(Found::Nothing),
                Tried::Candidate(candidate) => return Ok(Found::Candidate(candidate)),
                Tried::Passed => {}
            }
        }
        self.below(current, eligible)
    }

    /// The policy allows nothing that is as new as what runs, or nothing of that could be taken.
    fn below(&mut self, current: &Release, eligible: &[&Offer]) -> Result<Found, Question> {
        let from = &current.of.version;
        let newest = eligible.first().map(|offer| offer.version.clone());
        let lowered =
            self.intent.policy != VersionPolicy::Latest && !self.intent.policy.matches(from);
        match newest {
            // What runs is allowed; its tag may be gone, which is no reason to leave it.
            _ if !lowered => Ok(Found::Nothing),
            Some(newest) if newest >= *from => Ok(Found::Nothing),
            Some(newest) if self.intent.snapshot == SnapshotPolicy::BeforeUpgrade => {
                let message = format!(
                    "{newest} is older than {from}, which has worked on the data: an older release must not run on it"
                );
                self.refuse(&newest, reasons::DOWNGRADE_REFUSED, message);
                Ok(Found::Nothing)
            }
            Some(newest) => Ok(match self.attempt(&newest)? {
                Tried::Unknown(why) => Found::Unknown(why),
                Tried::Candidate(candidate) => Found::Candidate(candidate),
                Tried::Same | Tried::Passed => Found::Nothing,
            }),
            None => {
                self.refuse_missing(from);
                Ok(Found::Nothing)
            }
        }
    }

    /// Nothing runs yet: the newest that can be rendered and that may run on data that is already there.
    fn newest(&mut self, eligible: &[&Offer]) -> Result<Found, Question> {
        let floor = match self.intent.snapshot {
            SnapshotPolicy::BeforeUpgrade => self.standing.data_of.as_ref(),
            SnapshotPolicy::Never => None,
        };
        for offer in eligible {
            if let Some(floor) = floor.filter(|floor| offer.version < **floor) {
                let message = format!(
                    "{} is older than {floor}, which has worked on the data",
                    offer.version
                );
                self.refuse(&offer.version, reasons::DOWNGRADE_REFUSED, message);
                return Ok(Found::Nothing);
            }
            match self.attempt(&offer.version)? {
                Tried::Unknown(why) => return Ok(Found::Unknown(why)),
                Tried::Candidate(candidate) => return Ok(Found::Candidate(candidate)),
                Tried::Same | Tried::Passed => {}
            }
        }
        if let (VersionPolicy::Pin(version), true) = (&self.intent.policy, eligible.is_empty()) {
            self.refuse_missing(&version.clone());
        }
        Ok(Found::Nothing)
    }

    fn attempt(&mut self, version: &Version) -> Result<Tried, Question> {
        let seen = self
            .observed
            .renderings
            .get(version)
            .cloned()
            .unwrap_or_default();
        Ok(match seen.answer(|| Question::Render(version.clone()))? {
            Err(why) => Tried::Unknown(why.to_owned()),
            Ok(Rendering::Refused { reason, message }) => {
                self.refuse(version, reason, message.clone());
                Tried::Passed
            }
            Ok(Rendering::Candidate(candidate)) if self.runs(candidate) => {
                self.checked.measured = self
                    .standing
                    .last_good
                    .as_ref()
                    .map(|good| good.of.id.clone());
                Tried::Same
            }
            Ok(Rendering::Candidate(candidate)) if self.standing.is_quarantined(candidate) => {
                let message = "it failed here before; `ccctl retry` tries it again".to_owned();
                self.refuse(version, reasons::QUARANTINED, message);
                Tried::Passed
            }
            Ok(Rendering::Candidate(candidate)) => Tried::Candidate(Box::new(candidate.clone())),
        })
    }

    fn runs(&self, candidate: &Candidate) -> bool {
        self.standing.last_good.as_ref().is_some_and(|good| {
            good.of.version == candidate.version && good.of.digest == candidate.digest
        })
    }

    fn refuse(&mut self, version: &Version, reason: &str, message: String) {
        self.checked.refused.get_or_insert_with(|| NotTaken {
            version: version.clone(),
            reason: reason.to_owned(),
            message,
        });
    }

    fn refuse_missing(&mut self, version: &Version) {
        let message = format!("no version on offer matches `{}`", self.intent.policy);
        self.refuse(version, reasons::NO_VERSION, message);
    }
}
