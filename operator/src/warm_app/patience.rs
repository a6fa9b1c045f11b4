//! How long a step may fail in ways that may pass.
//!
//! Between Undeploy and Deploy nothing serves. An engine that answers every try with the same internal error (a placement that
//! it cannot parse, say) would keep it so for ever, and nobody would be told. So an error that lasts as long as the gate's
//! deadline is what the step does: the planner goes back. An engine that does not answer at all is another matter: then nothing
//! is known, and nothing else could be done either.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// Since when each instance's step has been failing. In memory: after a restart it gets its time anew.
#[derive(Debug, Default)]
pub(super) struct Patience {
    since: Mutex<HashMap<String, Failing>>,
}

#[derive(Debug)]
struct Failing {
    step: String,
    since: Timestamp,
}

/// Whether a failing step is to be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may still work.
    Again,
    /// It had its time.
    Ended,
}

impl Patience {
    /// The step failed, at `now`, in a way that may pass; it has `limit` from its first failure. A step that ends here starts anew
    /// when it is tried again.
    pub(super) fn failed(
        &self,
        instance: &str,
        step: &str,
        now: Timestamp,
        limit: SignedDuration,
    ) -> Verdict {
        let mut all = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let failing = all
            .entry(instance.to_owned())
            .and_modify(|failing| {
                if failing.step != step {
                    step.clone_into(&mut failing.step);
                    failing.since = now;
                }
            })
            .or_insert_with(|| Failing {
                step: step.to_owned(),
                since: now,
            });
        if now.duration_since(failing.since) < limit {
            return Verdict::Again;
        }
        all.remove(instance);
        Verdict::Ended
    }

    /// The instance's step was done, or it cannot be told whether it would work.
    pub(super) fn forget(&self, instance: &str) {
        self.since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(instance);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn patience_should_end_a_limit_after_the_first_failure_of_one_step() {
        let (patience, limit) = (Patience::default(), SignedDuration::from_secs(60));
        assert_eq!(
            patience.failed("a", "1 Deploy", at(0), limit),
            Verdict::Again
        );
        assert_eq!(
            patience.failed("a", "1 Deploy", at(59), limit),
            Verdict::Again
        );
        assert_eq!(
            patience.failed("b", "1 Deploy", at(60), limit),
            Verdict::Again
        );
        assert_eq!(
            patience.failed("a", "1 Deploy", at(60), limit),
            Verdict::Ended
        );
        assert_eq!(
            patience.failed("a", "1 Deploy", at(61), limit),
            Verdict::Again
        );
        assert_eq!(
            patience.failed("a", "1 Submit", at(200), limit),
            Verdict::Again
        );
        patience.forget("a");
        assert_eq!(
            patience.failed("a", "1 Submit", at(300), limit),
            Verdict::Again
        );
    }
}
