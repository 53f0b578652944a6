//! A Collector (`tests/apps/collector`) with README's lines, between applications and a redspan that
//! is killed and started again: it puts requests together, and sends each anew until it is answered.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{agent, built, file, note_that_ran, terminate, tool};
use crate::{
    databases::{Database, Kind},
    exactly_once::assert_holds,
    load::{self, Truth},
    program::Program,
    readme::snippets,
};

/// How often redspan is killed, and how often it dies between a COMMIT and its answer.
const KILLS: usize = 25;

/// How long requests may take on their way through the Collector.
const PATIENCE: Duration = Duration::from_mins(1);

/// What README leaves to whoever has a Collector. Its queue is short, so that it is full while nobody
/// takes from it, and what is in it is sent together.
const OWN: &str = "
receivers:
  otlp:
    protocols:
      http:
        endpoint: 127.0.0.1:0
exporters:
  otlp_http/redspan:
    sending_queue:
      queue_size: 64
      batch:
        sizer: items
        min_size: 100
        flush_timeout: 20ms
    retry_on_failure:
      initial_interval: 5ms
      max_interval: 50ms
service:
  telemetry:
    metrics:
      level: none
";

/// A Collector that sends to this address.
struct Collector {
    child: Child,
    /// Where it takes OTLP over HTTP.
    otlp: String,
}

impl Collector {
    fn start(folder: &Path, redspan: SocketAddr) -> Self {
        let lines = snippets::block("yaml").replace("127.0.0.1:4318", &redspan.to_string());
        let configs = [("readme.yaml", &*lines), ("own.yaml", OWN)];
        let mut command = Command::new(folder.join("collector"));
        for (name, config) in configs {
            let path = folder.join(format!("{}-{name}", redspan.port()));
            fs::write(&path, config).unwrap();
            command.arg("--config").arg(path);
        }
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut otlp = None;
        let mut line = String::new();
        while !line.contains("Everything is ready") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it does not start");
            if let Some((_, endpoint)) = line.split_once("\"endpoint\": \"") {
                otlp = endpoint.split('"').next().map(str::to_owned);
            }
        }
        // Whoever writes to a pipe that nobody reads waits.
        thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self {
            child,
            otlp: otlp.unwrap(),
        }
    }

    /// Sends a request until the Collector takes it.
    fn send(&self, body: &[u8]) {
        let start = Instant::now();
        let taken = || {
            let response = agent()
                .post(format!("http://{}/v1/traces", self.otlp))
                .content_type("application/x-protobuf")
                .send(body);
            response.unwrap().status().as_u16() == 200
        };
        while !taken() {
            assert!(start.elapsed() < PATIENCE, "the Collector takes nothing");
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// How many requests redspan has counted in all its lives.
fn requests(program: &Program) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a count")]
    let requests = program.metrics().sum("redspan_requests_total", &[]) as i64;
    requests
}

/// Waits until it has counted this many.
fn wait_for_requests(program: &Program, wanted: i64) {
    let start = Instant::now();
    while requests(program) < wanted {
        assert!(
            start.elapsed() < PATIENCE,
            "{wanted} requests, only {} came",
            requests(program)
        );
        thread::yield_now();
    }
}

fn storm(kind: Kind) {
    if tool("go", "version").is_none() {
        return;
    }
    let folder = built(&format!("collector-{kind:?}"));
    let compiled = Command::new("go")
        .args(["build", "-o"])
        .arg(&folder)
        .current_dir(file("collector"))
        .status();
    assert!(compiled.unwrap().success());

    let database = Database::new(kind);
    let mut program = Program::start(&database.url, &database.environment());
    // Whoever takes its place listens where it did.
    let address = program.otlp.to_string();
    let environment = [
        &database.environment()[..],
        &[("REDSPAN_OTLP_HTTP_LISTEN", &address)],
    ]
    .concat();
    let dying = [&environment[..], &[("REDSPAN_FAILPOINT", "after_commit:3")]].concat();
    let mut collector = Collector::start(&folder, program.otlp);
    let is_over = AtomicBool::new(false);
    let truth = thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut truth = Truth::default();
            let mut first = 0;
            while !is_over.load(Ordering::Relaxed) {
                let request = load::whole_traces("shop", first, 16);
                collector.send(&request.body);
                truth.add(&request.truth);
                first += 16;
            }
            truth
        });
        for _ in 0..KILLS {
            // At any instant, and where it hurts: everything stored, nobody told.
            let before = requests(&program);
            wait_for_requests(&program, before + 1);
            program.kill();
            program = Program::start(&database.url, &dying);
            program.wait();
            program = Program::start(&database.url, &environment);
        }
        is_over.store(true, Ordering::Relaxed);
        sending.join().unwrap()
    });
    wait_for_requests(&program, truth.requests);
    terminate(&mut collector.child);
    program.metrics().assert_balanced();
    assert!(program.terminate().success());
    assert_holds(&database, &truth);
    note_that_ran(&format!("Collector over http/protobuf on {kind:?}"));
}

#[test]
#[ignore = "minutes: tests/full.sh"]
fn a_collector_that_sends_anew_what_a_killed_redspan_took_is_counted_once_on_sqlite() {
    storm(Kind::Sqlite);
}

#[test]
#[ignore = "minutes: tests/full.sh"]
fn a_collector_that_sends_anew_what_a_killed_redspan_took_is_counted_once_on_postgresql() {
    storm(Kind::Postgres);
}
