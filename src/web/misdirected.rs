//! Telemetry that was sent to the port for people and Prometheus, which many take for redspan's only
//! one: the answer and the log say which port it belongs to.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{Method, StatusCode, header},
    middleware::Next,
    response::Response,
};

use super::plain;
use crate::repeats::Repeats;

/// Knows the port for telemetry, and how often another was taken for it.
#[derive(Debug)]
pub struct Misdirected {
    otlp_port: u16,
    repeats: Repeats,
}

impl Misdirected {
    /// OTLP over HTTP is taken at this port.
    #[must_use]
    pub fn new(otlp_port: u16) -> Self {
        Self {
            otlp_port,
            repeats: Repeats::default(),
        }
    }
}

/// Refuses telemetry; lets everything else pass.
pub(super) async fn refuse(
    State(misdirected): State<Arc<Misdirected>>,
    request: Request,
    next: Next,
) -> Response {
    if !is_telemetry(&request) {
        return next.run(request).await;
    }
    let advice = format!(
        "telemetry is not taken on this port: set OTEL_EXPORTER_OTLP_ENDPOINT to the same host with \
         port {}, without a path",
        misdirected.otlp_port
    );
    if let Some(times) = misdirected.repeats.worth_telling() {
        tracing::warn!(times, "an exporter was refused on http.listen: {advice}");
    }
    plain(StatusCode::NOT_FOUND, advice + "\n")
}

/// Whether an exporter sent it: to a path of OTLP, to none, or as protobuf to any.
fn is_telemetry(request: &Request) -> bool {
    let path = request.uri().path();
    let content_type = request.headers().get(header::CONTENT_TYPE);
    request.method() == Method::POST
        && !super::is_api(path)
        && (path == "/"
            || path.starts_with("/v1/")
            || content_type.is_some_and(|value| value == "application/x-protobuf"))
}
