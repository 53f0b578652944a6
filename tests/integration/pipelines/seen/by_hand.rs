//! Runs that both application code and spans speak of: an outcome that application code wrote stays,
//! and so does each field that it wrote; whoever speaks first, there is one row.

use redspan::{
    domain::{PipelineStatus, StageStatus, StatusBy},
    store::{NewPipeline, Patch, PipelineFailure, PipelinePatch, StagePatch},
};
use serde_json::json;

use super::*;

fn failed_stage() -> Span {
    let part = Part {
        stage: Some("m"),
        failed: true,
        start: Some(1),
        seconds: 1,
        user: Some("a"),
        ..Part::default()
    };
    span(0, &part)
}

fn root(number: usize, mut part: Part) -> Span {
    part.start = Some(0);
    span(number, &part)
}

fn whole() -> NewPipeline {
    NewPipeline {
        stages: vec![new_stage("r"), new_stage("m")],
        ..new_run("run-1")
    }
}

#[test]
fn an_outcome_that_application_code_wrote_stays_and_spans_fill_in_the_rest() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        register(&runs, &["a", "b"]).await;
        let created = runs.create(whole()).await.pipeline;
        runs.pass(1);
        let cancelled = PipelineStatus::Cancelled;
        let none = PipelineFailure::default();
        let updated = runs.pipelines.update_status(&created.id, cancelled, none);
        let cancelled = updated.await.unwrap().unwrap();
        deliver(&runs.editor, vec![failed_stage()]).await;
        let success = Part {
            result: Some("success"),
            seconds: 90,
            progress: Some(70),
            user: Some("b"),
            ..Part::default()
        };
        deliver(&runs.editor, vec![root(1, success)]).await;
        let failure = Part {
            result: Some("failure"),
            seconds: 95,
            ..Part::default()
        };
        deliver(&runs.editor, vec![root(2, failure)]).await;
        let found = only(&runs).await;
        let run = found.pipeline;
        let outcome = |run: &redspan::domain::Pipeline| {
            let run = run.clone();
            let details = (run.error_stage, run.error_details, run.current_stage);
            (
                run.status,
                run.status_by,
                run.state_at,
                run.completed_at,
                run.progress,
                run.error,
                details,
            )
        };
        assert_eq!(outcome(&run), outcome(&cancelled));
        assert_eq!(run.created_at, created.created_at);
        assert_eq!(run.started_at, Some(second(0)));
        assert_eq!(run.name.as_deref(), Some("text-to-3d"));
        assert_eq!(run.service_name, "worker");
        let stages: Vec<_> = found
            .stages
            .iter()
            .map(|it| (&*it.stage_name, it.status, it.status_by))
            .collect();
        let expected = [
            ("r", StageStatus::Pending, StatusBy::Api),
            ("m", StageStatus::Failed, StatusBy::Spans),
        ];
        assert_eq!(stages, expected);
        assert_eq!(found.stages[1].started_at, Some(second(1)));
        runs.end().await;
    });
}

#[test]
fn a_run_is_the_same_whether_application_code_or_a_span_makes_it_first() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        register(&runs, &["a"]).await;
        let spans = || {
            vec![
                failed_stage(),
                root(
                    1,
                    Part {
                        seconds: 9,
                        ..Part::default()
                    },
                ),
            ]
        };
        deliver(&runs.editor, spans()).await;
        let created = runs.try_create(whole()).await.unwrap();
        assert!(created.is_new);
        let after = only(&runs).await;
        assert_eq!(created.pipeline, after);
        let again = runs.try_create(whole()).await.unwrap();
        assert!(!again.is_new, "an id that was given twice");
        let runs = Runs::new(Database::new(runs.end().await.kind)).await;
        register(&runs, &["a"]).await;
        runs.create(whole()).await;
        deliver(&runs.editor, spans()).await;
        assert_eq!(only(&runs).await, after);
        assert_eq!(after.pipeline.status, PipelineStatus::Completed);
        assert_eq!(after.pipeline.config, whole().config);
        let names: Vec<_> = after.stages.iter().map(|it| &*it.stage_name).collect();
        assert_eq!(names, ["r", "m"]);
        runs.end().await;
    });
}

#[test]
fn application_code_may_correct_an_end_that_only_spans_told_and_no_other() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let failed = |seconds| Part {
            failed: true,
            seconds,
            ..Part::default()
        };
        deliver(&runs.editor, vec![root(0, failed(5))]).await;
        let status = |status| {
            let none = PipelineFailure::default();
            let id = id("run-1");
            let pipelines = &runs.pipelines;
            async move { pipelines.update_status(&id, status, none).await }
        };
        let completed = status(PipelineStatus::Completed).await.unwrap().unwrap();
        assert_eq!(completed.status_by, StatusBy::Api);
        deliver(&runs.editor, vec![root(1, failed(50))]).await;
        assert_eq!(only(&runs).await.pipeline.status, PipelineStatus::Completed);
        let again = status(PipelineStatus::Failed).await;
        assert!(again.is_err(), "{again:?}");
        runs.end().await;
    });
}

#[test]
fn a_field_that_application_code_wrote_is_its_own_and_whom_spans_named_instead_is_not_kept() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        register(&runs, &["a", "b"]).await;
        let said = |seconds, user, progress| Part {
            result: Some("executing"),
            seconds,
            user: Some(user),
            progress: Some(progress),
            ..Part::default()
        };
        deliver(&runs.editor, vec![root(0, said(5, "b", 20))]).await;
        let patch = PipelinePatch {
            user_id: Patch::Set("c".to_owned()),
            name: Patch::Set("made by hand".to_owned()),
            progress: Patch::Set(50),
            ..PipelinePatch::default()
        };
        runs.pipelines.update(&id("run-1"), patch).await.unwrap();
        let result = StagePatch {
            result: Patch::Set(json!({"ok": true})),
            ..StagePatch::default()
        };
        let run = id("run-1");
        let stage = runs.pipelines.update_stage(&run, "x", result);
        stage.await.unwrap();
        deliver(
            &runs.editor,
            vec![root(1, said(3, "a", 10)), failed_stage()],
        )
        .await;
        let found = only(&runs).await;
        let run = found.pipeline;
        assert_eq!(run.user_id.as_deref(), Some("c"));
        assert_eq!(run.name.as_deref(), Some("made by hand"));
        assert_eq!(run.progress, 50);
        let names: Vec<_> = found.stages.iter().map(|it| &*it.stage_name).collect();
        assert_eq!(names, ["x", "m"], "what spans order comes after");
        let seen = runs.rows("SELECT seen FROM generation_pipelines").await;
        let seen = seen[0].replace(['\\', ' '], "");
        assert!(seen.contains(r#""facts":{"#), "{seen}");
        assert!(!seen.contains(r#""userId":{"#), "{seen}");
        runs.end().await;
    });
}
