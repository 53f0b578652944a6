//! What telemetry shows of a failure. `error_traces` keeps the sightings of a service's part of a
//! trace in order of arrival; the rows of the trace follow from them alone.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Category, ErrorId, JsonObject, NameHasher, Severity, SightingKey, SpanId, TraceKey};

/// What was seen.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SightingKind {
    /// A failed span with its exceptions.
    FailedSpan,
    /// An exception on a span that did not fail.
    Exception,
    /// An exception log record.
    Log,
    /// A span of an open trace that did not fail and has no exception: a parent link, and an
    /// entry span's facts. Makes no row.
    Span,
}

/// What says that a span failed; the first that applies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailedBecause {
    /// A rule of the user.
    Rule,
    /// Its status is ERROR.
    StatusError,
    /// The status of HTTP, or the code of gRPC, that it answered or was answered.
    Answer,
    /// It has an `error.type`.
    ErrorType,
}

/// What the severity of a log record comes down to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Gravity {
    /// TRACE, DEBUG or INFO.
    Remark,
    /// WARN.
    Warning,
    /// ERROR, FATAL, or none given.
    Failure,
}

/// The part of an exception that other exceptions are compared with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Thrown {
    /// What follows the last `.`, `:`, `\`, `$` or `/` of the type, without `*`; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub short_type: String,
    /// The first line of the message, at most 256 bytes; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub first_line: String,
}

/// What an entry span knows about the request that it stands for.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EntryFacts {
    /// See `api_errors.endpoint`.
    pub endpoint: String,
    /// See `api_errors.method`.
    pub method: String,
    /// HTTP status, or the equivalent of a gRPC code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<i32>,
    /// See `api_errors.user_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// See `api_errors.request_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// See `api_errors.ip_address`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// See `api_errors.user_agent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// See `api_errors.request_headers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_headers: Option<JsonObject>,
    /// The request is a health probe's or a synthetic agent's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub probe: bool,
}

/// One sighting. Everything that `resolve` decides by is here; the large texts are in `content`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sighting {
    /// Names the sighting; a sighting that is there already changes nothing.
    pub key: SightingKey,
    /// What was seen.
    pub kind: SightingKind,
    /// The span it was seen on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<SpanId>,
    /// That span's parent, in whatever service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<SpanId>,
    /// When the span ended, in nanoseconds since the Unix epoch, as sent.
    #[serde(default)]
    pub ended_at_nanos: u64,
    /// When the sighting happened, in microseconds: the earliest time of its exceptions (clamped),
    /// absent when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thrown_at_micros: Option<i64>,
    /// When the span ended, in microseconds, clamped: the time of the row when nothing was thrown.
    #[serde(default)]
    pub ended_at_micros: i64,
    /// The span is an entry span: one request of its endpoint.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_entry: bool,
    /// What the span itself says of endpoint, method, status, user, …; always present on
    /// failures, and on entry spans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<EntryFacts>,
    /// The exception it is about: the last one of a failed span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thrown: Option<Thrown>,
    /// `error.severity` said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_severity: Option<Severity>,
    /// `error.category` said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_category: Option<Category>,
    /// The category that follows from the origin itself, when the entry's status says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_category: Option<Category>,
    /// What rules of the user add to the row's tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Why the span failed; absent when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<FailedBecause>,
    /// The rule of the user that matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Out of memory, stack overflow, a FATAL log record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub critical: bool,
    /// Severity number of a log record (OTLP: 1–24); 0 for spans.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub log_severity: u8,
    /// The rest of the row as it would be if this sighting stood alone. Absent for [`SightingKind::Span`],
    /// and while the row that is built from this sighting keeps it.
    /// Shared with the copies of the sighting, because it is the largest part of a request.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "shared")]
    pub content: Option<Arc<Content>>,
    /// The stored row that it is part of; absent until then, and on [`SightingKind::Span`]. Without
    /// `content`, that row keeps it. When the row is gone, the failure is gone for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<ErrorId>,
}

/// A shared content is written as what it is, and nobody shares it when it is read.
mod shared {
    use super::{Arc, Content, Deserialize, Serialize};

    #[expect(clippy::ref_option, reason = "serde calls it with a reference")]
    pub(super) fn serialize<S: serde::Serializer>(
        content: &Option<Arc<Content>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        content.as_deref().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Arc<Content>>, D::Error> {
        let content = Option::<Content>::deserialize(deserializer)?;
        Ok(content.map(Arc::new))
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(number: &u8) -> bool {
    *number == 0
}

impl Sighting {
    /// Whether a row can be made of it.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.kind != SightingKind::Span
    }

    /// How grave whoever logged it thought it was; what is no log record is a failure.
    #[must_use]
    pub fn log_gravity(&self) -> Gravity {
        match self.log_severity {
            1..13 => Gravity::Remark,
            13..17 => Gravity::Warning,
            _ => Gravity::Failure,
        }
    }

    /// Whether it is a row when nothing else is known of its trace. A remark only tells what was
    /// thrown in a span that failed, unless somebody says how grave it is.
    #[must_use]
    pub fn makes_row(&self) -> bool {
        let is_told = self.log_gravity() > Gravity::Remark || self.stated_severity.is_some();
        self.is_failure() && is_told
    }

    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        // Its frame, its names, its place in a list of its own, and what the allocator rounds up.
        const FRAME_BYTES: usize = 768;
        let headers = self.facts.as_ref().map(|facts| {
            let headers = facts.request_headers.as_ref();
            headers.map_or(0, JsonObject::bytes)
        });
        let content = self.content.as_deref().map(Content::memory_bytes);
        FRAME_BYTES + headers.unwrap_or(0) + content.unwrap_or(0)
    }

    /// The name of a sighting: service and trace (in `trace`), span, kind, and what was thrown.
    #[must_use]
    pub fn key(
        trace: TraceKey,
        span: Option<SpanId>,
        kind: SightingKind,
        thrown: Option<&Thrown>,
    ) -> SightingKey {
        let mut hasher = NameHasher::new("sighting");
        hasher
            .field(trace.0.as_bytes())
            .field(span.as_ref().map_or(&[], |span| &span.0[..]))
            .field(&[kind as u8])
            .field(thrown.map_or("", |thrown| &thrown.short_type).as_bytes())
            .field(thrown.map_or("", |thrown| &thrown.first_line).as_bytes());
        SightingKey(hasher.finish_uuid())
    }

    /// The name of a log record. Its time, as sent, is part of it, because of several that say the
    /// same any may arrive first.
    #[must_use]
    pub fn log_key(
        trace: TraceKey,
        span: Option<SpanId>,
        time_unix_nano: u64,
        thrown: Option<&Thrown>,
    ) -> SightingKey {
        let of_exception = Self::key(trace, span, SightingKind::Log, thrown);
        let mut hasher = NameHasher::new("log record in a trace");
        hasher
            .field(of_exception.0.as_bytes())
            .field(&time_unix_nano.to_le_bytes());
        SightingKey(hasher.finish_uuid())
    }
}

/// The columns of a row that come from the sighting it is built from, whatever stands above it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// Never empty.
    pub error_message: String,
    /// The whole exception type; other exceptions are searched for in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Stack trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_stack: Option<String>,
    /// When the origin is a CLIENT or PRODUCER span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_service: Option<String>,
    /// See [`Content::external_service`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_error_code: Option<String>,
    /// See [`Content::external_service`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_error_message: Option<String>,
    /// Attributes, span, resource, earlier exceptions, flags; no key of `resolve`'s own
    /// (`entry`, `evidence`).
    #[serde(default)]
    pub context: JsonObject,
    /// `service.version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_version: Option<String>,
    /// `deployment.environment.name`.
    #[serde(default)]
    pub environment: String,
    /// What kind of failure.
    pub fingerprint: super::Fingerprint,
}

impl Content {
    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        // Its frame, and its short texts.
        const FRAME_BYTES: usize = 512;
        FRAME_BYTES + self.text_bytes() + self.context_bytes()
    }

    /// The bytes of its long texts.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let texts = [&self.error_stack, &self.external_error_message];
        let texts = texts.into_iter().flatten().map(String::len);
        self.error_message.len() + texts.sum::<usize>()
    }

    /// The bytes of its context.
    #[must_use]
    pub fn context_bytes(&self) -> usize {
        self.context.bytes()
    }
}
