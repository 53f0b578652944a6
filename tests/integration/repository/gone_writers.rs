//! Counters of processes that do not run any more are deleted; what they counted stays proved.

use redspan::{
    domain::Timestamp,
    store::edit::{Editor, Prunable, Prune, PruneWriters},
};

use super::{World, new_error, retention};
use crate::databases::{Database, Kind, on_each_database};

/// A process that counts errors, and requests of so many endpoints, and ends.
async fn run(database: Database, name: &str, endpoints: usize) -> Database {
    let world = World::under(database, name).await;
    world.log(vec![new_error(), new_error()]).await;
    let endpoints: Vec<String> = (0..endpoints).map(|n| format!("/orders/{n}")).collect();
    let entries: Vec<_> = endpoints
        .iter()
        .map(|endpoint| (endpoint.as_str(), true, 5))
        .collect();
    world.requests(&entries).await;
    assert_eq!(world.verify().await.mismatches, []);
    world.end().await
}

/// Nobody has heard of this writer since.
async fn last_seen(world: &World, name: &str, at: Timestamp) {
    let at = match world.database.kind {
        Kind::Sqlite => at.as_micros().to_string(),
        Kind::Postgres => format!("TIMESTAMPTZ '{at}'"),
    };
    let sql = format!("UPDATE writers SET last_seen_at = {at} WHERE name = '{name}'");
    world.by_hand(&sql).await;
}

async fn number(world: &World, what: &str) -> i64 {
    let rows = world.rows(&format!("SELECT CAST({what} AS TEXT)")).await;
    rows[0].parse().unwrap()
}

const TOTALS: &str = "(SELECT COUNT(*) FROM metric_totals WHERE writer = 'there')";
const EPOCH: &str = "(SELECT epoch FROM writers WHERE name = 'there')";
const REQUESTS: &str = "(SELECT SUM(requests) FROM request_totals)";

#[test]
fn counters_of_a_writer_that_is_gone_go_and_all_that_they_proved_is_proved() {
    on_each_database(async |database| {
        let database = run(database, "there", 30).await;
        let database = run(database, "here", 2).await;
        let world = World::new(database).await;
        let epoch = number(&world, EPOCH).await;
        let totals = number(&world, TOTALS).await;
        assert!(totals > 60, "{totals}");
        last_seen(&world, "there", world.now.plus_seconds(-8 * 86_400)).await;

        let editor: &dyn Editor = &world.queue;
        let before = world.now.plus_seconds(-7 * 86_400);
        let first = editor.order("test", PruneWriters { before }).await.unwrap();
        assert_eq!(first.deleted.cast_signed(), totals);
        assert_eq!(number(&world, TOTALS).await, 0);
        assert_eq!(world.verify().await.mismatches, []);
        let second = editor.order("test", PruneWriters { before }).await.unwrap();
        assert_eq!((second.deleted, second.is_more), (0, false));
        assert_eq!(world.rows("SELECT name FROM writers").await, ["here"]);
        assert_eq!(number(&world, REQUESTS).await, 32);

        // It comes back, and nobody who held its name before holds it now.
        let database = run(world.end().await, "there", 3).await;
        let world = World::new(database).await;
        assert!(number(&world, EPOCH).await > epoch);
        assert_eq!(number(&world, REQUESTS).await, 35);
        world.end().await;
    });
}

#[test]
fn when_the_hours_of_a_writer_that_is_gone_are_gone_nothing_is_left_of_it() {
    on_each_database(async |database| {
        let world = World::new(run(database, "there", 3).await).await;
        last_seen(&world, "there", world.now.plus_seconds(-8 * 86_400)).await;
        let deleted = world.retention(retention::settings()).run(world.now).await;
        assert!(deleted.unwrap().counters > 0);
        let pruned = "SELECT writer FROM pruned_requests";
        assert_eq!(world.rows(pruned).await, ["there"]);
        let editor: &dyn Editor = &world.queue;
        let hours = Prune {
            what: Prunable::Requests,
            before: world.now.plus_seconds(3_600),
        };
        editor.order("test", hours).await.unwrap();
        assert_eq!(world.verify().await.mismatches, []);
        world
            .retention(retention::settings())
            .run(world.now)
            .await
            .unwrap();
        assert_eq!(world.rows(pruned).await, [""; 0]);
        assert_eq!(world.verify().await.mismatches, []);
        world.end().await;
    });
}

#[test]
fn a_writer_that_runs_is_not_gone_however_idle() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        world.log(vec![new_error()]).await;
        last_seen(&world, "here", world.now.plus_seconds(-8 * 86_400)).await;
        let deleted = world.retention(retention::settings()).run(world.now).await;
        assert_eq!(deleted.unwrap().counters, 0);
        assert_eq!(world.rows("SELECT name FROM writers").await, ["here"]);
        assert_eq!(world.verify().await.mismatches, []);
        world.end().await;
    });
}
