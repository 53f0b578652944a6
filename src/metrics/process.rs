//! What this process did and how it stands: counted as it happens, from 0.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::Collector, proto::MetricType,
};

use super::{repository::Repository, sampling::SamplingInfo, watched::Watched};

/// What arrives over OTLP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// `/v1/traces`
    Spans,
    /// `/v1/logs`
    Logs,
    /// `/v1/metrics`: answered, never kept.
    Metrics,
    /// At a path that is none of OTLP's, or without one that could be read.
    Other,
}

impl Signal {
    /// The label's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spans => "spans",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
            Self::Other => "other",
        }
    }
}

/// What became of a record. Each record has one result: the first that applies, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordResult {
    /// Its request was not answered with success; its sender sends it again.
    Unacknowledged,
    /// Refused for good; told to the sender as a partial success. See [`Records::reject`].
    Rejected,
    /// Its request had been acknowledged before.
    Duplicate,
    /// Taken, and not looked at: nothing can come of it.
    Dropped,
    /// It is the origin of an error that is stored.
    Error,
    /// It is part of an error that is stored.
    Merged,
    /// Nothing failed in it.
    NotError,
}

impl RecordResult {
    const ALL: [Self; 7] = [
        Self::Unacknowledged,
        Self::Rejected,
        Self::Duplicate,
        Self::Dropped,
        Self::Error,
        Self::Merged,
        Self::NotError,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Unacknowledged => "unacknowledged",
            Self::Rejected => "rejected",
            Self::Duplicate => "duplicate",
            Self::Dropped => "dropped",
            Self::Error => "error",
            Self::Merged => "merged",
            Self::NotError => "not_error",
        }
    }
}

/// The metrics of the process, by what they are about.
pub struct ProcessMetrics {
    /// Spans and log records.
    pub records: Records,
    /// Requests on the ports of OTLP.
    pub otlp_requests: OtlpRequests,
    /// Connections on every port.
    pub connections: Connections,
    /// Transactions.
    pub commits: Commits,
    /// What waits for its transaction.
    pub queue: Queue,
    /// Memory that requests hold.
    pub memory: Memory,
    /// The database, as it looks from here.
    pub repository: Repository,
    /// How services sample.
    pub sampling: SamplingInfo,
    pub(super) series_overflow: IntCounter,
    secrets_scrubbed: IntCounter,
}

impl ProcessMetrics {
    /// Registers each family once.
    pub(super) fn register(registry: &Registry, label_sets: usize) -> Self {
        let series_overflow = registered(
            registry,
            IntCounter::new(
                "redspan_series_overflow_total",
                "Label sets folded into __other__, each time that they would have been counted.",
            ),
        );
        let secrets_scrubbed = registered(
            registry,
            IntCounter::new(
                "redspan_secrets_scrubbed_total",
                "Secrets taken out of what was found, before it was stored.",
            ),
        );
        register_build_info(registry);
        #[cfg(target_os = "linux")]
        registry
            .register(Box::new(
                prometheus::process_collector::ProcessCollector::for_self(),
            ))
            .expect("each name is registered once");
        Self {
            records: Records::register(registry),
            otlp_requests: OtlpRequests::register(registry),
            connections: Connections::register(registry),
            commits: Commits::register(registry),
            queue: Queue::register(registry),
            memory: Memory::register(registry),
            repository: Repository::register(registry, label_sets, series_overflow.clone()),
            sampling: SamplingInfo::register(registry, label_sets, series_overflow.clone()),
            series_overflow,
            secrets_scrubbed,
        }
    }
}

impl ProcessMetrics {
    /// Secrets were taken out.
    pub fn scrub(&self, secrets: u64) {
        self.secrets_scrubbed.inc_by(secrets);
    }

    /// Label sets of hours were folded.
    pub fn fold(&self, label_sets: u64) {
        self.series_overflow.inc_by(label_sets);
    }
}

/// `redspan_records_*`: received = Σ results at any quiet moment.
#[derive(Clone)]
pub struct Records {
    received: IntCounterVec,
    results: IntCounterVec,
    rejected: IntCounterVec,
}

impl Records {
    fn register(registry: &Registry) -> Self {
        let records = Self {
            received: counters(
                registry,
                "redspan_records_received_total",
                "Spans and log records received.",
                &["signal"],
            ),
            results: counters(
                registry,
                "redspan_records_total",
                "Spans and log records by what became of them.",
                &["signal", "result"],
            ),
            rejected: counters(
                registry,
                "redspan_records_rejected_total",
                "Spans and log records refused for good, by reason.",
                &["signal", "reason"],
            ),
        };
        for signal in [Signal::Spans, Signal::Logs].map(Signal::as_str) {
            records.received.with_label_values(&[signal]);
            for result in RecordResult::ALL {
                records
                    .results
                    .with_label_values(&[signal, result.as_str()]);
            }
        }
        records
    }

    /// The walk has counted records of a request.
    pub fn receive(&self, signal: Signal, records: u64) {
        self.received
            .with_label_values(&[signal.as_str()])
            .inc_by(records);
    }

    /// The answer is decided: this became of them. Rejected ones have a reason too: [`Records::reject`].
    pub fn settle(&self, signal: Signal, result: RecordResult, records: u64) {
        self.results
            .with_label_values(&[signal.as_str(), result.as_str()])
            .inc_by(records);
    }

    /// The answer is decided: these were rejected, for a reason out of a small closed set. Settles
    /// them too.
    pub fn reject(&self, signal: Signal, reason: &'static str, records: u64) {
        self.rejected
            .with_label_values(&[signal.as_str(), reason])
            .inc_by(records);
        self.settle(signal, RecordResult::Rejected, records);
    }
}

/// `redspan_otlp_requests_total`
#[derive(Clone)]
pub struct OtlpRequests {
    answered: IntCounterVec,
}

impl OtlpRequests {
    fn register(registry: &Registry) -> Self {
        let requests = Self {
            answered: counters(
                registry,
                "redspan_otlp_requests_total",
                "Requests on the ports of OTLP by the status of their answer.",
                &["signal", "code"],
            ),
        };
        for code in ["200", "429", "503"] {
            requests
                .answered
                .with_label_values(&[Signal::Spans.as_str(), code]);
        }
        requests
    }

    /// An answer went out with this HTTP status.
    pub fn answer(&self, signal: Signal, code: u16) {
        self.answered
            .with_label_values(&[signal.as_str(), &code.to_string()])
            .inc();
    }
}

/// `redspan_connections_*`
#[derive(Clone)]
pub struct Connections {
    accepted: Watched,
    refused: Watched,
}

impl Connections {
    fn register(registry: &Registry) -> Self {
        let counter =
            |name, help| registered(registry, Watched::new(MetricType::COUNTER, name, help));
        Self {
            accepted: counter(
                "redspan_connections_accepted_total",
                "Connections taken, by listener.",
            ),
            refused: counter(
                "redspan_connections_refused_total",
                "Connections closed from this side before their time, by listener and reason.",
            ),
        }
    }

    /// Shows how many connections the listener (`otlp_http`, `http`) has taken.
    pub fn watch_accepted(
        &self,
        listener: &'static str,
        connections: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        self.accepted.watch(&[("listener", listener)], connections);
    }

    /// Shows how many connections of the listener were closed, for a reason out of a small closed set.
    pub fn watch_refused(
        &self,
        listener: &'static str,
        reason: &'static str,
        connections: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let labels = [("listener", listener), ("reason", reason)];
        self.refused.watch(&labels, connections);
    }
}

/// `redspan_commit_*`
#[derive(Clone)]
pub struct Commits {
    duration: Histogram,
    rows: Histogram,
}

impl Commits {
    fn register(registry: &Registry) -> Self {
        Self {
            duration: histogram(
                registry,
                "redspan_commit_duration_seconds",
                "How long transactions took, from BEGIN to the end of COMMIT.",
                &[
                    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
                ],
            ),
            rows: histogram(
                registry,
                "redspan_commit_rows",
                "How many rows transactions wrote.",
                &[1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0],
            ),
        }
    }

    /// A transaction has committed.
    pub fn observe(&self, duration: Duration, rows: usize) {
        self.duration.observe(duration.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a group has some thousand rows")]
        self.rows.observe(rows as f64);
    }
}

/// `redspan_queue_*`
#[derive(Clone)]
pub struct Queue {
    records: Watched,
    capacity: IntGauge,
}

impl Queue {
    fn register(registry: &Registry) -> Self {
        let records = Watched::new(
            MetricType::GAUGE,
            "redspan_queue_records",
            "What waits for its transaction or is in one, in records of 1 KiB.",
        );
        Self {
            records: registered(registry, records),
            capacity: gauge(
                registry,
                "redspan_queue_capacity",
                "What the queue before the writer takes at most, in records of 1 KiB.",
            ),
        }
    }

    /// Shows how full the queue is, and how much it takes.
    pub fn watch(&self, capacity: u64, records: impl Fn() -> u64 + Send + Sync + 'static) {
        self.capacity.set(to_gauge(capacity));
        self.records.watch(&[], records);
    }
}

/// `redspan_inflight_bytes`, `redspan_open_traces_evicted_total`
#[derive(Clone)]
pub struct Memory {
    inflight_bytes: Watched,
    evicted_traces: Watched,
}

impl Memory {
    fn register(registry: &Registry) -> Self {
        let inflight_bytes = Watched::new(
            MetricType::GAUGE,
            "redspan_inflight_bytes",
            "Memory reserved for requests that are being received and read.",
        );
        let evicted_traces = Watched::new(
            MetricType::COUNTER,
            "redspan_open_traces_evicted_total",
            "Open traces that were forgotten before their time, because there were too many.",
        );
        Self {
            inflight_bytes: registered(registry, inflight_bytes),
            evicted_traces: registered(registry, evicted_traces),
        }
    }

    /// Shows how many bytes are reserved.
    pub fn watch_inflight(&self, bytes: impl Fn() -> u64 + Send + Sync + 'static) {
        self.inflight_bytes.watch(&[], bytes);
    }

    /// Shows how many open traces had to make room.
    pub fn watch_evicted_traces(&self, traces: impl Fn() -> u64 + Send + Sync + 'static) {
        self.evicted_traces.watch(&[], traces);
    }
}

fn register_build_info(registry: &Registry) {
    let info: IntGaugeVec = registered(
        registry,
        IntGaugeVec::new(
            Opts::new("redspan_build_info", "1; which program this is."),
            &["version", "revision", "rustc"],
        ),
    );
    info.with_label_values(&[
        crate::build::VERSION,
        crate::build::REVISION,
        crate::build::RUSTC,
    ])
    .set(1);
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    registered(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

pub(super) fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    registered(registry, IntGauge::new(name, help))
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Histogram {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    registered(registry, Histogram::with_opts(options))
}

pub(super) fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: prometheus::Result<C>,
) -> C {
    let collector = collector.expect("names and labels are valid");
    registry
        .register(Box::new(collector.clone()))
        .expect("each name is registered once");
    collector
}

fn to_gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
