//! OTLP over HTTP: what is asked, whether it may be, and which answer that gets. What is done with
//! a body is the business of [`super::export`].

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::http::request;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::service::Service;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use tracing::Instrument as _;

use super::Encoding;
use super::answer::{Signal, accepted, partly_accepted, refused};
use super::body::Coding;
use super::cors::{self, Allowed, Cors};
use super::export::{ExportService, Intake, Outcome, status_of};
use super::mistake::{Mistake, Mistakes};
use crate::server::Refusals;
use crate::telemetry;

/// The service for the port of OTLP over HTTP.
#[derive(Debug)]
pub struct OtlpHttp<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    intake: Intake<T>,
    cors: Option<Cors>,
    mistakes: Mistakes,
}

impl<T: ExportService> OtlpHttp<T> {
    /// Gives what arrives to the intake; pages in browsers may send what `cors` allows.
    #[must_use]
    pub fn new(intake: Intake<T>, cors: Option<Cors>) -> Self {
        Self(Arc::new(Inner {
            intake,
            cors,
            mistakes: Mistakes::default(),
        }))
    }
}

impl<T, B> Service<Request<B>> for OtlpHttp<T>
where
    T: ExportService,
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

impl<T: ExportService> Refusals for OtlpHttp<T> {
    fn refuse(
        &self,
        request: &request::Parts,
        status: StatusCode,
        message: &'static str,
    ) -> Response<Full<Bytes>> {
        let signal = signal_of(request.uri.path());
        self.0.intake.answered(signal, status);
        let mut response = refused(encoding_for_refusal(&request.headers), status, message);
        if let Some(cors) = &self.0.cors {
            cors.allowed(&request.headers).tell(&mut response);
        }
        response
    }

    fn unreadable(&self, status: StatusCode) {
        self.0.intake.answered(None, status);
    }

    fn http2_advice(&self) -> &'static str {
        Mistake::Grpc.advice()
    }
}

impl<T: ExportService> Inner<T> {
    async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Send,
    {
        let (head, body) = request.into_parts();
        let signal = signal_of(head.uri.path());
        let mut response = if cors::is_preflight(&head) {
            self.preflight(&head)
        } else if let Some(signal) = signal {
            self.answer_signal(signal, &head, body).await
        } else {
            let mistake = Mistake::of_path(head.uri.path(), &head.headers);
            self.refused(&head, mistake)
        };
        if let Some(cors) = &self.cors {
            cors.allowed(&head.headers).tell(&mut response);
        }
        self.intake.answered(signal, response.status());
        response
    }

    /// A browser shows no token yet, and is told of a wrong path when it sends.
    fn preflight(&self, head: &request::Parts) -> Response<Full<Bytes>> {
        match &self.cors {
            Some(cors) if cors.allowed(&head.headers) != Allowed::None => cors.preflight(),
            _ => self.refused(head, Mistake::Origin),
        }
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
            Ok((encoding, coding)) => {
                match self.intake.take(signal, encoding, coding, body).await {
                    Ok(outcome) => answer_to(encoding, signal, &outcome),
                    Err(error) => refused(encoding, status_of(&error), &error.to_string()),
                }
            }
            Err(mistake) => self.refused(head, mistake),
        }
    }

    /// What can be said before the body is read.
    fn check(&self, head: &request::Parts) -> Result<(Encoding, Coding), Mistake> {
        if head.method != Method::POST {
            return Err(Mistake::Method);
        }
        if !self.intake.is_authorized(&head.headers) {
            return Err(Mistake::NoToken);
        }
        let encoding = match media_type(&head.headers) {
            MediaType::Otlp(encoding) => encoding,
            MediaType::Grpc => return Err(Mistake::Grpc),
            MediaType::Other => return Err(Mistake::MediaType),
        };
        let coding = Coding::of(&head.headers, &CONTENT_ENCODING).ok_or(Mistake::Coding)?;
        Ok((encoding, coding))
    }

    fn refused(&self, head: &request::Parts, mistake: Mistake) -> Response<Full<Bytes>> {
        self.mistakes.note(mistake, head);
        let encoding = encoding_for_refusal(&head.headers);
        refused(encoding, mistake.status(), mistake.advice())
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
    match outcome.verdict() {
        Ok(None) => accepted(encoding),
        Ok(Some((rejected, message))) => partly_accepted(encoding, signal, rejected, message),
        Err((status, message)) => refused(encoding, status, message),
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
pub(super) fn encoding_for_refusal(headers: &HeaderMap) -> Encoding {
    match media_type(headers) {
        MediaType::Otlp(encoding) => encoding,
        MediaType::Grpc | MediaType::Other => Encoding::Json,
    }
}
