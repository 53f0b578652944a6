//! Sightings for tests, said in few words.

use std::sync::Arc;

use serde_json::json;

use crate::domain::{
    Content, EntryFacts, Fingerprint, Sighting, SightingKind, SpanId, Thrown, TraceId, TraceKey,
};

/// The service of all samples.
pub(crate) const SERVICE: &str = "shop";

/// The trace of all samples.
pub(crate) const TRACE: TraceId = TraceId([7; 16]);

/// Second 0 of the samples: 2026-01-01T00:00:00Z, in microseconds.
pub(crate) const START_MICROS: i64 = 1_767_225_600_000_000;

pub(crate) fn trace_key() -> TraceKey {
    TraceKey::new(SERVICE, TRACE)
}

pub(crate) fn span_id(number: u16) -> SpanId {
    let [high, low] = number.to_be_bytes();
    SpanId([1, 0, 0, 0, 0, 0, high, low])
}

/// A failed span without an exception.
pub(crate) fn failed(span: u16, parent: u16) -> Sighting {
    sighting(SightingKind::FailedSpan, span, parent)
}

/// An exception on a span that did not fail.
pub(crate) fn exception(span: u16, parent: u16, exception_type: &str, message: &str) -> Sighting {
    sighting(SightingKind::Exception, span, parent).throws(exception_type, message)
}

/// A span that did not fail.
pub(crate) fn link(span: u16, parent: u16) -> Sighting {
    sighting(SightingKind::Span, span, parent)
}

/// An exception log record.
pub(crate) fn log(span: u16, severity: u8) -> Sighting {
    let mut log = sighting(SightingKind::Log, span, 0).throws("app.LogError", "it was logged");
    log.parent_span_id = None;
    log.log_severity = severity;
    let content = log.content.as_mut().map(Arc::make_mut);
    content.expect("it is a failure").context =
        [("log".to_owned(), json!({"severityNumber": severity}))]
            .into_iter()
            .collect();
    log
}

/// Span 0 is nobody: a parent 0 is a parent in another service.
fn sighting(kind: SightingKind, span: u16, parent: u16) -> Sighting {
    let is_failure = kind != SightingKind::Span;
    let mut sighting = Sighting {
        key: Sighting::key(trace_key(), Some(span_id(span)), kind, None),
        kind,
        span_id: Some(span_id(span)),
        parent_span_id: Some(span_id(parent)),
        ended_at_nanos: 0,
        thrown_at_micros: None,
        ended_at_micros: 0,
        is_entry: false,
        facts: is_failure.then(|| facts(&format!("span {span}"), "INTERNAL")),
        thrown: None,
        stated_severity: None,
        stated_category: None,
        own_category: None,
        tags: Vec::new(),
        because: None,
        rule: None,
        critical: false,
        log_severity: 0,
        content: is_failure.then(|| {
            Arc::new(Content {
                error_message: format!("span {span} failed"),
                error_code: None,
                error_stack: None,
                external_service: None,
                external_error_code: None,
                external_error_message: None,
                context: [("span".to_owned(), json!(span))].into_iter().collect(),
                service_version: None,
                environment: "test".to_owned(),
                fingerprint: Fingerprint(format!("1:span{span}")),
            })
        }),
        row: None,
    };
    sighting = sighting.ended(100);
    sighting
}

fn facts(endpoint: &str, method: &str) -> EntryFacts {
    EntryFacts {
        endpoint: endpoint.to_owned(),
        method: method.to_owned(),
        ..EntryFacts::default()
    }
}

impl Sighting {
    /// The span ended this many seconds after the start.
    pub(crate) fn ended(mut self, second: u32) -> Self {
        self.ended_at_micros = START_MICROS + i64::from(second) * 1_000_000;
        self.ended_at_nanos = self.ended_at_micros.unsigned_abs() * 1_000;
        self
    }

    /// The exception was thrown this many seconds after the start.
    pub(crate) fn at(mut self, second: u32) -> Self {
        self.thrown_at_micros = Some(START_MICROS + i64::from(second) * 1_000_000);
        self
    }

    pub(crate) fn throws(mut self, exception_type: &str, message: &str) -> Self {
        let thrown = Thrown {
            short_type: exception_type.rsplit('.').next().unwrap_or("").to_owned(),
            first_line: message.lines().next().unwrap_or("").to_owned(),
        };
        self.key = Sighting::key(trace_key(), self.span_id, self.kind, Some(&thrown));
        if let Some(content) = self.content.as_mut().map(Arc::make_mut) {
            content.error_code = Some(exception_type.to_owned());
            content.error_message = message.to_owned();
            content.fingerprint = Fingerprint(format!("1:{exception_type}"));
        }
        self.thrown = Some(thrown);
        self
    }

    pub(crate) fn stack(mut self, stack: &str) -> Self {
        if let Some(content) = self.content.as_mut().map(Arc::make_mut) {
            content.error_stack = Some(stack.to_owned());
        }
        self
    }

    pub(crate) fn version(mut self, version: &str) -> Self {
        if let Some(content) = self.content.as_mut().map(Arc::make_mut) {
            content.service_version = Some(version.to_owned());
        }
        self
    }

    /// It is an entry span and answered this.
    pub(crate) fn entry(mut self, endpoint: &str, status: i32) -> Self {
        self.is_entry = true;
        self.facts = Some(EntryFacts {
            status_code: Some(status),
            ..facts(endpoint, "GET")
        });
        self
    }

    pub(crate) fn user(mut self, user_id: &str) -> Self {
        self.facts.get_or_insert_default().user_id = Some(user_id.to_owned());
        self
    }
}
