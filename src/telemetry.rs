//! Logs of redspan itself, to stderr: for people on a terminal, as JSON for machines. And its own
//! spans, when there is somewhere to send them: requests and commits, whose ids the logs then carry.

use std::{
    io::{self, IsTerminal},
    sync::OnceLock,
    time::Duration,
};

use hyper::{HeaderMap, Method, StatusCode, header::HeaderValue};
use opentelemetry::{
    KeyValue,
    trace::{TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{
    EnvFilter,
    filter::{LevelFilter, Targets},
    fmt,
    prelude::*,
};
use uuid::Uuid;

use crate::{
    build::VERSION,
    config::{LogFormat, LogSettings, TelemetrySettings},
    failure::Failure,
};

/// Marks requests that carry a redspan's own spans, with the process that they are of.
const OWN_SPANS: &str = "redspan-own-spans";

/// How long the end waits for the last spans to be sent.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// The process, when it sends its own spans.
static SENDER: OnceLock<String> = OnceLock::new();

/// From now on logs are written as the settings say. Where somebody else has taken the logs already
/// (a test, a program that uses the library), they stay with them.
pub fn start(settings: &LogSettings) {
    subscribe(settings, None);
}

/// The same, and from now on requests and commits are spans that are sent where the settings say.
/// Not to be called, nor the answer dropped, inside the runtime.
///
/// # Errors
/// The address is none that spans can be sent to.
pub fn start_with_spans(
    log: &LogSettings,
    telemetry: &TelemetrySettings,
) -> Result<OwnSpans, Failure> {
    let Some(endpoint) = &telemetry.endpoint else {
        subscribe(log, None);
        return Ok(OwnSpans(None));
    };
    let sender = SENDER.get_or_init(|| Uuid::new_v4().to_string());
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", endpoint.as_str()))
        .with_headers([(OWN_SPANS.to_owned(), sender.clone())].into())
        .build()
        .map_err(|error| Failure::Usage(format!("telemetry.endpoint: {error}")))?;
    let resource = Resource::builder()
        .with_service_name("redspan")
        .with_attributes([
            KeyValue::new("service.version", VERSION),
            KeyValue::new("service.instance.id", sender.clone()),
        ])
        .build();
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_batch_exporter(exporter)
        .build();
    subscribe(log, Some(&provider));
    Ok(OwnSpans(Some(provider)))
}

fn subscribe(settings: &LogSettings, spans: Option<&SdkTracerProvider>) {
    let for_people = match settings.format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => io::stderr().is_terminal(),
    };
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = if for_people {
        let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        lines.with_ansi(colours).boxed()
    } else {
        lines
            .json()
            .flatten_event(true)
            .with_current_span(spans.is_some())
            .with_span_list(false)
            .boxed()
    };
    let filter = EnvFilter::new(&settings.level);
    // What libraries do while they send would be spans to send, for ever.
    let ours = Targets::new().with_target("redspan", LevelFilter::INFO);
    let spans = spans.map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("redspan"))
            .with_location(false)
            .with_threads(false)
            .with_filter(ours)
    });
    let taken = tracing_subscriber::registry()
        .with(spans)
        .with(lines.with_filter(filter))
        .try_init();
    if taken.is_err() {
        tracing::debug!("logs are written by somebody else already");
    }
}

/// What sends the process's own spans. Dropped, it sends the last ones.
#[must_use]
#[derive(Debug)]
pub struct OwnSpans(Option<SdkTracerProvider>);

impl Drop for OwnSpans {
    fn drop(&mut self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown_with_timeout(LAST_SPANS)
        {
            tracing::warn!(%error, "the last own spans were not sent");
        }
    }
}

/// The span of a request for `route`; none where spans are not sent, and none for a request that
/// carries spans of a redspan: two that send to each other would never be quiet.
pub fn request_span(method: &Method, route: &'static str, headers: &HeaderMap) -> Span {
    if SENDER.get().is_none() || headers.contains_key(OWN_SPANS) {
        return Span::none();
    }
    with_trace_id(tracing::info_span!(
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = field::Empty,
        http.request.method = %method,
        http.route = route,
        http.response.status_code = field::Empty,
        trace_id = field::Empty,
    ))
}

/// Notes how the request of this span was answered.
pub fn note_answer(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// The span of a commit of so many requests; none where spans are not sent.
pub fn commit_span(requests: usize) -> Span {
    if SENDER.get().is_none() {
        return Span::none();
    }
    with_trace_id(tracing::info_span!(
        parent: None,
        "commit",
        otel.status_code = field::Empty,
        otel.status_description = field::Empty,
        requests,
        trace_id = field::Empty,
    ))
}

/// Notes why the commit of this span failed.
pub fn note_failure(span: &Span, error: &impl std::fmt::Display) {
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_description", field::display(error));
}

/// Whether a request carries spans of this very process, which came back to it.
pub fn carries_own_spans(headers: &HeaderMap) -> bool {
    let of = headers.get(OWN_SPANS).map(HeaderValue::as_bytes);
    of.is_some() && of == SENDER.get().map(String::as_bytes)
}

/// What is logged inside the span says which trace it is.
fn with_trace_id(span: Span) -> Span {
    let id = span.context().span().span_context().trace_id();
    span.record("trace_id", field::display(id));
    span
}
