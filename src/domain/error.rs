//! The error row, the hour it is counted in, and the group it belongs to.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    AggregationId, Category, ErrorId, Fingerprint, Hour, Severity, SpanId, Timestamp, TraceId,
};

/// The label value into which label sets beyond the limits are folded.
pub const OTHER: &str = "__other__";

/// One row of `api_errors`. Field for field the table's columns.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiError {
    /// Primary key.
    pub id: ErrorId,
    /// Whose request failed; references `users`.
    pub user_id: Option<String>,
    /// The application's own request id, ≤ 255 characters.
    pub request_id: Option<String>,
    /// Route template, RPC method, destination or operation, ≤ 512 characters.
    pub endpoint: String,
    /// HTTP method, or `RPC`, `RECEIVE`, `PUBLISH`, `DB`, `INTERNAL`; ≤ 10 characters.
    pub method: String,
    /// Exception type, `error.type`, or the status code's text; ≤ 100 characters.
    pub error_code: Option<String>,
    /// Never empty; ≤ 8 KiB.
    pub error_message: String,
    /// Stack trace; ≤ 64 KiB.
    pub error_stack: Option<String>,
    /// How bad.
    pub severity: Severity,
    /// What kind.
    pub category: Category,
    /// The entry's HTTP status, or the equivalent of its gRPC code.
    pub status_code: Option<i32>,
    /// Only when asked for.
    pub request_body: Option<Value>,
    /// Scrubbed request headers.
    pub request_headers: Option<Value>,
    /// Only when asked for.
    pub response_body: Option<Value>,
    /// The service that was being called, ≤ 100 characters.
    pub external_service: Option<String>,
    /// Its own status or error code, ≤ 100 characters.
    pub external_error_code: Option<String>,
    /// Its own message.
    pub external_error_message: Option<String>,
    /// Scrubbed attributes, resource, evidence, flags.
    pub context: Map<String, Value>,
    /// `handled`, `probe`, `client_error`, …
    pub tags: Vec<String>,
    /// Whether somebody took care of it.
    pub resolved: bool,
    /// When.
    pub resolved_at: Option<Timestamp>,
    /// Who; free text, operators need not be users.
    pub resolved_by: Option<String>,
    /// How.
    pub resolution: Option<String>,
    /// Client address, cut to /24 or /48 by default.
    pub ip_address: Option<String>,
    /// ≤ 512 characters.
    pub user_agent: Option<String>,
    /// When it happened.
    pub created_at: Timestamp,
    /// `service.name`, with `service.namespace` in front of it.
    pub service_name: String,
    /// `service.version`.
    pub service_version: Option<String>,
    /// `deployment.environment.name`; empty when unknown.
    pub environment: String,
    /// The trace it happened in.
    pub trace_id: Option<TraceId>,
    /// The span it happened in.
    pub span_id: Option<SpanId>,
    /// What kind of failure it is one of.
    pub fingerprint: Fingerprint,
    /// The hour row in which it is counted.
    pub aggregation_id: AggregationId,
    /// When redspan received it.
    pub received_at: Timestamp,
    /// Hidden since, still counted.
    pub deleted_at: Option<Timestamp>,
}

impl ApiError {
    /// The dimensions under which this row is counted, before any folding.
    #[must_use]
    pub fn dimensions(&self) -> Dimensions {
        Dimensions {
            service_name: self.service_name.clone(),
            environment: self.environment.clone(),
            endpoint: self.endpoint.clone(),
            method: self.method.clone(),
            severity: self.severity,
            category: self.category,
            external_service: self.external_service.clone(),
            status_code: self.status_code,
        }
    }

    /// The hour in which this row is counted.
    #[must_use]
    pub fn hour(&self) -> Hour {
        Hour::containing(self.created_at)
    }
}

/// The dimensions of `error_aggregations`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dimensions {
    /// `service.name`, with `service.namespace` in front of it.
    pub service_name: String,
    /// `deployment.environment.name`; empty when unknown.
    pub environment: String,
    /// Route template, RPC method, destination or operation; `__other__` beyond the limits.
    pub endpoint: String,
    /// HTTP method, or `RPC`, `RECEIVE`, `PUBLISH`, `DB`, `INTERNAL`; `__other__` beyond the limits.
    pub method: String,
    /// How bad.
    pub severity: Severity,
    /// What kind.
    pub category: Category,
    /// The service that was being called.
    pub external_service: Option<String>,
    /// The entry's HTTP status, or the equivalent of its gRPC code.
    pub status_code: Option<i32>,
}

impl Dimensions {
    /// The label set that takes in what is beyond the limits: service, environment, severity and
    /// category stay true, everything unbounded becomes [`OTHER`] or empty.
    #[must_use]
    pub fn folded(&self) -> Self {
        Self {
            endpoint: OTHER.to_owned(),
            method: OTHER.to_owned(),
            external_service: None,
            status_code: None,
            ..self.clone()
        }
    }
}

/// The labels of `redspan_errors_total`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ErrorLabels {
    /// See [`ApiError::service_name`].
    pub service_name: String,
    /// See [`ApiError::environment`].
    pub environment: String,
    /// See [`ApiError::severity`].
    pub severity: Severity,
    /// See [`ApiError::category`].
    pub category: Category,
    /// See [`ApiError::external_service`].
    pub external_service: Option<String>,
}

impl ErrorLabels {
    /// The labels of a row.
    #[must_use]
    pub fn of(row: &ApiError) -> Self {
        Self {
            service_name: row.service_name.clone(),
            environment: row.environment.clone(),
            severity: row.severity,
            category: row.category,
            external_service: row.external_service.clone(),
        }
    }
}

/// One row of `error_aggregations`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Aggregation {
    /// Hash of hour and dimensions.
    pub id: AggregationId,
    /// The hour.
    pub hour_bucket: Hour,
    /// The dimensions.
    #[serde(flatten)]
    pub dimensions: Dimensions,
    /// Rows with this `aggregation_id` (soft-deleted ones too) plus `unlinked_errors`.
    pub total_errors: i64,
    /// Distinct users among them.
    pub unique_users: i64,
    /// Counted, but with no row any more, or never.
    pub unlinked_errors: i64,
    /// Earliest.
    pub first_occurrence: Timestamp,
    /// Latest.
    pub last_occurrence: Timestamp,
    /// When this row was last written.
    pub updated_at: Timestamp,
}

/// Where a group stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupStatus {
    /// Somebody should look.
    Open,
    /// Taken care of; an error that happens later reopens it.
    Resolved,
    /// Known and left alone.
    Ignored,
}

impl GroupStatus {
    /// The word used in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
            Self::Ignored => "ignored",
        }
    }
}

/// One row of `error_groups`: one kind of failure.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorGroup {
    /// Primary key.
    pub fingerprint: Fingerprint,
    /// The service it fails in.
    pub service_name: String,
    /// Type and first line of the message of its first error.
    pub title: String,
    /// Category of its first error.
    pub category: Category,
    /// Earliest occurrence.
    pub first_seen_at: Timestamp,
    /// Latest occurrence.
    pub last_seen_at: Timestamp,
    /// How many.
    pub total_errors: i64,
    /// Where it stands.
    pub status: GroupStatus,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// By whom.
    pub resolved_by: Option<String>,
    /// The version that is meant to hold the fix.
    pub resolved_version: Option<String>,
    /// When it came back.
    pub regressed_at: Option<Timestamp>,
    /// Version of its first error.
    pub first_version: Option<String>,
    /// Version of its latest error.
    pub last_version: Option<String>,
}
