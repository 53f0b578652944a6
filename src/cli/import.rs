//! `redspan import`: takes over what a hand-written layer kept in PostgreSQL.

use clap::Args;

use crate::{
    app, clock,
    config::{Config, DatabaseUrl},
    failure::Failure,
    import::{self, Balance, Count, ImportError, Source},
};

use super::{
    json,
    progress::Progress,
    screen::{ColorChoice, Screen, print},
    table::{Cell, Table, column},
    text::{one_line, thousands},
};

const EXAMPLES: &str = "\
Examples:
  redspan import --from postgres://shop:secret@localhost/shop
  redspan import --from 'postgres://shop@localhost/shop?options=-c%20search_path%3Dlegacy'

Takes api_errors, error_aggregations, generation_pipelines and pipeline_stages, each row under its
id, and each once: run again, it goes on. An SQLite file must not be in use; PostgreSQL is imported
into beside its servers, when `redspan migrate up` has brought its schema up to date.";

/// `import`
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Import {
    /// The database of the hand-written layer, which is only read
    #[arg(long, value_name = "URL")]
    from: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When either database fails; [`Failure::Corrupt`] when a row cannot be taken.
pub async fn run(
    arguments: Import,
    config: &Config,
    color: ColorChoice,
    actor: &str,
) -> Result<(), Failure> {
    let from = DatabaseUrl::of_server(&arguments.from)
        .map_err(|expected| Failure::Usage(format!("--from must be {expected}.")))?;
    let mut source = Source::open(from.expose(), config.database.connect_timeout)
        .await
        .map_err(|error| failure(&error))?;
    let imported = app::with_target(config, actor, async |target| {
        let mut line = Progress::new();
        let done = import::run(&mut source, target, clock::now(), |balance| {
            line.show(&progress(balance));
        });
        done.await.map_err(|error| failure(&error))
    })
    .await;
    source.close().await;
    let balance = imported?;
    if arguments.json {
        print(&json(&balance)?)?;
    } else {
        let screen = Screen::stdout(color);
        print(&screen.show(&text(&balance, screen)))?;
    }
    for table in &balance.missing_tables {
        eprintln!("redspan: the source has no table {table}");
    }
    if balance.is_complete() {
        return Ok(());
    }
    Err(Failure::Corrupt(refusals(&balance)))
}

/// Why rows were refused, a line each, and how many more were.
fn refusals(balance: &Balance) -> String {
    let reasons = balance.reasons.iter().map(|reason| one_line(reason).into());
    let mut lines: Vec<String> = reasons.collect();
    let untold = kinds(balance).map(|(name, count)| (name, count.untold()));
    let more: Vec<String> = untold
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {}", thousands(number(count))))
        .collect();
    if !more.is_empty() {
        lines.push(format!("more are refused: {}", more.join(", ")));
    }
    lines.join("\n")
}

/// How far it has come.
fn progress(balance: &Balance) -> String {
    kinds(balance)
        .map(|(name, count)| format!("{} {name}", thousands(number(count.found))))
        .join(", ")
}

fn text(balance: &Balance, screen: Screen) -> String {
    let mut table = Table::new(&[
        column("").whole(),
        column("FOUND").number(),
        column("IMPORTED").number(),
        column("THERE ALREADY").number(),
        column("REFUSED").number(),
    ]);
    for (name, count) in kinds(balance) {
        let counts = [
            count.found,
            count.imported,
            count.there_already,
            count.refused,
        ];
        let cells = counts.map(|count| Cell::from(thousands(number(count))));
        table.row([Cell::from(name)].into_iter().chain(cells));
    }
    table.into_text(screen)
}

fn kinds(balance: &Balance) -> [(&'static str, &Count); 3] {
    [
        ("errors", &balance.errors),
        ("hours without rows", &balance.hours),
        ("pipelines", &balance.pipelines),
    ]
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn failure(error: &ImportError) -> Failure {
    match error {
        ImportError::Unreachable(_) => Failure::Unreachable(error.to_string()),
        ImportError::Url(_)
        | ImportError::ShutOut(_)
        | ImportError::NoTables
        | ImportError::OwnTables { .. }
        | ImportError::Unreadable { .. } => Failure::Usage(error.to_string()),
        // What the source or the target says of itself.
        ImportError::Source(_) | ImportError::Write(_) | ImportError::Repository(_) => {
            Failure::Unreachable(format!("{error}; run it again: it goes on where it ended"))
        }
    }
}
