//! What a failure's row says of the failure itself: texts, the service that was called, context.

use std::borrow::Cow;

use serde_json::{Map, Value as Json, json};

use crate::{
    domain::{Category, Content, JsonObject, SpanId, Timestamp, TraceId},
    otlp::{LogRecordView, ScopeView, SpanKind, SpanView, Value},
};

use super::{
    KindsBy,
    attributes::{Attributes, ServiceFacts, Slot},
    category,
    codes::Codes,
    exceptions::Exception,
    fingerprint::{Kind, named_by_rule},
    left_out::{has_column, is_not_stored},
    resource::{MAX_VALUE_BYTES, Share, insert},
    scrub::Scrubber,
    steps::is_step,
    time::Clamped,
    values::{self, Text, lossy},
};

/// Limits of what is stored.
const MAX_MESSAGE_BYTES: usize = 8 * 1024;
const MAX_SHORT_MESSAGE_BYTES: usize = 256;
const MAX_STACK_BYTES: usize = 64 * 1024;
const MAX_ROW_BYTES: usize = 128 * 1024;
const MAX_ATTRIBUTES: usize = 64;
const MAX_LOG_ATTRIBUTES_BYTES: usize = 16 * 1024;
const MAX_TYPE_BYTES: usize = 512;
const MAX_EXTERNAL_CHARS: usize = 100;
const MAX_LINKS: usize = 32;
const MAX_EARLIER: usize = 16;
const MAX_EARLIER_BYTES: usize = 1024;

/// Why errors with this row's fingerprint are one kind, in its context.
pub(super) const FINGERPRINT_BASIS: &str = "fingerprintBasis";

/// Everything that a row can be made of.
pub(super) struct Origin<'o, 'a> {
    /// The span; of a log record what a span would say in its place.
    pub span: &'o SpanView<'a>,
    pub log: Option<&'o LogRecordView<'a>>,
    /// The kind of failure that a rule of the user says it is.
    pub kind_of_rule: Option<&'o str>,
    pub attributes: &'o Attributes<'a>,
    pub codes: Codes<'a>,
    pub service: &'o ServiceFacts,
    /// The exception it is about.
    pub exception: Option<&'o Exception<'a>>,
    /// Exceptions of the same span before it.
    pub earlier: &'o [Exception<'a>],
    /// The span's end.
    pub ended_at: Clamped,
    /// The times as sent of exceptions that could not be true.
    pub clamped_exception_nanos: Option<u64>,
    /// What makes errors one kind.
    pub kinds_by: KindsBy,
    /// User ids, too, are left out of the attributes.
    pub without_people: bool,
    /// The request's rows have got enough context: this one gets none.
    pub without_context: bool,
    /// The request's rows have got enough of long texts: this one gets none.
    pub without_texts: bool,
}

/// The row's own part, and what `resolve` needs of it.
pub(super) struct Row {
    pub content: Content,
    pub category: Category,
    pub critical: bool,
    /// Secrets that were taken out.
    pub scrubbed: u64,
}

/// Builds the row's own part. `truncated` names what was cut already; `scrubber` has counted what
/// was taken out of the facts.
pub(super) fn build(
    origin: &Origin<'_, '_>,
    scope: &Scope,
    share: Share,
    mut truncated: Vec<&'static str>,
    mut scrubber: Scrubber<'_>,
) -> Row {
    let type_name = type_name(origin);
    let whole_message = error_message(origin);
    let mut message = scrubbed(
        &whole_message,
        MAX_MESSAGE_BYTES,
        "error_message",
        &mut truncated,
        &mut scrubber,
    );
    let mut stack = origin
        .exception
        .filter(|exception| !exception.stack.trim().is_empty())
        .map(|exception| {
            scrubbed(
                &exception.stack,
                MAX_STACK_BYTES,
                "error_stack",
                &mut truncated,
                &mut scrubber,
            )
        });
    let code = error_code(origin, &mut scrubber);
    let category = category::own_category(
        origin.span,
        origin.attributes,
        origin.codes,
        &type_name,
        &message,
        origin.exception.is_some(),
    );
    let thrown_type = origin
        .exception
        .map(|exception| scrubber.text(&exception.type_name));
    let basis = Kind {
        service_name: &origin.service.service_name,
        type_name: thrown_type.as_deref().unwrap_or(""),
        code: code.as_deref(),
        message: &message,
        stack: stack.as_deref().unwrap_or(""),
    }
    .basis(origin.kinds_by);
    let service_name = &origin.service.service_name;
    let (fingerprint, basis) = match origin.kind_of_rule {
        Some(name) => named_by_rule(service_name, name),
        None => (basis.fingerprint(), basis.shown()),
    };

    if origin.without_texts {
        shorten(&mut message, &mut stack, &mut truncated);
    }
    let external = External::of(origin, &message, &mut scrubber);
    let texts = message.len() * 2 + stack.as_ref().map_or(0, String::len);
    let mut context = if origin.without_context {
        truncated.push("context");
        Map::new()
    } else {
        let left = MAX_ROW_BYTES.saturating_sub(texts + 12 * 1024);
        let mut context = context(origin, scope, share, left, &mut truncated, &mut scrubber);
        context.insert(FINGERPRINT_BASIS.to_owned(), basis.into());
        context
    };
    truncated.dedup();
    if !truncated.is_empty() {
        context.insert("truncated".to_owned(), truncated.into());
    }
    if scrubber.count > 0 {
        context.insert("scrubbed".to_owned(), scrubber.count.into());
    }
    Row {
        critical: category::is_critical(&type_name),
        scrubbed: scrubber.count,
        category,
        content: Content {
            error_message: message,
            error_code: code,
            error_stack: stack,
            external_service: external.service,
            external_error_code: external.code,
            external_error_message: external.message,
            context: JsonObject::from(&context),
            service_version: origin.service.service_version.clone(),
            environment: origin.service.environment.clone(),
            fingerprint,
        },
    }
}

/// A text as it is stored. What lies far beyond the limit is not even looked at: a text can be as
/// long as a request.
fn scrubbed(
    text: &str,
    max_bytes: usize,
    column: &'static str,
    truncated: &mut Vec<&'static str>,
    scrubber: &mut Scrubber<'_>,
) -> String {
    let beginning = Text::whole_words(text, 2 * max_bytes);
    let clean = scrubber.text(beginning.text);
    let kept = Text::bytes(&clean, max_bytes);
    if beginning.cut || kept.cut {
        truncated.push(column);
    }
    kept.into_string()
}

/// Leaves of the long texts what tells one failure from another.
fn shorten(message: &mut String, stack: &mut Option<String>, truncated: &mut Vec<&'static str>) {
    let short = Text::bytes(message, MAX_SHORT_MESSAGE_BYTES);
    if short.cut {
        truncated.push("error_message");
        *message = short.into_string();
    }
    if stack.take().is_some() {
        truncated.push("error_stack");
    }
}

/// The exception's type, else `error.type`; may be empty.
fn type_name<'a>(origin: &Origin<'_, 'a>) -> Cow<'a, str> {
    match origin.exception {
        Some(exception) => exception.type_name.clone(),
        None => origin.attributes.text(Slot::ErrorType).unwrap_or_default(),
    }
}

/// Never empty.
fn error_message<'a>(origin: &Origin<'_, 'a>) -> Cow<'a, str> {
    let filled = |text: Cow<'a, str>| (!text.trim().is_empty()).then_some(text);
    let of_exception = |exception: &Exception<'a>| filled(exception.message.clone());
    let of_type = |exception: &Exception<'a>| filled(exception.type_name.clone());
    let of_last_event = || {
        let mut events = origin.span.events.iter().map(|event| event.name);
        filled(lossy(events.rfind(|name| !is_step(name))?))
    };
    let of_code = || origin.codes.words().map(Cow::Owned);
    origin
        .exception
        .and_then(of_exception)
        .or_else(|| filled(lossy(origin.span.status_message)))
        .or_else(|| origin.exception.and_then(of_type))
        .or_else(of_last_event)
        .or_else(of_code)
        .or_else(|| origin.attributes.text(Slot::ErrorType))
        .unwrap_or_else(|| {
            let name = lossy(origin.span.name);
            Cow::Owned(format!("{} failed", name.trim()).trim_start().to_owned())
        })
}

/// Exception type, else `error.type`, else the status code's text.
fn error_code(origin: &Origin<'_, '_>, scrubber: &mut Scrubber<'_>) -> Option<String> {
    let of_exception = origin
        .exception
        .map(|exception| exception.type_name.trim())
        .filter(|type_name| !type_name.is_empty());
    of_exception
        .map(Cow::Borrowed)
        .or_else(|| origin.attributes.text(Slot::ErrorType))
        .or_else(|| origin.codes.text().map(Cow::Owned))
        .or_else(|| origin.attributes.text(Slot::DbStatus))
        .map(|code| Text::bytes(&scrubber.text(&code), MAX_TYPE_BYTES).into_string())
}

/// What was called, when the origin is a call.
#[derive(Default)]
struct External {
    service: Option<String>,
    code: Option<String>,
    message: Option<String>,
}

impl External {
    fn of(origin: &Origin<'_, '_>, message: &str, scrubber: &mut Scrubber<'_>) -> Self {
        if !matches!(origin.span.kind, SpanKind::Client | SpanKind::Producer) {
            return Self::default();
        }
        let attributes = origin.attributes;
        let mut cut =
            |text: &str| Text::chars(&scrubber.text(text), MAX_EXTERNAL_CHARS).into_string();
        let rpc_service = || {
            if attributes.is_json_rpc() {
                return None;
            }
            let method = attributes.text(Slot::RpcMethod)?;
            let (service, _) = method.trim_start_matches('/').split_once('/')?;
            Some(Cow::Owned(service.to_owned()))
        };
        let host = || {
            let url = attributes.text(Slot::UrlFull)?;
            let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
            let host_and_port = authority.rsplit('@').next()?;
            let host = match host_and_port.strip_prefix('[') {
                Some(address) => address.split(']').next()?,
                None => host_and_port.split(':').next()?,
            };
            (!host.is_empty()).then(|| Cow::Owned(host.to_owned()))
        };
        let service = attributes
            .text(Slot::PeerService)
            .or_else(|| attributes.text(Slot::GenAiProvider))
            .or_else(|| attributes.text(Slot::ServerAddress))
            .or_else(|| attributes.text(Slot::RpcService))
            .or_else(rpc_service)
            .or_else(|| attributes.text(Slot::DbSystem))
            .or_else(host)
            .or_else(|| attributes.text(Slot::MessagingSystem));
        let code = origin
            .codes
            .text()
            .map(Cow::Owned)
            .or_else(|| attributes.text(Slot::DbStatus))
            .or_else(|| attributes.text(Slot::ErrorType))
            .or_else(|| {
                origin
                    .exception
                    .map(|exception| exception.type_name.clone())
            })
            .filter(|code| !code.is_empty());
        Self {
            service: service.map(|service| cut(&service)),
            code: code.map(|code| cut(&code)),
            message: Some(message.to_owned()),
        }
    }
}

/// The instrumentation that recorded the spans that follow.
#[derive(Default)]
pub(super) struct Scope {
    pub name: String,
    pub version: String,
}

impl Scope {
    pub fn enter(&mut self, scope: &ScopeView<'_>) {
        let copy = |to: &mut String, from: &[u8]| {
            to.clear();
            to.push_str(Text::chars(&lossy(from), 255).text);
        };
        copy(&mut self.name, scope.name);
        copy(&mut self.version, scope.version);
    }
}

fn context(
    origin: &Origin<'_, '_>,
    scope: &Scope,
    share: Share,
    mut left: usize,
    truncated: &mut Vec<&'static str>,
    scrubber: &mut Scrubber<'_>,
) -> Map<String, Json> {
    let span = origin.span;
    let mut context = Map::new();
    let mut add = |key: &str, value: Json| {
        context.insert(key.to_owned(), value);
    };
    match origin.log {
        None => add("span", span_facts(span, scrubber)),
        Some(record) => add("log", log_facts(record, truncated, scrubber)),
    }
    if !scope.name.is_empty() {
        add(
            "scope",
            json!({"name": scrubber.text(&scope.name), "version": scrubber.text(&scope.version)}),
        );
    }

    if origin.log.is_some() {
        // It may have to stand beside what its span says.
        left = left.min(MAX_LOG_ATTRIBUTES_BYTES);
    }
    let attributes = span_attributes(origin, &mut left, scrubber);
    if attributes.is_truncated {
        truncated.push("attributes");
    }
    if !attributes.kept.is_empty() {
        add("attributes", attributes.kept.into());
    }
    if !attributes.omitted.is_empty() {
        add("omitted", attributes.omitted.into());
    }

    scrubber.count += share.scrubbed;
    if share.is_truncated {
        truncated.push("resource");
    }
    if !share.attributes.is_empty() {
        add("resource", share.attributes.into());
    }

    if !origin.earlier.is_empty() {
        if origin.earlier.len() > MAX_EARLIER {
            truncated.push("exceptions");
        }
        let newest = origin.earlier.len().saturating_sub(MAX_EARLIER);
        let earlier: Vec<_> = origin.earlier[newest..]
            .iter()
            .map(|exception| earlier_exception(exception, scrubber))
            .collect();
        add("exceptions", earlier.into());
    }
    if !span.links.is_empty() {
        if span.links.len() > MAX_LINKS {
            truncated.push("links");
        }
        let links: Vec<_> = span
            .links
            .iter()
            .take(MAX_LINKS)
            .map(|link| {
                json!({
                    "traceId": TraceId::from_slice(link.trace_id),
                    "spanId": SpanId::from_slice(link.span_id),
                })
            })
            .collect();
        add("links", links.into());
    }
    for (key, value) in [
        ("dropped", dropped(span)),
        ("timeClamped", time_clamped(origin)),
    ] {
        if !value.is_empty() {
            add(key, value.into());
        }
    }
    context
}

fn span_facts(span: &SpanView<'_>, scrubber: &mut Scrubber) -> Json {
    let name = lossy(span.name);
    let name = scrubber.text(&name);
    let name = Text::chars(&name, 512).text;
    let nanos = span
        .end_time_unix_nano
        .saturating_sub(span.start_time_unix_nano);
    #[expect(
        clippy::cast_precision_loss,
        reason = "to the microsecond for centuries"
    )]
    let duration_ms = (nanos / 1_000) as f64 / 1_000.0;
    json!({
        "name": name,
        "kind": kind_name(span.kind),
        "startedAt": Timestamp::from_unix_nanos(span.start_time_unix_nano),
        "durationMs": duration_ms,
    })
}

fn log_facts(
    record: &LogRecordView<'_>,
    truncated: &mut Vec<&'static str>,
    scrubber: &mut Scrubber,
) -> Json {
    let mut facts = Map::new();
    for (key, bytes) in [
        ("severity", record.severity_text),
        ("eventName", record.event_name),
    ] {
        let text = lossy(bytes);
        if !text.trim().is_empty() {
            let text = scrubber.text(&text);
            facts.insert(key.to_owned(), Text::chars(&text, 255).text.into());
        }
    }
    if record.severity_number != 0 {
        facts.insert("severityNumber".to_owned(), record.severity_number.into());
    }
    if !matches!(record.body, Value::Empty) {
        let mut left = 2 * MAX_VALUE_BYTES;
        let mut body = values::json(record.body, &mut left);
        scrubber.json("body", &mut body);
        let is_cut = match &mut body {
            Json::String(text) => {
                let kept = Text::bytes(text, MAX_VALUE_BYTES);
                let is_cut = kept.cut;
                *text = kept.into_string();
                is_cut
            }
            _ => left == 0,
        };
        if is_cut {
            truncated.push("body");
        }
        facts.insert("body".to_owned(), body);
    }
    facts.into()
}

/// What the exporter or the limits have left out.
fn dropped(span: &SpanView<'_>) -> Map<String, Json> {
    [
        ("attributes", span.dropped_attributes_count),
        ("events", span.dropped_events_count),
        ("links", span.dropped_links_count),
    ]
    .into_iter()
    .filter(|(_, count)| *count > 0)
    .map(|(what, count)| (what.to_owned(), count.into()))
    .collect()
}

/// Impossible times as they were sent; as text, since they may be beyond what JSON's numbers hold.
fn time_clamped(origin: &Origin<'_, '_>) -> Map<String, Json> {
    let ended_at = origin
        .ended_at
        .is_clamped
        .then_some(origin.span.end_time_unix_nano);
    [
        ("endedAt", ended_at),
        ("thrownAt", origin.clamped_exception_nanos),
    ]
    .into_iter()
    .filter_map(|(what, nanos)| Some((what.to_owned(), nanos?.to_string().into())))
    .collect()
}

fn earlier_exception(exception: &Exception<'_>, scrubber: &mut Scrubber<'_>) -> Json {
    let message = Text::whole_words(&exception.message, 2 * MAX_EARLIER_BYTES).text;
    let message = scrubber.text(message);
    let type_name = scrubber.text(&exception.type_name);
    json!({
        "type": Text::bytes(&type_name, MAX_TYPE_BYTES).text,
        "message": Text::bytes(&message, MAX_EARLIER_BYTES).text,
    })
}

fn kind_name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Internal => "INTERNAL",
        SpanKind::Server => "SERVER",
        SpanKind::Client => "CLIENT",
        SpanKind::Producer => "PRODUCER",
        SpanKind::Consumer => "CONSUMER",
    }
}

struct SpanAttributes {
    kept: Map<String, Json>,
    /// Names of those that are not stored.
    omitted: Vec<String>,
    is_truncated: bool,
}

/// Every attribute that has no column of its own, scrubbed.
fn span_attributes(
    origin: &Origin<'_, '_>,
    left: &mut usize,
    scrubber: &mut Scrubber<'_>,
) -> SpanAttributes {
    let mut found = SpanAttributes {
        kept: Map::new(),
        omitted: Vec::new(),
        is_truncated: false,
    };
    let is_request = matches!(origin.span.kind, SpanKind::Server | SpanKind::Consumer);
    for attribute in origin.attributes.all() {
        if has_column(attribute.key, is_request) {
            continue;
        }
        let key = lossy(attribute.key);
        let is_of_people = key.starts_with("user.") || key.starts_with("enduser.");
        if is_not_stored(&key, scrubber.kept()) || (origin.without_people && is_of_people) {
            if found.omitted.len() < MAX_ATTRIBUTES {
                let key = scrubber.text(&key);
                found.omitted.push(Text::bytes(&key, 256).into_string());
            }
            continue;
        }
        if found.kept.len() >= MAX_ATTRIBUTES {
            found.is_truncated = true;
            break;
        }
        let mut value_left = 2 * MAX_VALUE_BYTES;
        let value = values::json(attribute.value, &mut value_left);
        found.is_truncated |= value_left == 0;
        found.is_truncated |= insert(&mut found.kept, &key, value, left, scrubber);
    }
    found
}
