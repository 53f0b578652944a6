//! Workers under real SDKs (`tests/apps/worker.py`, `examples/worker.rs`) that run a pipeline of four
//! stages fifty times: how each run ends is known by its number, and so is all that is stored of it.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    ops::RangeInclusive,
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use redspan::{
    clock,
    domain::{ErrorId, PipelineStatus, PipelineWithStages, Severity, StageStatus, Timestamp},
    store::{ErrorFilter, GenerationPipelineRepository, PageRequest, PipelineFilter},
};
use serde_json::{Value, json};

use super::{example, file, note_that_ran, python};
use crate::{
    checker::{Checker, Dump},
    databases::{Database, Kind},
    program::{Program, Samples, agent},
    repository::World,
};

const STAGES: [&str; 4] = ["sketch", "mesh", "texture", "export"];

/// Runs of each worker.
const RUNS: usize = 50;

/// The last digit of runs in which the worker is killed.
const KILLED: usize = 7;

/// Spans that are sent together at most: traces are cut everywhere.
const BATCHES: RangeInclusive<usize> = 1..=5;

const SIGKILL: i32 = 9;

/// A worker in one language.
struct Worker {
    language: &'static str,
    command: fn() -> Command,
    /// What stands before the message of what it throws.
    thrown_as: &'static str,
}

/// How a run must end.
struct Ending {
    status: PipelineStatus,
    stages: Vec<StageStatus>,
    /// The stage in which something was thrown, whether or not the run lived with it.
    thrown_in: Option<&'static str>,
    /// Whether that is how the stage ended.
    is_its_end: bool,
}

impl Ending {
    fn of(number: usize) -> Self {
        use StageStatus::{Completed, Failed, Skipped};
        let place = number / 10 % 4;
        let all = vec![Completed; 4];
        let until = |last| [vec![Completed; place], vec![last]].concat();
        let but = |place, status| {
            let mut stages = all.clone();
            stages[place] = status;
            stages
        };
        let (status, stages) = match number % 10 {
            0 | 3 | 4 => (PipelineStatus::Completed, all),
            1 | 2 => (PipelineStatus::Failed, until(Failed)),
            5 => (PipelineStatus::Cancelled, until(Skipped)),
            6 => (PipelineStatus::Completed, but(place, Skipped)),
            KILLED => (PipelineStatus::Processing, until(Completed)),
            8 => (PipelineStatus::Processing, all),
            // Another process failed at what it was left.
            _ => (PipelineStatus::Completed, but(3, Failed)),
        };
        let thrown_in = match number % 10 {
            2..=4 => Some(STAGES[place]),
            9 => Some(STAGES[3]),
            _ => None,
        };
        Self {
            status,
            stages,
            thrown_in,
            is_its_end: matches!(number % 10, 2 | 9),
        }
    }

    fn progress(&self) -> usize {
        let completed = |status: &&StageStatus| **status == StageStatus::Completed;
        match self.status {
            PipelineStatus::Completed => 100,
            _ => 25 * self.stages.iter().filter(completed).count(),
        }
    }
}

impl Worker {
    fn run_id(&self, number: usize) -> String {
        format!("{}-{number:02}", self.language.to_lowercase())
    }

    /// What is thrown in a run, if something is.
    fn message(&self, number: usize) -> Option<String> {
        let stage = Ending::of(number).thrown_in?;
        Some(format!("{}: no {stage}", self.run_id(number)))
    }

    /// Makes all runs, and begins anew behind each in which it is killed; gives the requests that it
    /// sent, which all of these took.
    fn work(&self, redspans: Vec<SocketAddr>) -> Vec<Vec<u8>> {
        let tee = Tee::start(redspans);
        let mut first = 0;
        while first < RUNS {
            let batch = fastrand::usize(BATCHES);
            eprintln!("{} from {first} in batches of {batch}", self.language);
            let ended = (self.command)()
                .args([first, RUNS].map(|number| number.to_string()))
                .env("OTEL_SERVICE_NAME", "worker")
                .env(
                    "OTEL_EXPORTER_OTLP_ENDPOINT",
                    format!("http://{}", tee.address),
                )
                .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", batch.to_string())
                // Batches are full or the last one.
                .env("OTEL_BSP_SCHEDULE_DELAY", "600000")
                .stdout(Stdio::null())
                .status()
                .expect("the worker can be started");
            let killed = (first..RUNS).find(|number| number % 10 == KILLED);
            assert_eq!(ended.signal(), killed.map(|_| SIGKILL), "{ended}");
            assert!(killed.is_some() || ended.success(), "{ended}");
            first = killed.map_or(RUNS, |killed| killed + 1);
        }
        tee.taken.lock().unwrap().clone()
    }

    /// What must be told of a run.
    fn expected(&self, number: usize) -> Value {
        let ending = Ending::of(number);
        let message = self.message(number).filter(|_| ending.is_its_end);
        let error = message.as_ref().map(|it| format!("{}{it}", self.thrown_as));
        let failed = |status| status == StageStatus::Failed;
        let stages = STAGES.iter().zip(&ending.stages);
        let stages = stages.map(|(name, status)| {
            json!({
                "name": name,
                "status": status,
                "error": error.as_ref().filter(|_| failed(*status)),
                "leadsTo": message.as_ref().filter(|_| failed(*status)),
            })
        });
        let run_failed = ending.status == PipelineStatus::Failed;
        let last = STAGES[ending.stages.len() - 1];
        json!({
            "id": self.run_id(number),
            "name": "text-to-3d",
            "serviceName": "worker",
            "userId": user_id(number),
            "status": ending.status,
            "progress": ending.progress(),
            "currentStage": last,
            "error": error.as_ref().filter(|_| run_failed),
            "errorStage": Some(last).filter(|_| run_failed),
            "leadsTo": message.as_ref().filter(|_| run_failed),
            "stages": stages.collect::<Value>(),
        })
    }
}

fn user_id(number: usize) -> String {
    format!("user-{}", number % 3)
}

/// What is told of a run; instead of the id of an error its message.
fn told(run: &PipelineWithStages, messages: &BTreeMap<ErrorId, String>) -> Value {
    let leads_to = |details: &Option<Value>| {
        let id = &details.as_ref()?["errorId"];
        let id: ErrorId = serde_json::from_value(id.clone()).unwrap();
        Some(messages[&id].clone())
    };
    let stages = run.stages.iter().map(|stage| {
        json!({
            "name": stage.stage_name,
            "status": stage.status,
            "error": stage.error,
            "leadsTo": leads_to(&stage.error_details),
        })
    });
    let stages = stages.collect::<Value>();
    let run = &run.pipeline;
    json!({
        "id": run.id,
        "name": run.name,
        "serviceName": run.service_name,
        "userId": run.user_id,
        "status": run.status,
        "progress": run.progress,
        "currentStage": run.current_stage,
        "error": run.error,
        "errorStage": run.error_stage,
        "leadsTo": leads_to(&run.error_details),
        "stages": stages,
    })
}

/// Takes what a worker sends, as long as the test runs, and answers when every redspan has it.
struct Tee {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Tee {
    fn start(redspans: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tee = Self {
            address: listener.local_addr().unwrap(),
            taken: Arc::default(),
        };
        let taken = Arc::clone(&tee.taken);
        thread::spawn(move || {
            let agent = agent();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let body = body_of_request(&stream);
                for redspan in &redspans {
                    let request = agent.post(format!("http://{redspan}/v1/traces"));
                    let answer = request.content_type("application/x-protobuf").send(&body);
                    assert_eq!(answer.unwrap().status(), 200);
                }
                taken.lock().unwrap().push(body);
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .unwrap();
            }
        });
        tee
    }
}

fn body_of_request(stream: &TcpStream) -> Vec<u8> {
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    while stream.read_line(&mut line).unwrap() > "\r\n".len() {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    body
}

/// Each span in a request of its own, the last first.
fn one_by_one(requests: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    for request in requests {
        let request = ExportTraceServiceRequest::decode(&request[..]).unwrap();
        for resource in &request.resource_spans {
            for scope in &resource.scope_spans {
                for span in &scope.spans {
                    let mut scope = scope.clone();
                    scope.spans = vec![span.clone()];
                    let mut resource = resource.clone();
                    resource.scope_spans = vec![scope];
                    let request = ExportTraceServiceRequest {
                        resource_spans: vec![resource],
                    };
                    bodies.push(request.encode_to_vec());
                }
            }
        }
    }
    bodies.reverse();
    bodies
}

/// Times that can be: all while the worker ran, and what belongs to a run within the run.
fn assert_times(run: &PipelineWithStages, number: usize, began: Timestamp, ended: Timestamp) {
    let PipelineWithStages { pipeline, stages } = run;
    let created_at = pipeline.created_at;
    assert!(began <= created_at, "{run:#?}");
    assert_eq!(pipeline.started_at, Some(created_at));
    let is_finished = pipeline.status.is_finished();
    assert_eq!(pipeline.completed_at.is_some(), is_finished, "{run:#?}");
    // What is left to another process may go on after the run.
    let end = pipeline.completed_at.filter(|_| number % 10 != 9);
    let end = end.unwrap_or(ended);
    let mut from = created_at;
    for (order, stage) in (0..).zip(stages) {
        assert_eq!(stage.stage_order, order);
        let (started_at, completed_at) = stage.started_at.zip(stage.completed_at).unwrap();
        assert!(from <= started_at, "{run:#?}");
        assert!(started_at < completed_at && completed_at <= end, "{run:#?}");
        let micros = completed_at.as_micros() - started_at.as_micros();
        assert_eq!(stage.duration, Some(micros / 1_000));
        from = started_at;
    }
}

/// That what was thrown at this time happened in its stage, whether or not that was tried again.
fn assert_thrown_in(run: &PipelineWithStages, number: usize, thrown_at: Timestamp) {
    let name = Ending::of(number).thrown_in;
    let mut stages = run.stages.iter();
    let stage = stages
        .find(|stage| Some(&*stage.stage_name) == name)
        .unwrap();
    let thrown_at = Some(thrown_at);
    assert!(
        stage.started_at < thrown_at && thrown_at <= stage.completed_at,
        "{run:#?}"
    );
}

/// The figures over some runs at a time when those that are not finished are stuck.
async fn assert_figures(
    pipelines: &GenerationPipelineRepository,
    filter: &PipelineFilter,
    now: Timestamp,
    numbers: impl Iterator<Item = usize>,
) {
    let mut by_status = BTreeMap::new();
    let mut by_stage: BTreeMap<_, BTreeMap<_, i64>> = BTreeMap::new();
    for number in numbers {
        let Ending { status, stages, .. } = Ending::of(number);
        *by_status.entry(status).or_insert(0_i32) += 1;
        for (name, status) in STAGES.into_iter().zip(stages) {
            *by_stage.entry(name).or_default().entry(status).or_default() += 1;
        }
    }
    let count = |status| by_status[&status];
    let figures = pipelines.get_statistics(filter, now).await.unwrap();
    let runs = figures.runs;
    let total: i32 = by_status.values().sum();
    assert_eq!(runs.total, i64::from(total));
    assert_eq!(runs.stuck, i64::from(count(PipelineStatus::Processing)));
    let completed = f64::from(count(PipelineStatus::Completed));
    let failed = f64::from(count(PipelineStatus::Failed));
    let rate = 100.0 * completed / (completed + failed);
    assert_eq!(runs.success_rate, Some(rate));
    let counts = by_status.into_iter();
    let counts = counts.map(|(status, count)| (status, i64::from(count)));
    assert_eq!(runs.by_status, counts.collect());
    assert_eq!(figures.by_stage.len(), STAGES.len());
    for stage in figures.by_stage {
        let count = |status| by_stage[&*stage.stage_name].get(&status).copied();
        let count = |status| count(status).unwrap_or(0);
        assert_eq!(stage.completed, count(StageStatus::Completed));
        assert_eq!(stage.failed, count(StageStatus::Failed));
        assert_eq!(stage.skipped, count(StageStatus::Skipped));
        assert_eq!(stage.unfinished, 0);
    }
}

/// That the database tells of each run what is known.
async fn assert_told(
    database: Database,
    worker: &Worker,
    began: Timestamp,
    ended: Timestamp,
) -> Database {
    let world = World::new(database).await;
    let pipelines = world.pipelines();
    let page = PageRequest::first(PageRequest::MAX_LIMIT);

    let rows = world.all(&ErrorFilter::default()).await;
    assert!(rows.iter().all(|row| row.severity == Severity::Error));
    let messages: BTreeMap<_, _> = rows
        .iter()
        .map(|row| (row.id, row.error_message.clone()))
        .collect();
    let mut all: Vec<_> = messages.values().cloned().collect();
    all.sort_unstable();
    let mut thrown: Vec<_> = (0..RUNS)
        .filter_map(|number| worker.message(number))
        .collect();
    thrown.sort_unstable();
    assert_eq!(all, thrown);

    for number in 0..RUNS {
        let id = worker.run_id(number).try_into().unwrap();
        let run = pipelines.find_with_stages(&id).await.unwrap();
        let run = run.unwrap_or_else(|| panic!("{id} is there"));
        assert_eq!(told(&run, &messages), worker.expected(number));
        assert_times(&run, number, began, ended);
        let message = worker.message(number);
        for row in rows
            .iter()
            .filter(|row| Some(&row.error_message) == message.as_ref())
        {
            assert_thrown_in(&run, number, row.created_at);
        }
    }

    let later = ended.plus_seconds(3_601);
    assert_figures(&pipelines, &PipelineFilter::default(), later, 0..RUNS).await;
    for user in 0..3 {
        let filter = PipelineFilter {
            user_id: Some(user_id(user)),
            ..PipelineFilter::default()
        };
        assert_figures(&pipelines, &filter, later, (user..RUNS).step_by(3)).await;
    }

    let stuck = async |older_than| {
        let stuck = pipelines.find_stuck(older_than, &page).await.unwrap();
        let mut ids: Vec<_> = stuck
            .items
            .into_iter()
            .map(|run| run.id.to_string())
            .collect();
        ids.sort_unstable();
        ids
    };
    let is_stuck = |number: &usize| Ending::of(*number).status == PipelineStatus::Processing;
    let never_ended = (0..RUNS)
        .filter(is_stuck)
        .map(|number| worker.run_id(number));
    assert_eq!(stuck(began).await, Vec::<String>::new());
    assert_eq!(stuck(later).await, never_ended.collect::<Vec<_>>());

    drop(pipelines);
    world.end().await
}

/// That each run and each stage that ended is counted once, as it ended first: one that was tried
/// again may have failed by then.
fn assert_counted(metrics: &Samples) {
    let count = |family: &str, outcome: &str| {
        let family = format!("redspan_pipeline_{family}");
        metrics.sum(&family, &[&format!("outcome=\"{outcome}\"")])
    };
    let (mut runs, mut stages) = (BTreeMap::new(), BTreeMap::new());
    for ending in (0..RUNS).map(Ending::of) {
        *runs.entry(ending.status.as_str()).or_insert(0.0) += 1.0;
        for status in ending.stages {
            *stages.entry(status.as_str()).or_insert(0.0) += 1.0;
        }
    }
    let unfinished = runs.remove(PipelineStatus::Processing.as_str());
    assert!(unfinished.is_some(), "{runs:?}");
    for (family, expected) in [
        ("runs_total", &runs),
        ("duration_seconds_count", &runs),
        ("stage_runs_total", &stages),
    ] {
        let found: BTreeMap<_, _> = (expected.keys())
            .map(|outcome| (*outcome, count(family, outcome)))
            .collect();
        let sum = |of: &BTreeMap<_, f64>| of.values().sum::<f64>();
        assert!(
            (sum(&found) - sum(expected)).abs() < 0.5,
            "{family} {found:?}"
        );
        for (outcome, found) in found {
            let (least, most) = match outcome {
                "failed" => (expected[outcome], f64::INFINITY),
                "completed" => (0.0, expected[outcome]),
                _ => (expected[outcome], expected[outcome]),
            };
            assert!(
                (least..=most).contains(&found),
                "{family} {outcome}: {found}"
            );
        }
    }
}

/// Everything but the ledger of requests, and what is remembered of traces: once something failed in
/// one, of spans that come again, too.
async fn dump(database: &Database) -> Dump {
    let mut dump = Checker::open(&database.url, &database.schema)
        .await
        .dump()
        .await;
    dump.retain(|table, _| table != "request_ledger" && table != "error_traces");
    dump
}

fn is_told_exactly(worker: &Worker) {
    let databases = [Kind::Sqlite, Kind::Postgres].map(Database::new);
    let start = |database: &Database| Program::start(&database.url, &database.environment());
    let programs = databases.each_ref().map(start);
    let began = clock::now();
    let sent = worker.work(programs.iter().map(|program| program.otlp).collect());
    let ended = clock::now();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (database, mut program) in databases.into_iter().zip(programs) {
        let kind = database.kind;
        eprintln!("on {kind:?}");
        assert_counted(&program.metrics());
        assert!(program.terminate().success());
        let database = runtime.block_on(assert_told(database, worker, began, ended));

        let before = runtime.block_on(dump(&database));
        let mut program = start(&database);
        for body in sent.iter().chain(&one_by_one(&sent)) {
            assert_eq!(program.send(body).unwrap(), 200);
        }
        assert!(program.terminate().success());
        for (table, rows) in runtime.block_on(dump(&database)) {
            assert_eq!(rows, before[&table], "{table}");
        }
        note_that_ran(&format!("{} (worker) on {kind:?}", worker.language));
    }
}

#[test]
fn the_runs_of_a_worker_in_python_are_told_exactly() {
    if python().is_none() {
        return;
    }
    is_told_exactly(&Worker {
        language: "Python",
        command: || {
            let mut command = Command::new(python().expect("it was there"));
            command.arg(file("worker.py"));
            command
        },
        thrown_as: "ValueError: ",
    });
}

#[test]
fn the_runs_of_a_worker_in_rust_are_told_exactly() {
    is_told_exactly(&Worker {
        language: "Rust",
        command: || Command::new(example("worker")),
        thrown_as: "",
    });
}
