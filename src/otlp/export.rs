//! What every transport does with a request once it knows what is asked: the token, the body within
//! its limits, the deadline. What is done with spans and log records is the business of whoever
//! implements [`ExportService`].

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body;
use hyper::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::Encoding;
use super::answer::Signal;
use super::body::{self, BodyError, BodyLimits, Buffer, Coding};
use super::budget::Budget;
use super::inflate::inflate;
use crate::tokens::Tokens;

/// Bodies below this size, a batch of thousands of spans, are inflated where they are; others would
/// keep a worker thread from serving, so they get a thread of their own.
const INFLATE_IN_PLACE_BYTES: usize = 128 * 1_024;

/// Takes requests whose bodies are in memory, inflated.
pub trait ExportService: Send + Sync + 'static {
    /// Whether nothing can be taken now: then bodies are not even inflated.
    fn is_full(&self) -> bool;

    /// Answers when everything that the body led to is committed, or is refused. It is asked for
    /// [`Signal::Traces`] and [`Signal::Logs`]. The future may be dropped at any time: it must only
    /// wait for work that somebody else does. The bytes count against the budget until their last
    /// clone is dropped.
    fn export(
        &self,
        signal: Signal,
        body: Bytes,
        encoding: Encoding,
    ) -> impl Future<Output = Outcome> + Send;

    /// A request got its answer: one for this signal, or one at a path that is none of OTLP's. The
    /// status is that of HTTP, or the one that says the same as what was answered over gRPC.
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

impl Outcome {
    /// How many items were rejected and why, when any were; or with which status and message all of
    /// the request was refused. Over gRPC the code says the same as the status.
    pub(super) fn verdict(&self) -> Result<Option<(u64, &str)>, (StatusCode, &str)> {
        match self {
            Self::Accepted => Ok(None),
            Self::Partial { rejected, message } => Ok(Some((*rejected, message))),
            Self::Malformed(message) => Err((StatusCode::BAD_REQUEST, message)),
            Self::TooLarge(message) => Err((StatusCode::PAYLOAD_TOO_LARGE, message)),
            Self::Busy(message) => Err((StatusCode::TOO_MANY_REQUESTS, message)),
            Self::Unavailable(message) => Err((StatusCode::SERVICE_UNAVAILABLE, message)),
        }
    }
}

/// What a request may be, and who may send one.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How large one body may be.
    pub body: BodyLimits,
    /// The bytes of all bodies together, shared with whatever else takes bodies. Default 64 MiB.
    pub budget: Budget,
    /// From the last byte of the body to the answer. Default 3.8 s; then 503. Exporters give up
    /// after 10 s in all, so there is time for a second try.
    pub answer_within: Duration,
    /// Of which clients must show one. Default none: anybody may send.
    pub tokens: Tokens,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            body: BodyLimits::default(),
            budget: Budget::new(64 * 1_024 * 1_024),
            answer_within: Duration::from_millis(3_800),
            tokens: Tokens::default(),
        }
    }
}

/// A service behind the limits that hold for every transport. Clones share them.
#[derive(Debug)]
pub struct Intake<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    service: T,
    settings: Settings,
    metrics_seen: AtomicBool,
}

impl<T> Clone for Intake<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ExportService> Intake<T> {
    /// Gives what arrives to `service`.
    pub fn new(service: T, settings: Settings) -> Self {
        Self(Arc::new(Shared {
            service,
            settings,
            metrics_seen: AtomicBool::new(false),
        }))
    }

    /// See [`ExportService::answered`].
    pub(super) fn answered(&self, signal: Option<Signal>, status: StatusCode) {
        self.0.service.answered(signal, status.as_u16());
    }

    /// How much one body may be, on the wire and inflated.
    pub(super) fn body_limits(&self) -> BodyLimits {
        self.0.settings.body
    }

    /// The bytes of all bodies together.
    pub(super) fn budget(&self) -> &Budget {
        &self.0.settings.budget
    }

    /// Whether the token of the request's head is a known one, or none is needed.
    pub(super) fn is_authorized(&self, headers: &HeaderMap) -> bool {
        self.0.settings.tokens.admit(headers).is_some()
    }

    /// A body that is the request itself, from its first byte to the outcome.
    pub(super) async fn take<B>(
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
        if signal == Signal::Metrics {
            return self.discard(body).await;
        }
        let wire = body::read(body, self.body_limits().wire_bytes, self.budget()).await?;
        self.export(signal, wire, coding, encoding).await
    }

    /// A body that nobody looks at.
    pub(super) async fn discard<B>(&self, body: B) -> Result<Outcome, BodyError>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Send,
    {
        body::discard(body, self.body_limits().wire_bytes).await?;
        if !self.0.metrics_seen.swap(true, Ordering::Relaxed) {
            tracing::info!("a client sends metrics: they are answered and not kept");
        }
        Ok(Outcome::Accepted)
    }

    /// A request as it was sent, from its last byte to the outcome.
    pub(super) async fn export(
        &self,
        signal: Signal,
        wire: Buffer,
        coding: Coding,
        encoding: Encoding,
    ) -> Result<Outcome, BodyError> {
        if self.0.service.is_full() {
            return Ok(Outcome::Busy(
                "too much is waiting for the database; send it again".into(),
            ));
        }
        let deadline = Instant::now() + self.0.settings.answer_within;
        let work = async {
            let inflated = self.inflated(wire, coding).await?;
            let body = inflated.into();
            Ok(self.0.service.export(signal, body, encoding).await)
        };
        match tokio::time::timeout_at(deadline, work).await {
            Ok(result) => result,
            Err(_) => Ok(Outcome::Unavailable(
                "not committed in time; it is not known whether it will be".into(),
            )),
        }
    }

    async fn inflated(&self, wire: Buffer, coding: Coding) -> Result<Buffer, BodyError> {
        let limit_bytes = self.body_limits().inflated_bytes;
        let budget = self.budget().clone();
        if coding == Coding::Identity || wire.as_ref().len() < INFLATE_IN_PLACE_BYTES {
            return inflate(wire, coding, limit_bytes, &budget);
        }
        tokio::task::spawn_blocking(move || inflate(wire, coding, limit_bytes, &budget))
            .await
            .expect("inflation does not panic, and the runtime outlives its requests")
    }
}

/// The status of a request whose body could not be taken.
pub(super) fn status_of(error: &BodyError) -> StatusCode {
    match error {
        BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        BodyError::BudgetFull(_) => StatusCode::TOO_MANY_REQUESTS,
        BodyError::Malformed(_) | BodyError::Broken => StatusCode::BAD_REQUEST,
    }
}
