//! OTLP over gRPC: what is asked, whether it may be, and which answer that gets. The messages go
//! the same way as the bodies of OTLP over HTTP, and are read where they lie.

mod answer;
mod health;
mod message;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::http::request;
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Body;
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode};
use tracing::Instrument as _;

use super::Encoding;
use super::answer::{Signal, partial_success, refused as refused_over_http};
use super::body::{BodyError, Coding};
use super::export::{ExportService, Intake, Outcome};
use super::http::{MediaType, encoding_for_refusal, media_type};
use super::mistake::{Mistake, Mistakes};
use crate::server::Refusals;
use crate::telemetry;
pub use answer::Answer;

/// How a message is compressed, when its flag says that it is.
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// How messages may be compressed.
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// The service for the port of OTLP over gRPC.
pub struct OtlpGrpc<T>(Arc<Inner<T>>);

struct Inner<T> {
    intake: Intake<T>,
    is_ready: Box<dyn Fn() -> bool + Send + Sync>,
    mistakes: Mistakes,
}

/// A method that can be called here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Procedure {
    Export(Signal),
    Health,
}

impl<T: ExportService> OtlpGrpc<T> {
    /// Gives what arrives to the intake. The health service says whether redspan is ready.
    pub fn new(intake: Intake<T>, is_ready: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            intake,
            is_ready: Box::new(is_ready),
            mistakes: Mistakes::default(),
        }))
    }
}

impl<T> Clone for OtlpGrpc<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for OtlpGrpc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpGrpc").finish_non_exhaustive()
    }
}

impl<T, B> Service<Request<B>> for OtlpGrpc<T>
where
    T: ExportService,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send,
{
    type Response = Response<Either<Answer, Full<Bytes>>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        let (head, body) = request.into_parts();
        // All that is asked of the head is asked now: many requests wait side by side for their
        // bodies, and none of them keeps its headers.
        match inner.check(&head) {
            Ok((Procedure::Export(signal), coding)) => {
                let span = telemetry::rpc_span(method_of(signal), &head.headers);
                let noted = span.clone();
                let answer = async move {
                    let (status, answer) = inner.export(signal, coding, body).await;
                    telemetry::note_rpc_answer(&noted, answer::code_of(status).1);
                    inner.intake.answered(Some(signal), status);
                    Ok(answer.map(Either::Left))
                };
                Box::pin(answer.instrument(span))
            }
            Ok((Procedure::Health, coding)) => Box::pin(async move {
                let answer = health::check(body, coding, (inner.is_ready)()).await;
                Ok(answer.map(Either::Left))
            }),
            Err(mistake) => {
                let answer = inner.refused(&head, mistake);
                Box::pin(std::future::ready(Ok(answer)))
            }
        }
    }
}

impl<T: ExportService> Inner<T> {
    /// What can be said before the body is read.
    fn check(&self, head: &request::Parts) -> Result<(Procedure, Coding), Mistake> {
        if head.method != Method::POST || media_type(&head.headers) != MediaType::Grpc {
            return Err(Mistake::NotGrpc);
        }
        let procedure = procedure_of(head.uri.path()).ok_or(Mistake::OtherProcedure)?;
        // Whoever asks only for health has no token: kubelets cannot send one.
        if procedure != Procedure::Health && !self.intake.is_authorized(&head.headers) {
            return Err(Mistake::NoToken);
        }
        let coding = Coding::of(&head.headers, &GRPC_ENCODING).ok_or(Mistake::Coding)?;
        Ok((procedure, coding))
    }

    /// In gRPC's words for who speaks it, else in HTTP's.
    fn refused(
        &self,
        head: &request::Parts,
        mistake: Mistake,
    ) -> Response<Either<Answer, Full<Bytes>>> {
        self.mistakes.note(mistake, head);
        let (status, advice) = (mistake.status(), mistake.advice());
        let signal = match procedure_of(head.uri.path()) {
            Some(Procedure::Export(signal)) => Some(signal),
            Some(Procedure::Health) | None => None,
        };
        self.intake.answered(signal, status);
        if mistake == Mistake::NotGrpc {
            let encoding = encoding_for_refusal(&head.headers);
            return refused_over_http(encoding, status, advice).map(Either::Right);
        }
        let mut answer = answer::refused(status, advice);
        if mistake == Mistake::Coding {
            let known = HeaderValue::from_static("identity,gzip,zstd,deflate");
            answer.headers_mut().insert(GRPC_ACCEPT_ENCODING, known);
        }
        answer.map(Either::Left)
    }

    async fn export<B>(
        &self,
        signal: Signal,
        coding: Coding,
        body: B,
    ) -> (StatusCode, Response<Answer>)
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Send,
    {
        let taken = match signal {
            Signal::Metrics => self.intake.discard(body).await,
            Signal::Traces | Signal::Logs => self.take(signal, coding, body).await,
        };
        match &taken {
            Ok(outcome) => match outcome.verdict() {
                Ok(None) => (StatusCode::OK, answer::accepted(&[])),
                Ok(Some((rejected, message))) => {
                    let partial = partial_success(rejected, message);
                    (StatusCode::OK, answer::accepted(&partial))
                }
                Err((status, message)) => (status, answer::refused(status, message)),
            },
            Err(error) => answer::unread(error),
        }
    }

    async fn take<B>(&self, signal: Signal, coding: Coding, body: B) -> Result<Outcome, BodyError>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Send,
    {
        let limit_bytes = self.intake.body_limits().wire_bytes;
        let (wire, coding) = message::read(body, coding, limit_bytes, self.intake.budget()).await?;
        self.intake
            .export(signal, wire, coding, Encoding::Protobuf)
            .await
    }
}

impl<T: ExportService> Refusals for OtlpGrpc<T> {
    fn refuse(
        &self,
        request: &request::Parts,
        status: StatusCode,
        message: &'static str,
    ) -> Response<Full<Bytes>> {
        self.0.intake.answered(None, status);
        if media_type(&request.headers) == MediaType::Grpc {
            answer::refused(status, message).map(|_| Full::default())
        } else {
            refused_over_http(encoding_for_refusal(&request.headers), status, message)
        }
    }

    fn unreadable(&self, status: StatusCode) {
        self.0.intake.answered(None, status);
    }
}

/// For clients of HTTP/1.1 that came to the port of gRPC: the answer and the log say where to go.
#[derive(Debug)]
pub struct Http1Advice<T>(OtlpGrpc<T>);

impl<T: ExportService> Http1Advice<T> {
    /// For the port of this service.
    #[must_use]
    pub fn new(service: OtlpGrpc<T>) -> Self {
        Self(service)
    }
}

impl<T, B> Service<Request<B>> for Http1Advice<T>
where
    T: ExportService,
{
    type Response = Response<Either<Answer, Full<Bytes>>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let (head, _) = request.into_parts();
        let answer = self.0.0.refused(&head, Mistake::NotGrpc);
        std::future::ready(Ok(answer))
    }
}

fn procedure_of(path: &str) -> Option<Procedure> {
    let signals = [Signal::Traces, Signal::Logs, Signal::Metrics];
    let signal = signals
        .into_iter()
        .find(|signal| method_of(*signal) == path);
    let health = (path == "/grpc.health.v1.Health/Check").then_some(Procedure::Health);
    signal.map(Procedure::Export).or(health)
}

fn method_of(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    }
}
