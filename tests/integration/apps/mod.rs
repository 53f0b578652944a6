//! Real applications under their OpenTelemetry SDKs: what each answers is known, so every row,
//! hour, group, total and counter is. The rows are written by hand from the rules of detection.

mod axum;
mod browser;
mod check;
mod collector;
mod express;
mod flask;
mod go;
mod java;
mod workers;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use serde_json::Value;

use super::{
    databases::{Database, Kind},
    load::Truth,
    program::{Program, Samples, agent},
    skip::skipped,
};

/// How often an application is asked for everything it can do.
const ROUNDS: usize = 3;

/// What a row must say, besides what all rows have in common.
#[derive(Clone)]
struct Row {
    code: Option<&'static str>,
    message: String,
    severity: &'static str,
    category: &'static str,
    /// Service and code of the call that failed.
    external: Option<(&'static str, &'static str)>,
    tags: &'static [&'static str],
    /// Of how many sightings it is made.
    sightings: usize,
    /// What the stack must speak of.
    stack: Option<&'static str>,
    /// Which of the request's spans it is first seen on; in another request than the entry span,
    /// nothing says yet that it is handled.
    first_span: usize,
    /// Rows with the same name here, and no others, have the same fingerprint.
    kind: &'static str,
}

impl Row {
    fn new(code: &'static str, message: impl Into<String>, category: &'static str) -> Self {
        Self {
            code: Some(code),
            message: message.into(),
            severity: "error",
            category,
            external: None,
            tags: &[],
            sightings: 1,
            stack: None,
            first_span: 0,
            kind: code,
        }
    }

    fn handled(self) -> Self {
        Self {
            severity: "warning",
            tags: &["handled"],
            ..self
        }
    }

    /// What it says wherever it happens.
    fn columns(&self) -> Columns {
        let (service, code) = self.external.unzip();
        let external_message = self.external.map(|_| self.message.clone());
        Columns::from([
            ("error_code", self.code.into()),
            ("error_message", self.message.clone().into()),
            ("severity", self.severity.into()),
            ("category", self.category.into()),
            ("external_service", service.into()),
            ("external_error_code", code.into()),
            ("external_error_message", external_message.into()),
            ("tags", self.tags.into()),
            ("service_name", "acme/shop".into()),
            ("service_version", "1.4.0".into()),
            ("environment", "test".into()),
            ("resolved", false.into()),
            ("sightings", self.sightings.into()),
            ("stack", self.stack.into()),
            ("entry", Value::Null),
        ])
    }
}

/// What the applications call.
#[derive(Clone, Copy)]
struct Called {
    /// Answers 500 to everything.
    failing: SocketAddr,
    /// Nobody listens here.
    closed: SocketAddr,
}

/// One request: its path, what is answered, how many spans it has, and what it leads to.
struct Request {
    path: &'static str,
    /// None where the connection is closed without an answer.
    status: Option<u16>,
    /// Whether it counts as failed.
    is_failed: bool,
    spans: usize,
    rows: Vec<Row>,
}

impl Request {
    fn new(
        path: &'static str,
        status: impl Into<Option<u16>>,
        spans: usize,
        rows: Vec<Row>,
    ) -> Self {
        let status = status.into();
        Self {
            path,
            status,
            is_failed: status.is_none_or(|status| status >= 500),
            spans,
            rows,
        }
    }
}

/// Every column of a row that the rules decide.
type Columns = BTreeMap<&'static str, Value>;

/// What all requests together must lead to.
#[derive(Default)]
struct Expected {
    rows: Vec<Columns>,
    /// The kind of each row by endpoint, code and message.
    kinds: BTreeMap<String, &'static str>,
    truth: Truth,
    /// Rows that turned out to be part of another; none where all rows are known in their order.
    merged: Option<i64>,
    spans: usize,
    /// Requests and errors by endpoint.
    totals: BTreeMap<String, (i64, i64)>,
    /// Errors by service, severity, category and external service, as they were when first stored.
    counted: BTreeMap<[String; 4], usize>,
    /// Ids of users by the hour's dimensions.
    users: BTreeMap<String, Vec<String>>,
}

impl Expected {
    /// One more request for an order.
    fn add(&mut self, request: &Request, order: usize, case: &Case) {
        let batch = case.batch;
        let endpoint = match request.status {
            Some(404) => "(unmatched)".to_owned(),
            _ => format!("{}{}", case.route, request.path),
        };
        let status = request.status.map(|status| status.to_string());
        let total = self.totals.entry(endpoint.clone()).or_default();
        total.0 += 1;
        total.1 += i64::from(request.is_failed);
        self.truth.requests += 1;
        self.truth.failed_requests += i64::from(request.is_failed);
        for row in &request.rows {
            let entry_batch = (self.spans + request.spans - 1) / batch;
            let is_cut = (self.spans + row.first_span) / batch != entry_batch;
            let first_severity = if is_cut { "error" } else { row.severity };
            let mut columns = row.columns();
            columns.extend([
                ("endpoint", endpoint.clone().into()),
                ("method", "GET".into()),
                ("status_code", status.clone().into()),
                ("user_id", format!("user-{}", order % 2).into()),
                ("request_id", format!("request-{order}").into()),
                ("ip_address", "127.0.0.0".into()),
                ("user_agent", "shopper/1.0".into()),
            ]);
            for column in case.unsaid {
                columns.insert(column, Value::Null);
            }
            self.add_row(columns, row.kind, first_severity);
        }
        self.spans += request.spans;
    }

    /// Spans and log records are stored in any order: how many rows, and groups, were there for a
    /// while is not known, but there is no more of them than of failures.
    fn allow_any_order(&mut self, metrics: &Samples) {
        #[expect(clippy::cast_possible_truncation, reason = "counts")]
        let counted = |family: &str| metrics.sum(family, &[]) as i64;
        let kinds: BTreeSet<&str> = self.kinds.values().copied().collect();
        let merged = counted("redspan_errors_merged_rows_total");
        let groups = counted("redspan_error_groups_new_total");
        let regrouped = groups - i64::try_from(kinds.len()).unwrap();
        let rows = i64::try_from(self.rows.len()).unwrap();
        assert!(merged <= rows && regrouped <= rows, "{merged} {regrouped}");
        self.merged = Some(merged);
        self.truth.regrouped = regrouped;
    }

    /// One more row, which counted with this severity when it was first stored.
    fn add_row(&mut self, columns: Columns, kind: &'static str, first_severity: &str) {
        let text = |column: &str| columns[column].as_str().unwrap_or_default().to_owned();
        let labels = [
            text("service_name"),
            first_severity.to_owned(),
            text("category"),
            text("external_service"),
        ];
        *self.counted.entry(labels).or_default() += 1;
        let hour =
            ["endpoint", "severity", "category", "external_service"].map(|column| &columns[column]);
        let users = self.users.entry(format!("{hour:?}")).or_default();
        if !users.contains(&text("user_id")) {
            users.push(text("user_id"));
        }
        let row = [
            "error_message",
            "endpoint",
            "method",
            "status_code",
            "user_id",
            "severity",
        ];
        self.truth.rows.push(row.map(text).join("|"));
        let name = ["endpoint", "error_code", "error_message"].map(text);
        self.kinds.insert(name.join(" "), kind);
        self.rows.push(columns);
    }
}

/// A payment service that answers 500 to everything, as long as the test runs.
fn failing_service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // Requests of these applications fit in one segment and one buffer.
            drop(stream.read(&mut [0; 4096]));
            drop(stream.write_all(
                b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            ));
        }
    });
    address
}

/// An address where nobody listens.
fn closed_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// An application, and what becomes of its requests.
struct Case {
    /// What `tests/run.sh` says at its end.
    name: &'static str,
    command: Command,
    /// What its SDK is told to speak; nothing where it speaks gRPC by itself.
    protocol: Option<&'static str>,
    /// How many spans each request to redspan has, but the last.
    batch: usize,
    /// Where an order is.
    route: &'static str,
    /// Where this one is, and what is asked of it.
    url: fn(path: &str, order: usize) -> String,
    /// Columns of the request of which its spans say nothing.
    unsaid: &'static [&'static str],
    /// Whether log records tell of failures, too. They go their own way: which are stored first, is
    /// not known, so neither is which rows are counted before they turn out to be one.
    sends_logs: bool,
    /// One round of requests for an order.
    requests: fn(usize, Called) -> Vec<Request>,
}

/// Asks the application for everything it can do, and compares what is stored and counted.
fn run(kind: Kind, mut case: Case) {
    let database = Database::new(kind);
    let mut program = Program::start(&database.url, &database.environment());
    let called = Called {
        failing: failing_service(),
        closed: closed_address(),
    };
    let mut app = App::start(&mut case, &program, called);
    let mut expected = Expected::default();
    for order in (4_711..).take(ROUNDS) {
        for request in &(case.requests)(order, called) {
            let status = app.get(&(case.url)(request.path, order), order);
            assert_eq!(status, request.status, "{}", request.path);
            expected.add(request, order, &case);
        }
    }
    app.stop();
    if case.sends_logs {
        expected.allow_any_order(&program.metrics());
    }
    check::tables(&database, &expected);
    check::requests(&program.metrics(), &expected);
    check::errors(&program.metrics(), &expected);
    let metrics = program.metrics().data_counters();
    assert!(program.terminate().success());
    let program = Program::start(&database.url, &database.environment());
    assert_eq!(program.metrics().data_counters(), metrics);
    let protocol = case.protocol.unwrap_or("gRPC by default");
    note_that_ran(&format!("{} over {protocol} on {kind:?}", case.name));
}

/// Where an order stands in most applications.
fn below_order(path: &str, order: usize) -> String {
    format!("/orders/{order}{path}")
}

/// Lets `tests/run.sh` say at its end that this application was told exactly.
fn note_that_ran(what: &str) {
    if let Some(file) = std::env::var_os("REDSPAN_TEST_APPS") {
        let mut file = File::options().append(true).open(file).unwrap();
        // One write: several tests do it at the same time.
        file.write_all(format!("{what}\n").as_bytes()).unwrap();
    }
}

/// An application, running.
struct App {
    child: Child,
    address: String,
}

impl App {
    /// Starts it, with what every SDK is told in the same words.
    fn start(case: &mut Case, program: &Program, called: Called) -> Self {
        let redspan = match case.protocol {
            None | Some("grpc") => program.grpc,
            Some(_) => program.otlp,
        };
        if let Some(protocol) = case.protocol {
            case.command.env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
        }
        let mut child = case
            .command
            .env("UPSTREAM_URL", format!("http://{}", called.failing))
            .env("CLOSED_URL", format!("http://{}", called.closed))
            .env("OTEL_SERVICE_NAME", "shop")
            .env(
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.namespace=acme,service.version=1.4.0,deployment.environment.name=test",
            )
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{redspan}"))
            .env("OTEL_METRICS_EXPORTER", "none")
            .env(
                "OTEL_LOGS_EXPORTER",
                if case.sends_logs { "otlp" } else { "none" },
            )
            .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", case.batch.to_string())
            // Batches are full or the last one: where traces are cut is known, too.
            .env("OTEL_BSP_SCHEDULE_DELAY", "600000")
            .env("OTEL_BLRP_SCHEDULE_DELAY", "600000")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the application can be started");
        let mut port = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        while !port.trim().parse::<u16>().is_ok_and(|port| port > 0) {
            port.clear();
            assert_ne!(
                stdout.read_line(&mut port).unwrap(),
                0,
                "the application does not start"
            );
        }
        Self {
            child,
            address: format!("127.0.0.1:{}", port.trim()),
        }
    }

    /// The status that is answered; none where there is no answer.
    fn get(&self, path: &str, order: usize) -> Option<u16> {
        let mut response = agent()
            .get(format!("http://{}{path}?coupon=hush", self.address))
            .header("User-Agent", "shopper/1.0")
            .header("X-User", format!("user-{}", order % 2))
            .header("X-Request-Id", format!("request-{order}"))
            .header("Authorization", "Bearer hush-hush-hush")
            .call()
            .ok()?;
        response
            .body_mut()
            .read_to_string()
            .expect("an answer is text");
        Some(response.status().as_u16())
    }

    /// Ends when the SDK has sent what it held.
    fn stop(&mut self) {
        terminate(&mut self.child);
    }
}

impl Drop for App {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// SIGTERM, and a good end.
fn terminate(child: &mut Child) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    let ended = child.wait().unwrap();
    // Java always says that it was told to.
    assert!(ended.success() || ended.code() == Some(128 + 15), "{ended}");
}

/// The Python with the packages of `tests/apps/requirements.txt`.
pub fn python() -> Option<PathBuf> {
    installed("REDSPAN_TEST_PYTHON", "Python")
}

/// The folder with the packages of `tests/apps/node`.
pub fn node_packages() -> Option<PathBuf> {
    installed("REDSPAN_TEST_NODE_MODULES", "Node")
}

/// The folder with the packages of `tests/apps/browser`.
pub fn browser_packages() -> Option<PathBuf> {
    installed("REDSPAN_TEST_BROWSER_MODULES", "browsers")
}

/// What `tests/run.sh` installed; says so when it did not.
fn installed(variable: &str, language: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.exists());
    if path.is_none() {
        skipped(&format!(
            "applications in {language} ({variable} is not set; tests/run.sh does it)"
        ));
    }
    path
}

/// Whether this tool answers to be asked for its version; says so when it does not.
pub fn tool(name: &str, version: &str) -> Option<()> {
    let answer = Command::new(name)
        .arg(version)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if answer.is_ok_and(|status| status.success()) {
        return Some(());
    }
    skipped(&format!("what needs {name}, which is not there"));
    None
}

/// An empty folder for what is built of an application.
fn built(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// An example, which `cargo test` builds with the tests, into a folder beside theirs.
fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let examples = tests.ancestors().nth(2).unwrap().join("examples");
    let example = examples.join(name);
    assert!(example.exists(), "first: cargo build --example {name}");
    example
}

/// A file of the folder of applications.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/apps")
        .join(name)
}
