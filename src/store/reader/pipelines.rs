//! Runs of pipelines with their stages.

use async_trait::async_trait;
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    domain::{Pipeline, PipelineId, PipelineStatus, PipelineWithStages, Stage, Timestamp},
    store::{
        Cursor, GroupedRuns, Page, PageRequest, PipelineFilter, PipelineReader, PipelineStatistics,
        RunFigures, RunsBy, StoreError,
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
    id, user_id, asset_id, config, CAST(status AS TEXT) AS status, status_by, progress, \
    current_stage, error, error_stage, error_details, results, meshy_task_id, rigging_task_id, created_at, \
    started_at, completed_at, updated_at, expires_at, name, service_name, trace_id, state_at, \
    deleted_at";

/// The columns of [`stage`].
pub(in crate::store) const STAGE_COLUMNS: &str = "\
    pipeline_id, id, stage_name, stage_order, CAST(status AS TEXT) AS status, status_by, progress, \
    result, error, error_details, started_at, completed_at, duration, state_at, created_at, \
    updated_at";

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
        now: Timestamp,
    ) -> Result<PipelineStatistics, StoreError> {
        self.reader().get_pipeline_statistics(filter, now).await
    }

    async fn get_grouped_runs(
        &self,
        filter: &PipelineFilter,
        by: RunsBy,
        now: Timestamp,
    ) -> Result<Vec<GroupedRuns>, StoreError> {
        self.reader().get_grouped_runs(filter, by, now).await
    }

    async fn get_run_figures(&self, now: Timestamp) -> Result<RunFigures, StoreError> {
        self.reader().get_run_figures(now).await
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
pub(super) fn matching<DB: Dialect>(statement: &mut Statement<DB>, filter: &PipelineFilter) {
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
        status_by: DB::get(row, "status_by")?,
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
        status_by: DB::get(row, "status_by")?,
        progress: DB::get(row, "progress")?,
        result: json::<DB>(row, "result")?,
        error: DB::get(row, "error")?,
        error_details: json::<DB>(row, "error_details")?,
        started_at: DB::get(row, "started_at")?,
        completed_at: DB::get(row, "completed_at")?,
        duration: DB::get(row, "duration")?,
        state_at: DB::get(row, "state_at")?,
        created_at: DB::get(row, "created_at")?,
        updated_at: DB::get(row, "updated_at")?,
    })
}
