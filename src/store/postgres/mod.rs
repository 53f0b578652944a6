//! The shared database: any number of processes on one schema, also through a pooler in
//! transaction mode.

mod ingest;
pub(super) mod migrate;
mod open;
pub(crate) mod reach;

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{PgPool, Postgres, postgres::PgConnectOptions};

use self::ingest::PostgresIngest;
use super::{
    Ingest, ReadsSql, SqlReader, Store, StoreError,
    connect::{opened_for_reading, without_secrets},
    error::During,
};

/// A store in a PostgreSQL schema.
pub struct PostgresStore {
    place: String,
    access: Access,
    purpose: Use,
    readers: PgPool,
    reader: SqlReader<Postgres>,
    user_key: [u8; 16],
}

/// What the schema was opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Serving,
    Reading,
}

/// All that a new connection needs.
#[derive(Clone)]
struct Access {
    options: PgConnectOptions,
    schema: String,
    pooler: bool,
    connect_timeout: Duration,
    statement_timeout: Duration,
}

impl PostgresStore {
    /// The connections for reading.
    #[must_use]
    pub fn readers(&self) -> &PgPool {
        &self.readers
    }
}

impl ReadsSql for PostgresStore {
    type Database = Postgres;

    fn reader(&self) -> &SqlReader<Postgres> {
        &self.reader
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn describe(&self) -> String {
        format!(
            "postgresql, {}, schema {}",
            without_secrets(&self.place),
            self.access.schema
        )
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn writer(&self) -> Result<Box<dyn Ingest>, StoreError> {
        if self.purpose == Use::Reading {
            return Err(opened_for_reading(&self.describe()));
        }
        Ok(Box::new(PostgresIngest::open(&self.access).await?))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // Inside a transaction, as everything that goes through a pooler.
        let ping = async {
            let mut transaction = self.readers.begin().await?;
            sqlx::query("SELECT 1 FROM settings LIMIT 1")
                .persistent(false)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await
        };
        ping.await.during("ping")
    }

    async fn finish_check(&self) -> Result<(), StoreError> {
        // The server looks after its files by itself.
        Ok(())
    }

    fn user_hash_key(&self) -> [u8; 16] {
        self.user_key
    }

    async fn close(&self) {
        self.readers.close().await;
    }
}
