//! The writer's side on PostgreSQL: one connection, arrays unnested in the order of their keys, so
//! that no two writers wait for each other in a circle. A call that gets no answer in time gives
//! the connection up.

mod apply;
mod session;

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::error::Elapsed;

use self::{apply::AT_ONCE, session::Session};
use super::{Access, open::script};
use crate::{
    domain::{ApiError, Endings, ErrorId, Fingerprint, Hour, ImportKey, RequestDigest, Timestamp},
    store::{
        AggregationDelta, Changes, GroupState, ImportedHour, Ingest, MetricTotal, StoreError,
        StoredTrace, TraceIdentity, edit::AnyEdit,
    },
};

/// So many statements' time edits may take together, beside the server's limit for each: whoever
/// waits longer has lost the server, and telemetry waits behind it.
const EDIT_TIME: usize = 3;

/// How much longer than the server's limit for a statement we wait for its answer.
const GRACE: Duration = Duration::from_millis(500);

/// The connection that writes.
pub(super) struct PostgresIngest {
    /// `None` when the connection was lost.
    session: Option<Session>,
    /// How long one call may take.
    limit: Duration,
}

/// Calls a method of the session, in time (so many statements' time), and gives the connection up
/// when it is lost.
macro_rules! timed {
    ($ingest:ident, $during:literal, $work:ident($($argument:expr),*)) => {
        timed!($ingest, $during, 0, $work($($argument),*))
    };
    ($ingest:ident, $during:literal, $items:expr, $work:ident($($argument:expr),*)) => {{
        let statements = u32::try_from($items / AT_ONCE).unwrap_or(u32::MAX);
        let limit = $ingest.limit.saturating_mul(statements.saturating_add(1));
        let Some(session) = &mut $ingest.session else {
            return Err(StoreError::given_up($during));
        };
        let outcome = tokio::time::timeout(limit, session.$work($($argument),*)).await;
        $ingest.settle($during, outcome)
    }};
}

impl PostgresIngest {
    pub(super) async fn open(access: &Access) -> Result<Self, StoreError> {
        Ok(Self {
            session: Some(Session::open(access).await?),
            limit: access.statement_timeout + GRACE,
        })
    }

    fn settle<T>(
        &mut self,
        during: &'static str,
        outcome: Result<Result<T, StoreError>, Elapsed>,
    ) -> Result<T, StoreError> {
        let outcome = outcome.unwrap_or_else(|_| Err(StoreError::no_answer(during)));
        if let Err(error) = &outcome {
            if error.lost_connection() {
                self.session = None;
            } else if let Some(session) = &mut self.session {
                session.failed = true;
            }
        }
        outcome
    }
}

#[async_trait]
impl Ingest for PostgresIngest {
    async fn claim_writer(&mut self, name: &str, now: Timestamp) -> Result<i64, StoreError> {
        timed!(self, "claim the writer's name", claim_writer(name, now))
    }

    async fn see_writer(
        &mut self,
        name: &str,
        epoch: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        timed!(self, "see the writer", see_writer(name, epoch, now))
    }

    async fn load_metric_totals(&mut self, writer: &str) -> Result<Vec<MetricTotal>, StoreError> {
        timed!(self, "read metric_totals", load_metric_totals(writer))
    }

    async fn known_digests(
        &mut self,
        digests: &[RequestDigest],
    ) -> Result<Vec<RequestDigest>, StoreError> {
        timed!(self, "read request_ledger", known_digests(digests))
    }

    async fn register_users(&mut self, users: &[String], now: Timestamp) -> Result<(), StoreError> {
        timed!(self, "register users", register_users(users, now))
    }

    async fn begin(&mut self) -> Result<(), StoreError> {
        timed!(self, "begin", begin())
    }

    async fn hold_writer(&mut self, name: &str, epoch: i64) -> Result<bool, StoreError> {
        timed!(self, "check the writer's name", hold_writer(name, epoch))
    }

    async fn insert_ledger(
        &mut self,
        digests: &[RequestDigest],
        now: Timestamp,
    ) -> Result<Vec<RequestDigest>, StoreError> {
        timed!(
            self,
            "insert into request_ledger",
            insert_ledger(digests, now)
        )
    }

    async fn lock_traces(
        &mut self,
        traces: &[TraceIdentity],
        now: Timestamp,
    ) -> Result<Vec<StoredTrace>, StoreError> {
        timed!(
            self,
            "lock error_traces",
            traces.len(),
            lock_traces(traces, now)
        )
    }

    async fn read_errors(&mut self, ids: &[ErrorId]) -> Result<Vec<ApiError>, StoreError> {
        timed!(self, "read api_errors", read_errors(ids))
    }

    async fn known_errors(&mut self, ids: &[ErrorId]) -> Result<Vec<ErrorId>, StoreError> {
        timed!(self, "read api_errors", known_errors(ids))
    }

    async fn lock_groups(
        &mut self,
        fingerprints: &[Fingerprint],
    ) -> Result<Vec<GroupState>, StoreError> {
        timed!(self, "lock error_groups", lock_groups(fingerprints))
    }

    async fn apply(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let rows = changes.inserted.len() + changes.updated.len() + changes.traces.len();
        let counts = changes.groups.len() + changes.users.len() + changes.aggregations.len();
        let items = rows + counts;
        timed!(self, "write a group", items, apply(changes))
    }

    async fn audit_unlinked(
        &mut self,
        given: &[(&str, &AggregationDelta)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        timed!(self, "write the audit log", audit_unlinked(given, now))
    }

    async fn rebuild_aggregations(
        &mut self,
        from: Option<Hour>,
        to: Option<Hour>,
        actor: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut changed = 0;
        let mut at = from.map_or(Timestamp::from_micros(i64::MIN), Hour::start);
        loop {
            let step = timed!(self, "rebuild hours", rebuild_next(at, to, actor, now))?;
            let Some((hour, changed_rows)) = step else {
                return Ok(changed);
            };
            changed += changed_rows;
            at = hour.end();
        }
    }

    async fn take_over(&mut self, keys: &[ImportKey]) -> Result<Vec<ImportKey>, StoreError> {
        timed!(self, "remember what is imported", take_over(keys))
    }

    async fn count_imported(
        &mut self,
        hours: &[ImportedHour],
    ) -> Result<Vec<ImportedHour>, StoreError> {
        timed!(self, "remember what is imported", count_imported(hours))
    }

    async fn edit(
        &mut self,
        edits: &[&dyn AnyEdit],
        now: Timestamp,
    ) -> Result<Endings, StoreError> {
        timed!(self, "make edits", EDIT_TIME * AT_ONCE, edit(edits, now))
    }

    async fn edit_within(
        &mut self,
        edit: &dyn AnyEdit,
        now: Timestamp,
    ) -> Result<Endings, StoreError> {
        timed!(
            self,
            "make an edit",
            EDIT_TIME * AT_ONCE,
            edit_within(edit, now)
        )
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        let committed = timed!(self, "commit", commit());
        match committed {
            // No answer to COMMIT is no answer to whether it happened.
            Err(StoreError::Unavailable { source, .. }) if self.session.is_none() => {
                Err(StoreError::UnknownOutcome { source })
            }
            committed => committed,
        }
    }

    async fn rollback(&mut self) {
        let Some(session) = &mut self.session else {
            return;
        };
        if !session.in_transaction {
            session.failed = false;
            return;
        }
        let ended = tokio::time::timeout(self.limit, script(&mut session.connection, "ROLLBACK"));
        if matches!(ended.await, Ok(Ok(()))) {
            session.in_transaction = false;
            session.failed = false;
        } else {
            self.session = None;
        }
    }

    async fn prune_ledger(&mut self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        timed!(self, "prune request_ledger", prune_ledger(before, limit))
    }
}
