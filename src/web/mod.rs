//! What people and machines ask redspan, on the port of `http.listen`: metrics, health, and a
//! greeting that says where to look.

mod actor;
mod aggregations;
mod api;
mod audit;
mod bodies;
mod body;
mod cache;
mod error_row;
mod errors;
mod explain;
mod fields;
mod foreign;
mod groups;
mod health;
mod metrics;
mod misdirected;
mod openapi;
mod path;
mod pipelines;
mod problem;
mod query;
mod requests;
mod users;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};

pub use api::Api;
pub use health::Readiness;
pub use misdirected::Misdirected;
pub use openapi::document;
pub(crate) use problem::NOT_FOUND;

use crate::{lately::Lately, metrics::Metrics, tokens::Tokens};

use problem::Problem;

/// What the routes show.
#[derive(Clone)]
pub struct WebState {
    /// Shown on `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Shown on `/readyz`.
    pub readiness: Readiness,
    /// Whether only `/metrics`, `/livez` and `/readyz` are open, because everybody on the network
    /// could use the rest: [`crate::config::Config::api_is_closed`].
    pub api_is_closed: bool,
    /// Whether the API is open to whoever is on this machine, and to nobody else:
    /// [`crate::config::Config::api_is_local`].
    pub api_is_local: bool,
    /// Of which one must be shown to use the API.
    pub api_tokens: Tokens,
    /// What the API asks and changes.
    pub api: Arc<Api>,
    /// Records that were left out lately.
    pub lately: Arc<Lately>,
    /// Telemetry that arrives here should have gone to another port.
    pub misdirected: Arc<Misdirected>,
}

/// The routes of `http.listen`.
pub fn router(state: WebState) -> Router {
    Router::new()
        .route("/", get(landing))
        .route("/metrics", get(metrics::show))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .merge(api::router(&state))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(state.clone(), gate))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&state.misdirected),
            misdirected::refuse,
        ))
        .with_state(state)
}

/// Paths that need no secret, wherever redspan listens.
const OPEN_PATHS: [&str; 3] = ["/metrics", "/livez", "/readyz"];

/// Closes what everybody on the network could use although nobody said so.
async fn gate(State(state): State<WebState>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if state.api_is_closed && !OPEN_PATHS.contains(&path) {
        let advice = "only /metrics, /livez and /readyz are served here: http.listen is an address \
            that others can reach. Set auth.api_token (REDSPAN_AUTH_API_TOKEN) to open the rest, or \
            auth = \"none\" if everybody may.";
        return refusal(path, StatusCode::FORBIDDEN, advice);
    }
    if !is_api(path) {
        return next.run(request).await;
    }
    if let Some(problem) = foreign::refused(
        request.method(),
        request.uri(),
        request.headers(),
        state.api_is_local,
    ) {
        return problem.into_response();
    }
    let Some(admitted) = state.api_tokens.admit(request.headers()) else {
        let advice =
            "a token is required: send Authorization: Bearer TOKEN with one of auth.api_token";
        let mut response = Problem::new(StatusCode::UNAUTHORIZED, advice).into_response();
        let scheme = HeaderValue::from_static("Bearer");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, scheme);
        return response;
    };
    // Whose token it is, is who changes something, whatever else is said.
    let name = admitted
        .name
        .and_then(|name| HeaderValue::from_str(name).ok());
    if let Some(name) = name {
        request.headers_mut().insert(actor::HEADER, name);
    }
    next.run(request).await
}

/// A problem for programs, a sentence for people.
fn refusal(path: &str, status: StatusCode, sentence: &str) -> Response {
    if is_api(path) {
        Problem::new(status, sentence).into_response()
    } else {
        plain(status, format!("{sentence}\n"))
    }
}

fn is_api(path: &str) -> bool {
    path.starts_with("/api/")
}

async fn landing() -> Response {
    plain(
        StatusCode::OK,
        concat!(
            "redspan ",
            env!("CARGO_PKG_VERSION"),
            "\n\n/metrics   for Prometheus\n/livez     whether the process runs\n/readyz    whether it \
             takes telemetry, and why not\n/api/openapi.json   what programs can ask\n"
        ),
    )
}

async fn not_found(uri: Uri) -> Response {
    let path = uri.path();
    let sentence = format!("there is no {path}; see / for what is here");
    if is_api(path) {
        Problem::no_such_route(&sentence).into_response()
    } else {
        plain(StatusCode::NOT_FOUND, format!("{sentence}\n"))
    }
}

async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let path = uri.path();
    let sentence = format!("{path} cannot be asked with {method}; see Allow");
    refusal(path, StatusCode::METHOD_NOT_ALLOWED, &sentence)
}

/// An answer for people; never cached, never taken for anything but text.
fn plain(status: StatusCode, text: impl Into<String>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, text.into()).into_response()
}

#[cfg(test)]
mod tests;
