//! Requests that are small on the wire and large in memory are answered, within bounds.

use std::{
    fs,
    io::Write,
    thread,
    time::{Duration, Instant},
};

use super::{
    checker::Checker,
    databases::{Database, Kind},
    load,
    program::{Program, agent},
    skip::skipped,
};
use flate2::{Compression, write::GzEncoder};

/// The largest body that is taken.
const LIMIT: usize = 20 * 1024 * 1024;

/// What one request may cost, and several at once.
const ONE_KIB: u64 = 64 * 1024;
const SEVERAL_KIB: u64 = 256 * 1024;

/// A message as a protobuf field of this number.
fn field(number: u8, message: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = message.len();
    while length > 0x7f {
        field.push(0x80 | u8::try_from(length & 0x7f).unwrap());
        length >>= 7;
    }
    field.push(u8::try_from(length).unwrap());
    field.extend(message);
    field
}

/// As often as it fits in the largest body, beside what stands around it.
fn filled(unit: &[u8]) -> Vec<u8> {
    unit.repeat((LIMIT - 512) / unit.len())
}

fn filled_text(unit: &str) -> String {
    String::from_utf8(filled(unit.as_bytes())).unwrap()
}

/// A request with one failed span, which has these fields besides.
fn failed_span(fields: &[u8]) -> Vec<u8> {
    let known = [
        field(1, &[1; 16]),
        field(2, &[2; 8]),
        field(5, b"GET"),
        vec![6 << 3, 2],
        field(15, &[3 << 3, 2]),
        fields.to_vec(),
    ];
    field(1, &field(2, &field(2, &known.concat())))
}

fn exception(key: &[u8], value: &[u8]) -> Vec<u8> {
    let attribute = [field(1, key), field(2, value)].concat();
    field(11, &field(3, &attribute))
}

fn json(before: &str, unit: &str, after: &str) -> Vec<u8> {
    let units = (LIMIT - 512) / (unit.len() + 1);
    let list = format!("{unit},").repeat(units - 1);
    format!("{before}{list}{unit}{after}").into_bytes()
}

/// A request in JSON with one failed span, whose exception has this message, written as JSON has it.
fn json_message(kind: &str, message: &str) -> Vec<u8> {
    let before = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"01010101010101010101010101010101","spanId":"0202020202020202","status":{"code":2},"events":[{"name":"exception","attributes":[{"key":"exception.message","value":{""#;
    format!(r#"{before}{kind}":"{message}"}}}}]}}]}}]}}]}}]}}"#).into_bytes()
}

fn nested(fields: &[u8], depth: usize) -> Vec<u8> {
    (0..depth).fold(fields.to_vec(), |inner, _| field(5, &field(1, &inner)))
}

/// What it is, its media type, its body, and how it is answered.
type Case = (&'static str, &'static str, Vec<u8>, u16);

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    const PROTOBUF: &str = "application/x-protobuf";
    const JSON: &str = "application/json";
    const SPANS: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":["#;
    const SPAN: &str = r#"{"traceId":"01010101010101010101010101010101","spanId":"0202020202020202","status":{"code":2},"#;
    let empty_value = field(1, b"");
    let in_json_span =
        |list: &str, unit: &str| json(&format!("{SPANS}{SPAN}\"{list}\":["), unit, "]}]}]}]}");
    vec![
        ("empty resources", PROTOBUF, filled(&field(1, b"")), 413),
        (
            "empty scopes",
            PROTOBUF,
            field(1, &filled(&field(2, b""))),
            413,
        ),
        (
            "empty spans",
            PROTOBUF,
            field(1, &field(2, &filled(&field(2, b"")))),
            413,
        ),
        (
            "empty attributes",
            PROTOBUF,
            failed_span(&filled(&field(9, b""))),
            200,
        ),
        (
            "empty events",
            PROTOBUF,
            failed_span(&filled(&field(11, b""))),
            200,
        ),
        (
            "empty links",
            PROTOBUF,
            failed_span(&filled(&field(13, b""))),
            200,
        ),
        (
            "exceptions",
            PROTOBUF,
            failed_span(&filled(&exception(b"exception.message", &field(1, b"x")))),
            200,
        ),
        (
            "attributes of a resource",
            PROTOBUF,
            field(
                1,
                &[field(1, &filled(&field(1, b""))), field(2, &field(2, b""))].concat(),
            ),
            200,
        ),
        (
            "a long message",
            PROTOBUF,
            failed_span(&exception(b"exception.message", &field(1, &filled(b"x")))),
            200,
        ),
        (
            "a long message that is no text",
            PROTOBUF,
            failed_span(&exception(
                b"exception.message",
                &field(1, &filled(&[0xff])),
            )),
            200,
        ),
        (
            "a message that is a long list",
            PROTOBUF,
            failed_span(&exception(
                b"exception.message",
                &field(5, &filled(&empty_value)),
            )),
            200,
        ),
        (
            "a message that is a large map",
            PROTOBUF,
            failed_span(&exception(
                b"exception.message",
                &field(6, &filled(&empty_value)),
            )),
            200,
        ),
        (
            "deep values",
            PROTOBUF,
            failed_span(&field(
                9,
                &[field(1, b"a"), field(2, &nested(b"", 20_000))].concat(),
            )),
            400,
        ),
        ("a gzip bomb", PROTOBUF, vec![0; 10 * LIMIT], 413),
        (
            "empty resources in JSON",
            JSON,
            json(r#"{"resourceSpans":["#, "{}", "]}"),
            413,
        ),
        (
            "empty scopes in JSON",
            JSON,
            json(r#"{"resourceSpans":[{"scopeSpans":["#, "{}", "]}]}"),
            413,
        ),
        (
            "empty spans in JSON",
            JSON,
            json(SPANS, "{}", "]}]}]}"),
            413,
        ),
        (
            "empty attributes in JSON",
            JSON,
            in_json_span("attributes", "{}"),
            200,
        ),
        (
            "empty events in JSON",
            JSON,
            in_json_span("events", "{}"),
            200,
        ),
        (
            "empty links in JSON",
            JSON,
            in_json_span("links", "{}"),
            200,
        ),
        (
            "unknown lists in JSON",
            JSON,
            in_json_span("whatever", "{}"),
            200,
        ),
        (
            "deep lists in JSON",
            JSON,
            format!("{}{}", "[".repeat(LIMIT / 2), "]".repeat(LIMIT / 2)).into_bytes(),
            400,
        ),
        (
            "a long message of escapes in JSON",
            JSON,
            json_message("stringValue", &filled_text(r"\u0041")),
            200,
        ),
        (
            "a long message with an escape in JSON",
            JSON,
            json_message("stringValue", &format!(r"\n{}", filled_text("x"))),
            200,
        ),
        (
            "many bytes with an escape in JSON",
            JSON,
            json_message("bytesValue", &format!(r"\/AAA{}", filled_text("AAAA"))),
            200,
        ),
    ]
}

/// As many entry spans of one trace, in which something failed, as a request can have, and as many
/// headers as fit.
fn entries_with_headers() -> Vec<u8> {
    const SPANS: u64 = 49_990;
    let text = |text: &str| field(1, text.as_bytes());
    let header = |number| {
        let name = text(&format!("http.request.header.x-{number}"));
        field(9, &[name, field(2, &text("a value"))].concat())
    };
    let headers: Vec<u8> = (0..8).flat_map(header).collect();
    let spans = (1..=SPANS).map(|number| {
        let span = [
            field(1, &[1; 16]),
            field(2, &number.to_be_bytes()),
            field(5, b"GET"),
            vec![6 << 3, 2],
            headers.clone(),
            if number == 1 {
                field(15, &[3 << 3, 2])
            } else {
                Vec::new()
            },
        ];
        field(2, &span.concat())
    });
    let body = field(1, &field(2, &spans.flatten().collect::<Vec<u8>>()));
    assert!(
        (LIMIT * 4 / 5..LIMIT).contains(&body.len()),
        "{}",
        body.len()
    );
    body
}

pub fn zipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn send(program: &Program, media_type: &str, body: &[u8]) -> u16 {
    send_by(&agent(), program, media_type, body)
}

fn send_by(agent: &ureq::Agent, program: &Program, media_type: &str, body: &[u8]) -> u16 {
    send_to("/v1/traces", agent, program, media_type, body)
}

fn send_to(
    path: &str,
    agent: &ureq::Agent,
    program: &Program,
    media_type: &str,
    body: &[u8],
) -> u16 {
    let mut response = agent
        .post(format!("http://{}{path}", program.otlp))
        .content_type(media_type)
        .header("Content-Encoding", "gzip")
        .send(body)
        .expect("every request is answered");
    response
        .body_mut()
        .read_to_vec()
        .expect("answers are whole");
    response.status().as_u16()
}

/// The most memory that the process has had resident.
pub fn peak_kib(program: &Program) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", program.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The figures are those of the program that users run, not of a debug build.
pub fn is_release() -> bool {
    let is_release = std::env::var_os("REDSPAN_BIN").is_some();
    if !is_release {
        skipped("bounds on memory (REDSPAN_BIN names no release build; tests/run.sh makes one)");
    }
    is_release
}

#[test]
fn twenty_mebibytes_of_nothing_cost_less_than_64_mebibytes() {
    if !is_release() {
        return;
    }
    for (what, media_type, body, expected) in cases() {
        assert_costs_little(what, media_type, &zipped(&body), expected);
    }
    // The first member tells nothing of how much the second is.
    for (what, bytes, expected) in [
        ("two members of gzip", LIMIT, 400),
        ("a gzip bomb of two members", 10 * LIMIT, 413),
    ] {
        let body = [zipped(&[0; 1_000]), zipped(&vec![0; bytes - 1_000])].concat();
        assert_costs_little(what, "application/x-protobuf", &body, expected);
    }
}

fn assert_costs_little(what: &str, media_type: &str, body: &[u8], expected: u16) {
    // A process each: memory that was used once stays on the books.
    let database = Database::new(Kind::Sqlite);
    let program = Program::start(&database.url, &database.environment());
    assert_eq!(send(&program, media_type, body), expected, "{what}");
    let peak = peak_kib(&program);
    println!(
        "{what}: {} bytes on the wire, {peak} KiB resident",
        body.len()
    );
    assert!(peak < ONE_KIB, "{what}: {peak} KiB resident");
    assert_eq!(program.get("/livez").0, 200, "{what}");
}

#[test]
fn several_such_requests_at_once_cost_less_than_256_mebibytes() {
    if !is_release() {
        return;
    }
    let database = Database::new(Kind::Sqlite);
    let program = Program::start(&database.url, &database.environment());
    for (what, media_type, body, expected) in cases() {
        let body = zipped(&body);
        thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    // Those for which there is no room now are told to come again.
                    let status = send(&program, media_type, &body);
                    assert!(status == expected || status == 429, "{what}: {status}");
                });
            }
        });
        let peak = peak_kib(&program);
        assert!(peak < SEVERAL_KIB, "{what}: {peak} KiB resident");
    }
    println!("at most {} KiB resident", peak_kib(&program));
}

/// What the spans of a request look like that all failed.
#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u64,
    in_one_trace: bool,
    attributes: usize,
    stack_bytes: usize,
}

/// A failing batch of the Collector, in small and in large, and the most that a request can have.
const FAILURES: [Failures; 5] = [
    Failures {
        count: 8_192,
        in_one_trace: false,
        attributes: 1,
        stack_bytes: 0,
    },
    Failures {
        count: 8_192,
        in_one_trace: false,
        attributes: 12,
        stack_bytes: 1_500,
    },
    Failures {
        count: 49_990,
        in_one_trace: false,
        attributes: 1,
        stack_bytes: 0,
    },
    Failures {
        count: 38_000,
        in_one_trace: false,
        attributes: 12,
        stack_bytes: 0,
    },
    Failures {
        count: 49_990,
        in_one_trace: true,
        attributes: 1,
        stack_bytes: 0,
    },
];

impl Failures {
    /// The request; no client has a span of another's.
    fn body(self, client: u64) -> Vec<u8> {
        let now = load::now_nanos().to_le_bytes();
        let text = |key: &str, value: &str| {
            let value = field(1, value.as_bytes());
            [field(1, key.as_bytes()), field(2, &value)].concat()
        };
        let attributes: Vec<u8> = (0..self.attributes)
            .flat_map(|number| field(9, &text(&format!("app.attribute.{number}"), "a value")))
            .collect();
        let spans = (0..self.count).map(|number| {
            let trace = if self.in_one_trace { 0 } else { number };
            let stack = format!("  at shop.Items.find(Items.java:{number})\n");
            let exception = [
                field(2, b"exception"),
                field(3, &text("exception.type", "shop.OutOfStock")),
                field(3, &text("exception.message", &format!("item {number}"))),
                field(
                    3,
                    &text(
                        "exception.stacktrace",
                        &stack.repeat(self.stack_bytes / stack.len()),
                    ),
                ),
            ];
            let span = [
                field(
                    1,
                    &[(client + 1).to_be_bytes(), trace.to_be_bytes()].concat(),
                ),
                field(2, &(number + 1).to_be_bytes()),
                field(5, b"GET /items"),
                vec![6 << 3, 2, 8 << 3 | 1],
                now.to_vec(),
                attributes.clone(),
                field(11, &exception.concat()),
                field(15, &[3 << 3, 2]),
            ];
            field(2, &span.concat())
        });
        field(1, &field(2, &spans.flatten().collect::<Vec<u8>>()))
    }
}

fn send_until_acknowledged(program: &Program, body: &[u8]) {
    let start = Instant::now();
    loop {
        match send(program, "application/x-protobuf", body) {
            200 => return,
            429 | 503 => {}
            status => panic!("answered {status}"),
        }
        // Whoever is told to come again does not come at once.
        while !program
            .get("/metrics")
            .1
            .contains("\nredspan_queue_records 0\n")
        {
            thread::yield_now();
        }
        let patience = Duration::from_mins(2);
        assert!(start.elapsed() < patience, "{}", program.log());
    }
}

fn assert_rows(database: &Database, expected: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let rows = runtime.block_on(async {
        let mut checker = Checker::open(&database.url, &database.schema).await;
        checker.number("SELECT count(*) FROM api_errors").await
    });
    assert_eq!(u64::try_from(rows), Ok(expected), "all rows are there");
}

fn assert_stored_within_the_limit(
    program: &Program,
    database: &Database,
    failures: Failures,
    clients: u64,
) {
    let peak = peak_kib(program);
    let what = format!("{:?}, {clients} clients, {failures:?}", database.kind);
    println!("{what}: {peak} KiB resident");
    assert!(peak < SEVERAL_KIB, "{what}: {peak} KiB resident");
    assert_rows(database, clients * failures.count);
}

#[test]
fn a_request_of_failures_only_is_stored_whole_within_256_mebibytes() {
    if !is_release() {
        return;
    }
    // However slow the machine is: the figure is that of a request which is sent once.
    let patient: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_mins(2)))
        .build()
        .into();
    for failures in FAILURES {
        for kind in [Kind::Sqlite, Kind::Postgres] {
            let database = Database::new(kind);
            let mut environment = database.environment();
            environment.push(("REDSPAN_LIMITS_ANSWER_TIMEOUT", "2m"));
            let program = Program::start(&database.url, &environment);
            let body = zipped(&failures.body(0));
            let status = send_by(&patient, &program, "application/x-protobuf", &body);
            assert_eq!(status, 200, "{kind:?}, {failures:?}");
            assert_stored_within_the_limit(&program, &database, failures, 1);
        }
    }
}

/// As many exceptions as a request can have, as log records, each in a trace of its own or in none.
fn log_records(count: u64, are_in_traces: bool) -> Vec<u8> {
    let text = |text: &str| field(1, text.as_bytes());
    let attribute =
        |key: &str, value: &str| field(6, &[text(key), field(2, &text(value))].concat());
    let records = (1..=count).map(|number| {
        let time = [
            vec![1 << 3 | 1],
            (load::now_nanos() + number).to_le_bytes().to_vec(),
        ];
        let message = format!("no stock for order {number}");
        let mut record = vec![
            time.concat(),
            vec![2 << 3, 17],
            field(5, &text("it did not go well")),
            attribute("exception.type", "shop.StockError"),
            attribute("exception.message", &message),
        ];
        if are_in_traces {
            record.push(field(9, &[[0; 8], number.to_be_bytes()].concat()));
        }
        field(2, &record.concat())
    });
    field(1, &field(2, &records.flatten().collect::<Vec<u8>>()))
}

#[test]
fn log_records_of_exceptions_only_are_stored_whole_within_256_mebibytes() {
    const COUNT: u64 = 49_990;
    if !is_release() {
        return;
    }
    let patient: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_mins(2)))
        .build()
        .into();
    for are_in_traces in [false, true] {
        for kind in [Kind::Sqlite, Kind::Postgres] {
            let database = Database::new(kind);
            let mut environment = database.environment();
            environment.push(("REDSPAN_LIMITS_ANSWER_TIMEOUT", "2m"));
            let program = Program::start(&database.url, &environment);
            let body = zipped(&log_records(COUNT, are_in_traces));
            let media_type = "application/x-protobuf";
            let status = send_to("/v1/logs", &patient, &program, media_type, &body);
            assert_eq!(status, 200, "{kind:?}, in traces: {are_in_traces}");
            let peak = peak_kib(&program);
            println!("log records, {kind:?}, in traces: {are_in_traces}: {peak} KiB resident");
            assert!(peak < SEVERAL_KIB, "{kind:?}: {peak} KiB resident");
            assert_rows(&database, COUNT);
        }
    }
}

#[test]
fn headers_of_very_many_requests_are_kept_within_256_mebibytes() {
    if !is_release() {
        return;
    }
    let database = Database::new(Kind::Sqlite);
    let program = Program::start(&database.url, &database.environment());
    let body = zipped(&entries_with_headers());
    assert_eq!(send(&program, "application/x-protobuf", &body), 200);
    let peak = peak_kib(&program);
    println!("headers: {peak} KiB resident");
    assert!(peak < SEVERAL_KIB, "{peak} KiB resident");
    assert_rows(&database, 1);
}

#[test]
fn eight_requests_of_failures_only_are_stored_whole_within_256_mebibytes() {
    if !is_release() {
        return;
    }
    for failures in [FAILURES[0], FAILURES[1]] {
        let database = Database::new(Kind::Sqlite);
        let program = Program::start(&database.url, &database.environment());
        thread::scope(|scope| {
            for client in 0..8 {
                let program = &program;
                scope.spawn(move || {
                    send_until_acknowledged(program, &zipped(&failures.body(client)));
                });
            }
        });
        assert_stored_within_the_limit(&program, &database, failures, 8);
    }
}
