//! The object was deleted: `Undeploy (→ Purge)`, per its deletion policy.

use ci_warm_api_types::conditions::reasons;
use ci_warm_api_types::journal::{Operation, OperationId, Remove, Standing};
use ci_warm_api_types::warm_app::DeletionPolicy;

use super::{Planned, Turn, wait};
use crate::decision::{Decision, End, Step};
use crate::intent::Want;
use crate::observed::{Purged, Question};

impl Turn<'_> {
    /// Whether the object was deleted, and its services with it.
    pub(super) fn services_go(&self) -> bool {
        matches!(
            self.intent.want,
            Want::Gone(DeletionPolicy::Undeploy | DeletionPolicy::Purge)
        )
    }

    /// Begins to remove the services, and what the deletion policy says beside.
    pub(super) fn begin_removal(&self, standing: Standing) -> Decision {
        let (id, number) = self.new_id();
        let remove = Operation::Remove {
            id,
            at: Remove::Undeploy,
        };
        let record = Standing {
            operations: number,
            operation: Some(remove),
            ..standing
        };
        Decision::Act {
            record,
            step: Step::Undeploy,
        }
    }

    pub(super) fn removal(&self, id: &OperationId, at: &Remove) -> Planned {
        let same = |at: &Remove| Operation::Remove {
            id: id.clone(),
            at: at.clone(),
        };
        match (at, self.intent.want) {
            // Nothing is lost yet: an object that was declared again, or let go as it is, keeps what still runs.
            (Remove::Undeploy, Want::Run | Want::Suspended) => Ok(self.let_go()),
            (Remove::Undeploy, Want::Gone(DeletionPolicy::Orphan)) => Ok(self.removed()),
            (Remove::Undeploy, Want::Gone(_)) => {
                self.undeploy(same(at), || Ok(self.undeployed(id)))
            }
            (Remove::Purge, _) => match self.observed.purged.answer(|| Question::Purged)? {
                Err(why) => Ok(self.unknown(why)),
                Ok(Purged::Remains) => Ok(Decision::Act {
                    record: self.with(same(at)),
                    step: Step::Purge,
                }),
                Ok(Purged::Clean) => Ok(self.purged()),
            },
        }
    }

    /// The services are gone, and now the rest, where it is to go.
    pub(super) fn undeployed(&self, id: &OperationId) -> Decision {
        if self.intent.want != Want::Gone(DeletionPolicy::Purge) {
            return self.removed();
        }
        let purge = Operation::Remove {
            id: id.clone(),
            at: Remove::Purge,
        };
        Decision::Act {
            record: self.with(purge),
            step: Step::Purge,
        }
    }

    /// What was learned of the instance stays: declared again, it is the same instance. What waits for a person goes on waiting,
    /// for its data is not what last good left.
    pub(super) fn removed(&self) -> Decision {
        let stuck = matches!(self.standing.operation, Some(Operation::Stuck { .. }));
        self.gone(Standing {
            operation: self.standing.operation.clone().filter(|_| stuck),
            checked: None,
            unhealthy_since: None,
            ..self.standing.clone()
        })
    }

    /// Nothing is left, so nothing is known, whoever asks by now.
    fn purged(&self) -> Decision {
        let record = Standing {
            operations: self.standing.operations,
            ..Standing::default()
        };
        match self.intent.want {
            Want::Gone(_) => self.gone(record),
            Want::Run | Want::Suspended => wait(record, self.now, reasons::PROGRESSING, "purged"),
        }
    }

    fn gone(&self, record: Standing) -> Decision {
        Decision::Settle {
            record,
            end: End::Removed,
            notice: None,
            until: self.now,
        }
    }
}
