//! From what is known to what is done.
//!
//! One file for each operation; [`idle`] is what happens between them.

mod back;
mod clock;
mod forward;
mod idle;
mod keep;
mod proof;
mod removal;
mod settle;

use ci_warm_api_types::conditions::reasons;
use ci_warm_api_types::journal::{
    Candidate, Fault, Generation, Operation, OperationId, Release, Resume, Standing,
};
use ci_warm_api_types::version::Version;
use ci_warm_api_types::warm_app::DeletionPolicy;
use jiff::Timestamp;

use crate::decision::{Decision, Next, Step, Why};
use crate::intent::{Intent, Want};
use crate::observed::{Deployment, Gate, Observed, Question, Subject};

/// What to do with an instance, or what has to be known first.
///
/// # Expected flow
/// The caller answers each question in `observed` and calls again with the same intent, standing and time, until there is a
/// decision. It makes the decision's record durable, then does its one step, and starts over.
///
/// # Guarantees
/// Every question is asked at most once in a turn. The same arguments give the same answer.
pub fn next(intent: &Intent, standing: &Standing, observed: &Observed, now: Timestamp) -> Next {
    let turn = Turn {
        intent,
        standing,
        observed,
        now,
    };
    match turn.decide() {
        Ok(decision) => Next::Decide(Box::new(decision)),
        Err(question) => Next::Ask(question),
    }
}

/// A decision, or the question whose answer it needs.
type Planned = Result<Decision, Question>;

/// Everything that one call knows.
#[derive(Clone, Copy)]
struct Turn<'a> {
    intent: &'a Intent,
    standing: &'a Standing,
    observed: &'a Observed,
    now: Timestamp,
}

impl Turn<'_> {
    fn decide(&self) -> Planned {
        match &self.standing.operation {
            None => self.idle(),
            Some(Operation::Forward(op)) => self.forward(op),
            Some(Operation::Back(op)) => self.back(op),
            Some(Operation::Keep { id, of, why, at }) => self.keep(id, of, why, at),
            Some(Operation::Abandon { id, fault, failed }) => self.abandon(id, fault, failed),
            Some(Operation::Remove { id, at }) => self.removal(id, at),
            Some(Operation::Stuck { fault, resume }) => self.stuck(fault, resume),
        }
    }

    /// Only a person's request leaves this. A deletion is one, and yet what is kept stays what it is: declared again, it still
    /// waits for a person.
    fn stuck(&self, fault: &Fault, resume: &Resume) -> Planned {
        match self.intent.want {
            Want::Gone(DeletionPolicy::Orphan) => return Ok(self.removed()),
            Want::Gone(_) => {
                let same = Operation::Stuck {
                    fault: fault.clone(),
                    resume: resume.clone(),
                };
                let id = same.id().clone();
                return self.undeploy(same, || Ok(self.undeployed(&id)));
            }
            Want::Run | Want::Suspended => {}
        }
        let reason = match resume {
            Resume::Forward { .. } => fault.cause.reason(),
            Resume::Back(_) => reasons::ROLLBACK_FAILED,
        };
        let message = format!(
            "{}; nothing further is done by itself: look, then `ccctl retry`",
            fault.message
        );
        Ok(self.wait_idle(self.standing.clone(), reason, message))
    }

    // ---- what the operations share ----

    /// The standing with this operation under way.
    fn with(&self, operation: Operation) -> Standing {
        Standing {
            operation: Some(operation),
            ..self.standing.clone()
        }
    }

    /// A new operation's id. It is durable with the operation, so the same number is not used twice.
    fn new_id(&self) -> (OperationId, u64) {
        let number = self.standing.operations + 1;
        (
            OperationId(format!(
                "{}-{number:04}",
                self.now.strftime("%Y%m%dT%H%M%SZ")
            )),
            number,
        )
    }

    /// Whether the spec that an operation serves is no longer what is wanted.
    fn superseded(&self, of: &Generation) -> bool {
        *of != self.intent.generation || self.intent.want != Want::Run
    }

    fn last_good(&self) -> Option<&Release> {
        self.standing.last_good.as_ref()
    }

    fn last_good_version(&self) -> Option<&Version> {
        self.last_good().map(|good| &good.of.version)
    }

    fn latest(&self) -> Option<Version> {
        self.standing
            .checked
            .as_ref()
            .and_then(|checked| checked.latest.clone())
    }

    fn deployment(&self, subject: Option<Subject>) -> Result<Result<&Deployment, &str>, Question> {
        self.observed
            .deployment
            .answer(|| Question::Deployment(subject))
    }

    fn gate(&self, subject: Subject) -> Result<Result<&Gate, &str>, Question> {
        self.observed.gate.answer(|| Question::Gate(subject))
    }

    /// Looks again soon: something is on its way, or could not be told.
    fn wait_soon(&self, reason: &'static str, message: impl Into<String>) -> Decision {
        self.wait_recording(self.standing.clone(), reason, message)
    }

    /// The same, with a journal that has changed.
    fn wait_recording(
        &self,
        record: Standing,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Decision {
        wait(record, self.after(self.intent.gate.every), reason, message)
    }

    fn wait_idle(
        &self,
        record: Standing,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Decision {
        wait(record, self.after(self.intent.gate.idle), reason, message)
    }

    fn unknown(&self, why: &str) -> Decision {
        self.wait_soon(reasons::ENGINE_UNREACHABLE, why)
    }

    fn after(&self, span: jiff::SignedDuration) -> Timestamp {
        self.now.checked_add(span).unwrap_or(Timestamp::MAX)
    }

    /// Removes services until nothing of the stack is left, then goes on with `then`.
    fn undeploy(&self, same: Operation, then: impl FnOnce() -> Planned) -> Planned {
        match self.deployment(None)? {
            Err(why) => Ok(self.unknown(why)),
            Ok(Deployment::Absent) => then(),
            Ok(Deployment::Draining(what)) => {
                Ok(self.wait_soon(reasons::PROGRESSING, format!("draining: {what}")))
            }
            Ok(_) => Ok(Decision::Act {
                record: self.with(same),
                step: Step::Undeploy,
            }),
        }
    }
}

fn plain(candidate: &Candidate) -> Subject {
    Subject {
        release: candidate.clone(),
        nonce: None,
    }
}

fn wait(
    record: Standing,
    until: Timestamp,
    reason: &'static str,
    message: impl Into<String>,
) -> Decision {
    Decision::Wait {
        record,
        until,
        why: Why {
            reason,
            message: message.into(),
        },
    }
}
