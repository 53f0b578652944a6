//! Entry spans that this process saw committed lately. A collector that batches anew sends spans
//! again in other requests, which the ledger cannot know; their requests are not counted again.

use std::time::Duration;

use foldhash::{HashSet, HashSetExt as _};
use tokio::time::Instant;

/// A set of span keys in two generations: a key is kept for one to two generations' time.
#[derive(Debug)]
pub struct SeenEntries {
    young: HashSet<u64>,
    old: HashSet<u64>,
    /// Keys of a transaction that is not committed yet; they are in `young`.
    admitted: Vec<u64>,
    young_since: Instant,
    generation: Duration,
    capacity: usize,
}

impl SeenEntries {
    /// Keeps at most `capacity` keys, each for at least `memory` unless the set is full.
    #[must_use]
    pub fn new(capacity: usize, memory: Duration, now: Instant) -> Self {
        Self {
            young: HashSet::new(),
            old: HashSet::new(),
            admitted: Vec::new(),
            young_since: now,
            generation: memory,
            capacity,
        }
    }

    /// Whether the key was not there. Then it is, until [`SeenEntries::forget_admitted`] or for its
    /// time after [`SeenEntries::keep_admitted`].
    pub fn admit(&mut self, key: u64) -> bool {
        let is_new = !self.old.contains(&key) && self.young.insert(key);
        if is_new {
            self.admitted.push(key);
        }
        is_new
    }

    /// The spans of the admitted keys are committed.
    pub fn keep_admitted(&mut self, now: Instant) {
        self.admitted.clear();
        if self.young.len() >= self.capacity / 2
            || now.duration_since(self.young_since) >= self.generation
        {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
            self.young_since = now;
        }
    }

    /// The spans of the admitted keys are not committed.
    pub fn forget_admitted(&mut self) {
        for key in self.admitted.drain(..) {
            self.young.remove(&key);
        }
    }

    /// Adds keys of committed entry spans.
    pub fn extend(&mut self, keys: impl IntoIterator<Item = u64>, now: Instant) {
        self.young.extend(keys);
        self.keep_admitted(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_for_its_time_and_forgotten_after_two_generations() {
        let start = Instant::now();
        let generation = Duration::from_mins(15);
        let mut seen = SeenEntries::new(1_000, generation, start);
        seen.extend([1], start);
        assert!(!seen.admit(1));
        seen.extend([2], start + generation);
        assert!(!seen.admit(1) && !seen.admit(2));
        seen.extend([3], start + 2 * generation);
        assert!(seen.admit(1) && seen.admit(2) && !seen.admit(3));
    }

    #[test]
    fn what_was_not_committed_is_admitted_again() {
        let now = Instant::now();
        let mut seen = SeenEntries::new(1_000, Duration::from_mins(15), now);
        assert!(seen.admit(1) && !seen.admit(1));
        seen.forget_admitted();
        assert!(seen.admit(1));
        seen.keep_admitted(now);
        seen.forget_admitted();
        assert!(!seen.admit(1));
    }

    #[test]
    fn the_set_stays_within_its_capacity() {
        let now = Instant::now();
        let mut seen = SeenEntries::new(100, Duration::from_mins(15), now);
        for key in 0..10_000 {
            seen.extend([key], now);
        }
        assert!(seen.young.len() + seen.old.len() <= 100);
        assert!(!seen.admit(9_999));
    }
}
