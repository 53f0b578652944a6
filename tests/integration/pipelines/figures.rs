//! Figures over runs, against what was counted by hand, and what is due or silent.

use std::cell::RefCell;

use redspan::{
    domain::PipelineStatus,
    store::{
        EndedInWindow, NewPipeline, Page, PageRequest, Patch, PipelineFailure, PipelineFilter,
        PipelinePatch, PipelineStatistics, RunFigures, RunStatistics,
    },
};

use super::{NOON, Runs, id, new_run};
use crate::databases::on_each_database;

/// Creates a run that begins at once and ends so in so many seconds.
async fn run_for(runs: &Runs, name: &str, seconds: i64, end: PipelineStatus) {
    runs.create(NewPipeline {
        status: Some(PipelineStatus::Processing),
        ..new_run(name)
    })
    .await;
    runs.pass(seconds);
    finish(runs, name, end).await;
}

async fn finish(runs: &Runs, name: &str, end: PipelineStatus) {
    let failure = PipelineFailure::default();
    let ended = runs.pipelines.update_status(&id(name), end, failure).await;
    assert_eq!(ended.unwrap().unwrap().status, end);
}

async fn figures(runs: &Runs) -> RunStatistics {
    let everything = PipelineFilter::default();
    let found = runs.pipelines.get_statistics(&everything, runs.now()).await;
    found.unwrap().runs
}

#[test]
fn nothing_finished_has_no_rate_and_no_duration() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        assert_eq!(figures(&runs).await, RunStatistics::default());
        runs.create(new_run("a")).await;
        let expected = RunStatistics {
            total: 1,
            by_status: [(PipelineStatus::Initializing, 1)].into(),
            ..RunStatistics::default()
        };
        assert_eq!(figures(&runs).await, expected);
        // Ended without ever having been at work: a failure, but of no duration.
        finish(&runs, "a", PipelineStatus::Failed).await;
        let ended = figures(&runs).await;
        assert_eq!(ended.success_rate, Some(0.0));
        assert_eq!(ended.average_duration_seconds, None);
        assert_eq!(ended.p95_duration_seconds, None);
        runs.end().await;
    });
}

#[test]
fn three_of_four_that_were_not_cancelled_are_75_percent() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let (completed, failed) = (PipelineStatus::Completed, PipelineStatus::Failed);
        for (name, seconds, end) in [
            ("a", 1, completed),
            ("b", 2, completed),
            ("c", 4, completed),
            ("d", 10, failed),
            ("e", 100, PipelineStatus::Cancelled),
        ] {
            run_for(&runs, name, seconds, end).await;
        }
        runs.create(new_run("f")).await;
        finish(&runs, "f", PipelineStatus::Cancelled).await;
        runs.create(new_run("hidden")).await;
        runs.pipelines.delete(&id("hidden")).await.unwrap();
        let expected = RunStatistics {
            total: 6,
            by_status: [(completed, 3), (failed, 1), (PipelineStatus::Cancelled, 2)].into(),
            stuck: 0,
            average_duration_seconds: Some(23.4),
            p50_duration_seconds: Some(4.0),
            // 0.95 × 4 = 3.8 steps on the way: between 10 and 100.
            p95_duration_seconds: Some(82.0),
            success_rate: Some(75.0),
        };
        assert_eq!(figures(&runs).await, expected);
        let none = PipelineFilter {
            name: Some("nothing".to_owned()),
            ..PipelineFilter::default()
        };
        let none = runs.pipelines.get_statistics(&none, runs.now()).await;
        assert_eq!(none.unwrap(), PipelineStatistics::default());
        runs.end().await;
    });
}

#[test]
fn both_databases_answer_with_the_same_figures_to_the_last_digit() {
    let answers = RefCell::new(Vec::new());
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        for number in 0..23 {
            let seconds = number * number % 17;
            run_for(&runs, &number.to_string(), seconds, PipelineStatus::Failed).await;
        }
        // Microseconds too, and ten thousand years.
        let (started, column) = match runs.database.kind {
            crate::databases::Kind::Sqlite => (
                "started_at - 333333 - length(id)".to_owned(),
                "-62135596800000000",
            ),
            crate::databases::Kind::Postgres => (
                "started_at - interval '0.333333 seconds' - length(id) * interval '1 microsecond'"
                    .to_owned(),
                "'0001-01-01T00:00:00Z'",
            ),
        };
        runs.by_hand(&format!(
            "UPDATE generation_pipelines SET started_at = {started}"
        ))
        .await;
        runs.by_hand(&format!(
            "UPDATE generation_pipelines SET started_at = {column} WHERE id = '7'"
        ))
        .await;
        let answer = figures(&runs).await;
        answers.borrow_mut().push(answer);
        runs.end().await;
    });
    let answers = answers.into_inner();
    assert!(answers[0].average_duration_seconds > Some(1e9));
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn what_has_expired_and_what_is_silent_is_found_longest_first() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let ids = |page: Page<_>| -> Vec<String> {
            let items: Vec<redspan::domain::Pipeline> = page.items;
            items.into_iter().map(|run| run.id.into()).collect()
        };
        for (name, expires) in [
            ("c", Some(30)),
            ("b", Some(20)),
            ("a", Some(30)),
            ("d", None),
        ] {
            runs.create(NewPipeline {
                expires_at: expires.map(|seconds| NOON.plus_seconds(seconds)),
                ..new_run(name)
            })
            .await;
            runs.pass(1);
        }
        let page = PageRequest::default();
        let expired = async |seconds| {
            let at = NOON.plus_seconds(seconds);
            ids(runs.pipelines.find_expired(at, &page).await.unwrap())
        };
        assert_eq!(expired(19).await, [""; 0]);
        assert_eq!(expired(20).await, ["b"]);
        assert_eq!(expired(30).await, ["b", "a", "c"]);

        let stuck = async |seconds| {
            let at = NOON.plus_seconds(seconds);
            ids(runs.pipelines.find_stuck(at, &page).await.unwrap())
        };
        assert_eq!(stuck(4).await, ["c", "b", "a", "d"]);
        assert_eq!(stuck(0).await, [""; 0]);
        finish(&runs, "b", PipelineStatus::Cancelled).await;
        runs.pipelines.delete(&id("d")).await.unwrap();
        let patch = PipelinePatch {
            name: Patch::Set("moved".to_owned()),
            ..PipelinePatch::default()
        };
        runs.pipelines.update(&id("c"), patch).await.unwrap();
        runs.pass(1);
        assert_eq!(stuck(5).await, ["a", "c"]);
        runs.pipelines.delete(&id("a")).await.unwrap();
        assert_eq!(expired(30).await, ["b", "c"]);
        runs.end().await;
    });
}

#[test]
fn the_figures_of_metrics_are_of_windows_that_move_on() {
    on_each_database(async |database| {
        use PipelineStatus::{Cancelled, Completed, Failed, Initializing, Processing};
        const HOUR: i64 = 3_600;
        let runs = Runs::new(database).await;
        let read = async || runs.store.get_run_figures(runs.now()).await.unwrap();
        assert_eq!(read().await, RunFigures::default());
        for (name, end) in [
            ("a", Completed),
            ("b", Failed),
            ("c", Completed),
            ("d", Cancelled),
        ] {
            run_for(&runs, name, 1, end).await;
        }
        runs.create(new_run("silent")).await;
        run_for(&runs, "hidden", 1, Failed).await;
        runs.pipelines.delete(&id("hidden")).await.unwrap();
        runs.pass(HOUR - 10);
        let statuses = [
            (Initializing, 1),
            (Completed, 2),
            (Failed, 1),
            (Cancelled, 1),
        ];
        let ended = |windows: [(i64, i64); 3]| {
            windows.map(|(completed, failed)| EndedInWindow { completed, failed })
        };
        let mut expected = RunFigures {
            by_status: statuses.into(),
            ended: ended([(2, 1); 3]),
            stuck: 0,
        };
        assert_eq!(read().await, expected);

        runs.pass(10);
        run_for(&runs, "e", 1, Failed).await;
        expected.by_status.insert(Failed, 2);
        expected.ended = ended([(0, 1), (2, 2), (2, 2)]);
        expected.stuck = 1;
        assert_eq!(read().await, expected);

        // Something of it happened: it is not stuck any more.
        let pipelines = &runs.pipelines;
        let further = pipelines.update_progress(&id("silent"), 1, None).await;
        further.unwrap().unwrap();
        let begun = pipelines
            .update_status(&id("silent"), Processing, PipelineFailure::default())
            .await;
        begun.unwrap().unwrap();
        expected.by_status.remove(&Initializing);
        expected.by_status.insert(Processing, 1);
        expected.stuck = 0;
        assert_eq!(read().await, expected);
        runs.pass(25 * HOUR);
        expected.ended = ended([(0, 0), (0, 0), (2, 2)]);
        expected.stuck = 1;
        assert_eq!(read().await, expected);
        runs.pass(7 * 24 * HOUR);
        expected.ended = ended([(0, 0); 3]);
        assert_eq!(read().await, expected);
        runs.end().await;
    });
}
