//! Edits without a queue: a command makes them itself, one after the other, on a connection of its
//! own. They touch no counters, so no writer's name is claimed, and servers on the same database go
//! on beside it.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::{sync::Mutex, time::sleep};

use crate::{
    clock, detect,
    domain::{ApiError, Fingerprint, Hour},
    store::{
        AggregationDelta, ErrorWriter, Ingest, SharedStore, StoreError, WriteError,
        edit::{AnyEdit, Editor},
    },
};

use super::writer::jitter;

/// How often an edit that collided with a server's is made again.
const ATTEMPTS: u32 = 5;

/// The writer of a command.
pub struct DirectWriter {
    store: SharedStore,
    /// Opened with the first change, and again after it was lost.
    connection: Mutex<Option<Box<dyn Ingest>>>,
}

impl DirectWriter {
    /// Writes to a store that was opened for writing.
    #[must_use]
    pub fn new(store: SharedStore) -> Self {
        Self {
            store,
            connection: Mutex::new(None),
        }
    }

    /// Whether it was made: what is counted for good cannot be.
    async fn attempt(&self, edit: &dyn AnyEdit) -> Result<bool, StoreError> {
        let mut kept = self.connection.lock().await;
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => self.store.writer().await?,
        };
        let made = match connection.edit(&[edit], clock::now()).await {
            Ok(endings) if endings.is_empty() => connection.commit().await.map(|()| true),
            Ok(_) => Ok(false),
            Err(error) => Err(error),
        };
        match &made {
            Ok(true) => {}
            Err(error) if error.lost_connection() => return made,
            Ok(false) | Err(_) => connection.rollback().await,
        }
        *kept = Some(connection);
        made
    }
}

#[async_trait]
impl Editor for DirectWriter {
    async fn edit(&self, edit: Arc<dyn AnyEdit>) -> Result<(), WriteError> {
        let mut attempt = 1;
        loop {
            match self.attempt(&*edit).await {
                Err(StoreError::Collision { .. }) if attempt < ATTEMPTS => {
                    sleep(jitter(attempt)).await;
                    attempt += 1;
                }
                Ok(true) => return Ok(()),
                Ok(false) => return Err(needs_counters()),
                Err(error) => return Err(told(error)),
            }
        }
    }
}

#[async_trait]
impl ErrorWriter for DirectWriter {
    fn fingerprint(&self, row: &ApiError) -> Fingerprint {
        detect::fingerprint_of(row)
    }

    async fn log_errors(&self, _rows: Vec<ApiError>) -> Result<Vec<bool>, WriteError> {
        Err(needs_counters())
    }

    async fn add_unlinked(
        &self,
        _actor: &str,
        _counts: Vec<AggregationDelta>,
    ) -> Result<(), WriteError> {
        Err(needs_counters())
    }

    async fn rebuild_aggregations(
        &self,
        actor: &str,
        from: Option<Hour>,
        to: Option<Hour>,
    ) -> Result<u64, WriteError> {
        let mut connection = self.store.writer().await.map_err(told)?;
        let rebuilt = connection.rebuild_aggregations(from, to, actor, clock::now());
        rebuilt.await.map_err(told)
    }
}

/// What is counted is counted by a server, which owns the counters.
fn needs_counters() -> WriteError {
    WriteError::Refused("errors are logged, and runs changed, through a running redspan".to_owned())
}

fn told(error: StoreError) -> WriteError {
    match error {
        StoreError::Unavailable { .. }
        | StoreError::Collision { .. }
        | StoreError::UnknownOutcome { .. } => WriteError::TryAgain(error.to_string()),
        error => WriteError::Refused(error.to_string()),
    }
}
