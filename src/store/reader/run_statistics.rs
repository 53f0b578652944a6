//! Figures over runs and their stages, computed by the database: of all runs together, by name, by
//! user, or by stage. One statement counts and adds up; another finds the durations on either side of
//! each percentile.

use std::collections::BTreeMap;

use sqlx::Transaction;

use crate::{
    domain::{PipelineStatus, StageStatus, Timestamp},
    store::{
        GroupedRuns, PipelineFilter, PipelineStatistics, RunStatistics, RunsBy, StageStatistics,
        StoreError,
    },
};

use super::{
    SqlReader,
    dialect::{Dialect, Limit},
    end,
    pipelines::matching,
    statement::Statement,
};

const DURING: &str = "reading figures over runs";

impl<DB: Dialect> SqlReader<DB> {
    pub(super) async fn get_pipeline_statistics(
        &self,
        filter: &PipelineFilter,
        now: Timestamp,
    ) -> Result<PipelineStatistics, StoreError> {
        let failed = |error| StoreError::of(DURING, error);
        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let all = groups(&mut snapshot, Label::None, filter, now)
            .await
            .map_err(failed)?;
        let by_stage = stages(&mut snapshot, &filter.reaching_back(now), now)
            .await
            .map_err(failed)?;
        end(snapshot).await;
        let runs = all.into_iter().next().map(|all| all.runs);
        Ok(PipelineStatistics {
            runs: runs.unwrap_or_default(),
            by_stage,
        })
    }

    pub(super) async fn get_grouped_runs(
        &self,
        filter: &PipelineFilter,
        by: RunsBy,
        now: Timestamp,
    ) -> Result<Vec<GroupedRuns>, StoreError> {
        let label = match by {
            RunsBy::Name => Label::Name,
            RunsBy::User => Label::User,
        };
        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let groups = groups(&mut snapshot, label, &filter.reaching_back(now), now)
            .await
            .map_err(|error| StoreError::of(DURING, error))?;
        end(snapshot).await;
        Ok(groups)
    }
}

/// What figures are grouped by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    /// All runs together.
    None,
    /// Runs by their name.
    Name,
    /// Runs by their user.
    User,
    /// Stages by their name.
    Stage,
}

/// What was counted of a group.
struct Counted {
    label: Option<String>,
    /// In the order of the statuses.
    by_status: Vec<i64>,
    stuck: i64,
    average: Option<f64>,
}

/// Groups of runs, those with the most runs first.
async fn groups<DB: Dialect>(
    snapshot: &mut Transaction<'static, DB>,
    label: Label,
    filter: &PipelineFilter,
    now: Timestamp,
) -> Result<Vec<GroupedRuns>, sqlx::Error> {
    let statuses: Vec<_> = PipelineStatus::ALL.iter().map(|it| it.as_str()).collect();
    let counted = count(snapshot, label, filter, &statuses, now).await?;
    let durations = durations(snapshot, label, filter, &counted).await?;
    let group = |counted: Counted| {
        let durations = durations.get(&counted.label);
        let by_status = PipelineStatus::ALL.iter().copied().zip(counted.by_status);
        let by_status = by_status.filter(|(_, runs)| *runs > 0);
        GroupedRuns {
            runs: RunStatistics {
                stuck: counted.stuck,
                average_duration_seconds: counted.average,
                p50_duration_seconds: durations.and_then(|it| it.percentile(50)),
                p95_duration_seconds: durations.and_then(|it| it.percentile(95)),
                ..RunStatistics::of_counts(by_status.collect())
            },
            label: counted.label,
        }
    };
    Ok(counted.into_iter().map(group).collect())
}

/// The stages of runs, those that failed most often first.
async fn stages<DB: Dialect>(
    snapshot: &mut Transaction<'static, DB>,
    filter: &PipelineFilter,
    now: Timestamp,
) -> Result<Vec<StageStatistics>, sqlx::Error> {
    let statuses: Vec<_> = StageStatus::ALL.iter().map(|it| it.as_str()).collect();
    let counted = count(snapshot, Label::Stage, filter, &statuses, now).await?;
    let durations = durations(snapshot, Label::Stage, filter, &counted).await?;
    let stage = |counted: Counted| {
        let durations = durations.get(&counted.label);
        let mut stage = StageStatistics {
            stage_name: counted.label.unwrap_or_default(),
            p50_duration_seconds: durations.and_then(|it| it.percentile(50)),
            p95_duration_seconds: durations.and_then(|it| it.percentile(95)),
            ..StageStatistics::default()
        };
        for (status, runs) in StageStatus::ALL.iter().zip(counted.by_status) {
            *match status {
                StageStatus::Completed => &mut stage.completed,
                StageStatus::Failed => &mut stage.failed,
                StageStatus::Skipped => &mut stage.skipped,
                StageStatus::Pending | StageStatus::Processing => &mut stage.unfinished,
            } += runs;
        }
        stage
    };
    Ok(counted.into_iter().map(stage).collect())
}

/// Begins a statement with the runs or stages that match as `found`: each with its label, its status
/// and, when it ended, how long it took.
fn found<DB: Dialect>(label: Label, filter: &PipelineFilter) -> Statement<DB> {
    // By expressions, not by columns: in the order of their indexes SQLite would fetch row by row from
    // all over the file.
    let mut statement = Statement::<DB>::new("WITH found AS (SELECT CAST(");
    let (column, ended) = match label {
        Label::None => ("NULL", "('completed', 'failed', 'cancelled')"),
        Label::Name => ("name", "('completed', 'failed', 'cancelled')"),
        Label::User => ("user_id", "('completed', 'failed', 'cancelled')"),
        Label::Stage => ("stage_name", "('completed', 'failed')"),
    };
    statement
        .push(column)
        .push(
            " AS TEXT) AS label, CAST(status AS TEXT) AS status, updated_at, CASE WHEN status IN ",
        )
        .push(ended)
        .push(" AND completed_at >= started_at THEN ")
        .push(DB::RUN_MICROS)
        .push(" END AS micros FROM ");
    if label == Label::Stage {
        statement.push("(SELECT id FROM generation_pipelines");
        matching(&mut statement, filter);
        statement
            .push(" ORDER BY created_at DESC, id ")
            .push(DB::BY_BYTES)
            .with(" DESC LIMIT ", StageStatistics::MAX_RUNS)
            // SQLite takes a cross join in its order: from the runs to the stages of each.
            .push(") AS runs CROSS JOIN pipeline_stages WHERE pipeline_id = runs.id");
    } else {
        statement.push("generation_pipelines");
        matching(&mut statement, filter);
    }
    statement.push(")");
    statement
}

/// How many there are of each label and status, for the first labels in their order.
async fn count<DB: Dialect>(
    snapshot: &mut Transaction<'static, DB>,
    label: Label,
    filter: &PipelineFilter,
    statuses: &[&'static str],
    now: Timestamp,
) -> Result<Vec<Counted>, sqlx::Error> {
    let mut statement = found::<DB>(label, filter);
    // Seconds and what is left of them apart: a sum of microseconds could be too large.
    statement
        .push(
            " SELECT MAX(label) AS name, COUNT(micros) AS durations, \
             CAST(SUM(micros / 1000000) AS BIGINT) AS seconds, \
             CAST(SUM(micros % 1000000) AS BIGINT) AS micros, \
             COUNT(CASE WHEN status IN ('initializing', 'processing')",
        )
        .with(" AND updated_at < ", RunStatistics::stuck_since(now))
        .push(" THEN 1 END) AS stuck");
    for status in statuses {
        statement
            .push(", COUNT(CASE status WHEN '")
            .push(status)
            .push("' THEN 1 END) AS ")
            .push(status);
    }
    statement.push(" FROM found");
    if label != Label::None {
        statement
            .push(" GROUP BY label ORDER BY ")
            .push(if label == Label::Stage {
                "COUNT(CASE status WHEN 'failed' THEN 1 END)"
            } else {
                "COUNT(*)"
            })
            // Those without a label first.
            .push(" DESC, label IS NOT NULL, label ")
            .push(DB::BY_BYTES)
            .with(" LIMIT ", i64::from(GroupedRuns::MAX));
    }
    let read = |row: &DB::Row| {
        let counts = statuses.iter().map(|status| DB::get(row, status));
        let durations: i64 = DB::get(row, "durations")?;
        let seconds: Option<i64> = DB::get(row, "seconds")?;
        let micros: Option<i64> = DB::get(row, "micros")?;
        Ok(Counted {
            label: DB::get(row, "name")?,
            by_status: counts.collect::<Result<_, _>>()?,
            stuck: DB::get(row, "stuck")?,
            average: seconds
                .zip(micros)
                .map(|(seconds, micros)| (float(seconds) + float(micros) / 1e6) / float(durations)),
        })
    };
    statement.all(snapshot, read).await
}

/// Durations of a label beside its percentiles, by their place among all of them.
#[derive(Default)]
struct Durations {
    micros: BTreeMap<i64, i64>,
    /// The place of the longest.
    last: i64,
}

impl Durations {
    /// The duration at so many percent of the way from the first to the last, in seconds, as
    /// `percentile_cont` interpolates: the same for both databases.
    fn percentile(&self, percent: i64) -> Option<f64> {
        let (place, rest) = (self.last * percent / 100, self.last * percent % 100);
        let below = *self.micros.get(&place)?;
        let above = self.micros.get(&(place + 1)).copied().unwrap_or(below);
        Some((float(below) + float(above - below) * float(rest) / 100.0) / 1e6)
    }
}

/// The durations on either side of the median and of the 95th percentile of each of these labels.
async fn durations<DB: Dialect>(
    snapshot: &mut Transaction<'static, DB>,
    label: Label,
    filter: &PipelineFilter,
    counted: &[Counted],
) -> Result<BTreeMap<Option<String>, Durations>, sqlx::Error> {
    let mut statement = found::<DB>(label, filter);
    let [among, all] = if label == Label::None {
        ["", ""]
    } else {
        ["PARTITION BY label ", "PARTITION BY label"]
    };
    statement
        .push(", placed AS (SELECT label, micros, ROW_NUMBER() OVER (")
        .push(among)
        .push("ORDER BY micros) - 1 AS place, COUNT(*) OVER (")
        .push(all)
        .push(") - 1 AS last FROM found WHERE micros IS NOT NULL AND (label IS NULL");
    let labels: Vec<String> = counted.iter().filter_map(|it| it.label.clone()).collect();
    if !labels.is_empty() {
        statement.push(" OR label IN (").list(labels).push(")");
    }
    statement.push(
        ")) SELECT label, micros, place, last FROM placed WHERE place IN \
         (last * 50 / 100, last * 50 / 100 + 1, last * 95 / 100, last * 95 / 100 + 1)",
    );
    let mut durations = BTreeMap::<Option<String>, Durations>::new();
    statement
        .for_each(snapshot, |row| {
            let of_label = durations.entry(DB::get(&row, "label")?).or_default();
            of_label.last = DB::get(&row, "last")?;
            let place = DB::get(&row, "place")?;
            of_label.micros.insert(place, DB::get(&row, "micros")?);
            Ok(())
        })
        .await?;
    Ok(durations)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds of a run and numbers of runs are far below what a float tells apart"
)]
fn float(number: i64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_lies_between_its_neighbours() {
        let of = |seconds: &[i64]| Durations {
            micros: (0..).zip(seconds.iter().map(|it| it * 1_000_000)).collect(),
            last: i64::try_from(seconds.len()).unwrap() - 1,
        };
        let four = of(&[1, 2, 4, 10]);
        assert_eq!(four.percentile(50), Some(3.0));
        assert_eq!(four.percentile(95), Some(4.0 + 6.0 * 0.85));
        let one = of(&[7]);
        assert_eq!(
            (one.percentile(50), one.percentile(95)),
            (Some(7.0), Some(7.0))
        );
        assert_eq!(of(&[]).percentile(95), None);
    }
}
