//! `/api/v1/pipelines`: runs of pipelines and their stages.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, StatusCode, Uri, header},
    response::Response,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    WebState,
    actor::Actor,
    api::to_the_end,
    body::{NoFields, Nothing, Sent, read_part},
    path::{InPath, InPathTwo, StageName},
    problem::{FieldProblem, Problem},
    query::{Asked, List, Listing, PageQuery},
};
use crate::{
    clock,
    domain::{Pipeline, PipelineId, PipelineStatus, PipelineWithStages, Stage, Timestamp},
    store::{
        Created, GenerationPipelineRepository, NewPipeline, PipelineFailure, PipelineFilter,
        PipelinePatch, PipelineStatistics, StagePatch,
    },
};

/// Runs that are created together at most.
const MAX_BATCH: usize = 500;

/// Runs on a page when nobody says how many.
const LIMIT: u32 = GenerationPipelineRepository::DEFAULT_LIMIT;

/// Runs, newest first.
#[utoipa::path(
    get, path = "/api/v1/pipelines", tag = "pipelines", params(PipelineFilter, PageQuery),
    responses((status = 200, description = "One page of them.", body = List<Pipeline>)),
)]
pub(super) async fn list(
    State(state): State<WebState>,
    asked: Listing<PipelineFilter, LIMIT>,
) -> Result<Json<List<Pipeline>>, Problem> {
    let pipelines = &state.api.pipelines;
    let page = pipelines.find_many(&asked.filter, &asked.page);
    let count = pipelines.count(&asked.filter);
    Ok(Json(asked.answer(page, count).await?))
}

/// Creates a run with its stages. With an `id` of the caller's it may be sent again: it is created
/// once.
#[utoipa::path(
    post, path = "/api/v1/pipelines", tag = "pipelines", request_body = NewPipeline,
    responses(
        (
            status = 201, description = "Created: the run.", body = PipelineWithStages,
            headers(("Location" = String, description = "Where the run is.")),
        ),
        (status = 200, description = "It was there already: as it is.", body = PipelineWithStages),
        (
            status = 409, description = "Another run has the id, or it was deleted.",
            body = Problem, content_type = "application/problem+json",
        ),
    ),
)]
pub(super) async fn create(
    State(state): State<WebState>,
    Actor(actor): Actor,
    Sent(new): Sent<NewPipeline>,
) -> Result<
    (
        StatusCode,
        [(HeaderName, String); 1],
        Json<PipelineWithStages>,
    ),
    Problem,
> {
    let pipelines = state.api.pipelines.acting_as(actor);
    let Created { pipeline, is_new } = pipelines.create(new, clock::now()).await?;
    let id = pipeline.pipeline.id.as_str();
    let id: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
    // A space is `+` in a query only.
    let location = format!("/api/v1/pipelines/{}", id.replace('+', "%20"));
    Ok((
        created_if(is_new),
        [(header::LOCATION, location)],
        Json(pipeline),
    ))
}

/// Runs to be created together.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct NewPipelines {
    /// At most 500, with all their stages.
    #[schema(value_type = Vec<NewPipeline>, required, min_items = 1, max_items = 500)]
    pipelines: Vec<Value>,
}

/// What became of runs that were created together.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedPipelines {
    /// In the order of the runs.
    items: Vec<CreatedPipeline>,
}

/// What became of one of them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CreatedPipeline {
    /// Whether it was created now; otherwise its id was there already.
    is_new: bool,
    /// The run as it is.
    pipeline: PipelineWithStages,
}

/// Creates several runs, all of them or none.
#[utoipa::path(
    post, path = "/api/v1/pipelines/batch", tag = "pipelines", request_body = NewPipelines,
    responses(
        (status = 201, description = "Created, at least one of them.", body = CreatedPipelines),
        (status = 200, description = "All of them were there already.", body = CreatedPipelines),
        (
            status = 409, description = "Another run has one of the ids, or it was deleted.",
            body = Problem, content_type = "application/problem+json",
        ),
    ),
)]
pub(super) async fn create_batch(
    State(state): State<WebState>,
    Actor(actor): Actor,
    Sent(sent): Sent<NewPipelines>,
) -> Result<(StatusCode, Json<CreatedPipelines>), Problem> {
    let number = sent.pipelines.len();
    if !(1..=MAX_BATCH).contains(&number) {
        let advice = format!("give 1 to {MAX_BATCH} runs");
        let value = format!("{number} runs");
        return Err(vec![FieldProblem::new("pipelines", Some(&value), advice)].into());
    }
    let mut new = Vec::with_capacity(number);
    let mut mistakes = Vec::new();
    for (index, pipeline) in sent.pipelines.into_iter().enumerate() {
        match read_part(pipeline, &format!("pipelines[{index}]")) {
            Ok(pipeline) => new.push(pipeline),
            Err(wrong) => mistakes.extend(wrong),
        }
    }
    if !mistakes.is_empty() {
        return Err(mistakes.into());
    }
    let pipelines = state.api.pipelines.acting_as(actor);
    let created = pipelines.create_many(new, clock::now()).await;
    let created = created.map_err(|error| Problem::of_items("pipelines", error))?;
    let items: Vec<CreatedPipeline> = (created.into_iter())
        .map(|Created { pipeline, is_new }| CreatedPipeline { is_new, pipeline })
        .collect();
    let is_new = items.iter().any(|item| item.is_new);
    Ok((created_if(is_new), Json(CreatedPipelines { items })))
}

/// One run with its stages, soft-deleted or not.
#[utoipa::path(
    get, path = "/api/v1/pipelines/{id}", tag = "pipelines",
    params(("id" = PipelineId, Path, description = "The run's id.")),
    responses((status = 200, description = "The run.", body = PipelineWithStages)),
)]
pub(super) async fn show(
    State(state): State<WebState>,
    InPath(id): InPath<PipelineId>,
) -> Result<Json<PipelineWithStages>, Problem> {
    let found = state.api.pipelines.find_with_stages(&id).await?;
    found_or_not(&id, found)
}

/// Changes a run: what is absent stays, what is null is cleared.
///
/// A status only goes forward, and what says how far a finished run came stays.
#[utoipa::path(
    patch, path = "/api/v1/pipelines/{id}", tag = "pipelines", request_body = PipelinePatch,
    params(("id" = PipelineId, Path, description = "The run's id.")),
    responses(
        (status = 200, description = "The run as it is now.", body = Pipeline),
        (
            status = 409, description = "Its state does not allow it, or it was deleted.",
            body = Problem, content_type = "application/problem+json",
        ),
    ),
)]
pub(super) async fn change(
    State(state): State<WebState>,
    Actor(actor): Actor,
    InPath(id): InPath<PipelineId>,
    Sent(patch): Sent<PipelinePatch>,
) -> Result<Json<Pipeline>, Problem> {
    let pipelines = state.api.pipelines.acting_as(actor);
    found_or_not(&id, pipelines.update(&id, patch).await?)
}

/// How far a run is.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ProgressOfPipeline {
    /// In percent.
    #[schema(value_type = i32, required, minimum = 0, maximum = 100)]
    progress: Option<i32>,
    /// The stage that it is in; the one before when absent.
    #[schema(pattern = "line", max_length = 100)]
    stage: Option<String>,
}

/// Tells how far a run is.
#[utoipa::path(
    post, path = "/api/v1/pipelines/{id}/progress", tag = "pipelines",
    request_body = ProgressOfPipeline,
    params(("id" = PipelineId, Path, description = "The run's id.")),
    responses(
        (status = 200, description = "The run as it is now.", body = Pipeline),
        (
            status = 409, description = "It is finished, or was deleted.",
            body = Problem, content_type = "application/problem+json",
        ),
    ),
)]
pub(super) async fn change_progress(
    State(state): State<WebState>,
    Actor(actor): Actor,
    InPath(id): InPath<PipelineId>,
    Sent(sent): Sent<ProgressOfPipeline>,
) -> Result<Json<Pipeline>, Problem> {
    let progress = required("progress", sent.progress, "give 0 to 100")?;
    let pipelines = state.api.pipelines.acting_as(actor);
    let changed = pipelines.update_progress(&id, progress, sent.stage).await?;
    found_or_not(&id, changed)
}

/// Where a run stands.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct StatusOfPipeline {
    /// Its status from now on.
    #[schema(value_type = PipelineStatus, required)]
    status: Option<PipelineStatus>,
    /// Why it failed, at most 64 KiB.
    #[schema(max_length = 65_536)]
    error: Option<String>,
    /// In which stage.
    #[schema(pattern = "line", max_length = 100)]
    error_stage: Option<String>,
    /// More about that.
    error_details: Option<Value>,
}

/// Moves a run on.
#[utoipa::path(
    post, path = "/api/v1/pipelines/{id}/status", tag = "pipelines",
    request_body = StatusOfPipeline,
    params(("id" = PipelineId, Path, description = "The run's id.")),
    responses(
        (status = 200, description = "The run as it is now.", body = Pipeline),
        (
            status = 409, description = "That would be a step back, or it was deleted.",
            body = Problem, content_type = "application/problem+json",
        ),
    ),
)]
pub(super) async fn change_status(
    State(state): State<WebState>,
    Actor(actor): Actor,
    InPath(id): InPath<PipelineId>,
    Sent(sent): Sent<StatusOfPipeline>,
) -> Result<Json<Pipeline>, Problem> {
    let advice = "give the status from now on";
    let status = required("status", sent.status, advice)?;
    let failure = PipelineFailure {
        error: sent.error,
        error_stage: sent.error_stage,
        error_details: sent.error_details,
    };
    let pipelines = state.api.pipelines.acting_as(actor);
    found_or_not(&id, pipelines.update_status(&id, status, failure).await?)
}

/// Changes a stage of a run, which is added if it is not there: what is absent stays, what is null
/// is cleared.
#[utoipa::path(
    put, path = "/api/v1/pipelines/{id}/stages/{stageName}", tag = "pipelines",
    request_body = StagePatch,
    params(
        ("id" = PipelineId, Path, description = "The run's id."),
        ("stageName" = StageName, Path, description = "The stage's name."),
    ),
    responses(
        (status = 200, description = "The stage as it is now.", body = Stage),
        (
            status = 409, description = "Its state does not allow it, or the run was deleted.",
            body = Problem, content_type = "application/problem+json",
        ),
    ),
)]
pub(super) async fn change_stage(
    State(state): State<WebState>,
    Actor(actor): Actor,
    InPathTwo(id, StageName(stage_name)): InPathTwo<PipelineId, StageName>,
    Sent(patch): Sent<StagePatch>,
) -> Result<Json<Stage>, Problem> {
    let pipelines = state.api.pipelines.acting_as(actor);
    let changed = pipelines.update_stage(&id, &stage_name, patch).await?;
    found_or_not(&id, changed)
}

/// Hides a run. It can be restored.
#[utoipa::path(
    delete, path = "/api/v1/pipelines/{id}", tag = "pipelines",
    params(("id" = PipelineId, Path, description = "The run's id.")),
    responses((status = 200, description = "The run as it is now.", body = Pipeline)),
)]
pub(super) async fn delete(
    State(state): State<WebState>,
    Actor(actor): Actor,
    InPath(id): InPath<PipelineId>,
) -> Result<Json<Pipeline>, Problem> {
    let pipelines = state.api.pipelines.acting_as(actor);
    found_or_not(&id, pipelines.delete(&id).await?)
}

/// Shows a run again that was deleted.
#[utoipa::path(
    post, path = "/api/v1/pipelines/{id}/restore", tag = "pipelines",
    request_body = Option<NoFields>,
    params(("id" = PipelineId, Path, description = "The run's id.")),
    responses((status = 200, description = "The run as it is now.", body = Pipeline)),
)]
pub(super) async fn restore(
    State(state): State<WebState>,
    Actor(actor): Actor,
    InPath(id): InPath<PipelineId>,
    _: Nothing,
) -> Result<Json<Pipeline>, Problem> {
    let pipelines = state.api.pipelines.acting_as(actor);
    found_or_not(&id, pipelines.restore(&id).await?)
}

/// Which runs are to be deleted for good.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct OldPipelines {
    /// Those that were finished before.
    #[schema(value_type = Timestamp, required)]
    older_than: Option<Timestamp>,
}

/// What was deleted for good.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeletedPipelines {
    /// How many runs.
    #[schema(minimum = 0)]
    deleted: u64,
}

/// Deletes old finished runs for good, with their stages.
#[utoipa::path(
    post, path = "/api/v1/pipelines/cleanup", tag = "pipelines", request_body = OldPipelines,
    responses((status = 200, description = "They are gone.", body = DeletedPipelines)),
)]
pub(super) async fn cleanup(
    State(state): State<WebState>,
    Actor(actor): Actor,
    Sent(sent): Sent<OldPipelines>,
) -> Result<Json<DeletedPipelines>, Problem> {
    let advice = "give the time before which they were finished";
    let older_than = required("olderThan", sent.older_than, advice)?;
    let pipelines = state.api.pipelines.acting_as(actor);
    let cleanup = async move { pipelines.cleanup_old_pipelines(older_than).await };
    let deleted = to_the_end(cleanup).await?;
    Ok(Json(DeletedPipelines { deleted }))
}

/// Figures over the runs that match and over their stages, at most two seconds old.
#[utoipa::path(
    get, path = "/api/v1/pipelines/stats", tag = "pipelines", params(PipelineFilter),
    responses((status = 200, description = "The figures.", body = PipelineStatistics)),
)]
pub(super) async fn stats(
    State(state): State<WebState>,
    address: Uri,
    Asked(filter): Asked<PipelineFilter>,
) -> Result<Response, Problem> {
    let pipelines = &state.api.pipelines;
    let ask = async { Ok(pipelines.get_statistics(&filter, clock::now()).await?) };
    state.api.kept(&address, ask).await
}

fn created_if(is_new: bool) -> StatusCode {
    if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    }
}

fn found_or_not<T>(id: &PipelineId, found: Option<T>) -> Result<Json<T>, Problem> {
    let found = found.ok_or_else(|| Problem::not_found("run", id.as_str()))?;
    Ok(Json(found))
}

/// A field that must be given.
fn required<T>(field: &str, value: Option<T>, advice: &str) -> Result<T, Problem> {
    value.ok_or_else(|| vec![FieldProblem::new(field, None, advice)].into())
}
