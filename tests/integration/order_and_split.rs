//! Whatever the order, the cuts, the replays and the replica: the same rows, the same counts.
//! `PROPTEST_CASES` scales it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use prost::Message;
use redspan::{
    domain::{ApiError, Timestamp},
    otlp::{Encoding, Records},
};
use serde::Serialize;

use crate::{
    generate::{Delivery, RECEIVED_AT_MICROS, Scenario, scenario},
    model::{Model, Tables},
    reference::{self, Expected, Row},
};

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_order_cut_replay_and_replica_leads_to_the_rows_of_the_reference(scenario in scenario()) {
        let expected = {
            let (spans, logs) = scenario.whole();
            reference::expect(&[spans], &[logs], RECEIVED_AT_MICROS)
        };
        let together = arrive(&scenario.at_once());
        same(&found(&together), &expected, "all at once")?;

        let arrived = arrive(&scenario);
        let mut found = found(&arrived);
        if scenario.may_count_requests_again() {
            for (series, expected) in &expected.requests {
                let counted = found.requests.get(series).copied().unwrap_or_default();
                prop_assert!(counted.0 >= expected.0 && counted.1 >= expected.1);
            }
            found.requests.clone_from(&expected.requests);
        }
        same(&found, &expected, "as delivered")?;
        prop_assert_eq!(names(&arrived), names(&together), "fingerprints");
    }
}

/// Fails with what differs only.
fn same(found: &Expected, expected: &Expected, how: &str) -> Result<(), TestCaseError> {
    let missing: Vec<_> = (expected.rows.iter())
        .filter(|row| !found.rows.contains(row))
        .collect();
    let surplus: Vec<_> = (found.rows.iter())
        .filter(|row| !expected.rows.contains(row))
        .collect();
    prop_assert!(
        found == expected,
        "{how}: missing {missing:#?}\nsurplus {surplus:#?}\n{} rows for {}\nrequests {:#?} for {:#?}",
        found.rows.len(),
        expected.rows.len(),
        found.requests,
        expected.requests,
    );
    Ok(())
}

fn arrive(scenario: &Scenario) -> Tables {
    let mut model = Model::new(Timestamp::from_micros(RECEIVED_AT_MICROS));
    let is_same_group = |a: &Delivery, b: &Delivery| b.joins_group && a.replica == b.replica;
    for group in scenario.deliveries.chunk_by(is_same_group) {
        let requests: Vec<_> = group
            .iter()
            .flat_map(|delivery| {
                // The same request again is written as it was the first time.
                let is_json = delivery.records.first().is_some_and(|first| first % 4 == 0);
                let logs = scenario.logs(delivery);
                let spans = scenario.spans(delivery);
                let logs = logs.map(|request| written(Records::Logs, &request, is_json));
                let spans = spans.map(|request| written(Records::Spans, &request, is_json));
                logs.into_iter().chain(spans)
            })
            .collect();
        model.take(group[0].replica, &requests);
    }
    model.tables
}

fn written(
    records: Records,
    request: &(impl Message + Serialize),
    is_json: bool,
) -> (Records, Encoding, Vec<u8>) {
    if is_json {
        let json = serde_json::to_vec(request).expect("requests can be written");
        (records, Encoding::Json, json)
    } else {
        (records, Encoding::Protobuf, request.encode_to_vec())
    }
}

/// What the program has stored, in the words of the reference.
fn found(tables: &Tables) -> Expected {
    let mut rows: Vec<Row> = tables.errors.values().map(row).collect();
    rows.sort();
    let requests = tables.requests.iter().map(|((hour, series), totals)| {
        let series = (
            hour.start().as_micros(),
            series.service_name.clone(),
            series.environment.clone(),
            series.endpoint.clone(),
            series.method.clone(),
        );
        (series, (totals.requests, totals.errors))
    });
    Expected {
        rows,
        requests: requests.collect(),
        rejected: tables.rejected,
    }
}

fn row(error: &ApiError) -> Row {
    Row {
        service_name: error.service_name.clone(),
        trace_id: error.trace_id.map(|id| id.to_string()).unwrap_or_default(),
        span_id: error.span_id.map(|id| id.to_string()).unwrap_or_default(),
        environment: error.environment.clone(),
        service_version: error.service_version.clone(),
        endpoint: error.endpoint.clone(),
        method: error.method.clone(),
        status_code: error.status_code,
        error_code: error.error_code.clone(),
        error_message: error.error_message.clone(),
        error_stack: error.error_stack.clone(),
        severity: error.severity.to_string(),
        category: error.category.to_string(),
        tags: error.tags.clone(),
        external_service: error.external_service.clone(),
        external_error_code: error.external_error_code.clone(),
        external_error_message: error.external_error_message.clone(),
        user_id: error.user_id.clone(),
        request_id: error.request_id.clone(),
        ip_address: error.ip_address.clone(),
        user_agent: error.user_agent.clone(),
        created_at_micros: error.created_at.as_micros(),
    }
}

/// The reference does not say how kinds of failures are named, but arrival must not rename them.
fn names(tables: &Tables) -> BTreeMap<Row, String> {
    let errors = tables.errors.values();
    errors
        .map(|error| (row(error), error.fingerprint.to_string()))
        .collect()
}
