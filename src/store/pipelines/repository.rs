//! `GenerationPipelineRepository`: runs of pipelines for application code and for the parts of the
//! program that face people. Questions go to the store, changes to the one writer.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    domain::{Pipeline, PipelineId, PipelineStatus, PipelineWithStages, Stage, Timestamp},
    store::{
        InvalidField, Page, PageRequest, RepositoryError, WriteError,
        checks::Checks,
        edit::{Editor, ROWS_PER_EDIT},
        repository::valid_page,
    },
};

use super::{
    Created, NewPipeline, NewStage, Patch, PipelineFilter, PipelinePatch, PipelineReader,
    PipelineStatistics, StagePatch,
    edits::{
        CreatePipelines, ImportPipelines, PurgePipelines, SetDeleted, UpdatePipeline, UpdateStage,
    },
    new_pipeline::checked_stage_name,
};

/// Why a run did not end well, for [`GenerationPipelineRepository::update_status`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PipelineFailure {
    /// What went wrong.
    pub error: Option<String>,
    /// In which stage.
    pub error_stage: Option<String>,
    /// More about that.
    pub error_details: Option<Value>,
}

/// Runs of pipelines and their stages.
#[derive(Clone)]
pub struct GenerationPipelineRepository {
    reader: Arc<dyn PipelineReader>,
    editor: Arc<dyn Editor>,
    actor: String,
}

impl GenerationPipelineRepository {
    /// Runs on a page when nobody says how many.
    pub const DEFAULT_LIMIT: u32 = 50;

    /// A repository that asks `reader` and changes through `editor`, in the name of `library`
    /// ([`Self::acting_as`]).
    #[must_use]
    pub fn new(reader: Arc<dyn PipelineReader>, editor: Arc<dyn Editor>) -> Self {
        Self {
            reader,
            editor,
            actor: "library".to_owned(),
        }
    }

    /// The same repository, whose changes are made in this name (`audit_log.actor`).
    #[must_use]
    pub fn acting_as(&self, actor: impl Into<String>) -> Self {
        Self {
            actor: actor.into(),
            ..self.clone()
        }
    }

    /// Creates a run with the stages that it names. Sent again with the same id, it changes nothing.
    ///
    /// # Errors
    /// [`RepositoryError::Invalid`] names each bad field; [`RepositoryError::Refused`] when a run
    /// that was asked to do something else has the id.
    pub async fn create(
        &self,
        new: NewPipeline,
        now: Timestamp,
    ) -> Result<Created, RepositoryError> {
        let mut created = match self.create_many(vec![new], now).await {
            Err(RepositoryError::InvalidItems(items)) => {
                let fields = items.into_iter().map(|(_, field)| field);
                return Err(RepositoryError::Invalid(fields.collect()));
            }
            created => created?,
        };
        let answer = created
            .pop()
            .ok_or_else(|| WriteError::TryAgain("the writer gave no answer".to_owned()))?;
        Ok(answer)
    }

    /// The same with stages of which there are at most 256.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn create_with_stages(
        &self,
        new: NewPipeline,
        stages: Vec<NewStage>,
        now: Timestamp,
    ) -> Result<Created, RepositoryError> {
        self.create(NewPipeline { stages, ..new }, now).await
    }

    /// Creates several runs, all or none of them; answers in their order. Runs and stages are at
    /// most 500 together.
    ///
    /// # Errors
    /// As [`Self::create`], with [`RepositoryError::InvalidItems`] for what is wrong.
    pub async fn create_many(
        &self,
        new: Vec<NewPipeline>,
        now: Timestamp,
    ) -> Result<Vec<Created>, RepositoryError> {
        let rows: usize = new.iter().map(|new| 1 + new.stages.len()).sum();
        if rows > ROWS_PER_EDIT as usize {
            let advice = format!("give at most {ROWS_PER_EDIT} runs and stages at once");
            return Err(invalid("pipelines", format!("{rows} rows"), advice));
        }
        let mut runs = Vec::with_capacity(new.len());
        let mut refused = Vec::new();
        for (index, new) in new.into_iter().enumerate() {
            match new.into_rows(now) {
                Ok(run) => runs.push(run),
                Err(fields) => refused.extend(fields.into_iter().map(|field| (index, field))),
            }
        }
        if !refused.is_empty() {
            return Err(RepositoryError::InvalidItems(refused));
        }
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        self.editor.order(&self.actor, CreatePipelines(runs)).await
    }

    /// Takes over runs that another ledger held, as they are: with their times, and whatever their
    /// status. One that is there already stays as it is; tells for each, in order, whether it is
    /// new. Runs and stages are at most 500 together.
    ///
    /// # Errors
    /// When it cannot be done now.
    pub async fn import(
        &self,
        runs: Vec<PipelineWithStages>,
    ) -> Result<Vec<bool>, RepositoryError> {
        self.editor.order(&self.actor, ImportPipelines(runs)).await
    }

    /// One run, soft-deleted or not.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn find_by_id(&self, id: &PipelineId) -> Result<Option<Pipeline>, RepositoryError> {
        Ok(self.reader.find_pipeline(id).await?)
    }

    /// One run, soft-deleted or not, with its stages in their order.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn find_with_stages(
        &self,
        id: &PipelineId,
    ) -> Result<Option<PipelineWithStages>, RepositoryError> {
        Ok(self.reader.find_pipeline_with_stages(id).await?)
    }

    /// One page of a user's runs in any of the states, or in whatever state when there are none;
    /// newest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn find_by_user_id(
        &self,
        user_id: &str,
        status: &[PipelineStatus],
        page: &PageRequest,
    ) -> Result<Page<Pipeline>, RepositoryError> {
        let filter = PipelineFilter {
            user_id: Some(user_id.to_owned()),
            status: status.to_vec(),
            ..PipelineFilter::default()
        };
        self.find_many(&filter, page).await
    }

    /// One page of the runs in any of the states, newest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn find_by_status(
        &self,
        status: &[PipelineStatus],
        page: &PageRequest,
    ) -> Result<Page<Pipeline>, RepositoryError> {
        if status.is_empty() {
            valid_page(page)?;
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        }
        let filter = PipelineFilter {
            status: status.to_vec(),
            ..PipelineFilter::default()
        };
        self.find_many(&filter, page).await
    }

    /// The newest run that waits for a task at Meshy.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn find_by_meshy_task_id(
        &self,
        meshy_task_id: &str,
    ) -> Result<Option<Pipeline>, RepositoryError> {
        let filter = PipelineFilter {
            meshy_task_id: Some(meshy_task_id.to_owned()),
            ..PipelineFilter::default()
        };
        let found = self.find_many(&filter, &PageRequest::first(1)).await?;
        Ok(found.items.into_iter().next())
    }

    /// One page of the runs that match, newest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn find_many(
        &self,
        filter: &PipelineFilter,
        page: &PageRequest,
    ) -> Result<Page<Pipeline>, RepositoryError> {
        valid_page(page)?;
        Ok(self.reader.find_pipelines(filter, page).await?)
    }

    /// How many runs match.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn count(&self, filter: &PipelineFilter) -> Result<i64, RepositoryError> {
        Ok(self.reader.count_pipelines(filter).await?)
    }

    /// Whether a run has the id, soft-deleted or not.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn exists(&self, id: &PipelineId) -> Result<bool, RepositoryError> {
        Ok(self.find_by_id(id).await?.is_some())
    }

    /// Changes a run; answers with the run as it is then, `None` when there is none. What it says
    /// already changes nothing.
    ///
    /// # Errors
    /// [`RepositoryError::Invalid`] names each bad field; [`RepositoryError::Refused`] when the run
    /// is deleted, or its state does not allow it.
    pub async fn update(
        &self,
        id: &PipelineId,
        patch: PipelinePatch,
    ) -> Result<Option<Pipeline>, RepositoryError> {
        let patch = patch.checked().map_err(RepositoryError::Invalid)?;
        let id = id.clone();
        self.editor
            .order(&self.actor, UpdatePipeline { id, patch })
            .await
    }

    /// Tells how far a run is, 0 to 100, and in which stage when that is given.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub async fn update_progress(
        &self,
        id: &PipelineId,
        progress: i32,
        stage: Option<String>,
    ) -> Result<Option<Pipeline>, RepositoryError> {
        let patch = PipelinePatch {
            progress: Patch::Set(progress),
            current_stage: Patch::set_or_keep(stage),
            ..PipelinePatch::default()
        };
        self.update(id, patch).await
    }

    /// Moves a run on to a status, with why when it failed.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub async fn update_status(
        &self,
        id: &PipelineId,
        status: PipelineStatus,
        failure: PipelineFailure,
    ) -> Result<Option<Pipeline>, RepositoryError> {
        let patch = PipelinePatch {
            status: Patch::Set(status),
            error: Patch::set_or_keep(failure.error),
            error_stage: Patch::set_or_keep(failure.error_stage),
            error_details: Patch::set_or_keep(failure.error_details),
            ..PipelinePatch::default()
        };
        self.update(id, patch).await
    }

    /// Changes a stage, which is added to the run if it is not there; answers with the stage as it
    /// is then, `None` when there is no such run.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub async fn update_stage(
        &self,
        pipeline_id: &PipelineId,
        stage_name: &str,
        patch: StagePatch,
    ) -> Result<Option<Stage>, RepositoryError> {
        let mut checks = Checks::default();
        let edit = UpdateStage {
            id: pipeline_id.clone(),
            stage_name: checked_stage_name(&mut checks, stage_name.to_owned()),
            patch: patch.checked().unwrap_or_else(|fields| {
                checks.invalid.extend(fields);
                StagePatch::default()
            }),
        };
        if !checks.invalid.is_empty() {
            return Err(RepositoryError::Invalid(checks.invalid));
        }
        self.editor.order(&self.actor, edit).await
    }

    /// One page of the runs that had expired by then, longest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn find_expired(
        &self,
        now: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<Pipeline>, RepositoryError> {
        valid_page(page)?;
        Ok(self.reader.find_expired_pipelines(now, page).await?)
    }

    /// One page of the runs that are not finished and have not changed since then, longest silent
    /// first. One that changes while pages are read is not among them any more; all others are read
    /// once.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn find_stuck(
        &self,
        older_than: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<Pipeline>, RepositoryError> {
        valid_page(page)?;
        Ok(self.reader.find_stuck_pipelines(older_than, page).await?)
    }

    /// Hides a run: only its id, and filters that ask for deleted ones, still find it. Answers with
    /// the run, `None` when there is none.
    ///
    /// # Errors
    /// When the database cannot do it now.
    pub async fn delete(&self, id: &PipelineId) -> Result<Option<Pipeline>, RepositoryError> {
        self.set_deleted(id, true).await
    }

    /// Shows a run again. Answers with the run, `None` when there is none.
    ///
    /// # Errors
    /// When the database cannot do it now.
    pub async fn restore(&self, id: &PipelineId) -> Result<Option<Pipeline>, RepositoryError> {
        self.set_deleted(id, false).await
    }

    async fn set_deleted(
        &self,
        id: &PipelineId,
        is_deleted: bool,
    ) -> Result<Option<Pipeline>, RepositoryError> {
        let id = id.clone();
        self.editor
            .order(&self.actor, SetDeleted { id, is_deleted })
            .await
    }

    /// Deletes for good the runs that were finished before an instant, with their stages, soft-deleted
    /// ones too; answers how many. Others write between its steps.
    ///
    /// # Errors
    /// When the database cannot do it now. What was deleted until then stays deleted.
    pub async fn cleanup_old_pipelines(
        &self,
        older_than: Timestamp,
    ) -> Result<u64, RepositoryError> {
        let mut deleted = 0;
        loop {
            let step = self.cleanup_step(older_than).await?;
            deleted += step;
            if step < u64::from(ROWS_PER_EDIT) {
                return Ok(deleted);
            }
        }
    }

    /// One step of [`Self::cleanup_old_pipelines`]: at most 500 runs, for whoever shows how far it
    /// is. Fewer than these: none are left.
    ///
    /// # Errors
    /// When the database cannot do it now.
    pub async fn cleanup_step(&self, older_than: Timestamp) -> Result<u64, RepositoryError> {
        self.editor
            .order(&self.actor, PurgePipelines { older_than })
            .await
    }

    /// Figures over the runs that match and over their stages, computed by the database.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn get_statistics(
        &self,
        filter: &PipelineFilter,
        now: Timestamp,
    ) -> Result<PipelineStatistics, RepositoryError> {
        Ok(self.reader.get_pipeline_statistics(filter, now).await?)
    }
}

fn invalid(field: &'static str, value: String, advice: String) -> RepositoryError {
    RepositoryError::Invalid(vec![InvalidField {
        field: field.into(),
        value,
        advice,
    }])
}
