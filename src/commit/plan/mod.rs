//! From (what is stored, what was found) to the list of changes of one group. Pure: the writer
//! reads what it is told to read, and each database executes what comes out.
//!
//! Two steps, because groups are locked when the rows are known: [`plan_rows`], then
//! [`RowPlan::finish`].

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
pub use limit::{DimensionLimit, HourLimits, HourlyLabelSets};

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    domain::{AggregationId, ApiError, ErrorId, ErrorLabels, Fingerprint, Sighting, Timestamp},
    store::{
        AggregationDelta, Changes, GroupState, RequestTotalsDelta, StoredTrace, TraceIdentity,
    },
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

/// Everything that the changes of a group follow from.
#[derive(Clone, Debug)]
pub struct PlanInput {
    /// When the group is written; `received_at` of new rows.
    pub now: Timestamp,
    /// By whom.
    pub writer: String,
    /// Each trace once.
    pub traces: Vec<TraceInput>,
    /// The rows with [`candidate_ids`], as far as they are there.
    pub stored: Vec<ApiError>,
    /// Errors logged by application code; their `aggregation_id` is set here.
    pub logged: Vec<ApiError>,
    /// Counts without rows (`upsert_aggregation`): only dimensions, hour, times and
    /// `unlinked_errors` are read.
    pub upserts: Vec<AggregationDelta>,
    /// Merged and folded already.
    pub requests: Vec<RequestTotalsDelta>,
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
    /// A span that did not fail.
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
    /// For each trace of the input, for each of its new sightings: what became of it.
    pub sightings: Vec<Vec<Outcome>>,
    /// For each logged error: [`Outcome::Error`] or [`Outcome::Duplicate`].
    pub logged: Vec<Outcome>,
}

/// The rows to read before [`plan_rows`], sorted, each once.
#[must_use]
pub fn candidate_ids(traces: &[TraceInput], logged: &[ApiError]) -> Vec<ErrorId> {
    let mut ids: Vec<ErrorId> = logged.iter().map(|error| error.id).collect();
    for trace in traces {
        trace::candidate_ids(trace, &mut ids);
    }
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The rows of the group, and what they do to hours and users. Groups follow in
/// [`RowPlan::finish`].
#[must_use]
pub fn plan_rows(input: PlanInput, fold: &mut impl DimensionLimit, users: &UserHasher) -> RowPlan {
    let stored: HashMap<ErrorId, &ApiError> =
        input.stored.iter().map(|row| (row.id, row)).collect();
    let mut rows = Rows::new(&stored, fold, users);
    let mut traces = Vec::new();
    let mut effects = Effects::default();
    for trace in input.traces {
        let (write, outcomes) = trace::plan_trace(trace, input.now, &mut rows);
        traces.extend(write);
        effects.sightings.push(outcomes);
    }
    for error in input.logged {
        effects.logged.push(rows.insert(error));
    }
    for upsert in &input.upserts {
        rows.upsert(upsert);
    }

    let Rows {
        deltas,
        mut inserted,
        mut updated,
        mut merged,
        mut parted,
        ..
    } = rows;
    for row in &inserted {
        *effects.errors.entry(ErrorLabels::of(row)).or_default() += 1;
    }
    for (gone, _) in &merged {
        *effects
            .merged_rows
            .entry(stored[gone].service_name.clone())
            .or_default() += 1;
    }
    traces.sort_unstable_by_key(|write| write.key);
    inserted.sort_unstable_by_key(|row| row.id);
    updated.sort_unstable_by_key(|row| row.id);
    merged.sort_unstable();
    parted.sort_unstable();
    let mut requests = input.requests;
    requests.sort_unstable_by(|a, b| (a.hour, &a.series).cmp(&(b.hour, &b.series)));
    let (aggregations, users, groups) = deltas.into_parts();
    RowPlan {
        changes: Changes {
            now: Some(input.now),
            writer: input.writer,
            traces,
            inserted,
            updated,
            merged,
            parted,
            users,
            aggregations,
            groups: Vec::new(),
            requests,
            metrics: Vec::new(),
        },
        effects,
        groups,
    }
}

/// The changes of a group without its error groups.
#[derive(Debug)]
pub struct RowPlan {
    changes: Changes,
    effects: Effects,
    groups: BTreeMap<Fingerprint, deltas::GroupMoves>,
}

impl RowPlan {
    /// The groups to lock and read before [`RowPlan::finish`], sorted, each once.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.groups.keys().cloned().collect()
    }

    /// All changes but those of groups and metrics.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// All changes, given the state of the groups that are there. `metrics` stays empty.
    #[must_use]
    pub fn finish(mut self, groups: Vec<GroupState>) -> (Changes, Effects) {
        let states: HashMap<Fingerprint, GroupState> = groups
            .into_iter()
            .map(|state| (state.fingerprint.clone(), state))
            .collect();
        for (fingerprint, moves) in self.groups {
            let state = states.get(&fingerprint);
            let Some(delta) = moves.into_delta(fingerprint, state) else {
                continue;
            };
            if state.is_none() {
                *self
                    .effects
                    .new_groups
                    .entry(delta.service_name.clone())
                    .or_default() += 1;
            }
            if delta.regression.is_some() {
                *self
                    .effects
                    .regressed_groups
                    .entry(delta.service_name.clone())
                    .or_default() += 1;
            }
            self.changes.groups.push(delta);
        }
        (self.changes, self.effects)
    }
}

/// The rows of the group as they come together, and what they do to the counts.
struct Rows<'a> {
    stored: &'a HashMap<ErrorId, &'a ApiError>,
    limit: &'a mut dyn DimensionLimit,
    deltas: Deltas<'a>,
    inserted: Vec<ApiError>,
    inserted_ids: HashSet<ErrorId>,
    updated: Vec<ApiError>,
    merged: Vec<(ErrorId, ErrorId)>,
    parted: Vec<ErrorId>,
}

impl<'a> Rows<'a> {
    fn new(
        stored: &'a HashMap<ErrorId, &'a ApiError>,
        limit: &'a mut dyn DimensionLimit,
        users: &'a UserHasher,
    ) -> Self {
        Self {
            stored,
            limit,
            deltas: Deltas::new(users),
            inserted: Vec::new(),
            inserted_ids: HashSet::new(),
            updated: Vec::new(),
            merged: Vec::new(),
            parted: Vec::new(),
        }
    }

    fn is_known(&self, id: ErrorId) -> bool {
        self.stored.contains_key(&id) || self.inserted_ids.contains(&id)
    }

    /// Stores a row for the first time, unless one with its id is there.
    fn insert(&mut self, mut row: ApiError) -> Outcome {
        if self.is_known(row.id) {
            return Outcome::Duplicate;
        }
        let (hour, dimensions) = (row.hour(), row.dimensions());
        row.aggregation_id = AggregationId::new(hour, &self.limit.fold(hour, &dimensions));
        self.deltas.came(&row);
        self.inserted_ids.insert(row.id);
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
}
