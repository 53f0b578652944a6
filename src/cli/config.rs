//! `redspan config`

use serde::Serialize;

use super::{
    json,
    screen::{Screen, Style, print},
    table::{Cell, Table, column},
};
use crate::{
    config::{Given, InForce},
    failure::Failure,
};

const CHECK_EXAMPLES: &str = "\
Examples:
  redspan config check
  redspan config check --config new.toml    before it takes the old one's place";

const SHOW_EXAMPLES: &str = "\
Examples:
  redspan config show                     what is in force here, and who says so
  redspan config show --config other.toml
  redspan config show --json | jq '.[] | select(.source != \"default\")'";

/// What to do with the configuration.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Say `ok`, or what is wrong, one sentence each. Opens no port and no database
    #[command(after_help = CHECK_EXAMPLES)]
    Check,
    /// Show every setting, its value and where that comes from, without secrets
    Show(Show),
}

/// `config show`
#[derive(clap::Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub(super) struct Show {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The configuration has been loaded already, as for every command, so what is left is to say so.
pub(super) fn run(command: &Command, given: &Given, screen: Screen) -> Result<(), Failure> {
    match command {
        Command::Check => print("ok\n"),
        Command::Show(show) => print(&show.answer(&InForce::all(given)?, screen)?),
    }
}

/// A setting in JSON.
#[derive(Serialize)]
struct Shown<'a> {
    setting: &'static str,
    value: Option<&'a str>,
    source: &'static str,
    place: Option<String>,
}

impl Show {
    fn answer(&self, settings: &[InForce], screen: Screen) -> Result<String, Failure> {
        if self.json {
            let shown = settings.iter().map(|it| Shown {
                setting: it.setting.path,
                value: it.value.as_deref(),
                source: it.source_kind(),
                place: it.place(),
            });
            return json(&shown.collect::<Vec<_>>());
        }
        let mut table = Table::new(&[
            column("SETTING").whole(),
            column("VALUE"),
            // It is copied to be changed there.
            column("SOURCE").whole(),
        ]);
        for it in settings {
            let place = it.place();
            let style = match place {
                Some(_) => Style::Bold,
                None => Style::Plain,
            };
            let value = match &it.value {
                Some(value) => Cell::new(value, style),
                None => Cell::new("(none)", Style::Dim),
            };
            let source = match &place {
                Some(place) => Cell::new(place, Style::Name),
                None => Cell::new(it.source_kind(), Style::Dim),
            };
            table.row([Cell::new(it.setting.path, style), value, source]);
        }
        Ok(screen.show(&table.into_text(screen)).into_owned())
    }
}
