//! What is deleted by its age alone. Whatever still counts goes on counting without it.

use crate::{
    domain::{AggregationId, AuditId, Hour, RequestTotalsId, Timestamp, TraceKey},
    store::{
        Dialect,
        reader::{DURATION_COLUMNS, Statement},
    },
};

use super::{Edit, EditError, EditTx, Purged, ROWS_PER_EDIT};

/// What can be pruned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prunable {
    /// What is remembered of traces: what arrives of them later is a trace of its own.
    Traces,
    /// Who the users of an hour were; their number stays.
    Members,
    /// Hours of errors, unless they still have rows.
    Hours,
    /// Hours of requests, whose sum stays for each writer.
    Requests,
    /// Audit entries.
    Audit,
    /// Ids of errors that were purged.
    PurgedIds,
}

/// Deletes some of what is older than an instant.
#[derive(Debug)]
pub struct Prune {
    /// What.
    pub what: Prunable,
    /// Older than it.
    pub before: Timestamp,
}

impl Edit for Prune {
    type Answer = Purged;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        let deleted = match self.what {
            Prunable::Traces => prune_traces(tx, self.before).await?,
            Prunable::Members => prune_members(tx, self.before).await?,
            Prunable::Hours => prune_hours(tx, self.before).await?,
            Prunable::Requests => prune_requests(tx, self.before).await?,
            Prunable::Audit => prune_audit(tx, self.before).await?,
            Prunable::PurgedIds => prune_purged_ids(tx, self.before).await?,
        };
        Ok(Purged {
            deleted,
            is_more: deleted >= u64::from(ROWS_PER_EDIT),
        })
    }

    fn rows(&self) -> usize {
        ROWS_PER_EDIT as usize
    }
}

async fn prune_traces<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    before: Timestamp,
) -> Result<u64, sqlx::Error> {
    let mut statement =
        Statement::<DB>::new("SELECT trace_key FROM error_traces WHERE touched_at < ");
    statement
        .bind(before)
        .with(" ORDER BY touched_at LIMIT ", i64::from(ROWS_PER_EDIT))
        .push(DB::FOR_UPDATE_SKIP_LOCKED);
    let keys: Vec<TraceKey> = tx.all(statement, |row| DB::get(row, "trace_key")).await?;
    if keys.is_empty() {
        return Ok(0);
    }
    let mut statement = Statement::<DB>::new("DELETE FROM error_traces WHERE TRUE");
    statement.when_one_of(" AND trace_key IN (", &keys);
    tx.execute(statement).await
}

async fn prune_members<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    before: Timestamp,
) -> Result<u64, sqlx::Error> {
    let mut statement = Statement::<DB>::new(
        "DELETE FROM error_aggregation_users WHERE (aggregation_id, user_key) IN \
         (SELECT members.aggregation_id, members.user_key FROM error_aggregations AS hours \
         JOIN error_aggregation_users AS members ON members.aggregation_id = hours.id \
         WHERE hours.hour_bucket < ",
    );
    statement
        .bind(Hour::containing(before))
        .with(" LIMIT ", i64::from(ROWS_PER_EDIT))
        .push(")");
    tx.execute(statement).await
}

async fn prune_hours<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    before: Timestamp,
) -> Result<u64, sqlx::Error> {
    let mut statement =
        Statement::<DB>::new("SELECT id FROM error_aggregations AS hours WHERE hour_bucket < ");
    statement
        .bind(Hour::containing(before))
        .push(
            " AND NOT EXISTS (SELECT 1 FROM api_errors WHERE aggregation_id = hours.id \
             AND created_at >= hours.hour_bucket AND created_at < hours.hour_bucket + ",
        )
        .push(DB::ONE_HOUR)
        .with(") ORDER BY hour_bucket LIMIT ", i64::from(ROWS_PER_EDIT))
        .push(DB::FOR_UPDATE_SKIP_LOCKED);
    let ids: Vec<AggregationId> = tx.all(statement, |row| DB::get(row, "id")).await?;
    if ids.is_empty() {
        return Ok(0);
    }
    let mut statement = Statement::<DB>::new("DELETE FROM error_aggregation_users WHERE TRUE");
    statement.when_one_of(" AND aggregation_id IN (", &ids);
    tx.execute(statement).await?;
    let mut statement = Statement::<DB>::new("DELETE FROM error_aggregations WHERE TRUE");
    statement.when_one_of(" AND id IN (", &ids);
    tx.execute(statement).await
}

/// What writers counted in hours that go is added up, so that their counters can still be proved.
async fn prune_requests<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    before: Timestamp,
) -> Result<u64, sqlx::Error> {
    let mut statement =
        Statement::<DB>::new("SELECT hour_bucket, id FROM request_totals WHERE hour_bucket < ");
    statement
        .bind(Hour::containing(before))
        .with(" ORDER BY hour_bucket, id LIMIT ", i64::from(ROWS_PER_EDIT))
        // Nobody adds to one between its being added up and its end.
        .push(DB::FOR_UPDATE_SKIP_LOCKED);
    let keys: Vec<(Hour, RequestTotalsId)> = tx
        .all(statement, |row| {
            Ok((DB::get(row, "hour_bucket")?, DB::get(row, "id")?))
        })
        .await?;
    if keys.is_empty() {
        return Ok(0);
    }
    let mut statement = into_pruned_requests();
    statement.push(
        " SELECT writer, CAST(SUM(requests) AS BIGINT), CAST(SUM(errors) AS BIGINT), \
         CAST(SUM(duration_sum_nanos) AS BIGINT)",
    );
    for column in DURATION_COLUMNS {
        statement
            .push(", CAST(SUM(")
            .push(column)
            .push(") AS BIGINT)");
    }
    statement.push(" FROM request_totals");
    with_keys(&mut statement, &keys);
    statement.push(" GROUP BY writer");
    or_add_to_pruned_requests(&mut statement);
    tx.execute(statement).await?;
    let mut statement = Statement::<DB>::new("DELETE FROM request_totals");
    with_keys(&mut statement, &keys);
    tx.execute(statement).await
}

/// The beginning of an INSERT of writers with all that is added up of them.
pub(super) fn into_pruned_requests<DB: Dialect>() -> Statement<DB> {
    let mut statement = Statement::<DB>::new(
        "INSERT INTO pruned_requests (writer, requests, errors, duration_sum_nanos",
    );
    for column in DURATION_COLUMNS {
        statement.push(", ").push(column);
    }
    statement.push(")");
    statement
}

/// Its end.
pub(super) fn or_add_to_pruned_requests<DB: Dialect>(statement: &mut Statement<DB>) {
    statement.push(
        " ON CONFLICT (writer) DO UPDATE SET \
         requests = pruned_requests.requests + excluded.requests, \
         errors = pruned_requests.errors + excluded.errors, \
         duration_sum_nanos = pruned_requests.duration_sum_nanos + excluded.duration_sum_nanos",
    );
    for column in DURATION_COLUMNS {
        statement
            .push(", ")
            .push(column)
            .push(" = pruned_requests.")
            .push(column)
            .push(" + excluded.")
            .push(column);
    }
}

/// Names rows of `request_totals`.
fn with_keys<DB: Dialect>(statement: &mut Statement<DB>, keys: &[(Hour, RequestTotalsId)]) {
    statement.push(" WHERE (hour_bucket, id) IN (VALUES ");
    for (index, &(hour, id)) in keys.iter().enumerate() {
        statement
            .with(if index == 0 { "(" } else { ", (" }, hour)
            .with(", ", id)
            .push(")");
    }
    statement.push(")");
}

async fn prune_audit<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    before: Timestamp,
) -> Result<u64, sqlx::Error> {
    let mut statement = Statement::<DB>::new(
        "DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log WHERE id < ",
    );
    statement
        .bind(AuditId::first_at(before))
        .with(" ORDER BY id LIMIT ", i64::from(ROWS_PER_EDIT))
        .push(")");
    tx.execute(statement).await
}

async fn prune_purged_ids<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    before: Timestamp,
) -> Result<u64, sqlx::Error> {
    let mut statement = Statement::<DB>::new(
        "DELETE FROM purged_errors WHERE id IN (SELECT id FROM purged_errors WHERE purged_at < ",
    );
    statement
        .bind(before)
        .with(" ORDER BY purged_at LIMIT ", i64::from(ROWS_PER_EDIT))
        .push(")");
    tx.execute(statement).await
}

/// Deletes the users, and then the assets, of a page of them that nothing points to.
#[derive(Debug)]
pub struct PruneRegistry {
    /// Of which.
    pub registry: Registry,
    /// Not seen since.
    pub before: Timestamp,
    /// Of the ids after this one.
    pub after: Option<String>,
}

/// A table of names that others point to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Registry {
    /// `users`
    Users,
    /// `assets`
    Assets,
}

/// What became of a page of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrunedPage {
    /// Rows deleted.
    pub deleted: u64,
    /// The last id of the page, when there may be more.
    pub last: Option<String>,
}

impl Edit for PruneRegistry {
    type Answer = PrunedPage;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        let (page, idle) = match self.registry {
            Registry::Users => (
                "SELECT id FROM users WHERE id > ",
                "DELETE FROM users WHERE NOT EXISTS (SELECT 1 FROM api_errors WHERE user_id = users.id) \
                 AND NOT EXISTS (SELECT 1 FROM generation_pipelines WHERE user_id = users.id) \
                 AND last_seen_at < ",
            ),
            Registry::Assets => (
                "SELECT id FROM assets WHERE id > ",
                "DELETE FROM assets WHERE \
                 NOT EXISTS (SELECT 1 FROM generation_pipelines WHERE asset_id = assets.id) \
                 AND created_at < ",
            ),
        };
        let mut statement = Statement::<DB>::new(page);
        statement
            .bind(self.after.clone().unwrap_or_default())
            .with(" ORDER BY id LIMIT ", i64::from(ROWS_PER_EDIT))
            // Whoever stores something of theirs a moment later waits, and registers them anew;
            // whoever did a moment before is seen by the next statement.
            .push(DB::FOR_UPDATE);
        let ids: Vec<String> = tx.all(statement, |row| DB::get(row, "id")).await?;
        let last = ids.last().cloned();
        let is_more = ids.len() >= ROWS_PER_EDIT as usize;
        if ids.is_empty() {
            return Ok(PrunedPage {
                deleted: 0,
                last: None,
            });
        }
        let mut statement = Statement::<DB>::new(idle);
        statement
            .bind(self.before)
            .push(" AND id IN (")
            .list(ids)
            .push(")");
        Ok(PrunedPage {
            deleted: tx.execute(statement).await?,
            last: last.filter(|_| is_more),
        })
    }

    fn rows(&self) -> usize {
        ROWS_PER_EDIT as usize
    }
}
