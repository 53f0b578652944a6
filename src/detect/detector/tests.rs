//! Whole requests, as protobuf, through the walk.

mod limits;
mod memory;
mod rules;
mod traces;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, ArrayValue, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span},
};
use prost::Message;
use serde_json::json;

use super::*;
use crate::{
    detect::TraceFindings,
    domain::{Category, Content, Sampling, Severity, SightingKind},
    otlp::{Encoding, Limits, Records, walk},
};

/// 2026-11-23T10:00:00Z
const NOW: i64 = 1_795_428_000_000_000;
const SECOND: u64 = 1_000_000_000;

fn now_nanos() -> u64 {
    u64::try_from(NOW).unwrap() * 1_000
}

const SERVER: i32 = span::SpanKind::Server as i32;
const CLIENT: i32 = span::SpanKind::Client as i32;
const INTERNAL: i32 = span::SpanKind::Internal as i32;
const ERROR: i32 = 2;

struct Open(Vec<TraceKey>);

impl OpenTraces for Open {
    fn is_open(&self, trace: TraceKey) -> bool {
        self.0.contains(&trace)
    }
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn text(text: &str) -> any_value::Value {
    any_value::Value::StringValue(text.to_owned())
}

fn int(number: i64) -> any_value::Value {
    any_value::Value::IntValue(number)
}

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

type Pairs = &'static [(&'static str, &'static str)];

fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs
        .iter()
        .map(|(key, value)| pair(key, text(value)))
        .collect()
}

/// A span of trace 1 that took a second and ended a minute ago.
fn span_of(kind: i32, id: u8, parent: u8) -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 { vec![] } else { vec![parent; 8] },
        name: format!("span {id}"),
        kind,
        start_time_unix_nano: now_nanos() - 61 * SECOND,
        end_time_unix_nano: now_nanos() - 60 * SECOND,
        ..Span::default()
    }
}

fn failed(mut span: Span, message: &str) -> Span {
    span.status = Some(Status {
        code: ERROR,
        message: message.to_owned(),
    });
    span
}

fn with(mut span: Span, attributes: Vec<KeyValue>) -> Span {
    span.attributes.extend(attributes);
    span
}

fn throwing(mut span: Span, type_name: &str, message: &str, stack: &str) -> Span {
    span.events.push(span::Event {
        time_unix_nano: span.end_time_unix_nano - SECOND / 2,
        name: "exception".to_owned(),
        attributes: pairs(&[
            ("exception.type", type_name),
            ("exception.message", message),
            ("exception.stacktrace", stack),
        ]),
        ..span::Event::default()
    });
    span
}

fn resource_spans(resource: &[(&str, &str)], spans: Vec<Span>) -> ResourceSpans {
    ResourceSpans {
        resource: Some(Resource {
            attributes: pairs(resource),
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            spans,
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    }
}

fn find_in(resource_spans: Vec<ResourceSpans>, open: &Open) -> Findings {
    let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    let settings = DetectSettings::default();
    let mut detector = Detector::new(&settings, Timestamp::from_micros(NOW), open);
    walk(
        Records::Spans,
        &body,
        Encoding::Protobuf,
        &Limits::default(),
        &mut detector,
    )
    .expect("the request is one");
    detector.finish().expect("there is room")
}

const SHOP: &[(&str, &str)] = &[
    ("service.name", "shop"),
    ("service.version", "1.2.3"),
    ("deployment.environment.name", "test"),
];

fn find(spans: Vec<Span>) -> Findings {
    find_in(vec![resource_spans(SHOP, spans)], &Open(Vec::new()))
}

fn shop_trace() -> TraceKey {
    TraceKey::new("shop", TraceId([1; 16]))
}

fn kinds(trace: &TraceFindings) -> Vec<(SightingKind, u8)> {
    trace
        .sightings
        .iter()
        .map(|sighting| (sighting.kind, sighting.span_id.unwrap().0[0]))
        .collect()
}

fn only(findings: &Findings) -> &Sighting {
    assert_eq!(findings.traces.len(), 1);
    assert_eq!(findings.traces[0].sightings.len(), 1);
    &findings.traces[0].sightings[0]
}

fn content(findings: &Findings) -> &Content {
    only(findings).content.as_deref().expect("it has content")
}

#[test]
fn a_span_that_did_not_fail_is_one_request_and_nothing_else() {
    let span = with(
        span_of(SERVER, 1, 0),
        [
            pairs(&[
                ("http.request.method", "GET"),
                ("http.route", "/orders/{id}"),
            ]),
            vec![pair("http.response.status_code", int(200))],
        ]
        .concat(),
    );
    let found = find(vec![
        span.clone(),
        Span {
            span_id: vec![2; 8],
            ..span
        },
    ]);
    assert_eq!(found.records, 2);
    assert_eq!(found.traces, []);
    assert_eq!(found.series.len(), 1);
    assert_eq!(found.series[0].service_name, "shop");
    assert_eq!(found.series[0].environment, "test");
    assert_eq!(found.series[0].endpoint, "/orders/{id}");
    assert_eq!(found.series[0].method, "GET");
    assert_eq!(found.entries.len(), 2);
    assert_ne!(found.entries[0].key, found.entries[1].key);
    assert_eq!(found.entries[0].duration_nanos, SECOND);
    assert!(!found.entries[0].failed);
    assert_eq!(
        found.entries[0].hour.start().to_string(),
        "2026-11-23T09:00:00.000000Z"
    );
}

#[test]
fn a_failed_entry_is_a_request_that_failed_and_a_sighting_with_all_its_row_needs() {
    let span = with(
        span_of(SERVER, 1, 0),
        [
            pairs(&[
                ("http.method", "POST"),
                ("http.route", "/pay"),
                ("user.id", "ada"),
                ("http.user_agent", "curl/8"),
                ("client.address", "203.0.113.9"),
                ("http.request.header.x-request-id", "r-1"),
                ("db.statement", "SELECT secret"),
                ("cart.password", "hunter2"),
                ("cart.size", "3"),
            ]),
            vec![pair("http.status_code", int(500))],
        ]
        .concat(),
    );
    let mut span = throwing(span, "KeyError", "first", "");
    span.dropped_events_count = 2;
    let stack = "Traceback (most recent call last):\n  File \"/app/pay.py\", line 3, in pay\n";
    let found = find(vec![throwing(
        failed(span, "the status"),
        "shop.PayError",
        "card 17 refused\nmore",
        stack,
    )]);
    assert!(found.entries[0].failed);
    assert_eq!(found.traces[0].key, shop_trace());
    assert_eq!(found.traces[0].service_name, "shop");

    let sighting = only(&found);
    assert_eq!(sighting.kind, SightingKind::FailedSpan);
    assert!(sighting.is_entry);
    let thrown = sighting.thrown.as_ref().expect("it was thrown");
    assert_eq!(thrown.short_type, "PayError");
    assert_eq!(thrown.first_line, "card 17 refused");
    let key = Sighting::key(
        shop_trace(),
        sighting.span_id,
        sighting.kind,
        sighting.thrown.as_ref(),
    );
    assert_eq!(sighting.key, key);
    assert_eq!(sighting.ended_at_micros, NOW - 60_000_000);
    assert_eq!(sighting.thrown_at_micros, Some(NOW - 60_500_000));
    assert_eq!(sighting.own_category, Some(Category::Application));
    let facts = sighting.facts.as_ref().expect("it has facts");
    assert_eq!(facts.endpoint, "/pay");
    assert_eq!(facts.method, "POST");
    assert_eq!(facts.status_code, Some(500));
    assert_eq!(facts.user_id.as_deref(), Some("ada"));
    assert_eq!(facts.request_id.as_deref(), Some("r-1"));
    assert_eq!(facts.ip_address.as_deref(), Some("203.0.113.0"));

    let content = content(&found);
    assert_eq!(content.error_message, "card 17 refused\nmore");
    assert_eq!(content.error_code.as_deref(), Some("shop.PayError"));
    assert_eq!(content.error_stack.as_deref(), Some(stack));
    assert_eq!(content.external_service, None);
    assert_eq!(content.service_version.as_deref(), Some("1.2.3"));
    assert_eq!(content.environment, "test");
    let shown = json!(content.context);
    assert_eq!(
        shown["attributes"],
        json!({"http.method": "POST", "http.route": "/pay", "http.status_code": 500,
            "cart.password": "[scrubbed]", "cart.size": "3"})
    );
    assert_eq!(shown["omitted"], json!(["db.statement"]));
    assert_eq!(shown["scrubbed"], 1);
    assert_eq!(
        shown["exceptions"],
        json!([{"type": "KeyError", "message": "first"}])
    );
    assert_eq!(shown["dropped"], json!({"events": 2}));
    assert_eq!(shown["resource"]["service.name"], "shop");
    assert_eq!(
        shown["span"],
        json!({"name": "span 1", "kind": "SERVER", "durationMs": 1000.0,
            "startedAt": "2026-11-23T09:58:59.000000Z"})
    );
    assert!(!content.context.contains_key("timeClamped"));
    assert!(!content.context.contains_key("truncated"));
}

#[test]
fn a_message_is_found_for_every_failure() {
    let event = |name: &str| span::Event {
        name: name.to_owned(),
        ..span::Event::default()
    };
    let plain = || span_of(INTERNAL, 1, 0);
    let mut with_event = failed(plain(), "");
    with_event.events = vec![event("one"), event("two")];
    let status = |kind, code| with(failed(span_of(kind, 1, 0), ""), vec![code]);
    for (span, message, code) in [
        (failed(plain(), "the status"), "the status", None),
        (
            throwing(failed(plain(), ""), "ValueError", "", ""),
            "ValueError",
            Some("ValueError"),
        ),
        (
            throwing(failed(plain(), "said"), "ValueError", " ", ""),
            "said",
            Some("ValueError"),
        ),
        (with_event, "two", None),
        (
            status(SERVER, pair("http.response.status_code", int(503))),
            "HTTP 503",
            Some("503"),
        ),
        (
            status(CLIENT, pair("rpc.grpc.status_code", int(14))),
            "gRPC UNAVAILABLE",
            Some("UNAVAILABLE"),
        ),
        (
            status(CLIENT, pair("error.type", text("timeout"))),
            "timeout",
            Some("timeout"),
        ),
        (failed(plain(), ""), "span 1 failed", None),
        (
            Span {
                name: String::new(),
                ..failed(plain(), "")
            },
            "failed",
            None,
        ),
    ] {
        let found = find(vec![span]);
        assert_eq!(content(&found).error_message, message);
        assert_eq!(content(&found).error_code.as_deref(), code, "{message}");
    }
}

#[test]
fn a_call_names_what_it_called() {
    let call = |attributes: &[(&str, &str)]| {
        let span = with(failed(span_of(CLIENT, 1, 9), "broken"), pairs(attributes));
        let found = find(vec![span]);
        let content = content(&found).clone();
        assert_eq!(content.external_error_message.as_deref(), Some("broken"));
        assert_eq!(only(&found).facts.as_ref().unwrap().status_code, None);
        (content.external_service, content.external_error_code)
    };
    let some = |text: &str| Some(text.to_owned());
    #[rustfmt::skip]
    let cases: [(Pairs, &str, Option<String>); 7] = [
        (&[("server.address", "pay.internal"), ("peer.service", "pay"), ("http.response.status_code", "503")], "pay", some("503")),
        (&[("server.address", "pay.internal"), ("error.type", "timeout")], "pay.internal", some("timeout")),
        (&[("gen_ai.system", "openai"), ("server.address", "api.openai.com")], "openai", None),
        (&[("rpc.method", "shop.Cart/Add"), ("rpc.status_code", "UNAVAILABLE")], "shop.Cart", some("UNAVAILABLE")),
        (&[("db.system", "postgresql"), ("db.response.status_code", "23505")], "postgresql", some("23505")),
        (&[("http.url", "https://u:p@pay.example:443/x?y=1")], "pay.example", None),
        (&[("messaging.system", "kafka")], "kafka", None),
    ];
    for (attributes, service, code) in cases {
        assert_eq!(call(attributes), (some(service), code));
    }
}

#[test]
fn exceptions_on_a_span_that_did_not_fail_are_sightings_of_their_own() {
    let span = throwing(span_of(INTERNAL, 1, 9), "ValueError", "one", "");
    let span = throwing(span, "KeyError", "two", "");
    let mut span = throwing(span, "asyncio.CancelledError", "", "");
    span.events.push(span::Event {
        attributes: pairs(&[("exception.message", "a remark"), ("level", "INFO")]),
        ..span::Event::default()
    });
    // The last one is a cancellation: it is the span's end.
    assert_eq!(find(vec![span.clone()]).traces, []);
    span.events.swap(1, 2);
    let found = find(vec![span]);
    assert_eq!(
        kinds(&found.traces[0]),
        [(SightingKind::Exception, 1), (SightingKind::Exception, 1)]
    );
    let short: Vec<_> = found.traces[0]
        .sightings
        .iter()
        .map(|sighting| sighting.thrown.as_ref().unwrap().short_type.as_str())
        .collect();
    assert_eq!(short, ["ValueError", "KeyError"]);
}

#[test]
fn an_exception_without_type_may_stand_on_the_span_itself_as_a_list_of_lines() {
    let lines = ArrayValue {
        values: ["one", "two"]
            .map(|line| AnyValue {
                value: Some(text(line)),
            })
            .to_vec(),
    };
    let span = with(
        failed(span_of(INTERNAL, 1, 0), ""),
        vec![
            pair("exception.message", text("boom")),
            pair("exception.stacktrace", any_value::Value::ArrayValue(lines)),
        ],
    );
    let found = find(vec![span]);
    assert_eq!(content(&found).error_message, "boom");
    assert_eq!(content(&found).error_stack.as_deref(), Some("one\ntwo"));
    assert_eq!(only(&found).thrown.as_ref().unwrap().short_type, "");
}

#[test]
fn stated_severity_and_category_are_read_and_nonsense_is_not() {
    let found = find(vec![with(
        failed(span_of(INTERNAL, 1, 0), "x"),
        pairs(&[
            ("error.severity", "Critical"),
            ("error.category", "weather"),
        ]),
    )]);
    assert_eq!(only(&found).stated_severity, Some(Severity::Critical));
    assert_eq!(only(&found).stated_category, None);
    assert!(!only(&found).critical);
    let found = find(vec![throwing(
        failed(span_of(INTERNAL, 1, 0), ""),
        "java.lang.OutOfMemoryError",
        "heap",
        "",
    )]);
    assert!(only(&found).critical);
}

#[test]
fn secrets_are_in_no_part_of_the_findings() {
    const CANARY: &str = "C4nary.Secret.17";
    let secret = |prefix: &str| format!("{prefix}{CANARY}");
    let span = with(
        failed(span_of(CLIENT, 1, 0), &secret("GET http://h/p?key=")),
        vec![
            pair(
                "url.full",
                text(&format!("http://ada:{CANARY}@host/x?q={CANARY}")),
            ),
            pair("url.query", text(&secret("a="))),
            pair("my.api_key", text(CANARY)),
            pair("http.request.header.cookie", text(CANARY)),
            pair("http.response.header.set-cookie", text(CANARY)),
            pair("db.query.text", text(CANARY)),
            pair("gen_ai.input.messages", text(CANARY)),
            pair("note", text(&secret("Authorization: Bearer "))),
        ],
    );
    let span = throwing(
        span,
        "E",
        &secret("password="),
        &format!("-----BEGIN KEY-----\n{CANARY}"),
    );
    let span = throwing(span, "F", &secret("bearer "), &secret("token="));
    let resource = [("service.name", "shop"), ("cloud.secret", CANARY)];
    let found = find_in(
        vec![resource_spans(&resource, vec![span])],
        &Open(Vec::new()),
    );
    assert!(!format!("{found:?}").contains(CANARY), "{found:#?}");
}

#[test]
fn the_entry_spans_of_a_service_tell_how_it_samples() {
    let sampled = |kind, id, trace_state: &str| Span {
        trace_state: trace_state.to_owned(),
        ..span_of(kind, id, 0)
    };
    let elsewhere = [
        ("service.name", "shop"),
        ("deployment.environment.name", "elsewhere"),
    ];
    let found = find_in(
        vec![
            resource_spans(SHOP, vec![sampled(SERVER, 1, "")]),
            resource_spans(&elsewhere, vec![sampled(SERVER, 2, "ot=th:8")]),
            resource_spans(
                &[("service.name", "bank")],
                vec![sampled(SERVER, 3, "ot=p:1"), sampled(SERVER, 4, "ot=th:8")],
            ),
            resource_spans(
                &[("service.name", "mail")],
                vec![sampled(CLIENT, 5, "ot=th:8")],
            ),
        ],
        &Open(Vec::new()),
    );
    let expected = [("bank", Sampling::Unknown), ("shop", Sampling::Threshold)];
    assert_eq!(
        found.samplings,
        expected.map(|(service_name, sampling)| (service_name.to_owned(), sampling))
    );
}
