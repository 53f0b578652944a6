//! The slow and obvious reference of detection: all spans and log records at once in, the rows and request counts
//! that must come out. It is written from the rules alone and shares no code with the program.

mod columns;
mod exception;
mod log;
mod span;
mod tree;

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest,
};

use log::Log;
use span::Span;
use tree::Tree;

/// One row of `api_errors`, as far as telemetry alone decides it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub service_name: String,
    pub trace_id: String,
    pub span_id: String,
    pub environment: String,
    pub service_version: Option<String>,
    pub endpoint: String,
    pub method: String,
    pub status_code: Option<i32>,
    pub error_code: Option<String>,
    pub error_message: String,
    pub error_stack: Option<String>,
    pub severity: String,
    pub category: String,
    pub tags: Vec<String>,
    pub external_service: Option<String>,
    pub external_error_code: Option<String>,
    pub external_error_message: Option<String>,
    pub user_id: Option<String>,
    pub request_id: Option<String>,
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
    pub created_at_micros: i64,
}

/// What requests are counted by: hour (in microseconds since the epoch), service, environment,
/// endpoint, method.
pub type RequestSeries = (i64, String, String, String, String);

/// What must come out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Sorted.
    pub rows: Vec<Row>,
    /// Requests, and how many of them failed.
    pub requests: BTreeMap<RequestSeries, (i64, i64)>,
    /// Spans whose ids are none.
    pub rejected: u64,
}

const MICROS_PER_HOUR: i64 = 3_600_000_000;

/// What the spans and log records of these requests come down to, each taken once. The order of
/// requests and of what is in them plays no part.
pub fn expect(
    requests: &[ExportTraceServiceRequest],
    logs: &[ExportLogsServiceRequest],
    received_at_micros: i64,
) -> Expected {
    let mut rejected = 0;
    let mut traces: BTreeMap<(String, Vec<u8>), Tree<'_>> = BTreeMap::new();
    for request in requests {
        for resource_spans in &request.resource_spans {
            let same_resource: Vec<_> = resource_spans
                .scope_spans
                .iter()
                .flat_map(|scope_spans| &scope_spans.spans)
                .collect();
            for sent in &same_resource {
                if !is_id(&sent.trace_id, 16) || !is_id(&sent.span_id, 8) {
                    rejected += 1;
                    continue;
                }
                let parent_is_beside = same_resource.iter().any(|other| {
                    other.trace_id == sent.trace_id && other.span_id == sent.parent_span_id
                });
                let span = Span::new(
                    resource_spans.resource.as_ref(),
                    sent,
                    parent_is_beside,
                    received_at_micros,
                );
                traces
                    .entry((span.service_name(), sent.trace_id.clone()))
                    .or_default()
                    .spans
                    .entry(sent.span_id.clone())
                    .or_insert(span);
            }
        }
    }

    let records: Vec<_> = logs
        .iter()
        .flat_map(|request| &request.resource_logs)
        .flat_map(|of_resource| {
            let records = of_resource.scope_logs.iter().flat_map(|of_scope| {
                let logger = of_scope.scope.as_ref().map_or("", |scope| &scope.name);
                let records = of_scope.log_records.iter();
                records.map(move |record| (logger, record))
            });
            records.map(|(logger, record)| {
                let mut words = log::in_words_of_a_span(logger, record);
                if !is_id(&words.trace_id, 16) {
                    words.trace_id.clear();
                    words.span_id.clear();
                }
                (of_resource.resource.as_ref(), record, words)
            })
        })
        .collect();
    let mut rows = Vec::new();
    let mut outside: Vec<Log<'_>> = Vec::new();
    for (resource, record, words) in &records {
        let Some(log) = Log::new(*resource, record, words, received_at_micros) else {
            continue;
        };
        if !is_id(&record.trace_id, 16) {
            if !outside.iter().any(|other| other.is_same(&log)) {
                outside.push(log.clone());
                let logs = vec![log];
                rows.extend(tree::rows(&Tree {
                    logs,
                    ..Tree::default()
                }));
            }
            continue;
        }
        let trace = (log.words.service_name(), record.trace_id.clone());
        let logs = &mut traces.entry(trace).or_default().logs;
        if !logs.iter().any(|other| other.is_same(&log)) {
            logs.push(log);
        }
    }

    let mut requests = BTreeMap::new();
    for tree in traces.values() {
        for entry in tree.spans.values().filter(|span| span.is_entry()) {
            let ended = entry.ended_at_micros();
            let (requests, errors): &mut (i64, i64) = requests
                .entry((
                    ended - ended.rem_euclid(MICROS_PER_HOUR),
                    entry.service_name(),
                    entry.environment(),
                    entry.endpoint(),
                    entry.method(),
                ))
                .or_default();
            *requests += 1;
            *errors += i64::from(entry.failed());
        }
        rows.extend(tree::rows(tree));
    }
    rows.sort();
    Expected {
        rows,
        requests,
        rejected,
    }
}

/// Whether a span failed, whatever stands around it.
pub fn failed(span: &opentelemetry_proto::tonic::trace::v1::Span) -> bool {
    Span::new(None, span, false, 0).failed()
}

fn is_id(bytes: &[u8], length: usize) -> bool {
    bytes.len() == length && bytes.iter().any(|byte| *byte != 0)
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}
