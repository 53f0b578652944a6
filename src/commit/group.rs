//! What a group of requests adds up to, in the form that a transaction and its plan want.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    detect::Findings,
    domain::{
        ApiError, Category, DURATION_BUCKETS, Dimensions, EntrySpan, Hour, RequestDigest, Series,
        Severity, Sighting, SightingKey, SpanId, TraceKey, duration_bucket,
    },
    store::{AggregationDelta, RequestTotalsDelta, TraceIdentity},
};

use super::{
    plan::{self, DimensionLimit},
    queue::{Tally, Work},
    seen::SeenEntries,
};

/// One trace of the group and its sightings, over all requests, in order of arrival.
#[derive(Debug)]
pub(super) struct GroupTrace {
    pub(super) identity: TraceIdentity,
    pub(super) new: Vec<Sighting>,
    /// Which request of the group each of them came in.
    origins: Vec<usize>,
}

/// For each sighting of a trace: the request it came in, and what names its record.
pub(super) type TraceRecords = Vec<(usize, Option<SpanId>, SightingKey)>;

/// The parts of a group that are not in the ledger yet, put together.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Sorted by key, each once.
    pub(super) traces: Vec<GroupTrace>,
    pub(super) logged: Vec<ApiError>,
    pub(super) upserts: Vec<AggregationDelta>,
    pub(super) requests: Vec<RequestTotalsDelta>,
    /// Keys of the entry spans that are counted in `requests`.
    pub(super) entry_keys: Vec<u64>,
}

/// The digests of the group, sorted, each once.
pub(super) fn digests(works: &[&Work]) -> Vec<RequestDigest> {
    let mut digests: Vec<RequestDigest> = works.iter().filter_map(|work| digest(work)).collect();
    digests.sort_unstable();
    digests.dedup();
    digests
}

pub(super) fn digest(work: &Work) -> Option<RequestDigest> {
    match work {
        Work::Telemetry(findings) => findings.digest,
        Work::Unlinked { digest, .. } => Some(*digest),
        Work::Errors(_) | Work::Rebuild { .. } => None,
    }
}

/// Which works of the group are to be written: all but requests that are in the ledger already or
/// stand in the group before.
pub(super) fn fresh(works: &[&Work], new_digests: &[RequestDigest]) -> Vec<bool> {
    let mut new_digests: HashSet<RequestDigest> = new_digests.iter().copied().collect();
    works
        .iter()
        .map(|work| digest(work).is_none_or(|digest| new_digests.remove(&digest)))
        .collect()
}

impl Group {
    /// Puts the works together that are fresh, leaving out the traces that the database refuses.
    pub(super) fn collect(
        works: &[&Work],
        fresh: &[bool],
        refused: &HashSet<TraceKey>,
        seen: &SeenEntries,
        limit: &mut impl DimensionLimit,
    ) -> Self {
        let mut group = Self::default();
        let mut traces: BTreeMap<TraceKey, GroupTrace> = BTreeMap::new();
        let mut totals = Totals::default();
        for (index, work) in works.iter().enumerate().filter(|(index, _)| fresh[*index]) {
            match work {
                Work::Telemetry(findings) => {
                    totals.add(findings, seen);
                    for found in findings
                        .traces
                        .iter()
                        .filter(|found| !refused.contains(&found.key))
                    {
                        let trace = traces.entry(found.key).or_insert_with(|| GroupTrace {
                            identity: TraceIdentity {
                                key: found.key,
                                service_name: found.service_name.clone(),
                                trace_id: found.trace_id,
                            },
                            new: Vec::new(),
                            origins: Vec::new(),
                        });
                        trace.new.extend(found.sightings.iter().cloned());
                        trace.origins.resize(trace.new.len(), index);
                    }
                }
                Work::Errors(errors) => group.logged.extend(errors.iter().cloned()),
                Work::Unlinked { counts, .. } => group.upserts.extend(counts.iter().cloned()),
                Work::Rebuild { .. } => {}
            }
        }
        group.traces = traces.into_values().collect();
        (group.requests, group.entry_keys) = totals.finish(limit);
        group
    }

    /// How the spans of each request count, given what became of each sighting.
    pub(super) fn tally(
        works: &[&Work],
        fresh: &[bool],
        refused: &HashSet<TraceKey>,
        traces: &[TraceRecords],
        outcomes: &[Vec<plan::Outcome>],
    ) -> Vec<Tally> {
        let mut spans: HashMap<(usize, usize, Option<SpanId>, Option<SightingKey>), plan::Outcome> =
            HashMap::new();
        for (trace, (records, outcomes)) in traces.iter().zip(outcomes).enumerate() {
            for ((origin, span, key), outcome) in records.iter().zip(outcomes) {
                if *outcome == plan::Outcome::NotError {
                    continue;
                }
                // A span counts once, by the first that applies: error, merged, duplicate.
                let record = (*origin, trace, *span, span.is_none().then_some(*key));
                let slot = spans.entry(record).or_insert(*outcome);
                if rank(*outcome) < rank(*slot) {
                    *slot = *outcome;
                }
            }
        }
        let mut tallies: Vec<Tally> = works
            .iter()
            .zip(fresh)
            .map(|(work, fresh)| match work {
                Work::Telemetry(findings) => whole(findings, *fresh, refused),
                _ => Tally::default(),
            })
            .collect();
        for ((origin, ..), outcome) in spans {
            let tally = &mut tallies[origin];
            match outcome {
                plan::Outcome::Error => tally.error += 1,
                plan::Outcome::Merged => tally.merged += 1,
                plan::Outcome::Duplicate => tally.duplicate += 1,
                plan::Outcome::NotError => continue,
            }
            tally.not_error = tally.not_error.saturating_sub(1);
        }
        tallies
    }
}

impl GroupTrace {
    /// What the tally needs when the sightings have gone into the plan.
    pub(super) fn records(&self) -> TraceRecords {
        let sightings = self.origins.iter().zip(&self.new);
        sightings
            .map(|(origin, sighting)| (*origin, sighting.span_id, sighting.key))
            .collect()
    }
}

fn rank(outcome: plan::Outcome) -> u8 {
    match outcome {
        plan::Outcome::Error => 0,
        plan::Outcome::Merged => 1,
        plan::Outcome::Duplicate => 2,
        plan::Outcome::NotError => 3,
    }
}

/// The tally of a request before its failures are told apart.
fn whole(findings: &Findings, fresh: bool, refused: &HashSet<TraceKey>) -> Tally {
    let bad: u64 = findings.rejected.iter().map(|(_, count)| count).sum();
    let good = findings.spans.saturating_sub(bad);
    if !fresh {
        return Tally {
            rejected: bad,
            duplicate: good,
            ..Tally::default()
        };
    }
    let refused_spans: HashSet<_> = findings
        .traces
        .iter()
        .filter(|trace| refused.contains(&trace.key))
        .flat_map(|trace| {
            trace
                .sightings
                .iter()
                .map(|sighting| (trace.key, sighting.span_id))
        })
        .collect();
    let refused_spans = refused_spans.len() as u64;
    Tally {
        rejected: bad + refused_spans,
        not_error: good.saturating_sub(refused_spans),
        ..Tally::default()
    }
}

/// Request totals in the making.
#[derive(Default)]
struct Totals {
    deltas: HashMap<(Hour, Series), RequestTotalsDelta>,
    counted: HashSet<u64>,
}

impl Totals {
    fn add(&mut self, findings: &Findings, seen: &SeenEntries) {
        let mut of_request: HashMap<(Hour, u32), RequestTotalsDelta> = HashMap::new();
        for entry in &findings.entries {
            if seen.contains(entry.key) || !self.counted.insert(entry.key) {
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
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(delta);
            }
            std::collections::hash_map::Entry::Occupied(mut sum) => add(sum.get_mut(), &delta),
        }
    }

    /// Sorted by hour and series, folded where the hour's label sets are too many.
    fn finish(self, limit: &mut impl DimensionLimit) -> (Vec<RequestTotalsDelta>, Vec<u64>) {
        let mut folded: BTreeMap<(Hour, Series), RequestTotalsDelta> = BTreeMap::new();
        let mut deltas: Vec<RequestTotalsDelta> = self.deltas.into_values().collect();
        deltas.sort_unstable_by(|a, b| (a.hour, &a.series).cmp(&(b.hour, &b.series)));
        for mut delta in deltas {
            delta.series = fold(limit, delta.hour, delta.series);
            match folded.entry((delta.hour, delta.series.clone())) {
                std::collections::btree_map::Entry::Vacant(vacant) => {
                    vacant.insert(delta);
                }
                std::collections::btree_map::Entry::Occupied(mut sum) => add(sum.get_mut(), &delta),
            }
        }
        (
            folded.into_values().collect(),
            self.counted.into_iter().collect(),
        )
    }
}

/// The limit on label sets is one on dimensions; a series is the dimensions of no error.
fn fold(limit: &mut impl DimensionLimit, hour: Hour, series: Series) -> Series {
    let dimensions = Dimensions {
        service_name: series.service_name,
        environment: series.environment,
        endpoint: series.endpoint,
        method: series.method,
        severity: Severity::Info,
        category: Category::Unknown,
        external_service: None,
        status_code: None,
    };
    let folded = limit.fold(hour, &dimensions);
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
