//! What one transaction adds to the data counters, in the words of the domain.

use std::collections::BTreeMap;

use crate::domain::{DURATION_BUCKETS, Endings, ErrorLabels, Series, duration_bucket};

/// What one transaction adds to the data counters. Collect, then hand to
/// [`super::DataCounters::stage`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricDeltas {
    pub(super) requests: BTreeMap<Series, RequestsDelta>,
    pub(super) errors: BTreeMap<ErrorLabels, i64>,
    pub(super) merged_rows: BTreeMap<String, i64>,
    pub(super) new_groups: BTreeMap<String, i64>,
    pub(super) regressed_groups: BTreeMap<String, i64>,
    pub(super) endings: Endings,
}

/// What is added to the requests of one series.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RequestsDelta {
    pub(super) ok: i64,
    pub(super) errors: i64,
    pub(super) duration_nanos: i64,
    pub(super) buckets: [i64; DURATION_BUCKETS],
}

impl MetricDeltas {
    /// Whether nothing is added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// One request of a series.
    pub fn request(&mut self, series: &Series, failed: bool, duration_nanos: u64) {
        let mut buckets = [0; DURATION_BUCKETS];
        buckets[duration_bucket(duration_nanos)] = 1;
        let duration_nanos = i64::try_from(duration_nanos).unwrap_or(i64::MAX);
        let errors = i64::from(failed);
        self.requests(series, 1, errors, duration_nanos, &buckets);
    }

    /// Many requests of a series: `requests` in all, `errors` of them failed; observations in each
    /// duration bucket, not cumulative. The fields of a [`crate::store::RequestTotalsDelta`].
    pub fn requests(
        &mut self,
        series: &Series,
        requests: i64,
        errors: i64,
        duration_nanos: i64,
        buckets: &[i64],
    ) {
        let delta = if let Some(delta) = self.requests.get_mut(series) {
            delta
        } else {
            self.requests.entry(series.clone()).or_default()
        };
        delta.ok += requests - errors;
        delta.errors += errors;
        delta.duration_nanos = delta.duration_nanos.saturating_add(duration_nanos);
        for (sum, bucket) in delta.buckets.iter_mut().zip(buckets) {
            *sum += bucket;
        }
    }

    /// Rows that are stored for the first time, with the labels that they have then.
    pub fn errors(&mut self, labels: &ErrorLabels, rows: i64) {
        *self.errors.entry(labels.clone()).or_default() += rows;
    }

    /// Rows of this service that turned out to be another's.
    pub fn merged_rows(&mut self, service_name: &str, rows: i64) {
        add(&mut self.merged_rows, service_name, rows);
    }

    /// Groups of this service that were not there before.
    pub fn new_groups(&mut self, service_name: &str, groups: i64) {
        add(&mut self.new_groups, service_name, groups);
    }

    /// Resolved groups of this service that came back.
    pub fn regressed_groups(&mut self, service_name: &str, groups: i64) {
        add(&mut self.regressed_groups, service_name, groups);
    }

    /// Runs and stages that began and ended.
    pub fn endings(&mut self, endings: Endings) {
        self.endings.append(endings);
    }
}

fn add(counts: &mut BTreeMap<String, i64>, service_name: &str, by: i64) {
    *counts.entry(service_name.to_owned()).or_default() += by;
}
