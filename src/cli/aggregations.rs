//! `redspan aggregations`: lists the hours, proves that they say what their rows say, and counts
//! them again.

use clap::{Args, Subcommand};

use crate::{
    clock,
    domain::{Aggregation, Category, Severity, Timestamp},
    failure::Failure,
    store::{
        AggregationFilter, Cursor, DatabaseSettings, Page, PageRequest, Reader, Verification,
        connect, connect_reader,
    },
};

use super::{
    json,
    screen::{ColorChoice, Screen, Style, print},
    table::{Cell, Table, column},
    text::{count, one_line, thousands},
    when::Period,
    word,
};

const LIST_EXAMPLES: &str = "\
Examples:
  redspan aggregations list --since 1d --service shop
  redspan aggregations list --from 2026-05-04 --to 2026-05-05 --endpoint /orders/{id} --json";

const VERIFY_EXAMPLES: &str = "\
Examples:
  redspan aggregations verify              hours, groups and counters
  redspan aggregations verify --since 7d   hours alone, which is faster";

const REBUILD_EXAMPLES: &str = "\
Examples:
  redspan aggregations rebuild --since 1d
  redspan aggregations rebuild             every hour there is";

/// What to do with hours.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List hours, latest first
    List(Box<List>),
    /// Prove that hours, groups and counters say what the rows say (exit code 65 when not)
    Verify(Verify),
    /// Count the hours again from their rows; an SQLite file must not be in use
    Rebuild(Rebuild),
}

/// `aggregations list`
#[derive(Args, Debug)]
#[command(after_help = LIST_EXAMPLES)]
pub struct List {
    #[command(flatten)]
    period: Period,
    /// In which service
    #[arg(long, visible_alias = "service")]
    service_name: Option<String>,
    /// On which endpoint
    #[arg(long)]
    endpoint: Option<String>,
    /// How bad
    #[arg(long, value_parser = word(Severity::ALL, Severity::as_str))]
    severity: Option<Severity>,
    /// Of which category
    #[arg(long, value_parser = word(Category::ALL, Category::as_str))]
    category: Option<Category>,
    /// Which called service failed
    #[arg(long)]
    external_service: Option<String>,
    /// How many, 1 to 500
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// Go on after the page that ended with this cursor
    #[arg(long, value_name = "CURSOR")]
    after: Option<Cursor>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `aggregations verify`
#[derive(Args, Debug)]
#[command(after_help = VERIFY_EXAMPLES)]
pub struct Verify {
    #[command(flatten)]
    period: Period,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `aggregations rebuild`
#[derive(Args, Debug)]
#[command(after_help = REBUILD_EXAMPLES)]
pub struct Rebuild {
    #[command(flatten)]
    period: Period,
}

/// Runs the command on the database.
///
/// # Errors
/// When the database cannot answer; [`Failure::Corrupt`] when something does not add up.
pub async fn run(
    command: Command,
    database: &DatabaseSettings,
    color: ColorChoice,
    actor: &str,
) -> Result<(), Failure> {
    let now = clock::now();
    match command {
        Command::List(list) => {
            let store = connect_reader(database).await?;
            let answer = list.answer(&*store, now, Screen::stdout(color)).await;
            store.close().await;
            print(&answer?)
        }
        Command::Verify(verify) => {
            let store = connect_reader(database).await?;
            let found = verify.find(&*store, now).await;
            store.close().await;
            let found = found?;
            print(&verify.text(&found)?)?;
            conclude(&found)
        }
        Command::Rebuild(range) => {
            let (from, to) = range.period.hours(now)?;
            let settings = DatabaseSettings {
                migrate: false,
                ..database.clone()
            };
            let store = connect(&settings).await?;
            let rebuilt = match store.writer().await {
                Ok(mut writer) => writer.rebuild_aggregations(from, to, actor, now).await,
                Err(error) => Err(error),
            };
            store.close().await;
            print(&match rebuilt? {
                0 => "Every hour was right.\n".to_owned(),
                1 => "1 hour corrected.\n".to_owned(),
                hours => format!("{hours} hours corrected.\n"),
            })
        }
    }
}

impl List {
    /// What the command prints.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn answer<R: Reader + ?Sized>(
        self,
        reader: &R,
        now: Timestamp,
        screen: Screen,
    ) -> Result<String, Failure> {
        let (from, to) = self.period.hours(now)?;
        let filter = AggregationFilter {
            from,
            to,
            service_name: self.service_name,
            endpoint: self.endpoint,
            severity: self.severity,
            category: self.category,
            external_service: self.external_service,
        };
        let page = PageRequest {
            limit: self.limit,
            offset: 0,
            after: self.after,
        };
        let hours = reader.get_aggregations(&filter, &page).await?;
        if self.json {
            json(&hours)
        } else {
            Ok(screen.show(&list_text(&hours, screen)).into_owned())
        }
    }
}

impl Verify {
    /// What does not add up.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn find<R: Reader + ?Sized>(
        &self,
        reader: &R,
        now: Timestamp,
    ) -> Result<Verification, Failure> {
        let (from, to) = self.period.hours(now)?;
        Ok(reader.verify_aggregations(from, to, now).await?)
    }

    /// What the command prints.
    ///
    /// # Errors
    /// Never in practice: the findings are plain JSON.
    pub fn text(&self, found: &Verification) -> Result<String, Failure> {
        if self.json {
            return json(found);
        }
        let mut lines: Vec<String> = found
            .mismatches
            .iter()
            .map(|mismatch| one_line(&mismatch.to_string()).into_owned())
            .collect();
        if found.more_mismatches > 0 {
            lines.push(format!("And {} more.", found.more_mismatches));
        }
        let verdict = if found.is_clean() {
            "Everything adds up"
        } else {
            "Compared"
        };
        let mut compared = vec![
            count(found.aggregations, "hourly count"),
            count(found.errors, "error"),
        ];
        if self.period.is_all() {
            compared.push(count(found.groups, "group"));
            compared.push(format!(
                "the counters of {}",
                count(found.writers, "writer")
            ));
        }
        lines.push(format!("{verdict}: {}.\n", compared.join(", ")));
        Ok(lines.join("\n"))
    }
}

fn conclude(found: &Verification) -> Result<(), Failure> {
    if found.is_clean() {
        return Ok(());
    }
    let mismatches = i64::try_from(found.mismatches.len()).unwrap_or(i64::MAX);
    Err(Failure::Corrupt(format!(
        "{} found; `redspan aggregations rebuild` counts the hours again from their rows",
        count(mismatches + found.more_mismatches, "mismatch")
    )))
}

fn list_text(page: &Page<Aggregation>, screen: Screen) -> String {
    if page.items.is_empty() {
        return "No hour matches.\n".to_owned();
    }
    let mut table = Table::new(&[
        column("HOUR").whole(),
        column("ERRORS").number(),
        column("USERS").number(),
        column("SEVERITY").whole(),
        column("CATEGORY").whole().for_wide(),
        column("SERVICE").keeps_end(),
        column("METHOD").whole().for_wide(),
        column("ENDPOINT").parts(2).keeps_end(),
        column("STATUS").number().for_wide(),
        column("EXTERNAL").for_wide(),
    ]);
    for hour in &page.items {
        let dimensions = &hour.dimensions;
        let start = hour.hour_bucket.start().to_datetime();
        let status = dimensions.status_code.map(|status| status.to_string());
        table.row([
            Cell::from(start.format("%Y-%m-%d %H:00").to_string()),
            Cell::new(&thousands(hour.total_errors), Style::Bold),
            Cell::from(thousands(hour.unique_users)),
            Cell::new(
                dimensions.severity.as_str(),
                Style::Severity(dimensions.severity),
            ),
            Cell::from(dimensions.category.as_str()),
            Cell::from(&dimensions.service_name),
            Cell::from(&dimensions.method),
            Cell::from(&dimensions.endpoint),
            Cell::from(status.as_deref().unwrap_or("-")),
            Cell::from(dimensions.external_service.as_deref().unwrap_or_default()),
        ]);
    }
    let mut text = table.into_text(screen);
    if let Some(next) = &page.next {
        text.push('\n');
        text.push_str(&Style::Dim.paint(&format!("More of them: --after {next}")));
        text.push('\n');
    }
    text
}
