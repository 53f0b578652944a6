//! `redspan migrate up|down|status`: the versions of the database's schema.

use std::io::Write;

use clap::Subcommand;

use crate::{
    failure::Failure,
    store::{DatabaseSettings, migrate},
};

const UP_EXAMPLES: &str = "\
Examples:
  redspan migrate up
  redspan migrate up --database-url postgresql://redspan@db/app --database-schema ledger";

const DOWN_EXAMPLES: &str = "\
Examples:
  redspan migrate down     once for each version that is to go";

const STATUS_EXAMPLES: &str = "\
Examples:
  redspan migrate status
  redspan migrate status --config /etc/redspan.toml";

/// What to do about the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum MigrateCommand {
    /// Apply every version that the database does not have yet.
    #[command(after_help = UP_EXAMPLES)]
    Up,
    /// Take the latest version back, with everything that it holds.
    #[command(after_help = DOWN_EXAMPLES)]
    Down,
    /// List the versions and whether the database has them.
    #[command(after_help = STATUS_EXAMPLES)]
    Status,
}

/// Does it, and says what was done.
///
/// # Errors
/// When the database cannot be reached, is in use, or is not ours.
pub async fn run(
    command: MigrateCommand,
    settings: &DatabaseSettings,
    mut out: impl Write,
) -> Result<(), Failure> {
    match command {
        MigrateCommand::Up => {
            let applied = migrate::up(settings).await?;
            if applied.is_empty() {
                writeln!(out, "the schema is up to date")?;
            }
            for number in applied {
                writeln!(out, "applied {number:04}")?;
            }
        }
        MigrateCommand::Down => match migrate::down(settings).await? {
            Some(number) => writeln!(out, "took back {number:04}")?,
            None => writeln!(out, "there is nothing to take back")?,
        },
        MigrateCommand::Status => {
            for version in migrate::status(settings).await? {
                let state = if version.applied {
                    "applied"
                } else {
                    "pending"
                };
                writeln!(out, "{:04} {} {state}", version.number, version.name)?;
            }
        }
    }
    Ok(())
}
