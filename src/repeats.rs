//! What clients do again and again is worth a line in the log only now and then.

use std::sync::atomic::{AtomicU64, Ordering};

/// How often something happened.
#[derive(Debug, Default)]
pub struct Repeats(AtomicU64);

impl Repeats {
    /// It happened once more: how often so far, when that is the first time or a power of two.
    #[must_use]
    pub fn worth_telling(&self) -> Option<u64> {
        let times = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        times.is_power_of_two().then_some(times)
    }
}

#[cfg(test)]
mod tests {
    use super::Repeats;

    #[test]
    fn the_first_time_and_each_power_of_two_are_told() {
        let repeats = Repeats::default();
        let told: Vec<u64> = (0..20).filter_map(|_| repeats.worth_telling()).collect();
        assert_eq!(told, [1, 2, 4, 8, 16]);
    }
}
