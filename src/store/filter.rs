//! What can be asked of the repositories, and how they answer.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::{
    AggregationId, Category, ErrorId, Fingerprint, GroupStatus, Hour, Severity, Timestamp, TraceId,
};

/// Which errors. Empty matches all that are not soft-deleted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorFilter {
    /// Equal to.
    pub user_id: Option<String>,
    /// Equal to.
    pub service_name: Option<String>,
    /// Equal to.
    pub environment: Option<String>,
    /// Equal to.
    pub endpoint: Option<String>,
    /// Equal to.
    pub method: Option<String>,
    /// One of; empty for any.
    pub severity: Vec<Severity>,
    /// One of; empty for any.
    pub category: Vec<Category>,
    /// Equal to.
    pub status_code: Option<i32>,
    /// Equal to.
    pub external_service: Option<String>,
    /// Equal to.
    pub resolved: Option<bool>,
    /// Equal to.
    pub request_id: Option<String>,
    /// Equal to.
    pub trace_id: Option<TraceId>,
    /// Equal to.
    pub fingerprint: Option<Fingerprint>,
    /// Has this tag.
    pub tag: Option<String>,
    /// Happened at or after.
    pub from: Option<Timestamp>,
    /// Happened before.
    pub to: Option<Timestamp>,
    /// Occurs in the message, case-sensitive, literally.
    pub text: Option<String>,
    /// Soft-deleted ones too.
    pub include_deleted: bool,
}

/// Which hours.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AggregationFilter {
    /// At or after.
    pub from: Option<Hour>,
    /// Before.
    pub to: Option<Hour>,
    /// Equal to.
    pub service_name: Option<String>,
    /// Equal to.
    pub endpoint: Option<String>,
    /// Equal to.
    pub severity: Option<Severity>,
    /// Equal to.
    pub category: Option<Category>,
    /// Equal to.
    pub external_service: Option<String>,
}

/// Which groups.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupFilter {
    /// Equal to.
    pub status: Option<GroupStatus>,
    /// Equal to.
    pub service_name: Option<String>,
    /// Last seen at or after.
    pub since: Option<Timestamp>,
}

/// Where a page ends: the sort key of its last item. The next page begins after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// `created_at`, `hour_bucket` or `last_seen_at`.
    pub at: Timestamp,
    /// The id, as text.
    pub id: String,
}

/// Which page.
#[derive(Clone, Debug, PartialEq)]
pub struct PageRequest {
    /// 1 to 500.
    pub limit: u32,
    /// Items to skip; 0 with a cursor.
    pub offset: u32,
    /// Begin after this.
    pub after: Option<Cursor>,
}

/// One page.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// In order.
    pub items: Vec<T>,
    /// `None` at the end.
    pub next: Option<Cursor>,
}

/// `get_error_stats`.
#[derive(Clone, Debug, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorStats {
    /// Errors that match.
    pub total: i64,
    /// By severity; those with none are left out.
    pub by_severity: BTreeMap<Severity, i64>,
    /// By category; those with none are left out.
    pub by_category: BTreeMap<Category, i64>,
    /// The ten endpoints with most, most first, then by name.
    pub top_endpoints: Vec<(String, i64)>,
    /// Distinct users among them.
    pub unique_users: i64,
    /// Resolved.
    pub resolved: i64,
    /// Not resolved.
    pub unresolved: i64,
}

/// One thing that does not add up.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mismatch {
    /// The hour's row; or the row that points to none.
    pub aggregation_id: AggregationId,
    /// When.
    pub hour_bucket: Option<Hour>,
    /// `total_errors`, `unique_users`, `group total_errors`, …
    pub what: String,
    /// What the table says.
    pub stored: i64,
    /// What the rows say.
    pub counted: i64,
    /// One row to look at.
    pub example: Option<ErrorId>,
}

/// What `verify_aggregations` found.
#[derive(Clone, Debug, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// Hours' rows read.
    pub aggregations: i64,
    /// Error rows read.
    pub errors: i64,
    /// At most 1,000 of them.
    pub mismatches: Vec<Mismatch>,
}
