//! Runs that are gone, and whom they named.

use redspan::domain::RequestDigest;

use super::*;

/// A request with a run of a user, sent as often as somebody likes.
async fn send(world: &World) {
    let part = Part {
        start: Some(0),
        seconds: 5,
        user: Some("ada"),
        ..Part::default()
    };
    let mut found = found(vec![span(0, &part)], NOON);
    found.digest = Some(RequestDigest([6; 16]));
    let outcome = world.submit(Work::Telemetry(found)).await;
    assert!(matches!(outcome, Outcome::Committed(_)));
}

#[test]
fn a_run_that_was_purged_does_not_come_back_with_the_same_request() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        send(&world).await;
        assert!(run_1(&world).await.is_some());
        let purged = world.pipelines().cleanup_old_pipelines(NOON).await.unwrap();
        assert_eq!(purged, 1);
        send(&world).await;
        assert_eq!(run_1(&world).await, None);
        world.end().await;
    });
}

#[test]
fn whoever_is_forgotten_is_in_nothing_that_spans_said() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        send(&world).await;
        let forgotten = world.errors.forget_user("ada").await.unwrap().unwrap();
        assert_eq!(forgotten.pipelines, 1);
        send(&world).await;
        let columns = world.text_columns().await;
        for (column, values) in columns {
            let names = values.iter().filter(|value| value.contains("ada"));
            assert_eq!(names.count(), 0, "{column}: {values:?}");
        }
        world.end().await;
    });
}
