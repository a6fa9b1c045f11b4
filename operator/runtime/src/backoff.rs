//! How long to wait after failures: a pure function of how many there were in a row.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// Failures after which the delay no longer grows; far past any sensible maximum.
const LAST_STEP: u32 = 40;

/// Exponential delays: `first`, twice that, and so on up to `longest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The delay after the first failure.
    pub first: Duration,
    /// No delay is longer.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_mins(5),
        }
    }
}

impl Backoff {
    /// The delay after `failures` failures in a row; zero failures wait for nothing.
    pub fn delay(&self, failures: u32) -> Duration {
        let Some(step) = failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        // backon gives up after three tries unless told otherwise.
        ExponentialBuilder::new()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .with_factor(2.0)
            .without_max_times()
            .build()
            .nth(step.min(LAST_STEP) as usize)
            .unwrap_or(self.longest)
            .min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_should_be_a_pure_function_of_failures() {
        let backoff = Backoff::default();
        let secs: Vec<u64> = (0..12).map(|n| backoff.delay(n).as_secs()).collect();
        assert_eq!(secs, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(backoff.delay(u32::MAX), Duration::from_mins(5));
    }
}
