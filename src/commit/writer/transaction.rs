//! The transaction of a group, from the ledger to COMMIT.

use std::collections::{BTreeMap, HashSet};

use uuid::Uuid;

use crate::{
    clock,
    domain::{Timestamp, TraceKey},
    metrics::MetricDeltas,
    store::{Changes, Ingest, StoreError},
};

use super::{
    Done, Planned, Purpose, Session, Writer, failpoint,
    group::{self, Group},
    plan::{self, PlanInput, TraceInput},
    queue::{Outcome, Tally, Work},
};

/// Users that are known to be registered.
const REGISTERED_USERS: usize = 100_000;

impl Writer {
    /// The transaction of a group, from the ledger to COMMIT.
    pub(super) async fn transaction(
        &mut self,
        session: &mut Session,
        works: &[&Work],
        refused: &HashSet<TraceKey>,
        purpose: Purpose,
    ) -> Result<Done, StoreError> {
        let now = clock::now();
        let connection = &mut session.connection;
        if let [Work::Rebuild { from, to }] = works {
            let hours = connection.rebuild_aggregations(*from, *to, now).await?;
            return Ok(Done {
                outcomes: vec![Outcome::Hours(hours)],
                entry_keys: Vec::new(),
                trace_keys: Vec::new(),
            });
        }
        self.register_users(connection.as_mut(), works, now).await?;
        failpoint::pass("before_begin");
        connection.begin().await?;
        if !connection.hold_writer(&self.name, session.epoch).await? {
            connection.rollback().await;
            self.name = format!("{}-{}", self.settings.name, Uuid::now_v7().simple());
            tracing::warn!(
                name = self.name,
                "another process took this writer's name; going on under a new one"
            );
            session.epoch = connection.claim_writer(&self.name).await?;
            self.parts.metrics.data.reload(Vec::new());
            connection.begin().await?;
            connection.hold_writer(&self.name, session.epoch).await?;
        }
        let new_digests = connection
            .insert_ledger(&group::digests(works), now)
            .await?;
        let fresh = group::fresh(works, &new_digests);
        let mut planned = self
            .plan(connection.as_mut(), works, &fresh, refused, now)
            .await?;
        let changes = &mut planned.changes;
        changes.metrics = self
            .parts
            .metrics
            .data
            .stage(&deltas(changes, &planned.effects));
        connection.apply(changes).await?;
        failpoint::pass("after_insert");
        if purpose == Purpose::Trial {
            connection.rollback().await;
            return Ok(Done {
                outcomes: Vec::new(),
                entry_keys: Vec::new(),
                trace_keys: Vec::new(),
            });
        }
        failpoint::pass("before_commit");
        connection.commit().await?;
        failpoint::pass("after_commit");
        self.parts.metrics.data.apply(planned.changes.metrics);
        self.note_folded();

        let effects = &planned.effects;
        let tallies = Group::tally(works, &fresh, refused, &planned.records, &effects.sightings);
        Ok(Done {
            outcomes: outcomes(works, tallies, &effects.logged),
            entry_keys: planned.entry_keys,
            trace_keys: planned.trace_keys,
        })
    }

    /// What the limits on hourly label sets have folded since the last time.
    fn note_folded(&mut self) {
        let folded = self.parts.error_labels.folded() + self.parts.request_labels.folded();
        self.parts.metrics.process.fold(folded - self.folded);
        self.folded = folded;
    }

    /// Steps 3 and 4: locks and reads what the group touches, and plans its changes.
    pub(super) async fn plan(
        &mut self,
        connection: &mut dyn Ingest,
        works: &[&Work],
        fresh: &[bool],
        refused: &HashSet<TraceKey>,
        now: Timestamp,
    ) -> Result<Planned, StoreError> {
        let labels = &mut self.parts.request_labels;
        let group = Group::collect(works, fresh, refused, &self.seen, labels);

        let records: Vec<_> = group
            .traces
            .iter()
            .map(group::GroupTrace::records)
            .collect();
        let identities: Vec<_> = group
            .traces
            .iter()
            .map(|trace| trace.identity.clone())
            .collect();
        let trace_keys: Vec<TraceKey> = identities.iter().map(|identity| identity.key).collect();
        let mut stored: BTreeMap<TraceKey, _> = BTreeMap::new();
        if !identities.is_empty() {
            let locked = connection.lock_traces(&identities, now).await?;
            stored.extend(locked.into_iter().map(|trace| (trace.key, trace)));
        }
        let mut traces = Vec::with_capacity(group.traces.len());
        for trace in group.traces {
            let before = stored.remove(&trace.identity.key).ok_or_else(|| {
                StoreError::Corrupt(format!(
                    "error_traces {} was locked and is not there",
                    trace.identity.key
                ))
            })?;
            traces.push(TraceInput {
                identity: trace.identity,
                before,
                new: trace.new,
            });
        }
        let candidates = plan::candidate_ids(&traces, &group.logged);
        let rows = if candidates.is_empty() {
            Vec::new()
        } else {
            connection.read_errors(&candidates).await?
        };
        let input = PlanInput {
            now,
            writer: self.name.clone(),
            traces,
            stored: rows,
            logged: group.logged,
            upserts: group.upserts,
            requests: group.requests,
        };
        let rows = plan::plan_rows(input, &mut self.parts.error_labels, &self.parts.users);
        let fingerprints = rows.fingerprints();
        let groups = if fingerprints.is_empty() {
            Vec::new()
        } else {
            connection.lock_groups(&fingerprints).await?
        };
        let (changes, effects) = rows.finish(groups);
        Ok(Planned {
            changes,
            effects,
            records,
            entry_keys: group.entry_keys,
            trace_keys,
        })
    }

    /// Registers the users that rows will name and that are not known to be there.
    pub(super) async fn register_users(
        &mut self,
        connection: &mut dyn Ingest,
        works: &[&Work],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut users = Vec::new();
        for work in works {
            match work {
                Work::Telemetry(findings) => {
                    let facts = findings.traces.iter().flat_map(|trace| &trace.sightings);
                    users.extend(
                        facts.filter_map(|sighting| sighting.facts.as_ref()?.user_id.as_ref()),
                    );
                }
                Work::Errors(errors) => {
                    users.extend(errors.iter().filter_map(|error| error.user_id.as_ref()));
                }
                Work::Unlinked { .. } | Work::Rebuild { .. } => {}
            }
        }
        let mut users: Vec<String> = users
            .into_iter()
            .filter(|user| !self.registered.contains(*user))
            .cloned()
            .collect();
        if users.is_empty() {
            return Ok(());
        }
        users.sort_unstable();
        users.dedup();
        connection.register_users(&users, now).await?;
        if self.registered.len() + users.len() > REGISTERED_USERS {
            self.registered.clear();
        }
        self.registered.extend(users);
        Ok(())
    }
}

/// What the data counters gain by these changes.
fn deltas(changes: &Changes, effects: &plan::Effects) -> MetricDeltas {
    let mut deltas = MetricDeltas::default();
    for total in &changes.requests {
        deltas.requests(
            &total.series,
            total.requests,
            total.errors,
            total.duration_nanos,
            &total.buckets,
        );
    }
    for (labels, count) in &effects.errors {
        deltas.errors(labels, *count);
    }
    for (service, count) in &effects.merged_rows {
        deltas.merged_rows(service, *count);
    }
    for (service, count) in &effects.new_groups {
        deltas.new_groups(service, *count);
    }
    for (service, count) in &effects.regressed_groups {
        deltas.regressed_groups(service, *count);
    }
    deltas
}

fn outcomes(works: &[&Work], tallies: Vec<Tally>, logged: &[plan::Outcome]) -> Vec<Outcome> {
    let mut logged = logged.iter();
    works
        .iter()
        .zip(tallies)
        .map(|(work, tally)| match work {
            Work::Telemetry(_) => Outcome::Committed(tally),
            Work::Errors(errors) => Outcome::Logged(
                logged
                    .by_ref()
                    .take(errors.len())
                    .map(|outcome| *outcome == plan::Outcome::Error)
                    .collect(),
            ),
            Work::Unlinked { counts, .. } => Outcome::Hours(counts.len() as u64),
            Work::Rebuild { .. } => Outcome::Hours(0),
        })
        .collect()
}
