//! Between operations: is another release wanted, and is the one that runs alive?

use ci_warm_api_types::conditions::reasons;
use ci_warm_api_types::journal::{
    Candidate, Checked, Forward, ForwardOperation, NotTaken, Operation, Release, Standing,
};
use ci_warm_api_types::outcome::{Outcome, Verb};
use ci_warm_api_types::warm_app::DeletionPolicy;
use jiff::Timestamp;

use super::settle::moved;
use super::{Planned, Turn, plain, wait};
use crate::choose::{Choice, choose};
use crate::decision::{Decision, End, Notice, Step};
use crate::intent::Want;
use crate::observed::{Deployment, Preflight, Question, Refresh};

/// What the look at the versions on offer came to.
enum Offered {
    /// It was not time to look.
    NotDue,
    /// It was time, and nothing could be told.
    Unknown(String),
    /// It was looked at, and what runs stays.
    Stay(Checked),
    /// Something is wanted that cannot begin yet.
    Blocked {
        checked: Checked,
        until: Option<Timestamp>,
        reason: &'static str,
        message: String,
    },
    /// Something is wanted, and was decided.
    Decided(Box<Decision>),
}

impl Turn<'_> {
    pub(super) fn idle(&self) -> Planned {
        match self.intent.want {
            Want::Gone(DeletionPolicy::Orphan) => return Ok(self.removed()),
            Want::Gone(_) => return Ok(self.begin_removal(self.standing.clone())),
            Want::Suspended => {
                return Ok(self.wait_idle(
                    self.standing.clone(),
                    reasons::SUSPENDED,
                    "suspended: nothing is done",
                ));
            }
            Want::Run => {}
        }
        let offered = match self.offered()? {
            Offered::Decided(decision) => return Ok(*decision),
            offered => offered,
        };
        match self.last_good() {
            Some(release) => self.keep_alive(release, offered),
            None => Ok(self.nothing_runs(offered)),
        }
    }

    // ---- another release? ----

    /// When the versions have to be looked at, and where.
    fn due(&self) -> Option<Refresh> {
        let Some(checked) = &self.standing.checked else {
            return Some(Refresh::Now);
        };
        let stale = checked
            .at
            .checked_add(self.intent.interval)
            .map_or(true, |due| self.now >= due);
        if checked.of != self.intent.generation || stale {
            return Some(Refresh::Now);
        }
        let pending = checked.pending.as_ref()?;
        (!self.shut_for(pending)).then_some(Refresh::Cached)
    }

    fn shut_for(&self, version: &ci_warm_api_types::version::Version) -> bool {
        let another_version = self.last_good_version().is_some_and(|from| from != version);
        another_version && self.opens().is_some()
    }

    fn opens(&self) -> Option<Timestamp> {
        self.intent
            .window
            .as_ref()
            .and_then(|window| window.opens(self.now))
    }

    fn offered(&self) -> Result<Offered, Question> {
        let Some(refresh) = self.due() else {
            return Ok(self.still_blocked());
        };
        let (candidate, mut checked) =
            match choose(self.intent, self.standing, self.observed, self.now, refresh)? {
                Choice::Unknown(why) => return Ok(Offered::Unknown(why)),
                Choice::Stay(checked) => return Ok(Offered::Stay(checked)),
                Choice::Take(candidate, checked) => (candidate, checked),
            };
        let blocked = if self.shut_for(&candidate.version) {
            Some((
                self.opens(),
                reasons::OUTSIDE_WINDOW,
                "the upgrade window is shut".to_owned(),
            ))
        } else {
            self.not_ready()?
                .map(|why| (None, reasons::DEPENDENCY_NOT_READY, why))
        };
        if let Some((until, reason, message)) = blocked {
            checked.pending = Some(candidate.version.clone());
            if let (Refresh::Cached, Some(before)) = (refresh, &self.standing.checked) {
                checked.at = before.at;
            }
            let message = format!("{} waits: {message}", candidate.version);
            return Ok(Offered::Blocked {
                checked,
                until,
                reason,
                message,
            });
        }
        self.begin(&candidate, checked)
    }

    fn still_blocked(&self) -> Offered {
        match &self.standing.checked {
            Some(checked) if checked.pending.is_some() => Offered::Blocked {
                checked: checked.clone(),
                until: self.opens(),
                reason: reasons::OUTSIDE_WINDOW,
                message: "the upgrade window is shut".to_owned(),
            },
            _ => Offered::NotDue,
        }
    }

    fn begin(&self, candidate: &Candidate, mut checked: Checked) -> Result<Offered, Question> {
        match self
            .observed
            .preflight
            .answer(|| Question::Preflight(candidate.clone()))?
        {
            Err(why) => Ok(Offered::Unknown(why.to_owned())),
            Ok(Preflight::Refused { reason, message }) => {
                checked.refused = Some(NotTaken {
                    version: candidate.version.clone(),
                    reason: reason.clone(),
                    message: message.clone(),
                });
                let record = Standing {
                    checked: Some(checked),
                    ..self.standing.clone()
                };
                Ok(Offered::Decided(Box::new(
                    self.refused(record, candidate, reason, message),
                )))
            }
            Ok(Preflight::Clear { .. }) => {
                let (id, number) = self.new_id();
                let forward = ForwardOperation {
                    id,
                    of: self.intent.generation.clone(),
                    to: candidate.clone(),
                    covers: None,
                    at: Forward::Pull,
                };
                let record = Standing {
                    operations: number,
                    checked: Some(checked),
                    ..self.with(Operation::Forward(forward))
                };
                let step = Step::Pull(candidate.clone());
                Ok(Offered::Decided(Box::new(Decision::Act { record, step })))
            }
        }
    }

    /// A release was turned down before anything was touched: said once for each release and reason.
    pub(super) fn refused(
        &self,
        mut record: Standing,
        to: &Candidate,
        reason: &str,
        message: &str,
    ) -> Decision {
        let result = moved(Verb::Refused, self.last_good().map(|good| &good.of), to);
        record.result = Some(result.clone());
        let identity = format!("refused-{}-{}-{reason}", to.version, to.digest.short());
        let notice = self.once(
            &mut record,
            &identity,
            Verb::Refused,
            to.version.clone(),
            format!("{reason}: {message}"),
        );
        Decision::Settle {
            record,
            end: End::Result(result),
            notice,
            until: self.soon(),
        }
    }

    /// A notice about something that lasts, the first time only.
    fn once(
        &self,
        record: &mut Standing,
        identity: &str,
        verb: Verb,
        attempted: ci_warm_api_types::version::Version,
        message: String,
    ) -> Option<Notice> {
        let version = record
            .last_good
            .as_ref()
            .map(|good| good.of.version.clone());
        record.alerted.insert(identity.to_owned()).then(|| Notice {
            identity: format!(
                "{}-{}-{identity}",
                self.intent.instance, self.intent.generation.uid
            ),
            reason: verb.as_str(),
            version: version.clone(),
            attempted: Some(attempted),
            last_good: version,
            latest: record
                .checked
                .as_ref()
                .and_then(|checked| checked.latest.clone()),
            recovered: None,
            operation: None,
            message,
        })
    }

    /// A version waits for a person, whatever became of the others.
    pub(super) fn tell_of_hold(&self, record: &mut Standing, held: NotTaken) -> Option<Notice> {
        let identity = format!("{}-{}", held.reason, held.version);
        let verb = held_verb(&held);
        self.once(record, &identity, verb, held.version, held.message)
    }

    // ---- is it alive? ----

    fn nothing_runs(&self, offered: Offered) -> Decision {
        match offered {
            Offered::Stay(checked) => self.looked(checked),
            Offered::Blocked {
                checked,
                until,
                reason,
                message,
            } => self.blocked(checked, until, reason, message),
            Offered::Unknown(why) => {
                self.wait_idle(self.standing.clone(), reasons::RECIPE_UNREACHABLE, why)
            }
            Offered::NotDue | Offered::Decided(_) => wait(
                self.standing.clone(),
                self.next_look(),
                reasons::NO_VERSION,
                "nothing to deploy",
            ),
        }
    }

    fn blocked(
        &self,
        checked: Checked,
        opens: Option<Timestamp>,
        reason: &'static str,
        message: String,
    ) -> Decision {
        let look = self.next_look_after(&checked);
        let record = Standing {
            checked: Some(checked),
            ..self.standing.clone()
        };
        wait(
            record,
            opens.map_or(look, |opens| opens.min(look)),
            reason,
            message,
        )
    }

    fn keep_alive(&self, release: &Release, offered: Offered) -> Planned {
        let (why, nonce) = match self.deployment(Some(plain(&release.of)))? {
            Err(why) => return Ok(self.unknown(why)),
            Ok(Deployment::Draining(what)) => {
                return Ok(self.wait_soon(reasons::PROGRESSING, format!("draining: {what}")));
            }
            Ok(Deployment::Absent) => ("its services are gone".to_owned(), None),
            Ok(Deployment::Differs(what)) => (format!("drift: {what}"), None),
            Ok(Deployment::Converging { why, since }) => {
                let patience = since
                    .checked_add(self.intent.gate.deadline)
                    .unwrap_or(Timestamp::MAX);
                if self.now < patience {
                    return Ok(self.wait_soon(reasons::PROGRESSING, format!("converging: {why}")));
                }
                (format!("does not converge: {why}"), Some(self.nonce()))
            }
            Ok(Deployment::TasksFailing(why) | Deployment::GivenUp(why)) => {
                (why.clone(), Some(self.nonce()))
            }
            Ok(Deployment::Converged) => match self.gate(plain(&release.of))? {
                Err(why) => return Ok(self.unknown(why)),
                Ok(gate) if gate.passes > 0 => return Ok(self.alive(offered)),
                Ok(gate) if gate.failures < self.intent.gate.failures.get() => {
                    return Ok(self.wait_soon(reasons::PROGRESSING, gate.message.clone()));
                }
                Ok(gate) => (gate.message.clone(), Some(self.nonce())),
            },
        };
        if let Some(dependency) = self.not_ready()? {
            return Ok(self.wait_soon(reasons::DEPENDENCY_NOT_READY, dependency));
        }
        if self.standing.unhealthy_since.is_some() && (nonce.is_some() || self.kept_lately()) {
            return Ok(self.unhealthy(&why, offered));
        }
        Ok(self.begin_keeping(release, &why, nonce))
    }

    /// Submitting again did not help, and that is not long ago. What is gone or was changed is put right all the same, but
    /// not without end at once.
    fn kept_lately(&self) -> bool {
        let tried = self.standing.history.last().map(|entry| entry.at);
        tried
            .and_then(|at| at.checked_add(self.intent.gate.deadline).ok())
            .is_some_and(|again| self.now < again)
    }

    fn alive(&self, offered: Offered) -> Decision {
        if self.standing.unhealthy_since.is_some() {
            let recovered = Standing {
                unhealthy_since: None,
                checked: None,
                ..self.standing.clone()
            };
            return wait(recovered, self.now, reasons::PROGRESSING, "passes again");
        }
        match offered {
            Offered::NotDue | Offered::Decided(_) => wait(
                self.standing.clone(),
                self.next_look(),
                reasons::HEALTHY,
                "passes its gate",
            ),
            offered => self.nothing_runs(offered),
        }
    }

    /// Redeployed once, told once: from here it is watched, and a newer version may mend it.
    fn unhealthy(&self, why: &str, offered: Offered) -> Decision {
        let mut record = self.standing.clone();
        if let Offered::Stay(checked) | Offered::Blocked { checked, .. } = offered {
            record.checked = Some(checked);
        }
        self.wait_idle(record, "UnhealthyOnLatest", why)
    }

    /// The versions were looked at, and what runs stays.
    fn looked(&self, checked: Checked) -> Decision {
        let until = self.next_look_after(&checked);
        let (held, refused) = (checked.held.clone(), checked.refused.clone());
        let mut record = Standing {
            checked: Some(checked),
            ..self.standing.clone()
        };
        let from = self
            .last_good_version()
            .map(|version| version as &dyn std::fmt::Display);
        let (result, notice) = match (held, refused) {
            (Some(held), _) => {
                let result = Outcome::moved(held_verb(&held), from, &held.version);
                (result, self.tell_of_hold(&mut record, held))
            }
            // What it did then says more than that nothing is done now.
            (None, Some(refused)) if refused.reason == reasons::QUARANTINED => {
                let message = format!("{} failed here before", refused.version);
                return wait(record, until, reasons::QUARANTINED, message);
            }
            (None, Some(refused)) => {
                let result = Outcome::moved(Verb::Refused, from, &refused.version);
                let identity = format!("refused-{}-{}", refused.version, refused.reason);
                let message = format!("{}: {}", refused.reason, refused.message);
                (
                    result,
                    self.once(
                        &mut record,
                        &identity,
                        Verb::Refused,
                        refused.version,
                        message,
                    ),
                )
            }
            (None, None) => {
                let Some(version) = self.last_good_version() else {
                    let message = "the recipe offers no version that may run";
                    return wait(record, until, reasons::NO_VERSION, message);
                };
                (Outcome::of(Verb::NoopHealthy, version), None)
            }
        };
        record.result = Some(result.clone());
        Decision::Settle {
            record,
            end: End::Result(result),
            notice,
            until,
        }
    }

    /// When an app that is well is looked at again: to see that it lives, or to look at the versions.
    fn next_look(&self) -> Timestamp {
        match &self.standing.checked {
            Some(checked) => self.next_look_after(checked),
            None => self.after(self.intent.gate.idle),
        }
    }

    fn next_look_after(&self, checked: &Checked) -> Timestamp {
        let look = self.after(self.intent.gate.idle);
        checked
            .at
            .checked_add(self.intent.interval)
            .map_or(look, |due| due.clamp(self.now, look))
    }

    fn nonce(&self) -> u64 {
        u64::try_from(self.now.as_second()).unwrap_or(1).max(1)
    }
}

fn held_verb(held: &NotTaken) -> Verb {
    [Verb::HeldManualMigration, Verb::HeldSecretRotation]
        .into_iter()
        .find(|verb| verb.as_str() == held.reason)
        .unwrap_or(Verb::HeldMajor)
}
