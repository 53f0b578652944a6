//! Protobuf: shown and refused as prost does.

use proptest::prelude::*;
use prost::Message;
use redspan::otlp::{Encoding, Limits, Records, Refusal, walk};

use super::oracle::{
    AnyValue, ArrayValue, Event, KeyValue, KeyValueList, Link, OneValue, Request, Resource,
    ResourceSpans, ScopeSpans, Span,
};
use super::seen::{Seen, SeenSpan, SeenValue, see};
use super::soup;

/// The walk shows what prost decodes, or both refuse.
fn agree(body: &[u8]) -> Result<(), TestCaseError> {
    match (see(body, Encoding::Protobuf), Request::decode(body)) {
        (Ok(seen), Ok(request)) => prop_assert_eq!(seen, request.seen()),
        (Err(Refusal::Malformed(_)), Err(_)) => {}
        (walked, decoded) => {
            return Err(TestCaseError::fail(format!(
                "{walked:?} but prost {decoded:?}"
            )));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn unusual_messages_are_shown_as_prost_decodes_them(
        tape in prop::collection::vec(any::<u8>(), 0..800),
    ) {
        agree(&soup::request(&tape))?;
    }

    #[test]
    fn damaged_messages_are_shown_or_refused_as_by_prost(
        tape in prop::collection::vec(any::<u8>(), 0..800),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4), 1..4),
    ) {
        let mut body = soup::request(&tape);
        for (index, byte, how) in damage {
            if body.is_empty() {
                break;
            }
            let index = index.index(body.len());
            match how {
                0 => body[index] = byte,
                1 => body[index] ^= 1 << (byte % 8),
                2 => body.insert(index, byte),
                _ => body.truncate(index),
            }
        }
        agree(&body)?;
    }

    #[test]
    fn arbitrary_bytes_are_shown_or_refused_as_by_prost(
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        agree(&body)?;
    }
}

fn any_value(value: OneValue) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn pair(key: &str, value: OneValue) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(any_value(value)),
        key_strindex: 0,
    }
}

fn text(text: &str) -> OneValue {
    OneValue::Str(text.into())
}

fn request_with(spans: Vec<Span>) -> Request {
    Request {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

fn span_of(request: &Request) -> SeenSpan {
    let mut seen = see(&request.encode_to_vec(), Encoding::Protobuf).unwrap();
    match seen.pop() {
        Some(Seen::Span(span)) => *span,
        other => panic!("{other:?} is no span"),
    }
}

fn nested(levels: usize, map: bool) -> OneValue {
    (0..levels).fold(text("core"), |inner, _| {
        if map {
            OneValue::Map(KeyValueList {
                values: vec![pair("k", inner)],
            })
        } else {
            OneValue::Array(ArrayValue {
                values: vec![any_value(inner)],
            })
        }
    })
}

#[test]
fn nesting_is_refused_where_prost_refuses_it() {
    for map in [false, true] {
        for levels in 0..60 {
            let request = request_with(vec![Span {
                attributes: vec![pair("deep", nested(levels, map))],
                ..Span::default()
            }]);
            agree(&request.encode_to_vec()).unwrap();
        }
    }
    for levels in 90..110 {
        // An unknown field 4 of `ResourceSpans`, holding groups of number 1 in each other.
        let groups = [vec![0x0b; levels], vec![0x0c; levels]].concat();
        let mut body = vec![0x0a];
        prost::encode_length_delimiter(groups.len() + 2, &mut body).unwrap();
        body.push(0x23);
        body.extend(groups);
        body.push(0x24);
        agree(&body).unwrap();
    }
}

#[test]
fn a_value_with_sixteen_lists_around_it_is_too_deep_to_be_shown() {
    let request = request_with(vec![Span {
        attributes: vec![pair("deep", nested(16, false))],
        ..Span::default()
    }]);
    let mut value = span_of(&request).attributes.remove(0).1;
    for _ in 0..16 {
        let SeenValue::Array(mut items) = value else {
            panic!("{value:?} is no list");
        };
        value = items.remove(0);
    }
    assert_eq!(value, SeenValue::Str(b"[too deep]".to_vec()));
}

#[test]
fn a_list_sent_in_parts_is_one_list() {
    let part = |item: &str| {
        any_value(OneValue::Array(ArrayValue {
            values: vec![any_value(text(item))],
        }))
        .encode_to_vec()
    };
    let inner = [
        part("lost"),
        any_value(text("x")).encode_to_vec(),
        part("a"),
        part("b"),
    ]
    .concat();
    let mut pair = Vec::new();
    for value in [inner, part("c")] {
        pair.push(0x12);
        prost::encode_length_delimiter(value.len(), &mut pair).unwrap();
        pair.extend(value);
    }
    let body = [pair]
        .into_iter()
        .chain([vec![0x4a], vec![0x12], vec![0x12], vec![0x0a]]);
    let body = body
        .reduce(|inner, key| {
            let mut outer = key;
            prost::encode_length_delimiter(inner.len(), &mut outer).unwrap();
            outer.extend(inner);
            outer
        })
        .unwrap();
    agree(&body).unwrap();
    let shown = see(&body, Encoding::Protobuf).unwrap();
    let Some(Seen::Span(span)) = shown.last() else {
        panic!("no span");
    };
    let items = ["a", "b", "c"].map(|item| SeenValue::Str(item.into()));
    assert_eq!(span.attributes[0].1, SeenValue::Array(items.into()));
}

#[test]
fn what_is_beyond_the_limits_of_an_item_is_dropped_and_counted() {
    let attributes = vec![pair("k", text("v")); 1_030];
    let mut events = vec![Event::default(); 2_000];
    for (time, event) in (0..).zip(&mut events) {
        event.time_unix_nano = time;
    }
    for time in [3, 1_500, 1_700] {
        events[time].attributes = vec![pair("exception.type", text("E"))];
    }
    let mut request = request_with(vec![Span {
        attributes: attributes.clone(),
        dropped_attributes_count: 2,
        events,
        dropped_events_count: u32::MAX - 5,
        links: vec![Link::default(); 1_025],
        ..Span::default()
    }]);
    request.resource_spans[0].resource = Some(Resource {
        attributes,
        dropped_attributes_count: 1,
        ..Resource::default()
    });
    let span = span_of(&request);
    assert_eq!(
        (span.attributes.len(), span.dropped_attributes_count),
        (1_024, 8)
    );
    assert_eq!((span.links.len(), span.dropped_links_count), (1_024, 1));
    assert_eq!(
        (span.events.len(), span.dropped_events_count),
        (1_024, u32::MAX)
    );
    let times: Vec<_> = span
        .events
        .iter()
        .map(|event| event.time_unix_nano)
        .collect();
    assert_eq!(times[1_020..], [1_020, 1_021, 1_500, 1_700]);
    let seen = see(&request.encode_to_vec(), Encoding::Protobuf).unwrap();
    assert!(matches!(&seen[0], Seen::Resource(kept, 7) if kept.len() == 1_024));
}

/// Bodies of 20 MiB that are nothing but one small thing, as often as it goes.
#[test]
fn bombs_are_refused_or_shown_within_the_limits() {
    const SIZE: usize = 20 << 20;
    let wrap = |key: u8, inner: &[u8]| {
        let mut outer = vec![key];
        prost::encode_length_delimiter(inner.len(), &mut outer).unwrap();
        outer.extend(inner);
        outer
    };
    let fill = |unit: &[u8]| unit.repeat(SIZE / unit.len());
    let outcome = |body: &[u8]| see(body, Encoding::Protobuf);
    let too_large = |body: &[u8]| matches!(outcome(body), Err(Refusal::TooLarge(_)));

    assert!(too_large(&fill(&[0x0a, 0])), "resources");
    assert!(too_large(&wrap(0x0a, &fill(&[0x12, 0]))), "scopes");
    let in_span = |inner: &[u8]| wrap(0x0a, &wrap(0x12, &wrap(0x12, inner)));
    assert!(
        too_large(&wrap(0x0a, &wrap(0x12, &fill(&[0x12, 0])))),
        "spans"
    );
    for unit in [&[0x4a, 0], &[0x5a, 0], &[0x6a, 0]] {
        let shown = outcome(&in_span(&fill(unit))).unwrap();
        let Some(Seen::Span(span)) = shown.last() else {
            panic!("no span");
        };
        assert!(span.attributes.len() <= 1_024);
        assert!(span.events.len() <= 1_024);
        assert!(span.links.len() <= 1_024);
    }
    // Groups that open and never close.
    assert!(matches!(
        outcome(&in_span(&fill(&[0xa3, 0x1f]))),
        Err(Refusal::Malformed(_))
    ));
}

#[test]
fn the_limit_of_items_counts_resources_scopes_and_spans() {
    let body = request_with(vec![Span::default(); 8]).encode_to_vec();
    let with = |items| {
        let limits = Limits {
            items,
            ..Limits::default()
        };
        walk(
            Records::Spans,
            &body,
            Encoding::Protobuf,
            &limits,
            &mut Nobody,
        )
    };
    assert!(matches!(with(9), Err(Refusal::TooLarge(_))));
    assert_eq!(with(10).unwrap().records, 8);
}

struct Nobody;

impl redspan::otlp::Visitor for Nobody {
    fn resource(&mut self, _: &redspan::otlp::ResourceView<'_>) {}
    fn scope(&mut self, _: &redspan::otlp::ScopeView<'_>) {}
    fn span(&mut self, _: &redspan::otlp::SpanView<'_>) {}
}
