//! How fast a request of 512 spans is read, against decoding it with prost and `serde_json` and
//! counting the same. Both sides take turns in one run; the figures are medians of nine rounds.

use std::hint::black_box;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::Event},
};
use prost::Message;
use redspan::otlp::{
    Encoding, Limits, ResourceView, ScopeView, SpanKind, SpanView, StatusCode, Value, Visitor, walk,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SPANS: usize = 512;
const SPAN_BYTES: usize = 592;
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(200);

fn main() {
    let request = request();
    let protobuf = request.encode_to_vec();
    let json = serde_json::to_vec(&request).expect("requests can be written");
    println!(
        "{SPANS} spans, {} bytes of protobuf and {} of JSON a span",
        protobuf.len() / SPANS,
        json.len() / SPANS
    );
    compare(
        "protobuf: walk against prost",
        || walked(&protobuf, Encoding::Protobuf),
        || counted(&ExportTraceServiceRequest::decode(&*protobuf).expect("just encoded")),
    );
    compare(
        "JSON: walk against serde_json",
        || walked(&json, Encoding::Json),
        || counted(&serde_json::from_slice(&json).expect("just written")),
    );
}

fn compare(title: &str, ours: impl Fn() -> Counted, theirs: impl Fn() -> Counted) {
    assert_eq!(ours(), theirs(), "both sides count the same");
    let rounds: Vec<_> = (0..ROUNDS)
        .map(|_| (spans_a_second(&ours), spans_a_second(&theirs)))
        .collect();
    let ours = median(rounds.iter().map(|round| round.0).collect());
    let theirs = median(rounds.iter().map(|round| round.1).collect());
    let ratio = median(rounds.iter().map(|round| round.0 / round.1).collect());
    println!(
        "{title}: {:.2} and {:.2} million spans/s, {ratio:.2} times as fast",
        ours / 1e6,
        theirs / 1e6
    );
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
fn spans_a_second(count: &impl Fn() -> Counted) -> f64 {
    let start = Instant::now();
    let mut spans = 0;
    while start.elapsed() < ROUND {
        black_box(count());
        spans += SPANS;
    }
    spans as f64 / start.elapsed().as_secs_f64()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// What either side counts.
#[derive(Default, PartialEq, Debug)]
struct Counted {
    servers: u64,
    nanoseconds: u64,
    failed: u64,
    method_bytes: usize,
    route_bytes: usize,
    status_codes: i64,
    exception_bytes: usize,
}

fn walked(body: &[u8], encoding: Encoding) -> Counted {
    let mut counted = Counted::default();
    walk(body, encoding, &Limits::default(), &mut counted).expect("a valid request");
    counted
}

impl Visitor for Counted {
    fn resource(&mut self, _: &ResourceView<'_>) {}

    fn scope(&mut self, _: &ScopeView<'_>) {}

    fn span(&mut self, span: &SpanView<'_>) {
        self.servers += u64::from(span.kind == SpanKind::Server);
        self.nanoseconds += span.end_time_unix_nano - span.start_time_unix_nano;
        for attribute in span.attributes {
            match (attribute.key, attribute.value) {
                (b"http.request.method", Value::Str(text)) => self.method_bytes += text.len(),
                (b"http.route", Value::Str(text)) => self.route_bytes += text.len(),
                (b"http.response.status_code", Value::Int(code)) => self.status_codes += code,
                _ => {}
            }
        }
        if span.status == StatusCode::Error {
            self.failed += 1;
            for event in span
                .events
                .iter()
                .filter(|event| event.name == b"exception")
            {
                for attribute in &event.attributes {
                    if let Value::Str(text) = attribute.value {
                        self.exception_bytes += attribute.key.len() + text.len();
                    }
                }
            }
        }
    }
}

fn counted(request: &ExportTraceServiceRequest) -> Counted {
    use any_value::Value::{IntValue, StringValue};

    let mut counted = Counted::default();
    let scopes = request
        .resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans);
    for span in scopes.flat_map(|scope| &scope.spans) {
        counted.servers += u64::from(span.kind == 2);
        counted.nanoseconds += span.end_time_unix_nano - span.start_time_unix_nano;
        for attribute in &span.attributes {
            let value = attribute.value.as_ref().and_then(|any| any.value.as_ref());
            match (attribute.key.as_str(), value) {
                ("http.request.method", Some(StringValue(text))) => {
                    counted.method_bytes += text.len();
                }
                ("http.route", Some(StringValue(text))) => counted.route_bytes += text.len(),
                ("http.response.status_code", Some(IntValue(code))) => {
                    counted.status_codes += code;
                }
                _ => {}
            }
        }
        if span.status.as_ref().is_some_and(|status| status.code == 2) {
            counted.failed += 1;
            for event in span.events.iter().filter(|event| event.name == "exception") {
                for attribute in &event.attributes {
                    let value = attribute.value.as_ref().and_then(|any| any.value.as_ref());
                    if let Some(StringValue(text)) = value {
                        counted.exception_bytes += attribute.key.len() + text.len();
                    }
                }
            }
        }
    }
    counted
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

/// Spans of a web server as its SDK sends them; one of a hundred has failed.
fn request() -> ExportTraceServiceRequest {
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
                scope: Some(InstrumentationScope {
                    name: "io.opentelemetry.tomcat-10.0".to_owned(),
                    version: "2.29.0-alpha".to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans: (0..SPANS).map(span).collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

fn span(index: usize) -> Span {
    let number = index as u64;
    let failed = index % 100 == 50;
    let start = 1_790_000_000_000_000_000 + number * 1_000_000;
    let code = if failed { 500 } else { 200 };
    let mut span = Span {
        trace_id: (u128::from(number) << 64 | 0x0af7_6519_16cd_43dd)
            .to_be_bytes()
            .into(),
        span_id: (number + 0xb7ad_6b71).to_be_bytes().into(),
        parent_span_id: (number + 0x00f0_67aa).to_be_bytes().into(),
        name: "GET /api/v1/orders/{id}".to_owned(),
        kind: if index.is_multiple_of(2) { 2 } else { 3 },
        start_time_unix_nano: start,
        end_time_unix_nano: start + 12_345_678,
        attributes: vec![
            text("http.request.method", "GET"),
            text("url.scheme", "https"),
            text("url.path", &format!("/api/v1/orders/{index}")),
            text("http.route", "/api/v1/orders/{id}"),
            pair(
                "http.response.status_code",
                any_value::Value::IntValue(code),
            ),
            text("server.address", "shop.example.com"),
            pair("server.port", any_value::Value::IntValue(8443)),
            text("client.address", "203.0.113.42"),
            text("network.protocol.version", "1.1"),
            text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)"),
            text("thread.name", "http-nio-8443-exec-7"),
        ],
        flags: 0x101,
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
            time_unix_nano: start + 12_000_000,
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
