//! Deadlines that stand still while it would be unfair to let them run.

use ci_warm_api_types::journal::Clock;
use jiff::{SignedDuration, Timestamp};

/// What a clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// There is time.
    Runs,
    /// There is none left.
    Expired,
}

/// A clock that starts now.
pub(super) fn start(now: Timestamp, span: SignedDuration) -> Clock {
    Clock::Until(now.checked_add(span).unwrap_or(Timestamp::MAX))
}

/// The clock, standing. What was left when it stopped is kept; it never becomes more.
pub(super) fn pause(clock: &Clock, now: Timestamp) -> Clock {
    match clock {
        Clock::Until(until) => {
            let left = i64::try_from(until.duration_since(now).as_millis()).unwrap_or(i64::MAX);
            Clock::PausedWithMs(left.max(0))
        }
        paused @ Clock::PausedWithMs(_) => paused.clone(),
    }
}

/// The clock, running, and what it says.
pub(super) fn run(clock: &Clock, now: Timestamp) -> (Clock, Reading) {
    match clock {
        Clock::Until(until) => (
            clock.clone(),
            if now >= *until {
                Reading::Expired
            } else {
                Reading::Runs
            },
        ),
        // One that stood gets at least a look before it can expire: nothing was seen while it stood.
        Clock::PausedWithMs(left) => (
            start(now, SignedDuration::from_millis(*left)),
            Reading::Runs,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn clock_should_keep_what_was_left() {
        let clock = start(at(100), SignedDuration::from_secs(60));
        assert_eq!(run(&clock, at(159)).1, Reading::Runs);
        assert_eq!(run(&clock, at(160)).1, Reading::Expired);
        let paused = pause(&clock, at(130));
        assert_eq!(paused, Clock::PausedWithMs(30_000));
        assert_eq!(pause(&paused, at(500)), paused);
        let (resumed, reading) = run(&paused, at(1000));
        assert_eq!((resumed, reading), (Clock::Until(at(1030)), Reading::Runs));
        assert_eq!(pause(&clock, at(500)), Clock::PausedWithMs(0));
    }
}
