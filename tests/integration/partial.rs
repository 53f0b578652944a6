//! Requests of which a part can never be stored: the rest is, and the answer says what was not.

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;

use super::{
    databases::{Database, Kind, each_kind},
    exactly_once::assert_holds,
    load::{self, Truth},
    program::{Program, agent},
    store::migrations::execute,
};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Sends a request that is answered 200, and gives what is said of its spans.
fn answer(program: &Program, body: &[u8]) -> Option<ExportTracePartialSuccess> {
    let mut response = agent()
        .post(format!("http://{}/v1/traces", program.otlp))
        .content_type("application/x-protobuf")
        .send(body)
        .unwrap();
    assert_eq!(response.status(), 200);
    let body = response.body_mut().read_to_vec().unwrap();
    ExportTraceServiceResponse::decode(&body[..])
        .unwrap()
        .partial_success
}

#[test]
fn a_request_with_bad_ids_that_is_sent_again_gets_the_same_answer() {
    each_kind(|kind| {
        let database = Database::new(kind);
        let ended = load::now_nanos();
        let mut bad = load::entry(1, 500, ended);
        bad.trace_id = vec![0; 16];
        let body = load::body("shop", vec![load::entry(0, 200, ended), bad]);
        let truth = Truth {
            requests: 1,
            ..Truth::default()
        };
        let mut program = Program::start(&database.url, &database.environment());
        let first = answer(&program, &body).expect("a span is rejected");
        assert_eq!(first.rejected_spans, 1);
        assert!(
            first.error_message.contains("1 for bad trace id"),
            "{first:?}"
        );
        assert_eq!(answer(&program, &body).as_ref(), Some(&first));
        program.metrics().assert_balanced();
        assert!(program.terminate().success());
        // Another process knows of it by the ledger alone.
        let program = Program::start(&database.url, &database.environment());
        assert_eq!(answer(&program, &body), Some(first));
        program.metrics().assert_balanced();
        assert_holds(&database, &truth);
    });
}

#[test]
fn a_trace_that_the_database_refuses_is_rejected_alone_and_never_tried_again() {
    each_kind(|kind| {
        let database = Database::new(kind);
        let program = Program::start(&database.url, &database.environment());
        block_on(execute(
            &database,
            match kind {
                Kind::Sqlite => {
                    "CREATE TRIGGER refuses BEFORE INSERT ON api_errors \
                     WHEN NEW.error_message = 'unbearable' BEGIN SELECT RAISE(ABORT, 'no'); END"
                }
                Kind::Postgres => {
                    "ALTER TABLE api_errors ADD CHECK (error_message <> 'unbearable')"
                }
            },
        ));
        let mut stored = load::whole_traces("shop", 0, 8);
        let unbearable = load::failed(100, 1, 0, "unbearable", load::now_nanos());
        let other = load::body("shop", vec![unbearable]);
        // Two messages one after the other are one message with the spans of both.
        stored.body.extend(other);
        let first = answer(&program, &stored.body).expect("a span is rejected");
        assert_eq!(first.rejected_spans, 1);
        assert!(
            first
                .error_message
                .contains("1 for a value that the database refuses"),
            "{first:?}"
        );
        // The ledger knows the request, not what was refused of it: the rest is stored, so is the answer.
        assert_eq!(answer(&program, &stored.body), None);
        program.metrics().assert_balanced();
        assert_holds(&database, &stored.truth);
    });
}
