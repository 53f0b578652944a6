//! Entry spans that this process saw committed lately. A collector that batches anew sends spans
//! again in other requests, which the ledger cannot know; their requests are not counted again.

use std::{collections::HashSet, time::Duration};

use tokio::time::Instant;

/// A set of span keys in two generations: a key is kept for one to two generations' time.
#[derive(Debug)]
pub struct SeenEntries {
    young: HashSet<u64>,
    old: HashSet<u64>,
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
            young_since: now,
            generation: memory,
            capacity,
        }
    }

    /// Whether the key was added lately.
    #[must_use]
    pub fn contains(&self, key: u64) -> bool {
        self.young.contains(&key) || self.old.contains(&key)
    }

    /// Adds keys of committed entry spans.
    pub fn extend(&mut self, keys: impl IntoIterator<Item = u64>, now: Instant) {
        for key in keys {
            if self.young.len() >= self.capacity / 2
                || now.duration_since(self.young_since) >= self.generation
            {
                self.old = std::mem::take(&mut self.young);
                self.young_since = now;
            }
            self.young.insert(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_for_its_time_and_forgotten_after_two_generations() {
        let start = Instant::now();
        let mut seen = SeenEntries::new(1_000, Duration::from_mins(15), start);
        seen.extend([1], start);
        assert!(seen.contains(1));
        seen.extend([2], start + Duration::from_mins(15));
        assert!(seen.contains(1) && seen.contains(2));
        seen.extend([3], start + Duration::from_mins(30));
        assert!(!seen.contains(1) && seen.contains(2) && seen.contains(3));
    }

    #[test]
    fn the_set_stays_within_its_capacity() {
        let now = Instant::now();
        let mut seen = SeenEntries::new(100, Duration::from_mins(15), now);
        seen.extend(0..10_000, now);
        assert!(seen.young.len() + seen.old.len() <= 100);
        assert!(seen.contains(9_999));
    }
}
