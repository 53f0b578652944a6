//! Log records: those that are an exception become sightings of their trace, or rows by themselves
//! when they were logged outside of any.

use std::collections::HashMap;

use crate::{
    detect::{
        Findings, TraceFindings,
        attributes::{Attributes, ServiceFacts, Slot},
        codes::Codes,
        endpoint::{endpoint, method},
        exceptions::{self, Exception},
        failed::Outcome,
        findings::ROW_BYTES,
        resolve::row_outside_of_traces,
        scrub::Scrubber,
        time::{Clamped, clamp},
    },
    domain::{ApiError, NameHasher, SightingKey, SightingKind, SpanId, TraceId, TraceKey},
    otlp::{LogRecordView, SpanKind, SpanView, StatusCode, Value},
};

use super::{Detector, Known, sight::Finding};

/// Severity numbers of OTLP.
const WARN: u8 = 13;
pub(super) const FATAL: u8 = 21;

/// What stands for the endpoint of a record of which not even the logger is known.
const NO_LOGGER: &[u8] = b"log";

/// What was found in the log records of a request.
#[derive(Default)]
pub(super) struct Logs {
    /// Each trace once, in the order of their first finding.
    traces: Vec<TraceFindings>,
    places: HashMap<TraceKey, usize>,
    rows: Vec<ApiError>,
}

/// A severity as OTLP numbers it; 0 is none given.
pub(super) fn severity(number: i32) -> u8 {
    u8::try_from(number)
        .ok()
        .filter(|number| (1..=24).contains(number))
        .unwrap_or(0)
}

/// What a span would say in the place of a record. Its endpoint is the logger.
fn in_words_of_a_span<'a>(
    record: &LogRecordView<'a>,
    logger: &'a str,
    time_unix_nano: u64,
) -> SpanView<'a> {
    SpanView {
        name: [logger.as_bytes(), record.event_name]
            .into_iter()
            .find(|name| !name.trim_ascii().is_empty())
            .unwrap_or(NO_LOGGER),
        kind: SpanKind::Internal,
        start_time_unix_nano: time_unix_nano,
        end_time_unix_nano: time_unix_nano,
        attributes: record.attributes,
        dropped_attributes_count: record.dropped_attributes_count,
        status: StatusCode::Error,
        status_message: match record.body {
            Value::Str(text) => text,
            _ => b"",
        },
        ..SpanView::default()
    }
}

/// What names a record outside of any trace.
fn row_key(
    service: &ServiceFacts,
    exception: &Exception<'_>,
    request: u128,
    position: u64,
) -> SightingKey {
    let mut name = NameHasher::new("log record");
    name.field(service.service_name.as_bytes())
        .field(service.instance_id.as_deref().unwrap_or("").as_bytes());
    if exception.time_unix_nano > 0 {
        name.field(&exception.time_unix_nano.to_le_bytes());
    } else {
        // Nothing but its place in a request tells it from another like it.
        name.field(&request.to_le_bytes())
            .field(&position.to_le_bytes());
    }
    name.field(exception.type_name.as_bytes())
        .field(exception.message.as_bytes());
    SightingKey(name.finish_uuid())
}

impl Detector<'_> {
    pub(super) fn look_at_log_record(&mut self, record: &LogRecordView<'_>) {
        if self.is_own {
            self.own_spans += 1;
            return;
        }
        let position = self.records;
        self.records += 1;
        let attributes = Attributes::new(record.attributes);
        let Some(exception) = exceptions::of_log(record, &attributes) else {
            return;
        };
        self.latest_end_nanos = self.latest_end_nanos.max(exception.time_unix_nano);
        if exception.is_control_flow() || exception.is_cancellation() {
            return;
        }
        let logger = self.scope.name.clone();
        let view = in_words_of_a_span(record, &logger, exception.time_unix_nano);
        let codes = Codes::new(&attributes);
        let trace_id = TraceId::from_slice(record.trace_id);
        let known = Known {
            view: &view,
            log: Some(record),
            attributes: &attributes,
            codes,
            outcome: Outcome::Failed,
            request_failed: false,
            trace_id: trace_id.unwrap_or(TraceId([0; 16])),
            span_id: trace_id.and_then(|_| SpanId::from_slice(record.span_id)),
            parent: None,
            // That an impossible time was replaced is told of the exception.
            ended_at: Clamped {
                at: clamp(exception.time_unix_nano, self.received_at).at,
                is_clamped: false,
            },
        };
        endpoint(&view, &attributes, codes.http, &mut self.endpoint);
        let rule = self.rule(&view, &attributes, codes, Some(&exception));
        let effect = rule.map(|rule| &rule.effect);
        if effect.is_some_and(|effect| effect.drop) {
            self.drop_by(rule, trace_id);
            return;
        }
        let is_kept = effect.is_some_and(|effect| effect.severity.is_some())
            || attributes.has(Slot::ErrorSeverity);
        let is_below_warning = (1..WARN).contains(&severity(record.severity_number));
        if trace_id.is_none() && is_below_warning && !is_kept {
            return;
        }
        if let Some(set) = effect.and_then(|effect| effect.endpoint.as_ref()) {
            self.endpoint.clone_from(set);
        }
        let mut scrubber = Scrubber::new(&self.settings.scrubbing);
        scrubber.owned(&mut self.endpoint);
        self.scrubbed += scrubber.count;
        let method = method(&view, &attributes);
        let key = self.trace_key(known.trace_id);
        let finding = Finding {
            kind: SightingKind::Log,
            exception: Some(&exception),
            earlier: &[],
            rule,
        };
        let sighting = self.sight(&known, key, &finding, &method);
        let (Some(mut sighting), Some(logs)) = (sighting, &mut self.logs) else {
            return;
        };
        let service = &self.resources.get(self.resources.current()).facts;
        if let Some(trace_id) = trace_id {
            let place = *logs.places.entry(key).or_insert_with(|| {
                logs.traces.push(TraceFindings {
                    key,
                    service_name: service.service_name.clone(),
                    trace_id,
                    sightings: Vec::with_capacity(1),
                });
                logs.traces.len() - 1
            });
            logs.traces[place].sightings.push(sighting);
            return;
        }
        sighting.key = row_key(service, &exception, self.digest.finish(), position);
        let row = row_outside_of_traces(sighting, &service.service_name, self.received_at);
        self.found_bytes += ROW_BYTES;
        logs.rows.extend(row);
    }

    /// What the log records come down to. Without an exception among them nothing is written, and
    /// nobody needs to know the request again.
    pub(super) fn finish_logs(self, logs: Logs) -> Findings {
        let has_findings = !logs.traces.is_empty() || !logs.rows.is_empty();
        Findings {
            digest: has_findings.then(|| self.request_digest()),
            records: self.records,
            own_spans: self.own_spans,
            scrubbed: self.scrubbed,
            dropped: self.dropped,
            left_out: self.left_out,
            traces: logs.traces,
            rows: logs.rows,
            ..Findings::default()
        }
    }
}
