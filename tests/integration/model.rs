//! The tables as plain collections, and replicas that share them: the program's own detection and
//! planning without a database. What the tables promise is checked after every group.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use redspan::{
    commit::{
        OpenTraceSet,
        plan::{Candidates, DimensionLimit, Plan, PlanInput, TraceInput, UserHasher},
    },
    detect::{DetectSettings, Detector, Findings},
    domain::{
        AggregationId, ApiError, Dimensions, ErrorId, Fingerprint, GroupStatus, Hour,
        RequestDigest, Series, Sighting, Timestamp, TraceKey, UserKey,
    },
    otlp::{self, Encoding, Limits, Records},
    store::{Changes, GroupState, StoredTrace, TraceIdentity},
};

/// One row of `request_totals`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RequestTotals {
    pub requests: i64,
    pub errors: i64,
    pub estimated_requests: f64,
}

/// A database and two processes on it.
pub struct Model {
    received_at: Timestamp,
    pub tables: Tables,
    replicas: [Replica; 2],
    users: UserHasher,
}

/// What is committed.
#[derive(Default)]
pub struct Tables {
    ledger: BTreeSet<RequestDigest>,
    /// Sightings as they are written, and how many were counted only.
    traces: BTreeMap<TraceKey, (String, i64)>,
    pub errors: BTreeMap<ErrorId, ApiError>,
    /// Rows that are gone, with the one that each leads to.
    merged: BTreeMap<ErrorId, ErrorId>,
    hours: BTreeMap<AggregationId, HourRow>,
    users: BTreeMap<(AggregationId, UserKey), i64>,
    groups: BTreeMap<Fingerprint, i64>,
    pub requests: BTreeMap<(Hour, Series), RequestTotals>,
    pub rejected: u64,
}

#[derive(Clone)]
struct HourRow {
    hour: Hour,
    dimensions: Dimensions,
    total_errors: i64,
    first_occurrence: Timestamp,
    last_occurrence: Timestamp,
}

/// What one process remembers.
#[derive(Default)]
struct Replica {
    open: OpenTraceSet,
    /// Entry spans that were counted.
    counted: HashSet<u64>,
}

/// No hour has so many label sets here that any is folded.
struct NoLimit;

impl DimensionLimit for NoLimit {
    fn fold(&mut self, _hour: Hour, dimensions: &Dimensions) -> Dimensions {
        dimensions.clone()
    }
}

impl Model {
    pub fn new(received_at: Timestamp) -> Self {
        Self {
            received_at,
            tables: Tables::default(),
            replicas: [Replica::default(), Replica::default()],
            users: UserHasher::new([7; 16]),
        }
    }

    /// Requests that a replica commits in one group, in order. Before each it has learnt of the
    /// traces that are open by then.
    pub fn take(&mut self, replica: usize, requests: &[(Records, Encoding, Vec<u8>)]) {
        let replica = &mut self.replicas[replica];
        let settings = DetectSettings::default();
        let mut group = Vec::new();
        for (records, encoding, body) in requests {
            let stored = self.tables.traces.keys().copied();
            replica.open.open(stored, self.received_at);
            let open = replica.open.read();
            let mut detector = match records {
                Records::Spans => Detector::new(&settings, self.received_at, &open),
                Records::Logs => Detector::of_logs(&settings, self.received_at, &open, body),
            };
            otlp::walk(*records, body, *encoding, &Limits::default(), &mut detector)
                .expect("the request is well-formed");
            let findings = detector.finish().expect("there is room");
            drop(open);
            let found = findings.traces.iter().map(|trace| trace.key);
            replica.open.open(found, self.received_at);
            group.push(findings);
        }
        self.tables
            .commit(group, replica, self.received_at, &self.users);
        self.tables.check(&self.users);
    }
}

impl Tables {
    fn commit(
        &mut self,
        group: Vec<Findings>,
        replica: &mut Replica,
        now: Timestamp,
        users: &UserHasher,
    ) {
        let mut traces: Vec<TraceInput> = Vec::new();
        let mut logged = Vec::new();
        for findings in group {
            let is_retry = match findings.digest {
                Some(digest) => !self.ledger.insert(digest),
                None => false,
            };
            if is_retry {
                continue;
            }
            self.rejected += findings
                .rejected
                .iter()
                .map(|(_, count)| count)
                .sum::<u64>();
            for entry in &findings.entries {
                if replica.counted.insert(entry.key) {
                    let index = usize::try_from(entry.series).expect("an index");
                    let series = findings.series[index].clone();
                    let totals = self.requests.entry((entry.hour, series)).or_default();
                    totals.requests += 1;
                    totals.errors += i64::from(entry.failed);
                    totals.estimated_requests += entry.stands_for;
                }
            }
            logged.extend(findings.rows);
            for trace in findings.traces {
                match traces.iter_mut().find(|it| it.identity.key == trace.key) {
                    Some(input) => input.new.extend(trace.sightings),
                    None => traces.push(TraceInput {
                        identity: TraceIdentity {
                            key: trace.key,
                            service_name: trace.service_name,
                            trace_id: trace.trace_id,
                        },
                        before: self.stored_trace(trace.key),
                        new: trace.sightings,
                    }),
                }
            }
        }

        let candidates = Candidates::of(&traces, &logged);
        let known = candidates.names.into_iter();
        let known = known.filter(|id| self.errors.contains_key(id)).collect();
        let stored = candidates
            .rows
            .into_iter()
            .filter_map(|id| self.errors.get(&id).cloned())
            .collect();
        let input = PlanInput {
            traces,
            stored,
            known,
            logged,
            ..PlanInput::default()
        };
        let mut plan = Plan::new(now, users);
        let mut rows = vec![plan.rows(input, &mut NoLimit)];
        rows.extend(std::iter::from_fn(|| plan.further_rows(&mut NoLimit)));
        let groups = plan
            .fingerprints()
            .into_iter()
            .filter_map(|fingerprint| self.group_state(&fingerprint))
            .collect();
        let (counts, _) = plan.finish(groups);
        for changes in rows.into_iter().chain([counts]) {
            self.apply(changes);
        }
    }

    fn stored_trace(&self, key: TraceKey) -> StoredTrace {
        let (sightings, dropped_sightings) = match self.traces.get(&key) {
            Some((written, dropped)) => {
                let sightings: Vec<Sighting> =
                    serde_json::from_str(written).expect("sightings are read as they were written");
                (sightings, *dropped)
            }
            None => (Vec::new(), 0),
        };
        StoredTrace {
            key,
            sightings,
            dropped_sightings,
        }
    }

    fn group_state(&self, fingerprint: &Fingerprint) -> Option<GroupState> {
        let total_errors = *self.groups.get(fingerprint)?;
        Some(GroupState {
            fingerprint: fingerprint.clone(),
            status: GroupStatus::Open,
            resolved_at: None,
            resolved_version: None,
            total_errors,
        })
    }

    fn apply(&mut self, changes: Changes) {
        for write in changes.traces {
            let written = (write.sightings, write.dropped_sightings);
            self.traces.insert(write.key, written);
        }
        for (gone, stays) in changes.merged {
            let row = self.errors.remove(&gone);
            assert!(row.is_some(), "row {gone} is merged, but not there");
            self.merged.insert(gone, stays);
        }
        for row in changes.inserted {
            self.merged.remove(&row.id);
            let before = self.errors.insert(row.id, row);
            assert_eq!(before, None, "an inserted row is there already");
        }
        for row in changes.updated {
            let before = self.errors.insert(row.id, row);
            assert!(before.is_some(), "an updated row is not there");
        }
        for delta in changes.users {
            let errors = self
                .users
                .entry((delta.aggregation_id, delta.user_key))
                .or_default();
            *errors += delta.errors;
        }
        self.users.retain(|_, errors| *errors != 0);
        for delta in changes.aggregations {
            let came = delta.first_occurrence.zip(delta.last_occurrence);
            let row = self.hours.entry(delta.id).or_insert_with(|| {
                let (first, last) = came.expect("an hour begins with something that came");
                HourRow {
                    hour: delta.hour,
                    dimensions: delta.dimensions,
                    total_errors: 0,
                    first_occurrence: first,
                    last_occurrence: last,
                }
            });
            row.total_errors += delta.linked_errors;
            if let Some((first, last)) = came {
                row.first_occurrence = row.first_occurrence.min(first);
                row.last_occurrence = row.last_occurrence.max(last);
            }
            let times = self
                .errors
                .values()
                .filter(|error| error.aggregation_id == delta.id)
                .map(|error| error.created_at);
            if delta.shrinks && row.total_errors > 0 {
                row.first_occurrence = times.clone().min().expect("rows are left");
                row.last_occurrence = times.max().expect("rows are left");
            }
        }
        self.hours.retain(|_, row| row.total_errors != 0);
        for delta in changes.groups {
            *self.groups.entry(delta.fingerprint).or_default() += delta.errors;
        }
        self.groups.retain(|_, errors| *errors != 0);
    }

    /// What holds at every committed state.
    fn check(&self, users: &UserHasher) {
        let mut hours: BTreeMap<AggregationId, Vec<&ApiError>> = BTreeMap::new();
        let mut by_user: BTreeMap<(AggregationId, UserKey), i64> = BTreeMap::new();
        let mut groups: BTreeMap<Fingerprint, i64> = BTreeMap::new();
        for (id, error) in &self.errors {
            assert_eq!(*id, error.id, "a row is found under its id");
            hours.entry(error.aggregation_id).or_default().push(error);
            *groups.entry(error.fingerprint.clone()).or_default() += 1;
            if let Some(user) = &error.user_id {
                let user = (error.aggregation_id, users.key(user));
                *by_user.entry(user).or_default() += 1;
            }
        }
        assert_eq!(groups, self.groups, "groups count their rows");
        assert_eq!(by_user, self.users, "hours know their users");
        assert_eq!(
            hours.keys().collect::<Vec<_>>(),
            self.hours.keys().collect::<Vec<_>>(),
            "every hour has rows, and every row its hour"
        );
        for (id, errors) in &hours {
            let hour = &self.hours[id];
            let times = || errors.iter().map(|error| error.created_at);
            assert_eq!(i64::try_from(errors.len()), Ok(hour.total_errors));
            assert_eq!(times().min(), Some(hour.first_occurrence));
            assert_eq!(times().max(), Some(hour.last_occurrence));
            for error in errors {
                assert_eq!(error.hour(), hour.hour);
                assert_eq!(error.dimensions(), hour.dimensions);
            }
        }
        for (gone, stays) in &self.merged {
            assert!(!self.errors.contains_key(gone), "{gone} is gone");
            let mut end = stays;
            let mut steps = 0;
            while let Some(next) = self.merged.get(end) {
                end = next;
                steps += 1;
                assert!(steps <= self.merged.len(), "{gone} leads round in a circle");
            }
            assert!(self.errors.contains_key(end), "{gone} leads to a row");
        }
    }
}
