//! Logs of redspan itself, to stderr: for people on a terminal, as JSON for machines. And its own
//! spans, when there is somewhere to send them: requests and commits, whose ids the logs then carry.

use std::{
    collections::HashMap,
    io::{self, IsTerminal},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::{HeaderMap, Method, StatusCode};
use opentelemetry::{
    KeyValue,
    trace::{TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{SdkTracerProvider, SpanData, SpanExporter as ExportSpans},
};
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{
    EnvFilter,
    filter::{Directive, LevelFilter, Targets},
    fmt,
    prelude::*,
};
use uuid::Uuid;

use crate::{
    build::VERSION,
    config::{HttpUrl, LogFormat, LogSettings, TelemetrySettings},
    failure::Failure,
};

/// Marks requests that carry a redspan's own spans.
const OWN_SPANS: &str = "redspan-own-spans";

/// Marks the span of a request that carried nothing but this process's own spans. It is not sent:
/// each would lead to the next.
const ABOUT_OWN_SPANS: &str = "redspan.about_own_spans";

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
    let mark = HashMap::from([(OWN_SPANS.to_owned(), sender.clone())]);
    let exporter = OwnExporter {
        exporter: exporter(endpoint, mark).map_err(Failure::Usage)?,
        endpoint: endpoint.clone(),
        is_failing: AtomicBool::new(false),
    };
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

/// An exporter of the OpenTelemetry SDK, by OTLP over HTTP.
///
/// # Errors
/// What the SDK says of the address.
pub(crate) fn exporter(
    to: &HttpUrl,
    headers: HashMap<String, String>,
) -> Result<SpanExporter, String> {
    let mut client = reqwest::blocking::Client::builder();
    if to.is_this_machine() {
        // Whatever proxy leads out of the company's network, this does not.
        client = client.no_proxy();
    }
    let client = client.build().map_err(|error| error.to_string())?;
    SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(format!("{}/v1/traces", to.as_str()))
        .with_headers(headers)
        .build()
        .map_err(|error| error.to_string())
}

/// The exporter of the process's own spans: it keeps those back that must not be sent, and says when
/// they do not arrive.
#[derive(Debug)]
struct OwnExporter {
    exporter: SpanExporter,
    endpoint: HttpUrl,
    is_failing: AtomicBool,
}

impl ExportSpans for OwnExporter {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        batch.retain(|span| {
            let mut attributes = span.attributes.iter();
            !attributes.any(|attribute| attribute.key.as_str() == ABOUT_OWN_SPANS)
        });
        if batch.is_empty() {
            return Ok(());
        }
        let result = self.exporter.export(batch).await;
        let was_failing = self.is_failing.swap(result.is_err(), Ordering::Relaxed);
        let endpoint = self.endpoint.as_str();
        match &result {
            Err(error) if !was_failing => {
                let error = plain(error);
                tracing::warn!(endpoint, error, "own spans do not arrive and are lost");
            }
            Ok(()) if was_failing => tracing::info!(endpoint, "own spans arrive again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// What an exporter says, without the SDK's own words around it.
pub(crate) fn plain(error: &OTelSdkError) -> String {
    match error {
        OTelSdkError::InternalFailure(said) => said.clone(),
        other => other.to_string(),
    }
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
    // Lines carry the ids of spans that the filter lets through, whatever the level of the lines.
    let always: Option<Directive> = spans.and_then(|_| "redspan::telemetry=info".parse().ok());
    let filter = always.into_iter().fold(filter, EnvFilter::add_directive);
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
        redspan.about_own_spans = field::Empty,
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

/// The span of a request for a method of gRPC, given as its path; none where a request over HTTP has
/// none.
pub fn rpc_span(path: &'static str, headers: &HeaderMap) -> Span {
    if SENDER.get().is_none() || headers.contains_key(OWN_SPANS) {
        return Span::none();
    }
    let method = path.trim_start_matches('/');
    with_trace_id(tracing::info_span!(
        "request",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = field::Empty,
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.status_code = field::Empty,
        redspan.about_own_spans = field::Empty,
        trace_id = field::Empty,
    ))
}

/// Notes the code, by its name, with which the request of this span was answered.
pub fn note_rpc_answer(span: &Span, code: &'static str) {
    span.record("rpc.status_code", code);
    if code == "UNAVAILABLE" {
        span.record("otel.status_code", "ERROR");
    }
}

/// The request at hand carried nothing but spans of this process, which came back to it.
pub fn note_own_spans() {
    static TOLD: AtomicBool = AtomicBool::new(false);
    Span::current().record(ABOUT_OWN_SPANS, true);
    if !TOLD.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "this process's own spans come back to it and are not kept: telemetry.endpoint must lead \
             to another one"
        );
    }
}

/// The `service.instance.id` of this process's own spans, when it sends them.
pub fn sender() -> Option<String> {
    SENDER.get().cloned()
}

/// The span of a commit of so many requests, inside that of the first of them; none when they have
/// none.
pub fn commit_span(first: &Span, requests: usize) -> Span {
    if first.is_none() {
        return Span::none();
    }
    with_trace_id(tracing::info_span!(
        parent: first,
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

/// What is logged inside the span says which trace it is.
fn with_trace_id(span: Span) -> Span {
    let id = span.context().span().span_context().trace_id();
    span.record("trace_id", field::display(id));
    span
}
