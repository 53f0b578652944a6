//! A program in Rust with the repositories of redspan: it logs an error, resolves it, and follows a
//! run, in an SQLite file of its own or on PostgreSQL beside the servers of a ledger.
//!
//! ```sh
//! cargo run --example repositories -- sqlite://example.db
//! cargo run -- errors list --rows --database-url sqlite://example.db
//! ```

use std::{env, error::Error, sync::Arc, time::Duration};

use redspan::{
    clock,
    commit::{
        CommitQueue, OpenTraceSet, Writer, WriterParts, WriterSettings,
        plan::{HourlyLabelSets, UserHasher},
    },
    domain::{PipelineStatus, Severity},
    metrics::Metrics,
    store::{
        ApiErrorRepository, DatabaseSettings, ErrorFilter, GenerationPipelineRepository,
        NewApiError, NewPipeline, NewStage, PipelineFailure, PipelineFilter, SharedStore, connect,
    },
};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1);
    let settings = DatabaseSettings {
        url: url.unwrap_or_else(|| "sqlite://example.db".to_owned()),
        ..DatabaseSettings::default()
    };
    let store = connect(&settings).await?;
    let (writer, queue) = writer(&store);
    let writing = tokio::spawn(writer.run());

    let reader = Arc::clone(&store);
    let errors = ApiErrorRepository::new(reader, Arc::new(queue.clone())).acting_as("example");
    log_and_resolve(&errors).await?;
    let reader = Arc::clone(&store);
    let pipelines = GenerationPipelineRepository::new(reader, Arc::new(queue)).acting_as("example");
    follow_a_run(&pipelines).await?;

    // The writer ends when nobody is left who could ask it.
    drop((errors, pipelines));
    writing.await??;
    store.close().await;
    Ok(())
}

/// The one task that writes, and the way to it. What it counts goes on under its name when the
/// program runs again: no other process may have the same.
fn writer(store: &SharedStore) -> (Writer, CommitQueue) {
    let parts = WriterParts {
        store: Arc::clone(store),
        metrics: Arc::new(Metrics::new(2_000)),
        open: Arc::new(OpenTraceSet::default()),
        users: UserHasher::new(store.user_hash_key()),
        error_labels: HourlyLabelSets::default(),
        request_labels: HourlyLabelSets::default(),
    };
    let settings = WriterSettings {
        name: "example".to_owned(),
        queue_bytes: 64 << 20,
        attempt_timeout: store.is_shared().then_some(Duration::from_secs(4)),
        answer_timeout: Duration::from_secs(4),
        ledger: Duration::from_hours(6),
    };
    Writer::new(parts, settings)
}

async fn log_and_resolve(errors: &ApiErrorRepository) -> Result<(), Box<dyn Error>> {
    let refused = NewApiError {
        endpoint: "/orders/{id}/pay".to_owned(),
        method: "POST".to_owned(),
        error_message: "the card was refused".to_owned(),
        severity: Some(Severity::Warning),
        status_code: Some(402),
        user_id: Some("ada".to_owned()),
        service_name: Some("shop".to_owned()),
        ..NewApiError::default()
    };
    let logged = errors.log_error(refused, clock::now()).await?;
    let resolution = Some("another card");
    errors
        .resolve_error(logged.error.id, "ada", resolution)
        .await?;
    let stats = errors.get_error_stats(&ErrorFilter::default()).await?;
    println!("errors: {}, resolved: {}", stats.total, stats.resolved);
    Ok(())
}

async fn follow_a_run(pipelines: &GenerationPipelineRepository) -> Result<(), Box<dyn Error>> {
    let run = NewPipeline {
        user_id: Some("ada".to_owned()),
        config: json!({"type": "text-to-3d", "prompt": "a red bridge"}),
        ..NewPipeline::default()
    };
    let stages = ["sketch", "mesh"].map(|name| NewStage {
        stage_name: name.to_owned(),
        ..NewStage::default()
    });
    let created = pipelines
        .create_with_stages(run, stages.to_vec(), clock::now())
        .await?;
    let id = &created.pipeline.pipeline.id;
    for status in [PipelineStatus::Processing, PipelineStatus::Completed] {
        let nothing = PipelineFailure::default();
        pipelines.update_status(id, status, nothing).await?;
    }
    let all = PipelineFilter::default();
    let figures = pipelines.get_statistics(&all, clock::now()).await?.runs;
    println!(
        "runs: {}, success rate: {} %",
        figures.total,
        figures.success_rate.unwrap_or_default()
    );
    Ok(())
}
