//! Waiting for a condition.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

/// Enough for anything that a Swarm on a small machine does; only a failing test waits this long.
pub const LIMIT: Duration = Duration::from_mins(1);

const PAUSE: Duration = Duration::from_millis(50);

/// Asks `look` until it gives `Ok`, and returns what that holds. `Err` is the state as seen: when `limit` has passed,
/// the last one is in the panic's message.
#[track_caller]
pub fn wait_for<T, E: Display>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<T, E>,
) -> T {
    let end = Instant::now() + limit;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if Instant::now() >= end => {
                panic!("waited {limit:?} for {what}; last seen: {seen}")
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// [`wait_for`] a condition that has no state worth showing.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    wait_for(what, limit, || if holds() { Ok(()) } else { Err("not so") });
}
