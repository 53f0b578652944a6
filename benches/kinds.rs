//! What scrubbing and fingerprints cost: failed spans a second, read and looked at until their rows
//! are ready to be stored, with both on against off. All forms take turns in one run; the figures
//! are medians of nine rounds.

use std::hint::black_box;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use payload::{SPANS, median};
use prost::Message;
use redspan::{
    clock,
    commit::OpenTraceSet,
    detect::{DetectSettings, Detector, KindsBy, Scrubbing},
    otlp::{Encoding, Limits, Records, walk},
};

mod payload;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(300);

/// Real stacks, of which each failed span has one.
const STACKS: &[&str] = &[
    include_str!("../tests/fixtures/stacks/java/async.1.txt"),
    include_str!("../tests/fixtures/stacks/java/proxy.1.txt"),
    include_str!("../tests/fixtures/stacks/python/during_handling.1.txt"),
    include_str!("../tests/fixtures/stacks/python/async.1.txt"),
    include_str!("../tests/fixtures/stacks/javascript/plain.1.txt"),
    include_str!("../tests/fixtures/stacks/javascript/library.1.txt"),
    include_str!("../tests/fixtures/stacks/go/http.1.txt"),
    include_str!("../tests/fixtures/stacks/dotnet/inner.1.txt"),
];

fn main() {
    let body = request();
    println!("{SPANS} failed spans, {} bytes a span", body.len() / SPANS);
    let settings = |scrubs, kinds_by| DetectSettings {
        scrubbing: Scrubbing {
            is_on: scrubs,
            ..Scrubbing::default()
        },
        kinds_by,
        ..DetectSettings::default()
    };
    let forms = [
        ("both off", settings(false, KindsBy::Type)),
        ("scrubbing", settings(true, KindsBy::Type)),
        ("fingerprints", settings(false, KindsBy::Failure)),
        ("both on", settings(true, KindsBy::Failure)),
    ];
    let rounds: Vec<Vec<f64>> = (0..ROUNDS)
        .map(|_| {
            let rates = forms.iter().map(|(_, form)| spans_a_second(&body, form));
            rates.collect()
        })
        .collect();
    for (place, (name, _)) in forms.iter().enumerate() {
        let rate = median(rounds.iter().map(|round| round[place]).collect());
        let ratio = median(rounds.iter().map(|round| round[place] / round[0]).collect());
        println!(
            "{name}: {:.0} thousand failed spans/s, {:.1} microseconds each, {ratio:.2} of both off",
            rate / 1e3,
            1e6 / rate
        );
    }
}

/// A request of failed spans with an exception and its stack.
fn request() -> Vec<u8> {
    let mut request = payload::request(|_| true);
    let spans = request
        .resource_spans
        .iter_mut()
        .flat_map(|resource| &mut resource.scope_spans)
        .flat_map(|scope| &mut scope.spans);
    for (index, span) in spans.enumerate() {
        let (head, stack) = STACKS[index % STACKS.len()]
            .split_once("\n\n")
            .expect("a stack stands behind its head");
        let (type_name, message) = head.split_once('\n').expect("a head has two lines");
        let texts = [
            ("exception.type", type_name.trim_start_matches("type: ")),
            ("exception.message", message.trim_start_matches("message: ")),
            ("exception.stacktrace", stack),
        ];
        span.events[0].attributes = texts
            .map(|(key, text)| KeyValue {
                key: key.to_owned(),
                value: Some(AnyValue {
                    value: Some(any_value::Value::StringValue(text.to_owned())),
                }),
                ..KeyValue::default()
            })
            .into();
    }
    request.encode_to_vec()
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
fn spans_a_second(body: &[u8], settings: &DetectSettings) -> f64 {
    let open = OpenTraceSet::default();
    let start = Instant::now();
    let mut spans = 0;
    while start.elapsed() < ROUND {
        let open = open.read();
        let mut detector = Detector::new(settings, clock::now(), &open);
        let limits = Limits::default();
        walk(
            Records::Spans,
            body,
            Encoding::Protobuf,
            &limits,
            &mut detector,
        )
        .expect("a valid request");
        black_box(detector.finish().expect("there is room"));
        spans += SPANS;
    }
    spans as f64 / start.elapsed().as_secs_f64()
}
