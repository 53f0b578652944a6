//! What was logged: which failure it belongs to, and what it says of it.

use super::*;

/// Severity numbers.
const DEBUG: u8 = 5;
const WARN: u8 = 13;
const ERROR: u8 = 17;
const FATAL: u8 = 21;

fn thrown_in(span: u16, severity: u8, exception_type: &str, message: &str) -> Sighting {
    log(span, severity).throws(exception_type, message)
}

#[test]
fn a_failed_span_that_says_nothing_takes_what_was_logged_in_it() {
    let mut call = failed(2, 1).ended(90);
    let content = Arc::make_mut(call.content.as_mut().expect("it is a failure"));
    content.external_service = Some("bank".to_owned());
    content.external_error_message = Some("HTTP 503".to_owned());
    call.own_category = Some(Category::ExternalApi);
    let mut logged = thrown_in(2, ERROR, "app.BankDown", "the bank is closed").stack("at pay()");
    logged.own_category = Some(Category::Application);
    for sightings in [
        [call.clone(), logged.clone(), entry()],
        [logged, entry(), call],
    ] {
        let row = one(&sightings);
        assert_eq!(row.error_code.as_deref(), Some("app.BankDown"));
        assert_eq!(row.error_message, "the bank is closed");
        assert_eq!(row.error_stack.as_deref(), Some("at pay()"));
        assert_eq!(row.external_service.as_deref(), Some("bank"));
        assert_eq!(
            row.external_error_message.as_deref(),
            Some("the bank is closed")
        );
        assert_eq!(row.category, Category::ExternalApi);
        assert_eq!(row.endpoint, "/orders");
        assert_eq!(row.span_id, Some(span_id(2)));
        assert_eq!(row.severity, Severity::Error);
        assert!(row.tags.is_empty());
    }
}

#[test]
fn the_gravest_record_speaks_for_its_span_then_the_last() {
    let failed = failed(1, 0);
    let early = thrown_in(1, ERROR, "app.Early", "early bird").at(10);
    let late = thrown_in(1, ERROR, "app.Late", "late riser").at(20);
    let warning = thrown_in(1, WARN, "app.Warned", "beware of it").at(30);
    let row = one(&[failed, warning, late, early]);
    assert_eq!(row.error_code.as_deref(), Some("app.Late"));
    assert_eq!(row.created_at.as_micros(), START_MICROS + 10_000_000);
    assert_eq!(row.context["evidence"].as_array().map(Vec::len), Some(4));
}

#[test]
fn a_record_that_says_nothing_of_a_spans_own_exception_is_a_row_by_itself() {
    let failed = || failed(1, 0).throws("app.Boom", "boom");
    let other = |severity| thrown_in(1, severity, "app.Other", "something else");
    let severities = |severity| {
        let rows = rows(&[failed(), other(severity)]);
        rows.iter().map(|row| row.severity).collect::<Vec<_>>()
    };
    assert_eq!(severities(ERROR), [Severity::Error, Severity::Error]);
    assert_eq!(severities(WARN), [Severity::Error, Severity::Warning]);
    assert_eq!(severities(DEBUG), [Severity::Error]);
    let same = thrown_in(1, ERROR, "app.Boom", "boom");
    assert_eq!(rows(&[failed(), same]).len(), 1);
    let wrapping = other(ERROR).stack("Caused by: app.Boom: boom");
    assert_eq!(rows(&[wrapping, failed()]).len(), 1);
}

#[test]
fn a_remark_is_no_error_but_says_what_a_failed_span_does_not() {
    let remark = || thrown_in(1, DEBUG, "app.Boom", "boom");
    assert!(rows(&[remark()]).is_empty());
    assert!(rows(&[remark(), link(1, 0)]).is_empty());
    let sightings = [remark(), failed(1, 0)];
    let row = one(&sightings);
    assert_eq!(row.error_message, "boom");
    assert_eq!(
        row.id.0, sightings[1].key.0,
        "it is named after what failed"
    );
}

#[test]
fn what_is_logged_as_an_error_in_a_span_that_went_on_is_one() {
    for (severity, tag, kept) in [
        (ERROR, "logged", Severity::Error),
        (WARN, "handled", Severity::Warning),
        (FATAL, "logged", Severity::Critical),
    ] {
        let mut logged = thrown_in(2, severity, "app.Boom", "boom");
        logged.critical = severity == FATAL;
        let row = one(&[logged.clone(), link(2, 1), link(1, 0).entry("/a", 200)]);
        assert_eq!((row.tags, row.severity), (vec![tag.to_owned()], kept));
        assert_eq!(row.endpoint, "/a");
        let same = exception(2, 1, "app.Boom", "boom");
        let row = one(&[same, logged, link(1, 0).entry("/a", 200)]);
        assert_eq!((row.tags, row.severity), (vec![tag.to_owned()], kept));
    }
    let row = one(&[
        thrown_in(1, ERROR, "app.Boom", "boom"),
        link(1, 0).entry("/a", 404),
    ]);
    assert_eq!(row.tags, ["logged", "client_error"]);
    assert_eq!(row.severity, Severity::Warning);
}

#[test]
fn the_nearest_failure_that_is_named_takes_the_record() {
    let attempt = |span, second| {
        let refused = failed(span, 9).throws("app.Refused", "connection refused");
        refused.at(second).ended(second)
    };
    let sightings = [
        attempt(2, 10),
        attempt(3, 20),
        link(9, 0),
        thrown_in(2, ERROR, "app.Refused", "connection refused").at(19),
        thrown_in(8, ERROR, "app.Refused", "connection refused").at(12),
    ];
    let rows = resolve(&sightings);
    let members: Vec<_> = rows.iter().map(|row| row.members.as_slice()).collect();
    assert_eq!(members, [&[0, 3, 4][..], &[1]]);
}

#[test]
fn records_that_name_each_other_are_one_failure_built_from_the_first() {
    let inner = thrown_in(4, WARN, "net.Refused", "connection refused by 10.0.0.1").at(10);
    let outer = thrown_in(2, ERROR, "app.PayFailed", "could not pay").at(20);
    let outer = outer.stack("Caused by: net.Refused: connection refused by 10.0.0.1");
    for sightings in [[inner.clone(), outer.clone()], [outer, inner]] {
        let row = one(&sightings);
        assert_eq!(row.error_code.as_deref(), Some("net.Refused"));
        assert_eq!(row.severity, Severity::Error);
        assert_eq!(row.id.0, sightings[0].key.0);
    }
}

#[test]
fn two_of_one_type_with_different_messages_are_two_failures() {
    let bad = |message| thrown_in(2, ERROR, "ValueError", message);
    assert_eq!(rows(&[bad("line 7 is bad"), bad("line 8 is bad")]).len(), 2);
    assert_eq!(rows(&[bad("line 7 is bad"), bad("")]).len(), 1);
    let elsewhere = thrown_in(3, ERROR, "ValueError", "line 7 is bad");
    assert_eq!(rows(&[bad("line 7 is bad"), elsewhere]).len(), 1);
    let short = |span| thrown_in(span, ERROR, "Error", "no");
    assert_eq!(
        rows(&[short(2), short(3)]).len(),
        2,
        "too little to know it by"
    );
}

#[test]
fn what_stands_beside_a_span_can_be_told_from_it_again() {
    let object = |entries: serde_json::Value| match entries {
        serde_json::Value::Object(map) => crate::domain::JsonObject::from(&map),
        _ => panic!("not an object"),
    };
    let mut span = failed(1, 0);
    let content = Arc::make_mut(span.content.as_mut().expect("it is a failure"));
    content.error_code = Some("503".to_owned());
    content.context = object(
        json!({"span": {"name": "GET"}, "resource": {"a": 1}, "scrubbed": 1,
        "fingerprintBasis": ["503"]}),
    );
    let mut logged = log(1, ERROR).throws("", "no type here");
    let content = Arc::make_mut(logged.content.as_mut().expect("it is a failure"));
    content.error_code = None;
    content.context = object(json!({
        "log": {"severity": "ERROR", "body": "it failed"},
        "attributes": {"order": 7},
        "resource": {"a": 1},
        "scrubbed": 2,
        "fingerprintBasis": ["message no type here"],
    }));
    let sightings = [span, logged];
    let row = one(&sightings);
    assert_eq!(row.error_code.as_deref(), Some("503"));
    assert_eq!(row.context["span"]["name"], "GET");
    assert_eq!(row.context["log"]["attributes"]["order"], 7);
    assert_eq!(row.context["log"]["body"], "it failed");
    assert_eq!(row.context["fingerprintBasis"][0], "message no type here");
    assert_eq!(Some(&content_of(&row)), sightings[1].content.as_deref());
}
