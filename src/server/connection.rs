//! One connection: hyper on a socket that notes its progress, under that progress' deadlines.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::progress::{Phase, Progress};
use super::{Counts, Settings};
use crate::shutdown::Stop;

/// hyper's buffer for reading bodies; the header block has its own, smaller limit.
const READ_BUFFER_BYTES: usize = 32 * 1_024;

/// An unread body up to this size is likely in hyper's buffer already, so that the connection can
/// be kept.
const SMALL_BODY_BYTES: u64 = 8 * 1_024;

/// Serves one connection until either side ends it, a deadline passes, or the drain finds it quiet.
pub(super) async fn run<S, B>(
    stream: TcpStream,
    service: Arc<S>,
    settings: Settings,
    mut stop: Stop,
) where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // Answers are written whole: nothing is gained by waiting for more. A socket that refuses
    // the option is served all the same.
    let _ = stream.set_nodelay(true);
    let limits = settings.limits;
    let progress = Progress::new(limits);
    let socket = Socket {
        stream,
        progress: progress.clone(),
    };
    let watched = Watched {
        service,
        progress: progress.clone(),
        settings: settings.clone(),
    };
    let mut connection = http1::Builder::new()
        // Our own deadlines stand in for hyper's, which makes no difference between a header
        // block and an idle connection.
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .max_buf_size(READ_BUFFER_BYTES.max(limits.header_bytes))
        .serve_connection(TokioIo::new(socket), watched);

    let mut timer = pin!(sleep_until(Instant::now() + limits.header_read));
    let mut stopping = false;
    let ended = loop {
        // In this order: the deadline is looked at when the connection has done what it could.
        tokio::select! {
            biased;
            ended = poll_fn(|context| connection.poll_without_shutdown(context)) => break ended,
            () = poll_fn(|context| poll_deadline(&progress, timer.as_mut(), context)) => {
                match progress.now().0 {
                    Phase::Header => Counts::add(&settings.counts.header_timeouts),
                    Phase::Body => Counts::add(&settings.counts.body_timeouts),
                    Phase::Answer => Counts::add(&settings.counts.answer_timeouts),
                    Phase::Idle | Phase::Service => {}
                }
                return;
            }
            () = stop.given(), if !stopping => {
                // Closes an idle connection at once, and a busy one after its answer.
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    if let Err(error) = ended {
        if progress.began_with_http2() {
            let stream = connection.into_parts().io.into_inner().stream;
            refuse_http2(stream, &settings).await;
        } else if progress.began_with_tls() {
            let connections = settings.counts.tls_refused.fetch_add(1, Ordering::Relaxed) + 1;
            if connections.is_power_of_two() {
                tracing::warn!(connections, "a client speaks TLS: {TLS_ADVICE}");
            }
        } else if error.is_parse() {
            Counts::add(&settings.counts.bad_heads);
            settings.refusals.unreadable(if error.is_parse_too_large() {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            } else {
                StatusCode::BAD_REQUEST
            });
        }
        return;
    }
    let linger = progress.body_abandoned().then_some(limits.linger);
    let stream = connection.into_parts().io.into_inner().stream;
    close(stream, linger.unwrap_or_default()).await;
}

/// For the log: a client of TLS would not understand it.
const TLS_ADVICE: &str = "this port does not: set OTEL_EXPORTER_OTLP_ENDPOINT to an address that \
                          begins with http://, for gRPC with OTEL_EXPORTER_OTLP_INSECURE=true";

/// Tells a client of HTTP/2 in its own words what it did wrong, which clients of gRPC show with
/// their error. They come back every few seconds: the log has a line for the first and for each
/// power of two.
async fn refuse_http2(mut stream: TcpStream, settings: &Settings) {
    let advice = settings.refusals.http2_advice();
    let connections = settings
        .counts
        .http2_refused
        .fetch_add(1, Ordering::Relaxed)
        + 1;
    if connections.is_power_of_two() {
        tracing::warn!(connections, "a client speaks HTTP/2: {advice}");
    }
    // Some hundred bytes: they fit in the socket's buffer, or the client is gone.
    if timeout(
        settings.limits.linger,
        stream.write_all(&http2_goodbye(advice)),
    )
    .await
    .is_ok_and(|written| written.is_ok())
    {
        close(stream, settings.limits.linger).await;
    }
}

/// The frames of HTTP/2 (RFC 9113) that refuse a connection: the server's SETTINGS, which are
/// empty, and GOAWAY with the reason `HTTP_1_1_REQUIRED`.
fn http2_goodbye(advice: &str) -> Vec<u8> {
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    let frame = |kind: u8, payload: &[u8]| {
        let length = u32::try_from(payload.len()).expect("a sentence is short");
        let [_, length @ ..] = length.to_be_bytes();
        // No flags, on the stream of the connection itself.
        [&length[..], &[kind, 0, 0, 0, 0, 0], payload].concat()
    };
    let no_stream = 0_u32.to_be_bytes();
    let http_1_1_required = 0xd_u32.to_be_bytes();
    let reason = [&no_stream[..], &http_1_1_required, advice.as_bytes()].concat();
    [frame(SETTINGS, &[]), frame(GOAWAY, &reason)].concat()
}

/// Ready when the connection has outstayed what it does. The timer is moved only when it must fire
/// earlier, which spares most requests the cost.
fn poll_deadline(
    progress: &Progress,
    mut timer: Pin<&mut Sleep>,
    context: &mut Context<'_>,
) -> Poll<()> {
    loop {
        let Some(deadline) = progress.now().1 else {
            return Poll::Pending;
        };
        if deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(context));
        if deadline <= timer.deadline() {
            return Poll::Ready(());
        }
        timer.as_mut().reset(deadline);
    }
}

/// Ends the connection. A socket closed with unread bytes in it makes the operating system throw
/// away what was written, so what the client still sends is read for a while and dropped.
async fn close(mut stream: TcpStream, linger: Duration) {
    if stream.shutdown().await.is_err() || linger.is_zero() {
        return;
    }
    let read_all = async {
        let mut dropped = [0; 4_096];
        while matches!(stream.read(&mut dropped).await, Ok(1..)) {}
    };
    // Either way the socket is closed next.
    let _ = timeout(linger, read_all).await;
}

/// The socket, which tells the progress what comes and goes.
struct Socket {
    stream: TcpStream,
    progress: Progress,
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        let bytes = &buffer.filled()[before..];
        if !bytes.is_empty() {
            self.progress.read(bytes);
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.stream).poll_flush(context));
        self.progress.flushed();
        Poll::Ready(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The service, which tells the progress when requests begin and answers are ready.
struct Watched<S> {
    service: Arc<S>,
    progress: Progress,
    settings: Settings,
}

impl<S, B> Service<Request<Incoming>> for Watched<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<AnswerBody<Either<B, Full<Bytes>>>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (head, incoming) = request.into_parts();
        let is_chunked = head.headers.contains_key(header::TRANSFER_ENCODING);
        let unread = !incoming.is_end_stream();
        let is_small = incoming
            .size_hint()
            .upper()
            .is_some_and(|bytes| bytes <= SMALL_BODY_BYTES);
        let states_length_twice = self.progress.request_begins(unread, is_chunked);
        let refusal = if states_length_twice {
            Some((
                StatusCode::BAD_REQUEST,
                "a request with both Content-Length and Transfer-Encoding is ambiguous",
            ))
        } else if uri_bytes(&head.uri) > self.settings.limits.uri_bytes {
            Some((StatusCode::URI_TOO_LONG, "the request's URI is too long"))
        } else {
            None
        };
        let body = RequestBody {
            incoming,
            unread,
            progress: self.progress.clone(),
        };
        let progress = self.progress.clone();
        if let Some((status, message)) = refusal {
            drop(body);
            Counts::add(&self.settings.counts.bad_heads);
            let mut response = self.settings.refusals.refuse(&head, status, message);
            close_after(&mut response);
            progress.answer_begins();
            let response = response.map(|body| AnswerBody::new(Either::Right(body), progress));
            return Box::pin(std::future::ready(Ok(response)));
        }
        let answer = self.service.call(Request::from_parts(head, body));
        Box::pin(async move {
            let Ok(mut response) = answer.await;
            if progress.body_abandoned() && !is_small {
                close_after(&mut response);
            }
            progress.answer_begins();
            Ok(response.map(|body| AnswerBody::new(Either::Left(body), progress)))
        })
    }
}

fn close_after<B>(response: &mut Response<B>) {
    let close = header::HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
}

pub(super) fn uri_bytes(uri: &Uri) -> usize {
    let authority = uri
        .authority()
        .map_or(0, |authority| authority.as_str().len());
    let path_and_query = uri.path_and_query().map_or(0, |path| path.as_str().len());
    authority + path_and_query
}

/// The body of a request.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    unread: bool,
    progress: Progress,
}

impl RequestBody {
    fn ends(&mut self, whole: bool) {
        if std::mem::take(&mut self.unread) {
            self.progress.body_ends(whole);
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(context));
        if frame.is_none() || self.incoming.is_end_stream() {
            self.ends(true);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.ends(false);
    }
}

/// The body of an answer. hyper drops it as soon as it has all of it.
struct AnswerBody<B> {
    body: Pin<Box<B>>,
    progress: Progress,
}

impl<B> AnswerBody<B> {
    fn new(body: B, progress: Progress) -> Self {
        Self {
            body: Box::pin(body),
            progress,
        }
    }
}

impl<B: Body> Body for AnswerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.body.as_mut().poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for AnswerBody<B> {
    fn drop(&mut self) {
        self.progress.answer_ends();
    }
}
