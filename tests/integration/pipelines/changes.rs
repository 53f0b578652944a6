//! What application code does to runs and stages, and what is stored then.

use redspan::{
    domain::{Pipeline, PipelineStatus, StageStatus, TraceId},
    store::{
        NewPipeline, NewStage, Patch, PipelineFailure, PipelineFilter, PipelinePatch,
        RepositoryError, StagePatch,
    },
};
use serde_json::{Value, json};

use super::{NOON, Runs, id, new_run, new_stage};
use crate::{databases::on_each_database, repository::World};

#[test]
fn a_run_comes_back_as_it_was_given_with_its_stages() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let given = NewPipeline {
            user_id: Some("ada".to_owned()),
            asset_id: Some("asset-1".to_owned()),
            config: json!({"n": 1.5, "large": 1e16, "list": [null, true, "ü"]}),
            status: Some(PipelineStatus::Processing),
            progress: Some(5),
            current_stage: Some("mesh".to_owned()),
            results: Some(json!({"preview": "url"})),
            meshy_task_id: Some("m-1".to_owned()),
            rigging_task_id: Some("r-1".to_owned()),
            expires_at: Some(NOON.plus_seconds(60)),
            name: Some("text-to-3d".to_owned()),
            service_name: Some("studio".to_owned()),
            trace_id: TraceId::from_slice(&[7; 16]),
            ..new_run("pipeline-123")
        };
        let stages = vec![
            new_stage("mesh"),
            NewStage {
                id: Some("own".to_owned()),
                stage_order: Some(-1),
                status: Some(StageStatus::Skipped),
                progress: Some(3),
                ..new_stage("prepare")
            },
        ];
        let created = runs
            .pipelines
            .create_with_stages(given, stages, runs.now())
            .await
            .unwrap();
        assert!(created.is_new);
        let found = runs.pipelines.find_with_stages(&id("pipeline-123")).await;
        assert_eq!(found.unwrap().as_ref(), Some(&created.pipeline));
        let names = created.pipeline.stages.iter().map(|it| &*it.stage_name);
        assert_eq!(names.collect::<Vec<_>>(), ["prepare", "mesh"]);

        let run = runs.pipelines.find_by_id(&id("pipeline-123")).await;
        let run = run.unwrap().unwrap();
        assert_eq!(run, created.pipeline.pipeline);
        assert_eq!((run.started_at, run.completed_at), (Some(NOON), None));
        assert_eq!((run.created_at, run.state_at), (NOON, NOON));
        assert!(runs.pipelines.exists(&id("pipeline-123")).await.unwrap());
        runs.end().await;
    });
}

#[test]
fn the_same_run_again_is_one_run_and_another_under_its_id_is_refused() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let new = NewPipeline {
            stages: vec![new_stage("mesh")],
            ..new_run("a")
        };
        runs.create(new.clone()).await;
        let first = runs
            .pipelines
            .update_progress(&id("a"), 30, None)
            .await
            .unwrap();
        let before = runs.dump().await;

        runs.pass(10);
        let again = runs.try_create(new.clone()).await.unwrap();
        assert!(!again.is_new);
        assert_eq!(Some(again.pipeline.pipeline), first);
        assert_eq!(again.pipeline.stages.len(), 1);

        for other in [
            NewPipeline {
                config: json!({}),
                ..new.clone()
            },
            NewPipeline {
                user_id: Some("bob".to_owned()),
                ..new.clone()
            },
            NewPipeline {
                stages: vec![new_stage("rig")],
                ..new.clone()
            },
        ] {
            let refused = runs.try_create(other).await.unwrap_err();
            assert_eq!(
                refused.to_string(),
                "id is a: another run has this id already"
            );
        }
        assert_eq!(runs.dump().await, before);

        runs.pipelines.delete(&id("a")).await.unwrap();
        let refused = runs.try_create(new).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "id is a: the run was deleted: restore it first"
        );
        runs.end().await;
    });
}

#[test]
fn a_batch_is_created_as_a_whole_or_not_at_all() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        runs.create(new_run("there")).await;
        let before = runs.dump().await;
        for bad in [
            NewPipeline {
                progress: Some(101),
                ..new_run("bad")
            },
            NewPipeline {
                config: json!("another"),
                ..new_run("there")
            },
        ] {
            let batch = vec![new_run("good"), bad];
            let refused = runs.pipelines.create_many(batch, runs.now()).await;
            assert!(refused.is_err());
        }
        let many = vec![new_run("many"); 501];
        let refused = runs.pipelines.create_many(many, runs.now()).await;
        let Err(RepositoryError::Invalid(fields)) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(fields[0].field, "pipelines");
        assert_eq!(runs.dump().await, before);

        let batch = (0..500).map(|number| new_run(&format!("run-{}", number % 499)));
        let created = runs
            .pipelines
            .create_many(batch.collect(), runs.now())
            .await;
        let created = created.unwrap();
        let new = created.iter().filter(|created| created.is_new).count();
        assert_eq!((created.len(), new), (500, 499));
        assert_eq!(created[499].pipeline, created[0].pipeline);
        let everything = PipelineFilter::default();
        assert_eq!(runs.pipelines.count(&everything).await.unwrap(), 500);
        let none = runs.pipelines.create_many(vec![], runs.now()).await;
        assert_eq!(none.unwrap(), []);
        runs.end().await;
    });
}

#[test]
fn a_run_goes_from_its_creation_to_its_end() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let run = id("a");
        runs.create(new_run("a")).await;
        let nothing = PipelineFailure::default;
        runs.pass(1);
        let update = |status, failure| runs.pipelines.update_status(&run, status, failure);
        let begun = update(PipelineStatus::Processing, nothing()).await.unwrap();
        let begun = begun.unwrap();
        assert_eq!(begun.started_at, Some(NOON.plus_seconds(1)));
        assert_eq!((begun.state_at, begun.updated_at), (runs.now(), runs.now()));
        runs.pass(1);
        let rig = Some("rig".to_owned());
        let further = runs.pipelines.update_progress(&run, 60, rig).await.unwrap();
        let expected = Pipeline {
            progress: 60,
            current_stage: Some("rig".to_owned()),
            updated_at: runs.now(),
            ..begun
        };
        assert_eq!(further.as_ref(), Some(&expected));
        runs.pass(1);
        let failure = PipelineFailure {
            error: Some("no bones\0".to_owned()),
            error_stage: Some("rig".to_owned()),
            error_details: Some(json!({"code": "E7"})),
        };
        let failed = update(PipelineStatus::Failed, failure.clone())
            .await
            .unwrap();
        let expected = Pipeline {
            status: PipelineStatus::Failed,
            error: Some("no bones\u{fffd}".to_owned()),
            error_stage: failure.error_stage.clone(),
            error_details: failure.error_details.clone(),
            completed_at: Some(runs.now()),
            state_at: runs.now(),
            updated_at: runs.now(),
            ..expected
        };
        assert_eq!(failed.as_ref(), Some(&expected));
        assert_eq!(runs.all().await[0].pipeline, expected);

        // Sent again, because the answer was lost.
        let before = runs.dump().await;
        runs.pass(1);
        let again = update(PipelineStatus::Failed, failure).await.unwrap();
        assert_eq!(again, Some(expected));
        assert_eq!(runs.dump().await, before);
        runs.end().await;
    });
}

#[test]
fn a_patch_sets_clears_and_keeps() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let before = runs
            .create(NewPipeline {
                user_id: Some("ada".to_owned()),
                asset_id: Some("asset-1".to_owned()),
                meshy_task_id: Some("m-1".to_owned()),
                expires_at: Some(NOON),
                results: Some(json!([1])),
                ..new_run("a")
            })
            .await
            .pipeline;
        runs.pass(1);
        let patch: PipelinePatch = serde_json::from_value(json!({
            "userId": "bob", "assetId": null, "meshyTaskId": null, "riggingTaskId": "r-2",
            "expiresAt": null, "results": null, "name": "other", "serviceName": "studio",
            "traceId": "07070707070707070707070707070707", "config": {"again": true},
        }))
        .unwrap();
        let after = runs.pipelines.update(&id("a"), patch).await.unwrap();
        let expected = Pipeline {
            user_id: Some("bob".to_owned()),
            asset_id: None,
            meshy_task_id: None,
            rigging_task_id: Some("r-2".to_owned()),
            expires_at: None,
            results: json!({}),
            name: Some("other".to_owned()),
            service_name: "studio".to_owned(),
            trace_id: TraceId::from_slice(&[7; 16]),
            config: json!({"again": true}),
            updated_at: runs.now(),
            ..before
        };
        assert_eq!(after.as_ref(), Some(&expected));
        assert_eq!(runs.all().await[0].pipeline, expected);
        let users = runs.rows("SELECT id FROM users").await;
        assert_eq!(users.len(), 2);
        runs.end().await;
    });
}

#[test]
fn a_stage_is_added_and_goes_on_and_its_run_is_not_silent() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let run = id("a");
        runs.create(NewPipeline {
            stages: vec![NewStage {
                id: Some("rig".to_owned()),
                ..new_stage("mesh")
            }],
            ..new_run("a")
        })
        .await;
        let status = |status| StagePatch {
            status: Patch::Set(status),
            ..StagePatch::default()
        };
        runs.pass(1);
        // Its name is the id of another stage.
        let added = runs
            .pipelines
            .update_stage(&run, "rig", status(StageStatus::Processing))
            .await
            .unwrap()
            .unwrap();
        assert_ne!(added.id, "rig");
        assert_eq!((added.stage_order, added.created_at), (1, runs.now()));
        assert_eq!(added.started_at, Some(runs.now()));
        runs.pass(2);
        let done = StagePatch {
            result: Patch::Set(json!({"bones": 52})),
            ..status(StageStatus::Completed)
        };
        let done = runs.pipelines.update_stage(&run, "rig", done).await;
        let done = done.unwrap().unwrap();
        assert_eq!((done.duration, done.progress), (Some(2_000), 100));
        assert_eq!(done.result, Some(json!({"bones": 52})));

        let found = runs
            .pipelines
            .find_with_stages(&run)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.stages[1], done);
        assert_eq!(found.pipeline.updated_at, runs.now());
        assert_eq!(found.pipeline.status, PipelineStatus::Initializing);

        let before = runs.dump().await;
        runs.pass(1);
        let again = status(StageStatus::Completed);
        let again = runs.pipelines.update_stage(&run, "rig", again).await;
        assert_eq!(again.unwrap(), Some(done));
        assert_eq!(runs.dump().await, before);
        runs.end().await;
    });
}

#[test]
fn a_run_has_no_more_than_256_stages() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let stages = (0..256).map(|number| new_stage(&number.to_string()));
        runs.create(NewPipeline {
            stages: stages.collect(),
            ..new_run("a")
        })
        .await;
        let before = runs.dump().await;
        let refused = runs
            .pipelines
            .update_stage(&id("a"), "one more", StagePatch::default())
            .await;
        assert!(matches!(refused, Err(RepositoryError::Refused(_))));
        assert_eq!(runs.dump().await, before);
        runs.end().await;
    });
}

#[test]
fn a_deleted_run_is_hidden_until_it_is_restored() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let run = id("a");
        let before = runs
            .create(NewPipeline {
                meshy_task_id: Some("m-1".to_owned()),
                ..new_run("a")
            })
            .await;
        runs.pass(1);
        let deleted = runs.pipelines.delete(&run).await.unwrap().unwrap();
        assert_eq!(deleted.deleted_at, Some(runs.now()));
        let dump = runs.dump().await;
        runs.pass(1);
        let again = runs.pipelines.delete(&run).await.unwrap();
        assert_eq!(again.as_ref(), Some(&deleted));
        assert_eq!(runs.dump().await, dump);

        let everything = PipelineFilter::default();
        assert_eq!(runs.pipelines.count(&everything).await.unwrap(), 0);
        let found = runs.pipelines.find_by_meshy_task_id("m-1").await;
        assert_eq!(found.unwrap(), None);
        let found = runs.pipelines.find_by_id(&run).await;
        assert_eq!(found.unwrap(), Some(deleted));
        let refused = [
            runs.pipelines.update_progress(&run, 1, None).await.err(),
            runs.pipelines
                .update_stage(&run, "mesh", StagePatch::default())
                .await
                .err(),
        ];
        for refused in refused {
            assert_eq!(
                refused.unwrap().to_string(),
                "id is a: the run was deleted: restore it first"
            );
        }
        let restored = runs.pipelines.restore(&run).await.unwrap();
        let expected = Pipeline {
            updated_at: runs.now(),
            ..before.pipeline
        };
        assert_eq!(restored.as_ref(), Some(&expected));
        let found = runs.pipelines.find_by_meshy_task_id("m-1").await;
        assert_eq!(found.unwrap(), Some(expected));
        runs.end().await;
    });
}

#[test]
fn cleaning_up_deletes_old_finished_runs_with_their_stages_and_no_others() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let stages = vec![new_stage("mesh")];
        for hundred in 0..6 {
            let batch = (0..100).map(|number| NewPipeline {
                status: Some(PipelineStatus::ALL[2 + number % 3]),
                stages: stages.clone(),
                ..new_run(&format!("old-{hundred}-{number}"))
            });
            let batch = batch.collect();
            runs.pipelines.create_many(batch, runs.now()).await.unwrap();
        }
        runs.create(new_run("unfinished")).await;
        runs.create(NewPipeline {
            stages,
            ..new_run("finished later")
        })
        .await;
        runs.pass(60);
        let completed = PipelineStatus::Completed;
        let failure = PipelineFailure::default();
        runs.pipelines
            .update_status(&id("finished later"), completed, failure)
            .await
            .unwrap();
        let cleanup = |at| runs.pipelines.cleanup_old_pipelines(at);
        assert_eq!(cleanup(NOON).await.unwrap(), 0);
        assert_eq!(cleanup(NOON.plus_seconds(60)).await.unwrap(), 600);
        let left: Vec<_> = runs.all().await;
        let ids = left.iter().map(|run| run.pipeline.id.as_str());
        assert_eq!(ids.collect::<Vec<_>>(), ["unfinished", "finished later"]);
        let stages = runs.rows("SELECT pipeline_id FROM pipeline_stages").await;
        assert_eq!(stages.len(), 1);
        runs.end().await;
    });
}

#[test]
fn what_is_not_there_is_none() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let (repository, nobody) = (&runs.pipelines, id("nobody"));
        assert_eq!(repository.find_by_id(&nobody).await.unwrap(), None);
        assert_eq!(repository.find_with_stages(&nobody).await.unwrap(), None);
        assert_eq!(repository.find_by_meshy_task_id("m").await.unwrap(), None);
        assert!(!repository.exists(&nobody).await.unwrap());
        let patch = PipelinePatch::default();
        assert_eq!(repository.update(&nobody, patch).await.unwrap(), None);
        let progress = repository.update_progress(&nobody, 1, None).await;
        assert_eq!(progress.unwrap(), None);
        let (failed, failure) = (PipelineStatus::Failed, PipelineFailure::default());
        let status = repository.update_status(&nobody, failed, failure).await;
        assert_eq!(status.unwrap(), None);
        let stage = repository.update_stage(&nobody, "a", StagePatch::default());
        assert_eq!(stage.await.unwrap(), None);
        assert_eq!(repository.delete(&nobody).await.unwrap(), None);
        assert_eq!(repository.restore(&nobody).await.unwrap(), None);
        assert_eq!(runs.dump().await, Vec::<String>::new());
        runs.end().await;
    });
}

#[test]
fn every_change_is_in_the_audit_log_with_what_differs() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let run = id("a");
        runs.create(new_run("a")).await;
        runs.pass(1);
        let large = Patch::Set("x".repeat(2_000).into());
        let patch = PipelinePatch {
            progress: Patch::Set(7),
            results: large,
            ..PipelinePatch::default()
        };
        runs.pipelines.update(&run, patch).await.unwrap();
        let order = |order| StagePatch {
            stage_order: Patch::Set(order),
            ..StagePatch::default()
        };
        for place in [1, 2] {
            runs.pipelines
                .update_stage(&run, "mesh", order(place))
                .await
                .unwrap();
        }
        runs.pipelines.delete(&run).await.unwrap();
        runs.pipelines.restore(&run).await.unwrap();
        let read = "SELECT action || ' ' || entity || ' ' || entity_id || ' ' || actor AS did \
                    FROM audit_log ORDER BY id";
        let entries = runs.rows(read).await.join("\n");
        for (entry, action) in entries.lines().zip([
            "create",
            "update",
            "create_stage",
            "update_stage",
            "delete",
            "restore",
        ]) {
            let expected = format!("{action} pipeline a ada");
            assert!(entry.contains(&expected), "{entries}");
        }
        assert_eq!(entries.lines().count(), 6);

        let changed = |column: &str, action: &str| {
            format!("SELECT CAST({column} AS TEXT) AS it FROM audit_log WHERE action = '{action}'")
        };
        let text = |rows: Vec<String>| -> Value {
            let row = rows.first().unwrap();
            // On SQLite `it=Some("…")`, on PostgreSQL `{"it":"…"}`.
            let text = match row.strip_prefix("it=Some(") {
                Some(quoted) => serde_json::from_str(quoted.trim_end_matches(')')).unwrap(),
                None => serde_json::from_str::<Value>(row).unwrap()["it"].clone(),
            };
            serde_json::from_str(text.as_str().unwrap()).unwrap()
        };
        assert_eq!(
            text(runs.rows(&changed("before", "update")).await),
            json!({"progress": 0, "results": {}, "updatedAt": NOON})
        );
        assert_eq!(
            text(runs.rows(&changed("after", "update")).await),
            json!({"progress": 7, "results": "2002 bytes", "updatedAt": NOON.plus_seconds(1)})
        );
        assert_eq!(
            text(runs.rows(&changed("after", "update_stage")).await),
            json!({"stageName": "mesh", "stageOrder": 2})
        );
        runs.end().await;
    });
}

#[test]
fn users_and_assets_are_registered_and_seen_again_at_most_once_an_hour() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let of_ada = |id: &str| NewPipeline {
            user_id: Some("ada".to_owned()),
            asset_id: Some("asset-1".to_owned()),
            ..new_run(id)
        };
        runs.create(of_ada("a")).await;
        let seen = "SELECT last_seen_at FROM users";
        let first = runs.rows(seen).await;
        runs.pass(3_600);
        runs.create(of_ada("b")).await;
        assert_eq!(runs.rows(seen).await, first);
        runs.pass(1);
        runs.create(of_ada("c")).await;
        assert_ne!(runs.rows(seen).await, first);
        let created = runs.rows("SELECT * FROM assets").await;
        assert_eq!(created.len(), 1);
        runs.end().await;
    });
}

#[test]
fn the_programs_writer_makes_the_changes() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let pipelines = world.pipelines();
        let created = pipelines.create(new_run("a"), world.now).await.unwrap();
        assert!(created.is_new);
        let progress = pipelines.update_progress(&id("a"), 50, None).await.unwrap();
        let found = pipelines.find_by_id(&id("a")).await.unwrap();
        assert_eq!(found, progress);
        let refused = pipelines.update_progress(&id("a"), 101, None).await;
        assert!(matches!(refused, Err(RepositoryError::Invalid(_))));
        drop(pipelines);
        world.end().await;
    });
}
