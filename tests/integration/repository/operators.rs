//! What operators do to errors and groups, and what is left of it in every table.

use std::sync::Arc;

use redspan::{
    domain::{Fingerprint, GroupStatus, Timestamp, TraceId},
    store::{
        AggregationFilter, ErrorFilter, GenerationPipelineRepository, GroupFilter, NewApiError,
        NewPipeline, PageRequest, RepositoryError,
    },
};
use uuid::Uuid;

use super::{World, new_error};
use crate::databases::on_each_database;

fn of_kind(kind: &str, at: Timestamp) -> NewApiError {
    NewApiError {
        fingerprint: Some(Fingerprint(kind.to_owned())),
        created_at: Some(at),
        service_version: Some("1.4.0".to_owned()),
        ..new_error()
    }
}

#[test]
fn an_error_is_resolved_once_and_reopened_hidden_and_shown_again() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let errors = world.errors.acting_as("ada's token");
        let id = world.log(vec![new_error()]).await[0].id;

        let resolved = errors.resolve_error(id, "ada", Some("rolled back")).await;
        let resolved = resolved.unwrap().unwrap();
        assert!(resolved.resolved && resolved.resolved_at.is_some());
        assert_eq!(resolved.resolved_by.as_deref(), Some("ada"));
        assert_eq!(resolved.resolution.as_deref(), Some("rolled back"));
        let again = errors.resolve_error(id, "bob", None).await.unwrap();
        assert_eq!(again.as_ref(), Some(&resolved), "it was resolved already");

        let reopened = errors.reopen_error(id).await.unwrap().unwrap();
        assert_eq!(
            (
                reopened.resolved,
                reopened.resolved_at,
                &reopened.resolved_by
            ),
            (false, None, &None)
        );
        assert_eq!(errors.reopen_error(id).await.unwrap(), Some(reopened));

        let hidden = errors.delete_error(id).await.unwrap().unwrap();
        assert!(hidden.deleted_at.is_some());
        assert_eq!(errors.delete_error(id).await.unwrap(), Some(hidden.clone()));
        assert_eq!(world.all(&ErrorFilter::default()).await, []);
        let deleted_too = ErrorFilter {
            include_deleted: true,
            ..ErrorFilter::default()
        };
        assert_eq!(world.all(&deleted_too).await, [hidden]);
        assert_eq!(
            world.verify().await.mismatches,
            [],
            "hidden is not uncounted"
        );
        let shown = errors.restore_error(id).await.unwrap().unwrap();
        assert_eq!(world.all(&ErrorFilter::default()).await, [shown]);

        let entries = world.rows("SELECT actor || ' ' || action || ' ' || entity || ' ' || entity_id FROM audit_log ORDER BY id").await;
        let expected = ["resolve", "reopen", "delete", "restore"]
            .map(|action| format!("ada's token {action} error {id}"));
        assert_eq!(entries, expected, "what changed nothing left no entry");
        drop(errors);
        world.end().await;
    });
}

#[test]
fn what_cannot_be_said_is_refused_with_its_field_and_nobody_is_found_for_unknown_ids() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let id = world.log(vec![new_error()]).await[0].id;
        let long = "x".repeat(256);
        for (by, resolution, field) in [
            ("", None, "resolvedBy"),
            (" \n", None, "resolvedBy"),
            (&*long, None, "resolvedBy"),
            ("a\0b", None, "resolvedBy"),
            ("ada", Some("a\0b"), "resolution"),
        ] {
            let refused = world.errors.resolve_error(id, by, resolution).await;
            let Err(RepositoryError::Invalid(fields)) = refused else {
                panic!("{by:?} {resolution:?}: {refused:?}");
            };
            assert!(fields.iter().all(|it| it.field == field), "{fields:?}");
        }
        let unknown = redspan::domain::ErrorId(Uuid::new_v4());
        assert_eq!(
            world
                .errors
                .resolve_error(unknown, "ada", None)
                .await
                .unwrap(),
            None
        );
        assert_eq!(world.errors.delete_error(unknown).await.unwrap(), None);
        let nobody = Fingerprint("nothing".to_owned());
        assert_eq!(world.errors.ignore_group(&nobody).await.unwrap(), None);
        assert_eq!(world.errors.reopen_group(&nobody).await.unwrap(), None);
        assert_eq!(world.errors.forget_user("nobody").await.unwrap(), None);
        assert_eq!(
            world.rows("SELECT actor FROM audit_log").await,
            [] as [String; 0]
        );
        world.end().await;
    });
}

#[test]
fn all_errors_that_match_are_resolved_however_many() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let at = |n: i64| world.now.plus_seconds(-n % 7);
        for some in 0..3 {
            let errors = (0..400).map(|n| of_kind("a", at(some * 400 + n)));
            world.log(errors.collect()).await;
        }
        world.log(vec![of_kind("b", world.now)]).await;
        let of_a = ErrorFilter {
            fingerprint: Some(Fingerprint("a".to_owned())),
            ..ErrorFilter::default()
        };
        assert_eq!(
            world
                .errors
                .resolve_errors(&of_a, "ada", None)
                .await
                .unwrap(),
            1_200
        );
        assert_eq!(
            world
                .errors
                .resolve_errors(&of_a, "ada", None)
                .await
                .unwrap(),
            0
        );
        let stats = world
            .errors
            .get_error_stats(&ErrorFilter::default())
            .await
            .unwrap();
        assert_eq!((stats.resolved, stats.unresolved), (1_200, 1));
        let audited = "SELECT CAST(COUNT(DISTINCT entity_id) AS TEXT) FROM audit_log WHERE action = 'resolve'";
        assert_eq!(world.rows(audited).await, ["1200"]);
        world.end().await;
    });
}

#[test]
fn a_group_is_resolved_with_its_errors_and_opens_again_with_those_alone() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let fingerprint = Fingerprint("a".to_owned());
        let earlier = world.now.plus_seconds(-60);
        let rows = world
            .log((0..3).map(|_| of_kind("a", earlier)).collect())
            .await;
        world
            .errors
            .resolve_error(rows[0].id, "bob", None)
            .await
            .unwrap();

        let resolve = async |version| {
            let done = world
                .errors
                .resolve_group(&fingerprint, "ada", Some("fixed"), version);
            done.await.unwrap().unwrap()
        };
        let group = resolve(Some("2.0.0")).await;
        assert_eq!(group.status, GroupStatus::Resolved);
        assert_eq!(group.resolved_version.as_deref(), Some("2.0.0"));
        let by = async || {
            let mut by: Vec<_> = (world.all(&ErrorFilter::default()).await.into_iter())
                .map(|row| row.resolved_by)
                .collect();
            by.sort();
            by.into_iter()
                .map(Option::unwrap_or_default)
                .collect::<Vec<_>>()
        };
        assert_eq!(by().await, ["ada", "ada", "bob"]);
        assert_eq!(resolve(None).await, group, "it was resolved already");

        // After the fix, but in a version from before it; then in one with it.
        let later = redspan::clock::now().plus_seconds(5);
        world.log(vec![of_kind("a", later)]).await;
        let state = async || world.errors.get_group(&fingerprint).await.unwrap().unwrap();
        assert_eq!(state().await.status, GroupStatus::Resolved);
        let fixed = NewApiError {
            service_version: Some("2.0.1".to_owned()),
            ..of_kind("a", later)
        };
        world.log(vec![fixed]).await;
        let regressed = state().await;
        assert_eq!(regressed.status, GroupStatus::Open);
        assert_eq!(regressed.regressed_at, Some(later));

        let group = resolve(None).await;
        assert!(group.resolved_at > Some(world.now));
        let reopened = world
            .errors
            .reopen_group(&fingerprint)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (reopened.status, reopened.resolved_at),
            (GroupStatus::Open, None)
        );
        // Those of the first time stay resolved: they were of another time.
        assert_eq!(by().await, ["", "", "ada", "ada", "bob"]);

        let ignored = world
            .errors
            .ignore_group(&fingerprint)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(ignored.status, GroupStatus::Ignored);
        world.log(vec![of_kind("a", later.plus_seconds(5))]).await;
        assert_eq!(state().await.status, GroupStatus::Ignored);
        assert_eq!(state().await.total_errors, 6);
        assert_eq!(world.verify().await.mismatches, []);
        world.end().await;
    });
}

#[test]
fn purged_errors_stay_counted_everywhere() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let old = world.now.plus_seconds(-5 * 24 * 3_600);
        let trace = TraceId::from_slice(&[9; 16]);
        let error = |n: i64| NewApiError {
            user_id: Some(format!("user {}", n % 5)),
            trace_id: (n % 2 == 0).then_some(trace).flatten(),
            ..of_kind(if n % 3 == 0 { "a" } else { "b" }, old.plus_seconds(n))
        };
        for some in 0..3 {
            world
                .log((0..400).map(|n| error(some * 400 + n)).collect())
                .await;
        }
        world.log(vec![of_kind("a", world.now)]).await;
        let hours = async || {
            let page = PageRequest::first(500);
            let hours = world
                .errors
                .get_aggregations(&AggregationFilter::default(), &page)
                .await
                .unwrap();
            hours
                .items
                .iter()
                .map(|hour| hour.total_errors)
                .sum::<i64>()
        };
        let groups = async || {
            let page = PageRequest::first(500);
            let groups = world
                .errors
                .get_groups(&GroupFilter::default(), &page)
                .await
                .unwrap();
            groups
                .items
                .iter()
                .map(|group| group.total_errors)
                .sum::<i64>()
        };
        let cutoff = world.now.plus_seconds(-3 * 24 * 3_600);
        assert_eq!(
            world.errors.delete_old_errors(cutoff, false).await.unwrap(),
            0
        );
        let of_a = ErrorFilter {
            fingerprint: Some(Fingerprint("a".to_owned())),
            ..ErrorFilter::default()
        };
        world
            .errors
            .resolve_errors(&of_a, "ada", None)
            .await
            .unwrap();
        assert_eq!(
            world.errors.delete_old_errors(cutoff, false).await.unwrap(),
            400
        );
        assert_eq!(world.verify().await.mismatches, []);
        assert_eq!(
            world.errors.delete_old_errors(cutoff, true).await.unwrap(),
            800
        );
        assert_eq!(world.all(&ErrorFilter::default()).await.len(), 1);
        assert_eq!((hours().await, groups().await), (1_201, 1_201));
        assert_eq!(world.verify().await.mismatches, []);
        world.errors.rebuild_aggregations(None, None).await.unwrap();
        assert_eq!((hours().await, groups().await), (1_201, 1_201));
        assert_eq!(world.verify().await.mismatches, []);
        world.end().await;
    });
}

impl World {
    /// A run of a user's, with a stage.
    async fn run_of(&self, user: &str) {
        let queue = Arc::new(self.queue.clone());
        let pipelines = GenerationPipelineRepository::new(Arc::clone(&self.store) as _, queue);
        let new = NewPipeline {
            id: Some("run-1".to_owned()),
            user_id: Some(user.to_owned()),
            config: serde_json::json!({"prompt": "a castle"}),
            ..NewPipeline::default()
        };
        pipelines.create(new, self.now).await.unwrap();
    }
}

#[test]
fn a_forgotten_user_is_in_no_table_and_still_counted() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let of_user = |user: &str| {
            NewApiError {
            user_id: Some(user.to_owned()),
            request_body: Some(serde_json::json!({"for": user, "order": 7})),
            ip_address: Some("203.0.113.0".to_owned()),
            user_agent: Some("Ada's browser".to_owned()),
            context: serde_json::from_value(serde_json::json!({
                "attributes": {"user.email": "somebody@example.com", "enduser.id": user, "shop.id": 7},
            }))
            .unwrap(),
            ..new_error()
        }
        };
        for _ in 0..2 {
            world
                .log((0..300).map(|_| of_user("ada lovelace")).collect())
                .await;
        }
        let rows = world.log(vec![of_user("bob")]).await;
        world
            .errors
            .acting_as("ada lovelace")
            .delete_error(rows[0].id)
            .await
            .unwrap();
        // She takes care of errors, too, and of what is left of their group.
        let ada = world.errors.acting_as("ada lovelace");
        let resolved = ada.resolve_error(rows[0].id, "ada lovelace", None).await;
        let fingerprint = resolved.unwrap().unwrap().fingerprint;
        ada.resolve_group(&fingerprint, "ada lovelace", None, None)
            .await
            .unwrap();
        drop(ada);
        let users = async || {
            let page = PageRequest::first(500);
            let hours = world
                .errors
                .get_aggregations(&AggregationFilter::default(), &page)
                .await
                .unwrap();
            hours
                .items
                .iter()
                .map(|hour| hour.unique_users)
                .sum::<i64>()
        };
        assert_eq!(users().await, 2);

        world.run_of("ada lovelace").await;

        let forgotten = world
            .errors
            .forget_user("ada lovelace")
            .await
            .unwrap()
            .unwrap();
        assert_eq!((forgotten.errors, forgotten.pipelines), (600, 1));
        assert_eq!(users().await, 2);
        assert_eq!(world.verify().await.mismatches, []);
        for (table, columns) in world.text_columns().await {
            for column in columns {
                let found = world
                    .rows(&format!(
                        "SELECT CAST({column} AS TEXT) FROM {table} \
                         WHERE CAST({column} AS TEXT) LIKE '%ada lovelace%' OR CAST({column} AS TEXT) LIKE '%castle%'"
                    ))
                    .await;
                assert_eq!(found, [] as [String; 0], "{table}.{column}");
            }
        }
        let emails = "SELECT id FROM api_errors WHERE CAST(context AS TEXT) LIKE '%somebody%'";
        assert_eq!(
            world
                .rows(&format!(
                    "SELECT CAST(COUNT(*) AS TEXT) FROM ({emails}) AS found"
                ))
                .await,
            ["1"]
        );
        assert_eq!(
            world.errors.forget_user("ada lovelace").await.unwrap(),
            None
        );

        // Who comes back is a user like any other.
        world.log(vec![of_user("ada lovelace")]).await;
        assert_eq!(world.verify().await.mismatches, []);
        world.errors.rebuild_aggregations(None, None).await.unwrap();
        assert_eq!(world.verify().await.mismatches, []);
        world.end().await;
    });
}
