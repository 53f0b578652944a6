//! Ledgers of every version of the schema (`tests/dumps/`, made by `make.sh` there), brought up to
//! date.

use std::{collections::BTreeMap, fs};

use redspan::{
    domain::Timestamp,
    store::{Check, connect_reader, migrate},
};
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, SqliteConnection};

use crate::databases::{Database, Kind, each_kind};

/// When the first of them were made: 2026-11-23T22:00:00Z.
const NOW: i64 = 1_795_471_200_000_000;

/// The version with which data counters came: rows that are older were never counted.
const COUNTERS: i64 = 3;

/// By table, what each row says in each column.
type Tables = BTreeMap<String, Vec<Map<String, Value>>>;

#[test]
fn what_was_stored_at_each_version_is_migrated_without_loss() {
    each_kind(|kind| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let database = Database::new(kind);
        let versions = runtime.block_on(migrate::status(&database.settings()));
        let numbers: Vec<i64> = versions.unwrap().iter().map(|it| it.number).collect();
        assert!(numbers.len() >= 4);
        for number in &numbers {
            let database = Database::new(kind);
            let newer: Vec<i64> = numbers.iter().copied().filter(|it| it > number).collect();
            runtime.block_on(is_migrated_without_loss(&database, *number, &newer));
        }
    });
}

async fn is_migrated_without_loss(database: &Database, number: i64, newer: &[i64]) {
    let place = format!("{:?} {number:04}", database.kind);
    restore(database, number).await;
    let before = tables(database).await;
    for (table, rows) in &before {
        let first = rows.first();
        let first = first.unwrap_or_else(|| panic!("{place}: the dump has no row of {table}"));
        for column in first.keys() {
            let is_told = rows.iter().any(|row| !row[column].is_null());
            assert!(is_told, "{place}: the dump has no {table}.{column}");
        }
    }
    assert!(before.contains_key("api_errors"), "{place}: {before:?}");

    let settings = database.settings();
    assert_eq!(migrate::up(&settings).await.unwrap(), newer, "{place}");
    let mut after = tables(database).await;
    for (table, rows) in before {
        let columns: Vec<String> = rows[0].keys().cloned().collect();
        let mut now = after.remove(&table).unwrap_or_default();
        for row in &mut now {
            row.retain(|column, _| columns.contains(column));
        }
        now.sort_by_key(|row| Value::from(row.clone()).to_string());
        assert_eq!(now, rows, "{place}: {table}");
    }

    let reader = connect_reader(&settings).await.unwrap();
    let now = Timestamp::from_micros(NOW);
    let found = reader.verify_aggregations(None, None, now).await.unwrap();
    reader.close().await;
    let known = |check| check == Check::ErrorsCounter && number < COUNTERS;
    let unknown = found.mismatches.iter().find(|it| !known(it.check));
    assert_eq!((unknown, found.more_mismatches), (None, 0), "{place}");
    assert!(found.errors > 0 && found.groups > 0, "{place}: {found:?}");
}

/// Makes the empty database what the dump says.
async fn restore(database: &Database, number: i64) {
    let folder = match database.kind {
        Kind::Sqlite => "sqlite",
        Kind::Postgres => "postgres",
    };
    let path = format!("tests/dumps/{folder}/{number:04}.sql");
    let dump = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{path}, to be made with tests/dumps/make.sh: {error}"));
    let dump = AssertSqlSafe(dump);
    match database.kind {
        Kind::Sqlite => {
            fs::File::create(database.url.trim_start_matches("sqlite://")).unwrap();
            let mut connection = SqliteConnection::connect(&database.url).await.unwrap();
            connection.execute(dump).await.unwrap();
            connection.close().await.unwrap();
        }
        Kind::Postgres => {
            let mut connection = PgConnection::connect(&database.url).await.unwrap();
            connection.execute(dump).await.unwrap();
            connection.close().await.unwrap();
        }
    }
}

/// Everything that is stored, past the library.
async fn tables(database: &Database) -> Tables {
    const OURS: &str = "NOT LIKE '\\_sqlx%' ESCAPE '\\'";
    let mut tables = Tables::new();
    match database.kind {
        Kind::Sqlite => {
            let mut connection = SqliteConnection::connect(&database.url).await.unwrap();
            // Each value as SQLite writes it in SQL; of what is absent nothing.
            let questions = format!(
                "SELECT t.name, 'SELECT json_object(' || group_concat(format('''%s'', \
                 iif(%s IS NULL, NULL, quote(%s))', c.name, c.name, c.name), ', ') || ') FROM ' \
                 || t.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c \
                 WHERE t.type = 'table' AND t.name {OURS} GROUP BY t.name"
            );
            let questions = connection.fetch_all(AssertSqlSafe(questions)).await;
            for question in questions.unwrap() {
                let rows = connection.fetch_all(AssertSqlSafe(question.get::<String, _>(1)));
                let rows: Vec<String> = rows.await.unwrap().iter().map(|row| row.get(0)).collect();
                tables.insert(question.get(0), in_order(&rows));
            }
            connection.close().await.unwrap();
        }
        Kind::Postgres => {
            let mut connection = PgConnection::connect(&database.url).await.unwrap();
            let schema = &database.schema;
            let names = format!(
                "SELECT CAST(tablename AS TEXT) FROM pg_tables \
                 WHERE schemaname = '{schema}' AND tablename {OURS}"
            );
            for name in connection.fetch_all(AssertSqlSafe(names)).await.unwrap() {
                let name: String = name.get(0);
                let rows = format!("SELECT CAST(to_jsonb(t) AS TEXT) FROM {schema}.{name} AS t");
                let rows = connection.fetch_all(AssertSqlSafe(rows)).await.unwrap();
                let rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
                tables.insert(name, in_order(&rows));
            }
            connection.close().await.unwrap();
        }
    }
    tables
}

fn in_order(rows: &[String]) -> Vec<Map<String, Value>> {
    let mut rows: Vec<Map<String, Value>> = rows
        .iter()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect();
    rows.sort_by_key(|row| Value::from(row.clone()).to_string());
    rows
}
