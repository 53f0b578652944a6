//! The writer's side on SQLite: one connection, multi-row VALUES, statements prepared once.
//! `BEGIN IMMEDIATE` locks the whole file, so nothing needs a lock of its own.

mod apply;

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::{Executor, Sqlite, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{chunks::Chunked, open};
use crate::{
    domain::{
        ApiError, Endings, ErrorId, Fingerprint, Hour, ImportKey, RequestDigest, Sighting,
        Timestamp, TraceKey,
    },
    store::{
        AggregationDelta, Changes, GroupState, ImportedHour, Ingest, MetricTotal, StoreError,
        StoredTrace, TraceIdentity,
        edit::{AnyEdit, audit_unlinked},
        effects::{MetricRow, SEEN_EVERY_SECONDS, first_epoch},
        error::During,
        imported,
        reader::rows::api_error,
        rebuild::{next_hour, rebuild_hour},
        rows::error_columns_read,
    },
};

/// The connection that writes.
pub(super) struct SqliteIngest {
    connection: SqliteConnection,
    in_transaction: bool,
    /// The traces of this transaction: a new one is written once, when its content is known.
    traces: HashMap<TraceKey, TraceIdentity>,
    /// Users that the next transaction registers first.
    users_to_register: Option<(Vec<String>, Timestamp)>,
}

impl SqliteIngest {
    pub(super) async fn open(options: &SqliteConnectOptions) -> Result<Self, StoreError> {
        Ok(Self {
            connection: open::connection(options).await.during("connect")?,
            in_transaction: false,
            traces: HashMap::new(),
            users_to_register: None,
        })
    }

    async fn insert_users(&mut self, users: &[String], now: Timestamp) -> Result<(), StoreError> {
        static SQL: Chunked = Chunked::rows(
            "INSERT INTO users (id, first_seen_at, last_seen_at) VALUES ",
            3,
            " ON CONFLICT (id) DO NOTHING",
        );
        for (sql, piece) in SQL.pieces(users) {
            let mut query = sqlx::query(sql);
            for user in piece {
                query = query.bind(user).bind(now).bind(now);
            }
            query
                .execute(&mut self.connection)
                .await
                .during("register users")?;
        }
        Ok(())
    }

    async fn end(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        self.in_transaction = false;
        self.traces.clear();
        self.connection.execute(sql).await.map(drop)
    }
}

#[async_trait]
impl Ingest for SqliteIngest {
    async fn claim_writer(&mut self, name: &str, now: Timestamp) -> Result<i64, StoreError> {
        // The epochs of a name begin at the time: that of one which was deleted, and is claimed
        // again, is none that somebody still holds.
        const SQL: &str = "INSERT INTO writers (name, epoch, last_seen_at) VALUES ($1, $2, $3) \
            ON CONFLICT (name) DO UPDATE SET epoch = writers.epoch + 1, \
            last_seen_at = excluded.last_seen_at RETURNING epoch";
        sqlx::query_scalar(SQL)
            .bind(name)
            .bind(first_epoch(now))
            .bind(now)
            .fetch_one(&mut self.connection)
            .await
            .during("claim the writer's name")
    }

    async fn see_writer(
        &mut self,
        name: &str,
        epoch: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE writers SET last_seen_at = $3 \
            WHERE name = $1 AND epoch = $2 AND last_seen_at <= $4";
        sqlx::query(SQL)
            .bind(name)
            .bind(epoch)
            .bind(now)
            .bind(now.plus_seconds(-SEEN_EVERY_SECONDS))
            .execute(&mut self.connection)
            .await
            .during("see the writer")?;
        Ok(())
    }

    async fn load_metric_totals(&mut self, writer: &str) -> Result<Vec<MetricTotal>, StoreError> {
        const SQL: &str = "SELECT family, labels, value, sum, buckets FROM metric_totals \
            WHERE writer = $1 ORDER BY family, labels";
        let rows: Vec<MetricRow> = sqlx::query_as(SQL)
            .bind(writer)
            .fetch_all(&mut self.connection)
            .await
            .during("read metric_totals")?;
        rows.into_iter()
            .filter_map(|row| row.into_total().transpose())
            .collect()
    }

    async fn known_digests(
        &mut self,
        digests: &[RequestDigest],
    ) -> Result<Vec<RequestDigest>, StoreError> {
        static SQL: Chunked =
            Chunked::list("SELECT digest FROM request_ledger WHERE digest IN (", ")");
        let mut known = Vec::new();
        for (sql, piece) in SQL.pieces(digests) {
            let mut query = sqlx::query_scalar(sql);
            for digest in piece {
                query = query.bind(digest);
            }
            let found: Vec<RequestDigest> = query
                .fetch_all(&mut self.connection)
                .await
                .during("read request_ledger")?;
            known.extend(found);
        }
        known.sort_unstable();
        Ok(known)
    }

    async fn register_users(&mut self, users: &[String], now: Timestamp) -> Result<(), StoreError> {
        if self.in_transaction {
            return self.insert_users(users, now).await;
        }
        // Nobody else writes, so nobody waits for a registration in the group's own transaction;
        // one of its own would cost the disk another wait.
        self.users_to_register = Some((users.to_vec(), now));
        Ok(())
    }

    async fn begin(&mut self) -> Result<(), StoreError> {
        self.connection
            .execute("BEGIN IMMEDIATE")
            .await
            .during("begin")?;
        self.in_transaction = true;
        match self.users_to_register.take() {
            Some((users, now)) => self.insert_users(&users, now).await,
            None => Ok(()),
        }
    }

    async fn hold_writer(&mut self, name: &str, epoch: i64) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT count(*) FROM writers WHERE name = $1 AND epoch = $2";
        let owned: i64 = sqlx::query_scalar(SQL)
            .bind(name)
            .bind(epoch)
            .fetch_one(&mut self.connection)
            .await
            .during("check the writer's name")?;
        Ok(owned > 0)
    }

    async fn insert_ledger(
        &mut self,
        digests: &[RequestDigest],
        now: Timestamp,
    ) -> Result<Vec<RequestDigest>, StoreError> {
        static SQL: Chunked = Chunked::rows(
            "INSERT INTO request_ledger (digest, received_at) VALUES ",
            2,
            " ON CONFLICT (digest) DO NOTHING RETURNING digest",
        );
        let mut new = Vec::with_capacity(digests.len());
        for (sql, piece) in SQL.pieces(digests) {
            let mut query = sqlx::query_scalar(sql);
            for digest in piece {
                query = query.bind(digest).bind(now);
            }
            let inserted: Vec<RequestDigest> = query
                .fetch_all(&mut self.connection)
                .await
                .during("insert into request_ledger")?;
            new.extend(inserted);
        }
        new.sort_unstable();
        Ok(new)
    }

    async fn lock_traces(
        &mut self,
        traces: &[TraceIdentity],
        _now: Timestamp,
    ) -> Result<Vec<StoredTrace>, StoreError> {
        static SQL: Chunked = Chunked::list(
            "SELECT trace_key, sightings, dropped_sightings FROM error_traces WHERE trace_key IN (",
            ")",
        );
        let mut known: HashMap<TraceKey, (String, i64)> = HashMap::new();
        for (sql, piece) in SQL.pieces(traces) {
            let mut query = sqlx::query_as(sql);
            for trace in piece {
                query = query.bind(trace.key);
            }
            let rows: Vec<(TraceKey, String, i64)> = query
                .fetch_all(&mut self.connection)
                .await
                .during("read error_traces")?;
            known.extend(
                rows.into_iter()
                    .map(|(key, sightings, dropped)| (key, (sightings, dropped))),
            );
        }
        self.traces
            .extend(traces.iter().map(|trace| (trace.key, trace.clone())));
        traces
            .iter()
            .map(|trace| {
                let (sightings, dropped_sightings) = match known.get(&trace.key) {
                    Some((text, dropped)) => (stored_sightings(trace.key, text)?, *dropped),
                    None => (Vec::new(), 0),
                };
                Ok(StoredTrace {
                    key: trace.key,
                    sightings,
                    dropped_sightings,
                })
            })
            .collect()
    }

    async fn read_errors(&mut self, ids: &[ErrorId]) -> Result<Vec<ApiError>, StoreError> {
        static SQL: Chunked = Chunked::list(
            concat!(
                "SELECT ",
                error_columns_read!(),
                " FROM api_errors WHERE id IN ("
            ),
            ")",
        );
        let mut errors = Vec::with_capacity(ids.len());
        for (sql, piece) in SQL.pieces(ids) {
            let mut query = sqlx::query(sql);
            for id in piece {
                query = query.bind(id);
            }
            let rows = query
                .fetch_all(&mut self.connection)
                .await
                .during("read api_errors")?;
            for row in rows {
                errors.push(api_error::<Sqlite>(&row).during("read api_errors")?);
            }
        }
        Ok(errors)
    }

    async fn known_errors(&mut self, ids: &[ErrorId]) -> Result<Vec<ErrorId>, StoreError> {
        static ROWS: Chunked = Chunked::list("SELECT id FROM api_errors WHERE id IN (", ")");
        static PURGED: Chunked = Chunked::list("SELECT id FROM purged_errors WHERE id IN (", ")");
        let mut known = Vec::new();
        for (sql, piece) in ROWS.pieces(ids).chain(PURGED.pieces(ids)) {
            let mut query = sqlx::query_scalar(sql);
            for id in piece {
                query = query.bind(id);
            }
            let found: Vec<ErrorId> = query
                .fetch_all(&mut self.connection)
                .await
                .during("read api_errors")?;
            known.extend(found);
        }
        Ok(known)
    }

    async fn lock_groups(
        &mut self,
        fingerprints: &[Fingerprint],
    ) -> Result<Vec<GroupState>, StoreError> {
        static SQL: Chunked = Chunked::list(
            "SELECT fingerprint, status, resolved_at, resolved_version, total_errors \
             FROM error_groups WHERE fingerprint IN (",
            ")",
        );
        let mut groups = Vec::new();
        for (sql, piece) in SQL.pieces(fingerprints) {
            let mut query = sqlx::query_as(sql);
            for fingerprint in piece {
                query = query.bind(fingerprint);
            }
            let found: Vec<GroupState> = query
                .fetch_all(&mut self.connection)
                .await
                .during("read error_groups")?;
            groups.extend(found);
        }
        Ok(groups)
    }

    async fn apply(&mut self, changes: &Changes) -> Result<(), StoreError> {
        self.apply_all(changes).await
    }

    async fn audit_unlinked(
        &mut self,
        given: &[(&str, &AggregationDelta)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        audit_unlinked::<Sqlite>(&mut self.connection, given, now)
            .await
            .during("write the audit log")
    }

    async fn rebuild_aggregations(
        &mut self,
        from: Option<Hour>,
        to: Option<Hour>,
        actor: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut changed = 0;
        let mut at = from.map_or(Timestamp::from_micros(i64::MIN), Hour::start);
        loop {
            self.begin().await?;
            let hour = match next_hour::<Sqlite>(&mut self.connection, at).await {
                Ok(Some(hour)) if to.is_none_or(|to| hour < to) => hour,
                Ok(_) => {
                    self.rollback().await;
                    return Ok(changed);
                }
                Err(source) => return Err(StoreError::of("rebuild hours", source)),
            };
            changed += rebuild_hour::<Sqlite>(&mut self.connection, hour, actor, now, "")
                .await
                .during("rebuild hours")?;
            self.commit().await?;
            at = hour.end();
        }
    }

    async fn take_over(&mut self, keys: &[ImportKey]) -> Result<Vec<ImportKey>, StoreError> {
        imported::take_over::<Sqlite>(&mut self.connection, keys)
            .await
            .during("remember what is imported")
    }

    async fn count_imported(
        &mut self,
        hours: &[ImportedHour],
    ) -> Result<Vec<ImportedHour>, StoreError> {
        imported::count_imported::<Sqlite>(&mut self.connection, hours)
            .await
            .during("remember what is imported")
    }

    async fn edit(
        &mut self,
        edits: &[&dyn AnyEdit],
        now: Timestamp,
    ) -> Result<Endings, StoreError> {
        const DURING: &str = "make edits";
        let mut endings = Endings::default();
        self.begin().await?;
        for edit in edits {
            self.connection
                .execute("SAVEPOINT edit")
                .await
                .during(DURING)?;
            let made = edit
                .on_sqlite(&mut self.connection, now)
                .await
                .during(DURING)?;
            match made {
                Some(made) => endings.append(made),
                None => {
                    self.connection
                        .execute("ROLLBACK TO edit")
                        .await
                        .during(DURING)?;
                }
            }
            self.connection
                .execute("RELEASE edit")
                .await
                .during(DURING)?;
        }
        Ok(endings)
    }

    async fn edit_within(
        &mut self,
        edit: &dyn AnyEdit,
        now: Timestamp,
    ) -> Result<Endings, StoreError> {
        let made = edit.on_sqlite(&mut self.connection, now).await;
        made.during("make an edit").map(Option::unwrap_or_default)
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        let committed = self.end("COMMIT").await;
        // A COMMIT that failed can leave the transaction open.
        self.in_transaction = committed.is_err();
        committed.map_err(StoreError::of_commit)
    }

    async fn rollback(&mut self) {
        if !self.in_transaction {
            return;
        }
        if let Err(error) = self.end("ROLLBACK").await {
            // SQLite rolls back by itself after some errors, such as a full disk.
            tracing::debug!(%error, "there was nothing left to roll back");
        }
    }

    async fn prune_ledger(&mut self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        const SQL: &str = "DELETE FROM request_ledger WHERE digest IN ( \
            SELECT digest FROM request_ledger WHERE received_at < $1 \
            ORDER BY received_at LIMIT $2)";
        sqlx::query(SQL)
            .bind(before)
            .bind(limit)
            .execute(&mut self.connection)
            .await
            .map(|done| done.rows_affected())
            .during("prune request_ledger")
    }
}

fn stored_sightings(key: TraceKey, text: &str) -> Result<Vec<Sighting>, StoreError> {
    serde_json::from_str(text).map_err(|error| {
        StoreError::Corrupt(format!(
            "the sightings of error_traces {key} cannot be read: {error}"
        ))
    })
}
