//! redspan's own spans: they arrive at another redspan, never at itself, and logs carry their ids.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    databases::{Database, Kind},
    load::whole_traces,
    program::Program,
};

const REQUESTS: u64 = 7;

/// Whether a series is one of redspan's own requests.
const OWN: &str = "service_name=\"redspan\"";

fn send_some(program: &Program) {
    for number in 0..REQUESTS {
        let sent = whole_traces("shop", 1_000 * number, 2);
        assert_eq!(program.send(&sent.body).unwrap(), 200);
    }
    let malformed = program.send(b"\xff\xff").unwrap();
    assert_eq!(malformed, 400);
}

#[test]
fn own_spans_arrive_at_another_redspan_and_none_at_itself() {
    let (watched_data, watching_data) = (Database::new(Kind::Sqlite), Database::new(Kind::Sqlite));
    let watching = Program::start(&watching_data.url, &[]);
    let endpoint = format!("http://{}", watching.otlp);
    let mut watched = Program::start(
        &watched_data.url,
        &[("REDSPAN_TELEMETRY_ENDPOINT", &endpoint)],
    );
    send_some(&watched);
    let at_itself = watched.metrics().sum("redspan_requests_total", &[OWN]);
    assert!(at_itself < 1.0, "{at_itself}");
    // The last ones are sent at the end.
    assert!(watched.terminate().success());
    let arrived = watching.metrics();
    let route = "endpoint=\"/v1/traces\"";
    let requests = arrived.sum("redspan_requests_total", &[OWN, route, "method=\"POST\""]);
    assert_eq!(requests.to_string(), (REQUESTS + 1).to_string());
    let failed = arrived.sum("redspan_requests_total", &[OWN, "outcome=\"error\""]);
    assert!(failed < 1.0, "{failed}");
}

/// A redspan whose own spans come back to it over a detour, soon.
fn talking_to_itself(database: &Database, detour: &Detour) -> Program {
    let endpoint = format!("http://{}", detour.address);
    let program = Program::start(
        &database.url,
        &[
            ("REDSPAN_TELEMETRY_ENDPOINT", endpoint.as_str()),
            ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        ],
    );
    detour.leads_to(program.otlp);
    program
}

/// Sends until the log says it.
fn send_until(program: &Program, said: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !program.log().contains(said) {
        assert!(Instant::now() < deadline, "{}", program.log());
        send_some(program);
    }
}

#[test]
fn own_spans_that_come_back_are_not_kept_and_said_to_be_wrong() {
    for mark in [Mark::Kept, Mark::Lost] {
        let database = Database::new(Kind::Sqlite);
        let detour = Detour::open(mark);
        let program = talking_to_itself(&database, &detour);
        send_until(&program, "come back to it");
        let metrics = program.metrics();
        assert!(metrics.sum("redspan_requests_total", &[OWN]) < 1.0);
        metrics.assert_balanced();
    }
}

#[test]
fn spans_about_own_spans_are_not_sent_so_that_silence_follows() {
    for mark in [Mark::Kept, Mark::Lost] {
        let database = Database::new(Kind::Sqlite);
        let detour = Detour::open(mark);
        let program = talking_to_itself(&database, &detour);
        send_until(&program, "come back to it");
        // Each of these asks has a few deliveries' time; what is on its way arrives, and no more.
        let spans = || {
            let received = "redspan_records_received_total";
            program
                .metrics()
                .sum(received, &["signal=\"spans\""])
                .to_string()
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut last = (spans(), Instant::now());
        while last.1.elapsed() < Duration::from_secs(1) {
            assert!(Instant::now() < deadline, "it is never quiet: {}", last.0);
            let now = spans();
            if now != last.0 {
                last = (now, Instant::now());
            }
        }
    }
}

#[test]
fn own_spans_that_do_not_arrive_are_said_to_be_lost() {
    let database = Database::new(Kind::Sqlite);
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let endpoint = format!("http://{nobody}");
    let mut program = Program::start(&database.url, &[("REDSPAN_TELEMETRY_ENDPOINT", &endpoint)]);
    send_some(&program);
    assert!(program.terminate().success());
    let log = program.log();
    assert!(
        log.contains("own spans do not arrive") && log.contains(&endpoint),
        "{log}"
    );
}

#[test]
fn what_is_logged_in_a_request_carries_its_trace_id() {
    let database = Database::new(Kind::Sqlite);
    let watching_data = Database::new(Kind::Sqlite);
    let watching = Program::start(&watching_data.url, &[]);
    let endpoint = format!("http://{}", watching.otlp);
    let mut program = Program::start(
        &database.url,
        &[
            ("REDSPAN_TELEMETRY_ENDPOINT", endpoint.as_str()),
            ("REDSPAN_LOG", "warn,redspan::app=info,redspan::otlp=info"),
        ],
    );
    let answer = ureq::post(format!("http://{}/v1/metrics", program.otlp))
        .header("Content-Type", "application/json")
        .send("{}")
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    assert!(program.terminate().success());
    let log = program.log();
    let line = log
        .lines()
        .find(|line| line.contains("answered and not kept"))
        .unwrap_or_else(|| panic!("{log}"));
    let event: Value = serde_json::from_str(line).expect("JSON");
    let id = event["span"]["trace_id"].as_str().expect("a trace id");
    assert_eq!(id.len(), 32, "{id}");
    assert_ne!(id, "0".repeat(32));
}

/// What becomes of the header that marks own spans, on the way.
#[derive(Clone, Copy, Debug)]
enum Mark {
    Kept,
    /// As a Collector does, which makes requests of its own.
    Lost,
}

/// A way to an address that is known later.
struct Detour {
    address: SocketAddr,
    target: &'static OnceLock<SocketAddr>,
}

impl Detour {
    fn open(mark: Mark) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let target: &'static OnceLock<SocketAddr> = Box::leak(Box::default());
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if let Some(target) = target.get()
                    && let Ok(far) = TcpStream::connect(target)
                {
                    let (near_too, far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                    thread::spawn(move || copy(near, far, mark));
                    thread::spawn(move || copy(far_too, near_too, Mark::Kept));
                }
            }
        });
        Self { address, target }
    }

    fn leads_to(&self, target: SocketAddr) {
        self.target.set(target).unwrap();
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, mark: Mark) {
    const NAME: &[u8] = b"redspan-own-spans";
    let mut piece = [0; 8 * 1_024];
    while let Ok(bytes @ 1..) = from.read(&mut piece) {
        let piece = &mut piece[..bytes];
        if let Mark::Lost = mark {
            let at = piece.windows(NAME.len()).position(|name| name == NAME);
            if let Some(at) = at {
                piece[at..at + NAME.len()].fill(b'x');
            }
        }
        if to.write_all(piece).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}
