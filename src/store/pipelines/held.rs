//! Runs that are held until the transaction ends, with what spans said of them.

use std::collections::HashMap;

use sqlx::types::Json;

use crate::{
    domain::{Pipeline, PipelineId, PipelineWithStages, SeenRun, Stage},
    store::{
        Dialect,
        edit::EditTx,
        reader::{
            Statement,
            pipelines::{PIPELINE_COLUMNS, STAGE_COLUMNS, pipeline, stage},
        },
    },
};

/// A run as it is.
pub(super) struct Held {
    pub(super) run: Pipeline,
    /// What spans said of it, if any spoke.
    pub(super) seen: Option<SeenRun>,
}

/// The run, held until the transaction ends.
pub(super) async fn hold<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    id: &PipelineId,
) -> Result<Option<Held>, sqlx::Error> {
    let mut held = hold_all(tx, &[id]).await?;
    Ok(held.pop())
}

/// Those of these runs that there are, held until the transaction ends.
async fn hold_all<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    ids: &[&PipelineId],
) -> Result<Vec<Held>, sqlx::Error> {
    let mut statement = Statement::<DB>::new("SELECT ");
    statement
        .push(PIPELINE_COLUMNS)
        .push(", seen FROM generation_pipelines WHERE id IN (")
        .list(ids.iter().map(|id| (*id).clone()))
        .push(") ORDER BY id")
        .push(DB::FOR_UPDATE);
    tx.all(statement, |row| {
        let seen: Option<Json<SeenRun>> = DB::get(row, "seen")?;
        Ok(Held {
            run: pipeline::<DB>(row)?,
            seen: seen.map(|Json(seen)| seen),
        })
    })
    .await
}

/// The same with their stages, by id.
pub(super) async fn hold_with_stages<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    ids: &[&PipelineId],
) -> Result<HashMap<PipelineId, (PipelineWithStages, Option<SeenRun>)>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let held = hold_all(tx, ids).await?;
    if held.is_empty() {
        return Ok(HashMap::new());
    }
    let mut statement = Statement::<DB>::new("SELECT ");
    statement
        .push(STAGE_COLUMNS)
        .push(" FROM pipeline_stages WHERE pipeline_id IN (")
        .list(held.iter().map(|held| held.run.id.clone()))
        .push(") ORDER BY stage_order, stage_name ")
        .push(DB::BY_BYTES);
    let mut stages: HashMap<PipelineId, Vec<Stage>> = HashMap::new();
    for stage in tx.all(statement, stage::<DB>).await? {
        let id = stage.pipeline_id.clone();
        stages.entry(id).or_default().push(stage);
    }
    let held = held.into_iter().map(|Held { run, seen }| {
        let id = run.id.clone();
        let rows = PipelineWithStages {
            stages: stages.remove(&id).unwrap_or_default(),
            pipeline: run,
        };
        (id, (rows, seen))
    });
    Ok(held.collect())
}

/// Writes what spans said of a run.
pub(super) async fn store_seen<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    id: &PipelineId,
    seen: &SeenRun,
) -> Result<(), sqlx::Error> {
    let mut statement = Statement::<DB>::new("UPDATE generation_pipelines SET seen = ");
    statement
        .bind(Json(seen.clone()))
        .with(" WHERE id = ", id.clone());
    tx.execute(statement).await.map(drop)
}
