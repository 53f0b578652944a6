//! From (what is stored, what was found) to the list of changes of one group. Pure: the writer
//! reads what it is told to read, and each database executes what comes out.
//!
//! A group may be large, so its rows are planned, written and forgotten piece by piece:
//! [`Plan::rows`]. Counts and error groups, which are locked when all rows are known, follow from
//! all of them: [`Plan::finish`].

mod budget;
mod deltas;
mod limit;
mod trace;
mod version;

#[cfg(test)]
mod model;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use crate::domain::UserHasher;
pub use limit::{DimensionLimit, HourLimits, HourlyLabelSets, MAX_STORED_NAMES};

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    domain::{AggregationId, ApiError, ErrorId, ErrorLabels, Fingerprint, Sighting, Timestamp},
    store::{AggregationDelta, Changes, GroupState, StoredTrace, TraceIdentity},
};

use deltas::Deltas;

/// One trace of the group: what is stored of it, and what came, over all requests of the group, in
/// order of arrival.
#[derive(Clone, Debug)]
pub struct TraceInput {
    /// Whose trace.
    pub identity: TraceIdentity,
    /// What the locked row holds.
    pub before: StoredTrace,
    /// What came; sightings that are known already may be among them.
    pub new: Vec<Sighting>,
}

/// Everything that the rows of a piece of a group follow from.
#[derive(Clone, Debug, Default)]
pub struct PlanInput {
    /// Each trace once, and in one piece of the group.
    pub traces: Vec<TraceInput>,
    /// [`Candidates::rows`], as far as they are there.
    pub stored: Vec<ApiError>,
    /// [`Candidates::names`], as far as rows have them.
    pub known: Vec<ErrorId>,
    /// Errors logged by application code; their `aggregation_id` is set here.
    pub logged: Vec<ApiError>,
    /// Counts without rows (`upsert_aggregation`): only dimensions, hour, times and
    /// `unlinked_errors` are read.
    pub upserts: Vec<AggregationDelta>,
}

/// What became of one thing that arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A new row is named after it.
    Error,
    /// It belongs to a row that another sighting made, or to one that an operator purged.
    Merged,
    /// It was known already.
    Duplicate,
    /// A span that did not fail, or a remark.
    NotError,
}

/// What counters and the accounting of records need to know of the changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// Rows stored for the first time.
    pub errors: BTreeMap<ErrorLabels, i64>,
    /// Rows that turned out to be another's, by service.
    pub merged_rows: BTreeMap<String, i64>,
    /// Groups that appeared, by service.
    pub new_groups: BTreeMap<String, i64>,
    /// Groups that came back, by service.
    pub regressed_groups: BTreeMap<String, i64>,
    /// For each trace of all pieces, for each of its new sightings: what became of it.
    pub sightings: Vec<Vec<Outcome>>,
    /// For each logged error: [`Outcome::Error`] or [`Outcome::Duplicate`].
    pub logged: Vec<Outcome>,
}

/// What is to be read before [`Plan::rows`]; both sorted, each once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidates {
    /// Rows that may change.
    pub rows: Vec<ErrorId>,
    /// Names of new rows, which are not new when a row has them.
    pub names: Vec<ErrorId>,
}

impl Candidates {
    /// What these traces and logged errors need.
    #[must_use]
    pub fn of(traces: &[TraceInput], logged: &[ApiError]) -> Self {
        let mut candidates = Self {
            rows: Vec::new(),
            names: logged.iter().map(|error| error.id).collect(),
        };
        for trace in traces {
            trace::candidates(trace, &mut candidates);
        }
        for ids in [&mut candidates.rows, &mut candidates.names] {
            ids.sort_unstable();
            ids.dedup();
        }
        candidates
    }
}

/// The changes of one group in the making.
#[derive(Debug)]
pub struct Plan {
    now: Timestamp,
    deltas: Deltas,
    effects: Effects,
    /// Traces with rows that are not planned yet, and where their outcomes stand.
    beyond: Vec<(usize, trace::Outcomes, trace::Beyond)>,
}

impl Plan {
    /// A plan without changes. `now` is when the group is written, and `received_at` of new rows.
    #[must_use]
    pub fn new(now: Timestamp, users: &UserHasher) -> Self {
        Self {
            now,
            deltas: Deltas::new(users.clone()),
            effects: Effects::default(),
            beyond: Vec::new(),
        }
    }

    /// The changes of traces and rows of one piece. They, and then [`Plan::further_rows`], are to be
    /// written before the next piece is read.
    #[must_use]
    pub fn rows(&mut self, input: PlanInput, fold: &mut impl DimensionLimit) -> Changes {
        let stored: HashMap<ErrorId, &ApiError> =
            input.stored.iter().map(|row| (row.id, row)).collect();
        let known = input.known.into_iter().collect();
        let mut rows = Rows::new(&stored, known, fold, &mut self.deltas);
        let mut traces = Vec::new();
        for trace in input.traces {
            let planned = trace::plan_trace(trace, self.now, &mut rows);
            traces.extend(planned.write);
            if let Some(beyond) = planned.beyond {
                let at = self.effects.sightings.len();
                self.beyond.push((at, planned.outcomes, beyond));
                self.effects.sightings.push(Vec::new());
            } else {
                self.effects.sightings.push(planned.outcomes.list);
            }
        }
        for error in input.logged {
            self.effects.logged.push(rows.insert(error));
        }
        for upsert in &input.upserts {
            rows.upsert(upsert);
        }
        traces.sort_unstable_by_key(|write| write.key);
        Changes {
            traces,
            ..rows.into_changes(self.now, &mut self.effects)
        }
    }

    /// Further rows of the piece, as many as are written at once: of failures that their traces have
    /// no room to remember. To be asked until there are none.
    #[must_use]
    pub fn further_rows(&mut self, fold: &mut impl DimensionLimit) -> Option<Changes> {
        let (at, outcomes, beyond) = self.beyond.last_mut()?;
        let nothing = HashMap::new();
        let mut rows = Rows::new(&nothing, HashSet::new(), fold, &mut self.deltas);
        let is_more = beyond.place_some(self.now, &mut rows, outcomes);
        let changes = rows.into_changes(self.now, &mut self.effects);
        if !is_more {
            self.effects.sightings[*at] = std::mem::take(&mut outcomes.list);
            self.beyond.pop();
        }
        Some(changes)
    }

    /// The groups to lock and read before [`Plan::finish`], sorted, each once.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.deltas.fingerprints().cloned().collect()
    }

    /// What all rows do to users, hours and groups, given the state of the groups that are there.
    /// What the group adds to counters of requests and of data is the caller's.
    #[must_use]
    pub fn finish(self, groups: Vec<GroupState>) -> (Changes, Effects) {
        let Self {
            now,
            deltas,
            mut effects,
            beyond: _,
        } = self;
        let states: HashMap<Fingerprint, GroupState> = groups
            .into_iter()
            .map(|state| (state.fingerprint.clone(), state))
            .collect();
        let (aggregations, users, moves) = deltas.into_parts();
        let mut changes = Changes {
            now: Some(now),
            users,
            aggregations,
            ..Changes::default()
        };
        for (fingerprint, moves) in moves {
            let state = states.get(&fingerprint);
            let Some(delta) = moves.into_delta(fingerprint, state) else {
                continue;
            };
            if state.is_none() {
                *effects
                    .new_groups
                    .entry(delta.service_name.clone())
                    .or_default() += 1;
            }
            if delta.regression.is_some() {
                *effects
                    .regressed_groups
                    .entry(delta.service_name.clone())
                    .or_default() += 1;
            }
            changes.groups.push(delta);
        }
        (changes, effects)
    }
}

/// The rows of a piece as they come together, and what they do to the counts.
struct Rows<'a> {
    stored: &'a HashMap<ErrorId, &'a ApiError>,
    limit: &'a mut dyn DimensionLimit,
    deltas: &'a mut Deltas,
    inserted: Vec<ApiError>,
    /// Names that rows have, stored ones and those of `inserted`.
    known: HashSet<ErrorId>,
    updated: Vec<ApiError>,
    merged: Vec<(ErrorId, ErrorId)>,
    parted: Vec<ErrorId>,
}

impl<'a> Rows<'a> {
    fn new(
        stored: &'a HashMap<ErrorId, &'a ApiError>,
        known: HashSet<ErrorId>,
        limit: &'a mut dyn DimensionLimit,
        deltas: &'a mut Deltas,
    ) -> Self {
        Self {
            stored,
            limit,
            deltas,
            inserted: Vec::new(),
            known,
            updated: Vec::new(),
            merged: Vec::new(),
            parted: Vec::new(),
        }
    }

    fn is_known(&self, id: ErrorId) -> bool {
        self.stored.contains_key(&id) || self.known.contains(&id)
    }

    /// Stores a row for the first time, unless one with its id is there.
    fn insert(&mut self, mut row: ApiError) -> Outcome {
        if self.is_known(row.id) {
            return Outcome::Duplicate;
        }
        let (hour, dimensions) = (row.hour(), row.dimensions());
        row.aggregation_id = AggregationId::new(hour, &self.limit.fold(hour, &dimensions));
        self.deltas.came(&row);
        self.known.insert(row.id);
        self.inserted.push(row);
        Outcome::Error
    }

    /// Rewrites a stored row, if it says anything new. A row that stays in its hour with its
    /// dimensions stays where it is counted, even when the limits have filled up since.
    fn update(&mut self, old: &ApiError, mut row: ApiError) {
        let (hour, dimensions) = (row.hour(), row.dimensions());
        row.aggregation_id = if hour == old.hour() && dimensions == old.dimensions() {
            old.aggregation_id
        } else {
            AggregationId::new(hour, &self.limit.fold(hour, &dimensions))
        };
        if row != *old {
            self.deltas.changed(old, &row);
            self.updated.push(row);
        }
    }

    /// Takes out a row that turned out to be another's.
    fn merge(&mut self, gone: &ApiError, stays: ErrorId) {
        self.deltas.left(gone);
        self.merged.push((gone.id, stays));
    }

    /// Counts errors that have no row.
    fn upsert(&mut self, upsert: &AggregationDelta) {
        let dimensions = self.limit.fold(upsert.hour, &upsert.dimensions);
        self.deltas.unlinked(upsert, dimensions);
    }

    /// What is to be written, each list in its order; `effects` gains what it does to counters.
    fn into_changes(self, now: Timestamp, effects: &mut Effects) -> Changes {
        let Self {
            stored,
            mut inserted,
            mut updated,
            mut merged,
            mut parted,
            ..
        } = self;
        for row in &inserted {
            *effects.errors.entry(ErrorLabels::of(row)).or_default() += 1;
        }
        for (gone, _) in &merged {
            let service_name = stored[gone].service_name.clone();
            *effects.merged_rows.entry(service_name).or_default() += 1;
        }
        inserted.sort_unstable_by_key(|row| row.id);
        updated.sort_unstable_by_key(|row| row.id);
        merged.sort_unstable();
        parted.sort_unstable();
        Changes {
            now: Some(now),
            inserted,
            updated,
            merged,
            parted,
            ..Changes::default()
        }
    }
}
