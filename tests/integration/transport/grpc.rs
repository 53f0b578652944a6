//! OTLP over gRPC, asked by tonic's client: the answers, code by code.

use std::sync::atomic::Ordering;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, logs_service_client::LogsServiceClient,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, trace_service_client::TraceServiceClient,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use redspan::otlp::Encoding;
use redspan::otlp::answer::Signal;
use redspan::otlp::body::BodyLimits;
use redspan::otlp::budget::{Budget, STEP_BYTES};
use redspan::otlp::export::{self, Outcome};
use redspan::server;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt;

use super::{Server, Taken, start_grpc, until};

const MIB: usize = 1_024 * 1_024;

async fn started() -> Server {
    start_grpc(export::Settings::default(), server::Settings::default()).await
}

async fn with_limits(body: BodyLimits, budget: &Budget) -> Server {
    let settings = export::Settings {
        body,
        budget: budget.clone(),
        ..export::Settings::default()
    };
    start_grpc(settings, server::Settings::default()).await
}

impl Server {
    async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        endpoint.connect().await.unwrap()
    }

    async fn traces(&self) -> TraceServiceClient<Channel> {
        TraceServiceClient::new(self.channel().await)
    }
}

/// One span whose name has so many bytes.
fn spans(name_bytes: usize) -> ExportTraceServiceRequest {
    let span = Span {
        name: "n".repeat(name_bytes),
        ..Span::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: vec![span],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

#[tokio::test]
async fn each_signal_is_taken_as_it_was_sent_and_metrics_are_looked_at_by_nobody() {
    let server = started().await;
    let channel = server.channel().await;
    let sent = spans(10);
    let answer = TraceServiceClient::new(channel.clone())
        .export(sent.clone())
        .await
        .unwrap();
    assert_eq!(answer.into_inner().partial_success, None);
    let answer = LogsServiceClient::new(channel.clone())
        .export(ExportLogsServiceRequest::default())
        .await
        .unwrap();
    assert_eq!(answer.into_inner().partial_success, None);
    let answer = MetricsServiceClient::new(channel)
        .export(ExportMetricsServiceRequest::default())
        .await
        .unwrap();
    assert_eq!(answer.into_inner().partial_success, None);
    let taken = |signal, body: Vec<u8>| Taken {
        signal,
        body: body.into(),
        encoding: Encoding::Protobuf,
    };
    assert_eq!(
        *server.told.taken.lock().unwrap(),
        [
            taken(Signal::Traces, sent.encode_to_vec()),
            taken(Signal::Logs, Vec::new()),
        ]
    );
    assert_eq!(
        *server.told.answered.lock().unwrap(),
        [
            (Some(Signal::Traces), 200),
            (Some(Signal::Logs), 200),
            (Some(Signal::Metrics), 200),
        ]
    );
}

#[tokio::test]
async fn every_compression_that_is_offered_is_undone() {
    let server = started().await;
    let channel = server.channel().await;
    let sent = spans(100_000);
    for coding in [
        CompressionEncoding::Gzip,
        CompressionEncoding::Zstd,
        CompressionEncoding::Deflate,
    ] {
        let mut client = TraceServiceClient::new(channel.clone()).send_compressed(coding);
        client.export(sent.clone()).await.unwrap();
        let taken = server.told.taken.lock().unwrap().pop().unwrap();
        assert_eq!(taken.body, sent.encode_to_vec(), "{coding:?}");
    }
}

#[tokio::test]
async fn every_outcome_has_its_code_and_only_what_is_worth_another_try_says_when() {
    let server = started().await;
    let mut client = server.traces().await;
    let why = || "why: ü".to_owned();
    for (outcome, code, status) in [
        (Outcome::Malformed(why()), Code::InvalidArgument, 400),
        (Outcome::TooLarge(why()), Code::ResourceExhausted, 413),
        (Outcome::Busy(why()), Code::Unavailable, 429),
        (Outcome::Unavailable(why()), Code::Unavailable, 503),
    ] {
        server.will_answer(outcome);
        let refused = client.export(spans(1)).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (code, "why: ü"));
        let retry = refused
            .get_details_retry_info()
            .map(|retry| retry.retry_delay);
        let expected = (code == Code::Unavailable).then_some(Some(Duration::from_secs(1)));
        assert_eq!(retry, expected, "{code}");
        let counted = server.told.answered.lock().unwrap().pop().unwrap();
        assert_eq!(counted, (Some(Signal::Traces), status));
    }
    server.will_answer(Outcome::Partial {
        rejected: 300,
        message: why(),
    });
    let answer = client.export(spans(1)).await.unwrap().into_inner();
    let partial = answer.partial_success.unwrap();
    assert_eq!(
        (partial.rejected_spans, partial.error_message),
        (300, why())
    );
}

#[tokio::test]
async fn a_full_queue_and_a_full_budget_are_worth_another_try() {
    let budget = Budget::new(2 * STEP_BYTES);
    let server = with_limits(BodyLimits::default(), &budget).await;
    let mut client = server.traces().await;
    server.fill(true);
    let refused = client.export(spans(1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.get_details_retry_info().is_some());
    server.fill(false);
    let refused = client.export(spans(3 * STEP_BYTES)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.get_details_retry_info().is_some());
    assert_eq!(server.taken(), 0);
    until(|| budget.used_bytes() == 0).await;
}

#[tokio::test]
async fn a_message_over_a_limit_is_refused_for_good_on_the_wire_and_inflated() {
    let limits = BodyLimits {
        wire_bytes: MIB,
        inflated_bytes: 2 * MIB,
    };
    let budget = Budget::new(64 * MIB);
    let server = with_limits(limits, &budget).await;
    let channel = server.channel().await;
    let mut plain = TraceServiceClient::new(channel.clone());
    let fits = spans(MIB - 50);
    assert!(fits.encoded_len() <= MIB);
    plain.export(fits).await.unwrap();
    let refused = plain.export(spans(MIB)).await.unwrap_err();
    assert_too_large(&refused, "1048576 bytes on the wire");

    let mut gzip = TraceServiceClient::new(channel).send_compressed(CompressionEncoding::Gzip);
    let fits = spans(2 * MIB - 50);
    assert!(fits.encoded_len() <= 2 * MIB);
    gzip.export(fits).await.unwrap();
    let refused = gzip.export(spans(2 * MIB)).await.unwrap_err();
    assert_too_large(&refused, "2097152 bytes when inflated");
    server.forget();
    until(|| budget.used_bytes() == 0).await;
}

fn assert_too_large(refused: &Status, limit: &str) {
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains(limit), "{refused}");
    assert!(refused.get_details_retry_info().is_none());
}

#[tokio::test]
async fn a_token_is_asked_for_when_there_are_any() {
    let token = "a-token-of-some-length";
    let settings = export::Settings {
        tokens: [token].into_iter().collect(),
        ..export::Settings::default()
    };
    let server = start_grpc(settings, server::Settings::default()).await;
    let mut client = server.traces().await;
    let with = |value: &str| {
        let mut request = Request::new(spans(1));
        let metadata = request.metadata_mut();
        metadata.insert("authorization", value.parse().unwrap());
        request
    };
    let refused = client.export(spans(1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("OTEL_EXPORTER_OTLP_HEADERS"));
    let refused = client.export(with("Bearer another-of-some-length")).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    client
        .export(with(&format!("Bearer {token}")))
        .await
        .unwrap();
    // Kubelets cannot send one.
    let mut health = HealthClient::new(server.channel().await);
    health.check(HealthCheckRequest::default()).await.unwrap();
}

#[tokio::test]
async fn health_follows_readiness() {
    let server = started().await;
    let mut client = HealthClient::new(server.channel().await);
    let mut ask = async |service: &str| {
        let service = service.to_owned();
        let answer = client.check(HealthCheckRequest { service }).await;
        answer.map(|answer| answer.into_inner().status().as_str_name())
    };
    let traces = "opentelemetry.proto.collector.trace.v1.TraceService";
    assert_eq!(ask("").await.unwrap(), "SERVING");
    assert_eq!(ask(traces).await.unwrap(), "SERVING");
    assert_eq!(ask("elsewhere").await.unwrap_err().code(), Code::NotFound);
    server.told.ready.store(false, Ordering::Relaxed);
    assert_eq!(ask("").await.unwrap(), "NOT_SERVING");
    assert_eq!(ask(traces).await.unwrap(), "NOT_SERVING");
    let mut client = HealthClient::new(server.channel().await);
    let watched = client.watch(HealthCheckRequest::default()).await;
    assert_eq!(watched.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn a_request_that_runs_when_the_stop_is_given_gets_its_answer() {
    let server = started().await;
    server.hold(true);
    let mut client = server.traces().await;
    let asking = tokio::spawn(async move { client.export(spans(1)).await });
    until(|| server.taken() == 1).await;
    server.stopper.stop();
    server.hold(false);
    asking.await.unwrap().unwrap();
    server.serving.await.unwrap();
    assert_eq!(server.counts.cut_at_stop.load(Ordering::Relaxed), 0);
}
