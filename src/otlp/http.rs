//! OTLP over HTTP: what is asked, whether it may be, and which answer that gets. What is done with
//! the spans is the business of whoever implements [`TraceService`].

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::request;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::service::Service;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::Encoding;
use super::answer::{Signal, accepted, partly_accepted, refused};
use super::body::{self, BodyError, BodyLimits, Buffer, Coding};
use super::budget::Budget;
use super::inflate::inflate;
use super::mistake::{Mistake, Mistakes};
use crate::server::Refusals;
use crate::telemetry;

/// Bodies below this size, a batch of thousands of spans, are inflated where they are; others would
/// keep a worker thread from serving, so they get a thread of their own.
const INFLATE_IN_PLACE_BYTES: usize = 128 * 1_024;

/// Takes requests whose bodies are in memory, inflated.
pub trait TraceService: Send + Sync + 'static {
    /// Whether nothing can be taken now: then bodies are not even inflated.
    fn is_full(&self) -> bool;

    /// Answers when everything that the body led to is committed, or is refused. The future may
    /// be dropped at any time: it must only wait for work that somebody else does. The bytes
    /// count against the budget until their last clone is dropped.
    fn export_traces(
        &self,
        body: Bytes,
        encoding: Encoding,
    ) -> impl Future<Output = Outcome> + Send;

    /// A request got its answer: one for this signal, or one at a path that is none of OTLP's.
    fn answered(&self, signal: Option<Signal>, status: u16);
}

/// What became of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// All of it is committed.
    Accepted,
    /// All of it but some items is committed; these were rejected for good.
    Partial {
        /// How many.
        rejected: u64,
        /// Why.
        message: String,
    },
    /// It is not what its content type says: 400.
    Malformed(String),
    /// It holds more than the limits allow: 413.
    TooLarge(String),
    /// There is too much to do just now: 429.
    Busy(String),
    /// It could not be committed, or nobody knows whether it was: 503.
    Unavailable(String),
}

/// How OTLP over HTTP is served.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How large one body may be.
    pub body: BodyLimits,
    /// The bytes of all bodies together, shared with whatever else takes bodies. Default 64 MiB.
    pub budget: Budget,
    /// From the last byte of the body to the answer. Default 3.8 s; then 503. Exporters give up
    /// after 10 s in all, so there is time for a second try.
    pub answer_within: Duration,
    /// SHA-256 digests of the tokens of which clients must show one. Default none: anybody may.
    pub token_digests: Vec<[u8; 32]>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            body: BodyLimits::default(),
            budget: Budget::new(64 * 1_024 * 1_024),
            answer_within: Duration::from_millis(3_800),
            token_digests: Vec::new(),
        }
    }
}

/// The service for the port of OTLP over HTTP.
#[derive(Debug)]
pub struct OtlpHttp<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    traces: T,
    settings: Settings,
    mistakes: Mistakes,
    logs_seen: AtomicBool,
    metrics_seen: AtomicBool,
}

impl<T: TraceService> OtlpHttp<T> {
    /// Gives what arrives to `traces`.
    #[must_use]
    pub fn new(traces: T, settings: Settings) -> Self {
        Self(Arc::new(Inner {
            traces,
            settings,
            mistakes: Mistakes::default(),
            logs_seen: AtomicBool::new(false),
            metrics_seen: AtomicBool::new(false),
        }))
    }
}

impl<T, B> Service<Request<B>> for OtlpHttp<T>
where
    T: TraceService,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        let route = signal_of(request.uri().path()).map_or("", path_of);
        let span = telemetry::request_span(request.method(), route, request.headers());
        let noted = span.clone();
        let answer = async move {
            let response = inner.answer(request).await;
            telemetry::note_answer(&noted, response.status());
            Ok(response)
        };
        Box::pin(answer.instrument(span))
    }
}

impl<T> Clone for OtlpHttp<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: TraceService> Refusals for OtlpHttp<T> {
    fn refuse(
        &self,
        request: &request::Parts,
        status: StatusCode,
        message: &'static str,
    ) -> Response<Full<Bytes>> {
        let signal = signal_of(request.uri.path());
        self.0.traces.answered(signal, status.as_u16());
        refused(encoding_for_refusal(&request.headers), status, message)
    }

    fn unreadable(&self, status: StatusCode) {
        self.0.traces.answered(None, status.as_u16());
    }
}

impl<T: TraceService> Inner<T> {
    async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Send,
    {
        let (head, body) = request.into_parts();
        let signal = signal_of(head.uri.path());
        let response = if let Some(signal) = signal {
            self.answer_signal(signal, &head, body).await
        } else {
            let mistake = Mistake::of_path(head.uri.path(), &head.headers);
            self.refused(&head, mistake)
        };
        self.traces.answered(signal, response.status().as_u16());
        response
    }

    async fn answer_signal<B>(
        &self,
        signal: Signal,
        head: &request::Parts,
        body: B,
    ) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Send,
    {
        match self.check(head) {
            Ok((encoding, coding)) => match self.take(signal, encoding, coding, body).await {
                Ok(outcome) => answer_to(encoding, signal, &outcome),
                Err(error) => refused(encoding, status_of(&error), &error.to_string()),
            },
            Err(mistake) => self.refused(head, mistake),
        }
    }

    /// What can be said before the body is read.
    fn check(&self, head: &request::Parts) -> Result<(Encoding, Coding), Mistake> {
        if head.method != Method::POST {
            return Err(Mistake::Method);
        }
        if !self.is_authorized(&head.headers) {
            return Err(Mistake::NoToken);
        }
        let encoding = match media_type(&head.headers) {
            MediaType::Otlp(encoding) => encoding,
            MediaType::Grpc => return Err(Mistake::Grpc),
            MediaType::Other => return Err(Mistake::MediaType),
        };
        let coding = Coding::of(&head.headers).ok_or(Mistake::Coding)?;
        Ok((encoding, coding))
    }

    fn refused(&self, head: &request::Parts, mistake: Mistake) -> Response<Full<Bytes>> {
        self.mistakes.note(mistake, head);
        let encoding = encoding_for_refusal(&head.headers);
        refused(encoding, mistake.status(), mistake.advice())
    }

    fn is_authorized(&self, headers: &HeaderMap) -> bool {
        let digests = &self.settings.token_digests;
        if digests.is_empty() {
            return true;
        }
        let Some(token) = headers
            .get(AUTHORIZATION)
            .and_then(|value| bearer(value.as_bytes()))
        else {
            return false;
        };
        let shown: [u8; 32] = Sha256::digest(token).into();
        // Every digest is compared, so that the time tells nothing.
        let equal = digests.iter().fold(Choice::from(0), |equal, digest| {
            equal | digest.ct_eq(&shown)
        });
        equal.into()
    }

    async fn take<B>(
        &self,
        signal: Signal,
        encoding: Encoding,
        coding: Coding,
        body: B,
    ) -> Result<Outcome, BodyError>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Send,
    {
        let limits = self.settings.body;
        let seen = match signal {
            Signal::Traces => {
                let wire = body::read(body, limits.wire_bytes, &self.settings.budget).await?;
                return self.export(wire, coding, encoding).await;
            }
            Signal::Logs => &self.logs_seen,
            Signal::Metrics => &self.metrics_seen,
        };
        body::discard(body, limits.wire_bytes).await?;
        if !seen.swap(true, Ordering::Relaxed) {
            tracing::info!(
                signal = signal.as_str(),
                "a client sends this signal: it is answered and not kept"
            );
        }
        Ok(Outcome::Accepted)
    }

    async fn export(
        &self,
        wire: Buffer,
        coding: Coding,
        encoding: Encoding,
    ) -> Result<Outcome, BodyError> {
        if self.traces.is_full() {
            return Ok(Outcome::Busy(
                "too much is waiting for the database; send it again".into(),
            ));
        }
        let deadline = Instant::now() + self.settings.answer_within;
        let work = async {
            let inflated = self.inflated(wire, coding).await?;
            Ok(self.traces.export_traces(inflated.into(), encoding).await)
        };
        match tokio::time::timeout_at(deadline, work).await {
            Ok(result) => result,
            Err(_) => Ok(Outcome::Unavailable(
                "not committed in time; it is not known whether it will be".into(),
            )),
        }
    }

    async fn inflated(&self, wire: Buffer, coding: Coding) -> Result<Buffer, BodyError> {
        let limit_bytes = self.settings.body.inflated_bytes;
        let budget = self.settings.budget.clone();
        if coding == Coding::Identity || wire.as_ref().len() < INFLATE_IN_PLACE_BYTES {
            return inflate(wire, coding, limit_bytes, &budget);
        }
        tokio::task::spawn_blocking(move || inflate(wire, coding, limit_bytes, &budget))
            .await
            .expect("inflation does not panic, and the runtime outlives its requests")
    }
}

/// What is sent to the path.
fn signal_of(path: &str) -> Option<Signal> {
    let signals = [Signal::Traces, Signal::Logs, Signal::Metrics];
    signals.into_iter().find(|signal| path_of(*signal) == path)
}

fn path_of(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/v1/traces",
        Signal::Logs => "/v1/logs",
        Signal::Metrics => "/v1/metrics",
    }
}

fn answer_to(encoding: Encoding, signal: Signal, outcome: &Outcome) -> Response<Full<Bytes>> {
    let (status, message) = match outcome {
        Outcome::Accepted => return accepted(encoding),
        Outcome::Partial { rejected, message } => {
            return partly_accepted(encoding, signal, *rejected, message);
        }
        Outcome::Malformed(message) => (StatusCode::BAD_REQUEST, message),
        Outcome::TooLarge(message) => (StatusCode::PAYLOAD_TOO_LARGE, message),
        Outcome::Busy(message) => (StatusCode::TOO_MANY_REQUESTS, message),
        Outcome::Unavailable(message) => (StatusCode::SERVICE_UNAVAILABLE, message),
    };
    refused(encoding, status, message)
}

fn status_of(error: &BodyError) -> StatusCode {
    match error {
        BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        BodyError::BudgetFull(_) => StatusCode::TOO_MANY_REQUESTS,
        BodyError::Malformed(_) | BodyError::Broken => StatusCode::BAD_REQUEST,
    }
}

/// What `Content-Type` says that the body is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaType {
    Otlp(Encoding),
    Grpc,
    Other,
}

pub(super) fn media_type(headers: &HeaderMap) -> MediaType {
    let value = headers
        .get(CONTENT_TYPE)
        .map_or(&b""[..], HeaderValue::as_bytes);
    let name = value.split(|byte| *byte == b';').next().unwrap_or_default();
    let name = name.trim_ascii().to_ascii_lowercase();
    match &name[..] {
        b"application/x-protobuf" => MediaType::Otlp(Encoding::Protobuf),
        b"application/json" => MediaType::Otlp(Encoding::Json),
        name if name.starts_with(b"application/grpc") => MediaType::Grpc,
        _ => MediaType::Other,
    }
}

/// Who speaks neither encoding reads JSON most easily.
fn encoding_for_refusal(headers: &HeaderMap) -> Encoding {
    match media_type(headers) {
        MediaType::Otlp(encoding) => encoding,
        MediaType::Grpc | MediaType::Other => Encoding::Json,
    }
}

/// The token of `Authorization: Bearer TOKEN`.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}
