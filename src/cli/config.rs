//! `redspan config`

use serde::Serialize;

use super::{
    json,
    screen::{Screen, Style, print},
    table::{Cell, Table, column},
};
use crate::{
    config::{Config, Given, InForce, RuleSettings},
    detect::built_in_rules,
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
    /// Say `ok`, or what is wrong, one sentence each, and which rules can never decide. Opens no port
    /// and no database
    #[command(after_help = CHECK_EXAMPLES)]
    Check,
    /// Show every setting and every rule, its value and where that comes from, without secrets
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
pub(super) fn run(
    command: &Command,
    given: &Given,
    config: &Config,
    screen: Screen,
) -> Result<(), Failure> {
    match command {
        Command::Check => {
            let mut lines = config.rules.remarks();
            lines.push("ok".to_owned());
            print(&screen.show(&(lines.join("\n") + "\n")))
        }
        Command::Show(show) => print(&show.answer(&in_force(given, &config.rules)?, screen)?),
    }
}

/// Settings, then rules in the order in which they are asked.
fn in_force(given: &Given, rules: &RuleSettings) -> Result<Vec<Shown>, Failure> {
    let settings = InForce::all(given)?.into_iter().map(|it| Shown {
        setting: it.setting.path.to_owned(),
        source: it.source_kind(),
        place: it.place(),
        value: it.value,
    });
    let own = rules.rules.0.iter().zip(&rules.places);
    let own = own.map(|(rule, place)| Shown {
        setting: format!("rules {:?}", rule.name),
        value: Some(format!("{}: {}", rule.condition, rule.effect)),
        source: "file",
        place: Some(place.clone()),
    });
    let built_in = built_in_rules().into_iter().map(|(name, says)| Shown {
        setting: format!("rules {name:?}"),
        value: Some(says),
        source: "built-in",
        place: None,
    });
    Ok(settings.chain(own).chain(built_in).collect())
}

/// A setting or rule, as JSON has it.
#[derive(Serialize)]
struct Shown {
    setting: String,
    value: Option<String>,
    source: &'static str,
    place: Option<String>,
}

impl Show {
    fn answer(&self, settings: &[Shown], screen: Screen) -> Result<String, Failure> {
        if self.json {
            return json(&settings);
        }
        let mut table = Table::new(&[
            column("SETTING").whole(),
            column("VALUE"),
            // It is copied to be changed there.
            column("SOURCE").whole(),
        ]);
        for it in settings {
            let style = match it.place {
                Some(_) => Style::Bold,
                None => Style::Plain,
            };
            let value = match &it.value {
                Some(value) => Cell::new(value, style),
                None => Cell::new("(none)", Style::Dim),
            };
            let source = match &it.place {
                Some(place) => Cell::new(place, Style::Name),
                None => Cell::new(it.source, Style::Dim),
            };
            table.row([Cell::new(&it.setting, style), value, source]);
        }
        Ok(screen.show(&table.into_text(screen)).into_owned())
    }
}
