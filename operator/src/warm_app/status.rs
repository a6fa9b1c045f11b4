//! What an app's status says, from its journal and from what this turn came to.

use ci_warm_api_types::conditions::{reasons, types};
use ci_warm_api_types::journal::{Cause, Forward, Guard, Operation, Resume, Standing};
use ci_warm_api_types::outcome::Verb;
use ci_warm_api_types::warm_app::{HealthStatus, HeldStatus, Readiness, WarmAppStatus};
use ci_warm_rollout::{Intent, Want, Why};
use ci_warm_runtime::conditions::{Condition, ConditionDraft};
use ci_warm_runtime::{ConditionStatus, Reason};

use super::observe::{Found, RecipeState};

/// What this turn came to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Came<'a> {
    /// It waits.
    Waits(&'a Why),
    /// Something ended.
    Ended,
}

/// All that status is made of.
pub(super) struct Telling<'a> {
    pub(super) intent: &'a Intent,
    pub(super) standing: &'a Standing,
    pub(super) came: Came<'a>,
    pub(super) found: &'a Found,
    pub(super) health: Option<HealthStatus>,
    pub(super) before: &'a WarmAppStatus,
}

impl Telling<'_> {
    /// The kind's own part of status.
    pub(super) fn own(&self) -> WarmAppStatus {
        let standing = self.standing;
        let checked = standing.checked.as_ref();
        let held = checked.and_then(|checked| checked.held.as_ref());
        WarmAppStatus {
            readiness: Some(self.readiness()),
            stack: Some(self.intent.instance.0.clone()),
            version: standing
                .last_good
                .as_ref()
                .map(|good| good.of.version.clone()),
            commit: standing
                .last_good
                .as_ref()
                .map(|good| good.of.commit.clone()),
            result: standing.result.clone(),
            latest: checked.map_or_else(
                || self.before.latest.clone(),
                |checked| checked.latest.clone(),
            ),
            target: standing
                .operation
                .as_ref()
                .and_then(|operation| match operation {
                    Operation::Forward(op) => Some(op.to.version.clone()),
                    Operation::Back(op) => Some(op.to.of.version.clone()),
                    _ => None,
                }),
            operation: standing
                .operation
                .as_ref()
                .map(|operation| operation.phase().to_owned()),
            held: held.map(|held| HeldStatus {
                version: held.version.clone(),
                reason: held.reason.clone(),
                message: held.message.clone(),
            }),
            unparsable_tags: self.found.unparsable.unwrap_or(self.before.unparsable_tags),
            warnings: self
                .found
                .warnings
                .clone()
                .unwrap_or_else(|| self.before.warnings.clone()),
            health: self.health.clone().or_else(|| self.before.health.clone()),
            quarantined: standing
                .quarantine
                .iter()
                .map(|failed| format!("{} {}", failed.version, failed.digest.short()))
                .collect(),
            snapshot: self.sealed().or_else(|| self.before.snapshot.clone()),
            history: standing.history.clone(),
        }
    }

    /// The snapshot that protects the data now.
    fn sealed(&self) -> Option<String> {
        let guard = match self.standing.operation.as_ref()? {
            Operation::Forward(op) => match &op.at {
                Forward::Deploy(guard) | Forward::Prove { guard, .. } => guard,
                _ => return None,
            },
            Operation::Stuck {
                resume: Resume::Forward { guard, .. },
                ..
            } => guard,
            _ => return None,
        };
        match guard {
            Guard::Sealed(sealed) => Some(sealed.name.to_string()),
            Guard::NoData => None,
        }
    }

    /// The one place that decides whether an app is Ready.
    fn readiness(&self) -> Readiness {
        let standing = self.standing;
        let no = |reason: &str, message: &str| Readiness {
            ready: Some(false),
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        if let Some(operation) = &standing.operation {
            return match operation {
                Operation::Stuck {
                    fault,
                    resume: Resume::Forward { .. },
                } => no(fault.cause.reason(), &fault.message),
                Operation::Stuck {
                    fault,
                    resume: Resume::Back(_),
                } => no(reasons::ROLLBACK_FAILED, &fault.message),
                operation => {
                    let message = match self.came {
                        Came::Waits(why) => format!("{}: {}", operation.phase(), why.message),
                        Came::Ended => operation.phase().to_owned(),
                    };
                    no(reasons::PROGRESSING, &message)
                }
            };
        }
        if self.intent.want == Want::Suspended {
            return no(
                reasons::SUSPENDED,
                "nothing is done while spec.suspend is true",
            );
        }
        if standing.unhealthy_since.is_some() {
            return no(reasons::UNHEALTHY_ON_LATEST, &self.message());
        }
        if standing.last_good.is_none() {
            let refused = standing
                .checked
                .as_ref()
                .and_then(|checked| checked.refused.as_ref());
            let failed = self.last_verb() == Some(Verb::DeployFailed);
            return match (refused, self.came) {
                // That there is nothing else to deploy says less than what became of what there was.
                (_, Came::Waits(Why { reason, .. }))
                    if failed && [reasons::NO_VERSION, reasons::QUARANTINED].contains(reason) =>
                {
                    no(
                        self.last_reason().unwrap_or(types::DEPLOY_FAILED),
                        &self.message(),
                    )
                }
                (Some(refused), _) => no(
                    &refused.reason,
                    &format!("{}: {}", refused.version, refused.message),
                ),
                (None, Came::Waits(why)) => no(why.reason, &why.message),
                (None, Came::Ended) => no(
                    self.last_reason().unwrap_or(reasons::NO_VERSION),
                    &self.message(),
                ),
            };
        }
        match self.came {
            Came::Waits(why)
                if why.reason == reasons::PROGRESSING
                    || why.reason == reasons::DEPENDENCY_NOT_READY =>
            {
                no(why.reason, &why.message)
            }
            Came::Waits(why) if why.reason == reasons::ENGINE_UNREACHABLE => Readiness {
                ready: None,
                reason: why.reason.to_owned(),
                message: why.message.clone(),
            },
            _ if let Some(behind) = self.behind() => behind,
            Came::Waits(why)
                if why.reason == reasons::OUTSIDE_WINDOW
                    || why.reason == reasons::RECIPE_UNREACHABLE =>
            {
                Readiness {
                    ready: Some(true),
                    reason: why.reason.to_owned(),
                    message: why.message.clone(),
                }
            }
            _ => Readiness {
                ready: Some(true),
                reason: reasons::HEALTHY.to_owned(),
                message: String::new(),
            },
        }
    }

    /// Last good runs and passes, and is not what the spec asks for.
    fn behind(&self) -> Option<Readiness> {
        let because = |reason: &str, message: String| Readiness {
            ready: Some(false),
            reason: reason.to_owned(),
            message,
        };
        if self.remediated() {
            return Some(because(reasons::ROLLED_BACK, self.message()));
        }
        let refused = self.standing.checked.as_ref()?.refused.as_ref()?;
        let message = format!("{}: {}", refused.version, refused.message);
        Some(because(&refused.reason, message))
    }

    /// A newer release failed and was undone, and nothing has changed since.
    fn remediated(&self) -> bool {
        self.last_verb() == Some(Verb::RolledBack)
    }

    fn last_verb(&self) -> Option<Verb> {
        self.standing.result.as_ref().map(|result| result.verb)
    }

    fn last_reason(&self) -> Option<&'static str> {
        self.standing
            .quarantine
            .last()
            .map(|failed| failed.cause.reason())
    }

    /// What the last operation said.
    fn message(&self) -> String {
        self.standing
            .history
            .last()
            .map(|entry| entry.message.clone())
            .unwrap_or_default()
    }

    /// The attempt for this generation has come to an end, well or not.
    pub(super) fn finished(&self) -> bool {
        let looked = self
            .standing
            .checked
            .as_ref()
            .is_some_and(|checked| checked.of == self.intent.generation);
        match &self.standing.operation {
            None => looked || self.intent.want == Want::Suspended,
            Some(Operation::Stuck { .. }) => true,
            Some(_) => false,
        }
    }

    /// The conditions beside `Ready`.
    pub(super) fn conditions(&self) -> Vec<ConditionDraft> {
        let mut drafts = vec![
            self.available(),
            self.progressing(),
            self.held(),
            self.stalled(),
        ];
        drafts.extend(self.rollback_conditions());
        drafts.extend(self.recipe());
        drafts
    }

    fn available(&self) -> ConditionDraft {
        let readiness = self.readiness();
        let runs = self.standing.last_good.is_some();
        let idle = self.standing.operation.is_none();
        match readiness.ready {
            Some(true) => draft(
                types::AVAILABLE,
                ConditionStatus::True,
                reasons::HEALTHY,
                "",
            ),
            Some(false) if runs && idle && self.behind().as_ref() == Some(&readiness) => draft(
                types::AVAILABLE,
                ConditionStatus::True,
                &readiness.reason,
                "last good runs and passes",
            ),
            Some(false) => draft(
                types::AVAILABLE,
                ConditionStatus::False,
                &readiness.reason,
                &readiness.message,
            ),
            None => draft(
                types::AVAILABLE,
                ConditionStatus::Unknown,
                &readiness.reason,
                &readiness.message,
            ),
        }
    }

    fn progressing(&self) -> ConditionDraft {
        match (&self.standing.operation, self.came) {
            (Some(operation), _) if !matches!(operation, Operation::Stuck { .. }) => draft(
                types::PROGRESSING,
                ConditionStatus::True,
                reasons::PROGRESSING,
                operation.phase(),
            ),
            _ => draft(types::PROGRESSING, ConditionStatus::False, "Idle", ""),
        }
    }

    fn held(&self) -> ConditionDraft {
        match self
            .standing
            .checked
            .as_ref()
            .and_then(|checked| checked.held.as_ref())
        {
            Some(held) => {
                let reason = match held.reason.as_str() {
                    "held-manual-migration" => "ManualMigration",
                    "held-secret-rotation" => "SecretRotation",
                    _ => "MajorVersion",
                };
                let message = format!(
                    "{} waits: {}; `ccctl approve` lets it through",
                    held.version, held.message
                );
                draft(types::HELD, ConditionStatus::True, reason, &message)
            }
            None => draft(types::HELD, ConditionStatus::False, "NothingHeld", ""),
        }
    }

    fn stalled(&self) -> ConditionDraft {
        match &self.standing.operation {
            Some(Operation::Stuck { fault, .. }) => draft(
                types::STALLED,
                ConditionStatus::True,
                fault.cause.reason(),
                &fault.message,
            ),
            _ => draft(types::STALLED, ConditionStatus::False, "NotStalled", ""),
        }
    }

    /// What failed last, as long as it is not behind us.
    fn fault(&self) -> Option<Cause> {
        match &self.standing.operation {
            Some(Operation::Back(op)) => Some(op.fault.cause),
            Some(Operation::Abandon { fault, .. } | Operation::Stuck { fault, .. }) => {
                Some(fault.cause)
            }
            _ => self.standing.quarantine.last().map(|failed| failed.cause),
        }
    }

    fn rollback_conditions(&self) -> Vec<ConditionDraft> {
        let fault = self.fault();
        let state = |cause: Cause, condition: &'static str| {
            if fault == Some(cause) {
                draft(
                    condition,
                    ConditionStatus::True,
                    cause.reason(),
                    &self.message(),
                )
            } else {
                draft(condition, ConditionStatus::False, "NotSeen", "")
            }
        };
        let mut drafts = vec![
            state(Cause::DeployFailed, types::DEPLOY_FAILED),
            state(Cause::TasksFailing, types::TASKS_FAILING),
            state(Cause::HealthGateFailed, types::HEALTH_GATE_FAILED),
        ];
        drafts.push(if self.remediated() {
            draft(
                types::ROLLED_BACK,
                ConditionStatus::True,
                reasons::ROLLED_BACK,
                &self.message(),
            )
        } else {
            draft(
                types::ROLLED_BACK,
                ConditionStatus::False,
                "NotRolledBack",
                "",
            )
        });
        drafts
    }

    fn recipe(&self) -> Option<ConditionDraft> {
        Some(match self.found.recipe.as_ref()? {
            RecipeState::Fresh(told) => draft(
                types::RECIPE_AVAILABLE,
                ConditionStatus::True,
                "Fetched",
                told,
            ),
            RecipeState::Stale(why) => {
                let message = format!("going on with the mirror: {why}");
                draft(
                    types::RECIPE_AVAILABLE,
                    ConditionStatus::False,
                    "RemoteUnreachable",
                    &message,
                )
            }
        })
    }
}

fn draft(
    kind: &'static str,
    status: ConditionStatus,
    reason: &str,
    message: &str,
) -> ConditionDraft {
    Condition::draft(
        kind,
        status,
        Reason::new(reason).unwrap_or(Reason::of("Unknown")),
        message,
    )
}
