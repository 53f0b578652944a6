//! axum under `tracing-opentelemetry` (`examples/axum.rs`): exceptions of Rust are messages, without
//! type and without stack.

use std::process::Command;

use super::{Called, Case, Request, Row, below_order, example, run};
use crate::databases::Kind;

/// One round of requests for an order.
fn requests(order: usize, _called: Called) -> Vec<Request> {
    vec![
        Request::new("", 200, 1, vec![]),
        Request::new(
            "/pay",
            500,
            1,
            vec![Row::new(
                "500",
                format!("order {order} has no lines"),
                "application",
            )],
        ),
        Request::new(
            "/coupon",
            200,
            1,
            vec![
                Row {
                    code: None,
                    kind: "coupon",
                    ..Row::new(
                        "",
                        format!("there is no coupon for order {order}"),
                        "application",
                    )
                }
                .handled(),
            ],
        ),
        // Nothing but a status.
        Request::new(
            "/unavailable",
            503,
            1,
            vec![Row::new("503", "HTTP 503", "unknown")],
        ),
    ]
}

fn run_axum(kind: Kind) {
    let case = Case {
        name: "Rust (axum)",
        command: Command::new(example("axum")),
        protocol: Some("http/protobuf"),
        batch: 512,
        route: "/orders/{id}",
        url: below_order,
        unsaid: &["request_id", "ip_address"],
        sends_logs: false,
        requests,
    };
    run(kind, case);
}

#[test]
fn the_axum_example_is_told_exactly_on_sqlite() {
    run_axum(Kind::Sqlite);
}

#[test]
fn the_axum_example_is_told_exactly_on_postgresql() {
    run_axum(Kind::Postgres);
}
