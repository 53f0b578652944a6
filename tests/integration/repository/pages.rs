//! Pages: complete, in order, each item once, while rows arrive.

use redspan::{
    domain::{Fingerprint, Hour},
    store::{
        AggregationFilter, ErrorFilter, GroupFilter, NewApiError, PageRequest, RepositoryError,
    },
};

use super::{World, new_error, newest_first};
use crate::databases::on_each_database;

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
