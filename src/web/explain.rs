//! `GET /api/v1/explain?traceId=…`: what was seen of a trace, and which rows came of it.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use super::{WebState, problem::Problem};
use crate::{
    detect::{ExplainedPart, explain},
    domain::{Timestamp, TraceId},
    lately::LeftOut,
};

/// What is asked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Question {
    trace_id: Option<String>,
}

/// The answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    trace_id: TraceId,
    /// One for each service that something was seen in.
    parts: Vec<ExplainedPart>,
    /// What this process left out lately of the trace, or of no trace that is known.
    lately: Vec<Lately>,
}

#[derive(Serialize)]
struct Lately {
    at: Timestamp,
    #[serde(flatten)]
    left_out: LeftOut,
}

pub(super) async fn show(
    State(state): State<WebState>,
    question: Result<Query<Question>, QueryRejection>,
) -> Response {
    let trace_id = match asked(question) {
        Ok(trace_id) => trace_id,
        Err(problem) => return problem.into_response(),
    };
    match state.reader.get_trace(trace_id).await {
        Ok(parts) => {
            let lately = state.lately.of(trace_id).into_iter();
            Json(Answer {
                trace_id,
                parts: parts.into_iter().map(explain).collect(),
                lately: lately
                    .map(|(at, left_out)| Lately { at, left_out })
                    .collect(),
            })
            .into_response()
        }
        Err(error) => {
            tracing::warn!(%error, "a trace could not be read");
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the database could not be read",
            )
            .into_response()
        }
    }
}

fn asked(question: Result<Query<Question>, QueryRejection>) -> Result<TraceId, Problem> {
    let Query(question) = question
        .map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()))?;
    let text = question.trace_id.ok_or_else(|| {
        Problem::of_field("traceId", "is missing: give the trace's 32 hex digits")
    })?;
    TraceId::from_hex(text.as_bytes()).ok_or_else(|| {
        let shown: String = text.chars().take(64).collect();
        Problem::of_field(
            "traceId",
            format!("is {shown:?}, which is no id of 32 hex digits"),
        )
    })
}
