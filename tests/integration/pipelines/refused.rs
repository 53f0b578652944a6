//! What cannot be is refused with the field named, and nothing is changed.

use redspan::{
    domain::{PipelineStatus, StageStatus},
    store::{
        NewPipeline, PageRequest, Patch, PipelineFailure, PipelineFilter, PipelinePatch,
        RepositoryError, StagePatch,
    },
};
use serde_json::{Value, json};

use super::{Runs, id, new_run, new_stage};
use crate::databases::on_each_database;

/// The fields that are named; panics unless it was refused.
fn named<T: std::fmt::Debug>(answer: Result<T, RepositoryError>) -> Vec<String> {
    match answer {
        Err(RepositoryError::Invalid(fields)) => {
            fields.iter().map(|it| it.field.to_string()).collect()
        }
        Err(RepositoryError::Refused(refusal)) => vec![refusal.0.field.into_owned()],
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn no_step_back_is_made() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        for &from in PipelineStatus::ALL {
            runs.create(NewPipeline {
                status: Some(from),
                ..new_run(from.as_str())
            })
            .await;
        }
        let before = runs.dump().await;
        runs.pass(1);
        for &from in PipelineStatus::ALL {
            for &to in PipelineStatus::ALL {
                // A status may stay, and the first two may go on to all that follow.
                let is_allowed = match from {
                    PipelineStatus::Initializing => true,
                    PipelineStatus::Processing => to != PipelineStatus::Initializing,
                    _ => to == from,
                };
                if is_allowed {
                    continue;
                }
                let answer = runs
                    .pipelines
                    .update_status(&id(from.as_str()), to, PipelineFailure::default())
                    .await;
                assert_eq!(named(answer), ["status"], "{from} to {to}");
            }
            if from.is_finished() {
                let run = id(from.as_str());
                let progress = runs.pipelines.update_progress(&run, 1, None).await;
                assert_eq!(named(progress), ["progress"]);
                let stage = PipelinePatch {
                    current_stage: Patch::Set("rig".to_owned()),
                    ..PipelinePatch::default()
                };
                let stage = runs.pipelines.update(&run, stage).await;
                assert_eq!(named(stage), ["currentStage"]);
            }
        }
        assert_eq!(runs.dump().await, before);
        runs.end().await;
    });
}

#[test]
fn no_stage_steps_back() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let stages = StageStatus::ALL.iter().map(|&status| {
            let mut stage = new_stage(status.as_str());
            stage.status = Some(status);
            stage
        });
        runs.create(NewPipeline {
            stages: stages.collect(),
            ..new_run("a")
        })
        .await;
        let before = runs.dump().await;
        runs.pass(1);
        let run = id("a");
        let mut refused = 0;
        for &from in StageStatus::ALL {
            for &to in StageStatus::ALL {
                if from == to || !(from.is_finished() || to == StageStatus::Pending) {
                    continue;
                }
                let patch = StagePatch {
                    status: Patch::Set(to),
                    ..StagePatch::default()
                };
                let answer = runs.pipelines.update_stage(&run, from.as_str(), patch);
                assert_eq!(named(answer.await), ["status"], "{from} to {to}");
                refused += 1;
            }
        }
        assert_eq!(refused, 13);
        assert_eq!(runs.dump().await, before);
        runs.end().await;
    });
}

#[test]
fn no_value_is_stored_that_a_column_cannot_hold() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        runs.create(NewPipeline {
            stages: vec![new_stage("mesh")],
            ..new_run("a")
        })
        .await;
        let before = runs.dump().await;
        let long = |chars| "ü".repeat(chars);
        let mebibyte = || "x".repeat(1 << 20);
        let words = [
            ("userId", 255),
            ("assetId", 255),
            ("currentStage", 100),
            ("meshyTaskId", 255),
            ("riggingTaskId", 255),
            ("name", 100),
            ("serviceName", 512),
        ];
        let mut wrong: Vec<(&str, Value)> = Vec::new();
        for (field, max) in words {
            for text in [long(max + 1), "a\0b".to_owned(), mebibyte()] {
                wrong.push((field, text.into()));
            }
        }
        for progress in [-1, 101, i32::MAX] {
            wrong.push(("progress", progress.into()));
        }
        wrong.push(("config", mebibyte().into()));
        wrong.push(("results", mebibyte().into()));
        wrong.push(("config", (0..64).fold(json!(1), |value, _| json!([value]))));
        for (field, value) in &wrong {
            let mut new = json!({"id": "new", "config": {}});
            new[field] = value.clone();
            let new = serde_json::from_value(new).unwrap();
            assert_eq!(named(runs.try_create(new).await), [*field]);
        }
        for text in ["", "a\nb", &long(256), "\0"] {
            let answer = runs.try_create(new_run(text)).await;
            assert_eq!(named(answer), ["id"]);
        }

        for (field, max) in [("errorStage", 100), ("error", 64 * 1_024)] {
            wrong.push((field, long(max + 1).into()));
        }
        wrong.push(("error", mebibyte().into()));
        wrong.push(("errorDetails", mebibyte().into()));
        for field in ["config", "status", "progress"] {
            wrong.push((field, Value::Null));
        }
        for (field, value) in &wrong {
            let mut patch = json!({});
            patch[field] = value.clone();
            let patch = serde_json::from_value(patch).unwrap();
            let answer = runs.pipelines.update(&id("a"), patch).await;
            assert_eq!(named(answer), [*field]);
        }

        for (field, value) in [
            ("progress", json!(-1)),
            ("error", mebibyte().into()),
            ("errorDetails", mebibyte().into()),
            ("result", mebibyte().into()),
            ("stageOrder", Value::Null),
        ] {
            let mut patch = json!({});
            patch[field] = value;
            let patch = serde_json::from_value(patch).unwrap();
            let answer = runs.pipelines.update_stage(&id("a"), "mesh", patch).await;
            assert_eq!(named(answer), [field]);
        }
        for name in ["", "a\0b", &long(101)] {
            let patch = StagePatch {
                progress: Patch::Set(101),
                ..StagePatch::default()
            };
            let answer = runs.pipelines.update_stage(&id("a"), name, patch).await;
            assert_eq!(named(answer), ["stageName", "progress"]);
        }
        assert_eq!(runs.dump().await, before);
        runs.end().await;
    });
}

#[test]
fn unknown_fields_and_words_are_no_input() {
    for text in [
        json!({"config": {}, "colour": "red"}),
        json!({"config": {}, "status": "done"}),
        json!({"config": {}, "stages": [{"name": "mesh"}]}),
    ] {
        assert!(serde_json::from_value::<NewPipeline>(text).is_err());
    }
    for text in [json!({"id": "b"}), json!({"status": "done"})] {
        assert!(serde_json::from_value::<PipelinePatch>(text.clone()).is_err());
        assert!(serde_json::from_value::<StagePatch>(text).is_err());
    }
}

#[test]
fn a_page_that_cannot_be_is_refused() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        for limit in [0, 501] {
            let page = PageRequest::first(limit);
            let filter = PipelineFilter::default();
            let repository = &runs.pipelines;
            assert_eq!(named(repository.find_many(&filter, &page).await), ["limit"]);
            let found = repository.find_by_status(&[], &page).await;
            assert_eq!(named(found), ["limit"]);
            let found = repository.find_expired(runs.now(), &page).await;
            assert_eq!(named(found), ["limit"]);
            let found = repository.find_stuck(runs.now(), &page).await;
            assert_eq!(named(found), ["limit"]);
        }
        runs.end().await;
    });
}
