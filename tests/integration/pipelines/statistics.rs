//! Figures over runs and their stages, by name, user and stage, against a plain loop over the rows.

use std::collections::BTreeSet;

use redspan::{
    domain::{Pipeline, PipelineStatus, PipelineWithStages, Stage, StageStatus, Timestamp},
    store::{
        GroupedRuns, NewPipeline, Patch, PipelineFailure, PipelineFilter, PipelineStatistics,
        RunStatistics, RunsBy, StagePatch, StageStatistics,
    },
};

use super::{NOON, Runs, id, new_run, new_stage};
use crate::databases::{Kind, on_each_database};

const DAY: i64 = 86_400;

const STAGES: [&str; 3] = ["mesh", "rig", "支払い"];

/// Runs and stages that ended in every way, after any time and long ago, some under clocks that ran
/// backwards.
async fn populate(runs: &Runs) {
    for number in 0..36_usize {
        let seconds = i64::try_from(number * number % 17).unwrap();
        let pick = |list: &[&str]| {
            let picked = list[number % list.len()];
            Some(picked.to_owned()).filter(|text| !text.is_empty())
        };
        let name = format!("run-{number}");
        runs.create(NewPipeline {
            user_id: pick(&["ada", "", "bob", "ada", "Zoë"]),
            name: pick(&["text-to-3d", "image-to-3d", "text-to-3d"]),
            status: (number % 7 > 0).then_some(PipelineStatus::Processing),
            stages: STAGES[..=number % 3]
                .iter()
                .map(|it| new_stage(it))
                .collect(),
            ..new_run(&name)
        })
        .await;
        for (place, stage) in STAGES[..=number % 3].iter().enumerate() {
            let steps: &[StageStatus] = match (number + place) % 6 {
                0 => &[],
                1 => &[StageStatus::Processing],
                2 => &[StageStatus::Skipped],
                3 => &[StageStatus::Processing, StageStatus::Failed],
                _ => &[StageStatus::Processing, StageStatus::Completed],
            };
            for status in steps {
                step(runs, &name, stage, *status).await;
                runs.pass(seconds);
            }
        }
        let end = [
            None,
            Some(PipelineStatus::Completed),
            Some(PipelineStatus::Failed),
            Some(PipelineStatus::Completed),
            Some(PipelineStatus::Cancelled),
        ][number % 5];
        if let Some(end) = end {
            let failure = PipelineFailure::default();
            let ended = runs.pipelines.update_status(&id(&name), end, failure).await;
            ended.unwrap().unwrap();
        }
        if number % 11 == 4 {
            runs.pipelines.delete(&id(&name)).await.unwrap();
        }
        runs.pass(if number == 3 { 8 * DAY } else { 1_200 });
    }
    let (fraction, backwards) = match runs.database.kind {
        Kind::Sqlite => ("started_at - 333333", "started_at - 5000000"),
        Kind::Postgres => (
            "started_at - interval '333333 microseconds'",
            "started_at - interval '5 seconds'",
        ),
    };
    for sql in [
        format!("UPDATE pipeline_stages SET started_at = {fraction} WHERE stage_name = 'mesh'"),
        format!("UPDATE generation_pipelines SET started_at = {fraction} WHERE user_id = 'ada'"),
        format!(
            "UPDATE pipeline_stages SET completed_at = {backwards} WHERE pipeline_id = 'run-10'"
        ),
        format!("UPDATE generation_pipelines SET completed_at = {backwards} WHERE id = 'run-12'"),
    ] {
        runs.by_hand(&sql).await;
    }
}

async fn step(runs: &Runs, run: &str, stage: &str, status: StageStatus) {
    let patch = StagePatch {
        status: Patch::Set(status),
        ..StagePatch::default()
    };
    let stage = runs.pipelines.update_stage(&id(run), stage, patch).await;
    stage.unwrap().unwrap();
}

/// What a filter leaves of the runs, without SQL.
fn matching<'a>(
    filter: &'a PipelineFilter,
    all: &'a [PipelineWithStages],
) -> impl Iterator<Item = &'a PipelineWithStages> {
    all.iter().filter(|found| {
        let run = &found.pipeline;
        filter.user_id.is_none_or_eq(&run.user_id)
            && filter.name.is_none_or_eq(&run.name)
            && (filter.status.is_empty() || filter.status.contains(&run.status))
            && filter.from.is_none_or(|from| run.created_at >= from)
            && filter.to.is_none_or(|to| run.created_at < to)
            && (filter.include_deleted || run.deleted_at.is_none())
    })
}

trait IsNoneOrEq {
    fn is_none_or_eq(&self, other: &Self) -> bool;
}

impl IsNoneOrEq for Option<String> {
    fn is_none_or_eq(&self, other: &Self) -> bool {
        self.is_none() || self == other
    }
}

/// Seconds, in order.
fn seconds(times: impl Iterator<Item = (Option<Timestamp>, Option<Timestamp>)>) -> Vec<f64> {
    let mut micros: Vec<i64> = times
        .filter_map(|(begun, ended)| Some(ended?.as_micros() - begun?.as_micros()))
        .filter(|micros| *micros >= 0)
        .collect();
    micros.sort_unstable();
    let micros = micros
        .into_iter()
        .map(|it| i32::try_from(it / 1_000).unwrap());
    micros.map(|millis| f64::from(millis) / 1e3).collect()
}

/// As PostgreSQL's `percentile_cont` is documented.
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * f64::from(u32::try_from(sorted.len().checked_sub(1)?).unwrap());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small index"
    )]
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    Some(sorted[below] + (sorted[above] - sorted[below]) * place.fract())
}

/// To the millisecond.
fn assert_near(found: Option<f64>, expected: Option<f64>, what: &str) {
    let is_near = match (found, expected) {
        (Some(found), Some(expected)) => (found - expected).abs() < 1.5e-3,
        (None, None) => true,
        _ => false,
    };
    assert!(is_near, "{what}: {found:?} is not {expected:?}");
}

fn assert_runs(found: &RunStatistics, runs: &[&Pipeline], now: Timestamp, what: &str) {
    let count = |matches: &dyn Fn(&Pipeline) -> bool| {
        i64::try_from(runs.iter().filter(|run| matches(run)).count()).unwrap()
    };
    let ended = |status| count(&|run| run.status == status);
    assert_eq!(found.total, count(&|_| true), "{what}");
    for status in PipelineStatus::ALL {
        let counted = found.by_status.get(status).copied();
        let expected = Some(ended(*status)).filter(|runs| *runs > 0);
        assert_eq!(counted, expected, "{what}: {status}");
    }
    let stuck =
        count(&|run| !run.status.is_finished() && run.updated_at < now.plus_seconds(-3_600));
    assert_eq!(found.stuck, stuck, "{what}");
    let completed = u32::try_from(ended(PipelineStatus::Completed)).unwrap();
    let failed = u32::try_from(ended(PipelineStatus::Failed)).unwrap();
    let rate = (completed + failed > 0)
        .then(|| 100.0 * f64::from(completed) / f64::from(completed + failed));
    assert_near(found.success_rate, rate, what);
    let finished = runs.iter().filter(|run| run.status.is_finished());
    let seconds = seconds(finished.map(|run| (run.started_at, run.completed_at)));
    let many = f64::from(u32::try_from(seconds.len()).unwrap());
    let average = (many > 0.0).then(|| seconds.iter().sum::<f64>() / many);
    assert_near(found.average_duration_seconds, average, what);
    assert_near(found.p50_duration_seconds, percentile(&seconds, 0.5), what);
    assert_near(found.p95_duration_seconds, percentile(&seconds, 0.95), what);
}

fn assert_stages(found: &[StageStatistics], stages: &[&Stage], what: &str) {
    let names: BTreeSet<&str> = stages.iter().map(|it| &*it.stage_name).collect();
    let mut expected: Vec<(i64, &str)> = Vec::new();
    for name in names {
        let of_name = || stages.iter().filter(|stage| stage.stage_name == name);
        let count = |statuses: &[StageStatus]| {
            let those = of_name().filter(|stage| statuses.contains(&stage.status));
            i64::try_from(those.count()).unwrap()
        };
        let told = found.iter().find(|it| it.stage_name == name).unwrap();
        let failed = count(&[StageStatus::Failed]);
        assert_eq!(
            (told.completed, told.failed, told.skipped, told.unfinished),
            (
                count(&[StageStatus::Completed]),
                failed,
                count(&[StageStatus::Skipped]),
                count(&[StageStatus::Pending, StageStatus::Processing])
            ),
            "{what}: {name}"
        );
        let ended = [StageStatus::Completed, StageStatus::Failed];
        let ended = of_name().filter(|stage| ended.contains(&stage.status));
        let seconds = seconds(ended.map(|stage| (stage.started_at, stage.completed_at)));
        assert_near(told.p50_duration_seconds, percentile(&seconds, 0.5), what);
        assert_near(told.p95_duration_seconds, percentile(&seconds, 0.95), what);
        expected.push((-failed, name));
    }
    expected.sort_unstable();
    let order: Vec<_> = found
        .iter()
        .map(|it| (-it.failed, &*it.stage_name))
        .collect();
    assert_eq!(order, expected, "{what}");
}

fn filters() -> Vec<PipelineFilter> {
    let all = PipelineFilter::default;
    let text = |text: &str| Some(text.to_owned());
    vec![
        all(),
        PipelineFilter {
            name: text("image-to-3d"),
            ..all()
        },
        PipelineFilter {
            user_id: text("ada"),
            include_deleted: true,
            ..all()
        },
        PipelineFilter {
            status: vec![PipelineStatus::Failed, PipelineStatus::Processing],
            ..all()
        },
        PipelineFilter {
            from: Some(NOON),
            ..all()
        },
        PipelineFilter {
            from: Some(NOON.plus_seconds(8 * DAY + 9_000)),
            to: Some(NOON.plus_seconds(8 * DAY + 30_000)),
            ..all()
        },
        PipelineFilter {
            to: Some(NOON.plus_seconds(DAY)),
            ..all()
        },
        PipelineFilter {
            name: text("nothing"),
            ..all()
        },
    ]
}

#[test]
fn figures_of_runs_and_stages_are_those_of_a_plain_loop() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        populate(&runs).await;
        let (all, now) = (runs.all().await, runs.now());
        let mut seen = Vec::new();
        for filter in filters() {
            let what = format!("{filter:?}");
            let PipelineStatistics {
                runs: found,
                by_stage,
            } = runs.pipelines.get_statistics(&filter, now).await.unwrap();
            let expected: Vec<_> = matching(&filter, &all).map(|it| &it.pipeline).collect();
            assert_runs(&found, &expected, now, &what);
            // Of a week, when nothing else is said.
            let week = 7 * DAY;
            let of_stages = PipelineFilter {
                from: Some(
                    filter
                        .from
                        .unwrap_or(filter.to.unwrap_or(now).plus_seconds(-week)),
                ),
                ..filter
            };
            let stages: Vec<_> = matching(&of_stages, &all)
                .flat_map(|it| &it.stages)
                .collect();
            assert_stages(&by_stage, &stages, &what);
            seen.push((found.total, found.stuck, by_stage.len()));
        }
        // The filters leave out enough, and not everything.
        assert!(seen.iter().any(|(_, stuck, _)| *stuck > 2), "{seen:?}");
        assert!(seen.iter().any(|(.., stages)| *stages == 3), "{seen:?}");
        assert_eq!(seen.iter().filter(|(total, ..)| *total == 0).count(), 1);
        runs.end().await;
    });
}

#[test]
fn figures_by_name_and_by_user_are_those_of_a_plain_loop() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        populate(&runs).await;
        let (all, now) = (runs.all().await, runs.now());
        for (by, label) in [
            (
                RunsBy::Name,
                (|run| &run.name) as fn(&Pipeline) -> &Option<String>,
            ),
            (RunsBy::User, |run| &run.user_id),
        ] {
            for filter in filters() {
                let groups = runs.store.get_grouped_runs(&filter, by, now).await.unwrap();
                let end = filter.to.unwrap_or(now);
                let filter = PipelineFilter {
                    from: Some(filter.from.unwrap_or(end.plus_seconds(-7 * DAY))),
                    ..filter
                };
                let expected: Vec<_> = matching(&filter, &all).map(|it| &it.pipeline).collect();
                let labels: BTreeSet<_> = expected.iter().map(|run| label(run)).collect();
                let told: Vec<_> = groups.iter().map(|it| &it.label).collect();
                assert_eq!(told.iter().copied().collect::<BTreeSet<_>>(), labels);
                assert_eq!(told.len(), labels.len());
                let in_order = |one: &GroupedRuns, next: &GroupedRuns| {
                    (-one.runs.total, &one.label) < (-next.runs.total, &next.label)
                };
                assert!(groups.is_sorted_by(in_order), "{groups:?}");
                for group in &groups {
                    let of_label = expected.iter().copied();
                    let of_label: Vec<_> =
                        of_label.filter(|run| *label(run) == group.label).collect();
                    assert_runs(&group.runs, &of_label, now, &format!("{:?}", group.label));
                }
            }
        }
        runs.end().await;
    });
}

#[test]
fn of_many_stages_and_names_a_hundred_are_told() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let stages: Vec<_> = (0..101)
            .map(|number| new_stage(&format!("stage-{number:03}")))
            .collect();
        runs.create(NewPipeline {
            stages,
            ..new_run("many")
        })
        .await;
        for status in [StageStatus::Processing, StageStatus::Failed] {
            step(&runs, "many", "stage-100", status).await;
        }
        let everything = PipelineFilter::default();
        let now = runs.now().plus_seconds(1);
        let statistics = runs
            .pipelines
            .get_statistics(&everything, now)
            .await
            .unwrap();
        let told: Vec<_> = statistics
            .by_stage
            .iter()
            .map(|it| &*it.stage_name)
            .collect();
        assert_eq!(
            (told.len(), told[0], told[1], told[99]),
            (100, "stage-100", "stage-000", "stage-098")
        );

        let named = (0..100).map(|number| NewPipeline {
            name: Some(format!("name-{number:03}")),
            ..new_run(&format!("run-{number}"))
        });
        runs.pipelines
            .create_many(named.collect(), runs.now())
            .await
            .unwrap();
        let by_name = runs.store.get_grouped_runs(&everything, RunsBy::Name, now);
        let by_name = by_name.await.unwrap();
        let last = by_name.last().unwrap().label.as_deref();
        assert_eq!((by_name.len(), last), (100, Some("name-099")));
        runs.end().await;
    });
}
