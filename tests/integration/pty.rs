//! The program on a real terminal, which `script` of util-linux opens for it.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, Status,
        span::{Event, SpanKind},
        status::StatusCode,
    },
};
use prost::Message;
use regex::Regex;

use crate::{
    databases::{Database, Kind},
    program,
};

fn attribute(key: &str, text: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(text.to_owned())),
        }),
        ..KeyValue::default()
    }
}

/// One failed request, whose exception speaks to terminals.
fn request() -> ExportTraceServiceRequest {
    let now = redspan::clock::now().as_micros().unsigned_abs() * 1_000;
    let span = Span {
        trace_id: vec![7; 16],
        span_id: vec![7; 8],
        name: "GET /orders".to_owned(),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: now,
        end_time_unix_nano: now,
        status: Some(Status {
            code: StatusCode::Error.into(),
            ..Status::default()
        }),
        attributes: vec![
            attribute("http.request.method", "GET"),
            attribute("http.route", "/orders"),
        ],
        events: vec![Event {
            time_unix_nano: now,
            attributes: vec![
                attribute("exception.type", "Boom"),
                attribute(
                    "exception.message",
                    "\u{1b}]0;owned\u{7}\u{9b}2Jit broke\r\u{1b}[8m",
                ),
            ],
            ..Event::default()
        }],
        ..Span::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: vec![span],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

/// A database that took the request, without a server.
fn database() -> Database {
    let database = Database::new(Kind::Sqlite);
    let mut serving = program::Program::start(&database.url, &[]);
    assert_eq!(serving.send(&request().encode_to_vec()).unwrap(), 200);
    assert!(serving.terminate().success());
    database
}

/// `redspan` with these words on a terminal of so many columns.
pub fn on_terminal(database: &Database, columns: u16, words: &str) -> Command {
    let redspan = program::path();
    let line = format!("stty cols {columns} rows 10 && exec {redspan} {words}");
    let mut script = Command::new("script");
    script
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env_remove("NO_COLOR")
        .env_remove("COLUMNS")
        .env("TERM", "xterm-256color")
        .env("SHELL", "/bin/sh")
        .env("REDSPAN_DATABASE_URL", &database.url);
    script
}

/// What the terminal got, with the sequences of colours counted and taken out.
fn printed(script: &mut Command) -> (usize, String) {
    let output = script.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let colours = Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
    let plain = colours.replace_all(&text, "").replace("\r\n", "\n");
    assert!(
        !plain.chars().any(|it| it != '\n' && it.is_control()),
        "{plain:?}"
    );
    (colours.find_iter(&text).count(), plain)
}

#[test]
fn a_terminal_gets_lines_that_fit_in_colours_unless_somebody_wants_none() {
    let database = database();
    let (colours, plain) = printed(&mut on_terminal(&database, 72, "errors list"));
    assert!(colours > 0);
    let longest = plain.lines().map(|line| line.chars().count()).max();
    assert_eq!(longest, Some(72), "{plain}");
    assert!(plain.contains("  Boom: \\u{1b}]0;"), "{plain}");

    let (_, wide) = printed(&mut on_terminal(&database, 200, "errors list --rows"));
    assert!(
        wide.contains("Boom: \\u{1b}]0;owned\\u{7}\\u{9b}2Jit broke\\r\\u{1b}[8m\n"),
        "{wide}"
    );

    // Where a setting comes from is copied; its value gives way.
    let (_, settings) = printed(&mut on_terminal(&database, 80, "config show"));
    assert!(settings.contains("…  REDSPAN_DATABASE_URL\n"), "{settings}");

    for (words, no_color, are_shown) in [
        ("errors list", "1", false),
        ("errors list", "", true),
        ("errors list --color never", "", false),
        ("errors list --color always", "1", true),
    ] {
        let mut script = on_terminal(&database, 72, words);
        let (colours, again) = printed(script.env("NO_COLOR", no_color));
        assert_eq!(colours > 0, are_shown, "{words}, NO_COLOR={no_color}");
        assert_eq!(again.lines().count(), plain.lines().count());
    }
}

#[test]
fn a_watched_list_is_drawn_again_and_leaves_the_terminal_as_it_was() {
    const HOME: &str = "\u{1b}[1;1H";
    const ENTER: &str = "\u{1b}[?1049h";
    const LEAVE: &str = "\u{1b}[?1049l";
    let database = database();
    for words in ["errors list --watch", "errors list --rows --watch"] {
        let mut script = on_terminal(&database, 80, words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = script.stdout.take().unwrap();
        let mut shown = String::new();
        let mut bytes = [0; 4_096];
        // What is drawn at once, and two looks.
        while shown.matches(HOME).count() < 3 {
            let read = out.read(&mut bytes).unwrap();
            assert!(read > 0, "it ended: {shown:?}");
            shown.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        // Ctrl-C, as the keyboard sends it.
        let mut keyboard = script.stdin.take().unwrap();
        keyboard.write_all(b"\x03").unwrap();
        out.read_to_string(&mut shown).unwrap();
        assert!(script.wait().unwrap().success(), "{shown:?}");

        let (before, view) = shown.split_once(ENTER).unwrap();
        let (view, after) = view.split_once(LEAVE).unwrap();
        assert_eq!(before, "");
        assert!(view.contains("Boom: "), "{view:?}");
        assert!(view.contains("every 2 s, Ctrl-C ends, "), "{view:?}");
        // Nothing is wiped between two looks, and the cursor and wrapping come back.
        let looks = view.split_once(HOME).unwrap().1;
        assert!(!looks.contains("\u{1b}[2J"), "{view:?}");
        assert!(view.ends_with("\u{1b}[?25h\u{1b}[?7h"), "{view:?}");
        assert!(
            after.contains("Boom: ") && !after.contains("Ctrl-C") && !after.contains("\u{1b}[?"),
            "{after:?}"
        );
    }
}
