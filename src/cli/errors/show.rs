//! `redspan errors show`: the whole story of one error.

use clap::Args;
use serde::Serialize;

use crate::{
    cli::{
        json,
        screen::Style,
        text::{ago, count, many_lines, one_line},
    },
    domain::{
        ApiError, Category, ErrorGroup, ErrorId, Severity, Sighting, Timestamp, TraceId, TraceKey,
    },
    failure::Failure,
    store::{ErrorFilter, PageRequest, Reader},
};

use super::{View, id_range::IdRange, list::rows, story, summary};

/// Other errors of the same trace that are listed.
const MAX_NEIGHBOURS: u32 = 10;

const EXAMPLES: &str = "\
Examples:
  redspan errors show f9642518           the beginning of an id is enough
  redspan errors show f9642518 --full    with every line of its stack
  redspan errors show f9642518 --json | jq .context.attributes";

/// `errors show`
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Show {
    /// The error's id, or its beginning: 8 characters or more
    #[arg(value_parser = IdRange::parse)]
    id: IdRange,
    /// Cut nothing, as in a pipe
    #[arg(long)]
    full: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// An error and what stands around it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Story {
    #[serde(flatten)]
    error: ApiError,
    trace_url: Option<String>,
    group: Option<ErrorGroup>,
    same_trace: Vec<Neighbour>,
    #[serde(skip)]
    neighbours: Vec<ApiError>,
    /// Whether the trace has more of them.
    #[serde(skip)]
    has_more: bool,
    #[serde(skip)]
    sightings: Vec<Sighting>,
}

/// Another error of the same trace.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Neighbour {
    id: ErrorId,
    service_name: String,
    endpoint: String,
    severity: Severity,
    category: Category,
    error_code: Option<String>,
    error_message: String,
    created_at: Timestamp,
}

impl Story {
    async fn read<R: Reader + ?Sized>(
        reader: &R,
        error: ApiError,
        view: &View,
    ) -> Result<Self, Failure> {
        let (mut neighbours, mut has_more, mut sightings) = (Vec::new(), false, Vec::new());
        if let Some(trace_id) = error.trace_id {
            let of_trace = ErrorFilter {
                trace_id: Some(trace_id),
                ..ErrorFilter::default()
            };
            // The error itself may be among them, and one more says that there are more.
            let page = PageRequest::first(MAX_NEIGHBOURS + 2);
            neighbours = reader.get_errors(&of_trace, &page).await?.items;
            neighbours.retain(|other| other.id != error.id);
            has_more = neighbours.len() > MAX_NEIGHBOURS as usize;
            neighbours.truncate(MAX_NEIGHBOURS as usize);
            let trace = TraceKey::new(&error.service_name, trace_id);
            sightings = reader.get_sightings(trace).await?;
        }
        Ok(Self {
            trace_url: error
                .trace_id
                .zip(view.trace_link.as_ref())
                .map(|(trace, link)| link.to(trace)),
            group: reader.get_group(&error.fingerprint).await?,
            same_trace: neighbours.iter().map(Neighbour::of).collect(),
            error,
            neighbours,
            has_more,
            sightings,
        })
    }
}

impl Neighbour {
    fn of(error: &ApiError) -> Self {
        Self {
            id: error.id,
            service_name: error.service_name.clone(),
            endpoint: error.endpoint.clone(),
            severity: error.severity,
            category: error.category,
            error_code: error.error_code.clone(),
            error_message: error.error_message.clone(),
            created_at: error.created_at,
        }
    }
}

impl Show {
    pub(super) async fn answer<R: Reader + ?Sized>(
        &self,
        reader: &R,
        view: &View,
    ) -> Result<String, Failure> {
        let missing = || Failure::Usage(format!("there is no error {}", self.id.typed()));
        let asked = self.id.find(reader).await?.ok_or_else(missing)?;
        let error = reader.get_error_by_id(asked).await?.ok_or_else(missing)?;
        let story = Story::read(reader, error, view).await?;
        if self.json {
            return json(&story);
        }
        Ok(self.text(asked, &story, view))
    }

    fn text(&self, asked: ErrorId, story: &Story, view: &View) -> String {
        let error = &story.error;
        let width = view.screen.width.filter(|_| !self.full);
        let is_full = width.is_none();
        let width = width.map_or(usize::MAX, usize::from);
        let mut text = heading(error);
        facts(&mut text, asked, story, view.now);
        if let Some(stack) = error.error_stack.as_deref().filter(|it| !it.is_empty()) {
            section(&mut text, "stack", &story::stack(stack, is_full));
        }
        let made_of = story::evidence(error, &story.sightings, width);
        section(&mut text, "made of", &made_of);
        if let Some(trace_id) = error.trace_id {
            trace(&mut text, trace_id, story, view);
        }
        if let Some(group) = &story.group {
            let body = group_text(group, view.now) + &story::basis(error, width);
            section(&mut text, "group", &body);
        }
        let json = [
            ("request headers", error.request_headers.as_ref()),
            ("request body", error.request_body.as_ref()),
            ("response body", error.response_body.as_ref()),
        ];
        for (name, value) in json {
            if let Some(value) = value {
                section(&mut text, name, &story::values(value, width));
            }
        }
        for (name, value) in &error.context {
            if !story::is_told(name) {
                section(&mut text, &one_line(name), &story::values(value, width));
            }
        }
        text
    }
}

fn heading(error: &ApiError) -> String {
    let message = error.error_message.trim();
    let first = summary(error.error_code.as_deref(), message);
    let mut text = Style::Severity(error.severity).paint(&one_line(&first));
    text.push('\n');
    for line in many_lines(message).lines().skip(1) {
        text.push_str(&["  ", line, "\n"].concat());
    }
    text.push('\n');
    text
}

fn facts(text: &mut String, asked: ErrorId, story: &Story, now: Timestamp) {
    let error = &story.error;
    let instant = |at: Timestamp| instant(now, at);
    let status = error
        .status_code
        .map(|status| format!(", answered {status}"));
    let merged = (asked != error.id).then(|| format!("{asked}, which is part of this one"));
    let facts = [
        ("id", Some(error.id.to_string())),
        ("asked for", merged),
        ("severity", Some(error.severity.to_string())),
        ("category", Some(error.category.to_string())),
        ("tags", Some(error.tags.join(", "))),
        ("happened", Some(instant(error.created_at))),
        ("received", Some(instant(error.received_at))),
        ("service", Some(error.service_name.clone())),
        ("version", error.service_version.clone()),
        ("environment", Some(error.environment.clone())),
        (
            "endpoint",
            Some(
                [
                    &error.method,
                    " ",
                    &error.endpoint,
                    &status.unwrap_or_default(),
                ]
                .concat(),
            ),
        ),
        ("user", error.user_id.clone()),
        ("request", error.request_id.clone()),
        ("address", error.ip_address.clone()),
        ("user agent", error.user_agent.clone()),
        ("external service", error.external_service.clone()),
        ("external code", error.external_error_code.clone()),
        ("external message", error.external_error_message.clone()),
        ("trace", error.trace_id.map(|id| id.to_string())),
        ("trace link", story.trace_url.clone()),
        ("span", error.span_id.map(|id| id.to_string())),
        ("resolved", error.resolved_at.map(instant)),
        ("resolved by", error.resolved_by.clone()),
        ("resolution", error.resolution.clone()),
        ("deleted", error.deleted_at.map(instant)),
    ];
    for (name, value) in facts {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            // Further lines of a value stand under its first.
            let value = many_lines(value.trim_end()).replace('\n', &format!("\n{:18}", ""));
            let name = Style::Dim.paint(&format!("{name:<18}"));
            text.push_str(&[&name, value.as_str(), "\n"].concat());
        }
    }
}

/// The other errors of the trace.
fn trace(text: &mut String, trace_id: TraceId, story: &Story, view: &View) {
    if story.neighbours.is_empty() {
        section(text, "same trace", "no other error\n");
        return;
    }
    section(
        text,
        "same trace",
        &rows(&story.neighbours, view.now, view.screen),
    );
    if story.has_more {
        let all = format!("all of them: redspan errors list --rows --trace-id {trace_id}");
        text.push_str(&Style::Dim.paint(&all));
        text.push('\n');
    }
}

fn group_text(group: &ErrorGroup, now: Timestamp) -> String {
    let instant = |at: Timestamp| instant(now, at);
    let version = |version: Option<&String>| {
        version.map_or_else(String::new, |it| format!(", version {}", one_line(it)))
    };
    let back = group.regressed_at;
    let back = back.map(|at| format!("back  {}\n", instant(at)));
    format!(
        "{}: {}, {}\nfirst {}{}\nlast  {}{}\n{}",
        one_line(&group.fingerprint.0),
        count(group.total_errors, "error"),
        group.status.as_str(),
        instant(group.first_seen_at),
        version(group.first_version.as_ref()),
        instant(group.last_seen_at),
        version(group.last_version.as_ref()),
        back.unwrap_or_default()
    )
}

/// To the millisecond, and how long ago that is.
fn instant(now: Timestamp, at: Timestamp) -> String {
    let time = at.to_datetime().format("%Y-%m-%d %H:%M:%S%.3f");
    format!("{time} UTC, {}", ago(now, at))
}

fn section(text: &mut String, name: &str, body: &str) {
    text.push('\n');
    text.push_str(&Style::Bold.paint(name));
    text.push('\n');
    text.push_str(body);
}
