//! A failed stage leads to the row of its failure.

use redspan::{domain::PipelineStatus, store::ErrorFilter};
use serde_json::json;

use super::*;

#[test]
fn a_stage_that_failed_leads_to_the_row_of_its_failure_and_so_does_its_run() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let stage = Part {
            stage: Some("m"),
            failed: true,
            start: Some(1),
            seconds: 1,
            user: Some("a"),
            ..Part::default()
        };
        commit(&world, vec![span(0, &stage)]).await;
        let rows = world.all(&ErrorFilter::default()).await;
        let [row] = &rows[..] else {
            panic!("{rows:#?}")
        };
        let leads_there = Some(json!({"errorId": row.id}));
        let found = run_1(&world).await.unwrap();
        assert_eq!(found.stages[0].error_details, leads_there);
        assert_eq!(found.stages[0].error.as_deref(), Some("failed 0"));
        assert_eq!(found.pipeline.status, PipelineStatus::Processing);
        assert_eq!(found.pipeline.user_id.as_deref(), Some("a"));

        let root = Part {
            result: Some("failure"),
            start: Some(0),
            seconds: 5,
            ..Part::default()
        };
        commit(&world, vec![span(1, &root)]).await;
        let found = run_1(&world).await.unwrap().pipeline;
        assert_eq!(found.status, PipelineStatus::Failed);
        assert_eq!(found.error_stage.as_deref(), Some("m"));
        assert_eq!(found.error.as_deref(), Some("failed 0"));
        assert_eq!(found.error_details, leads_there);
        world.end().await;
    });
}
