//! The JSON API: its routes, what they share, and how much of it goes on at once.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderValue, Method, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    WebState, aggregations, audit, bodies::Bodies, cache::Cache, errors, explain, groups, openapi,
    pipelines, problem::Problem, requests, users,
};
use crate::{
    commit::Written,
    config::TraceLink,
    store::{ApiErrorRepository, GenerationPipelineRepository, Reader, RepositoryError},
};

/// Changes under way at once. They wait for their COMMIT, many in one.
const CHANGING_AT_ONCE: usize = 64;

/// How long a change waits for its turn.
const MAX_WAIT: Duration = Duration::from_secs(3);

/// What the routes of the API ask.
pub struct Api {
    pub(super) reader: Arc<dyn Reader>,
    pub(super) errors: ApiErrorRepository,
    pub(super) pipelines: GenerationPipelineRepository,
    pub(super) trace_link: Option<TraceLink>,
    cache: Cache,
    written: Arc<Written>,
    bodies: Bodies,
    changing: Semaphore,
}

impl Api {
    /// Questions that the API asks of the database at once, those of changes among them. Its readers
    /// are more: ingest on a shared database has to ask, too, and never waits behind the API.
    pub const READING_AT_ONCE: usize = 2;

    /// Asks `reader`, and reads and changes through the repositories; `written` tells of whatever
    /// this process writes.
    #[must_use]
    pub fn new(
        reader: Arc<dyn Reader>,
        errors: ApiErrorRepository,
        pipelines: GenerationPipelineRepository,
        written: Arc<Written>,
    ) -> Self {
        Self {
            reader,
            errors,
            pipelines,
            trace_link: None,
            cache: Cache::default(),
            written,
            bodies: Bodies::default(),
            changing: Semaphore::new(CHANGING_AT_ONCE),
        }
    }

    /// The same, whose rows lead to their traces.
    #[must_use]
    pub fn linking(self, trace_link: Option<TraceLink>) -> Self {
        Self { trace_link, ..self }
    }

    /// The answer to the question of this address, at most a moment old.
    pub(super) async fn kept<T: Serialize>(
        &self,
        address: &Uri,
        ask: impl Future<Output = Result<T, Problem>>,
    ) -> Result<Response, Problem> {
        let ask = async {
            let answer = serde_json::to_vec(&ask.await?);
            answer.map(Into::into).map_err(|error| {
                tracing::error!(%error, "an answer could not be written");
                Problem::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the answer could not be written",
                )
            })
        };
        let question = address.to_string();
        let answer = self
            .cache
            .answer(question, self.written.so_far(), Instant::now, ask);
        let answer = answer.await?;
        let kind = [(header::CONTENT_TYPE, "application/json")];
        Ok((kind, answer).into_response())
    }
}

/// Does what takes many transactions to its end, also when whoever asked for it has gone.
pub(super) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, RepositoryError>> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::spawn(work).await.map_err(|error| {
        tracing::error!(%error, "a change of many rows ended half-way");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the change ended half-way: ask for it again",
        )
    })?;
    Ok(done?)
}

/// The routes, with what describes them.
pub(super) fn documented() -> OpenApiRouter<WebState> {
    OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(errors::list, errors::log))
        .routes(routes!(errors::log_batch))
        .routes(routes!(errors::stats))
        .routes(routes!(errors::cleanup))
        .routes(routes!(errors::show, errors::delete))
        .routes(routes!(errors::resolve))
        .routes(routes!(errors::reopen))
        .routes(routes!(errors::restore))
        .routes(routes!(aggregations::list))
        .routes(routes!(groups::list))
        .routes(routes!(groups::show))
        .routes(routes!(groups::resolve))
        .routes(routes!(groups::ignore))
        .routes(routes!(groups::reopen))
        .routes(routes!(users::forget))
        .routes(routes!(requests::list))
        .routes(routes!(pipelines::list, pipelines::create))
        .routes(routes!(pipelines::create_batch))
        .routes(routes!(pipelines::stats))
        .routes(routes!(pipelines::cleanup))
        .routes(routes!(
            pipelines::show,
            pipelines::change,
            pipelines::delete
        ))
        .routes(routes!(pipelines::change_progress))
        .routes(routes!(pipelines::change_status))
        .routes(routes!(pipelines::change_stage))
        .routes(routes!(pipelines::restore))
        .routes(routes!(audit::list))
        .routes(routes!(explain::show))
}

/// Everything below `/api/`.
pub(super) fn router(state: &WebState) -> Router<WebState> {
    Router::from(documented())
        .route("/api/openapi.json", get(document))
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(
            Arc::clone(&state.api),
            in_turn,
        ))
}

async fn document() -> impl IntoResponse {
    Json(openapi::document())
}

/// Lets only so many changes in at once, each when all of it is here: whoever sends slowly holds up
/// nobody. Questions wait at the readers, where those of changes do.
async fn in_turn(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let mut response = if matches!(*request.method(), Method::GET | Method::HEAD) {
        next.run(request).await
    } else {
        let changed = change(&api, request, next).await;
        changed.unwrap_or_else(IntoResponse::into_response)
    };
    let headers = response.headers_mut();
    let no_sniffing = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, no_sniffing);
    response
}

async fn change(api: &Api, request: Request, next: Next) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let body = api.bodies.read(body).await?;
    let Ok(Ok(_turn)) = timeout(MAX_WAIT, api.changing.acquire()).await else {
        return Err(Problem::try_again(
            "too many changes are under way: try again",
        ));
    };
    let request = Request::from_parts(head, body.bytes.clone().into());
    Ok(next.run(request).await)
}
