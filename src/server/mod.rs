//! Serves HTTP/1.1 or HTTP/2 on a listener until the stop signal: hyper, with the limits that keep
//! any client from holding more than its share, and a drain that ends in time whatever clients do.

mod activity;
mod connection;
mod http2;
mod progress;

use std::convert::Infallible;
use std::future::Future;
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
use tokio::time::{Instant, timeout, timeout_at};

pub use connection::RequestBody;
pub use http2::RequestBody as Http2RequestBody;

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
    /// Connections closed because the client spoke TLS.
    pub tls_refused: AtomicU64,
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

    /// What a client of HTTP/2, which is one of gRPC, is told where only HTTP/1.1 is spoken.
    fn http2_advice(&self) -> &'static str {
        "this port speaks HTTP/1.1, not gRPC"
    }
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
pub async fn serve<S, B>(listener: TcpListener, service: S, settings: Settings, stop: Stop)
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let service = Arc::new(service);
    let run = |stream, settings, stop| {
        let service = Arc::clone(&service);
        connection::run(stream, service, settings, stop)
    };
    serve_with(listener, settings, stop, run).await;
}

/// The same over HTTP/2; a client of HTTP/1.1 is served with `http1`.
pub async fn serve_http2<S, B, S1, B1>(
    listener: TcpListener,
    service: S,
    http1: S1,
    settings: Settings,
    stop: Stop,
) where
    S: Service<Request<Http2RequestBody>, Response = Response<B>, Error = Infallible>
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S1: Service<Request<RequestBody>, Response = Response<B1>, Error = Infallible>
        + Send
        + Sync
        + 'static,
    S1::Future: Send + 'static,
    B1: Body<Data = Bytes> + Send + 'static,
    B1::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (service, http1) = (Arc::new(service), Arc::new(http1));
    // One connection of HTTP/2 can carry many requests: all of them together are no more than
    // connections of HTTP/1.1 could bring.
    let places = Arc::new(Semaphore::new(settings.limits.connections));
    let run = |stream: TcpStream, settings: Settings, stop: Stop| {
        let (service, http1) = (Arc::clone(&service), Arc::clone(&http1));
        let places = Arc::clone(&places);
        async move {
            // Both begin with a word of the client.
            let mut word = [0; HTTP2_WORD.len()];
            let mut stopping = stop.clone();
            let first = tokio::select! {
                first = timeout(settings.limits.header_read, stream.peek(&mut word)) => first,
                () = stopping.given() => return,
            };
            let Ok(first) = first else {
                Counts::add(&settings.counts.header_timeouts);
                return;
            };
            match first {
                Ok(bytes) if HTTP2_WORD.starts_with(&word[..bytes]) => {
                    http2::run(stream, service, settings, places, stop).await;
                }
                Ok(_) => connection::run(stream, http1, settings, stop).await,
                // The client is gone.
                Err(_) => {}
            }
        }
    };
    serve_with(listener, settings, stop, run).await;
}

/// What every client of HTTP/2 says first; no method of HTTP/1.1 begins like this.
const HTTP2_WORD: &[u8; 3] = b"PRI";

async fn serve_with<R, F>(listener: TcpListener, settings: Settings, mut stop: Stop, run: R)
where
    R: Fn(TcpStream, Settings, Stop) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(settings.limits.connections));
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
        let connection = run(stream, settings.clone(), stop.clone());
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);

    let deadline = Instant::now() + settings.drain;
    while let Ok(Some(ended)) = timeout_at(deadline, connections.join_next()).await {
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
