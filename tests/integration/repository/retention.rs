//! What is old enough goes, what counts it goes on counting, and one of many does it.

use std::{sync::Arc, time::Duration};

use redspan::{
    config::{KeptFor, RetentionSettings},
    domain::{Hour, Timestamp, TraceId},
    jobs::{Deleted, Retention},
    store::{
        ErrorFilter, GenerationPipelineRepository, NewApiError,
        edit::{BeginForgetting, Editor, Prunable, Prune, TakeLease},
    },
};

use super::{World, new_error};
use crate::databases::{Kind, on_each_database};

const DAY: Duration = Duration::from_hours(24);

pub fn settings() -> RetentionSettings {
    RetentionSettings {
        ledger: Duration::from_hours(6),
        resolved_errors: KeptFor(Some(3 * DAY)),
        pipelines: KeptFor(Some(30 * DAY)),
        hours: KeptFor(Some(3 * DAY)),
        traces: KeptFor(Some(3 * DAY)),
        audit: KeptFor(Some(3 * DAY)),
        writers: KeptFor(Some(7 * DAY)),
        unused: KeptFor(Some(3 * DAY)),
    }
}

impl World {
    pub fn retention(&self, settings: RetentionSettings) -> Retention {
        let queue = Arc::new(self.queue.clone());
        let pipelines = GenerationPipelineRepository::new(
            Arc::clone(&self.store) as _,
            Arc::clone(&queue) as _,
        );
        Retention::new(&self.errors, &pipelines, queue, settings)
    }
}

fn of(user: &str, at: Timestamp) -> NewApiError {
    NewApiError {
        user_id: Some(user.to_owned()),
        created_at: Some(at),
        trace_id: TraceId::from_slice(&[7; 16]),
        ..new_error()
    }
}

/// An instant as the database holds it.
fn literal(kind: Kind, at: Timestamp) -> String {
    match kind {
        Kind::Sqlite => at.as_micros().to_string(),
        Kind::Postgres => format!("TIMESTAMPTZ '{at}'"),
    }
}

/// Makes everything but the newest as old as this.
async fn age(world: &World, old: Timestamp, older: Timestamp) {
    let kind = world.database.kind;
    for sql in [
        format!(
            "UPDATE users SET last_seen_at = {} WHERE id <> 'new'",
            literal(kind, old)
        ),
        format!(
            "INSERT INTO assets (id, created_at) VALUES ('chair', {})",
            literal(kind, old)
        ),
        format!(
            "UPDATE request_totals SET hour_bucket = {}",
            literal(kind, Hour::containing(old).start())
        ),
        format!(
            "INSERT INTO error_traces (trace_key, service_name, trace_id, sightings, touched_at) \
                 VALUES ('01890000-0000-8000-8000-000000000000', 'shop', '{}', '[]', {})",
            "a".repeat(32),
            literal(kind, older)
        ),
        "UPDATE audit_log SET id = '018f0000-0000-7000-8000-000000000000' \
             WHERE id = (SELECT id FROM audit_log ORDER BY id LIMIT 1)"
            .to_owned(),
    ] {
        world.by_hand(&sql).await;
    }
}

#[test]
fn what_is_old_goes_and_every_count_still_adds_up() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let (old, older) = (
            world.now.plus_seconds(-4 * 24 * 3_600),
            world.now.plus_seconds(-40 * 24 * 3_600),
        );
        let rows = world
            .log(
                (0..700)
                    .map(|n| of(if n < 600 { "resolved" } else { "stays" }, old))
                    .collect(),
            )
            .await;
        world.log(vec![of("new", world.now)]).await;
        world
            .requests(&[("/orders", true, 5), ("/orders", false, 7)])
            .await;
        let resolved = ErrorFilter {
            user_id: Some("resolved".to_owned()),
            ..ErrorFilter::default()
        };
        world
            .errors
            .resolve_errors(&resolved, "ada", None)
            .await
            .unwrap();
        let mut nothing = world.retention(RetentionSettings {
            resolved_errors: KeptFor(None),
            hours: KeptFor(None),
            traces: KeptFor(None),
            audit: KeptFor(None),
            unused: KeptFor(None),
            ..settings()
        });
        assert_eq!(nothing.run(world.now).await.unwrap(), Deleted::default());
        drop(nothing);

        age(&world, old, older).await;

        let deleted = world.retention(settings()).run(world.now).await.unwrap();
        let expected = Deleted {
            errors: 600,
            pipelines: 0,
            traces: 1,
            members: 0,
            // The hour has errors that nobody resolved.
            hours: 0,
            requests: 1,
            audit: 1,
            purged_ids: 0,
            counters: 0,
            // The chair, and the user whose errors are gone.
            unused: 2,
            forgotten: 0,
        };
        assert_eq!(deleted, expected);
        assert_eq!(world.all(&ErrorFilter::default()).await.len(), 101);
        assert_eq!(
            world.errors.get_error_by_id(rows[0].id).await.unwrap(),
            None
        );
        assert_eq!(world.verify().await.mismatches, []);
        let again = world.retention(settings()).run(world.now).await.unwrap();
        assert_eq!(again, Deleted::default());

        world
            .errors
            .delete_old_errors(world.now.plus_seconds(-3_600), true)
            .await
            .unwrap();
        let deleted = world.retention(settings()).run(world.now).await.unwrap();
        assert_eq!((deleted.hours, deleted.unused), (1, 1));
        // The hours that are left are too young to lose their users.
        let later = world.now.plus_seconds(31 * 24 * 3_600);
        let members = RetentionSettings {
            hours: KeptFor(None),
            resolved_errors: KeptFor(None),
            audit: KeptFor(None),
            ..settings()
        };
        assert_eq!(
            world.retention(members).run(later).await.unwrap().members,
            1
        );
        assert_eq!(
            world
                .errors
                .verify_aggregations(None, None, later)
                .await
                .unwrap()
                .mismatches,
            []
        );
        world.end().await;
    });
}

#[test]
fn a_purged_error_that_is_sent_again_is_not_counted_again() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let old = world.now.plus_seconds(-4 * 24 * 3_600);
        let with_id = |number: u128, trace_id| NewApiError {
            id: Some(uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid()),
            trace_id,
            ..of("ada", old)
        };
        let sent = vec![
            with_id(1, None),
            with_id(2, TraceId::from_slice(&[7; 16])),
            with_id(3, None),
        ];
        let rows = world.log(sent[..2].to_vec()).await;
        assert_eq!(
            world
                .errors
                .delete_old_errors(world.now, true)
                .await
                .unwrap(),
            2
        );

        let again = world.errors.log_errors(sent, world.now).await.unwrap();
        let are_new: Vec<bool> = again.iter().map(|logged| logged.is_new).collect();
        assert_eq!(are_new, [false, false, true]);
        assert_eq!(
            (again[0].error.id, again[1].error.id),
            (rows[0].id, rows[1].id)
        );
        assert_eq!(world.all(&ErrorFilter::default()).await.len(), 1);
        assert_eq!(world.verify().await.mismatches, []);

        // Nobody sends it again after a month.
        let keep = RetentionSettings {
            resolved_errors: KeptFor(None),
            ..settings()
        };
        for (days, expected) in [(29, 0), (31, 2)] {
            let later = redspan::clock::now().plus_seconds(days * 24 * 3_600);
            let deleted = world.retention(keep.clone()).run(later).await.unwrap();
            assert_eq!(deleted.purged_ids, expected, "after {days} days");
        }
        world.end().await;
    });
}

#[test]
fn a_user_whose_forgetting_was_interrupted_is_forgotten_in_the_name_of_who_asked() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        world
            .log((0..3).map(|_| of("ada", world.now)).collect())
            .await;
        let editor: &dyn Editor = &world.queue;
        let begin = BeginForgetting {
            user_id: "ada".to_owned(),
        };
        // What the others would have done, the process did not live to do.
        editor.order("cli:bob", begin).await.unwrap();

        let now = redspan::clock::now();
        let mut retention = world.retention(settings());
        assert_eq!(retention.run(now).await.unwrap().forgotten, 0, "too early");
        let later = now.plus_seconds(3_600);
        assert_eq!(retention.run(later).await.unwrap().forgotten, 1);
        assert_eq!(retention.run(later).await.unwrap().forgotten, 0);
        drop(retention);

        let of_ada = ErrorFilter {
            user_id: Some("ada".to_owned()),
            ..ErrorFilter::default()
        };
        assert_eq!(world.all(&of_ada).await, []);
        let asked = "SELECT actor FROM audit_log WHERE action = 'forget' AND entity = 'user'";
        assert_eq!(world.rows(asked).await, ["cli:bob"]);
        assert_eq!(world.verify().await.mismatches, []);
        world.end().await;
    });
}

#[test]
fn one_of_many_deletes_until_its_lease_is_over() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let old = world.now.plus_seconds(-4 * 24 * 3_600);
        let rows = world.log(vec![of("ada", old)]).await;
        world
            .errors
            .resolve_error(rows[0].id, "ada", None)
            .await
            .unwrap();
        let take = |holder: &str| TakeLease {
            name: "retention",
            holder: holder.to_owned(),
            seconds: 60,
        };
        let editor: &dyn Editor = &world.queue;
        assert!(editor.order("test", take("one")).await.unwrap());
        assert!(!editor.order("test", take("other")).await.unwrap());
        assert!(
            editor.order("test", take("one")).await.unwrap(),
            "it may go on"
        );
        let mut retention = world.retention(settings());
        assert_eq!(retention.run(world.now).await.unwrap(), Deleted::default());
        let over = literal(world.database.kind, old);
        world
            .by_hand(&format!("UPDATE leases SET expires_at = {over}"))
            .await;
        assert_eq!(retention.run(world.now).await.unwrap().errors, 1);
        assert!(
            editor.order("test", take("other")).await.unwrap(),
            "it was given back"
        );
        drop(retention);
        world.end().await;
    });
}

#[test]
fn an_hour_of_requests_goes_in_small_steps_and_its_counters_stay_proved() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let endpoints: Vec<String> = (0..1_200).map(|n| format!("/orders/{n}")).collect();
        let entries: Vec<_> = endpoints
            .iter()
            .map(|endpoint| (endpoint.as_str(), false, 5))
            .collect();
        world.requests(&entries).await;
        let editor: &dyn Editor = &world.queue;
        let mut steps = Vec::new();
        loop {
            let prune = Prune {
                what: Prunable::Requests,
                before: world.now.plus_seconds(3_600),
            };
            let step = editor.order("test", prune).await.unwrap();
            steps.push(step.deleted);
            let left = world
                .rows("SELECT CAST(COUNT(*) AS TEXT) FROM request_totals")
                .await;
            assert_eq!(
                left,
                [(1_200 - steps.iter().sum::<u64>()).to_string()],
                "{steps:?}"
            );
            assert_eq!(world.verify().await.mismatches, []);
            if !step.is_more {
                break;
            }
        }
        assert_eq!(steps, [500, 500, 200]);
        world.end().await;
    });
}
