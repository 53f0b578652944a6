//! `redspan pipelines stats`: how runs and their stages ended, and how long they took.

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::{
    cli::{
        json,
        screen::Style,
        table::{Cell, Column, Table, column},
        text::{count, thousands},
    },
    domain::{PipelineStatus, Severity, StageStatus, Timestamp},
    failure::Failure,
    store::{
        GroupedRuns, PipelineFilter, PipelineReader, PipelineStatistics, RunStatistics, RunsBy,
        StageStatistics,
    },
};

use super::{
    View, duration,
    filter::{Filter, none_found},
    stage_style, style,
};

/// The windows that are shown when none is asked for, the longest last.
const WINDOWS: [Window; 3] = [
    Window {
        name: "1h",
        heading: "LAST HOUR",
        seconds: 3_600,
    },
    Window {
        name: "24h",
        heading: "LAST 24 HOURS",
        seconds: 86_400,
    },
    Window {
        name: "7d",
        heading: "LAST 7 DAYS",
        seconds: 7 * 86_400,
    },
];

const EXAMPLES: &str = "\
Examples:
  redspan pipelines stats                          of the last hour, day and week
  redspan pipelines stats --since 7d --by stage    where runs fail
  redspan pipelines stats --name text-to-3d --since 1d --json | jq .successRate";

/// `pipelines stats`
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Stats {
    #[command(flatten)]
    filter: Filter,
    /// Only the figures of each name, user or stage; of a week, unless said since when
    #[arg(long)]
    by: Option<By>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What figures are told of, one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// Each kind of run
    Name,
    /// Whom runs are for
    User,
    /// Each stage, where runs fail most first
    Stage,
}

/// A time that ends now.
#[derive(Clone, Copy)]
struct Window {
    name: &'static str,
    heading: &'static str,
    seconds: i64,
}

/// What `--json` prints: what the API answers, and what else is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    #[serde(flatten)]
    statistics: PipelineStatistics,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    windows: Vec<WindowStatistics>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_name: Option<Vec<GroupedRuns>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_user: Option<Vec<GroupedRuns>>,
}

/// The figures of a window.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WindowStatistics {
    window: &'static str,
    #[serde(flatten)]
    statistics: PipelineStatistics,
}

impl Stats {
    pub(super) async fn answer<R: PipelineReader + ?Sized>(
        &self,
        reader: &R,
        view: &View,
    ) -> Result<String, Failure> {
        if self.json {
            return self.figures(reader, view.now).await;
        }
        match self.by {
            Some(by) => self.by(by, reader, view).await,
            None if self.filter.is_of_any_time() => self.windows(reader, view).await,
            None => self.period(reader, view).await,
        }
    }

    async fn figures<R: PipelineReader + ?Sized>(
        &self,
        reader: &R,
        now: Timestamp,
    ) -> Result<String, Failure> {
        let filter = &self.filter.to_filter(now)?;
        let grouped = async |by: By, runs_by: RunsBy| match self.by {
            Some(asked) if asked == by => {
                let groups = reader.get_grouped_runs(filter, runs_by, now).await;
                groups.map(Some)
            }
            _ => Ok(None),
        };
        let windows = if self.filter.is_of_any_time() {
            windows(filter, reader, now).await?
        } else {
            Vec::new()
        };
        json(&Figures {
            statistics: reader.get_pipeline_statistics(filter, now).await?,
            windows,
            by_name: grouped(By::Name, RunsBy::Name).await?,
            by_user: grouped(By::User, RunsBy::User).await?,
        })
    }

    /// The figures of one group after the other.
    async fn by<R: PipelineReader + ?Sized>(
        &self,
        by: By,
        reader: &R,
        view: &View,
    ) -> Result<String, Failure> {
        let asked = self.filter.reaching_back(view.now);
        let filter = asked.to_filter(view.now)?;
        let grouped = async |by| reader.get_grouped_runs(&filter, by, view.now).await;
        let table = match by {
            By::Name => group_table("NAME", &grouped(RunsBy::Name).await?, view),
            By::User => group_table("USER", &grouped(RunsBy::User).await?, view),
            By::Stage => {
                let statistics = reader.get_pipeline_statistics(&filter, view.now).await?;
                if statistics.by_stage.is_empty() && statistics.runs.total > 0 {
                    let words = asked.words(view.now);
                    return Ok(format!("No stages in the runs{words}.\n"));
                }
                stage_table(&statistics, view)
            }
        };
        match table {
            Some(table) => Ok(format!("Runs{}\n\n{table}", asked.words(view.now))),
            None => none_found(&asked, reader, view.now).await,
        }
    }

    /// Short and long windows beside each other, and what there was in the longest.
    async fn windows<R: PipelineReader + ?Sized>(
        &self,
        reader: &R,
        view: &View,
    ) -> Result<String, Failure> {
        let asked = self.filter.reaching_back(view.now);
        let filter = asked.to_filter(view.now)?;
        let windows = windows(&filter, reader, view.now).await?;
        let Some(WindowStatistics {
            statistics: longest,
            ..
        }) = windows.last().filter(|it| it.statistics.runs.total > 0)
        else {
            return none_found(&asked, reader, view.now).await;
        };
        let mut text = window_table(&windows, view);
        let stuck = stuck(&longest.runs);
        let details = details(longest, &filter, reader, view).await?;
        if !stuck.is_empty() || !details.is_empty() {
            let of_which = Style::Bold.paint("Of the last 7 days");
            text.push_str(&["\n", &of_which, "\n", &stuck, &details].concat());
        }
        Ok(text)
    }

    /// All of the time that was asked for.
    async fn period<R: PipelineReader + ?Sized>(
        &self,
        reader: &R,
        view: &View,
    ) -> Result<String, Failure> {
        let asked = self.filter.reaching_back(view.now);
        let filter = asked.to_filter(view.now)?;
        let statistics = reader.get_pipeline_statistics(&filter, view.now).await?;
        let runs = &statistics.runs;
        if runs.total == 0 {
            return none_found(&asked, reader, view.now).await;
        }
        let mut table = Table::new(&[column("RUNS").number(), column("STATUS").whole()]);
        for (status, runs) in &runs.by_status {
            table.row([
                Cell::new(&thousands(*runs), Style::Bold),
                Cell::new(status.as_str(), style(*status)),
            ]);
        }
        Ok(format!(
            "{}{}, {}\n\n{}{}{}{}",
            Style::Bold.paint(&count(runs.total, "run")),
            asked.words(view.now),
            success(runs),
            table.into_text(view.screen),
            durations(runs),
            stuck(runs),
            details(&statistics, &filter, reader, view).await?,
        ))
    }
}

/// The figures of each window that ends now.
async fn windows<R: PipelineReader + ?Sized>(
    filter: &PipelineFilter,
    reader: &R,
    now: Timestamp,
) -> Result<Vec<WindowStatistics>, Failure> {
    let mut windows = Vec::new();
    for window in WINDOWS {
        let filter = PipelineFilter {
            from: Some(now.plus_seconds(-window.seconds)),
            ..filter.clone()
        };
        windows.push(WindowStatistics {
            window: window.name,
            statistics: reader.get_pipeline_statistics(&filter, now).await?,
        });
    }
    Ok(windows)
}

/// By name, when there is more than one, and by stage.
async fn details<R: PipelineReader + ?Sized>(
    statistics: &PipelineStatistics,
    filter: &PipelineFilter,
    reader: &R,
    view: &View,
) -> Result<String, Failure> {
    let names = reader
        .get_grouped_runs(filter, RunsBy::Name, view.now)
        .await?;
    let names = Some(names).filter(|names| names.len() > 1);
    let names = names.and_then(|names| group_table("NAME", &names, view));
    let stages = stage_table(statistics, view);
    let any_failed = statistics.by_stage.iter().any(|stage| stage.failed > 0);
    let heading = if any_failed { "Where runs fail:\n" } else { "" };
    let stages = stages.map(|table| format!("{heading}{table}"));
    let mut text = String::new();
    for table in [names, stages].into_iter().flatten() {
        text.push('\n');
        text.push_str(&table);
    }
    Ok(text)
}

/// A line for each figure, a column for each window.
fn window_table(windows: &[WindowStatistics], view: &View) -> String {
    let headings = WINDOWS.map(|window| column(window.heading).number());
    let columns: Vec<Column> = [column("CREATED IN THE").whole()]
        .into_iter()
        .chain(headings)
        .collect();
    let mut table = Table::new(&columns);
    let mut line = |name: &str, style: Style, figure: &dyn Fn(&RunStatistics) -> String| {
        let figures = windows.iter().map(|it| {
            let figure = figure(&it.statistics.runs);
            // Nothing to see where there is nothing.
            let style = if figure == "0" { Style::Dim } else { style };
            Cell::new(&figure, style)
        });
        table.row([Cell::new(name, Style::Dim)].into_iter().chain(figures));
    };
    line("runs", Style::Bold, &|runs| thousands(runs.total));
    for status in [
        PipelineStatus::Completed,
        PipelineStatus::Failed,
        PipelineStatus::Cancelled,
    ] {
        line(status.as_str(), style(status), &|runs| {
            thousands(of_status(runs, status))
        });
    }
    line("unfinished", style(PipelineStatus::Processing), &|runs| {
        thousands(unfinished(runs))
    });
    line("succeeded", Style::Plain, &rate);
    line("p50", Style::Plain, &|runs| of(runs.p50_duration_seconds));
    line("p95", Style::Plain, &|runs| of(runs.p95_duration_seconds));
    table.into_text(view.screen)
}

/// A line for each group; nothing when there are none.
fn group_table(heading: &'static str, groups: &[GroupedRuns], view: &View) -> Option<String> {
    if groups.is_empty() {
        return None;
    }
    let mut table = Table::new(&[
        column(heading),
        column("RUNS").number(),
        column("COMPLETED").number(),
        column("FAILED").number(),
        column("CANCELLED").number().for_wide(),
        column("UNFINISHED").number().for_wide(),
        column("SUCCEEDED").number(),
        column("P50").number(),
        column("P95").number(),
    ]);
    for GroupedRuns { label, runs } in groups {
        let number = |status| {
            let runs = of_status(runs, status);
            let style = if runs > 0 { style(status) } else { Style::Dim };
            Cell::new(&thousands(runs), style)
        };
        table.row([
            label
                .as_deref()
                .map_or(Cell::from("-"), |label| Cell::new(label, Style::Name)),
            Cell::new(&thousands(runs.total), Style::Bold),
            number(PipelineStatus::Completed),
            number(PipelineStatus::Failed),
            number(PipelineStatus::Cancelled),
            Cell::from(thousands(unfinished(runs))),
            Cell::from(rate(runs)),
            Cell::from(of(runs.p50_duration_seconds)),
            Cell::from(of(runs.p95_duration_seconds)),
        ]);
    }
    let mut text = table.into_text(view.screen);
    if groups.len() == usize::from(GroupedRuns::MAX) {
        text.push_str(&note(&format!(
            "The {} with the most runs.",
            GroupedRuns::MAX
        )));
    }
    Some(text)
}

/// A line for each stage; nothing when there are none.
fn stage_table(statistics: &PipelineStatistics, view: &View) -> Option<String> {
    let stages = &statistics.by_stage;
    if stages.is_empty() {
        return None;
    }
    let mut table = Table::new(&[
        column("STAGE"),
        column("FAILED").number(),
        column("SHARE").number(),
        column("COMPLETED").number(),
        column("SKIPPED").number().for_wide(),
        column("UNFINISHED").number().for_wide(),
        column("P50").number(),
        column("P95").number(),
    ]);
    for stage in stages {
        let failed = if stage.failed > 0 {
            stage_style(StageStatus::Failed)
        } else {
            Style::Dim
        };
        table.row([
            Cell::new(&stage.stage_name, Style::Bold),
            Cell::new(&thousands(stage.failed), failed),
            Cell::from(share(stage.failed, stage.failed + stage.completed)),
            Cell::from(thousands(stage.completed)),
            Cell::from(thousands(stage.skipped)),
            Cell::from(thousands(stage.unfinished)),
            Cell::from(of(stage.p50_duration_seconds)),
            Cell::from(of(stage.p95_duration_seconds)),
        ]);
    }
    let mut text = table.into_text(view.screen);
    if statistics.runs.total > StageStatistics::MAX_RUNS {
        let latest = thousands(StageStatistics::MAX_RUNS);
        text.push_str(&note(&format!("Of the {latest} runs created last.")));
    }
    Some(text)
}

fn note(text: &str) -> String {
    Style::Dim.paint(text) + "\n"
}

fn of_status(runs: &RunStatistics, status: PipelineStatus) -> i64 {
    runs.by_status.get(&status).copied().unwrap_or(0)
}

fn unfinished(runs: &RunStatistics) -> i64 {
    of_status(runs, PipelineStatus::Initializing) + of_status(runs, PipelineStatus::Processing)
}

fn success(runs: &RunStatistics) -> String {
    match runs.success_rate {
        Some(_) => format!("{} of those that ended on their own succeeded", rate(runs)),
        None => "none ended on its own".to_owned(),
    }
}

/// Cut, not rounded: only when all succeeded are they 100%.
fn rate(runs: &RunStatistics) -> String {
    runs.success_rate.map_or_else(
        || "-".to_owned(),
        |rate| format!("{:.1}%", (rate * 10.0).floor() / 10.0),
    )
}

/// The same of those that failed, of which only none are 0%.
fn share(failed: i64, ended: i64) -> String {
    match (failed, ended) {
        (_, ..=0) => "-".to_owned(),
        (..=0, _) => "0%".to_owned(),
        _ => match failed.saturating_mul(1_000) / ended {
            0 => "<0.1%".to_owned(),
            thousandths => format!("{}.{}%", thousandths / 10, thousandths % 10),
        },
    }
}

fn durations(runs: &RunStatistics) -> String {
    let (Some(average), Some(p50), Some(p95)) = (
        runs.average_duration_seconds,
        runs.p50_duration_seconds,
        runs.p95_duration_seconds,
    ) else {
        return String::new();
    };
    format!(
        "\nThey took {} on average, half of them at most {}, 95 of 100 at most {}.\n",
        of_seconds(average),
        of_seconds(p50),
        of_seconds(p95)
    )
}

fn stuck(runs: &RunStatistics) -> String {
    match runs.stuck {
        0 => String::new(),
        stuck => format!(
            "\n{} unfinished and silent for an hour or more.\n",
            Style::Severity(Severity::Warning).paint(&format!(
                "{} {}",
                count(stuck, "run"),
                if stuck == 1 { "is" } else { "are" }
            ))
        ),
    }
}

fn of(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), of_seconds)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a cast of a float that is too large is the largest integer"
)]
fn of_seconds(seconds: f64) -> String {
    duration((seconds * 1e6) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::screen::Screen;

    #[test]
    fn what_is_left_out_is_said() {
        let view = View {
            now: Timestamp::EPOCH,
            screen: Screen {
                width: None,
                colour: false,
            },
        };
        let stages = |total| {
            let statistics = PipelineStatistics {
                runs: RunStatistics {
                    total,
                    ..RunStatistics::default()
                },
                by_stage: vec![StageStatistics::default()],
            };
            stage_table(&statistics, &view).unwrap()
        };
        assert_eq!(stages(50_000).lines().count(), 2);
        assert!(stages(50_001).contains("Of the 50,000 runs created last."));
        let groups = |groups| {
            let group = GroupedRuns {
                label: None,
                runs: RunStatistics::default(),
            };
            group_table("NAME", &vec![group; groups], &view).unwrap()
        };
        assert_eq!(groups(99).lines().count(), 100);
        assert!(groups(100).contains("The 100 with the most runs."));
    }

    #[test]
    fn only_all_are_all_and_only_none_are_none() {
        let rate = |success_rate| {
            success(&RunStatistics {
                success_rate,
                ..RunStatistics::default()
            })
        };
        assert!(rate(Some(99.99)).starts_with("99.9%"));
        assert!(rate(Some(100.0)).starts_with("100.0%"));
        assert_eq!(rate(None), "none ended on its own");
        assert_eq!(
            [share(0, 0), share(0, 5), share(1, 5_000), share(999, 1_000)],
            ["-", "0%", "<0.1%", "99.9%"]
        );
        assert_eq!(share(7, 7), "100.0%");
    }
}
