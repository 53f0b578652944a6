//! The list of changes of one group, computed by pure code and executed by each database in its
//! own best way. Everything is sorted by its key, so that no two writers can deadlock.

use std::collections::BTreeMap;

use crate::domain::{
    AggregationId, ApiError, Category, Dimensions, ErrorId, Fingerprint, GroupStatus, Hour, Series,
    Sighting, Timestamp, TraceId, TraceKey, UserKey,
};

/// Names a row of `error_traces`.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceIdentity {
    /// Primary key.
    pub key: TraceKey,
    /// `service_name`.
    pub service_name: String,
    /// `trace_id`.
    pub trace_id: TraceId,
}

/// What `error_traces` holds of a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTrace {
    /// Primary key.
    pub key: TraceKey,
    /// In order of arrival.
    pub sightings: Vec<Sighting>,
    /// Sightings beyond the limits, which were counted only.
    pub dropped_sightings: i64,
}

/// New content of a row of `error_traces` that `lock_traces` has locked.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceWrite {
    /// Primary key.
    pub key: TraceKey,
    /// The JSON array of sightings, at most 64 KiB.
    pub sightings: String,
    /// Sightings beyond the limits.
    pub dropped_sightings: i64,
    /// `touched_at`.
    pub touched_at: Timestamp,
}

/// What a group does to one row of `error_aggregations`. Every hour that a [`UserDelta`] names has
/// one, if only with zeros; the row is there unless something comes.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregationDelta {
    /// Primary key.
    pub id: AggregationId,
    /// `hour_bucket`.
    pub hour: Hour,
    /// Folded already where the limits demand it.
    pub dimensions: Dimensions,
    /// Rows that came minus rows that left.
    pub linked_errors: i64,
    /// Counts without rows (`upsert_aggregation`).
    pub unlinked_errors: i64,
    /// Earliest of what came; `None` when nothing came.
    pub first_occurrence: Option<Timestamp>,
    /// Latest of what came.
    pub last_occurrence: Option<Timestamp>,
    /// Something left: the executor reads first and last occurrence again from the rows that are
    /// left (unless unlinked ones are counted too), and deletes the hour's row when it counts nothing.
    pub shrinks: bool,
}

/// What a group does to one row of `error_aggregation_users`.
#[derive(Clone, Debug, PartialEq)]
pub struct UserDelta {
    /// The hour's row.
    pub aggregation_id: AggregationId,
    /// The user.
    pub user_key: UserKey,
    /// Errors that came minus errors that left. A user whose errors reach 0 is deleted;
    /// `unique_users` of the hour moves with the number of users that appear and disappear.
    pub errors: i64,
}

/// What a transaction reads of a group before it changes it.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct GroupState {
    /// Primary key.
    pub fingerprint: Fingerprint,
    /// `status`.
    pub status: GroupStatus,
    /// `resolved_at`.
    pub resolved_at: Option<Timestamp>,
    /// `resolved_version`.
    pub resolved_version: Option<String>,
    /// `total_errors`.
    pub total_errors: i64,
}

/// A resolved group came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Regression {
    /// `regressed_at`: when the error happened.
    pub at: Timestamp,
}

/// What a group of requests does to one row of `error_groups`. Creates it when it is not there;
/// deletes it when its count reaches 0 and it is open.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupDelta {
    /// Primary key.
    pub fingerprint: Fingerprint,
    /// For a new one.
    pub service_name: String,
    /// For a new one.
    pub title: String,
    /// For a new one.
    pub category: Category,
    /// Came minus left.
    pub errors: i64,
    /// Earliest of what came; `None` when nothing came.
    pub first_seen_at: Option<Timestamp>,
    /// Latest of what came.
    pub last_seen_at: Option<Timestamp>,
    /// Version of the earliest of what came.
    pub first_version: Option<String>,
    /// Version of the latest of what came.
    pub last_version: Option<String>,
    /// Reopen it.
    pub regression: Option<Regression>,
}

/// What a group adds to one row of `request_totals`.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestTotalsDelta {
    /// `hour_bucket`.
    pub hour: Hour,
    /// service, environment, endpoint, method; folded already where the limits demand it.
    pub series: Series,
    /// Entry spans.
    pub requests: i64,
    /// Failed ones.
    pub errors: i64,
    /// What they stand for under sampling.
    pub estimated_requests: f64,
    /// Sum of durations, in nanoseconds (exact; a float would not be).
    pub duration_nanos: i64,
    /// Count in each duration bucket, not cumulative, the last one beyond every bound.
    pub buckets: Vec<i64>,
}

/// The families of counters that count data and go on across restarts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MetricFamily {
    /// `redspan_requests_total`
    Requests,
    /// `redspan_request_duration_seconds`; `sum` in nanoseconds.
    RequestDuration,
    /// `redspan_errors_total`
    Errors,
    /// `redspan_errors_merged_rows_total`
    MergedRows,
    /// `redspan_error_groups_new_total`
    NewGroups,
    /// `redspan_error_groups_regressed_total`
    RegressedGroups,
    /// `redspan_pipeline_runs_total`
    Runs,
    /// `redspan_pipeline_stage_runs_total`
    StageRuns,
    /// `redspan_pipeline_duration_seconds`; `sum` in nanoseconds.
    RunDuration,
}

impl MetricFamily {
    /// Every family.
    pub const ALL: &'static [Self] = &[
        Self::Requests,
        Self::RequestDuration,
        Self::Errors,
        Self::MergedRows,
        Self::NewGroups,
        Self::RegressedGroups,
        Self::Runs,
        Self::StageRuns,
        Self::RunDuration,
    ];

    /// The name of the family on /metrics, and in `metric_totals.family`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "redspan_requests_total",
            Self::RequestDuration => "redspan_request_duration_seconds",
            Self::Errors => "redspan_errors_total",
            Self::MergedRows => "redspan_errors_merged_rows_total",
            Self::NewGroups => "redspan_error_groups_new_total",
            Self::RegressedGroups => "redspan_error_groups_regressed_total",
            Self::Runs => "redspan_pipeline_runs_total",
            Self::StageRuns => "redspan_pipeline_stage_runs_total",
            Self::RunDuration => "redspan_pipeline_duration_seconds",
        }
    }
}

/// Label names and values, sorted by name.
pub type Labels = BTreeMap<String, String>;

/// One row of `metric_totals`: absolute, owned by one writer.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricTotal {
    /// `family`.
    pub family: MetricFamily,
    /// `labels`, as a JSON object with sorted keys.
    pub labels: Labels,
    /// Counter value, or number of observations.
    pub value: i64,
    /// Sum of observations (nanoseconds for durations); 0 for counters.
    pub sum: i64,
    /// Observations in each bucket, not cumulative; empty for counters.
    pub buckets: Vec<i64>,
}

/// All that a group changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// When the group is written.
    pub now: Option<Timestamp>,
    /// By whom: owner of `request_totals` and `metric_totals` rows.
    pub writer: String,
    /// Sorted by key.
    pub traces: Vec<TraceWrite>,
    /// Rows to insert, sorted by id. None of them is there.
    pub inserted: Vec<ApiError>,
    /// Rows to rewrite whole (the operator's columns hold what was read), sorted by id.
    pub updated: Vec<ApiError>,
    /// Rows that turned out to be another's: (gone, the one that stays), sorted. The gone id leads to the other from now on.
    pub merged: Vec<(ErrorId, ErrorId)>,
    /// Those of `inserted` that were part of another row before, sorted: where their ids lead to
    /// that row since an earlier merge, they are their own again.
    pub parted: Vec<ErrorId>,
    /// Sorted by (hour's id, user).
    pub users: Vec<UserDelta>,
    /// Sorted by id.
    pub aggregations: Vec<AggregationDelta>,
    /// Sorted by fingerprint.
    pub groups: Vec<GroupDelta>,
    /// Sorted by hour and series.
    pub requests: Vec<RequestTotalsDelta>,
    /// Sorted by family and labels.
    pub metrics: Vec<MetricTotal>,
    /// How many of `inserted` the data counters do not count.
    pub imported: i64,
}
