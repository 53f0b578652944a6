//! Pages: complete, in order, each item once, while rows arrive.

use redspan::{
    domain::{Fingerprint, Hour},
    store::{
        AggregationFilter, ErrorFilter, GroupFilter, NewApiError, PageRequest, RepositoryError,
    },
};

use std::time::Duration;

use tokio::time::timeout;

use super::{World, new_error, newest_first};
use crate::databases::{Database, Kind, block_on, on_each_database};

#[test]
fn a_cursor_reads_every_error_once_though_many_share_an_instant_and_new_ones_arrive() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let at = |second: i64| NewApiError {
            created_at: Some(world.now.plus_seconds(second - 1_000)),
            ..new_error()
        };
        let first = world
            .log((0..50).map(|number| at(number / 10)).collect())
            .await;
        let mut read = Vec::new();
        let mut page = PageRequest::first(7);
        loop {
            let answer = world
                .errors
                .get_errors(&ErrorFilter::default(), &page)
                .await
                .unwrap();
            assert!(answer.items.len() <= 7);
            read.extend(answer.items);
            let Some(next) = answer.next else { break };
            let text = next.to_string();
            assert_eq!(text.parse(), Ok(next));
            page = PageRequest::after(7, text.parse().unwrap());
            world.log(vec![at(500)]).await;
        }
        assert_eq!(read, newest_first(first));
        world.end().await;
    });
}

#[test]
fn an_offset_skips_and_the_last_page_has_no_cursor() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let rows = newest_first(world.log(vec![new_error(); 12]).await);
        for (offset, limit) in [(0, 5), (5, 5), (10, 5), (12, 5), (0, 12), (3, 500)] {
            let page = PageRequest {
                limit,
                offset,
                after: None,
            };
            let answer = world
                .errors
                .get_errors(&ErrorFilter::default(), &page)
                .await
                .unwrap();
            let begin = (offset as usize).min(rows.len());
            let end = (begin + limit as usize).min(rows.len());
            assert_eq!(answer.items, rows[begin..end]);
            assert_eq!(answer.next.is_some(), end < rows.len());
        }
        for (limit, offset, after) in [
            (0, 0, None),
            (501, 0, None),
            (5, 1, Some("0_x".parse().unwrap())),
        ] {
            let page = PageRequest {
                limit,
                offset,
                after,
            };
            let refused = world
                .errors
                .get_errors(&ErrorFilter::default(), &page)
                .await;
            assert!(matches!(refused, Err(RepositoryError::Invalid(_))));
        }
        world.end().await;
    });
}

#[test]
fn hours_and_groups_are_read_once_each_too() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let errors = (0..30).map(|number| NewApiError {
            endpoint: format!("/{number}"),
            fingerprint: Some(Fingerprint(format!("1:{number}"))),
            created_at: Some(
                Hour::containing(world.now)
                    .start()
                    .plus_seconds(-3_600 * (number / 10)),
            ),
            ..new_error()
        });
        world.log(errors.collect()).await;

        let (mut hours, mut page) = (Vec::new(), PageRequest::first(4));
        loop {
            let filter = AggregationFilter::default();
            let answer = world.errors.get_aggregations(&filter, &page).await.unwrap();
            hours.extend(answer.items);
            let Some(next) = answer.next else { break };
            page = PageRequest::after(4, next);
        }
        let mut keys: Vec<_> = hours
            .iter()
            .map(|hour| (hour.hour_bucket, hour.id))
            .collect();
        assert_eq!(keys.len(), 30);
        assert!(keys.is_sorted_by(|one, next| one > next));
        keys.dedup();
        assert_eq!(keys.len(), 30);

        let (mut groups, mut page) = (Vec::new(), PageRequest::first(4));
        loop {
            let filter = GroupFilter::default();
            let answer = world.errors.get_groups(&filter, &page).await.unwrap();
            groups.extend(answer.items);
            let Some(next) = answer.next else { break };
            page = PageRequest::after(4, next);
        }
        assert_eq!(groups.len(), 30);
        assert!(groups.is_sorted_by(|one, next| {
            (one.last_seen_at, &one.fingerprint) > (next.last_seen_at, &next.fingerprint)
        }));

        let hour = Hour::containing(world.now);
        let sets = world.store.error_label_sets(hour, 7).await.unwrap();
        assert_eq!(sets.counts, [(hour, "unknown_service".to_owned(), 10)]);
        assert_eq!(sets.ids.len(), 7);
        world.end().await;
    });
}

#[test]
fn groups_are_in_one_order_whatever_the_locale_of_the_database() {
    const KINDS: [&str; 7] = [
        "own:b", "own:A", "Own:c", "own-d", "own:B", "OWN:e", "own:a",
    ];
    for database in [Database::new(Kind::Sqlite), Database::sorting_like_people()] {
        block_on(async {
            let world = World::new(database).await;
            let at_once = KINDS.map(|kind| NewApiError {
                fingerprint: Some(Fingerprint(kind.to_owned())),
                created_at: Some(world.now),
                ..new_error()
            });
            world.log(at_once.to_vec()).await;
            let mut by_bytes = KINDS;
            by_bytes.sort_unstable_by(|one, next| next.cmp(one));

            let mut read = Vec::new();
            let mut matching = Vec::new();
            let mut page = PageRequest::first(2);
            let mut matching_page = PageRequest::first(2);
            loop {
                let filter = GroupFilter::default();
                let groups = world.errors.get_groups(&filter, &page).await.unwrap();
                let filter = ErrorFilter::default();
                let found = world.store.get_errors_by_group(&filter, &matching_page);
                let found = found.await.unwrap();
                read.extend(groups.items.into_iter().map(|group| group.fingerprint.0));
                matching.extend(found.items.into_iter().map(|group| group.fingerprint.0));
                let (Some(next), Some(matching_next)) = (groups.next, found.next) else {
                    break;
                };
                page = PageRequest::after(2, next);
                matching_page = PageRequest::after(2, matching_next);
            }
            assert_eq!(read, by_bytes);
            assert_eq!(matching, by_bytes);
            world.end().await;
        });
    }
}

#[test]
fn a_reader_that_takes_turns_asks_no_more_at_once() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let id = world.log(vec![new_error()]).await[0].id;
        let one = world.store.taking_turns(1);
        for _ in 0..3 {
            assert!(one.get_error_by_id(id).await.unwrap().is_some());
        }
        let none = world.store.taking_turns(0);
        let mut waiting = none.get_error_by_id(id);
        assert!(one.get_error_by_id(id).await.unwrap().is_some());
        assert!(
            timeout(Duration::from_millis(200), &mut waiting)
                .await
                .is_err()
        );
        drop(waiting);
        drop((one, none));
        world.end().await;
    });
}
