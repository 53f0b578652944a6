//! How what spans tell is laid over the rows that application code wrote.

use crate::domain::{
    Pipeline, PipelineStatus, Stage, StageStatus, StatusBy, Timestamp, course::Status,
    pipeline_states::DONE,
};

use super::{
    fields::{RunField, StageField, Written},
    told::milliseconds,
};

impl<S: Status, F: Ord> Written<S, F> {
    /// The state that application code wrote, unless what spans tell counts: that something began is
    /// more than that it was made, an end is more than work, and else the later counts. An end that
    /// application code wrote stays.
    pub(super) fn kept(&self, told: (S, Timestamp), made: S) -> Option<(S, Timestamp)> {
        self.state.filter(|state| {
            state.0.is_finished()
                || !told.0.is_finished()
                    && (told.0 == made || (state.0 != made && told.1 <= state.1))
        })
    }
}

/// Brings a run up to what spans tell.
pub(super) fn lay_over_run(
    run: &mut Pipeline,
    told: &Pipeline,
    written: &Written<PipelineStatus, RunField>,
) {
    let kept = written.kept((told.status, told.state_at), PipelineStatus::Initializing);
    let is_settled = kept.is_some_and(|(status, _)| status.is_finished());
    if let Some((status, state_at)) = kept {
        (run.status, run.status_by, run.state_at) = (status, StatusBy::Api, state_at);
    } else {
        (run.status, run.status_by, run.state_at) = (told.status, told.status_by, told.state_at);
    }
    let written = &written.fields;
    for field in RunField::ALL {
        let stays = written.contains(field) || (is_settled && field.is_of_outcome());
        if !stays {
            field.copy(told, run);
        }
    }
    if run.status == PipelineStatus::Completed {
        run.progress = DONE;
    }
    if is_settled {
        if !written.contains(&RunField::StartedAt) {
            run.started_at = not_after(run.started_at, run.completed_at);
        }
    } else {
        let completed_at = told.completed_at.filter(|_| run.status.is_finished());
        run.completed_at = not_before(completed_at, run.started_at);
    }
}

/// Brings a stage up to what spans tell; its place follows from all of the run's.
pub(super) fn lay_over_stage(
    stage: &mut Stage,
    told: &Stage,
    written: Option<&Written<StageStatus, StageField>>,
) {
    let before = stage.clone();
    let nothing = Written::default();
    let written = written.unwrap_or(&nothing);
    let kept = written.kept((told.status, told.state_at), StageStatus::Pending);
    let is_settled = kept.is_some_and(|(status, _)| status.is_finished());
    if let Some((status, state_at)) = kept {
        (stage.status, stage.status_by, stage.state_at) = (status, StatusBy::Api, state_at);
    } else {
        (stage.status, stage.status_by, stage.state_at) =
            (told.status, told.status_by, told.state_at);
    }
    let written = &written.fields;
    for field in StageField::ALL {
        let is_placed_below = *field == StageField::StageOrder;
        let stays = written.contains(field) || (is_settled && field.is_of_outcome());
        if !stays && !is_placed_below {
            field.copy(told, stage);
        }
    }
    if stage.status == StageStatus::Completed {
        stage.progress = DONE;
    }
    if is_settled {
        if !written.contains(&StageField::StartedAt) {
            stage.started_at = not_after(stage.started_at, stage.completed_at);
        }
    } else {
        let completed_at = told.completed_at.filter(|_| stage.status.is_finished());
        stage.completed_at = not_before(completed_at, stage.started_at);
    }
    if !written.contains(&StageField::Duration) {
        stage.duration = milliseconds(stage.started_at, stage.completed_at);
    }
    if *stage != before {
        stage.updated_at = told.updated_at;
    }
}

/// A beginning, at the end if it is said to be after it.
fn not_after(start: Option<Timestamp>, end: Option<Timestamp>) -> Option<Timestamp> {
    start.map(|start| end.map_or(start, |end| start.min(end)))
}

/// An end, at the beginning if it is said to be before it.
fn not_before(end: Option<Timestamp>, start: Option<Timestamp>) -> Option<Timestamp> {
    end.map(|end| start.map_or(end, |start| end.max(start)))
}
