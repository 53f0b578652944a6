//! Express under `@opentelemetry/auto-instrumentations-node` (`tests/apps/node/shop.js`).

use std::process::Command;

use super::{Called, Case, Request, Row, below_order, file, node_packages, run};
use crate::databases::Kind;

/// One round of requests for an order. The spans of each are those of Express, of its router, which
/// notes an exception on spans that it does not call failed, and of the request itself, which ends
/// last.
fn requests(order: usize, called: Called) -> Vec<Request> {
    let refused = format!("connect ECONNREFUSED 127.0.0.1:{}", called.closed.port());
    vec![
        Request::new("", 200, 6, vec![]),
        // Two failed spans and two others with the same exception: one failure.
        Request::new(
            "/crash",
            500,
            6,
            vec![Row {
                sightings: 4,
                stack: Some("shop.js"),
                ..Row::new(
                    "TypeError",
                    format!("order {order} has no lines"),
                    "application",
                )
            }],
        ),
        // Nothing but a status: no exception, no message, no type.
        Request::new(
            "/unavailable",
            503,
            6,
            vec![Row::new("503", "HTTP 503", "unknown")],
        ),
        Request::new(
            "/payment",
            502,
            8,
            vec![Row {
                external: Some(("127.0.0.1", "500")),
                sightings: 2,
                ..Row::new("500", "HTTP 500", "external_api")
            }],
        ),
        // "fetch failed" says nothing of the connection that was refused: the handler's failure is
        // a row, and contained in it are the call's and, below it, the connection's own.
        Request::new(
            "/shipping",
            500,
            8,
            vec![
                Row {
                    code: None,
                    kind: "connection",
                    ..Row::new("", refused.clone(), "network")
                }
                .handled(),
                Row {
                    external: Some(("127.0.0.1", "ECONNREFUSED")),
                    stack: Some("afterConnect"),
                    ..Row::new("ECONNREFUSED", refused, "network")
                }
                .handled(),
                // Its only frame of the shop is a function without name in the file of the
                // crash's, and lines do not count: it is told from that by its message.
                Row {
                    sightings: 4,
                    stack: Some("shop.js"),
                    kind: "TypeError of fetch",
                    ..Row::new("TypeError", "fetch failed", "application")
                },
            ],
        ),
        Request::new(
            "/coupon",
            200,
            7,
            vec![
                Row {
                    stack: Some("shop.js"),
                    ..Row::new(
                        "CouponError",
                        format!("no coupon for order {order}"),
                        "application",
                    )
                }
                .handled(),
            ],
        ),
        Request::new("/nowhere", 404, 3, vec![]),
    ]
}

fn run_express(kind: Kind, protocol: &'static str) {
    let Some(packages) = node_packages() else {
        return;
    };
    let mut command = Command::new("node");
    command
        .arg("--require")
        .arg("@opentelemetry/auto-instrumentations-node/register")
        .arg(file("node/shop.js"))
        .env("NODE_PATH", packages);
    let case = Case {
        name: "Node (Express)",
        command,
        protocol: Some(protocol),
        batch: 512,
        route: "/orders/:id",
        url: below_order,
        unsaid: &[],
        sends_logs: false,
        requests,
    };
    run(kind, case);
}

#[test]
fn an_express_application_that_sends_json_is_told_exactly_on_sqlite() {
    run_express(Kind::Sqlite, "http/json");
}

#[test]
fn an_express_application_that_sends_json_is_told_exactly_on_postgresql() {
    run_express(Kind::Postgres, "http/json");
}

#[test]
fn an_express_application_that_sends_protobuf_is_told_exactly_on_sqlite() {
    run_express(Kind::Sqlite, "http/protobuf");
}

#[test]
fn an_express_application_that_sends_protobuf_is_told_exactly_on_postgresql() {
    run_express(Kind::Postgres, "http/protobuf");
}

#[test]
fn an_express_application_that_speaks_grpc_is_told_exactly_on_sqlite() {
    run_express(Kind::Sqlite, "grpc");
}

#[test]
fn an_express_application_that_speaks_grpc_is_told_exactly_on_postgresql() {
    run_express(Kind::Postgres, "grpc");
}
