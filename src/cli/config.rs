//! `redspan config`

use super::print_line;
use crate::{
    config::{Config, Given},
    failure::Failure,
};

/// What to do with the configuration.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Say `ok`, or what is wrong, one sentence each. Opens no port and no database.
    Check,
}

pub(super) fn run(command: &Command, given: &Given) -> Result<(), Failure> {
    match command {
        Command::Check => {
            Config::load(given)?;
            print_line("ok")
        }
    }
}
