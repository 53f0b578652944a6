//! An error that application code logs: checked in one place, then a row like any other.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::{
    ToSchema,
    openapi::schema::{Array, ArrayBuilder, ObjectBuilder, Type},
};
use uuid::Uuid;

use crate::domain::{
    AggregationId, ApiError, Category, ErrorId, Fingerprint, Hour, Severity, SpanId, Timestamp,
    TraceId,
};

use super::checks::{Checks, json_bytes};

/// Longer texts are cut here, and the row says so.
const MAX_MESSAGE_BYTES: usize = 8 * 1024;
const MAX_STACK_BYTES: usize = 64 * 1024;

const MAX_TAGS: usize = 32;
const MAX_TAG_CHARS: usize = 100;

/// Errors from the future are no errors yet; clocks differ by this much.
const MAX_AHEAD_SECONDS: i64 = 5 * 60;

/// The hours of older errors are closed.
const MAX_AGE_SECONDS: i64 = 30 * 24 * 3_600;

/// An error to be logged. Only `endpoint`, `method` and `errorMessage` must be given.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NewApiError {
    /// The caller's own id: logging it again changes nothing. Made (UUID version 7) when absent;
    /// version 8 is refused, those are names of rows from telemetry.
    #[schema(pattern = "own id")]
    pub id: Option<Uuid>,
    /// Whose request failed.
    #[schema(pattern = "line", max_length = 255)]
    pub user_id: Option<String>,
    /// The application's own id of the request.
    #[schema(pattern = "line", max_length = 255)]
    pub request_id: Option<String>,
    /// Route template (`/orders/{id}`), RPC method or the like.
    #[schema(required, pattern = "filled line", max_length = 512)]
    pub endpoint: String,
    /// HTTP method, `RPC`, or the like.
    #[schema(required, pattern = "filled line", max_length = 10)]
    pub method: String,
    /// Type of the exception, or a code.
    #[schema(pattern = "line", max_length = 100)]
    pub error_code: Option<String>,
    /// What went wrong; cut at 8 KiB.
    #[schema(required, pattern = "filled")]
    pub error_message: String,
    /// Stack trace; cut at 64 KiB.
    pub error_stack: Option<String>,
    /// `error` when absent.
    pub severity: Option<Severity>,
    /// `unknown` when absent.
    pub category: Option<Category>,
    /// The status that the request was answered with.
    #[schema(minimum = 100, maximum = 599)]
    pub status_code: Option<i32>,
    /// Any JSON.
    pub request_body: Option<Value>,
    /// Any JSON.
    pub request_headers: Option<Value>,
    /// Any JSON.
    pub response_body: Option<Value>,
    /// The service that was being called.
    #[schema(pattern = "line", max_length = 100)]
    pub external_service: Option<String>,
    /// Its own status or error code.
    #[schema(pattern = "line", max_length = 100)]
    pub external_error_code: Option<String>,
    /// Its own message; cut at 8 KiB.
    pub external_error_message: Option<String>,
    /// Whatever else is worth knowing.
    #[schema(value_type = Object)]
    pub context: Map<String, Value>,
    /// At most 32 of at most 100 characters.
    #[schema(schema_with = tags_schema)]
    pub tags: Vec<String>,
    /// The client's address.
    #[schema(pattern = "line", max_length = 45)]
    pub ip_address: Option<String>,
    /// The client's program.
    #[schema(pattern = "line", max_length = 512)]
    pub user_agent: Option<String>,
    /// When it happened; now when absent. More than 5 minutes ahead or older than 30 days: now,
    /// with what was given in `context.timeClamped`.
    pub created_at: Option<Timestamp>,
    /// `unknown_service` when absent.
    #[schema(pattern = "filled line", max_length = 512)]
    pub service_name: Option<String>,
    /// Of the service.
    #[schema(pattern = "line", max_length = 255)]
    pub service_version: Option<String>,
    /// `production`, `staging`, …
    #[schema(pattern = "line", max_length = 255)]
    pub environment: Option<String>,
    /// The trace it happened in.
    pub trace_id: Option<TraceId>,
    /// The span it happened in.
    pub span_id: Option<SpanId>,
    /// What kind of failure it is one of, when the application knows better than the rules of detection.
    #[schema(value_type = Option<String>, pattern = "filled line", max_length = 255)]
    pub fingerprint: Option<Fingerprint>,
}

fn tags_schema() -> Array {
    let tag = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("filled line"))
        .max_length(Some(MAX_TAG_CHARS));
    ArrayBuilder::new()
        .items(tag)
        .max_items(Some(MAX_TAGS))
        .build()
}

/// A field that cannot be stored as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}: {advice}")]
pub struct InvalidField {
    /// The field, as JSON calls it: `method`, `stages[1].progress`.
    pub field: Cow<'static, str>,
    /// Its value, cut short.
    pub value: String,
    /// What to do.
    pub advice: String,
}

impl InvalidField {
    /// The same inside of something else: `progress` is `stages[1].progress`.
    #[must_use]
    pub fn inside(self, outer: &str) -> Self {
        Self {
            field: format!("{outer}.{}", self.field).into(),
            ..self
        }
    }

    /// A text as it is shown: quoted, and cut short.
    #[must_use]
    pub fn shown(text: &str) -> String {
        let beginning: String = text.chars().take(60).collect();
        format!("{beginning:?}")
    }
}

impl NewApiError {
    /// The row, or everything that is wrong. `fingerprint` is asked unless the caller gave one;
    /// it sees the row as it will be stored.
    ///
    /// # Errors
    /// Every field that cannot be stored, with what to do about it.
    pub fn into_row(
        self,
        now: Timestamp,
        fingerprint: impl FnOnce(&ApiError) -> Fingerprint,
    ) -> Result<ApiError, Vec<InvalidField>> {
        let mut checks = Checks::default();
        let given_fingerprint = self.fingerprint.clone();
        let mut row = self.checked(now, &mut checks);
        checks.row_size("error", &sizes(&row));
        if !checks.invalid.is_empty() {
            return Err(checks.invalid);
        }
        if !checks.cut.is_empty() {
            row.context
                .insert("truncated".to_owned(), checks.cut.into());
        }
        row.fingerprint = given_fingerprint.unwrap_or_else(|| fingerprint(&row));
        Ok(row)
    }

    fn checked(self, now: Timestamp, checks: &mut Checks) -> ApiError {
        let id = checked_id(checks, self.id);
        let mut context = self.context;
        let created_at = match self.created_at {
            Some(given)
                if given > now.plus_seconds(MAX_AHEAD_SECONDS)
                    || given < now.plus_seconds(-MAX_AGE_SECONDS) =>
            {
                context.insert("timeClamped".to_owned(), given.to_string().into());
                now
            }
            given => given.unwrap_or(now),
        };
        if let Some(fingerprint) = &self.fingerprint {
            checks.required("fingerprint", fingerprint.0.clone(), 255);
            if [".", ".."].contains(&&*fingerprint.0) {
                let advice = "give another: no address leads to a group of this name";
                checks.refuse("fingerprint", &fingerprint.0, advice);
            }
        }
        if let Some(status) = self.status_code
            && !(100..=599).contains(&status)
        {
            checks.refuse(
                "statusCode",
                status,
                "give the HTTP status, 100 to 599, or nothing",
            );
        }
        let mut row = ApiError {
            id,
            user_id: checks.word("userId", self.user_id, 255),
            request_id: checks.word("requestId", self.request_id, 255),
            endpoint: checks.required("endpoint", self.endpoint, 512),
            method: checks.required("method", self.method, 10),
            error_code: checks.word("errorCode", self.error_code, 100),
            error_message: checked_message(checks, self.error_message),
            error_stack: self
                .error_stack
                .map(|stack| checks.text("error_stack", stack, MAX_STACK_BYTES)),
            severity: self.severity.unwrap_or(Severity::Error),
            category: self.category.unwrap_or(Category::Unknown),
            status_code: self.status_code,
            request_body: checks.json("requestBody", self.request_body),
            request_headers: checks.json("requestHeaders", self.request_headers),
            response_body: checks.json("responseBody", self.response_body),
            external_service: checks.word("externalService", self.external_service, 100),
            external_error_code: checks.word("externalErrorCode", self.external_error_code, 100),
            external_error_message: self
                .external_error_message
                .map(|text| checks.text("external_error_message", text, MAX_MESSAGE_BYTES)),
            context: checks.object("context", context),
            tags: checked_tags(checks, self.tags),
            resolved: false,
            resolved_at: None,
            resolved_by: None,
            resolution: None,
            ip_address: checks.word("ipAddress", self.ip_address, 45),
            user_agent: checks.word("userAgent", self.user_agent, 512),
            created_at,
            service_name: checks.required(
                "serviceName",
                self.service_name
                    .unwrap_or_else(|| "unknown_service".to_owned()),
                512,
            ),
            service_version: checks.word("serviceVersion", self.service_version, 255),
            environment: checks
                .word("environment", self.environment, 255)
                .unwrap_or_default(),
            trace_id: self.trace_id,
            span_id: self.span_id,
            fingerprint: Fingerprint(String::new()),
            aggregation_id: AggregationId(Uuid::nil()),
            received_at: now,
            deleted_at: None,
        };
        row.aggregation_id =
            AggregationId::new(Hour::containing(row.created_at), &row.dimensions());
        row
    }
}

fn checked_id(checks: &mut Checks, id: Option<Uuid>) -> ErrorId {
    let Some(id) = id else {
        return ErrorId(Uuid::now_v7());
    };
    if id.is_nil() || ErrorId(id).is_computed() {
        checks.refuse(
            "id",
            id.to_string(),
            "give a UUID of another version than 8 and not the nil one, or none: \
             version 8 is kept for errors from telemetry",
        );
    }
    ErrorId(id)
}

fn checked_message(checks: &mut Checks, message: String) -> String {
    if message.trim().is_empty() {
        checks.refuse(
            "errorMessage",
            &message,
            "it must be given and not be blank: say what went wrong",
        );
    }
    checks.text("error_message", message, MAX_MESSAGE_BYTES)
}

fn checked_tags(checks: &mut Checks, tags: Vec<String>) -> Vec<String> {
    if tags.len() > MAX_TAGS {
        let advice = format!("give at most {MAX_TAGS}");
        checks.refuse("tags", &tags, advice);
    }
    let mut kept = Vec::with_capacity(tags.len());
    for tag in tags {
        let tag = checks.required("tags", tag, MAX_TAG_CHARS);
        if !kept.contains(&tag) {
            kept.push(tag);
        }
    }
    kept
}

/// What of a row can be long, in bytes.
fn sizes(row: &ApiError) -> [(&'static str, usize); 7] {
    let json = |value: &Option<Value>| value.as_ref().map_or(0, json_bytes);
    let text = |value: &Option<String>| value.as_deref().map_or(0, str::len);
    [
        ("requestBody", json(&row.request_body)),
        ("requestHeaders", json(&row.request_headers)),
        ("responseBody", json(&row.response_body)),
        ("context", json_bytes(&row.context)),
        ("errorStack", text(&row.error_stack)),
        ("errorMessage", row.error_message.len()),
        ("externalErrorMessage", text(&row.external_error_message)),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::checks::{MAX_JSON_DEPTH, MAX_ROW_BYTES};

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn valid() -> NewApiError {
        NewApiError {
            endpoint: "/orders/{id}".to_owned(),
            method: "GET".to_owned(),
            error_message: "no such order".to_owned(),
            ..NewApiError::default()
        }
    }

    fn row(new: NewApiError) -> Result<ApiError, Vec<InvalidField>> {
        new.into_row(NOW, |row| Fingerprint(format!("1:{}", row.error_message)))
    }

    fn refused_fields(new: NewApiError) -> Vec<String> {
        let refused = row(new).expect_err("refused");
        refused
            .into_iter()
            .map(|invalid| invalid.field.into_owned())
            .collect()
    }

    #[test]
    fn what_is_not_given_gets_its_default() {
        let row = row(valid()).expect("valid");
        assert_eq!(row.id.0.get_version(), Some(uuid::Version::SortRand));
        assert_eq!(row.severity, Severity::Error);
        assert_eq!(row.category, Category::Unknown);
        assert_eq!(row.service_name, "unknown_service");
        assert_eq!(row.environment, "");
        assert_eq!((row.created_at, row.received_at), (NOW, NOW));
        assert_eq!(row.fingerprint.0, "1:no such order");
        assert_eq!(
            row.aggregation_id,
            AggregationId::new(row.hour(), &row.dimensions())
        );
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once_with_field_value_and_advice() {
        let invalid = row(NewApiError {
            id: Some(Uuid::new_v8([7; 16])),
            endpoint: " ".to_owned(),
            method: "A".repeat(11),
            error_message: String::new(),
            request_id: Some("a\nb".to_owned()),
            status_code: Some(1),
            ..NewApiError::default()
        })
        .expect_err("refused");
        let fields: Vec<_> = invalid.iter().map(|invalid| &*invalid.field).collect();
        assert_eq!(
            fields,
            [
                "id",
                "statusCode",
                "requestId",
                "endpoint",
                "method",
                "errorMessage"
            ]
        );
        assert_eq!(
            invalid[2].to_string(),
            r#"requestId is "a\nb": take the control characters out"#
        );
        assert_eq!(
            invalid[4].to_string(),
            r#"method is "AAAAAAAAAAA": give at most 10 characters"#
        );
    }

    #[test]
    fn limits_are_in_characters_as_the_columns_are() {
        let mut new = valid();
        new.endpoint = "ü".repeat(512);
        assert!(row(new.clone()).is_ok());
        new.endpoint.push('ü');
        assert_eq!(refused_fields(new), ["endpoint"]);
    }

    #[test]
    fn long_texts_are_cut_on_a_character_and_the_row_says_so() {
        let mut new = valid();
        new.error_message = format!("{}ü", "x".repeat(MAX_MESSAGE_BYTES - 1));
        let row = row(new).expect("valid");
        assert_eq!(row.error_message.len(), MAX_MESSAGE_BYTES - 1);
        assert_eq!(row.context["truncated"], json!(["error_message"]));
    }

    #[test]
    fn a_row_too_large_is_refused_and_names_what_to_shorten() {
        let mut new = valid();
        new.request_body = Some("x".repeat(MAX_ROW_BYTES).into());
        assert_eq!(refused_fields(new), ["requestBody"]);
    }

    #[test]
    fn nul_becomes_a_replacement_character_wherever_it_stands() {
        let mut new = valid();
        new.error_message = "a\0b".to_owned();
        new.context
            .insert("k\0".to_owned(), json!(["\0", { "\0": "\0" }]));
        let row = row(new).expect("valid");
        assert_eq!(row.error_message, "a\u{fffd}b");
        assert_eq!(
            Value::Object(row.context),
            json!({ "k\u{fffd}": ["\u{fffd}", { "\u{fffd}": "\u{fffd}" }] })
        );
    }

    #[test]
    fn numbers_are_as_both_databases_read_them() {
        let mut new = valid();
        new.request_body = Some(json!([1e16, -1e16, 1e20, -0.0, 0.1, 1.0, 7, u64::MAX]));
        assert_eq!(
            row(new)
                .expect("valid")
                .request_body
                .map(|it| it.to_string()),
            Some(
                "[10000000000000000,-10000000000000000,1e+20,0.0,0.1,1.0,7,18446744073709551615]"
                    .to_owned()
            )
        );
    }

    #[test]
    fn impossible_times_become_now_and_are_kept_beside() {
        for seconds in [301, -MAX_AGE_SECONDS - 1] {
            let mut new = valid();
            new.created_at = Some(NOW.plus_seconds(seconds));
            let row = row(new).expect("valid");
            assert_eq!(row.created_at, NOW);
            assert_eq!(
                row.context["timeClamped"],
                json!(NOW.plus_seconds(seconds).to_string())
            );
        }
        let mut new = valid();
        new.created_at = Some(NOW.plus_seconds(-MAX_AGE_SECONDS));
        let row = row(new).expect("valid");
        assert_eq!(row.created_at, NOW.plus_seconds(-MAX_AGE_SECONDS));
    }

    #[test]
    fn deep_json_is_refused() {
        let deep = (0..MAX_JSON_DEPTH).fold(json!(1), |value, _| json!([value]));
        let mut new = valid();
        new.response_body = Some(deep);
        assert_eq!(refused_fields(new), ["responseBody"]);
    }
}
