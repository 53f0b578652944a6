//! What is stored and counted, compared with what must be.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Columns, Expected};
use crate::{checker::Checker, databases::Database, program::Samples};

/// Compares every table.
pub fn tables(database: &Database, expected: &Expected) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut checker = Checker::open(&database.url, &database.schema).await;
        let mut stored = rows(&mut checker).await;
        let mut wanted = expected.rows.clone();
        // What a stack must speak of stands in place of the stack.
        for stored in &mut stored {
            let stack = stored["stack"].clone();
            let phrase = wanted
                .iter()
                .find(|wanted| {
                    ["endpoint", "error_code", "error_message"]
                        .iter()
                        .all(|column| wanted[column] == stored[column])
                })
                .map(|wanted| wanted["stack"].clone());
            if let (Some(stack), Some(Value::String(phrase))) = (stack.as_str(), phrase)
                && stack.contains(&phrase)
            {
                stored.insert("stack", phrase.into());
            }
        }
        for stored in &stored {
            match wanted.iter().position(|wanted| wanted == stored) {
                Some(found) => drop(wanted.swap_remove(found)),
                None => panic!("stored: {stored:#?}, but not one of {wanted:#?}"),
            }
        }
        assert_eq!(wanted, [], "not stored");

        checker.assert_holds(&expected.truth).await;
        check_hours(&mut checker, expected).await;
        check_groups(&mut checker, expected).await;

        let mut totals = BTreeMap::<String, (i64, i64)>::new();
        for line in checker
            .texts(
                "SELECT requests || ' ' || errors || ' ' || method || ' ' || service_name || ' ' || endpoint \
                 FROM request_totals WHERE environment = 'test' AND estimated_requests = requests",
            )
            .await
        {
            let [requests, errors, "GET", "acme/shop", endpoint] = line.splitn(5, ' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let total = totals.entry(endpoint.to_owned()).or_default();
            total.0 += requests.parse::<i64>().unwrap();
            total.1 += errors.parse::<i64>().unwrap();
        }
        assert_eq!(totals, expected.totals);

        for (table, lines) in checker.dump().await {
            let secret = lines.iter().find(|line| line.contains("hush"));
            assert_eq!(secret, None, "a secret in {table}");
        }
        let statements = "SELECT COUNT(*) FROM api_errors WHERE CAST(context AS TEXT) LIKE '%SELECT%FROM%'";
        assert_eq!(checker.number(statements).await, 0, "statements are not kept");
    });
}

/// What is stored, row by row.
async fn rows(checker: &mut Checker) -> Vec<Columns> {
    let mut rows = Vec::<Columns>::new();
    let columns = [
        "endpoint",
        "method",
        "status_code",
        "error_code",
        "error_message",
        "severity",
        "category",
        "external_service",
        "external_error_code",
        "external_error_message",
        "tags",
        "user_id",
        "request_id",
        "ip_address",
        "user_agent",
        "service_name",
        "service_version",
        "environment",
        "resolved",
        "error_stack",
        "context",
    ];
    for column in columns {
        let sql = format!(
            "SELECT COALESCE(CAST({column} AS TEXT), '(null)') FROM api_errors ORDER BY id"
        );
        let values = checker.texts(&sql).await;
        rows.resize(values.len(), Columns::new());
        for (row, value) in rows.iter_mut().zip(values) {
            let value = if value == "(null)" {
                Value::Null
            } else {
                value.into()
            };
            let json = || serde_json::from_str::<Value>(value.as_str().unwrap()).unwrap();
            match column {
                "tags" => drop(row.insert(column, json())),
                "resolved" => drop(row.insert(column, (value == "1" || value == "true").into())),
                "error_stack" => drop(row.insert("stack", value)),
                "context" => {
                    let context = json();
                    row.insert(
                        "sightings",
                        context["evidence"].as_array().map_or(0, Vec::len).into(),
                    );
                    row.insert("entry", context["entry"].clone());
                }
                _ => drop(row.insert(column, value)),
            }
        }
    }
    rows
}

/// That each hour counts the rows of its dimensions, and their users.
async fn check_hours(checker: &mut Checker, expected: &Expected) {
    let mut wanted = BTreeMap::<String, (i64, usize)>::new();
    for row in &expected.rows {
        let text = |column: &str| row[column].as_str().unwrap_or("(null)").to_owned();
        let hour = [
            &row["endpoint"],
            &row["severity"],
            &row["category"],
            &row["external_service"],
        ];
        let users = expected.users[&format!("{hour:?}")].len();
        let dimensions = [
            "status_code",
            "severity",
            "category",
            "external_service",
            "service_name",
            "environment",
            "method",
            "endpoint",
        ];
        let dimensions: Vec<String> = dimensions.into_iter().map(text).collect();
        let hour = wanted.entry(dimensions.join(" ")).or_default();
        *hour = (hour.0 + 1, users);
    }
    let stored = checker
        .texts(
            "SELECT SUM(total_errors) || ' ' || MAX(unique_users) || ' ' || COUNT(*) || ' ' || COALESCE(CAST(status_code AS TEXT), '(null)') || ' ' || CAST(severity AS TEXT) \
             || ' ' || CAST(category AS TEXT) || ' ' || COALESCE(external_service, '(null)') || ' ' || service_name \
             || ' ' || environment || ' ' || method || ' ' || endpoint \
             FROM error_aggregations WHERE total_errors > 0 \
             GROUP BY status_code, severity, category, external_service, service_name, environment, method, endpoint",
        )
        .await;
    let mut counted = BTreeMap::new();
    for line in &stored {
        let [errors, users, hours, dimensions] = line.splitn(4, ' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        // When the test runs over the end of an hour, users are only proved by the checker.
        let users = if hours == "1" {
            users.parse().unwrap()
        } else {
            wanted[dimensions].1
        };
        counted.insert(
            dimensions.to_owned(),
            (errors.parse::<i64>().unwrap(), users),
        );
    }
    assert_eq!(counted, wanted);
}

/// Failures of one kind are one group, whatever their order is called.
async fn check_groups(checker: &mut Checker, expected: &Expected) {
    let mut kinds = BTreeSet::new();
    for line in checker
        .texts(
            "SELECT fingerprint || ' ' || endpoint || ' ' || COALESCE(error_code, '') || ' ' || error_message \
             FROM api_errors",
        )
        .await
    {
        let [fingerprint, row] = line.splitn(2, ' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        kinds.insert((expected.kinds[row], fingerprint.to_owned()));
    }
    let names: BTreeSet<&str> = kinds.iter().map(|(kind, _)| *kind).collect();
    let fingerprints: BTreeSet<&str> = kinds.iter().map(|(_, print)| &print[..]).collect();
    assert_eq!(kinds.len(), names.len(), "a kind has one: {kinds:?}");
    assert_eq!(kinds.len(), fingerprints.len(), "no two share: {kinds:?}");
    let groups = checker
        .number("SELECT COUNT(*) FROM error_groups g WHERE g.total_errors = (SELECT COUNT(*) FROM api_errors e WHERE e.fingerprint = g.fingerprint) AND g.total_errors > 0 AND g.status = 'open'")
        .await;
    assert_eq!(usize::try_from(groups).unwrap(), kinds.len());
}

/// Compares what `/metrics` says of requests and records.
pub fn requests(metrics: &Samples, expected: &Expected) {
    for (endpoint, (requests, errors)) in &expected.totals {
        let endpoint = format!("endpoint=\"{endpoint}\"");
        for (outcome, wanted) in [("error", *errors), ("ok", requests - errors)] {
            let parts = [
                &endpoint,
                &format!("outcome=\"{outcome}\"")[..],
                "service_name=\"acme/shop\"",
                "environment=\"test\"",
                "method=\"GET\"",
            ];
            count(metrics, "redspan_requests_total", &parts, wanted);
        }
        let durations = "redspan_request_duration_seconds_count";
        count(metrics, durations, &[&endpoint], *requests);
    }
    let all = expected.truth.requests;
    count(metrics, "redspan_requests_total", &[], all);
    let spans = i64::try_from(expected.spans).unwrap();
    for family in ["redspan_records_received_total", "redspan_records_total"] {
        count(metrics, family, &["spans"], spans);
    }
}

/// Compares what it says of errors, each of which counted as what it was when it was first stored.
pub fn errors(metrics: &Samples, expected: &Expected) {
    let rows = i64::try_from(expected.rows.len()).unwrap();
    if let Some(merged) = expected.merged {
        count(metrics, "redspan_errors_total", &[], rows + merged);
        return;
    }
    for (values, wanted) in &expected.counted {
        let names = ["service_name", "severity", "category", "external_service"];
        let labels: Vec<String> = names
            .iter()
            .zip(values)
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let wanted = i64::try_from(*wanted).unwrap();
        count(metrics, "redspan_errors_total", &labels, wanted);
    }
    count(metrics, "redspan_errors_total", &[], rows);
    count(metrics, "redspan_errors_merged_rows_total", &[], 0);
}

/// The sum over all series of a family whose text holds each of the parts.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn count(metrics: &Samples, family: &str, parts: &[&str], wanted: i64) {
    let found = metrics.sum(family, parts);
    assert!(
        (found - wanted as f64).abs() < 0.5,
        "{family} {parts:?}: {found} instead of {wanted}"
    );
}
