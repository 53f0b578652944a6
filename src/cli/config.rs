//! `redspan config`

use super::screen::print;
use crate::failure::Failure;

/// What to do with the configuration.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Say `ok`, or what is wrong, one sentence each. Opens no port and no database.
    Check,
}

/// The configuration has been loaded already, as for every command, so what is left is to say so.
pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Check => print("ok\n"),
    }
}
