//! Flask under `opentelemetry-instrument` (`tests/apps/shop.py`).

use std::process::Command;

use super::{Called, Case, Request, Row, below_order, file, python, run};
use crate::databases::Kind;

/// The spans of one round are one more than a multiple of three: in three rounds, batches of three
/// cut each trace everywhere.
const CUT_EVERYWHERE: usize = 3;

/// What README's lines say.
const HTTP: Option<&str> = Some("http/protobuf");

fn payment_service_failed(sightings: usize) -> Row {
    Row {
        external: Some(("127.0.0.1", "500")),
        sightings,
        ..Row::new("500", "HTTP 500", "external_api")
    }
}

fn statement_failed(table: &'static str, sightings: usize) -> Row {
    Row {
        external: Some(("sqlite", "sqlite3.OperationalError")),
        sightings,
        stack: Some("traced_execution"),
        kind: table,
        ..Row::new(
            "sqlite3.OperationalError",
            format!("no such table: {table}"),
            "database",
        )
    }
}

/// One round of requests for an order.
#[expect(clippy::too_many_lines, reason = "a table")]
fn requests(order: usize, called: Called) -> Vec<Request> {
    vec![
        Request::new("", 200, 1, vec![]),
        Request::new(
            "/crash",
            500,
            1,
            vec![Row {
                stack: Some("in crash"),
                ..Row::new(
                    "ValueError",
                    format!("order {order} has no lines"),
                    "application",
                )
            }],
        ),
        // Nothing but a status: no exception, no message, no type.
        Request::new(
            "/unavailable",
            503,
            1,
            vec![Row::new("503", "HTTP 503", "unknown")],
        ),
        Request::new("/payment", 502, 2, vec![payment_service_failed(2)]),
        // The exception says nothing of the call's failure: two rows, the call's contained.
        Request::new(
            "/refund",
            500,
            2,
            vec![
                payment_service_failed(1).handled(),
                Row {
                    stack: Some("in refund"),
                    first_span: 1,
                    ..Row::new(
                        "requests.exceptions.HTTPError",
                        format!(
                            "500 Server Error: Internal Server Error for url: \
                             http://{failing}/refund/{order}",
                            failing = called.failing
                        ),
                        "application",
                    )
                },
            ],
        ),
        Request::new(
            "/shipping",
            500,
            2,
            vec![Row {
                external: Some(("127.0.0.1", "requests.exceptions.ConnectionError")),
                sightings: 2,
                stack: Some("in create_connection"),
                ..Row::new(
                    "requests.exceptions.ConnectionError",
                    format!(
                        "HTTPConnectionPool(host='127.0.0.1', port={port}): Max retries exceeded \
                         with url: /ship/{order} (Caused by NewConnectionError(\"HTTPConnection(\
                         host='127.0.0.1', port={port}): Failed to establish a new connection: \
                         [Errno 111] Connection refused\"))",
                        port = called.closed.port()
                    ),
                    "network",
                )
            }],
        ),
        Request::new("/stock", 500, 2, vec![statement_failed("stock", 2)]),
        Request::new(
            "/hint",
            200,
            2,
            vec![statement_failed("hints", 1).handled()],
        ),
        Request::new(
            "/coupon",
            200,
            1,
            vec![
                Row {
                    stack: Some("in coupon"),
                    ..Row::new(
                        "KeyError",
                        format!("'coupon of order {order}'"),
                        "application",
                    )
                }
                .handled(),
            ],
        ),
        Request::new(
            "/quantity",
            422,
            1,
            vec![Row {
                severity: "warning",
                tags: &["handled", "client_error"],
                stack: Some("in quantity"),
                kind: "quantity",
                ..Row::new(
                    "ValueError",
                    format!("order {order} asks for -1 pieces"),
                    "validation",
                )
            }],
        ),
        // Of two failed calls the one that ended last is the cause.
        Request::new(
            "/invoice",
            500,
            3,
            vec![
                payment_service_failed(1).handled(),
                Row {
                    first_span: 1,
                    ..statement_failed("invoices", 2)
                },
            ],
        ),
        // One failure on its way through three spans, wrapped once.
        Request::new(
            "/reserve",
            500,
            3,
            vec![Row {
                sightings: 3,
                stack: Some("in reserve"),
                ..Row::new(
                    "__main__.LockError",
                    format!("order {order} is locked"),
                    "application",
                )
            }],
        ),
        Request::new("/nowhere", 404, 1, vec![]),
    ]
}

fn run_flask(kind: Kind, protocol: Option<&'static str>, batch: usize) {
    let Some(python) = python() else { return };
    let mut command = Command::new(python.with_file_name("opentelemetry-instrument"));
    command
        .arg(python)
        .arg(file("shop.py"))
        .env("PORT", "0")
        .env(
            "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",
            "x-request-id,authorization",
        )
        .env_remove("PYTHONPATH");
    let called = Called {
        failing: ([127, 0, 0, 1], 1).into(),
        closed: ([127, 0, 0, 1], 2).into(),
    };
    let spans: usize = requests(1, called).iter().map(|one| one.spans).sum();
    assert_eq!(spans % CUT_EVERYWHERE, 1);
    let case = Case {
        name: "Python (Flask)",
        command,
        protocol,
        batch,
        route: "/orders/<int:order_id>",
        url: below_order,
        unsaid: &[],
        sends_logs: false,
        requests,
    };
    run(kind, case);
}

#[test]
fn a_flask_application_whose_traces_are_cut_everywhere_is_told_exactly_on_sqlite() {
    run_flask(Kind::Sqlite, HTTP, CUT_EVERYWHERE);
}

#[test]
fn a_flask_application_whose_traces_are_cut_everywhere_is_told_exactly_on_postgresql() {
    run_flask(Kind::Postgres, HTTP, CUT_EVERYWHERE);
}

#[test]
fn a_flask_application_with_the_default_batches_is_told_exactly_on_sqlite() {
    run_flask(Kind::Sqlite, HTTP, 512);
}

#[test]
fn a_flask_application_with_the_default_batches_is_told_exactly_on_postgresql() {
    run_flask(Kind::Postgres, HTTP, 512);
}

#[test]
fn a_flask_application_that_is_told_nothing_of_a_protocol_is_told_exactly_on_sqlite() {
    run_flask(Kind::Sqlite, None, 512);
}

#[test]
fn a_flask_application_that_is_told_nothing_of_a_protocol_is_told_exactly_on_postgresql() {
    run_flask(Kind::Postgres, None, 512);
}
