//! What can be wrong with an SQLite file or a server when redspan starts, and what it says.

use std::{fs, os::unix::fs::FileExt};

use redspan::store::{
    DatabaseSettings, ErrorFilter, PageRequest, StoreError, connect, connect_reader, migrate,
};
use sqlx::{Connection, Executor, SqliteConnection};

use super::{
    migrations::rows,
    support::{changes, commit, error, id},
};
use crate::databases::{Database, Kind, on_each_database};

fn on_sqlite(test: impl AsyncFn(Database)) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test(Database::new(Kind::Sqlite)));
}

async fn refusal(settings: &DatabaseSettings) -> StoreError {
    connect(settings).await.err().expect("it is refused")
}

fn at_path(path: &std::path::Path) -> DatabaseSettings {
    DatabaseSettings {
        url: format!("sqlite://{}", path.display()),
        ..DatabaseSettings::default()
    }
}

#[test]
fn one_file_is_served_by_one_process() {
    on_sqlite(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let refused = refusal(&database.settings()).await;
        assert!(
            matches!(&refused, StoreError::InUse(sentence) if sentence.contains("redspan.db")),
            "{refused}"
        );
        let refused = migrate::up(&database.settings()).await.unwrap_err();
        assert!(matches!(refused, StoreError::InUse(_)), "{refused}");
        store.close().await;
        drop(store);
        connect(&database.settings()).await.unwrap();
    });
}

#[test]
fn a_reader_sees_what_the_server_commits_and_changes_nothing() {
    on_each_database(async |database| {
        let nothing = connect_reader(&database.settings()).await.err().unwrap();
        assert!(matches!(nothing, StoreError::Configuration(_)), "{nothing}");
        migrate::up(&database.settings()).await.unwrap();
        let unserved = connect_reader(&database.settings()).await.unwrap();
        unserved.close().await;
        let settings = "SELECT name FROM settings";
        let in_schema = "SELECT name FROM redspan.settings";
        assert!(rows(&database, settings, in_schema).await.is_empty());
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        let reader = connect_reader(&database.settings()).await.unwrap();
        assert_eq!(reader.user_hash_key(), store.user_hash_key());
        commit(&mut *writer, &changes(&[error(1, 0, None)], &[])).await;
        assert!(reader.get_error_by_id(id(1)).await.unwrap().is_some());
        assert!(reader.writer().await.is_err());
        // Also when nobody serves it.
        drop(writer);
        store.close().await;
        drop(store);
        reader.close().await;
        let reader = connect_reader(&database.settings()).await.unwrap();
        let (filter, page) = (ErrorFilter::default(), PageRequest::first(10));
        let page = reader.get_errors(&filter, &page).await.unwrap();
        assert_eq!(page.items.len(), 1);
        reader.ping().await.unwrap();
    });
}

#[test]
fn what_is_no_database_of_ours_is_refused_and_left_as_it_is() {
    on_sqlite(async |database| {
        let text = database.folder().join("diary.txt");
        fs::write(&text, "dear diary, this is a long day").unwrap();
        let refused = refusal(&at_path(&text)).await;
        assert!(matches!(refused, StoreError::Corrupt(_)), "{refused}");
        assert_eq!(fs::read(&text).unwrap(), b"dear diary, this is a long day");

        let other = database.folder().join("other.db");
        let url = format!("sqlite://{}?mode=rwc", other.display());
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        connection
            .execute("CREATE TABLE shop (id INTEGER)")
            .await
            .unwrap();
        connection.close().await.unwrap();
        let before = fs::read(&other).unwrap();
        for refused in [
            refusal(&at_path(&other)).await,
            connect_reader(&at_path(&other)).await.err().unwrap(),
            migrate::up(&at_path(&other)).await.unwrap_err(),
        ] {
            assert!(
                matches!(&refused, StoreError::Corrupt(sentence) if sentence.contains("another program")),
                "{refused}"
            );
        }
        assert_eq!(fs::read(&other).unwrap(), before);
    });
}

#[test]
fn a_damaged_file_is_refused_with_what_to_do() {
    on_sqlite(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        let rows: Vec<_> = (0..300).map(|number| error(number, 0, None)).collect();
        commit(&mut *writer, &changes(&rows, &[])).await;
        drop(writer);
        store.close().await;
        drop(store);
        database.wait_for_lock();
        let path = database.folder().join("redspan.db");
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        let length = file.metadata().unwrap().len();
        assert_eq!(length % 16_384, 0);
        for page in 2..length / 16_384 {
            file.write_all_at(&[0xaa; 4_096], page * 16_384).unwrap();
        }
        let refused = refusal(&database.settings()).await;
        assert!(
            matches!(&refused, StoreError::Corrupt(sentence) if sentence.contains("backup")),
            "{refused}"
        );
        assert_eq!(file.metadata().unwrap().len(), length);
    });
}

#[test]
fn a_place_where_no_file_can_be_is_said_in_a_sentence() {
    on_sqlite(async |database| {
        let folder = database.folder();
        for path in [folder.join("missing/redspan.db"), folder.to_owned()] {
            let refused = refusal(&at_path(&path)).await;
            assert!(
                matches!(&refused, StoreError::Configuration(sentence)
                    if sentence.contains(path.to_str().unwrap())),
                "{refused}"
            );
        }
    });
}

#[test]
fn a_process_killed_while_it_created_the_file_is_no_obstacle() {
    on_sqlite(async |database| {
        let path = database.folder().join("redspan.db");
        fs::write(&path, "").unwrap();
        connect(&database.settings()).await.unwrap().close().await;
        // Created, in the journal mode of its life, and nothing in it yet.
        let early = database.folder().join("early.db");
        let url = format!("sqlite://{}?mode=rwc", early.display());
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        connection
            .execute("PRAGMA page_size = 16384; PRAGMA journal_mode = WAL")
            .await
            .unwrap();
        connection.close().await.unwrap();
        connect(&at_path(&early)).await.unwrap().close().await;
    });
}

#[test]
fn the_file_is_what_performance_and_durability_ask_for() {
    on_sqlite(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        commit(&mut *writer, &changes(&[error(1, 0, None)], &[])).await;
        let wal = database.folder().join("redspan.db-wal");
        assert!(fs::metadata(&wal).unwrap().len() > 0);
        for (pragma, value) in [
            ("SELECT page_size || '' FROM pragma_page_size", "16384"),
            ("SELECT journal_mode FROM pragma_journal_mode", "wal"),
            (
                "SELECT application_id || '' FROM pragma_application_id",
                "1919247443",
            ),
        ] {
            assert_eq!(rows(&database, pragma, "").await, [value]);
        }
        drop(writer);
        store.close().await;
        // Folded into the file: nothing is left beside it that matters.
        assert_eq!(fs::metadata(&wal).map_or(0, |wal| wal.len()), 0);
    });
}

#[test]
fn a_server_that_cannot_be_used_is_said_in_a_sentence() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let database = Database::new(Kind::Postgres);
        let missing = DatabaseSettings {
            url: database.url.replace("/test_", "/missing_"),
            ..database.settings()
        };
        let refused = refusal(&missing).await;
        assert!(matches!(refused, StoreError::Configuration(_)), "{refused}");
        let nowhere = DatabaseSettings {
            url: "postgres://redspan@127.0.0.1:1/redspan".to_owned(),
            ..database.settings()
        };
        let refused = refusal(&nowhere).await;
        assert!(
            matches!(refused, StoreError::Unavailable { .. }),
            "{refused}"
        );
        let named = DatabaseSettings {
            schema: "No Name".to_owned(),
            ..database.settings()
        };
        let refused = refusal(&named).await;
        assert!(matches!(refused, StoreError::Configuration(_)), "{refused}");
        super::migrations::execute(
            &database,
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', \
             current_database()); END $$",
        )
        .await;
        let refused = refusal(&database.settings()).await;
        assert!(
            matches!(&refused, StoreError::Configuration(sentence)
                if sentence.contains("synchronous_commit")),
            "{refused}"
        );
    });
}

#[test]
fn a_role_that_may_only_read_can_read() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let database = Database::new(Kind::Postgres);
        let store = connect(&database.settings()).await.unwrap();
        super::migrations::execute(
            &database,
            "DO $$ DECLARE role text := 'reader_of_' || current_database(); BEGIN \
             EXECUTE format('CREATE ROLE %I LOGIN', role); \
             EXECUTE format('GRANT USAGE ON SCHEMA redspan TO %I', role); \
             EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA redspan TO %I', role); \
             EXECUTE format('ALTER ROLE %I SET search_path = redspan', role); END $$",
        )
        .await;
        let name = database.url.split('?').next().unwrap();
        let role = format!("reader_of_{}@", name.rsplit_once('/').unwrap().1);
        let as_reader = DatabaseSettings {
            url: database.url.replace("redspan@", &role),
            ..database.settings()
        };
        let reader = connect_reader(&as_reader).await.unwrap();
        assert_eq!(reader.user_hash_key(), store.user_hash_key());
        let refused = connect(&as_reader).await.err().unwrap();
        assert!(
            matches!(&refused, StoreError::Configuration(sentence)
                if sentence.contains("permission denied")),
            "{refused}"
        );
    });
}

#[test]
fn redspan_lives_beside_the_tables_of_others() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let database = Database::new(Kind::Postgres);
        super::migrations::execute(
            &database,
            "CREATE TABLE public.users (id int); CREATE TYPE public.error_severity AS ENUM ('x')",
        )
        .await;
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        commit(&mut *writer, &changes(&[error(1, 0, Some("ada"))], &[])).await;
        let theirs = "SELECT count(*)::text FROM public.users";
        assert_eq!(rows(&database, "", theirs).await, ["0"]);
        let tables =
            "SELECT DISTINCT schemaname::text FROM pg_tables WHERE tablename = 'api_errors'";
        assert_eq!(rows(&database, "", tables).await, ["redspan"]);
    });
}
