//! `/api/v1/groups`: kinds of failure.

use axum::{Json, extract::State};

use super::{
    WebState,
    path::InPath,
    problem::Problem,
    query::{List, Listing, PageQuery},
};
use crate::{
    domain::{ErrorGroup, Fingerprint},
    store::GroupFilter,
};

/// Groups, last seen first.
#[utoipa::path(
    get, path = "/api/v1/groups", tag = "groups", params(GroupFilter, PageQuery),
    responses((status = 200, description = "One page of them.", body = List<ErrorGroup>)),
)]
pub(super) async fn list(
    State(state): State<WebState>,
    asked: Listing<GroupFilter>,
) -> Result<Json<List<ErrorGroup>>, Problem> {
    let errors = &state.api.errors;
    let page = errors.get_groups(&asked.filter, &asked.page);
    let count = errors.count_groups(&asked.filter);
    Ok(Json(asked.answer(page, count).await?))
}

/// One group.
#[utoipa::path(
    get, path = "/api/v1/groups/{fingerprint}", tag = "groups",
    params(("fingerprint" = Fingerprint, Path, description = "The group's fingerprint.")),
    responses((status = 200, description = "The group.", body = ErrorGroup)),
)]
pub(super) async fn show(
    State(state): State<WebState>,
    InPath(fingerprint): InPath<Fingerprint>,
) -> Result<Json<ErrorGroup>, Problem> {
    let group = state.api.errors.get_group(&fingerprint).await?;
    let group = group.ok_or_else(|| Problem::not_found("group", &fingerprint.0))?;
    Ok(Json(group))
}
