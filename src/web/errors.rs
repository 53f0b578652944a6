//! `/api/v1/errors`.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, StatusCode, Uri, header},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    WebState,
    actor::Actor,
    api::to_the_end,
    body::{NoFields, Nothing, Sent, read_part},
    error_row::ErrorRow,
    path::InPath,
    problem::{FieldProblem, Problem},
    query::{Asked, List, Listing, PageQuery},
};
use crate::{
    clock,
    domain::{ApiError, ErrorId, Timestamp},
    store::{ErrorFilter, ErrorStats, Logged, NewApiError},
};

/// Errors that are logged together at most.
const MAX_BATCH: usize = 500;

/// Errors, newest first.
#[utoipa::path(
    get, path = "/api/v1/errors", tag = "errors", params(ErrorFilter, PageQuery),
    responses((status = 200, description = "One page of them.", body = List<ErrorRow>)),
)]
pub(super) async fn list(
    State(state): State<WebState>,
    asked: Listing<ErrorFilter>,
) -> Result<Json<List<ErrorRow>>, Problem> {
    let errors = &state.api.errors;
    let page = errors.get_errors(&asked.filter, &asked.page);
    let count = errors.count_errors(&asked.filter);
    let found = asked.answer(page, count).await?;
    Ok(Json(found.map(|error| state.api.row(error))))
}

/// Logs one error. With an `id` of the caller's it may be sent again: it is stored and counted once.
#[utoipa::path(
    post, path = "/api/v1/errors", tag = "errors", request_body = NewApiError,
    responses(
        (
            status = 201, description = "Stored: the row.", body = ErrorRow,
            headers(("Location" = String, description = "Where the row is.")),
        ),
        (
            status = 200,
            description = "It was there already: the row that was or, when that is purged, as it was sent.",
            body = ErrorRow,
        ),
    ),
)]
pub(super) async fn log(
    State(state): State<WebState>,
    Sent(error): Sent<NewApiError>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<ErrorRow>), Problem> {
    let Logged { error, is_new } = state.api.errors.log_error(error, clock::now()).await?;
    let location = format!("/api/v1/errors/{}", error.id);
    Ok((
        created_if(is_new),
        [(header::LOCATION, location)],
        Json(state.api.row(error)),
    ))
}

/// Errors to be logged together.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct NewErrors {
    /// At most 500.
    #[schema(value_type = Vec<NewApiError>, required, min_items = 1, max_items = 500)]
    errors: Vec<Value>,
}

/// What became of errors that were logged together.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoggedErrors {
    /// In the order of the errors.
    items: Vec<LoggedError>,
}

/// What became of one of them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LoggedError {
    /// Whether it was stored now; otherwise its id was there already.
    is_new: bool,
    /// The row.
    error: ErrorRow,
}

/// Logs several errors, all of them or none.
#[utoipa::path(
    post, path = "/api/v1/errors/batch", tag = "errors", request_body = NewErrors,
    responses(
        (status = 201, description = "Stored, at least one of them.", body = LoggedErrors),
        (status = 200, description = "All of them were there already.", body = LoggedErrors),
    ),
)]
pub(super) async fn log_batch(
    State(state): State<WebState>,
    Sent(sent): Sent<NewErrors>,
) -> Result<(StatusCode, Json<LoggedErrors>), Problem> {
    let number = sent.errors.len();
    if !(1..=MAX_BATCH).contains(&number) {
        let advice = format!("give 1 to {MAX_BATCH} errors");
        let value = format!("{number} errors");
        return Err(vec![FieldProblem::new("errors", Some(&value), advice)].into());
    }
    let mut errors = Vec::with_capacity(number);
    let mut mistakes = Vec::new();
    for (index, error) in sent.errors.into_iter().enumerate() {
        match read_part(error, &format!("errors[{index}]")) {
            Ok(error) => errors.push(error),
            Err(wrong) => mistakes.extend(wrong),
        }
    }
    if !mistakes.is_empty() {
        return Err(mistakes.into());
    }
    let logged = state.api.errors.log_errors(errors, clock::now()).await;
    let logged = logged.map_err(|error| Problem::of_items("errors", error))?;
    let items: Vec<LoggedError> = (logged.into_iter())
        .map(|Logged { error, is_new }| LoggedError {
            is_new,
            error: state.api.row(error),
        })
        .collect();
    let is_new = items.iter().any(|item| item.is_new);
    Ok((created_if(is_new), Json(LoggedErrors { items })))
}

/// One error, soft-deleted or not.
///
/// The id of a row that turned out to be another's leads to that one.
#[utoipa::path(
    get, path = "/api/v1/errors/{id}", tag = "errors",
    params(("id" = ErrorId, Path, description = "The error's id.")),
    responses((status = 200, description = "The row.", body = ErrorRow)),
)]
pub(super) async fn show(
    State(state): State<WebState>,
    InPath(id): InPath<ErrorId>,
) -> Result<Json<ErrorRow>, Problem> {
    found(&state, id, state.api.errors.get_error_by_id(id).await?)
}

/// Figures over the errors that match, at most two seconds old.
#[utoipa::path(
    get, path = "/api/v1/errors/stats", tag = "errors", params(ErrorFilter),
    responses((status = 200, description = "The figures.", body = ErrorStats)),
)]
pub(super) async fn stats(
    State(state): State<WebState>,
    address: Uri,
    Asked(filter): Asked<ErrorFilter>,
) -> Result<axum::response::Response, Problem> {
    let ask = async { Ok(state.api.errors.get_error_stats(&filter).await?) };
    state.api.kept(&address, ask).await
}

/// Who took care of something, and how.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Resolution {
    /// Who; operators need not be users.
    #[schema(required, pattern = "filled line", max_length = 255)]
    resolved_by: String,
    /// How.
    #[schema(max_length = 8192, pattern = "no nul")]
    resolution: Option<String>,
}

/// Marks an error as taken care of; one that is so already stays as it is.
#[utoipa::path(
    post, path = "/api/v1/errors/{id}/resolve", tag = "errors", request_body = Resolution,
    params(("id" = ErrorId, Path, description = "The error's id.")),
    responses((status = 200, description = "The row.", body = ErrorRow)),
)]
pub(super) async fn resolve(
    State(state): State<WebState>,
    Actor(actor): Actor,
    InPath(id): InPath<ErrorId>,
    Sent(how): Sent<Resolution>,
) -> Result<Json<ErrorRow>, Problem> {
    let errors = state.api.errors.acting_as(actor);
    let resolution = how.resolution.as_deref();
    found(
        &state,
        id,
        errors
            .resolve_error(id, &how.resolved_by, resolution)
            .await?,
    )
}

/// Says that an error is not taken care of after all.
#[utoipa::path(
    post, path = "/api/v1/errors/{id}/reopen", tag = "errors",
    request_body = Option<NoFields>,
    params(("id" = ErrorId, Path, description = "The error's id.")),
    responses((status = 200, description = "The row.", body = ErrorRow)),
)]
pub(super) async fn reopen(
    State(state): State<WebState>,
    Actor(actor): Actor,
    InPath(id): InPath<ErrorId>,
    _: Nothing,
) -> Result<Json<ErrorRow>, Problem> {
    let errors = state.api.errors.acting_as(actor);
    found(&state, id, errors.reopen_error(id).await?)
}

/// Hides an error. It stays counted.
#[utoipa::path(
    delete, path = "/api/v1/errors/{id}", tag = "errors",
    params(("id" = ErrorId, Path, description = "The error's id.")),
    responses((status = 200, description = "The row.", body = ErrorRow)),
)]
pub(super) async fn delete(
    State(state): State<WebState>,
    Actor(actor): Actor,
    InPath(id): InPath<ErrorId>,
) -> Result<Json<ErrorRow>, Problem> {
    let errors = state.api.errors.acting_as(actor);
    found(&state, id, errors.delete_error(id).await?)
}

/// Shows a hidden error again.
#[utoipa::path(
    post, path = "/api/v1/errors/{id}/restore", tag = "errors",
    request_body = Option<NoFields>,
    params(("id" = ErrorId, Path, description = "The error's id.")),
    responses((status = 200, description = "The row.", body = ErrorRow)),
)]
pub(super) async fn restore(
    State(state): State<WebState>,
    Actor(actor): Actor,
    InPath(id): InPath<ErrorId>,
    _: Nothing,
) -> Result<Json<ErrorRow>, Problem> {
    let errors = state.api.errors.acting_as(actor);
    found(&state, id, errors.restore_error(id).await?)
}

/// Which errors are deleted for good.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ErrorCleanup {
    /// Those that happened before.
    #[schema(required, value_type = Timestamp)]
    older_than: Option<Timestamp>,
    /// Not only resolved ones.
    include_unresolved: bool,
}

/// How many errors were deleted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CleanedErrors {
    /// So many.
    deleted: u64,
}

/// Deletes old errors for good, little by little. Hours, groups and counters go on counting them.
#[utoipa::path(
    post, path = "/api/v1/errors/cleanup", tag = "errors", request_body = ErrorCleanup,
    responses((status = 200, description = "How many.", body = CleanedErrors)),
)]
pub(super) async fn cleanup(
    State(state): State<WebState>,
    Actor(actor): Actor,
    Sent(which): Sent<ErrorCleanup>,
) -> Result<Json<CleanedErrors>, Problem> {
    let older_than = which.older_than.ok_or_else(|| {
        let advice = "give the time before which errors are deleted";
        Problem::from(vec![FieldProblem::new("olderThan", None, advice)])
    })?;
    let errors = state.api.errors.acting_as(actor);
    let cleanup = async move {
        errors
            .delete_old_errors(older_than, which.include_unresolved)
            .await
    };
    let deleted = to_the_end(cleanup).await?;
    Ok(Json(CleanedErrors { deleted }))
}

fn found(
    state: &WebState,
    id: ErrorId,
    error: Option<ApiError>,
) -> Result<Json<ErrorRow>, Problem> {
    let error = error.ok_or_else(|| Problem::not_found("error", &id.to_string()))?;
    Ok(Json(state.api.row(error)))
}

fn created_if(is_new: bool) -> StatusCode {
    if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    }
}
