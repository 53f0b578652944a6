//! What a span says of a run and of a stage, by its attributes, its parent and its status.

use redspan::domain::{PipelineStatus, StageStatus};

use super::*;

/// A span of `run-1` that begins below another span of its process and says no more than this.
fn saying(number: usize, attributes: &[(&str, &str)]) -> Span {
    let part = Part {
        start: Some(0),
        seconds: 1,
        ..Part::default()
    };
    let mut span = span(number, &part);
    span.parent_span_id = vec![99; 8];
    let said = attributes.iter().map(|(key, value)| text(key, value));
    span.attributes.extend(said);
    span
}

/// The only run after these spans, in a database of its own.
async fn after(database: Database, spans: Vec<Span>) -> PipelineWithStages {
    let runs = Runs::new(database).await;
    deliver(&runs.editor, spans).await;
    let found = only(&runs).await;
    runs.end().await;
    found
}

#[test]
fn a_result_is_a_state_by_its_word_and_one_of_no_known_word_by_how_the_span_ended() {
    use PipelineStatus as Run;
    use StageStatus as Stage;
    let words = [
        ("success", Run::Completed, Stage::Completed),
        ("failure", Run::Failed, Stage::Failed),
        ("error", Run::Failed, Stage::Failed),
        ("timeout", Run::Failed, Stage::Failed),
        ("cancellation", Run::Cancelled, Stage::Skipped),
        ("skip", Run::Cancelled, Stage::Skipped),
        ("pending", Run::Initializing, Stage::Pending),
        ("executing", Run::Processing, Stage::Processing),
        ("finalizing", Run::Processing, Stage::Processing),
        (" Success ", Run::Completed, Stage::Completed),
        ("whatever", Run::Completed, Stage::Completed),
    ];
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let mut spans = Vec::new();
        for (number, (word, ..)) in words.iter().enumerate() {
            let mut span = saying(0, &[("cicd.pipeline.result", word)]);
            span.attributes[0] = text("pipeline.id", &format!("run {number:02}"));
            span.attributes.push(text("pipeline.stage", "s"));
            span.attributes
                .push(text("cicd.pipeline.task.run.result", word));
            spans.push(span);
        }
        deliver(&runs.editor, spans).await;
        let mut all = runs.all().await;
        all.sort_by(|one, next| one.pipeline.id.cmp(&next.pipeline.id));
        for (found, (word, run, stage)) in all.iter().zip(words) {
            assert_eq!(found.pipeline.status, run, "{word}");
            assert_eq!(found.stages[0].status, stage, "{word}");
        }
        assert_eq!(all.len(), words.len());
        runs.end().await;
    });
}

#[test]
fn the_attributes_of_the_conventions_are_read_before_ours() {
    on_each_database(async |database| {
        let said = [
            ("pipeline.type", "type"),
            ("pipeline.name", "ours"),
            ("cicd.pipeline.name", "theirs"),
            ("pipeline.status", "failed"),
            ("cicd.pipeline.result", "success"),
            ("pipeline.meshy_task_id", "meshy-1"),
            ("pipeline.rigging_task_id", "rig-1"),
            ("pipeline.asset_id", "asset-1"),
        ];
        let run = after(database, vec![saying(0, &said)]).await.pipeline;
        assert_eq!(run.name.as_deref(), Some("theirs"));
        assert_eq!(run.status, PipelineStatus::Completed);
        assert_eq!(run.meshy_task_id.as_deref(), Some("meshy-1"));
        assert_eq!(run.rigging_task_id.as_deref(), Some("rig-1"));
        assert_eq!(run.asset_id.as_deref(), Some("asset-1"));
    });
}

#[test]
fn a_span_inside_of_a_run_does_not_end_it_and_one_that_came_from_elsewhere_does() {
    const KNOWN: u32 = 0x100;
    const REMOTE: u32 = 0x200;
    let ended = PipelineStatus::Completed;
    let at_work = PipelineStatus::Processing;
    for (flags, has_parent, stage, expected) in [
        (0, true, None, at_work),
        (KNOWN, true, None, at_work),
        (REMOTE, true, None, at_work),
        (KNOWN | REMOTE, true, None, ended),
        (0, false, None, ended),
        // A worker that took over a stage begins there, and is not the run.
        (KNOWN | REMOTE, true, Some("s"), at_work),
        (0, false, Some("s"), at_work),
    ] {
        on_each_database(async |database| {
            let said: &[(&str, &str)] = match stage {
                Some(stage) => &[("pipeline.stage", stage)],
                None => &[],
            };
            let mut span = saying(0, said);
            span.flags = flags;
            if !has_parent {
                span.parent_span_id.clear();
            }
            let found = after(database, vec![span]).await;
            let case = (flags, has_parent, stage);
            assert_eq!(found.pipeline.status, expected, "{case:?}");
            assert_eq!(found.stages.len(), usize::from(stage.is_some()));
        });
    }
}

#[test]
fn a_secret_in_what_is_said_of_a_run_is_not_kept() {
    on_each_database(async |database| {
        let mut span = saying(0, &[("pipeline.status", "failed")]);
        span.status = Some(Status {
            code: 2,
            message: "refused: Bearer abcdefghijklmnopqrstuvwxyz012345".to_owned(),
        });
        let error = after(database, vec![span]).await.pipeline.error.unwrap();
        assert!(error.starts_with("refused"), "{error}");
        assert!(!error.contains("abcdefghij"), "{error}");
    });
}
