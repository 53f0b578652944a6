//! A service on axum whose requests and failures redspan keeps. Beside a running redspan:
//!
//! ```sh
//! export OTEL_SERVICE_NAME=shop
//! export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318
//! cargo run --example axum
//! ```
//!
//! It prints its port; `curl http://127.0.0.1:PORT/orders/17/pay` fails.

use std::error::Error;

use axum::{
    Router,
    extract::{MatchedPath, Path, Request},
    http::StatusCode,
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::{net::TcpListener, signal::unix};
use tracing::{Instrument as _, Span, field, info_span};
use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

fn main() -> Result<(), Box<dyn Error>> {
    let exporter = SpanExporter::builder().with_http().build()?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .build();
    tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("shop")))
        .init();
    serve()?;
    // Spans wait up to five seconds to be sent together; these would not be.
    provider.shutdown()?;
    Ok(())
}

#[tokio::main]
async fn serve() -> Result<(), Box<dyn Error>> {
    let app = Router::new()
        .route("/orders/{id}", get(order))
        .route("/orders/{id}/pay", get(pay))
        .route("/orders/{id}/coupon", get(coupon))
        .route("/orders/{id}/unavailable", get(unavailable))
        .route_layer(middleware::from_fn(traced));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await?;
    Ok(())
}

/// Each request is a span of kind server with its route and its answer: that is what redspan counts.
async fn traced(route: MatchedPath, request: Request, next: Next) -> Response {
    let span = request_span(route.as_str(), &request);
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    response
}

fn request_span(route: &str, request: &Request) -> Span {
    let method = request.method().as_str();
    let header = |name| request.headers().get(name)?.to_str().ok();
    info_span!(
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = field::Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = field::Empty,
        user_agent.original = header("user-agent"),
        user.id = header("x-user"),
    )
}

#[derive(Debug, thiserror::Error)]
enum ShopError {
    #[error("order {0} has no lines")]
    NoLines(u64),
    #[error("there is no coupon for order {0}")]
    NoCoupon(u64),
}

async fn order(Path(id): Path<u64>) -> String {
    format!("order {id}\n")
}

/// An error that is logged as one, with the error itself as `error`, is the request's failure.
async fn pay(Path(id): Path<u64>) -> StatusCode {
    let error = ShopError::NoLines(id);
    tracing::error!(error = &error as &dyn Error, "payment failed");
    StatusCode::INTERNAL_SERVER_ERROR
}

/// A warning is an error that was handled.
async fn coupon(Path(id): Path<u64>) -> StatusCode {
    let error = ShopError::NoCoupon(id);
    tracing::warn!(error = &error as &dyn Error, "without coupon, then");
    StatusCode::OK
}

async fn unavailable() -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}
