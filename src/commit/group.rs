//! What a group of requests adds up to, in the form that a transaction and its plan want.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    detect::{Findings, TraceFindings},
    domain::{
        ApiError, ErrorId, PipelineId, RequestDigest, RunFacts, Sighting, SightingKey, SpanId,
        TraceKey,
    },
    store::{AggregationDelta, RequestTotalsDelta, TraceIdentity},
};

use super::{
    plan::{self, DimensionLimit},
    queue::{self, Tally, Work},
    seen::SeenEntries,
    totals::Totals,
};

/// A piece of a group ends at this many traces, sightings or bytes, unless one trace alone has more.
const PIECE_TRACES: usize = 250;
const PIECE_SIGHTINGS: usize = 1_000;
const PIECE_BYTES: usize = 4 * 1024 * 1024;

/// What of a request the database can refuse without the rest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Refusable {
    Trace(TraceKey),
    /// Of an exception that was logged outside of any trace.
    Row(ErrorId),
}

impl Refusable {
    /// All that the findings can be parted into.
    pub(super) fn all(findings: &Findings) -> Vec<Self> {
        let traces = findings.traces.iter().map(|trace| Self::Trace(trace.key));
        let rows = findings.rows.iter().map(|row| Self::Row(row.id));
        traces.chain(rows).collect()
    }
}

/// What one request of the group shows of one trace.
#[derive(Clone, Copy, Debug)]
struct Part<'w> {
    /// Which request.
    origin: usize,
    found: &'w TraceFindings,
}

/// Whole traces of a group, to be planned and written together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'g, 'w> {
    /// Sorted by trace, those of each in order of arrival.
    parts: &'g [Part<'w>],
}

/// For each sighting of a trace: the request it came in, and what names its record.
pub(super) type TraceRecords = Vec<(usize, Option<SpanId>, SightingKey)>;

/// The parts of a group that are not in the ledger yet, put together.
#[derive(Debug, Default)]
pub(super) struct Group<'w> {
    /// Sorted by trace, those of each in order of arrival.
    parts: Vec<Part<'w>>,
    pub(super) logged: Vec<&'w ApiError>,
    pub(super) upserts: Vec<AggregationDelta>,
    pub(super) requests: Vec<RequestTotalsDelta>,
    /// What is said of runs of pipelines.
    pub(super) runs: BTreeMap<PipelineId, RunFacts>,
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
        Work::Errors(_) | Work::Imported(_) | Work::Edit(_) | Work::Rebuild { .. } => None,
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

/// The counts without rows that are to be written, each with whoever gives it.
pub(super) fn unlinked<'w>(
    works: &[&'w Work],
    fresh: &[bool],
) -> Vec<(&'w str, &'w AggregationDelta)> {
    let works = works.iter().zip(fresh).filter(|(_, fresh)| **fresh);
    let given = works.filter_map(|(work, _)| match work {
        Work::Unlinked { counts, actor, .. } => Some((actor, counts)),
        _ => None,
    });
    given
        .flat_map(|(actor, counts)| counts.iter().map(move |count| (actor.as_str(), count)))
        .collect()
}

impl<'w> Group<'w> {
    /// Puts the works together that are fresh, leaving out the traces that the database refuses.
    /// The entry spans that count are admitted to `seen`.
    pub(super) fn collect(
        works: &[&'w Work],
        fresh: &[bool],
        refused: &HashSet<Refusable>,
        seen: &mut SeenEntries,
        limit: &mut impl DimensionLimit,
    ) -> Self {
        let mut group = Self::default();
        let mut totals = Totals::default();
        for (index, work) in works.iter().enumerate().filter(|(index, _)| fresh[*index]) {
            match work {
                Work::Telemetry(findings) => {
                    totals.add(findings, seen);
                    for (id, facts) in &findings.runs {
                        group
                            .runs
                            .entry(id.clone())
                            .or_default()
                            .merge(facts.clone());
                    }
                    let taken = findings.traces.iter();
                    let taken =
                        taken.filter(|found| !refused.contains(&Refusable::Trace(found.key)));
                    group.parts.extend(taken.map(|found| Part {
                        origin: index,
                        found,
                    }));
                    let rows = findings.rows.iter();
                    group
                        .logged
                        .extend(rows.filter(|row| !refused.contains(&Refusable::Row(row.id))));
                }
                Work::Errors(errors) => group.logged.extend(errors),
                Work::Unlinked { counts, .. } => group.upserts.extend(counts.iter().cloned()),
                // What of it is new only the database knows.
                Work::Imported(_) | Work::Edit(_) | Work::Rebuild { .. } => {}
            }
        }
        group.parts.sort_by_key(|part| part.found.key);
        group.requests = totals.finish(limit);
        group
    }

    /// The traces in the order of their keys, in pieces that take little memory to plan and write.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece<'_, 'w>> {
        let mut rest = self.parts.as_slice();
        std::iter::from_fn(move || {
            let (mut end, mut traces, mut sightings, mut bytes) = (0, 0, 0, 0);
            for trace in rest.chunk_by(is_same_trace) {
                let new = || trace.iter().flat_map(|part| &part.found.sightings);
                traces += 1;
                sightings += new().count();
                bytes += new().map(queue::sighting_bytes).sum::<usize>();
                let is_full =
                    traces > PIECE_TRACES || sightings > PIECE_SIGHTINGS || bytes > PIECE_BYTES;
                if is_full && end > 0 {
                    break;
                }
                end += trace.len();
            }
            let (parts, after) = rest.split_at(end);
            rest = after;
            (end > 0).then_some(Piece { parts })
        })
    }

    /// The keys of its traces, each once.
    pub(super) fn trace_keys(&self) -> Vec<TraceKey> {
        let traces = self.parts.chunk_by(is_same_trace);
        traces.map(|parts| parts[0].found.key).collect()
    }

    /// How the spans of each request count, given what became of each sighting.
    pub(super) fn tally(
        works: &[&Work],
        fresh: &[bool],
        refused: &HashSet<Refusable>,
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

impl<'g, 'w> Piece<'g, 'w> {
    /// Its traces, sorted, each once.
    pub(super) fn identities(self) -> Vec<TraceIdentity> {
        let firsts = self.traces().map(|parts| parts[0].found);
        firsts
            .map(|found| TraceIdentity {
                key: found.key,
                service_name: found.service_name.clone(),
                trace_id: found.trace_id,
            })
            .collect()
    }

    /// The sightings of each trace, over all requests, in order of arrival.
    pub(super) fn sightings(self) -> impl Iterator<Item = Vec<Sighting>> {
        self.traces().map(|parts| {
            let sightings = parts.iter().flat_map(|part| &part.found.sightings);
            sightings.cloned().collect()
        })
    }

    /// What the tally needs of each trace.
    pub(super) fn records(self) -> impl Iterator<Item = TraceRecords> {
        self.traces().map(|parts| {
            let sightings = parts.iter().flat_map(|part| {
                let sightings = part.found.sightings.iter();
                sightings.map(|sighting| (part.origin, sighting.span_id, sighting.key))
            });
            sightings.collect()
        })
    }

    fn traces(self) -> impl Iterator<Item = &'g [Part<'w>]> {
        self.parts.chunk_by(is_same_trace)
    }
}

fn is_same_trace(one: &Part<'_>, other: &Part<'_>) -> bool {
    one.found.key == other.found.key
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
fn whole(findings: &Findings, fresh: bool, refused: &HashSet<Refusable>) -> Tally {
    let bad: u64 = findings.rejected.iter().map(|(_, count)| count).sum();
    let good = findings.records.saturating_sub(bad);
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
        .filter(|trace| refused.contains(&Refusable::Trace(trace.key)))
        .flat_map(|trace| {
            trace
                .sightings
                .iter()
                .map(|sighting| (trace.key, sighting.span_id))
        })
        .collect();
    let rows = findings.rows.iter();
    let refused_rows = rows.filter(|row| refused.contains(&Refusable::Row(row.id)));
    let refused_records = (refused_spans.len() + refused_rows.count()) as u64;
    Tally {
        rejected: bad + refused_records,
        dropped: findings.dropped,
        not_error: good.saturating_sub(refused_records + findings.dropped),
        ..Tally::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::{detect::sample, domain::TraceId};

    /// A request in which each of these traces has so many failures.
    fn request(traces: impl Iterator<Item = u128>, failures: usize, stack: &str) -> Work {
        let traces = traces.map(|number| {
            let trace_id = TraceId(number.to_be_bytes());
            TraceFindings {
                key: TraceKey::new(sample::SERVICE, trace_id),
                service_name: sample::SERVICE.to_owned(),
                trace_id,
                sightings: vec![sample::failed(1, 0).stack(stack); failures],
            }
        });
        Work::Telemetry(Findings {
            traces: traces.collect(),
            ..Findings::default()
        })
    }

    /// For each piece, for each of its traces: how many sightings each request has of it.
    fn pieces(works: &[&Work]) -> Vec<Vec<(TraceKey, Vec<usize>)>> {
        let mut seen = SeenEntries::new(1, Duration::from_mins(1), Instant::now());
        let mut limit = plan::HourlyLabelSets::default();
        let fresh = vec![true; works.len()];
        let group = Group::collect(works, &fresh, &HashSet::new(), &mut seen, &mut limit);
        let of_trace = |(identity, records): (TraceIdentity, TraceRecords)| {
            let counts = (0..works.len()).map(|request| {
                let origins = records.iter().map(|(origin, ..)| origin);
                origins.filter(|origin| **origin == request).count()
            });
            (identity.key, counts.collect())
        };
        let pieces = group.pieces().map(|piece| {
            let traces = piece.identities().into_iter().zip(piece.records());
            assert!(
                piece
                    .sightings()
                    .map(|of_trace| of_trace.len())
                    .eq(piece.records().map(|of_trace| of_trace.len()))
            );
            traces.map(of_trace).collect()
        });
        pieces.collect()
    }

    #[test]
    fn a_large_group_is_cut_between_traces_in_the_order_of_their_keys() {
        let works = [request(0..600, 1, ""), request(300..900, 2, "")];
        let pieces = pieces(&[&works[0], &works[1]]);
        assert!(pieces.iter().all(|piece| piece.len() <= PIECE_TRACES));
        let traces = pieces.concat();
        assert!(traces.is_sorted_by(|one, other| one.0 < other.0));
        let with = |counts: [usize; 2]| traces.iter().filter(|trace| trace.1 == counts).count();
        assert_eq!((with([1, 0]), with([1, 2]), with([0, 2])), (300, 300, 300));
    }

    #[test]
    fn pieces_are_small_in_sightings_and_in_bytes_but_no_trace_is_cut() {
        let many = request(0..10, 400, "");
        let sizes = |pieces: &[Vec<_>]| pieces.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(&pieces(&[&many])), [2; 5]);
        let large = request(0..10, 20, &"x".repeat(64 * 1024));
        assert_eq!(sizes(&pieces(&[&large])), [3, 3, 3, 1]);
        let whole = request(0..1, 5_000, "");
        assert_eq!(sizes(&pieces(&[&whole])), [1]);
    }
}
