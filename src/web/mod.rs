//! What people and machines ask redspan, on the port of `http.listen`: metrics, health, and a
//! greeting that says where to look.

mod health;
mod metrics;
mod misdirected;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{Method, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};

pub use health::Readiness;
pub use misdirected::Misdirected;

use crate::metrics::Metrics;

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
    next.run(request).await
}

async fn landing() -> Response {
    plain(
        StatusCode::OK,
        concat!(
            "redspan ",
            env!("CARGO_PKG_VERSION"),
            "\n\n/metrics   for Prometheus\n/livez     whether the process runs\n/readyz    whether it \
             takes telemetry, and why not\n"
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
