//! To another release: `Pull → Freeze → Undeploy → Seal → Deploy → Prove`.
//!
//! Undeploy and Seal are left out where there is no data to protect. Until Deploy is recorded nothing but the services was
//! touched; from there on the data may have been.

use ci_warm_api_types::conditions::reasons;
use ci_warm_api_types::journal::{
    Back, BackOperation, Candidate, Cause, Clock, Fault, Forward, ForwardOperation, Guard,
    NotTaken, Operation, OperationId, Passed, Release, Resume, SnapshotName, Standing,
};
use ci_warm_api_types::outcome::{Outcome, Verb};
use ci_warm_api_types::warm_app::RollbackCondition;

use super::clock::{self, Reading};
use super::proof::{Hope, Proof};
use super::settle::{Healthy, Told, moved, quarantined};
use super::{Planned, Turn, plain, wait};
use crate::decision::{Decision, Step};
use crate::observed::{Deployment, Images, Preflight, Question, Seal, Stored};

impl Turn<'_> {
    pub(super) fn forward(&self, op: &ForwardOperation) -> Planned {
        if self.superseded(&op.of) {
            return Ok(self.supersede(op));
        }
        match &op.at {
            Forward::Pull => self.pull(op),
            Forward::Freeze => self.freeze(op),
            Forward::Undeploy => self.undeploy(Operation::Forward(op.clone()), || {
                Ok(self.act(op, Forward::Seal, self.seal_step(op)))
            }),
            Forward::Seal => self.seal(op),
            Forward::Deploy(guard) => self.deploy(op, guard),
            Forward::Prove { guard, clock } => self.prove(op, guard, clock),
        }
    }

    // ---- before anything is touched ----

    fn pull(&self, op: &ForwardOperation) -> Planned {
        if let Some(message) = &self.observed.failed {
            return Ok(self.settle_refused(op, reasons::IMAGE_PULL_FAILED, message));
        }
        match self
            .observed
            .images
            .answer(|| Question::Images(op.to.clone()))?
        {
            Err(why) => Ok(self.unknown(why)),
            Ok(Images::Missing) => Ok(self.act(op, Forward::Pull, Step::Pull(op.to.clone()))),
            Ok(Images::Present) => Ok(self.act(op, Forward::Freeze, Step::Freeze(op.to.clone()))),
        }
    }

    fn freeze(&self, op: &ForwardOperation) -> Planned {
        if let Some(message) = &self.observed.failed {
            return Ok(self.settle_refused(op, reasons::RELEASE_NOT_STORED, message));
        }
        match self
            .observed
            .stored
            .answer(|| Question::Stored(op.to.clone()))?
        {
            Err(why) => Ok(self.unknown(why)),
            Ok(Stored::Missing) => Ok(self.act(op, Forward::Freeze, Step::Freeze(op.to.clone()))),
            Ok(Stored::Whole) => self.leave_the_shore(op),
        }
    }

    /// The last look before services are stopped: pulling may have taken long.
    fn leave_the_shore(&self, op: &ForwardOperation) -> Planned {
        match self
            .observed
            .preflight
            .answer(|| Question::Preflight(op.to.clone()))?
        {
            Err(why) => Ok(self.unknown(why)),
            Ok(Preflight::Refused { reason, message }) => {
                Ok(self.settle_refused(op, reason, message))
            }
            // How the stack stands is looked at before anything is submitted to it.
            Ok(Preflight::Clear { covers: None }) => {
                let record = self.submitting(op, Guard::NoData);
                Ok(wait(record, self.now, reasons::PROGRESSING, "submitting"))
            }
            Ok(Preflight::Clear { covers }) => {
                let op = ForwardOperation {
                    covers: covers.clone(),
                    ..op.clone()
                };
                Ok(self.act(&op, Forward::Undeploy, Step::Undeploy))
            }
        }
    }

    // ---- the data is made safe ----

    fn seal(&self, op: &ForwardOperation) -> Planned {
        if let Some(message) = &self.observed.failed {
            let fault = Fault {
                cause: Cause::SealFailed,
                message: message.clone(),
            };
            return Ok(self.turn_back(op, None, fault));
        }
        // Somebody may have started it again by hand: a copy of data in use is no copy.
        let undeployed = ForwardOperation {
            at: Forward::Undeploy,
            ..op.clone()
        };
        self.undeploy(Operation::Forward(undeployed), || {
            match self
                .observed
                .seal
                .answer(|| Question::Seal(self.snapshot_name(op)))?
            {
                Err(why) => Ok(self.unknown(why)),
                Ok(Seal::Absent) => Ok(self.act(op, Forward::Seal, self.seal_step(op))),
                Ok(Seal::Whole(sealed)) => Ok(self.submit(op, Guard::Sealed(sealed.clone()))),
            }
        })
    }

    // ---- the release runs ----

    fn submit(&self, op: &ForwardOperation, guard: Guard) -> Decision {
        Decision::Act {
            record: self.submitting(op, guard.clone()),
            step: Step::Deploy {
                candidate: op.to.clone(),
                guard,
            },
        }
    }

    /// From this record on the release may have touched the data.
    fn submitting(&self, op: &ForwardOperation, guard: Guard) -> Standing {
        let mut record = self.with_forward(op, Forward::Deploy(guard));
        record.data_of = record.data_of.max(Some(op.to.version.clone()));
        record
    }

    fn deploy(&self, op: &ForwardOperation, guard: &Guard) -> Planned {
        if let Some(message) = &self.observed.failed {
            let fault = Fault {
                cause: Cause::DeployFailed,
                message: message.clone(),
            };
            return Ok(self.fail(op, guard, fault));
        }
        match self.deployment(Some(plain(&op.to)))? {
            Err(why) => Ok(self.unknown(why)),
            Ok(Deployment::Absent | Deployment::Differs(_)) => Ok(self.submit(op, guard.clone())),
            Ok(Deployment::Draining(what)) => {
                Ok(self.wait_soon(reasons::PROGRESSING, format!("draining: {what}")))
            }
            Ok(_) => {
                let clock = clock::start(self.now, self.intent.gate.deadline);
                let record = self.with_forward(
                    op,
                    Forward::Prove {
                        guard: guard.clone(),
                        clock,
                    },
                );
                Ok(wait(
                    record,
                    self.now,
                    reasons::PROGRESSING,
                    "submitted; proving",
                ))
            }
        }
    }

    fn prove(&self, op: &ForwardOperation, guard: &Guard, clock: &Clock) -> Planned {
        let at = |clock| Forward::Prove {
            guard: guard.clone(),
            clock,
        };
        if let Some(message) = &self.observed.failed {
            let fault = Fault {
                cause: Cause::DeployFailed,
                message: message.clone(),
            };
            return Ok(self.fail(op, guard, fault));
        }
        match self.proof(&op.to, clock)? {
            Proof::Unseen {
                clock,
                reason,
                message,
            } => Ok(self.wait_recording(self.with_forward(op, at(clock)), reason, message)),
            Proof::Passed(passed) => Ok(self.commit(op, passed)),
            Proof::Lost(clock) => {
                let step = Step::Deploy {
                    candidate: op.to.clone(),
                    guard: guard.clone(),
                };
                Ok(self.act(op, at(clock), step))
            }
            Proof::Missing {
                reading,
                fault,
                hope,
                ..
            } if reading == Reading::Expired
                || (hope == Hope::None && self.leads_back(fault.cause)) =>
            {
                Ok(self.fail(op, guard, fault))
            }
            Proof::Missing { clock, fault, .. } => {
                let record = self.with_forward(op, at(clock));
                Ok(self.wait_recording(record, reasons::PROGRESSING, fault.message))
            }
        }
    }

    // ---- how it ends ----

    fn commit(&self, op: &ForwardOperation, passed: Passed) -> Decision {
        let before = self.last_good().map(|good| &good.of);
        let result = match before {
            None => Outcome::of(Verb::Deployed, &op.to.version),
            Some(before) => moved(Verb::Upgraded, Some(before), &op.to),
        };
        let mut record = self.ended(self.standing.clone(), &op.id, &result, Healthy::Yes, "");
        record.last_good = Some(Release {
            of: op.to.clone(),
            passed,
        });
        record.unhealthy_since = None;
        record
            .alerted
            .retain(|identity| !identity.starts_with("refused-"));
        record
            .quarantine
            .retain(|failed| failed.version > op.to.version);
        record.approved.retain(|version| *version > op.to.version);
        // What was held beside the one that was taken is told with it: the next look may be long after.
        let held = record
            .checked
            .as_ref()
            .and_then(|checked| checked.held.clone());
        let notice = held.and_then(|held| self.tell_of_hold(&mut record, held));
        self.settle(record, result, notice)
    }

    fn leads_back(&self, cause: Cause) -> bool {
        RollbackCondition::of(cause)
            .is_none_or(|condition| self.intent.rollback.on.contains(&condition))
    }

    fn fail(&self, op: &ForwardOperation, guard: &Guard, fault: Fault) -> Decision {
        if self.leads_back(fault.cause) {
            return self.turn_back(op, Some(guard), fault);
        }
        let result = Outcome::of(Verb::DeployFailed, &op.to.version);
        let told = Told {
            attempted: Some(op.to.version.clone()),
            recovered: Some(false),
        };
        let message = format!(
            "{}: {}; rollback.on does not name it",
            fault.cause.reason(),
            fault.message
        );
        let notice = self.notice(Verb::DeployFailed, &op.id, told, message.clone());
        let mut record = self.ended(
            self.standing.clone(),
            &op.id,
            &result,
            Healthy::No,
            &message,
        );
        let resume = Resume::Forward {
            id: op.id.clone(),
            of: op.of.clone(),
            to: op.to.clone(),
            guard: guard.clone(),
        };
        record.operation = Some(Operation::Stuck { fault, resume });
        self.settle(record, result, Some(notice))
    }

    fn supersede(&self, op: &ForwardOperation) -> Decision {
        let fault = Fault {
            cause: Cause::Superseded,
            message: "the spec changed".to_owned(),
        };
        match &op.at {
            Forward::Deploy(guard) | Forward::Prove { guard, .. } => {
                self.turn_back(op, Some(guard), fault)
            }
            Forward::Undeploy | Forward::Seal if self.last_good().is_some() => {
                self.turn_back(op, None, fault)
            }
            Forward::Pull | Forward::Freeze | Forward::Undeploy | Forward::Seal => {
                self.settle_superseded(&op.id, &op.to)
            }
        }
    }

    fn settle_superseded(&self, id: &OperationId, to: &Candidate) -> Decision {
        let result = moved(Verb::Superseded, self.last_good().map(|good| &good.of), to);
        // What ran goes on running.
        let healthy = match self.last_good() {
            Some(_) if self.standing.unhealthy_since.is_none() => Healthy::Yes,
            _ => Healthy::No,
        };
        let record = self.ended(
            self.standing.clone(),
            id,
            &result,
            healthy,
            "the spec changed",
        );
        self.settle(record, result, None)
    }

    /// Back to last good; with the data where the release may have touched it (`guard` is there then).
    fn turn_back(&self, op: &ForwardOperation, guard: Option<&Guard>, fault: Fault) -> Decision {
        let Some(to) = self.last_good().cloned() else {
            let abandon = Operation::Abandon {
                id: op.id.clone(),
                fault,
                failed: op.to.clone(),
            };
            return Decision::Act {
                record: self.with(abandon),
                step: Step::Undeploy,
            };
        };
        let back = |at| {
            Operation::Back(BackOperation {
                id: op.id.clone(),
                fault,
                failed: op.to.clone(),
                to,
                at,
            })
        };
        match guard {
            Some(Guard::Sealed(sealed)) => Decision::Act {
                record: self.with(back(Back::Undeploy(sealed.clone()))),
                step: Step::Undeploy,
            },
            // The services may still be on their way out: that is looked at before anything is submitted.
            Some(Guard::NoData) | None => {
                let record = self.with(back(Back::Deploy));
                wait(record, self.now, reasons::PROGRESSING, "going back")
            }
        }
    }

    pub(super) fn abandon(&self, id: &OperationId, fault: &Fault, failed: &Candidate) -> Planned {
        let same = Operation::Abandon {
            id: id.clone(),
            fault: fault.clone(),
            failed: failed.clone(),
        };
        self.undeploy(same, || {
            if fault.cause == Cause::Superseded {
                return Ok(self.settle_superseded(id, failed));
            }
            let result = Outcome::of(Verb::DeployFailed, &failed.version);
            let told = Told {
                attempted: Some(failed.version.clone()),
                recovered: Some(false),
            };
            let message = format!("{}: {}", fault.cause.reason(), fault.message);
            let notice = self.notice(Verb::DeployFailed, id, told, message.clone());
            let record = self.ended(self.standing.clone(), id, &result, Healthy::No, &message);
            Ok(self.settle(quarantined(record, failed, fault), result, Some(notice)))
        })
    }

    /// Turned down before anything was touched. It is tried again when the versions are next looked at.
    fn settle_refused(&self, op: &ForwardOperation, reason: &str, message: &str) -> Decision {
        let mut record = Standing {
            operation: None,
            ..self.standing.clone()
        };
        if let Some(checked) = &mut record.checked {
            checked.refused = Some(NotTaken {
                version: op.to.version.clone(),
                reason: reason.to_owned(),
                message: message.to_owned(),
            });
        }
        self.refused(record, &op.to, reason, message)
    }

    // ---- small ----

    fn with_forward(&self, op: &ForwardOperation, at: Forward) -> Standing {
        self.with(Operation::Forward(ForwardOperation { at, ..op.clone() }))
    }

    fn act(&self, op: &ForwardOperation, at: Forward, step: Step) -> Decision {
        Decision::Act {
            record: self.with_forward(op, at),
            step,
        }
    }

    fn seal_step(&self, op: &ForwardOperation) -> Step {
        Step::Seal {
            name: self.snapshot_name(op),
            volumes: op.covers.clone().unwrap_or_default(),
        }
    }

    fn snapshot_name(&self, op: &ForwardOperation) -> SnapshotName {
        SnapshotName::of(&self.intent.instance, &op.id)
    }
}
