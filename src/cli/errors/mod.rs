//! `redspan errors`: lists, shows and counts errors, beside a running server or without one, and
//! says what people make of them.

mod change;
mod filter;
mod id_range;
mod list;
mod nothing;
mod purge;
mod show;
mod stats;
mod story;

pub use change::{Ignore, Reopen, Resolve};
pub use list::List;
pub use purge::Purge;
pub use show::Show;
pub use stats::Stats;

use std::{net::SocketAddr, time::Duration};

use clap::Subcommand;
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    app, clock,
    config::{Config, TraceLink},
    detect::short_type,
    domain::{ErrorId, Timestamp},
    failure::Failure,
    store::{Reader, connect_reader},
};

use super::{
    screen::{ColorChoice, Screen, print},
    through::Through,
    watch::watch,
};

/// Digits by which an error of telemetry is named in a list. Its id is a hash: they tell it from
/// a hundred million others.
const SHORT_ID_CHARS: usize = 8;

/// How long the database may take to be closed. Nothing was changed in it.
const CLOSE_STORE: Duration = Duration::from_secs(1);

/// What to do with errors.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Look at them
    #[command(flatten)]
    Look(Look),
    /// Change them
    #[command(flatten)]
    Change(Change),
}

/// What to look at.
#[derive(Subcommand, Debug)]
pub enum Look {
    /// List groups of errors of one kind, last seen first; with --rows each error
    List(Box<List>),
    /// Show the whole story of one error
    Show(Show),
    /// Count errors by hour, severity, category and endpoint
    Stats(Box<Stats>),
}

/// What to change.
#[derive(Subcommand, Debug)]
pub enum Change {
    /// Say that errors or groups of them are taken care of
    Resolve(Resolve),
    /// Say that they are not, after all
    Reopen(Reopen),
    /// Say that nobody wants to hear of groups: they are counted, and never regress
    Ignore(Ignore),
    /// Delete old errors for good; hours, groups and metrics go on counting them
    Purge(Purge),
}

/// From where the command looks.
#[derive(Clone, Debug)]
pub struct View {
    /// What `ago` and `--since` count from.
    pub now: Timestamp,
    /// What is printed to.
    pub screen: Screen,
    /// Where applications send, for the advice when there is nothing.
    pub otlp: SocketAddr,
    /// Where the whole of a trace can be seen.
    pub trace_link: Option<TraceLink>,
}

/// Runs the command on the database.
///
/// # Errors
/// When the database cannot answer, or there is no such error.
pub async fn run(
    command: Command,
    config: &Config,
    color: ColorChoice,
    actor: &str,
) -> Result<(), Failure> {
    match command {
        Command::Look(look) => show(&look, config, color).await,
        Command::Change(change) => change.run(config, actor).await,
    }
}

async fn show(look: &Look, config: &Config, color: ColorChoice) -> Result<(), Failure> {
    let view = || View {
        now: clock::now(),
        screen: Screen::stdout(color),
        otlp: config.otlp.http.listen,
        trace_link: config.links.trace.clone(),
    };
    let store = connect_reader(&app::database_settings(&config.database)).await?;
    let reader = store.patient();
    let ended = match look {
        Look::List(list) if list.is_watched() => {
            watch(async || answer(look, &*reader, &view()).await).await
        }
        _ => match answer(look, &*reader, &view()).await {
            Ok(text) => print(&text),
            Err(failure) => Err(failure),
        },
    };
    // Whoever stopped watching during a long look does not wait for its end.
    let _ = timeout(CLOSE_STORE, store.close()).await;
    ended
}

/// What the command prints.
///
/// # Errors
/// When the database cannot answer, or there is no such error.
pub async fn answer<R: Reader + ?Sized>(
    look: &Look,
    reader: &R,
    view: &View,
) -> Result<String, Failure> {
    let text = match look {
        Look::List(list) => list.answer(reader, view).await,
        Look::Show(show) => show.answer(reader, view).await,
        Look::Stats(stats) => stats.answer(reader, view).await,
    };
    Ok(view.screen.show(&text?).into_owned())
}

impl Change {
    /// Makes the change in the name of `actor`.
    async fn run(self, config: &Config, actor: &str) -> Result<(), Failure> {
        let through = match &self {
            Self::Resolve(it) => &it.through,
            Self::Reopen(it) => &it.through,
            Self::Ignore(it) => &it.through,
            Self::Purge(it) => &it.through,
        };
        let ledger = through.open(config, actor).await?;
        let ended = match &self {
            Self::Resolve(it) => it.run(&ledger).await,
            Self::Reopen(it) => it.run(&ledger).await,
            Self::Ignore(it) => it.run(&ledger).await,
            Self::Purge(it) => it.run(&ledger).await,
        };
        ledger.close().await;
        ended
    }
}

/// What went wrong, in a line: type and first line of the message.
fn summary(code: Option<&str>, message: &str) -> String {
    let line = message.trim_start().lines().next().unwrap_or_default();
    match code {
        Some(code) if !code.is_empty() && !line.starts_with(code) => format!("{code}: {line}"),
        _ => line.to_owned(),
    }
}

/// The same where room is scarce: a type without the path to it.
fn short_summary(code: Option<&str>, message: &str) -> String {
    summary(code.map(short_name), message)
}

/// A type's name without the path to it and without what it is made of: `Box` of
/// `alloc::boxed::Box<dyn std::error::Error>`.
fn short_name(code: &str) -> &str {
    match short_type(code) {
        "" => code,
        name => name,
    }
}

/// As much of an id as names the error in practice.
pub(super) fn short_id(id: ErrorId) -> String {
    let mut text = id.0.to_string();
    if is_hash(id.0) {
        text.truncate(SHORT_ID_CHARS);
    }
    text
}

/// Other ids begin with a time, which errors share.
fn is_hash(id: Uuid) -> bool {
    id.get_version_num() == 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_type_and_message_once() {
        let code = Some("psycopg.errors.UndefinedTable");
        assert_eq!(
            summary(code, "\nno such table\nLINE 1"),
            "psycopg.errors.UndefinedTable: no such table"
        );
        assert_eq!(short_summary(code, "no table"), "UndefinedTable: no table");
        assert_eq!(short_summary(Some("a/"), "b"), "a/: b");
        assert_eq!(summary(Some("HTTP 503"), "HTTP 503"), "HTTP 503");
        assert_eq!(summary(Some(""), "b"), "b");
        assert_eq!(summary(None, ""), "");
    }

    #[test]
    fn a_type_is_named_without_its_path_and_without_the_types_in_it() {
        for (code, name) in [
            ("Foo::Bar<a::B>", "Bar"),
            ("alloc::boxed::Box<dyn std::error::Error>", "Box"),
            (
                "System.KeyNotFoundException`1[[System.String, mscorlib]]",
                "KeyNotFoundException",
            ),
            ("shop.Refused[int.Code]", "Refused"),
            ("shop.Refused (a.b)", "Refused"),
            ("<a.lambda>", "<a.lambda>"),
            ("a/", "a/"),
        ] {
            assert_eq!(short_name(code), name);
        }
    }

    #[test]
    fn a_hash_is_told_by_its_beginning_and_a_time_is_not() {
        let hash = ErrorId(Uuid::new_v8([7; 16]));
        assert_eq!(short_id(hash), "07070707");
        let time = ErrorId(Uuid::now_v7());
        assert_eq!(short_id(time), time.to_string());
    }
}
