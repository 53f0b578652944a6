//! The statements of the writer's one connection, and what is known of it.

use sqlx::{
    AssertSqlSafe, Executor, PgConnection, Postgres,
    postgres::{PgArguments, PgRow},
    query::{Query, QueryAs, QueryScalar},
};

use super::apply::AT_ONCE;
use crate::{
    domain::{
        ApiError, Endings, ErrorId, Fingerprint, GroupStatus, Hour, ImportKey, RequestDigest,
        Sighting, Timestamp, TraceKey,
    },
    store::{
        AggregationDelta, GroupState, ImportedHour, MetricTotal, StoreError, StoredTrace,
        TraceIdentity,
        edit::{AnyEdit, audit_unlinked},
        effects::{MetricRow, SEEN_EVERY_SECONDS, earliest, first_epoch, latest},
        error::During,
        imported,
        postgres::{Access, open::script},
        reader::rows::api_error,
        rebuild::{next_hour, rebuild_hour},
        rows::error_columns_read,
    },
};

/// A connection, and what is known of it.
pub(super) struct Session {
    pub(super) connection: PgConnection,
    /// Statements may have names: not behind a pooler.
    named: bool,
    /// Begins a transaction; behind a pooler the time limit is set in each.
    begin: String,
    pub(super) in_transaction: bool,
    /// Groups that this transaction made only to lock them.
    pub(super) empty_groups: Vec<Fingerprint>,
    /// Something failed in this transaction: COMMIT would roll back without saying so.
    pub(super) failed: bool,
}

impl Session {
    pub(super) async fn open(access: &Access) -> Result<Self, StoreError> {
        const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
        Ok(Self {
            connection: access.connect().await?,
            named: !access.pooler,
            begin: if access.pooler {
                let limit = access.statement_timeout.as_millis();
                format!("{BEGIN}; SET LOCAL statement_timeout = {limit}")
            } else {
                BEGIN.to_owned()
            },
            in_transaction: false,
            empty_groups: Vec::new(),
            failed: false,
        })
    }

    pub(super) fn query(&self, sql: &'static str) -> Query<'static, Postgres, PgArguments> {
        sqlx::query(sql).persistent(self.named)
    }

    pub(super) fn query_as<O>(
        &self,
        sql: &'static str,
    ) -> QueryAs<'static, Postgres, O, PgArguments>
    where
        O: for<'r> sqlx::FromRow<'r, PgRow>,
    {
        sqlx::query_as(sql).persistent(self.named)
    }

    pub(super) fn query_scalar<O>(
        &self,
        sql: &'static str,
    ) -> QueryScalar<'static, Postgres, O, PgArguments>
    where
        (O,): for<'r> sqlx::FromRow<'r, PgRow>,
    {
        sqlx::query_scalar(sql).persistent(self.named)
    }

    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        self.in_transaction = true;
        self.empty_groups.clear();
        // Safe: made of fixed texts and a number.
        self.connection
            .execute(AssertSqlSafe(self.begin.clone()))
            .await
            .map(drop)
            .during("begin")
    }

    pub(super) async fn commit(&mut self) -> Result<(), StoreError> {
        if self.failed || !self.in_transaction {
            return Err(StoreError::Unavailable {
                during: "commit",
                source: sqlx::Error::Protocol("there is no transaction to commit".to_owned()),
                connection_lost: false,
            });
        }
        script(&mut self.connection, "COMMIT")
            .await
            .map_err(StoreError::of_commit)?;
        self.in_transaction = false;
        Ok(())
    }

    /// Begins a transaction unless there is one: behind a pooler every statement needs one. Says
    /// whether it is to be ended again.
    pub(super) async fn ensure_transaction(&mut self) -> Result<bool, StoreError> {
        if self.in_transaction {
            return Ok(false);
        }
        self.begin().await.map(|()| true)
    }

    pub(super) async fn end_if(&mut self, own: bool) -> Result<(), StoreError> {
        if own { self.commit().await } else { Ok(()) }
    }

    pub(super) async fn edit(
        &mut self,
        edits: &[&dyn AnyEdit],
        now: Timestamp,
    ) -> Result<Endings, StoreError> {
        const DURING: &str = "make edits";
        let mut endings = Endings::default();
        self.begin().await?;
        for edit in edits {
            script(&mut self.connection, "SAVEPOINT edit")
                .await
                .during(DURING)?;
            let made = edit
                .on_postgres(&mut self.connection, now)
                .await
                .during(DURING)?;
            match made {
                Some(made) => endings.append(made),
                None => script(&mut self.connection, "ROLLBACK TO edit")
                    .await
                    .during(DURING)?,
            }
            script(&mut self.connection, "RELEASE edit")
                .await
                .during(DURING)?;
        }
        Ok(endings)
    }

    pub(super) async fn edit_within(
        &mut self,
        edit: &dyn AnyEdit,
        now: Timestamp,
    ) -> Result<Endings, StoreError> {
        let made = edit.on_postgres(&mut self.connection, now).await;
        made.during("make an edit").map(Option::unwrap_or_default)
    }

    pub(super) async fn take_over(
        &mut self,
        keys: &[ImportKey],
    ) -> Result<Vec<ImportKey>, StoreError> {
        imported::take_over::<Postgres>(&mut self.connection, keys)
            .await
            .during("remember what is imported")
    }

    pub(super) async fn count_imported(
        &mut self,
        hours: &[ImportedHour],
    ) -> Result<Vec<ImportedHour>, StoreError> {
        imported::count_imported::<Postgres>(&mut self.connection, hours)
            .await
            .during("remember what is imported")
    }

    pub(super) async fn claim_writer(
        &mut self,
        name: &str,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        // The epochs of a name begin at the time: that of one which was deleted, and is claimed
        // again, is none that somebody still holds.
        const SQL: &str = "INSERT INTO writers (name, epoch, last_seen_at) VALUES ($1, $2, $3) \
            ON CONFLICT (name) DO UPDATE SET epoch = writers.epoch + 1, \
            last_seen_at = excluded.last_seen_at RETURNING epoch";
        let own = self.ensure_transaction().await?;
        let epoch = self
            .query_scalar(SQL)
            .bind(name)
            .bind(first_epoch(now))
            .bind(now)
            .fetch_one(&mut self.connection)
            .await
            .during("claim the writer's name")?;
        self.end_if(own).await?;
        Ok(epoch)
    }

    pub(super) async fn see_writer(
        &mut self,
        name: &str,
        epoch: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE writers SET last_seen_at = $3 \
            WHERE name = $1 AND epoch = $2 AND last_seen_at <= $4";
        let own = self.ensure_transaction().await?;
        self.query(SQL)
            .bind(name)
            .bind(epoch)
            .bind(now)
            .bind(now.plus_seconds(-SEEN_EVERY_SECONDS))
            .execute(&mut self.connection)
            .await
            .during("see the writer")?;
        self.end_if(own).await
    }

    pub(super) async fn load_metric_totals(
        &mut self,
        writer: &str,
    ) -> Result<Vec<MetricTotal>, StoreError> {
        const SQL: &str = "SELECT family, labels, value, sum, buckets FROM metric_totals \
            WHERE writer = $1 ORDER BY family, labels COLLATE \"C\"";
        let own = self.ensure_transaction().await?;
        let rows: Vec<MetricRow> = self
            .query_as(SQL)
            .bind(writer)
            .fetch_all(&mut self.connection)
            .await
            .during("read metric_totals")?;
        self.end_if(own).await?;
        rows.into_iter()
            .filter_map(|row| row.into_total().transpose())
            .collect()
    }

    pub(super) async fn known_digests(
        &mut self,
        digests: &[RequestDigest],
    ) -> Result<Vec<RequestDigest>, StoreError> {
        const SQL: &str =
            "SELECT digest FROM request_ledger WHERE digest = ANY($1) ORDER BY digest";
        let own = self.ensure_transaction().await?;
        let known = self
            .query_scalar(SQL)
            .bind(digests)
            .fetch_all(&mut self.connection)
            .await
            .during("read request_ledger")?;
        self.end_if(own).await?;
        Ok(known)
    }

    pub(super) async fn register_users(
        &mut self,
        users: &[String],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO users (id, first_seen_at, last_seen_at) \
            SELECT id, $2, $2 FROM UNNEST($1::text[]) AS new (id) ORDER BY id COLLATE \"C\" \
            ON CONFLICT (id) DO NOTHING";
        let own = self.ensure_transaction().await?;
        self.query(SQL)
            .bind(users)
            .bind(now)
            .execute(&mut self.connection)
            .await
            .during("register users")?;
        self.end_if(own).await
    }

    pub(super) async fn hold_writer(&mut self, name: &str, epoch: i64) -> Result<bool, StoreError> {
        // Whoever claims the name waits until this transaction ends.
        const SQL: &str = "SELECT epoch FROM writers WHERE name = $1 FOR SHARE";
        let current: Option<i64> = self
            .query_scalar(SQL)
            .bind(name)
            .fetch_optional(&mut self.connection)
            .await
            .during("check the writer's name")?;
        Ok(current == Some(epoch))
    }

    pub(super) async fn insert_ledger(
        &mut self,
        digests: &[RequestDigest],
        now: Timestamp,
    ) -> Result<Vec<RequestDigest>, StoreError> {
        const SQL: &str = "INSERT INTO request_ledger (digest, received_at) \
            SELECT digest, $2 FROM UNNEST($1::bytea[]) AS new (digest) ORDER BY digest \
            ON CONFLICT (digest) DO NOTHING RETURNING digest";
        let mut new: Vec<RequestDigest> = self
            .query_scalar(SQL)
            .bind(digests)
            .bind(now)
            .fetch_all(&mut self.connection)
            .await
            .during("insert into request_ledger")?;
        new.sort_unstable();
        Ok(new)
    }

    pub(super) async fn lock_traces(
        &mut self,
        traces: &[TraceIdentity],
        now: Timestamp,
    ) -> Result<Vec<StoredTrace>, StoreError> {
        // An update that changes nothing locks the row and returns it as it is then.
        const SQL: &str = "INSERT INTO error_traces \
            (trace_key, service_name, trace_id, sightings, dropped_sightings, touched_at) \
            SELECT key, service, trace, '[]', 0, $4 \
            FROM UNNEST($1::uuid[], $2::text[], $3::text[]) AS new (key, service, trace) \
            ORDER BY key \
            ON CONFLICT (trace_key) DO UPDATE SET touched_at = error_traces.touched_at \
            RETURNING trace_key, sightings, dropped_sightings";
        let mut rows: Vec<(TraceKey, String, i64)> = Vec::with_capacity(traces.len());
        for traces in traces.chunks(AT_ONCE) {
            let keys: Vec<_> = traces.iter().map(|trace| trace.key).collect();
            let services: Vec<_> = traces.iter().map(|trace| &*trace.service_name).collect();
            let trace_ids: Vec<_> = traces.iter().map(|trace| trace.trace_id).collect();
            let locked: Vec<_> = self
                .query_as(SQL)
                .bind(keys)
                .bind(services)
                .bind(trace_ids)
                .bind(now)
                .fetch_all(&mut self.connection)
                .await
                .during("lock error_traces")?;
            rows.extend(locked);
        }
        let mut stored = rows
            .into_iter()
            .map(|(key, sightings, dropped_sightings)| {
                Ok(StoredTrace {
                    key,
                    sightings: stored_sightings(key, &sightings)?,
                    dropped_sightings,
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        stored.sort_unstable_by_key(|trace| trace.key);
        Ok(stored)
    }

    pub(super) async fn read_errors(
        &mut self,
        ids: &[ErrorId],
    ) -> Result<Vec<ApiError>, StoreError> {
        // Locked: an operator's decision must not fall between reading and rewriting a row.
        const SQL: &str = concat!(
            "SELECT ",
            error_columns_read!(),
            " FROM api_errors WHERE id = ANY($1) ORDER BY id FOR UPDATE"
        );
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.query(SQL)
            .bind(ids)
            .fetch_all(&mut self.connection)
            .await
            .and_then(|rows| rows.iter().map(api_error::<Postgres>).collect())
            .during("read api_errors")
    }

    pub(super) async fn known_errors(
        &mut self,
        ids: &[ErrorId],
    ) -> Result<Vec<ErrorId>, StoreError> {
        // One statement, so that a purge between two does not hide its errors from both.
        const SQL: &str = "SELECT id FROM api_errors WHERE id = ANY($1) \
            UNION ALL SELECT id FROM purged_errors WHERE id = ANY($1)";
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.query_scalar(SQL)
            .bind(ids)
            .fetch_all(&mut self.connection)
            .await
            .during("read api_errors")
    }

    pub(super) async fn lock_groups(
        &mut self,
        fingerprints: &[Fingerprint],
    ) -> Result<Vec<GroupState>, StoreError> {
        // A row that is not there cannot be locked, and two writers would both call it new: so it
        // is made first, empty, and filled or deleted by what is applied.
        const SQL: &str = "INSERT INTO error_groups (fingerprint, service_name, title, category, \
            first_seen_at, last_seen_at, total_errors) \
            SELECT fingerprint, '', '', 'unknown', $2, $3, 0 \
            FROM UNNEST($1::text[]) AS new (fingerprint) ORDER BY fingerprint COLLATE \"C\" \
            ON CONFLICT (fingerprint) DO UPDATE SET fingerprint = excluded.fingerprint \
            RETURNING fingerprint, status, resolved_at, resolved_version, total_errors";
        if fingerprints.is_empty() {
            return Ok(Vec::new());
        }
        let groups: Vec<GroupState> = self
            .query_as(SQL)
            .bind(fingerprints)
            .bind(earliest(None))
            .bind(latest(None))
            .fetch_all(&mut self.connection)
            .await
            .during("lock error_groups")?;
        let (known, empty): (Vec<_>, Vec<_>) = groups
            .into_iter()
            .partition(|group| group.total_errors != 0 || group.status != GroupStatus::Open);
        self.empty_groups = empty.into_iter().map(|group| group.fingerprint).collect();
        Ok(known)
    }

    pub(super) async fn audit_unlinked(
        &mut self,
        given: &[(&str, &AggregationDelta)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        audit_unlinked::<Postgres>(&mut self.connection, given, now)
            .await
            .during("write the audit log")
    }

    /// Repairs the first hour at or after `at`; `None` when there is none before `to`.
    pub(super) async fn rebuild_next(
        &mut self,
        at: Timestamp,
        to: Option<Hour>,
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<(Hour, u64)>, StoreError> {
        self.begin().await?;
        let next = next_hour::<Postgres>(&mut self.connection, at)
            .await
            .during("rebuild hours")?
            .filter(|&hour| to.is_none_or(|to| hour < to));
        let mut step = None;
        if let Some(hour) = next {
            // Groups write members before they lock hours: waiting for them here, before this
            // transaction locks an hour, no two can wait for each other.
            self.connection
                .execute("LOCK TABLE error_aggregation_users IN SHARE ROW EXCLUSIVE MODE")
                .await
                .during("rebuild hours")?;
            let changed =
                rebuild_hour::<Postgres>(&mut self.connection, hour, actor, now, " FOR UPDATE")
                    .await
                    .during("rebuild hours")?;
            step = Some((hour, changed));
        }
        self.commit().await?;
        Ok(step)
    }

    pub(super) async fn prune_ledger(
        &mut self,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        // Two replicas that prune at once take different rows.
        const SQL: &str = "DELETE FROM request_ledger WHERE digest IN ( \
            SELECT digest FROM request_ledger WHERE received_at < $1 \
            ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED)";
        let own = self.ensure_transaction().await?;
        let pruned = self
            .query(SQL)
            .bind(before)
            .bind(i64::from(limit))
            .execute(&mut self.connection)
            .await
            .during("prune request_ledger")?
            .rows_affected();
        self.end_if(own).await?;
        Ok(pruned)
    }
}

fn stored_sightings(key: TraceKey, text: &str) -> Result<Vec<Sighting>, StoreError> {
    serde_json::from_str(text).map_err(|error| {
        StoreError::Corrupt(format!(
            "the sightings of error_traces {key} cannot be read: {error}"
        ))
    })
}
