//! Everybody's side of the store: questions, never changes. Written once, for whichever database
//! speaks the shared dialect.

mod audit;
mod dialect;
mod errors;
mod figures;
mod groups;
mod holding;
mod hours;
mod matching;
pub(super) mod pipelines;
mod requests;
pub(super) mod rows;
mod run_figures;
mod run_statistics;
mod statement;
mod traces;
mod verify;

pub use audit::AuditRecord;
pub use dialect::Dialect;
pub use requests::RequestHour;
pub use statement::{Statement, as_stored};

pub(in crate::store) use errors::MAX_REDIRECTS;
pub(in crate::store) use rows::{ERROR_COLUMNS, GROUP_COLUMNS};
pub(in crate::store) use verify::{Counters, DURATION_COLUMNS};

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use dialect::Limit;
use sqlx::{Pool, Transaction};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use uuid::Uuid;

use crate::domain::{
    Aggregation, ApiError, AuditId, Category, ErrorGroup, ErrorId, Fingerprint, Hour, Severity,
    Sighting, StoredPart, Timestamp, TraceId, TraceKey,
};

use super::{
    AggregationFilter, AuditFilter, Cursor, ErrorFilter, ErrorStats, GroupFilter, GroupedErrors,
    HourErrors, LabelSets, Page, PageRequest, Reader, RequestFilter, StoreError, UserToForget,
    Verification,
};

/// How long a read waits for its turn.
const MAX_WAIT: Duration = Duration::from_secs(3);

/// Reads from one database. Every method sees one state of it.
#[derive(Debug, Clone)]
pub struct SqlReader<DB: Dialect> {
    pool: Pool<DB>,
    /// In place of what each read has.
    limit: Option<Limit>,
    /// Of which each read holds one; `None` when it need not wait for others.
    turns: Option<Arc<Semaphore>>,
}

/// One state of the database, and the turn in which it is read.
struct Snapshot<DB: Dialect> {
    transaction: Transaction<'static, DB>,
    _turn: Option<OwnedSemaphorePermit>,
}

impl<DB: Dialect> Deref for Snapshot<DB> {
    type Target = Transaction<'static, DB>;

    fn deref(&self) -> &Self::Target {
        &self.transaction
    }
}

impl<DB: Dialect> DerefMut for Snapshot<DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.transaction
    }
}

/// Has a [`SqlReader`], and so is a [`Reader`].
pub trait ReadsSql: Send + Sync + 'static {
    /// The database's kind.
    type Database: Dialect;

    /// The reader.
    fn reader(&self) -> &SqlReader<Self::Database>;
}

impl<DB: Dialect> ReadsSql for SqlReader<DB> {
    type Database = DB;

    fn reader(&self) -> &Self {
        self
    }
}

#[async_trait]
impl<T: ReadsSql> Reader for T {
    fn patient(&self) -> Box<dyn Reader> {
        Box::new(SqlReader {
            pool: self.reader().pool.clone(),
            limit: Some(Limit::None),
            turns: None,
        })
    }

    fn taking_turns(&self, at_once: usize) -> Box<dyn Reader> {
        Box::new(SqlReader {
            pool: self.reader().pool.clone(),
            limit: self.reader().limit,
            turns: Some(Arc::new(Semaphore::new(at_once))),
        })
    }

    async fn get_trace(&self, trace: TraceId) -> Result<Vec<StoredPart>, StoreError> {
        self.reader().get_trace(trace).await
    }

    async fn open_traces(
        &self,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<(TraceKey, Timestamp)>, StoreError> {
        self.reader().open_traces(since, limit).await
    }

    async fn open_among(
        &self,
        traces: &[TraceKey],
        since: Timestamp,
    ) -> Result<Vec<TraceKey>, StoreError> {
        self.reader().open_among(traces, since).await
    }

    async fn get_errors(
        &self,
        filter: &ErrorFilter,
        page: &PageRequest,
    ) -> Result<Page<ApiError>, StoreError> {
        self.reader().get_errors(filter, page).await
    }

    async fn get_matching_ids(
        &self,
        filter: &ErrorFilter,
        page: &PageRequest,
    ) -> Result<Page<ErrorId>, StoreError> {
        self.reader().get_matching_ids(filter, page).await
    }

    async fn count_errors(&self, filter: &ErrorFilter) -> Result<i64, StoreError> {
        self.reader().count_errors(filter).await
    }

    async fn get_error_by_id(&self, id: ErrorId) -> Result<Option<ApiError>, StoreError> {
        self.reader().get_error_by_id(id).await
    }

    async fn get_errors_by_ids(
        &self,
        ids: &[ErrorId],
    ) -> Result<Vec<(ErrorId, ApiError)>, StoreError> {
        self.reader().get_errors_by_ids(ids).await
    }

    async fn get_error_stats(&self, filter: &ErrorFilter) -> Result<ErrorStats, StoreError> {
        self.reader().get_error_stats(filter).await
    }

    async fn get_error_ids(
        &self,
        first: ErrorId,
        last: ErrorId,
        limit: u32,
    ) -> Result<Vec<ErrorId>, StoreError> {
        self.reader().get_error_ids(first, last, limit).await
    }

    async fn get_error_stats_by_hour(
        &self,
        filter: &ErrorFilter,
    ) -> Result<(ErrorStats, Vec<HourErrors>), StoreError> {
        self.reader().get_error_stats_by_hour(filter).await
    }

    async fn get_errors_by_group(
        &self,
        filter: &ErrorFilter,
        page: &PageRequest,
    ) -> Result<Page<GroupedErrors>, StoreError> {
        self.reader().get_errors_by_group(filter, page).await
    }

    async fn get_group(&self, fingerprint: &Fingerprint) -> Result<Option<ErrorGroup>, StoreError> {
        self.reader().get_group(fingerprint).await
    }

    async fn get_sightings(&self, trace: TraceKey) -> Result<Vec<Sighting>, StoreError> {
        self.reader().get_sightings(trace).await
    }

    async fn traces_holding(
        &self,
        text: &str,
        after: Option<TraceKey>,
        limit: u32,
    ) -> Result<Vec<TraceKey>, StoreError> {
        self.reader().traces_holding(text, after, limit).await
    }

    async fn audit_holding(
        &self,
        text: &str,
        after: Option<AuditId>,
        limit: u32,
    ) -> Result<Vec<AuditId>, StoreError> {
        self.reader().audit_holding(text, after, limit).await
    }

    async fn errors_resolved_by(
        &self,
        name: &str,
        after: Option<ErrorId>,
        limit: u32,
    ) -> Result<Vec<ErrorId>, StoreError> {
        self.reader().errors_resolved_by(name, after, limit).await
    }

    async fn users_to_forget(
        &self,
        asked_before: Timestamp,
    ) -> Result<Vec<UserToForget>, StoreError> {
        self.reader().users_to_forget(asked_before).await
    }

    async fn latest_request_hour(&self) -> Result<Option<Hour>, StoreError> {
        self.reader().latest_request_hour().await
    }

    async fn get_aggregations(
        &self,
        filter: &AggregationFilter,
        page: &PageRequest,
    ) -> Result<Page<Aggregation>, StoreError> {
        self.reader().get_aggregations(filter, page).await
    }

    async fn count_aggregations(&self, filter: &AggregationFilter) -> Result<i64, StoreError> {
        self.reader().count_aggregations(filter).await
    }

    async fn get_groups(
        &self,
        filter: &GroupFilter,
        page: &PageRequest,
    ) -> Result<Page<ErrorGroup>, StoreError> {
        self.reader().get_groups(filter, page).await
    }

    async fn count_groups(&self, filter: &GroupFilter) -> Result<i64, StoreError> {
        self.reader().count_groups(filter).await
    }

    async fn get_requests(
        &self,
        filter: &RequestFilter,
        page: &PageRequest,
    ) -> Result<Page<RequestHour>, StoreError> {
        self.reader().get_requests(filter, page).await
    }

    async fn count_requests(&self, filter: &RequestFilter) -> Result<i64, StoreError> {
        self.reader().count_requests(filter).await
    }

    async fn get_audit(
        &self,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError> {
        self.reader().get_audit(filter, page).await
    }

    async fn count_audit(&self, filter: &AuditFilter) -> Result<i64, StoreError> {
        self.reader().count_audit(filter).await
    }

    async fn verify_aggregations(
        &self,
        from: Option<Hour>,
        to: Option<Hour>,
        now: Timestamp,
    ) -> Result<Verification, StoreError> {
        self.reader().verify_aggregations(from, to, now).await
    }

    async fn error_label_sets(&self, since: Hour, ids: u32) -> Result<LabelSets, StoreError> {
        self.reader().error_label_sets(since, ids).await
    }

    async fn request_label_sets(&self, since: Hour, ids: u32) -> Result<LabelSets, StoreError> {
        self.reader().request_label_sets(since, ids).await
    }

    async fn unresolved(&self) -> Result<Vec<(String, Severity, Category, i64)>, StoreError> {
        self.reader().unresolved().await
    }
}

impl<DB: Dialect> SqlReader<DB> {
    /// Reads through these connections. On SQLite they are read-only.
    #[must_use]
    pub fn new(pool: Pool<DB>) -> Self {
        Self {
            pool,
            limit: None,
            turns: None,
        }
    }

    /// The same without time limits of its own: the connections keep what was set on them, which on
    /// SQLite may be a progress handler.
    #[must_use]
    pub fn without_limits(pool: Pool<DB>) -> Self {
        Self {
            pool,
            limit: Some(Limit::Unchanged),
            turns: None,
        }
    }

    async fn snapshot(
        &self,
        limit: Limit,
        during: &'static str,
    ) -> Result<Snapshot<DB>, StoreError> {
        let turn = match &self.turns {
            Some(turns) => {
                let turn = timeout(MAX_WAIT, Arc::clone(turns).acquire_owned()).await;
                let turn = turn.ok().and_then(Result::ok);
                Some(turn.ok_or_else(|| StoreError::of(during, sqlx::Error::PoolTimedOut))?)
            }
            None => None,
        };
        let transaction = DB::snapshot(&self.pool, self.limit.unwrap_or(limit))
            .await
            .map_err(|error| StoreError::of(during, error))?;
        Ok(Snapshot {
            transaction,
            _turn: turn,
        })
    }

    /// The one number that a statement answers, as `total`.
    async fn count(
        &self,
        statement: Statement<DB>,
        during: &'static str,
    ) -> Result<i64, StoreError> {
        let mut snapshot = self.snapshot(Limit::Page, during).await?;
        let totals = statement
            .all(&mut snapshot, |row| DB::get(row, "total"))
            .await
            .map_err(|error| StoreError::of(during, error))?;
        end(snapshot).await;
        Ok(totals.into_iter().next().unwrap_or_default())
    }
}

/// Ends a snapshot. Nothing was changed, so nothing depends on how it ends.
async fn end<DB: Dialect>(snapshot: Snapshot<DB>) {
    if let Err(error) = snapshot.transaction.rollback().await {
        tracing::debug!(%error, "a reading transaction ended with its connection");
    }
}

/// Ends the statement with the page's bounds, one item more than asked for: it tells whether the
/// page is the last.
fn bound_page<DB: Dialect>(statement: &mut Statement<DB>, page: &PageRequest) {
    let limit = page.limit.clamp(1, PageRequest::MAX_LIMIT);
    statement.with(" LIMIT ", i64::from(limit) + 1);
    if page.after.is_none() && page.offset > 0 {
        statement.with(" OFFSET ", i64::from(page.offset));
    }
}

/// The page of what was read, at most one item too many.
fn into_page<T>(mut items: Vec<T>, page: &PageRequest, cursor: impl Fn(&T) -> Cursor) -> Page<T> {
    let limit = page.limit.clamp(1, PageRequest::MAX_LIMIT) as usize;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(cursor);
    Page { items, next }
}

/// The id in a cursor of rows that are named by a UUID. A cursor that somebody made up points
/// to the beginning of its instant.
fn cursor_uuid(cursor: &Cursor) -> Uuid {
    Uuid::try_parse(&cursor.id).unwrap_or(Uuid::nil())
}
