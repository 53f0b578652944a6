//! A real application under `opentelemetry-instrument` (`tests/apps/shop.py`): what it answers is
//! known, so every row, hour, group, total and counter is. The rows below are written by hand from
//! the rules of detection.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use serde_json::Value;

use super::{
    checker::Checker,
    databases::{Database, Kind},
    load::Truth,
    program::{Program, Samples, agent},
    skip::skipped,
};

/// How often the application is asked for everything it can do. The spans of one round are one
/// more than a multiple of three: in three rounds batches of three cut each trace everywhere.
const ROUNDS: usize = 3;

/// What a row must say, besides what all rows have in common.
#[derive(Clone)]
struct Row {
    code: &'static str,
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
}

/// One request: its path, what is answered, how many spans it has, and what it leads to.
struct Request {
    path: &'static str,
    status: i64,
    spans: usize,
    rows: Vec<Row>,
}

fn failure(code: &'static str, message: String, category: &'static str) -> Row {
    Row {
        code,
        message,
        severity: "error",
        category,
        external: None,
        tags: &[],
        sightings: 1,
        stack: None,
        first_span: 0,
    }
}

fn handled(row: Row) -> Row {
    Row {
        severity: "warning",
        tags: &["handled"],
        ..row
    }
}

fn payment_service_failed(sightings: usize) -> Row {
    Row {
        external: Some(("127.0.0.1", "500")),
        sightings,
        ..failure("500", "HTTP 500".to_owned(), "external_api")
    }
}

fn statement_failed(table: &str, sightings: usize) -> Row {
    Row {
        external: Some(("sqlite", "sqlite3.OperationalError")),
        sightings,
        stack: Some("traced_execution"),
        ..failure(
            "sqlite3.OperationalError",
            format!("no such table: {table}"),
            "database",
        )
    }
}

/// One round of requests for an order.
#[expect(clippy::too_many_lines, reason = "a table")]
fn requests(order: usize, upstream: SocketAddr, closed: SocketAddr) -> Vec<Request> {
    let request = |path, status, spans, rows| Request {
        path,
        status,
        spans,
        rows,
    };
    vec![
        request("", 200, 1, vec![]),
        request(
            "/crash",
            500,
            1,
            vec![Row {
                stack: Some("in crash"),
                ..failure(
                    "ValueError",
                    format!("order {order} has no lines"),
                    "application",
                )
            }],
        ),
        // Nothing but a status: no exception, no message, no type.
        request(
            "/unavailable",
            503,
            1,
            vec![failure("503", "HTTP 503".to_owned(), "unknown")],
        ),
        request("/payment", 502, 2, vec![payment_service_failed(2)]),
        // The exception says nothing of the call's failure: two rows, the call's contained.
        request(
            "/refund",
            500,
            2,
            vec![
                handled(payment_service_failed(1)),
                Row {
                    stack: Some("in refund"),
                    first_span: 1,
                    ..failure(
                        "requests.exceptions.HTTPError",
                        format!(
                            "500 Server Error: Internal Server Error for url: \
                             http://{upstream}/refund/{order}"
                        ),
                        "application",
                    )
                },
            ],
        ),
        request(
            "/shipping",
            500,
            2,
            vec![Row {
                external: Some(("127.0.0.1", "requests.exceptions.ConnectionError")),
                sightings: 2,
                stack: Some("in create_connection"),
                ..failure(
                    "requests.exceptions.ConnectionError",
                    format!(
                        "HTTPConnectionPool(host='127.0.0.1', port={port}): Max retries exceeded \
                         with url: /ship/{order} (Caused by NewConnectionError(\"HTTPConnection(\
                         host='127.0.0.1', port={port}): Failed to establish a new connection: \
                         [Errno 111] Connection refused\"))",
                        port = closed.port()
                    ),
                    "network",
                )
            }],
        ),
        request("/stock", 500, 2, vec![statement_failed("stock", 2)]),
        request("/hint", 200, 2, vec![handled(statement_failed("hints", 1))]),
        request(
            "/coupon",
            200,
            1,
            vec![handled(Row {
                stack: Some("in coupon"),
                ..failure(
                    "KeyError",
                    format!("'coupon of order {order}'"),
                    "application",
                )
            })],
        ),
        request(
            "/quantity",
            422,
            1,
            vec![Row {
                severity: "warning",
                tags: &["handled", "client_error"],
                stack: Some("in quantity"),
                ..failure(
                    "ValueError",
                    format!("order {order} asks for -1 pieces"),
                    "validation",
                )
            }],
        ),
        // Of two failed calls the one that ended last is the cause.
        request(
            "/invoice",
            500,
            3,
            vec![
                handled(payment_service_failed(1)),
                Row {
                    first_span: 1,
                    ..statement_failed("invoices", 2)
                },
            ],
        ),
        // One failure on its way through three spans, wrapped once.
        request(
            "/reserve",
            500,
            3,
            vec![Row {
                sightings: 3,
                stack: Some("in reserve"),
                ..failure(
                    "__main__.LockError",
                    format!("order {order} is locked"),
                    "application",
                )
            }],
        ),
        request("/nowhere", 404, 1, vec![]),
    ]
}

/// Every column of a row that the rules decide.
type Columns = BTreeMap<&'static str, Value>;

/// What all requests together must lead to.
#[derive(Default)]
struct Expected {
    rows: Vec<Columns>,
    truth: Truth,
    spans: usize,
    /// Requests and errors by endpoint.
    totals: BTreeMap<String, (i64, i64)>,
    /// Errors by severity, category and external service, as they were when first stored.
    counted: BTreeMap<(String, String, String), usize>,
    /// Ids of users by the hour's dimensions.
    users: BTreeMap<String, Vec<String>>,
}

impl Expected {
    fn add(&mut self, request: &Request, order: usize, batch: usize) {
        let user = format!("user-{}", order % 2);
        let endpoint = match request.status {
            404 => "(unmatched)".to_owned(),
            _ => format!("/orders/<int:order_id>{}", request.path),
        };
        let failed = request.status >= 500;
        let total = self.totals.entry(endpoint.clone()).or_default();
        total.0 += 1;
        total.1 += i64::from(failed);
        self.truth.requests += 1;
        self.truth.failed_requests += i64::from(failed);
        for row in &request.rows {
            let entry_batch = (self.spans + request.spans - 1) / batch;
            let is_cut = (self.spans + row.first_span) / batch != entry_batch;
            let first_severity = if is_cut { "error" } else { row.severity };
            let service = row.external.map_or("", |(service, _)| service);
            let labels = (first_severity, row.category, service);
            let labels = (labels.0.into(), labels.1.into(), labels.2.into());
            *self.counted.entry(labels).or_default() += 1;

            let external_message = row.external.map(|_| row.message.clone());
            let columns = Columns::from([
                ("endpoint", endpoint.clone().into()),
                ("method", "GET".into()),
                ("status_code", request.status.to_string().into()),
                ("error_code", row.code.into()),
                ("error_message", row.message.clone().into()),
                ("severity", row.severity.into()),
                ("category", row.category.into()),
                (
                    "external_service",
                    row.external.map(|(service, _)| service).into(),
                ),
                (
                    "external_error_code",
                    row.external.map(|(_, code)| code).into(),
                ),
                ("external_error_message", external_message.into()),
                ("tags", row.tags.into()),
                ("user_id", user.clone().into()),
                ("request_id", format!("request-{order}").into()),
                ("ip_address", "127.0.0.0".into()),
                ("user_agent", "shopper/1.0".into()),
                ("service_name", "acme/shop".into()),
                ("service_version", "1.4.0".into()),
                ("environment", "test".into()),
                ("resolved", false.into()),
                ("sightings", row.sightings.into()),
                ("stack", row.stack.into()),
                ("entry", Value::Null),
            ]);
            let hour = [
                &columns["endpoint"],
                &columns["severity"],
                &columns["category"],
                &columns["external_service"],
            ];
            let users = self.users.entry(format!("{hour:?}")).or_default();
            if !users.contains(&user) {
                users.push(user.clone());
            }
            self.truth.rows.push(format!(
                "{}|{endpoint}|GET|{}|{user}|{}",
                row.message, request.status, row.severity
            ));
            self.rows.push(columns);
        }
        self.spans += request.spans;
    }
}

/// A payment service that answers 500 to everything, as long as the test runs.
fn failing_service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // Requests of this application fit in one segment and one buffer.
            drop(stream.read(&mut [0; 4096]));
            drop(stream.write_all(
                b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            ));
        }
    });
    address
}

/// The application, running.
struct Shop {
    child: Child,
    address: String,
}

impl Shop {
    fn start(
        python: &Path,
        redspan: SocketAddr,
        upstream: SocketAddr,
        closed: SocketAddr,
        batch: usize,
    ) -> Self {
        let mut child = Command::new(python.with_file_name("opentelemetry-instrument"))
            .arg(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps/shop.py"))
            .env("PORT", "0")
            .env("UPSTREAM_URL", format!("http://{upstream}"))
            .env("CLOSED_URL", format!("http://{closed}"))
            .env("OTEL_SERVICE_NAME", "shop")
            .env(
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.namespace=acme,service.version=1.4.0,deployment.environment.name=test",
            )
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{redspan}"))
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
            .env("OTEL_METRICS_EXPORTER", "none")
            .env("OTEL_LOGS_EXPORTER", "none")
            .env(
                "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",
                "x-request-id,authorization",
            )
            .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", batch.to_string())
            // Batches are full or the last one: where traces are cut is known, too.
            .env("OTEL_BSP_SCHEDULE_DELAY", "600000")
            .env_remove("PYTHONPATH")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("opentelemetry-instrument is beside the Python of the tests");
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

    fn get(&self, path: &str, order: usize) -> u16 {
        let mut response = agent()
            .get(format!(
                "http://{}/orders/{order}{path}?coupon=hush",
                self.address
            ))
            .header("User-Agent", "shopper/1.0")
            .header("X-User", format!("user-{}", order % 2))
            .header("X-Request-Id", format!("request-{order}"))
            .header("Authorization", "Bearer hush-hush-hush")
            .call()
            .expect("the application answers");
        response
            .body_mut()
            .read_to_string()
            .expect("an answer is text");
        response.status().as_u16()
    }

    /// SIGTERM; ends when the SDK has sent what it held.
    fn stop(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The Python with the packages of `tests/apps/requirements.txt`; says so when there is none.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("REDSPAN_TEST_PYTHON")
        .map(PathBuf::from)
        .filter(|python| python.exists());
    if python.is_none() {
        skipped(
            "the Flask application (REDSPAN_TEST_PYTHON names no Python; tests/run.sh makes one)",
        );
    }
    python
}

fn run(kind: Kind, batch: usize) {
    let Some(python) = python() else { return };
    let database = Database::new(kind);
    let mut program = Program::start(&database.url, &database.environment());
    let upstream = failing_service();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut shop = Shop::start(&python, program.otlp, upstream, closed, batch);
    let mut expected = Expected::default();
    for round in 0..ROUNDS {
        let round_of_requests = requests(4_711 + round, upstream, closed);
        assert_eq!(
            round_of_requests
                .iter()
                .map(|request| request.spans)
                .sum::<usize>()
                % 3,
            1
        );
        for request in &round_of_requests {
            let order = 4_711 + round;
            let status = shop.get(request.path, order);
            assert_eq!(i64::from(status), request.status, "{}", request.path);
            expected.add(request, order, batch);
        }
    }
    shop.stop();
    check_tables(&database, &expected);
    check_metrics(&program.metrics(), &expected);
    let metrics = program.metrics().data_counters();
    assert!(program.terminate().success());
    let program = Program::start(&database.url, &database.environment());
    assert_eq!(program.metrics().data_counters(), metrics);
}

fn check_tables(database: &Database, expected: &Expected) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut checker = Checker::open(&database.url, &database.schema).await;
        let mut stored = rows(&mut checker).await;
        let mut wanted = expected.rows.clone();
        // What a stack must speak of stands in place of the stack.
        for stored in &mut stored {
            let stack = stored["stack"].clone();
            let phrase = wanted
                .iter()
                .find(|wanted| wanted["error_message"] == stored["error_message"] && wanted["endpoint"] == stored["endpoint"])
                .map(|wanted| wanted["stack"].clone());
            if let (Some(stack), Some(Value::String(phrase))) = (stack.as_str(), phrase)
                && stack.contains(&phrase)
            {
                stored.insert("stack", phrase.into());
            }
        }
        let order = |row: &Columns| format!("{row:?}");
        stored.sort_by_key(order);
        wanted.sort_by_key(order);
        for (stored, wanted) in stored.iter().zip(&wanted) {
            assert_eq!(stored, wanted);
        }
        assert_eq!(stored.len(), wanted.len());

        checker.assert_holds(&expected.truth).await;
        check_hours(&mut checker, expected).await;
        check_groups(&mut checker).await;

        let mut totals = BTreeMap::<String, (i64, i64)>::new();
        for line in checker
            .texts(
                "SELECT requests || ' ' || errors || ' ' || method || ' ' || service_name || ' ' || endpoint \
                 FROM request_totals WHERE environment = 'test' AND estimated_requests = requests",
            )
            .await
        {
            let [requests, errors, "GET", "acme/shop", endpoint] = line.splitn(5, ' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let total = totals.entry(endpoint.to_owned()).or_default();
            total.0 += requests.parse::<i64>().unwrap();
            total.1 += errors.parse::<i64>().unwrap();
        }
        assert_eq!(totals, expected.totals);

        for (table, lines) in checker.dump().await {
            let secret = lines.iter().find(|line| line.contains("hush"));
            assert_eq!(secret, None, "a secret in {table}");
        }
        let statements = "SELECT COUNT(*) FROM api_errors WHERE CAST(context AS TEXT) LIKE '%SELECT%FROM%'";
        assert_eq!(checker.number(statements).await, 0, "statements are not kept");
    });
}

/// What is stored, row by row.
async fn rows(checker: &mut Checker) -> Vec<Columns> {
    let mut rows = Vec::<Columns>::new();
    let columns = [
        "endpoint",
        "method",
        "status_code",
        "error_code",
        "error_message",
        "severity",
        "category",
        "external_service",
        "external_error_code",
        "external_error_message",
        "tags",
        "user_id",
        "request_id",
        "ip_address",
        "user_agent",
        "service_name",
        "service_version",
        "environment",
        "resolved",
        "error_stack",
        "context",
    ];
    for column in columns {
        let sql = format!(
            "SELECT COALESCE(CAST({column} AS TEXT), '(null)') FROM api_errors ORDER BY id"
        );
        let values = checker.texts(&sql).await;
        rows.resize(values.len(), Columns::new());
        for (row, value) in rows.iter_mut().zip(values) {
            let value = if value == "(null)" {
                Value::Null
            } else {
                value.into()
            };
            let json = || serde_json::from_str::<Value>(value.as_str().unwrap()).unwrap();
            match column {
                "tags" => drop(row.insert(column, json())),
                "resolved" => drop(row.insert(column, (value == "1" || value == "true").into())),
                "error_stack" => drop(row.insert("stack", value)),
                "context" => {
                    let context = json();
                    row.insert(
                        "sightings",
                        context["evidence"].as_array().map_or(0, Vec::len).into(),
                    );
                    row.insert("entry", context["entry"].clone());
                }
                _ => drop(row.insert(column, value)),
            }
        }
    }
    rows
}

/// That each hour counts the rows of its dimensions, and their users.
async fn check_hours(checker: &mut Checker, expected: &Expected) {
    let mut wanted = BTreeMap::<String, (i64, usize)>::new();
    for row in &expected.rows {
        let text = |column: &str| row[column].as_str().unwrap_or("(null)").to_owned();
        let hour = [
            &row["endpoint"],
            &row["severity"],
            &row["category"],
            &row["external_service"],
        ];
        let users = expected.users[&format!("{hour:?}")].len();
        let dimensions = [
            "status_code",
            "severity",
            "category",
            "external_service",
            "service_name",
            "environment",
            "method",
            "endpoint",
        ];
        let dimensions: Vec<String> = dimensions.into_iter().map(text).collect();
        let hour = wanted.entry(dimensions.join(" ")).or_default();
        *hour = (hour.0 + 1, users);
    }
    let stored = checker
        .texts(
            "SELECT SUM(total_errors) || ' ' || MAX(unique_users) || ' ' || COUNT(*) || ' ' || status_code || ' ' || CAST(severity AS TEXT) \
             || ' ' || CAST(category AS TEXT) || ' ' || COALESCE(external_service, '(null)') || ' ' || service_name \
             || ' ' || environment || ' ' || method || ' ' || endpoint \
             FROM error_aggregations WHERE total_errors > 0 \
             GROUP BY status_code, severity, category, external_service, service_name, environment, method, endpoint",
        )
        .await;
    let mut counted = BTreeMap::new();
    for line in &stored {
        let [errors, users, hours, dimensions] = line.splitn(4, ' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        // When the test runs over the end of an hour, users are only proved by the checker.
        let users = if hours == "1" {
            users.parse().unwrap()
        } else {
            wanted[dimensions].1
        };
        counted.insert(
            dimensions.to_owned(),
            (errors.parse::<i64>().unwrap(), users),
        );
    }
    assert_eq!(counted, wanted);
}

/// Failures of one kind are one group, whatever their order is called.
async fn check_groups(checker: &mut Checker) {
    let mut stored: Vec<Vec<String>> = Vec::new();
    for line in checker
        .texts(
            "SELECT DISTINCT fingerprint || ' ' || error_code || ' ' || \
             CASE WHEN external_service IS NULL THEN endpoint WHEN error_code = 'sqlite3.OperationalError' THEN error_message ELSE '' END \
             FROM api_errors",
        )
        .await
    {
        stored.push(line.splitn(2, ' ').map(str::to_owned).collect());
    }
    let mut kinds: Vec<&str> = stored.iter().map(|line| line[1].as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        [
            "500 ",
            "503 /orders/<int:order_id>/unavailable",
            "KeyError /orders/<int:order_id>/coupon",
            "ValueError /orders/<int:order_id>/crash",
            "ValueError /orders/<int:order_id>/quantity",
            "__main__.LockError /orders/<int:order_id>/reserve",
            "requests.exceptions.ConnectionError ",
            "requests.exceptions.HTTPError /orders/<int:order_id>/refund",
            "sqlite3.OperationalError no such table: hints",
            "sqlite3.OperationalError no such table: invoices",
            "sqlite3.OperationalError no such table: stock",
        ],
        "each kind of failure has one fingerprint"
    );
    let mut fingerprints: Vec<&str> = stored.iter().map(|line| line[0].as_str()).collect();
    fingerprints.sort_unstable();
    fingerprints.dedup();
    assert_eq!(
        fingerprints.len(),
        kinds.len(),
        "no two kinds have the same: {stored:?}"
    );
    let groups = checker
        .number("SELECT COUNT(*) FROM error_groups g WHERE g.total_errors = (SELECT COUNT(*) FROM api_errors e WHERE e.fingerprint = g.fingerprint) AND g.total_errors > 0 AND g.status = 'open'")
        .await;
    assert_eq!(groups, 11);
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn check_metrics(metrics: &Samples, expected: &Expected) {
    let count = |family: &str, parts: &[&str]| metrics.sum(family, parts);
    let equal = |what: &str, found: f64, wanted: usize| {
        assert!(
            (found - wanted as f64).abs() < 0.5,
            "{what}: {found} instead of {wanted}"
        );
    };
    for (endpoint, (requests, errors)) in &expected.totals {
        let endpoint = format!("endpoint=\"{endpoint}\"");
        let (requests, errors) = (
            usize::try_from(*requests).unwrap(),
            usize::try_from(*errors).unwrap(),
        );
        for (outcome, wanted) in [("error", errors), ("ok", requests - errors)] {
            let outcome = format!("outcome=\"{outcome}\"");
            let parts = [
                &endpoint,
                &outcome,
                "service_name=\"acme/shop\"",
                "environment=\"test\"",
                "method=\"GET\"",
            ];
            equal(&endpoint, count("redspan_requests_total", &parts), wanted);
        }
        equal(
            &endpoint,
            count("redspan_request_duration_seconds_count", &[&endpoint]),
            requests,
        );
    }
    let all = usize::try_from(expected.truth.requests).unwrap();
    equal("requests", count("redspan_requests_total", &[]), all);
    for ((severity, category, service), wanted) in &expected.counted {
        let labels = [
            "service_name=\"acme/shop\"".to_owned(),
            format!("severity=\"{severity}\""),
            format!("category=\"{category}\""),
            format!("external_service=\"{service}\""),
        ];
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        equal(
            &format!("{labels:?}"),
            count("redspan_errors_total", &labels),
            *wanted,
        );
    }
    equal(
        "errors",
        count("redspan_errors_total", &[]),
        expected.rows.len(),
    );
    equal(
        "merged rows",
        count("redspan_errors_merged_rows_total", &[]),
        0,
    );
    equal(
        "received",
        count("redspan_records_received_total", &["spans"]),
        expected.spans,
    );
    equal(
        "results",
        count("redspan_records_total", &["spans"]),
        expected.spans,
    );
}

#[test]
fn a_flask_application_whose_traces_are_cut_everywhere_is_told_exactly_on_sqlite() {
    run(Kind::Sqlite, 3);
}

#[test]
fn a_flask_application_whose_traces_are_cut_everywhere_is_told_exactly_on_postgresql() {
    run(Kind::Postgres, 3);
}

#[test]
fn a_flask_application_with_the_default_batches_is_told_exactly_on_sqlite() {
    run(Kind::Sqlite, 512);
}

#[test]
fn a_flask_application_with_the_default_batches_is_told_exactly_on_postgresql() {
    run(Kind::Postgres, 512);
}
