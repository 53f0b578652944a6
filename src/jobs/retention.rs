//! Deletes what is old enough, little by little between the telemetry. Of many replicas the one
//! with the lease does it.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use uuid::Uuid;

use crate::{
    clock,
    config::{KeptFor, RetentionSettings},
    domain::Timestamp,
    shutdown::Stop,
    store::{
        ApiErrorRepository, GenerationPipelineRepository, RepositoryError,
        edit::{
            Edit, Editor, GiveLeaseBack, Prunable, Prune, PruneRegistry, PruneWriters, Registry,
            TakeLease,
        },
    },
};

/// The first time soon, so that whoever shortened a time sees it; then now and then.
const FIRST_AFTER: Duration = Duration::from_mins(1);
const EVERY: Duration = Duration::from_hours(1);

/// In whose name errors are purged.
const ACTOR: &str = "retention";

const LEASE: &str = "retention";
const LEASE_TIME: Duration = Duration::from_mins(5);

/// Who an hour's users were is known so long, for errors that arrive late; their number stays.
const MEMBERS_KEPT: Duration = Duration::from_hours(30 * 24);

/// Ids of purged errors are known so long, for errors that are sent again.
const PURGED_IDS_KEPT: Duration = Duration::from_hours(30 * 24);

/// Whoever asked to forget a user so long ago does not do it any more.
const FORGETTING_SECONDS: i64 = 600;

/// What the job works with.
pub struct Retention {
    errors: ApiErrorRepository,
    pipelines: GenerationPipelineRepository,
    editor: Arc<dyn Editor>,
    settings: RetentionSettings,
    holder: String,
    lease_until: Option<Instant>,
}

/// What a run deleted, for the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Resolved errors.
    pub errors: u64,
    /// Finished pipelines.
    pub pipelines: u64,
    /// Traces.
    pub traces: u64,
    /// Who users of hours were.
    pub members: u64,
    /// Hours of errors.
    pub hours: u64,
    /// Hours of requests.
    pub requests: u64,
    /// Audit entries.
    pub audit: u64,
    /// Ids of errors that were purged long ago.
    pub purged_ids: u64,
    /// Counters of writers that are gone.
    pub counters: u64,
    /// Users and assets.
    pub unused: u64,
    /// Users whom somebody asked to forget, and who were not until now.
    pub forgotten: u64,
}

impl Retention {
    /// The job, before its first run.
    #[must_use]
    pub fn new(
        errors: &ApiErrorRepository,
        pipelines: &GenerationPipelineRepository,
        editor: Arc<dyn Editor>,
        settings: RetentionSettings,
    ) -> Self {
        Self {
            errors: errors.acting_as(ACTOR),
            pipelines: pipelines.acting_as(ACTOR),
            editor,
            settings,
            holder: Uuid::now_v7().to_string(),
            lease_until: None,
        }
    }

    /// Runs now and then until the stop signal.
    pub async fn keep(mut self, mut stop: Stop) {
        let mut tick = interval_at(Instant::now() + FIRST_AFTER, EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.given() => return,
                _ = tick.tick() => {}
            }
            let started = Instant::now();
            // Dropped between two transactions, or while one is on its way, which then is made whole.
            let run = tokio::select! {
                () = stop.given() => return,
                run = self.run(clock::now()) => run,
            };
            match run {
                Ok(deleted) if deleted == Deleted::default() => {}
                Ok(deleted) => {
                    tracing::info!(
                        ?deleted,
                        seconds = started.elapsed().as_secs_f64(),
                        "old entries were deleted"
                    );
                }
                Err(error) => {
                    tracing::warn!(%error, "old entries could not be deleted; it is tried again in an hour");
                }
            }
        }
    }

    /// Deletes everything that is too old by now; nothing when another process does.
    ///
    /// # Errors
    /// What the database says; what was deleted until then stays deleted.
    pub async fn run(&mut self, now: Timestamp) -> Result<Deleted, RepositoryError> {
        let mut deleted = Deleted::default();
        if !self.has_lease().await? {
            return Ok(deleted);
        }
        let settings = self.settings.clone();
        if let Some(before) = cutoff(settings.resolved_errors, now) {
            while self.has_lease().await? {
                let some = self.errors.delete_some_old_errors(before, false).await?;
                deleted.errors += some.deleted;
                if !some.is_more {
                    break;
                }
            }
        }
        if let Some(before) = cutoff(settings.pipelines, now) {
            while self.has_lease().await? {
                let some = self.pipelines.cleanup_step(before).await?;
                deleted.pipelines += some;
                if some == 0 {
                    break;
                }
            }
        }
        for (what, kept, count) in [
            (Prunable::Traces, settings.traces, &mut deleted.traces),
            (
                Prunable::Members,
                KeptFor(Some(MEMBERS_KEPT)),
                &mut deleted.members,
            ),
            (Prunable::Hours, settings.hours, &mut deleted.hours),
            (Prunable::Requests, settings.hours, &mut deleted.requests),
            (Prunable::Audit, settings.audit, &mut deleted.audit),
            (
                Prunable::PurgedIds,
                KeptFor(Some(PURGED_IDS_KEPT)),
                &mut deleted.purged_ids,
            ),
        ] {
            let Some(before) = cutoff(kept, now) else {
                continue;
            };
            while self.has_lease().await? {
                let some = self.order(Prune { what, before }).await?;
                *count += some.deleted;
                if !some.is_more {
                    break;
                }
            }
        }
        if let Some(before) = cutoff(settings.writers, now) {
            while self.has_lease().await? {
                let some = self.order(PruneWriters { before }).await?;
                deleted.counters += some.deleted;
                if !some.is_more {
                    break;
                }
            }
        }
        let asked_before = now.plus_seconds(-FORGETTING_SECONDS);
        deleted.forgotten = self.errors.forget_the_rest(asked_before).await?;
        if let Some(before) = cutoff(settings.unused, now) {
            for registry in [Registry::Users, Registry::Assets] {
                deleted.unused += self.prune_registry(registry, before).await?;
            }
        }
        self.lease_until = None;
        let (name, holder) = (LEASE, self.holder.clone());
        self.order(GiveLeaseBack { name, holder }).await?;
        Ok(deleted)
    }

    async fn prune_registry(
        &mut self,
        registry: Registry,
        before: Timestamp,
    ) -> Result<u64, RepositoryError> {
        let (mut deleted, mut after) = (0, None);
        while self.has_lease().await? {
            let page = PruneRegistry {
                registry,
                before,
                after,
            };
            let page = self.order(page).await?;
            deleted += page.deleted;
            match page.last {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        Ok(deleted)
    }

    /// Whether the lease is this process's; renewed when half of its time is over.
    async fn has_lease(&mut self) -> Result<bool, RepositoryError> {
        if self
            .lease_until
            .is_some_and(|until| Instant::now() + LEASE_TIME / 2 < until)
        {
            return Ok(true);
        }
        let until = Instant::now() + LEASE_TIME;
        let lease = TakeLease {
            name: LEASE,
            holder: self.holder.clone(),
            seconds: LEASE_TIME.as_secs().cast_signed(),
        };
        let is_ours = self.order(lease).await?;
        self.lease_until = is_ours.then_some(until);
        Ok(is_ours)
    }

    async fn order<E: Edit>(&self, edit: E) -> Result<E::Answer, RepositoryError> {
        self.editor.order(ACTOR, edit).await
    }
}

/// What happened before it is not kept any more.
fn cutoff(kept: KeptFor, now: Timestamp) -> Option<Timestamp> {
    let micros = i64::try_from(kept.0?.as_micros()).ok()?;
    Some(Timestamp::from_micros(
        now.as_micros().saturating_sub(micros),
    ))
}
