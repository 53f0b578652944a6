//! A worker whose runs redspan follows by their spans alone. Beside a running redspan:
//!
//! ```sh
//! export OTEL_SERVICE_NAME=worker
//! export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318
//! cargo run --example worker -- 0 7
//! target/debug/redspan pipelines list
//! ```
//!
//! It makes the models with these numbers, each by a run of four stages, and each number ends in its
//! own way: that of seven is that the process is killed.

use std::{
    collections::HashMap, env, error::Error, mem, ops::Range, process, thread, time::Duration,
};

use opentelemetry::{propagation::TextMapPropagator, trace::TracerProvider as _};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::{Span, field, instrument};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

const STAGES: [&str; 4] = ["sketch", "mesh", "texture", "export"];

/// Of the run, in percent, after each of them.
const PROGRESS: [i64; 4] = [25, 50, 75, 100];

fn main() -> Result<(), Box<dyn Error>> {
    let numbers = numbers().ok_or("give the first number, and the one after the last")?;
    let exporter = SpanExporter::builder().with_http().build()?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .build();
    tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("models")))
        .init();
    for number in numbers {
        // It has told its span why it failed.
        let _failed = make_model(number, &provider);
    }
    // Spans wait up to five seconds to be sent together; these would not be.
    provider.shutdown()?;
    Ok(())
}

fn numbers() -> Option<Range<u8>> {
    let mut arguments = env::args().skip(1);
    let mut number = || arguments.next()?.parse().ok();
    Some(number()?..number()?)
}

struct Model {
    run_id: String,
    user_id: String,
}

#[derive(Debug, thiserror::Error)]
#[error("{run_id}: no {stage}")]
struct ModelError {
    run_id: String,
    stage: &'static str,
}

#[instrument(err, skip_all, fields(
    cicd.pipeline.run.id = model.run_id,
    cicd.pipeline.name = "text-to-3d",
    pipeline.user_id = model.user_id,
    cicd.pipeline.result = field::Empty,
))]
fn run(model: &Model, stages: impl FnOnce() -> Result<(), ModelError>) -> Result<(), ModelError> {
    stages()
}

#[instrument(err, skip_all, fields(
    cicd.pipeline.run.id = model.run_id,
    cicd.pipeline.name = "text-to-3d",
    pipeline.user_id = model.user_id,
    cicd.pipeline.task.name = name,
    cicd.pipeline.task.run.result = field::Empty,
    pipeline.progress = field::Empty,
))]
fn stage(
    model: &Model,
    name: &str,
    work: impl FnOnce() -> Result<(), ModelError>,
) -> Result<(), ModelError> {
    work()
}

fn make_model(number: u8, provider: &SdkTracerProvider) -> Result<(), ModelError> {
    let model = &Model {
        run_id: format!("rust-{number:02}"),
        user_id: format!("user-{}", number % 3),
    };
    let place = usize::from(number / 10 % 4);
    let fail_run = || {
        run(model, || {
            make(model, 0..place)?;
            fail(model, place)
        })
    };
    match number % 10 {
        0 => run(model, || make(model, 0..4)),
        1 => run(model, || {
            make(model, 0..place)?;
            give_up(model, place, "timeout")?;
            Span::current().record("cicd.pipeline.result", "timeout");
            Ok(())
        }),
        2 => fail_run(),
        // The whole run is tried again.
        3 => fail_run().or_else(|_| run(model, || make(model, 0..4))),
        // The stage is tried again.
        4 => run(model, || {
            make(model, 0..place)?;
            fail(model, place).or_else(|_| make(model, place..4))
        }),
        5 => run(model, || {
            make(model, 0..place)?;
            give_up(model, place, "cancellation")?;
            Span::current().record("cicd.pipeline.result", "cancellation");
            Ok(())
        }),
        6 => run(model, || {
            make(model, 0..place)?;
            give_up(model, place, "skip")?;
            make(model, place + 1..4)
        }),
        7 => run(model, || {
            make(model, 0..=place)?;
            // Only the time that the kill takes is left, and nothing is done in it.
            drop(provider.force_flush());
            die()
        }),
        8 => run(model, || {
            // A span that somebody holds does not end, so it is not sent.
            mem::forget(Span::current());
            make(model, 0..4)
        }),
        _ => make_across_processes(number, model),
    }
}

/// These stages, all of which succeed.
fn make(model: &Model, mut places: impl Iterator<Item = usize>) -> Result<(), ModelError> {
    places.try_for_each(|place| {
        stage(model, STAGES[place], || {
            work();
            Span::current().record("pipeline.progress", PROGRESS[place]);
            Ok(())
        })
    })
}

fn fail(model: &Model, place: usize) -> Result<(), ModelError> {
    let name = STAGES[place];
    stage(model, name, || {
        work();
        Err(ModelError {
            run_id: model.run_id.clone(),
            stage: name,
        })
    })
}

/// A stage that says itself how it ended.
fn give_up(model: &Model, place: usize, result: &str) -> Result<(), ModelError> {
    stage(model, STAGES[place], || {
        work();
        Span::current().record("cicd.pipeline.task.run.result", result);
        Ok(())
    })
}

/// Begins below a request to somebody else; the last stage is left to another process.
fn make_across_processes(number: u8, model: &Model) -> Result<(), ModelError> {
    let propagator = TraceContextPropagator::new();
    let trace = format!("00-4bf92f3577b34da6a3ce929d0e0e{number:04x}-00f067aa0ba902b7-01");
    let request = HashMap::from([("traceparent".to_owned(), trace)]);
    let mut message = HashMap::new();
    {
        let _below = propagator.extract(&request).attach();
        run(model, || {
            make(model, 0..3)?;
            propagator.inject_context(&Span::current().context(), &mut message);
            Ok(())
        })?;
    }
    let _below = propagator.extract(&message).attach();
    fail(model, 3)
}

fn work() {
    thread::sleep(Duration::from_millis(1));
}

/// As when memory runs out.
fn die() -> ! {
    let me = process::id().to_string();
    let _killed = process::Command::new("kill").args(["-KILL", &me]).status();
    process::abort()
}
