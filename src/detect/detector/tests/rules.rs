//! What rules of the user do to spans and log records.

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
};
use regex::Regex;

use super::*;
use crate::{
    detect::{Condition, Effect, RecordKind, Rule, Rules, StatusCodes, Wildcard},
    domain::{Category, Severity},
    otlp::SpanKind,
};

fn rule(condition: Condition, effect: Effect) -> Rule {
    Rule {
        name: "mine".to_owned(),
        condition,
        effect,
    }
}

fn settings(rules: Vec<Rule>) -> DetectSettings {
    DetectSettings {
        rules: Rules(rules),
        ..DetectSettings::default()
    }
}

fn find_by(rules: Vec<Rule>, spans: Vec<Span>) -> Findings {
    let resource_spans = vec![resource_spans(SHOP, spans)];
    let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    let settings = settings(rules);
    let open = Open(Vec::new());
    let mut detector = Detector::new(&settings, Timestamp::from_micros(NOW), &open);
    let (limits, encoding) = (Limits::default(), Encoding::Protobuf);
    walk(Records::Spans, &body, encoding, &limits, &mut detector).expect("the request is one");
    detector.finish().expect("there is room")
}

fn wildcard(text: &str) -> Wildcard {
    Wildcard(text.to_owned())
}

fn answered(status: i64) -> Span {
    with(
        span_of(SERVER, 1, 0),
        [
            pairs(&[("http.request.method", "GET"), ("http.route", "/legacy/a")]),
            vec![pair("http.response.status_code", int(status))],
        ]
        .concat(),
    )
}

#[test]
fn what_is_dropped_is_no_error_and_counted() {
    let legacy = || Condition {
        endpoint: Some(wildcard("/legacy/*")),
        ..Condition::default()
    };
    let drop = || Effect {
        drop: true,
        ..Effect::default()
    };
    let found = find_by(vec![rule(legacy(), drop())], vec![answered(503)]);
    assert!(found.traces.is_empty());
    assert_eq!((found.dropped, found.records), (1, 1));
    assert!(!found.entries[0].failed);

    let handled = throwing(answered(200), "a.Boom", "boom", "");
    let found = find_by(vec![rule(legacy(), drop())], vec![handled, answered(200)]);
    assert!(found.traces.is_empty());
    assert_eq!((found.dropped, found.records), (1, 2));
}

#[test]
fn a_rule_says_severity_category_endpoint_tags_and_kind() {
    let condition = Condition {
        service: Some(wildcard("shop")),
        kind: Some(RecordKind::Span(SpanKind::Server)),
        exception_type: Some(wildcard("Boom")),
        message: Some(Regex::new("^order [0-9]+").expect("it is one")),
        ..Condition::default()
    };
    let effect = Effect {
        severity: Some(Severity::Info),
        category: Some(Category::FileSystem),
        endpoint: Some("/old".to_owned()),
        tags: vec!["known".to_owned()],
        fingerprint: Some("old orders".to_owned()),
        fail_request: Some(false),
        ..Effect::default()
    };
    let span = |message| failed(throwing(answered(500), "a.Boom", message, ""), "");
    let rules = || vec![rule(condition.clone(), effect.clone())];
    let found = find_by(rules(), vec![span("order 7 is gone")]);
    let sighting = only(&found);
    assert_eq!(sighting.stated_severity, Some(Severity::Info));
    assert_eq!(sighting.stated_category, Some(Category::FileSystem));
    assert_eq!(sighting.tags, ["known"]);
    assert_eq!(sighting.rule.as_deref(), Some("mine"));
    let facts = sighting.facts.as_ref().expect("a failure has facts");
    assert_eq!(facts.endpoint, "/old");
    assert_eq!(found.series[0].endpoint, "/old");
    assert!(
        !found.entries[0].failed,
        "there is a row, but its request did not fail"
    );
    let fingerprint = &content(&found).fingerprint;
    assert_eq!(
        fingerprint,
        &content(&find_by(rules(), vec![span("order 8 was stolen")])).fingerprint
    );

    let other = find_by(rules(), vec![span("no order")]);
    assert_eq!(only(&other).rule, None);
    assert_ne!(fingerprint, &content(&other).fingerprint);

    let stated = with(span("order 7"), pairs(&[("error.severity", "critical")]));
    let found = find_by(rules(), vec![stated]);
    assert_eq!(
        only(&found).stated_severity,
        Some(Severity::Critical),
        "the span wins"
    );
}

#[test]
fn a_rule_can_make_a_failure_of_what_is_none() {
    let not_found = Condition {
        status_code: Some(StatusCodes(vec![(404, 404)])),
        ..Condition::default()
    };
    let fail = Effect {
        fail_request: Some(true),
        ..Effect::default()
    };
    let rules = vec![rule(not_found, fail)];
    assert!(find(vec![answered(404)]).traces.is_empty());
    let found = find_by(rules.clone(), vec![answered(404)]);
    assert_eq!(only(&found).kind, SightingKind::FailedSpan);
    assert!(found.entries[0].failed);
    assert!(find_by(rules, vec![answered(403)]).traces.is_empty());
}

#[test]
fn the_first_rule_that_matches_decides_for_each_exception() {
    let of_type = |name: &str, tag: &str| {
        let condition = Condition {
            exception_type: Some(wildcard(name)),
            ..Condition::default()
        };
        let effect = Effect {
            tags: vec![tag.to_owned()],
            ..Effect::default()
        };
        rule(condition, effect)
    };
    let rules = vec![of_type("Boom", "first"), of_type("*", "second")];
    let span = throwing(span_of(INTERNAL, 2, 1), "a.Boom", "boom", "");
    let span = throwing(span, "a.Bang", "bang", "");
    let found = find_by(rules, vec![span]);
    let tags: Vec<_> = (found.traces[0].sightings.iter())
        .map(|sighting| sighting.tags.concat())
        .collect();
    assert_eq!(tags, ["first", "second"]);
}

fn logged(severity_number: i32, in_trace: bool) -> LogRecord {
    LogRecord {
        time_unix_nano: now_nanos() - SECOND,
        severity_number,
        attributes: pairs(&[("exception.type", "a.Boom"), ("exception.message", "boom")]),
        trace_id: if in_trace { vec![1; 16] } else { Vec::new() },
        ..LogRecord::default()
    }
}

fn find_logs(rules: Vec<Rule>, log_records: Vec<LogRecord>) -> Findings {
    let body = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs {
                log_records,
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    }
    .encode_to_vec();
    let settings = settings(rules);
    let open = Open(Vec::new());
    let mut detector = Detector::of_logs(&settings, Timestamp::from_micros(NOW), &open, &body);
    let (limits, encoding) = (Limits::default(), Encoding::Protobuf);
    walk(Records::Logs, &body, encoding, &limits, &mut detector).expect("the request is one");
    detector.finish().expect("there is room")
}

#[test]
fn records_below_warn_are_rows_when_a_rule_says_how_grave_they_are() {
    let of_logs = |effect| {
        let condition = Condition {
            kind: Some(RecordKind::Log),
            ..Condition::default()
        };
        vec![rule(condition, effect)]
    };
    let keep = || {
        of_logs(Effect {
            severity: Some(Severity::Info),
            ..Effect::default()
        })
    };
    assert!(
        find_logs(Vec::new(), vec![logged(9, false)])
            .rows
            .is_empty()
    );
    let found = find_logs(keep(), vec![logged(9, false), logged(9, true)]);
    assert_eq!(found.rows[0].severity, Severity::Info);
    assert!(only(&found).makes_row());
    assert_eq!(find(vec![failed(answered(500), "")]).dropped, 0);

    let drop = of_logs(Effect {
        drop: true,
        ..Effect::default()
    });
    let found = find_logs(
        drop,
        vec![logged(17, false), logged(17, true), logged(9, true)],
    );
    assert_eq!((found.dropped, found.records, found.digest), (3, 3, None));
    assert!(found.rows.is_empty() && found.traces.is_empty());
}
