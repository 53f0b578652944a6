//! The JDK's HTTP server under the OpenTelemetry agent (`tests/apps/java`), started by README's
//! lines for Java.

use std::{
    fs,
    os::unix::{self, fs::PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use super::{Called, Case, Request, Row, built, file, installed, run, tool};
use crate::{
    databases::{Kind, each_kind},
    readme::snippets,
};

/// The agent takes the place of README's download; nothing else may be asked for.
const CURL: &str = "#!/bin/sh\n\
                    test \"$1\" = -sLO && test \"${2##*/}\" = opentelemetry-javaagent.jar && test -e \"${2##*/}\"\n";

/// What an exception leads to that leaves a handler: the server says nothing to who asked.
fn thrown(code: &'static str, message: String, category: &'static str) -> Row {
    Row {
        stack: Some("Shop."),
        ..Row::new(code, message, category)
    }
}

/// One round of requests for an order. Exceptions that the agent sees are told once on their spans, or
/// once in log records, or twice: an exception in log records is this many sightings more.
#[expect(clippy::too_many_lines, reason = "a table")]
fn requests(order: usize, logged: usize) -> Vec<Request> {
    let no_lines = format!("order {order} has no lines");
    vec![
        Request::new("/orders", 200, 1, vec![]),
        Request::new(
            "/crash",
            None,
            1,
            vec![Row {
                sightings: 1 + logged,
                ..thrown(
                    "java.lang.IllegalArgumentException",
                    no_lines.clone(),
                    "application",
                )
            }],
        ),
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
                ..thrown(
                    "java.lang.IllegalArgumentException",
                    no_lines,
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
                ..Row::new("500", "HTTP 500", "external_api")
            }],
        ),
        Request::new(
            "/shipping",
            None,
            2,
            vec![Row {
                external: Some(("127.0.0.1", "java.net.ConnectException")),
                sightings: 2 + 2 * logged,
                stack: Some("ConnectException"),
                ..Row::new(
                    "java.net.ConnectException",
                    "java.net.ConnectException",
                    "network",
                )
            }],
        ),
        Request::new(
            "/tracking",
            502,
            2,
            vec![Row {
                external: Some(("127.0.0.1", "java.net.ConnectException")),
                kind: "tracking",
                sightings: 2 + logged,
                stack: Some("ConnectException"),
                ..Row::new(
                    "java.net.ConnectException",
                    "java.net.ConnectException",
                    "network",
                )
            }],
        ),
        // The exception that leaves the handler speaks of its cause in its stack.
        Request::new(
            "/reserve",
            None,
            2,
            vec![Row {
                sightings: 2 + logged,
                ..thrown(
                    "Shop.LockException",
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
                thrown(
                    "java.lang.IllegalStateException",
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
                ..thrown(
                    "java.lang.IllegalArgumentException",
                    format!("order {order} asks for -1 pieces"),
                    "validation",
                )
            }],
        ),
    ]
}

/// A folder with `app.jar`, the agent, and the programs that README's lines call; made once.
fn shop() -> Option<PathBuf> {
    static SHOP: OnceLock<PathBuf> = OnceLock::new();
    let jars = installed("REDSPAN_TEST_JARS", "Java")?;
    tool("javac", "-version")?;
    let shop = SHOP.get_or_init(|| {
        let folder = built("java");
        for jar in fs::read_dir(&jars).unwrap() {
            let jar = jar.unwrap();
            unix::fs::symlink(jar.path(), folder.join(jar.file_name())).unwrap();
        }
        let script = format!(
            "javac -cp opentelemetry-api.jar:opentelemetry-context.jar -d classes '{}'\n\
             echo 'Class-Path: opentelemetry-api.jar opentelemetry-context.jar opentelemetry-common.jar' > manifest\n\
             jar cfme app.jar manifest Shop -C classes .",
            file("java/Shop.java").display()
        );
        sh(&folder, &script);
        let curl = folder.join("curl");
        fs::write(&curl, CURL).unwrap();
        fs::set_permissions(&curl, fs::Permissions::from_mode(0o755)).unwrap();
        folder
    });
    Some(shop.clone())
}

fn sh(folder: &Path, script: &str) {
    let status = Command::new("sh")
        .args(["-euc", script])
        .current_dir(folder)
        .status();
    assert!(status.unwrap().success(), "{script}");
}

/// README's lines; the last takes the shell's place, so that the application is who is told to stop.
fn command(folder: &Path) -> Command {
    let lines = snippets::block("sh java").trim_end();
    let (before, last) = lines.rsplit_once('\n').expect("download and start");
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-euc", &format!("{before}\nexec {last}")])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", folder.display()));
    command
}

/// With the exceptions where this says; on spans when it is empty.
fn run_java(kind: Kind, signal: &str) {
    let Some(folder) = shop() else { return };
    let mut command = command(&folder);
    command.env("OTEL_SEMCONV_EXCEPTION_SIGNAL_PREVIEW", signal);
    let name = match signal {
        "" => "Java (agent)",
        "logs" => "Java (agent, exceptions in log records)",
        _ => "Java (agent, exceptions on spans and in log records)",
    };
    let requests = match signal {
        "" => |order, _: Called| requests(order, 0),
        _ => |order, _: Called| requests(order, 1),
    };
    let case = Case {
        name,
        command,
        protocol: Some("http/protobuf"),
        batch: 512,
        route: "",
        url: |path, order| format!("{path}/{order}"),
        unsaid: &[],
        sends_logs: !signal.is_empty(),
        requests,
    };
    run(kind, case);
}

#[test]
#[ignore = "minutes: tests/full.sh"]
fn a_java_application_with_the_lines_of_the_readme_is_told_exactly() {
    each_kind(|kind| run_java(kind, ""));
}

#[test]
#[ignore = "minutes: tests/full.sh"]
fn a_java_application_whose_exceptions_are_log_records_is_told_exactly() {
    each_kind(|kind| run_java(kind, "logs"));
}

#[test]
#[ignore = "minutes: tests/full.sh"]
fn a_java_application_whose_exceptions_are_on_spans_and_in_log_records_is_told_exactly() {
    each_kind(|kind| run_java(kind, "logs/dup"));
}
