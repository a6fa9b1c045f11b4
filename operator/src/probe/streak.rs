//! How often in a row an app passed, or failed.

use std::num::NonZeroU32;

use ci_warm_api_types::health::HealthSpec;
use jiff::Timestamp;

use super::Verdict;

/// Whether a round of probes can speak for the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tasks {
    /// Every service has its tasks running, and every running task is from the submitted spec.
    AllSubmitted,
    /// Anything else: it may have been an older task, or half an app, that answered.
    Otherwise,
}

/// Consecutive rounds with one outcome. At most one of `passes` and `failures` is not zero.
///
/// | round | passes | failures |
/// | --- | --- | --- |
/// | passed | + 1 | 0 |
/// | failed | 0 | + 1 |
/// | unknown | 0: they would not be consecutive | as they were: it is no failure either |
/// | any, while tasks are [`Tasks::Otherwise`] | 0 | 0 |
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Streak {
    /// Rounds that passed since the last one that did not.
    pub passes: u32,
    /// Rounds that failed since the last one that passed.
    pub failures: u32,
    /// When the first round of this streak was; `None` when nothing counts yet.
    pub since: Option<Timestamp>,
    /// When the last round was, whether it counted or not.
    pub last: Option<Timestamp>,
}

impl Streak {
    /// The streak after one more round, at `at`.
    #[must_use]
    pub fn after(self, verdict: Verdict, tasks: Tasks, at: Timestamp) -> Self {
        let (passes, failures) = match (tasks, verdict) {
            (Tasks::Otherwise, _) => (0, 0),
            (Tasks::AllSubmitted, Verdict::Passed) => (self.passes.saturating_add(1), 0),
            (Tasks::AllSubmitted, Verdict::Failed) => (0, self.failures.saturating_add(1)),
            (Tasks::AllSubmitted, Verdict::Unknown) => (0, self.failures),
        };
        let continued = (passes > 0 && self.passes > 0) || (failures > 0 && self.failures > 0);
        let since = match (passes, failures) {
            (0, 0) => None,
            _ if continued => self.since.or(Some(at)),
            _ => Some(at),
        };
        Self {
            passes,
            failures,
            since,
            last: Some(at),
        }
    }

    /// How many rounds passed in a row, once that is enough to call the app healthy.
    pub fn healthy(&self, spec: &HealthSpec) -> Option<NonZeroU32> {
        NonZeroU32::new(self.passes).filter(|passes| *passes >= spec.success_threshold)
    }

    /// How many rounds failed in a row, once that is enough to call a running app unhealthy.
    pub fn unhealthy(&self, spec: &HealthSpec) -> Option<NonZeroU32> {
        NonZeroU32::new(self.failures).filter(|failures| *failures >= spec.failure_threshold)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn spec(yaml: &str) -> HealthSpec {
        serde_saphyr::from_str(&format!("tcp: {{ address: 'a:1' }}\n{yaml}")).unwrap()
    }

    /// A streak after rounds written as letters: p(assed), f(ailed), u(nknown); capitals while tasks are otherwise.
    fn run(rounds: &str) -> Streak {
        rounds
            .chars()
            .zip(0..)
            .fold(Streak::default(), |streak, (round, second)| {
                let verdict = match round.to_ascii_lowercase() {
                    'p' => Verdict::Passed,
                    'f' => Verdict::Failed,
                    _ => Verdict::Unknown,
                };
                let tasks = if round.is_uppercase() {
                    Tasks::Otherwise
                } else {
                    Tasks::AllSubmitted
                };
                streak.after(verdict, tasks, at(second))
            })
    }

    #[test]
    fn rounds_are_counted_by_the_table() {
        for (rounds, passes, failures, since) in [
            ("", 0, 0, None),
            ("ppp", 3, 0, Some(0)),
            ("pfpp", 2, 0, Some(2)),
            ("ppf", 0, 1, Some(2)),
            ("ffp", 1, 0, Some(2)),
            ("ppup", 1, 0, Some(3)),
            ("ppu", 0, 0, None),
            ("ffuf", 0, 3, Some(0)),
            ("u", 0, 0, None),
            ("ppPp", 1, 0, Some(3)),
            ("PPP", 0, 0, None),
            ("ffF", 0, 0, None),
        ] {
            let streak = run(rounds);
            let last = i64::try_from(rounds.len()).unwrap() - 1;
            let expected = Streak {
                passes,
                failures,
                since: since.map(at),
                last: (last >= 0).then(|| at(last)),
            };
            assert_eq!(streak, expected, "{rounds}");
        }
    }

    #[test]
    fn thresholds_decide() {
        let spec = spec("successThreshold: 2\nfailureThreshold: 3");
        assert_eq!(run("p").healthy(&spec), None);
        assert_eq!(run("pp").healthy(&spec), NonZeroU32::new(2));
        assert_eq!(run("ff").unhealthy(&spec), None);
        assert_eq!(run("fff").unhealthy(&spec), NonZeroU32::new(3));
        assert_eq!(run("").healthy(&spec), None);
        assert_eq!(run("").unhealthy(&spec), None);
    }

    #[test]
    fn counts_do_not_wrap() {
        let full = Streak {
            passes: u32::MAX,
            ..Streak::default()
        };
        assert_eq!(
            full.after(Verdict::Passed, Tasks::AllSubmitted, at(1))
                .passes,
            u32::MAX
        );
    }

    proptest! {
        #[test]
        fn healthy_means_that_the_last_rounds_all_passed_and_counted(rounds in "[pfuPFU]{0,12}") {
            let spec = spec("successThreshold: 3");
            prop_assert_eq!(run(&rounds).healthy(&spec).is_some(), rounds.ends_with("ppp"));
            let streak = run(&rounds);
            prop_assert!(streak.passes == 0 || streak.failures == 0);
            prop_assert_eq!(streak.since.is_some(), streak.passes + streak.failures > 0);
        }
    }
}
