//! What rows that come, change and leave do to hours, to the users of hours, and to groups.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    domain::{
        AggregationId, ApiError, Category, Dimensions, Fingerprint, GroupStatus, Timestamp, UserKey,
    },
    store::{AggregationDelta, GroupDelta, GroupState, Regression, UserDelta},
};

use super::{UserHasher, version::is_older};

/// Longest title of a group, in characters.
const MAX_TITLE_CHARS: usize = 255;

/// What all rows of a group do.
#[derive(Debug)]
pub(super) struct Deltas {
    user_hasher: UserHasher,
    hours: BTreeMap<AggregationId, AggregationDelta>,
    users: BTreeMap<(AggregationId, UserKey), i64>,
    groups: BTreeMap<Fingerprint, GroupMoves>,
}

type Parts = (
    Vec<AggregationDelta>,
    Vec<UserDelta>,
    BTreeMap<Fingerprint, GroupMoves>,
);

impl Deltas {
    pub(super) fn new(user_hasher: UserHasher) -> Self {
        Self {
            user_hasher,
            hours: BTreeMap::new(),
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
        }
    }

    /// A row is stored.
    pub(super) fn came(&mut self, row: &ApiError) {
        self.hour_gains(row);
        self.count_user(row, 1);
        self.group(row).gains(row);
    }

    /// A row is taken out.
    pub(super) fn left(&mut self, row: &ApiError) {
        self.hour_loses(row);
        self.count_user(row, -1);
        self.group(row).errors -= 1;
    }

    /// A row says something else from now on.
    pub(super) fn changed(&mut self, old: &ApiError, new: &ApiError) {
        let moved = old.aggregation_id != new.aggregation_id;
        if moved || old.created_at != new.created_at {
            self.hour_loses(old);
            self.hour_gains(new);
        }
        if moved || old.user_id != new.user_id {
            self.count_user(old, -1);
            self.count_user(new, 1);
        }
        if old.fingerprint != new.fingerprint {
            self.group(old).errors -= 1;
            self.group(new).gains(new);
        } else if old.created_at != new.created_at {
            self.group(new).spans(new);
        }
    }

    /// Errors are counted that have no row.
    pub(super) fn unlinked(&mut self, upsert: &AggregationDelta, dimensions: Dimensions) {
        let id = AggregationId::new(upsert.hour, &dimensions);
        let hour = self
            .hours
            .entry(id)
            .or_insert_with(|| empty_hour(id, upsert.hour, dimensions));
        hour.unlinked_errors += upsert.unlinked_errors;
        for at in [upsert.first_occurrence, upsert.last_occurrence] {
            spread(&mut hour.first_occurrence, &mut hour.last_occurrence, at);
        }
    }

    /// The groups that something is done to, in their order.
    pub(super) fn fingerprints(&self) -> impl Iterator<Item = &Fingerprint> {
        self.groups.keys()
    }

    /// Everything in the order of its keys; what comes to nothing is left out.
    pub(super) fn into_parts(self) -> Parts {
        let users: Vec<UserDelta> = self
            .users
            .into_iter()
            .filter(|(_, errors)| *errors != 0)
            .map(|((aggregation_id, user_key), errors)| UserDelta {
                aggregation_id,
                user_key,
                errors,
            })
            .collect();
        let with_users: BTreeSet<AggregationId> =
            users.iter().map(|user| user.aggregation_id).collect();
        let hours = self
            .hours
            .into_values()
            .filter(|hour| changes_something(hour) || with_users.contains(&hour.id))
            .collect();
        (hours, users, self.groups)
    }

    fn hour(&mut self, row: &ApiError) -> &mut AggregationDelta {
        self.hours.entry(row.aggregation_id).or_insert_with(|| {
            let (hour, dimensions) = (row.hour(), row.dimensions());
            let is_folded = AggregationId::new(hour, &dimensions) != row.aggregation_id;
            let dimensions = if is_folded {
                dimensions.folded()
            } else {
                dimensions
            };
            empty_hour(row.aggregation_id, hour, dimensions)
        })
    }

    fn hour_gains(&mut self, row: &ApiError) {
        let hour = self.hour(row);
        hour.linked_errors += 1;
        spread(
            &mut hour.first_occurrence,
            &mut hour.last_occurrence,
            Some(row.created_at),
        );
    }

    fn hour_loses(&mut self, row: &ApiError) {
        let hour = self.hour(row);
        hour.linked_errors -= 1;
        hour.shrinks = true;
    }

    fn count_user(&mut self, row: &ApiError, errors: i64) {
        if let Some(user_id) = &row.user_id {
            let user_key = self.user_hasher.key(user_id);
            self.hour(row);
            *self
                .users
                .entry((row.aggregation_id, user_key))
                .or_default() += errors;
        }
    }

    fn group(&mut self, row: &ApiError) -> &mut GroupMoves {
        self.groups
            .entry(row.fingerprint.clone())
            .or_insert_with(|| GroupMoves::of(row))
    }
}

fn empty_hour(
    id: AggregationId,
    hour: crate::domain::Hour,
    dimensions: Dimensions,
) -> AggregationDelta {
    AggregationDelta {
        id,
        hour,
        dimensions,
        linked_errors: 0,
        unlinked_errors: 0,
        first_occurrence: None,
        last_occurrence: None,
        shrinks: false,
    }
}

fn changes_something(hour: &AggregationDelta) -> bool {
    hour.shrinks
        || hour.linked_errors != 0
        || hour.unlinked_errors != 0
        || hour.first_occurrence.is_some()
}

fn spread(first: &mut Option<Timestamp>, last: &mut Option<Timestamp>, at: Option<Timestamp>) {
    if let Some(at) = at {
        *first = Some(first.map_or(at, |first| first.min(at)));
        *last = Some(last.map_or(at, |last| last.max(at)));
    }
}

/// What a group gains and loses.
#[derive(Debug)]
pub(super) struct GroupMoves {
    service_name: String,
    title: String,
    category: Category,
    errors: i64,
    /// When the rows that came happened, and in which version.
    arrivals: Vec<(Timestamp, Option<String>)>,
    /// The same of rows that were in the group before and only happened at another time.
    moved: Vec<(Timestamp, Option<String>)>,
}

impl GroupMoves {
    fn of(row: &ApiError) -> Self {
        Self {
            service_name: row.service_name.clone(),
            title: title(row),
            category: row.category,
            errors: 0,
            arrivals: Vec::new(),
            moved: Vec::new(),
        }
    }

    fn gains(&mut self, row: &ApiError) {
        self.errors += 1;
        self.arrivals
            .push((row.created_at, row.service_version.clone()));
    }

    fn spans(&mut self, row: &ApiError) {
        self.moved
            .push((row.created_at, row.service_version.clone()));
    }

    /// The change of a group in this state; nothing, when there is nothing to change.
    pub(super) fn into_delta(
        self,
        fingerprint: Fingerprint,
        state: Option<&GroupState>,
    ) -> Option<GroupDelta> {
        let nothing_comes = self.arrivals.is_empty() && self.moved.is_empty();
        let nobody_is_there = state.is_none() && self.errors <= 0;
        if nobody_is_there || (nothing_comes && self.errors == 0) {
            return None;
        }
        let regression = state.and_then(|state| self.regression(state));
        let times = || self.arrivals.iter().chain(&self.moved);
        let first = times().min_by_key(|(at, _)| *at).cloned();
        let last = times().max_by_key(|(at, _)| *at).cloned();
        Some(GroupDelta {
            fingerprint,
            service_name: self.service_name,
            title: self.title,
            category: self.category,
            errors: self.errors,
            first_seen_at: first.as_ref().map(|(at, _)| *at),
            last_seen_at: last.as_ref().map(|(at, _)| *at),
            first_version: first.and_then(|(_, version)| version),
            last_version: last.and_then(|(_, version)| version),
            regression,
        })
    }

    /// The first error that happened after the group was resolved, and not in a version from
    /// before the fix.
    fn regression(&self, state: &GroupState) -> Option<Regression> {
        let resolved_at = state.resolved_at?;
        if state.status != GroupStatus::Resolved {
            return None;
        }
        let fixed_in = state.resolved_version.as_deref();
        let is_fixed_version = |version: &Option<String>| match (version, fixed_in) {
            (Some(version), Some(fixed_in)) => !is_older(version, fixed_in),
            _ => true,
        };
        let returned = self
            .arrivals
            .iter()
            .filter(|(at, version)| *at > resolved_at && is_fixed_version(version));
        let at = returned.map(|(at, _)| *at).min()?;
        Some(Regression { at })
    }
}

/// Type and first line of the message.
fn title(row: &ApiError) -> String {
    let first_line = row.error_message.trim().lines().next().unwrap_or_default();
    let title = match row.error_code.as_deref() {
        Some(code) if !code.is_empty() && !first_line.starts_with(code) => {
            format!("{code}: {first_line}")
        }
        _ => first_line.to_owned(),
    };
    title.chars().take(MAX_TITLE_CHARS).collect()
}
