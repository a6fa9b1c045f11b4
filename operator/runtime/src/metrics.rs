//! What the loop can say of itself, cheaply.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The numbers at one moment. Counters count from the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MetricsSnapshot {
    /// Keys that are due and wait for a free place.
    pub queue_depth: usize,
    /// How long the longest waiting of them has been due.
    pub oldest_age: Option<Duration>,
    /// Runs going on.
    pub running: usize,
    /// How long the longest of them has been going on.
    pub longest_running: Option<Duration>,
    /// Runs that ended, in whatever way.
    pub runs: u64,
    /// Sum of their durations.
    pub run_time: Duration,
    /// The longest of them.
    pub longest_run: Duration,
    /// Runs that ended in a transient error.
    pub errors: u64,
    /// Runs that ended in a terminal error.
    pub terminal_errors: u64,
    /// Runs that panicked.
    pub panics: u64,
    /// Runs that reached their time limit.
    pub timeouts: u64,
    /// Looks at a kind's directory.
    pub relists: u64,
    /// Times the watch said that it lost events or failed.
    pub rescans: u64,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Nothing to run: gone, never accepted, suspended.
    Skipped,
    Done,
    Transient,
    Terminal,
    Panicked,
    TimedOut,
    Stopped,
}

#[derive(Debug, Default)]
pub(crate) struct Metrics(Mutex<MetricsSnapshot>);

impl Metrics {
    pub(crate) fn change(&self, change: impl FnOnce(&mut MetricsSnapshot)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn ended(&self, how: Ended, took: Duration) {
        self.change(|metrics| {
            match how {
                Ended::Skipped => return,
                Ended::Done | Ended::Stopped => {}
                Ended::Transient => metrics.errors += 1,
                Ended::Terminal => metrics.terminal_errors += 1,
                Ended::Panicked => metrics.panics += 1,
                Ended::TimedOut => metrics.timeouts += 1,
            }
            metrics.runs += 1;
            metrics.run_time += took;
            metrics.longest_run = metrics.longest_run.max(took);
        });
    }

    pub(crate) fn read(&self) -> MetricsSnapshot {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
