//! What requests of failures only may take.

use super::*;
use crate::detect::detector::sight::{MAX_CONTEXT_BYTES, MAX_TEXT_BYTES};

#[test]
fn many_failures_of_a_large_resource_share_a_bounded_memory() {
    let large = "x".repeat(4000);
    let resource: Vec<_> = ["a", "b", "c", "d"]
        .map(|key| (key, large.as_str()))
        .to_vec();
    let spans = (0..3_000_u16)
        .map(|number| Span {
            span_id: [&[9; 6][..], &number.to_be_bytes()].concat(),
            ..failed(span_of(INTERNAL, 9, 0), "x")
        })
        .collect();
    let found = find_in(vec![resource_spans(&resource, spans)], &Open(Vec::new()));
    let sightings = &found.traces[0].sightings;
    assert_eq!(sightings.len(), 3_000);
    let share = |sighting: &Sighting| {
        let context = sighting.content.as_ref().unwrap().context.to_map();
        (
            context.contains_key("resource"),
            context.contains_key("truncated"),
        )
    };
    assert_eq!(share(&sightings[0]), (true, false));
    assert_eq!(share(&sightings[2_999]), (false, true));
}

/// Spans that failed, each with its own id and the same exception.
fn throwing_spans(count: u16, message: &str, stack: &str) -> Vec<Span> {
    let span = |number: u16| Span {
        span_id: [&[9; 6][..], &number.to_be_bytes()].concat(),
        ..failed(
            throwing(span_of(CLIENT, 9, 0), "app.Boom", message, stack),
            "",
        )
    };
    (0..count).map(span).collect()
}

/// What is said of a failure, when so much was said of others of the same request.
fn told(spans: Vec<Span>, context_bytes: usize, text_bytes: usize) -> Content {
    let request = ExportTraceServiceRequest {
        resource_spans: vec![resource_spans(SHOP, spans)],
    };
    let (settings, open) = (DetectSettings::default(), Open(Vec::new()));
    let mut detector = Detector::new(&settings, Timestamp::from_micros(NOW), &open);
    (detector.context_bytes, detector.text_bytes) = (context_bytes, text_bytes);
    let body = request.encode_to_vec();
    walk(
        Records::Spans,
        &body,
        Encoding::Protobuf,
        &Limits::default(),
        &mut detector,
    )
    .expect("the request is one");
    assert!(detector.context_bytes > context_bytes && detector.text_bytes > text_bytes);
    content(&detector.finish().expect("there is room")).clone()
}

#[test]
fn when_a_request_has_told_enough_its_further_failures_have_no_context() {
    let told = |bytes| {
        told(throwing_spans(1, "boom", ""), bytes, 0)
            .context
            .to_map()
    };
    assert_eq!(told(MAX_CONTEXT_BYTES)["span"]["name"], "span 9");
    let nothing = json!({"truncated": ["context"]});
    assert_eq!(json!(told(MAX_CONTEXT_BYTES + 1)), nothing);
}

#[test]
fn when_a_request_has_told_enough_its_further_long_texts_are_cut_short() {
    let stack = "at app.Boom.go(Boom.java:7)";
    let spans = throwing_spans(1, &"boom ".repeat(1_000), stack);
    let whole = told(spans.clone(), 0, MAX_TEXT_BYTES);
    let short = told(spans, 0, MAX_TEXT_BYTES + 1);
    assert_eq!(whole.error_stack.as_deref(), Some(stack));
    assert_eq!(
        (whole.error_message.len(), short.error_message.len()),
        (5_000, 256)
    );
    assert!(!whole.context.contains_key("truncated"));
    assert_eq!(short.error_stack, None);
    assert_eq!(
        short.external_error_message.map(|text| text.len()),
        Some(256)
    );
    let cut = json!(["error_message", "error_stack"]);
    assert_eq!(short.context.to_map()["truncated"], cut);
    assert_eq!(whole.fingerprint, short.fingerprint, "it is one kind");
}

/// Has room for this many bytes, and has given so much of it.
struct Bounded {
    bytes: usize,
    given: usize,
}

impl Room for Bounded {
    fn grow(&mut self, bytes: usize) -> bool {
        let has_room = bytes <= self.bytes;
        if has_room {
            self.given = bytes;
        }
        has_room
    }
}

/// The spans that were read of the request, what was found, and how much room that took.
fn found_within(bytes: usize, spans: Vec<Span>) -> (u64, Option<Findings>, usize) {
    let request = ExportTraceServiceRequest {
        resource_spans: vec![resource_spans(SHOP, spans)],
    };
    let body = request.encode_to_vec();
    let settings = DetectSettings::default();
    let (mut room, open) = (Bounded { bytes, given: 0 }, Open(Vec::new()));
    let mut detector =
        Detector::new(&settings, Timestamp::from_micros(NOW), &open).within(&mut room);
    walk(
        Records::Spans,
        &body,
        Encoding::Protobuf,
        &Limits::default(),
        &mut detector,
    )
    .expect("the request is one");
    let (spans, found) = (detector.records(), detector.finish());
    (spans, found, room.given)
}

#[test]
fn findings_stay_within_the_room_that_there_is() {
    let spans = throwing_spans(100, "boom", "");
    let (read, whole, given) = found_within(usize::MAX, spans.clone());
    let whole = whole.expect("there is room");
    assert_eq!((read, whole.traces[0].sightings.len()), (100, 100));
    assert!(given <= whole.memory_bytes() && 2 * given > whole.memory_bytes());
    let (read, part, part_given) = found_within(given / 2, spans);
    assert_eq!((read, part), (100, None));
    assert!(part_given <= given / 2 && part_given > given / 4);
}

#[test]
fn what_entry_spans_say_of_their_requests_needs_room_too() {
    let header = "x".repeat(1_000);
    let name = "http.request.header.x-trace";
    let mut spans = throwing_spans(1, "boom", "");
    spans.extend((0..100_u16).map(|number| Span {
        span_id: [&[8; 6][..], &number.to_be_bytes()].concat(),
        ..with(span_of(SERVER, 8, 0), pairs(&[(name, header.as_str())]))
    }));
    let (_, found, given) = found_within(usize::MAX, spans.clone());
    assert_eq!(
        found.map(|found| found.traces[0].sightings.len()),
        Some(101)
    );
    assert!(given > 100 * 1_000);
    let (read, found, _) = found_within(given / 2, spans);
    assert_eq!((read, found), (101, None));
}
