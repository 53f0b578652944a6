//! What a resolved failure says, column by column, and back: the content that its row keeps.

use serde_json::{Map, Value, json};

use crate::domain::{
    AggregationId, ApiError, Category, Content, EntryFacts, ErrorId, JsonObject, Severity,
    Sighting, SpanId, Timestamp, TraceId,
};

/// Keys of `context` that are written here and belong to no content.
const ENTRY: &str = "entry";
const EVIDENCE: &str = "evidence";
const EVIDENCE_OMITTED: &str = "evidenceOmitted";
const EXCEPTION_TYPE: &str = "exceptionType";

/// How many sightings a row names as evidence; it counts the rest. They fit in the room that is
/// left beside a row's own texts.
const MAX_EVIDENCE: usize = 16;

/// The length of the column `error_code`.
const MAX_CODE_CHARS: usize = 100;

/// One failure of a trace: who belongs to it, and what follows from where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedRow {
    /// The key of its first sighting.
    pub id: ErrorId,
    /// Its sightings, in order of arrival.
    pub members: Vec<usize>,
    /// The sighting that it is built from.
    pub origin: usize,
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
    pub tags: Vec<&'static str>,
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
    pub trace_id: TraceId,
    /// See `api_errors.received_at`.
    pub received_at: Timestamp,
}

impl ResolvedRow {
    pub(super) fn new(
        sightings: &[Sighting],
        members: Vec<usize>,
        origin: usize,
        entry: Option<usize>,
        is_handled: bool,
    ) -> Self {
        let built_from = &sightings[origin];
        let entry_facts = entry.and_then(|entry| sightings[entry].facts.as_ref());
        let facts = facts(built_from.facts.as_ref(), entry_facts);
        let client_error = entry_facts
            .and_then(|facts| facts.status_code)
            .filter(|status| (400..500).contains(status));
        let tags = [
            (is_handled, "handled"),
            (client_error.is_some(), "client_error"),
            (facts.probe, "probe"),
        ];
        let tags: Vec<_> = tags.iter().filter(|(applies, _)| *applies).collect();
        let severity = match built_from.stated_severity {
            Some(stated) => stated,
            None if built_from.critical => Severity::Critical,
            None if tags.is_empty() => Severity::Error,
            None => Severity::Warning,
        };
        let category = built_from
            .stated_category
            .or(client_error.map(category_of_client_error))
            .or(built_from.own_category)
            .unwrap_or(Category::Unknown);
        let thrown_at = members
            .iter()
            .filter_map(|member| sightings[*member].thrown_at_micros)
            .min();
        Self {
            id: ErrorId(sightings[members[0]].key.0),
            origin,
            entry,
            span_id: built_from.span_id,
            facts,
            severity,
            category,
            tags: tags.into_iter().map(|(_, tag)| *tag).collect(),
            created_at: Timestamp::from_micros(thrown_at.unwrap_or(built_from.ended_at_micros)),
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
/// says, else what the request says.
fn facts(own: Option<&EntryFacts>, entry: Option<&EntryFacts>) -> EntryFacts {
    let mut facts = entry.or(own).cloned().unwrap_or_default();
    if let Some(own) = own {
        prefer(&mut facts.user_id, own.user_id.as_ref());
        prefer(&mut facts.request_id, own.request_id.as_ref());
        prefer(&mut facts.ip_address, own.ip_address.as_ref());
        prefer(&mut facts.user_agent, own.user_agent.as_ref());
        prefer(&mut facts.request_headers, own.request_headers.as_ref());
    }
    facts
}

fn prefer<T: Clone>(value: &mut Option<T>, better: Option<&T>) {
    if let Some(better) = better {
        *value = Some(better.clone());
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

/// The row, not yet folded into the hours' limits. `None` when the content of its origin is gone.
#[must_use]
pub fn build_row(
    row: &ResolvedRow,
    sightings: &[Sighting],
    common: &RowContext<'_>,
) -> Option<ApiError> {
    let origin = &sightings[row.origin];
    let content = origin.content.as_deref()?;
    let facts = &row.facts;
    let mut error = ApiError {
        id: row.id,
        user_id: facts.user_id.clone(),
        request_id: facts.request_id.clone(),
        endpoint: facts.endpoint.clone(),
        method: facts.method.clone(),
        error_code: content.error_code.clone(),
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
        external_service: content.external_service.clone(),
        external_error_code: content.external_error_code.clone(),
        external_error_message: content.external_error_message.clone(),
        context: content.context.to_map(),
        tags: row.tags.iter().map(|tag| (*tag).to_owned()).collect(),
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
        trace_id: Some(common.trace_id),
        span_id: row.span_id,
        fingerprint: content.fingerprint.clone(),
        aggregation_id: AggregationId(row.id.0),
        received_at: common.received_at,
        deleted_at: None,
    };
    error.aggregation_id = AggregationId::new(error.hour(), &error.dimensions());
    add_own_keys(&mut error, row);
    Some(error)
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
    Content {
        error_message: row.error_message.clone(),
        error_code: exception_type.or_else(|| row.error_code.clone()),
        error_stack: row.error_stack.clone(),
        external_service: row.external_service.clone(),
        external_error_code: row.external_error_code.clone(),
        external_error_message: row.external_error_message.clone(),
        context: JsonObject::from(&context),
        service_version: row.service_version.clone(),
        environment: row.environment.clone(),
        fingerprint: row.fingerprint.clone(),
    }
}
