//! Runs of pipelines and their stages: what can be asked and changed, the changes themselves, and
//! the repository in front of them. How runs are read stands with the other readers.

mod edits;
mod failures;
mod figures;
mod filter;
mod held;
mod merge_runs;
mod new_pipeline;
mod patch;
mod repository;
mod rows;
mod statistics;

pub use edits::Created;
pub use figures::{EndedInWindow, RunFigures, WINDOWS};
pub use filter::PipelineFilter;
pub use merge_runs::MergeRuns;
pub use new_pipeline::{NewPipeline, NewStage};
pub use patch::{Patch, PipelinePatch, StagePatch};
pub use repository::{GenerationPipelineRepository, PipelineFailure};
pub use statistics::{GroupedRuns, PipelineStatistics, RunStatistics, RunsBy, StageStatistics};

use async_trait::async_trait;

use crate::domain::{Pipeline, PipelineId, PipelineWithStages, Timestamp};

use super::{Page, PageRequest, StoreError};

/// A longer error is refused: no column says that it was cut.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Stages that a run has at most.
const MAX_STAGES: usize = 256;

/// What can be asked about runs. Every method keeps within the time limit of its reader.
#[async_trait]
pub trait PipelineReader: Send + Sync + 'static {
    /// One page of runs, newest first.
    async fn find_pipelines(
        &self,
        filter: &PipelineFilter,
        page: &PageRequest,
    ) -> Result<Page<Pipeline>, StoreError>;

    /// How many runs match.
    async fn count_pipelines(&self, filter: &PipelineFilter) -> Result<i64, StoreError>;

    /// One run, soft-deleted or not.
    async fn find_pipeline(&self, id: &PipelineId) -> Result<Option<Pipeline>, StoreError>;

    /// One run, soft-deleted or not, with its stages.
    async fn find_pipeline_with_stages(
        &self,
        id: &PipelineId,
    ) -> Result<Option<PipelineWithStages>, StoreError>;

    /// One page of runs whose results are of no use any more, longest expired first.
    async fn find_expired_pipelines(
        &self,
        now: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<Pipeline>, StoreError>;

    /// One page of runs that are not finished and have not changed since, longest silent first.
    async fn find_stuck_pipelines(
        &self,
        older_than: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<Pipeline>, StoreError>;

    /// Figures over the runs that match and over their stages, computed by the database.
    async fn get_pipeline_statistics(
        &self,
        filter: &PipelineFilter,
        now: Timestamp,
    ) -> Result<PipelineStatistics, StoreError>;

    /// The same by name or user: the 100 groups with the most runs, in that order. Without `from`,
    /// over what was created in the 7 days before `to`, or before now.
    async fn get_grouped_runs(
        &self,
        filter: &PipelineFilter,
        by: RunsBy,
        now: Timestamp,
    ) -> Result<Vec<GroupedRuns>, StoreError>;

    /// Figures over all runs, from indexes alone, for /metrics.
    async fn get_run_figures(&self, now: Timestamp) -> Result<RunFigures, StoreError>;
}
