//! What cannot be taken is told, and the rest is taken.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

use super::{assert_verified, balance, block_on, import, layer::Layer, number, redspan, target};
use crate::databases::{Database, Kind, each_kind};

/// Runs a script on the database, past the program.
fn execute(database: &Database, sql: &'static str) {
    block_on(async {
        let sql = AssertSqlSafe(sql.to_owned());
        match database.kind {
            Kind::Sqlite => {
                let mut connection = SqliteConnection::connect(&database.url).await.unwrap();
                connection.execute(sql).await.unwrap();
                connection.close().await.unwrap();
            }
            Kind::Postgres => {
                let mut connection = PgConnection::connect(&database.url).await.unwrap();
                connection.execute(sql).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    });
}

fn stored(database: &Database) -> [i64; 2] {
    [
        "SELECT COUNT(*) FROM api_errors",
        "SELECT COUNT(*) FROM generation_pipelines",
    ]
    .map(|sql| number(database, &database.schema, sql))
}

fn refused(balance: &Value) -> Value {
    ["errors", "hours", "pipelines"]
        .map(|kind| balance[kind]["refused"].clone())
        .into()
}

#[test]
fn rows_that_cannot_be_taken_are_told_and_the_others_are_there() {
    each_kind(|kind| {
        let layer = Layer::new();
        layer.fill(20, 5);
        layer.execute(
            "UPDATE api_errors SET error_message = ' ' WHERE request_id = 'request-7'; \
             UPDATE generation_pipelines SET progress = 120 WHERE id = 'pipeline-4'; \
             UPDATE pipeline_stages SET stage_name = 'mesh' WHERE pipeline_id = 'pipeline-3'; \
             ALTER TABLE error_aggregations ALTER COLUMN hour_bucket DROP NOT NULL; \
             INSERT INTO error_aggregations (total_errors) VALUES (5); \
             INSERT INTO error_aggregations (hour_bucket, endpoint, total_errors) \
             VALUES ('2026-02-01Z', '/less', -5)",
        );
        let database = target(kind);
        let output = import(&database, &layer, &[]);
        assert_eq!(output.status.code(), Some(65), "{output:?}");
        assert_eq!(refused(&balance(&output)), json!([1, 2, 2]));
        let said = String::from_utf8_lossy(&output.stderr);
        for reason in [
            "errorMessage is \" \"",
            "hour unknown, error unknown at \"\": it counts 5 errors without an hour_bucket",
            "hour 2026-02-01T00:00:00+00:00, error unknown at \"/less\": it counts -5 errors",
            "run pipeline-3: it has two stages \"mesh\"",
            "run pipeline-4: its progress is 120",
        ] {
            assert!(said.contains(reason), "{reason}: {said}");
        }
        assert_eq!(stored(&database), [19, 3]);

        // Mended there, they are taken, each once.
        layer.execute(
            "UPDATE api_errors SET error_message = 'mended' WHERE request_id = 'request-7'; \
             UPDATE generation_pipelines SET progress = 20 WHERE id = 'pipeline-4'; \
             DELETE FROM pipeline_stages WHERE pipeline_id = 'pipeline-3'; \
             DELETE FROM error_aggregations WHERE hour_bucket IS NULL OR total_errors < 0",
        );
        let output = import(&database, &layer, &[]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(stored(&database), [20, 5]);
        let counted = "SELECT CAST(SUM(total_errors) AS BIGINT) FROM error_aggregations";
        assert_eq!(
            number(&database, &database.schema, counted),
            layer.counted()
        );
        assert_verified(&database);
    });
}

#[test]
fn what_the_api_would_refuse_is_refused_and_completed_runs_are_at_100() {
    let layer = Layer::new();
    layer.fill(40, 10);
    layer.execute(
        "ALTER TABLE api_errors DROP CONSTRAINT api_errors_resolved_by_fkey; \
         ALTER TABLE api_errors ALTER COLUMN resolved_by TYPE TEXT; \
         UPDATE api_errors SET resolved_by = repeat('b', 256) WHERE request_id = 'request-5'; \
         UPDATE api_errors SET resolved_by = E'bo\\nb' WHERE request_id = 'request-10'; \
         UPDATE api_errors SET resolution = repeat('r', 8193) WHERE request_id = 'request-15'; \
         UPDATE api_errors SET resolved_by = ' ' WHERE request_id = 'request-20'; \
         INSERT INTO error_aggregations (hour_bucket, total_errors) VALUES ('2500-01-01Z', 1); \
         UPDATE pipeline_stages SET duration = -1 WHERE pipeline_id = 'pipeline-1'; \
         UPDATE generation_pipelines SET progress = 40 WHERE id = 'pipeline-2'",
    );
    let id = |request: &str| {
        layer.text(&format!(
            "SELECT CAST(id AS TEXT) FROM api_errors WHERE request_id = '{request}'"
        ))
    };
    let expected = [
        format!("error {}: resolvedBy is \"bbb", id("request-5")),
        format!("error {}: resolvedBy is \"bo", id("request-10")),
        format!("error {}: resolution is \"rrr", id("request-15")),
        "hour 2500-01-01T00:00:00+00:00, error unknown at \"\": it has not begun yet".to_owned(),
        "run pipeline-1, stage \"mesh\": its duration is -1".to_owned(),
    ];
    each_kind(|kind| {
        let database = target(kind);
        let output = import(&database, &layer, &[]);
        assert_eq!(output.status.code(), Some(65), "{output:?}");
        assert_eq!(refused(&balance(&output)), json!([3, 1, 1]));
        let said = String::from_utf8_lossy(&output.stderr);
        for reason in &expected {
            assert!(said.contains(reason), "{reason}: {said}");
        }
        assert_eq!(stored(&database), [37, 9]);
        let progress = "SELECT CAST(progress AS BIGINT) FROM generation_pipelines \
            WHERE id = 'pipeline-2'";
        assert_eq!(number(&database, &database.schema, progress), 100);
    });
}

#[test]
fn what_the_database_refuses_is_found_among_the_rows_that_it_takes() {
    let layer = Layer::new();
    layer.fill(600, 200);
    layer.execute(
        "ALTER TABLE generation_pipelines ALTER COLUMN current_stage TYPE TEXT; \
         UPDATE generation_pipelines SET current_stage = repeat('x', 101) WHERE id = 'pipeline-77'",
    );
    let named = layer.texts(
        "SELECT CAST(id AS TEXT) FROM api_errors WHERE request_id IN ('request-3', 'request-401')",
    );
    each_kind(|kind| {
        let database = target(kind);
        redspan(&database, &["migrate", "up"], &[]);
        execute(
            &database,
            match kind {
                Kind::Sqlite => {
                    "CREATE TRIGGER no_errors BEFORE INSERT ON api_errors \
                     WHEN new.request_id IN ('request-3', 'request-401') \
                     BEGIN SELECT RAISE(ABORT, 'not this one'); END; \
                     CREATE TRIGGER no_hours BEFORE INSERT ON error_aggregations \
                     WHEN new.method = 'UNKNOWN' AND new.unlinked_errors = 7 \
                     AND new.severity = 'warning' BEGIN SELECT RAISE(ABORT, 'not this one'); END"
                }
                Kind::Postgres => {
                    "ALTER TABLE redspan.api_errors ADD CONSTRAINT not_this_one \
                     CHECK (request_id NOT IN ('request-3', 'request-401')); \
                     ALTER TABLE redspan.error_aggregations ADD CONSTRAINT not_this_one \
                     CHECK (method <> 'UNKNOWN' OR severity <> 'warning')"
                }
            },
        );
        let output = import(&database, &layer, &[]);
        assert_eq!(output.status.code(), Some(65), "{output:?}");
        let balance = balance(&output);
        let hours = layer.number(
            "SELECT COUNT(*) FROM error_aggregations \
             WHERE endpoint = '/orders/7' AND severity = 'warning'",
        );
        assert!(hours > 0);
        assert_eq!(refused(&balance), json!([2, hours, 1]));
        assert_eq!(stored(&database), [598, 199]);
        let reasons = balance["reasons"].as_array().unwrap();
        for reason in reasons {
            let reason = reason.as_str().unwrap();
            let (name, why) = reason.split_once(": the database refuses it: ").unwrap();
            let is_named = match name.split_once(' ').unwrap() {
                ("error", id) => named.iter().any(|named| named == id),
                ("hour", labels) => {
                    labels.contains(":00:00.000000Z, warning ")
                        && labels.ends_with(" at \"/orders/7\"")
                }
                (_, id) => id == "pipeline-77",
            };
            assert!(is_named, "{reason}");
            assert!(!why.contains("database"), "{reason}");
        }
        assert_verified(&database);
    });
}

#[test]
fn the_first_ten_of_each_kind_are_told_by_their_names_and_the_rest_counted() {
    let layer = Layer::new();
    layer.fill(40, 15);
    layer.execute(
        "ALTER TABLE api_errors ALTER COLUMN endpoint DROP NOT NULL; \
         UPDATE api_errors SET endpoint = NULL WHERE request_id <= 'request-19'; \
         ALTER TABLE generation_pipelines ALTER COLUMN status TYPE TEXT; \
         UPDATE generation_pipelines SET status = 'lost' WHERE id <> 'pipeline-3'; \
         ALTER TABLE error_aggregations ALTER COLUMN severity TYPE TEXT; \
         INSERT INTO error_aggregations (hour_bucket, endpoint, severity, category, \
             external_service, total_errors) \
         SELECT '2026-02-01Z', '/' || n, 'loud', 'network', 'bank', 1 FROM generate_series(1, 11) AS n",
    );
    let unread = layer.number("SELECT COUNT(*) FROM api_errors WHERE endpoint IS NULL");
    let named = layer.texts("SELECT CAST(id AS TEXT) FROM api_errors WHERE endpoint IS NULL");
    each_kind(|kind| {
        let output = import(&target(kind), &layer, &[]);
        assert_eq!(output.status.code(), Some(65), "{output:?}");
        let balance = balance(&output);
        assert_eq!(refused(&balance), json!([unread, 11, 14]));
        let reasons = balance["reasons"].as_array().unwrap();
        let reasons: Vec<&str> = reasons.iter().map(|it| it.as_str().unwrap()).collect();
        assert_eq!(reasons.len(), 30, "{reasons:?}");
        for reason in &reasons[..10] {
            let name = reason.split(": it cannot be read: ").next().unwrap();
            let id = name.strip_prefix("error ").unwrap();
            assert!(named.iter().any(|named| named == id), "{reason}");
        }
        for reason in &reasons[10..20] {
            let name = "hour 2026-02-01T00:00:00+00:00, loud network at \"/";
            assert!(reason.starts_with(name), "{reason}");
            assert!(
                reason.contains("\" of \"bank\": it cannot be read: "),
                "{reason}"
            );
        }
        for reason in &reasons[20..] {
            assert!(reason.starts_with("run pipeline-"), "{reason}");
            assert!(
                reason.contains(": it cannot be read: unknown variant `lost`"),
                "{reason}"
            );
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let last = format!(
            "redspan: more are refused: errors {}, hours without rows 1, pipelines 4\n",
            unread - 10
        );
        assert!(said.ends_with(&last), "{said}");
    });
}

#[test]
fn tables_that_are_missing_are_told() {
    let layer = Layer::new();
    layer.fill(20, 5);
    layer.execute("DROP TABLE pipeline_stages");
    each_kind(|kind| {
        let database = target(kind);
        let output = import(&database, &layer, &[]);
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("the source has no table pipeline_stages"),
            "{said}"
        );
        assert_eq!(
            balance(&output)["missingTables"],
            json!(["pipeline_stages"])
        );
        assert_eq!(stored(&database), [20, 5]);
    });
}

#[test]
fn a_source_without_any_of_the_tables_is_refused() {
    let layer = Layer::new();
    layer.execute(
        "DROP TABLE api_errors, error_aggregations, generation_pipelines, pipeline_stages",
    );
    each_kind(|kind| {
        let output = import(&target(kind), &layer, &[]);
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("--from has none of the tables api_errors"),
            "{said}"
        );
    });
}

#[test]
fn a_ledger_of_redspan_is_no_source() {
    let ledger = target(Kind::Postgres);
    let from = format!("{}&options=-c%20search_path%3Dredspan", ledger.url);
    for database in [target(Kind::Sqlite), ledger] {
        let output = redspan(&database, &["import", "--from", &from], &[]);
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        let sentence = "--from leads to redspan's own table api_errors in the schema redspan";
        assert!(said.contains(sentence), "{said}");
    }
}

#[test]
fn a_schema_that_others_may_use_is_not_migrated_by_an_import() {
    let layer = Layer::new();
    layer.fill(20, 5);
    let database = Database::new(Kind::Postgres);
    let output = import(&database, &layer, &[]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        said,
        "redspan: the database has no schema redspan yet: run `redspan migrate up`, which makes it\n"
    );
    let schemas = "SELECT COUNT(*) FROM pg_namespace WHERE nspname = 'redspan'";
    assert_eq!(number(&database, "public", schemas), 0);
}
