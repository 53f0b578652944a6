//! That something was written: whoever keeps answers learns here that they are old.

use std::sync::atomic::{AtomicU64, Ordering};

use super::queue::Work;

/// How many groups this process has committed.
#[derive(Debug, Default)]
pub struct Written {
    changes: AtomicU64,
    telemetry: AtomicU64,
}

/// How many there were at some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WrittenSoFar {
    /// With changes that somebody or a job asked for, or errors that application code logged.
    pub changes: u64,
    /// Of telemetry alone.
    pub telemetry: u64,
}

impl Written {
    /// Until now. What is read from the database afterwards has all of it.
    #[must_use]
    pub fn so_far(&self) -> WrittenSoFar {
        WrittenSoFar {
            changes: self.changes.load(Ordering::Acquire),
            telemetry: self.telemetry.load(Ordering::Acquire),
        }
    }

    /// A group was committed, or may have been; whoever handed it in does not know yet.
    pub(super) fn note(&self, works: &[&Work]) {
        let is_telemetry = |work: &&Work| matches!(work, Work::Telemetry(_));
        let counted = if works.iter().all(is_telemetry) {
            &self.telemetry
        } else {
            &self.changes
        };
        counted.fetch_add(1, Ordering::Release);
    }
}
