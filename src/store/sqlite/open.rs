//! Opening the file: checks first, and nothing is changed in a file that is not ours.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    SqliteStore, Writing,
    check::{Checked, damaged, quick_check},
    file, migrate,
};
use crate::store::{
    SqlReader, StoreError,
    connect::{USER_KEY, new_user_key, parse_user_key},
    migrate::{SQLITE, check},
};

/// "redS" in ASCII: `PRAGMA application_id` of every redspan database.
const APPLICATION_ID: i32 = 0x7265_6453;

/// Earlier ones can lose acknowledged commits of the write-ahead log.
const OLDEST_SQLITE: [u32; 3] = [3, 51, 3];

/// Readers work beside each other; four keep a dashboard and a page busy.
const READERS: u32 = 4;

/// How long the start looks for damage; what is left is looked at in the background.
const QUICK_CHECK_TIME: Duration = Duration::from_secs(2);

impl SqliteStore {
    /// Opens the file to serve from it; creates it when it is missing.
    pub(in crate::store) async fn open(path: &str, migrate: bool) -> Result<Self, StoreError> {
        Self::open_checked(path, migrate, QUICK_CHECK_TIME).await
    }

    /// The same, with the time for looking for damage.
    pub(crate) async fn open_checked(
        path: &str,
        migrate: bool,
        check_time: Duration,
    ) -> Result<Self, StoreError> {
        let (path, lock, checked) = prepare(path, check_time).await?;
        let options = writer_options(&path);
        let mut connection = open_ours(&path, &options).await?;
        if migrate {
            migrate::run_up(&mut connection).await?;
        }
        check_schema(&mut connection).await?;
        let user_key = make_user_key(&mut connection)
            .await
            .map_err(|error| at_open(&path, error))?;
        let user_key = parse_user_key(&user_key)?;
        let readers = readers(&path).await?;
        connection
            .close()
            .await
            .map_err(|source| StoreError::of("open", source))?;
        Ok(Self {
            path,
            reader: SqlReader::new(readers.clone()),
            readers,
            user_key,
            writing: Some(Writing {
                options,
                checked,
                _lock: lock,
            }),
        })
    }

    /// Opens a file that is there for reading only, whoever else uses it.
    pub(in crate::store) async fn open_reader(path: &str) -> Result<Self, StoreError> {
        let Some((path, mut connection)) = read_beside(path).await? else {
            return Err(StoreError::Configuration(format!(
                "there is no database at {}: `redspan` creates it when it is started with the same \
                 settings; --database-url names another one",
                absolute(path)?.display()
            )));
        };
        check_schema(&mut connection).await?;
        let user_key = read_user_key(&mut connection)
            .await
            .map_err(|error| at_open(&path, error))?;
        // Migrated, but never served: nobody is counted yet.
        let user_key = user_key.map_or(Ok([0; 16]), |key| parse_user_key(&key))?;
        let readers = readers(&path).await?;
        Ok(Self {
            path,
            reader: SqlReader::new(readers.clone()),
            readers,
            user_key,
            writing: None,
        })
    }
}

/// Opens the file for reading beside whoever uses it; `None` when there is none.
pub(super) async fn read_beside(
    path: &str,
) -> Result<Option<(PathBuf, SqliteConnection)>, StoreError> {
    let path = absolute(path)?;
    if !file::check_header(&path)? {
        return Ok(None);
    }
    let mut connection = connection(&reader_options(&path))
        .await
        .map_err(|error| at_open(&path, error))?;
    check_ours(&path, &mut connection).await?;
    Ok(Some((path, connection)))
}

/// Checks the place and takes the lock, for a migration.
pub(super) async fn prepare_to_migrate(path: &str) -> Result<(PathBuf, std::fs::File), StoreError> {
    let (path, lock, _) = prepare(path, QUICK_CHECK_TIME).await?;
    Ok((path, lock))
}

async fn prepare(
    path: &str,
    check_time: Duration,
) -> Result<(PathBuf, std::fs::File, Checked), StoreError> {
    let path = absolute(path)?;
    let lock = file::lock(&path)?;
    if !file::check_header(&path)? {
        return Ok((path, lock, Checked::Whole));
    }
    let mut connection = connection(&plain_options(&path))
        .await
        .map_err(|error| at_open(&path, error))?;
    check_ours(&path, &mut connection).await?;
    let deadline = Instant::now() + check_time;
    let checked = quick_check(&path, &mut connection, move || Instant::now() < deadline).await?;
    Ok((path, lock, checked))
}

/// Opens the file for writing; a new one becomes ours with its first transaction.
pub(super) async fn open_ours(
    path: &Path,
    options: &SqliteConnectOptions,
) -> Result<SqliteConnection, StoreError> {
    let opened = async {
        let mut connection = connection(options).await?;
        if application_id(&mut connection).await? != APPLICATION_ID {
            const SQL: &str = "PRAGMA application_id = 1919247443";
            sqlx::query(SQL).execute(&mut connection).await?;
        }
        Ok(connection)
    };
    opened.await.map_err(|error| at_open(path, error))
}

/// The connection that writes.
pub(super) fn writer_options(path: &Path) -> SqliteConnectOptions {
    plain_options(path)
        .create_if_missing(true)
        .page_size(16_384)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("wal_autocheckpoint", "4000")
        // The log shrinks to this after a time of load that kept it from starting over.
        .pragma("journal_size_limit", "67108864")
        .pragma("cache_size", "-16384")
        .pragma("temp_store", "MEMORY")
        .statement_cache_capacity(256)
}

/// Opens one connection.
pub(super) async fn connection(
    options: &SqliteConnectOptions,
) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnection::connect_with(options).await
}

pub(super) fn reader_options(path: &Path) -> SqliteConnectOptions {
    plain_options(path)
        .read_only(true)
        .pragma("query_only", "ON")
        .pragma("cache_size", "-2048")
        .pragma("temp_store", "MEMORY")
}

fn plain_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_secs(2))
        .disable_statement_logging()
}

async fn readers(path: &Path) -> Result<sqlx::SqlitePool, StoreError> {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(Duration::from_secs(3))
        .connect_with(reader_options(path))
        .await
        .map_err(|error| at_open(path, error))
}

fn absolute(path: &str) -> Result<PathBuf, StoreError> {
    let path = Path::new(path);
    let folder = file::check_folder(path)?;
    let name = path.file_name().ok_or_else(|| {
        StoreError::Configuration(format!("the database {} is no file", path.display()))
    })?;
    Ok(folder.join(name))
}

/// Whether this SQLite and this file can be worked with.
pub(super) async fn check_ours(
    path: &Path,
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    const TABLES: &str = "SELECT count(*) FROM sqlite_schema";
    check_version(&text(path, connection, "SELECT sqlite_version()").await?)?;
    let id = application_id(connection)
        .await
        .map_err(|error| at_open(path, error))?;
    if id == APPLICATION_ID {
        return Ok(());
    }
    // A process that was killed while it created the file leaves it without tables.
    let tables: i64 = sqlx::query_scalar(TABLES)
        .fetch_one(connection)
        .await
        .map_err(|error| at_open(path, error))?;
    if id == 0 && tables == 0 {
        return Ok(());
    }
    Err(StoreError::Corrupt(format!(
        "{} is a database of another program (application_id {id}): name another file",
        path.display()
    )))
}

fn check_version(version: &str) -> Result<(), StoreError> {
    let parts: Vec<u32> = version
        .split('.')
        .filter_map(|part| part.parse().ok())
        .collect();
    if parts.as_slice() >= OLDEST_SQLITE.as_slice() {
        Ok(())
    } else {
        Err(StoreError::Configuration(format!(
            "this redspan was built with SQLite {version}, which can lose data: it needs 3.51.3 or newer"
        )))
    }
}

/// Whether the schema is the one that this program works with.
pub(super) async fn check_schema(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let applied = migrate::applied_versions(connection).await?;
    check(&SQLITE, &applied)
}

async fn application_id(connection: &mut SqliteConnection) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(connection)
        .await
}

async fn text(
    path: &Path,
    connection: &mut SqliteConnection,
    sql: &'static str,
) -> Result<String, StoreError> {
    sqlx::query_scalar(sql)
        .fetch_one(connection)
        .await
        .map_err(|error| at_open(path, error))
}

async fn make_user_key(connection: &mut SqliteConnection) -> Result<String, sqlx::Error> {
    const SQL: &str =
        "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    sqlx::query(SQL)
        .bind(USER_KEY)
        .bind(new_user_key())
        .execute(&mut *connection)
        .await?;
    read_user_key(connection)
        .await?
        .ok_or(sqlx::Error::RowNotFound)
}

async fn read_user_key(connection: &mut SqliteConnection) -> Result<Option<String>, sqlx::Error> {
    const SQL: &str = "SELECT value FROM settings WHERE name = $1";
    sqlx::query_scalar(SQL)
        .bind(USER_KEY)
        .fetch_optional(connection)
        .await
}

/// What an error means while the file is being opened: a sentence for whoever starts the program.
pub(super) fn at_open(path: &Path, source: sqlx::Error) -> StoreError {
    const READONLY: i32 = 8;
    const CANTOPEN: i32 = 14;
    let primary = source
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .and_then(|code| code.parse::<i32>().ok())
        .map(|code| code & 0xff);
    match (primary, StoreError::of("open", source)) {
        (Some(READONLY | CANTOPEN), StoreError::Unavailable { source, .. }) => {
            StoreError::Configuration(format!(
                "the database {} cannot be opened for this: {source}",
                path.display()
            ))
        }
        (_, StoreError::Broken { source, .. }) => damaged(path, &source.to_string()),
        (_, error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_versions_are_compared_by_number() {
        for version in ["3.51.3", "3.52.0", "3.100.0", "4.0.0"] {
            check_version(version).expect(version);
        }
        for version in ["3.51.2", "3.9.9", "2.8.17", "?"] {
            check_version(version).expect_err(version);
        }
    }
}
