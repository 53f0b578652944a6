//! How fast a request of 512 spans is read, against decoding it with prost and `serde_json` and
//! counting the same. Both sides take turns in one run; the figures are medians of nine rounds.

use std::hint::black_box;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value,
};
use payload::{SPANS, median};
use prost::Message;
use redspan::otlp::{
    Encoding, Limits, Records, ResourceView, ScopeView, SpanKind, SpanView, StatusCode, Value,
    Visitor, walk,
};

mod payload;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(200);

fn main() {
    let request = payload::request(|index| index % 100 == 50);
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
    walk(
        Records::Spans,
        body,
        encoding,
        &Limits::default(),
        &mut counted,
    )
    .expect("a valid request");
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
