//! The answers, row by row.

use std::sync::atomic::Ordering;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use redspan::otlp::Encoding;
use redspan::otlp::answer::Signal;
use redspan::otlp::export::{self, Outcome};
use redspan::server;
use serde_json::{Value, json};

use super::{Answer, JSON, PROTOBUF, Server, Taken, start, started, until};

/// `google.rpc.Status`, as another implementation reads it.
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

impl Answer {
    /// Its `google.rpc.Status`, which must be in this encoding.
    fn refusal(&self, encoding: Encoding) -> Status {
        match encoding {
            Encoding::Protobuf => {
                assert_eq!(self.header("content-type"), Some("application/x-protobuf"));
                Status::decode(&self.body[..]).unwrap()
            }
            Encoding::Json => {
                assert_eq!(self.header("content-type"), Some("application/json"));
                let status: Value = serde_json::from_slice(&self.body).unwrap();
                assert_eq!(status.as_object().unwrap().len(), 2);
                Status {
                    code: status["code"].as_i64().unwrap().try_into().unwrap(),
                    message: status["message"].as_str().unwrap().to_owned(),
                }
            }
        }
    }
}

const BOTH: [(&str, Encoding); 2] = [(PROTOBUF, Encoding::Protobuf), (JSON, Encoding::Json)];

#[tokio::test]
async fn traces_are_taken_and_acknowledged_in_both_encodings() {
    let server = started().await;
    let answer = server.send(PROTOBUF, b"\x0a\x00").await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b""[..]));
    assert_eq!(
        answer.header("content-type"),
        Some("application/x-protobuf")
    );
    let answer = server.send(JSON, b"{}").await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"{}"[..]));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let head = "POST /v1/logs\nContent-Type: application/json";
    let answer = server.send(head, b"{ }").await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"{}"[..]));
    let taken = |signal, body: &'static [u8], encoding| Taken {
        signal,
        body: body.into(),
        encoding,
    };
    assert_eq!(
        *server.told.taken.lock().unwrap(),
        [
            taken(Signal::Traces, b"\x0a\x00", Encoding::Protobuf),
            taken(Signal::Traces, b"{}", Encoding::Json),
            taken(Signal::Logs, b"{ }", Encoding::Json),
        ]
    );
}

#[tokio::test]
async fn an_empty_request_is_accepted() {
    let server = started().await;
    for (head, _) in BOTH {
        assert_eq!(server.send(head, b"").await.status, 200);
    }
}

#[tokio::test]
async fn a_partial_success_says_how_many_and_why() {
    let server = started().await;
    // The second is all accepted, with a warning.
    for (rejected, message) in [(300, "bad \"ids\" – é"), (0, "clock is off")] {
        server.will_answer(Outcome::Partial {
            rejected,
            message: message.into(),
        });
        let answer = server.send(PROTOBUF, b"").await;
        assert_eq!(answer.status, 200);
        let partial = ExportTraceServiceResponse::decode(&answer.body[..]).unwrap();
        let partial = partial.partial_success.unwrap();
        assert_eq!(partial.rejected_spans, i64::try_from(rejected).unwrap());
        assert_eq!(partial.error_message, message);

        let answer = server.send(JSON, b"").await;
        assert_eq!(answer.status, 200);
        let rejected = rejected.to_string();
        assert_eq!(
            serde_json::from_slice::<Value>(&answer.body).unwrap(),
            json!({"partialSuccess": {"rejectedSpans": rejected, "errorMessage": message}})
        );
    }
}

#[tokio::test]
async fn every_refusal_is_a_status_in_the_encoding_of_the_request() {
    let server = started().await;
    let cases = [
        (
            Outcome::Malformed("not protobuf".into()),
            400,
            3,
            "not protobuf",
        ),
        (
            Outcome::TooLarge("too many spans".into()),
            413,
            8,
            "too many spans",
        ),
        (
            Outcome::Busy("queue is full".into()),
            429,
            8,
            "queue is full",
        ),
        (
            Outcome::Unavailable("database is away".into()),
            503,
            14,
            "database is away",
        ),
    ];
    for (outcome, status, code, message) in cases {
        server.will_answer(outcome);
        for (head, encoding) in BOTH {
            let answer = server.send(head, b"").await;
            assert_eq!(answer.status, status);
            let message = message.to_owned();
            assert_eq!(answer.refusal(encoding), Status { code, message });
            let may_retry = matches!(status, 429 | 503);
            assert_eq!(answer.header("retry-after"), may_retry.then_some("1"));
        }
    }
}

#[tokio::test]
async fn a_very_long_message_is_cut_on_a_character() {
    let server = started().await;
    server.will_answer(Outcome::Malformed("é".repeat(100_000)));
    for (head, encoding) in BOTH {
        let message = server.send(head, b"").await.refusal(encoding).message;
        assert_eq!(message, "é".repeat(512));
    }
}

#[tokio::test]
async fn only_post_is_allowed() {
    let server = started().await;
    for path in ["/v1/traces", "/v1/logs", "/v1/metrics"] {
        for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
            let head = format!("{method} {path}\nContent-Type: application/x-protobuf");
            let answer = server.send(&head, b"").await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
            assert_eq!(answer.refusal(Encoding::Protobuf).code, 12);
        }
    }
}

#[tokio::test]
async fn media_types_are_compared_without_case_and_parameters() {
    let server = started().await;
    for (content_type, answered) in [
        ("Application/JSON; charset=utf-8", "application/json"),
        ("application/json;charset=utf-8", "application/json"),
        ("APPLICATION/X-PROTOBUF", "application/x-protobuf"),
    ] {
        let head = format!("POST /v1/traces\nContent-Type: {content_type}");
        let answer = server.send(&head, b"").await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some(answered))
        );
    }
}

#[tokio::test]
async fn other_media_types_are_refused_with_the_two_that_are_known() {
    let server = started().await;
    for lines in [
        "",
        "\nContent-Type: text/plain",
        "\nContent-Type: application/jsonp",
    ] {
        let answer = server.send(&format!("POST /v1/traces{lines}"), b"{}").await;
        assert_eq!(answer.status, 415);
        let message = answer.refusal(Encoding::Json).message;
        assert!(message.contains("application/x-protobuf"), "{message}");
        assert!(message.contains("application/json"), "{message}");
    }
}

#[tokio::test]
async fn grpc_on_this_port_hears_of_the_other() {
    let server = started().await;
    for path in [
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        "/v1/traces",
    ] {
        let head = format!("POST {path}\nContent-Type: application/grpc+proto");
        let answer = server.send(&head, b"").await;
        assert_eq!(answer.status, 415);
        let message = answer.refusal(Encoding::Json).message;
        assert!(message.contains("http/protobuf"), "{message}");
    }
}

#[tokio::test]
async fn unknown_paths_hear_what_to_set() {
    let server = started().await;
    for (path, hint) in [
        ("/", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ("/v1/traces/", "no slash"),
        ("/v1/traces/v1/traces", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("/v1development/profiles", "not a path"),
    ] {
        let head = format!("POST {path}\nContent-Type: application/x-protobuf");
        let answer = server.send(&head, b"").await;
        assert_eq!(answer.status, 404);
        let status = answer.refusal(Encoding::Protobuf);
        assert_eq!(status.code, 5);
        assert!(status.message.contains(hint), "{}", status.message);
    }
}

#[tokio::test]
async fn a_query_does_not_change_the_path() {
    let server = started().await;
    let head = "POST /v1/traces?source=proxy\nContent-Type: application/json";
    assert_eq!(server.send(head, b"{}").await.status, 200);
}

#[tokio::test]
async fn metrics_get_an_empty_answer_and_are_looked_at_by_nobody() {
    let server = started().await;
    let head = "POST /v1/metrics\nContent-Type: application/x-protobuf";
    let answer = server.send(head, &vec![1; 100_000]).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b""[..]));
    assert_eq!(
        answer.header("content-type"),
        Some("application/x-protobuf")
    );
    let head = "POST /v1/metrics\nContent-Type: application/json";
    let answer = server.send(head, b"{}").await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"{}"[..]));
    assert_eq!(server.taken(), 0);
}

#[tokio::test]
async fn every_answer_is_counted_also_when_no_service_saw_the_request() {
    let server = started().await;
    server.send(PROTOBUF, b"").await;
    server
        .send("POST /v1/logs\nContent-Type: application/json", b"{}")
        .await;
    server.send("GET /v1/metrics", b"").await;
    server.send("POST /elsewhere", b"").await;
    let long = format!("POST /v1/traces?{}", "x".repeat(4_090));
    server.send(&long, b"").await;
    let large = format!("{JSON}\nX-Filler: {}", "x".repeat(17_000));
    for (number, head) in [(6, &large[..]), (7, "P(ST /v1/traces")] {
        server.send(head, b"").await;
        // The client may see the answer before the connection has ended here.
        until(|| server.told.answered.lock().unwrap().len() == number).await;
    }
    assert_eq!(server.counts.bad_heads.load(Ordering::Relaxed), 3);
    let answered = server.told.answered.lock().unwrap();
    assert_eq!(
        *answered,
        [
            (Some(Signal::Traces), 200),
            (Some(Signal::Logs), 200),
            (Some(Signal::Metrics), 405),
            (None, 404),
            (Some(Signal::Traces), 414),
            (None, 431),
            (None, 400),
        ]
    );
}

#[tokio::test]
async fn a_token_is_asked_for_when_there_are_any() {
    let http = export::Settings {
        tokens: ["first-token-of-two", "second-token-of-two"]
            .into_iter()
            .collect(),
        ..export::Settings::default()
    };
    let server = start(http, server::Settings::default()).await;
    for authorization in ["Bearer first-token-of-two", "bearer second-token-of-two"] {
        let head = format!("{PROTOBUF}\nAuthorization: {authorization}");
        assert_eq!(server.send(&head, b"").await.status, 200, "{authorization}");
    }
    for (head, encoding) in BOTH {
        assert_unauthorized(&server, head, encoding).await;
        for authorization in [
            "Bearer third-token-of-two",
            "Bearer first-token-of-tw",
            "Bearer ",
            "Basic first-token-of-two",
            "first-token-of-two",
        ] {
            let head = format!("{head}\nAuthorization: {authorization}");
            assert_unauthorized(&server, &head, encoding).await;
        }
    }
    assert_eq!(server.taken(), 2);
}

async fn assert_unauthorized(server: &Server, head: &str, encoding: Encoding) {
    let answer = server.send(head, b"").await;
    assert_eq!(
        (answer.status, answer.header("www-authenticate")),
        (401, Some("Bearer"))
    );
    assert_eq!(answer.refusal(encoding).code, 16);
}
