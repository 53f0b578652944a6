//! `redspan errors stats`: how many errors, when, and of which kind.

use clap::Args;
use serde::Serialize;

use crate::{
    cli::{
        json,
        screen::Style,
        table::{Cell, Table, column},
        text::{count, thousands},
    },
    domain::{Hour, Timestamp},
    failure::Failure,
    store::{ErrorStats, HourErrors, Reader},
};

use super::{View, filter::Filter, nothing};

/// Bars that are drawn at most: what a screen holds.
const MAX_BARS: i64 = 48;

/// Hours that a bar may stand for. Of those up to a day a whole number makes a day.
const STEPS_HOURS: [i64; 8] = [1, 2, 3, 6, 12, 24, 7 * 24, 28 * 24];

/// The longest bar, in columns.
const MAX_BAR: usize = 60;

/// Columns that the rest of a bar's line takes: time, number and gaps.
const BESIDE_BAR: usize = 32;

const EXAMPLES: &str = "\
Examples:
  redspan errors stats --since 1d
  redspan errors stats --since 7d --service shop --severity critical,error
  redspan errors stats --from 2026-05-04 --to 2026-05-05 --json";

/// `errors stats`
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Stats {
    #[command(flatten)]
    filter: Filter,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The figures, and the hours.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    #[serde(flatten)]
    stats: ErrorStats,
    by_hour: Vec<HourErrors>,
}

impl Stats {
    pub(super) async fn answer<R: Reader + ?Sized>(
        &self,
        reader: &R,
        view: &View,
    ) -> Result<String, Failure> {
        let filter = self.filter.to_filter(view.now)?;
        let (stats, by_hour) = reader.get_error_stats_by_hour(&filter).await?;
        let figures = Figures { stats, by_hour };
        if self.json {
            return json(&figures);
        }
        if figures.stats.total == 0 {
            return nothing::found(&self.filter, reader, view).await;
        }
        let stats = &figures.stats;
        let mut text = format!(
            "{}{} ({} unresolved, {} resolved), {}\n\n",
            Style::Bold.paint(&count(stats.total, "error")),
            self.filter.words(view.now),
            thousands(stats.unresolved),
            thousands(stats.resolved),
            count(stats.unique_users, "user")
        );
        text.push_str(&self.hours(&figures.by_hour, view));
        let severities = stats.by_severity.iter().rev();
        let categories = stats.by_category.iter();
        let endpoints = stats.top_endpoints.iter();
        let sections: [(_, Vec<(Cell, i64)>); 3] = [
            (
                "SEVERITY",
                severities
                    .map(|(it, errors)| (Cell::new(it.as_str(), Style::Severity(*it)), *errors))
                    .collect(),
            ),
            (
                "CATEGORY",
                categories
                    .map(|(it, errors)| (Cell::from(it.as_str()), *errors))
                    .collect(),
            ),
            (
                "ENDPOINT",
                endpoints
                    .map(|it| (Cell::from(&it.endpoint), it.errors))
                    .collect(),
            ),
        ];
        for (heading, counts) in sections {
            let mut table = Table::new(&[
                column("ERRORS").number(),
                column("SHARE").number(),
                column(heading).keeps_end(),
            ]);
            for (name, errors) in counts {
                table.row([
                    Cell::new(&thousands(errors), Style::Bold),
                    Cell::from(share(errors, stats.total)),
                    name,
                ]);
            }
            text.push('\n');
            text.push_str(&table.into_text(view.screen));
        }
        Ok(text)
    }

    /// A bar for each hour; when there are too many, for so many hours together that they fit.
    fn hours(&self, hours: &[HourErrors], view: &View) -> String {
        let (Some(first), Some(last)) = (hours.first(), hours.last()) else {
            return String::new();
        };
        let from = self.filter.period.from(view.now).map(Hour::containing);
        let from = from.map_or(first.hour, |from| from.min(first.hour));
        let now = Hour::containing(view.now);
        let to = match self.filter.period.to() {
            Some(to) => Hour::containing(to.plus_seconds(-1)).min(now),
            None => now,
        };
        let bars = bars(hours, number(from), number(to.max(last.hour)));
        let most = bars.counts.iter().copied().max().unwrap_or(1);
        let room = view.screen.reading_width().saturating_sub(BESIDE_BAR);
        let heading = match bars.step {
            1 => "HOUR",
            24 => "DAY",
            hours if hours > 24 => "DAYS FROM",
            _ => "HOURS FROM",
        };
        let mut table = Table::new(&[
            column(heading).whole(),
            column("ERRORS").number(),
            column("").whole(),
        ]);
        for (start, errors) in (bars.first..).step_by(bars.step_by).zip(&bars.counts) {
            let start = Timestamp::EPOCH.plus_seconds(start * 3_600).to_datetime();
            let format = if bars.step < 24 {
                "%Y-%m-%d %H:00"
            } else {
                "%Y-%m-%d"
            };
            table.row([
                Cell::from(start.format(format).to_string()),
                Cell::from(thousands(*errors)),
                Cell::new(&bar(*errors, most, room.clamp(1, MAX_BAR)), Style::Name),
            ]);
        }
        table.into_text(view.screen)
    }
}

/// Errors of equal stretches of time, in hours since 1970.
#[derive(Debug, PartialEq)]
struct Bars {
    first: i64,
    step: i64,
    step_by: usize,
    counts: Vec<i64>,
}

/// `hours` put together in the shortest stretches with which `from` to `to`, both included, fit.
fn bars(hours: &[HourErrors], from: i64, to: i64) -> Bars {
    let bars_of = |step: i64| to.div_euclid(step) - from.div_euclid(step) + 1;
    let longest = STEPS_HOURS[STEPS_HOURS.len() - 1];
    let step = STEPS_HOURS
        .into_iter()
        .find(|step| bars_of(*step) <= MAX_BARS)
        // Whole multiples of the longest, for a range of many years.
        .unwrap_or_else(|| longest * (bars_of(longest) / (MAX_BARS - 1) + 1));
    let mut counts = vec![0; usize::try_from(bars_of(step)).unwrap_or(0)];
    for hour in hours {
        let bar = number(hour.hour).div_euclid(step) - from.div_euclid(step);
        if let Some(count) = usize::try_from(bar).ok().and_then(|it| counts.get_mut(it)) {
            *count += hour.errors;
        }
    }
    Bars {
        first: from.div_euclid(step) * step,
        step,
        step_by: usize::try_from(step).unwrap_or(1),
        counts,
    }
}

/// The hour's number, from 1970 on.
fn number(hour: Hour) -> i64 {
    hour.start().as_micros().div_euclid(3_600_000_000)
}

/// As long as its share of the greatest, in eighths of a column; never nothing for something.
fn bar(errors: i64, most: i64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let (errors, most) = (errors.max(0).unsigned_abs(), most.max(1).unsigned_abs());
    let eighths = u128::from(errors) * (columns as u128) * 8 / u128::from(most);
    let eighths = usize::try_from(eighths).unwrap_or(0);
    let eighths = eighths.max(usize::from(errors > 0));
    ["█".repeat(eighths / 8).as_str(), EIGHTHS[eighths % 8]].concat()
}

/// `12%`, of hundredths that are cut, not rounded: only all of them are `100%`.
fn share(errors: i64, total: i64) -> String {
    match errors.saturating_mul(100) / total.max(1) {
        0 => "<1%".to_owned(),
        percent => format!("{percent}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(number: i64, errors: i64) -> HourErrors {
        let start = Timestamp::EPOCH.plus_seconds(number * 3_600);
        HourErrors {
            hour: Hour::containing(start),
            errors,
        }
    }

    #[test]
    fn every_error_stands_in_one_bar_whatever_the_range() {
        let hours = [hour(-30, 1), hour(0, 2), hour(47, 4), hour(99_999, 8)];
        for (from, to) in [(-30, 99_999), (-100, 100_001), (-900_000, 9_000_000)] {
            let bars = bars(&hours, from, to);
            assert_eq!(bars.counts.iter().sum::<i64>(), 15);
            assert!(bars.counts.len() <= 48 && bars.first <= from, "{bars:?}");
        }
    }

    #[test]
    fn two_days_are_drawn_hour_by_hour_and_more_by_hours_that_make_a_day() {
        let hours = [hour(100, 1), hour(147, 2)];
        let two_days = bars(&hours, 100, 147);
        assert_eq!((two_days.first, two_days.step), (100, 1));
        assert_eq!((two_days.counts[0], two_days.counts[47]), (1, 2));
        let more = bars(&hours, 100, 148);
        assert_eq!((more.first, more.step), (100, 2));
        let month = bars(&hours, 100, 100 + 30 * 24);
        assert_eq!((month.first, month.step), (96, 24));
    }

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!(bar(10, 10, 4), "████");
        assert_eq!(bar(5, 10, 3), "█▌");
        assert_eq!(bar(1, 1_000_000, 4), "▏");
        assert_eq!(bar(0, 10, 4), "");
        assert_eq!(bar(i64::MAX, i64::MAX, 2), "██");
        assert_eq!(
            [share(1, 1), share(999, 1_000), share(1, 1_000)],
            ["100%", "99%", "<1%"]
        );
    }
}
