//! Back to last good: `Undeploy → Restore →` (where there is data) `Deploy → Prove`.
//!
//! It ends with everything as it was before, or it stands still for a person with everything kept.

use ci_warm_api_types::conditions::reasons;
use ci_warm_api_types::journal::{
    Back, BackOperation, Cause, Clock, Fault, Operation, Passed, Resume, Sealed, Standing,
};
use ci_warm_api_types::outcome::Verb;

use super::clock::{self, Reading};
use super::proof::Proof;
use super::settle::{Healthy, Told, moved, quarantined};
use super::{Planned, Turn, plain, wait};
use crate::decision::{Decision, Step};
use crate::observed::{Deployment, Question, Restoration};

impl Turn<'_> {
    pub(super) fn back(&self, op: &BackOperation) -> Planned {
        // The data is back, or was never touched; services that are to go need not come and prove themselves first.
        if let (Back::Deploy | Back::Prove(_), true) = (&op.at, self.services_go()) {
            let standing = quarantined(self.standing.clone(), &op.failed, &op.fault);
            return Ok(self.begin_removal(standing));
        }
        if let Some(message) = &self.observed.failed {
            let cause = match op.at {
                Back::Undeploy(_) | Back::Restore(_) => Cause::RestoreFailed,
                Back::Deploy | Back::Prove(_) => Cause::DeployFailed,
            };
            return Ok(self.rollback_failed(
                op,
                Fault {
                    cause,
                    message: message.clone(),
                },
            ));
        }
        match &op.at {
            Back::Undeploy(sealed) => self.undeploy(Operation::Back(op.clone()), || {
                Ok(self.act_back(op, Back::Restore(sealed.clone()), restore(op, sealed)))
            }),
            Back::Restore(sealed) => self.restore(op, sealed),
            Back::Deploy => self.deploy_last_good(op),
            Back::Prove(clock) => self.prove_last_good(op, clock),
        }
    }

    fn restore(&self, op: &BackOperation, sealed: &Sealed) -> Planned {
        // Nothing may use the data while it is put back, whoever started it.
        let undeployed = BackOperation {
            at: Back::Undeploy(sealed.clone()),
            ..op.clone()
        };
        self.undeploy(Operation::Back(undeployed), || {
            let question = || Question::Restoration(sealed.clone(), op.id.clone());
            match self.observed.restoration.answer(question)? {
                Err(why) => Ok(self.unknown(why)),
                Ok(Restoration::Pending) => {
                    Ok(self.act_back(op, Back::Restore(sealed.clone()), restore(op, sealed)))
                }
                Ok(Restoration::Done) => {
                    let mut record = self.with_back(op, Back::Deploy);
                    record.data_of = Some(op.to.of.version.clone());
                    Ok(Decision::Act {
                        record,
                        step: submit(op),
                    })
                }
            }
        })
    }

    fn deploy_last_good(&self, op: &BackOperation) -> Planned {
        match self.deployment(Some(plain(&op.to.of)))? {
            Err(why) => Ok(self.unknown(why)),
            Ok(Deployment::Absent | Deployment::Differs(_)) => {
                Ok(self.act_back(op, Back::Deploy, submit(op)))
            }
            Ok(Deployment::Draining(what)) => {
                Ok(self.wait_soon(reasons::PROGRESSING, format!("draining: {what}")))
            }
            Ok(_) => {
                let clock = clock::start(self.now, self.intent.gate.deadline);
                let record = self.with_back(op, Back::Prove(clock));
                Ok(wait(
                    record,
                    self.now,
                    reasons::PROGRESSING,
                    "last good submitted; proving",
                ))
            }
        }
    }

    fn prove_last_good(&self, op: &BackOperation, clock: &Clock) -> Planned {
        let proving = |clock| self.with_back(op, Back::Prove(clock));
        match self.proof(&op.to.of, clock)? {
            Proof::Unseen {
                clock,
                reason,
                message,
            } => Ok(self.wait_recording(proving(clock), reason, message)),
            Proof::Passed(passed) => Ok(self.returned(op, passed)),
            Proof::Lost(clock) => Ok(self.act_back(op, Back::Prove(clock), submit(op))),
            Proof::Missing {
                reading: Reading::Expired,
                fault,
                ..
            } => Ok(self.rollback_failed(op, fault)),
            // There is nothing else to go to, so it has all of its time.
            Proof::Missing { clock, fault, .. } => {
                Ok(self.wait_recording(proving(clock), reasons::PROGRESSING, fault.message))
            }
        }
    }

    fn returned(&self, op: &BackOperation, passed: Passed) -> Decision {
        let superseded = op.fault.cause == Cause::Superseded;
        let result = if superseded {
            moved(Verb::Superseded, Some(&op.to.of), &op.failed)
        } else {
            moved(Verb::RolledBack, Some(&op.failed), &op.to.of)
        };
        let message = format!("{}: {}", op.fault.cause.reason(), op.fault.message);
        let mut record = self.ended(
            self.standing.clone(),
            &op.id,
            &result,
            Healthy::Yes,
            &message,
        );
        record.unhealthy_since = None;
        if let Some(good) = &mut record.last_good {
            good.passed = passed;
        }
        if superseded {
            return self.settle(record, result, None);
        }
        let told = Told {
            attempted: Some(op.failed.version.clone()),
            recovered: Some(true),
        };
        let notice = self.notice(Verb::RolledBack, &op.id, told, message);
        self.settle(
            quarantined(record, &op.failed, &op.fault),
            result,
            Some(notice),
        )
    }

    fn rollback_failed(&self, op: &BackOperation, fault: Fault) -> Decision {
        let result = moved(Verb::RollbackFailed, Some(&op.failed), &op.to.of);
        let message = format!(
            "{}: {}; going back failed: {}: {}",
            op.fault.cause.reason(),
            op.fault.message,
            fault.cause.reason(),
            fault.message
        );
        let told = Told {
            attempted: Some(op.failed.version.clone()),
            recovered: Some(false),
        };
        let notice = self.notice(Verb::RollbackFailed, &op.id, told, message.clone());
        let mut record = self.ended(
            self.standing.clone(),
            &op.id,
            &result,
            Healthy::No,
            &message,
        );
        record.operation = Some(Operation::Stuck {
            fault,
            resume: Resume::Back(op.clone()),
        });
        self.settle(
            quarantined(record, &op.failed, &op.fault),
            result,
            Some(notice),
        )
    }

    fn with_back(&self, op: &BackOperation, at: Back) -> Standing {
        self.with(Operation::Back(BackOperation { at, ..op.clone() }))
    }

    fn act_back(&self, op: &BackOperation, at: Back, step: Step) -> Decision {
        Decision::Act {
            record: self.with_back(op, at),
            step,
        }
    }
}

fn restore(op: &BackOperation, sealed: &Sealed) -> Step {
    Step::Restore {
        sealed: sealed.clone(),
        operation: op.id.clone(),
    }
}

fn submit(op: &BackOperation) -> Step {
    Step::Submit {
        release: op.to.clone(),
        nonce: None,
    }
}
