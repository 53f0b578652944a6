//! Spans that contradict each other or cannot be: each ends as the rules say, nothing is lost.

use redspan::domain::{PipelineStatus, StageStatus};

use super::*;

#[test]
fn of_two_results_the_later_counts_and_of_two_at_once_the_worse() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let result = |number, result, seconds| {
            let part = Part {
                result: Some(result),
                start: Some(0),
                seconds,
                ..Part::default()
            };
            span(number, &part)
        };
        for (number, said, seconds, status) in [
            (0, "success", 5, PipelineStatus::Completed),
            (1, "failure", 3, PipelineStatus::Completed),
            (2, "cancellation", 5, PipelineStatus::Cancelled),
            (3, "timeout", 5, PipelineStatus::Failed),
            (4, "success", 6, PipelineStatus::Completed),
            (5, "executing", 9, PipelineStatus::Completed),
        ] {
            deliver(&runs.editor, vec![result(number, said, seconds)]).await;
            assert_eq!(only(&runs).await.pipeline.status, status, "{said}");
        }
        runs.end().await;
    });
}

#[test]
fn a_progress_that_is_none_says_nothing() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        for (number, progress, expected) in
            [(0, 400, 0), (1, 30, 30), (2, -1, 30), (3, i64::MAX, 30)]
        {
            let part = Part {
                result: Some("executing"),
                start: Some(number),
                progress: Some(progress),
                ..Part::default()
            };
            deliver(
                &runs.editor,
                vec![span(usize::try_from(number).unwrap(), &part)],
            )
            .await;
            assert_eq!(only(&runs).await.pipeline.progress, expected, "{progress}");
        }
        runs.end().await;
    });
}

#[test]
fn of_a_progress_the_whole_percents_count() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let said = [
            (Value::DoubleValue(33.9), 33),
            (Value::StringValue("40".to_owned()), 40),
            (Value::DoubleValue(100.5), 100),
            (Value::DoubleValue(-0.1), 100),
            (Value::DoubleValue(f64::NAN), 100),
            (Value::StringValue("most".to_owned()), 100),
        ];
        for (number, (value, expected)) in said.into_iter().enumerate() {
            let part = Part {
                result: Some("executing"),
                start: Some(i64::try_from(number).unwrap()),
                ..Part::default()
            };
            let mut span = span(number, &part);
            let case = format!("{value:?}");
            span.attributes.push(attribute("pipeline.progress", value));
            deliver(&runs.editor, vec![span]).await;
            assert_eq!(only(&runs).await.pipeline.progress, expected, "{case}");
        }
        runs.end().await;
    });
}

#[test]
fn a_stage_that_comes_before_its_run_makes_it_and_one_that_ends_before_it_starts_took_no_time() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let stage = Part {
            stage: Some("m"),
            start: Some(4),
            seconds: -3,
            ..Part::default()
        };
        deliver(&runs.editor, vec![span(0, &stage)]).await;
        let found = only(&runs).await;
        assert_eq!(found.pipeline.status, PipelineStatus::Processing);
        assert_eq!(found.pipeline.started_at, Some(second(4)));
        assert_eq!(found.pipeline.current_stage.as_deref(), Some("m"));
        let stage = &found.stages[0];
        assert_eq!(stage.status, StageStatus::Completed);
        assert_eq!(
            (stage.started_at, stage.completed_at),
            (Some(second(4)), Some(second(4)))
        );
        assert_eq!((stage.state_at, stage.duration), (second(1), Some(0)));

        let run = Part {
            start: Some(2),
            seconds: 5,
            ..Part::default()
        };
        deliver(&runs.editor, vec![span(1, &run)]).await;
        let found = only(&runs).await;
        assert_eq!(found.pipeline.status, PipelineStatus::Completed);
        assert_eq!(found.pipeline.started_at, Some(second(2)));
        assert_eq!(found.pipeline.completed_at, Some(second(7)));
        assert_eq!(found.stages.len(), 1);
        runs.end().await;
    });
}

#[test]
fn an_id_of_10_000_characters_is_its_beginning_and_its_hash() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let long = |last: char| {
            let mut span = span(0, &Part::default());
            let id = "\u{e9}".repeat(9_999) + &last.to_string();
            span.attributes = vec![text("cicd.pipeline.run.id", &id)];
            span
        };
        deliver(&runs.editor, vec![long('x'), long('y'), long('x')]).await;
        let all = runs.all().await;
        let ids: Vec<&str> = all.iter().map(|run| run.pipeline.id.as_str()).collect();
        assert_eq!(ids.len(), 2, "{ids:?}");
        for id in ids {
            let (kept, hash) = id.split_once('~').unwrap();
            assert_eq!((kept.chars().count(), hash.len()), (190, 64));
        }
        runs.end().await;
    });
}

#[test]
fn what_no_database_can_hold_is_repaired_and_the_run_is_there() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let odd = "a\0b\u{7}\n".repeat(200);
        let mut span = span(
            0,
            &Part {
                failed: true,
                ..Part::default()
            },
        );
        span.attributes = [
            "pipeline.id",
            "pipeline.name",
            "pipeline.stage",
            "pipeline.asset_id",
        ]
        .map(|key| text(key, &odd))
        .into();
        span.attributes.push(text("pipeline.status", "\0"));
        span.status.as_mut().unwrap().message = odd;
        deliver(&runs.editor, vec![span]).await;
        let found = only(&runs).await;
        assert_eq!(found.pipeline.status, PipelineStatus::Failed);
        assert_eq!(
            found.pipeline.name.as_deref().map(|it| it.chars().count()),
            Some(100)
        );
        assert!(!found.pipeline.error.unwrap().contains('\0'));
        runs.end().await;
    });
}
