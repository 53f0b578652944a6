//! The program as users run it: the release binary on free ports, its log read, killed and started
//! again at will.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// How long a start or a stop may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running redspan.
pub struct Program {
    child: Child,
    /// Where it takes OTLP over HTTP.
    pub otlp: SocketAddr,
    /// Where it takes OTLP over gRPC.
    pub grpc: SocketAddr,
    /// Where it serves /metrics and health.
    pub http: SocketAddr,
    log: Arc<Mutex<String>>,
    agent: ureq::Agent,
}

/// The path of the program under test: the release build when `tests/run.sh` names it.
pub fn path() -> String {
    std::env::var("REDSPAN_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_redspan").to_owned())
}

/// A client that reports every status as it is.
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .into()
}

impl Program {
    /// Starts it on a database and waits until it is ready; panics with its log when it ends first.
    pub fn start(database_url: &str, environment: &[(&str, &str)]) -> Self {
        Self::try_start(database_url, environment)
            .unwrap_or_else(|log| panic!("redspan did not start:\n{log}"))
    }

    /// The same; an end before it is ready gives the log.
    pub fn try_start(database_url: &str, environment: &[(&str, &str)]) -> Result<Self, String> {
        let mut child = Command::new(path())
            .arg("serve")
            .env("REDSPAN_DATABASE_URL", database_url)
            .env("REDSPAN_OTLP_HTTP_LISTEN", "127.0.0.1:0")
            .env("REDSPAN_OTLP_GRPC_LISTEN", "127.0.0.1:0")
            .env("REDSPAN_HTTP_LISTEN", "127.0.0.1:0")
            .env("REDSPAN_LOG_FORMAT", "json")
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let log = Arc::new(Mutex::new(String::new()));
        let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let (mut otlp, mut grpc, mut http) = (None, None, None);
        while otlp.is_none() {
            let mut line = String::new();
            if lines.read_line(&mut line).expect("the log can be read") == 0 {
                child.wait().expect("it has ended");
                return Err(log.lock().unwrap().clone());
            }
            log.lock().unwrap().push_str(&line);
            if let Ok(event) = serde_json::from_str::<serde_json::Value>(&line) {
                let address = |field: &str| event[field].as_str()?.parse().ok();
                (otlp, http) = (address("otlp_http"), address("http"));
                grpc = address("otlp_grpc");
            }
        }
        let rest = Arc::clone(&log);
        std::thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                rest.lock().unwrap().push_str(&std::mem::take(&mut line));
            }
        });
        Ok(Self {
            child,
            otlp: otlp.expect("the loop ends with it"),
            grpc: grpc.expect("all are said at once"),
            http: http.expect("all are said at once"),
            log,
            agent: agent(),
        })
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// All that it has logged, after it has stopped by itself.
    pub fn whole_log(&self) -> String {
        let start = Instant::now();
        loop {
            let log = self.log();
            if log.contains("redspan has stopped") {
                return log;
            }
            assert!(start.elapsed() < PATIENCE, "no last line:\n{log}");
            std::thread::yield_now();
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`, and wait until it is gone.
    pub fn kill(&mut self) {
        // It may have died by itself at a failpoint.
        drop(self.child.kill());
        self.child
            .wait()
            .expect("a killed process can be waited for");
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "redspan does not end; its log:\n{}",
                self.log()
            );
            std::thread::yield_now();
        }
    }

    /// SIGTERM, and wait until it has drained.
    pub fn terminate(&mut self) -> ExitStatus {
        let status = Command::new("kill")
            .arg(self.pid().to_string())
            .status()
            .expect("kill can be run");
        assert!(status.success());
        self.wait()
    }

    /// Sends a protobuf request of spans and gives the status, or the transport's error.
    pub fn send(&self, body: &[u8]) -> Result<u16, ureq::Error> {
        let response = self
            .agent
            .post(format!("http://{}/v1/traces", self.otlp))
            .content_type("application/x-protobuf")
            .send(body)?;
        let status = response.status().as_u16();
        // Read to the end, so that the connection can be used again.
        response
            .into_body()
            .into_reader()
            .read_to_end(&mut Vec::new())
            .map_err(ureq::Error::Io)?;
        Ok(status)
    }

    /// Gets a path of the port for people and Prometheus.
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut response = self
            .agent
            .get(format!("http://{}{path}", self.http))
            .call()
            .expect("it answers");
        (
            response.status().as_u16(),
            response
                .body_mut()
                .read_to_string()
                .expect("the answer is text"),
        )
    }

    /// Everything on /metrics.
    pub fn metrics(&self) -> Samples {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200, "{text}");
        Samples::parse(&text)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("log of redspan {}:\n{}", self.pid(), self.log());
        }
    }
}

/// The samples of an exposition, as text: series to value.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples(pub std::collections::BTreeMap<String, f64>);

impl Samples {
    fn parse(text: &str) -> Self {
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        Self(
            lines
                .map(|line| {
                    let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
                    (
                        series.to_owned(),
                        value.parse().expect("a value is a number"),
                    )
                })
                .collect(),
        )
    }

    /// The sum over all series of a family whose text holds each of the parts.
    pub fn sum(&self, family: &str, parts: &[&str]) -> f64 {
        self.0
            .iter()
            .filter(|(series, _)| series.split('{').next() == Some(family))
            .filter(|(series, _)| parts.iter().all(|part| series.contains(part)))
            .map(|(_, value)| value)
            .sum()
    }

    /// That each span and each log record received has one result.
    pub fn assert_balanced(&self) {
        for signal in ["signal=\"spans\"", "signal=\"logs\""] {
            let received = self.sum("redspan_records_received_total", &[signal]);
            let results = self.sum("redspan_records_total", &[signal]);
            assert!(
                (received - results).abs() < 0.5,
                "{signal}: received {received}, results {results}: {self:#?}"
            );
        }
    }

    /// The series that count data, which go on across restarts.
    pub fn data_counters(&self) -> Self {
        let families = [
            "redspan_requests_total",
            "redspan_request_duration_seconds",
            "redspan_errors_total",
            "redspan_errors_merged_rows_total",
            "redspan_error_groups",
            "redspan_pipeline_runs_total",
            "redspan_pipeline_stage_runs_total",
            "redspan_pipeline_duration_seconds",
        ];
        Self(
            self.0
                .iter()
                .filter(|(series, _)| families.iter().any(|family| series.starts_with(family)))
                .map(|(series, value)| (series.clone(), *value))
                .collect(),
        )
    }
}
