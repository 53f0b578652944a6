//! Takes over what a hand-written layer kept in PostgreSQL: its errors, its runs with their stages,
//! and what its hours count without rows, under their ids and with their times.
//!
//! Run again, it goes on: what is there already stays as it is, and what was taken over and is gone
//! here stays gone. Nothing is changed in the source.

mod errors;
mod hours;
mod pipelines;
mod source;
mod values;

pub use source::Source;

use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::{
    commit::CommitQueue,
    domain::Timestamp,
    store::{
        GenerationPipelineRepository, RepositoryError, WriteError,
        edit::{Editor, ImportStep, NoteImport},
        postgres::reach::{advice, is_wrong_setting},
    },
};

/// Rows that are written at once.
const ROWS_AT_ONCE: usize = 250;

/// Bytes of the source's rows that are written at once, unless one row has more.
const BYTES_AT_ONCE: usize = 2 * 1024 * 1024;

/// Reasons that are told of each kind's rows that cannot be taken.
const MAX_REASONS: u64 = 10;

/// Where it all goes.
pub struct Target {
    /// Takes the errors, and what hours count without rows.
    pub queue: CommitQueue,
    /// Takes the runs.
    pub pipelines: GenerationPipelineRepository,
    /// Who the audit log says it was.
    pub actor: String,
}

/// Why it ended before it was done. What was written stays; run again, it goes on.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The URL is none.
    #[error("--from cannot be read: {0}")]
    Url(#[source] sqlx::Error),
    /// The source does not answer.
    #[error("--from cannot be reached: {}", advice(.0))]
    Unreachable(#[source] sqlx::Error),
    /// The source does not let its reader in, or not read.
    #[error("--from does not let redspan read: {}", advice(.0))]
    ShutOut(#[source] sqlx::Error),
    /// The source ended.
    #[error("the source: {0}")]
    Source(#[source] sqlx::Error),
    /// There is nothing to take over.
    #[error(
        "--from has none of the tables api_errors, error_aggregations and generation_pipelines: \
         if they are in a schema of their own, name it: ?options=-c%20search_path%3Dlegacy"
    )]
    NoTables,
    /// The source is a redspan's.
    #[error(
        "--from leads to redspan's own table {table} in the schema {schema}: name the schema of the \
         layer's tables, as in ?options=-c%20search_path%3Dpublic"
    )]
    OwnTables {
        /// Which was found first.
        table: &'static str,
        /// Where.
        schema: String,
    },
    /// The source's tables may not be read.
    #[error(
        "--from connects as {role}, who may not read {tables}: let their owner run `GRANT SELECT \
         ON {tables} TO {role}`"
    )]
    Unreadable {
        /// Who was let in.
        role: String,
        /// All of them.
        tables: String,
    },
    /// The target does not take it.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The same.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

impl From<sqlx::Error> for ImportError {
    fn from(error: sqlx::Error) -> Self {
        if is_wrong_setting(&error) {
            Self::ShutOut(error)
        } else {
            Self::Source(error)
        }
    }
}

impl ImportError {
    /// Why there is no connection to the source.
    fn unopened(error: sqlx::Error) -> Self {
        match Self::from(error) {
            Self::Source(error) => Self::Unreachable(error),
            shut_out => shut_out,
        }
    }

    /// What the target says of a value that it refuses, for good.
    fn refusal(&self) -> Option<&str> {
        match self {
            Self::Write(WriteError::Refused(reason))
            | Self::Repository(RepositoryError::Write(WriteError::Refused(reason))) => Some(reason),
            _ => None,
        }
    }
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

    /// How many were refused beside those whose reasons are told.
    #[must_use]
    pub fn untold(&self) -> u64 {
        self.refused.saturating_sub(MAX_REASONS)
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
    /// Why rows were refused; the first of each kind.
    pub reasons: Vec<String>,
    /// Tables that the source does not have.
    pub missing_tables: Vec<&'static str>,
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
        if of_kind.untold() == 0 {
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
    let mut balance = Balance {
        missing_tables: source.missing(),
        ..Balance::default()
    };
    let id = Uuid::now_v7();
    let begun = json!({"from": source.place()});
    note(target, id, ImportStep::Begin, begun).await?;
    let mut rows = hours::Rows::of(source.name("imported hour").await?);
    errors::import(source, target, now, &mut rows, &mut balance, &mut progress).await?;
    hours::import(source, target, now, &rows, &mut balance, &mut progress).await?;
    pipelines::import(source, target, &mut balance, &mut progress).await?;
    let ended = json!({
        "from": source.place(),
        "errors": balance.errors,
        "hours": balance.hours,
        "pipelines": balance.pipelines,
    });
    note(target, id, ImportStep::End, ended).await?;
    Ok(balance)
}

/// Tells the audit log how far it is.
async fn note(
    target: &Target,
    id: Uuid,
    step: ImportStep,
    after: serde_json::Value,
) -> Result<(), ImportError> {
    let editor: &dyn Editor = &target.queue;
    let noted = editor.order(&target.actor, NoteImport { id, step, after });
    Ok(noted.await?)
}

/// Writes them all; those that the target refuses are found by halving, and refused alone. Answers
/// in order.
async fn halving<T: Clone, A>(
    items: Vec<T>,
    write: impl AsyncFn(Vec<T>) -> Result<Vec<A>, ImportError>,
) -> Result<Vec<Result<A, String>>, ImportError> {
    let mut answers = Vec::with_capacity(items.len());
    let mut parts = vec![items];
    while let Some(mut part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        match write(part.clone()).await {
            Ok(written) => answers.extend(written.into_iter().map(Ok)),
            Err(error) => {
                let reason = error
                    .refusal()
                    .map(|reason| format!("the database refuses it: {reason}"))
                    .ok_or(error)?;
                if part.len() == 1 {
                    answers.push(Err(reason));
                } else {
                    let second = part.split_off(part.len() / 2);
                    parts.extend([second, part]);
                }
            }
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_refused_is_found_among_what_is_not() {
        let write = async |part: Vec<u32>| {
            if part.iter().any(|item| item % 7 == 3) {
                return Err(WriteError::Refused("a seventh".to_owned()).into());
            }
            Ok(part)
        };
        let answers = halving((0..100).collect(), write).await.unwrap();
        let expected = (0..100).map(|item| match item % 7 {
            3 => Err("the database refuses it: a seventh".to_owned()),
            _ => Ok(item),
        });
        assert_eq!(answers, expected.collect::<Vec<_>>());
        let away = async |_: Vec<u32>| Err(WriteError::TryAgain("away".to_owned()).into());
        halving::<_, ()>(vec![1, 2], away).await.unwrap_err();
    }
}
