//! `redspan demo`: what it says that it sent is what the ledger and the metrics hold.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use super::{
    checker::Checker,
    databases::{Database, Kind, each_kind},
    program::{Program, path},
};

fn demo(arguments: &[&str]) -> Output {
    Command::new(path())
        .arg("demo")
        .args(arguments)
        .output()
        .expect("the program can be started")
}

#[test]
fn the_ledger_holds_exactly_what_the_demo_says_it_sent() {
    each_kind(|kind| {
        let database = Database::new(kind);
        let program = Program::start(&database.url, &database.environment());
        let url = format!("http://{}", program.otlp);
        let output = demo(&[
            "--to",
            &url,
            "--backfill",
            "2h",
            "--seconds",
            "1",
            "--rate",
            "200",
            "--json",
        ]);
        assert!(output.status.success(), "{output:?}");
        let sent: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let metrics = program.metrics();
        let told = |key: &str| sent[key].as_u64().expect("a number");
        assert!(told("requests") > 2_000, "{sent}");
        assert_eq!(
            whole(metrics.sum("redspan_requests_total", &[])),
            told("requests")
        );
        assert_eq!(
            whole(metrics.sum("redspan_records_received_total", &["signal=\"spans\""])),
            told("spans")
        );

        // Every service of the shop tells that it keeps all of its spans.
        let sampling = |words: &[&str]| whole(metrics.sum("redspan_sampling_info", words));
        assert_eq!(sampling(&["kind=\"none\""]), sampling(&[]));
        assert_eq!(sampling(&["service_name=\"orders\""]), 1);

        let expected: BTreeMap<String, i64> = sent["errors"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|error| {
                let word = |key: &str| error[key].as_str().expect("a word").to_owned();
                let words = ["service", "endpoint", "error", "severity", "category"].map(word);
                (words.join(" "), error["count"].as_i64().expect("a number"))
            })
            .collect();
        assert_eq!(stored(&database), expected);
    });
}

fn whole(sample: f64) -> u64 {
    sample.to_string().parse().expect("a count")
}

/// The kinds of errors that are stored, and how many of each.
fn stored(database: &Database) -> BTreeMap<String, i64> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let lines = runtime.block_on(async {
        let mut checker = Checker::open(&database.url, &database.schema).await;
        let counts = checker
            .texts(
                "SELECT COUNT(*) || '|' || service_name || ' ' || endpoint || ' ' || error_code || ' ' || \
                 CAST(severity AS TEXT) || ' ' || CAST(category AS TEXT) FROM api_errors \
                 GROUP BY service_name, endpoint, error_code, severity, category",
            )
            .await;
        assert_eq!(
            checker
                .number("SELECT COUNT(*) FROM api_errors WHERE environment <> 'demo'")
                .await,
            0
        );
        counts
    });
    lines
        .iter()
        .map(|line| {
            let (count, kind) = line.split_once('|').expect("a count and a kind");
            (kind.to_owned(), count.parse().expect("a number"))
        })
        .collect()
}

#[test]
fn a_demo_that_is_stopped_says_what_it_had_sent() {
    let database = Database::new(Kind::Sqlite);
    let program = Program::start(&database.url, &[]);
    let url = format!("http://{}", program.otlp);
    let mut child = Command::new(path())
        .args([
            "demo",
            "--to",
            &url,
            "--rate",
            "500",
            "--seconds",
            "600",
            "--json",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be started");
    let mut told = String::new();
    let mut said = BufReader::new(child.stderr.take().expect("stderr is piped"));
    said.read_line(&mut told).expect("it says what it does");
    assert!(told.contains(&url) && told.contains("Ctrl-C"), "{told}");
    while program.metrics().sum("redspan_requests_total", &[]) < 1.0 {}
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(killed.expect("kill is there").success());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    let sent: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let stored = program.metrics().sum("redspan_requests_total", &[]);
    assert_eq!(Some(whole(stored)), sent["requests"].as_u64());
}

#[test]
fn a_demo_that_nobody_answers_says_where_it_sent_and_what_to_do() {
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("it is bound")
    };
    let url = format!("http://{nobody}");
    let output = demo(&["--to", &url, "--seconds", "1"]);
    assert_eq!(output.status.code(), Some(69));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&url) && said.contains("--to URL"), "{said}");
}

#[test]
fn a_past_that_would_be_taken_for_a_broken_clock_is_refused() {
    let output = demo(&["--backfill", "31d"]);
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("at most 30d"), "{said}");
}
