//! One connection of HTTP/2: hyper under deadlines for each request, for answers that nobody takes,
//! and for silence.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http2;
use hyper::service::Service;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until};

use super::activity::{Activity, End, InRequest};
use super::connection::uri_bytes;
use super::{Counts, Settings, report_panic};
use crate::shutdown::Stop;

/// What a client may send ahead of its being read, on one connection: as much as the protocol gives
/// it from the start. Of all connections together it is what a flood can take beside the budget of
/// bodies.
const WINDOW_BYTES: u32 = 65_535;

/// Requests at once on one connection. Clients wait with further ones.
const STREAMS: u32 = 64;

/// Answers are small; this much of them may wait for the client.
const SEND_BUFFER_BYTES: usize = 16 * 1_024;

/// Serves one connection until either side ends it, a deadline passes, or the drain finds it quiet.
/// Every request at once takes one of `places`.
pub(super) async fn run<S, B>(
    stream: TcpStream,
    service: Arc<S>,
    settings: Settings,
    places: Arc<Semaphore>,
    mut stop: Stop,
) where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // As for HTTP/1: nothing is gained by waiting for more.
    let _ = stream.set_nodelay(true);
    let limits = settings.limits;
    let activity = Activity::new(limits);
    let mut changes = activity.changes();
    let streams = Streams::default();
    let socket = Socket {
        stream,
        activity: activity.clone(),
    };
    let watched = Watched {
        service,
        settings: settings.clone(),
        places,
        activity: activity.clone(),
    };
    let mut connection = pin!(
        http2::Builder::new(streams.executor())
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_concurrent_streams(STREAMS)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .serve_connection(TokioIo::new(socket), watched)
    );
    loop {
        let deadline = activity.deadline();
        let leaving = activity.is_leaving();
        tokio::select! {
            biased;
            // A client that breaks the rules of HTTP/2 has been told so by the library.
            _ = connection.as_mut() => break,
            end = reached(deadline) => match end {
                End::Silence if !leaving => {
                    activity.leave();
                    connection.as_mut().graceful_shutdown();
                }
                End::Silence => break,
                End::Answer => {
                    Counts::add(&settings.counts.answer_timeouts);
                    break;
                }
            },
            () = changes.made() => {}
            () = stop.given(), if !leaving => {
                activity.leave();
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Waits for a deadline; for ever when there is none.
async fn reached(deadline: Option<(End, Instant)>) -> End {
    let Some((end, at)) = deadline else {
        return std::future::pending().await;
    };
    sleep_until(at).await;
    end
}

/// The tasks of a connection's requests. They end with it.
#[derive(Default)]
struct Streams(Executor);

#[derive(Clone, Default)]
struct Executor(Arc<Mutex<JoinSet<()>>>);

impl Streams {
    fn executor(&self) -> Executor {
        self.0.clone()
    }
}

impl Drop for Streams {
    /// The tasks hold the executor, and so themselves.
    fn drop(&mut self) {
        let mut tasks = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.abort_all();
    }
}

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(ended) = tasks.try_join_next() {
            report_panic(ended);
        }
        tasks.spawn(stream);
    }
}

/// The socket, which tells the activity when the client takes nothing.
struct Socket {
    stream: TcpStream,
    activity: Activity,
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.activity.written(written.is_ready());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.activity.written(written.is_ready());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The service, which tells the activity when requests begin and answers are ready.
struct Watched<S> {
    service: Arc<S>,
    settings: Settings,
    places: Arc<Semaphore>,
    activity: Activity,
}

impl<S, B> Service<Request<Incoming>> for Watched<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<AnswerBody<Either<B, Full<Bytes>>>>;
    type Error = h2::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, h2::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (head, incoming) = request.into_parts();
        let limits = self.settings.limits;
        let place = Arc::clone(&self.places).try_acquire_owned();
        let refusal = if place.is_err() {
            Some((
                StatusCode::SERVICE_UNAVAILABLE,
                "there are too many requests at once",
            ))
        } else if uri_bytes(&head.uri) > limits.uri_bytes {
            Counts::add(&self.settings.counts.bad_heads);
            Some((StatusCode::URI_TOO_LONG, "the request's URI is too long"))
        } else {
            None
        };
        let mut request = place.ok().map(|place| self.activity.request_begins(place));
        if let Some((status, message)) = refusal {
            let response = self.settings.refusals.refuse(&head, status, message);
            let response = response.map(|body| AnswerBody::new(Either::Right(body), request));
            return Box::pin(std::future::ready(Ok(response)));
        }
        let body = RequestBody {
            incoming,
            deadline: Box::pin(sleep_until(Instant::now() + limits.request_read)),
            counts: Arc::clone(&self.settings.counts),
        };
        let answer = self.service.call(Request::from_parts(head, body));
        Box::pin(async move {
            match AssertUnwindSafe(answer).catch_unwind().await {
                Ok(Ok(response)) => {
                    Ok(response.map(|body| AnswerBody::new(Either::Left(body), request.take())))
                }
                Err(_) => {
                    tracing::error!("a request panicked");
                    // As for HTTP/1: no answer, which clients take for a reason to try again.
                    Err(h2::Reason::CANCEL.into())
                }
            }
        })
    }
}

/// The body of a request, for as long as it may take to arrive.
pub struct RequestBody {
    incoming: Incoming,
    deadline: Pin<Box<Sleep>>,
    counts: Arc<Counts>,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)));
        }
        ready!(self.deadline.as_mut().poll(context));
        Counts::add(&self.counts.body_timeouts);
        Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// The body of an answer. hyper drops it as soon as it has all of it.
struct AnswerBody<B> {
    body: Pin<Box<B>>,
    _request: Option<InRequest>,
}

impl<B> AnswerBody<B> {
    fn new(body: B, mut request: Option<InRequest>) -> Self {
        if let Some(request) = &mut request {
            request.answer_begins();
        }
        Self {
            body: Box::pin(body),
            _request: request,
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
