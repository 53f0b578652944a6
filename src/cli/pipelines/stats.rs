//! `redspan pipelines stats`: how runs ended, and how long they took.

use clap::Args;

use crate::{
    cli::{
        json,
        screen::Style,
        table::{Cell, Table, column},
        text::{count, thousands},
    },
    failure::Failure,
    store::{PipelineReader, PipelineStatistics},
};

use super::{
    View, duration,
    filter::{Filter, none_found},
    style,
};

const EXAMPLES: &str = "\
Examples:
  redspan pipelines stats --since 7d
  redspan pipelines stats --name text-to-3d --since 1d --json | jq .successRate";

/// `pipelines stats`
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Stats {
    #[command(flatten)]
    filter: Filter,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Stats {
    pub(super) async fn answer<R: PipelineReader + ?Sized>(
        &self,
        reader: &R,
        view: &View,
    ) -> Result<String, Failure> {
        let filter = self.filter.to_filter(view.now)?;
        let statistics = reader.get_pipeline_statistics(&filter).await?;
        if self.json {
            return json(&statistics);
        }
        if statistics.total == 0 {
            return none_found(&self.filter, reader, view.now).await;
        }
        let mut table = Table::new(&[column("RUNS").number(), column("STATUS").whole()]);
        for (status, runs) in &statistics.by_status {
            table.row([
                Cell::new(&thousands(*runs), Style::Bold),
                Cell::new(status.as_str(), style(*status)),
            ]);
        }
        Ok(format!(
            "{}{}, {}\n\n{}{}",
            Style::Bold.paint(&count(statistics.total, "run")),
            self.filter.words(view.now),
            success(&statistics),
            table.into_text(view.screen),
            durations(&statistics),
        ))
    }
}

/// Cut, not rounded: only when all succeeded are they 100%.
fn success(statistics: &PipelineStatistics) -> String {
    match statistics.success_rate {
        Some(rate) => format!(
            "{:.1}% of those that ended on their own succeeded",
            (rate * 10.0).floor() / 10.0
        ),
        None => "none ended on its own".to_owned(),
    }
}

fn durations(statistics: &PipelineStatistics) -> String {
    let (Some(average), Some(p50), Some(p95)) = (
        statistics.average_duration_seconds,
        statistics.p50_duration_seconds,
        statistics.p95_duration_seconds,
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

    #[test]
    fn only_all_are_all() {
        let rate = |success_rate| {
            success(&PipelineStatistics {
                success_rate,
                ..PipelineStatistics::default()
            })
        };
        assert!(rate(Some(99.99)).starts_with("99.9%"));
        assert!(rate(Some(100.0)).starts_with("100.0%"));
        assert_eq!(rate(None), "none ended on its own");
    }
}
