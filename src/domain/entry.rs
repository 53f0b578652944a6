//! Requests: what an entry span adds to the totals.

use super::{Category, Dimensions, Hour, Severity};

/// Upper bounds of the buckets of `redspan_request_duration_seconds`, in seconds.
pub const DURATION_BUCKETS_SECONDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The buckets of a duration, the last one beyond every bound.
pub const DURATION_BUCKETS: usize = DURATION_BUCKETS_SECONDS.len() + 1;

/// The bucket that a duration falls into; a bound belongs to its bucket.
#[must_use]
pub fn duration_bucket(nanos: u64) -> usize {
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact for durations below 104 days, and beyond every bound after that"
    )]
    let nanos = nanos as f64;
    DURATION_BUCKETS_SECONDS.partition_point(|bound| (bound * 1e9).round() < nanos)
}

/// The label set of requests: `service_name, environment, endpoint, method`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Series {
    /// See `api_errors.service_name`.
    pub service_name: String,
    /// See `api_errors.environment`.
    pub environment: String,
    /// See `api_errors.endpoint`.
    pub endpoint: String,
    /// See `api_errors.method`.
    pub method: String,
}

impl From<Series> for Dimensions {
    /// Limits on label sets are limits on dimensions; a series is the dimensions of no error.
    fn from(series: Series) -> Self {
        Self {
            service_name: series.service_name,
            environment: series.environment,
            endpoint: series.endpoint,
            method: series.method,
            severity: Severity::Info,
            category: Category::Unknown,
            external_service: None,
            status_code: None,
        }
    }
}

/// One entry span: one request of its endpoint.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct EntrySpan {
    /// Hash of trace and span id: by it a span that comes again in another request is left out.
    pub key: u64,
    /// Index into the findings' list of series.
    pub series: u32,
    /// The hour in which the span ended (clamped like a row's time).
    pub hour: Hour,
    /// Duration in nanoseconds; 0 when it ended before it started.
    pub duration_nanos: u64,
    /// The span failed.
    pub failed: bool,
    /// How many requests it stands for (1 unless sampled by a known threshold).
    pub stands_for: f64,
}

/// What a service's spans tell of how they were sampled. Of several, the last one here holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Sampling {
    /// Nothing: as far as anybody can tell, all of them arrive.
    None,
    /// A threshold, which says how many requests each stands for.
    Threshold,
    /// That they were sampled, but not how many each stands for.
    Unknown,
}

impl Sampling {
    /// The label's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Threshold => "threshold",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_on_a_bound_is_in_that_bucket() {
        assert_eq!(duration_bucket(0), 0);
        assert_eq!(duration_bucket(5_000_000), 0);
        assert_eq!(duration_bucket(5_000_001), 1);
        assert_eq!(duration_bucket(10_000_000_000), 10);
        assert_eq!(duration_bucket(10_000_000_001), 11);
        assert_eq!(duration_bucket(u64::MAX), 11);
    }
}
