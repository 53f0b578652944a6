//! An error as the API tells it.

use serde::Serialize;
use utoipa::ToSchema;

use super::api::Api;
use crate::domain::ApiError;

/// The row, and where more can be seen.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErrorRow {
    #[serde(flatten)]
    error: ApiError,
    /// Where the whole of its trace can be seen; null without a trace, or without `links.trace`.
    trace_url: Option<String>,
}

impl Api {
    /// The error as it is told.
    pub(super) fn row(&self, error: ApiError) -> ErrorRow {
        let trace_url = error
            .trace_id
            .zip(self.trace_link.as_ref())
            .map(|(trace, link)| link.to(trace));
        ErrorRow { error, trace_url }
    }
}
