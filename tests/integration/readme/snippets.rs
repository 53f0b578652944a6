//! "Send to it": what is written there for each language does what it says. Python's and Node's
//! lines are run as they stand, on the packages of the tests, Java's and Go's by the applications in
//! `tests/integration/apps`; of the others is checked what can be without their tools.

use std::{
    fs,
    io::Write,
    os::unix::{self, fs::PermissionsExt},
    path::Path,
    process::{Command, Stdio},
};

use regex::Regex;
use serde_json::{Value, json};

use super::{Newcomer, README, blocks};
use crate::apps;

/// The only text of README's blocks in this language.
pub fn block(language: &str) -> &'static str {
    let mut found = blocks(README)
        .into_iter()
        .filter(|block| block.language == language);
    let block = found.next().expect("README has it");
    assert!(found.next().is_none(), "two blocks of {language}");
    block.text
}

/// The value of a variable in the lines for every language.
fn environment(name: &str) -> &'static str {
    let line = block("sh environment")
        .lines()
        .find_map(|line| line.strip_prefix("export ")?.strip_prefix(name));
    line.unwrap().strip_prefix('=').unwrap()
}

/// An application in this language fails with its name as the message, beside a running redspan.
pub(super) fn run(newcomer: &Newcomer, language: &str, script: &str) {
    let folder = newcomer.folder.path();
    let is_ready = match language {
        "Python" => python(folder),
        _ => node(folder),
    };
    if is_ready {
        newcomer.run(&format!("{}{script}", block("sh environment")));
        let list =
            format!("target/release/redspan errors list --since 1h --text 'sent from {language}'");
        let listed = newcomer.run(&list);
        assert!(listed.contains("shop"), "{listed}");
        assert!(listed.contains("1 error in 1 group"), "{listed}");
    }
}

fn python(folder: &Path) -> bool {
    let Some(python) = apps::python() else {
        return false;
    };
    let bin = python.parent().unwrap().display();
    // Installing finds that the packages are there.
    let pip = format!(
        "test \"$1\" = install; shift; for package in \"$@\"; do \
         {bin}/python -m pip show --quiet \"$package\"; done"
    );
    command(folder, "pip", &pip);
    command(
        folder,
        "opentelemetry-bootstrap",
        "test \"$*\" = '-a install'",
    );
    for name in ["python", "opentelemetry-instrument"] {
        command(folder, name, &format!("exec {bin}/{name} \"$@\""));
    }
    let app = "from opentelemetry import trace\n\
               try:\n    \
                   with trace.get_tracer('app').start_as_current_span('job'):\n        \
                       raise ValueError('sent from Python')\n\
               except ValueError:\n    \
                   pass\n";
    fs::write(folder.join("app.py"), app).unwrap();
    true
}

fn node(folder: &Path) -> bool {
    let Some(packages) = apps::node_packages() else {
        return false;
    };
    unix::fs::symlink(packages, folder.join("node_modules")).unwrap();
    command(
        folder,
        "npm",
        "test \"$1\" = install; shift; for package in \"$@\"; do test -d \"node_modules/$package\"; done",
    );
    let app = "const { SpanStatusCode, trace } = require('@opentelemetry/api');\n\
               const span = trace.getTracer('app').startSpan('job');\n\
               span.recordException(new Error('sent from Node'));\n\
               span.setStatus({ code: SpanStatusCode.ERROR });\n\
               span.end();\n";
    fs::write(folder.join("app.js"), app).unwrap();
    true
}

/// Puts a command on the newcomer's path.
fn command(folder: &Path, name: &str, script: &str) {
    let file = folder.join(name);
    fs::write(&file, format!("#!/bin/sh\nset -eu\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What the command prints when it reads this; it must end well.
fn piped(command: &mut Command, input: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{input}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_language_is_told_the_same_address_and_protocol() {
    // The greeting of the server, the lines for every language, and wherever else one is set.
    let set = Regex::new(r"\b(OTEL_EXPORTER_OTLP_(?:ENDPOINT|PROTOCOL))=([\w.:/]+)").unwrap();
    let values: Vec<_> = set.captures_iter(README).collect();
    for value in &values {
        assert_eq!(&value[2], environment(&value[1]), "{}", &value[0]);
    }
    assert!(values.len() >= 4, "greeting and lines: {values:?}");
    piped(Command::new("sh").arg("-n"), block("sh dotnet"));
}

#[test]
fn the_lines_for_a_collector_are_an_exporter_to_redspan() {
    let Some(packages) = apps::node_packages() else {
        return;
    };
    let parse = "const yaml = require('yaml'), text = require('fs').readFileSync(0, 'utf8');\
                 console.log(JSON.stringify(yaml.parse(text)))";
    let parsed = piped(
        Command::new("node")
            .args(["-e", parse])
            .env("NODE_PATH", packages),
        block("yaml"),
    );
    let pipeline = json!({"receivers": ["otlp"], "exporters": ["otlp_http/redspan"]});
    assert_eq!(
        serde_json::from_str::<Value>(&parsed).unwrap(),
        json!({
            "exporters": {
                "otlp_http/redspan": {"endpoint": environment("OTEL_EXPORTER_OTLP_ENDPOINT")},
            },
            "service": {"pipelines": {"traces": pipeline, "logs": pipeline}},
        })
    );
}

#[test]
fn the_lines_for_rust_are_those_of_the_examples() {
    let trimmed = |text: &str| {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        lines.join("\n")
    };
    for (language, example) in [
        ("rust", include_str!("../../../examples/axum.rs")),
        ("rust worker", include_str!("../../../examples/worker.rs")),
    ] {
        let lines = trimmed(block(language));
        assert!(trimmed(example).contains(lines.trim_end()), "{language}");
    }
}

#[test]
fn the_lines_for_browsers_lead_to_redspan_from_the_page_and_through_the_site() {
    let path = Regex::new(r#"url: "([^"]+)""#).unwrap();
    let direct = &path.captures(block("js")).unwrap()[1];
    let address = environment("OTEL_EXPORTER_OTLP_ENDPOINT");
    assert_eq!(direct, format!("{address}/v1/traces"));
    let passed_on = &path.captures_iter(README).last().unwrap()[1];
    assert_eq!(
        block("nginx").trim_end(),
        format!("location = {passed_on} {{ proxy_pass {address}; }}")
    );
    assert_eq!(passed_on, "/v1/traces");
}
