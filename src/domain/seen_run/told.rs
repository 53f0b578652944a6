//! The rows that spans alone make of a run and its stages: what they said, and nothing else, decides
//! what stands there.

use serde_json::{Value, json};

use crate::domain::{
    Pipeline, PipelineId, PipelineStatus, PipelineWithStages, RunFacts, Said, Stage, StageStatus,
    StatusBy, Timestamp,
    course::{Course, Taken},
    pipeline_states::DONE,
};

/// The service of a run of which none is known.
const UNKNOWN_SERVICE: &str = "unknown_service";

impl RunFacts {
    /// The rows of a run that nothing else is known of. `now` stands for times that nobody told.
    pub(super) fn rows(&self, id: &PipelineId, now: Timestamp) -> PipelineWithStages {
        let created_at = self.seen_at.unwrap_or(now);
        let last = self.course.last.as_ref();
        // A run of which only parts were seen is at work.
        let status = last.map_or(PipelineStatus::Processing, |last| last.status);
        let state_at = last.and_then(|last| last.at).unwrap_or(created_at);
        let stages = self.stages_in_order();
        let failed_stage = self.failed_stage();
        let failure = (status == PipelineStatus::Failed).then_some((last, failed_stage));
        let pipeline = Pipeline {
            id: id.clone(),
            user_id: value(self.user_id.as_ref()),
            asset_id: value(self.asset_id.as_ref()),
            config: json!({}),
            status,
            status_by: StatusBy::Spans,
            progress: match (status, self.progress) {
                (PipelineStatus::Completed, _) => DONE,
                (_, Some((_, progress))) => progress,
                (_, None) => 0,
            },
            current_stage: stages.last().map(|(name, _)| (*name).to_owned()),
            error: failure.and_then(|(run, stage)| {
                let of_run = run.and_then(|run| run.error.clone());
                of_run.or_else(|| stage.and_then(|(_, stage)| stage.error.clone()))
            }),
            error_stage: failure.and_then(|(_, stage)| stage.map(|(name, _)| name.to_owned())),
            error_details: failure.and_then(|(run, stage)| {
                let of_stage = stage.and_then(|(_, stage)| details(stage));
                of_stage.or_else(|| run.and_then(details))
            }),
            results: json!({}),
            meshy_task_id: value(self.meshy_task_id.as_ref()),
            rigging_task_id: value(self.rigging_task_id.as_ref()),
            created_at,
            started_at: (status != PipelineStatus::Initializing).then_some(created_at),
            completed_at: status.is_finished().then(|| state_at.max(created_at)),
            updated_at: now,
            expires_at: None,
            name: value(self.name.as_ref()),
            service_name: value(self.service_name.as_ref())
                .unwrap_or_else(|| UNKNOWN_SERVICE.to_owned()),
            trace_id: value(self.trace_id.as_ref()),
            state_at,
            deleted_at: None,
        };
        let stages = (0..).zip(stages);
        let stages =
            stages.map(|(place, (name, course))| stage_row(&pipeline, name, course, place));
        PipelineWithStages {
            stages: stages.collect(),
            pipeline,
        }
    }
}

fn stage_row(run: &Pipeline, name: &str, course: &Course<StageStatus>, place: i32) -> Stage {
    let last = course.last.as_ref();
    let created_at = course.started_at.unwrap_or(run.created_at);
    let status = last.map_or(StageStatus::Processing, |last| last.status);
    let started_at = course.started_at.filter(|_| status != StageStatus::Pending);
    let at = last.and_then(|last| last.at);
    let ended_at = at.filter(|_| status.is_finished());
    // One that ends before it starts took no time.
    let completed_at = ended_at.map(|at| started_at.map_or(at, |started_at| at.max(started_at)));
    Stage {
        pipeline_id: run.id.clone(),
        id: name.to_owned(),
        stage_name: name.to_owned(),
        stage_order: place,
        status,
        status_by: StatusBy::Spans,
        progress: if status == StageStatus::Completed {
            DONE
        } else {
            0
        },
        result: None,
        error: last.and_then(|last| last.error.clone()),
        error_details: last.and_then(details),
        started_at,
        completed_at,
        duration: milliseconds(started_at, completed_at),
        state_at: at.unwrap_or(created_at),
        created_at,
        updated_at: run.updated_at,
    }
}

/// How long something took of which both ends are known.
pub(super) fn milliseconds(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<i64> {
    let (from, to) = from.zip(to)?;
    Some((to.as_micros() - from.as_micros()) / 1_000)
}

fn value<T: Clone>(said: Option<&Said<T>>) -> Option<T> {
    said.map(|said| said.value.clone())
}

/// What leads to the row of a failure.
fn details<S>(taken: &Taken<S>) -> Option<Value> {
    let id = taken.error_id?;
    Some(json!({"errorId": id}))
}
