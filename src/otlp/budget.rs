//! The bytes of request bodies that may be in memory at once, over all connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Reservations grow and shrink in steps of this size.
pub const STEP_BYTES: usize = 64 * 1_024;

/// A number of bytes that all requests share. Clones share it too.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit_bytes: usize,
    used_bytes: AtomicUsize,
}

/// There are not enough bytes left now; there will be, when other requests end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the bodies of other requests fill the memory set aside for them")]
pub struct BudgetFull;

/// A part of the budget, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    /// A budget of this many bytes.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self(Arc::new(Shared {
            limit_bytes,
            used_bytes: AtomicUsize::new(0),
        }))
    }

    /// How many bytes are reserved now.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.0.used_bytes.load(Ordering::Relaxed)
    }

    /// A reservation of nothing yet.
    #[must_use]
    pub fn reservation(&self) -> Reservation {
        Reservation {
            budget: self.clone(),
            bytes: 0,
        }
    }
}

impl Reservation {
    /// Makes the reservation cover at least this many bytes.
    ///
    /// # Errors
    /// The budget is full; the reservation is as it was.
    pub fn cover(&mut self, bytes: usize) -> Result<(), BudgetFull> {
        let wanted = bytes.next_multiple_of(STEP_BYTES);
        let Some(more) = wanted.checked_sub(self.bytes).filter(|more| *more > 0) else {
            return Ok(());
        };
        let shared = &*self.budget.0;
        shared
            .used_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                Some(used + more).filter(|used| *used <= shared.limit_bytes)
            })
            .map_err(|_| BudgetFull)?;
        self.bytes = wanted;
        Ok(())
    }

    /// Gives back what this many bytes do not need.
    pub fn shrink(&mut self, bytes: usize) {
        let surplus = self
            .bytes
            .saturating_sub(bytes.next_multiple_of(STEP_BYTES));
        self.bytes -= surplus;
        self.budget
            .0
            .used_bytes
            .fetch_sub(surplus, Ordering::Relaxed);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_grows_in_steps_and_is_given_back() {
        let budget = Budget::new(3 * STEP_BYTES);
        let mut one = budget.reservation();
        one.cover(1).expect("room");
        assert_eq!(budget.used_bytes(), STEP_BYTES);
        one.cover(STEP_BYTES + 1).expect("room");
        assert_eq!(budget.used_bytes(), 2 * STEP_BYTES);
        let mut two = budget.reservation();
        assert_eq!(two.cover(STEP_BYTES + 1), Err(BudgetFull));
        assert_eq!(budget.used_bytes(), 2 * STEP_BYTES);
        one.shrink(1);
        two.cover(STEP_BYTES + 1).expect("room again");
        drop(one);
        drop(two);
        assert_eq!(budget.used_bytes(), 0);
    }
}
