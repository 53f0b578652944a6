//! What `/metrics` shows. Data counters mirror what was committed and go on across restarts;
//! process counters count what this process did and start with it.

mod data;
mod deltas;
mod process;
mod repository;
mod sampling;
mod watched;

use prometheus::{Registry, TextEncoder};

pub use data::DataCounters;
pub use deltas::MetricDeltas;
pub use process::{
    Commits, Connections, Memory, OtlpRequests, ProcessMetrics, Queue, RecordResult, Records,
    Signal,
};
pub use repository::{Figures, Repository, UnresolvedErrors};
pub use sampling::SamplingInfo;

/// Both kinds of metrics, and the registry that shows them.
pub struct Metrics {
    /// Counters of data: requests, errors, groups.
    pub data: DataCounters,
    /// Counters and gauges of this process.
    pub process: ProcessMetrics,
    registry: Registry,
}

impl Metrics {
    /// Content type of [`Metrics::render`].
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// New metrics in a registry of their own, with at most `label_sets` label sets in each family.
    ///
    /// # Panics
    /// Never: each family is registered once, under a valid name.
    #[must_use]
    pub fn new(label_sets: usize) -> Self {
        let registry = Registry::new();
        let process = ProcessMetrics::register(&registry, label_sets);
        let data = DataCounters::new(label_sets, process.series_overflow.clone());
        registry
            .register(Box::new(data.clone()))
            .expect("data counters are registered once");
        Self {
            data,
            process,
            registry,
        }
    }

    /// Everything in Prometheus' text format 0.0.4.
    ///
    /// # Panics
    /// Never: families without a series are not gathered, and writing to memory cannot fail.
    #[must_use]
    pub fn render(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .expect("gathered families can be written to memory")
    }
}

#[cfg(test)]
mod tests;
