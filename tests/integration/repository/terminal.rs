//! What people see: every form of `redspan errors` on narrow and wide terminals, with and without
//! colours, and what telemetry cannot do to a terminal.

use clap::Parser;
use redspan::{
    cli::{
        errors::{self, View},
        screen::Screen,
    },
    domain::{Category, Fingerprint, Severity, SpanId, Timestamp, TraceId, TraceKey},
    store::NewApiError,
};
use regex::Regex;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{World, new_error};
use crate::databases::on_each_database;

/// 2026-05-04T10:20:30Z.
const NOW: i64 = 1_777_890_030_000_000;

#[derive(Parser)]
enum Command {
    #[command(subcommand)]
    Errors(errors::Look),
}

async fn print(world: &World, line: &[&str], width: Option<u16>, colour: bool) -> String {
    let line = [&["redspan", "errors"], line].concat();
    let Command::Errors(command) = Command::try_parse_from(line).unwrap();
    let view = View {
        now: world.now,
        screen: Screen { width, colour },
        otlp: "127.0.0.1:4318".parse().unwrap(),
        trace_link: Some("https://jaeger.example/trace/{trace_id}".parse().unwrap()),
    };
    errors::answer(&command, &*world.store, &view)
        .await
        .unwrap()
}

fn trace() -> TraceId {
    TraceId::from_slice(&[0xab; 16]).unwrap()
}

/// An id as telemetry has it, which nobody else may give.
fn id(number: u8) -> Uuid {
    let mut bytes = [number; 16];
    bytes[15] = 0;
    Uuid::new_v8(bytes)
}

/// Logs errors, the first of which is number 1, with ids as telemetry has them.
async fn log(world: &World, errors: Vec<NewApiError>) {
    let rename = (1..).zip(world.log(errors).await).map(|(number, row)| {
        let id = id(number);
        format!("UPDATE api_errors SET id = '{id}' WHERE id = '{}';", row.id)
    });
    world.by_hand(&rename.collect::<String>()).await;
}

fn stack() -> String {
    let frames = (1..=25).map(|line| {
        format!("  File \"/srv/shop/step_{line}.py\", line {line}, in step\n    step({line})\n")
    });
    let frames: String = frames.collect();
    format!("Traceback (most recent call last):\n{frames}psycopg.OperationalError: refused")
}

/// Errors as they come: many of one kind, wide characters, long words.
fn errors(now: Timestamp) -> Vec<NewApiError> {
    let error = |kind: &str, ago: i64| NewApiError {
        fingerprint: Some(Fingerprint(format!("1:{kind}"))),
        created_at: Some(now.plus_seconds(-ago)),
        service_name: Some("shop".to_owned()),
        service_version: Some("1.4.2".to_owned()),
        ..new_error()
    };
    let refused = |number: u8, ago: i64| NewApiError {
        user_id: Some(format!("user-{}", number % 3)),
        endpoint: "/orders/{id}/pay".to_owned(),
        method: "POST".to_owned(),
        status_code: Some(500),
        category: Some(Category::Database),
        error_code: Some("psycopg.OperationalError".to_owned()),
        error_message: "connection to server at \"db-1\" (10.0.0.7), port 5432 failed: refused\n\
                        \tIs the server running on that host?"
            .to_owned(),
        error_stack: Some(stack()),
        trace_id: Some(trace()),
        context: [
            (
                "attributes".to_owned(),
                json!({"db.system.name": "postgresql", "retries": 3, "note": "long ".repeat(50)}),
            ),
            ("entry".to_owned(), json!("unknown")),
        ]
        .into_iter()
        .collect(),
        ..error("refused", ago)
    };
    let mut errors: Vec<_> = (1..=12)
        .map(|number| refused(number, i64::from(number) * 1_200 - 1_190))
        .collect();
    errors[0].span_id = SpanId::from_slice(&[3; 8]);
    errors.extend([
        NewApiError {
            endpoint: "/支払い/{id}".to_owned(),
            error_code: Some("決済エラー".to_owned()),
            error_message: "決済に失敗しました: 接続が拒否されました 👩‍💻 もう一度お試しください"
                .to_owned(),
            severity: Some(Severity::Critical),
            status_code: Some(502),
            ..error("wide", 4_000)
        },
        NewApiError {
            service_name: Some("billing".to_owned()),
            endpoint: "/charge".to_owned(),
            error_message: "gateway said no".to_owned(),
            severity: Some(Severity::Warning),
            category: Some(Category::ExternalApi),
            trace_id: Some(trace()),
            ..error("gateway", 11)
        },
        NewApiError {
            error_message: "an_identifier_without_any_space_".repeat(8),
            severity: Some(Severity::Info),
            ..error("long", 100_000)
        },
    ]);
    errors
}

/// What is remembered of the first error's trace: the request, the query below it that failed, and
/// an exception that somebody caught on the way.
fn sightings() -> Value {
    let span = |number: u8| format!("{number:02x}").repeat(8);
    let key = |number: u128| Uuid::from_u128(number).to_string();
    json!([
        {
            "key": key(1), "kind": "failed_span", "spanId": span(3), "parentSpanId": span(2),
            "thrown": {"shortType": "OperationalError", "firstLine": "connection refused"},
            "row": id(1)
        },
        {
            "key": key(2), "kind": "exception", "spanId": span(2), "parentSpanId": span(1),
            "thrown": {"shortType": "Retried", "firstLine": "OperationalError"}, "row": id(1)
        },
        {
            "key": key(3), "kind": "span", "spanId": span(4), "parentSpanId": span(1)
        },
        {
            "key": key(4), "kind": "failed_span", "spanId": span(1), "parentSpanId": span(9),
            "isEntry": true, "row": id(1),
            "facts": {"endpoint": "/orders/{id}/pay", "method": "POST", "statusCode": 500}
        }
    ])
}

async fn world(database: crate::databases::Database) -> World {
    let mut world = World::new(database).await;
    world.now = Timestamp::from_micros(NOW);
    log(&world, errors(world.now)).await;
    world
        .by_hand(&format!(
            "INSERT INTO error_traces (trace_key, service_name, trace_id, sightings, touched_at) \
             SELECT '{}', 'shop', '{}', '{}', received_at FROM api_errors WHERE id = '{}'",
            TraceKey::new("shop", trace()),
            trace(),
            sightings(),
            id(1)
        ))
        .await;
    world
}

#[test]
fn errors_are_shown_as_wide_as_the_terminal_with_and_without_colours() {
    on_each_database(async |database| {
        let world = world(database).await;
        let shown = id(1).to_string();
        let commands: [(&str, &[&str]); 4] = [
            ("groups", &["list"]),
            ("rows", &["list", "--rows", "--limit", "6"]),
            ("show", &["show", &shown[..8]]),
            ("stats", &["stats", "--since", "6h"]),
        ];
        let colours = Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
        for (name, line) in commands {
            for width in [80, 140] {
                let plain = print(&world, line, Some(width), false).await;
                insta::assert_snapshot!(format!("{name}_{width}"), plain);
                let coloured = print(&world, line, Some(width), true).await;
                let visible = coloured.replace('\u{1b}', "␛");
                insta::assert_snapshot!(format!("{name}_{width}_coloured"), visible);
                assert_eq!(colours.replace_all(&coloured, ""), plain);
            }
        }
        let full = print(&world, &["show", &shown, "--full"], Some(80), false).await;
        assert!(full.contains("step_14.py") && full.contains(&"long ".repeat(50)));
        // In a pipe nothing is cut.
        let piped = print(&world, &["show", &shown], None, false).await;
        assert!(piped.contains("step_14.py") && piped.contains(&"long ".repeat(50)));
        world.end().await;
    });
}

#[test]
fn nothing_that_telemetry_says_reaches_the_terminal_as_a_command() {
    on_each_database(async |database| {
        let mut world = World::new(database).await;
        world.now = Timestamp::from_micros(NOW);
        let hostile = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{8}\r\u{7f}\u{202e}\u{2028}\u{e0041}";
        let text = |name: &str| format!("{name}{hostile}\n{hostile}{name}");
        log(
            &world,
            vec![NewApiError {
                error_message: text("message"),
                error_code: Some("Type".to_owned()),
                error_stack: Some(text("stack")),
                external_error_message: Some(text("external")),
                request_headers: Some(json!({text("header"): text("value")})),
                context: [
                    (text("key"), json!({text("inner"): [text("list")]})),
                    (text("plain"), json!(text("text"))),
                    (
                        "evidence".to_owned(),
                        json!([{"kind": text("kind"), "type": text("type")}]),
                    ),
                ]
                .into_iter()
                .collect(),
                ..new_error()
            }],
        )
        .await;
        // What the API refuses, telemetry or a hand may have stored.
        for column in ["endpoint", "service_name", "error_code", "user_agent"] {
            let text = "\u{1b}[1A\u{9b}2J\u{7}\n\u{202e}x";
            let set = format!("UPDATE api_errors SET {column} = '{text}'");
            world.by_hand(&set).await;
        }
        let id = id(1).to_string();
        let colours = Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
        for line in [
            &["list"][..],
            &["list", "--rows"],
            &["show", &id],
            &["show", &id, "--full"],
            &["stats"],
            &["list", "--json"],
            &["show", &id, "--json"],
            &["stats", "--json"],
        ] {
            for width in [None, Some(30), Some(80), Some(200)] {
                let shown = print(&world, line, width, true).await;
                let text = colours.replace_all(&shown, "");
                let bad = text.chars().find(|it| {
                    *it != '\n' && it.is_control()
                        || matches!(it, '\u{2028}'..='\u{202e}' | '\u{e0000}'..='\u{e007f}')
                });
                assert_eq!(bad, None, "{line:?} {text}");
            }
            // One line for the heading, one for the error: no text makes another.
            if line == ["list", "--rows"] {
                assert_eq!(print(&world, line, None, false).await.lines().count(), 2);
            }
        }
        world.end().await;
    });
}
