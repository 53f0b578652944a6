//! The one task that changes errors, hours and totals. It takes what is waiting, never waiting for
//! more, and makes it one transaction; whoever handed it in hears after COMMIT.

mod transaction;
mod upkeep;

use std::{
    collections::HashSet,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use crate::{
    clock,
    domain::{RequestDigest, TraceKey},
    metrics::Metrics,
    store::{Ingest, MetricTotal, SharedStore, StoreError},
    telemetry,
};

use super::{
    failpoint,
    group::{self, Refusable},
    imported::Taken,
    open::OpenTraceSet,
    plan::{self, HourlyLabelSets, UserHasher},
    queue::{self, CommitQueue, Item, Outcome, Work},
    seen::SeenEntries,
    written::Written,
};

/// A group ends at this many rows or bytes.
const GROUP_ROWS: usize = 1_000;
const GROUP_BYTES: usize = 1024 * 1024;

/// How many entry spans are remembered, and how long.
const SEEN_ENTRIES: usize = 1_000_000;
const SEEN_TIME: Duration = Duration::from_mins(15);

/// How often a database that is away is tried again.
const PROBE_EVERY: Duration = Duration::from_millis(500);

/// How often a writer without work looks whether its name is still its own: until it knows, /metrics
/// shows counters that another process shows too.
const CHECK_NAME_EVERY: Duration = Duration::from_secs(1);

/// How often a transaction that collided, or whose connection went, is tried again.
const ATTEMPTS: u32 = 5;

/// Requests of the ledger are forgotten this often.
const PRUNE_EVERY: Duration = Duration::from_mins(1);

/// How the writer works.
#[derive(Clone, Debug)]
pub struct WriterSettings {
    /// Under which name it counts.
    pub name: String,
    /// Bytes of work that may wait.
    pub queue_bytes: usize,
    /// After this time an attempt on a database server is given up and its connection with it; its
    /// outcome is then unknown. `None` for a file, which cannot be abandoned.
    pub attempt_timeout: Option<Duration>,
    /// Above this age nobody waits for an answer any more.
    pub answer_timeout: Duration,
    /// How long requests are remembered, so that one that is sent again is counted once.
    pub ledger: Duration,
}

/// What the writer works with.
pub struct WriterParts {
    /// The database.
    pub store: SharedStore,
    /// The mirror of what was committed, and what this process did.
    pub metrics: Arc<Metrics>,
    /// The open traces.
    pub open: Arc<OpenTraceSet>,
    /// Hash of users.
    pub users: UserHasher,
    /// The hours' label sets of errors.
    pub error_labels: HourlyLabelSets,
    /// The hours' label sets of requests.
    pub request_labels: HourlyLabelSets,
}

/// The one writer. [`Writer::run`] is its task.
pub struct Writer {
    parts: WriterParts,
    settings: WriterSettings,
    receiver: mpsc::UnboundedReceiver<Item>,
    /// Taken from the queue already, to be written by itself.
    next: Option<Item>,
    available: Arc<AtomicBool>,
    written: Arc<Written>,
    session: Option<Session>,
    /// The name under which it counts; another than the settings' when that was lost.
    name: String,
    seen: SeenEntries,
    registered: HashSet<String>,
    lost: Vec<LostRequest>,
    failures: u32,
    /// What `redspan_series_overflow_total` knows of hourly label sets.
    folded: u64,
    connected_since: Instant,
    prune_due: Instant,
}

/// A connection on which the writer's name is claimed.
struct Session {
    connection: Box<dyn Ingest>,
    epoch: i64,
}

/// A request whose COMMIT had an unknown outcome.
struct LostRequest {
    digest: RequestDigest,
    entry_keys: Vec<u64>,
}

/// What one committed transaction did.
struct Done {
    outcomes: Vec<Outcome>,
    trace_keys: Vec<TraceKey>,
}

/// What a group has changed, and what has to be told apart after its COMMIT.
struct Changed {
    metrics: Vec<MetricTotal>,
    effects: plan::Effects,
    records: Vec<group::TraceRecords>,
    trace_keys: Vec<TraceKey>,
    taken: Taken,
}

/// Whether to write for good, or only to see whether the database takes it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Commit,
    Trial,
}

impl Writer {
    /// The writer and the queue that leads to it.
    #[must_use]
    pub fn new(parts: WriterParts, settings: WriterSettings) -> (Self, CommitQueue) {
        let (queue, receiver, available) = CommitQueue::new(settings.queue_bytes);
        let writer = Self {
            name: settings.name.clone(),
            parts,
            settings,
            receiver,
            next: None,
            available,
            written: queue.written(),
            session: None,
            seen: SeenEntries::new(SEEN_ENTRIES, SEEN_TIME, Instant::now()),
            registered: HashSet::new(),
            lost: Vec::new(),
            failures: 0,
            folded: 0,
            connected_since: Instant::now(),
            prune_due: Instant::now() + PRUNE_EVERY,
        };
        (writer, queue)
    }

    /// Connects and claims the name, so that a start with a wrong database fails at once.
    ///
    /// # Errors
    /// What the database says.
    pub async fn open(&mut self) -> Result<(), StoreError> {
        let session = self.session().await?;
        self.session = Some(session);
        Ok(())
    }

    /// Works until every sender of the queue is gone and the queue is empty.
    ///
    /// # Errors
    /// When the database file is broken or damaged: the process must not go on with it.
    pub async fn run(mut self) -> Result<(), StoreError> {
        loop {
            let first = if let Some(next) = self.next.take() {
                Some(next)
            } else {
                let Ok(item) = timeout(self.pause(), self.receiver.recv()).await else {
                    self.keep_house().await?;
                    continue;
                };
                item
            };
            let Some(first) = first else { return Ok(()) };
            // The first request wakes this task before others that are ready have had their turn.
            // Letting them is no waiting: with nothing else to do it costs nothing.
            tokio::task::yield_now().await;
            let group = self.gather(first);
            self.write(group).await?;
            if self.is_connected() && Instant::now() >= self.prune_due {
                self.prune().await?;
            }
        }
    }

    /// How long to wait for work before something else is to be done.
    fn pause(&self) -> Duration {
        if !self.is_connected() {
            PROBE_EVERY
        } else if self.parts.store.is_shared() {
            CHECK_NAME_EVERY
        } else {
            PRUNE_EVERY
        }
    }

    /// The first item and what is waiting behind it, up to a group's size.
    fn gather(&mut self, first: Item) -> Vec<Item> {
        let (mut rows, mut bytes) = (first.work.rows(), first.bytes);
        let mut group = vec![first];
        while rows < GROUP_ROWS && bytes < GROUP_BYTES {
            let Ok(item) = self.receiver.try_recv() else {
                break;
            };
            if !group[0].work.goes_with(&item.work) {
                self.next = Some(item);
                break;
            }
            rows += item.work.rows();
            bytes += item.bytes;
            group.push(item);
        }
        group
    }

    /// Writes a group and answers everybody in it. A group with a value that the database refuses
    /// is halved until the one with that value stands alone.
    async fn write(&mut self, group: Vec<Item>) -> Result<(), StoreError> {
        let mut groups = vec![group];
        while let Some(mut group) = groups.pop() {
            // Whoever has stopped waiting was told to send it again.
            group.retain(|item| {
                !item.answer.is_closed()
                    && item.waiting_since.elapsed() < self.settings.answer_timeout
            });
            if group.is_empty() {
                continue;
            }
            let works: Vec<&Work> = group.iter().map(|item| &item.work).collect();
            let span = telemetry::commit_span(first_span(&group), works.len());
            match self.commit(&works, &HashSet::new(), span).await {
                Ok(outcomes) => {
                    for (item, outcome) in group.into_iter().zip(outcomes) {
                        // Nobody may be waiting any more; the work is committed all the same.
                        drop(item.answer.send(outcome));
                    }
                }
                Err(StoreError::Refused { .. }) if group.len() > 1 => {
                    let second = group.split_off(group.len() / 2);
                    groups.push(second);
                    groups.push(group);
                }
                Err(StoreError::Refused { source, .. }) => {
                    let outcome = self.without_refused_traces(&group[0], source).await;
                    answer_all(group, &outcome?);
                }
                Err(error) => {
                    let outcome = Outcome::Unavailable(error.to_string());
                    answer_all(group, &outcome);
                    if is_fatal(&error) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// One request that the database refuses: the traces and rows that it refuses are found by halving, in
    /// transactions that are rolled back, and the rest is committed.
    async fn without_refused_traces(
        &mut self,
        item: &Item,
        source: sqlx::Error,
    ) -> Result<Outcome, StoreError> {
        let work = &item.work;
        let Work::Telemetry(findings) = work else {
            return Ok(Outcome::Refused(refusal(&source)));
        };
        let mut refused = HashSet::new();
        let all = Refusable::all(findings);
        let everything: HashSet<Refusable> = all.iter().copied().collect();
        match self.attempt(&[work], &everything, Purpose::Trial).await {
            Ok(_) => {}
            // It is in neither.
            Err(StoreError::Refused { .. }) => return Ok(Outcome::Refused(refusal(&source))),
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => return Ok(Outcome::Unavailable(error.to_string())),
        }
        let mut halves = vec![all.clone()];
        while let Some(half) = halves.pop() {
            let others: HashSet<Refusable> = all
                .iter()
                .filter(|key| !half.contains(key))
                .copied()
                .collect();
            match self.attempt(&[work], &others, Purpose::Trial).await {
                Ok(_) => {}
                Err(StoreError::Refused { .. }) if half.len() > 1 => {
                    let (left, right) = half.split_at(half.len() / 2);
                    halves.extend([left.to_vec(), right.to_vec()]);
                }
                Err(StoreError::Refused { .. }) => refused.extend(half),
                Err(error) if is_fatal(&error) => return Err(error),
                Err(error) => return Ok(Outcome::Unavailable(error.to_string())),
            }
        }
        tracing::warn!(parts = refused.len(), %source, "the database refuses values of these traces or log records; the rest is stored");
        let span = telemetry::commit_span(&item.request, 1);
        match self.commit(&[work], &refused, span).await {
            Ok(mut outcomes) => Ok(outcomes
                .pop()
                .unwrap_or_else(|| Outcome::Unavailable(source.to_string()))),
            Err(error) if is_fatal(&error) => Err(error),
            Err(StoreError::Refused { source, .. }) => Ok(Outcome::Refused(refusal(&source))),
            Err(error) => Ok(Outcome::Unavailable(error.to_string())),
        }
    }

    /// Commits works in one transaction, trying again what may succeed at once.
    async fn commit(
        &mut self,
        works: &[&Work],
        refused: &HashSet<Refusable>,
        span: Span,
    ) -> Result<Vec<Outcome>, StoreError> {
        let committed = self.commit_untold(works, refused);
        let result = committed.instrument(span.clone()).await;
        if let Err(error) = &result {
            telemetry::note_failure(&span, error);
        }
        result
    }

    async fn commit_untold(
        &mut self,
        works: &[&Work],
        refused: &HashSet<Refusable>,
    ) -> Result<Vec<Outcome>, StoreError> {
        let started = Instant::now();
        let mut attempt = 0;
        let result = loop {
            attempt += 1;
            let result = self.attempt(works, refused, Purpose::Commit).await;
            let Err(error) = &result else { break result };
            let again = match error {
                StoreError::Collision { .. } => true,
                StoreError::Unavailable {
                    connection_lost, ..
                } => *connection_lost && attempt == 1,
                StoreError::Refused { foreign_key, .. } => *foreign_key && attempt == 1,
                _ => false,
            };
            if !again || attempt >= ATTEMPTS || started.elapsed() * 2 > self.settings.answer_timeout
            {
                break result;
            }
            sleep(jitter(attempt)).await;
        };
        self.note_health(result.as_ref().err());
        if matches!(result, Ok(_) | Err(StoreError::UnknownOutcome { .. })) {
            self.written.note(works);
        }
        let done = result?;
        let rows = works.iter().map(|work| work.rows()).sum();
        self.parts
            .metrics
            .process
            .commits
            .observe(started.elapsed(), rows);
        self.parts.open.open(done.trace_keys, clock::now());
        Ok(done.outcomes)
    }

    /// One attempt. The connection is this attempt's own: when it is given up or fails badly, it goes.
    async fn attempt(
        &mut self,
        works: &[&Work],
        refused: &HashSet<Refusable>,
        purpose: Purpose,
    ) -> Result<Done, StoreError> {
        let mut session = match self.session.take() {
            Some(session) if self.lost.is_empty() => session,
            other => {
                drop(other);
                self.session_again().await?
            }
        };
        let give_up_after = self.give_up_after(works);
        let transaction = self.transaction(&mut session, works, refused, purpose);
        let result = match give_up_after {
            Some(limit) => timeout(limit, transaction).await.unwrap_or_else(|_| {
                Err(StoreError::UnknownOutcome {
                    source: sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()),
                })
            }),
            None => transaction.await,
        };
        if result.is_ok() && purpose == Purpose::Commit {
            self.seen.keep_admitted(Instant::now());
        } else {
            self.seen.forget_admitted();
            // Their registration may be gone with the transaction.
            self.registered.clear();
        }
        match &result {
            Ok(_) => self.session = Some(session),
            Err(StoreError::UnknownOutcome { .. }) => self.remember_lost(works),
            Err(
                StoreError::Unavailable {
                    connection_lost: true,
                    ..
                }
                | StoreError::Broken { .. },
            ) => {}
            Err(_) => {
                session.connection.rollback().await;
                self.session = Some(session);
            }
        }
        result
    }

    /// How long an attempt may take: longer for many rows. Edits, and counting hours again, have
    /// limits of their own for each of their statements.
    fn give_up_after(&self, works: &[&Work]) -> Option<Duration> {
        let limit = self.settings.attempt_timeout?;
        if works.iter().any(|work| work.times_itself()) {
            return None;
        }
        let rows: usize = works.iter().map(|work| work.rows()).sum();
        let thousands = u32::try_from(rows / GROUP_ROWS).unwrap_or(u32::MAX);
        Some(limit.saturating_mul(thousands.saturating_add(1)))
    }
}

/// The span of the first request that has one.
fn first_span(group: &[Item]) -> &Span {
    static NONE: Span = Span::none();
    let mut spans = group.iter().map(|item| &item.request);
    spans.find(|span| !span.is_none()).unwrap_or(&NONE)
}

fn answer_all(group: Vec<Item>, outcome: &Outcome) {
    for item in group {
        drop(item.answer.send(outcome.clone()));
    }
}

/// After these the process must end: its handle of the file is not to be trusted.
/// Why the database refuses something, in its own words.
fn refusal(source: &sqlx::Error) -> String {
    match source.as_database_error() {
        Some(refused) => refused.message().to_owned(),
        None => source.to_string(),
    }
}

fn is_fatal(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Broken { .. }
            | StoreError::Corrupt(_)
            | StoreError::InUse(_)
            | StoreError::Configuration(_)
    )
}

/// 5 to 10 ms, doubled with each attempt; from the random end of a UUID, which is at hand.
pub(super) fn jitter(attempt: u32) -> Duration {
    let random = u64::from(Uuid::now_v7().as_bytes()[15]);
    Duration::from_micros((5_000 + random * 20) << attempt.min(5))
}
