//! The shop's services: each with a tracer and an exporter of the OpenTelemetry SDK, which count what
//! was acknowledged.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue,
    trace::{
        Span as _, SpanContext, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
    },
};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanData,
        SpanExporter as ExportSpans, SpanLimits,
    },
};

use crate::{config::HttpUrl, telemetry};

use super::story::{Step, Value};

/// Spans that a service may have waiting. What is more is lost, so they are flushed in time.
const QUEUE_SPANS: usize = 16 * 1_024;

/// Spans of one request, as SDKs send them.
const BATCH_SPANS: usize = 512;

/// Where spans go.
pub(super) struct Target {
    /// redspan's port for OTLP over HTTP.
    pub url: HttpUrl,
    /// Sent as `Authorization: Bearer TOKEN`.
    pub token: Option<String>,
}

/// What became of the spans that were sent.
#[derive(Debug, Default)]
struct Receipts {
    acknowledged: AtomicU64,
    failure: Mutex<Option<String>>,
}

/// The services of the shop.
pub(super) struct Services {
    tracers: BTreeMap<&'static str, (SdkTracerProvider, SdkTracer)>,
    receipts: Arc<Receipts>,
}

impl Services {
    pub fn new(
        names: impl IntoIterator<Item = &'static str>,
        target: &Target,
    ) -> Result<Self, String> {
        let receipts = Arc::new(Receipts::default());
        let mut tracers = BTreeMap::new();
        for name in names {
            if tracers.contains_key(name) {
                continue;
            }
            let provider = provider(name, target, &receipts)?;
            let tracer = provider.tracer("shop");
            tracers.insert(name, (provider, tracer));
        }
        Ok(Self { tracers, receipts })
    }

    /// Sends everything that waits. The number of spans acknowledged so far.
    ///
    /// # Errors
    /// What the exporter says.
    pub fn flush(&self) -> Result<u64, String> {
        let flushed = self
            .tracers
            .values()
            .try_for_each(|(provider, _)| provider.force_flush());
        // What the exporter said tells more than what the SDK makes of it.
        let failure = self.receipts.failure.lock();
        if let Some(failure) = &*failure.unwrap_or_else(PoisonError::into_inner) {
            return Err(failure.clone());
        }
        flushed.map_err(|error| error.to_string())?;
        Ok(self.receipts.acknowledged.load(Ordering::Relaxed))
    }

    /// Makes the spans of a step and of those inside it. Says how many, and when it ended.
    pub fn tell(
        &self,
        step: &Step,
        start: SystemTime,
        fill: &impl Fn(&str) -> String,
    ) -> (u64, SystemTime) {
        self.tell_below(step, &Context::new(), start, fill)
    }

    fn tell_below(
        &self,
        step: &Step,
        parent: &Context,
        start: SystemTime,
        fill: &impl Fn(&str) -> String,
    ) -> (u64, SystemTime) {
        let (_, tracer) = &self.tracers[step.service];
        let attributes = step.attributes.iter().map(|(key, value)| match value {
            Value::Text(text) => KeyValue::new(*key, fill(text)),
            Value::Number(number) => KeyValue::new(*key, *number),
        });
        let mut span = tracer
            .span_builder(fill(step.name))
            .with_kind(step.kind.clone())
            .with_start_time(start)
            .with_attributes(attributes)
            .start_with_context(tracer, parent);
        let own = Duration::from_millis(u64::from(step.millis));
        let mut spans = 1;
        let mut end = start + own / 2;
        for inner in step.steps {
            let parent = below(span.span_context(), inner.service != step.service);
            let (inner_spans, inner_end) = self.tell_below(inner, &parent, end, fill);
            spans += inner_spans;
            end = inner_end;
        }
        end += own / 2;
        if let Some(thrown) = step.thrown {
            span.add_event_with_timestamp(
                "exception",
                end,
                vec![
                    KeyValue::new("exception.type", thrown.type_name),
                    KeyValue::new("exception.message", fill(thrown.message)),
                    KeyValue::new("exception.stacktrace", thrown.stack),
                ],
            );
        }
        if step.failed {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(end);
        (spans, end)
    }
}

/// The context of a span inside this one, in the same service or in another.
fn below(span: &SpanContext, is_remote: bool) -> Context {
    Context::new().with_remote_span_context(SpanContext::new(
        span.trace_id(),
        span.span_id(),
        span.trace_flags(),
        is_remote,
        span.trace_state().clone(),
    ))
}

fn provider(
    service: &'static str,
    target: &Target,
    receipts: &Arc<Receipts>,
) -> Result<SdkTracerProvider, String> {
    let headers = target
        .token
        .iter()
        .map(|token| ("Authorization".to_owned(), format!("Bearer {token}")))
        .collect();
    let counted = Counted {
        exporter: telemetry::exporter(&target.url, headers)?,
        receipts: Arc::clone(receipts),
    };
    let queue = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_SPANS)
        .with_max_export_batch_size(BATCH_SPANS)
        .with_scheduled_delay(Duration::from_secs(1))
        .build();
    let processor = BatchSpanProcessor::builder(counted)
        .with_batch_config(queue)
        .build();
    let resource = Resource::builder_empty()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.version", "1.4.2"))
        .with_attribute(KeyValue::new("deployment.environment.name", "demo"))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_resource(resource)
        // Every span as it is told, whatever the environment says for applications.
        .with_sampler(Sampler::AlwaysOn)
        .with_span_limits(SpanLimits::default())
        .with_span_processor(processor)
        .build())
}

/// The SDK's exporter, with an account of what it was answered.
#[derive(Debug)]
struct Counted {
    exporter: SpanExporter,
    receipts: Arc<Receipts>,
}

impl ExportSpans for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        match &result {
            Ok(()) => {
                let acknowledged = &self.receipts.acknowledged;
                acknowledged.fetch_add(spans, Ordering::Relaxed);
            }
            Err(error) => {
                let failure = self.receipts.failure.lock();
                *failure.unwrap_or_else(PoisonError::into_inner) = Some(telemetry::plain(error));
            }
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
