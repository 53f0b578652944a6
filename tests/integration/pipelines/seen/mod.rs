//! Runs of which spans speak, on both databases.

mod any_order;
mod by_hand;
mod contradictory;
mod failures;
mod gone;
mod words;

use std::sync::Arc;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status},
};
use prost::Message;
use redspan::{
    commit::{OpenTraceSet, Outcome, Work},
    detect::{DetectSettings, Detector, Findings},
    domain::{PipelineWithStages, Timestamp},
    otlp::{self, Encoding, Limits, Records},
    store::{
        MergeRuns,
        edit::{Editor, Order},
    },
};

use super::{AtTime, NOON, Runs, id, new_run, new_stage};
use crate::{
    databases::{Database, Kind, on_each_database},
    repository::World,
};

/// One span of a run.
#[derive(Clone, Debug, Default)]
struct Part {
    /// Of a stage with this name, or of the run itself.
    stage: Option<&'static str>,
    /// What its result attribute says.
    result: Option<&'static str>,
    failed: bool,
    /// When it began, in seconds; `None` when it does not say when it was.
    start: Option<i64>,
    seconds: i64,
    progress: Option<i64>,
    user: Option<&'static str>,
}

/// So many seconds after a while before noon.
const fn second(second: i64) -> Timestamp {
    NOON.plus_seconds(second - 100)
}

fn nanos(at: Timestamp) -> u64 {
    u64::try_from(at.as_micros()).unwrap() * 1_000
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text(key: &str, text: &str) -> KeyValue {
    attribute(key, Value::StringValue(text.to_owned()))
}

/// The span with this number, of `run-1`.
fn span(number: usize, part: &Part) -> Span {
    let mut attributes = vec![text("pipeline.id", "run-1")];
    if let Some(stage) = part.stage {
        attributes.push(text("cicd.pipeline.task.name", stage));
    }
    if let Some(result) = part.result {
        let key = match part.stage {
            Some(_) => "cicd.pipeline.task.run.result",
            None => "cicd.pipeline.result",
        };
        attributes.push(text(key, result));
    }
    if let Some(progress) = part.progress {
        attributes.push(attribute("pipeline.progress", Value::IntValue(progress)));
    }
    if let Some(user) = part.user {
        attributes.push(text("pipeline.user_id", user));
    }
    let at = |seconds| part.start.map_or(0, |start| nanos(second(start + seconds)));
    Span {
        trace_id: vec![7; 16],
        span_id: vec![u8::try_from(number + 1).unwrap(); 8],
        parent_span_id: part.stage.map_or(Vec::new(), |_| vec![99; 8]),
        name: "step".to_owned(),
        start_time_unix_nano: at(0),
        end_time_unix_nano: at(part.seconds),
        attributes,
        status: part.failed.then(|| Status {
            code: 2,
            message: format!("failed {number}"),
        }),
        ..Span::default()
    }
}

/// What the program finds in a request with these spans that comes at this time.
fn found(spans: Vec<Span>, received_at: Timestamp) -> Findings {
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![text("service.name", "worker")],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    let settings = DetectSettings::default();
    let open = OpenTraceSet::default();
    let open = open.read();
    let mut detector = Detector::new(&settings, received_at, &open);
    let body = request.encode_to_vec();
    let limits = Limits::default();
    otlp::walk(
        Records::Spans,
        &body,
        Encoding::Protobuf,
        &limits,
        &mut detector,
    )
    .unwrap();
    detector.finish().unwrap()
}

/// Writes what the spans say of runs, and nothing else of them.
async fn deliver(editor: &AtTime, spans: Vec<Span>) {
    let merge = Order::new("telemetry", MergeRuns(found(spans, editor.now()).runs));
    editor.edit(Arc::new(merge)).await.unwrap();
}

/// Registers users, as the program does before it writes what they are named in.
async fn register(runs: &Runs, users: &[&str]) {
    let users: Vec<String> = users.iter().map(|&user| user.to_owned()).collect();
    let mut connection = runs.editor.connection.lock().await;
    connection.register_users(&users, runs.now()).await.unwrap();
}

/// The only run that there is.
async fn only(runs: &Runs) -> PipelineWithStages {
    let mut all = runs.all().await;
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// Commits a request as the program does.
async fn commit(world: &World, spans: Vec<Span>) {
    let outcome = world.submit(Work::Telemetry(found(spans, NOON))).await;
    assert!(matches!(outcome, Outcome::Committed(_)));
}

/// The run as it is.
async fn run_1(world: &World) -> Option<PipelineWithStages> {
    world
        .pipelines()
        .find_with_stages(&id("run-1"))
        .await
        .unwrap()
}
