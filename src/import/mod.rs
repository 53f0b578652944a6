//! Takes over what a hand-written layer kept in PostgreSQL: its errors, its runs with their stages,
//! and what its hours count without rows, under their ids and with their times.
//!
//! Run again, it goes on: what is there already stays as it is. Nothing is changed in the source.

mod errors;
mod hours;
mod pipelines;
mod source;
mod values;

pub use source::Source;

use serde::Serialize;

use crate::{
    commit::CommitQueue,
    domain::Timestamp,
    store::{
        ApiErrorRepository, GenerationPipelineRepository, RepositoryError, StoreError, WriteError,
    },
};

/// Rows that are written at once.
const ROWS_AT_ONCE: usize = 250;

/// Bytes of the source's rows that are written at once, unless one row has more.
const BYTES_AT_ONCE: usize = 2 * 1024 * 1024;

/// Reasons that are told of rows that cannot be taken.
const MAX_REASONS: usize = 10;

/// Where it all goes.
pub struct Target {
    /// Takes the errors.
    pub queue: CommitQueue,
    /// Takes what hours count without rows.
    pub errors: ApiErrorRepository,
    /// Takes the runs.
    pub pipelines: GenerationPipelineRepository,
}

/// Why it ended before it was done. What was written stays; run again, it goes on.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The source.
    #[error("the source: {0}")]
    Source(#[from] sqlx::Error),
    /// The target does not take it.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The same.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The target cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of the rows of one kind. `found` is the sum of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// In the source.
    pub found: u64,
    /// New here.
    pub imported: u64,
    /// Here before.
    pub there_already: u64,
    /// They cannot be what they say.
    pub refused: u64,
}

impl Count {
    fn add(&mut self, is_new: bool) {
        self.found += 1;
        if is_new {
            self.imported += 1;
        } else {
            self.there_already += 1;
        }
    }
}

/// What became of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Balance {
    /// Rows of `api_errors`.
    pub errors: Count,
    /// Label sets of `error_aggregations` that count more than there are rows.
    pub hours: Count,
    /// Rows of `generation_pipelines`, each with its stages.
    pub pipelines: Count,
    /// Why rows were refused; the first of them.
    pub reasons: Vec<String>,
}

impl Balance {
    /// Whether every row of the source is here.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        [&self.errors, &self.hours, &self.pipelines]
            .iter()
            .all(|count| count.refused == 0)
    }

    /// Notes why a row cannot be taken.
    fn refuse(&mut self, count: fn(&mut Self) -> &mut Count, reason: String) {
        let of_kind = count(self);
        of_kind.found += 1;
        of_kind.refused += 1;
        if self.reasons.len() < MAX_REASONS {
            self.reasons.push(reason);
        }
    }
}

/// Takes everything over; tells `progress` after each few rows.
///
/// # Errors
/// When either side fails.
pub async fn run(
    source: &mut Source,
    target: &Target,
    now: Timestamp,
    mut progress: impl FnMut(&Balance),
) -> Result<Balance, ImportError> {
    let mut balance = Balance::default();
    let mut rows = hours::Rows::default();
    errors::import(source, target, now, &mut rows, &mut balance, &mut progress).await?;
    hours::import(source, target, &rows, &mut balance, &mut progress).await?;
    pipelines::import(source, target, &mut balance, &mut progress).await?;
    Ok(balance)
}
