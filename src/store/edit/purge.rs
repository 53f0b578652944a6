//! Deleting old errors for good. What they were counted in goes on counting them, as errors without
//! a row.

use serde_json::json;

use crate::{
    domain::{ErrorId, Timestamp},
    store::{Dialect, reader::Statement},
};

use super::{AuditEntry, Edit, EditError, EditTx, ROWS_PER_EDIT, held::HeldError};

/// Deletes some of the errors that happened before an instant, the oldest first.
#[derive(Debug)]
pub struct PurgeErrors {
    /// Before it.
    pub older_than: Timestamp,
    /// Those that nobody resolved, too.
    pub include_unresolved: bool,
}

/// What one edit deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purged {
    /// How many rows.
    pub deleted: u64,
    /// Whether there may be more to delete.
    pub is_more: bool,
}

impl Edit for PurgeErrors {
    type Answer = Purged;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        let mut statement = Statement::<DB>::new("SELECT id FROM api_errors WHERE created_at < ");
        statement
            .bind(self.older_than)
            .when(
                " AND resolved = ",
                (!self.include_unresolved).then_some(true),
            )
            .with(" ORDER BY created_at LIMIT ", i64::from(ROWS_PER_EDIT));
        let ids: Vec<ErrorId> = tx.all(statement, |row| DB::get(row, "id")).await?;
        let is_more = ids.len() >= ROWS_PER_EDIT as usize;
        let mut errors = tx.hold(&ids).await?;
        // Telemetry or somebody else may have changed them a moment ago.
        errors.retain(|error| {
            error.created_at < self.older_than && (error.resolved || self.include_unresolved)
        });
        let Some(entry) = self.entry(&errors) else {
            return Ok(Purged {
                deleted: 0,
                is_more,
            });
        };
        let ids: Vec<ErrorId> = errors.iter().map(|error| error.id).collect();
        unlink(tx, &errors, &ids).await?;
        remember(tx, &errors).await?;
        let mut statement = Statement::<DB>::new("DELETE FROM api_errors WHERE TRUE");
        statement.when_one_of(" AND id IN (", &ids);
        let deleted = tx.execute(statement).await?;
        let mut statement =
            Statement::<DB>::new("INSERT INTO error_balance (reason, errors) VALUES ('purged', ");
        statement.bind(deleted.cast_signed()).push(
            ") ON CONFLICT (reason) DO UPDATE SET errors = error_balance.errors + excluded.errors",
        );
        tx.execute(statement).await?;
        tx.audit(vec![entry]).await?;
        Ok(Purged { deleted, is_more })
    }

    fn rows(&self) -> usize {
        ROWS_PER_EDIT as usize
    }
}

impl PurgeErrors {
    /// One entry for all that are deleted at once, under the first of them.
    fn entry(&self, errors: &[HeldError]) -> Option<AuditEntry> {
        Some(AuditEntry {
            action: "purge",
            entity: "error",
            entity_id: errors.first()?.id.to_string(),
            before: None,
            after: Some(json!({
                "deleted": errors.len(),
                "olderThan": self.older_than,
                "includeUnresolved": self.include_unresolved,
            })),
        })
    }
}

/// Whatever is sent again under their ids was counted. Those that were made from a trace are left
/// out: the trace remembers them.
async fn remember<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    errors: &[HeldError],
) -> Result<(), sqlx::Error> {
    let is_of_trace = |error: &HeldError| error.trace_id.is_some() && error.id.is_computed();
    let ids: Vec<ErrorId> = (errors.iter())
        .filter(|error| !is_of_trace(error))
        .map(|error| error.id)
        .collect();
    if ids.is_empty() {
        return Ok(());
    }
    let mut statement =
        Statement::<DB>::new("INSERT INTO purged_errors (id, purged_at) SELECT id, ");
    statement
        .bind(tx.now)
        .push(" FROM api_errors WHERE TRUE")
        .when_one_of(" AND id IN (", &ids);
    statement.push(" ON CONFLICT (id) DO UPDATE SET purged_at = excluded.purged_at");
    tx.execute(statement).await.map(drop)
}

/// Their groups and hours count them without a row from now on. Groups before hours, each in order,
/// as ingest locks them.
async fn unlink<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    errors: &[HeldError],
    ids: &[ErrorId],
) -> Result<(), sqlx::Error> {
    if !DB::FOR_UPDATE.is_empty() {
        let mut fingerprints: Vec<_> = errors.iter().map(|error| &error.fingerprint.0).collect();
        fingerprints.sort_unstable();
        fingerprints.dedup();
        let mut statement =
            Statement::<DB>::new("SELECT fingerprint FROM error_groups WHERE fingerprint IN (");
        statement
            .list(fingerprints.into_iter().cloned())
            .push(") ORDER BY fingerprint ")
            .push(DB::BY_BYTES)
            .push(DB::FOR_UPDATE);
        tx.execute(statement).await?;
    }
    let mut statement = Statement::<DB>::new(
        "UPDATE error_groups SET unlinked_errors = unlinked_errors + counted.errors FROM \
         (SELECT fingerprint, COUNT(*) AS errors FROM api_errors WHERE TRUE",
    );
    statement.when_one_of(" AND id IN (", ids).push(
        " GROUP BY fingerprint) AS counted WHERE error_groups.fingerprint = counted.fingerprint",
    );
    tx.execute(statement).await?;

    let mut hours: Vec<_> = errors.iter().map(|error| error.aggregation_id).collect();
    hours.sort_unstable();
    hours.dedup();
    tx.hold_hours(&hours).await?;
    let mut statement = Statement::<DB>::new("UPDATE error_aggregations SET updated_at = ");
    statement
        .bind(tx.now)
        .push(
            ", unlinked_errors = unlinked_errors + counted.errors FROM \
             (SELECT aggregation_id, COUNT(*) AS errors FROM api_errors WHERE TRUE",
        )
        .when_one_of(" AND id IN (", ids)
        .push(
            " GROUP BY aggregation_id) AS counted \
             WHERE error_aggregations.id = counted.aggregation_id",
        );
    tx.execute(statement).await.map(drop)
}
