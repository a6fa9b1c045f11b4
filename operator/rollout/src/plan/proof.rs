//! Whether what was submitted proves itself: what going forward, going back and keeping alive have in common.

use std::num::NonZeroU32;

use ci_warm_api_types::conditions::reasons;
use ci_warm_api_types::journal::{Candidate, Cause, Clock, Fault, Passed};

use super::clock::{self, Reading};
use super::{Turn, plain};
use crate::observed::{Dependencies, Deployment, Gate, Question};

/// How far a proof is.
pub(super) enum Proof {
    /// It cannot be seen, or could not fairly be asked for: the clock stands.
    Unseen {
        clock: Clock,
        reason: &'static str,
        message: String,
    },
    /// It is there.
    Passed(Passed),
    /// What was submitted is not what is there, and there is time to submit it again.
    Lost(Clock),
    /// It is not there yet.
    Missing {
        clock: Clock,
        reading: Reading,
        /// What is wrong as long as it is not.
        fault: Fault,
        hope: Hope,
    },
}

/// Whether waiting can help.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hope {
    /// It may.
    Left,
    /// The Swarm has given up, or tasks keep failing.
    None,
}

impl Turn<'_> {
    /// Looks whether a release that was submitted runs, and passes its gate.
    pub(super) fn proof(&self, of: &Candidate, clock: &Clock) -> Result<Proof, Question> {
        let unseen = |reason, why: &str| Proof::Unseen {
            clock: clock::pause(clock, self.now),
            reason,
            message: why.to_owned(),
        };
        let deployment = match self.deployment(Some(plain(of)))? {
            Err(why) => return Ok(unseen(reasons::ENGINE_UNREACHABLE, why)),
            Ok(deployment) => deployment,
        };
        if let Some(why) = self.not_ready()? {
            return Ok(unseen(reasons::DEPENDENCY_NOT_READY, &why));
        }
        let (clock, reading) = clock::run(clock, self.now);
        let (cause, message, hope) = match deployment {
            Deployment::Converged => match self.gate(plain(of))? {
                Err(why) => return Ok(unseen(reasons::PROGRESSING, why)),
                Ok(gate) => match self.passed(gate) {
                    Some(passed) => return Ok(Proof::Passed(passed)),
                    None => (Cause::HealthGateFailed, gate.message.clone(), Hope::Left),
                },
            },
            Deployment::Absent | Deployment::Differs(_) if reading == Reading::Runs => {
                return Ok(Proof::Lost(clock));
            }
            Deployment::TasksFailing(why) => (Cause::TasksFailing, why.clone(), Hope::None),
            Deployment::GivenUp(why) => (Cause::DeployFailed, why.clone(), Hope::None),
            Deployment::Converging { why, .. }
            | Deployment::Draining(why)
            | Deployment::Differs(why) => (
                Cause::DeployFailed,
                format!("has not converged: {why}"),
                Hope::Left,
            ),
            Deployment::Absent => (
                Cause::DeployFailed,
                "its services are gone".to_owned(),
                Hope::Left,
            ),
        };
        Ok(Proof::Missing {
            clock,
            reading,
            fault: Fault { cause, message },
            hope,
        })
    }

    /// Why a dependency is not Ready, or nothing. One that cannot be told counts as not Ready: unknown is never yes here.
    pub(super) fn not_ready(&self) -> Result<Option<String>, Question> {
        let dependencies = &self.observed.dependencies;
        Ok(match dependencies.answer(|| Question::Dependencies)? {
            Err(why) => Some(why.to_owned()),
            Ok(Dependencies::NotReady(why)) => Some(why.clone()),
            Ok(Dependencies::Ready) => None,
        })
    }

    fn passed(&self, gate: &Gate) -> Option<Passed> {
        let probes = NonZeroU32::new(gate.passes)?;
        (probes >= self.intent.gate.passes).then_some(Passed {
            at: gate.at,
            probes,
        })
    }
}
