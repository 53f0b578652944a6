//! What can be asked of the repositories, and how they answer.

use std::{borrow::Cow, collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeStruct};
use utoipa::{IntoParams, ToSchema};

use crate::domain::{
    Category, ErrorId, Fingerprint, GroupStatus, Hour, Severity, Timestamp, TraceId,
};

use super::InvalidField;

/// Which errors. Empty matches all that are not soft-deleted.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ErrorFilter {
    /// Of this user.
    pub user_id: Option<String>,
    /// In this service.
    pub service_name: Option<String>,
    /// In this environment; empty for errors of which it is not known.
    pub environment: Option<String>,
    /// On this endpoint.
    pub endpoint: Option<String>,
    /// Of this method.
    pub method: Option<String>,
    /// One of these, with commas between them or each by itself; none for any.
    pub severity: Vec<Severity>,
    /// One of these, with commas between them or each by itself; none for any.
    pub category: Vec<Category>,
    /// Answered with this status.
    pub status_code: Option<i32>,
    /// While this service was called.
    pub external_service: Option<String>,
    /// Whether somebody took care of it.
    pub resolved: Option<bool>,
    /// Of this request.
    pub request_id: Option<String>,
    /// Of this trace.
    pub trace_id: Option<TraceId>,
    /// Of this group.
    #[param(value_type = Option<String>)]
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

impl ErrorFilter {
    /// What no index serves and, without an instant from which on to look, would have to be looked for
    /// in errors without number: the API's name of the condition, and its value.
    #[must_use]
    pub fn without_bounds(&self) -> Option<(&'static str, &str)> {
        let is_bounded = self.from.is_some()
            || self.request_id.is_some()
            || self.trace_id.is_some()
            || self.user_id.is_some()
            || self.fingerprint.is_some()
            || self.endpoint.is_some();
        let text = self.text.as_ref().filter(|text| !text.is_empty());
        let unserved = [
            ("environment", self.environment.as_ref()),
            ("method", self.method.as_ref()),
            ("tag", self.tag.as_ref()),
            ("text", text),
        ];
        let mut unserved = unserved
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?.as_str())));
        unserved.next().filter(|_| !is_bounded)
    }
}

/// Which hours.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct AggregationFilter {
    /// This hour, or the one that contains this time, and later ones.
    pub from: Option<Hour>,
    /// Hours that begin before.
    #[serde(deserialize_with = "hour_after")]
    pub to: Option<Hour>,
    /// In this service.
    pub service_name: Option<String>,
    /// On this endpoint.
    pub endpoint: Option<String>,
    /// Of this severity.
    pub severity: Option<Severity>,
    /// Of this category.
    pub category: Option<Category>,
    /// While this service was called.
    pub external_service: Option<String>,
}

/// Which groups.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct GroupFilter {
    /// Where they stand.
    pub status: Option<GroupStatus>,
    /// In this service.
    pub service_name: Option<String>,
    /// Last seen at or after.
    pub since: Option<Timestamp>,
}

/// Which hours of requests.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct RequestFilter {
    /// This hour, or the one that contains this time, and later ones.
    pub from: Option<Hour>,
    /// Hours that begin before.
    #[serde(deserialize_with = "hour_after")]
    pub to: Option<Hour>,
    /// To this service.
    pub service_name: Option<String>,
    /// In this environment; empty for requests of which it is not known.
    pub environment: Option<String>,
    /// To this endpoint.
    pub endpoint: Option<String>,
    /// Of this method.
    pub method: Option<String>,
}

/// Which entries of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct AuditFilter {
    /// About this kind of thing: `error`, `group`, `pipeline`, `user`.
    pub entity: Option<String>,
    /// About the one with this id.
    pub entity_id: Option<String>,
}

/// The hour that begins at the instant, or next after it: a bound that is not itself included.
fn hour_after<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Hour>, D::Error> {
    let at = Option::<Timestamp>::deserialize(deserializer)?;
    Ok(at.map(|at| {
        let hour = Hour::containing(at);
        if hour.start() == at {
            hour
        } else {
            Hour::containing(hour.end())
        }
    }))
}

/// Where a page ends: the sort key of its last item. The next page begins after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// `created_at`, `hour_bucket` or `last_seen_at`.
    pub at: Timestamp,
    /// The id, as text.
    pub id: String,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.at.as_micros(), self.id)
    }
}

/// A text that is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no cursor: give the one that came with the page before, or none")]
pub struct NoCursor(pub String);

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (micros, id) = text
            .split_once('_')
            .ok_or_else(|| NoCursor(text.to_owned()))?;
        let micros = micros.parse().map_err(|_| NoCursor(text.to_owned()))?;
        Ok(Self {
            at: Timestamp::from_micros(micros),
            id: id.to_owned(),
        })
    }
}

/// Which page.
#[derive(Clone, Debug, PartialEq)]
pub struct PageRequest {
    /// 1 to 500; a repository refuses what lies outside.
    pub limit: u32,
    /// Items to skip; 0 with a cursor.
    pub offset: u32,
    /// Begin after this.
    pub after: Option<Cursor>,
}

impl PageRequest {
    /// Items on a page at most.
    pub const MAX_LIMIT: u32 = 500;

    /// Items skipped at most: whoever reads further goes by the cursor, which stays fast and complete.
    pub const MAX_OFFSET: u32 = 10_000;

    /// The first page of so many items.
    #[must_use]
    pub const fn first(limit: u32) -> Self {
        Self {
            limit,
            offset: 0,
            after: None,
        }
    }

    /// The page that begins after the cursor.
    #[must_use]
    pub const fn after(limit: u32, cursor: Cursor) -> Self {
        Self {
            limit,
            offset: 0,
            after: Some(cursor),
        }
    }

    /// What of it cannot be asked for.
    #[must_use]
    pub fn mistakes(&self) -> Vec<InvalidField> {
        let mut mistakes = Vec::new();
        let mut refuse = |field, value: u32, advice: String| {
            mistakes.push(InvalidField {
                field: Cow::Borrowed(field),
                value: value.to_string(),
                advice,
            });
        };
        if !(1..=Self::MAX_LIMIT).contains(&self.limit) {
            refuse(
                "limit",
                self.limit,
                format!("give 1 to {}", Self::MAX_LIMIT),
            );
        }
        if self.offset > Self::MAX_OFFSET {
            refuse(
                "offset",
                self.offset,
                format!(
                    "give 0 to {}, or go on with the cursor of the page before",
                    Self::MAX_OFFSET
                ),
            );
        } else if self.offset > 0 && self.after.is_some() {
            refuse(
                "offset",
                self.offset,
                "give an offset or a cursor, not both".to_owned(),
            );
        }
        mistakes
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self::first(100)
    }
}

/// One page.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// In order.
    pub items: Vec<T>,
    /// `None` at the end.
    pub next: Option<Cursor>,
}

impl<T: Serialize> Serialize for Page<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut page = serializer.serialize_struct("Page", 2)?;
        page.serialize_field("items", &self.items)?;
        page.serialize_field("nextCursor", &self.next.as_ref().map(Cursor::to_string))?;
        page.end()
    }
}

/// `get_error_stats`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorStats {
    /// Errors that match.
    pub total: i64,
    /// By severity; those with none are left out.
    pub by_severity: BTreeMap<Severity, i64>,
    /// By category; those with none are left out.
    pub by_category: BTreeMap<Category, i64>,
    /// The ten endpoints with most, most first, then by name.
    pub top_endpoints: Vec<EndpointErrors>,
    /// Distinct users among them.
    pub unique_users: i64,
    /// Resolved.
    pub resolved: i64,
    /// Not resolved.
    pub unresolved: i64,
}

/// How many errors an endpoint has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct EndpointErrors {
    /// The endpoint.
    pub endpoint: String,
    /// Its errors.
    pub errors: i64,
}

/// How many errors happened in an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HourErrors {
    /// The hour.
    pub hour: Hour,
    /// Its errors.
    pub errors: i64,
}

/// The errors of one group that match a filter, and what the latest of them says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupedErrors {
    /// The group.
    pub fingerprint: Fingerprint,
    /// How many match.
    pub errors: i64,
    /// When the first of them happened.
    pub first_seen_at: Timestamp,
    /// When the latest of them happened.
    pub last_seen_at: Timestamp,
    /// The latest of them.
    pub latest: LatestError,
}

/// What a list of groups tells of an error.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LatestError {
    /// See [`crate::domain::ApiError::id`].
    pub id: ErrorId,
    /// See [`crate::domain::ApiError::service_name`].
    pub service_name: String,
    /// See [`crate::domain::ApiError::environment`].
    pub environment: String,
    /// See [`crate::domain::ApiError::endpoint`].
    pub endpoint: String,
    /// See [`crate::domain::ApiError::method`].
    pub method: String,
    /// See [`crate::domain::ApiError::severity`].
    pub severity: Severity,
    /// See [`crate::domain::ApiError::category`].
    pub category: Category,
    /// See [`crate::domain::ApiError::error_code`].
    pub error_code: Option<String>,
    /// See [`crate::domain::ApiError::error_message`].
    pub error_message: String,
}

/// What is compared by `verify_aggregations`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// An hour's `total_errors` against its rows and `unlinked_errors`.
    HourTotal,
    /// An hour's `unique_users` against its members.
    HourUsers,
    /// An hour's members against the users of its rows.
    HourMembers,
    /// The errors of an hour's members against its rows with a user.
    HourMemberErrors,
    /// An hour's `first_occurrence` against its rows (microseconds).
    HourFirst,
    /// An hour's `last_occurrence` against its rows (microseconds).
    HourLast,
    /// An hour's id against its hour and dimensions.
    HourName,
    /// Members of an hour that is not there.
    MembersWithoutHour,
    /// Rows whose hour is not there.
    RowsWithoutHour,
    /// Rows counted under an hour or dimensions that are not theirs.
    RowsInWrongHour,
    /// A group's `total_errors` against its rows.
    GroupTotal,
    /// Rows whose group is not there.
    RowsWithoutGroup,
    /// A row that was merged into another and is still there.
    MergedRow,
    /// `redspan_errors_total` less merged rows against the rows that are there.
    ErrorsCounter,
    /// `redspan_requests_total` against `request_totals`.
    RequestsCounter,
    /// `redspan_requests_total{outcome="error"}` against `request_totals`.
    RequestErrorsCounter,
    /// Observations of `redspan_request_duration_seconds` against `request_totals`.
    DurationsCounter,
    /// Their sum (nanoseconds).
    DurationSum,
    /// One of their buckets.
    DurationBucket,
}

/// One thing that does not add up.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mismatch {
    /// What was compared.
    pub check: Check,
    /// Whose: the id of an hour's row or an error, a fingerprint, the name of a writer.
    pub subject: String,
    /// When, if it is about an hour.
    pub hour_bucket: Option<Hour>,
    /// What the table says.
    pub stored: i64,
    /// What follows from the other tables.
    pub counted: i64,
    /// One row to look at.
    pub example: Option<ErrorId>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            subject,
            stored,
            counted,
            ..
        } = self;
        let rows = some(*counted, "row");
        let members = some(*counted, "member");
        if let Some(hour) = self.hour_bucket {
            write!(f, "Hour {}, ", hour.start())?;
        }
        match self.check {
            Check::HourTotal => write!(
                f,
                "aggregation {subject}: total_errors is {stored}, but its rows and unlinked_errors make {counted}"
            ),
            Check::HourUsers => write!(
                f,
                "aggregation {subject}: unique_users is {stored}, but it has {members}"
            ),
            Check::HourMembers => write!(
                f,
                "aggregation {subject}: it has {}, but its rows name {}",
                some(*stored, "member"),
                some(*counted, "user")
            ),
            Check::HourMemberErrors => write!(
                f,
                "aggregation {subject}: its members count {}, but its rows with a user are {counted}",
                some(*stored, "error")
            ),
            Check::HourFirst => write!(
                f,
                "aggregation {subject}: first_occurrence is {}, but its rows begin at {}",
                Timestamp::from_micros(*stored),
                Timestamp::from_micros(*counted)
            ),
            Check::HourLast => write!(
                f,
                "aggregation {subject}: last_occurrence is {}, but its rows end at {}",
                Timestamp::from_micros(*stored),
                Timestamp::from_micros(*counted)
            ),
            Check::HourName => write!(
                f,
                "aggregation {subject}: its hour and dimensions belong to another id"
            ),
            Check::MembersWithoutHour => {
                write!(f, "aggregation {subject} is not there, but has {members}")
            }
            Check::RowsWithoutHour => {
                write!(f, "aggregation {subject} is not there, but has {rows}")
            }
            Check::RowsInWrongHour => write!(
                f,
                "aggregation {subject}: it has {rows} of another hour or other dimensions"
            ),
            Check::GroupTotal => write!(
                f,
                "group {subject}: total_errors is {stored}, but it has {rows}"
            ),
            Check::RowsWithoutGroup => {
                write!(f, "group {subject} is not there, but has {rows}")
            }
            Check::MergedRow => write!(
                f,
                "error {subject} was merged into another, but is still there"
            ),
            Check::ErrorsCounter => write!(
                f,
                "redspan_errors_total less merged rows is {stored}, but the rows make {counted}"
            ),
            Check::RequestsCounter => write!(
                f,
                "writer {subject}: redspan_requests_total is {stored}, but request_totals make {counted}"
            ),
            Check::RequestErrorsCounter => write!(
                f,
                "writer {subject}: redspan_requests_total{{outcome=\"error\"}} is {stored}, but request_totals make {counted}"
            ),
            Check::DurationsCounter => write!(
                f,
                "writer {subject}: redspan_request_duration_seconds holds {}, but request_totals make {counted}",
                some(*stored, "observation")
            ),
            Check::DurationSum => write!(
                f,
                "writer {subject}: redspan_request_duration_seconds sums up {stored} ns, but request_totals make {counted} ns"
            ),
            Check::DurationBucket => write!(
                f,
                "writer {subject}: a bucket of redspan_request_duration_seconds holds {stored}, but request_totals make {counted}"
            ),
        }?;
        if let Some(example) = self.example {
            write!(f, " (for example error {example})")?;
        }
        f.write_str(".")
    }
}

/// `1 row`, `2 rows`
fn some(number: i64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// What `verify_aggregations` found.
#[derive(Clone, Debug, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// Hours' rows read.
    pub aggregations: i64,
    /// Error rows read.
    pub errors: i64,
    /// Groups read; 0 when a range was asked for.
    pub groups: i64,
    /// Writers whose counters were compared; 0 when a range was asked for.
    pub writers: i64,
    /// At most 1,000 of them.
    pub mismatches: Vec<Mismatch>,
    /// Mismatches beyond those.
    pub more_mismatches: i64,
}

impl Verification {
    /// Mismatches that are listed at most.
    pub const MAX_MISMATCHES: usize = 1_000;

    /// Whether everything adds up.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.mismatches.is_empty()
    }

    /// Adds a mismatch, or counts it when there are too many to list.
    pub fn report(&mut self, mismatch: Mismatch) {
        if self.mismatches.len() < Self::MAX_MISMATCHES {
            self.mismatches.push(mismatch);
        } else {
            self.more_mismatches += 1;
        }
    }
}
