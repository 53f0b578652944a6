//! The transaction of a group, from the ledger to COMMIT.

use std::collections::{HashMap, HashSet};

use crate::{
    clock,
    domain::{ApiError, Endings, Timestamp, TraceKey},
    metrics::MetricDeltas,
    store::{Changes, Ingest, MergeRuns, MetricTotal, StoreError, StoredTrace, edit::Order},
};

use super::{
    Changed, Done, Purpose, Session, Taken, Writer, failpoint,
    group::{self, Group, Piece, Refusable},
    plan::{self, Candidates, Plan, PlanInput, TraceInput},
    queue::{Outcome, Tally, Work},
};

/// Users that are known to be registered.
const REGISTERED_USERS: usize = 100_000;

/// In whose name what spans say is written.
const TELEMETRY: &str = "telemetry";

/// Stored rows that are read at once, unless one trace has more: each can have 128 KiB.
const ROWS_AT_ONCE: usize = 256;

impl Writer {
    /// The transaction of a group, from the ledger to COMMIT.
    pub(super) async fn transaction(
        &mut self,
        session: &mut Session,
        works: &[&Work],
        refused: &HashSet<Refusable>,
        purpose: Purpose,
    ) -> Result<Done, StoreError> {
        let now = clock::now();
        let connection = &mut session.connection;
        if let [Work::Rebuild { from, to, actor }] = works {
            let rebuild = connection.rebuild_aggregations(*from, *to, actor, now);
            let hours = rebuild.await?;
            return Ok(Done {
                outcomes: vec![Outcome::Hours(hours)],
                trace_keys: Vec::new(),
            });
        }
        if works.iter().any(|work| work.is_edit()) {
            // Here and not with each group: the jobs' lease is an edit that every process asks for
            // once an hour, however idle it is.
            connection
                .see_writer(&self.name, session.epoch, now)
                .await?;
            return self.edits(session, works, now).await;
        }
        self.register_users(connection.as_mut(), users(works), now)
            .await?;
        failpoint::pass("before_begin");
        connection.begin().await?;
        if !connection.hold_writer(&self.name, session.epoch).await? {
            connection.rollback().await;
            self.lose_name();
            session.epoch = connection.claim_writer(&self.name, now).await?;
            connection.begin().await?;
            connection.hold_writer(&self.name, session.epoch).await?;
        }
        let new_digests = connection
            .insert_ledger(&group::digests(works), now)
            .await?;
        let fresh = group::fresh(works, &new_digests);
        let mut changed = self
            .change(connection.as_mut(), works, &fresh, refused, now)
            .await?;
        failpoint::pass("after_insert");
        if purpose == Purpose::Trial {
            connection.rollback().await;
            return Ok(Done {
                outcomes: Vec::new(),
                trace_keys: Vec::new(),
            });
        }
        failpoint::pass("before_commit");
        connection.commit().await?;
        failpoint::pass("after_commit");
        let metrics = std::mem::take(&mut changed.metrics);
        self.parts.metrics.data.apply(metrics);
        self.note_folded();

        let effects = &changed.effects;
        let tallies = Group::tally(works, &fresh, refused, &changed.records, &effects.sightings);
        Ok(Done {
            outcomes: outcomes(works, &fresh, refused, tallies, &changed),
            trace_keys: changed.trace_keys,
        })
    }

    /// Makes the edits of a group; each leaves its answer with whoever asked for it.
    async fn edits(
        &mut self,
        session: &mut Session,
        works: &[&Work],
        now: Timestamp,
    ) -> Result<Done, StoreError> {
        let edits = works.iter().filter_map(|work| match work {
            Work::Edit(edit) => Some(edit.as_ref()),
            _ => None,
        });
        let edits: Vec<_> = edits.collect();
        let connection = &mut session.connection;
        let endings = connection.edit(&edits, now).await?;
        let mut metrics = self.counted(endings);
        failpoint::pass("after_edit");
        if !metrics.is_empty() {
            if !connection.hold_writer(&self.name, session.epoch).await? {
                connection.rollback().await;
                self.lose_name();
                session.epoch = connection.claim_writer(&self.name, now).await?;
                let endings = connection.edit(&edits, now).await?;
                metrics = self.counted(endings);
                connection.hold_writer(&self.name, session.epoch).await?;
            }
            let changes = Changes {
                now: Some(now),
                writer: self.name.clone(),
                metrics: metrics.clone(),
                ..Changes::default()
            };
            connection.apply(&changes).await?;
        }
        connection.commit().await?;
        failpoint::pass("after_edit_commit");
        self.parts.metrics.data.apply(metrics);
        Ok(Done {
            outcomes: vec![Outcome::Edited; works.len()],
            trace_keys: Vec::new(),
        })
    }

    /// The counters as they are after what edits ended.
    fn counted(&self, endings: Endings) -> Vec<MetricTotal> {
        let mut gains = MetricDeltas::default();
        gains.endings(endings);
        self.parts.metrics.data.stage(&gains)
    }

    /// What the limits on hourly label sets have folded since the last time.
    fn note_folded(&mut self) {
        let folded = self.parts.error_labels.folded() + self.parts.request_labels.folded();
        self.parts.metrics.process.fold(folded - self.folded);
        self.folded = folded;
    }

    /// Everything between the ledger and COMMIT: traces and their rows piece by piece, so that only
    /// one piece is in memory; then what follows from all of them.
    async fn change(
        &mut self,
        connection: &mut dyn Ingest,
        works: &[&Work],
        fresh: &[bool],
        refused: &HashSet<Refusable>,
        now: Timestamp,
    ) -> Result<Changed, StoreError> {
        let labels = &mut self.parts.request_labels;
        let mut group = Group::collect(works, fresh, refused, &mut self.seen, labels);
        let mut taken = Taken::default();
        if let [Work::Imported(imported)] = works {
            let new = imported.take_over(connection).await?;
            // Of what was taken over before a user may have been forgotten since.
            let users = new.errors.iter().filter_map(|row| row.user_id.as_ref());
            self.register_users(connection, users.collect(), now)
                .await?;
            group.logged = new.errors;
            group.upserts = new.unlinked;
            taken = new.taken;
        }
        let mut plan = Plan::new(now, &self.parts.users);
        let mut records = Vec::new();
        for piece in group.pieces() {
            records.extend(piece.records());
            let mut traces = lock(connection, piece, now).await?;
            while !traces.is_empty() {
                let later = traces.split_off(fitting(&traces));
                let input = PlanInput {
                    traces,
                    ..PlanInput::default()
                };
                self.write_rows(connection, &mut plan, input).await?;
                traces = later;
            }
        }
        let trace_keys = group.trace_keys();
        for rows in group.logged.chunks(ROWS_AT_ONCE) {
            let input = PlanInput {
                logged: rows.iter().map(|row| (*row).clone()).collect(),
                ..PlanInput::default()
            };
            self.write_rows(connection, &mut plan, input).await?;
        }
        if !group.upserts.is_empty() {
            let input = PlanInput {
                upserts: group.upserts,
                ..PlanInput::default()
            };
            self.write_rows(connection, &mut plan, input).await?;
        }

        let mut endings = Endings::default();
        if !group.runs.is_empty() {
            let merge = Order::new(TELEMETRY, MergeRuns(group.runs));
            endings = connection.edit_within(&merge, now).await?;
        }

        let fingerprints = plan.fingerprints();
        let groups = if fingerprints.is_empty() {
            Vec::new()
        } else {
            connection.lock_groups(&fingerprints).await?
        };
        let (mut changes, effects) = plan.finish(groups);
        changes.writer.clone_from(&self.name);
        changes.requests = group.requests;
        let gains = if matches!(works, [Work::Imported(_)]) {
            // Those that were here under their ids before stay as they are.
            let mut stored = effects.logged.iter();
            for is_new in taken.errors.iter_mut().filter(|is_new| **is_new) {
                *is_new = stored.next() == Some(&plan::Outcome::Error);
            }
            changes.imported = effects.errors.values().sum();
            MetricDeltas::default()
        } else {
            let mut gains = deltas(&changes, &effects);
            gains.endings(endings);
            gains
        };
        changes.metrics = self.parts.metrics.data.stage(&gains);
        connection.apply(&changes).await?;
        let unlinked = group::unlinked(works, fresh);
        if !unlinked.is_empty() {
            connection.audit_unlinked(&unlinked, now).await?;
        }
        Ok(Changed {
            metrics: changes.metrics,
            effects,
            records,
            trace_keys,
            taken,
        })
    }

    /// Reads the rows that a piece may change, and writes what it changes.
    async fn write_rows(
        &mut self,
        connection: &mut dyn Ingest,
        plan: &mut Plan,
        mut input: PlanInput,
    ) -> Result<(), StoreError> {
        let candidates = Candidates::of(&input.traces, &input.logged);
        input.stored = connection.read_errors(&candidates.rows).await?;
        input.known = connection.known_errors(&candidates.names).await?;
        let mut changes = Some(plan.rows(input, &mut self.parts.error_labels));
        while let Some(rows) = changes {
            connection.apply(&rows).await?;
            changes = plan.further_rows(&mut self.parts.error_labels);
        }
        Ok(())
    }

    /// Registers the users that rows will name and that are not known to be there.
    async fn register_users(
        &mut self,
        connection: &mut dyn Ingest,
        users: Vec<&String>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
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

/// The users that rows will name. Which rows of another ledger are new only the database knows.
fn users<'w>(works: &[&'w Work]) -> Vec<&'w String> {
    let mut users = Vec::new();
    for work in works {
        match work {
            Work::Telemetry(findings) => {
                let facts = findings.traces.iter().flat_map(|trace| &trace.sightings);
                users
                    .extend(facts.filter_map(|sighting| sighting.facts.as_ref()?.user_id.as_ref()));
                users.extend(findings.rows.iter().filter_map(|row| row.user_id.as_ref()));
                let runs = findings.runs.values();
                users.extend(runs.filter_map(|run| Some(&run.user_id.as_ref()?.value)));
            }
            Work::Errors(errors) => {
                users.extend(errors.iter().filter_map(|error| error.user_id.as_ref()));
            }
            Work::Imported(_) | Work::Unlinked { .. } | Work::Edit(_) | Work::Rebuild { .. } => {}
        }
    }
    users
}

/// Locks the traces of a piece and reads what is stored of them.
async fn lock(
    connection: &mut dyn Ingest,
    piece: Piece<'_, '_>,
    now: Timestamp,
) -> Result<Vec<TraceInput>, StoreError> {
    let identities = piece.identities();
    let stored = connection.lock_traces(&identities, now).await?;
    let mut stored: HashMap<TraceKey, StoredTrace> =
        stored.into_iter().map(|trace| (trace.key, trace)).collect();
    let traces = identities.into_iter().zip(piece.sightings());
    traces
        .map(|(identity, new)| {
            let before = stored.remove(&identity.key).ok_or_else(|| {
                StoreError::Corrupt(format!(
                    "error_traces {} was locked and is not there",
                    identity.key
                ))
            })?;
            Ok(TraceInput {
                identity,
                before,
                new,
            })
        })
        .collect()
}

/// How many of the traces, at least one, have few enough rows to be read at once.
fn fitting(traces: &[TraceInput]) -> usize {
    let mut rows = 0;
    let fitting = traces.iter().take_while(|trace| {
        let sightings = trace.before.sightings.iter();
        rows += sightings.filter(|sighting| sighting.row.is_some()).count();
        rows <= ROWS_AT_ONCE
    });
    fitting.count().max(1)
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

/// What each work is told. What became of the rows of all fresh works is known in their order.
fn outcomes(
    works: &[&Work],
    fresh: &[bool],
    refused: &HashSet<Refusable>,
    tallies: Vec<Tally>,
    changed: &Changed,
) -> Vec<Outcome> {
    let mut logged = changed.effects.logged.iter();
    works
        .iter()
        .zip(fresh)
        .zip(tallies)
        .map(|((work, fresh), mut tally)| match work {
            Work::Telemetry(findings) => {
                let is_written =
                    |row: &ApiError| *fresh && !refused.contains(&Refusable::Row(row.id));
                let rows = findings.rows.iter().filter(|row| is_written(row));
                for outcome in logged.by_ref().take(rows.count()) {
                    tally.row(*outcome);
                }
                Outcome::Committed(tally)
            }
            Work::Imported(_) => Outcome::Taken(changed.taken.clone()),
            Work::Errors(errors) => Outcome::Logged(
                logged
                    .by_ref()
                    .take(errors.len())
                    .map(|outcome| *outcome == plan::Outcome::Error)
                    .collect(),
            ),
            Work::Unlinked { counts, .. } => Outcome::Hours(counts.len() as u64),
            Work::Edit(_) => Outcome::Edited,
            Work::Rebuild { .. } => Outcome::Hours(0),
        })
        .collect()
}
