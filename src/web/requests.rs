//! `/api/v1/requests`: how many there were, and how many of them failed.

use axum::{Json, extract::State};

use super::{
    WebState,
    problem::Problem,
    query::{List, Listing, PageQuery},
};
use crate::{
    clock,
    domain::Hour,
    store::{RequestFilter, RequestHour},
};

/// Where the hours begin when nobody says.
const RECENT_SECONDS: i64 = 24 * 3_600;

/// Hourly totals of requests and their error rate, latest hour first.
///
/// Without `from`, those of the last 24 hours.
#[utoipa::path(
    get, path = "/api/v1/requests", tag = "requests", params(RequestFilter, PageQuery),
    responses((status = 200, description = "One page of them.", body = List<RequestHour>)),
)]
pub(super) async fn list(
    State(state): State<WebState>,
    mut asked: Listing<RequestFilter>,
) -> Result<Json<List<RequestHour>>, Problem> {
    let recent = Hour::containing(clock::now().plus_seconds(-RECENT_SECONDS));
    asked.filter.from.get_or_insert(recent);
    let reader = &state.api.reader;
    let page = reader.get_requests(&asked.filter, &asked.page);
    let count = reader.count_requests(&asked.filter);
    Ok(Json(asked.answer(page, count).await?))
}
