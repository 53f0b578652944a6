//! `redspan errors list`: groups of errors of one kind, or each error.

use clap::Args;

use crate::{
    cli::{
        json,
        screen::{Screen, Style},
        table::{Cell, Column, Table, column},
        text::{ago, count, thousands, time_of_day, to_the_second},
    },
    domain::{ApiError, Timestamp},
    failure::Failure,
    store::{Cursor, GroupedErrors, Page, PageRequest, Reader},
};

use super::{View, filter::Filter, nothing, short_id, short_summary};

/// The end of a path says most, and what failed must not be crowded out by where.
const SERVICE: Column = column("SERVICE").parts(2).keeps_end();
const ENDPOINT: Column = column("ENDPOINT").parts(3).keeps_end();
const ERROR: Column = column("ERROR").parts(5);

const EXAMPLES: &str = "\
Examples:
  redspan errors list --since 2h                             what fails now
  redspan errors list --since 1d --severity critical --watch
  redspan errors list --rows --service shop --text refused   each error, newest first
  redspan errors list --since 1h --json | jq '.items[0].latest.id'";

/// `errors list`
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct List {
    #[command(flatten)]
    filter: Filter,
    /// List each error, newest first, instead of groups of them
    #[arg(long)]
    rows: bool,
    /// How many, 1 to 500
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// How many to leave out first
    #[arg(long, default_value_t = 0, conflicts_with = "after")]
    offset: u32,
    /// Go on after the page that ended with this cursor
    #[arg(long, value_name = "CURSOR")]
    after: Option<Cursor>,
    /// Show it anew every 2 seconds until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn is_watched(&self) -> bool {
        self.watch
    }

    pub(super) async fn answer<R: Reader + ?Sized>(
        &self,
        reader: &R,
        view: &View,
    ) -> Result<String, Failure> {
        let filter = self.filter.to_filter(view.now)?;
        let page = PageRequest {
            limit: self.limit,
            offset: self.offset,
            after: self.after.clone(),
        };
        let (mut text, next) = if self.rows {
            let errors = reader.get_errors(&filter, &page).await?;
            if self.json {
                return json(&errors);
            }
            (rows(&errors.items, view.now, view.screen), errors.next)
        } else {
            let groups = reader.get_errors_by_group(&filter, &page).await?;
            if self.json {
                return json(&groups);
            }
            (self.groups(&groups, view), groups.next)
        };
        if text.is_empty() {
            return if self.is_first_page() {
                nothing::found(&self.filter, reader, view).await
            } else {
                Ok(format!("No more errors{}.\n", self.filter.words(view.now)))
            };
        }
        if let Some(next) = next {
            text.push('\n');
            text.push_str(&Style::Dim.paint(&format!("More of them: --after {next}")));
            text.push('\n');
        }
        Ok(text)
    }

    fn is_first_page(&self) -> bool {
        self.offset == 0 && self.after.is_none()
    }

    fn groups(&self, page: &Page<GroupedErrors>, view: &View) -> String {
        let mut text = groups(&page.items, view.now, view.screen);
        if !text.is_empty() && self.is_first_page() && page.next.is_none() {
            let errors = page.items.iter().map(|group| group.errors).sum();
            let groups = i64::try_from(page.items.len()).unwrap_or(i64::MAX);
            let total = format!("{} in {}", count(errors, "error"), count(groups, "group"));
            text.push('\n');
            text.push_str(&Style::Dim.paint(&total));
            text.push('\n');
        }
        text
    }
}

fn groups(groups: &[GroupedErrors], now: Timestamp, screen: Screen) -> String {
    if groups.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        column("COUNT").number(),
        column("LAST").whole(),
        column("ID").whole(),
        SERVICE,
        ENDPOINT,
        ERROR,
    ]);
    for group in groups {
        let latest = &group.latest;
        table.row([
            Cell::new(&thousands(group.errors), Style::Bold),
            Cell::from(ago(now, group.last_seen_at)),
            Cell::new(&short_id(latest.id), Style::Name),
            Cell::from(&latest.service_name),
            Cell::from(&latest.endpoint),
            Cell::new(
                &short_summary(latest.error_code.as_deref(), &latest.error_message),
                Style::Severity(latest.severity),
            ),
        ]);
    }
    table.into_text(screen)
}

/// The errors in a table; empty when there are none.
pub(super) fn rows(errors: &[ApiError], now: Timestamp, screen: Screen) -> String {
    if errors.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        column("TIME").whole(),
        column("ID").whole(),
        column("SEVERITY").whole().for_wide(),
        column("CATEGORY").whole().for_wide(),
        SERVICE,
        column("METHOD").whole().for_wide(),
        ENDPOINT,
        column("STATUS").number().for_wide(),
        ERROR,
    ]);
    let is_today = |at: Timestamp| at.to_datetime().date_naive() == now.to_datetime().date_naive();
    // A terminal has better use for the columns of a date that nobody needs.
    let has_dates = screen.width.is_none() || !errors.iter().all(|it| is_today(it.created_at));
    for error in errors {
        let status = error.status_code.map(|status| status.to_string());
        table.row([
            Cell::from(if has_dates {
                to_the_second(error.created_at)
            } else {
                time_of_day(error.created_at)
            }),
            Cell::new(&short_id(error.id), Style::Name),
            Cell::new(error.severity.as_str(), Style::Severity(error.severity)),
            Cell::from(error.category.as_str()),
            Cell::from(&error.service_name),
            Cell::from(&error.method),
            Cell::from(&error.endpoint),
            Cell::from(status.as_deref().unwrap_or("-")),
            Cell::new(
                &short_summary(error.error_code.as_deref(), &error.error_message),
                Style::Severity(error.severity),
            ),
        ]);
    }
    table.into_text(screen)
}
