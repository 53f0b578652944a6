//! JSON: the same views as protobuf, the oddities of proto3 JSON, and the syntax of `serde_json`.

use proptest::prelude::*;
use prost::Message;
use redspan::otlp::{Encoding, Refusal, SpanKind, StatusCode};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::oracle::{AnyValue, KeyValue, OneValue, Request};
use super::seen::{Bytes, Seen, SeenSpan, SeenValue, see, see_json};
use super::soup;

/// Makes a request one that JSON can say: strings are text, ids at most sixteen bytes.
fn textual(request: &mut Request) {
    for resource_spans in &mut request.resource_spans {
        make_text(&mut resource_spans.schema_url);
        if let Some(resource) = &mut resource_spans.resource {
            make_pairs_text(&mut resource.attributes);
        }
        for scope_spans in &mut resource_spans.scope_spans {
            if let Some(scope) = &mut scope_spans.scope {
                make_text(&mut scope.name);
                make_text(&mut scope.version);
                make_pairs_text(&mut scope.attributes);
            }
            for span in &mut scope_spans.spans {
                span.trace_id.truncate(16);
                span.span_id.truncate(16);
                span.parent_span_id.truncate(16);
                make_text(&mut span.trace_state);
                make_text(&mut span.name);
                make_pairs_text(&mut span.attributes);
                for event in &mut span.events {
                    make_text(&mut event.name);
                    make_pairs_text(&mut event.attributes);
                }
                for link in &mut span.links {
                    link.trace_id.truncate(16);
                    link.span_id.truncate(16);
                }
                if let Some(status) = &mut span.status {
                    make_text(&mut status.message);
                }
            }
        }
    }
}

fn make_text(bytes: &mut Bytes) {
    *bytes = String::from_utf8_lossy(bytes).into_owned().into_bytes();
}

fn make_pairs_text(pairs: &mut [KeyValue]) {
    for pair in pairs {
        make_text(&mut pair.key);
        if let Some(value) = &mut pair.value {
            make_value_text(value);
        }
    }
}

fn make_value_text(any: &mut AnyValue) {
    match &mut any.value {
        Some(OneValue::Str(text)) => make_text(text),
        Some(OneValue::Array(array)) => array.values.iter_mut().for_each(make_value_text),
        Some(OneValue::Map(map)) => make_pairs_text(&mut map.values),
        // JSON has one NaN.
        Some(OneValue::Double(value)) if value.is_nan() => *value = f64::NAN,
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn json_shows_what_protobuf_shows(tape in prop::collection::vec(any::<u8>(), 0..800)) {
        let Ok(mut request) = Request::decode(&*soup::request(&tape)) else {
            return Ok(());
        };
        textual(&mut request);
        let json = request.json();
        let from_protobuf = see(&request.encode_to_vec(), Encoding::Protobuf).unwrap();
        prop_assert_eq!(&see_json(&json.to_string()).unwrap(), &from_protobuf);
        let pretty = serde_json::to_string_pretty(&json).unwrap();
        prop_assert_eq!(&see_json(&pretty).unwrap(), &from_protobuf);
    }

    #[test]
    fn the_syntax_is_that_of_serde_json(
        text in r#"([\[\]{},:"0-9eE+. \\/bfnrtu\n-]|null|true|false|"[a-z]{0,9}"|"a":){0,16}"#,
    ) {
        let body = format!(r#"{{"other":{text}}}"#);
        let valid = serde_json::from_str::<IgnoredAny>(&body).is_ok();
        prop_assert_eq!(see_json(&body).is_ok(), valid, "{}", body);
    }

    #[test]
    fn damaged_json_is_refused_where_serde_json_refuses_it(
        tape in prop::collection::vec(any::<u8>(), 0..300),
        index in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), prop::sample::select(&b"\"\\{}[],: 0en-"[..])],
    ) {
        let Ok(mut request) = Request::decode(&*soup::request(&tape)) else {
            return Ok(());
        };
        textual(&mut request);
        let mut body = format!(r#"{{"other":{}}}"#, request.json()).into_bytes();
        let index = 9 + index.index(body.len() - 9);
        body[index] = byte;
        let valid = serde_json::from_slice::<IgnoredAny>(&body).is_ok();
        prop_assert_eq!(see(&body, Encoding::Json).is_ok(), valid);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_taken_of_a_damaged_request_is_json(
        tape in prop::collection::vec(any::<u8>(), 0..400),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4), 1..4),
    ) {
        let Ok(mut request) = Request::decode(&*soup::request(&tape)) else {
            return Ok(());
        };
        textual(&mut request);
        let mut body = request.json().to_string().into_bytes();
        for (index, byte, how) in damage {
            let index = index.index(body.len());
            match how {
                0 => body[index] = byte,
                1 => body[index] = b"\"\\{}[],:0n"[usize::from(byte % 10)],
                2 => body.insert(index, byte),
                _ => {
                    body.remove(index);
                }
            }
        }
        if see(&body, Encoding::Json).is_ok() {
            prop_assert!(serde_json::from_slice::<IgnoredAny>(&body).is_ok());
        }
    }
}

fn spans(body: &str) -> Vec<SeenSpan> {
    let seen = see_json(body).unwrap_or_else(|refusal| panic!("{refusal} in {body}"));
    seen.into_iter()
        .filter_map(|seen| match seen {
            Seen::Span(span) => Some(*span),
            _ => None,
        })
        .collect()
}

/// The span that has these fields.
fn span(fields: &str) -> SeenSpan {
    spans(&in_span(fields)).remove(0)
}

fn in_span(fields: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{fields}}}]}}]}}]}}"#)
}

/// The value that an attribute with this `AnyValue` has.
fn value(any: &str) -> SeenValue {
    let attributes = format!(r#""attributes":[{{"key":"k","value":{any}}}]"#);
    span(&attributes).attributes.remove(0).1
}

fn refused(body: &str) -> String {
    match see_json(body) {
        Err(Refusal::Malformed(reason)) => reason,
        other => panic!("{other:?} for {body}"),
    }
}

fn text(text: &str) -> SeenValue {
    SeenValue::Str(text.into())
}

#[test]
fn values_are_read_in_every_form_that_proto3_json_has() {
    use SeenValue::{Array, Bool, Bytes, Double, Empty, Int, Map};
    let table = [
        (r#"{"stringValue":"a"}"#, text("a")),
        (
            r#"{"stringValue":"\u0061\n\"\\\/\b\f\r\t"}"#,
            text("a\n\"\\/\u{8}\u{c}\r\t"),
        ),
        (
            r#"{"stringValue":"\u00e9\u20ac\ud83d\ude00"}"#,
            text("é€😀"),
        ),
        (
            r#"{"stringValue":"a\ud83dz\ude00"}"#,
            text("a\u{fffd}z\u{fffd}"),
        ),
        (
            r#"{"stringValue":"\ud83d\ud83d\ude00"}"#,
            text("\u{fffd}😀"),
        ),
        (r#"{"stringValue":"\u0000"}"#, text("\0")),
        (r#"{"intValue":"-9223372036854775808"}"#, Int(i64::MIN)),
        (r#"{"intValue":9223372036854775807}"#, Int(i64::MAX)),
        (r#"{"intValue":1e3}"#, Int(1_000)),
        (r#"{"intValue":"5.0"}"#, Int(5)),
        (r#"{"intValue":-0}"#, Int(0)),
        (r#"{"doubleValue":1}"#, Double(1.0)),
        (r#"{"doubleValue":-1.5e-3}"#, Double(-0.0015)),
        (r#"{"doubleValue":"2.5"}"#, Double(2.5)),
        (r#"{"doubleValue":"NaN"}"#, Double(f64::NAN)),
        (r#"{"doubleValue":"Infinity"}"#, Double(f64::INFINITY)),
        (r#"{"doubleValue":"-Infinity"}"#, Double(f64::NEG_INFINITY)),
        (r#"{"boolValue":true}"#, Bool(true)),
        (r#"{"bytesValue":"-_-_"}"#, Bytes(vec![0xfb, 0xff, 0xbf])),
        (r#"{"bytesValue":"+/+\/"}"#, Bytes(vec![0xfb, 0xff, 0xbf])),
        (r#"{"bytesValue":"AQ=="}"#, Bytes(vec![1])),
        (r#"{"bytesValue":"AQI"}"#, Bytes(vec![1, 2])),
        (r#"{"bytesValue":""}"#, Bytes(vec![])),
        (r#"{"arrayValue":{}}"#, Array(vec![])),
        (r#"{"arrayValue":{"values":null}}"#, Array(vec![])),
        (
            r#"{"arrayValue":{"values":[null,{},{"stringValue":"\u0061"}]}}"#,
            Array(vec![Empty, Empty, text("a")]),
        ),
        (
            r#"{"arrayValue":{"values":[{"bytesValue":"+\/+\/"}]}}"#,
            Array(vec![Bytes(vec![0xfb, 0xff, 0xbf])]),
        ),
        (r#"{"kvlistValue":{}}"#, Map(vec![])),
        (
            r#"{"kvlistValue":{"values":[null,{"value":{"intValue":1}},{"key":"a"}]}}"#,
            Map(vec![(vec![], Int(1)), (b"a".to_vec(), Empty)]),
        ),
        ("{}", Empty),
        ("null", Empty),
        (r#"{"stringValue":null}"#, Empty),
        (r#"{"string_value":"a","new":[{"x":[1,2]}]}"#, Empty),
        (r#"{"stringValue":"a","intValue":1}"#, Int(1)),
        (r#"{"stringValue":"a","intValue":null}"#, text("a")),
        (r#"{"intValue":1,"intValue":2}"#, Int(2)),
        (r#"{"str\u0069ngValue":"a"}"#, text("a")),
    ];
    for (json, expected) in table {
        assert_eq!(value(json), expected, "{json}");
    }
}

#[test]
fn fields_of_a_span_are_read_in_every_form_that_proto3_json_has() {
    let trace_id = "0123456789abcdefFEDCBA9876543210";
    let read = span(&format!(
        r#""traceId":"{trace_id}","spanId":"00f067aa0ba902b7","parentSpanId":"","kind":2,
        "startTimeUnixNano":"18446744073709551615","endTimeUnixNano":1700000000000000001,
        "flags":"257","droppedAttributesCount":3,"traceState":"a=b","name":"GET \/",
        "status":{{"code":2,"message":"no"}},"events":null,"links":[{{"spanId":"0a"}},null],
        "trace_id":"ignored","unknown":{{"a":[1,{{}}]}}"#
    ));
    let expected = SeenSpan {
        trace_id: vec![
            0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54,
            0x32, 0x10,
        ],
        span_id: vec![0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7],
        kind: SpanKind::Server,
        start_time_unix_nano: u64::MAX,
        end_time_unix_nano: 1_700_000_000_000_000_001,
        flags: 257,
        dropped_attributes_count: 3,
        trace_state: b"a=b".to_vec(),
        name: b"GET /".to_vec(),
        status: StatusCode::Error,
        status_message: b"no".to_vec(),
        links: vec![(vec![], vec![0x0a])],
        ..SeenSpan::default()
    };
    assert_eq!(read, expected);
}

/// Every field that there is.
const WHOLE: &str = r#"{"resourceSpans":[{"schemaUrl":"s",
    "resource":{"attributes":[{"key":"a","value":{"stringValue":"b"}}],"droppedAttributesCount":1},
    "scopeSpans":[{"schemaUrl":"s",
        "scope":{"name":"n","version":"v","attributes":[{"key":"a","value":{"boolValue":true}}],
            "droppedAttributesCount":1},
        "spans":[{"traceId":"01","spanId":"02","parentSpanId":"03","traceState":"t","flags":1,
            "name":"n","kind":2,"startTimeUnixNano":"1","endTimeUnixNano":"2",
            "attributes":[
                {"key":"a","value":{"intValue":"1"}},
                {"key":"b","value":{"doubleValue":1.5}},
                {"key":"c","value":{"bytesValue":"AQ=="}},
                {"key":"d","value":{"arrayValue":{"values":[{"intValue":1}]}}},
                {"key":"e","value":{"kvlistValue":{"values":[{"key":"f","value":{"intValue":1}}]}}}],
            "droppedAttributesCount":1,
            "events":[{"timeUnixNano":"3","name":"e","attributes":[{"key":"a","value":{}}],
                "droppedAttributesCount":1}],
            "droppedEventsCount":1,
            "links":[{"traceId":"04","spanId":"05","traceState":"t","flags":1,"attributes":[],
                "droppedAttributesCount":1}],
            "droppedLinksCount":1,
            "status":{"code":2,"message":"m"}}]}]}]}"#;

/// The places of all fields, as JSON pointers to their objects and their names.
fn fields(value: &Value, place: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) => {
            for (name, field) in object {
                found.push((place.to_owned(), name.clone()));
                fields(field, &format!("{place}/{name}"), found);
            }
        }
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                fields(item, &format!("{place}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn a_null_is_a_field_that_is_not_there() {
    let whole: Value = serde_json::from_str(WHOLE).unwrap();
    let mut places = Vec::new();
    fields(&whole, "", &mut places);
    assert_eq!(places.len(), 70);
    let all = see_json(WHOLE).unwrap();
    let mut told = 0;
    for (place, name) in places {
        let with = |change: fn(&mut Map<String, Value>, &str)| {
            let mut request = whole.clone();
            let object = request.pointer_mut(&place).and_then(Value::as_object_mut);
            change(object.unwrap(), &name);
            see_json(&request.to_string()).unwrap_or_else(|refusal| {
                panic!("{refusal} without {name} of {place}");
            })
        };
        let absent = with(|object, name| drop(object.remove(name)));
        let null = with(|object, name| object[name] = Value::Null);
        assert_eq!(null, absent, "{name} of {place}");
        told += usize::from(absent != all);
    }
    // The others are of no use here, or as they are when they are not there.
    assert!(told > 50, "{told}");
}

#[test]
fn enums_are_read_by_number_and_by_name() {
    assert_eq!(span(r#""kind":"SPAN_KIND_CLIENT""#).kind, SpanKind::Client);
    assert_eq!(span(r#""kind":"5""#).kind, SpanKind::Consumer);
    assert_eq!(span(r#""kind":"SPAN_KIND_NEW""#).kind, SpanKind::Internal);
    assert_eq!(span(r#""kind":99999999999"#).kind, SpanKind::Internal);
    let error = span(r#""status":{"code":"STATUS_CODE_ERROR"}"#);
    assert_eq!(error.status, StatusCode::Error);
}

#[test]
fn an_id_that_is_not_hexadecimal_spoils_only_its_span() {
    for id in [
        "xyz",
        "0",
        "0123456789abcdeg",
        "é",
        "00112233445566778899aabbccddeeff00",
    ] {
        let length = span(&format!(r#""spanId":"{id}""#)).span_id.len();
        assert!(![0, 8, 16].contains(&length), "{id} has {length}");
    }
}

#[test]
fn text_need_not_be_utf8_inside_strings_only() {
    let mut body = in_span(r#""name":"?""#).into_bytes();
    let at = body.iter().position(|byte| *byte == b'?').unwrap();
    body[at] = 0xff;
    let seen = see(&body, Encoding::Json).unwrap();
    assert!(matches!(seen.last(), Some(Seen::Span(span)) if span.name == [0xff]));
    body[0] = 0xff;
    assert!(see(&body, Encoding::Json).is_err());
}

#[test]
fn the_resource_and_the_scope_may_stand_behind_their_spans() {
    let resource = r#""resource":{"attributes":[{"key":"a"}]}"#;
    let scope = r#""scope":{"name":"s"}"#;
    let spans = r#""spans":[{"name":"x"}]"#;
    let shown = |fields: [&str; 2], inner: [&str; 2]| {
        let scope_spans = format!(r#""scopeSpans":[{{{}}}]"#, inner.join(","));
        let fields = fields.map(|field| {
            if field.is_empty() {
                &scope_spans
            } else {
                field
            }
        });
        see_json(&format!(
            r#"{{"resourceSpans":[{{{}}}]}}"#,
            fields.join(",")
        ))
        .unwrap()
    };
    let usual = shown([resource, ""], [scope, spans]);
    assert_eq!(usual.len(), 3);
    assert_eq!(shown(["", resource], [scope, spans]), usual);
    assert_eq!(shown(["", resource], [spans, scope]), usual);
    assert_eq!(shown([resource, ""], [spans, scope]), usual);
}

#[test]
fn of_a_field_that_comes_twice_the_last_wins() {
    let read = span(
        r#""name":"a","name":"b","attributes":[{"key":"x"}],"attributes":[],"kind":2,"kind":null"#,
    );
    assert_eq!((&*read.name, read.attributes.len()), (&b"b"[..], 0));
    assert_eq!(read.kind, SpanKind::Server);
    let body = r#"{"resourceSpans":[{"resource":{"droppedAttributesCount":1},
        "resource":{"droppedAttributesCount":2},"scopeSpans":[]}]}"#;
    assert_eq!(see_json(body).unwrap(), [Seen::Resource(vec![], 2)]);
    // Spans are never lost: those of both lists are shown.
    let body = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{}],"spans":[{}]}]}]}"#;
    assert_eq!(spans(body).len(), 2);
    // A resource that comes too late to be the one of spans already shown.
    let body = r#"{"resourceSpans":[{"resource":{},"scopeSpans":[],"resource":{}}]}"#;
    assert!(refused(body).starts_with("resourceSpans[0].resource: "));
}

#[test]
fn what_has_the_wrong_type_is_refused_by_its_path() {
    let table = [
        (
            r#"{"resourceSpans":{}}"#,
            "resourceSpans: expected an array at byte 17",
        ),
        (
            r#"{"resourceSpans":["a"]}"#,
            "resourceSpans[0]: expected an object at byte 18",
        ),
        ("[]", "expected an object at byte 0"),
        ("", "expected an object at byte 0"),
        ("{} x", "something follows the end at byte 3"),
    ];
    for (body, expected) in table {
        assert_eq!(refused(body), expected);
    }
    let table = [
        (r#""name":5"#, "name: expected a string"),
        (r#""kind":{}"#, "kind: expected a number"),
        (
            r#""startTimeUnixNano":-1"#,
            "startTimeUnixNano: expected a 64-bit integer without a sign",
        ),
        (
            r#""endTimeUnixNano":1.5"#,
            "endTimeUnixNano: expected a 64-bit integer without a sign",
        ),
        (
            r#""flags":4294967296"#,
            "flags: expected a 32-bit integer without a sign",
        ),
        (
            r#""attributes":[{"key":"a","value":"b"}]"#,
            "attributes[0].value: expected an object",
        ),
        (
            r#""attributes":[{"value":{"arrayValue":{"values":[{},{"boolValue":1}]}}}]"#,
            "attributes[0].value.arrayValue.values[1].boolValue: expected true or false",
        ),
        (
            r#""attributes":[{"value":{"bytesValue":"!"}}]"#,
            "attributes[0].value.bytesValue: expected base64",
        ),
        (
            r#""attributes":[{"value":{"intValue":"x"}}]"#,
            "attributes[0].value.intValue: expected a 64-bit integer",
        ),
        (
            r#""attributes":[{"value":{"doubleValue":"inf"}}]"#,
            "attributes[0].value.doubleValue: expected a number",
        ),
        (
            r#""events":[{"attributes":[{"key":[]}]}]"#,
            "events[0].attributes[0].key: expected a string",
        ),
        (r#""status":"bad""#, "status: expected an object"),
    ];
    for (fields, expected) in table {
        let reason = refused(&in_span(fields));
        let expected = format!("resourceSpans[0].scopeSpans[0].spans[0].{expected} at byte ");
        assert!(reason.starts_with(&expected), "{reason}");
    }
    let body = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[],"scope":{"name":1}}]}]}"#;
    let reason = refused(body);
    assert!(
        reason.starts_with("resourceSpans[0].scopeSpans[0].scope.name: "),
        "{reason}"
    );
}

#[test]
fn arrays_and_objects_nest_sixty_four_deep() {
    let nested = |levels: usize| format!(r#"{{"x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert!(see_json(&nested(63)).is_ok());
    assert!(refused(&nested(64)).contains("nested more than 64 deep"));
}

#[test]
fn a_value_with_sixteen_lists_around_it_is_too_deep_to_be_shown() {
    let nested = |levels: usize| {
        let open = r#"{"arrayValue":{"values":["#.repeat(levels);
        format!(r#"{open}{{"stringValue":"core"}}{}"#, "]}}".repeat(levels))
    };
    let mut shown = value(&nested(17));
    for _ in 0..16 {
        let SeenValue::Array(mut items) = shown else {
            panic!("{shown:?} is no list");
        };
        shown = items.remove(0);
    }
    assert_eq!(shown, text("[too deep]"));
}

#[test]
fn bombs_are_refused_or_shown_within_the_limits() {
    const SIZE: usize = 4 << 20;
    let fill = |unit: &str| unit.repeat(SIZE / unit.len());
    let too_large = |body: &str| matches!(see_json(body), Err(Refusal::TooLarge(_)));
    let list = |unit: &str| format!("[{unit}{}]", fill(&format!(",{unit}")));

    assert!(too_large(&format!(r#"{{"resourceSpans":{}}}"#, list("{}"))));
    let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":{}}}]}}"#, list("{}"));
    assert!(too_large(&body));
    let body = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":{}}}]}}]}}"#,
        list("{}")
    );
    assert!(too_large(&body));
    for name in ["attributes", "events", "links"] {
        let span = span(&format!(r#""{name}":{}"#, list("{}")));
        let kept = span.attributes.len() + span.events.len() + span.links.len();
        let dropped =
            span.dropped_attributes_count + span.dropped_events_count + span.dropped_links_count;
        assert_eq!(kept, 1_024);
        assert_eq!(dropped as usize, 1 + SIZE / 3 - 1_024);
    }
    refused(&fill("{}"));
    refused(&fill("["));
    refused(&format!(r#"{{"resourceSpans":{}"#, fill("[")));
    refused(&fill(r#"{"resourceSpans":"#));
}
