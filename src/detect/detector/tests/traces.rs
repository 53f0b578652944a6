//! Which spans of a trace are told beside those that failed, and which are requests.

use super::*;

#[test]
fn every_span_of_a_trace_with_a_finding_is_told_wherever_it_stands() {
    let entry = with(
        span_of(SERVER, 1, 0),
        pairs(&[
            ("http.method", "GET"),
            ("http.route", "/a"),
            ("user.id", "ada"),
        ]),
    );
    let elsewhere = Span {
        trace_id: vec![7; 16],
        ..span_of(INTERNAL, 5, 1)
    };
    let found = find(vec![
        span_of(INTERNAL, 2, 1),
        entry,
        elsewhere,
        failed(span_of(INTERNAL, 3, 2), "x"),
        span_of(INTERNAL, 4, 3),
    ]);
    assert_eq!(found.traces.len(), 1);
    let trace = &found.traces[0];
    assert_eq!(
        kinds(trace),
        [
            (SightingKind::Span, 2),
            (SightingKind::Span, 1),
            (SightingKind::FailedSpan, 3),
            (SightingKind::Span, 4),
        ]
    );
    assert!(trace.sightings[1].is_entry);
    let facts = trace.sightings[1]
        .facts
        .as_ref()
        .expect("an entry has facts");
    assert_eq!(
        (facts.endpoint.as_str(), facts.user_id.as_deref()),
        ("/a", Some("ada"))
    );
    assert_eq!(trace.sightings[0].facts, None);
    assert_eq!(trace.sightings[0].parent_span_id, Some(SpanId([1; 8])));
    assert!(trace.sightings[0].content.is_none());
}

#[test]
fn of_an_open_trace_every_span_is_told_without_any_finding() {
    let open = Open(vec![shop_trace()]);
    let spans = vec![
        span_of(INTERNAL, 2, 1),
        Span {
            trace_id: vec![7; 16],
            ..span_of(INTERNAL, 5, 1)
        },
    ];
    let found = find_in(vec![resource_spans(SHOP, spans.clone())], &open);
    assert_eq!(found.traces.len(), 1);
    assert_eq!(kinds(&found.traces[0]), [(SightingKind::Span, 2)]);
    let other = resource_spans(&[("service.name", "other")], spans);
    assert_eq!(find_in(vec![other], &open).traces, []);
}

#[test]
fn of_a_very_large_trace_only_what_can_matter_is_told() {
    let many = |count: u16| {
        let mut spans: Vec<_> = (0..count)
            .map(|number| Span {
                span_id: [&[9; 6][..], &number.to_be_bytes()].concat(),
                ..span_of(INTERNAL, 9, 1)
            })
            .collect();
        spans.push(failed(span_of(INTERNAL, 3, 2), "x"));
        spans.push(span_of(INTERNAL, 2, 1));
        spans.push(span_of(SERVER, 1, 0));
        find(spans).traces[0].sightings.len()
    };
    assert_eq!(many(198), 201);
    assert_eq!(many(199), 3);
}

#[test]
fn a_server_below_a_span_of_its_own_resource_is_no_request() {
    let server =
        |id, parent, name: &str| with(span_of(SERVER, id, parent), pairs(&[("http.route", name)]));
    let other = &[("service.name", "other")][..];
    let found = find_in(
        vec![
            resource_spans(SHOP, vec![server(3, 2, "/nested"), server(4, 9, "/remote")]),
            resource_spans(other, vec![server(5, 2, "/other")]),
            resource_spans(SHOP, vec![server(2, 0, "/entry")]),
        ],
        &Open(Vec::new()),
    );
    let endpoints: Vec<_> = found
        .entries
        .iter()
        .map(|entry| found.series[entry.series as usize].endpoint.as_str())
        .collect();
    assert_eq!(endpoints, ["/remote", "/other", "/entry"]);
    assert_eq!(found.series.len(), 3, "nothing points to the fourth");
}

#[test]
fn a_nested_server_that_failed_is_no_entry() {
    let found = find(vec![
        failed(span_of(SERVER, 3, 2), "x"),
        span_of(INTERNAL, 2, 1),
        span_of(SERVER, 1, 0),
    ]);
    let entries: Vec<_> = found.traces[0]
        .sightings
        .iter()
        .map(|sighting| sighting.is_entry)
        .collect();
    assert_eq!(entries, [false, false, true]);
    assert_eq!(found.entries.len(), 1);
}
