//! `redspan explain`: what was seen of a trace, and why its rows are what they are.

use clap::Args;

use super::{
    json,
    screen::{ColorChoice, Screen, Style, print},
    table::{Cell, Table, column},
    text::{ago, count, one_line},
};
use crate::{
    clock,
    detect::{ExplainedPart, ExplainedSighting, explain},
    domain::{FailedBecause, SightingKind, TraceId},
    failure::Failure,
    store::{DatabaseSettings, Reader, connect_reader},
};

const EXAMPLES: &str = "\
Examples:
  redspan explain 5b8efff798038103d269b633813fc60c
  redspan explain 5b8efff798038103d269b633813fc60c --json";

/// `explain`
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Explain {
    /// The trace: 32 hex digits, as `errors show` prints it
    #[arg(value_name = "TRACE")]
    trace_id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command on the database.
///
/// # Errors
/// When the database cannot answer.
pub async fn run(
    command: Explain,
    database: &DatabaseSettings,
    color: ColorChoice,
) -> Result<(), Failure> {
    let trace_id = trace_id(&command.trace_id)?;
    let store = connect_reader(database).await?;
    let answer = command
        .answer(&*store.patient(), trace_id, Screen::stdout(color))
        .await;
    store.close().await;
    print(&answer?)
}

impl Explain {
    async fn answer(
        &self,
        reader: &dyn Reader,
        trace_id: TraceId,
        screen: Screen,
    ) -> Result<String, Failure> {
        let parts = reader.get_trace(trace_id).await?;
        let parts: Vec<ExplainedPart> = parts.into_iter().map(explain).collect();
        if self.json {
            return json(&parts);
        }
        if parts.is_empty() {
            return Ok(format!(
                "Nothing is known of the trace {trace_id}: nothing in it failed, or it was long ago. \
                 What rules dropped or what was rejected lately, the process knows that took it: \
                 /api/v1/explain?traceId={trace_id}.\n"
            ));
        }
        let texts: Vec<String> = parts.iter().map(|part| text(part, screen)).collect();
        Ok(screen.show(&texts.join("\n")).into_owned())
    }
}

fn trace_id(text: &str) -> Result<TraceId, Failure> {
    TraceId::from_hex(text.as_bytes()).ok_or_else(|| {
        let text = one_line(text);
        Failure::Usage(format!(
            "TRACE is {text:?} but must have 32 hex digits, not all of them 0."
        ))
    })
}

fn text(part: &ExplainedPart, screen: Screen) -> String {
    let unremembered = match part.dropped_sightings {
        0 => String::new(),
        dropped => format!(
            "; {} had no room and were not remembered",
            count(dropped, "sighting")
        ),
    };
    let heading = format!(
        "{}, last added to {}{unremembered}",
        Style::Bold.paint(&one_line(&part.service_name)),
        ago(clock::now(), part.touched_at),
    );
    let mut seen = Table::new(&[
        column("#").whole(),
        column("SEEN").whole(),
        column("SPAN").whole(),
        column("WHAT"),
        column("WHICH IS"),
    ]);
    for (place, sighting) in part.sightings.iter().enumerate() {
        let span = sighting.span_id.map(|span| span.to_string());
        seen.row([
            Cell::new(&(place + 1).to_string(), Style::Dim),
            Cell::new(kind(sighting), Style::Plain),
            Cell::new(span.as_deref().unwrap_or("-"), Style::Dim),
            Cell::new(&one_line(&what(sighting)), Style::Plain),
            Cell::new(&which(sighting), Style::Plain),
        ]);
    }
    let mut rows = Table::new(&[
        column("ROW").whole(),
        column("SEVERITY").whole(),
        column("CATEGORY").whole(),
        column("ENDPOINT"),
        column("MADE OF"),
        column("MESSAGE"),
    ]);
    for row in &part.rows {
        let place = |place: usize| format!("#{}", place + 1);
        let span = row
            .in_span
            .map_or_else(String::new, |span| format!(" in {}", place(span)));
        let entry = row.entry.map_or_else(|| "unknown".to_owned(), place);
        let made_of = format!("{}{span}, request {entry}", place(row.built_from));
        rows.row([
            Cell::new(&row.id.to_string()[..8], Style::Name),
            Cell::new(row.severity.as_str(), Style::Severity(row.severity)),
            Cell::new(row.category.as_str(), Style::Plain),
            Cell::new(&one_line(&row.endpoint), Style::Plain),
            Cell::new(&made_of, Style::Plain),
            Cell::new(&one_line(&row.error_message), Style::Plain),
        ]);
    }
    [
        heading.as_str(),
        "\n\n",
        &seen.into_text(screen),
        "\n",
        &rows.into_text(screen),
    ]
    .concat()
}

fn kind(sighting: &ExplainedSighting) -> &'static str {
    match sighting.kind {
        SightingKind::FailedSpan => "failed span",
        SightingKind::Exception => "exception",
        SightingKind::Log => "log record",
        SightingKind::Span if sighting.endpoint.is_some() => "request",
        SightingKind::Span => "span",
    }
}

/// Type and message, and what says that it failed.
fn what(sighting: &ExplainedSighting) -> String {
    let thrown = [&sighting.short_type, &sighting.message];
    let thrown: Vec<&str> = thrown.into_iter().flatten().map(String::as_str).collect();
    let because = sighting.because.map(|because| match because {
        FailedBecause::Rule => "a rule says so".to_owned(),
        FailedBecause::StatusError => "status ERROR".to_owned(),
        FailedBecause::Answer => "by its answer".to_owned(),
        FailedBecause::ErrorType => "error.type".to_owned(),
    });
    let severity = sighting
        .log_severity
        .map(|number| format!("severity {number}"));
    let mut parts: Vec<String> = [Some(thrown.join(": ")), sighting.endpoint.clone()]
        .into_iter()
        .flatten()
        .filter(|text| !text.is_empty())
        .collect();
    parts.extend(because.or(severity).map(|text| format!("({text})")));
    parts.join(" ")
}

fn which(sighting: &ExplainedSighting) -> String {
    let outcome = sighting.outcome.as_sentence();
    match &sighting.rule {
        Some(rule) => format!("{outcome}; rule {:?}", one_line(rule)),
        None => outcome.to_owned(),
    }
}
