//! From the sightings of one service's part of a trace to its rows. Total: whatever stands in the
//! sightings, every failure is a member of exactly one row.

mod logs;
pub(super) mod naming;
mod row;
mod spans;

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

pub use naming::TRIMMED;
pub(super) use row::row_outside_of_traces;
pub use row::{ResolvedRow, RowContext, Standing, build_row, content_of};

use std::cmp::Reverse;

use super::SightingOutcome;
use crate::domain::{Gravity, Sighting, SightingKind};

use naming::Naming;
use row::Origin;
use spans::Spans;

/// The rows of a trace, in the order of their first sightings. `sightings` stand in order of
/// arrival; their contents are needed for finding out what names what.
#[must_use]
pub fn resolve(sightings: &[Sighting]) -> Vec<ResolvedRow> {
    let failures = resolve_from(sightings, sightings.len(), 0);
    failures
        .into_iter()
        .map(|failure| failure.row(sightings))
        .collect()
}

/// The rows of failures that a trace has no room to remember: each of the sightings from
/// `remembered` on is a row by itself, placed among all that is known of its trace. There can be
/// very many, so their rows are made when it is their turn.
#[must_use]
pub fn resolve_beyond(sightings: &[Sighting], remembered: usize) -> Vec<ResolvedFailure> {
    resolve_from(sightings, remembered.min(sightings.len()), remembered)
}

/// The rows whose first sighting is at `first` or later, when sightings from `joining` on stay alone.
fn resolve_from(sightings: &[Sighting], joining: usize, first: usize) -> Vec<ResolvedFailure> {
    let spans = Spans::new(sightings);
    let mut failures = Failures::new(sightings, &spans, joining);
    failures.attach_logs();
    failures.join_causes();
    failures.join_exceptions();
    failures.join_logs();

    let mut places = vec![None; sightings.len()];
    let mut rows: Vec<(usize, Vec<usize>)> = Vec::new();
    for (at, sighting) in sightings.iter().enumerate().skip(first) {
        if !sighting.is_failure() {
            continue;
        }
        let root = failures.root(at);
        let place = *places[root].get_or_insert(rows.len());
        if place == rows.len() {
            rows.push((root, Vec::new()));
        }
        rows[place].1.push(at);
    }
    // What was only remarked on is no failure.
    rows.retain(|(_, members)| members.iter().any(|member| sightings[*member].makes_row()));
    rows.into_iter()
        .map(|(root, members)| {
            let origin = failures.origin(root);
            let place = origin.span.unwrap_or(origin.built_from);
            ResolvedFailure {
                entry: spans.entry_of(sightings[place].span_id),
                standing: failures.standing(root, &members),
                outcomes: members
                    .iter()
                    .map(|member| failures.outcomes[*member])
                    .collect(),
                origin,
                members,
            }
        })
        .collect()
}

/// Which sightings are one failure, and where it stands. Numbers are places in the list of sightings.
#[derive(Clone, Debug)]
pub struct ResolvedFailure {
    members: Vec<usize>,
    /// Why each of them is one.
    outcomes: Vec<SightingOutcome>,
    origin: Origin,
    entry: Option<usize>,
    standing: Standing,
}

impl ResolvedFailure {
    /// What it says as a row.
    #[must_use]
    pub fn row(self, sightings: &[Sighting]) -> ResolvedRow {
        let Self {
            members,
            outcomes,
            origin,
            entry,
            standing,
        } = self;
        ResolvedRow {
            outcomes,
            ..ResolvedRow::new(sightings, members, origin, entry, standing)
        }
    }
}

/// Which failures are one. All lists have one place for each sighting.
struct Failures<'a> {
    sightings: &'a [Sighting],
    spans: &'a Spans,
    naming: Naming,
    joining: usize,
    /// The failed span above a failed span.
    above: Vec<Option<usize>>,
    /// The sighting whose row this one belongs to; itself when the row hangs on it.
    joined: Vec<usize>,
    /// Why.
    outcomes: Vec<SightingOutcome>,
    /// What the failure that begins here is built from: its lowest cause.
    origins: Vec<usize>,
    /// The failed span above that a failed span is the cause of.
    caused: Vec<Option<usize>>,
    /// Of a failed span without an exception the log record that says what was thrown.
    attached: Vec<Option<usize>>,
}

impl<'a> Failures<'a> {
    fn new(sightings: &'a [Sighting], spans: &'a Spans, joining: usize) -> Self {
        let mut above: Vec<Option<usize>> = sightings
            .iter()
            .enumerate()
            .map(|(at, sighting)| {
                let is_span = sighting.kind == SightingKind::FailedSpan;
                let above = sighting.span_id.filter(|_| is_span);
                let above = above.and_then(|span| spans.failed_above(span));
                above.filter(|above| *above != at)
            })
            .collect();
        cut_cycles(&mut above);
        Self {
            sightings,
            spans,
            naming: Naming::new(),
            joining,
            above,
            joined: (0..sightings.len()).collect(),
            outcomes: vec![SightingOutcome::Failure; sightings.len()],
            origins: (0..sightings.len()).collect(),
            caused: vec![None; sightings.len()],
            attached: vec![None; sightings.len()],
        }
    }

    /// Makes a failed span and its cause one failure, from the lowest spans upwards.
    fn join_causes(&mut self) {
        let mut causes: Vec<Option<usize>> = vec![None; self.sightings.len()];
        for (at, above) in self.above.iter().enumerate().take(self.joining) {
            let Some(above) = above.filter(|above| *above < self.joining) else {
                continue;
            };
            let cause = &mut causes[above];
            if cause.is_none_or(|cause| self.ended(cause) < self.ended(at)) {
                *cause = Some(at);
            }
        }
        let depths = depths(&self.above);
        let mut upwards: Vec<usize> = (0..self.joining).collect();
        upwards.sort_by_key(|at| Reverse(depths[*at]));
        for at in upwards {
            let Some(cause) = causes[at] else {
                continue;
            };
            let failure = &self.sightings[at];
            let is_one = failure.thrown.is_none()
                || self
                    .exception_of(cause)
                    .is_some_and(|exception| self.naming.names(failure, exception));
            if is_one {
                self.outcomes[cause] = if failure.thrown.is_none() {
                    SightingOutcome::CauseOfSilentSpan
                } else {
                    SightingOutcome::CauseNamedAbove
                };
                self.joined[cause] = at;
                self.caused[cause] = Some(at);
                self.origins[at] = self.origins[cause];
            }
        }
    }

    /// Which of two causes ended later, with an order for those that ended together.
    fn ended(&self, at: usize) -> (u64, Option<[u8; 8]>, Reverse<usize>) {
        let sighting = &self.sightings[at];
        let span = sighting.span_id.map(|span| span.0);
        (sighting.ended_at_nanos, span, Reverse(at))
    }

    /// The exception that stands for a failed span: its own, else that of its lowest cause, else
    /// what was logged there or on the way up.
    fn exception_of(&self, failed: usize) -> Option<&'a Sighting> {
        [failed, self.origins[failed]]
            .into_iter()
            .find(|at| self.sightings[*at].thrown.is_some())
            .or_else(|| self.attached_below(failed))
            .map(|at| &self.sightings[at])
    }

    /// Joins exceptions on spans that did not fail to what was thrown above them.
    fn join_exceptions(&mut self) {
        for at in 0..self.joining {
            let exception = &self.sightings[at];
            let (SightingKind::Exception, Some(span)) = (exception.kind, exception.span_id) else {
                continue;
            };
            let Some(bearing) = self.spans.bearing_above(span) else {
                continue;
            };
            let joins = if let Some(failed) = bearing.failed {
                let other = self.exception_of(failed);
                other
                    .is_some_and(|other| self.naming.are_related(exception, other))
                    .then_some(failed)
            } else {
                bearing.exceptions.iter().copied().find(|other| {
                    *other != at && self.naming.are_related(exception, &self.sightings[*other])
                })
            };
            // A ring of parents must not become a ring of rows.
            if let Some(other) = joins.filter(|other| *other < self.joining) {
                let root = self.root(other);
                if root != at {
                    self.outcomes[at] = SightingOutcome::SameAsAbove;
                    self.joined[at] = root;
                }
            }
        }
    }

    /// The sighting that the row of this one hangs on. Shortens the way for whoever asks next.
    fn root(&mut self, mut at: usize) -> usize {
        while self.joined[at] != at {
            self.joined[at] = self.joined[self.joined[at]];
            at = self.joined[at];
        }
        at
    }

    /// Whether something above went on in spite of the failure, and whether somebody complained.
    fn standing(&self, root: usize, members: &[usize]) -> Standing {
        let sighting = &self.sightings[root];
        let is_handled = match sighting.kind {
            SightingKind::FailedSpan => {
                self.above[root].is_some() || self.spans.entry_succeeded(sighting.span_id)
            }
            SightingKind::Exception | SightingKind::Span => {
                return self.logged_standing(members);
            }
            SightingKind::Log => {
                let built_from = &self.sightings[self.origins[root]];
                if built_from.span_id.is_some_and(|it| self.spans.is_fine(it)) {
                    return self.logged_standing(members);
                }
                self.gravity(members) < Gravity::Failure
            }
        };
        if is_handled {
            Standing::Handled
        } else {
            Standing::Failure
        }
    }
}

/// Opens every ring of links at its first sighting.
fn cut_cycles(above: &mut [Option<usize>]) {
    let mut walk_of: Vec<Option<usize>> = vec![None; above.len()];
    for start in 0..above.len() {
        let mut at = start;
        while walk_of[at].is_none() {
            walk_of[at] = Some(start);
            let Some(next) = above[at] else {
                break;
            };
            if walk_of[next] == Some(start) {
                let mut first = next;
                let mut other = above[next];
                while let Some(node) = other.filter(|node| *node != next) {
                    first = first.min(node);
                    other = above[node];
                }
                above[first] = None;
                break;
            }
            at = next;
        }
    }
}

/// How many links lead upwards from each sighting. There are no rings.
fn depths(above: &[Option<usize>]) -> Vec<usize> {
    let mut depths: Vec<Option<usize>> = vec![None; above.len()];
    for start in 0..above.len() {
        let mut path = Vec::new();
        let mut at = Some(start);
        while let Some(node) = at.filter(|node| depths[*node].is_none()) {
            path.push(node);
            at = above[node];
        }
        let lowest = at.and_then(|node| depths[node]);
        let first = lowest.map_or(0, |depth| depth + 1);
        for (depth, node) in (first..).zip(path.into_iter().rev()) {
            depths[node] = Some(depth);
        }
    }
    depths.into_iter().map(Option::unwrap_or_default).collect()
}
