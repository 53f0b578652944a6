//! The open traces: something failed in them less than ten minutes ago, so every span of theirs is
//! looked at. `error_traces` is the truth; this is what the process knows of it.

use std::sync::{
    PoisonError, RwLock, RwLockReadGuard,
    atomic::{AtomicU64, Ordering},
};

use foldhash::HashMap;

use crate::{
    detect::OpenTraces,
    domain::{Timestamp, TraceKey},
};

/// How long a trace stays open after its last sighting, in seconds.
pub const OPEN_SECONDS: i64 = 600;

/// How many open traces are kept in memory.
pub const OPEN_CAPACITY: usize = 100_000;

/// The open traces that this process knows.
#[derive(Debug, Default)]
pub struct OpenTraceSet {
    touched: RwLock<HashMap<TraceKey, Timestamp>>,
    evicted: AtomicU64,
}

/// The set, held still while a request is looked at.
pub struct OpenTracesGuard<'a>(RwLockReadGuard<'a, HashMap<TraceKey, Timestamp>>);

impl OpenTraces for OpenTracesGuard<'_> {
    fn is_open(&self, trace: TraceKey) -> bool {
        self.0.contains_key(&trace)
    }
}

impl OpenTraceSet {
    /// Holds the set still. Do not wait for anything while holding it.
    pub fn read(&self) -> OpenTracesGuard<'_> {
        // A panic elsewhere leaves a whole map behind: every change is one insert or retain.
        OpenTracesGuard(self.touched.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Marks traces as open; the oldest make room when there are too many.
    pub fn open(&self, traces: impl IntoIterator<Item = TraceKey>, now: Timestamp) {
        let mut touched = self.touched.write().unwrap_or_else(PoisonError::into_inner);
        for trace in traces {
            touched.insert(trace, now);
        }
        if touched.len() <= OPEN_CAPACITY {
            return;
        }
        let before = touched.len();
        let mut times: Vec<Timestamp> = touched.values().copied().collect();
        // A tenth goes at once, so that a full set is not sorted for every request.
        let spare = before - OPEN_CAPACITY + OPEN_CAPACITY / 10;
        let (_, &mut limit, _) = times.select_nth_unstable(spare);
        let mut evict = spare;
        touched.retain(|_, at| {
            let keep = *at > limit || evict == 0;
            evict -= usize::from(!keep);
            keep
        });
        self.evicted
            .fetch_add((before - touched.len()) as u64, Ordering::Relaxed);
    }

    /// How many open traces had to make room, since the start of the process.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Forgets the traces whose time is over.
    pub fn expire(&self, now: Timestamp) {
        let oldest = now.plus_seconds(-OPEN_SECONDS);
        self.touched
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, at| *at >= oldest);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn key(number: u128) -> TraceKey {
        TraceKey(Uuid::from_u128(number))
    }

    #[test]
    fn a_trace_is_open_for_ten_minutes() {
        let set = OpenTraceSet::default();
        set.open([key(1)], Timestamp::EPOCH);
        set.expire(Timestamp::EPOCH.plus_seconds(OPEN_SECONDS));
        assert!(set.read().is_open(key(1)));
        set.expire(Timestamp::EPOCH.plus_seconds(OPEN_SECONDS + 1));
        assert!(!set.read().is_open(key(1)));
    }

    #[test]
    fn the_oldest_make_room_and_are_counted() {
        let set = OpenTraceSet::default();
        for number in 0..=OPEN_CAPACITY as u128 {
            set.open(
                [key(number)],
                Timestamp::from_micros(i64::try_from(number).unwrap()),
            );
        }
        assert_eq!(set.evicted(), OPEN_CAPACITY as u64 / 10 + 1);
        assert!(!set.read().is_open(key(0)));
        assert!(set.read().is_open(key(OPEN_CAPACITY as u128)));
    }
}
