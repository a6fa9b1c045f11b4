//! Last good once more: after drift, or once when it runs and does not pass.

use ci_warm_api_types::conditions::reasons;
use ci_warm_api_types::journal::{
    Clock, Generation, Keep, Operation, OperationId, Release, Standing,
};
use ci_warm_api_types::outcome::{Outcome, Verb};

use super::clock::{self, Reading};
use super::proof::{Hope, Proof};
use super::settle::{Healthy, Told};
use super::{Planned, Turn, wait};
use crate::decision::{Decision, Step};
use crate::observed::{Deployment, Subject};

impl Turn<'_> {
    /// Begins to submit last good again.
    pub(super) fn begin_keeping(
        &self,
        release: &Release,
        why: &str,
        nonce: Option<u64>,
    ) -> Decision {
        let (id, number) = self.new_id();
        let keep = Operation::Keep {
            id,
            of: self.intent.generation.clone(),
            why: why.to_owned(),
            at: Keep::Submit { nonce },
        };
        let record = Standing {
            operations: number,
            ..self.with(keep)
        };
        Decision::Act {
            record,
            step: Step::Submit {
                release: release.clone(),
                nonce,
            },
        }
    }

    pub(super) fn keep(&self, id: &OperationId, of: &Generation, why: &str, at: &Keep) -> Planned {
        let Some(release) = self.last_good() else {
            return Ok(self.let_go());
        };
        if self.superseded(of) {
            return Ok(self.let_go());
        }
        let keep = Keeping {
            id,
            of,
            why,
            release,
        };
        if let Some(message) = &self.observed.failed {
            return Ok(self.still_unhealthy(&keep, message));
        }
        match at {
            Keep::Submit { nonce } => self.resubmit(&keep, *nonce),
            Keep::Prove(clock) => self.prove_kept(&keep, clock),
        }
    }

    /// The same release runs, or not; a new spec does not have to wait for that to show.
    pub(super) fn let_go(&self) -> Decision {
        let record = Standing {
            operation: None,
            ..self.standing.clone()
        };
        wait(record, self.now, reasons::PROGRESSING, "the spec changed")
    }

    fn resubmit(&self, keep: &Keeping<'_>, nonce: Option<u64>) -> Planned {
        let subject = Subject {
            release: keep.release.of.clone(),
            nonce,
        };
        match self.deployment(Some(subject))? {
            Err(why) => Ok(self.unknown(why)),
            Ok(Deployment::Absent | Deployment::Differs(_)) => {
                let record = self.with(keep.at(Keep::Submit { nonce }));
                Ok(Decision::Act {
                    record,
                    step: Step::Submit {
                        release: keep.release.clone(),
                        nonce,
                    },
                })
            }
            Ok(Deployment::Draining(what)) => {
                Ok(self.wait_soon(reasons::PROGRESSING, format!("draining: {what}")))
            }
            Ok(_) => {
                let record = self.with(keep.at(Keep::Prove(clock::start(
                    self.now,
                    self.intent.gate.deadline,
                ))));
                Ok(wait(
                    record,
                    self.now,
                    reasons::PROGRESSING,
                    "submitted again; proving",
                ))
            }
        }
    }

    fn prove_kept(&self, keep: &Keeping<'_>, clock: &Clock) -> Planned {
        let proving = |clock| self.with(keep.at(Keep::Prove(clock)));
        match self.proof(&keep.release.of, clock)? {
            Proof::Unseen {
                clock,
                reason,
                message,
            } => Ok(self.wait_recording(proving(clock), reason, message)),
            Proof::Passed(passed) => {
                let release = Release {
                    of: keep.release.of.clone(),
                    passed,
                };
                Ok(self.kept(keep, release))
            }
            Proof::Lost(clock) => Ok(Decision::Act {
                record: proving(clock),
                step: Step::Submit {
                    release: keep.release.clone(),
                    nonce: None,
                },
            }),
            Proof::Missing {
                reading,
                fault,
                hope,
                ..
            } if reading == Reading::Expired || hope == Hope::None => {
                Ok(self.still_unhealthy(keep, &fault.message))
            }
            Proof::Missing { clock, fault, .. } => {
                Ok(self.wait_recording(proving(clock), reasons::PROGRESSING, fault.message))
            }
        }
    }

    fn kept(&self, keep: &Keeping<'_>, release: Release) -> Decision {
        let result = Outcome::of(Verb::Redeployed, &release.of.version);
        let mut record = self.ended(
            self.standing.clone(),
            keep.id,
            &result,
            Healthy::Yes,
            keep.why,
        );
        record.last_good = Some(release);
        record.unhealthy_since = None;
        self.settle(record, result, None)
    }

    /// It was tried once; now a person is told, once, and the app is watched.
    fn still_unhealthy(&self, keep: &Keeping<'_>, message: &str) -> Decision {
        let version = &keep.release.of.version;
        let result = Outcome::of(Verb::UnhealthyOnLatest, version);
        let message = format!("{}; submitted again, and still: {message}", keep.why);
        let told = Told {
            attempted: None,
            recovered: Some(false),
        };
        let first = self.standing.unhealthy_since.is_none();
        let notice =
            first.then(|| self.notice(Verb::UnhealthyOnLatest, keep.id, told, message.clone()));
        let mut record = self.standing.clone();
        // One line of history for one spell, however often it was tried.
        if !first {
            record.history.pop_if(|entry| entry.result == result);
        }
        let mut record = self.ended(record, keep.id, &result, Healthy::No, &message);
        record.unhealthy_since.get_or_insert(self.now);
        self.settle(record, result, notice)
    }
}

struct Keeping<'a> {
    id: &'a OperationId,
    of: &'a Generation,
    why: &'a str,
    release: &'a Release,
}

impl Keeping<'_> {
    fn at(&self, at: Keep) -> Operation {
        Operation::Keep {
            id: self.id.clone(),
            of: self.of.clone(),
            why: self.why.to_owned(),
            at,
        }
    }
}
