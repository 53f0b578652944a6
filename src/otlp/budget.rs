//! The bytes of request bodies that may be in memory at once, over all connections; and some memory
//! that goes from one body to the next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reservations grow and shrink in steps of this size.
pub const STEP_BYTES: usize = 64 * 1_024;

/// So many buffers are kept for the next bodies, each of at most so many bytes. Memory that the
/// operating system gives costs more to touch than to fill.
const SPARES: usize = 4;
const SPARE_BYTES: usize = 1_024 * 1_024;

/// A number of bytes that all requests share. Clones share it too.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit_bytes: usize,
    used_bytes: AtomicUsize,
    spares: Mutex<Vec<Vec<u8>>>,
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
            spares: Mutex::default(),
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
    /// Memory that another body has left behind: as many bytes, whatever they say, and not many
    /// times more.
    pub(super) fn spare(&self, bytes: usize) -> Option<Vec<u8>> {
        let mut spares = self.spares();
        let fits = |spare: &Vec<u8>| (bytes..=8 * bytes).contains(&spare.len());
        let place = spares.iter().position(fits)?;
        Some(spares.swap_remove(place))
    }

    /// Leaves memory to the next body.
    pub(super) fn leave(&self, bytes: Vec<u8>) {
        if (STEP_BYTES..=SPARE_BYTES).contains(&bytes.len()) {
            let mut spares = self.spares();
            if spares.len() < SPARES {
                spares.push(bytes);
            }
        }
    }

    fn spares(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        let spares = self.budget.0.spares.lock();
        // A panic elsewhere leaves a whole list behind.
        spares.unwrap_or_else(PoisonError::into_inner)
    }

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
    fn memory_goes_to_bodies_that_need_about_as_much() {
        let budget = Budget::new(3 * STEP_BYTES);
        let reservation = budget.reservation();
        reservation.leave(vec![1; STEP_BYTES]);
        reservation.leave(vec![1; STEP_BYTES - 1]);
        reservation.leave(vec![1; SPARE_BYTES + 1]);
        assert_eq!(reservation.spare(STEP_BYTES + 1), None);
        assert_eq!(reservation.spare(STEP_BYTES / 8 - 1), None);
        let spare = reservation.spare(STEP_BYTES / 2).expect("a spare");
        assert_eq!(spare.len(), STEP_BYTES);
        assert_eq!(reservation.spare(STEP_BYTES / 2), None);
        for _ in 0..=SPARES {
            reservation.leave(vec![1; STEP_BYTES]);
        }
        let kept = std::iter::from_fn(|| reservation.spare(STEP_BYTES));
        assert_eq!(kept.count(), SPARES);
    }

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
