//! Asks the database whether it is there, and reads the repository's figures now and then.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::{
    clock,
    commit::{CommitQueue, OpenTraceSet},
    metrics::{Figures, Metrics},
    shutdown::Stop,
    store::{SharedStore, StoreError},
    web::Readiness,
};

const PING_EVERY: Duration = Duration::from_secs(1);
/// An answer that takes longer is none.
const PING_LIMIT: Duration = Duration::from_secs(1);

/// Pings in a row without an answer after which requests are refused at once.
const PINGS_TO_CLOSE: u32 = 3;
const FIGURES_EVERY: Duration = Duration::from_secs(15);
const FIGURES_LIMIT: Duration = Duration::from_secs(10);

/// What the watch works with.
pub struct Health {
    /// The database.
    pub store: SharedStore,
    /// Where it is shown.
    pub metrics: Arc<Metrics>,
    /// Who is told.
    pub readiness: Readiness,
    /// Whether the writer still gets through.
    pub queue: CommitQueue,
    /// Forgets what is over.
    pub open: Arc<OpenTraceSet>,
}

/// Watches until the stop signal.
pub async fn watch(health: Health, mut stop: Stop) {
    let mut tick = interval(PING_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut figures_due = Instant::now();
    let mut unanswered = 0;
    loop {
        tokio::select! {
            () = stop.given() => return,
            _ = tick.tick() => {}
        }
        let answers = matches!(timeout(PING_LIMIT, health.store.ping()).await, Ok(Ok(())));
        unanswered = if answers { 0 } else { unanswered + 1 };
        health.queue.set_reachable(unanswered < PINGS_TO_CLOSE);
        let up = answers && health.queue.is_available();
        health.metrics.process.repository.set_up(up);
        health.readiness.set_database_up(up);
        health.open.expire(clock::now());
        if up && Instant::now() >= figures_due {
            figures_due = Instant::now() + FIGURES_EVERY;
            match timeout(FIGURES_LIMIT, figures(&health.store)).await {
                Ok(Ok(figures)) => {
                    let repository = &health.metrics.process.repository;
                    repository.refresh(clock::now(), &figures);
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the repository's figures could not be read");
                }
                Err(_) => tracing::warn!("the repository's figures took too long to read"),
            }
        }
    }
}

async fn figures(store: &SharedStore) -> Result<Figures, StoreError> {
    Ok(Figures {
        unresolved: store.unresolved().await?,
        runs: store.get_run_figures(clock::now()).await?,
    })
}
