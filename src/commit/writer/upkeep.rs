//! The writer's connection: claimed, lost, found again; and what there is to do between groups.

use std::{collections::HashSet, sync::atomic::Ordering, time::Duration};

use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::{clock, domain::RequestDigest, store::StoreError};

use super::{LostRequest, PRUNE_EVERY, Session, Work, Writer, is_fatal};

/// Failures in a row after which requests are refused at once.
const FAILURES_TO_CLOSE: u32 = 3;

/// How many requests are forgotten in one transaction.
const PRUNE_ROWS: u32 = 10_000;

/// Requests are forgotten only after so long a time with the database at hand: while it is away
/// its clients keep what they will send again.
const PRUNE_AFTER: Duration = Duration::from_hours(1);

impl Writer {
    /// Whether there is a connection on which the name is held. Without one, /metrics may lack what
    /// a COMMIT of unknown outcome did.
    pub(super) fn is_connected(&self) -> bool {
        self.available.load(Ordering::Acquire) && self.session.is_some()
    }

    /// What there is to do while no work comes: find the database again, notice that the name is
    /// another's, forget old requests.
    pub(super) async fn keep_house(&mut self) -> Result<(), StoreError> {
        if !self.is_connected() {
            return self.probe().await;
        }
        if self.parts.store.is_shared() {
            self.check_name().await?;
        }
        if self.is_connected() && Instant::now() >= self.prune_due {
            self.prune().await?;
        }
        Ok(())
    }

    /// Whether the name is still this writer's; if not, it goes on under another one.
    async fn check_name(&mut self) -> Result<(), StoreError> {
        let Some(mut session) = self.session.take() else {
            return Ok(());
        };
        let check = async {
            let connection = &mut session.connection;
            connection.begin().await?;
            let is_held = connection.hold_writer(&self.name, session.epoch).await?;
            connection.rollback().await;
            Ok(is_held)
        };
        match check.await {
            Ok(true) => self.session = Some(session),
            Ok(false) => {
                self.lose_name();
                return self.probe().await;
            }
            Err(error) if is_fatal(&error) => return Err(error),
            // The connection goes; with the next one the name is claimed again.
            Err(error) => tracing::debug!(%error, "the writer's name could not be checked"),
        }
        Ok(())
    }

    /// Another process has taken the name and goes on with its counters; this one's begin at 0
    /// under a name that nobody had.
    pub(super) fn lose_name(&mut self) {
        self.name = format!("{}-{}", self.settings.name, Uuid::now_v7().simple());
        self.parts.metrics.data.reload(Vec::new());
        tracing::warn!(
            name = self.name,
            "another process took this writer's name; going on under a new one"
        );
    }

    /// Forgets old requests.
    pub(super) async fn prune(&mut self) -> Result<(), StoreError> {
        self.prune_due = Instant::now() + PRUNE_EVERY;
        if self.connected_since.elapsed() < PRUNE_AFTER {
            return Ok(());
        }
        let Some(mut session) = self.session.take() else {
            return Ok(());
        };
        let seconds = i64::try_from(self.settings.ledger.as_secs()).unwrap_or(i64::MAX);
        let before = clock::now().plus_seconds(-seconds);
        match session.connection.prune_ledger(before, PRUNE_ROWS).await {
            Ok(rows) => {
                tracing::debug!(rows, "old requests are forgotten");
                if rows >= u64::from(PRUNE_ROWS) {
                    // There are more: after the next group.
                    self.prune_due = Instant::now();
                }
                self.session = Some(session);
                Ok(())
            }
            Err(error) if is_fatal(&error) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "old requests could not be forgotten; trying again later");
                Ok(())
            }
        }
    }

    /// A new connection with the writer's name claimed on it, and this process's memory set right
    /// by what the database holds.
    pub(super) async fn session(&mut self) -> Result<Session, StoreError> {
        let connect = async {
            let mut connection = self.parts.store.writer().await?;
            let epoch = connection.claim_writer(&self.name, clock::now()).await?;
            let totals = connection.load_metric_totals(&self.name).await?;
            let digests: Vec<RequestDigest> =
                self.lost.iter().map(|request| request.digest).collect();
            let committed = if digests.is_empty() {
                Vec::new()
            } else {
                connection.known_digests(&digests).await?
            };
            let session = Session { connection, epoch };
            Ok((session, totals, committed))
        };
        let connected = match self.settings.attempt_timeout {
            Some(limit) => timeout(limit, connect).await.unwrap_or_else(|_| {
                Err(StoreError::Unavailable {
                    during: "connecting",
                    source: sqlx::Error::PoolTimedOut,
                    connection_lost: true,
                })
            }),
            None => connect.await,
        };
        let (session, totals, committed) = connected?;
        self.connected_since = Instant::now();
        self.parts.metrics.data.reload(totals);
        let committed: HashSet<RequestDigest> = committed.into_iter().collect();
        let now = Instant::now();
        for request in self
            .lost
            .drain(..)
            .filter(|request| committed.contains(&request.digest))
        {
            self.seen.extend(request.entry_keys, now);
        }
        Ok(session)
    }

    /// The same after the first time: a server that failed over may not have its settings yet.
    pub(super) async fn session_again(&mut self) -> Result<Session, StoreError> {
        self.session().await.map_err(|error| match error {
            StoreError::Configuration(message) => {
                tracing::error!(message, "the database is not as it was at the start");
                StoreError::Unavailable {
                    during: "connecting again",
                    source: sqlx::Error::Configuration(message.into()),
                    connection_lost: true,
                }
            }
            error => error,
        })
    }

    pub(super) fn remember_lost(&mut self, works: &[&Work]) {
        for work in works {
            if let Work::Telemetry(findings) = work
                && let Some(digest) = findings.digest
            {
                let entry_keys = findings.entries.iter().map(|entry| entry.key).collect();
                self.lost.push(LostRequest { digest, entry_keys });
            }
        }
    }

    /// Tries a database that is away.
    pub(super) async fn probe(&mut self) -> Result<(), StoreError> {
        self.session = None;
        match self.session_again().await {
            Ok(session) => {
                self.session = Some(session);
                self.note_health(None);
                Ok(())
            }
            Err(error) if is_fatal(&error) => Err(error),
            Err(error) => {
                tracing::debug!(%error, "the database is still away");
                Ok(())
            }
        }
    }

    pub(super) fn note_health(&mut self, error: Option<&StoreError>) {
        match error {
            Some(error @ (StoreError::Unavailable { .. } | StoreError::UnknownOutcome { .. })) => {
                self.failures += 1;
                tracing::warn!(%error, failures = self.failures, "a group was not committed");
                if self.failures == FAILURES_TO_CLOSE {
                    tracing::error!(
                        "the database is out of reach: requests are answered 503 until it is back"
                    );
                    self.available.store(false, Ordering::Release);
                }
            }
            Some(_) => {}
            None => {
                if !self.available.swap(true, Ordering::AcqRel) {
                    tracing::info!("the database is back");
                }
                self.failures = 0;
            }
        }
    }
}
