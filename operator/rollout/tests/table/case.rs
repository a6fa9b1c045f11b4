//! One moment in an instance's life, and what the planner makes of it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use ci_warm_api_types::journal::{
    Candidate, Checked, ConfigDigest, Generation, InstanceName, NotTaken, Operation, Passed,
    Quarantined, Release, ReleaseId, Standing,
};
use ci_warm_api_types::version::{Version, VersionPolicy};
use ci_warm_api_types::warm_app::{HoldPolicy, RollbackPolicy, SnapshotPolicy};
use ci_warm_rollout::{
    Catalog, Choice, Decision, Dependencies, Deployment, End, Gate, GateTerms, Intent,
    MigrationNotes, Next, Observed, Offer, Preflight, Question, Refresh, Rendering, Seen, Step,
    Want, choose, next,
};
use jiff::{SignedDuration, Timestamp};

pub const NOW: Timestamp = Timestamp::constant(1_767_225_600, 0); // 2026-01-01T00:00:00Z, a Thursday

pub fn at(seconds: i64) -> Timestamp {
    NOW + SignedDuration::from_secs(seconds)
}

pub fn version(text: &str) -> Version {
    text.parse().unwrap()
}

pub fn candidate(text: &str, digest: &str) -> Candidate {
    Candidate {
        id: ReleaseId(format!("{text}-{digest}")),
        version: version(text),
        commit: "c0ffee".into(),
        digest: ConfigDigest(digest.into()),
        secrets: BTreeMap::new(),
    }
}

pub fn release(text: &str, digest: &str) -> Release {
    Release {
        of: candidate(text, digest),
        passed: Passed {
            at: at(-5000),
            probes: NonZeroU32::new(3).unwrap(),
        },
    }
}

pub fn generation(number: u64) -> Generation {
    Generation {
        uid: "uid".into(),
        number,
    }
}

pub fn offer(text: &str) -> Offer {
    Offer {
        version: version(text),
        notes: MigrationNotes::Unflagged,
        secrets: BTreeMap::new(),
    }
}

pub fn flagged(text: &str) -> Offer {
    Offer {
        notes: MigrationNotes::ManualMigration,
        ..offer(text)
    }
}

pub fn with_secret(text: &str, secret: &str) -> Offer {
    Offer {
        secrets: [("db".to_owned(), secret.to_owned())].into(),
        ..offer(text)
    }
}

pub fn gate(passes: u32, failures: u32) -> Gate {
    Gate {
        passes,
        failures,
        at: at(-1),
        message: "502".into(),
    }
}

pub fn not_taken(text: &str, reason: &str) -> NotTaken {
    NotTaken {
        version: version(text),
        reason: reason.into(),
        message: String::new(),
    }
}

/// Everything a decision depends on.
#[derive(Clone)]
pub struct Case {
    pub intent: Intent,
    pub standing: Standing,
    pub observed: Observed,
}

/// An app that runs 1.0.0+1.0, is well, and was looked at just now.
pub fn case() -> Case {
    let intent = Intent {
        instance: InstanceName::from("app"),
        generation: generation(7),
        want: Want::Run,
        policy: VersionPolicy::Latest,
        hold: HoldPolicy::default(),
        snapshot: SnapshotPolicy::BeforeUpgrade,
        rollback: RollbackPolicy::default(),
        window: None,
        interval: SignedDuration::from_secs(900),
        gate: GateTerms {
            passes: NonZeroU32::new(3).unwrap(),
            failures: NonZeroU32::new(3).unwrap(),
            every: SignedDuration::from_secs(5),
            deadline: SignedDuration::from_secs(600),
            idle: SignedDuration::from_secs(30),
        },
    };
    let last_good = release("1.0.0+1.0", "a");
    let checked = Checked {
        of: generation(7),
        at: at(-100),
        latest: Some(version("1.0.0+1.0")),
        held: None,
        refused: None,
        pending: None,
        measured: Some(last_good.of.id.clone()),
    };
    Case {
        intent,
        standing: Standing {
            operations: 4,
            data_of: Some(version("1.0.0+1.0")),
            last_good: Some(last_good),
            checked: Some(checked),
            ..Standing::default()
        },
        observed: Observed {
            deployment: Seen::Is(Deployment::Converged),
            dependencies: Seen::Is(Dependencies::Ready),
            gate: Seen::Is(gate(1, 0)),
            preflight: Seen::Is(Preflight::Clear { covers: None }),
            ..Observed::default()
        },
    }
}

impl Case {
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub fn policy(self, text: &str) -> Self {
        self.with(|case| case.intent.policy = text.parse().unwrap())
    }

    pub fn stateless(self) -> Self {
        self.with(|case| case.intent.snapshot = SnapshotPolicy::Never)
    }

    pub fn never_ran(self) -> Self {
        self.with(|case| {
            case.standing = Standing::default();
        })
    }

    /// It is time to look at these versions, each rendered under the digest.
    pub fn offers(self, offers: Vec<Offer>, digest: &str) -> Self {
        self.with(|case| {
            for offer in &offers {
                let rendering = Rendering::Candidate(candidate(&offer.version.to_string(), digest));
                case.observed
                    .renderings
                    .insert(offer.version.clone(), Seen::Is(rendering));
            }
            case.observed.catalog = Seen::Is(Catalog { offers });
        })
    }

    pub fn due(self) -> Self {
        self.with(|case| {
            if let Some(checked) = &mut case.standing.checked {
                checked.at = at(-900);
            }
        })
    }

    pub fn unrendered(self, text: &str) -> Self {
        self.with(|case| {
            case.observed.renderings.remove(&version(text));
        })
    }

    pub fn refused(self, text: &str) -> Self {
        self.with(|case| {
            let refused = Rendering::Refused {
                reason: "InvalidRecipe".into(),
                message: "no".into(),
            };
            case.observed
                .renderings
                .insert(version(text), Seen::Is(refused));
        })
    }

    pub fn quarantined(self, text: &str, digest: &str) -> Self {
        self.with(|case| {
            case.standing.quarantine.push(Quarantined {
                version: version(text),
                digest: ConfigDigest(digest.into()),
                cause: ci_warm_api_types::journal::Cause::HealthGateFailed,
            });
        })
    }

    pub fn operation(self, operation: Operation) -> Self {
        self.with(|case| case.standing.operation = Some(operation))
    }

    pub fn deployment(self, deployment: Deployment) -> Self {
        self.with(|case| case.observed.deployment = Seen::Is(deployment))
    }

    pub fn next(&self) -> Next {
        next(&self.intent, &self.standing, &self.observed, NOW)
    }

    pub fn decide(&self) -> Decision {
        match self.next() {
            Next::Decide(decision) => *decision,
            Next::Ask(question) => panic!("it asks {question:?}"),
        }
    }

    pub fn asks(&self) -> Option<Question> {
        match self.next() {
            Next::Decide(_) => None,
            Next::Ask(question) => Some(question),
        }
    }

    /// Compares the decision, in a line, with what is expected.
    #[track_caller]
    pub fn check(&self, expected: &str) -> Decision {
        let decision = self.decide();
        assert_eq!(line(&decision), expected);
        decision
    }

    /// Compares the choice between the versions on offer, in a line, with what is expected.
    #[track_caller]
    pub fn check_choice(&self, expected: &str) {
        let choice = choose(
            &self.intent,
            &self.standing,
            &self.observed,
            NOW,
            Refresh::Now,
        );
        let text = match choice {
            Err(question) => format!("ask {question:?}"),
            Ok(Choice::Unknown(why)) => format!("unknown: {why}"),
            Ok(Choice::Stay(checked)) => format!("stay{}", notes(&checked)),
            Ok(Choice::Take(candidate, checked)) => {
                format!("take {}{}", candidate.id, notes(&checked))
            }
        };
        assert_eq!(text, expected);
    }
}

fn notes(checked: &Checked) -> String {
    let note = |name: &str, not: &Option<NotTaken>| {
        not.as_ref().map_or(String::new(), |not| {
            format!(", {name} {} {}", not.version, not.reason)
        })
    };
    format!(
        "{}{}",
        note("held", &checked.held),
        note("refused", &checked.refused)
    )
}

/// A decision in a line: what, in which phase it leaves the instance, and after how many seconds it looks again.
pub fn line(decision: &Decision) -> String {
    let seconds = |until: &Timestamp| until.duration_since(NOW).as_secs();
    let phase = |record: &Standing| {
        record
            .operation
            .as_ref()
            .map_or("idle".to_owned(), |op| op.phase().to_owned())
    };
    match decision {
        Decision::Act { record, step } => {
            let nonce = match step {
                Step::Submit {
                    nonce: Some(nonce), ..
                } => format!(" {nonce}"),
                _ => String::new(),
            };
            format!("{}: act {}{nonce}", phase(record), step.name())
        }
        Decision::Wait { record, until, why } => {
            format!("{}: wait {} +{}", phase(record), why.reason, seconds(until))
        }
        Decision::Settle {
            record,
            end,
            notice,
            until,
        } => {
            let end = match end {
                End::Result(result) => result.to_string(),
                End::Removed => "removed".to_owned(),
            };
            let told = notice.as_ref().map_or("nobody", |notice| notice.reason);
            format!("{}: {end}, tells {told} +{}", phase(record), seconds(until))
        }
    }
}

pub fn record(decision: &Decision) -> &Standing {
    match decision {
        Decision::Act { record, .. }
        | Decision::Wait { record, .. }
        | Decision::Settle { record, .. } => record,
    }
}
