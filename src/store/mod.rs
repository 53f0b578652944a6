//! The only place that knows SQL. `ingest` is the writer's side: one transaction for each group of
//! requests, driven by a list of changes; `reader` is everybody else's.

mod changes;
mod checks;
mod connect;
pub mod edit;
mod effects;
mod error;
mod filter;
mod imported;
pub mod migrate;
mod new_error;
mod object;
mod pipelines;
pub mod postgres;
mod reader;
mod rebuild;
mod repository;
mod rows;
pub mod sqlite;
mod types;

pub use changes::{
    AggregationDelta, Changes, GroupDelta, GroupState, Labels, MetricFamily, MetricTotal,
    Regression, RequestTotalsDelta, StoredTrace, TraceIdentity, TraceWrite, UserDelta,
};
pub(crate) use connect::without_secrets;
pub use connect::{DatabaseSettings, backup, connect, connect_reader};
pub use error::StoreError;
pub use filter::{
    AggregationFilter, AuditFilter, Check, Cursor, EndpointErrors, ErrorFilter, ErrorStats,
    GroupFilter, GroupedErrors, HourErrors, LatestError, Mismatch, NoCursor, Page, PageRequest,
    RequestFilter, Verification,
};
pub use imported::ImportedHour;
pub use new_error::{InvalidField, NewApiError};
pub use object::Object;
pub use pipelines::{
    Created, EndedInWindow, GenerationPipelineRepository, GroupedRuns, MergeRuns, NewPipeline,
    NewStage, Patch, PipelineFailure, PipelineFilter, PipelinePatch, PipelineReader,
    PipelineStatistics, RunFigures, RunStatistics, RunsBy, StagePatch, StageStatistics,
};
pub use reader::{AuditRecord, Dialect, ReadsSql, RequestHour, SqlReader};

use reader::as_stored;
pub(crate) use repository::invalid_resolution;
pub use repository::{
    ApiErrorRepository, ErrorWriter, Logged, RepositoryError, UnlinkedErrors, WriteError,
};

use std::sync::Arc;

use async_trait::async_trait;

use edit::AnyEdit;

use crate::domain::{
    Aggregation, ApiError, AuditId, Endings, ErrorGroup, ErrorId, Fingerprint, Hour, ImportKey,
    RequestDigest, Sighting, StoredPart, Timestamp, TraceId, TraceKey,
};

/// One database, SQLite or PostgreSQL.
#[async_trait]
pub trait Store: Reader {
    /// `sqlite` or `postgresql`, and where, without secrets: for people.
    fn describe(&self) -> String;

    /// Whether other processes may write to it too.
    fn is_shared(&self) -> bool;

    /// A connection for the writer task, the only one that changes errors and hours. On SQLite
    /// there is one in the process.
    async fn writer(&self) -> Result<Box<dyn Ingest>, StoreError>;

    /// Whether the database answers. How long that may take is the caller's to say.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Looks for damage where the start had no time to look; returns at once when there is nothing
    /// left. May take minutes, and may be dropped.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] says what is damaged, the others that nobody knows.
    async fn finish_check(&self) -> Result<(), StoreError>;

    /// The key of the hash by which users are counted ([`crate::domain::UserKey`]): random, made
    /// when the database is first opened, the same in every process on it.
    fn user_hash_key(&self) -> [u8; 16];

    /// Closes every connection; on SQLite folds the write-ahead log into the file.
    async fn close(&self);
}

/// The label sets that hours have already.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelSets {
    /// How many each service has in each hour.
    pub counts: Vec<(Hour, String, i64)>,
    /// Which those of the latest hours are. Those of requests are named as [`crate::domain::Series`]
    /// are as dimensions.
    pub ids: Vec<(Hour, crate::domain::AggregationId)>,
}

/// A user whom somebody asked to forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserToForget {
    /// Whom.
    pub id: String,
    /// Who asked.
    pub actor: String,
}

/// The repositories' reading side. Every method keeps within a time limit of 3 seconds.
#[async_trait]
pub trait Reader: PipelineReader {
    /// The same reader without the time limit: for a person, who knows when to stop waiting.
    fn patient(&self) -> Box<dyn Reader>;

    /// The same reader, of whose questions only so many are asked at once. One that would have to
    /// wait for more than a few seconds is not asked.
    fn taking_turns(&self, at_once: usize) -> Box<dyn Reader>;

    /// What is stored of a trace in every service that has ever had an error, in their order.
    async fn get_trace(&self, trace: TraceId) -> Result<Vec<StoredPart>, StoreError>;

    /// The keys of the traces touched since the instant, at most `limit`, latest first.
    async fn open_traces(
        &self,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<(TraceKey, Timestamp)>, StoreError>;

    /// Which of the traces (each once) were touched since the instant. Sees whatever was committed
    /// before the call, by any process.
    async fn open_among(
        &self,
        traces: &[TraceKey],
        since: Timestamp,
    ) -> Result<Vec<TraceKey>, StoreError>;

    /// One page of errors, newest first.
    async fn get_errors(
        &self,
        filter: &ErrorFilter,
        page: &PageRequest,
    ) -> Result<Page<ApiError>, StoreError>;

    /// The same, without anything but their ids.
    async fn get_matching_ids(
        &self,
        filter: &ErrorFilter,
        page: &PageRequest,
    ) -> Result<Page<ErrorId>, StoreError>;

    /// How many errors match.
    async fn count_errors(&self, filter: &ErrorFilter) -> Result<i64, StoreError>;

    /// One error, soft-deleted or not. The id of a row that turned out to be another's leads to that one.
    async fn get_error_by_id(&self, id: ErrorId) -> Result<Option<ApiError>, StoreError>;

    /// The errors that these ids, at most 500, lead to in the same way, each with its id among them.
    async fn get_errors_by_ids(
        &self,
        ids: &[ErrorId],
    ) -> Result<Vec<(ErrorId, ApiError)>, StoreError>;

    /// The ids from `first` to `last`, both included, that lead to an error; at most `limit`, in order.
    async fn get_error_ids(
        &self,
        first: ErrorId,
        last: ErrorId,
        limit: u32,
    ) -> Result<Vec<ErrorId>, StoreError>;

    /// Figures over the errors that match, computed by the database.
    async fn get_error_stats(&self, filter: &ErrorFilter) -> Result<ErrorStats, StoreError>;

    /// The same, and the hours in which the same errors happened, in order. Of more than 10,000
    /// the latest.
    async fn get_error_stats_by_hour(
        &self,
        filter: &ErrorFilter,
    ) -> Result<(ErrorStats, Vec<HourErrors>), StoreError>;

    /// One page of the groups that have errors that match, last seen first, counted by the
    /// database. Groups whose errors all fall outside the filter are left out.
    async fn get_errors_by_group(
        &self,
        filter: &ErrorFilter,
        page: &PageRequest,
    ) -> Result<Page<GroupedErrors>, StoreError>;

    /// One page of hours, latest first.
    async fn get_aggregations(
        &self,
        filter: &AggregationFilter,
        page: &PageRequest,
    ) -> Result<Page<Aggregation>, StoreError>;

    /// How many rows of hours match.
    async fn count_aggregations(&self, filter: &AggregationFilter) -> Result<i64, StoreError>;

    /// One page of groups, last seen first.
    async fn get_groups(
        &self,
        filter: &GroupFilter,
        page: &PageRequest,
    ) -> Result<Page<ErrorGroup>, StoreError>;

    /// How many groups match.
    async fn count_groups(&self, filter: &GroupFilter) -> Result<i64, StoreError>;

    /// One page of hourly totals of requests, latest hour first, summed over those who counted them.
    async fn get_requests(
        &self,
        filter: &RequestFilter,
        page: &PageRequest,
    ) -> Result<Page<RequestHour>, StoreError>;

    /// How many such totals match.
    async fn count_requests(&self, filter: &RequestFilter) -> Result<i64, StoreError>;

    /// One page of the audit log, newest first.
    async fn get_audit(
        &self,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError>;

    /// How many entries of the audit log match.
    async fn count_audit(&self, filter: &AuditFilter) -> Result<i64, StoreError>;

    /// One group.
    async fn get_group(&self, fingerprint: &Fingerprint) -> Result<Option<ErrorGroup>, StoreError>;

    /// What is remembered of a service's part of a trace, in order of arrival; empty when nothing is.
    async fn get_sightings(&self, trace: TraceKey) -> Result<Vec<Sighting>, StoreError>;

    /// Traces whose sightings hold the text, by their keys after this one, at most so many: by far
    /// not all of them name a user by it. Without time limit.
    async fn traces_holding(
        &self,
        text: &str,
        after: Option<TraceKey>,
        limit: u32,
    ) -> Result<Vec<TraceKey>, StoreError>;

    /// The same for audit entries.
    async fn audit_holding(
        &self,
        text: &str,
        after: Option<AuditId>,
        limit: u32,
    ) -> Result<Vec<AuditId>, StoreError>;

    /// The errors that somebody of this name resolved, by their ids after this one, at most so many.
    /// Without time limit.
    async fn errors_resolved_by(
        &self,
        name: &str,
        after: Option<ErrorId>,
        limit: u32,
    ) -> Result<Vec<ErrorId>, StoreError>;

    /// The users that somebody asked to forget before the instant, and that are not forgotten yet.
    async fn users_to_forget(
        &self,
        asked_before: Timestamp,
    ) -> Result<Vec<UserToForget>, StoreError>;

    /// The latest hour of which requests are counted.
    async fn latest_request_hour(&self) -> Result<Option<Hour>, StoreError>;

    /// Proves, in one snapshot, that every hour counts what its rows say, and tells where it does
    /// not. Without a range also that groups and data counters do. The one read without time limit.
    async fn verify_aggregations(
        &self,
        from: Option<Hour>,
        to: Option<Hour>,
        now: Timestamp,
    ) -> Result<Verification, StoreError>;

    /// The label sets of errors that the hours since have already, for the limits on their number;
    /// of the latest hours at most so many by their ids.
    async fn error_label_sets(&self, since: Hour, ids: u32) -> Result<LabelSets, StoreError>;

    /// The same for the label sets of requests, whichever writer counted them.
    async fn request_label_sets(&self, since: Hour, ids: u32) -> Result<LabelSets, StoreError>;

    /// Unresolved errors by service, severity and category: `(service, severity, category, n)`.
    async fn unresolved(
        &self,
    ) -> Result<
        Vec<(
            String,
            crate::domain::Severity,
            crate::domain::Category,
            i64,
        )>,
        StoreError,
    >;
}

/// The writer's connection. After an error the transaction is gone: call `rollback`, and take a
/// new connection when the error says that this one is lost.
#[async_trait]
pub trait Ingest: Send {
    /// Takes the name, so that whoever held it before finds out at its next commit. Returns the new epoch.
    /// It was never that of somebody who held the name before, even if that was long ago.
    async fn claim_writer(&mut self, name: &str, now: Timestamp) -> Result<i64, StoreError>;

    /// Says that the writer is there, if that was not said for an hour and its name is still its own.
    async fn see_writer(
        &mut self,
        name: &str,
        epoch: i64,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// The data counters that the writer owns.
    async fn load_metric_totals(&mut self, writer: &str) -> Result<Vec<MetricTotal>, StoreError>;

    /// Which of the digests the ledger holds.
    async fn known_digests(
        &mut self,
        digests: &[RequestDigest],
    ) -> Result<Vec<RequestDigest>, StoreError>;

    /// Registers users that are new: in the transaction, if there is one; else in one of its own
    /// where others write too, else with the one that begins next. Sorted, no duplicates.
    async fn register_users(&mut self, users: &[String], now: Timestamp) -> Result<(), StoreError>;

    /// Begins the group's transaction.
    async fn begin(&mut self) -> Result<(), StoreError>;

    /// Whether the writer still owns its name; holds that fact until the transaction ends.
    async fn hold_writer(&mut self, name: &str, epoch: i64) -> Result<bool, StoreError>;

    /// Step 1. Inserts the digests (sorted) and returns those that were not there yet.
    async fn insert_ledger(
        &mut self,
        digests: &[RequestDigest],
        now: Timestamp,
    ) -> Result<Vec<RequestDigest>, StoreError>;

    /// Step 3. Locks the traces (sorted by key) until the transaction ends, creating those that are
    /// not there, and returns what each held before; new ones with no sightings.
    async fn lock_traces(
        &mut self,
        traces: &[TraceIdentity],
        now: Timestamp,
    ) -> Result<Vec<StoredTrace>, StoreError>;

    /// Step 4. The rows with these ids; ids without a row are left out.
    async fn read_errors(&mut self, ids: &[ErrorId]) -> Result<Vec<ApiError>, StoreError>;

    /// Which of the ids are those of rows, or of rows that were purged and must not come back.
    async fn known_errors(&mut self, ids: &[ErrorId]) -> Result<Vec<ErrorId>, StoreError>;

    /// Step 4, for regression: the groups of these fingerprints, locked; unknown ones are left out.
    async fn lock_groups(
        &mut self,
        fingerprints: &[Fingerprint],
    ) -> Result<Vec<GroupState>, StoreError>;

    /// Steps 3 and 4 of the transaction, as far as there are changes: in that order, each sorted by
    /// key. A large group is applied in pieces: those of its rows, then all that they count.
    async fn apply(&mut self, changes: &Changes) -> Result<(), StoreError>;

    /// Writes to the audit log who gave counts without rows, after they were applied.
    async fn audit_unlinked(
        &mut self,
        given: &[(&str, &AggregationDelta)],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Repairs the counts of every hour in the range from the rows themselves, each hour in a
    /// transaction of its own with its audit entry. Returns how many rows of `error_aggregations`
    /// were wrong.
    async fn rebuild_aggregations(
        &mut self,
        from: Option<Hour>,
        to: Option<Hour>,
        actor: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// Remembers what is taken over from another ledger (sorted, no duplicates); returns what of it
    /// is new, in no order.
    async fn take_over(&mut self, keys: &[ImportKey]) -> Result<Vec<ImportKey>, StoreError>;

    /// Adds to what was taken of another ledger's hours (sorted, no duplicates); returns what was
    /// taken of them by then, in no order, held until the transaction ends.
    async fn count_imported(
        &mut self,
        hours: &[ImportedHour],
    ) -> Result<Vec<ImportedHour>, StoreError>;

    /// Makes edits, in a transaction of their own that is to be committed. One that is refused takes
    /// nothing of the others with it. Returns what is counted of them for good: the counters are the
    /// caller's, and are written before the commit.
    async fn edit(&mut self, edits: &[&dyn AnyEdit], now: Timestamp)
    -> Result<Endings, StoreError>;

    /// Makes a change in the group's transaction, which is not committed yet; returns what is counted
    /// of it, as [`Ingest::edit`] does.
    async fn edit_within(
        &mut self,
        edit: &dyn AnyEdit,
        now: Timestamp,
    ) -> Result<Endings, StoreError>;

    /// Commits. An error here means that nobody knows: see [`StoreError::UnknownOutcome`].
    async fn commit(&mut self) -> Result<(), StoreError>;

    /// Ends the transaction without a trace. Never fails: a connection that cannot is closed.
    async fn rollback(&mut self);

    /// Deletes ledger entries received before the instant, at most `limit`; returns how many.
    async fn prune_ledger(&mut self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;
}

/// A store, shared.
pub type SharedStore = Arc<dyn Store>;
