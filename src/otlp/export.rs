//! What every transport does with a request once it knows what is asked: the token, the body within
//! its limits, the deadline. What is done with spans and log records is the business of whoever
//! implements [`ExportService`].

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::Body;
use hyper::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tokio::time::Instant;

use super::Encoding;
use super::answer::Signal;
use super::body::{self, BodyError, BodyLimits, Buffer, Coding};
use super::budget::Budget;
use super::inflate::inflate;

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

/// A service behind the limits that hold for every transport.
#[derive(Debug)]
pub(super) struct Intake<T> {
    pub(super) service: T,
    settings: Settings,
    metrics_seen: AtomicBool,
}

impl<T: ExportService> Intake<T> {
    pub(super) fn new(service: T, settings: Settings) -> Self {
        Self {
            service,
            settings,
            metrics_seen: AtomicBool::new(false),
        }
    }

    /// Whether the token of the request's head is a known one, or none is needed.
    pub(super) fn is_authorized(&self, headers: &HeaderMap) -> bool {
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

    /// The body from its first byte to the outcome.
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
        let wire_bytes = self.settings.body.wire_bytes;
        if signal != Signal::Metrics {
            let wire = body::read(body, wire_bytes, &self.settings.budget).await?;
            return self.export(signal, wire, coding, encoding).await;
        }
        body::discard(body, wire_bytes).await?;
        if !self.metrics_seen.swap(true, Ordering::Relaxed) {
            tracing::info!("a client sends metrics: they are answered and not kept");
        }
        Ok(Outcome::Accepted)
    }

    async fn export(
        &self,
        signal: Signal,
        wire: Buffer,
        coding: Coding,
        encoding: Encoding,
    ) -> Result<Outcome, BodyError> {
        if self.service.is_full() {
            return Ok(Outcome::Busy(
                "too much is waiting for the database; send it again".into(),
            ));
        }
        let deadline = Instant::now() + self.settings.answer_within;
        let work = async {
            let inflated = self.inflated(wire, coding).await?;
            Ok(self.service.export(signal, inflated.into(), encoding).await)
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

/// The token of `Authorization: Bearer TOKEN`.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}
