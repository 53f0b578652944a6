//! Runs with their stages, as they are.

use futures_util::TryStreamExt;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    domain::{
        Pipeline, PipelineId, PipelineStatus, PipelineWithStages, Stage, StageStatus, StatusBy,
        Timestamp, name_in_config,
    },
    store::edit::ROWS_PER_EDIT,
};

use super::{
    BYTES_AT_ONCE, Balance, ImportError, ROWS_AT_ONCE, Source, Target, halving,
    source::Table,
    values::{id_of, instant, key, unread},
};

/// A row of the source's `generation_pipelines`.
#[derive(Deserialize)]
struct SourcePipeline {
    #[serde(deserialize_with = "key")]
    id: Option<String>,
    #[serde(default, deserialize_with = "key")]
    user_id: Option<String>,
    #[serde(default, deserialize_with = "key")]
    asset_id: Option<String>,
    config: Option<Value>,
    status: PipelineStatus,
    progress: Option<i32>,
    current_stage: Option<String>,
    error: Option<String>,
    error_stage: Option<String>,
    error_details: Option<Value>,
    results: Option<Value>,
    meshy_task_id: Option<String>,
    rigging_task_id: Option<String>,
    #[serde(default, deserialize_with = "instant")]
    created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "instant")]
    started_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "instant")]
    completed_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "instant")]
    updated_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "instant")]
    expires_at: Option<Timestamp>,
    stages: Vec<SourceStage>,
}

/// A row of the source's `pipeline_stages`.
#[derive(Deserialize)]
struct SourceStage {
    #[serde(deserialize_with = "key")]
    id: Option<String>,
    stage_name: String,
    stage_order: Option<i32>,
    status: StageStatus,
    progress: Option<i32>,
    result: Option<Value>,
    error: Option<String>,
    error_details: Option<Value>,
    #[serde(default, deserialize_with = "instant")]
    started_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "instant")]
    completed_at: Option<Timestamp>,
    duration: Option<i64>,
    #[serde(default, deserialize_with = "instant")]
    created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "instant")]
    updated_at: Option<Timestamp>,
}

impl SourcePipeline {
    /// The run, or why there cannot be one.
    fn into_run(self) -> Result<PipelineWithStages, String> {
        let name = self.id.unwrap_or_default();
        let id: PipelineId = name
            .parse()
            .map_err(|error| format!("run {name:?}: its id: {error}"))?;
        let Some(created_at) = self.created_at else {
            return Err(format!("run {id}: it has no created_at"));
        };
        let progress = progress(self.progress).map_err(|error| format!("run {id}: {error}"))?;
        // Not every layer wrote the last of it down.
        let progress = match self.status {
            PipelineStatus::Completed => 100,
            _ => progress,
        };
        let updated_at = self.updated_at.unwrap_or(created_at);
        let config = self.config.unwrap_or_else(|| json!({}));
        let mut stages = Vec::<Stage>::with_capacity(self.stages.len());
        for (order, stage) in (0..).zip(self.stages) {
            let name = stage.stage_name.clone();
            let stage = stage
                .into_stage(&id, order, created_at)
                .map_err(|error| format!("run {id}, stage {name:?}: {error}"))?;
            if stages.iter().any(|other| other.stage_name == name) {
                return Err(format!("run {id}: it has two stages {name:?}"));
            }
            if stages.iter().any(|other| other.id == stage.id) {
                return Err(format!(
                    "run {id}: it has two stages with the id {:?}",
                    stage.id
                ));
            }
            stages.push(stage);
        }
        if 1 + stages.len() > ROWS_PER_EDIT as usize {
            return Err(format!("run {id}: it has {} stages", stages.len()));
        }
        Ok(PipelineWithStages {
            pipeline: Pipeline {
                user_id: self.user_id,
                asset_id: self.asset_id,
                name: name_in_config(&config)
                    .filter(|name| name.chars().count() <= 100)
                    .map(str::to_owned),
                config,
                status: self.status,
                status_by: StatusBy::Api,
                progress,
                current_stage: self.current_stage,
                error: self.error,
                error_stage: self.error_stage,
                error_details: self.error_details,
                results: self.results.unwrap_or_else(|| json!({})),
                meshy_task_id: self.meshy_task_id,
                rigging_task_id: self.rigging_task_id,
                created_at,
                started_at: self.started_at,
                completed_at: self.completed_at,
                updated_at,
                expires_at: self.expires_at,
                service_name: "unknown_service".to_owned(),
                trace_id: None,
                state_at: self.completed_at.unwrap_or(updated_at),
                deleted_at: None,
                id,
            },
            stages,
        })
    }
}

impl SourceStage {
    fn into_stage(
        self,
        pipeline_id: &PipelineId,
        order: i32,
        run_created_at: Timestamp,
    ) -> Result<Stage, String> {
        let created_at = self.created_at.unwrap_or(run_created_at);
        if let Some(duration) = self.duration.filter(|duration| *duration < 0) {
            return Err(format!("its duration is {duration}, which is below 0"));
        }
        Ok(Stage {
            pipeline_id: pipeline_id.clone(),
            // Without an id of its own its name tells it from the others.
            id: self.id.unwrap_or_else(|| self.stage_name.clone()),
            stage_name: self.stage_name,
            stage_order: self.stage_order.unwrap_or(order),
            status: self.status,
            status_by: StatusBy::Api,
            state_at: self.completed_at.or(self.started_at).unwrap_or(created_at),
            progress: progress(self.progress)?,
            result: self.result,
            error: self.error,
            error_details: self.error_details,
            started_at: self.started_at,
            completed_at: self.completed_at,
            duration: self.duration,
            created_at,
            updated_at: self.updated_at.unwrap_or(created_at),
        })
    }
}

fn progress(progress: Option<i32>) -> Result<i32, String> {
    let progress = progress.unwrap_or(0);
    if (0..=100).contains(&progress) {
        Ok(progress)
    } else {
        Err(format!("its progress is {progress}, which is not 0 to 100"))
    }
}

pub(super) async fn import(
    source: &mut Source,
    target: &Target,
    balance: &mut Balance,
    progress: &mut impl FnMut(&Balance),
) -> Result<(), ImportError> {
    if !source.has(Table::Pipelines) {
        return Ok(());
    }
    let mut texts = source.pipelines();
    let (mut runs, mut rows, mut bytes) = (Vec::new(), 0, 0);
    while let Some(text) = texts.try_next().await? {
        let run = serde_json::from_str(&text)
            .map_err(|error| format!("run {}: {}", id_of(&text), unread(&error)))
            .and_then(SourcePipeline::into_run);
        match run {
            Ok(run) => {
                let more = 1 + run.stages.len();
                if rows + more > ROWS_AT_ONCE || bytes + text.len() > BYTES_AT_ONCE {
                    write(target, std::mem::take(&mut runs), balance).await?;
                    (rows, bytes) = (0, 0);
                    progress(balance);
                }
                rows += more;
                bytes += text.len();
                runs.push(run);
            }
            Err(reason) => balance.refuse(|balance| &mut balance.pipelines, reason),
        }
    }
    write(target, runs, balance).await?;
    progress(balance);
    Ok(())
}

async fn write(
    target: &Target,
    runs: Vec<PipelineWithStages>,
    balance: &mut Balance,
) -> Result<(), ImportError> {
    let ids: Vec<PipelineId> = runs.iter().map(|run| run.pipeline.id.clone()).collect();
    let written = halving(runs, async |runs| Ok(target.pipelines.import(runs).await?));
    for (id, is_new) in ids.into_iter().zip(written.await?) {
        match is_new {
            Ok(is_new) => balance.pipelines.add(is_new),
            Err(refused) => {
                let reason = format!("run {id}: {refused}");
                balance.refuse(|balance| &mut balance.pipelines, reason);
            }
        }
    }
    Ok(())
}
