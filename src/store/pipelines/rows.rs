//! How runs, stages and those that they name are written.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::types::Json;

use crate::{
    domain::{Pipeline, PipelineId, PipelineWithStages, SeenRun, Stage},
    store::{Dialect, edit::EditTx, reader::Statement},
};

/// `last_seen_at` of a user moves at most once in this time.
const SEEN_AGAIN_SECONDS: i64 = 3_600;

/// Registers users that are new, and moves on when the others were seen last.
pub(super) async fn register_users<'a, DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    users: impl IntoIterator<Item = &'a str>,
) -> Result<(), sqlx::Error> {
    let users: BTreeSet<_> = users.into_iter().collect();
    if users.is_empty() {
        return Ok(());
    }
    let now = tx.now;
    let mut statement =
        Statement::<DB>::new("INSERT INTO users (id, first_seen_at, last_seen_at) VALUES ");
    for (index, user) in users.into_iter().enumerate() {
        statement
            .with(if index == 0 { "(" } else { ", (" }, user.to_owned())
            .with(", ", now)
            .with(", ", now)
            .push(")");
    }
    // What is in conflict is held, changed or not: nobody can delete it meanwhile.
    statement.with(
        " ON CONFLICT (id) DO UPDATE SET last_seen_at = excluded.last_seen_at \
         WHERE users.last_seen_at < ",
        now.plus_seconds(-SEEN_AGAIN_SECONDS),
    );
    tx.execute(statement).await.map(drop)
}

/// Registers assets that are new.
pub(super) async fn register_assets<'a, DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    assets: impl IntoIterator<Item = &'a str>,
) -> Result<(), sqlx::Error> {
    let assets: BTreeSet<_> = assets.into_iter().collect();
    if assets.is_empty() {
        return Ok(());
    }
    let now = tx.now;
    let mut statement = Statement::<DB>::new("INSERT INTO assets (id, created_at) VALUES ");
    for (index, asset) in assets.into_iter().enumerate() {
        statement
            .with(if index == 0 { "(" } else { ", (" }, asset.to_owned())
            .with(", ", now)
            .push(")");
    }
    // As above.
    statement.push(" ON CONFLICT (id) DO UPDATE SET created_at = excluded.created_at WHERE FALSE");
    tx.execute(statement).await.map(drop)
}

/// A run that is to be inserted.
pub(super) struct NewRun<'r> {
    pub(super) run: &'r Pipeline,
    /// What spans said of it, if any spoke.
    pub(super) seen: Option<&'r SeenRun>,
}

/// Inserts those that are not there, of two of one id the first; which these are.
pub(super) async fn insert_pipelines<'r, DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    new: impl IntoIterator<Item = NewRun<'r>>,
) -> Result<BTreeSet<PipelineId>, sqlx::Error> {
    // In order, so that two batches cannot wait for each other in a circle.
    let mut runs = BTreeMap::new();
    for new in new {
        runs.entry(&new.run.id).or_insert(new);
    }
    if runs.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mut statement = Statement::<DB>::new(
        "INSERT INTO generation_pipelines (id, user_id, asset_id, config, status, status_by, \
         progress, current_stage, error, error_stage, error_details, results, meshy_task_id, \
         rigging_task_id, created_at, started_at, completed_at, updated_at, expires_at, name, \
         service_name, trace_id, state_at, deleted_at, seen) VALUES ",
    );
    for (index, NewRun { run, seen }) in runs.into_values().enumerate() {
        statement
            .with(if index == 0 { "(" } else { ", (" }, run.id.clone())
            .with(", ", run.user_id.clone())
            .with(", ", run.asset_id.clone())
            .with(", ", Json(run.config.clone()))
            .push(", ")
            .with(DB::PIPELINE_STATUS[0], run.status)
            .push(DB::PIPELINE_STATUS[1])
            .with(", ", run.status_by)
            .with(", ", run.progress)
            .with(", ", run.current_stage.clone())
            .with(", ", run.error.clone())
            .with(", ", run.error_stage.clone())
            .with(", ", run.error_details.clone().map(Json))
            .with(", ", Json(run.results.clone()))
            .with(", ", run.meshy_task_id.clone())
            .with(", ", run.rigging_task_id.clone())
            .with(", ", run.created_at)
            .with(", ", run.started_at)
            .with(", ", run.completed_at)
            .with(", ", run.updated_at)
            .with(", ", run.expires_at)
            .with(", ", run.name.clone())
            .with(", ", run.service_name.clone())
            .with(", ", run.trace_id)
            .with(", ", run.state_at)
            .with(", ", run.deleted_at)
            .with(", ", seen.cloned().map(Json))
            .push(")");
    }
    statement.push(" ON CONFLICT (id) DO NOTHING RETURNING id");
    let inserted = tx.all(statement, |row| DB::get(row, "id")).await?;
    Ok(inserted.into_iter().collect())
}

pub(super) async fn insert_stages<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    stages: &[&Stage],
) -> Result<(), sqlx::Error> {
    if stages.is_empty() {
        return Ok(());
    }
    let mut statement = Statement::<DB>::new(
        "INSERT INTO pipeline_stages (pipeline_id, id, stage_name, stage_order, status, status_by, \
         progress, result, error, error_details, started_at, completed_at, duration, state_at, \
         created_at, updated_at) VALUES ",
    );
    for (index, stage) in stages.iter().enumerate() {
        statement
            .with(
                if index == 0 { "(" } else { ", (" },
                stage.pipeline_id.clone(),
            )
            .with(", ", stage.id.clone())
            .with(", ", stage.stage_name.clone())
            .with(", ", stage.stage_order)
            .push(", ")
            .with(DB::STAGE_STATUS[0], stage.status)
            .push(DB::STAGE_STATUS[1])
            .with(", ", stage.status_by)
            .with(", ", stage.progress)
            .with(", ", stage.result.clone().map(Json))
            .with(", ", stage.error.clone())
            .with(", ", stage.error_details.clone().map(Json))
            .with(", ", stage.started_at)
            .with(", ", stage.completed_at)
            .with(", ", stage.duration)
            .with(", ", stage.state_at)
            .with(", ", stage.created_at)
            .with(", ", stage.updated_at)
            .push(")");
    }
    tx.execute(statement).await.map(drop)
}

/// Writes all that can change of a run, and of its stages what has changed.
pub(super) async fn write<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    before: &PipelineWithStages,
    after: &PipelineWithStages,
) -> Result<(), sqlx::Error> {
    let run = &after.pipeline;
    // What spans named once may be deleted by now.
    if run.asset_id != before.pipeline.asset_id {
        register_assets(tx, run.asset_id.as_deref()).await?;
    }
    store(tx, run).await?;
    tx.endings.run(Some(before.pipeline.status), run);
    let mut new = Vec::new();
    for stage in &after.stages {
        let stored = before.stages.iter().find(|it| it.id == stage.id);
        tx.endings.stage(stored.map(|stored| stored.status), stage);
        match stored {
            Some(stored) if stored == stage => {}
            Some(_) => store_stage(tx, stage).await?,
            None => new.push(stage),
        }
    }
    let gone = before.stages.iter();
    let gone = gone.filter(|stage| after.stages.iter().all(|it| it.id != stage.id));
    let gone: Vec<String> = gone.map(|stage| stage.id.clone()).collect();
    if !gone.is_empty() {
        let mut statement =
            Statement::<DB>::new("DELETE FROM pipeline_stages WHERE pipeline_id = ");
        statement.bind(run.id.clone()).push(" AND id IN (");
        statement.list(gone).push(")");
        tx.execute(statement).await?;
    }
    insert_stages(tx, &new).await
}

/// Writes all that can change of a run.
pub(super) async fn store<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    run: &Pipeline,
) -> Result<(), sqlx::Error> {
    let mut statement = Statement::<DB>::new("UPDATE generation_pipelines SET user_id = ");
    statement
        .bind(run.user_id.clone())
        .with(", asset_id = ", run.asset_id.clone())
        .with(", config = ", Json(run.config.clone()))
        .push(", status = ")
        .with(DB::PIPELINE_STATUS[0], run.status)
        .push(DB::PIPELINE_STATUS[1])
        .with(", status_by = ", run.status_by)
        .with(", created_at = ", run.created_at)
        .with(", progress = ", run.progress)
        .with(", current_stage = ", run.current_stage.clone())
        .with(", error = ", run.error.clone())
        .with(", error_stage = ", run.error_stage.clone())
        .with(", error_details = ", run.error_details.clone().map(Json))
        .with(", results = ", Json(run.results.clone()))
        .with(", meshy_task_id = ", run.meshy_task_id.clone())
        .with(", rigging_task_id = ", run.rigging_task_id.clone())
        .with(", started_at = ", run.started_at)
        .with(", completed_at = ", run.completed_at)
        .with(", updated_at = ", run.updated_at)
        .with(", expires_at = ", run.expires_at)
        .with(", name = ", run.name.clone())
        .with(", service_name = ", run.service_name.clone())
        .with(", trace_id = ", run.trace_id)
        .with(", state_at = ", run.state_at)
        .with(", deleted_at = ", run.deleted_at)
        .with(" WHERE id = ", run.id.clone());
    tx.execute(statement).await.map(drop)
}

/// Writes all that can change of a stage.
pub(super) async fn store_stage<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    stage: &Stage,
) -> Result<(), sqlx::Error> {
    let mut statement = Statement::<DB>::new("UPDATE pipeline_stages SET stage_order = ");
    statement
        .bind(stage.stage_order)
        .push(", status = ")
        .with(DB::STAGE_STATUS[0], stage.status)
        .push(DB::STAGE_STATUS[1])
        .with(", status_by = ", stage.status_by)
        .with(", state_at = ", stage.state_at)
        .with(", progress = ", stage.progress)
        .with(", result = ", stage.result.clone().map(Json))
        .with(", error = ", stage.error.clone())
        .with(", error_details = ", stage.error_details.clone().map(Json))
        .with(", started_at = ", stage.started_at)
        .with(", completed_at = ", stage.completed_at)
        .with(", duration = ", stage.duration)
        .with(", created_at = ", stage.created_at)
        .with(", updated_at = ", stage.updated_at)
        .with(" WHERE pipeline_id = ", stage.pipeline_id.clone())
        .with(" AND id = ", stage.id.clone());
    tx.execute(statement).await.map(drop)
}
