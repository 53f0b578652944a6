//! What one request of telemetry comes down to.

use std::collections::BTreeMap;

use crate::domain::{
    ApiError, EntrySpan, PipelineId, RequestDigest, RunFacts, Sampling, Series, Sighting, TraceId,
    TraceKey,
};
use crate::lately::LeftOut;

/// Everything that a request leads to. Kept small: texts only where something failed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Findings {
    /// What makes the request the same when it is sent again; `None` when nothing of it is written.
    pub digest: Option<RequestDigest>,
    /// Spans or log records in the request.
    pub records: u64,
    /// Spans of this process that came back to it; they are not among `records`.
    pub own_spans: u64,
    /// Secrets that were taken out of rows and endpoints.
    pub scrubbed: u64,
    /// Spans and log records that would be errors, had not a rule of the user dropped them.
    pub dropped: u64,
    /// Spans that were left out for good, with the reason: bad ids, …
    pub rejected: Vec<(&'static str, u64)>,
    /// The label sets that `entries` point to, each once.
    pub series: Vec<Series>,
    /// Entry spans in order.
    pub entries: Vec<EntrySpan>,
    /// Services that have entry spans here, each once, and how those were sampled.
    pub samplings: Vec<(String, Sampling)>,
    /// Traces with something to remember, each once, in the order of their first finding.
    pub traces: Vec<TraceFindings>,
    /// Rows of exceptions that were logged outside of any trace, in order. Their `aggregation_id` is
    /// the plan's to set.
    pub rows: Vec<ApiError>,
    /// What was said of runs of pipelines.
    pub runs: BTreeMap<PipelineId, RunFacts>,
    /// The first of those that were dropped or rejected.
    pub left_out: Vec<LeftOut>,
}

/// About what a row without a trace takes beside the sighting that it was made of, which is as
/// large and gone by then.
pub(super) const ROW_BYTES: usize = 4 * 1024;

impl Findings {
    /// About how many bytes of memory they take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let sightings = self.traces.iter().flat_map(|trace| &trace.sightings);
        size_of::<Self>()
            + self.entries.len() * size_of::<EntrySpan>()
            + self.series.len() * 256
            + sightings.map(Sighting::memory_bytes).sum::<usize>()
            + self.rows.len() * ROW_BYTES
            + self
                .runs
                .values()
                .map(RunFacts::memory_bytes)
                .sum::<usize>()
    }
}

/// The sightings of one service's part of one trace, in the order of the request.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceFindings {
    /// Names the pair of service and trace.
    pub key: TraceKey,
    /// `service_name` of its rows.
    pub service_name: String,
    /// The trace.
    pub trace_id: TraceId,
    /// What was seen.
    pub sightings: Vec<Sighting>,
}

/// Where findings find room while they are being made.
pub trait Room {
    /// Makes room for this many bytes in all; false when there is none now.
    fn grow(&mut self, bytes: usize) -> bool;
}

/// The traces of which every span is looked at, because something failed in them lately.
pub trait OpenTraces {
    /// Whether the trace is open.
    fn is_open(&self, trace: TraceKey) -> bool;

    /// Whether none is: then no key needs to be made.
    fn is_empty(&self) -> bool {
        false
    }
}
