//! `redspan errors`: lists, shows and counts errors, beside a running server or without one.

use clap::{Args, Subcommand};
use uuid::Uuid;

use crate::{
    clock,
    domain::{ApiError, Category, ErrorId, Fingerprint, Severity, Timestamp, TraceId},
    failure::Failure,
    store::{
        Cursor, DatabaseSettings, ErrorFilter, ErrorStats, Page, PageRequest, Reader,
        connect_reader,
    },
};

use super::{
    json,
    table::{Table, beginning, count, many_lines, one_line, print},
    when::Period,
};

/// As much of a message as a list shows.
const MESSAGE_CHARS: usize = 80;

/// What to do with errors.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List errors, newest first
    List(Box<List>),
    /// Show all of one error
    Show(Show),
    /// Count errors by severity, category and endpoint
    Stats(Box<Stats>),
}

/// `errors list`
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    filter: Filter,
    /// How many, 1 to 500
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// How many to leave out first
    #[arg(long, default_value_t = 0, conflicts_with = "after")]
    offset: u32,
    /// Go on after the page that ended with this cursor
    #[arg(long, value_name = "CURSOR")]
    after: Option<Cursor>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `errors show`
#[derive(Args, Debug)]
pub struct Show {
    /// The error's id
    id: Uuid,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `errors stats`
#[derive(Args, Debug)]
pub struct Stats {
    #[command(flatten)]
    filter: Filter,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which errors; everything that is given must hold.
#[derive(Args, Debug, Default)]
pub struct Filter {
    #[command(flatten)]
    period: Period,
    /// Whose request failed
    #[arg(long, visible_alias = "user")]
    user_id: Option<String>,
    /// In which service
    #[arg(long, visible_alias = "service")]
    service_name: Option<String>,
    /// In which environment
    #[arg(long)]
    environment: Option<String>,
    /// On which endpoint: `/orders/{id}`
    #[arg(long)]
    endpoint: Option<String>,
    /// With which method
    #[arg(long)]
    method: Option<String>,
    /// How bad; several separated by commas
    #[arg(long, value_delimiter = ',')]
    severity: Vec<Severity>,
    /// Of which kind; several separated by commas
    #[arg(long, value_delimiter = ',')]
    category: Vec<Category>,
    /// With which HTTP status
    #[arg(long)]
    status_code: Option<i32>,
    /// Which called service failed
    #[arg(long)]
    external_service: Option<String>,
    /// Whether somebody took care of it
    #[arg(long, value_name = "true|false")]
    resolved: Option<bool>,
    /// In which request
    #[arg(long)]
    request_id: Option<String>,
    /// In which trace, 32 hexadecimal digits
    #[arg(long, value_parser = trace_id)]
    trace_id: Option<TraceId>,
    /// Of which group
    #[arg(long)]
    fingerprint: Option<String>,
    /// With this tag: `handled`, `probe`, `client_error`, …
    #[arg(long)]
    tag: Option<String>,
    /// With this text in the message, as it stands
    #[arg(long)]
    text: Option<String>,
    /// Those that were deleted too
    #[arg(long)]
    include_deleted: bool,
}

impl Filter {
    fn into_filter(self, now: Timestamp) -> ErrorFilter {
        ErrorFilter {
            from: self.period.from(now),
            to: self.period.to(),
            user_id: self.user_id,
            service_name: self.service_name,
            environment: self.environment,
            endpoint: self.endpoint,
            method: self.method,
            severity: self.severity,
            category: self.category,
            status_code: self.status_code,
            external_service: self.external_service,
            resolved: self.resolved,
            request_id: self.request_id,
            trace_id: self.trace_id,
            fingerprint: self.fingerprint.map(Fingerprint),
            tag: self.tag,
            text: self.text,
            include_deleted: self.include_deleted,
        }
    }
}

fn trace_id(text: &str) -> Result<TraceId, String> {
    TraceId::from_hex(text.as_bytes())
        .ok_or_else(|| "give 32 hexadecimal digits, not all zero".to_owned())
}

/// Runs the command on the database.
///
/// # Errors
/// When the database cannot answer, or there is no such error.
pub async fn run(command: Command, database: &DatabaseSettings) -> Result<(), Failure> {
    let store = connect_reader(database).await?;
    let answer = answer(command, &*store, clock::now()).await;
    store.close().await;
    print(&answer?)
}

/// What the command prints.
///
/// # Errors
/// When the database cannot answer, or there is no such error.
pub async fn answer<R: Reader + ?Sized>(
    command: Command,
    reader: &R,
    now: Timestamp,
) -> Result<String, Failure> {
    match command {
        Command::List(list) => {
            let page = PageRequest {
                limit: list.limit,
                offset: list.offset,
                after: list.after,
            };
            let filter = list.filter.into_filter(now);
            let errors = reader.get_errors(&filter, &page).await?;
            Ok(if list.json {
                json(&errors)?
            } else {
                list_text(&errors)
            })
        }
        Command::Show(show) => {
            let id = ErrorId(show.id);
            let Some(error) = reader.get_error_by_id(id).await? else {
                return Err(Failure::Usage(format!("there is no error {id}")));
            };
            Ok(if show.json {
                json(&error)?
            } else {
                show_text(id, &error)
            })
        }
        Command::Stats(stats) => {
            let filter = stats.filter.into_filter(now);
            let figures = reader.get_error_stats(&filter).await?;
            Ok(if stats.json {
                json(&figures)?
            } else {
                stats_text(&figures)
            })
        }
    }
}

fn list_text(page: &Page<ApiError>) -> String {
    if page.items.is_empty() {
        return "No error matches.\n".to_owned();
    }
    let mut table = Table::new(&[
        "TIME", "ID", "SEVERITY", "CATEGORY", "SERVICE", "METHOD", "ENDPOINT", "STATUS", "MESSAGE",
    ]);
    for error in &page.items {
        table.row([
            to_the_second(error.created_at),
            error.id.to_string(),
            error.severity.to_string(),
            error.category.to_string(),
            error.service_name.clone(),
            error.method.clone(),
            beginning(&error.endpoint, MESSAGE_CHARS),
            error
                .status_code
                .map_or_else(|| "-".to_owned(), |status| status.to_string()),
            beginning(&error.error_message, MESSAGE_CHARS),
        ]);
    }
    let mut text = table.into_text();
    if let Some(next) = &page.next {
        text.push_str("\nMore of them: --after ");
        text.push_str(&next.to_string());
        text.push('\n');
    }
    text
}

fn show_text(asked: ErrorId, error: &ApiError) -> String {
    let instant = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let mut facts = vec![
        ("id", Some(error.id.to_string())),
        ("message", Some(error.error_message.clone())),
        ("code", error.error_code.clone()),
        ("severity", Some(error.severity.to_string())),
        ("category", Some(error.category.to_string())),
        ("happened", Some(error.created_at.to_string())),
        ("received", Some(error.received_at.to_string())),
        ("service", Some(error.service_name.clone())),
        ("version", error.service_version.clone()),
        ("environment", Some(error.environment.clone())),
        (
            "endpoint",
            Some(format!("{} {}", error.method, error.endpoint)),
        ),
        ("status", error.status_code.map(|status| status.to_string())),
        ("user", error.user_id.clone()),
        ("request", error.request_id.clone()),
        ("address", error.ip_address.clone()),
        ("user agent", error.user_agent.clone()),
        ("external service", error.external_service.clone()),
        ("external code", error.external_error_code.clone()),
        ("external message", error.external_error_message.clone()),
        ("trace", error.trace_id.map(|id| id.to_string())),
        ("span", error.span_id.map(|id| id.to_string())),
        ("group", Some(error.fingerprint.to_string())),
        ("tags", Some(error.tags.join(", "))),
        ("resolved", instant(error.resolved_at)),
        ("resolved by", error.resolved_by.clone()),
        ("resolution", error.resolution.clone()),
        ("deleted", instant(error.deleted_at)),
    ];
    if asked != error.id {
        facts.insert(
            1,
            (
                "asked for",
                Some(format!("{asked}, which is part of this one")),
            ),
        );
    }
    let mut text = String::new();
    for (name, value) in facts {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            // Further lines of a value stand under its first.
            let value = many_lines(value.trim_end()).replace('\n', &format!("\n{:18}", ""));
            text.push_str(&[&format!("{name:<18}"), value.as_str(), "\n"].concat());
        }
    }
    if let Some(stack) = error
        .error_stack
        .as_deref()
        .filter(|stack| !stack.is_empty())
    {
        text.push_str("\nstack\n");
        text.push_str(&many_lines(stack.trim_end()));
        text.push('\n');
    }
    let bodies = [
        ("request headers", error.request_headers.as_ref()),
        ("request body", error.request_body.as_ref()),
        ("response body", error.response_body.as_ref()),
    ];
    for (name, value) in bodies {
        if let Some(value) = value {
            push_json(&mut text, name, &format!("{value:#}"));
        }
    }
    if !error.context.is_empty() {
        let context = serde_json::Value::Object(error.context.clone());
        push_json(&mut text, "context", &format!("{context:#}"));
    }
    text
}

fn push_json(text: &mut String, name: &str, json: &str) {
    text.push('\n');
    text.push_str(name);
    text.push('\n');
    text.push_str(&many_lines(json));
    text.push('\n');
}

fn stats_text(stats: &ErrorStats) -> String {
    let mut text = format!(
        "{} ({} unresolved, {} resolved), {}\n",
        count(stats.total, "error"),
        stats.unresolved,
        stats.resolved,
        count(stats.unique_users, "user")
    );
    let mut section = |heading: &str, counts: Vec<(String, i64)>| {
        if counts.is_empty() {
            return;
        }
        let mut table = Table::new(&[heading, "ERRORS"]);
        for (name, errors) in counts {
            table.row([name, errors.to_string()]);
        }
        text.push('\n');
        text.push_str(&table.into_text());
    };
    let by_severity = stats.by_severity.iter().rev();
    section(
        "SEVERITY",
        by_severity
            .map(|(severity, errors)| (severity.to_string(), *errors))
            .collect(),
    );
    let by_category = stats.by_category.iter();
    section(
        "CATEGORY",
        by_category
            .map(|(category, errors)| (category.to_string(), *errors))
            .collect(),
    );
    let top_endpoints = stats.top_endpoints.iter();
    section(
        "ENDPOINT",
        top_endpoints
            .map(|top| (one_line(&top.endpoint).into_owned(), top.errors))
            .collect(),
    );
    text
}

/// `2026-05-04 10:00:00`, UTC.
fn to_the_second(at: Timestamp) -> String {
    at.to_datetime().format("%Y-%m-%d %H:%M:%S").to_string()
}
