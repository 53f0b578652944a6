//! The command line: one file a subcommand. Reads arguments, loads the configuration, and turns
//! every failure into a sentence on stderr and an exit code, here and nowhere else.

pub mod aggregations;
mod backup;
mod completions;
mod config;
mod demo;
pub mod errors;
pub mod explain;
mod import;
pub mod migrate;
pub mod pipelines;
mod progress;
pub mod screen;
mod server;
mod settings;
mod table;
mod text;
mod through;
mod users;
mod watch;
mod when;

use std::{error::Error, ffi::OsString, io, process::ExitCode, str::FromStr};

use clap::{
    CommandFactory, FromArgMatches, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};

use crate::{app, config::Config, failure::Failure, telemetry};
use screen::{ColorChoice, Screen, print};
use settings::SettingFlags;

const AFTER_HELP: &str = "\
Examples:
  redspan                          take telemetry into redspan.db in this folder
  redspan errors list --since 2h   what fails now
  redspan errors show f9642518     why
  redspan config show              every setting and where its value comes from

Point an application at it:
  OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318
  OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
and look at http://127.0.0.1:9464/metrics.

Settings come from flags, else REDSPAN_* variables, else redspan.toml (or --config FILE).
`redspan --help` lists all of them with their flags and variables.

Exit codes: 0 done, 64 usage or configuration, 65 data corrupt, 69 out of reach (the database,
or redspan itself), 70 internal, 73 file in use.";

/// An error ledger and metrics exporter for applications that export OpenTelemetry data.
///
/// Failed spans become rows in SQLite or PostgreSQL; rates, errors and durations become Prometheus
/// metrics. Every number is exact: what is acknowledged is stored, and counted once. Without a
/// command it serves.
#[derive(Parser)]
#[command(name = "redspan", version = version(), after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    settings: SettingFlags,
    /// Whether to colour what is printed
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        help = "Colours: auto, always or never"
    )]
    color: ColorChoice,
    #[command(flatten)]
    serve: ServeArguments,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Take telemetry and show metrics until told to stop (the default).
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArguments),
    /// Look at errors, and say what became of them.
    #[command(subcommand)]
    Errors(errors::Command),
    /// Look at runs of pipelines, and delete old ones.
    #[command(subcommand)]
    Pipelines(pipelines::Command),
    /// Say what was seen of a trace, and why its rows are what they are.
    Explain(explain::Explain),
    /// Look at the hours in which errors are counted, prove them, count them again.
    #[command(subcommand)]
    Aggregations(aggregations::Command),
    /// Forget users.
    #[command(subcommand)]
    Users(users::Command),
    Backup(backup::Backup),
    /// Take over what a hand-written layer kept in PostgreSQL.
    Import(import::Import),
    /// Change the version of the database's schema. `serve` brings it up to date by itself.
    #[command(subcommand)]
    Migrate(migrate::MigrateCommand),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(config::Command),
    /// Send a small shop's traffic to a running redspan.
    Demo(demo::Demo),
    /// Print what a shell needs to complete commands and flags.
    Completions(completions::Completions),
}

const SERVE_EXAMPLES: &str = "\
Examples:
  redspan serve                            into redspan.db in this folder
  redspan serve --database-url sqlite:///var/lib/redspan/redspan.db
  redspan serve --config /etc/redspan.toml --log-level warn";

#[derive(clap::Args, Default)]
struct ServeArguments {
    /// Do not bring the database's schema up to date.
    #[arg(long)]
    no_migrate: bool,
}

/// Runs the program.
#[must_use]
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    environment: Vec<(String, String)>,
) -> ExitCode {
    let parsed = Cli::command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(message) => {
            // Nobody is left to tell when even this cannot be printed.
            let _ = message.print();
            return ExitCode::from(if message.use_stderr() { 64 } else { 0 });
        }
    };
    match run(cli, environment) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for sentence in failure.to_string().lines() {
                // A database's own words may repeat what telemetry said.
                eprintln!("redspan: {}", text::one_line(sentence));
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(cli: Cli, environment: Vec<(String, String)>) -> Result<(), Failure> {
    let actor = actor(&environment);
    let given = cli.settings.given(environment);
    let load = || {
        let config = Config::load(&given)?;
        telemetry::start(&config.log);
        Ok::<_, Failure>(config)
    };
    let database = || Ok::<_, Failure>(app::database_settings(&load()?.database));
    match cli
        .command
        .unwrap_or(Command::Serve(ServeArguments::default()))
    {
        Command::Serve(arguments) => {
            let migrates = !(arguments.no_migrate || cli.serve.no_migrate);
            let load = move || {
                let mut config = Config::load(&given)?;
                config.database.migrate &= migrates;
                Ok(config)
            };
            let config = load()?;
            let _own_spans = telemetry::start_with_spans(&config.log, &config.telemetry)?;
            in_runtime(app::serve(config, load))
        }
        Command::Errors(command) => in_runtime(errors::run(command, &load()?, cli.color, &actor)),
        Command::Pipelines(command) => {
            in_runtime(pipelines::run(command, &load()?, cli.color, &actor))
        }
        Command::Explain(command) => in_runtime(explain::run(command, &database()?, cli.color)),
        Command::Aggregations(command) => {
            in_runtime(aggregations::run(command, &database()?, cli.color, &actor))
        }
        Command::Users(command) => in_runtime(users::run(command, &load()?, &actor)),
        Command::Backup(command) => in_runtime(backup::run(command, &database()?)),
        Command::Import(arguments) => {
            in_runtime(import::run(arguments, &load()?, cli.color, &actor))
        }
        Command::Migrate(command) => in_runtime(migrate::run(command, &database()?, io::stdout())),
        Command::Config(command) => {
            let config = load()?;
            config::run(&command, &given, &config, Screen::stdout(cli.color))
        }
        Command::Demo(demo) => in_runtime(demo::run(demo, load()?, Screen::stdout(cli.color))),
        // Asked for when a shell starts, wherever that is: no configuration matters.
        Command::Completions(completions) => print(&completions.script(Cli::command())?),
    }
}

/// Who the audit log says made a change.
fn actor(environment: &[(String, String)]) -> String {
    let user = environment.iter().find(|(name, _)| name == "USER");
    let user = user.map_or("", |(_, user)| user);
    // It travels in a header, too.
    let user: String = user
        .chars()
        .filter(char::is_ascii_graphic)
        .take(100)
        .collect();
    format!("cli:{}", if user.is_empty() { "unknown" } else { &user })
}

/// Drives the future on every core.
fn in_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::Io)?;
    let result = runtime.block_on(work);
    // Work off the runtime's own tasks (a scrape, a slow disk) must not hold up the end.
    runtime.shutdown_background();
    result
}

fn version() -> &'static str {
    use crate::build::{REVISION, VERSION};
    static TEXT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    TEXT.get_or_init(|| format!("{VERSION} ({REVISION})"))
}

/// One of the words of a closed set, which help and completions name.
fn word<T>(all: &'static [T], name: fn(T) -> &'static str) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: Error + Send + Sync + 'static> + Copy + Send + Sync + 'static,
{
    let words = all.iter().map(|it| name(*it));
    PossibleValuesParser::new(words).try_map(|text| text.parse())
}

/// JSON for programs, on lines for people.
fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::Internal(error.to_string()))?;
    let mut text = text::safe_json(&text);
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests;
