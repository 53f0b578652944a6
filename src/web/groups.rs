//! `/api/v1/groups`: kinds of failure.

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    WebState,
    actor::Actor,
    body::{NoFields, Nothing, Sent},
    path::InPath,
    problem::Problem,
    query::{List, Listing, PageQuery},
};
use crate::{
    domain::{ErrorGroup, Fingerprint},
    store::GroupFilter,
};

/// Groups, last seen first.
///
/// One that is seen again while pages are read moves to the front: no page has a group twice, but it
/// may be on none. `since` with the time at which the reading began finds those.
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
    found(&fingerprint, group)
}

/// Who took care of a kind of failure, and how.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct GroupResolution {
    /// Who; operators need not be users.
    #[schema(required, pattern = "filled line", max_length = 255)]
    resolved_by: String,
    /// How.
    #[schema(max_length = 8192, pattern = "no nul")]
    resolution: Option<String>,
    /// The first version with the fix: errors of older ones do not reopen the group.
    #[schema(max_length = 255, pattern = "no nul")]
    resolved_version: Option<String>,
}

/// Resolves a group, and its errors that happened until then.
///
/// An error that happens later opens it again.
#[utoipa::path(
    post, path = "/api/v1/groups/{fingerprint}/resolve", tag = "groups",
    request_body = GroupResolution,
    params(("fingerprint" = Fingerprint, Path, description = "The group's fingerprint.")),
    responses((status = 200, description = "The group.", body = ErrorGroup)),
)]
pub(super) async fn resolve(
    State(state): State<WebState>,
    Actor(actor): Actor,
    InPath(fingerprint): InPath<Fingerprint>,
    Sent(how): Sent<GroupResolution>,
) -> Result<Json<ErrorGroup>, Problem> {
    let errors = state.api.errors.acting_as(actor);
    let group = errors
        .resolve_group(
            &fingerprint,
            &how.resolved_by,
            how.resolution.as_deref(),
            how.resolved_version.as_deref(),
        )
        .await?;
    found(&fingerprint, group)
}

/// Says that nobody wants to hear of a group: it is counted, and never opens by itself.
#[utoipa::path(
    post, path = "/api/v1/groups/{fingerprint}/ignore", tag = "groups",
    request_body = Option<NoFields>,
    params(("fingerprint" = Fingerprint, Path, description = "The group's fingerprint.")),
    responses((status = 200, description = "The group.", body = ErrorGroup)),
)]
pub(super) async fn ignore(
    State(state): State<WebState>,
    Actor(actor): Actor,
    InPath(fingerprint): InPath<Fingerprint>,
    _: Nothing,
) -> Result<Json<ErrorGroup>, Problem> {
    let errors = state.api.errors.acting_as(actor);
    let group = errors.ignore_group(&fingerprint).await?;
    found(&fingerprint, group)
}

/// Opens a group again, and the errors that were resolved with it.
#[utoipa::path(
    post, path = "/api/v1/groups/{fingerprint}/reopen", tag = "groups",
    request_body = Option<NoFields>,
    params(("fingerprint" = Fingerprint, Path, description = "The group's fingerprint.")),
    responses((status = 200, description = "The group.", body = ErrorGroup)),
)]
pub(super) async fn reopen(
    State(state): State<WebState>,
    Actor(actor): Actor,
    InPath(fingerprint): InPath<Fingerprint>,
    _: Nothing,
) -> Result<Json<ErrorGroup>, Problem> {
    let errors = state.api.errors.acting_as(actor);
    let group = errors.reopen_group(&fingerprint).await?;
    found(&fingerprint, group)
}

fn found(
    fingerprint: &Fingerprint,
    group: Option<ErrorGroup>,
) -> Result<Json<ErrorGroup>, Problem> {
    let group = group.ok_or_else(|| Problem::not_found("group", &fingerprint.0))?;
    Ok(Json(group))
}
