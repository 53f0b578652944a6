//! Requests of 512 spans of 592 bytes with twelve attributes, as a web server's SDK sends them.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::Event},
};
use prost::Message;

pub const SPANS: usize = 512;
const SPAN_BYTES: usize = 592;

/// Begins each trace id, so that it can be found in the bytes.
pub const MARK: [u8; 8] = *b"redspan.";

/// A request of 512 spans that ended just now; those that `fails` says have failed with a stack of 2 KB.
pub fn request(fails: impl Fn(usize) -> bool) -> ExportTraceServiceRequest {
    let ended = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("now is after 1970")
        .as_nanos();
    let ended = u64::try_from(ended).expect("now is before 2554");
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![
                    text("service.name", "shop"),
                    text("service.version", "1.4.2"),
                    text("telemetry.sdk.language", "java"),
                ],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans: (0..SPANS)
                    .map(|index| span(index, fails(index), ended))
                    .collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, any_value::Value::StringValue(value.to_owned()))
}

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn span(index: usize, failed: bool, ended: u64) -> Span {
    let number = index as u64;
    let mut span = Span {
        trace_id: [MARK, number.to_be_bytes()].concat(),
        span_id: (number + 0xb7ad_6b71).to_be_bytes().into(),
        parent_span_id: (number + 0x00f0_67aa).to_be_bytes().into(),
        name: "GET /api/v1/orders/{id}".to_owned(),
        kind: if index.is_multiple_of(2) { 2 } else { 3 },
        start_time_unix_nano: ended - 12_345_678,
        end_time_unix_nano: ended,
        attributes: vec![
            text("http.request.method", "GET"),
            text("url.scheme", "https"),
            text("url.path", &format!("/api/v1/orders/{index}")),
            text(
                "http.route",
                &format!("/api/v1/orders/{{id}}/{}", index % 20),
            ),
            pair(
                "http.response.status_code",
                any_value::Value::IntValue(if failed { 500 } else { 200 }),
            ),
            text("server.address", "shop.example.com"),
            pair("server.port", any_value::Value::IntValue(8443)),
            text("client.address", "203.0.113.42"),
            text("network.protocol.version", "1.1"),
            text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)"),
            text("thread.name", "http-nio-8443-exec-7"),
        ],
        flags: 0x301,
        ..Span::default()
    };
    // The twelfth fills the span up to its size.
    let filler = (SPAN_BYTES - 20).saturating_sub(span.encoded_len());
    span.attributes.push(text("app.note", &"n".repeat(filler)));
    if failed {
        span.status = Some(Status {
            code: 2,
            message: "java.lang.IllegalStateException: out of stock".to_owned(),
        });
        let frame = "\tat com.example.shop.OrderService.reserve(OrderService.java:118)\n";
        span.events.push(Event {
            time_unix_nano: ended - 1_000_000,
            name: "exception".to_owned(),
            attributes: vec![
                text("exception.type", "java.lang.IllegalStateException"),
                text("exception.message", "out of stock"),
                text("exception.stacktrace", &frame.repeat(2_048 / frame.len())),
            ],
            ..Event::default()
        });
    }
    span
}

/// The middle of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
