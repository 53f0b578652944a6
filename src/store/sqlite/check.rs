//! Whether the file is damaged: looked at while it is opened, for as long as a start may take, and
//! to its end in the background.

use std::{path::Path, sync::Arc};

use sqlx::{SqliteConnection, sqlite::SqliteConnectOptions};

use super::open::{at_open, connection};
use crate::store::StoreError;

/// SQLite asks whether to go on every so many instructions of its machine.
const INSTRUCTIONS_BETWEEN_QUESTIONS: i32 = 10_000;

/// How far a look at the file came without finding damage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Checked {
    /// To its end.
    Whole,
    /// The time was up, or somebody else was writing.
    InPart,
}

/// Reads the file for as long as `goes_on` says so.
pub(super) async fn quick_check(
    path: &Path,
    connection: &mut SqliteConnection,
    goes_on: impl FnMut() -> bool + Send + 'static,
) -> Result<Checked, StoreError> {
    connection
        .lock_handle()
        .await
        .map_err(|error| at_open(path, error))?
        .set_progress_handler(INSTRUCTIONS_BETWEEN_QUESTIONS, goes_on);
    let finding = sqlx::query_scalar::<_, String>("PRAGMA quick_check(1)")
        .fetch_one(&mut *connection)
        .await;
    connection
        .lock_handle()
        .await
        .map_err(|error| at_open(path, error))?
        .remove_progress_handler();
    match finding {
        Ok(finding) if finding == "ok" => Ok(Checked::Whole),
        Ok(finding) => Err(damaged(path, &finding)),
        Err(error) => match StoreError::of("quick_check", error) {
            StoreError::Unavailable { .. } => Ok(Checked::InPart),
            StoreError::Broken { source, .. } => Err(damaged(path, &source.to_string())),
            error => Err(error),
        },
    }
}

/// Reads the whole file beside whoever uses it. The write-ahead log cannot start over meanwhile.
/// When the future is dropped, SQLite hears of it within some thousand instructions.
pub(super) async fn check_to_the_end(
    path: &Path,
    options: &SqliteConnectOptions,
) -> Result<Checked, StoreError> {
    let mut connection = connection(options)
        .await
        .map_err(|error| at_open(path, error))?;
    let waiting = Arc::new(());
    let waits = Arc::downgrade(&waiting);
    let checked = quick_check(path, &mut connection, move || waits.strong_count() > 0).await;
    drop(waiting);
    checked
}

/// What is wrong with the file, and what to do.
pub(super) fn damaged(path: &Path, finding: &str) -> StoreError {
    StoreError::Corrupt(format!(
        "the database {} is damaged ({finding}): keep a copy of it, then restore it from a backup \
         or try `sqlite3 {0} .recover`",
        path.display()
    ))
}
