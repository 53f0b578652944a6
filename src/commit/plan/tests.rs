//! What a group of requests changes: one test for each kind of difference.

use std::{collections::BTreeSet, slice::from_ref};

use serde_json::json;

use super::{Candidates, DimensionLimit, HourlyLabelSets, Outcome, model::Tables};
use crate::{
    detect::sample::{START_MICROS, exception, failed, link},
    domain::{
        AggregationId, ApiError, Category, Dimensions, ErrorId, ErrorLabels, GroupStatus, Hour,
        Severity, Sighting, Timestamp,
    },
    store::AggregationDelta,
};

/// The entry span, which fails because of [`cause`].
fn entry() -> Sighting {
    failed(1, 0)
        .throws("app.Failed", "because of DbTimeout")
        .entry("/orders", 500)
        .at(50)
        .ended(60)
        .user("ada")
}

fn cause() -> Sighting {
    failed(2, 1)
        .throws("db.DbTimeout", "query timed out")
        .at(10)
        .ended(20)
}

fn row_id(sighting: &Sighting) -> ErrorId {
    ErrorId(sighting.key.0)
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_micros(START_MICROS + second * 1_000_000)
}

#[test]
fn a_failure_is_one_row_in_whichever_order_its_spans_come() {
    for order in [[cause(), entry()], [entry(), cause()]] {
        let mut tables = Tables::default();
        let first = tables.commit(&order[..1]);
        assert_eq!(first.sightings, [[Outcome::Error]]);
        let second_group = tables.commit(&order[1..]);
        assert_eq!(second_group.sightings, [[Outcome::Merged]]);
        assert!(second_group.errors.is_empty() && second_group.merged_rows.is_empty());

        let row = tables.only_row();
        assert_eq!(row.id, row_id(&order[0]));
        assert_eq!(row.error_message, "query timed out");
        assert_eq!(row.endpoint, "/orders");
        assert_eq!(row.user_id.as_deref(), Some("ada"));
        assert_eq!(row.created_at, second(10));
        assert_eq!(row.received_at, Timestamp::from_micros(START_MICROS + 1));
        assert_eq!(tables.total_errors(), 1);
        assert_eq!(tables.groups.len(), 1);

        let resent = tables.commit(&order);
        assert_eq!(resent.sightings, [[Outcome::Duplicate; 2]]);
        assert_eq!(tables.stored, 1);
    }
}

#[test]
fn one_request_with_everything_twice_is_one_row() {
    let mut tables = Tables::default();
    let effects = tables.commit(&[cause(), link(9, 1), cause(), entry()]);
    let outcomes = [
        Outcome::Error,
        Outcome::NotError,
        Outcome::Duplicate,
        Outcome::Merged,
    ];
    assert_eq!(effects.sightings, [outcomes]);
    let labels = ErrorLabels {
        service_name: "shop".to_owned(),
        environment: "test".to_owned(),
        severity: Severity::Error,
        category: Category::Unknown,
        external_service: None,
    };
    assert_eq!(effects.errors, [(labels, 1)].into());
    assert_eq!(effects.new_groups, [("shop".to_owned(), 1)].into());
}

#[test]
fn a_link_that_comes_last_makes_one_row_of_two() {
    let far_cause = failed(3, 2)
        .throws("db.DbTimeout", "query timed out")
        .at(10);
    let mut tables = Tables::default();
    tables.commit(from_ref(&far_cause));
    tables.commit(&[entry()]);
    assert_eq!(tables.rows.len(), 2);
    let effects = tables.commit(&[link(2, 1)]);
    assert_eq!(effects.sightings, [[Outcome::NotError]]);
    assert_eq!(effects.merged_rows, [("shop".to_owned(), 1)].into());
    assert_eq!(tables.only_row().id, row_id(&far_cause));
    assert_eq!(
        tables.redirects,
        [(row_id(&entry()), row_id(&far_cause))].into()
    );
    assert_eq!(tables.total_errors(), 1);
    assert_eq!(tables.stored, 2);
}

#[test]
fn of_two_rows_that_become_one_the_older_takes_over_the_resolution() {
    for resolve_older in [false, true] {
        let far_cause = failed(3, 2).throws("db.DbTimeout", "query timed out");
        let mut tables = Tables::default();
        tables.commit(&[far_cause.clone(), entry()]);
        for (id, by) in [(row_id(&entry()), "bob"), (row_id(&far_cause), "eve")] {
            if by == "eve" && !resolve_older {
                continue;
            }
            let row = tables.rows.get_mut(&id).unwrap();
            row.resolved = true;
            row.resolved_at = Some(second(99));
            row.resolved_by = Some(by.to_owned());
            row.resolution = Some("fixed".to_owned());
        }
        tables.rows.get_mut(&row_id(&far_cause)).unwrap().deleted_at = Some(second(98));
        tables.commit(&[link(2, 1)]);
        let row = tables.only_row();
        assert!(row.resolved);
        assert_eq!(row.resolved_at, Some(second(99)));
        assert_eq!(
            row.resolved_by.as_deref(),
            Some(if resolve_older { "eve" } else { "bob" })
        );
        assert_eq!(row.deleted_at, None, "one of them was not deleted");
    }
}

#[test]
fn what_operators_did_to_a_row_outlives_its_next_sighting() {
    let mut tables = Tables::default();
    tables.commit(&[entry()]);
    let row = tables.rows.get_mut(&row_id(&entry())).unwrap();
    row.resolved = true;
    row.resolved_by = Some("bob".to_owned());
    row.deleted_at = Some(second(99));
    tables.commit(&[cause()]);
    let row = tables.only_row();
    assert_eq!(row.error_message, "query timed out");
    assert!(row.resolved);
    assert_eq!(row.resolved_by.as_deref(), Some("bob"));
    assert_eq!(row.deleted_at, Some(second(99)));
}

#[test]
fn a_later_cause_takes_the_place_of_an_earlier_one_which_becomes_a_row() {
    let outer = failed(1, 0).entry("/orders", 500).ended(60);
    let first = failed(2, 1)
        .throws("app.First", "first try")
        .stack("at first")
        .ended(10);
    let last = failed(3, 1).throws("app.Last", "last try").ended(20);
    let mut tables = Tables::default();
    tables.commit(from_ref(&outer));
    tables.commit(from_ref(&first));
    assert_eq!(tables.only_row().error_message, "first try");
    let effects = tables.commit(&[last]);
    assert_eq!(effects.sightings, [[Outcome::Merged]]);
    assert_eq!(tables.rows[&row_id(&outer)].error_message, "last try");
    let contained = &tables.rows[&row_id(&first)];
    assert_eq!(contained.error_message, "first try");
    assert_eq!(
        contained.error_stack.as_deref(),
        Some("at first"),
        "the row gave it back"
    );
    assert_eq!(contained.severity, Severity::Warning);
    assert_eq!(tables.total_errors(), 2);
}

#[test]
fn a_row_that_splits_off_may_join_again_under_the_older_name() {
    // The cause's row splits off when a later cause comes, and the exception above goes with it.
    let outer = failed(1, 0).entry("/orders", 500);
    let first = failed(2, 1).throws("app.First", "first try").ended(10);
    let inner = exception(5, 2, "app.Inner", "before First happened");
    let last = failed(3, 1).throws("app.Last", "last try").ended(20);
    let mut tables = Tables::default();
    tables.commit(from_ref(&inner));
    tables.commit(&[outer.clone(), first.clone()]);
    assert_eq!(tables.only_row().id, row_id(&inner));
    tables.commit(&[last]);
    assert_eq!(tables.messages(), BTreeSet::from(["first try", "last try"]));
    assert_eq!(tables.rows[&row_id(&inner)].error_message, "first try");
    assert_eq!(tables.rows[&row_id(&outer)].error_message, "last try");
}

#[test]
fn the_name_of_a_merged_row_is_its_own_again_when_it_parts() {
    let far_cause = failed(3, 2)
        .throws("db.DbTimeout", "query timed out")
        .ended(10);
    let outer = failed(1, 0).entry("/orders", 500);
    let mut tables = Tables::default();
    tables.commit(&[far_cause.clone(), outer.clone()]);
    tables.commit(&[link(2, 1)]);
    assert!(tables.redirects.contains_key(&row_id(&outer)));
    tables.commit(&[failed(4, 1).throws("app.Last", "last try").ended(20)]);
    assert_eq!(tables.rows[&row_id(&outer)].error_message, "last try");
    assert_eq!(tables.rows[&row_id(&far_cause)].tags, ["handled"]);
    assert!(tables.redirects.is_empty());
}

#[test]
fn an_earlier_exception_moves_the_row_to_another_hour() {
    let late = failed(1, 0).at(3_700).ended(3_700).user("ada");
    let early = failed(2, 1).throws("app.Boom", "boom").at(10).ended(3_600);
    let mut tables = Tables::default();
    tables.commit(&[late]);
    let old_hour = tables.only_row().aggregation_id;
    tables.commit(&[early]);
    assert_ne!(tables.only_row().aggregation_id, old_hour);
    assert!(
        !tables.hours.contains_key(&old_hour),
        "nothing is counted there any more"
    );
    assert_eq!(tables.total_errors(), 1);
}

#[test]
fn a_purged_failure_is_gone_for_good_and_its_sightings_stay_silent() {
    let mut tables = Tables::default();
    tables.commit(&[cause()]);
    tables.purge(row_id(&cause()));
    assert_eq!(tables.commit(&[cause()]).sightings, [[Outcome::Duplicate]]);
    let effects = tables.commit(&[entry()]);
    assert_eq!(effects.sightings, [[Outcome::Merged]]);
    let unrelated = failed(7, 0).throws("app.Other", "something else");
    tables.commit(&[
        exception(5, 2, "app.Inner", "before DbTimeout"),
        unrelated.clone(),
    ]);
    assert_eq!(tables.only_row().id, row_id(&unrelated));
    assert_eq!(tables.total_errors(), 2);
    tables.commit(&[link(9, 1)]);
    assert_eq!(tables.stored, 2);
}

#[test]
fn a_row_that_joins_a_purged_one_stays_as_it_is() {
    let far_cause = failed(3, 2).throws("db.DbTimeout", "query timed out");
    let mut tables = Tables::default();
    tables.commit(&[far_cause.clone(), entry()]);
    tables.purge(row_id(&far_cause));
    for another in [link(2, 1), link(8, 1), link(9, 1)] {
        tables.commit(&[another]);
        let row = tables.only_row();
        assert_eq!(
            (row.id, row.error_message.as_str()),
            (row_id(&entry()), "because of DbTimeout")
        );
    }
    assert_eq!((tables.stored, tables.total_errors()), (2, 2));
}

#[test]
fn a_trace_that_was_forgotten_is_known_by_its_rows() {
    let mut tables = Tables::default();
    tables.commit(&[cause()]);
    tables.forget_traces();
    assert_eq!(tables.commit(&[cause()]).sightings, [[Outcome::Duplicate]]);
    assert_eq!(tables.stored, 1);
}

#[test]
fn a_resolved_group_comes_back_with_an_error_that_happened_later_and_not_in_an_older_version() {
    let boom = |span, at| failed(span, 0).throws("app.Boom", "boom").at(at);
    for (later, is_back) in [
        (boom(2, 99).version("1.9"), false),
        (boom(2, 99).version("1.10.0"), true),
        (boom(2, 99).version("1.11"), true),
        (boom(2, 99).version("4f2a9c1"), true),
        (boom(2, 99), true),
        (boom(2, 30).version("1.11"), false),
    ] {
        let mut tables = Tables::default();
        tables.commit(&[boom(1, 10)]);
        let group = tables.groups.values_mut().next().unwrap();
        group.status = GroupStatus::Resolved;
        group.resolved_at = Some(second(50));
        group.resolved_version = Some("1.10".to_owned());
        let effects = tables.commit(&[later]);
        let group = tables.groups.values().next().unwrap();
        assert_eq!(group.regressed_at, is_back.then(|| second(99)));
        assert_eq!(!effects.regressed_groups.is_empty(), is_back);
        assert_eq!(group.total_errors, 2);
    }
}

#[test]
fn an_ignored_group_stays_ignored() {
    let boom = |span| failed(span, 0).throws("app.Boom", "boom").at(99);
    let mut tables = Tables::default();
    tables.commit(&[boom(1)]);
    tables.groups.values_mut().next().unwrap().status = GroupStatus::Ignored;
    tables.commit(&[boom(2)]);
    assert_eq!(
        tables.groups.values().next().unwrap().status,
        GroupStatus::Ignored
    );
}

/// No room but for what is there.
struct Full;

impl DimensionLimit for Full {
    fn fold(&mut self, _: Hour, dimensions: &Dimensions) -> Dimensions {
        dimensions.folded()
    }
}

#[test]
fn a_row_stays_where_it_is_counted_when_the_limits_fill_up() {
    let mut tables = Tables::default();
    tables.commit(&[entry()]);
    let hour = tables.only_row().aggregation_id;
    let again = exception(5, 1, "app.Inner", "before Failed happened").at(45);
    tables.commit_with(&[again], Vec::new(), Vec::new(), &mut Full);
    assert_eq!(tables.only_row().created_at, second(45));
    assert_eq!(tables.only_row().aggregation_id, hour);
}

#[test]
fn beyond_the_limits_rows_keep_what_is_true_and_are_counted_together() {
    let mut tables = Tables::default();
    let errors = [
        failed(1, 0).user("ada"),
        failed(2, 0).user("ada"),
        failed(3, 0),
    ];
    tables.commit_with(&errors, Vec::new(), Vec::new(), &mut Full);
    assert_eq!(tables.rows.len(), 3);
    assert_eq!(tables.hours.len(), 1);
    let hour = tables.hours.values().next().unwrap();
    assert_eq!((hour.total, hour.unique_users), (3, 1));
    let row = &tables.rows[&row_id(&errors[0])];
    assert_eq!(row.endpoint, "span 1");
    let folded = row.dimensions().folded();
    assert_eq!(row.aggregation_id, AggregationId::new(row.hour(), &folded));
    // It leaves the folded hour for another folded one, when its own place changes.
    tables.commit_with(
        &[failed(9, 1).throws("app.Boom", "boom").at(10)],
        Vec::new(),
        Vec::new(),
        &mut Full,
    );
    assert_eq!(tables.total_errors(), 3);
}

#[test]
fn a_logged_error_is_stored_once() {
    let mut tables = Tables::default();
    tables.commit(&[entry()]);
    let logged = ApiError {
        id: ErrorId(uuid::Uuid::from_u128(7)),
        trace_id: None,
        user_id: Some("zoe".to_owned()),
        ..tables.only_row().clone()
    };
    let twice = vec![logged.clone(), logged.clone()];
    let effects = tables.commit_all(&[cause()], twice, Vec::new());
    assert_eq!(effects.logged, [Outcome::Error, Outcome::Duplicate]);
    let effects = tables.commit_all(&[], vec![logged], Vec::new());
    assert_eq!(effects.logged, [Outcome::Duplicate]);
    assert_eq!((tables.rows.len(), tables.total_errors()), (2, 2));
}

#[test]
fn counts_without_rows_are_added_to_the_hour_of_their_dimensions() {
    let mut tables = Tables::default();
    tables.commit(&[entry()]);
    let (hour, dimensions) = (tables.only_row().hour(), tables.only_row().dimensions());
    let upsert = AggregationDelta {
        id: AggregationId(uuid::Uuid::nil()),
        hour,
        dimensions,
        linked_errors: 0,
        unlinked_errors: 5,
        first_occurrence: Some(second(1)),
        last_occurrence: Some(second(2)),
        shrinks: false,
    };
    tables.commit_all(&[], Vec::new(), vec![upsert.clone(), upsert]);
    assert_eq!(tables.hours.len(), 1);
    let hour = tables.hours.values().next().unwrap();
    assert_eq!((hour.total, hour.unlinked), (11, 10));
    assert_eq!((hour.first, hour.last), (second(1), second(50)));
}

#[test]
fn nothing_is_read_or_written_for_what_is_known_already() {
    let mut tables = Tables::default();
    tables.commit(&[entry(), cause()]);
    let before = tables.traces.values().next().unwrap().clone();
    let resent = super::TraceInput {
        identity: super::model::identity(),
        before: before.clone(),
        new: vec![entry()],
    };
    assert_eq!(
        Candidates::of(from_ref(&resent), &[]),
        Candidates::default()
    );
    let input = super::PlanInput {
        traces: vec![resent],
        ..super::PlanInput::default()
    };
    let mut plan = super::Plan::new(second(0), &super::UserHasher::new([1; 16]));
    let rows = plan.rows(input, &mut HourlyLabelSets::default());
    assert!(rows.traces.is_empty() && plan.fingerprints().is_empty());
}

#[test]
fn spans_that_stand_above_no_failure_are_remembered_without_reading_rows() {
    let mut tables = Tables::default();
    tables.commit(&[cause()]);
    let trace = |new: Sighting| super::TraceInput {
        identity: super::model::identity(),
        before: tables.traces.values().next().unwrap().clone(),
        new: vec![new],
    };
    assert_eq!(
        Candidates::of(&[trace(link(8, 7))], &[]),
        Candidates::default()
    );
    let above = link(1, 0).entry("/orders", 200);
    assert_eq!(
        Candidates::of(&[trace(above)], &[]).rows,
        [row_id(&cause())]
    );
    let entry_facts = link(2, 1).entry("/orders", 200);
    assert_eq!(
        Candidates::of(&[trace(entry_facts)], &[]).rows,
        [row_id(&cause())]
    );

    let before = tables.rows.clone();
    tables.commit(&[link(8, 7)]);
    assert_eq!(tables.rows, before);
    assert_eq!(tables.traces.values().next().unwrap().sightings.len(), 2);
    tables.commit(&[
        failed(9, 8).throws("app.Boom", "boom"),
        link(7, 0).entry("/late", 500),
    ]);
    assert_eq!(
        tables
            .rows
            .values()
            .filter(|row| row.endpoint == "/late")
            .count(),
        1
    );
}

#[test]
fn a_batch_of_8192_failures_of_one_trace_is_stored_whole_and_once() {
    let mut batch: Vec<Sighting> = (2..8_194)
        .map(|span| {
            failed(span, 1)
                .throws("app.Boom", &format!("item {span} cannot be read"))
                .stack(&"at app.Work.run\n".repeat(8))
        })
        .collect();
    batch.push(link(1, 0).entry("/import", 200));
    let mut tables = Tables::default();
    tables.commit(&batch);
    assert_eq!(tables.rows.len(), 8_192);
    assert!(tables.rows.values().all(|row| row.endpoint == "/import"));
    assert!(
        tables
            .rows
            .values()
            .all(|row| row.severity == Severity::Warning)
    );
    let trace = tables.traces.values().next().unwrap();
    assert!(trace.dropped_sightings > 0);
    assert!(trace.sightings.iter().any(|sighting| sighting.is_entry));

    for part in [&batch[..], &batch[4_000..5_000], &batch[10..]] {
        let effects = tables.commit(part);
        let errors = &effects.sightings[0];
        assert!(errors.iter().all(|outcome| *outcome == Outcome::Duplicate));
    }
    assert_eq!((tables.rows.len(), tables.total_errors()), (8_192, 8_192));
}

#[test]
fn spans_that_no_failure_needs_are_forgotten_first() {
    let mut tables = Tables::default();
    let mut batch = vec![failed(3, 2)];
    batch.extend((100..1_000).map(|span| link(span, 1)));
    batch.extend([link(2, 1), link(1, 0).entry("/orders", 500)]);
    tables.commit(&batch);
    let trace = tables.traces.values().next().unwrap();
    let needed: Vec<_> = [3, 2, 1].map(crate::detect::sample::span_id).into();
    let kept: Vec<_> = trace
        .sightings
        .iter()
        .filter_map(|sighting| sighting.span_id)
        .collect();
    assert!(needed.iter().all(|span| kept.contains(span)));
    let forgotten = i64::try_from(batch.len() - trace.sightings.len()).unwrap();
    assert_eq!(trace.dropped_sightings, forgotten);
    tables.commit(&[link(5_000, 1)]);
    assert_eq!(tables.only_row().endpoint, "/orders");
}

#[test]
fn what_was_one_failure_stays_one_when_its_texts_are_trimmed() {
    // The outer stacks, which name the causes, do not fit beside each other.
    let mut batch = Vec::new();
    for number in 0..40 {
        let outer = 2 + 2 * number;
        batch.push(
            failed(outer + 1, outer)
                .throws("db.DbTimeout", &format!("query {number} timed out"))
                .stack(&"x".repeat(20_000)),
        );
        batch.push(
            failed(outer, 1)
                .throws("app.Failed", &format!("job {number}"))
                .stack(&format!("{}\nCaused by: db.DbTimeout", "y".repeat(20_000))),
        );
    }
    let mut tables = Tables::default();
    tables.commit(&batch[..40]);
    tables.commit(&batch[40..60]);
    let rows = tables.rows.clone();
    assert_eq!(rows.len(), 30);
    assert!(
        rows.values()
            .all(|row| row.error_message.ends_with("timed out"))
    );
    tables.commit(&[link(500, 1)]);
    assert_eq!(tables.rows, rows);
    tables.commit(&batch);
    assert_eq!(
        tables.total_errors(),
        i64::try_from(tables.rows.len()).unwrap()
    );
}

#[test]
fn headers_that_were_trimmed_stay_on_their_row() {
    let mut with_headers = entry();
    let headers = [("x".to_owned(), json!("h".repeat(60_000)))]
        .into_iter()
        .collect();
    with_headers.facts.as_mut().unwrap().request_headers = Some(headers);
    let more = failed(2, 1)
        .throws("app.Other", "other thing")
        .stack(&"z".repeat(60_000));
    let mut tables = Tables::default();
    tables.commit(&[with_headers, more]);
    let kept = tables.rows[&row_id(&entry())].request_headers.clone();
    assert!(kept.is_some());
    tables.commit(&[failed(4, 1).throws("app.Third", "third thing")]);
    tables.commit(&[failed(5, 1).throws("app.Fourth", "fourth thing")]);
    assert_eq!(tables.rows[&row_id(&entry())].request_headers, kept);
}
