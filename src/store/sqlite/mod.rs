//! The embedded database: one file, one writer in one process, any number of readers.

pub(super) mod backup;
mod check;
mod chunks;
mod file;
mod ingest;
pub(super) mod migrate;
mod open;

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use sqlx::{Connection, Sqlite, SqlitePool, sqlite::SqliteConnectOptions};

use self::{check::Checked, ingest::SqliteIngest};
use super::{
    Ingest, ReadsSql, SqlReader, Store, StoreError, connect::opened_for_reading, error::During,
};

/// A store in an SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    readers: SqlitePool,
    reader: SqlReader<Sqlite>,
    user_key: [u8; 16],
    /// `None` when the file was opened for reading only.
    writing: Option<Writing>,
}

/// What only the process that serves the file has.
struct Writing {
    options: SqliteConnectOptions,
    /// How far the file was looked at when it was opened.
    checked: Checked,
    /// Held until the store is dropped: no second process may serve the file.
    _lock: File,
}

impl SqliteStore {
    /// The connections for reading.
    #[must_use]
    pub fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl ReadsSql for SqliteStore {
    type Database = Sqlite;

    fn reader(&self) -> &SqlReader<Sqlite> {
        &self.reader
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn describe(&self) -> String {
        format!("sqlite, {}", self.path.display())
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn writer(&self) -> Result<Box<dyn Ingest>, StoreError> {
        let Some(writing) = &self.writing else {
            return Err(opened_for_reading(&self.describe()));
        };
        Ok(Box::new(SqliteIngest::open(&writing.options).await?))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        const SQL: &str = "SELECT count(*) FROM settings";
        sqlx::query_scalar::<_, i64>(SQL)
            .fetch_one(&self.readers)
            .await
            .map(drop)
            .during("ping")
    }

    async fn finish_check(&self) -> Result<(), StoreError> {
        let checked = self.writing.as_ref().map(|writing| writing.checked);
        if checked != Some(Checked::InPart) {
            return Ok(());
        }
        tracing::info!("the database file is large: it is looked for damage in the background");
        let options = open::reader_options(&self.path);
        match check::check_to_the_end(&self.path, &options).await? {
            Checked::Whole => tracing::info!("the database file has no damage"),
            Checked::InPart => tracing::warn!("the database file could not be read to its end"),
        }
        Ok(())
    }

    fn user_hash_key(&self) -> [u8; 16] {
        self.user_key
    }

    async fn close(&self) {
        self.readers.close().await;
        let Some(writing) = &self.writing else { return };
        let folded = async {
            let mut connection = open::connection(&writing.options).await?;
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
                .execute(&mut connection)
                .await?;
            connection.close().await
        };
        // Nothing is lost when this fails: the next start reads the write-ahead log.
        if let Err(error) = folded.await {
            tracing::warn!(%error, "the write-ahead log was not folded into the database file");
        }
    }
}
