//! A real Prometheus scrapes a running redspan: what it computes from the counters is what was sent.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    databases::{Database, Kind},
    load::{self, Truth},
    program::{Program, agent},
    skip::skipped,
};

/// How long anything may take that Prometheus is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// A Prometheus of the test's own.
struct Prometheus {
    child: Child,
    address: String,
    folder: TempDir,
}

impl Prometheus {
    /// Starts it; it scrapes what [`Prometheus::scrape`] says, every second.
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Free at this moment; Prometheus can not be asked which port it took.
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .to_string();
        let config = "global: {scrape_interval: 1s, scrape_timeout: 1s}\n\
                      scrape_configs:\n\
                      - job_name: redspan\n\
                      \x20 file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]\n\
                      \x20 relabel_configs: [{target_label: instance, replacement: redspan}]\n";
        fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let path = |name: &str| folder.path().join(name);
        let child = Command::new("prometheus")
            .arg(format!(
                "--config.file={}",
                path("prometheus.yml").display()
            ))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(File::create(path("log")).unwrap())
            .spawn()
            .unwrap();
        Self {
            child,
            address,
            folder,
        }
    }

    /// From now on it scrapes this program, as the same instance as the one before.
    fn scrape(&self, program: &Program) {
        let targets = format!(r#"[{{"targets": ["{}"]}}]"#, program.http);
        // Renamed into place: it never reads half a file.
        let draft = self.folder.path().join("draft");
        fs::write(&draft, targets).unwrap();
        fs::rename(draft, self.folder.path().join("targets.json")).unwrap();
    }

    /// The value of a query that gives at most one; `None` when it gives none, or no answer yet.
    fn query(&self, promql: &str) -> Option<f64> {
        let mut answer = agent()
            .get(format!("http://{}/api/v1/query", self.address))
            .query("query", promql)
            .call()
            .ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        let answer: Value = serde_json::from_str(&text).ok()?;
        assert_ne!(answer["errorType"], "bad_data", "{promql}: {answer}");
        let results = answer["data"]["result"].as_array()?;
        assert!(results.len() <= 1, "{promql}: {answer}");
        results.first()?["value"][1].as_str()?.parse().ok()
    }

    /// Waits until the query gives a value for which this holds, and gives it.
    fn wait(&self, promql: &str, holds: impl Fn(f64) -> bool) -> f64 {
        let begun = Instant::now();
        loop {
            let value = self.query(promql);
            if let Some(value) = value
                && holds(value)
            {
                return value;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{promql} is {value:?}; {}",
                self.log()
            );
            thread::yield_now();
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn has_prometheus() -> bool {
    let has = ["prometheus", "promtool"].iter().all(|name| {
        let mut command = Command::new(name);
        command
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    });
    if !has {
        skipped("a real Prometheus (prometheus and promtool are not installed)");
    }
    has
}

fn is(expected: f64) -> impl Fn(f64) -> bool {
    move |value| (value - expected).abs() < 1e-9
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn number(count: i64) -> f64 {
    count as f64
}

/// Sends so many traces in one request, so that no scrape sees a part of them.
fn send(program: &Program, first: u64, traces: u64, truth: &mut Truth) {
    let sent = load::whole_traces("shop", first, traces);
    assert_eq!(program.send(&sent.body).unwrap(), 200);
    truth.add(&sent.truth);
}

/// The sum of a counter over everything.
fn total(prometheus: &Prometheus, selector: &str, expected: i64) {
    prometheus.wait(&format!("sum({selector})"), is(number(expected)));
}

#[test]
fn what_prometheus_computes_from_the_counters_is_what_was_sent() {
    if !has_prometheus() {
        return;
    }
    let database = Database::new(Kind::Sqlite);
    let environment = [
        &database.environment()[..],
        &[("REDSPAN_WRITER_NAME", "one")],
    ]
    .concat();
    let mut program = Program::start(&database.url, &environment);
    let prometheus = Prometheus::start();
    prometheus.scrape(&program);
    prometheus.wait("up", is(1.0));
    let mut truth = Truth::default();

    // An endpoint that is fine is known with its errors at 0.
    let fine = load::whole_traces("fine", 1, 3);
    assert_eq!(program.send(&fine.body).unwrap(), 200);
    total(
        &prometheus,
        "redspan_requests_total{service_name=\"fine\", outcome=\"ok\"}",
        3,
    );
    total(
        &prometheus,
        "redspan_requests_total{service_name=\"fine\", outcome=\"error\"}",
        0,
    );

    // A first error is seen, though its label set was not there before.
    let first_error = "sum(increase(redspan_errors_total[10m]) > 0 or (redspan_errors_total > 0 unless redspan_errors_total offset 10m))";
    assert_eq!(prometheus.query(first_error), None);
    send(&program, 1_000, 40, &mut truth);
    let rows = i64::try_from(truth.rows.len()).unwrap();
    assert_eq!((truth.requests, truth.failed_requests, rows), (40, 10, 10));
    total(&prometheus, "redspan_errors_total", rows);
    prometheus.wait(first_error, is(number(rows)));

    // The error rate, once there are two scrapes with different numbers to compute it from.
    total(
        &prometheus,
        "redspan_requests_total{service_name=\"shop\"}",
        truth.requests,
    );
    send(&program, 2_000, 160, &mut truth);
    total(
        &prometheus,
        "redspan_requests_total{service_name=\"shop\"}",
        truth.requests,
    );
    for function in ["rate", "increase"] {
        let ratio = format!(
            "sum({function}(redspan_requests_total{{service_name=\"shop\", outcome=\"error\"}}[5m])) \
             / sum({function}(redspan_requests_total{{service_name=\"shop\"}}[5m]))"
        );
        // A quarter of the requests fails, in whatever window.
        prometheus.wait(&ratio, |value| (value - 0.25).abs() < 1e-9);
    }
    let duration = "redspan_request_duration_seconds_count{service_name=\"shop\"}";
    total(&prometheus, duration, truth.requests);
    let median = "histogram_quantile(0.5, sum by (le) (rate(redspan_request_duration_seconds_bucket{service_name=\"shop\"}[5m])))";
    // Every request took 20 ms: between the limits 10 ms and 25 ms.
    prometheus.wait(median, |value| (0.01..=0.025).contains(&value));

    check_text(&program.get("/metrics").1);

    // After a restart the counters of data go on: Prometheus sees no reset.
    assert!(program.terminate().success());
    let program = Program::start(&database.url, &environment);
    prometheus.scrape(&program);
    let started = "process_start_time_seconds";
    prometheus.wait(&format!("changes({started}[5m])"), is(1.0));
    total(
        &prometheus,
        "redspan_requests_total{service_name=\"shop\"}",
        truth.requests,
    );
    send(&program, 3_000, 40, &mut truth);
    total(
        &prometheus,
        "redspan_requests_total{service_name=\"shop\"}",
        truth.requests,
    );
    total(
        &prometheus,
        "redspan_errors_total",
        i64::try_from(truth.rows.len()).unwrap(),
    );
    for family in [
        "redspan_requests_total",
        "redspan_errors_total",
        "redspan_request_duration_seconds_count",
    ] {
        prometheus.wait(&format!("sum(resets({family}[10m]))"), is(0.0));
    }
    check_text(&program.get("/metrics").1);
}

/// `promtool check metrics` has no complaint.
fn check_text(text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file: &Path = &folder.path().join("metrics");
    fs::write(file, text).unwrap();
    let output = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(File::open(file).unwrap())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&said), "");
    assert!(output.status.success());
}
