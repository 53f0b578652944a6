//! The proof finds each kind of damage, and nothing on a healthy database.

use redspan::{
    domain::Hour,
    store::{AuditFilter, Check, NewApiError, PageRequest, RepositoryError},
};
use serde_json::Value;

use super::{World, new_error};
use crate::databases::on_each_database;

const TABLES: [&str; 7] = [
    "api_errors",
    "error_redirects",
    "error_aggregations",
    "error_aggregation_users",
    "error_groups",
    "request_totals",
    "metric_totals",
];

/// Two services, two hours, users, and requests.
async fn populated(world: &World) {
    let hour = Hour::containing(world.now.plus_seconds(-3_600)).start();
    let error = |number: i64| NewApiError {
        user_id: ["ada", "bob", ""].map(str::to_owned)[usize::try_from(number % 3).unwrap()]
            .clone()
            .into(),
        service_name: Some(["shop", "billing"][usize::try_from(number % 2).unwrap()].to_owned()),
        error_message: format!("message of service {}", number % 2),
        created_at: Some(hour.plus_seconds(number * 100 - 1_000)),
        ..new_error()
    };
    world.log((0..40).map(error).collect()).await;
    world
        .requests(&[
            ("/a", false, 1_000_000),
            ("/a", true, 70_000_000),
            ("/b", false, 20_000_000_000),
        ])
        .await;
    world.requests(&[("/a", false, 7_000_000)]).await;
}

/// Damage, and the kinds of mismatch that it must lead to, all of them and no other.
const DAMAGE: &[(&str, &[Check])] = &[
    (
        "UPDATE error_aggregations SET total_errors = total_errors + 1",
        &[Check::HourTotal],
    ),
    (
        "UPDATE error_aggregations SET unlinked_errors = 1",
        &[Check::HourTotal],
    ),
    (
        "UPDATE error_aggregations SET unique_users = unique_users - 1",
        &[Check::HourUsers],
    ),
    (
        "DELETE FROM error_aggregation_users WHERE user_key = (SELECT MIN(user_key) FROM error_aggregation_users)",
        &[
            Check::HourUsers,
            Check::HourMembers,
            Check::HourMemberErrors,
        ],
    ),
    (
        "UPDATE error_aggregation_users SET errors = errors + 1",
        &[Check::HourMemberErrors],
    ),
    (
        "UPDATE api_errors SET user_id = 'ada' WHERE user_id = 'bob'",
        &[Check::HourMembers],
    ),
    (
        "UPDATE error_aggregations SET first_occurrence = last_occurrence",
        &[Check::HourFirst],
    ),
    (
        "UPDATE error_aggregations SET last_occurrence = first_occurrence",
        &[Check::HourLast],
    ),
    (
        "UPDATE error_aggregations SET endpoint = '/elsewhere'",
        &[Check::HourName],
    ),
    (
        "DELETE FROM error_aggregations",
        &[Check::MembersWithoutHour, Check::RowsWithoutHour],
    ),
    (
        "UPDATE api_errors SET endpoint = '/elsewhere'",
        &[Check::RowsInWrongHour],
    ),
    (
        "UPDATE api_errors SET status_code = 500 WHERE service_name = 'shop'",
        &[Check::RowsInWrongHour],
    ),
    (
        "UPDATE api_errors SET aggregation_id = (SELECT id FROM error_aggregations ORDER BY hour_bucket, service_name LIMIT 1)",
        &[
            Check::HourTotal,
            Check::HourMembers,
            Check::HourMemberErrors,
            Check::HourFirst,
            Check::HourLast,
            Check::RowsInWrongHour,
        ],
    ),
    (
        "DELETE FROM api_errors WHERE created_at = (SELECT MAX(created_at) FROM api_errors)",
        &[
            Check::HourTotal,
            Check::HourMemberErrors,
            Check::HourLast,
            Check::GroupTotal,
            Check::ErrorsCounter,
        ],
    ),
    (
        "UPDATE error_groups SET total_errors = total_errors - 1",
        &[Check::GroupTotal],
    ),
    (
        "UPDATE error_groups SET total_errors = total_errors + 1",
        &[Check::GroupTotal],
    ),
    ("DELETE FROM error_groups", &[Check::RowsWithoutGroup]),
    (
        "INSERT INTO error_redirects (id, error_id) SELECT a.id, b.id FROM api_errors AS a, api_errors AS b WHERE a.created_at < b.created_at ORDER BY a.created_at, b.created_at LIMIT 1",
        &[Check::MergedRow],
    ),
    (
        "UPDATE metric_totals SET value = value + 1 WHERE family = 'redspan_errors_total'",
        &[Check::ErrorsCounter],
    ),
    (
        "UPDATE metric_totals SET value = value - 1 WHERE family = 'redspan_errors_total'",
        &[Check::ErrorsCounter],
    ),
    (
        "UPDATE request_totals SET requests = requests + 1",
        &[Check::RequestsCounter, Check::DurationsCounter],
    ),
    (
        "UPDATE request_totals SET errors = errors + 1",
        &[Check::RequestErrorsCounter],
    ),
    (
        "UPDATE request_totals SET duration_sum_nanos = duration_sum_nanos + 1",
        &[Check::DurationSum],
    ),
    (
        "UPDATE request_totals SET duration_beyond = duration_beyond + 1",
        &[Check::DurationBucket],
    ),
    (
        "UPDATE request_totals SET writer = 'somebody'",
        &[
            Check::RequestsCounter,
            Check::RequestErrorsCounter,
            Check::DurationsCounter,
            Check::DurationSum,
            Check::DurationBucket,
        ],
    ),
    (
        "DELETE FROM metric_totals WHERE family = 'redspan_requests_total'",
        &[Check::RequestsCounter, Check::RequestErrorsCounter],
    ),
];

#[test]
fn each_kind_of_damage_is_found_and_nothing_on_a_healthy_database() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        assert_eq!(world.verify().await.mismatches, [], "empty");
        populated(&world).await;
        let healthy = world.verify().await;
        assert_eq!(healthy.mismatches, []);
        assert_eq!(
            (healthy.errors, healthy.groups, healthy.writers),
            (40, 2, 1)
        );
        for table in TABLES {
            world
                .by_hand(&format!(
                    "CREATE TABLE kept_{table} AS SELECT * FROM {table}"
                ))
                .await;
        }
        for (damage, expected) in DAMAGE {
            world.by_hand(damage).await;
            let found = world.verify().await;
            let mut checks: Vec<_> = found.mismatches.iter().map(|it| it.check).collect();
            checks.sort_unstable();
            checks.dedup();
            assert_eq!(checks, *expected, "{damage}: {:#?}", found.mismatches);
            for mismatch in &found.mismatches {
                assert!(mismatch.to_string().ends_with('.'), "{mismatch}");
            }
            for table in TABLES.iter().rev() {
                world.by_hand(&format!("DELETE FROM {table}")).await;
            }
            for table in TABLES {
                world
                    .by_hand(&format!("INSERT INTO {table} SELECT * FROM kept_{table}"))
                    .await;
            }
            assert_eq!(world.verify().await.mismatches, [], "repaired: {damage}");
        }
        world.end().await;
    });
}

#[test]
fn a_range_is_proved_without_looking_at_other_hours() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        populated(&world).await;
        let later = Hour::containing(world.now.plus_seconds(-3_600));
        world
            .by_hand("UPDATE error_aggregations SET total_errors = total_errors + 1")
            .await;
        let verify = async |from, to| {
            let found = world.errors.verify_aggregations(from, to, world.now).await;
            found.unwrap()
        };
        let all = verify(None, None).await;
        let (before, after) = (
            verify(None, Some(later)).await,
            verify(Some(later), None).await,
        );
        assert!(before.aggregations > 0 && after.aggregations > 0);
        assert_eq!(all.aggregations, before.aggregations + after.aggregations);
        assert_eq!(all.errors, before.errors + after.errors);
        assert!(
            before
                .mismatches
                .iter()
                .all(|it| it.hour_bucket < Some(later))
        );
        for found in [before, after] {
            let mismatches = i64::try_from(found.mismatches.len()).unwrap();
            assert_eq!(mismatches, found.aggregations);
        }
        world.end().await;
    });
}

#[test]
fn rebuild_repairs_the_hours_and_loses_no_unlinked_count() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        populated(&world).await;
        let hours = world.verify().await.aggregations;
        assert_eq!(rebuild(&world).await, 0);
        for damage in [
            "UPDATE error_aggregations SET total_errors = 7, unique_users = 7",
            "DELETE FROM error_aggregation_users",
            "UPDATE error_aggregation_users SET errors = errors + 1",
            "UPDATE error_aggregations SET first_occurrence = last_occurrence",
            "DELETE FROM error_aggregations",
            "UPDATE api_errors SET status_code = 500 WHERE service_name = 'shop'",
        ] {
            world.by_hand(damage).await;
            assert_ne!(world.verify().await.mismatches, []);
            assert!(rebuild(&world).await > 0, "{damage}");
            let found = world.verify().await;
            assert_eq!(found.mismatches, [], "{damage}");
            assert_eq!(found.aggregations, hours);
        }
        world.end().await;
    });
}

#[test]
fn each_hour_that_is_rebuilt_is_in_the_audit_log() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        populated(&world).await;
        let entries = async || {
            let page = PageRequest::first(PageRequest::MAX_LIMIT);
            let rebuilds = AuditFilter {
                entity: Some("hour".to_owned()),
                ..AuditFilter::default()
            };
            let entries = world.store.get_audit(&rebuilds, &page).await;
            entries.unwrap().items
        };
        assert_eq!(rebuild(&world).await, 0);
        assert_eq!(entries().await, []);
        world
            .by_hand("UPDATE error_aggregations SET total_errors = total_errors + 2")
            .await;
        let rebuilt = rebuild(&world).await;
        let mut corrected = 0;
        for entry in entries().await {
            assert_eq!((&*entry.actor, &*entry.action), ("library", "rebuild"));
            let (before, after) = (entry.before.unwrap(), entry.after.unwrap());
            let number = |of: &Value, what: &str| of[what].as_u64().unwrap();
            let more = number(&before, "totalErrors") - number(&after, "totalErrors");
            assert_eq!(more, 2 * number(&after, "corrected"));
            corrected += number(&after, "corrected");
        }
        assert_eq!(corrected, rebuilt);
        world.end().await;
    });
}

async fn rebuild(world: &World) -> u64 {
    let rebuilt: Result<u64, RepositoryError> = world.errors.rebuild_aggregations(None, None).await;
    rebuilt.unwrap()
}
