//! `redspan backup`: a copy of an SQLite ledger, made beside whoever serves it.

use std::path::PathBuf;

use clap::Args;

use crate::{
    failure::Failure,
    store::{DatabaseSettings, backup},
};

use super::{screen::print, text::thousands};

const EXAMPLES: &str = "\
Examples:
  redspan backup /var/backups/redspan-monday.db     beside a server or without one
  redspan backup copy.db --database-url sqlite:///var/lib/redspan/redspan.db";

/// Copy the ledger to a new file, whole and checked, while it is in use (SQLite).
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Backup {
    /// Where to: a file that is not there yet
    file: PathBuf,
}

/// Runs the command on the database.
///
/// # Errors
/// When the file is there already, cannot be written, or is not what it should be.
pub async fn run(command: Backup, database: &DatabaseSettings) -> Result<(), Failure> {
    let bytes = backup(database, &command.file).await?;
    print(&format!(
        "{}: {} bytes, opened and checked\n",
        command.file.display(),
        thousands(bytes.cast_signed())
    ))
}
