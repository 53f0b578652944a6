//! Requests with known contents: made with prost, so that the tests know what was sent without
//! asking the program.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::Event},
};
use prost::Message;

/// What a request must come to, whatever happens to it on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Truth {
    /// Each row: message, endpoint, method, status, user and severity, with bars between them.
    pub rows: Vec<String>,
    /// Entry spans.
    pub requests: i64,
    /// Failed ones.
    pub failed_requests: i64,
    /// Groups that were new until more was known of their only error.
    pub regrouped: i64,
}

/// One request and what it must come to.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The protobuf body.
    pub body: Vec<u8>,
    /// What must come of it.
    pub truth: Truth,
}

/// An attribute.
pub fn attribute(key: &str, value: impl Into<String>) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.into())),
        }),
        ..KeyValue::default()
    }
}

fn number(key: &str, value: i64) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::IntValue(value)),
        }),
        ..KeyValue::default()
    }
}

/// Now, in nanoseconds since the epoch.
pub fn now_nanos() -> u64 {
    u64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_nanos(),
    )
    .unwrap()
}

/// A request's bytes out of the spans of one service.
pub fn body(service: &str, spans: Vec<Span>) -> Vec<u8> {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![
                    attribute("service.name", service),
                    attribute("service.version", "1.2.3"),
                ],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
    .encode_to_vec()
}

/// Ids out of a number that no other trace of the test has.
pub fn trace_id(number: u64) -> Vec<u8> {
    [
        0x5eed_0000_0000_0000_u64.to_be_bytes(),
        (number + 1).to_be_bytes(),
    ]
    .concat()
}

/// Likewise, within a trace.
pub fn span_id(number: u64) -> Vec<u8> {
    (number + 1).to_be_bytes().to_vec()
}

/// A SERVER span that answered with this status.
pub fn entry(trace: u64, status: i64, ended: u64) -> Span {
    Span {
        trace_id: trace_id(trace),
        span_id: span_id(0),
        name: "GET /items/{id}".to_owned(),
        kind: 2,
        flags: 0x100,
        start_time_unix_nano: ended - 20_000_000,
        end_time_unix_nano: ended,
        attributes: vec![
            attribute("http.request.method", "GET"),
            attribute("http.route", format!("/items/{}", trace % 7)),
            number("http.response.status_code", status),
            attribute("user.id", format!("user-{}", trace % 13)),
        ],
        status: Some(Status {
            code: if status >= 500 { 2 } else { 0 },
            message: String::new(),
        }),
        ..Span::default()
    }
}

/// A span inside the trace that failed with this exception.
pub fn failed(trace: u64, span: u64, parent: u64, message: &str, ended: u64) -> Span {
    Span {
        trace_id: trace_id(trace),
        span_id: span_id(span),
        parent_span_id: span_id(parent),
        flags: 0x100,
        name: "work".to_owned(),
        kind: 1,
        start_time_unix_nano: ended - 10_000_000,
        end_time_unix_nano: ended,
        events: vec![Event {
            time_unix_nano: ended - 1_000,
            name: "exception".to_owned(),
            attributes: vec![
                attribute(
                    "exception.type",
                    format!(
                        "shop.StockError{}",
                        ["", "A", "B", "C", "D"][(trace % 5) as usize]
                    ),
                ),
                attribute("exception.message", message),
                attribute(
                    "exception.stacktrace",
                    format!("Traceback:\n  File \"stock.py\", line 7, in take\n{message}"),
                ),
            ],
            ..Event::default()
        }],
        status: Some(Status {
            code: 2,
            message: message.to_owned(),
        }),
        ..Span::default()
    }
}

/// A span inside the trace that is fine.
pub fn fine(trace: u64, span: u64, parent: u64, ended: u64) -> Span {
    Span {
        events: Vec::new(),
        status: None,
        ..failed(trace, span, parent, "", ended)
    }
}

/// The row of a trace that failed with this message below its entry.
fn row(trace: u64, message: &str) -> String {
    format!(
        "{message}|/items/{}|GET|500|user-{}|error",
        trace % 7,
        trace % 13
    )
}

/// A whole trace in one request: every fourth fails with an exception two spans below its entry.
pub fn whole_traces(service: &str, first: u64, traces: u64) -> Sent {
    let mut spans = Vec::new();
    let mut truth = Truth::default();
    let ended = now_nanos();
    for trace in first..first + traces {
        truth.requests += 1;
        if trace % 4 == 0 {
            let message = format!("no stock for order {trace}");
            spans.push(failed(trace, 2, 1, &message, ended - 3_000_000));
            spans.push(fine(trace, 1, 0, ended - 2_000_000));
            spans.push(entry(trace, 500, ended));
            truth.failed_requests += 1;
            truth.rows.push(row(trace, &message));
        } else {
            spans.push(fine(trace, 1, 0, ended - 2_000_000));
            spans.push(entry(trace, 200, ended));
        }
    }
    Sent {
        body: body(service, spans),
        truth,
    }
}

/// One failing trace, cut into three requests, in the order in which its spans ended.
pub fn cut_trace(service: &str, trace: u64) -> Vec<Sent> {
    let ended = now_nanos();
    let message = format!("no stock for order {trace}");
    let parts = [
        (
            failed(trace, 2, 1, &message, ended - 3_000_000),
            Truth {
                rows: vec![row(trace, &message)],
                ..Truth::default()
            },
        ),
        (fine(trace, 1, 0, ended - 2_000_000), Truth::default()),
        (
            entry(trace, 500, ended),
            Truth {
                requests: 1,
                failed_requests: 1,
                ..Truth::default()
            },
        ),
    ];
    parts
        .into_iter()
        .map(|(span, truth)| Sent {
            body: body(service, vec![span]),
            truth,
        })
        .collect()
}

impl Truth {
    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.rows.extend(other.rows.iter().cloned());
        self.requests += other.requests;
        self.failed_requests += other.failed_requests;
    }
}
