//! A purge of many errors beside ingest: nothing that was acknowledged is lost, nothing waits for
//! the purge's end, and every count is right afterwards. `FULL` has a million of them.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use redspan::{
    domain::Timestamp,
    store::{ErrorFilter, NewApiError, edit::ROWS_PER_EDIT},
};
use tokio::time::Instant;

use super::{World, new_error};
use crate::{
    databases::{Kind, on_each_database},
    plans::fill,
};

/// A day.
const DAY_MICROS: i64 = 86_400_000_000;

fn errors() -> u64 {
    if std::env::var_os("FULL").is_some() {
        1_000_000
    } else {
        20_000
    }
}

/// So many errors in ten days that ended a day ago, with their hours and groups.
async fn fill_errors(world: &World, errors: u64) {
    let kind = world.database.kind;
    let first = world.now.as_micros() - 11 * DAY_MICROS;
    let step = 10 * DAY_MICROS / i64::try_from(errors).unwrap();
    let (numbers, id, at) = match kind {
        Kind::Sqlite => (
            format!(
                "(WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers \
                 WHERE n < {errors} - 1) SELECT n FROM numbers) AS numbers"
            ),
            "printf('%08x-0000-8000-8000-%012x', n * 2654435761 % 4294967296, n)",
            format!("{first} + n * {step}"),
        ),
        Kind::Postgres => (
            format!("generate_series(CAST(0 AS BIGINT), {errors} - 1) AS numbers (n)"),
            "CAST(lpad(to_hex(n * 2654435761 % 4294967296), 8, '0') || '-0000-8000-8000-' || \
             lpad(to_hex(n), 12, '0') AS UUID)",
            format!("TIMESTAMPTZ 'epoch' + ({first} + n * {step}) * INTERVAL '1 microsecond'"),
        ),
    };
    let nowhere = "00000000-0000-8000-8000-000000000000";
    let nowhere = match kind {
        Kind::Sqlite => format!("'{nowhere}'"),
        Kind::Postgres => format!("CAST('{nowhere}' AS UUID)"),
    };
    let unknown = match kind {
        Kind::Sqlite => "'unknown'",
        Kind::Postgres => "CAST('unknown' AS error_category)",
    };
    let statements = [
        format!(
            "INSERT INTO api_errors (id, endpoint, method, error_message, error_stack, created_at, \
             received_at, fingerprint, aggregation_id) SELECT {id}, '/orders/' || n % 5, 'GET', \
             'order ' || n || ' is refused', 'at refuse (shop.js:10)', {at}, {at}, \
             'kind ' || n % 50, {nowhere} FROM {numbers}"
        ),
        format!(
            "INSERT INTO error_groups (fingerprint, service_name, title, category, first_seen_at, \
             last_seen_at, total_errors) SELECT fingerprint, 'unknown_service', 'refused', {unknown}, \
             MIN(created_at), MAX(created_at), COUNT(*) FROM api_errors GROUP BY fingerprint"
        ),
        format!("INSERT INTO error_balance (reason, errors) VALUES ('imported', {errors})"),
    ];
    fill::execute(&world.database, &statements).await;
    world.errors.rebuild_aggregations(None, None).await.unwrap();
    assert_eq!(world.verify().await.mismatches, []);
}

/// How long one error after the other took to be acknowledged.
async fn log_until(world: &World, is_over: impl Fn(usize) -> bool) -> Vec<Duration> {
    let mut latencies = Vec::new();
    while !is_over(latencies.len()) {
        let new = NewApiError {
            endpoint: "/beside".to_owned(),
            ..new_error()
        };
        let started = Instant::now();
        let logged = world.errors.log_error(new, world.now).await.unwrap();
        assert!(logged.is_new);
        latencies.push(started.elapsed());
    }
    latencies
}

fn show(what: &str, mut latencies: Vec<Duration>) {
    latencies.sort();
    let at = |part: usize| latencies[(latencies.len() - 1) * part / 1_000];
    println!(
        "{what}: {} acknowledged, p50 {:?}, p99 {:?}, longest {:?}",
        latencies.len(),
        at(500),
        at(990),
        at(1_000)
    );
}

#[test]
fn a_purge_beside_ingest_loses_and_blocks_nothing() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let errors = errors();
        fill_errors(&world, errors).await;
        let before = log_until(&world, |logged| logged == 300).await;

        let is_purged = AtomicBool::new(false);
        let started = Instant::now();
        let cutoff = Timestamp::from_micros(world.now.as_micros() - DAY_MICROS / 2);
        let purge = async {
            let purged = world.errors.delete_old_errors(cutoff, true).await.unwrap();
            is_purged.store(true, Ordering::Release);
            (purged, started.elapsed())
        };
        let log = log_until(&world, |_| is_purged.load(Ordering::Acquire));
        let ((purged, took), beside) = tokio::join!(purge, log);

        assert_eq!(purged, errors);
        // Each of both waits for one of the other at most.
        let transactions = errors / u64::from(ROWS_PER_EDIT);
        assert!(beside.len() as u64 >= transactions / 2, "{}", beside.len());
        let acknowledged = before.len() + beside.len();
        println!(
            "{:?}: {errors} errors purged in {took:?}",
            world.database.kind
        );
        show("  before", before);
        show("  beside it", beside);
        let stats = world
            .errors
            .get_error_stats(&ErrorFilter::default())
            .await
            .unwrap();
        assert_eq!(stats.total, i64::try_from(acknowledged).unwrap());
        assert_eq!(world.verify().await.mismatches, []);
        world.end().await;
    });
}
