//! One fixture a rule of detection: requests as JSON and as protobuf, and beside them the rows and
//! counts that must come of them, written by hand.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use prost::Message as _;
use redspan::{
    domain::Timestamp,
    otlp::{Encoding, Records},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{model::Model, reference};

/// When every fixture is received: 2026-08-20T12:00:00Z. Its spans ended shortly before.
const RECEIVED_AT_MICROS: i64 = 1_787_227_200_000_000;

/// What `<name>.expected.json` holds.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expected {
    /// The rule that the fixture is about.
    rule: String,
    /// In the order of trace, span and message; of each row only what the rule is about.
    rows: Vec<Value>,
    /// In the order of endpoint, service and method, likewise.
    requests: Vec<Value>,
    /// Spans that are refused one by one.
    rejected: u64,
}

struct Fixture {
    name: String,
    expected: Expected,
    /// Paths of the requests without extension, in the order in which they are sent.
    requests: Vec<PathBuf>,
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"))
}

fn fixtures() -> Vec<Fixture> {
    let files: BTreeSet<String> = fs::read_dir(folder())
        .expect("the fixtures are there")
        .map(|entry| entry.expect("the folder can be read").file_name())
        .map(|name| name.into_string().expect("names are text"))
        .collect();
    let names = files
        .iter()
        .filter_map(|file| file.strip_suffix(".expected.json"));
    names
        .map(|name| {
            let expected = fs::read(folder().join(format!("{name}.expected.json")))
                .expect("the file was listed");
            let expected = serde_json::from_slice(&expected)
                .unwrap_or_else(|error| panic!("{name}.expected.json: {error}"));
            let numbered = (1..).map(|number| format!("{name}.{number}"));
            let mut requests: Vec<_> = numbered
                .take_while(|stem| files.contains(&format!("{stem}.json")))
                .map(|stem| folder().join(stem))
                .collect();
            if requests.is_empty() {
                requests.push(folder().join(name));
            }
            Fixture {
                name: name.to_owned(),
                expected,
                requests,
            }
        })
        .collect()
}

fn with_extension(stem: &Path, extension: &str) -> PathBuf {
    let mut path = stem.to_owned().into_os_string();
    path.push(extension);
    path.into()
}

/// What is sent to one of the two paths.
enum Request {
    Spans(ExportTraceServiceRequest),
    Logs(ExportLogsServiceRequest),
}

impl Request {
    /// A request in JSON; which it is is told by its first list.
    fn read(stem: &Path, json: &[u8]) -> Self {
        let read = || {
            Ok::<_, serde_json::Error>(match records(json) {
                Records::Spans => Self::Spans(serde_json::from_slice(json)?),
                Records::Logs => Self::Logs(serde_json::from_slice(json)?),
            })
        };
        read().unwrap_or_else(|error| panic!("{}: {error}", stem.display()))
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Spans(request) => request.encode_to_vec(),
            Self::Logs(request) => request.encode_to_vec(),
        }
    }
}

fn records(json: &[u8]) -> Records {
    let json: Value = serde_json::from_slice(json).expect("the request is JSON");
    match json.get("resourceLogs") {
        Some(_) => Records::Logs,
        None => Records::Spans,
    }
}

#[test]
fn fixtures_pb_match_json() {
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    for stem in fixtures().iter().flat_map(|fixture| &fixture.requests) {
        let json = fs::read(with_extension(stem, ".json")).expect("the request is there");
        let request = Request::read(stem, &json).encode();
        let protobuf = with_extension(stem, ".pb");
        if update {
            fs::write(&protobuf, &request).expect("the folder can be written");
        }
        let committed = fs::read(&protobuf).unwrap_or_default();
        assert!(
            committed == request,
            "{} is not its JSON; UPDATE_FIXTURES=1 writes it anew",
            protobuf.display()
        );
    }
}

#[test]
fn fixtures_lead_to_their_rows_as_protobuf() {
    run(Encoding::Protobuf, ".pb");
}

#[test]
fn fixtures_lead_to_their_rows_as_json() {
    run(Encoding::Json, ".json");
}

/// The reference that random traces are measured by is itself measured by what is written by hand.
#[test]
fn fixtures_lead_to_their_rows_in_the_reference() {
    compare_all(|fixture| {
        let (mut spans, mut logs) = (Vec::new(), Vec::new());
        for stem in &fixture.requests {
            let json = fs::read(with_extension(stem, ".json")).expect("the request is there");
            match Request::read(stem, &json) {
                Request::Spans(request) => spans.push(request),
                Request::Logs(request) => logs.push(request),
            }
        }
        // What the reference has no word for: scrubbing, contexts, sampling.
        let is_about_secrets = fixture.name.starts_with("scrubbed");
        if is_about_secrets {
            fixture.expected.rows.clear();
        }
        for row in &mut fixture.expected.rows {
            row.as_object_mut().expect("an object").remove("context");
        }
        for requests in &mut fixture.expected.requests {
            let requests = requests.as_object_mut().expect("an object");
            requests.remove("estimatedRequests");
        }
        let found = reference::expect(&spans, &logs, RECEIVED_AT_MICROS);
        Found {
            rows: (found.rows.iter().map(row_of_reference))
                .filter(|_| !is_about_secrets)
                .collect(),
            requests: found
                .requests
                .iter()
                .map(
                    |((_, service_name, environment, endpoint, method), counts)| {
                        json!({
                            "endpoint": endpoint,
                            "method": method,
                            "serviceName": service_name,
                            "environment": environment,
                            "requests": counts.0,
                            "errors": counts.1,
                        })
                    },
                )
                .collect(),
            rejected: found.rejected,
        }
    });
}

/// Rows and request counts as JSON, in any order.
struct Found {
    rows: Vec<Value>,
    requests: Vec<Value>,
    rejected: u64,
}

fn run(encoding: Encoding, extension: &str) {
    compare_all(|fixture| {
        let mut model = Model::new(Timestamp::from_micros(RECEIVED_AT_MICROS));
        for stem in &fixture.requests {
            let body = fs::read(with_extension(stem, extension)).expect("the request is there");
            let json = fs::read(with_extension(stem, ".json")).expect("the request is there");
            model.take(0, &[(records(&json), encoding, body)]);
        }
        let requests = model.tables.requests.iter();
        Found {
            rows: model.tables.errors.values().map(|row| json!(row)).collect(),
            requests: requests
                .map(|((_, series), totals)| {
                    json!({
                        "endpoint": series.endpoint,
                        "method": series.method,
                        "serviceName": series.service_name,
                        "environment": series.environment,
                        "requests": totals.requests,
                        "errors": totals.errors,
                        "estimatedRequests": totals.estimated_requests,
                    })
                })
                .collect(),
            rejected: model.tables.rejected,
        }
    });
}

/// Takes every fixture and lists all that differ, so that one run shows the whole picture.
fn compare_all(take: impl Fn(&mut Fixture) -> Found) {
    let mut fixtures = fixtures();
    assert!(fixtures.len() >= 40, "only {} fixtures", fixtures.len());
    let report: Vec<_> = fixtures
        .iter_mut()
        .filter_map(|fixture| {
            let found = take(fixture);
            let difference = difference(&fixture.expected, found)?;
            let rule = &fixture.expected.rule;
            Some(format!("== {}: {rule}\n{difference}", fixture.name))
        })
        .collect();
    assert!(report.is_empty(), "{}", report.join("\n"));
}

fn difference(expected: &Expected, mut found: Found) -> Option<String> {
    let sort = |values: &mut Vec<Value>, keys: [&str; 3]| {
        values.sort_by_key(|value| keys.map(|key| value[key].to_string()));
    };
    sort(&mut found.rows, ["traceId", "spanId", "errorMessage"]);
    sort(&mut found.requests, ["endpoint", "serviceName", "method"]);
    let expected = json!({
        "rows": expected.rows,
        "requests": expected.requests,
        "rejected": expected.rejected,
    });
    let found = json!({
        "rows": found.rows,
        "requests": found.requests,
        "rejected": found.rejected,
    });
    if found.to_string().contains("canary") {
        return Some(format!("a secret is stored: {found:#}"));
    }
    let found = as_far_as(&expected, &found);
    (found != expected).then(|| format!("expected {expected:#}\nfound {found:#}"))
}

/// The part of what was found that the expectation speaks about.
fn as_far_as(expected: &Value, found: &Value) -> Value {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => expected
            .iter()
            .map(|(key, expected)| {
                let found = found.get(key).unwrap_or(&Value::Null);
                (key.clone(), as_far_as(expected, found))
            })
            .collect(),
        (Value::Array(expected), Value::Array(found)) => found
            .iter()
            .enumerate()
            .map(|(at, found)| as_far_as(expected.get(at).unwrap_or(&Value::Null), found))
            .collect(),
        _ => found.clone(),
    }
}

fn row_of_reference(row: &reference::Row) -> Value {
    json!({
        "serviceName": row.service_name,
        "traceId": Some(&row.trace_id).filter(|id| !id.is_empty()),
        "spanId": Some(&row.span_id).filter(|id| !id.is_empty()),
        "environment": row.environment,
        "serviceVersion": row.service_version,
        "endpoint": row.endpoint,
        "method": row.method,
        "statusCode": row.status_code,
        "errorCode": row.error_code,
        "errorMessage": row.error_message,
        "errorStack": row.error_stack,
        "severity": row.severity,
        "category": row.category,
        "tags": row.tags,
        "externalService": row.external_service,
        "externalErrorCode": row.external_error_code,
        "externalErrorMessage": row.external_error_message,
        "userId": row.user_id,
        "requestId": row.request_id,
        "ipAddress": row.ip_address,
        "userAgent": row.user_agent,
        "createdAt": Timestamp::from_micros(row.created_at_micros).to_string(),
    })
}
