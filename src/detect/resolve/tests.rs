//! What is one failure, and what its row says: one test for each decision.

use std::{collections::HashSet, sync::Arc};

use proptest::prelude::*;
use serde_json::json;

use super::{
    sample::{self, START_MICROS, exception, failed, link, log, span_id},
    *,
};
use crate::domain::{ApiError, Category, Severity, Timestamp};

fn common() -> RowContext<'static> {
    RowContext {
        service_name: sample::SERVICE,
        trace_id: Some(sample::TRACE),
        received_at: Timestamp::from_micros(START_MICROS),
    }
}

fn rows(sightings: &[Sighting]) -> Vec<ApiError> {
    resolve(sightings)
        .iter()
        .filter_map(|row| build_row(row, sightings, &common()))
        .collect()
}

fn messages(sightings: &[Sighting]) -> Vec<(String, Severity)> {
    rows(sightings)
        .into_iter()
        .map(|row| (row.error_message, row.severity))
        .collect()
}

fn one(sightings: &[Sighting]) -> ApiError {
    let mut rows = rows(sightings);
    assert_eq!(rows.len(), 1, "{rows:#?}");
    rows.remove(0)
}

fn entry() -> Sighting {
    failed(1, 0).entry("/orders", 500).ended(100)
}

mod logs;

#[test]
fn a_failed_span_is_a_row() {
    let sightings = [failed(3, 2).throws("app.Boom", "boom\nagain").at(5)];
    let row = one(&sightings);
    assert_eq!(row.id.0, sightings[0].key.0);
    assert_eq!(row.error_message, "boom\nagain");
    assert_eq!(row.error_code.as_deref(), Some("app.Boom"));
    assert_eq!(row.severity, Severity::Error);
    assert_eq!(row.category, Category::Unknown);
    assert_eq!(row.endpoint, "span 3");
    assert_eq!(row.trace_id, Some(sample::TRACE));
    assert_eq!(row.span_id, Some(span_id(3)));
    assert_eq!(row.created_at.as_micros(), START_MICROS + 5_000_000);
    assert_eq!(row.context["entry"], "unknown");
    assert_eq!(
        row.context["evidence"],
        json!([{"kind": "failed_span", "spanId": "0100000000000003", "type": "Boom", "message": "boom"}])
    );
    assert!(row.tags.is_empty());
}

#[test]
fn a_span_without_exception_is_one_with_its_cause_over_spans_that_did_not_fail() {
    let cause = failed(4, 3).throws("db.Timeout", "query timed out").at(90);
    let sightings = [cause, link(3, 2), link(2, 1), entry()];
    let row = one(&sightings);
    assert_eq!(row.error_message, "query timed out");
    assert_eq!(
        (row.endpoint.as_str(), row.method.as_str()),
        ("/orders", "GET")
    );
    assert_eq!(row.status_code, Some(500));
    assert_eq!(row.severity, Severity::Error);
    assert_eq!(row.span_id, Some(span_id(4)));
    assert!(!row.context.contains_key("entry"));
    assert_eq!(row.context["evidence"].as_array().map(Vec::len), Some(2));
}

#[test]
fn without_the_link_between_them_two_failures_are_two_rows() {
    let sightings = [
        failed(4, 3).throws("db.Timeout", "query timed out"),
        entry(),
    ];
    assert_eq!(rows(&sightings).len(), 2);
}

#[test]
fn the_cause_is_the_one_that_ended_last_and_others_are_contained() {
    let first = failed(2, 1).throws("app.First", "first try").ended(10);
    let last = failed(3, 1).throws("app.Last", "last try").ended(20);
    let sightings = [first, last, entry()];
    assert_eq!(
        messages(&sightings),
        [
            ("first try".to_owned(), Severity::Warning),
            ("last try".to_owned(), Severity::Error),
        ]
    );
    assert_eq!(rows(&sightings)[0].tags, ["handled"]);
}

#[test]
fn of_causes_that_ended_together_the_greater_span_id_wins() {
    for order in [[2, 3], [3, 2]] {
        let [a, b] = order.map(|span| failed(span, 1).throws("app.E", &format!("try {span}")));
        let rows = rows(&[a, b, entry()]);
        let error = rows.iter().find(|row| row.severity == Severity::Error);
        assert_eq!(error.map(|row| row.error_message.as_str()), Some("try 3"));
    }
}

#[test]
fn an_exception_of_its_own_must_name_the_cause() {
    let cause = || failed(2, 1).throws("db.DbTimeout", "query timed out");
    let by_type = entry()
        .throws("app.Failed", "no order")
        .stack("at x\nCaused by: db.DbTimeout: y");
    let by_line = entry().throws("app.Failed", "no order: query timed out");
    for outer in [by_type, by_line] {
        assert_eq!(one(&[cause(), outer]).error_message, "query timed out");
    }
    let unrelated = entry().throws("app.Failed", "no order");
    assert_eq!(
        messages(&[cause(), unrelated]),
        [
            ("query timed out".to_owned(), Severity::Warning),
            ("no order".to_owned(), Severity::Error),
        ]
    );
}

#[test]
fn an_exception_names_the_lowest_cause_of_a_chain_without_exceptions() {
    let lowest = failed(4, 3).throws("db.DbTimeout", "query timed out");
    let between = failed(3, 1);
    let outer = entry().throws("app.Failed", "it was DbTimeout");
    assert_eq!(
        one(&[lowest, between, outer]).error_message,
        "query timed out"
    );
    let silent = [
        failed(4, 3),
        failed(3, 1),
        entry().throws("app.Failed", "it was"),
    ];
    assert_eq!(
        rows(&silent).len(),
        2,
        "nothing was thrown that could be named"
    );
}

#[test]
fn a_generic_type_names_nothing_and_a_short_line_neither() {
    for generic in [
        "java.lang.RuntimeException",
        "*errors.errorString",
        "Error",
        "",
    ] {
        let cause = failed(2, 1).throws(generic, "no");
        let outer = entry().throws("app.Failed", "RuntimeException Error errorString no");
        assert_eq!(rows(&[cause, outer]).len(), 2, "{generic}");
    }
    let cause = failed(2, 1).throws("Error", "  12345678 ");
    let outer = entry().throws("app.Failed", "because 12345678");
    assert_eq!(rows(&[cause, outer]).len(), 1);
}

#[test]
fn a_type_is_named_as_a_word_only() {
    let cause = || failed(2, 1).throws("db.Timeout", "short");
    for (text, is_named) in [
        ("the Timeout.", true),
        ("db.Timeout", true),
        ("MyTimeout", false),
        ("Timeout_2", false),
        ("Timeouts but then Timeout", true),
        ("éTimeout", false),
    ] {
        let outer = entry().throws("app.Failed", text);
        assert_eq!(rows(&[cause(), outer]).len() == 1, is_named, "{text}");
    }
}

#[test]
fn a_failure_below_an_entry_that_succeeded_is_contained() {
    let sightings = [
        failed(3, 2).throws("app.Boom", "boom").user("ada"),
        link(2, 1),
        link(1, 0).entry("/orders", 200).user("bob"),
    ];
    let row = one(&sightings);
    assert_eq!(row.severity, Severity::Warning);
    assert_eq!(row.tags, ["handled"]);
    assert_eq!(row.endpoint, "/orders");
    assert_eq!(row.status_code, Some(200));
    assert_eq!(
        row.user_id.as_deref(),
        Some("ada"),
        "the failure knows better"
    );
}

#[test]
fn a_client_error_gives_category_severity_and_tag() {
    for (status, category) in [
        (400, Category::Validation),
        (401, Category::Authentication),
        (403, Category::Authorization),
        (404, Category::Validation),
        (407, Category::Authentication),
        (408, Category::Network),
        (429, Category::Application),
        (451, Category::Authorization),
    ] {
        let mut thrown = failed(2, 1).throws("app.Boom", "boom");
        thrown.own_category = Some(Category::Database);
        let row = one(&[thrown, link(1, 0).entry("/orders", status)]);
        assert_eq!((row.category, row.severity), (category, Severity::Warning));
        assert_eq!(row.tags, ["handled", "client_error"]);
    }
}

#[test]
fn what_is_stated_comes_before_what_follows() {
    let mut thrown = failed(2, 1).throws("app.OutOfMemoryError", "boom");
    thrown.own_category = Some(Category::Database);
    let below_client_error = [thrown.clone(), link(1, 0).entry("/orders", 404)];
    thrown.critical = true;
    assert_eq!(one(&[thrown.clone()]).severity, Severity::Critical);
    assert_eq!(one(&[thrown.clone()]).category, Category::Database);
    thrown.stated_severity = Some(Severity::Info);
    thrown.stated_category = Some(Category::FileSystem);
    let row = one(&[thrown, below_client_error[1].clone()]);
    assert_eq!(
        (row.severity, row.category),
        (Severity::Info, Category::FileSystem)
    );
}

#[test]
fn a_probe_is_a_warning() {
    let mut probe = entry();
    if let Some(facts) = &mut probe.facts {
        facts.probe = true;
    }
    let row = one(&[probe]);
    assert_eq!(
        (row.severity, row.tags),
        (Severity::Warning, vec!["probe".to_owned()])
    );
}

#[test]
fn an_exception_on_a_span_that_did_not_fail_joins_the_failure_that_it_names_or_that_names_it() {
    let inner = exception(3, 2, "db.DbTimeout", "query timed out").at(3);
    let outer = entry().throws("app.Failed", "because of DbTimeout").at(9);
    let row = one(&[inner.clone(), link(2, 1), outer]);
    assert_eq!(
        row.error_message, "because of DbTimeout",
        "the failure makes the row"
    );
    assert_eq!(row.created_at.as_micros(), START_MICROS + 3_000_000);

    let naming = exception(3, 1, "app.Wrapped", "after Failed: y");
    let outer = entry().throws("app.Failed", "y");
    assert_eq!(one(&[outer, naming]).error_message, "y");

    let unrelated = entry().throws("app.Failed", "no order");
    let rows = rows(&[inner, link(2, 1), unrelated]);
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (rows[0].severity, &rows[0].tags),
        (Severity::Warning, &vec!["handled".to_owned()])
    );
}

#[test]
fn an_exception_on_spans_that_did_not_fail_is_one_row_made_of_the_top_most() {
    let inner = exception(3, 2, "db.DbTimeout", "query timed out");
    let other = exception(2, 1, "app.Other", "unrelated");
    let outer = exception(2, 1, "app.Failed", "because of DbTimeout");
    let rows = rows(&[inner, other, outer]);
    let texts: Vec<_> = rows.iter().map(|row| row.error_message.as_str()).collect();
    assert_eq!(texts, ["because of DbTimeout", "unrelated"]);
}

#[test]
fn logs_are_rows_by_themselves() {
    let sightings = [entry().throws("app.Boom", "boom"), log(1, 17)];
    assert_eq!(rows(&sightings).len(), 2);
    assert_eq!(one(&[log(9, 17)]).severity, Severity::Error);
    assert_eq!(one(&[log(9, 0)]).severity, Severity::Error);
    assert_eq!(one(&[log(9, 13)]).severity, Severity::Warning);
    let linked = [log(2, 17), link(2, 1), failed(3, 2), entry()];
    assert_eq!(rows(&linked).len(), 2, "the record hides no link");
}

#[test]
fn a_row_gives_back_a_type_that_is_longer_than_its_column() {
    let long = "ü".repeat(300);
    let sightings = [failed(1, 0).throws(&long, "boom")];
    let row = one(&sightings);
    assert_eq!(
        row.error_code.as_ref().map(|code| code.chars().count()),
        Some(100)
    );
    assert_eq!(
        Some(content_of(&row)),
        sightings[0].content.as_deref().cloned()
    );
}

#[test]
fn a_content_that_was_trimmed_to_nothing_still_has_a_message() {
    let mut sighting = failed(1, 0).throws("app.Boom", "boom");
    if let Some(content) = sighting.content.as_mut().map(Arc::make_mut) {
        content.error_message.clear();
    }
    assert_eq!(one(&[sighting]).error_message, "boom");
}

#[test]
fn a_row_names_the_first_of_its_sightings_and_counts_the_rest() {
    let chain: Vec<_> = (1..31).map(|span| failed(span, span - 1)).collect();
    let row = one(&chain);
    let evidence = row.context["evidence"].as_array().unwrap();
    assert_eq!(evidence.len(), 16);
    assert_eq!(
        evidence[0],
        json!({"kind": "failed_span", "spanId": "0100000000000001"})
    );
    assert_eq!(row.context["evidenceOmitted"], 14);
    assert_eq!(Some(&content_of(&row)), chain[29].content.as_deref());
}

#[test]
fn rings_and_knots_of_parents_come_to_an_end() {
    let own_parent = failed(1, 1).throws("app.Boom", "boom boom");
    assert_eq!(rows(&[own_parent]).len(), 1);
    let ring = [failed(1, 3), failed(2, 1), failed(3, 2)];
    assert_eq!(rows(&ring).len(), 1);
    let same_span: Vec<_> = (0..5)
        .map(|n| failed(1, 1).throws("app.Boom", &format!("message {n}")))
        .collect();
    assert_eq!(rows(&same_span).len(), 5, "no error hides behind a span id");
    let thrown_in_a_ring = [
        exception(1, 2, "app.One", "because of Two"),
        exception(2, 1, "app.Two", "because of One"),
    ];
    assert_eq!(rows(&thrown_in_a_ring).len(), 1);
}

#[test]
fn long_chains_and_wide_fans_take_no_longer_than_they_must() {
    let chain: Vec<_> = (1..8_193).map(|span| failed(span, span - 1)).collect();
    assert_eq!(resolve(&chain).len(), 1);
    let fan: Vec<_> = (2..8_194).map(|span| failed(span, 1)).collect();
    assert_eq!(resolve(&fan).len(), 8_192);
}

#[test]
fn hostile_texts_are_searched_up_to_a_bound() {
    let naming = Naming::new();
    let other = failed(2, 1).throws("db.DbTimeout", "query timed out");
    let long = format!("{} DbTimeout", "Err ".repeat(256 * 1024));
    let by_stack = entry().throws("app.Failed", "no order").stack(&long);
    let by_message = entry().throws("app.Failed", "DbTimeout").stack(&long);
    let found = (0..1_000)
        .filter(|_| naming.names(&by_stack, &other))
        .count();
    assert_eq!(found, 63);
    assert!(naming.names(&by_message, &other));
}

/// Anything at all: few spans, so that they meet.
fn any_sighting() -> impl Strategy<Value = Sighting> {
    let words = prop::sample::select(vec![
        "app.Boom",
        "db.DbTimeout",
        "Error",
        "",
        "query timed out",
        "Boom of DbTimeout",
    ]);
    (
        0..4_u8,
        1..7_u16,
        0..7_u16,
        words.clone(),
        words,
        0..3_u32,
        any::<[bool; 4]>(),
    )
        .prop_map(
            |(
                kind,
                span,
                parent,
                exception_type,
                message,
                second,
                [is_entry, no_content, no_span, thrown],
            )| {
                let mut sighting = match kind {
                    0 => failed(span, parent),
                    1 => exception(span, parent, exception_type, message),
                    2 => log(span, [17, 13, 9][usize::from(span) % 3]),
                    _ => link(span, parent),
                };
                if thrown {
                    sighting = sighting.throws(exception_type, message).at(second);
                }
                if is_entry {
                    sighting = sighting.entry("/orders", 404);
                }
                if no_content {
                    sighting.content = None;
                }
                if no_span {
                    sighting.span_id = None;
                }
                sighting.ended(second)
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_failure_is_a_member_of_exactly_one_row(
        sightings in prop::collection::vec(any_sighting(), 0..24),
    ) {
        let rows = resolve(&sightings);
        let members: Vec<usize> = rows.iter().flat_map(|row| row.members.clone()).collect();
        let distinct: HashSet<usize> = members.iter().copied().collect();
        prop_assert_eq!(distinct.len(), members.len());
        for (at, sighting) in sightings.iter().enumerate() {
            // A remark is a member when it says something of a failure.
            prop_assert!(distinct.contains(&at) || !sighting.makes_row());
        }
        for row in &rows {
            prop_assert!(row.members.contains(&row.origin.built_from));
            prop_assert!(row.members.is_sorted());
            let first = row.members.iter().find(|member| sightings[**member].makes_row());
            prop_assert_eq!(Some(row.id.0), first.map(|member| sightings[*member].key.0));
        }
        prop_assert!(rows.is_sorted_by_key(|row| row.members[0]));
        for row in resolve_beyond(&sightings, sightings.len() / 2) {
            prop_assert_eq!(row.members, [row.origin.built_from]);
        }
    }

    #[test]
    fn a_row_gives_back_the_content_that_it_is_built_from(
        sightings in prop::collection::vec(any_sighting(), 0..12),
    ) {
        for row in resolve(&sightings) {
            let content = sightings[row.origin.built_from].content.as_deref();
            let built = build_row(&row, &sightings, &common());
            prop_assert_eq!(built.is_some(), content.is_some());
            if let (Some(built), Some(content)) = (built, content) {
                if !content.error_message.is_empty() {
                    prop_assert_eq!(&content_of(&built), content);
                }
                prop_assert!(!built.error_message.is_empty());
            }
        }
    }
}
