//! Figures over the runs of a time cost what the runs of that time do, however many others there are.

use redspan::{
    domain::Timestamp,
    store::{PipelineFilter, RunsBy, StageStatistics, connect_reader},
};

use super::{errors, examined::Watched, fill, timings};
use crate::databases::on_each_database;

/// Runs in the time that is asked for.
const ASKED: i64 = 10;

/// Rows and entries that figures over them may cost. SQLite's machine takes many steps for each,
/// which count as more rows here; all runs and their stages would be 300,000, and more steps, too.
const BOUND: u64 = 6_000;

#[test]
fn figures_over_runs_cost_what_they_count_by_stage_too() {
    on_each_database(async |database| {
        // More than stages are told of.
        let runs = errors() + 10_000;
        fill::runs_with_stages(&database, runs).await;
        let at = |number| Some(Timestamp::from_micros(fill::at(runs, number)));
        let now = Timestamp::from_micros(fill::last(runs) + 1);
        let some = PipelineFilter {
            from: at(runs / 2),
            to: at(runs / 2 + ASKED),
            ..PipelineFilter::default()
        };
        let mut watched = Watched::new(&database).await;
        let (statistics, examined) = watched
            .ask(async |reader| reader.get_pipeline_statistics(&some, now).await.unwrap())
            .await;
        assert_eq!(statistics.runs.total, ASKED);
        let failed: Vec<_> = statistics.by_stage.iter().map(|it| it.failed).collect();
        assert_eq!(failed, [ASKED, 0, 0, 0]);
        assert!(examined <= BOUND, "figures: {examined}");
        for by in [RunsBy::Name, RunsBy::User] {
            let (groups, examined) = watched
                .ask(async |reader| reader.get_grouped_runs(&some, by, now).await.unwrap())
                .await;
            let total: i64 = groups.iter().map(|group| group.runs.total).sum();
            assert_eq!(total, ASKED);
            assert!(examined <= BOUND, "figures by {by:?}: {examined}");
        }
        let all = PipelineFilter {
            from: at(0),
            ..PipelineFilter::default()
        };
        // However long that takes.
        let store = connect_reader(&database.settings()).await.unwrap();
        let statistics = store.patient().get_pipeline_statistics(&all, now).await;
        let statistics = statistics.unwrap();
        store.close().await;
        assert_eq!(statistics.runs.total, runs);
        assert_eq!(statistics.by_stage[0].failed, StageStatistics::MAX_RUNS);
        for (what, seconds) in [("hour", 3_600), ("day", 86_400), ("week", 7 * 86_400)] {
            // Of the time before the last fifth, which is all at one instant.
            let to = Timestamp::from_micros(fill::last(runs));
            let window = PipelineFilter {
                from: Some(to.plus_seconds(-seconds)),
                to: Some(to),
                ..PipelineFilter::default()
            };
            let what = format!("figures over the runs of a {what} and their stages");
            timings::tell(&database, &what, async |store| {
                let patient = store.patient();
                patient.get_pipeline_statistics(&window, now).await.unwrap();
            })
            .await;
        }
    });
}
