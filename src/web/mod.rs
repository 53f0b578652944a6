//! What people and machines ask redspan, on the port of `http.listen`: metrics, health, and a
//! greeting that says where to look.

mod explain;
mod health;
mod metrics;
mod misdirected;
mod problem;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};

pub use health::Readiness;
pub use misdirected::Misdirected;

use crate::{lately::Lately, metrics::Metrics, store::Reader, tokens::Tokens};

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
    /// Of which one must be shown to use the API.
    pub api_tokens: Tokens,
    /// Asked by the API.
    pub reader: Arc<dyn Reader>,
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
        .route("/api/v1/explain", get(explain::show))
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
async fn gate(State(state): State<WebState>, request: Request, next: Next) -> Response {
    if state.api_is_closed && !OPEN_PATHS.contains(&request.uri().path()) {
        return plain(
            StatusCode::FORBIDDEN,
            "Only /metrics, /livez and /readyz are served here: http.listen is an address that others \
             can reach. Set auth.api_token (REDSPAN_AUTH_API_TOKEN) to open the rest, or auth = \
             \"none\" if everybody may.\n",
        );
    }
    if is_api(request.uri().path()) && !state.api_tokens.admit(request.headers()) {
        let advice =
            "a token is required: send Authorization: Bearer TOKEN with one of auth.api_token";
        let mut response = Problem::new(StatusCode::UNAUTHORIZED, advice).into_response();
        let scheme = HeaderValue::from_static("Bearer");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, scheme);
        return response;
    }
    next.run(request).await
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
             takes telemetry, and why not\n/api/v1/explain?traceId=…   what was seen of a \
             trace, and which rows came of it\n"
        ),
    )
}

async fn not_found(uri: Uri) -> Response {
    plain(
        StatusCode::NOT_FOUND,
        format!("There is no {}. See / for what is here.\n", uri.path()),
    )
}

async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    plain(
        StatusCode::METHOD_NOT_ALLOWED,
        format!(
            "{} cannot be asked with {method}, only with GET.\n",
            uri.path()
        ),
    )
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
