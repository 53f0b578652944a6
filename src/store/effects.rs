//! What follows from the counts that the upserts of a group return: the same on both databases.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use super::{
    AggregationDelta, Labels, MetricFamily, MetricTotal, RequestTotalsDelta, StoreError, UserDelta,
};
use crate::domain::{
    AggregationId, ErrorId, Fingerprint, GroupStatus, NameHasher, OTHER, RequestTotalsId,
    Timestamp, UserKey,
};

/// Where a row of `error_aggregation_users` stands after its delta.
#[derive(sqlx::FromRow)]
pub(super) struct UserCount {
    pub(super) aggregation_id: AggregationId,
    pub(super) user_key: UserKey,
    pub(super) errors: i64,
}

/// Where a row of `error_aggregations` stands after its delta.
#[derive(sqlx::FromRow)]
pub(super) struct HourCount {
    pub(super) id: AggregationId,
    pub(super) total_errors: i64,
    pub(super) unlinked_errors: i64,
}

/// Where a row of `error_groups` stands after its delta.
#[derive(sqlx::FromRow)]
pub(super) struct GroupCount {
    pub(super) fingerprint: Fingerprint,
    pub(super) total_errors: i64,
    pub(super) status: GroupStatus,
}

/// What the users of hours do to the hours.
#[derive(Default)]
pub(super) struct UserEffects {
    /// By how many users each hour has more or fewer; no zeros.
    pub(super) unique_users: BTreeMap<AggregationId, i64>,
    /// Members without errors, sorted.
    pub(super) gone: Vec<(AggregationId, UserKey)>,
}

impl UserEffects {
    pub(super) fn of(deltas: &[UserDelta], counts: Vec<UserCount>) -> Self {
        let deltas: HashMap<_, _> = deltas
            .iter()
            .map(|delta| ((delta.aggregation_id, delta.user_key), delta.errors))
            .collect();
        let mut effects = Self::default();
        for count in counts {
            let key = (count.aggregation_id, count.user_key);
            let delta = deltas.get(&key).copied().unwrap_or_default();
            let is_there = count.errors > 0;
            let was_there = count.errors - delta > 0;
            let change = i64::from(is_there) - i64::from(was_there);
            if change != 0 {
                *effects.unique_users.entry(key.0).or_default() += change;
            }
            if !is_there {
                effects.gone.push(key);
            }
        }
        effects.unique_users.retain(|_, change| *change != 0);
        effects.gone.sort_unstable();
        effects
    }

    /// Hours that only their users change.
    pub(super) fn without_delta(&self, deltas: &[AggregationDelta]) -> Vec<(AggregationId, i64)> {
        let with_delta: BTreeSet<_> = deltas.iter().map(|delta| delta.id).collect();
        self.unique_users
            .iter()
            .filter(|(id, _)| !with_delta.contains(id))
            .map(|(&id, &change)| (id, change))
            .collect()
    }
}

/// What is to be done about hours that lost rows.
#[derive(Default)]
pub(super) struct HourEffects<'a> {
    /// They count nothing any more.
    pub(super) empty: Vec<AggregationId>,
    /// Their first and last occurrence follow from their rows, which have their endpoint.
    pub(super) to_read: Vec<&'a AggregationDelta>,
    /// The same, but their rows have any endpoint.
    pub(super) to_read_folded: Vec<&'a AggregationDelta>,
}

impl<'a> HourEffects<'a> {
    pub(super) fn of(deltas: &'a [AggregationDelta], counts: &[HourCount]) -> Self {
        let counts: HashMap<_, _> = counts.iter().map(|count| (count.id, count)).collect();
        let mut effects = Self::default();
        for delta in deltas.iter().filter(|delta| delta.shrinks) {
            let Some(count) = counts.get(&delta.id) else {
                continue;
            };
            if count.total_errors <= 0 {
                effects.empty.push(delta.id);
            } else if count.unlinked_errors == 0 {
                if delta.dimensions.endpoint == OTHER {
                    effects.to_read_folded.push(delta);
                } else {
                    effects.to_read.push(delta);
                }
            }
        }
        effects
    }
}

/// The open groups that count nothing any more.
pub(super) fn empty_groups(counts: Vec<GroupCount>) -> Vec<Fingerprint> {
    let mut empty: Vec<_> = counts
        .into_iter()
        .filter(|group| group.total_errors <= 0 && group.status == GroupStatus::Open)
        .map(|group| group.fingerprint)
        .collect();
    empty.sort_unstable();
    empty
}

/// Each gone row with the one that stays for good: a row can turn out to be part of one that
/// itself turns out to be part of a third.
pub(super) fn final_merges(merged: &[(ErrorId, ErrorId)]) -> Vec<(ErrorId, ErrorId)> {
    let next: HashMap<_, _> = merged.iter().copied().collect();
    merged
        .iter()
        .map(|&(gone, mut stays)| {
            // No chain is longer than the list, unless it goes round.
            for _ in 0..merged.len() {
                match next.get(&stays) {
                    Some(&further) => stays = further,
                    None => break,
                }
            }
            (gone, stays)
        })
        .collect()
}

/// The earliest of what came, or an instant that changes no minimum.
pub(super) fn earliest(at: Option<Timestamp>) -> Timestamp {
    at.unwrap_or(Timestamp::from_micros(i64::MAX))
}

/// The latest of what came, or an instant that changes no maximum.
pub(super) fn latest(at: Option<Timestamp>) -> Timestamp {
    at.unwrap_or(Timestamp::from_micros(i64::MIN))
}

/// How often a writer is seen.
pub(super) const SEEN_EVERY_SECONDS: i64 = 3_600;

/// The epoch of a writer's name that nobody has.
pub(super) fn first_epoch(now: Timestamp) -> i64 {
    now.as_micros().max(1)
}

/// `request_totals.id`.
pub(super) fn request_totals_id(writer: &str, delta: &RequestTotalsDelta) -> RequestTotalsId {
    let name = NameHasher::new("request totals")
        .field(delta.series.service_name.as_bytes())
        .field(delta.series.environment.as_bytes())
        .field(delta.series.endpoint.as_bytes())
        .field(delta.series.method.as_bytes())
        .field(writer.as_bytes())
        .finish_uuid();
    RequestTotalsId(name)
}

/// The twelve duration columns of `request_totals`.
pub(super) fn buckets(delta: &RequestTotalsDelta) -> [i64; 12] {
    let mut buckets = [0; 12];
    for (column, count) in delta.buckets.iter().enumerate() {
        buckets[column.min(11)] += count;
    }
    buckets
}

/// A row of `metric_totals` as it is stored.
#[derive(sqlx::FromRow)]
pub(super) struct MetricRow {
    pub(super) family: String,
    pub(super) labels: String,
    pub(super) value: i64,
    pub(super) sum: i64,
    pub(super) buckets: String,
}

impl MetricRow {
    pub(super) fn of(total: &MetricTotal) -> Self {
        Self {
            family: total.family.as_str().to_owned(),
            labels: serde_json::to_string(&total.labels).expect("a map of strings is JSON"),
            value: total.value,
            sum: total.sum,
            buckets: serde_json::to_string(&total.buckets).expect("a list of numbers is JSON"),
        }
    }

    /// `metric_totals.id`.
    pub(super) fn id(&self) -> Uuid {
        NameHasher::new("metric totals")
            .field(self.family.as_bytes())
            .field(self.labels.as_bytes())
            .finish_uuid()
    }

    /// `None` for a family that this program does not know: a newer one wrote it.
    pub(super) fn into_total(self) -> Result<Option<MetricTotal>, StoreError> {
        let Some(&family) = MetricFamily::ALL
            .iter()
            .find(|family| family.as_str() == self.family)
        else {
            return Ok(None);
        };
        let unreadable = |error: serde_json::Error| {
            StoreError::Corrupt(format!(
                "metric_totals of {} {}: {error}",
                self.family, self.labels
            ))
        };
        let labels: Labels = serde_json::from_str(&self.labels).map_err(unreadable)?;
        let buckets = serde_json::from_str(&self.buckets).map_err(unreadable)?;
        Ok(Some(MetricTotal {
            family,
            labels,
            value: self.value,
            sum: self.sum,
            buckets,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(number: u128) -> AggregationId {
        AggregationId(Uuid::from_u128(number))
    }

    #[test]
    fn users_are_counted_when_they_appear_and_when_they_disappear() {
        let delta = |user, errors| UserDelta {
            aggregation_id: hour(1),
            user_key: UserKey(user),
            errors,
        };
        let count = |user, errors| UserCount {
            aggregation_id: hour(1),
            user_key: UserKey(user),
            errors,
        };
        // One appears, one stays, one disappears, one disappears that was never known.
        let effects = UserEffects::of(
            &[delta(1, 2), delta(2, 1), delta(3, -1), delta(4, -1)],
            vec![count(4, -1), count(3, 0), count(2, 5), count(1, 2)],
        );
        assert!(effects.unique_users.is_empty());
        assert_eq!(effects.gone, [(hour(1), UserKey(3)), (hour(1), UserKey(4))]);
        let effects = UserEffects::of(&[delta(1, 2)], vec![count(1, 2)]);
        assert_eq!(effects.without_delta(&[]), [(hour(1), 1)]);
    }

    #[test]
    fn a_chain_of_merges_ends_at_the_row_that_stays() {
        let id = |number| ErrorId(Uuid::from_u128(number));
        assert_eq!(
            final_merges(&[(id(1), id(2)), (id(2), id(3)), (id(4), id(5))]),
            [(id(1), id(3)), (id(2), id(3)), (id(4), id(5))]
        );
    }
}
