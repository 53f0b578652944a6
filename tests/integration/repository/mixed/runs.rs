//! What application code does with its runs.

use proptest::prelude::*;
use redspan::{
    clock,
    domain::{Pipeline, PipelineId, PipelineStatus, PipelineWithStages, StageStatus},
    store::{
        NewPipeline, NewStage, PageRequest, Patch, PipelineFailure, PipelineFilter,
        RepositoryError, StagePatch,
    },
};
use serde_json::json;

use super::{Played, base};

/// Runs that steps are about: so few that most of the time they are there.
pub const RUNS: u8 = 2;

/// A stage that a run may have.
const STAGES: [&str; 2] = ["mesh", "rig"];

#[derive(Clone, Debug)]
pub enum RunStep {
    /// Run, user, whether with stages.
    Create(u8, u8, bool),
    Progress(u8, i32),
    Status(u8, usize),
    Stage(u8, usize, usize),
    Hide(u8),
    Show(u8),
    /// Every finished one, or none.
    Cleanup(bool),
}

pub fn step() -> impl Strategy<Value = RunStep> {
    let run = || 0..RUNS;
    let status = 0..PipelineStatus::ALL.len();
    prop_oneof![
        5 => (run(), 0..4_u8, any::<bool>())
            .prop_map(|(run, user, stages)| RunStep::Create(run, user, stages)),
        2 => (run(), -1..102).prop_map(|(run, percent)| RunStep::Progress(run, percent)),
        3 => (run(), status).prop_map(|(run, status)| RunStep::Status(run, status)),
        2 => (run(), 0..STAGES.len(), 0..StageStatus::ALL.len())
            .prop_map(|(run, stage, status)| RunStep::Stage(run, stage, status)),
        1 => run().prop_map(RunStep::Hide),
        1 => run().prop_map(RunStep::Show),
        1 => any::<bool>().prop_map(RunStep::Cleanup),
    ]
}

pub fn id(run: u8) -> PipelineId {
    PipelineId::try_from(format!("pipeline-{run}")).unwrap()
}

pub fn new(run: u8, user: u8, with_stages: bool) -> NewPipeline {
    let stages = STAGES.iter().map(|name| NewStage {
        stage_name: (*name).to_owned(),
        ..NewStage::default()
    });
    NewPipeline {
        id: Some(id(run).to_string()),
        user_id: (user > 0).then(|| format!("user {user}")),
        asset_id: Some(format!("asset {run}")),
        config: json!({ "type": "model", "user": format!("user {user}") }),
        stages: stages.filter(|_| with_stages).collect(),
        ..NewPipeline::default()
    }
}

/// What became of a change, the same on both databases.
fn told<T>(changed: Result<Option<T>, RepositoryError>) -> String {
    match changed {
        Ok(Some(_)) => "changed".to_owned(),
        Ok(None) => "nothing there".to_owned(),
        Err(RepositoryError::Refused(refusal)) => format!("refused: {}", refusal.0.field),
        Err(RepositoryError::Invalid(fields)) => format!("invalid: {}", fields[0].field),
        Err(error) => panic!("{error}"),
    }
}

impl Played {
    pub async fn run(&self, step: &RunStep) -> String {
        let runs = self.world.pipelines();
        match *step {
            RunStep::Create(run, user, stages) => {
                // With stages or another user it is another run under the same id.
                told(runs.create(new(run, user, stages), base()).await.map(Some))
            }
            RunStep::Progress(run, percent) => {
                told(runs.update_progress(&id(run), percent, None).await)
            }
            RunStep::Status(run, status) => {
                let status = PipelineStatus::ALL[status];
                let failure = PipelineFailure::default();
                told(runs.update_status(&id(run), status, failure).await)
            }
            RunStep::Stage(run, stage, status) => {
                let patch = StagePatch {
                    status: Patch::Set(StageStatus::ALL[status]),
                    ..StagePatch::default()
                };
                told(runs.update_stage(&id(run), STAGES[stage], patch).await)
            }
            RunStep::Hide(run) => told(runs.delete(&id(run)).await),
            RunStep::Show(run) => told(runs.restore(&id(run)).await),
            RunStep::Cleanup(finished) => {
                let before = if finished { clock::now() } else { base() };
                let deleted = runs.cleanup_old_pipelines(before).await.unwrap();
                format!("deleted {deleted}")
            }
        }
    }

    pub async fn runs(&self) -> Vec<Pipeline> {
        let everything = PipelineFilter {
            include_deleted: true,
            ..PipelineFilter::default()
        };
        let page = PageRequest::first(PageRequest::MAX_LIMIT);
        let runs = self.world.pipelines().find_many(&everything, &page).await;
        runs.unwrap().items
    }

    /// Every run with its stages by id, without what the clock says.
    pub async fn timeless_runs(&self) -> Vec<PipelineWithStages> {
        let mut all = Vec::new();
        for run in self.runs().await {
            let found = self.world.pipelines().find_with_stages(&run.id).await;
            let mut found = found.unwrap().unwrap();
            let run = &mut found.pipeline;
            (run.created_at, run.updated_at, run.state_at) = (base(), base(), base());
            for at in [
                &mut run.started_at,
                &mut run.completed_at,
                &mut run.deleted_at,
            ] {
                *at = at.map(|_| base());
            }
            for stage in &mut found.stages {
                (stage.created_at, stage.updated_at) = (base(), base());
                stage.state_at = base();
                stage.started_at = stage.started_at.map(|_| base());
                stage.completed_at = stage.completed_at.map(|_| base());
                stage.duration = stage.duration.map(|_| 0);
            }
            all.push(found);
        }
        all.sort_by(|one, other| one.pipeline.id.cmp(&other.pipeline.id));
        all
    }
}
