//! The schema's versions.

use redspan::store::{DatabaseSettings, StoreError, connect, migrate};
use sqlx::{Connection, Executor, PgConnection, Row, SqliteConnection};

use crate::databases::{Database, Kind, on_each_database};

#[test]
fn up_down_up_leaves_the_same_schema() {
    on_each_database(async |database| {
        let settings = database.settings();
        let numbers: Vec<i64> = migrate::status(&settings)
            .await
            .unwrap()
            .iter()
            .map(|version| version.number)
            .collect();
        assert_eq!(up(&database).await, numbers);
        let first = schema(&database).await;
        assert!(first.iter().any(|line| line.contains("api_errors")));
        for number in numbers.iter().rev() {
            assert_eq!(down(&database).await, Some(*number));
        }
        assert_eq!(down(&database).await, None);
        let empty = schema(&database).await;
        assert!(!empty.iter().any(|line| line.contains("api_errors")));
        assert_eq!(up(&database).await, numbers);
        assert_eq!(schema(&database).await, first);
        assert!(up(&database).await.is_empty());
    });
}

#[test]
fn each_migration_down_and_up_again_leaves_the_same_schema() {
    on_each_database(async |database| {
        up(&database).await;
        let first = schema(&database).await;
        for _ in migrate::status(&database.settings()).await.unwrap() {
            down(&database).await;
        }
        up(&database).await;
        down(&database).await;
        up(&database).await;
        assert_eq!(schema(&database).await, first);
    });
}

async fn up(database: &Database) -> Vec<i64> {
    let numbers = migrate::up(&database.settings()).await.unwrap();
    database.wait_for_lock();
    numbers
}

async fn down(database: &Database) -> Option<i64> {
    let number = migrate::down(&database.settings()).await.unwrap();
    database.wait_for_lock();
    number
}

#[test]
fn both_databases_have_the_same_migrations_tables_and_columns() {
    let names = |folder: &str| {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("migrations/sqlite"), names("migrations/postgres"));
    assert!(names("migrations/sqlite").len() >= 2);
    let columns = std::sync::Mutex::new(Vec::new());
    on_each_database(async |database| {
        migrate::up(&database.settings()).await.unwrap();
        let found = columns_of(&database).await;
        columns.lock().unwrap().push(found);
    });
    let columns = columns.into_inner().unwrap();
    assert_eq!(columns[0], columns[1]);
}

#[test]
fn a_database_that_is_not_migrated_is_refused_with_what_to_do() {
    on_each_database(async |database| {
        let settings = DatabaseSettings {
            migrate: false,
            ..database.settings()
        };
        let refused = connect(&settings).await.err().unwrap();
        assert!(
            matches!(&refused, StoreError::Configuration(sentence) if sentence.contains("migrate")),
            "{refused}"
        );
        migrate::up(&settings).await.unwrap();
        connect(&settings).await.unwrap().ping().await.unwrap();
    });
}

#[test]
fn a_schema_of_a_newer_program_is_refused() {
    on_each_database(async |database| {
        let settings = database.settings();
        migrate::up(&settings).await.unwrap();
        execute(
            &database,
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             SELECT 9999, 'later', success, checksum, 0 FROM _sqlx_migrations LIMIT 1",
        )
        .await;
        let refused = connect(&settings).await.err().unwrap();
        assert!(
            matches!(&refused, StoreError::Configuration(sentence) if sentence.contains("9999")),
            "{refused}"
        );
    });
}

#[test]
fn replicas_that_start_together_migrate_once() {
    let database = Database::new(Kind::Postgres);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let settings = database.settings();
        let starts: Vec<_> = (0..6)
            .map(|_| {
                let settings = settings.clone();
                tokio::spawn(
                    async move { connect(&settings).await.map(|store| store.user_hash_key()) },
                )
            })
            .collect();
        let mut keys = Vec::new();
        for start in starts {
            keys.push(start.await.unwrap().unwrap());
        }
        assert!(keys.iter().all(|key| *key == keys[0]));
    });
}

/// Runs a statement past the library.
pub async fn execute(database: &Database, sql: &'static str) {
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
}

/// Every object of the schema, as the catalog describes it.
async fn schema(database: &Database) -> Vec<String> {
    const SQLITE: &str = "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') \
        FROM sqlite_schema";
    const POSTGRES: &str = "\
        SELECT format('column %s.%s %s %s %s %s', c.relname, a.attname, \
            row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), \
            format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attcompression) \
            || coalesce(' ' || pg_get_expr(d.adbin, d.adrelid), '') \
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
                AND NOT a.attisdropped \
            LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'S', 'v') \
        UNION ALL \
        SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) \
        FROM pg_constraint WHERE connamespace = current_schema()::regnamespace \
        UNION ALL \
        SELECT 'index ' || pg_get_indexdef(indexrelid) FROM pg_index \
            JOIN pg_class ON pg_class.oid = indexrelid \
        WHERE relnamespace = current_schema()::regnamespace \
        UNION ALL \
        SELECT 'enum ' || typname || ' ' || string_agg(enumlabel, ',' ORDER BY enumsortorder) \
        FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid \
        WHERE typnamespace = current_schema()::regnamespace GROUP BY typname \
        UNION ALL \
        SELECT 'function ' || proname FROM pg_proc \
        WHERE pronamespace = current_schema()::regnamespace";
    rows(database, SQLITE, POSTGRES).await
}

/// `table.column` of every table of ours.
async fn columns_of(database: &Database) -> Vec<String> {
    const SQLITE: &str = "SELECT t.name || '.' || c.name || ' ' || (c.\"notnull\" OR c.pk > 0) \
        FROM sqlite_schema AS t, pragma_table_info(t.name) AS c \
        WHERE t.type = 'table' AND t.name NOT LIKE '\\_sqlx%' ESCAPE '\\'";
    const POSTGRES: &str = "SELECT table_name || '.' || column_name || ' ' \
        || CASE is_nullable WHEN 'NO' THEN 1 ELSE 0 END \
        FROM information_schema.columns WHERE table_schema = current_schema() \
        AND table_name NOT LIKE '\\_sqlx%'";
    rows(database, SQLITE, POSTGRES).await
}

/// The texts that a query gives, sorted.
pub async fn rows(
    database: &Database,
    sqlite: &'static str,
    postgres: &'static str,
) -> Vec<String> {
    let mut rows: Vec<String> = match database.kind {
        Kind::Sqlite => {
            let mut connection = SqliteConnection::connect(&database.url).await.unwrap();
            let rows = connection.fetch_all(sqlite).await.unwrap();
            rows.iter().map(|row| row.get(0)).collect()
        }
        Kind::Postgres => {
            let mut connection = PgConnection::connect(&database.url).await.unwrap();
            let rows = connection.fetch_all(postgres).await.unwrap();
            rows.iter().map(|row| row.get(0)).collect()
        }
    };
    rows.sort();
    rows
}

#[test]
fn what_may_be_absent_need_not_be_json_for_any_sqlite() {
    // Some SQLites (3.40 is one) say of NULL that it is no JSON: other tools would find a healthy
    // file damaged, and could not restore its dump.
    let columns = [
        include_str!("../../../migrations/sqlite/0001_errors.up.sql"),
        include_str!("../../../migrations/sqlite/0002_pipelines.up.sql"),
        include_str!("../../../migrations/sqlite/0003_counters.up.sql"),
    ];
    let lines = columns.iter().flat_map(|migration| migration.lines());
    let checked = lines.filter(|line| line.contains("CHECK (") && line.contains("json_valid("));
    for line in checked {
        assert!(
            line.contains("NOT NULL") || line.contains("IS NULL OR") || line.contains("CASE WHEN"),
            "{line}"
        );
    }
}
