//! What a hand-written layer kept is taken over to the row, once, in one go or after being killed in
//! the middle.

mod again;
mod killed;
pub mod layer;
mod refused;
mod unopened;

use std::{
    collections::BTreeSet,
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::{
    checker::{Checker, Dump},
    databases::{Database, Kind, each_kind},
    program,
};

use layer::Layer;

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

/// A number of a database.
fn number(database: &Database, schema: &str, sql: &'static str) -> i64 {
    block_on(async {
        let mut database = Checker::open(&database.url, schema).await;
        database.number(sql).await
    })
}

/// An empty database that can be imported into. That of a server somebody brings up to date.
fn target(kind: Kind) -> Database {
    let database = Database::new(kind);
    if kind == Kind::Postgres {
        let migrated = redspan(&database, &["migrate", "up"], &[]);
        assert!(migrated.status.success(), "{migrated:?}");
    }
    database
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
    let arguments = ["import", "--from", layer.url(), "--json"];
    redspan(database, &arguments, environment)
}

/// Imports everything; answers with the balance.
fn imported(database: &Database, layer: &Layer) -> Value {
    let output = import(database, layer, &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    balance(&output)
}

/// A kind's rows of the balance, if so many are new and so many were there, and none refused.
fn count(imported: i64, there_already: i64) -> Value {
    json!({
        "found": imported + there_already,
        "imported": imported,
        "thereAlready": there_already,
        "refused": 0,
    })
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
        let mut old = Checker::open(layer.url(), "public").await;
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
    assert_verified(database);
}

/// That every count of ours is right.
fn assert_verified(database: &Database) {
    let verified = redspan(database, &["aggregations", "verify"], &[]);
    assert!(verified.status.success(), "{verified:?}");
}

/// What the database holds, but for the audit log.
fn dump(database: &Database) -> Dump {
    block_on(async {
        let mut dump = Checker::open(&database.url, &database.schema)
            .await
            .dump()
            .await;
        dump.remove("audit_log");
        dump
    })
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
        let database = target(kind);
        let expected = |count: fn(i64) -> Value| {
            json!({
                "errors": count(errors),
                "hours": count(hours),
                "pipelines": count(runs),
                "reasons": [],
                "missingTables": [],
            })
        };
        assert_eq!(
            imported(&database, &layer),
            expected(|found| count(found, 0))
        );
        assert_same(&database, &layer);
        let before = dump(&database);
        assert_eq!(
            imported(&database, &layer),
            expected(|found| count(0, found))
        );
        assert_eq!(dump(&database), before);
        assert_verified(&database);
    });
}

#[test]
fn a_pipe_gets_the_balance_in_colours_only_when_asked_to() {
    let layer = Layer::new();
    layer.fill(20, 5);
    let database = target(Kind::Sqlite);
    for (color, are_shown) in [("auto", false), ("never", false), ("always", true)] {
        let arguments = ["import", "--from", layer.url(), "--color", color];
        let output = redspan(&database, &arguments, &[]);
        assert!(output.status.success(), "{output:?}");
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(told.contains("THERE ALREADY"), "{told}");
        assert_eq!(told.contains('\u{1b}'), are_shown, "{color}: {told:?}");
    }
}

#[test]
fn the_audit_log_says_who_imported_from_where_and_what_came_of_it() {
    let layer = Layer::new();
    layer.fill(20, 5);
    let secret = layer.url().replace("redspan@", "redspan:secret@");
    each_kind(|kind| {
        let database = target(kind);
        let arguments = ["import", "--from", &secret];
        let output = redspan(&database, &arguments, &[("USER", "ada")]);
        assert!(output.status.success(), "{output:?}");
        let steps = block_on(async {
            let mut new = Checker::open(&database.url, &database.schema).await;
            new.texts(
                "SELECT entity_id || '|' || actor || '|' || action || '|' || CAST(after AS TEXT) \
                 FROM audit_log WHERE entity = 'import' ORDER BY id",
            )
            .await
        });
        assert_eq!(steps.len(), 2, "{steps:?}");
        let step = |at: usize| {
            let mut parts = steps[at].splitn(4, '|');
            let mut part = || parts.next().unwrap().to_owned();
            let (id, actor, action) = (part(), part(), part());
            let after: Value = serde_json::from_str(&part()).unwrap();
            (id, actor, action, after)
        };
        let ((id, actor, action, begun), ended) = (step(0), step(1));
        assert_eq!((&*actor, &*action), ("cli:ada", "begin"));
        let from = secret.split(['?', '@']).nth(1).unwrap();
        assert_eq!(begun, json!({"from": format!("postgres://{from}")}));
        let after = json!({
            "from": begun["from"],
            "errors": count(20, 0),
            "hours": count(layer.hours(), 0),
            "pipelines": count(5, 0),
        });
        assert_eq!(ended, (id, actor, "end".to_owned(), after));
    });
}
