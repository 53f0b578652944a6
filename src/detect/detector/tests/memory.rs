//! What requests of failures only may take.

use super::*;

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
        let context = &sighting.content.as_ref().unwrap().context;
        (
            context.contains_key("resource"),
            context.contains_key("truncated"),
        )
    };
    assert_eq!(share(&sightings[0]), (true, false));
    assert_eq!(share(&sightings[2_999]), (false, true));
}

#[test]
fn the_contexts_of_very_many_failures_are_bounded() {
    let spans = (0..30_000_u16)
        .map(|number| Span {
            span_id: [&[9; 6][..], &number.to_be_bytes()].concat(),
            ..failed(span_of(INTERNAL, 9, 0), "x")
        })
        .collect();
    let found = find(spans);
    let sightings = &found.traces[0].sightings;
    assert_eq!(sightings.len(), 30_000);
    let context = |sighting: &Sighting| json!(sighting.content.as_ref().unwrap().context);
    assert_eq!(context(&sightings[0])["span"]["name"], "span 9");
    assert_eq!(
        context(&sightings[29_999]),
        json!({"truncated": ["context"]})
    );
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

#[test]
fn when_a_request_has_told_enough_its_further_long_texts_are_cut_short() {
    let stack = "at app.Boom.go(Boom.java:7)";
    let spans = throwing_spans(1, &"boom ".repeat(1_000), stack);
    let request = ExportTraceServiceRequest {
        resource_spans: vec![resource_spans(SHOP, spans)],
    };
    let settings = DetectSettings::default();
    let told = |text_bytes: usize| {
        let open = Open(Vec::new());
        let mut detector = Detector::new(&settings, Timestamp::from_micros(NOW), &open);
        detector.text_bytes = text_bytes;
        let body = request.encode_to_vec();
        walk(&body, Encoding::Protobuf, &Limits::default(), &mut detector)
            .expect("the request is one");
        assert!(detector.text_bytes > text_bytes, "what is told is counted");
        content(&detector.finish()).clone()
    };
    let (whole, short) = (told(0), told(MAX_TEXT_BYTES + 1));
    assert_eq!(whole.error_stack.as_deref(), Some(stack));
    assert_eq!(
        (whole.error_message.len(), short.error_message.len()),
        (5_000, 256)
    );
    assert_eq!(whole.context.get("truncated"), None);
    assert_eq!(short.error_stack, None);
    assert_eq!(
        short.external_error_message.map(|text| text.len()),
        Some(256)
    );
    let cut = json!(["error_message", "error_stack"]);
    assert_eq!(short.context.get("truncated"), Some(&cut));
    assert_eq!(whole.fingerprint, short.fingerprint, "it is one kind");
}

/// Has room for this many bytes.
struct Bounded(usize);

impl Room for Bounded {
    fn grow(&mut self, bytes: usize) -> bool {
        bytes <= self.0
    }
}

#[test]
fn findings_stay_within_the_room_that_there_is() {
    let request = ExportTraceServiceRequest {
        resource_spans: vec![resource_spans(SHOP, throwing_spans(100, "boom", ""))],
    };
    let body = request.encode_to_vec();
    let settings = DetectSettings::default();
    let found = |room: usize| {
        let (mut room, open) = (Bounded(room), Open(Vec::new()));
        let mut detector =
            Detector::new(&settings, Timestamp::from_micros(NOW), &open).within(&mut room);
        walk(&body, Encoding::Protobuf, &Limits::default(), &mut detector)
            .expect("the request is one");
        (detector.is_full(), detector.spans(), detector.finish())
    };
    let (is_full, spans, whole) = found(usize::MAX);
    assert_eq!((is_full, spans), (false, 100));
    assert_eq!(whole.traces[0].sightings.len(), 100);
    let (is_full, spans, part) = found(whole.memory_bytes() / 2);
    assert_eq!((is_full, spans), (true, 100));
    assert!(part.memory_bytes() <= whole.memory_bytes() / 2 + 100 * 1_024);
    let mut sightings = part.traces[0].sightings.iter();
    assert!(sightings.any(|sighting| !sighting.is_failure()));
}
