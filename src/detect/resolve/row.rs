//! What a resolved failure says, column by column, and back: the content that its row keeps.

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::detect::{SightingOutcome, row::FINGERPRINT_BASIS};
use crate::domain::{
    AggregationId, ApiError, Category, Content, EntryFacts, ErrorId, Gravity, JsonObject, Severity,
    Sighting, SightingKind, SpanId, Timestamp, TraceId,
};

/// Keys of `context` that are written here and belong to no content.
const ENTRY: &str = "entry";
const EVIDENCE: &str = "evidence";
const EVIDENCE_OMITTED: &str = "evidenceOmitted";
const EXCEPTION_TYPE: &str = "exceptionType";

/// Keys of contents.
const RESOURCE: &str = "resource";
const LOG: &str = "log";

/// What `log` says of the record itself.
const LOG_FACTS: [&str; 4] = ["severity", "severityNumber", "eventName", "body"];

/// How many sightings a row names as evidence; it counts the rest. They fit in the room that is
/// left beside a row's own texts.
const MAX_EVIDENCE: usize = 16;

/// The length of the column `error_code`.
const MAX_CODE_CHARS: usize = 100;

/// What a row is built from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Origin {
    /// The sighting that says what happened, and of which the row keeps the content.
    pub built_from: usize,
    /// The failed span that it happened in, when that does not say it itself.
    pub span: Option<usize>,
}

/// How a failure ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It failed whatever it happened in.
    Failure,
    /// Somebody took care of it.
    Handled,
    /// Its span went on, but somebody logged it as an error.
    Logged,
}

/// One failure of a trace: who belongs to it, and what follows from where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedRow {
    /// The key of its first sighting.
    pub id: ErrorId,
    /// Its sightings, in order of arrival.
    pub members: Vec<usize>,
    /// Why each of them is one.
    pub outcomes: Vec<SightingOutcome>,
    /// How it ended.
    pub standing: Standing,
    /// What it is built from.
    pub origin: Origin,
    /// The sighting of its entry span.
    pub entry: Option<usize>,
    /// The span of the origin.
    pub span_id: Option<SpanId>,
    /// Where and for whom it failed: the entry's, with what the origin knows better.
    pub facts: EntryFacts,
    /// See `api_errors.severity`.
    pub severity: Severity,
    /// See `api_errors.category`.
    pub category: Category,
    /// See `api_errors.tags`.
    pub tags: Vec<String>,
    /// When it happened.
    pub created_at: Timestamp,
    /// What was seen of it: kind, span, type and message of each sighting.
    pub evidence: Vec<Value>,
}

/// What all rows of a trace have in common.
#[derive(Clone, Copy, Debug)]
pub struct RowContext<'a> {
    /// See `api_errors.service_name`.
    pub service_name: &'a str,
    /// See `api_errors.trace_id`.
    pub trace_id: Option<TraceId>,
    /// See `api_errors.received_at`.
    pub received_at: Timestamp,
}

impl ResolvedRow {
    pub(super) fn new(
        sightings: &[Sighting],
        members: Vec<usize>,
        origin: Origin,
        entry: Option<usize>,
        standing: Standing,
    ) -> Self {
        let built_from = &sightings[origin.built_from];
        let span = origin.span.map(|span| &sightings[span]);
        let entry_facts = entry.and_then(|entry| sightings[entry].facts.as_ref());
        let own = [
            span.and_then(|span| span.facts.as_ref()),
            built_from.facts.as_ref(),
        ];
        let facts = facts(own, entry_facts);
        let client_error = entry_facts
            .and_then(|facts| facts.status_code)
            .filter(|status| (400..500).contains(status));
        let tags = [
            (standing == Standing::Handled, "handled"),
            (client_error.is_some(), "client_error"),
            (facts.probe, "probe"),
        ];
        let mut tags: Vec<_> = tags.into_iter().filter(|(applies, _)| *applies).collect();
        let is_mild = !tags.is_empty();
        if standing == Standing::Logged {
            tags.insert(0, (true, "logged"));
        }
        let is_critical = |it: &Sighting| it.kind == SightingKind::Log && it.critical;
        let is_critical = built_from.critical
            || span.is_some_and(|span| span.critical)
            || members
                .iter()
                .any(|member| is_critical(&sightings[*member]));
        let stated = built_from.stated_severity;
        let severity = match stated.or(span.and_then(|span| span.stated_severity)) {
            Some(stated) => stated,
            None if is_critical => Severity::Critical,
            None if is_mild => Severity::Warning,
            None => Severity::Error,
        };
        let own_category = match (built_from.own_category, span.and_then(|it| it.own_category)) {
            (Some(logged), Some(of_span)) => Some(category_in_span(logged, of_span)),
            (logged, of_span) => logged.or(of_span),
        };
        let category = built_from
            .stated_category
            .or(span.and_then(|span| span.stated_category))
            .or(client_error.map(category_of_client_error))
            .or(own_category)
            .unwrap_or(Category::Unknown);
        let thrown_at = members
            .iter()
            .filter_map(|member| sightings[*member].thrown_at_micros)
            .min();
        let named_after = members
            .iter()
            .find(|member| sightings[**member].makes_row());
        let named_after = named_after.copied().unwrap_or(origin.built_from);
        let place = span.unwrap_or(built_from);
        Self {
            id: ErrorId(sightings[named_after].key.0),
            outcomes: vec![SightingOutcome::Failure; members.len()],
            standing,
            origin,
            entry,
            span_id: place.span_id,
            facts,
            severity,
            category,
            tags: all_tags(tags.into_iter().map(|(_, tag)| tag), &members, sightings),
            created_at: Timestamp::from_micros(thrown_at.unwrap_or(place.ended_at_micros)),
            evidence: members
                .iter()
                .take(MAX_EVIDENCE)
                .map(|member| evidence(&sightings[*member]))
                .collect(),
            members,
        }
    }
}

/// Endpoint, method, status and probe are the request's; who called is what the failure itself
/// says, else what the request says. A failed span stands before what was logged in it.
fn facts(own: [Option<&EntryFacts>; 2], entry: Option<&EntryFacts>) -> EntryFacts {
    let [span, built_from] = own;
    let facts = entry.or(span).or(built_from);
    let mut facts = facts.cloned().unwrap_or_default();
    for own in own.into_iter().flatten() {
        prefer(&mut facts.user_id, own.user_id.as_ref());
        prefer(&mut facts.request_id, own.request_id.as_ref());
        prefer(&mut facts.ip_address, own.ip_address.as_ref());
        prefer(&mut facts.user_agent, own.user_agent.as_ref());
        prefer(&mut facts.request_headers, own.request_headers.as_ref());
    }
    facts
}

/// Where the failure stands, and what rules of the user add; each once.
fn all_tags<'t>(
    standing: impl Iterator<Item = &'t str>,
    members: &[usize],
    sightings: &[Sighting],
) -> Vec<String> {
    let mut tags: Vec<String> = standing.map(str::to_owned).collect();
    for tag in members.iter().flat_map(|member| &sightings[*member].tags) {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    tags
}

fn prefer<T: Clone>(value: &mut Option<T>, better: Option<&T>) {
    if let Some(better) = better {
        *value = Some(better.clone());
    }
}

/// The category of what was logged in a failed span that does not say itself what was thrown: the
/// span knows what was called, the exception what went wrong with it.
fn category_in_span(logged: Category, of_span: Category) -> Category {
    match of_span {
        Category::Unknown | Category::Application => logged,
        Category::ExternalApi if matches!(logged, Category::Network | Category::Database) => logged,
        of_span => of_span,
    }
}

fn category_of_client_error(status: i32) -> Category {
    match status {
        401 | 407 => Category::Authentication,
        403 | 451 => Category::Authorization,
        408 => Category::Network,
        429 => Category::Application,
        _ => Category::Validation,
    }
}

fn evidence(sighting: &Sighting) -> Value {
    let mut evidence = Map::new();
    evidence.insert("kind".to_owned(), json!(sighting.kind));
    if let Some(span) = sighting.span_id {
        evidence.insert("spanId".to_owned(), span.to_string().into());
    }
    if let Some(thrown) = &sighting.thrown {
        evidence.insert("type".to_owned(), thrown.short_type.clone().into());
        evidence.insert("message".to_owned(), thrown.first_line.clone().into());
    }
    Value::Object(evidence)
}

/// The row of an exception that was logged outside of any trace.
pub(in crate::detect) fn row_outside_of_traces(
    sighting: Sighting,
    service_name: &str,
    received_at: Timestamp,
) -> Option<ApiError> {
    let standing = match sighting.log_gravity() {
        Gravity::Failure => Standing::Failure,
        Gravity::Warning | Gravity::Remark => Standing::Handled,
    };
    let origin = Origin {
        built_from: 0,
        span: None,
    };
    let sightings = [sighting];
    let row = ResolvedRow::new(&sightings, vec![0], origin, None, standing);
    let common = RowContext {
        service_name,
        trace_id: None,
        received_at,
    };
    build_row(&row, &sightings, &common)
}

/// The row, not yet folded into the hours' limits. `None` when the content of its origin is gone.
#[must_use]
pub fn build_row(
    row: &ResolvedRow,
    sightings: &[Sighting],
    common: &RowContext<'_>,
) -> Option<ApiError> {
    let origin = &sightings[row.origin.built_from];
    let content = origin.content.as_deref()?;
    let span = row.origin.span;
    let span = span.and_then(|span| sightings[span].content.as_deref());
    let external = span.unwrap_or(content);
    let facts = &row.facts;
    let mut error = ApiError {
        id: row.id,
        user_id: facts.user_id.clone(),
        request_id: facts.request_id.clone(),
        endpoint: facts.endpoint.clone(),
        method: facts.method.clone(),
        error_code: content
            .error_code
            .clone()
            .or_else(|| span.and_then(|span| span.error_code.clone())),
        error_message: message(origin, content),
        error_stack: content.error_stack.clone(),
        severity: row.severity,
        category: row.category,
        status_code: facts.status_code,
        request_body: None,
        request_headers: facts
            .request_headers
            .as_ref()
            .map(|headers| Value::Object(headers.to_map())),
        response_body: None,
        external_service: external.external_service.clone(),
        external_error_code: external.external_error_code.clone(),
        external_error_message: external.external_error_message.clone(),
        context: span.map_or_else(
            || content.context.to_map(),
            |span| beside_span(span, content),
        ),
        tags: row.tags.clone(),
        resolved: false,
        resolved_at: None,
        resolved_by: None,
        resolution: None,
        ip_address: facts.ip_address.clone(),
        user_agent: facts.user_agent.clone(),
        created_at: row.created_at,
        service_name: common.service_name.to_owned(),
        service_version: content.service_version.clone(),
        environment: content.environment.clone(),
        trace_id: common.trace_id,
        span_id: row.span_id,
        fingerprint: content.fingerprint.clone(),
        aggregation_id: AggregationId(row.id.0),
        received_at: common.received_at,
        deleted_at: None,
    };
    if span.is_some() && error.external_error_message.is_some() {
        // What was called failed with this.
        error.external_error_message = Some(error.error_message.clone());
        let code = &mut error.external_error_code;
        *code = code.take().or_else(|| content.error_code.clone());
    }
    error.aggregation_id = AggregationId::new(error.hour(), &error.dimensions());
    add_own_keys(&mut error, row);
    Some(error)
}

/// The context of a failed span with that of the log record which says what was thrown in it. Nothing
/// of the record is lost, for it may turn out to belong elsewhere.
fn beside_span(span: &Content, log: &Content) -> Map<String, Value> {
    let mut context = span.context.to_map();
    let code = log.error_code.clone();
    let mut log = log.context.to_map();
    if let Some(resource) = log.remove(RESOURCE) {
        context.entry(RESOURCE).or_insert(resource);
    }
    // The row's kind is the record's.
    context.remove(FINGERPRINT_BASIS);
    context.extend(log.remove_entry(FINGERPRINT_BASIS));
    if let Some(Value::Object(facts)) = log.remove(LOG) {
        log.extend(facts);
    }
    log.insert(EXCEPTION_TYPE.to_owned(), code.into());
    context.insert(LOG.to_owned(), log.into());
    context
}

/// The reverse of [`beside_span`]: the record's own error code and context, when it stands beside a
/// span.
fn log_beside_span(context: &Map<String, Value>) -> Option<(Option<String>, Map<String, Value>)> {
    let mut log = context.get(LOG)?.as_object()?.clone();
    let code = log.remove(EXCEPTION_TYPE)?;
    let facts = LOG_FACTS.iter();
    let facts: Map<_, _> = facts.filter_map(|key| log.remove_entry(*key)).collect();
    log.insert(LOG.to_owned(), facts.into());
    for key in [RESOURCE, FINGERPRINT_BASIS] {
        log.extend(
            context
                .get_key_value(key)
                .map(|(key, value)| (key.clone(), value.clone())),
        );
    }
    Some((code.as_str().map(str::to_owned), log))
}

/// Never empty, even when the content was trimmed to its names.
fn message(origin: &Sighting, content: &Content) -> String {
    let thrown = origin.thrown.as_ref();
    let short = thrown.map(|thrown| [&thrown.first_line, &thrown.short_type]);
    [&content.error_message]
        .into_iter()
        .chain(short.into_iter().flatten())
        .find(|text| !text.is_empty())
        .map_or_else(|| "failed".to_owned(), Clone::clone)
}

fn add_own_keys(error: &mut ApiError, row: &ResolvedRow) {
    let mut add = |key: &str, value| error.context.insert(key.to_owned(), value);
    if row.entry.is_none() {
        add(ENTRY, "unknown".into());
    }
    add(EVIDENCE, row.evidence.clone().into());
    let omitted = row.members.len() - row.evidence.len();
    if omitted > 0 {
        add(EVIDENCE_OMITTED, omitted.into());
    }
    if let Some(code) = &mut error.error_code
        && let Some((end, _)) = code.char_indices().nth(MAX_CODE_CHARS)
    {
        add(EXCEPTION_TYPE, code.clone().into());
        code.truncate(end);
    }
}

/// The content of the sighting that a row is built from: the reverse of [`build_row`].
#[must_use]
pub fn content_of(row: &ApiError) -> Content {
    let mut context = row.context.clone();
    for key in [ENTRY, EVIDENCE, EVIDENCE_OMITTED] {
        context.remove(key);
    }
    let exception_type = match context.remove(EXCEPTION_TYPE) {
        Some(Value::String(whole)) => Some(whole),
        _ => None,
    };
    let (error_code, external) = match log_beside_span(&context) {
        Some((code, own)) => {
            context = own;
            (code, None)
        }
        None => (exception_type.or_else(|| row.error_code.clone()), Some(row)),
    };
    Content {
        error_message: row.error_message.clone(),
        error_code,
        error_stack: row.error_stack.clone(),
        external_service: external.and_then(|row| row.external_service.clone()),
        external_error_code: external.and_then(|row| row.external_error_code.clone()),
        external_error_message: external.and_then(|row| row.external_error_message.clone()),
        context: JsonObject::from(&context),
        service_version: row.service_version.clone(),
        environment: row.environment.clone(),
        fingerprint: row.fingerprint.clone(),
    }
}
