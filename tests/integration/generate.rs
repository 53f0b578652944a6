//! Traces as they happen, and the ways in which they may arrive: any order that exporters can
//! produce, any cuts into requests, any replays, two replicas. Everything shrinks.

mod arrival;
mod spans;

use std::fmt;

use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::KeyValue,
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use proptest::{collection::vec, prelude::*};

use crate::reference;
use arrival::{cut, deliver, replay_plan};
use spans::{BEGIN_NANOS, SERVICES, make_records, span_plan, text};

/// When every request of a scenario is received.
pub const RECEIVED_AT_MICROS: i64 = 1_787_223_660_000_000;

/// A few traces, and one way in which they arrive.
#[derive(Clone)]
pub struct Scenario {
    /// Spans in the order in which they ended, then log records.
    pub made: Vec<Made>,
    /// What is sent, in order.
    pub deliveries: Vec<Delivery>,
}

/// A record and the service that made it.
#[derive(Clone, Debug)]
pub struct Made {
    service: usize,
    record: Record,
}

#[derive(Clone, Debug)]
enum Record {
    Span(Span),
    Log(LogRecord),
}

impl Made {
    fn span(&self) -> Option<&Span> {
        match &self.record {
            Record::Span(span) => Some(span),
            Record::Log(_) => None,
        }
    }

    fn log(&self) -> Option<&LogRecord> {
        match &self.record {
            Record::Log(log) => Some(log),
            Record::Span(_) => None,
        }
    }

    fn trace_id(&self) -> &[u8] {
        match &self.record {
            Record::Span(span) => &span.trace_id,
            Record::Log(log) => &log.trace_id,
        }
    }
}

/// What is sent at once: a request of log records, and one of spans.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Which records, in order.
    pub records: Vec<usize>,
    /// To which of two replicas.
    pub replica: usize,
    /// It is committed in one group with the request before it, if that goes to the same replica.
    pub joins_group: bool,
    /// What it is.
    pub kind: DeliveryKind,
}

/// Why a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryKind {
    /// Its records were not sent before.
    First,
    /// The same request again, byte by byte.
    Retry,
    /// Records that were sent before, in a request that was not.
    Rebatched,
}

impl Scenario {
    /// The log records of a delivery, when it has any.
    pub fn logs(&self, delivery: &Delivery) -> Option<ExportLogsServiceRequest> {
        let request = logs_of(delivery.records.iter().map(|index| &self.made[*index]));
        (!request.resource_logs.is_empty()).then_some(request)
    }

    /// The spans of a delivery, when it has any.
    pub fn spans(&self, delivery: &Delivery) -> Option<ExportTraceServiceRequest> {
        let request = spans_of(delivery.records.iter().map(|index| &self.made[*index]));
        (!request.resource_spans.is_empty()).then_some(request)
    }

    /// Every span and every log record once.
    pub fn whole(&self) -> (ExportTraceServiceRequest, ExportLogsServiceRequest) {
        (spans_of(&self.made), logs_of(&self.made))
    }

    /// The same traces, all at once.
    pub fn at_once(&self) -> Self {
        Self {
            made: self.made.clone(),
            deliveries: vec![Delivery {
                records: (0..self.made.len()).collect(),
                replica: 0,
                joins_group: false,
                kind: DeliveryKind::First,
            }],
        }
    }

    /// Whether entry spans come again in other requests at a replica that did not see them before:
    /// request totals are allowed to count those twice.
    pub fn may_count_requests_again(&self) -> bool {
        let rebatched = |delivery: &Delivery| delivery.kind == DeliveryKind::Rebatched;
        self.deliveries.iter().any(rebatched)
            && self.deliveries.iter().any(|delivery| delivery.replica != 0)
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "spans, in the order in which they ended, and log records:"
        )?;
        for (index, made) in self.made.iter().enumerate() {
            let service = made.service;
            let span = match &made.record {
                Record::Span(span) => span,
                Record::Log(log) => {
                    writeln!(
                        f,
                        "  #{index} {} log trace {:?} span {:?} severity {} +{}us",
                        SERVICES[service],
                        log.trace_id.last(),
                        log.span_id.last(),
                        log.severity_number,
                        log.time_unix_nano.saturating_sub(BEGIN_NANOS) / 1_000,
                    )?;
                    print_attributes(f, "     ", &log.attributes)?;
                    continue;
                }
            };
            let failed = if reference::failed(span) {
                "FAILED"
            } else {
                ""
            };
            write!(
                f,
                "  #{index} {} trace {} span {} parent {} kind {} flags {:x} end +{}ms {} {failed}",
                SERVICES[service],
                span.trace_id[15],
                span.span_id[7],
                span.parent_span_id.last().unwrap_or(&0),
                span.kind,
                span.flags,
                (span.end_time_unix_nano - BEGIN_NANOS) / 1_000_000,
                span.name,
            )?;
            if let Some(status) = &span.status {
                write!(f, " status {} {:?}", status.code, status.message)?;
            }
            writeln!(f)?;
            print_attributes(f, "     ", &span.attributes)?;
            for event in &span.events {
                let at = event.time_unix_nano.saturating_sub(BEGIN_NANOS) / 1_000_000;
                writeln!(f, "     event {} +{at}ms", event.name)?;
                print_attributes(f, "       ", &event.attributes)?;
            }
        }
        writeln!(f, "deliveries:")?;
        for delivery in &self.deliveries {
            writeln!(f, "  {delivery:?}")?;
        }
        Ok(())
    }
}

fn print_attributes(
    f: &mut fmt::Formatter<'_>,
    indent: &str,
    attributes: &[KeyValue],
) -> fmt::Result {
    for attribute in attributes {
        let value = attribute.value.as_ref().and_then(|any| any.value.as_ref());
        writeln!(f, "{indent}{} = {value:?}", attribute.key)?;
    }
    Ok(())
}

/// Each service's own, in order.
fn by_service<'a, T: Clone + 'a>(
    made: impl IntoIterator<Item = &'a Made>,
    kind: impl Fn(&'a Made) -> Option<&'a T>,
) -> Vec<(usize, Vec<T>)> {
    let mut by_service: Vec<(usize, Vec<T>)> = Vec::new();
    for one in made {
        let Some(record) = kind(one) else {
            continue;
        };
        match by_service.iter_mut().find(|(name, _)| *name == one.service) {
            Some((_, records)) => records.push(record.clone()),
            None => by_service.push((one.service, vec![record.clone()])),
        }
    }
    by_service
}

fn resource(service: usize) -> Resource {
    Resource {
        attributes: vec![
            text("service.name", SERVICES[service]),
            text("deployment.environment.name", "test"),
            text("service.version", "1.2.3"),
        ],
        ..Resource::default()
    }
}

fn logs_of<'a>(made: impl IntoIterator<Item = &'a Made>) -> ExportLogsServiceRequest {
    let resource_logs = by_service(made, Made::log)
        .into_iter()
        .map(|(service, log_records)| ResourceLogs {
            resource: Some(resource(service)),
            scope_logs: vec![ScopeLogs {
                log_records,
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        })
        .collect();
    ExportLogsServiceRequest { resource_logs }
}

fn spans_of<'a>(made: impl IntoIterator<Item = &'a Made>) -> ExportTraceServiceRequest {
    let resource_spans = by_service(made, Made::span)
        .into_iter()
        .map(|(service, spans)| ResourceSpans {
            resource: Some(resource(service)),
            scope_spans: vec![ScopeSpans {
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        })
        .collect();
    ExportTraceServiceRequest { resource_spans }
}

/// Every scenario that this test is about.
pub fn scenario() -> impl Strategy<Value = Scenario> {
    let traces = vec(
        prop_oneof![4 => vec(span_plan(), 1..9), 1 => vec(span_plan(), 9..16)],
        1..3,
    );
    let places = vec(any::<u16>(), 64);
    let cuts = vec(cut(), 64);
    let replays = vec(replay_plan(), 0..4);
    (traces, places, cuts, replays).prop_map(|(traces, places, cuts, replays)| {
        let made = make_records(&traces);
        let deliveries = deliver(&made, &places, &cuts, &replays);
        Scenario { made, deliveries }
    })
}
