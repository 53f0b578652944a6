//! `/api/v1/users`: forgetting one.

use axum::{Json, extract::State};
use utoipa::ToSchema;

use super::{
    WebState,
    actor::Actor,
    api::to_the_end,
    path::{InPath, PathName},
    problem::Problem,
};
use crate::store::edit::Forgotten;

/// The id of a user.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 255)]
pub(super) struct UserId(String);

impl PathName for UserId {
    const ADVICE: &'static str = "give 1 to 255 characters";

    fn parse(text: &str) -> Option<Self> {
        (1..=255)
            .contains(&text.chars().count())
            .then(|| Self(text.to_owned()))
    }
}

/// Forgets a user: their pipelines are deleted, their errors and the audit log name them no more.
///
/// Counts stay as they are.
#[utoipa::path(
    delete, path = "/api/v1/users/{id}", tag = "users",
    params(("id" = UserId, Path, description = "The user's id.")),
    responses((status = 200, description = "What named them.", body = Forgotten)),
)]
pub(super) async fn forget(
    State(state): State<WebState>,
    Actor(actor): Actor,
    InPath(UserId(id)): InPath<UserId>,
) -> Result<Json<Forgotten>, Problem> {
    let errors = state.api.errors.acting_as(actor);
    let user = id.clone();
    let forgotten = to_the_end(async move { errors.forget_user(&user).await }).await?;
    let forgotten = forgotten.ok_or_else(|| Problem::not_found("user", &id))?;
    Ok(Json(forgotten))
}
