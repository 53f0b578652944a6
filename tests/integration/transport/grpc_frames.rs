//! OTLP over gRPC, asked with frames that no exporter sends, or not in time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use redspan::otlp::export::{self, Outcome};
use redspan::server::{self, Limits};

use super::{LONG, PROTOBUF, Server, start_grpc, until};
use crate::http2::{GRPC, Raw, TRACES, answer, framed};

/// As long as it takes to run out of time.
const SHORT: Duration = Duration::from_millis(150);

const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

async fn started() -> Server {
    with_limits(|_| {}).await
}

async fn with_limits(change: impl FnOnce(&mut Limits)) -> Server {
    let mut settings = server::Settings::default();
    change(&mut settings.limits);
    start_grpc(export::Settings::default(), settings).await
}

#[tokio::test]
async fn an_answer_is_a_message_and_its_trailers() {
    let server = started().await;
    let mut client = Raw::connect(server.address).await;
    let answer = client.send(TRACES, &[GRPC], framed(0, b"")).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &[0; 5][..]));
    assert_eq!(answer.header("content-type"), Some("application/grpc"));
    assert_eq!(answer.trailers["grpc-status"], "0");
}

#[tokio::test]
async fn what_is_not_one_whole_message_is_refused() {
    let server = started().await;
    let mut client = Raw::connect(server.address).await;
    let whole = framed(0, b"whole");
    for body in [
        Vec::new(),
        vec![0, 0],
        whole[..9].to_vec(),
        [&whole[..], &[0]].concat(),
        [&whole[..], &whole[..]].concat(),
        // Compressed, but nobody said how; and a flag that there is not.
        framed(1, b"whole"),
        framed(2, b"whole"),
    ] {
        let answer = client.send(TRACES, &[GRPC], body.clone()).await;
        assert_eq!((answer.status, answer.code()), (200, "3"), "{body:?}");
    }
    assert_eq!(server.taken(), 0);
    // In pieces of one byte it is the same message.
    let (response, mut sending) = client.begin(TRACES, &[GRPC]).await;
    for byte in whole {
        sending.send_data(vec![byte].into(), false).unwrap();
    }
    sending.send_data(Bytes::new(), true).unwrap();
    assert_eq!(answer(response).await.code(), "0");
    assert_eq!(server.told.taken.lock().unwrap()[0].body, "whole");
}

#[tokio::test]
async fn a_stated_length_over_the_limit_is_refused_before_the_message_comes() {
    let server = started().await;
    let mut client = Raw::connect(server.address).await;
    let (response, mut sending) = client.begin(TRACES, &[GRPC]).await;
    let prefix = vec![0, 0xff, 0xff, 0xff, 0xff];
    sending.send_data(prefix.into(), false).unwrap();
    assert_eq!(answer(response).await.code(), "8");
}

#[tokio::test]
async fn an_unknown_compression_or_method_is_not_implemented() {
    let server = started().await;
    let mut client = Raw::connect(server.address).await;
    let snappy = [GRPC, ("grpc-encoding", "snappy")];
    let answer = client.send(TRACES, &snappy, framed(1, b"x")).await;
    assert_eq!(answer.code(), "12");
    let known = answer.header("grpc-accept-encoding");
    assert_eq!(known, Some("identity,gzip,zstd,deflate"));
    // The message's flag says whether it is compressed.
    let gzip = [GRPC, ("grpc-encoding", "gzip")];
    let answer = client.send(TRACES, &gzip, framed(0, b"x")).await;
    assert_eq!(answer.code(), "0");
    for path in [
        "/",
        "/v1/traces",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ] {
        let answer = client.send(path, &[GRPC], framed(0, b"")).await;
        assert_eq!((answer.status, answer.code()), (200, "12"), "{path}");
    }
}

#[tokio::test]
async fn who_does_not_speak_grpc_is_told_so_in_http() {
    let server = started().await;
    let advice = "set OTEL_EXPORTER_OTLP_ENDPOINT to the port for OTLP over HTTP (4318, \
                  otlp.http.listen), or OTEL_EXPORTER_OTLP_PROTOCOL=grpc";
    let json = ("content-type", "application/json");
    let mut client = Raw::connect(server.address).await;
    let answer = client.send("/v1/traces", &[json], b"{}".to_vec()).await;
    assert_eq!(answer.status, 415);
    let body = String::from_utf8(answer.body).unwrap();
    assert!(body.contains(advice), "{body}");

    let answer = server.send(PROTOBUF, b"").await;
    assert_eq!(answer.status, 415);
    let content_type = answer.header("content-type");
    assert_eq!(content_type, Some("application/x-protobuf"));
    let body = String::from_utf8_lossy(&answer.body);
    assert!(body.contains(advice), "{body}");
    let answered = server.told.answered.lock().unwrap();
    assert_eq!(*answered, [(None, 415), (None, 415)]);
}

#[tokio::test]
async fn a_client_of_tls_is_counted() {
    let server = started().await;
    let mut client = server.connect().await;
    // The beginning of a ClientHello.
    client
        .write(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n")
        .await;
    until(|| server.counts.tls_refused.load(Ordering::Relaxed) == 1).await;
}

#[tokio::test]
async fn a_message_that_trickles_is_worth_another_try() {
    let server = with_limits(|limits| limits.request_read = SHORT).await;
    let mut client = Raw::connect(server.address).await;
    for path in [TRACES, METRICS] {
        let (response, mut sending) = client.begin(path, &[GRPC]).await;
        sending.send_data(vec![0, 0, 0].into(), false).unwrap();
        assert_eq!(answer(response).await.code(), "14");
    }
    assert_eq!(server.counts.body_timeouts.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_silent_connection_is_ended_and_one_with_a_request_is_not() {
    let server = with_limits(|limits| limits.idle = SHORT).await;
    server.hold(true);
    let mut busy = Raw::connect(server.address).await;
    let (response, mut sending) = busy.begin(TRACES, &[GRPC]).await;
    sending.send_data(framed(0, b"").into(), true).unwrap();
    until(|| server.taken() == 1).await;
    Raw::connect(server.address).await.ended().await;
    server.hold(false);
    assert_eq!(answer(response).await.code(), "0");
    busy.ended().await;
}

#[tokio::test]
async fn who_says_nothing_at_all_is_cut_off() {
    let server = with_limits(|limits| limits.header_read = SHORT).await;
    server.connect().await.closed().await;
    assert_eq!(server.counts.header_timeouts.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn who_does_not_take_an_answer_is_cut_off() {
    let server = with_limits(|limits| limits.answer_write = SHORT).await;
    let mut client = Raw::with_window(server.address, 0).await;
    let (_response, mut sending) = client.begin(TRACES, &[GRPC]).await;
    sending.send_data(framed(0, b"").into(), true).unwrap();
    client.ended().await;
    assert_eq!(server.counts.answer_timeouts.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn too_many_requests_at_once_are_worth_another_try() {
    let server = with_limits(|limits| limits.connections = 2).await;
    let mut client = Raw::connect(server.address).await;
    let (first, mut sending) = client.begin(TRACES, &[GRPC]).await;
    let (_second, _sending) = client.begin(TRACES, &[GRPC]).await;
    let (third, _more) = client.begin(TRACES, &[GRPC]).await;
    assert_eq!(answer(third).await.code(), "14");
    sending.send_data(framed(0, b"").into(), true).unwrap();
    assert_eq!(answer(first).await.code(), "0");
    let answer = client.send(TRACES, &[GRPC], framed(0, b"")).await;
    assert_eq!(answer.code(), "0");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_who_is_silent() {
    let settings = server::Settings {
        drain: LONG,
        ..server::Settings::default()
    };
    let server = start_grpc(export::Settings::default(), settings).await;
    // One that answers the goodbye, one that never will, and one that has said nothing yet.
    let polite = Raw::connect(server.address).await;
    let mut deaf = server.connect().await;
    deaf.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await;
    let _silent = server.connect().await;
    until(|| server.counts.accepted.load(Ordering::Relaxed) == 3).await;
    server.stopper.stop();
    polite.ended().await;
    server.serving.await.unwrap();
    assert_eq!(server.counts.cut_at_stop.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_panic_cancels_the_request_and_others_go_on() {
    let server = started().await;
    server.will_panic();
    let mut client = Raw::connect(server.address).await;
    let (response, mut sending) = client.begin(TRACES, &[GRPC]).await;
    sending.send_data(framed(0, b"").into(), true).unwrap();
    let error = response.await.unwrap_err();
    // Which clients of gRPC take for CANCELLED, a code that exporters send again.
    assert_eq!(error.reason(), Some(Reason::CANCEL));
    server.will_answer(Outcome::Accepted);
    let answer = client.send(TRACES, &[GRPC], framed(0, b"")).await;
    assert_eq!(answer.code(), "0");
}
