//! Puts the stages together and runs them: the one place that knows everybody.

mod listeners;
mod reload;
mod sink;

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::timeout};

use crate::{
    clock,
    commit::{
        CommitQueue, OPEN_SECONDS, OpenTraceSet, Writer, WriterParts, WriterSettings,
        plan::{HourLimits, HourlyLabelSets, MAX_STORED_NAMES, UserHasher},
    },
    config::{self, Config},
    detect,
    domain::Hour,
    failure::Failure,
    import::Target,
    jobs,
    lately::Lately,
    metrics::{Metrics, ProcessMetrics},
    otlp::{
        body::BodyLimits,
        budget::Budget,
        export::{self, Intake},
    },
    shutdown,
    store::{self, SharedStore, StoreError},
    telemetry, web,
};

use listeners::{Addresses, Listeners};
use reload::Reload;
use sink::Sink;

/// How many of the latest open traces are taken over at the start.
const OPEN_AT_START: usize = 100_000;

/// The label sets of the hours since then count against their limits from the start: as long as
/// the ledger remembers requests by default, so what is sent again for hours comes to full hours.
/// An hour before may take its limit once more from what is later than that.
const SEEDED_SECONDS: i64 = 6 * 3_600;

/// How long the writer may take to commit what is queued, when everything else has stopped.
const DRAIN_QUEUE: Duration = Duration::from_secs(2);

/// How long the database may take to be closed. Nothing is lost when it takes longer.
const CLOSE_STORE: Duration = Duration::from_secs(2);

/// On a database server, an attempt at a transaction that takes longer than the statement limit
/// and this has lost its server.
const ATTEMPT_GRACE: Duration = Duration::from_secs(1);

/// Serves until SIGTERM or SIGINT. At SIGHUP `load` gives what of the configuration can change.
///
/// # Errors
/// When it cannot begin, or the database's file fails under it.
pub async fn serve(
    config: Config,
    load: impl Fn() -> Result<Config, config::Mistakes> + Send + 'static,
) -> Result<(), Failure> {
    let mut stop = shutdown::on_signals()?;
    let (reload, detect) = Reload::new(config.clone(), load)?;
    let listeners = Listeners::open(&config).await?;
    let addresses = listeners.addresses()?;

    let store = store::connect(&database_settings(&config.database)).await?;
    let metrics = Arc::new(Metrics::new(config.limits.label_sets));
    let open = Arc::new(OpenTraceSet::default());
    let (writer, queue) = open_writer(&config, &store, &metrics, &open).await?;
    let readiness = web::Readiness::default();
    let budget = Budget::new(config.limits.in_flight_bytes.0);
    watch_memory(&metrics.process, &queue, &budget, &open);

    let lately = Arc::new(Lately::default());
    let sink = Sink {
        detect,
        limits: walk_limits(&config.limits),
        open: Arc::clone(&open),
        queue: queue.clone(),
        metrics: Arc::clone(&metrics),
        lately: Arc::clone(&lately),
        shared_with: store.is_shared().then(|| Arc::clone(&store)),
    };
    let intake = Intake::new(sink, otlp_settings(&config, budget));
    let (errors, pipelines) = repositories(&(Arc::clone(&store) as _), &queue);
    let web_state = web::WebState {
        metrics: Arc::clone(&metrics),
        readiness: readiness.clone(),
        api_is_closed: config.api_is_closed(),
        api_is_local: config.api_is_local(),
        api_tokens: (config.auth.api_token.iter())
            .map(config::Secret::expose)
            .collect(),
        api: open_api(&store, &queue, &config.links),
        lately: Arc::clone(&lately),
        misdirected: Arc::new(web::Misdirected::new(addresses.otlp_http.port())),
    };

    let mut writing = tokio::spawn(writer.run());
    let retention = jobs::Retention::new(
        &errors,
        &pipelines,
        Arc::new(queue.clone()),
        config.retention.clone(),
    );
    let health = jobs::Health {
        store: Arc::clone(&store),
        metrics: Arc::clone(&metrics),
        readiness: readiness.clone(),
        queue: queue.clone(),
        open,
    };
    drop((queue, errors, pipelines));
    let (serving_stopper, serving_stop) = shutdown::switch();
    let mut tasks = listeners.serve(
        &config,
        intake,
        web::router(web_state),
        &readiness,
        &metrics.process,
        &serving_stop,
    );
    tasks.push(tokio::spawn(jobs::finish_check(
        Arc::clone(&store),
        readiness.clone(),
        serving_stop.clone(),
    )));
    tasks.push(tokio::spawn(jobs::watch(health, serving_stop.clone())));
    tasks.push(tokio::spawn(retention.keep(serving_stop.clone())));
    tasks.push(tokio::spawn(reload.run(serving_stop)));
    readiness.set_started();
    greet(&store, addresses);

    let ended = tokio::select! {
        () = stop.given() => None,
        ended = &mut writing => Some(ended),
    };
    readiness.set_draining();
    serving_stopper.stop();
    // The senders of the queue live in these; when they have ended, so does the writer.
    for task in tasks {
        task.await
            .map_err(|panic| Failure::Internal(panic.to_string()))?;
    }
    let result = match ended {
        Some(ended) => ended
            .map_err(|panic| Failure::Internal(panic.to_string()))?
            .map_err(Failure::Store),
        None => drained(writing).await,
    };
    let is_damaged = matches!(
        result,
        Err(Failure::Store(
            StoreError::Broken { .. } | StoreError::Corrupt(_)
        ))
    );
    // What a failed disk may not have kept must not be folded into the file.
    if !is_damaged && timeout(CLOSE_STORE, store.close()).await.is_err() {
        tracing::warn!("the database took too long to be closed");
    }
    if result.is_ok() {
        tracing::info!("redspan has stopped; everything that was acknowledged is stored");
    }
    result
}

/// The repositories, whose changes go to the writer.
fn repositories(
    reader: &Arc<dyn store::Reader>,
    queue: &CommitQueue,
) -> (
    store::ApiErrorRepository,
    store::GenerationPipelineRepository,
) {
    let queue = Arc::new(queue.clone());
    let errors = store::ApiErrorRepository::new(Arc::clone(reader), Arc::clone(&queue) as _);
    let pipelines = store::GenerationPipelineRepository::new(Arc::clone(reader) as _, queue);
    (errors, pipelines)
}

/// What the JSON API asks and changes.
fn open_api(
    store: &SharedStore,
    queue: &CommitQueue,
    links: &config::LinkSettings,
) -> Arc<web::Api> {
    let reader: Arc<dyn store::Reader> = store.taking_turns(web::Api::READING_AT_ONCE).into();
    let (errors, pipelines) = repositories(&reader, queue);
    let api = web::Api::new(reader, errors, pipelines, queue.written());
    Arc::new(api.linking(links.trace.clone()))
}

/// Opens the ledger, imports into it in the name of `actor`, and closes it when all is written.
///
/// # Errors
/// What the work says, or that the ledger cannot be opened or closed.
pub async fn with_target<T>(
    config: &Config,
    actor: &str,
    work: impl AsyncFnOnce(&Target) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut config = config.clone();
    config.writer.name = Some("import".to_owned());
    let mut settings = database_settings(&config.database);
    // Other processes may be using a database server's schema of another version.
    settings.migrate &= !settings.is_server();
    let store = store::connect(&settings).await?;
    let metrics = Arc::new(Metrics::new(config.limits.label_sets));
    let open = Arc::new(OpenTraceSet::default());
    let (writer, queue) = open_writer(&config, &store, &metrics, &open).await?;
    let writing = tokio::spawn(writer.run());
    let target = Target {
        pipelines: repositories(&(Arc::clone(&store) as _), &queue)
            .1
            .acting_as(actor),
        queue,
        actor: actor.to_owned(),
    };
    let done = work(&target).await;
    // The writer ends with the last who could give it something.
    drop(target);
    let drained = drained(writing).await;
    if timeout(CLOSE_STORE, store.close()).await.is_err() {
        tracing::warn!("the database took too long to be closed");
    }
    let done = done?;
    drained?;
    Ok(done)
}

/// The writer with its name claimed, and what earlier processes left taken over.
async fn open_writer(
    config: &Config,
    store: &SharedStore,
    metrics: &Arc<Metrics>,
    open: &Arc<OpenTraceSet>,
) -> Result<(Writer, CommitQueue), StoreError> {
    let now = clock::now();
    for (trace, touched_at) in store
        .open_traces(now.plus_seconds(-OPEN_SECONDS), OPEN_AT_START)
        .await?
    {
        open.open([trace], touched_at);
    }
    let seeded = Hour::containing(now.plus_seconds(-SEEDED_SECONDS));
    let error_labels = store.error_label_sets(seeded, MAX_STORED_NAMES).await?;
    let request_labels = store.request_label_sets(seeded, MAX_STORED_NAMES).await?;
    let hour_limits = HourLimits {
        per_service: config.limits.hour_label_sets_per_service as u64,
        in_all: config.limits.hour_label_sets as u64,
    };
    let parts = WriterParts {
        store: Arc::clone(store),
        metrics: Arc::clone(metrics),
        open: Arc::clone(open),
        users: UserHasher::new(store.user_hash_key()),
        error_labels: HourlyLabelSets::new(hour_limits, &error_labels),
        request_labels: HourlyLabelSets::new(hour_limits, &request_labels),
    };
    let settings = WriterSettings {
        name: config.writer_name(),
        queue_bytes: config.limits.queue_bytes.0,
        attempt_timeout: store
            .is_shared()
            .then_some(config.database.statement_timeout + ATTEMPT_GRACE),
        answer_timeout: config.limits.answer_timeout,
        ledger: config.retention.ledger,
    };
    let (mut writer, queue) = Writer::new(parts, settings);
    writer.open().await?;
    Ok((writer, queue))
}

/// Waits for the queue to be committed. Nobody was told that what is left is stored.
async fn drained(writing: JoinHandle<Result<(), StoreError>>) -> Result<(), Failure> {
    match timeout(DRAIN_QUEUE, writing).await {
        Ok(Ok(result)) => result.map_err(Failure::Store),
        Ok(Err(panic)) => Err(Failure::Internal(panic.to_string())),
        Err(_) => {
            tracing::warn!(
                "the database did not take what was queued in time; its senders were told to send it again"
            );
            Ok(())
        }
    }
}

fn watch_memory(
    process: &ProcessMetrics,
    queue: &CommitQueue,
    budget: &Budget,
    open: &Arc<OpenTraceSet>,
) {
    let budget = budget.clone();
    process
        .memory
        .watch_inflight(move || budget.used_bytes() as u64);
    let evicting = Arc::clone(open);
    process
        .memory
        .watch_evicted_traces(move || evicting.evicted());
    let gauge = queue.gauge();
    process
        .queue
        .watch(gauge.capacity(), move || gauge.waiting());
}

fn otlp_settings(config: &Config, budget: Budget) -> export::Settings {
    export::Settings {
        body: BodyLimits {
            wire_bytes: config.limits.body_bytes.0,
            inflated_bytes: config.limits.inflated_body_bytes.0,
        },
        budget,
        answer_within: config.limits.answer_timeout,
        tokens: config
            .auth
            .ingest_token
            .iter()
            .map(config::Secret::expose)
            .collect(),
    }
}

/// The store's view of `[database]`.
#[must_use]
pub fn database_settings(settings: &config::DatabaseSettings) -> store::DatabaseSettings {
    store::DatabaseSettings {
        url: settings.url.expose().to_owned(),
        schema: settings.schema.clone(),
        pooler: settings.pooler,
        migrate: settings.migrate,
        connections: settings.connections,
        connect_timeout: settings.connect_timeout,
        statement_timeout: settings.statement_timeout,
    }
}

fn walk_limits(limits: &config::LimitSettings) -> crate::otlp::Limits {
    crate::otlp::Limits {
        items: limits.items_per_request,
        attributes: limits.attributes_per_item,
        events: limits.events_per_span,
        links: limits.links_per_span,
    }
}

fn detect_settings(config: &Config) -> detect::DetectSettings {
    let privacy = &config.privacy;
    detect::DetectSettings {
        rules: config.rules.rules.clone(),
        scrubbing: detect::Scrubbing {
            is_on: privacy.scrub,
            keys: privacy.scrub_keys.iter().map(String::as_str).collect(),
            patterns: privacy.scrub_patterns.0.clone(),
            kept: detect::Kept {
                query_text: privacy.query_text,
                bodies: privacy.bodies,
                gen_ai_messages: privacy.gen_ai_messages,
            },
        },
        privacy: detect::Privacy {
            client_address: match privacy.client_address {
                config::KeepAddress::Whole => detect::KeepAddress::Whole,
                config::KeepAddress::Cut => detect::KeepAddress::Cut,
                config::KeepAddress::Drop => detect::KeepAddress::Drop,
            },
            user_id: privacy.user_id,
            user_agent: privacy.user_agent,
            request_headers: privacy.request_headers,
        },
        kinds_by: detect::KindsBy::Failure,
        own_instance: telemetry::sender(),
    }
}

/// Says what listens where, and what an application must be told.
fn greet(store: &SharedStore, addresses: Addresses) {
    let Addresses {
        otlp_http,
        otlp_grpc,
        http,
    } = addresses;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        database = store.describe(),
        %otlp_http,
        otlp_grpc = otlp_grpc.map(tracing::field::display),
        %http,
        "redspan is ready"
    );
    tracing::info!("an application sends to it when these two lines are in its environment:");
    tracing::info!(
        "OTEL_EXPORTER_OTLP_ENDPOINT={}",
        config::local_url(otlp_http)
    );
    tracing::info!("OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf");
    if let Some(otlp_grpc) = otlp_grpc {
        let endpoint = config::local_url(otlp_grpc);
        tracing::info!("or, when it speaks gRPC, {endpoint}");
    }
    tracing::info!("Prometheus scrapes {}/metrics", config::local_url(http));
}
