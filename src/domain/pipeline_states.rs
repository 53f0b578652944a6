//! The rules of runs and stages: a status only goes forward, and what is finished stays as it ended.

use super::{Pipeline, PipelineStatus, Stage, StageStatus, StatusBy, Timestamp};

/// The progress of what is done.
pub(super) const DONE: i32 = 100;

/// Why a run or a stage stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateConflict {
    /// A status never goes back, and what is finished stays as it ended.
    #[error("it is {from} and cannot become {to}")]
    Status {
        /// Where it stands.
        from: &'static str,
        /// What was asked for.
        to: &'static str,
    },
    /// What says how far it is belongs to its end.
    #[error("it is {status}: its {field} cannot change any more")]
    Finished {
        /// How it ended.
        status: &'static str,
        /// What was to change, as JSON calls it.
        field: &'static str,
    },
}

impl StateConflict {
    /// The field that was to change, as JSON calls it.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Finished { field, .. } => field,
        }
    }
}

impl PipelineStatus {
    /// Whether a run in this state is over.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Whether a run in this state may go on to that one: forward only, and it may end before it
    /// ever was at work.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Initializing => !matches!(next, Self::Initializing),
            Self::Processing => next.is_finished(),
            Self::Completed | Self::Failed | Self::Cancelled => false,
        }
    }
}

impl StageStatus {
    /// Whether a stage in this state is over.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Skipped)
    }

    /// Whether a stage in this state may go on to that one: forward only, and it may end before
    /// it ever was at work.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Pending => !matches!(next, Self::Pending),
            Self::Processing => next.is_finished(),
            Self::Completed | Self::Failed | Self::Skipped => false,
        }
    }
}

impl Pipeline {
    /// Goes on to a status that application code says it took at this time. The one that it has
    /// changes nothing but who said so. An end that only spans told may become another end.
    ///
    /// # Errors
    /// When that would be a step back; nothing is changed then.
    pub fn change_status(
        &mut self,
        status: PipelineStatus,
        at: Timestamp,
    ) -> Result<(), StateConflict> {
        let was_told = self.status_by == StatusBy::Spans;
        if status == self.status {
            self.status_by = StatusBy::Api;
            return Ok(());
        }
        let is_corrected = was_told && self.status.is_finished() && status.is_finished();
        if !self.status.may_become(status) && !is_corrected {
            return Err(StateConflict::Status {
                from: self.status.as_str(),
                to: status.as_str(),
            });
        }
        self.status = status;
        self.status_by = StatusBy::Api;
        self.state_at = at;
        if status == PipelineStatus::Processing {
            self.started_at.get_or_insert(at);
        }
        if status.is_finished() {
            self.completed_at = Some(not_before(self.started_at, at));
        }
        if status == PipelineStatus::Completed {
            self.progress = DONE;
        }
        Ok(())
    }

    /// Tells how far it is, and in which stage. What it says already changes nothing.
    ///
    /// # Errors
    /// When it is finished; nothing is changed then.
    pub fn change_progress(
        &mut self,
        progress: i32,
        current_stage: Option<String>,
    ) -> Result<(), StateConflict> {
        let field = if progress != self.progress {
            "progress"
        } else if current_stage != self.current_stage {
            "currentStage"
        } else {
            return Ok(());
        };
        if self.status.is_finished() {
            return Err(StateConflict::Finished {
                status: self.status.as_str(),
                field,
            });
        }
        self.progress = progress;
        self.current_stage = current_stage;
        Ok(())
    }
}

impl Stage {
    /// Goes on to a status as a run does.
    ///
    /// # Errors
    /// When that would be a step back; nothing is changed then.
    pub fn change_status(
        &mut self,
        status: StageStatus,
        at: Timestamp,
    ) -> Result<(), StateConflict> {
        let was_told = self.status_by == StatusBy::Spans;
        if status == self.status {
            self.status_by = StatusBy::Api;
            return Ok(());
        }
        let is_corrected = was_told && self.status.is_finished() && status.is_finished();
        if !self.status.may_become(status) && !is_corrected {
            return Err(StateConflict::Status {
                from: self.status.as_str(),
                to: status.as_str(),
            });
        }
        self.status = status;
        self.status_by = StatusBy::Api;
        self.state_at = at;
        if status == StageStatus::Processing {
            self.started_at.get_or_insert(at);
        }
        if status.is_finished() {
            let completed_at = not_before(self.started_at, at);
            self.completed_at = Some(completed_at);
            self.duration = self
                .started_at
                .map(|started_at| (completed_at.as_micros() - started_at.as_micros()) / 1_000);
        }
        if status == StageStatus::Completed {
            self.progress = DONE;
        }
        Ok(())
    }

    /// Tells how far it is. What it says already changes nothing.
    ///
    /// # Errors
    /// When it is finished; nothing is changed then.
    pub fn change_progress(&mut self, progress: i32) -> Result<(), StateConflict> {
        if progress == self.progress {
            return Ok(());
        }
        if self.status.is_finished() {
            return Err(StateConflict::Finished {
                status: self.status.as_str(),
                field: "progress",
            });
        }
        self.progress = progress;
        Ok(())
    }
}

/// Whether a number can be a progress.
#[must_use]
pub fn is_progress(number: i32) -> bool {
    (0..=DONE).contains(&number)
}

/// Clocks differ between replicas; an end before its beginning would be a negative duration.
fn not_before(started_at: Option<Timestamp>, at: Timestamp) -> Timestamp {
    started_at.map_or(at, |started_at| at.max(started_at))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn pipeline() -> Pipeline {
        Pipeline {
            id: "pipeline-123".parse().unwrap(),
            user_id: None,
            asset_id: None,
            config: json!({}),
            status: PipelineStatus::Initializing,
            status_by: StatusBy::Api,
            progress: 0,
            current_stage: None,
            error: None,
            error_stage: None,
            error_details: None,
            results: json!({}),
            meshy_task_id: None,
            rigging_task_id: None,
            created_at: NOW,
            started_at: None,
            completed_at: None,
            updated_at: NOW,
            expires_at: None,
            name: None,
            service_name: "unknown_service".to_owned(),
            trace_id: None,
            state_at: NOW,
            deleted_at: None,
        }
    }

    fn stage() -> Stage {
        Stage {
            pipeline_id: "pipeline-123".parse().unwrap(),
            id: "mesh".to_owned(),
            stage_name: "mesh".to_owned(),
            stage_order: 0,
            status: StageStatus::Pending,
            status_by: StatusBy::Api,
            progress: 0,
            result: None,
            error: None,
            error_details: None,
            started_at: None,
            completed_at: None,
            duration: None,
            state_at: NOW,
            created_at: NOW,
            updated_at: NOW,
        }
    }

    #[test]
    fn a_run_goes_forward_and_no_other_way() {
        use PipelineStatus::{Cancelled, Completed, Failed, Initializing, Processing};
        let allowed = [
            (Initializing, Processing),
            (Initializing, Completed),
            (Initializing, Failed),
            (Initializing, Cancelled),
            (Processing, Completed),
            (Processing, Failed),
            (Processing, Cancelled),
        ];
        for &from in PipelineStatus::ALL {
            for &to in PipelineStatus::ALL {
                let before = Pipeline {
                    status: from,
                    ..pipeline()
                };
                let mut after = before.clone();
                let changed = after.change_status(to, NOW.plus_seconds(1));
                if from == to {
                    assert_eq!((changed, after), (Ok(()), before));
                } else if allowed.contains(&(from, to)) {
                    assert_eq!(changed, Ok(()));
                    assert_eq!((after.status, after.state_at), (to, NOW.plus_seconds(1)));
                } else {
                    let conflict = changed.unwrap_err();
                    assert_eq!(
                        conflict.to_string(),
                        format!("it is {from} and cannot become {to}")
                    );
                    assert_eq!((conflict.field(), after), ("status", before));
                }
            }
        }
    }

    #[test]
    fn a_stage_goes_forward_and_no_other_way() {
        use StageStatus::{Completed, Failed, Pending, Processing, Skipped};
        let allowed = [
            (Pending, Processing),
            (Pending, Completed),
            (Pending, Failed),
            (Pending, Skipped),
            (Processing, Completed),
            (Processing, Failed),
            (Processing, Skipped),
        ];
        for &from in StageStatus::ALL {
            for &to in StageStatus::ALL {
                let before = Stage {
                    status: from,
                    ..stage()
                };
                let mut after = before.clone();
                let changed = after.change_status(to, NOW);
                assert_eq!(
                    changed.is_ok(),
                    from == to || allowed.contains(&(from, to)),
                    "{from} to {to}"
                );
                if from == to || changed.is_err() {
                    assert_eq!(after, before);
                } else {
                    assert_eq!(after.status, to);
                }
            }
        }
    }

    #[test]
    fn a_run_has_its_times_by_its_first_work_and_its_end() {
        let mut run = pipeline();
        run.change_status(PipelineStatus::Processing, NOW.plus_seconds(1))
            .unwrap();
        assert_eq!(
            (run.started_at, run.completed_at),
            (Some(NOW.plus_seconds(1)), None)
        );
        run.change_progress(40, Some("mesh".to_owned())).unwrap();
        run.change_status(PipelineStatus::Completed, NOW.plus_seconds(9))
            .unwrap();
        assert_eq!(run.started_at, Some(NOW.plus_seconds(1)));
        assert_eq!(run.completed_at, Some(NOW.plus_seconds(9)));
        assert_eq!((run.progress, run.state_at), (100, NOW.plus_seconds(9)));

        for status in [PipelineStatus::Failed, PipelineStatus::Cancelled] {
            let mut run = pipeline();
            run.change_progress(40, None).unwrap();
            run.change_status(status, NOW.plus_seconds(9)).unwrap();
            assert_eq!(
                (run.started_at, run.completed_at),
                (None, Some(NOW.plus_seconds(9)))
            );
            assert_eq!(run.progress, 40);
        }
    }

    #[test]
    fn a_stage_tells_how_long_it_took_and_never_a_negative_time() {
        for (seconds, duration) in [(2, 2_000), (-2, 0)] {
            let mut stage = stage();
            stage.change_status(StageStatus::Processing, NOW).unwrap();
            let end = NOW.plus_seconds(seconds);
            stage.change_status(StageStatus::Completed, end).unwrap();
            assert_eq!(stage.completed_at, Some(end.max(NOW)));
            assert_eq!((stage.duration, stage.progress), (Some(duration), 100));
        }
        let mut stage = stage();
        stage.change_status(StageStatus::Skipped, NOW).unwrap();
        assert_eq!(stage.completed_at, Some(NOW));
        assert_eq!((stage.duration, stage.progress), (None, 0));
    }

    #[test]
    fn how_far_a_finished_run_was_stays() {
        let mut run = pipeline();
        run.change_progress(40, Some("mesh".to_owned())).unwrap();
        run.change_status(PipelineStatus::Failed, NOW).unwrap();
        let before = run.clone();
        for (progress, stage, field) in [(41, "mesh", "progress"), (40, "rig", "currentStage")] {
            let conflict = run
                .change_progress(progress, Some(stage.to_owned()))
                .unwrap_err();
            assert_eq!(conflict.field(), field);
        }
        run.change_progress(40, Some("mesh".to_owned())).unwrap();
        assert_eq!(run, before);

        let mut stage = stage();
        stage.change_status(StageStatus::Completed, NOW).unwrap();
        assert_eq!(stage.change_progress(99).unwrap_err().field(), "progress");
        assert_eq!(stage.change_progress(100), Ok(()));
    }

    #[test]
    fn only_a_percentage_is_a_progress() {
        assert!(is_progress(0) && is_progress(100));
        assert!(!is_progress(-1) && !is_progress(101));
    }
}
