//! Errors that application code logs take the way of everything else: the queue, the one writer,
//! an answer after COMMIT.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    detect,
    domain::{ApiError, Fingerprint, Hour, RequestDigest},
    store::{
        AggregationDelta, ErrorWriter, WriteError,
        edit::{AnyEdit, Editor},
    },
};

use super::{
    imported::{Imported, Taken},
    queue::{CommitQueue, Outcome, Work},
};

/// How often counts are handed in again while their outcome is unknown, and after which pause.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

#[async_trait]
impl ErrorWriter for CommitQueue {
    fn fingerprint(&self, row: &ApiError) -> Fingerprint {
        detect::fingerprint_of(row)
    }

    async fn log_errors(&self, rows: Vec<ApiError>) -> Result<Vec<bool>, WriteError> {
        match self.done(Work::Errors(rows)).await? {
            Outcome::Logged(is_new) => Ok(is_new),
            other => Err(unexpected(&other)),
        }
    }

    async fn add_unlinked(
        &self,
        actor: &str,
        counts: Vec<AggregationDelta>,
    ) -> Result<(), WriteError> {
        // The caller cannot know whether a lost answer was a yes; the ledger can, by this name.
        let digest = RequestDigest(Uuid::now_v7().into_bytes());
        let work = Work::Unlinked {
            digest,
            counts,
            actor: actor.to_owned(),
        };
        for _ in 1..ATTEMPTS {
            match self.done(work.clone()).await {
                Err(WriteError::TryAgain(_)) => sleep(PAUSE).await,
                done => return done.map(drop),
            }
        }
        self.done(work).await.map(drop)
    }

    async fn rebuild_aggregations(
        &self,
        actor: &str,
        from: Option<Hour>,
        to: Option<Hour>,
    ) -> Result<u64, WriteError> {
        let actor = actor.to_owned();
        match self.done(Work::Rebuild { from, to, actor }).await? {
            Outcome::Hours(hours) => Ok(hours),
            other => Err(unexpected(&other)),
        }
    }
}

#[async_trait]
impl Editor for CommitQueue {
    async fn edit(&self, edit: Arc<dyn AnyEdit>) -> Result<(), WriteError> {
        match self.done(Work::Edit(edit)).await? {
            Outcome::Edited => Ok(()),
            other => Err(unexpected(&other)),
        }
    }
}

impl CommitQueue {
    /// Takes over what another ledger kept; tells what of it is new. What was taken over before
    /// changes nothing.
    ///
    /// # Errors
    /// As [`ErrorWriter::log_errors`].
    pub async fn import(&self, imported: Imported) -> Result<Taken, WriteError> {
        match self.done(Work::Imported(imported)).await? {
            Outcome::Taken(taken) => Ok(taken),
            other => Err(unexpected(&other)),
        }
    }

    async fn done(&self, work: Work) -> Result<Outcome, WriteError> {
        let waiting = self
            .submit(work)
            .map_err(|not_taken| WriteError::TryAgain(not_taken.to_string()))?;
        match waiting.await {
            Ok(Outcome::Refused(message)) => Err(WriteError::Refused(message)),
            Ok(Outcome::Unavailable(message)) => Err(WriteError::TryAgain(message)),
            Ok(outcome) => Ok(outcome),
            Err(_) => Err(WriteError::TryAgain("redspan is stopping".to_owned())),
        }
    }
}

fn unexpected(outcome: &Outcome) -> WriteError {
    WriteError::TryAgain(format!("the writer answered {outcome:?} to something else"))
}
