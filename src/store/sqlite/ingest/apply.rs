//! Executes a list of changes. The order of the steps is the same on both databases.

use std::collections::BTreeMap;

use sqlx::{Sqlite, query::Query, sqlite::SqliteArguments, types::Json};

use super::{Chunked, SqliteIngest};
use crate::{
    domain::{AggregationId, ApiError, ErrorId, Timestamp},
    store::{
        AggregationDelta, Changes, GroupDelta, MetricTotal, RequestTotalsDelta, StoreError,
        TraceWrite, UserDelta,
        effects::{
            GroupCount, HourCount, HourEffects, MetricRow, UserCount, UserEffects, buckets,
            earliest, empty_groups, final_merges, latest, request_totals_id,
        },
        error::During,
        rows::{IMPORTED, add_totals, error_columns, rewrite_error},
    },
};

type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

impl SqliteIngest {
    pub(super) async fn apply_all(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let now = changes.now.unwrap_or(Timestamp::EPOCH);
        self.write_traces(&changes.traces).await?;
        self.write_errors(changes).await?;
        self.part_errors(&changes.parted).await?;
        self.merge_errors(&changes.merged).await?;
        self.count_groups(&changes.groups).await?;
        let users = self.count_users(&changes.users).await?;
        self.count_hours(&changes.aggregations, &users, now).await?;
        self.add_requests(&changes.writer, &changes.requests)
            .await?;
        self.set_metrics(&changes.writer, &changes.metrics).await?;
        self.balance_imported(changes.imported).await
    }

    async fn balance_imported(&mut self, errors: i64) -> Result<(), StoreError> {
        if errors == 0 {
            return Ok(());
        }
        sqlx::query(IMPORTED)
            .bind(errors)
            .execute(&mut self.connection)
            .await
            .map(drop)
            .during("count what was imported")
    }

    async fn write_traces(&mut self, traces: &[TraceWrite]) -> Result<(), StoreError> {
        static SQL: Chunked = Chunked::rows(
            "INSERT INTO error_traces \
             (trace_key, service_name, trace_id, sightings, dropped_sightings, touched_at) VALUES ",
            6,
            " ON CONFLICT (trace_key) DO UPDATE SET sightings = excluded.sightings, \
             dropped_sightings = excluded.dropped_sightings, touched_at = excluded.touched_at",
        );
        for (sql, piece) in SQL.pieces(traces) {
            let mut query = sqlx::query(sql);
            for trace in piece {
                let identity = self
                    .traces
                    .remove(&trace.key)
                    .expect("a trace is locked before it is written");
                query = query
                    .bind(trace.key)
                    .bind(identity.service_name)
                    .bind(identity.trace_id)
                    .bind(&trace.sightings)
                    .bind(trace.dropped_sightings)
                    .bind(trace.touched_at);
            }
            query
                .execute(&mut self.connection)
                .await
                .during("write error_traces")?;
        }
        Ok(())
    }

    async fn write_errors(&mut self, changes: &Changes) -> Result<(), StoreError> {
        static INSERT: Chunked = Chunked::rows(
            concat!("INSERT INTO api_errors (", error_columns!(), ") VALUES "),
            35,
            "",
        );
        static REWRITE: Chunked = Chunked::rows(
            concat!("INSERT INTO api_errors (", error_columns!(), ") VALUES "),
            35,
            rewrite_error!(),
        );
        for (sql, piece) in INSERT.pieces(&changes.inserted) {
            piece
                .iter()
                .fold(sqlx::query(sql), bind_error)
                .execute(&mut self.connection)
                .await
                .during("insert into api_errors")?;
        }
        for (sql, piece) in REWRITE.pieces(&changes.updated) {
            piece
                .iter()
                .fold(sqlx::query(sql), bind_error)
                .execute(&mut self.connection)
                .await
                .during("update api_errors")?;
        }
        Ok(())
    }

    /// Rows that are rows of their own again: their ids lead to nobody else's.
    async fn part_errors(&mut self, parted: &[ErrorId]) -> Result<(), StoreError> {
        static DELETE: Chunked = Chunked::list("DELETE FROM error_redirects WHERE id IN (", ")");
        for (sql, piece) in DELETE.pieces(parted) {
            let mut query = sqlx::query(sql);
            for id in piece {
                query = query.bind(id);
            }
            query
                .execute(&mut self.connection)
                .await
                .during("delete from error_redirects")?;
        }
        Ok(())
    }

    async fn merge_errors(&mut self, merged: &[(ErrorId, ErrorId)]) -> Result<(), StoreError> {
        const POINT: &str = "INSERT INTO error_redirects (id, error_id) VALUES ($1, $2) \
            ON CONFLICT (id) DO UPDATE SET error_id = excluded.error_id";
        const POINT_AGAIN: &str = "UPDATE error_redirects SET error_id = $2 WHERE error_id = $1";
        const DELETE: &str = "DELETE FROM api_errors WHERE id = $1";
        let pairs = final_merges(merged);
        for (gone, stays) in &pairs {
            for sql in [POINT, POINT_AGAIN] {
                sqlx::query(sql)
                    .bind(gone)
                    .bind(stays)
                    .execute(&mut self.connection)
                    .await
                    .during("write error_redirects")?;
            }
        }
        for (gone, _) in &pairs {
            sqlx::query(DELETE)
                .bind(gone)
                .execute(&mut self.connection)
                .await
                .during("delete from api_errors")?;
        }
        Ok(())
    }

    async fn count_users(&mut self, users: &[UserDelta]) -> Result<UserEffects, StoreError> {
        static COUNT: Chunked = Chunked::rows(
            "INSERT INTO error_aggregation_users (aggregation_id, user_key, errors) VALUES ",
            3,
            " ON CONFLICT (aggregation_id, user_key) DO UPDATE \
             SET errors = error_aggregation_users.errors + excluded.errors \
             RETURNING aggregation_id, user_key, errors",
        );
        static DELETE: Chunked = Chunked::rows(
            "DELETE FROM error_aggregation_users WHERE (aggregation_id, user_key) IN (VALUES ",
            2,
            ")",
        );
        let mut counts: Vec<UserCount> = Vec::with_capacity(users.len());
        for (sql, piece) in COUNT.pieces(users) {
            let mut query = sqlx::query_as(sql);
            for user in piece {
                query = query
                    .bind(user.aggregation_id)
                    .bind(user.user_key)
                    .bind(user.errors);
            }
            let counted: Vec<UserCount> = query
                .fetch_all(&mut self.connection)
                .await
                .during("count users")?;
            counts.extend(counted);
        }
        let effects = UserEffects::of(users, counts);
        for (sql, piece) in DELETE.pieces(&effects.gone) {
            let mut query = sqlx::query(sql);
            for (aggregation_id, user_key) in piece {
                query = query.bind(aggregation_id).bind(user_key);
            }
            query
                .execute(&mut self.connection)
                .await
                .during("delete users of hours")?;
        }
        Ok(effects)
    }

    async fn count_hours(
        &mut self,
        hours: &[AggregationDelta],
        users: &UserEffects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        static COUNT: Chunked = Chunked::rows(
            "INSERT INTO error_aggregations (id, hour_bucket, service_name, environment, \
             endpoint, method, severity, category, external_service, status_code, total_errors, \
             unique_users, unlinked_errors, first_occurrence, last_occurrence, updated_at) VALUES ",
            16,
            " ON CONFLICT (id) DO UPDATE SET \
             total_errors = error_aggregations.total_errors + excluded.total_errors, \
             unique_users = error_aggregations.unique_users + excluded.unique_users, \
             unlinked_errors = error_aggregations.unlinked_errors + excluded.unlinked_errors, \
             first_occurrence = min(error_aggregations.first_occurrence, excluded.first_occurrence), \
             last_occurrence = max(error_aggregations.last_occurrence, excluded.last_occurrence), \
             updated_at = excluded.updated_at \
             RETURNING id, total_errors, unlinked_errors",
        );
        const COUNT_USERS: &str = "UPDATE error_aggregations \
            SET unique_users = unique_users + $2, updated_at = $3 WHERE id = $1";
        let mut counts: Vec<HourCount> = Vec::with_capacity(hours.len());
        for (sql, piece) in COUNT.pieces(hours) {
            let mut query = sqlx::query_as(sql);
            for hour in piece {
                let dimensions = &hour.dimensions;
                let unique_users = users.unique_users.get(&hour.id).copied().unwrap_or(0);
                query = query
                    .bind(hour.id)
                    .bind(hour.hour)
                    .bind(&dimensions.service_name)
                    .bind(&dimensions.environment)
                    .bind(&dimensions.endpoint)
                    .bind(&dimensions.method)
                    .bind(dimensions.severity)
                    .bind(dimensions.category)
                    .bind(&dimensions.external_service)
                    .bind(dimensions.status_code)
                    .bind(hour.linked_errors + hour.unlinked_errors)
                    .bind(unique_users)
                    .bind(hour.unlinked_errors)
                    .bind(earliest(hour.first_occurrence))
                    .bind(latest(hour.last_occurrence))
                    .bind(now);
            }
            let counted: Vec<HourCount> = query
                .fetch_all(&mut self.connection)
                .await
                .during("count hours")?;
            counts.extend(counted);
        }
        for (id, unique_users) in users.without_delta(hours) {
            sqlx::query(COUNT_USERS)
                .bind(id)
                .bind(unique_users)
                .bind(now)
                .execute(&mut self.connection)
                .await
                .during("count users of hours")?;
        }
        self.shrink_hours(&HourEffects::of(hours, &counts)).await
    }

    async fn shrink_hours(&mut self, effects: &HourEffects<'_>) -> Result<(), StoreError> {
        /// The rows of an hour are found by its time, and by its endpoint when they have that.
        macro_rules! read_again {
            ($which:literal) => {
                concat!(
                    "UPDATE error_aggregations SET first_occurrence = rows.first, \
                     last_occurrence = rows.last \
                     FROM (SELECT min(created_at) AS first, max(created_at) AS last \
                     FROM api_errors WHERE aggregation_id = $1 AND created_at >= $2 \
                     AND created_at < $3",
                    $which,
                    ") AS rows WHERE id = $1 AND rows.first IS NOT NULL"
                )
            };
        }
        const READ: &str = read_again!(" AND endpoint = $4");
        const READ_FOLDED: &str = read_again!("");
        for hour in &effects.to_read {
            sqlx::query(READ)
                .bind(hour.id)
                .bind(hour.hour)
                .bind(hour.hour.end())
                .bind(&hour.dimensions.endpoint)
                .execute(&mut self.connection)
                .await
                .during("shrink hours")?;
        }
        for hour in &effects.to_read_folded {
            sqlx::query(READ_FOLDED)
                .bind(hour.id)
                .bind(hour.hour)
                .bind(hour.hour.end())
                .execute(&mut self.connection)
                .await
                .during("shrink hours")?;
        }
        self.delete_hours(&effects.empty).await
    }

    pub(super) async fn delete_hours(&mut self, ids: &[AggregationId]) -> Result<(), StoreError> {
        const DELETE_USERS: &str = "DELETE FROM error_aggregation_users WHERE aggregation_id = $1";
        const DELETE: &str = "DELETE FROM error_aggregations WHERE id = $1";
        for id in ids {
            for sql in [DELETE_USERS, DELETE] {
                sqlx::query(sql)
                    .bind(id)
                    .execute(&mut self.connection)
                    .await
                    .during("delete empty hours")?;
            }
        }
        Ok(())
    }

    async fn count_groups(&mut self, groups: &[GroupDelta]) -> Result<(), StoreError> {
        // An operator's decision stays, unless the failure comes back.
        static COUNT: Chunked = Chunked::rows(
            "INSERT INTO error_groups (fingerprint, service_name, title, category, first_seen_at, \
             last_seen_at, total_errors, regressed_at, first_version, last_version) VALUES ",
            10,
            " ON CONFLICT (fingerprint) DO UPDATE SET \
             first_version = CASE WHEN excluded.first_seen_at < error_groups.first_seen_at \
             THEN excluded.first_version ELSE error_groups.first_version END, \
             last_version = CASE WHEN excluded.last_seen_at >= error_groups.last_seen_at \
             THEN excluded.last_version ELSE error_groups.last_version END, \
             first_seen_at = min(error_groups.first_seen_at, excluded.first_seen_at), \
             last_seen_at = max(error_groups.last_seen_at, excluded.last_seen_at), \
             total_errors = error_groups.total_errors + excluded.total_errors, \
             status = CASE WHEN excluded.regressed_at IS NULL \
             THEN error_groups.status ELSE 'open' END, \
             regressed_at = coalesce(excluded.regressed_at, error_groups.regressed_at) \
             RETURNING fingerprint, total_errors, status",
        );
        const DELETE: &str = "DELETE FROM error_groups WHERE fingerprint = $1";
        let mut counts: Vec<GroupCount> = Vec::with_capacity(groups.len());
        for (sql, piece) in COUNT.pieces(groups) {
            let mut query = sqlx::query_as(sql);
            for group in piece {
                query = query
                    .bind(&group.fingerprint)
                    .bind(&group.service_name)
                    .bind(&group.title)
                    .bind(group.category)
                    .bind(earliest(group.first_seen_at))
                    .bind(latest(group.last_seen_at))
                    .bind(group.errors)
                    .bind(group.regression.as_ref().map(|regression| regression.at))
                    .bind(&group.first_version)
                    .bind(&group.last_version);
            }
            let counted: Vec<GroupCount> = query
                .fetch_all(&mut self.connection)
                .await
                .during("count groups")?;
            counts.extend(counted);
        }
        for fingerprint in empty_groups(counts) {
            sqlx::query(DELETE)
                .bind(fingerprint)
                .execute(&mut self.connection)
                .await
                .during("delete empty groups")?;
        }
        Ok(())
    }

    async fn add_requests(
        &mut self,
        writer: &str,
        requests: &[RequestTotalsDelta],
    ) -> Result<(), StoreError> {
        static ADD: Chunked = Chunked::rows(
            "INSERT INTO request_totals (hour_bucket, id, service_name, environment, endpoint, \
             method, writer, requests, errors, estimated_requests, duration_sum_nanos, \
             duration_to_5ms, duration_to_10ms, duration_to_25ms, duration_to_50ms, \
             duration_to_100ms, duration_to_250ms, duration_to_500ms, duration_to_1s, \
             duration_to_2500ms, duration_to_5s, duration_to_10s, duration_beyond) VALUES ",
            23,
            add_totals!(),
        );
        for (sql, piece) in ADD.pieces(requests) {
            let mut query = sqlx::query(sql);
            for delta in piece {
                query = query
                    .bind(delta.hour)
                    .bind(request_totals_id(writer, delta).to_string())
                    .bind(&delta.series.service_name)
                    .bind(&delta.series.environment)
                    .bind(&delta.series.endpoint)
                    .bind(&delta.series.method)
                    .bind(writer)
                    .bind(delta.requests)
                    .bind(delta.errors)
                    .bind(delta.estimated_requests)
                    .bind(delta.duration_nanos);
                query = buckets(delta).into_iter().fold(query, Bound::bind);
            }
            query
                .execute(&mut self.connection)
                .await
                .during("add to request_totals")?;
        }
        Ok(())
    }

    async fn set_metrics(
        &mut self,
        writer: &str,
        metrics: &[MetricTotal],
    ) -> Result<(), StoreError> {
        static SET: Chunked = Chunked::rows(
            "INSERT INTO metric_totals (writer, id, family, labels, value, sum, buckets) VALUES ",
            7,
            " ON CONFLICT (writer, id) DO UPDATE SET value = excluded.value, sum = excluded.sum, \
             buckets = excluded.buckets",
        );
        // In the order of the primary key, as the changes are in that of the labels.
        let rows: BTreeMap<_, _> = metrics
            .iter()
            .map(MetricRow::of)
            .map(|row| (row.id(), row))
            .collect();
        let rows: Vec<_> = rows.into_iter().collect();
        for (sql, piece) in SET.pieces(&rows) {
            let mut query = sqlx::query(sql);
            for (id, row) in piece {
                query = query
                    .bind(writer)
                    .bind(id.to_string())
                    .bind(&row.family)
                    .bind(&row.labels)
                    .bind(row.value)
                    .bind(row.sum)
                    .bind(&row.buckets);
            }
            query
                .execute(&mut self.connection)
                .await
                .during("write metric_totals")?;
        }
        Ok(())
    }
}

fn bind_error<'q>(query: Bound<'q>, error: &'q ApiError) -> Bound<'q> {
    query
        .bind(error.id)
        .bind(&error.user_id)
        .bind(&error.request_id)
        .bind(&error.endpoint)
        .bind(&error.method)
        .bind(&error.error_code)
        .bind(&error.error_message)
        .bind(&error.error_stack)
        .bind(error.severity)
        .bind(error.category)
        .bind(error.status_code)
        .bind(error.request_body.as_ref().map(Json))
        .bind(error.request_headers.as_ref().map(Json))
        .bind(error.response_body.as_ref().map(Json))
        .bind(&error.external_service)
        .bind(&error.external_error_code)
        .bind(&error.external_error_message)
        .bind(Json(&error.context))
        .bind(Json(&error.tags))
        .bind(error.resolved)
        .bind(error.resolved_at)
        .bind(&error.resolved_by)
        .bind(&error.resolution)
        .bind(&error.ip_address)
        .bind(&error.user_agent)
        .bind(error.created_at)
        .bind(&error.service_name)
        .bind(&error.service_version)
        .bind(&error.environment)
        .bind(error.trace_id)
        .bind(error.span_id)
        .bind(&error.fingerprint)
        .bind(error.aggregation_id)
        .bind(error.received_at)
        .bind(error.deleted_at)
}
