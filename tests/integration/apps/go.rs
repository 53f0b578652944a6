//! net/http under otelhttp (`tests/apps/go`), set up by README's lines for Go.

use std::{fs, path::PathBuf, process::Command, sync::OnceLock};

use super::{Called, Case, Request, Row, below_order, built, file, run, tool};
use crate::{databases::Kind, readme::snippets};

/// What README's lines take the place of.
const PLACE: &str = "\t// README's lines for Go.\n";

/// One round of requests for an order.
#[expect(clippy::too_many_lines, reason = "a table")]
fn requests(order: usize, called: Called) -> Vec<Request> {
    let closed = called.closed;
    let refused = format!("dial tcp {closed}: connect: connection refused");
    let out_of_range = "runtime error: index out of range [2] with length 0";
    vec![
        Request::new("", 200, 1, vec![]),
        Request::new(
            "/crash",
            500,
            1,
            vec![Row {
                stack: Some("main.crash"),
                ..Row::new(
                    "*errors.errorString",
                    format!("panic: {out_of_range}"),
                    "application",
                )
            }],
        ),
        // net/http ends a panic that nobody recovers without an answer. otelhttp's span says what
        // was thrown, but neither that it failed nor with which status or route.
        Request {
            is_failed: false,
            ..Request::new(
                "/panic",
                None,
                1,
                vec![Row::new("runtime.boundsError", out_of_range, "application").handled()],
            )
        },
        // Nothing but a status.
        Request::new(
            "/unavailable",
            503,
            1,
            vec![Row::new("503", "HTTP 503", "unknown")],
        ),
        Request::new(
            "/pay",
            500,
            1,
            vec![Row {
                kind: "pay",
                ..Row::new(
                    "*errors.errorString",
                    format!("order {order} has no lines"),
                    "application",
                )
            }],
        ),
        Request::new(
            "/payment",
            502,
            2,
            vec![Row {
                external: Some(("127.0.0.1", "500")),
                sightings: 2,
                kind: "payment",
                ..Row::new("500", "HTTP 500", "external_api")
            }],
        ),
        Request::new(
            "/shipping",
            502,
            2,
            vec![Row {
                external: Some(("127.0.0.1", "*net.OpError")),
                sightings: 2,
                ..Row::new("*net.OpError", refused.clone(), "network")
            }],
        ),
        // otelhttp says what failed in the status of the call's span, not in an exception. So the
        // handler's exception names none, and the call's failure is contained in it.
        Request::new(
            "/tracking",
            502,
            2,
            vec![
                Row {
                    external: Some(("127.0.0.1", "*net.OpError")),
                    ..Row::new("*net.OpError", refused.clone(), "network")
                }
                .handled(),
                Row::new(
                    "*url.Error",
                    format!("Get \"http://{closed}/track/{order}\": {refused}"),
                    "network",
                ),
            ],
        ),
        Request::new(
            "/reserve",
            500,
            2,
            vec![Row {
                sightings: 2,
                ..Row::new(
                    "*main.lockError",
                    format!("order {order} is locked"),
                    "application",
                )
            }],
        ),
        Request::new(
            "/coupon",
            200,
            1,
            vec![
                Row::new(
                    "main.couponError",
                    format!("no coupon for order {order}"),
                    "application",
                )
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
                kind: "quantity",
                ..Row::new(
                    "*errors.errorString",
                    format!("order {order} asks for -1 pieces"),
                    "validation",
                )
            }],
        ),
        Request::new("/nowhere", 404, 1, vec![]),
    ]
}

/// The shop, built once.
fn shop() -> Option<PathBuf> {
    static SHOP: OnceLock<PathBuf> = OnceLock::new();
    tool("go", "version")?;
    let shop = SHOP.get_or_init(|| {
        let folder = built("go");
        for name in ["go.mod", "go.sum"] {
            fs::copy(file("go").join(name), folder.join(name)).unwrap();
        }
        let source = fs::read_to_string(file("go/shop.go")).unwrap();
        assert!(source.contains(PLACE));
        let source = source.replace(PLACE, snippets::block("go"));
        fs::write(folder.join("shop.go"), source).unwrap();
        let compiled = Command::new("go")
            .arg("build")
            .current_dir(&folder)
            .status();
        assert!(compiled.unwrap().success(), "README's lines for Go");
        folder.join("shop")
    });
    Some(shop.clone())
}

fn run_go(kind: Kind) {
    let Some(shop) = shop() else { return };
    let case = Case {
        name: "Go (otelhttp)",
        command: Command::new(shop),
        protocol: Some("http/protobuf"),
        batch: 512,
        route: "/orders/{id}",
        url: below_order,
        unsaid: &[],
        sends_logs: false,
        requests,
    };
    run(kind, case);
}

#[test]
#[ignore = "minutes: tests/full.sh"]
fn a_go_application_with_the_lines_of_the_readme_is_told_exactly_on_sqlite() {
    run_go(Kind::Sqlite);
}

#[test]
#[ignore = "minutes: tests/full.sh"]
fn a_go_application_with_the_lines_of_the_readme_is_told_exactly_on_postgresql() {
    run_go(Kind::Postgres);
}
