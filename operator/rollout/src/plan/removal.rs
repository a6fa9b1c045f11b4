//! The object was deleted: `Undeploy (→ Purge)`, per its deletion policy.

use ci_warm_api_types::journal::{Operation, OperationId, Remove, Standing};
use ci_warm_api_types::warm_app::DeletionPolicy;

use super::{Planned, Turn};
use crate::decision::{Decision, End, Step};
use crate::intent::Want;
use crate::observed::{Purged, Question};

impl Turn<'_> {
    /// Begins to remove the instance as far as the deletion policy says.
    pub(super) fn begin_removal(&self) -> Decision {
        if self.intent.want == Want::Gone(DeletionPolicy::Orphan) {
            return self.removed();
        }
        let (id, number) = self.new_id();
        let record = Standing {
            operations: number,
            ..self.with(Operation::Remove {
                id,
                at: Remove::Undeploy,
            })
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
        match at {
            Remove::Undeploy => self.undeploy(same(at), || {
                if self.intent.want == Want::Gone(DeletionPolicy::Purge) {
                    return Ok(Decision::Act {
                        record: self.with(same(&Remove::Purge)),
                        step: Step::Purge,
                    });
                }
                Ok(self.removed())
            }),
            Remove::Purge => match self.observed.purged.answer(|| Question::Purged)? {
                Err(why) => self.unknown(why),
                Ok(Purged::Remains) => Ok(Decision::Act {
                    record: self.with(same(at)),
                    step: Step::Purge,
                }),
                Ok(Purged::Clean) => Ok(self.removed()),
            },
        }
    }

    /// What was learned of the instance stays, unless it was purged: declared again, it is the same instance.
    fn removed(&self) -> Decision {
        let record = match self.intent.want {
            Want::Gone(DeletionPolicy::Purge) => Standing {
                operations: self.standing.operations,
                ..Standing::default()
            },
            _ => Standing {
                operation: None,
                checked: None,
                unhealthy_since: None,
                ..self.standing.clone()
            },
        };
        Decision::Settle {
            record,
            end: End::Removed,
            notice: None,
            until: self.now,
        }
    }
}
