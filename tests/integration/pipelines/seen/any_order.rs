//! Whatever the order in which the spans of a run come, however they are cut into requests, spread
//! over replicas and however often they are sent: the rows are the same on both databases, and what a
//! second, simple reading of the rules says.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::Index};
use redspan::domain::{PipelineStatus, StageStatus, StatusBy};

use super::*;

/// Replicas that take the requests on PostgreSQL.
const REPLICAS: usize = 2;

fn part() -> impl Strategy<Value = Part> {
    let results = [
        "success",
        "failure",
        "cancellation",
        "skip",
        "executing",
        "pending",
        "odd",
    ];
    (
        prop::option::weighted(0.7, prop::sample::select(&["m", "r", "t"][..])),
        prop::option::weighted(0.5, prop::sample::select(results.to_vec())),
        any::<bool>(),
        prop::option::weighted(0.9, 0..6_i64),
        0..4_i64,
        prop::option::of(prop_oneof![0..=100_i64, Just(400), Just(-1)]),
        prop::option::of(prop::sample::select(&["a", "b"][..])),
    )
        .prop_map(
            |(stage, result, failed, start, seconds, progress, user)| Part {
                stage,
                result,
                failed,
                start,
                seconds,
                progress,
                user,
            },
        )
}

/// What the rules say of several facts: an end beats what is none, then the later, then the worse.
fn settled<S: Copy>(facts: &[(bool, Option<i64>, u8, S)]) -> Option<S> {
    let best = facts
        .iter()
        .max_by_key(|(ends, at, worse, _)| (*ends, *at, *worse));
    best.map(|(.., status)| *status)
}

fn end(part: &Part) -> Option<i64> {
    part.start.map(|start| start + part.seconds)
}

fn expected_run(parts: &[Part]) -> PipelineStatus {
    use PipelineStatus::{Cancelled, Completed, Failed, Initializing, Processing};
    let of_run = parts.iter().filter(|part| part.stage.is_none());
    let facts = of_run.map(|part| {
        let (ends, worse, status) = match (part.result, part.failed) {
            (Some("success"), _) | (Some("odd") | None, false) => (true, 0, Completed),
            (Some("cancellation" | "skip"), _) => (true, 1, Cancelled),
            (Some("executing"), _) => (false, 1, Processing),
            (Some("pending"), _) => (false, 0, Initializing),
            _ => (true, 2, Failed),
        };
        (ends, end(part), worse, status)
    });
    settled(&facts.collect::<Vec<_>>()).unwrap_or(Processing)
}

fn expected_stages(parts: &[Part]) -> Vec<(String, StageStatus)> {
    use StageStatus::{Completed, Failed, Pending, Processing, Skipped};
    let mut stages: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for part in parts {
        let Some(stage) = part.stage else { continue };
        let (ends, worse, status) = match (part.result, part.failed) {
            (Some("success"), _) | (Some("odd") | None, false) => (true, 0, Completed),
            (Some("cancellation" | "skip"), _) => (true, 1, Skipped),
            (Some("executing"), _) => (false, 1, Processing),
            (Some("pending"), _) => (false, 0, Pending),
            _ => (true, 2, Failed),
        };
        let fact = (ends, end(part), worse, status);
        stages.entry(stage).or_default().push(fact);
    }
    let started = |name: &str| {
        let of_stage = parts.iter().filter(|part| part.stage == Some(name));
        of_stage
            .filter_map(|part| part.start)
            .min()
            .unwrap_or(i64::MAX)
    };
    let mut stages: Vec<_> = stages.into_iter().collect();
    stages.sort_by_key(|(name, _)| started(name));
    stages
        .into_iter()
        .map(|(name, facts)| (name.to_owned(), settled(&facts).unwrap()))
        .collect()
}

/// The runs in the end. That every request is sent once more later changes nothing.
async fn played(database: Database, requests: &[Vec<Span>]) -> Vec<PipelineWithStages> {
    let runs = Runs::new(database).await;
    register(&runs, &["a", "b"]).await;
    let other = match runs.database.kind {
        Kind::Sqlite => None,
        Kind::Postgres => Some(runs.another_replica().await),
    };
    for requests in requests.chunks(REPLICAS) {
        match (requests, &other) {
            ([here, there], Some(other)) => {
                tokio::join!(
                    deliver(&runs.editor, here.clone()),
                    deliver(other, there.clone())
                );
            }
            _ => {
                for spans in requests {
                    deliver(&runs.editor, spans.clone()).await;
                }
            }
        }
    }
    let before = runs.dump().await;
    runs.pass(3_600);
    for spans in requests {
        deliver(&runs.editor, spans.clone()).await;
    }
    assert_eq!(runs.dump().await, before);
    let all = runs.all().await;
    drop(other);
    runs.end().await;
    all
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn any_order_split_and_replay_of_a_runs_spans_ends_in_the_same_rows() {
    crate::cases::check(
        12,
        &(
            vec(part(), 1..8),
            vec(any::<Index>(), 0..12),
            vec(1..4_usize, 20),
        ),
        |(parts, replays, cuts)| {
            let spans: Vec<Span> = (0..).zip(&parts).map(|(at, part)| span(at, part)).collect();
            let replays = replays.iter().map(|index| index.get(&spans).clone());
            let mut shuffled: Vec<Span> = replays.collect();
            shuffled.extend(spans.iter().rev().cloned());
            let mut requests = Vec::new();
            for cut in cuts {
                let rest = shuffled.split_off(cut.min(shuffled.len()));
                requests.push(std::mem::replace(&mut shuffled, rest));
            }
            requests.push(shuffled);
            let once = vec![spans];
            let mut ends = Vec::new();
            for kind in [Kind::Sqlite, Kind::Postgres] {
                for requests in [&once, &requests] {
                    ends.push(runtime().block_on(played(Database::new(kind), requests)));
                }
            }
            for end in &ends {
                prop_assert_eq!(end, &ends[0]);
            }
            let run = &ends[0][0];
            prop_assert_eq!(run.pipeline.status, expected_run(&parts));
            prop_assert_eq!(run.pipeline.status_by, StatusBy::Spans);
            let stages = run.stages.iter();
            let stages: Vec<_> = stages
                .map(|stage| (stage.stage_name.clone(), stage.status))
                .collect();
            prop_assert_eq!(stages, expected_stages(&parts));
            Ok(())
        },
    );
}
