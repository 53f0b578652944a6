//! Errors held still for an edit, in the order in which ingest locks: traces, then rows. Whoever
//! locked rows first would wait for ingest in a circle.

use crate::{
    domain::{AggregationId, ErrorId, Fingerprint, Timestamp, TraceId, TraceKey},
    store::{
        Dialect,
        reader::{MAX_REDIRECTS, Statement},
    },
};

use super::EditTx;

/// What edits look at of an error.
#[derive(Clone, Debug)]
pub(super) struct HeldError {
    pub(super) id: ErrorId,
    pub(super) resolved: bool,
    pub(super) resolved_at: Option<Timestamp>,
    pub(super) resolved_by: Option<String>,
    pub(super) resolution: Option<String>,
    pub(super) created_at: Timestamp,
    pub(super) fingerprint: Fingerprint,
    pub(super) aggregation_id: AggregationId,
    pub(super) deleted_at: Option<Timestamp>,
    pub(super) trace_id: Option<TraceId>,
}

impl<DB: Dialect> EditTx<'_, DB> {
    /// Holds the errors until the transaction ends, and tells what they say then, sorted by id.
    /// Those that are not there are left out.
    pub(super) async fn hold(&mut self, ids: &[ErrorId]) -> Result<Vec<HeldError>, sqlx::Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.hold_traces_of(ids).await?;
        let mut statement = Statement::<DB>::new(
            "SELECT id, resolved, resolved_at, resolved_by, resolution, created_at, fingerprint, \
             aggregation_id, deleted_at, trace_id FROM api_errors WHERE TRUE",
        );
        statement
            .when_one_of(" AND id IN (", ids)
            .push(" ORDER BY id")
            .push(DB::FOR_UPDATE);
        self.all(statement, |row| {
            Ok(HeldError {
                id: DB::get(row, "id")?,
                resolved: DB::get(row, "resolved")?,
                resolved_at: DB::get(row, "resolved_at")?,
                resolved_by: DB::get(row, "resolved_by")?,
                resolution: DB::get(row, "resolution")?,
                created_at: DB::get(row, "created_at")?,
                fingerprint: DB::get(row, "fingerprint")?,
                aggregation_id: DB::get(row, "aggregation_id")?,
                deleted_at: DB::get(row, "deleted_at")?,
                trace_id: DB::get(row, "trace_id")?,
            })
        })
        .await
    }

    /// Where nothing needs a lock of its own this is not asked for.
    async fn hold_traces_of(&mut self, ids: &[ErrorId]) -> Result<(), sqlx::Error> {
        if DB::FOR_UPDATE.is_empty() {
            return Ok(());
        }
        let mut statement = Statement::<DB>::new(
            "SELECT DISTINCT service_name, trace_id FROM api_errors WHERE trace_id IS NOT NULL",
        );
        statement.when_one_of(" AND id IN (", ids);
        let mut keys = self
            .all(statement, |row| {
                let service: String = DB::get(row, "service_name")?;
                let trace: TraceId = DB::get(row, "trace_id")?;
                Ok(TraceKey::new(&service, trace))
            })
            .await?;
        keys.sort_unstable();
        if keys.is_empty() {
            return Ok(());
        }
        let mut statement = Statement::<DB>::new("SELECT trace_key FROM error_traces WHERE TRUE");
        statement
            .when_one_of(" AND trace_key IN (", &keys)
            .push(" ORDER BY trace_key")
            .push(DB::FOR_UPDATE);
        let lock = self.all::<TraceKey>(statement, |row| DB::get(row, "trace_key"));
        lock.await.map(drop)
    }

    /// Holds hours, sorted, until the transaction ends.
    pub(super) async fn hold_hours(&mut self, ids: &[AggregationId]) -> Result<(), sqlx::Error> {
        if DB::FOR_UPDATE.is_empty() {
            return Ok(());
        }
        let mut statement = Statement::<DB>::new("SELECT id FROM error_aggregations WHERE TRUE");
        statement
            .when_one_of(" AND id IN (", ids)
            .push(" ORDER BY id")
            .push(DB::FOR_UPDATE);
        self.execute(statement).await.map(drop)
    }

    /// The error that an id leads to: its own row, or the one of which that turned out to be a part.
    pub(super) async fn find_error(&mut self, id: ErrorId) -> Result<Option<ErrorId>, sqlx::Error> {
        let mut statement = Statement::<DB>::new("WITH RECURSIVE names (id, steps) AS (SELECT ");
        statement
            .bind(id)
            .with(", 0 UNION ALL SELECT error_redirects.error_id, names.steps + 1 FROM names JOIN error_redirects ON error_redirects.id = names.id WHERE names.steps < ", MAX_REDIRECTS)
            .push(") SELECT id FROM api_errors WHERE id IN (SELECT id FROM names)");
        self.first(statement, |row| DB::get(row, "id")).await
    }
}
