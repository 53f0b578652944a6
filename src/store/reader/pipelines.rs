//! Runs of pipelines with their stages, and the figures over them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;
use sqlx::{Transaction, types::Json};

use crate::{
    domain::{Pipeline, PipelineId, PipelineStatus, PipelineWithStages, Stage, Timestamp},
    store::{
        Cursor, Page, PageRequest, PipelineFilter, PipelineReader, PipelineStatistics, StoreError,
    },
};

use super::{
    ReadsSql, SqlReader, bound_page,
    dialect::{Dialect, Limit},
    end, into_page,
    matching::one_by_one,
    rows::json,
    statement::{Statement, as_stored},
};

/// The columns of [`pipeline`].
pub(in crate::store) const PIPELINE_COLUMNS: &str = "\
    id, user_id, asset_id, config, CAST(status AS TEXT) AS status, progress, current_stage, \
    error, error_stage, error_details, results, meshy_task_id, rigging_task_id, created_at, \
    started_at, completed_at, updated_at, expires_at, name, service_name, trace_id, state_at, \
    deleted_at";

/// The columns of [`stage`].
pub(in crate::store) const STAGE_COLUMNS: &str = "\
    pipeline_id, id, stage_name, stage_order, CAST(status AS TEXT) AS status, progress, result, \
    error, error_details, started_at, completed_at, duration, created_at, updated_at";

#[async_trait]
impl<T: ReadsSql> PipelineReader for T {
    async fn find_pipelines(
        &self,
        filter: &PipelineFilter,
        page: &PageRequest,
    ) -> Result<Page<Pipeline>, StoreError> {
        self.reader().find_pipelines(filter, page).await
    }

    async fn count_pipelines(&self, filter: &PipelineFilter) -> Result<i64, StoreError> {
        self.reader().count_pipelines(filter).await
    }

    async fn find_pipeline(&self, id: &PipelineId) -> Result<Option<Pipeline>, StoreError> {
        let found = self.reader().find_pipeline(id, Stages::Without).await?;
        Ok(found.map(|found| found.pipeline))
    }

    async fn find_pipeline_with_stages(
        &self,
        id: &PipelineId,
    ) -> Result<Option<PipelineWithStages>, StoreError> {
        self.reader().find_pipeline(id, Stages::With).await
    }

    async fn find_expired_pipelines(
        &self,
        now: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<Pipeline>, StoreError> {
        self.reader().find_expired_pipelines(now, page).await
    }

    async fn find_stuck_pipelines(
        &self,
        older_than: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<Pipeline>, StoreError> {
        self.reader().find_stuck_pipelines(older_than, page).await
    }

    async fn get_pipeline_statistics(
        &self,
        filter: &PipelineFilter,
    ) -> Result<PipelineStatistics, StoreError> {
        self.reader().get_pipeline_statistics(filter).await
    }
}

/// Whether a run is read with its stages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stages {
    With,
    Without,
}

impl<DB: Dialect> SqlReader<DB> {
    async fn find_pipelines(
        &self,
        filter: &PipelineFilter,
        page: &PageRequest,
    ) -> Result<Page<Pipeline>, StoreError> {
        let statement = newest_first::<DB>(filter, page);
        self.page(statement, page, |run| run.created_at).await
    }

    async fn find_expired_pipelines(
        &self,
        now: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<Pipeline>, StoreError> {
        let mut statement = select_pipelines::<DB>();
        statement
            .push(" WHERE deleted_at IS NULL")
            .with(" AND expires_at <= ", now);
        if let Some(after) = &page.after {
            statement
                .push(" AND (expires_at, id ")
                .push(DB::BY_BYTES)
                .with(") > (", after.at)
                .with(", ", as_stored(&after.id).into_owned())
                .push(")");
        }
        statement
            .push(" ORDER BY expires_at, id ")
            .push(DB::BY_BYTES);
        // Whatever has no such time is not among them.
        self.page(statement, page, |run| run.expires_at.unwrap_or(now))
            .await
    }

    async fn find_stuck_pipelines(
        &self,
        older_than: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<Pipeline>, StoreError> {
        let mut statement = select_pipelines::<DB>();
        statement
            .push(" WHERE deleted_at IS NULL AND status IN ('initializing', 'processing')")
            .with(" AND updated_at < ", older_than);
        if let Some(after) = &page.after {
            statement
                .push(" AND (updated_at, id ")
                .push(DB::BY_BYTES)
                .with(") > (", after.at)
                .with(", ", as_stored(&after.id).into_owned())
                .push(")");
        }
        statement
            .push(" ORDER BY updated_at, id ")
            .push(DB::BY_BYTES);
        self.page(statement, page, |run| run.updated_at).await
    }

    /// The page that the statement begins, in the order of an instant and the id.
    async fn page(
        &self,
        mut statement: Statement<DB>,
        page: &PageRequest,
        at: impl Fn(&Pipeline) -> Timestamp,
    ) -> Result<Page<Pipeline>, StoreError> {
        const DURING: &str = "reading runs";
        bound_page(&mut statement, page);
        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let runs = statement
            .all(&mut snapshot, pipeline::<DB>)
            .await
            .map_err(|error| StoreError::of(DURING, error))?;
        end(snapshot).await;
        Ok(into_page(runs, page, |run| Cursor {
            at: at(run),
            id: run.id.to_string(),
        }))
    }

    async fn count_pipelines(&self, filter: &PipelineFilter) -> Result<i64, StoreError> {
        const DURING: &str = "counting runs";
        let mut statement =
            Statement::<DB>::new("SELECT COUNT(*) AS runs FROM generation_pipelines");
        matching(&mut statement, filter);
        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let counts: Vec<i64> = statement
            .all(&mut snapshot, |row| DB::get(row, "runs"))
            .await
            .map_err(|error| StoreError::of(DURING, error))?;
        end(snapshot).await;
        Ok(counts.into_iter().sum())
    }

    async fn find_pipeline(
        &self,
        id: &PipelineId,
        stages: Stages,
    ) -> Result<Option<PipelineWithStages>, StoreError> {
        const DURING: &str = "reading a run";
        let failed = |error| StoreError::of(DURING, error);
        let mut statement = select_pipelines::<DB>();
        statement.with(" WHERE id = ", id.clone());
        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let found = statement
            .all(&mut snapshot, pipeline::<DB>)
            .await
            .map_err(failed)?;
        let Some(pipeline) = found.into_iter().next() else {
            end(snapshot).await;
            return Ok(None);
        };
        let stages = match stages {
            Stages::Without => Vec::new(),
            Stages::With => stages_of::<DB>(id)
                .all(&mut snapshot, stage::<DB>)
                .await
                .map_err(failed)?,
        };
        end(snapshot).await;
        Ok(Some(PipelineWithStages { pipeline, stages }))
    }

    async fn get_pipeline_statistics(
        &self,
        filter: &PipelineFilter,
    ) -> Result<PipelineStatistics, StoreError> {
        const DURING: &str = "reading figures over runs";
        let failed = |error| StoreError::of(DURING, error);
        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let counts = counts(&mut snapshot, filter).await.map_err(failed)?;
        let average = average_seconds(&mut snapshot, filter)
            .await
            .map_err(failed)?;
        let [p50, p95] = percentiles(&mut snapshot, filter).await.map_err(failed)?;
        end(snapshot).await;
        Ok(PipelineStatistics {
            average_duration_seconds: average,
            p50_duration_seconds: p50,
            p95_duration_seconds: p95,
            ..PipelineStatistics::of_counts(counts)
        })
    }
}

async fn counts<DB: Dialect>(
    snapshot: &mut Transaction<'static, DB>,
    filter: &PipelineFilter,
) -> Result<BTreeMap<PipelineStatus, i64>, sqlx::Error> {
    let mut statement = Statement::<DB>::new(
        "SELECT CAST(status AS TEXT) AS status, COUNT(*) AS runs FROM generation_pipelines",
    );
    matching(&mut statement, filter);
    statement.push(" GROUP BY CAST(status AS TEXT)");
    let mut counts = BTreeMap::new();
    statement
        .for_each(snapshot, |row| {
            counts.insert(DB::get(&row, "status")?, DB::get(&row, "runs")?);
            Ok(())
        })
        .await?;
    Ok(counts)
}

async fn average_seconds<DB: Dialect>(
    snapshot: &mut Transaction<'static, DB>,
    filter: &PipelineFilter,
) -> Result<Option<f64>, sqlx::Error> {
    // Seconds and what is left of them apart: a sum of microseconds could be too large.
    let mut statement = durations::<DB>(filter);
    statement.push(
        " SELECT COUNT(*) AS runs, CAST(SUM(micros / 1000000) AS BIGINT) AS seconds, \
         CAST(SUM(micros % 1000000) AS BIGINT) AS micros FROM durations",
    );
    let mut average = None;
    statement
        .for_each(snapshot, |row| {
            let runs: i64 = DB::get(&row, "runs")?;
            let seconds: Option<i64> = DB::get(&row, "seconds")?;
            let micros: Option<i64> = DB::get(&row, "micros")?;
            average = seconds
                .zip(micros)
                .map(|(seconds, micros)| (float(seconds) + float(micros) / 1e6) / float(runs));
            Ok(())
        })
        .await?;
    Ok(average)
}

/// The median and the 95th percentile in seconds, as `percentile_cont` interpolates. The database
/// looks for the two durations on either side of each; what is between them is computed here, the
/// same for both databases.
async fn percentiles<DB: Dialect>(
    snapshot: &mut Transaction<'static, DB>,
    filter: &PipelineFilter,
) -> Result<[Option<f64>; 2], sqlx::Error> {
    let mut statement = durations::<DB>(filter);
    statement.push(
        ", placed AS (SELECT micros, ROW_NUMBER() OVER (ORDER BY micros) - 1 AS place, \
         COUNT(*) OVER () - 1 AS last FROM durations) \
         SELECT micros, place, last FROM placed WHERE place IN \
         (last * 50 / 100, last * 50 / 100 + 1, last * 95 / 100, last * 95 / 100 + 1)",
    );
    let mut durations = BTreeMap::new();
    let mut last = 0;
    statement
        .for_each(snapshot, |row| {
            last = DB::get(&row, "last")?;
            durations.insert(DB::get(&row, "place")?, DB::get(&row, "micros")?);
            Ok(())
        })
        .await?;
    Ok([50, 95].map(|percent| between(&durations, last, percent)))
}

/// The duration at so many percent of the way from the first to the last, in seconds.
fn between(durations: &BTreeMap<i64, i64>, last: i64, percent: i64) -> Option<f64> {
    let (place, rest) = (last * percent / 100, last * percent % 100);
    let below = *durations.get(&place)?;
    let above = durations.get(&(place + 1)).copied().unwrap_or(below);
    Some((float(below) + float(above - below) * float(rest) / 100.0) / 1e6)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds of a run and numbers of runs are far below what a float tells apart"
)]
fn float(number: i64) -> f64 {
    number as f64
}

/// Begins a statement with the durations of the finished runs that match.
fn durations<DB: Dialect>(filter: &PipelineFilter) -> Statement<DB> {
    let mut statement = Statement::<DB>::new("WITH durations AS (SELECT ");
    statement
        .push(DB::RUN_MICROS)
        .push(" AS micros FROM generation_pipelines");
    matching(&mut statement, filter);
    statement.push(
        " AND status IN ('completed', 'failed', 'cancelled') AND completed_at >= started_at)",
    );
    statement
}

/// Begins a statement with the runs that match, newest first. Of several statuses an index gives the
/// runs of each in order of time, so each is a part of its own, unless something narrower is named.
fn newest_first<DB: Dialect>(filter: &PipelineFilter, page: &PageRequest) -> Statement<DB> {
    let order = |statement: &mut Statement<DB>| {
        statement
            .push(" ORDER BY created_at DESC, id ")
            .push(DB::BY_BYTES)
            .push(" DESC");
    };
    let is_narrow =
        filter.user_id.is_some() || filter.asset_id.is_some() || filter.meshy_task_id.is_some();
    let statuses = if is_narrow {
        vec![filter.status.clone()]
    } else {
        one_by_one(&filter.status, PipelineStatus::ALL)
    };
    let bounds_parts = statuses.len() > 1 && DB::BOUNDS_PARTS;
    let mut statement = Statement::new(if bounds_parts { "SELECT * FROM (" } else { "" });
    for (number, status) in statuses.into_iter().enumerate() {
        if number > 0 {
            statement.push(" UNION ALL ");
        }
        statement
            .push(if bounds_parts { "(SELECT " } else { "SELECT " })
            .push(PIPELINE_COLUMNS)
            .push(" FROM generation_pipelines");
        let part = PipelineFilter {
            status,
            ..filter.clone()
        };
        matching(&mut statement, &part);
        if let Some(after) = &page.after {
            statement
                .push(" AND (created_at, id ")
                .push(DB::BY_BYTES)
                .with(") < (", after.at)
                .with(", ", as_stored(&after.id).into_owned())
                .push(")");
        }
        if bounds_parts {
            order(&mut statement);
            let items = i64::from(page.offset) + i64::from(page.limit) + 1;
            statement.with(" LIMIT ", items).push(")");
        }
    }
    if bounds_parts {
        statement.push(") AS runs");
    }
    order(&mut statement);
    statement
}

/// Adds the WHERE clause of a filter over `generation_pipelines`.
fn matching<DB: Dialect>(statement: &mut Statement<DB>, filter: &PipelineFilter) {
    statement
        .push(if filter.include_deleted {
            " WHERE TRUE"
        } else {
            " WHERE deleted_at IS NULL"
        })
        .when_text(" AND user_id = ", filter.user_id.as_deref())
        .when_text(" AND asset_id = ", filter.asset_id.as_deref())
        .when_text(" AND meshy_task_id = ", filter.meshy_task_id.as_deref());
    let is_narrow = filter.asset_id.is_some() || filter.meshy_task_id.is_some();
    if !filter.status.is_empty() {
        // The user's index knows the status, too.
        let by_index = filter.status.len() == 1 && !is_narrow;
        statement
            .push(" AND ")
            .push(if by_index { "" } else { DB::NOT_BY_INDEX })
            .when_one_of_words("status IN (", DB::PIPELINE_STATUS, &filter.status);
    }
    if filter.name.is_some() {
        let by_index = filter.status.is_empty() && filter.user_id.is_none() && !is_narrow;
        statement
            .push(" AND ")
            .push(if by_index { "" } else { DB::NOT_BY_INDEX })
            .when_text("name = ", filter.name.as_deref());
    }
    statement
        .when(" AND created_at >= ", filter.from)
        .when(" AND created_at < ", filter.to);
}

/// Begins a statement that reads runs.
pub(in crate::store) fn select_pipelines<DB: Dialect>() -> Statement<DB> {
    let mut statement = Statement::<DB>::new("SELECT ");
    statement
        .push(PIPELINE_COLUMNS)
        .push(" FROM generation_pipelines");
    statement
}

/// A statement that reads the stages of a run, in their order.
pub(in crate::store) fn stages_of<DB: Dialect>(id: &PipelineId) -> Statement<DB> {
    let mut statement = Statement::<DB>::new("SELECT ");
    statement
        .push(STAGE_COLUMNS)
        .with(" FROM pipeline_stages WHERE pipeline_id = ", id.clone())
        .push(" ORDER BY stage_order, stage_name ")
        .push(DB::BY_BYTES);
    statement
}

/// A row of `generation_pipelines`.
pub(in crate::store) fn pipeline<DB: Dialect>(row: &DB::Row) -> Result<Pipeline, sqlx::Error> {
    let Json(config): Json<Value> = DB::get(row, "config")?;
    let Json(results): Json<Value> = DB::get(row, "results")?;
    Ok(Pipeline {
        id: DB::get(row, "id")?,
        user_id: DB::get(row, "user_id")?,
        asset_id: DB::get(row, "asset_id")?,
        config,
        status: DB::get(row, "status")?,
        progress: DB::get(row, "progress")?,
        current_stage: DB::get(row, "current_stage")?,
        error: DB::get(row, "error")?,
        error_stage: DB::get(row, "error_stage")?,
        error_details: json::<DB>(row, "error_details")?,
        results,
        meshy_task_id: DB::get(row, "meshy_task_id")?,
        rigging_task_id: DB::get(row, "rigging_task_id")?,
        created_at: DB::get(row, "created_at")?,
        started_at: DB::get(row, "started_at")?,
        completed_at: DB::get(row, "completed_at")?,
        updated_at: DB::get(row, "updated_at")?,
        expires_at: DB::get(row, "expires_at")?,
        name: DB::get(row, "name")?,
        service_name: DB::get(row, "service_name")?,
        trace_id: DB::get(row, "trace_id")?,
        state_at: DB::get(row, "state_at")?,
        deleted_at: DB::get(row, "deleted_at")?,
    })
}

/// A row of `pipeline_stages`.
pub(in crate::store) fn stage<DB: Dialect>(row: &DB::Row) -> Result<Stage, sqlx::Error> {
    Ok(Stage {
        pipeline_id: DB::get(row, "pipeline_id")?,
        id: DB::get(row, "id")?,
        stage_name: DB::get(row, "stage_name")?,
        stage_order: DB::get(row, "stage_order")?,
        status: DB::get(row, "status")?,
        progress: DB::get(row, "progress")?,
        result: json::<DB>(row, "result")?,
        error: DB::get(row, "error")?,
        error_details: json::<DB>(row, "error_details")?,
        started_at: DB::get(row, "started_at")?,
        completed_at: DB::get(row, "completed_at")?,
        duration: DB::get(row, "duration")?,
        created_at: DB::get(row, "created_at")?,
        updated_at: DB::get(row, "updated_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_lies_between_its_neighbours() {
        let seconds = |list: &[i64]| -> BTreeMap<i64, i64> {
            (0..)
                .zip(list)
                .map(|(place, seconds)| (place, seconds * 1_000_000))
                .collect()
        };
        let four = seconds(&[1, 2, 4, 10]);
        assert_eq!(between(&four, 3, 50), Some(3.0));
        assert_eq!(between(&four, 3, 95), Some(4.0 + 6.0 * 0.85));
        let one = seconds(&[7]);
        assert_eq!(between(&one, 0, 50), Some(7.0));
        assert_eq!(between(&one, 0, 95), Some(7.0));
        assert_eq!(between(&BTreeMap::new(), 0, 95), None);
    }
}
