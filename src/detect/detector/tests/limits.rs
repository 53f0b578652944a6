//! What cannot be as it is sent: ids, times, sizes, bytes.

use super::*;

#[test]
fn spans_with_bad_ids_are_counted_and_left_out() {
    let bad = |trace_id: Vec<u8>, span_id: Vec<u8>| Span {
        trace_id,
        span_id,
        ..failed(span_of(SERVER, 1, 0), "x")
    };
    let found = find(vec![
        bad(vec![0; 16], vec![1; 8]),
        bad(vec![1; 15], vec![]),
        bad(vec![1; 16], vec![0; 8]),
    ]);
    assert_eq!(found.records, 3);
    assert_eq!(found.rejected, [("bad_trace_id", 2), ("bad_span_id", 1)]);
    assert_eq!((found.entries.len(), found.traces.len()), (0, 0));
    assert!(found.digest.is_some());
}

#[test]
fn a_digest_is_of_ids_end_and_status_in_order() {
    let one = span_of(SERVER, 1, 0);
    let two = span_of(SERVER, 2, 0);
    let digest = |spans: Vec<Span>| find(spans).digest;
    let same = digest(vec![one.clone(), two.clone()]);
    let mut renamed = one.clone();
    renamed.name = "another".to_owned();
    assert_eq!(digest(vec![renamed, two.clone()]), same);
    assert_ne!(digest(vec![two.clone(), one.clone()]), same);
    assert_ne!(digest(vec![failed(one.clone(), ""), two.clone()]), same);
    let mut later = one;
    later.end_time_unix_nano += 1;
    assert_ne!(digest(vec![later, two]), same);
    assert_eq!(digest(vec![]), None);
}

#[test]
fn impossible_times_are_the_receive_time_and_flagged() {
    let mut span = failed(span_of(SERVER, 1, 0), "");
    span.end_time_unix_nano = u64::MAX;
    span.events.push(span::Event {
        attributes: pairs(&[("exception.type", "E")]),
        ..span::Event::default()
    });
    let found = find(vec![span]);
    let sighting = only(&found);
    assert_eq!(sighting.ended_at_micros, NOW);
    assert_eq!(sighting.ended_at_nanos, u64::MAX);
    assert_eq!(sighting.thrown_at_micros, Some(NOW));
    assert_eq!(
        content(&found).context.to_map()["timeClamped"],
        json!({"endedAt": u64::MAX.to_string(), "thrownAt": "0"})
    );
    assert_eq!(
        found.entries[0].hour,
        Hour::containing(Timestamp::from_micros(NOW))
    );
}

#[test]
fn what_is_too_large_is_cut_and_flagged() {
    let large = "é".repeat(100_000);
    let mut attributes: Vec<_> = (0..70)
        .map(|number| pair(&format!("k{number}"), text("v")))
        .collect();
    attributes.push(pair("http.route", text(&large)));
    attributes.push(pair("http.method", text("BREWINGCOFFEE")));
    let span = with(failed(span_of(SERVER, 1, 0), ""), attributes);
    let resource = [("service.name", "shop"), ("big", large.as_str())];
    let found = find_in(
        vec![resource_spans(
            &resource,
            vec![throwing(span, "E", &large, &large)],
        )],
        &Open(Vec::new()),
    );
    let content = content(&found);
    assert_eq!(content.error_message.len(), 8 * 1024);
    assert_eq!(content.error_stack.as_ref().unwrap().len(), 64 * 1024);
    assert_eq!(
        content.context.to_map()["truncated"],
        json!([
            "endpoint",
            "method",
            "error_message",
            "error_stack",
            "attributes",
            "resource"
        ])
    );
    let facts = only(&found).facts.as_ref().unwrap();
    assert_eq!(facts.endpoint.chars().count(), 512);
    assert_eq!(facts.method, "BREWINGCOF");
    let shown = content.context.to_map();
    let attributes = shown["attributes"].as_object().unwrap();
    assert_eq!(attributes.len(), 64);
    assert_eq!(shown["resource"]["big"].as_str().unwrap().len(), 4096);
    assert_eq!(found.series[0].endpoint, facts.endpoint);
    let row = serde_json::to_string(content).unwrap();
    assert!(row.len() < 128 * 1024);
}

#[test]
fn nul_and_invalid_text_are_replaced() {
    let mut body = ExportTraceServiceRequest {
        resource_spans: vec![resource_spans(
            SHOP,
            vec![failed(span_of(SERVER, 1, 0), "a\0b#")],
        )],
    }
    .encode_to_vec();
    let place = body.windows(4).position(|part| part == b"a\0b#").unwrap();
    body[place + 3] = 0xff;
    let settings = DetectSettings::default();
    let open = Open(Vec::new());
    let mut detector = Detector::new(&settings, Timestamp::from_micros(NOW), &open);
    walk(
        Records::Spans,
        &body,
        Encoding::Protobuf,
        &Limits::default(),
        &mut detector,
    )
    .unwrap();
    let found = detector.finish().expect("there is room");
    assert_eq!(content(&found).error_message, "a\u{fffd}b\u{fffd}");
}
