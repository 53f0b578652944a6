//! What a hand-written layer kept is taken over to the row, in one go or after being killed in the
//! middle.

use std::{
    collections::BTreeSet,
    process::{Command, Output},
};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::{
    checker::Checker,
    databases::{Database, Kind, each_kind},
    program,
};

const SCHEMA: &str = include_str!("schema.sql");

/// How many errors and runs the layer kept.
fn size() -> (i64, i64) {
    if std::env::var_os("FULL").is_some() {
        (100_000, 10_000)
    } else {
        (2_000, 300)
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

/// The database of the layer.
struct Layer(Database);

impl Layer {
    fn new() -> Self {
        let layer = Self(Database::new(Kind::Postgres));
        layer.execute(SCHEMA);
        layer
    }

    fn execute(&self, sql: &str) {
        block_on(async {
            let mut connection = PgConnection::connect(&self.0.url).await.unwrap();
            let sql = AssertSqlSafe(sql.to_owned());
            connection.execute(sql).await.unwrap();
            connection.close().await.unwrap();
        });
    }

    /// Errors of three months, one in three of a user and one in five resolved; hours that count
    /// them, of which some count 7 more; and runs in every status, each with two stages.
    fn fill(&self, errors: i64, runs: i64) {
        self.execute(&format!(
            "INSERT INTO api_errors (user_id, request_id, endpoint, method, error_code, error_message, \
               error_stack, severity, category, status_code, request_headers, external_service, \
               context, tags, resolved, resolved_at, resolved_by, resolution, ip_address, created_at) \
             SELECT CASE WHEN n % 3 = 0 THEN person.id END, 'request-' || n, '/orders/' || n % 40, 'POST', \
               'OrderRefused', 'order ' || n || ' — refused ''twice''', E'at refuse\\n  at pay', \
               (enum_range(NULL::error_severity))[1 + n % 5], (enum_range(NULL::error_category))[1 + n % 9], \
               CASE WHEN n % 4 > 0 THEN 500 + n % 4 END, '{{\"accept\": \"*/*\"}}', \
               CASE WHEN n % 6 = 0 THEN 'bank' END, jsonb_build_object('number', n), '[\"legacy\"]', \
               n % 5 = 0, CASE WHEN n % 5 = 0 THEN now() END, CASE WHEN n % 5 = 0 THEN person.id END, \
               CASE WHEN n % 5 = 0 THEN 'paid back' END, '203.0.113.7', \
               TIMESTAMPTZ '2026-02-01 00:00:00.123456+00' + n * (INTERVAL '90 days' / {errors}) \
             FROM generate_series(0, {errors} - 1) AS n \
             JOIN (SELECT id, row_number() OVER (ORDER BY email) - 1 AS number FROM users) AS person \
               ON person.number = n % 100"
        ));
        self.execute(
            "INSERT INTO error_aggregations (hour_bucket, endpoint, severity, category, \
               external_service, total_errors, unique_users, first_occurrence, last_occurrence) \
             SELECT date_trunc('hour', created_at, 'UTC'), endpoint, severity, category, external_service, \
               COUNT(*) + CASE WHEN endpoint = '/orders/7' THEN 7 ELSE 0 END, COUNT(DISTINCT user_id), \
               MIN(created_at), MAX(created_at) FROM api_errors GROUP BY 1, 2, 3, 4, 5",
        );
        self.execute(&format!(
            "INSERT INTO generation_pipelines (id, user_id, asset_id, config, status, progress, error, \
               error_details, meshy_task_id, created_at, started_at, completed_at, updated_at) \
             SELECT 'pipeline-' || n, person.id, (SELECT id FROM assets ORDER BY name LIMIT 1), \
               jsonb_build_object('type', 'model', 'n', n), (enum_range(NULL::pipeline_status))[1 + n % 5], \
               n % 101, CASE WHEN n % 5 = 3 THEN 'no mesh' END, CASE WHEN n % 5 = 3 THEN '{{\"a\": [1]}}'::jsonb END, \
               'task-' || n, at, at, CASE WHEN n % 5 > 1 THEN at + INTERVAL '90 seconds' END, at + INTERVAL '2 minutes' \
             FROM (SELECT n, TIMESTAMP '2026-02-01 00:00:00.5' + n * INTERVAL '1 minute' AS at \
                   FROM generate_series(0, {runs} - 1) AS n) AS numbers \
             JOIN (SELECT id, row_number() OVER (ORDER BY email) - 1 AS number FROM users) AS person \
               ON person.number = n % 100; \
             INSERT INTO pipeline_stages (pipeline_id, stage_name, stage_order, status, progress, result, duration) \
             SELECT id, stage, CASE stage WHEN 'mesh' THEN 0 ELSE 1 END, 'completed', 100, '{{\"ok\": true}}', 1500 \
             FROM generation_pipelines CROSS JOIN (VALUES ('mesh'), ('rig')) AS stages (stage)"
        ));
    }

    /// Label sets of hours that count 7 more than there are rows.
    fn hours(&self) -> i64 {
        block_on(async {
            let mut layer = Checker::open(&self.0.url, "public").await;
            layer
                .number("SELECT COUNT(*) FROM error_aggregations WHERE endpoint = '/orders/7'")
                .await
        })
    }
}

/// Runs the program on a database.
fn redspan(database: &Database, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(program::path())
        .args(arguments)
        .envs(database.environment())
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn import(database: &Database, layer: &Layer, environment: &[(&str, &str)]) -> Output {
    let arguments = ["import", "--from", &layer.0.url, "--json"];
    redspan(database, &arguments, environment)
}

/// The balance that is printed; `found` of each kind is the sum of the rest.
fn balance(output: &Output) -> Value {
    let balance: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    for kind in ["errors", "hours", "pipelines"] {
        let count = |name: &str| balance[kind][name].as_u64().unwrap();
        let sum = count("imported") + count("thereAlready") + count("refused");
        assert_eq!(count("found"), sum, "{balance}");
    }
    balance
}

/// That both hold the same errors, runs and stages, column for column, and that every count of ours
/// is right.
fn assert_same(database: &Database, layer: &Layer) {
    let time = match database.kind {
        Kind::Sqlite => |column: &str| format!("COALESCE(CAST({column} AS TEXT), '-')"),
        Kind::Postgres => theirs,
    };
    let flag = match database.kind {
        Kind::Sqlite => "CASE resolved WHEN 1 THEN 'true' ELSE 'false' END",
        Kind::Postgres => "CAST(resolved AS TEXT)",
    };
    block_on(async {
        let mut old = Checker::open(&layer.0.url, "public").await;
        let mut new = Checker::open(&database.url, &database.schema).await;
        for (table, columns, times) in [
            (
                "api_errors",
                &[
                    "id",
                    "user_id",
                    "request_id",
                    "endpoint",
                    "method",
                    "error_code",
                    "error_message",
                    "error_stack",
                    "severity",
                    "category",
                    "status_code",
                    "external_service",
                    "resolved",
                    "resolved_by",
                    "resolution",
                    "ip_address",
                ][..],
                &["created_at", "resolved_at"][..],
            ),
            (
                "generation_pipelines",
                &[
                    "id",
                    "user_id",
                    "asset_id",
                    "status",
                    "progress",
                    "error",
                    "meshy_task_id",
                ],
                &["created_at", "started_at", "completed_at", "updated_at"],
            ),
            (
                "pipeline_stages",
                &[
                    "id",
                    "pipeline_id",
                    "stage_name",
                    "stage_order",
                    "status",
                    "progress",
                    "duration",
                ],
                &["created_at"],
            ),
        ] {
            let line = |flag: &str, time: &dyn Fn(&str) -> String| {
                let columns = columns.iter().map(|column| match *column {
                    "resolved" => flag.to_owned(),
                    column => format!("COALESCE(CAST({column} AS TEXT), '-')"),
                });
                let times = times.iter().map(|column| time(column));
                let parts: Vec<String> = columns.chain(times).collect();
                format!("SELECT {} FROM {table}", parts.join(" || '|' || "))
            };
            let there = old.texts(&line("CAST(resolved AS TEXT)", &theirs)).await;
            let here = new.texts(&line(flag, &time)).await;
            assert_eq!(here.len(), there.len(), "{table}");
            let there: BTreeSet<String> = there.into_iter().collect();
            let here: BTreeSet<String> = here.into_iter().collect();
            assert_eq!(here.symmetric_difference(&there).next(), None, "{table}");
        }
        let sum = "SELECT CAST(SUM(total_errors) AS BIGINT) FROM error_aggregations";
        assert_eq!(new.number(sum).await, old.number(sum).await);
    });
    let verified = redspan(database, &["aggregations", "verify"], &[]);
    assert!(verified.status.success(), "{verified:?}");
}

/// PostgreSQL's time in microseconds since 1970, as text.
fn theirs(column: &str) -> String {
    format!("COALESCE(CAST(CAST(extract(epoch FROM {column}) * 1000000 AS BIGINT) AS TEXT), '-')")
}

#[test]
fn an_import_balances_to_the_row_and_a_second_one_changes_nothing() {
    let (errors, runs) = size();
    let layer = Layer::new();
    layer.fill(errors, runs);
    let hours = layer.hours();
    each_kind(|kind| {
        let database = Database::new(kind);
        for is_first in [true, false] {
            let output = import(&database, &layer, &[]);
            assert!(output.status.success(), "{output:?}");
            let count = |found: i64| {
                let imported = if is_first { found } else { 0 };
                json!({
                    "found": found,
                    "imported": imported,
                    "thereAlready": found - imported,
                    "refused": 0,
                })
            };
            assert_eq!(
                balance(&output),
                json!({
                    "errors": count(errors),
                    "hours": count(hours),
                    "pipelines": count(runs),
                    "reasons": [],
                })
            );
            assert_same(&database, &layer);
        }
    });
}

#[test]
fn an_import_that_is_killed_goes_on_where_it_ended() {
    let (errors, runs) = size();
    let layer = Layer::new();
    layer.fill(errors, runs);
    each_kind(|kind| {
        let database = Database::new(kind);
        let killed = [
            ("REDSPAN_FAILPOINT", "after_insert:2"),
            ("REDSPAN_FAILPOINT", "after_commit:4"),
        ];
        for failpoint in killed {
            let output = import(&database, &layer, &[failpoint]);
            assert!(!output.status.success(), "{output:?}");
        }
        let output = import(&database, &layer, &[]);
        assert!(output.status.success(), "{output:?}");
        let balance = balance(&output);
        assert!(
            balance["errors"]["thereAlready"].as_u64() > Some(0),
            "{balance}"
        );
        assert!(
            balance["errors"]["imported"].as_u64() > Some(0),
            "{balance}"
        );
        assert_same(&database, &layer);
    });
}

#[test]
fn rows_that_cannot_be_taken_are_told_and_the_others_are_there() {
    let layer = Layer::new();
    layer.fill(20, 5);
    layer.execute(
        "UPDATE api_errors SET error_message = ' ' WHERE request_id = 'request-3'; \
         UPDATE generation_pipelines SET progress = 120 WHERE id = 'pipeline-4'",
    );
    each_kind(|kind| {
        let database = Database::new(kind);
        let output = import(&database, &layer, &[]);
        assert_eq!(output.status.code(), Some(65), "{output:?}");
        let balance = balance(&output);
        let refused = ["errors", "pipelines"].map(|kind| balance[kind]["refused"].clone());
        assert_eq!(refused, [json!(1), json!(1)]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("errorMessage is \" \""), "{said}");
        assert!(
            said.contains("run pipeline-4: its progress is 120"),
            "{said}"
        );
        let stored = block_on(async {
            let mut new = Checker::open(&database.url, &database.schema).await;
            let errors = new.number("SELECT COUNT(*) FROM api_errors").await;
            (
                errors,
                new.number("SELECT COUNT(*) FROM generation_pipelines")
                    .await,
            )
        });
        assert_eq!(stored, (19, 4));
    });
}
