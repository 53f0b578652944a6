//! Log records: which failure of its trace each belongs to. Nothing here depends on the order of
//! arrival but which of several equals is named first.

use std::cmp::Reverse;

use crate::domain::{Gravity, Sighting, SightingKind};

use super::{
    Failures, SightingOutcome,
    row::{Origin, Standing},
};

/// How near the span of a log record is to that of another exception; less is nearer.
type Distance = (u8, usize);

/// The same span, or one above.
const ABOVE: u8 = 0;
const BELOW: u8 = 1;
const ELSEWHERE: u8 = 2;

impl Failures<'_> {
    /// What was logged in a failed span that does not say itself what was thrown is part of its
    /// failure, and the gravest record, then the last one, says it for the span.
    pub(super) fn attach_logs(&mut self) {
        for at in 0..self.joining {
            let log = &self.sightings[at];
            let failed = match (log.kind, log.span_id) {
                (SightingKind::Log, Some(span)) => self.spans.failed(span),
                _ => None,
            };
            let silent =
                |failed: &usize| *failed < self.joining && self.sightings[*failed].thrown.is_none();
            let Some(failed) = failed.filter(silent) else {
                continue;
            };
            self.joined[at] = failed;
            self.outcomes[at] = SightingOutcome::SaysForItsSpan;
            let attached = &mut self.attached[failed];
            let rank = |at: usize| {
                let log = &self.sightings[at];
                (log.log_gravity(), log.thrown_at_micros, log.key)
            };
            if attached.is_none_or(|other| rank(other) < rank(at)) {
                *attached = Some(at);
            }
        }
    }

    /// The record that says what was thrown in the failure that begins here: that of its lowest
    /// cause, else of the next span above.
    pub(super) fn attached_below(&self, failed: usize) -> Option<usize> {
        let mut at = self.origins[failed];
        loop {
            if let Some(log) = self.attached[at] {
                return Some(log);
            }
            if at == failed {
                return None;
            }
            at = self.caused[at]?;
        }
    }

    /// Joins every other record to the failure that it names or that names it, the nearest one; and
    /// those that are left to each other.
    pub(super) fn join_logs(&mut self) {
        let is_log = |at: &usize| self.sightings[*at].kind == SightingKind::Log;
        let (attached, mut others): (Vec<usize>, Vec<usize>) = (0..self.joining)
            .filter(is_log)
            .partition(|at| self.joined[*at] != *at);
        if others.is_empty() {
            return;
        }
        let is_exception = |at: &usize| {
            let other = &self.sightings[*at];
            other.is_failure() && !is_log(at) && other.thrown.is_some()
        };
        let mut known: Vec<usize> = (0..self.joining).filter(is_exception).collect();
        known.extend(attached);

        others.retain(|at| !self.join_nearest(*at, &known));
        let (remarks, alone): (Vec<usize>, Vec<usize>) = others
            .into_iter()
            .partition(|at| self.sightings[*at].log_gravity() == Gravity::Remark);
        self.join_each_other(&alone);
        // A remark must not make one failure of two.
        for at in remarks {
            self.join_nearest(at, &alone);
        }
    }

    /// Joins a record to the nearest of these that is the same failure.
    fn join_nearest(&mut self, at: usize, known: &[usize]) -> bool {
        let log = &self.sightings[at];
        let nearest = known
            .iter()
            .copied()
            .filter(|other| self.naming.are_one(log, &self.sightings[*other]))
            .min_by_key(|other| {
                let other = &self.sightings[*other];
                let apart = moment(log).abs_diff(moment(other));
                let thrown = other.thrown.as_ref();
                let thrown = thrown.map(|it| (&it.short_type, &it.first_line));
                let span = other.span_id.map(|it| it.0);
                (self.distance(log, other), apart, span, thrown, other.key)
            });
        let Some(nearest) = nearest else {
            return false;
        };
        self.joined[at] = self.root(nearest);
        self.outcomes[at] = SightingOutcome::SameAsAnother;
        true
    }

    fn distance(&self, log: &Sighting, other: &Sighting) -> Distance {
        let (Some(own), Some(others)) = (log.span_id, other.span_id) else {
            return (ELSEWHERE, 0);
        };
        let above = self.spans.steps_up(own, others).map(|steps| (ABOVE, steps));
        let below = || self.spans.steps_up(others, own).map(|steps| (BELOW, steps));
        above.or_else(below).unwrap_or((ELSEWHERE, 0))
    }

    /// Makes one failure of all records that are connected by naming each other. It is built from the
    /// first of them that happened: what came later speaks of it.
    fn join_each_other(&mut self, alone: &[usize]) {
        for (place, at) in alone.iter().enumerate() {
            for other in &alone[..place] {
                let (root, of_other) = (self.root(*at), self.root(*other));
                if root != of_other
                    && self
                        .naming
                        .are_one(&self.sightings[*at], &self.sightings[*other])
                {
                    self.joined[root] = of_other;
                    self.outcomes[root] = SightingOutcome::SameAsAnother;
                }
            }
        }
        for at in alone.iter().copied() {
            let root = self.root(at);
            let rank = |at: usize| {
                let log = &self.sightings[at];
                (log.thrown_at_micros, Reverse(log.log_gravity()), log.key)
            };
            if rank(at) < rank(self.origins[root]) {
                self.origins[root] = at;
            }
        }
    }

    /// What the row of this failure is built from.
    pub(super) fn origin(&self, root: usize) -> Origin {
        let lowest = self.origins[root];
        let sighting = &self.sightings[lowest];
        let is_silent = sighting.kind == SightingKind::FailedSpan && sighting.thrown.is_none();
        match self.attached_below(root).filter(|_| is_silent) {
            Some(log) => Origin {
                built_from: log,
                span: Some(lowest),
            },
            None => Origin {
                built_from: lowest,
                span: None,
            },
        }
    }

    /// The gravest that was logged of a failure.
    pub(super) fn gravity(&self, members: &[usize]) -> Gravity {
        let members = members.iter().map(|member| &self.sightings[*member]);
        let logs = members.filter(|it| it.kind == SightingKind::Log);
        logs.map(Sighting::log_gravity)
            .max()
            .unwrap_or(Gravity::Remark)
    }

    /// Of an exception in a span that did not fail.
    pub(super) fn logged_standing(&self, members: &[usize]) -> Standing {
        match self.gravity(members) {
            Gravity::Failure => Standing::Logged,
            Gravity::Warning | Gravity::Remark => Standing::Handled,
        }
    }
}

/// When it happened, in microseconds.
fn moment(sighting: &Sighting) -> i64 {
    sighting
        .thrown_at_micros
        .unwrap_or(sighting.ended_at_micros)
}
