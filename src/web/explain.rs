//! `GET /api/v1/explain?traceId=…`: what was seen of a trace, and which rows came of it.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    WebState,
    problem::{FieldProblem, Problem},
    query::Asked,
};
use crate::{
    detect::{ExplainedPart, explain},
    domain::{Timestamp, TraceId},
    lately::LeftOut,
};

/// What is asked.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Question {
    /// The trace.
    #[param(required)]
    trace_id: Option<TraceId>,
}

/// What was seen of a trace, and what became of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explanation {
    /// The trace.
    trace_id: TraceId,
    /// One for each service that something was seen in.
    parts: Vec<ExplainedPart>,
    /// What this process left out lately of the trace, or of no trace that is known.
    lately: Vec<LeftOutAt>,
}

/// What was left out, and when.
#[derive(Serialize, ToSchema)]
struct LeftOutAt {
    /// When.
    at: Timestamp,
    #[serde(flatten)]
    left_out: LeftOut,
}

/// Why a trace has the rows that it has.
#[utoipa::path(
    get, path = "/api/v1/explain", tag = "errors", params(Question),
    responses((status = 200, description = "What was seen of it.", body = Explanation)),
)]
pub(super) async fn show(
    State(state): State<WebState>,
    Asked(question): Asked<Question>,
) -> Result<Json<Explanation>, Problem> {
    let trace_id = question.trace_id.ok_or_else(|| {
        let advice = "give the trace's 32 hex digits";
        Problem::from(vec![FieldProblem::new("traceId", None, advice)])
    })?;
    let parts = state.api.reader.get_trace(trace_id).await?;
    let lately = state.lately.of(trace_id).into_iter();
    Ok(Json(Explanation {
        trace_id,
        parts: parts.into_iter().map(explain).collect(),
        lately: lately
            .map(|(at, left_out)| LeftOutAt { at, left_out })
            .collect(),
    }))
}
