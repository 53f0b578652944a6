//! The tables in memory, changed as the databases change them, and the equations that must hold
//! between them at every committed state.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Candidates, DimensionLimit, Effects, HourlyLabelSets, Plan, PlanInput, TraceInput, UserHasher,
    budget,
};
use crate::{
    detect::sample,
    domain::{
        AggregationId, ApiError, ErrorGroup, ErrorId, Fingerprint, GroupStatus, Sighting,
        Timestamp, TraceKey, UserKey,
    },
    store::{AggregationDelta, Changes, GroupDelta, GroupState, StoredTrace, TraceIdentity},
};

/// One row of `error_aggregations`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HourRow {
    pub(super) total: i64,
    pub(super) unlinked: i64,
    pub(super) unique_users: i64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

#[derive(Default)]
pub(super) struct Tables {
    pub(super) rows: BTreeMap<ErrorId, ApiError>,
    pub(super) traces: BTreeMap<TraceKey, StoredTrace>,
    pub(super) hours: BTreeMap<AggregationId, HourRow>,
    pub(super) users: BTreeMap<(AggregationId, UserKey), i64>,
    pub(super) groups: BTreeMap<Fingerprint, ErrorGroup>,
    pub(super) redirects: BTreeMap<ErrorId, ErrorId>,
    /// Rows ever stored.
    pub(super) stored: i64,
    pub(super) limit: HourlyLabelSets,
    commits: i64,
    purged: bool,
}

/// A group of requests in the trace of the samples.
pub(super) fn identity() -> TraceIdentity {
    TraceIdentity {
        key: sample::trace_key(),
        service_name: sample::SERVICE.to_owned(),
        trace_id: sample::TRACE,
    }
}

impl Tables {
    /// Commits one group with these sightings of the samples' trace.
    pub(super) fn commit(&mut self, new: &[Sighting]) -> Effects {
        self.commit_all(new, Vec::new(), Vec::new())
    }

    pub(super) fn commit_all(
        &mut self,
        new: &[Sighting],
        logged: Vec<ApiError>,
        upserts: Vec<AggregationDelta>,
    ) -> Effects {
        let mut limit = std::mem::take(&mut self.limit);
        let effects = self.commit_with(new, logged, upserts, &mut limit);
        self.limit = limit;
        effects
    }

    pub(super) fn commit_with(
        &mut self,
        new: &[Sighting],
        logged: Vec<ApiError>,
        upserts: Vec<AggregationDelta>,
        limit: &mut impl DimensionLimit,
    ) -> Effects {
        let nothing = StoredTrace {
            key: identity().key,
            sightings: Vec::new(),
            dropped_sightings: 0,
        };
        let trace = TraceInput {
            identity: identity(),
            before: self.traces.get(&identity().key).cloned().unwrap_or(nothing),
            new: new.to_vec(),
        };
        let traces = vec![trace];
        let Candidates {
            rows: ids,
            mut names,
        } = Candidates::of(&traces, &logged);
        assert!(ids.is_sorted() && names.is_sorted());
        let stored = ids.iter().filter_map(|id| self.rows.get(id).cloned());
        names.retain(|id| self.rows.contains_key(id));
        self.commits += 1;
        let input = PlanInput {
            traces,
            stored: stored.collect(),
            known: names,
            logged,
            upserts,
        };
        let now = Timestamp::from_micros(sample::START_MICROS + self.commits);
        let mut plan = Plan::new(now, &UserHasher::new([1; 16]));
        let mut rows = vec![plan.rows(input, limit)];
        rows.extend(std::iter::from_fn(|| plan.further_rows(limit)));
        let groups = plan
            .fingerprints()
            .iter()
            .filter_map(|fingerprint| self.groups.get(fingerprint))
            .map(|group| GroupState {
                fingerprint: group.fingerprint.clone(),
                status: group.status,
                resolved_at: group.resolved_at,
                resolved_version: group.resolved_version.clone(),
                total_errors: group.total_errors,
            })
            .collect();
        let (counts, effects) = plan.finish(groups);
        let before = self.stored;
        for changes in rows.iter().chain([&counts]) {
            self.apply(changes);
        }
        self.check();
        assert_eq!(self.stored, before + effects.errors.values().sum::<i64>());
        effects
    }

    fn apply(&mut self, changes: &Changes) {
        for write in &changes.traces {
            assert!(write.sightings.len() <= budget::MAX_BYTES);
            let sightings: Vec<Sighting> = serde_json::from_str(&write.sightings).unwrap();
            assert!(sightings.len() <= budget::MAX_SIGHTINGS);
            let stored = StoredTrace {
                key: write.key,
                sightings,
                dropped_sightings: write.dropped_sightings,
            };
            self.traces.insert(write.key, stored);
        }
        for row in &changes.inserted {
            self.stored += 1;
            assert_eq!(self.rows.insert(row.id, row.clone()), None);
        }
        for row in &changes.updated {
            assert!(self.rows.insert(row.id, row.clone()).is_some());
        }
        for id in &changes.parted {
            assert!(changes.inserted.iter().any(|row| row.id == *id));
            self.redirects.remove(id);
        }
        for (gone, stays) in &changes.merged {
            assert!(self.rows.remove(gone).is_some() && self.rows.contains_key(stays));
            for leads_to in self.redirects.values_mut().filter(|id| *id == gone) {
                *leads_to = *stays;
            }
            self.redirects.insert(*gone, *stays);
        }
        for delta in &changes.users {
            let errors = self
                .users
                .entry((delta.aggregation_id, delta.user_key))
                .or_default();
            *errors += delta.errors;
            assert!(*errors >= 0);
        }
        self.users.retain(|_, errors| *errors > 0);
        for delta in &changes.aggregations {
            self.apply_hour(delta);
        }
        for delta in &changes.groups {
            self.apply_group(delta);
        }
    }

    fn apply_hour(&mut self, delta: &AggregationDelta) {
        assert!(self.hours.contains_key(&delta.id) || delta.first_occurrence.is_some());
        let rows = || {
            self.rows
                .values()
                .filter(|row| row.aggregation_id == delta.id)
        };
        let times: Vec<Timestamp> = rows().map(|row| row.created_at).collect();
        let users = self.users.keys().filter(|(id, _)| *id == delta.id).count();
        let never = Timestamp::from_micros(i64::MAX);
        let always = Timestamp::from_micros(i64::MIN);
        let hour = self.hours.entry(delta.id).or_insert(HourRow {
            total: 0,
            unlinked: 0,
            unique_users: 0,
            first: never,
            last: always,
        });
        hour.total += delta.linked_errors + delta.unlinked_errors;
        hour.unlinked += delta.unlinked_errors;
        hour.unique_users = i64::try_from(users).unwrap();
        hour.first = hour.first.min(delta.first_occurrence.unwrap_or(never));
        hour.last = hour.last.max(delta.last_occurrence.unwrap_or(always));
        if delta.shrinks && hour.unlinked == 0 {
            hour.first = times.iter().copied().min().unwrap_or(hour.first);
            hour.last = times.iter().copied().max().unwrap_or(hour.last);
        }
        if hour.total == 0 && delta.shrinks {
            self.hours.remove(&delta.id);
        }
    }

    fn apply_group(&mut self, delta: &GroupDelta) {
        let group = self
            .groups
            .entry(delta.fingerprint.clone())
            .or_insert_with(|| ErrorGroup {
                fingerprint: delta.fingerprint.clone(),
                service_name: delta.service_name.clone(),
                title: delta.title.clone(),
                category: delta.category,
                first_seen_at: delta.first_seen_at.unwrap(),
                last_seen_at: delta.last_seen_at.unwrap(),
                total_errors: 0,
                status: GroupStatus::Open,
                resolved_at: None,
                resolved_by: None,
                resolved_version: None,
                regressed_at: None,
                first_version: delta.first_version.clone(),
                last_version: delta.last_version.clone(),
            });
        group.total_errors += delta.errors;
        if let Some(regression) = &delta.regression {
            assert_eq!(group.status, GroupStatus::Resolved);
            group.status = GroupStatus::Open;
            group.regressed_at = Some(regression.at);
        }
        if group.total_errors == 0 && group.status == GroupStatus::Open {
            self.groups.remove(&delta.fingerprint);
        }
    }

    /// An operator deletes the row for good; its hour goes on counting it.
    pub(super) fn purge(&mut self, id: ErrorId) {
        let row = self.rows.remove(&id).unwrap();
        self.redirects.retain(|_, stays| *stays != id);
        let hour = self.hours.get_mut(&row.aggregation_id).unwrap();
        hour.unlinked += 1;
        self.purged = true;
    }

    /// The sightings of the trace are older than a week.
    pub(super) fn forget_traces(&mut self) {
        self.traces.clear();
    }

    pub(super) fn only_row(&self) -> &ApiError {
        assert_eq!(self.rows.len(), 1, "{:#?}", self.rows);
        self.rows.values().next().unwrap()
    }

    pub(super) fn messages(&self) -> BTreeSet<&str> {
        self.rows
            .values()
            .map(|row| row.error_message.as_str())
            .collect()
    }

    pub(super) fn total_errors(&self) -> i64 {
        self.hours.values().map(|hour| hour.total).sum()
    }

    /// Every number follows from the rows.
    fn check(&self) {
        let mut in_hours = 0;
        for (id, hour) in &self.hours {
            let rows: Vec<&ApiError> = self
                .rows
                .values()
                .filter(|row| row.aggregation_id == *id)
                .collect();
            in_hours += rows.len();
            assert_eq!(
                hour.total,
                i64::try_from(rows.len()).unwrap() + hour.unlinked
            );
            assert!(hour.total > 0);
            let times = || rows.iter().map(|row| row.created_at);
            if hour.unlinked == 0 {
                assert_eq!(Some(hour.first), times().min());
                assert_eq!(Some(hour.last), times().max());
                let users: BTreeSet<_> =
                    rows.iter().filter_map(|row| row.user_id.as_ref()).collect();
                assert_eq!(hour.unique_users, i64::try_from(users.len()).unwrap());
            }
        }
        assert_eq!(
            in_hours,
            self.rows.len(),
            "each row is counted in an hour that is there"
        );
        let with_user = self
            .rows
            .values()
            .filter(|row| row.user_id.is_some())
            .count();
        if !self.purged {
            assert_eq!(
                self.users.values().sum::<i64>(),
                i64::try_from(with_user).unwrap()
            );
            let mut groups: BTreeMap<&Fingerprint, i64> = BTreeMap::new();
            for row in self.rows.values() {
                *groups.entry(&row.fingerprint).or_default() += 1;
            }
            let stored = self
                .groups
                .iter()
                .map(|(id, group)| (id, group.total_errors));
            assert_eq!(groups, stored.filter(|(_, total)| *total > 0).collect());
        }
        for (gone, stays) in &self.redirects {
            assert!(!self.rows.contains_key(gone) && self.rows.contains_key(stays));
        }
        for sighting in self.traces.values().flat_map(|trace| &trace.sightings) {
            if sighting.is_failure() && sighting.content.is_none() && !self.purged {
                assert!(self.rows.contains_key(&sighting.row.unwrap()));
            }
        }
    }
}
