//! However sightings are cut into transactions and sent again, the tables end up the same.

use proptest::prelude::*;

use super::model::Tables;
use crate::{
    detect::sample::{exception, failed, link, log},
    domain::{ApiError, Sighting},
};

/// What one span shows, with words that name each other often.
#[derive(Clone, Debug)]
struct Shape {
    kind: u8,
    /// Whatever stands there, a ring perhaps.
    any_parent: Option<u16>,
    /// Else: how many spans before this one.
    up: u16,
    thrown: Option<(usize, usize)>,
    second: u32,
    user: Option<u8>,
    entry_status: Option<i32>,
}

const TYPES: [&str; 5] = [
    "db.DbTimeout",
    "app.Failed",
    "net.Refused",
    "Error",
    "app.Odd",
];

const MESSAGES: [&str; 6] = [
    "query timed out",
    "no order because of DbTimeout",
    "caused by Failed: no order",
    "Refused after query timed out",
    "no",
    "connection was Refused\nfor good",
];

fn shape() -> impl Strategy<Value = Shape> {
    (
        0..9_u8,
        prop_oneof![9 => Just(None), 1 => (0..10_u16).prop_map(Some)],
        0..3_u16,
        prop::option::weighted(0.6, (0..TYPES.len(), 0..MESSAGES.len())),
        0..7_500_u32,
        prop::option::weighted(0.3, 0..3_u8),
        prop::option::weighted(0.3, prop::sample::select(vec![200, 404, 500])),
    )
        .prop_map(
            |(kind, any_parent, up, thrown, second, user, entry_status)| Shape {
                kind,
                any_parent,
                up,
                thrown,
                second,
                user,
                entry_status,
            },
        )
}

fn sighting(span: u16, shape: &Shape) -> Sighting {
    let thrown = shape
        .thrown
        .map(|(name, message)| (TYPES[name], MESSAGES[message]));
    let tree_parent = span.saturating_sub(shape.up + 1);
    let parent = shape.any_parent.unwrap_or(tree_parent);
    let mut sighting = match (shape.kind, thrown) {
        (0..=3, None) => failed(span, parent),
        (0..=3, Some((name, message))) => failed(span, parent).throws(name, message),
        (4, Some((name, message))) => exception(span, parent, name, message),
        (5, Some(_)) => log(span, 17),
        _ => link(span, parent),
    };
    sighting = sighting.ended(shape.second);
    if shape.thrown.is_some() && sighting.is_failure() {
        sighting = sighting.at(shape.second / 2);
    }
    if let Some(status) = shape.entry_status {
        sighting = sighting.entry("/orders", status);
    }
    if let Some(user) = shape.user {
        sighting = sighting.user(&format!("user {user}"));
    }
    sighting
}

/// Sightings in order of arrival. Parents are any of the spans: rings are rare, but there.
fn arrivals() -> impl Strategy<Value = Vec<Sighting>> {
    prop::collection::vec(shape(), 1..12)
        .prop_map(|shapes| {
            let spans = 1_u16..;
            spans
                .zip(&shapes)
                .map(|(span, shape)| sighting(span, shape))
                .collect::<Vec<_>>()
        })
        .prop_shuffle()
}

/// What is the same however it came: everything but id and time of arrival.
fn essence(tables: &Tables) -> Vec<String> {
    let mut rows: Vec<String> = tables
        .rows
        .values()
        .map(|row| {
            let mut row: ApiError = row.clone();
            row.id = crate::domain::ErrorId(uuid::Uuid::nil());
            row.received_at = crate::domain::Timestamp::EPOCH;
            format!("{row:?}")
        })
        .collect();
    rows.sort_unstable();
    rows
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_cut_into_transactions_and_any_replay_ends_in_the_same_tables(
        sightings in arrivals(),
        cuts in prop::collection::vec((0..3_usize, 0..10_usize), 0..12),
    ) {
        let mut at_once = Tables::default();
        at_once.commit(&sightings);

        let mut step_by_step = Tables::default();
        let mut arrived = 0;
        for (next, replay_from) in cuts {
            let until = (arrived + next).min(sightings.len());
            let from = replay_from.min(arrived);
            // What is sent again comes with what is new, as a Collector batches it.
            step_by_step.commit(&sightings[from..until]);
            arrived = until;
        }
        step_by_step.commit(&sightings[arrived..]);
        step_by_step.commit(&sightings);

        prop_assert_eq!(essence(&step_by_step), essence(&at_once));
        prop_assert_eq!(&step_by_step.hours, &at_once.hours);
        prop_assert_eq!(&step_by_step.users, &at_once.users);
        let totals = |tables: &Tables| {
            let groups = tables.groups.iter();
            groups.map(|(id, group)| (id.clone(), group.total_errors)).collect::<Vec<_>>()
        };
        prop_assert_eq!(totals(&step_by_step), totals(&at_once));
    }

    #[test]
    fn what_operators_purge_never_comes_back(
        sightings in arrivals(),
        cut in 0..10_usize,
        is_purged in prop::collection::vec(any::<bool>(), 10),
    ) {
        let mut tables = Tables::default();
        let cut = cut.min(sightings.len());
        tables.commit(&sightings[..cut]);
        let ids: Vec<_> = tables.rows.keys().copied().collect();
        let purged: Vec<_> = ids.iter().zip(is_purged).filter(|(_, it)| *it).map(|(id, _)| *id).collect();
        for id in &purged {
            tables.purge(*id);
        }
        for _ in 0..2 {
            tables.commit(&sightings[cut..]);
            tables.commit(&sightings);
            prop_assert!(purged.iter().all(|id| !tables.rows.contains_key(id)));
        }
        let before = tables.stored;
        let rows = tables.rows.clone();
        tables.commit(&[link(400, 0)]);
        prop_assert_eq!(tables.stored, before);
        prop_assert_eq!(&tables.rows, &rows);
    }

    #[test]
    fn traces_without_room_lose_memory_and_no_count(
        sightings in arrivals(),
        sizes in prop::collection::vec(0..40_000_usize, 10),
        cuts in prop::collection::vec(1..4_usize, 0..6),
    ) {
        let mut sightings = sightings;
        for (sighting, size) in sightings.iter_mut().zip(sizes) {
            *sighting = sighting.clone().stack(&"x".repeat(size));
        }
        let mut tables = Tables::default();
        let mut arrived = 0;
        for next in cuts {
            let until = (arrived + next).min(sightings.len());
            tables.commit(&sightings[arrived..until]);
            arrived = until;
        }
        tables.commit(&sightings);
        let stored = tables.stored;
        tables.commit(&sightings);
        prop_assert_eq!(tables.stored, stored);
    }
}
