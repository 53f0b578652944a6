//! `/api/v1/aggregations`.

use axum::{extract::State, http::Uri, response::Response};

use super::{
    WebState,
    problem::Problem,
    query::{List, Listing, PageQuery},
};
use crate::{domain::Aggregation, store::AggregationFilter};

/// Hours with their errors, latest first, at most two seconds old.
#[utoipa::path(
    get, path = "/api/v1/aggregations", tag = "errors", params(AggregationFilter, PageQuery),
    responses((status = 200, description = "One page of them.", body = List<Aggregation>)),
)]
pub(super) async fn list(
    State(state): State<WebState>,
    address: Uri,
    asked: Listing<AggregationFilter>,
) -> Result<Response, Problem> {
    let errors = &state.api.errors;
    let page = errors.get_aggregations(&asked.filter, &asked.page);
    let count = errors.count_aggregations(&asked.filter);
    state.api.kept(&address, asked.answer(page, count)).await
}
