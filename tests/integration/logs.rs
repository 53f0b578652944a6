//! Exceptions that are sent as log records, through the whole program.

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource,
};
use prost::Message;

use super::{
    databases::{Database, each_kind},
    exactly_once::assert_holds,
    load::{self, Truth, attribute},
    program::{Program, agent},
};

const WARN: i32 = 13;
const ERROR: i32 = 17;
const INFO: i32 = 9;

/// An exception with this message, logged in a span of a trace.
fn logged(trace: u64, span: u64, severity: i32, message: &str, at: u64) -> LogRecord {
    LogRecord {
        time_unix_nano: at,
        severity_number: severity,
        body: Some(AnyValue {
            value: Some(Value::StringValue("it did not go well".to_owned())),
        }),
        attributes: vec![
            attribute("exception.type", "shop.StockError"),
            attribute("exception.message", message),
            attribute(
                "exception.stacktrace",
                format!("Traceback:\n  File \"stock.py\", line 7, in take\n{message}"),
            ),
        ],
        trace_id: load::trace_id(trace),
        span_id: load::span_id(span),
        ..LogRecord::default()
    }
}

/// The same outside of any trace.
fn outside(severity: i32, message: &str, at: u64) -> LogRecord {
    LogRecord {
        trace_id: Vec::new(),
        span_id: Vec::new(),
        ..logged(0, 0, severity, message, at)
    }
}

fn request(log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource {
                attributes: vec![attribute("service.name", "shop")],
                ..Resource::default()
            }),
            scope_logs: vec![ScopeLogs {
                log_records,
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    }
}

fn send(program: &Program, request: &ExportLogsServiceRequest) {
    let post = |content_type, body: &[u8]| {
        let url = format!("http://{}/v1/logs", program.otlp);
        let mut response = agent()
            .post(url)
            .content_type(content_type)
            .send(body)
            .unwrap();
        let status = response.status();
        let answer = response.body_mut().read_to_string().unwrap();
        (status.as_u16(), answer)
    };
    let protobuf = request.encode_to_vec();
    assert_eq!(
        post("application/x-protobuf", &protobuf),
        (200, String::new())
    );
    // The same records in another request: they are known.
    let json = serde_json::to_vec(request).unwrap();
    assert_eq!(post("application/json", &json), (200, "{}".to_owned()));
}

fn records(program: &Program, result: &str) -> f64 {
    let result = format!("result=\"{result}\"");
    let parts = ["signal=\"logs\"", result.as_str()];
    program.metrics().sum("redspan_records_total", &parts)
}

#[test]
fn a_logged_exception_and_the_failure_of_its_span_are_one_row_whichever_comes_first() {
    each_kind(|kind| {
        let database = Database::new(kind);
        let program = Program::start(&database.url, &database.environment());
        let ended = load::now_nanos();
        // An entry span that failed and does not say with what.
        let spans = |trace| load::body("shop", vec![load::entry(trace, 500, ended)]);
        let logs = |trace: u64| {
            let message = format!("no stock for order {trace}");
            request(vec![logged(trace, 0, ERROR, &message, ended - 1_000)])
        };
        send(&program, &logs(1));
        assert_eq!(program.send(&spans(1)).unwrap(), 200);
        assert_eq!(program.send(&spans(2)).unwrap(), 200);
        send(&program, &logs(2));
        let row =
            |trace| format!("no stock for order {trace}|/items/{trace}|GET|500|user-{trace}|error");
        assert_holds(
            &database,
            &Truth {
                rows: vec![row(1), row(2)],
                requests: 2,
                failed_requests: 2,
                // Of the second trace the span came first, without a word of what was thrown.
                regrouped: 1,
            },
        );
        assert!((records(&program, "error") - 1.0).abs() < 0.1);
        assert!((records(&program, "merged") - 1.0).abs() < 0.1);
        assert!((records(&program, "duplicate") - 2.0).abs() < 0.1);
        program.metrics().assert_balanced();
    });
}

#[test]
fn records_outside_of_traces_are_rows_once_and_others_are_no_errors() {
    each_kind(|kind| {
        let database = Database::new(kind);
        let mut program = Program::start(&database.url, &database.environment());
        let at = load::now_nanos();
        let plain = LogRecord {
            attributes: Vec::new(),
            ..outside(ERROR, "", at)
        };
        let all = request(vec![
            outside(ERROR, "the queue is gone", at),
            outside(WARN, "the cache is cold", at + 1_000),
            outside(INFO, "nothing to see", at + 2_000),
            plain,
        ]);
        send(&program, &all);
        let truth = Truth {
            rows: vec![
                "the queue is gone|log|INTERNAL|||error".to_owned(),
                "the cache is cold|log|INTERNAL|||warning".to_owned(),
            ],
            ..Truth::default()
        };
        assert_holds(&database, &truth);
        let counts = ["error", "duplicate", "not_error"].map(|result| records(&program, result));
        assert_eq!(counts.map(f64::to_bits), [2.0, 2.0, 4.0].map(f64::to_bits));
        program.metrics().assert_balanced();
        assert!(program.terminate().success());

        // Another process knows them by their names, and the request by the ledger.
        let program = Program::start(&database.url, &database.environment());
        send(&program, &all);
        let alone = request(vec![outside(ERROR, "the queue is gone", at)]);
        send(&program, &alone);
        assert_holds(&database, &truth);
        program.metrics().assert_balanced();
    });
}

#[test]
fn records_without_an_exception_cost_the_database_nothing() {
    each_kind(|kind| {
        let database = Database::new(kind);
        let program = Program::start(&database.url, &database.environment());
        let groups = || {
            program
                .metrics()
                .sum("redspan_commit_duration_seconds_count", &[])
        };
        let before = groups();
        let plain = LogRecord {
            attributes: vec![attribute("order", "7")],
            ..logged(1, 1, ERROR, "", load::now_nanos())
        };
        send(&program, &request(vec![plain; 100]));
        assert!((records(&program, "not_error") - 200.0).abs() < 0.1);
        assert!((groups() - before).abs() < 0.1, "something was committed");
        assert_holds(&database, &Truth::default());
    });
}
