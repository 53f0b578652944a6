//! Request totals of a group: entry spans counted by hour and label set, each once.

use std::collections::{BTreeMap, btree_map, hash_map};

use foldhash::{HashMap, HashMapExt as _};

use crate::{
    detect::Findings,
    domain::{DURATION_BUCKETS, EntrySpan, Hour, Series, duration_bucket},
    store::RequestTotalsDelta,
};

use super::{plan::DimensionLimit, seen::SeenEntries};

/// Request totals in the making.
#[derive(Default)]
pub(super) struct Totals {
    deltas: HashMap<(Hour, Series), RequestTotalsDelta>,
}

impl Totals {
    /// Adds the entries of a request that were not counted before.
    pub fn add(&mut self, findings: &Findings, seen: &mut SeenEntries) {
        let mut of_request: HashMap<(Hour, u32), RequestTotalsDelta> = HashMap::new();
        for entry in &findings.entries {
            if !seen.admit(entry.key) {
                continue;
            }
            let delta = of_request
                .entry((entry.hour, entry.series))
                .or_insert_with(|| RequestTotalsDelta {
                    hour: entry.hour,
                    series: findings.series[entry.series as usize].clone(),
                    requests: 0,
                    errors: 0,
                    estimated_requests: 0.0,
                    duration_nanos: 0,
                    buckets: vec![0; DURATION_BUCKETS],
                });
            count(delta, entry);
        }
        for delta in of_request.into_values() {
            self.merge(delta);
        }
    }

    fn merge(&mut self, delta: RequestTotalsDelta) {
        match self.deltas.entry((delta.hour, delta.series.clone())) {
            hash_map::Entry::Vacant(vacant) => {
                vacant.insert(delta);
            }
            hash_map::Entry::Occupied(mut sum) => add(sum.get_mut(), &delta),
        }
    }

    /// Sorted by hour and series, folded where the hour's label sets are too many.
    pub fn finish(self, limit: &mut impl DimensionLimit) -> Vec<RequestTotalsDelta> {
        let mut folded: BTreeMap<(Hour, Series), RequestTotalsDelta> = BTreeMap::new();
        let mut deltas: Vec<RequestTotalsDelta> = self.deltas.into_values().collect();
        deltas.sort_unstable_by(|a, b| (a.hour, &a.series).cmp(&(b.hour, &b.series)));
        for mut delta in deltas {
            delta.series = fold(limit, delta.hour, delta.series);
            match folded.entry((delta.hour, delta.series.clone())) {
                btree_map::Entry::Vacant(vacant) => {
                    vacant.insert(delta);
                }
                btree_map::Entry::Occupied(mut sum) => add(sum.get_mut(), &delta),
            }
        }
        folded.into_values().collect()
    }
}

fn fold(limit: &mut impl DimensionLimit, hour: Hour, series: Series) -> Series {
    let folded = limit.fold(hour, &series.into());
    Series {
        service_name: folded.service_name,
        environment: folded.environment,
        endpoint: folded.endpoint,
        method: folded.method,
    }
}

fn count(delta: &mut RequestTotalsDelta, entry: &EntrySpan) {
    delta.requests += 1;
    delta.errors += i64::from(entry.failed);
    delta.estimated_requests += entry.stands_for;
    delta.duration_nanos = delta
        .duration_nanos
        .saturating_add(i64::try_from(entry.duration_nanos).unwrap_or(i64::MAX));
    delta.buckets[duration_bucket(entry.duration_nanos)] += 1;
}

fn add(sum: &mut RequestTotalsDelta, delta: &RequestTotalsDelta) {
    sum.requests += delta.requests;
    sum.errors += delta.errors;
    sum.estimated_requests += delta.estimated_requests;
    sum.duration_nanos = sum.duration_nanos.saturating_add(delta.duration_nanos);
    for (sum, count) in sum.buckets.iter_mut().zip(&delta.buckets) {
        *sum += count;
    }
}
