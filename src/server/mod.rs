//! Serves HTTP/1.1 on a listener until the stop signal: hyper, with the limits that keep any
//! client from holding more than its share, and a drain that ends in time whatever clients do.

mod connection;
mod progress;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::request;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::service::Service;
use hyper::{Request, Response, StatusCode, header};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use connection::RequestBody;

use crate::shutdown::Stop;

/// How long `accept` rests after an error that is not the connection's own, such as too many open
/// files: long enough not to spin, short enough not to be noticed.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// What a client may take. Beyond a limit the request is refused or the connection closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once. Default 1,024; further ones are accepted and closed.
    pub connections: usize,
    /// From the first byte of a request (or, on a new connection, from its start) to the end of
    /// its header block. Default 5 s; then the connection is closed.
    pub header_read: Duration,
    /// From the first byte of a request to the last byte of its body. Default 15 s; then the
    /// connection is closed.
    pub request_read: Duration,
    /// Between an answer and the next request. Default 60 s. Clients that keep connections
    /// longer than this see some of their requests meet a closed connection.
    pub idle: Duration,
    /// From the service's answer to its last byte being taken by the client. Default 10 s.
    pub answer_write: Duration,
    /// How long the rest of a refused body is read and thrown away, so that the client gets to
    /// read the answer before it sees the connection closed. Default 2 s.
    pub linger: Duration,
    /// Bytes of request line and headers. Default 16 KiB; beyond it 431.
    pub header_bytes: usize,
    /// Bytes of the request's URI. Default 4 KiB; beyond it 414.
    pub uri_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1_024,
            header_read: Duration::from_secs(5),
            request_read: Duration::from_secs(15),
            idle: Duration::from_mins(1),
            answer_write: Duration::from_secs(10),
            linger: Duration::from_secs(2),
            header_bytes: 16 * 1_024,
            uri_bytes: 4 * 1_024,
        }
    }
}

/// What happened at a listener, counted since the start of the process.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections taken, without those refused.
    pub accepted: AtomicU64,
    /// Connections closed at once, because there were [`Limits::connections`] already.
    pub refused: AtomicU64,
    /// Errors of `accept` that are not one connection's own.
    pub accept_errors: AtomicU64,
    /// Connections closed because a header block took too long.
    pub header_timeouts: AtomicU64,
    /// Connections closed because a body took too long.
    pub body_timeouts: AtomicU64,
    /// Connections closed because the client did not take its answer.
    pub answer_timeouts: AtomicU64,
    /// Requests refused before any service saw them: no HTTP, too long, contradictory lengths.
    pub bad_heads: AtomicU64,
    /// Connections closed because the client spoke HTTP/2, as gRPC does.
    pub http2_refused: AtomicU64,
    /// Connections cut because the drain had come to its deadline.
    pub cut_at_stop: AtomicU64,
}

impl Counts {
    fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a port has to do with requests that no service sees.
pub trait Refusals: Send + Sync + 'static {
    /// The answer to a request whose head is refused (400, 414), in the form that the port's
    /// clients expect.
    fn refuse(
        &self,
        request: &request::Parts,
        status: StatusCode,
        message: &'static str,
    ) -> Response<Full<Bytes>>;

    /// A head could not even be read (400, 431): the HTTP library has answered, without a body.
    fn unreadable(&self, status: StatusCode);
}

/// Refuses with one line of plain text.
#[derive(Clone, Copy, Debug)]
pub struct PlainText;

impl Refusals for PlainText {
    fn refuse(
        &self,
        _request: &request::Parts,
        status: StatusCode,
        message: &'static str,
    ) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(format!("{message}\n")));
        *response.status_mut() = status;
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        response
    }

    fn unreadable(&self, _status: StatusCode) {}
}

/// How one listener is served.
#[derive(Clone)]
pub struct Settings {
    /// What a client may take.
    pub limits: Limits,
    /// How long requests in flight may take once the stop signal is given; then they are cut.
    pub drain: Duration,
    /// For requests that no service sees.
    pub refusals: Arc<dyn Refusals>,
    /// Where it is counted what happens.
    pub counts: Arc<Counts>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            drain: Duration::from_secs(5),
            refusals: Arc::new(PlainText),
            counts: Arc::default(),
        }
    }
}

/// Serves every connection of `listener` with `service` until the stop signal; then takes no more,
/// closes idle connections, waits for requests in flight and returns, at the latest after
/// [`Settings::drain`]. An axum router fits through `hyper_util::service::TowerToHyperService`.
pub async fn serve<S, B>(listener: TcpListener, service: S, settings: Settings, mut stop: Stop)
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let places = Arc::new(Semaphore::new(settings.limits.connections));
    let service = Arc::new(service);
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            biased;
            () = stop.given() => break,
            Some(ended) = connections.join_next() => {
                report_panic(ended);
                continue;
            }
            stream = accept(&listener, &settings.counts) => stream,
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            Counts::add(&settings.counts.refused);
            continue;
        };
        Counts::add(&settings.counts.accepted);
        let connection =
            connection::run(stream, Arc::clone(&service), settings.clone(), stop.clone());
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);

    let deadline = Instant::now() + settings.drain;
    while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, connections.join_next()).await {
        report_panic(ended);
    }
    let left = connections.len() as u64;
    if left > 0 {
        settings
            .counts
            .cut_at_stop
            .fetch_add(left, Ordering::Relaxed);
        tracing::warn!(
            connections = left,
            "connections cut at the end of the drain"
        );
        connections.shutdown().await;
    }
}

/// The next connection, whatever happens in between.
async fn accept(listener: &TcpListener, counts: &Counts) -> TcpStream {
    loop {
        let error = match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => error,
        };
        // These mean that the client went away while it waited: no reason to rest.
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::Interrupted
        ) {
            continue;
        }
        // One line for the first and then for each power of two, not twenty a second.
        let before = counts.accept_errors.fetch_add(1, Ordering::Relaxed);
        if (before + 1).is_power_of_two() {
            tracing::error!(%error, errors = before + 1, "cannot accept connections");
        }
        tokio::time::sleep(ACCEPT_REST).await;
    }
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        // The connection is closed without an answer, which clients retry; a 500 they would not.
        tracing::error!(%error, "a request panicked");
    }
}
