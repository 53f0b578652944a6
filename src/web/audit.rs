//! `/api/v1/audit`: who changed what.

use axum::{Json, extract::State};

use super::{
    WebState,
    problem::Problem,
    query::{List, Listing, PageQuery},
};
use crate::store::{AuditFilter, AuditRecord};

/// Changes that were made through the API, on the command line and by jobs, newest first.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "audit", params(AuditFilter, PageQuery),
    responses((status = 200, description = "One page of them.", body = List<AuditRecord>)),
)]
pub(super) async fn list(
    State(state): State<WebState>,
    asked: Listing<AuditFilter>,
) -> Result<Json<List<AuditRecord>>, Problem> {
    let reader = &state.api.reader;
    let page = reader.get_audit(&asked.filter, &asked.page);
    let count = reader.count_audit(&asked.filter);
    Ok(Json(asked.answer(page, count).await?))
}
