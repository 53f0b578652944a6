//! What imports took over, remembered in the transaction that writes it: each row once, and of the
//! hours of another ledger how much.
//!
//! Ids are remembered, not how far an import has come. A row is then taken once whatever happens
//! between two runs: it may be purged here, appear in the source with an older time or a smaller
//! key, come from another source, or from the same one at another address. Nothing is ever
//! forgotten: 16 bytes a row are the price.

use super::{Dialect, reader::Statement};
use crate::domain::ImportKey;

/// What was taken of an hour's label set of another ledger, or is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportedHour {
    /// The ledger and the label set.
    pub key: ImportKey,
    /// Rows.
    pub linked_errors: i64,
    /// What was counted there and had no row.
    pub unlinked_errors: i64,
}

/// Remembers rows (sorted, each once); answers the keys of those that are new.
pub(super) async fn take_over<DB: Dialect>(
    connection: &mut DB::Connection,
    keys: &[ImportKey],
) -> Result<Vec<ImportKey>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut statement = Statement::<DB>::new("INSERT INTO imported_rows (key) VALUES ");
    for (index, key) in keys.iter().enumerate() {
        statement
            .with(if index == 0 { "(" } else { ", (" }, *key)
            .push(")");
    }
    statement.push(" ON CONFLICT (key) DO NOTHING RETURNING key");
    statement.all(connection, |row| DB::get(row, "key")).await
}

/// Adds to what was taken of hours (sorted, each once), and holds them until the transaction ends;
/// answers what was taken by then.
pub(super) async fn count_imported<DB: Dialect>(
    connection: &mut DB::Connection,
    hours: &[ImportedHour],
) -> Result<Vec<ImportedHour>, sqlx::Error> {
    if hours.is_empty() {
        return Ok(Vec::new());
    }
    let mut statement = Statement::<DB>::new(
        "INSERT INTO imported_hours (key, linked_errors, unlinked_errors) VALUES ",
    );
    for (index, hour) in hours.iter().enumerate() {
        statement
            .with(if index == 0 { "(" } else { ", (" }, hour.key)
            .with(", ", hour.linked_errors)
            .with(", ", hour.unlinked_errors)
            .push(")");
    }
    statement.push(
        " ON CONFLICT (key) DO UPDATE SET \
         linked_errors = imported_hours.linked_errors + excluded.linked_errors, \
         unlinked_errors = imported_hours.unlinked_errors + excluded.unlinked_errors \
         RETURNING key, linked_errors, unlinked_errors",
    );
    let read = |row: &DB::Row| {
        Ok(ImportedHour {
            key: DB::get(row, "key")?,
            linked_errors: DB::get(row, "linked_errors")?,
            unlinked_errors: DB::get(row, "unlinked_errors")?,
        })
    };
    statement.all(connection, read).await
}
