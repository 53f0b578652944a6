//! Traces as they happen, and the ways in which they may arrive: any order that exporters can
//! produce, any cuts into requests, any replays, two replicas. Everything shrinks.

mod arrival;
mod spans;

use std::fmt;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::KeyValue,
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use proptest::{collection::vec, prelude::*};

use crate::reference;
use arrival::{cut, deliver, replay_plan};
use spans::{BEGIN_NANOS, SERVICES, make_spans, span_plan, text};

/// When every request of a scenario is received.
pub const RECEIVED_AT_MICROS: i64 = 1_787_223_660_000_000;

/// A few traces, and one way in which they arrive.
#[derive(Clone)]
pub struct Scenario {
    /// In the order in which they ended.
    pub spans: Vec<Made>,
    /// What is sent, in order.
    pub deliveries: Vec<Delivery>,
}

/// A span and the service that made it.
#[derive(Clone, Debug)]
pub struct Made {
    service: usize,
    span: Span,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Which spans, in order.
    pub spans: Vec<usize>,
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
    /// Its spans were not sent before.
    First,
    /// The same request again, byte by byte.
    Retry,
    /// Spans that were sent before, in a request that was not.
    Rebatched,
}

impl Scenario {
    /// The request of a delivery.
    pub fn request(&self, delivery: &Delivery) -> ExportTraceServiceRequest {
        envelope(delivery.spans.iter().map(|index| &self.spans[*index]))
    }

    /// Every span once, in one request.
    pub fn whole(&self) -> ExportTraceServiceRequest {
        envelope(&self.spans)
    }

    /// The same traces, all in one request.
    pub fn in_one_request(&self) -> Self {
        Self {
            spans: self.spans.clone(),
            deliveries: vec![Delivery {
                spans: (0..self.spans.len()).collect(),
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
        writeln!(f, "spans, in the order in which they ended:")?;
        for (index, Made { service, span }) in self.spans.iter().enumerate() {
            let failed = if reference::failed(span) {
                "FAILED"
            } else {
                ""
            };
            write!(
                f,
                "  #{index} {} trace {} span {} parent {} kind {} flags {:x} end +{}ms {} {failed}",
                SERVICES[*service],
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

fn envelope<'a>(spans: impl IntoIterator<Item = &'a Made>) -> ExportTraceServiceRequest {
    let mut by_service: Vec<(usize, Vec<Span>)> = Vec::new();
    for Made { service, span } in spans {
        match by_service.iter_mut().find(|(name, _)| name == service) {
            Some((_, spans)) => spans.push(span.clone()),
            None => by_service.push((*service, vec![span.clone()])),
        }
    }
    let resource_spans = by_service
        .into_iter()
        .map(|(service, spans)| ResourceSpans {
            resource: Some(Resource {
                attributes: vec![
                    text("service.name", SERVICES[service]),
                    text("deployment.environment.name", "test"),
                    text("service.version", "1.2.3"),
                ],
                ..Resource::default()
            }),
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
        let spans = make_spans(&traces);
        let deliveries = deliver(&spans, &places, &cuts, &replays);
        Scenario { spans, deliveries }
    })
}
