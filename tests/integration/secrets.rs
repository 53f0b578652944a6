//! Secrets in every notation in every place of a request, against the real program on both
//! databases: none may be in the database's files and tables, in the log, on /metrics, or in what
//! the command line prints.

use std::{collections::HashSet, fs, process::Command};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use crate::{
    databases::{Database, Kind, each_kind},
    program::{self, Program},
};

/// How secrets stand in texts; `{}` is the secret. Secrets are capitals and digits.
#[rustfmt::skip]
const NOTATIONS: &[&str] = &[
    // Keys and values.
    "login failed: password={}", "login failed: Password = {}, user=ada", "passwd: {}", "pwd:{};",
    "password='{} b' c", "{\"password\": \"a {}\", \"n\": 1}", "{\\\"apiKey\\\":\\\"{}\\\",\\\"n\\\":1}",
    "{\"a\":\"{\\\"b\\\":\\\"{\\\\\\\"secret\\\\\\\":\\\\\\\"{}\\\\\\\"}\\\"}\"}",
    "{'client_secret': b'{}'}", "{:token=>\"{}\"}", "Login{User:ada Password:{}}",
    "tokens: [\"{}\"]", "<password>{}</password>", "run --api-key {} -v", "API key: {}",
    "Cookie: a=b; session={}", "Set-Cookie: sid={}; Path=/", "Authorization: Basic {}==",
    "X-Api-Key: {}", "proxy-authorization: Digest username=\"a\", response=\"{}\"",
    // Hidden.
    "pass\u{200b}word={}", "p\u{ad}ass\u{2060}wor\u{feff}d: {}", "pass%77ord%3D{}%20x",
    "next=%252Fx%253Ftoken%253D{}", "{\"p\\u0061ssword\":\"{}\"}", "ｐａｓｓｗｏｒｄ={}",
    // URLs and connections.
    "GET https://api.example/v1?key={}&page=2 failed", "https://ada:{}@api.example/v1",
    "https://h/cb#access_token={}&n=1", "postgres://ada:{}@db/shop", "redis://:p{}/x@db:6379/0",
    "jdbc:mysql://db/shop?user=a&password={}", "Server=db;User Id=sa;Pwd={};", "/reset?code={}",
    "AccountName=a;AccountKey={}==;EndpointSuffix=x", "https://h/x?sig={}%3D&se=1",
    // SQL.
    "WHERE password = '{}' AND n = 1", "CREATE ROLE a PASSWORD '{}'", "IDENTIFIED BY '{}'",
    "INSERT INTO users VALUES ('ada', '{}')", "[parameters: ('ada', '{}')]",
    // By their look.
    "sent Bearer {}abc", "ghp_{}abcdefghijklmnopqrstuvwxyz", "key AKIA{} used",
    "xoxb-12345-{}", "sk_live_{}abc", "glpat-{}abcdef", "AIzaSy{}abcdefghijklmnop",
    "eyJhbGciOiJIUzI1NiJ9.{}.sig", "https://hooks.slack.com/services/T0/B0/{}",
    "-----BEGIN RSA PRIVATE KEY-----\nMII{}\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----\n{}",
];

/// Places of a request. Each takes a text and gives the parts of a span that hold it.
#[rustfmt::skip]
const CARRIERS: &[&str] = &[
    "exception.message", "exception.stacktrace", "exception.type", "earlier.message",
    "earlier.type", "handled.message", "status", "span.name", "event.name", "event.attribute",
    "scope.name", "scope.version", "link.attribute", "trace.state",
    "attribute", "attribute.list", "attribute.map", "attribute.json", "attribute.bytes",
    "attribute.key", "resource", "resource.map", "service.name", "service.version", "environment",
    "header", "url.full", "http.route", "url.path", "user.id", "request.id", "user_agent.original",
    "error.type", "peer.service", "db.query.text", "http.request.body", "gen_ai.input.messages",
];

/// How needles begin.
const SECRET: &str = "CNRY";
const CARD: &str = "4929";

/// Places of a log record with an exception.
const LOG_CARRIERS: &[&str] = &[
    "log.body",
    "log.body.map",
    "log.severity",
    "log.event_name",
    "log.attribute",
    "log.exception.message",
    "log.exception.stacktrace",
    "log.scope.name",
];

/// What is looked for when all is done.
struct Canary {
    needle: String,
    /// Where it was hidden.
    place: String,
}

#[derive(Default)]
struct Canaries {
    all: Vec<Canary>,
    resources: Vec<Value>,
    log_resources: Vec<Value>,
}

impl Canaries {
    /// Every notation in every carrier, whole values of secret keys, and card numbers.
    fn new() -> Self {
        let mut canaries = Self::default();
        for carrier in CARRIERS {
            for notation in NOTATIONS {
                let place = format!("{notation} in {carrier}");
                let secret = canaries.secret(place);
                canaries.hide(carrier, &notation.replace("{}", &secret));
            }
            for separator in ["", " ", "-"] {
                let card = canaries.card(separator, carrier);
                canaries.hide(carrier, &format!("card {card} refused"));
            }
        }
        for carrier in LOG_CARRIERS {
            for notation in NOTATIONS {
                let place = format!("{notation} in {carrier}");
                let secret = canaries.secret(place);
                canaries.hide_in_log(carrier, &notation.replace("{}", &secret));
            }
        }
        #[rustfmt::skip]
        let keys = [
            "password", "db.password", "userPassword", "API_KEY", "http.request.header.authorization",
            "http.request.header.cookie", "http.response.header.set-cookie", "access_token", "otp",
            "credentials", "private-key", "pass\u{200b}word", "sec\u{200d}ret", "url.query",
            "process.environment_variable.DB_PASSWORD",
        ];
        for key in keys {
            for shape in ["text", "list", "map", "resource", "bytes"] {
                let secret = canaries.secret(format!("{key} as {shape}"));
                let text = json!({"stringValue": secret});
                let value = match shape {
                    "list" => json!({"arrayValue": {"values": [text]}}),
                    "map" => json!({"kvlistValue": {"values": [attribute("n", &text)]}}),
                    "bytes" => bytes(&secret),
                    _ => text,
                };
                let hidden = vec![attribute(key, &value)];
                let (resource, span) = match shape {
                    "resource" => (hidden, vec![]),
                    _ => (vec![], hidden),
                };
                canaries.add(&resource, &json!({"attributes": span}), &json!({}));
            }
        }
        canaries
    }

    fn secret(&mut self, place: String) -> String {
        let needle = format!("{SECRET}{:05}ZX9Q5", self.all.len());
        self.all.push(Canary {
            needle: needle.clone(),
            place,
        });
        needle
    }

    /// A number with the right check digit.
    fn card(&mut self, separator: &str, carrier: &str) -> String {
        let number = format!("{CARD}{:011}", 77_000_000_000_u64 + self.all.len() as u64);
        let check = (0..10)
            .find(|check| is_valid_card(&format!("{number}{check}")))
            .expect("one digit is right");
        let number = format!("{number}{check}");
        let groups: Vec<&str> = (0..4)
            .map(|group| &number[4 * group..4 * group + 4])
            .collect();
        let needle = groups.join(separator);
        self.all.push(Canary {
            needle: needle.clone(),
            place: format!("a card in {carrier}"),
        });
        needle
    }

    fn hide(&mut self, carrier: &str, text: &str) {
        let string = json!({"stringValue": text});
        let exception = |parts: [(&str, &str); 3]| {
            let attributes: Vec<Value> = parts
                .iter()
                .map(|(part, text)| {
                    attribute(&format!("exception.{part}"), &json!({"stringValue": text}))
                })
                .collect();
            json!({"name": "exception", "timeUnixNano": "1", "attributes": attributes})
        };
        let plain = exception([("type", "E"), ("message", "m"), ("stacktrace", "s")]);
        let with = |part: &str| {
            let pick = |name| if part == name { text } else { "E" };
            exception([
                ("type", pick("type")),
                ("message", pick("message")),
                ("stacktrace", pick("stacktrace")),
            ])
        };
        let one = |key: &str, value: &Value| json!({"attributes": [attribute(key, value)]});
        let (mut resource, mut scope) = (vec![], json!({}));
        let span = match carrier {
            "exception.message" => json!({"events": [with("message")]}),
            "exception.stacktrace" => json!({"events": [with("stacktrace")]}),
            "exception.type" => json!({"events": [with("type")]}),
            "earlier.message" => json!({"events": [with("message"), plain]}),
            "earlier.type" => json!({"events": [with("type"), plain]}),
            "handled.message" => json!({"status": {}, "events": [with("message")]}),
            "status" => json!({"status": {"code": 2, "message": text}}),
            "span.name" => json!({"name": text}),
            "event.name" => json!({"events": [{"name": text}]}),
            "event.attribute" => json!({"events": [one("note", &string)]}),
            "link.attribute" => json!({"links": [one("note", &string)]}),
            "trace.state" => json!({"traceState": format!("v={text}")}),
            "scope.name" | "scope.version" => {
                scope = json!({&carrier["scope.".len()..]: text});
                json!({})
            }
            "attribute" => one("note", &string),
            "attribute.list" => one("note", &json!({"arrayValue": {"values": [string]}})),
            "attribute.map" => one(
                "note",
                &json!({"kvlistValue": {"values": [attribute("in", &string)]}}),
            ),
            "attribute.json" => {
                let inner = json!({"note": text}).to_string();
                one("note", &json!({"stringValue": inner}))
            }
            "attribute.bytes" => one("note", &bytes(text)),
            "attribute.key" => one(text, &json!({"boolValue": true})),
            "resource" => {
                resource.push(attribute("note", &string));
                json!({})
            }
            "resource.map" => {
                let map = json!({"kvlistValue": {"values": [attribute("in", &string)]}});
                resource.push(attribute("note", &map));
                json!({})
            }
            "service.name" | "service.version" => {
                resource.push(attribute(carrier, &string));
                json!({})
            }
            "environment" => {
                resource.push(attribute("deployment.environment.name", &string));
                json!({})
            }
            "header" => one(
                "http.request.header.x-note",
                &json!({"arrayValue": {"values": [string]}}),
            ),
            "peer.service" => {
                json!({"kind": 3, "attributes": [attribute(carrier, &string)]})
            }
            key => one(key, &string),
        };
        self.add(&resource, &span, &scope);
    }

    fn hide_in_log(&mut self, carrier: &str, text: &str) {
        let string = json!({"stringValue": text});
        let number = self.log_resources.len() + 1;
        let pick = |part: &str| match carrier.strip_prefix("log.exception.") {
            Some(name) if name == part => text,
            _ => "E",
        };
        let mut attributes: Vec<Value> = ["type", "message", "stacktrace"]
            .iter()
            .map(|part| {
                let value = json!({"stringValue": pick(part)});
                attribute(&format!("exception.{part}"), &value)
            })
            .collect();
        let mut record = json!({
            "timeUnixNano": number.to_string(),
            "severityNumber": 17,
            "body": {"stringValue": "b"},
        });
        let mut scope = json!({});
        match carrier {
            "log.body" => record["body"] = string,
            "log.body.map" => {
                record["body"] = json!({"kvlistValue": {"values": [attribute("in", &string)]}});
            }
            "log.severity" => record["severityText"] = json!(text),
            "log.event_name" => record["eventName"] = json!(text),
            "log.attribute" => attributes.push(attribute("note", &string)),
            "log.scope.name" => scope = json!({"name": text}),
            _ => {}
        }
        // Every second one stands in a trace.
        if number.is_multiple_of(2) {
            record["traceId"] = json!(format!("{:032x}", number << 32));
            record["spanId"] = json!(format!("{number:016x}"));
        }
        record["attributes"] = attributes.into();
        self.log_resources.push(json!({
            "resource": {"attributes": []},
            "scopeLogs": [{"scope": scope, "logRecords": [record]}],
        }));
    }

    /// A failed span of a trace of its own, with these parts.
    fn add(&mut self, resource: &[Value], parts: &Value, scope: &Value) {
        let number = self.resources.len() + 1;
        let mut span = json!({
            "traceId": format!("{number:032x}"),
            "spanId": format!("{number:016x}"),
            "name": "GET /orders",
            "kind": 2,
            "status": {"code": 2},
            "startTimeUnixNano": "1",
            "endTimeUnixNano": "2",
        });
        for (key, value) in parts.as_object().expect("parts are an object") {
            span[key] = value.clone();
        }
        self.resources.push(json!({
            "resource": {"attributes": resource},
            "scopeSpans": [{"scope": scope, "spans": [span]}],
        }));
    }

    /// Those that are in a text, with the place where they were hidden.
    fn found_in(&self, what: &str, text: &str) -> Vec<String> {
        // One search for all instead of one for each.
        let found: HashSet<&str> = [SECRET, CARD]
            .iter()
            .flat_map(|beginning| text.match_indices(beginning))
            .flat_map(|(start, _)| [14, 16, 19].map(|length| text.get(start..start + length)))
            .flatten()
            .collect();
        self.all
            .iter()
            .filter(|canary| found.contains(canary.needle.as_str()))
            .map(|canary| format!("{what}: {}", canary.place))
            .collect()
    }
}

fn attribute(key: &str, value: &Value) -> Value {
    json!({"key": key, "value": value})
}

fn bytes(text: &str) -> Value {
    json!({"bytesValue": base64(text.as_bytes())})
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .map(|chunk| {
            let bits = (0..3).fold(0, |bits, place| {
                bits << 8 | u32::from(*chunk.get(place).unwrap_or(&0))
            });
            (0..4)
                .map(|digit| {
                    if digit <= chunk.len() {
                        char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize % 64])
                    } else {
                        '='
                    }
                })
                .collect::<String>()
        })
        .collect()
}

fn is_valid_card(number: &str) -> bool {
    let sum: u32 = number
        .bytes()
        .rev()
        .enumerate()
        .map(|(position, digit)| {
            let digit = u32::from(digit - b'0') * if position % 2 == 1 { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

#[test]
fn no_secret_reaches_database_log_metrics_or_command_line() {
    each_kind(|kind| {
        let database = Database::new(kind);
        let mut environment = database.environment();
        environment.push(("REDSPAN_LOG", "debug"));
        let mut program = Program::start(&database.url, &environment);
        let mut canaries = Canaries::new();
        assert!(canaries.all.len() >= 200);

        let request = json!({"resourceSpans": canaries.resources});
        let sent = canaries.found_in("sent", &request.to_string()).len();
        assert!(sent >= 1500, "what is looked for can be found: {sent}");
        let decoded: ExportTraceServiceRequest =
            serde_json::from_value(request).expect("it is a request");
        assert_eq!(program.send(&decoded.encode_to_vec()).unwrap(), 200);
        let logs = json!({"resourceLogs": canaries.log_resources});
        let answer = program::agent()
            .post(format!("http://{}/v1/logs", program.otlp))
            .content_type("application/json")
            .send(logs.to_string());
        assert!(answer.is_ok_and(|answer| answer.status() == 200));
        send_nonsense(&program, &mut canaries);

        let mut leaks = Vec::new();
        let (_, metrics) = program.get("/metrics");
        leaks.extend(canaries.found_in("/metrics", &metrics));
        let records = program
            .metrics()
            .sum("redspan_records_total", &["logs", "error"]);
        assert!(records > 300.0, "the records are stored: {records}");
        let scrubbed = program.metrics().sum("redspan_secrets_scrubbed_total", &[]);
        assert!(scrubbed > 1500.0, "{scrubbed}");
        for (name, text) in stored(&database) {
            leaks.extend(canaries.found_in(&name, &text));
        }
        program.terminate();
        leaks.extend(canaries.found_in("log", &program.whole_log()));
        for (name, text) in stored(&database) {
            leaks.extend(canaries.found_in(&format!("{name} after the end"), &text));
        }
        let rows = printed(
            &database,
            &["errors", "list", "--rows", "--json", "--limit", "500"],
        );
        leaks.extend(canaries.found_in("errors list", &rows));
        let groups = printed(&database, &["errors", "list"]);
        leaks.extend(canaries.found_in("errors list", &groups));
        let rows: Value = serde_json::from_str(&rows).expect("it prints JSON");
        for row in rows["items"].as_array().expect("a list").iter().take(5) {
            let id = row["id"].as_str().expect("an id");
            for form in ["--json", "--full"] {
                let story = printed(&database, &["errors", "show", id, form]);
                leaks.extend(canaries.found_in("errors show", &story));
            }
        }
        leaks.sort();
        assert!(
            leaks.is_empty(),
            "{} leaks:\n{}",
            leaks.len(),
            leaks.join("\n")
        );
    });
}

/// Requests that are refused: what is said of them in the log must hold nothing of them.
fn send_nonsense(program: &Program, canaries: &mut Canaries) {
    let agent = program::agent();
    let mut secret = |place: &str| canaries.secret(format!("a refused request's {place}"));
    let url = format!("http://{}/v1/traces", program.otlp);
    let wrong = format!("{{\"resourceSpans\": [{{\"password={}", secret("body"));
    let paths = [
        format!("{url}?token={}", secret("query")),
        format!("{url}/password={}", secret("path")),
        format!(
            "http://{}/v1/traces?token={}",
            program.http,
            secret("query")
        ),
        format!("http://{}/{}", program.http, secret("path")),
    ];
    for url in &paths {
        let bearer = format!("Bearer {}", secret("header"));
        let response = agent
            .post(url)
            .header("Authorization", &bearer)
            .content_type("application/json")
            .send(&wrong);
        assert!(response.is_ok_and(|response| response.status() != 200));
    }
}

/// Everything that the database keeps, as text.
fn stored(database: &Database) -> Vec<(String, String)> {
    match database.kind {
        Kind::Sqlite => fs::read_dir(database.folder())
            .expect("the folder is there")
            .map(|file| file.expect("it can be listed").path())
            .filter(|path| path.is_file())
            .map(|path| {
                let bytes = fs::read(&path).expect("it can be read");
                (
                    path.display().to_string(),
                    String::from_utf8_lossy(&bytes).into_owned(),
                )
            })
            .collect(),
        Kind::Postgres => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime can be built")
            .block_on(tables(&database.url)),
    }
}

/// Each table of redspan's schema, as JSON.
async fn tables(url: &str) -> Vec<(String, String)> {
    let mut connection = PgConnection::connect(url).await.expect("it is up");
    let names = sqlx::query(
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'redspan'",
    )
    .fetch_all(&mut connection)
    .await
    .expect("the catalogue can be read");
    assert!(names.len() > 5, "the schema is there");
    let mut tables = Vec::new();
    for name in names {
        let name: String = name.get(0);
        let rows = format!(
            "SELECT COALESCE(string_agg(row_to_json(t)::text, E'\\n'), '') FROM redspan.{name} t"
        );
        let rows = sqlx::query(AssertSqlSafe(rows))
            .fetch_one(&mut connection)
            .await
            .expect("the table can be read");
        tables.push((name, rows.get(0)));
    }
    tables
}

fn printed(database: &Database, arguments: &[&str]) -> String {
    let output = Command::new(program::path())
        .args(arguments)
        .envs(database.environment())
        .output()
        .expect("the program can be run");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
