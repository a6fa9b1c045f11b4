//! The keyed queue: one slot per key, earliest deadline wins, never two runs of one key.
//!
//! A pure data structure. It reads no clock and does no I/O: every call says what time it is.
//!
//! ```text
//!   schedule ──> waiting ──pop(now)──> running ──finish──> waiting (its timer, or what came meanwhile)
//!                                        │
//!                   schedule while running: put aside, at most once
//! ```

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// No deadline lies further ahead than this. Timers past about two years panic in some wheels, and a clock that jumped
/// must not silence an object for ever.
pub const LONGEST_DELAY: Duration = Duration::from_hours(24);

/// How a burst is waited out: until it was quiet for `quiet`, but never longer than `max_wait` after its first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Debounce {
    /// How long nothing may come before the burst counts as over.
    pub quiet: Duration,
    /// How long a burst can put things off at most.
    pub max_wait: Duration,
}

impl Debounce {
    /// When a burst that began at `first` and had its newest event at `now` is due.
    pub fn due(&self, first: Instant, now: Instant) -> Instant {
        (now + self.quiet).min(first + self.max_wait)
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    exact: Option<Instant>,
    /// First event of the burst, and when the burst is due as of its newest one.
    burst: Option<(Instant, Instant)>,
}

impl Slot {
    fn due(&self) -> Option<Instant> {
        match (self.exact, self.burst) {
            (Some(exact), Some((_, burst))) => Some(exact.min(burst)),
            (exact, burst) => exact.or(burst.map(|(_, due)| due)),
        }
    }
}

#[derive(Debug)]
struct Running {
    since: Instant,
    /// What came while the key was running.
    aside: Slot,
}

/// A queue of keys with deadlines. See the module for its states.
#[derive(Debug)]
pub struct Queue<K> {
    waiting: HashMap<K, Slot>,
    order: BTreeSet<(Instant, K)>,
    running: HashMap<K, Running>,
    at_once: usize,
    closed: bool,
}

impl<K: Clone + Ord + Hash> Queue<K> {
    /// An empty queue that lets `at_once` keys (at least one) run at the same time.
    pub fn new(at_once: usize) -> Self {
        Self {
            waiting: HashMap::new(),
            order: BTreeSet::new(),
            running: HashMap::new(),
            at_once: at_once.max(1),
            closed: false,
        }
    }

    /// Asks for a run of `key` at `due`; an earlier deadline that it already has stays.
    /// A due time more than [`LONGEST_DELAY`] ahead is brought back to that.
    pub fn schedule(&mut self, key: K, due: Instant, now: Instant) {
        let due = due.min(now + LONGEST_DELAY);
        self.change(key, |slot| {
            slot.exact = Some(slot.exact.map_or(due, |old| old.min(due)));
        });
    }

    /// Asks for a run of `key` once the burst it is part of is over.
    pub fn debounce(&mut self, key: K, now: Instant, debounce: Debounce) {
        self.change(key, |slot| {
            let first = slot.burst.map_or(now, |(first, _)| first);
            slot.burst = Some((first, debounce.due(first, now)));
        });
    }

    fn change(&mut self, key: K, change: impl FnOnce(&mut Slot)) {
        if self.closed {
            return;
        }
        if let Some(running) = self.running.get_mut(&key) {
            change(&mut running.aside);
            return;
        }
        let slot = self.waiting.entry(key.clone()).or_default();
        let before = slot.due();
        change(slot);
        let after = slot.due();
        if before != after {
            if let Some(before) = before {
                self.order.remove(&(before, key.clone()));
            }
            if let Some(after) = after {
                self.order.insert((after, key));
            }
        }
    }

    /// The next key whose time has come, now counted as running. `None` when nothing is due or enough run already.
    /// A running key never stands in front of others: it is not in the waiting part at all.
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        if self.running.len() >= self.at_once {
            return None;
        }
        let (due, _) = self.order.first()?;
        if *due > now {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.waiting.remove(&key);
        let running = Running {
            since: now,
            aside: Slot::default(),
        };
        self.running.insert(key.clone(), running);
        Some(key)
    }

    /// Ends the run of `key`. Its next run is at `again`, or earlier if something came while it ran; any later trigger
    /// that is earlier than `again` replaces it.
    pub fn finish(&mut self, key: K, again: Option<Instant>, now: Instant) {
        let Some(done) = self.running.remove(&key) else {
            return;
        };
        if done.aside.due().is_some() {
            self.change(key.clone(), |slot| *slot = done.aside);
        }
        if let Some(again) = again {
            self.schedule(key, again, now);
        }
    }

    /// Takes back what was asked for `key`; a run of it goes on.
    pub fn forget(&mut self, key: &K) {
        if let Some(due) = self.waiting.remove(key).and_then(|slot| slot.due()) {
            self.order.remove(&(due, key.clone()));
        }
        if let Some(running) = self.running.get_mut(key) {
            running.aside = Slot::default();
        }
    }

    /// Drops what waits and takes nothing more. Runs go on.
    pub fn close(&mut self) {
        self.closed = true;
        self.waiting.clear();
        self.order.clear();
        for running in self.running.values_mut() {
            running.aside = Slot::default();
        }
    }

    /// When [`Self::pop`] is worth calling again. `None` while nothing waits, or while enough run already.
    pub fn next_due(&self) -> Option<Instant> {
        if self.running.len() >= self.at_once {
            return None;
        }
        self.order.first().map(|(due, _)| *due)
    }

    /// How many keys are due and wait for a free place.
    pub fn depth(&self, now: Instant) -> usize {
        self.order.iter().take_while(|(due, _)| *due <= now).count()
    }

    /// How long the longest waiting key has been due.
    pub fn oldest_age(&self, now: Instant) -> Option<Duration> {
        let (due, _) = self.order.first()?;
        (*due <= now).then(|| now - *due)
    }

    /// How many keys run.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Since when the longest run has been going on.
    pub fn longest_running(&self, now: Instant) -> Option<Duration> {
        self.running
            .values()
            .map(|running| now - running.since)
            .max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BURST: Debounce = Debounce {
        quiet: Duration::from_millis(100),
        max_wait: Duration::from_millis(250),
    };

    fn ms(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn queue_should_keep_one_slot_per_key_and_the_earliest_deadline() {
        let (t, mut q) = (Instant::now(), Queue::new(9));
        q.schedule("a", ms(t, 50), t);
        q.schedule("a", ms(t, 20), t);
        q.schedule("a", ms(t, 90), t);
        assert_eq!(q.next_due(), Some(ms(t, 20)));
        assert_eq!(q.pop(ms(t, 19)), None);
        assert_eq!(q.pop(ms(t, 20)), Some("a"));
        q.finish("a", None, ms(t, 20));
        assert_eq!(q.next_due(), None, "the other two asked for the same run");
    }

    #[test]
    fn queue_should_debounce_on_the_trailing_edge_with_a_maximum_wait() {
        let (t, mut q) = (Instant::now(), Queue::new(9));
        q.debounce("a", t, BURST);
        assert_eq!(q.next_due(), Some(ms(t, 100)));
        q.debounce("a", ms(t, 90), BURST);
        assert_eq!(q.next_due(), Some(ms(t, 190)), "each event moves the edge");
        q.debounce("a", ms(t, 180), BURST);
        assert_eq!(
            q.next_due(),
            Some(ms(t, 250)),
            "but not past the maximum wait"
        );
        assert_eq!(q.pop(ms(t, 250)), Some("a"));
        q.finish("a", None, ms(t, 250));
        q.debounce("a", ms(t, 260), BURST);
        assert_eq!(q.next_due(), Some(ms(t, 360)), "a new burst starts anew");
    }

    #[test]
    fn queue_should_keep_one_follow_up_of_a_busy_key_and_block_nobody() {
        let (t, mut q) = (Instant::now(), Queue::new(2));
        q.schedule("a", t, t);
        assert_eq!(q.pop(t), Some("a"));
        q.schedule("a", t, t);
        q.schedule("a", t, t);
        q.schedule("b", ms(t, 1), t);
        assert_eq!(
            q.pop(ms(t, 1)),
            Some("b"),
            "the busy one does not stand in front"
        );
        q.finish("a", None, ms(t, 2));
        assert_eq!(
            q.pop(ms(t, 2)),
            Some("a"),
            "the event that came while it ran is not lost"
        );
        q.finish("a", None, ms(t, 3));
        q.finish("b", None, ms(t, 3));
        assert_eq!(q.pop(ms(t, 3)), None, "two events, one follow-up");
    }

    #[test]
    fn queue_should_never_run_one_key_twice_and_bound_runs() {
        let (t, mut q) = (Instant::now(), Queue::new(2));
        for key in ["a", "b", "c"] {
            q.schedule(key, t, t);
        }
        assert!(q.pop(t).is_some());
        assert!(q.pop(t).is_some());
        assert_eq!(q.pop(t), None);
        assert_eq!(q.next_due(), None, "nothing to wait for until a run ends");
        assert_eq!(q.running(), 2);
        assert_eq!(q.depth(ms(t, 7)), 1);
        assert_eq!(q.oldest_age(ms(t, 7)), Some(Duration::from_millis(7)));
    }

    #[test]
    fn queue_should_let_an_earlier_trigger_replace_the_timer_and_clamp_it() {
        let (t, mut q) = (Instant::now(), Queue::new(2));
        q.schedule("a", t, t);
        q.pop(t);
        q.finish("a", Some(t + Duration::from_hours(24 * 365 * 1000)), t);
        assert_eq!(q.next_due(), Some(t + LONGEST_DELAY));
        q.schedule("a", ms(t, 5), t);
        assert_eq!(q.pop(ms(t, 5)), Some("a"));
        q.finish("a", None, ms(t, 5));
        assert_eq!(
            q.next_due(),
            None,
            "the old timer is gone: each run returns its own"
        );
    }

    #[test]
    fn queue_should_drop_what_waits_when_closed() {
        let (t, mut q) = (Instant::now(), Queue::new(1));
        q.schedule("a", t, t);
        q.schedule("b", t, t);
        let first = q.pop(t).unwrap();
        q.schedule(first, t, t);
        q.close();
        q.schedule("c", t, t);
        q.finish(first, Some(t), t);
        assert_eq!(q.pop(t), None);
        assert_eq!(q.running(), 0);
    }

    proptest! {
        /// Whatever comes in whatever order: never two runs of a key, never more than allowed, and no trigger is lost:
        /// after each one a run starts.
        #[test]
        fn queue_should_lose_no_trigger(steps in proptest::collection::vec((0_u8..4, 0_u8..5), 1..200)) {
            let start = Instant::now();
            let mut q = Queue::new(2);
            let mut now = start;
            let mut running: Vec<u8> = Vec::new();
            let mut owed = BTreeSet::new();
            for (step, key) in steps {
                now += Duration::from_millis(1);
                match step {
                    0 => { q.schedule(key, now, now); owed.insert(key); }
                    1 => { q.debounce(key, now, BURST); owed.insert(key); }
                    2 => if let Some(popped) = q.pop(now) {
                        prop_assert!(!running.contains(&popped));
                        running.push(popped);
                        owed.remove(&popped);
                        prop_assert!(running.len() <= 2);
                    },
                    _ => if let Some(done) = running.pop() { q.finish(done, None, now); },
                }
            }
            while let Some(done) = running.pop() { q.finish(done, None, now); }
            now += Duration::from_secs(10);
            while let Some(popped) = q.pop(now) {
                owed.remove(&popped);
                q.finish(popped, None, now);
            }
            prop_assert!(owed.is_empty());
        }
    }
}
