//! `redspan pipelines`: lists, shows and counts runs, beside a running server or without one, and
//! deletes old ones.

mod filter;
mod list;
mod purge;
mod show;
mod stats;
mod timeline;

pub use list::List;
pub use purge::Purge;
pub use show::Show;
pub use stats::Stats;

use std::time::Duration;

use clap::Subcommand;
use tokio::time::timeout;

use crate::{
    app, clock,
    config::Config,
    domain::{PipelineStatus, Severity, StageStatus, Timestamp},
    failure::Failure,
    store::{DatabaseSettings, PipelineReader, connect_reader},
};

use super::{
    screen::{ColorChoice, Screen, Style, print},
    watch::watch,
};

/// How long the database may take to be closed. Nothing was changed in it.
const CLOSE_STORE: Duration = Duration::from_secs(1);

/// What to do with runs.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Look at them
    #[command(flatten)]
    Look(Look),
    /// Delete old finished runs for good, with their stages
    Purge(Purge),
}

/// What to look at.
#[derive(Subcommand, Debug)]
pub enum Look {
    /// List runs, newest first
    List(Box<List>),
    /// Show a run and its stages
    Show(Show),
    /// Count runs by how they ended, and say how long they took
    Stats(Box<Stats>),
}

/// From where the command looks.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// What `ago` and `--since` count from.
    pub now: Timestamp,
    /// What is printed to.
    pub screen: Screen,
}

/// Runs the command on the database.
///
/// # Errors
/// When the database cannot answer, or there is no such run.
pub async fn run(
    command: Command,
    config: &Config,
    color: ColorChoice,
    actor: &str,
) -> Result<(), Failure> {
    match command {
        Command::Look(look) => show(&look, &app::database_settings(&config.database), color).await,
        Command::Purge(purge) => purge.run(config, actor).await,
    }
}

async fn show(look: &Look, settings: &DatabaseSettings, color: ColorChoice) -> Result<(), Failure> {
    let view = || View {
        now: clock::now(),
        screen: Screen::stdout(color),
    };
    let store = connect_reader(settings).await?;
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
/// When the database cannot answer, or there is no such run.
pub async fn answer<R: PipelineReader + ?Sized>(
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

/// How the status of a run stands out.
const fn style(status: PipelineStatus) -> Style {
    match status {
        PipelineStatus::Initializing | PipelineStatus::Processing => Style::Bold,
        PipelineStatus::Completed => Style::Plain,
        PipelineStatus::Failed => Style::Severity(Severity::Error),
        PipelineStatus::Cancelled => Style::Dim,
    }
}

/// The same for a stage.
const fn stage_style(status: StageStatus) -> Style {
    match status {
        StageStatus::Pending | StageStatus::Skipped => Style::Dim,
        StageStatus::Processing => Style::Bold,
        StageStatus::Completed => Style::Plain,
        StageStatus::Failed => Style::Severity(Severity::Error),
    }
}

/// From one instant to another, or until now; nothing when it has not begun.
fn took(from: Option<Timestamp>, to: Option<Timestamp>, now: Timestamp) -> Option<String> {
    let micros = to.unwrap_or(now).as_micros() - from?.as_micros();
    Some(duration(micros))
}

/// `7µs`, `340ms`, `12.3s`, `4m 05s`, `3h 07m`, `2d 05h`: as much as says something.
fn duration(micros: i64) -> String {
    let millis = micros.max(0) / 1_000;
    let seconds = millis / 1_000;
    match seconds {
        0 if (1..1_000).contains(&micros) => format!("{micros}µs"),
        0 => format!("{millis}ms"),
        1..60 => format!("{seconds}.{}s", millis % 1_000 / 100),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_says_as_much_as_matters() {
        for (millis, text) in [
            (-5, "0ms"),
            (0, "0ms"),
            (999, "999ms"),
            (12_399, "12.3s"),
            (245_000, "4m 05s"),
            (11_220_000, "3h 07m"),
            (190_800_000, "2d 05h"),
        ] {
            assert_eq!(duration(millis * 1_000), text);
        }
        assert_eq!([duration(1), duration(999)], ["1µs", "999µs"]);
        let at = |seconds| Timestamp::EPOCH.plus_seconds(seconds);
        assert_eq!(took(None, Some(at(1)), at(2)), None);
        assert_eq!(took(Some(at(0)), Some(at(1)), at(2)).unwrap(), "1.0s");
        assert_eq!(took(Some(at(0)), None, at(2)).unwrap(), "2.0s");
    }
}
