//! The bounded way to the writer. A request hands over its findings and waits for the outcome on a
//! oneshot channel; nothing here touches the database.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::Instant,
};
use tracing::Span;

use crate::{
    detect::{Findings, Room},
    domain::{ApiError, Hour, RequestDigest, Sighting},
    store::{AggregationDelta, edit::AnyEdit},
};

use super::{
    imported::{Imported, Taken},
    plan,
    written::Written,
};

/// The queue is measured in steps of this many bytes.
const STEP_BYTES: usize = 1_024;

/// Work is large when it takes more than this part of the queue.
const LARGE_PART: usize = 8;

/// Something for the writer to make durable.
#[derive(Debug, Clone)]
pub enum Work {
    /// What one request of telemetry came down to.
    Telemetry(Findings),
    /// Errors that application code logged. An id that is there already changes nothing.
    Errors(Vec<ApiError>),
    /// What another ledger counted: the data counters never did.
    Imported(Imported),
    /// Counts without rows.
    Unlinked {
        /// The same each time that the same counts are handed in: they are added once.
        digest: RequestDigest,
        /// What is added.
        counts: Vec<AggregationDelta>,
        /// By whom.
        actor: String,
    },
    /// What somebody asks to be changed.
    Edit(Arc<dyn AnyEdit>),
    /// Count the hours of a range again from their rows.
    Rebuild {
        /// At or after.
        from: Option<Hour>,
        /// Before.
        to: Option<Hour>,
        /// By whom.
        actor: String,
    },
}

impl Work {
    /// About how many bytes of memory it takes until it is committed. Beside it there is one piece
    /// of one group, whatever waits.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        match self {
            Self::Telemetry(findings) => findings.memory_bytes(),
            // Copied, and made rows of, all at once.
            Self::Errors(_) | Self::Imported(_) => 3 * self.weight_bytes(),
            Self::Unlinked { .. } | Self::Edit(_) | Self::Rebuild { .. } => self.weight_bytes(),
        }
    }

    /// About how many bytes it writes.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        match self {
            Self::Telemetry(findings) => {
                let sightings = findings.traces.iter().flat_map(|trace| &trace.sightings);
                size_of::<Findings>()
                    + findings.entries.len() * size_of::<crate::domain::EntrySpan>()
                    + findings.series.len() * 256
                    + sightings.map(sighting_bytes).sum::<usize>()
                    + findings.rows.iter().map(error_bytes).sum::<usize>()
            }
            Self::Errors(errors) => errors.iter().map(error_bytes).sum(),
            Self::Imported(imported) => {
                let rows = imported.errors.iter().map(|error| error_bytes(&error.row));
                rows.sum::<usize>() + imported.hours.len() * 256
            }
            Self::Unlinked { counts, .. } => counts.len() * 256,
            Self::Edit(edit) => edit.memory_bytes(),
            Self::Rebuild { .. } => STEP_BYTES,
        }
    }

    /// Whether both can be in one transaction.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rebuild { .. } | Self::Imported(_), _)
            | (_, Self::Rebuild { .. } | Self::Imported(_)) => false,
            (one, other) => one.is_edit() == other.is_edit(),
        }
    }

    /// Whether it changes what is stored, and brings nothing.
    pub(super) fn is_edit(&self) -> bool {
        matches!(self, Self::Edit(_))
    }

    /// Whether the store itself gives up when it takes too long.
    pub(super) fn times_itself(&self) -> bool {
        matches!(self, Self::Edit(_) | Self::Rebuild { .. })
    }

    /// About how many rows it writes.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Self::Telemetry(findings) => {
                1 + findings.series.len()
                    + findings
                        .traces
                        .iter()
                        .map(|trace| trace.sightings.len())
                        .sum::<usize>()
            }
            Self::Errors(errors) => errors.len(),
            Self::Imported(imported) => imported.errors.len() + imported.hours.len(),
            Self::Unlinked { counts, .. } => counts.len(),
            Self::Edit(edit) => edit.rows(),
            Self::Rebuild { .. } => 1,
        }
    }
}

/// About how many bytes of a sighting are written.
pub(super) fn sighting_bytes(sighting: &Sighting) -> usize {
    let content = sighting.content.as_deref().map_or(0, |content| {
        content.error_message.len()
            + content.error_stack.as_deref().map_or(0, str::len)
            + content.context.bytes()
    });
    size_of::<Sighting>() + 512 + content
}

fn error_bytes(error: &ApiError) -> usize {
    size_of::<ApiError>()
        + error.error_message.len()
        + error.error_stack.as_deref().map_or(0, str::len)
        + json_bytes(&error.context)
}

fn json_bytes(object: &serde_json::Map<String, serde_json::Value>) -> usize {
    fn value_bytes(value: &serde_json::Value) -> usize {
        match value {
            serde_json::Value::String(text) => 32 + text.len(),
            serde_json::Value::Array(items) => 32 + items.iter().map(value_bytes).sum::<usize>(),
            serde_json::Value::Object(object) => json_bytes(object),
            _ => 32,
        }
    }
    32 + object
        .iter()
        .map(|(key, value)| key.len() + 32 + value_bytes(value))
        .sum::<usize>()
}

/// How the records of a committed request count (`redspan_records_total`): each in one field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Made a new row.
    pub error: u64,
    /// Joined a failure that has its row.
    pub merged: u64,
    /// Were there already.
    pub duplicate: u64,
    /// Would be errors, had not a rule of the user dropped them.
    pub dropped: u64,
    /// Refused by the database for good.
    pub rejected: u64,
    /// Nothing failed.
    pub not_error: u64,
}

impl Tally {
    /// A record that was counted as no error made a row by itself, unless that is there already.
    pub(super) fn row(&mut self, outcome: plan::Outcome) {
        self.not_error = self.not_error.saturating_sub(1);
        match outcome {
            plan::Outcome::Duplicate => self.duplicate += 1,
            _ => self.error += 1,
        }
    }
}

/// What became of a piece of work.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Telemetry, committed, now or by an earlier request.
    Committed(Tally),
    /// Errors of application code, committed: for each whether it is new.
    Logged(Vec<bool>),
    /// What another ledger kept, committed.
    Taken(Taken),
    /// Done; how many hours changed.
    Hours(u64),
    /// An edit has left its answer.
    Edited,
    /// The database refuses a value: trying again is of no use.
    Refused(String),
    /// Not known to be committed: send it again.
    Unavailable(String),
}

/// Why work was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Too much is waiting.
    #[error("the queue to the database is full")]
    Full,
    /// The database is known to be away.
    #[error("the database is out of reach")]
    Unavailable,
    /// The process is stopping.
    #[error("redspan is stopping")]
    Stopping,
}

/// Work on its way, with the place it holds in the queue.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) work: Work,
    pub(super) waiting_since: Instant,
    pub(super) answer: oneshot::Sender<Outcome>,
    pub(super) bytes: usize,
    /// The span of the request that it came in.
    pub(super) request: Span,
    _place: Place,
}

/// What a piece of work takes of the queue, from the moment that it begins to be made.
#[derive(Debug)]
pub struct Place {
    space: Arc<Semaphore>,
    large: Arc<Semaphore>,
    /// Steps of the whole queue.
    capacity: usize,
    held: Option<OwnedSemaphorePermit>,
    is_large: Option<OwnedSemaphorePermit>,
}

impl Room for Place {
    /// A large one takes half of the queue at most, and grows on when it has that: whatever else
    /// arrives meanwhile has the other half, so that neither keeps the other out. What it takes beyond
    /// is bounded by the limits of a request, and there is one large one at a time.
    fn grow(&mut self, bytes: usize) -> bool {
        let held = self
            .held
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let wanted = bytes
            .div_ceil(STEP_BYTES)
            .clamp(1, (self.capacity / 2).max(1));
        if wanted <= held {
            return true;
        }
        if wanted > self.capacity / LARGE_PART && self.is_large.is_none() {
            self.is_large = Arc::clone(&self.large).try_acquire_owned().ok();
            if self.is_large.is_none() {
                return false;
            }
        }
        let Ok(more) = u32::try_from(wanted - held) else {
            return false;
        };
        match Arc::clone(&self.space).try_acquire_many_owned(more) {
            Ok(more) => {
                match &mut self.held {
                    Some(held) => held.merge(more),
                    none => *none = Some(more),
                }
                true
            }
            Err(_) => false,
        }
    }
}

/// The sending side, for everybody.
#[derive(Debug, Clone)]
pub struct CommitQueue {
    sender: mpsc::UnboundedSender<Item>,
    space: Arc<Semaphore>,
    /// Held by the one that is large.
    large: Arc<Semaphore>,
    capacity_bytes: usize,
    available: Arc<AtomicBool>,
    reachable: Arc<AtomicBool>,
    written: Arc<Written>,
}

impl CommitQueue {
    /// A queue for this many bytes, the flag by which the writer says whether the database is
    /// there, and the receiving side.
    pub(super) fn new(
        capacity_bytes: usize,
    ) -> (Self, mpsc::UnboundedReceiver<Item>, Arc<AtomicBool>) {
        // Unbounded in items, but each holds its bytes of the semaphore, at least one step.
        let (sender, receiver) = mpsc::unbounded_channel();
        let available = Arc::new(AtomicBool::new(true));
        let steps = (capacity_bytes / STEP_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        let queue = Self {
            sender,
            space: Arc::new(Semaphore::new(steps)),
            large: Arc::new(Semaphore::new(1)),
            capacity_bytes: steps * STEP_BYTES,
            available: Arc::clone(&available),
            reachable: Arc::new(AtomicBool::new(true)),
            written: Arc::default(),
        };
        (queue, receiver, available)
    }

    /// Hands work to the writer.
    ///
    /// # Errors
    /// At once, when it is not taken. A piece larger than the whole queue is taken when the queue is empty.
    pub fn submit(&self, work: Work) -> Result<oneshot::Receiver<Outcome>, NotTaken> {
        self.submit_at(self.reserve(), work)
    }

    /// A place for work that is still in the making.
    #[must_use]
    pub fn reserve(&self) -> Place {
        Place {
            space: Arc::clone(&self.space),
            large: Arc::clone(&self.large),
            capacity: self.capacity_bytes / STEP_BYTES,
            held: None,
            is_large: None,
        }
    }

    /// Hands work to the writer that has a place, as [`CommitQueue::submit`] does.
    ///
    /// # Errors
    /// As there.
    pub fn submit_at(
        &self,
        mut place: Place,
        work: Work,
    ) -> Result<oneshot::Receiver<Outcome>, NotTaken> {
        if !self.is_available() {
            return Err(NotTaken::Unavailable);
        }
        if !place.grow(work.memory_bytes()) {
            return Err(NotTaken::Full);
        }
        let (answer, outcome) = oneshot::channel();
        let item = Item {
            bytes: work.weight_bytes(),
            work,
            waiting_since: Instant::now(),
            answer,
            request: Span::current(),
            _place: place,
        };
        self.sender.send(item).map_err(|_| NotTaken::Stopping)?;
        Ok(outcome)
    }

    /// Whether there is no room for anything.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.space.available_permits() == 0
    }

    /// How full the queue is, for /metrics; holds no place and no sender.
    #[must_use]
    pub fn gauge(&self) -> QueueGauge {
        QueueGauge {
            space: Arc::clone(&self.space),
            capacity: (self.capacity_bytes / STEP_BYTES) as u64,
        }
    }

    /// What the writer says of its commits.
    #[must_use]
    pub fn written(&self) -> Arc<Written> {
        Arc::clone(&self.written)
    }

    /// Whether the database is thought to be there.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.available.load(Ordering::Acquire) && self.reachable.load(Ordering::Acquire)
    }

    /// Somebody who asks the database now and then says whether it answers.
    pub fn set_reachable(&self, reachable: bool) {
        self.reachable.store(reachable, Ordering::Release);
    }
}

/// How full the queue is, in records of 1 KiB.
#[derive(Debug, Clone)]
pub struct QueueGauge {
    space: Arc<Semaphore>,
    capacity: u64,
}

impl QueueGauge {
    /// Records that may wait.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Records that wait or are being written.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.capacity
            .saturating_sub(self.space.available_permits() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: usize = 64 * STEP_BYTES;

    #[test]
    fn a_place_grows_as_far_as_there_is_room_and_is_given_back() {
        let (queue, _receiver, _available) = CommitQueue::new(CAPACITY);
        let mut places: Vec<Place> = (0..8).map(|_| queue.reserve()).collect();
        assert!(places.iter_mut().all(|place| place.grow(4 * STEP_BYTES)));
        assert!(places.iter_mut().all(|place| place.grow(8 * STEP_BYTES)));
        assert_eq!(queue.gauge().waiting(), 64);
        assert!(queue.is_full() && !queue.reserve().grow(1));
        assert!(places[0].grow(STEP_BYTES), "what it has is enough");
        places.pop();
        assert!(!queue.is_full() && queue.reserve().grow(8 * STEP_BYTES));
        places.clear();
        assert_eq!(queue.gauge().waiting(), 0);
    }

    #[test]
    fn one_large_place_grows_to_half_the_queue_and_beyond_and_others_have_the_rest() {
        let (queue, _receiver, _available) = CommitQueue::new(CAPACITY);
        let mut large = queue.reserve();
        assert!(large.grow(9 * STEP_BYTES));
        let mut others: Vec<Place> = (0..4).map(|_| queue.reserve()).collect();
        assert!(!others[0].grow(9 * STEP_BYTES), "one is large already");
        assert!(others.iter_mut().all(|other| other.grow(8 * STEP_BYTES)));
        assert!(large.grow(CAPACITY) && large.grow(100 * CAPACITY));
        assert_eq!(queue.gauge().waiting(), 64);
        assert!(!queue.reserve().grow(1));
        others.pop();
        assert!(queue.reserve().grow(1), "the other half is for the others");
        drop(large);
        others.clear();
        assert_eq!(queue.gauge().waiting(), 0);
    }

    #[test]
    fn a_large_place_waits_while_others_have_more_than_half() {
        let (queue, _receiver, _available) = CommitQueue::new(CAPACITY);
        let mut others: Vec<Place> = (0..5).map(|_| queue.reserve()).collect();
        assert!(others.iter_mut().all(|other| other.grow(8 * STEP_BYTES)));
        let mut large = queue.reserve();
        assert!(!large.grow(CAPACITY));
        others.pop();
        assert!(large.grow(CAPACITY));
    }
}
