//! Executes a list of changes, each step as one statement over arrays in the order of their keys.

use std::collections::{BTreeMap, HashSet};

use sqlx::types::Json;

use super::session::Session;
use crate::{
    domain::{AggregationId, ApiError, ErrorId, Fingerprint, Timestamp},
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

/// One value of each item: an array for UNNEST.
fn column<'a, I, T>(items: &'a [I], value: impl Fn(&'a I) -> T) -> Vec<T> {
    items.iter().map(value).collect()
}

/// Items in one statement: each keeps within the time limit for statements, and what is sent
/// within the memory that a group may take.
pub(super) const AT_ONCE: usize = 1_000;

/// The values of rows of `api_errors`, and their order by primary key.
macro_rules! insert_errors {
    ($tail:expr) => {
        concat!(
            "INSERT INTO api_errors (",
            error_columns!(),
            ") SELECT id, user_id, request_id, endpoint, method, error_code, error_message, \
             error_stack, severity::error_severity, category::error_category, status_code, \
             request_body, request_headers, response_body, external_service, \
             external_error_code, external_error_message, context, tags, resolved, resolved_at, \
             resolved_by, resolution, ip_address, user_agent, created_at, service_name, \
             service_version, environment, trace_id, span_id, fingerprint, aggregation_id, \
             received_at, deleted_at \
             FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], \
             $7::text[], $8::text[], $9::text[], $10::text[], $11::int4[], $12::jsonb[], \
             $13::jsonb[], $14::jsonb[], $15::text[], $16::text[], $17::text[], $18::jsonb[], \
             $19::jsonb[], $20::bool[], $21::timestamptz[], $22::text[], $23::text[], \
             $24::text[], $25::text[], $26::timestamptz[], $27::text[], $28::text[], $29::text[], \
             $30::text[], $31::text[], $32::text[], $33::uuid[], $34::timestamptz[], \
             $35::timestamptz[]) AS new (",
            error_columns!(),
            ") ORDER BY id",
            $tail
        )
    };
}

impl Session {
    pub(super) async fn apply(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let now = changes.now.unwrap_or(Timestamp::EPOCH);
        for traces in changes.traces.chunks(AT_ONCE) {
            self.write_traces(traces).await?;
        }
        for errors in changes.inserted.chunks(AT_ONCE) {
            self.write_errors(insert_errors!(""), errors).await?;
        }
        for errors in changes.updated.chunks(AT_ONCE) {
            self.write_errors(insert_errors!(rewrite_error!()), errors)
                .await?;
        }
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
        self.query(IMPORTED)
            .bind(errors)
            .execute(&mut self.connection)
            .await
            .map(drop)
            .during("count what was imported")
    }

    async fn write_traces(&mut self, traces: &[TraceWrite]) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE error_traces SET sightings = new.sightings, \
            dropped_sightings = new.dropped_sightings, touched_at = new.touched_at \
            FROM UNNEST($1::uuid[], $2::text[], $3::int8[], $4::timestamptz[]) \
            AS new (trace_key, sightings, dropped_sightings, touched_at) \
            WHERE error_traces.trace_key = new.trace_key";
        self.query(SQL)
            .bind(column(traces, |trace| trace.key))
            .bind(column(traces, |trace| &*trace.sightings))
            .bind(column(traces, |trace| trace.dropped_sightings))
            .bind(column(traces, |trace| trace.touched_at))
            .execute(&mut self.connection)
            .await
            .map(drop)
            .during("write error_traces")
    }

    async fn write_errors(
        &mut self,
        sql: &'static str,
        errors: &[ApiError],
    ) -> Result<(), StoreError> {
        self.query(sql)
            .bind(column(errors, |error| error.id))
            .bind(column(errors, |error| error.user_id.as_deref()))
            .bind(column(errors, |error| error.request_id.as_deref()))
            .bind(column(errors, |error| &*error.endpoint))
            .bind(column(errors, |error| &*error.method))
            .bind(column(errors, |error| error.error_code.as_deref()))
            .bind(column(errors, |error| &*error.error_message))
            .bind(column(errors, |error| error.error_stack.as_deref()))
            .bind(column(errors, |error| error.severity.as_str()))
            .bind(column(errors, |error| error.category.as_str()))
            .bind(column(errors, |error| error.status_code))
            .bind(column(errors, |error| {
                error.request_body.as_ref().map(Json)
            }))
            .bind(column(errors, |error| {
                error.request_headers.as_ref().map(Json)
            }))
            .bind(column(errors, |error| {
                error.response_body.as_ref().map(Json)
            }))
            .bind(column(errors, |error| error.external_service.as_deref()))
            .bind(column(errors, |error| error.external_error_code.as_deref()))
            .bind(column(errors, |error| {
                error.external_error_message.as_deref()
            }))
            .bind(column(errors, |error| Json(&error.context)))
            .bind(column(errors, |error| Json(&error.tags)))
            .bind(column(errors, |error| error.resolved))
            .bind(column(errors, |error| error.resolved_at))
            .bind(column(errors, |error| error.resolved_by.as_deref()))
            .bind(column(errors, |error| error.resolution.as_deref()))
            .bind(column(errors, |error| error.ip_address.as_deref()))
            .bind(column(errors, |error| error.user_agent.as_deref()))
            .bind(column(errors, |error| error.created_at))
            .bind(column(errors, |error| &*error.service_name))
            .bind(column(errors, |error| error.service_version.as_deref()))
            .bind(column(errors, |error| &*error.environment))
            .bind(column(errors, |error| error.trace_id))
            .bind(column(errors, |error| error.span_id))
            .bind(column(errors, |error| &*error.fingerprint.0))
            .bind(column(errors, |error| error.aggregation_id))
            .bind(column(errors, |error| error.received_at))
            .bind(column(errors, |error| error.deleted_at))
            .execute(&mut self.connection)
            .await
            .map(drop)
            .during("write api_errors")
    }

    /// Rows that are rows of their own again: their ids lead to nobody else's.
    async fn part_errors(&mut self, parted: &[ErrorId]) -> Result<(), StoreError> {
        const DELETE: &str = "DELETE FROM error_redirects WHERE id = ANY($1)";
        if parted.is_empty() {
            return Ok(());
        }
        self.query(DELETE)
            .bind(parted)
            .execute(&mut self.connection)
            .await
            .map(drop)
            .during("delete from error_redirects")
    }

    async fn merge_errors(&mut self, merged: &[(ErrorId, ErrorId)]) -> Result<(), StoreError> {
        const POINT: &str = "INSERT INTO error_redirects (id, error_id) \
            SELECT gone, stays FROM UNNEST($1::uuid[], $2::uuid[]) AS merged (gone, stays) \
            ORDER BY gone ON CONFLICT (id) DO UPDATE SET error_id = excluded.error_id";
        const POINT_AGAIN: &str = "UPDATE error_redirects SET error_id = merged.stays \
            FROM UNNEST($1::uuid[], $2::uuid[]) AS merged (gone, stays) \
            WHERE error_redirects.error_id = merged.gone";
        const DELETE: &str = "DELETE FROM api_errors WHERE id = ANY($1)";
        if merged.is_empty() {
            return Ok(());
        }
        let pairs = final_merges(merged);
        let gone = column(&pairs, |(gone, _)| *gone);
        let stays = column(&pairs, |(_, stays)| *stays);
        for sql in [POINT, POINT_AGAIN] {
            self.query(sql)
                .bind(&gone)
                .bind(&stays)
                .execute(&mut self.connection)
                .await
                .during("write error_redirects")?;
        }
        self.query(DELETE)
            .bind(gone)
            .execute(&mut self.connection)
            .await
            .map(drop)
            .during("delete from api_errors")
    }

    /// Before users and hours, which every writer contends for: whoever holds an hour waits for
    /// nobody's group.
    async fn count_groups(&mut self, groups: &[GroupDelta]) -> Result<(), StoreError> {
        // An operator's decision stays, unless the failure comes back.
        const COUNT: &str = "INSERT INTO error_groups (fingerprint, service_name, title, \
            category, first_seen_at, last_seen_at, total_errors, regressed_at, first_version, \
            last_version) \
            SELECT fingerprint, service_name, title, category::error_category, first_seen_at, \
            last_seen_at, total_errors, regressed_at, first_version, last_version \
            FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], \
            $6::timestamptz[], $7::int8[], $8::timestamptz[], $9::text[], $10::text[]) \
            AS new (fingerprint, service_name, title, category, first_seen_at, last_seen_at, \
            total_errors, regressed_at, first_version, last_version) \
            ORDER BY fingerprint COLLATE \"C\" \
            ON CONFLICT (fingerprint) DO UPDATE SET \
            service_name = CASE WHEN error_groups.title = '' \
            THEN excluded.service_name ELSE error_groups.service_name END, \
            category = CASE WHEN error_groups.title = '' \
            THEN excluded.category ELSE error_groups.category END, \
            title = CASE WHEN error_groups.title = '' \
            THEN excluded.title ELSE error_groups.title END, \
            first_version = CASE WHEN excluded.first_seen_at < error_groups.first_seen_at \
            THEN excluded.first_version ELSE error_groups.first_version END, \
            last_version = CASE WHEN excluded.last_seen_at >= error_groups.last_seen_at \
            THEN excluded.last_version ELSE error_groups.last_version END, \
            first_seen_at = LEAST(error_groups.first_seen_at, excluded.first_seen_at), \
            last_seen_at = GREATEST(error_groups.last_seen_at, excluded.last_seen_at), \
            total_errors = error_groups.total_errors + excluded.total_errors, \
            status = CASE WHEN excluded.regressed_at IS NULL \
            THEN error_groups.status ELSE 'open' END, \
            regressed_at = COALESCE(excluded.regressed_at, error_groups.regressed_at) \
            RETURNING fingerprint, total_errors, status";
        const DELETE: &str = "DELETE FROM error_groups WHERE fingerprint = ANY($1)";
        let locked_only = std::mem::take(&mut self.empty_groups);
        if groups.is_empty() && locked_only.is_empty() {
            return Ok(());
        }
        let counts: Vec<GroupCount> = self
            .query_as(COUNT)
            .bind(column(groups, |group| &*group.fingerprint.0))
            .bind(column(groups, |group| &*group.service_name))
            .bind(column(groups, |group| &*group.title))
            .bind(column(groups, |group| group.category.as_str()))
            .bind(column(groups, |group| earliest(group.first_seen_at)))
            .bind(column(groups, |group| latest(group.last_seen_at)))
            .bind(column(groups, |group| group.errors))
            .bind(column(groups, |group| {
                group.regression.as_ref().map(|regression| regression.at)
            }))
            .bind(column(groups, |group| group.first_version.as_deref()))
            .bind(column(groups, |group| group.last_version.as_deref()))
            .fetch_all(&mut self.connection)
            .await
            .during("count groups")?;
        let counted: HashSet<Fingerprint> = counts
            .iter()
            .map(|count| count.fingerprint.clone())
            .collect();
        let mut empty = empty_groups(counts);
        empty.extend(
            locked_only
                .into_iter()
                .filter(|group| !counted.contains(group)),
        );
        if empty.is_empty() {
            return Ok(());
        }
        empty.sort_unstable();
        self.query(DELETE)
            .bind(empty)
            .execute(&mut self.connection)
            .await
            .map(drop)
            .during("delete empty groups")
    }

    async fn count_users(&mut self, users: &[UserDelta]) -> Result<UserEffects, StoreError> {
        const COUNT: &str = "INSERT INTO error_aggregation_users \
            (aggregation_id, user_key, errors) \
            SELECT aggregation_id, user_key, errors \
            FROM UNNEST($1::uuid[], $2::int8[], $3::int8[]) \
            AS new (aggregation_id, user_key, errors) ORDER BY aggregation_id, user_key \
            ON CONFLICT (aggregation_id, user_key) DO UPDATE \
            SET errors = error_aggregation_users.errors + excluded.errors \
            RETURNING aggregation_id, user_key, errors";
        const DELETE: &str = "DELETE FROM error_aggregation_users AS users \
            USING UNNEST($1::uuid[], $2::int8[]) AS gone (aggregation_id, user_key) \
            WHERE users.aggregation_id = gone.aggregation_id AND users.user_key = gone.user_key";
        if users.is_empty() {
            return Ok(UserEffects::default());
        }
        let counts: Vec<UserCount> = self
            .query_as(COUNT)
            .bind(column(users, |user| user.aggregation_id))
            .bind(column(users, |user| user.user_key))
            .bind(column(users, |user| user.errors))
            .fetch_all(&mut self.connection)
            .await
            .during("count users")?;
        let effects = UserEffects::of(users, counts);
        if !effects.gone.is_empty() {
            self.query(DELETE)
                .bind(column(&effects.gone, |(hour, _)| *hour))
                .bind(column(&effects.gone, |(_, user)| *user))
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
        const COUNT: &str = "INSERT INTO error_aggregations (id, hour_bucket, service_name, \
            environment, endpoint, method, severity, category, external_service, status_code, \
            total_errors, unique_users, unlinked_errors, first_occurrence, last_occurrence, \
            updated_at) \
            SELECT id, hour_bucket, service_name, environment, endpoint, method, \
            severity::error_severity, category::error_category, external_service, status_code, \
            total_errors, unique_users, unlinked_errors, first_occurrence, last_occurrence, $16 \
            FROM UNNEST($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], \
            $6::text[], $7::text[], $8::text[], $9::text[], $10::int4[], $11::int8[], \
            $12::int8[], $13::int8[], $14::timestamptz[], $15::timestamptz[]) \
            AS new (id, hour_bucket, service_name, environment, endpoint, method, severity, \
            category, external_service, status_code, total_errors, unique_users, \
            unlinked_errors, first_occurrence, last_occurrence) ORDER BY id \
            ON CONFLICT (id) DO UPDATE SET \
            total_errors = error_aggregations.total_errors + excluded.total_errors, \
            unique_users = error_aggregations.unique_users + excluded.unique_users, \
            unlinked_errors = error_aggregations.unlinked_errors + excluded.unlinked_errors, \
            first_occurrence = \
            LEAST(error_aggregations.first_occurrence, excluded.first_occurrence), \
            last_occurrence = \
            GREATEST(error_aggregations.last_occurrence, excluded.last_occurrence), \
            updated_at = excluded.updated_at \
            RETURNING id, total_errors, unlinked_errors";
        const COUNT_USERS: &str = "UPDATE error_aggregations \
            SET unique_users = error_aggregations.unique_users + new.unique_users, \
            updated_at = $3 \
            FROM UNNEST($1::uuid[], $2::int8[]) AS new (id, unique_users) \
            WHERE error_aggregations.id = new.id";
        let only_users = users.without_delta(hours);
        if !only_users.is_empty() {
            self.lock_hours(hours, &only_users).await?;
        }
        if !hours.is_empty() {
            let unique_users =
                |hour: &AggregationDelta| users.unique_users.get(&hour.id).copied().unwrap_or(0);
            let counts: Vec<HourCount> = self
                .query_as(COUNT)
                .bind(column(hours, |hour| hour.id))
                .bind(column(hours, |hour| hour.hour))
                .bind(column(hours, |hour| &*hour.dimensions.service_name))
                .bind(column(hours, |hour| &*hour.dimensions.environment))
                .bind(column(hours, |hour| &*hour.dimensions.endpoint))
                .bind(column(hours, |hour| &*hour.dimensions.method))
                .bind(column(hours, |hour| hour.dimensions.severity.as_str()))
                .bind(column(hours, |hour| hour.dimensions.category.as_str()))
                .bind(column(hours, |hour| {
                    hour.dimensions.external_service.as_deref()
                }))
                .bind(column(hours, |hour| hour.dimensions.status_code))
                .bind(column(hours, |hour| {
                    hour.linked_errors + hour.unlinked_errors
                }))
                .bind(column(hours, unique_users))
                .bind(column(hours, |hour| hour.unlinked_errors))
                .bind(column(hours, |hour| earliest(hour.first_occurrence)))
                .bind(column(hours, |hour| latest(hour.last_occurrence)))
                .bind(now)
                .fetch_all(&mut self.connection)
                .await
                .during("count hours")?;
            self.shrink_hours(&HourEffects::of(hours, &counts)).await?;
        }
        if !only_users.is_empty() {
            self.query(COUNT_USERS)
                .bind(column(&only_users, |(id, _)| *id))
                .bind(column(&only_users, |(_, users)| *users))
                .bind(now)
                .execute(&mut self.connection)
                .await
                .during("count users of hours")?;
        }
        Ok(())
    }

    /// Takes the locks of two statements at once, in order.
    async fn lock_hours(
        &mut self,
        hours: &[AggregationDelta],
        only_users: &[(AggregationId, i64)],
    ) -> Result<(), StoreError> {
        const SQL: &str =
            "SELECT id FROM error_aggregations WHERE id = ANY($1) ORDER BY id FOR UPDATE";
        let mut ids = column(hours, |hour| hour.id);
        ids.extend(only_users.iter().map(|(id, _)| *id));
        self.query(SQL)
            .bind(ids)
            .execute(&mut self.connection)
            .await
            .map(drop)
            .during("lock hours")
    }

    async fn shrink_hours(&mut self, effects: &HourEffects<'_>) -> Result<(), StoreError> {
        /// The rows of an hour are found by its time, and by its endpoint when they have that.
        macro_rules! read_again {
            ($which:literal) => {
                concat!(
                    "UPDATE error_aggregations SET first_occurrence = rows.first, \
                     last_occurrence = rows.last \
                     FROM UNNEST($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::text[]) \
                     AS hours (id, start, beyond, endpoint) \
                     CROSS JOIN LATERAL ( \
                     SELECT min(created_at) AS first, max(created_at) AS last FROM api_errors \
                     WHERE aggregation_id = hours.id AND created_at >= hours.start \
                     AND created_at < hours.beyond",
                    $which,
                    ") AS rows \
                     WHERE error_aggregations.id = hours.id AND rows.first IS NOT NULL"
                )
            };
        }
        const READ: &str = read_again!(" AND api_errors.endpoint = hours.endpoint");
        const READ_FOLDED: &str = read_again!("");
        for (sql, hours) in [
            (READ, &effects.to_read),
            (READ_FOLDED, &effects.to_read_folded),
        ] {
            if hours.is_empty() {
                continue;
            }
            self.query(sql)
                .bind(column(hours, |hour| hour.id))
                .bind(column(hours, |hour| hour.hour))
                .bind(column(hours, |hour| hour.hour.end()))
                .bind(column(hours, |hour| &*hour.dimensions.endpoint))
                .execute(&mut self.connection)
                .await
                .during("shrink hours")?;
        }
        self.delete_hours(&effects.empty).await
    }

    pub(super) async fn delete_hours(&mut self, ids: &[AggregationId]) -> Result<(), StoreError> {
        const DELETE_USERS: &str =
            "DELETE FROM error_aggregation_users WHERE aggregation_id = ANY($1)";
        const DELETE: &str = "DELETE FROM error_aggregations WHERE id = ANY($1)";
        if ids.is_empty() {
            return Ok(());
        }
        for sql in [DELETE_USERS, DELETE] {
            self.query(sql)
                .bind(ids)
                .execute(&mut self.connection)
                .await
                .during("delete empty hours")?;
        }
        Ok(())
    }

    async fn add_requests(
        &mut self,
        writer: &str,
        requests: &[RequestTotalsDelta],
    ) -> Result<(), StoreError> {
        const ADD: &str = concat!(
            "INSERT INTO request_totals (hour_bucket, id, service_name, environment, endpoint, \
             method, requests, errors, estimated_requests, duration_sum_nanos, \
             duration_to_5ms, duration_to_10ms, duration_to_25ms, duration_to_50ms, \
             duration_to_100ms, duration_to_250ms, duration_to_500ms, duration_to_1s, \
             duration_to_2500ms, duration_to_5s, duration_to_10s, duration_beyond, writer) \
             SELECT new.*, $23 FROM UNNEST($1::timestamptz[], $2::uuid[], $3::text[], $4::text[], \
             $5::text[], $6::text[], $7::int8[], $8::int8[], $9::float8[], $10::int8[], \
             $11::int8[], $12::int8[], $13::int8[], $14::int8[], $15::int8[], $16::int8[], \
             $17::int8[], $18::int8[], $19::int8[], $20::int8[], $21::int8[], $22::int8[]) \
             AS new ORDER BY 1, 2",
            add_totals!()
        );
        if requests.is_empty() {
            return Ok(());
        }
        let mut query = self
            .query(ADD)
            .bind(column(requests, |delta| delta.hour))
            .bind(column(requests, |delta| request_totals_id(writer, delta).0))
            .bind(column(requests, |delta| &*delta.series.service_name))
            .bind(column(requests, |delta| &*delta.series.environment))
            .bind(column(requests, |delta| &*delta.series.endpoint))
            .bind(column(requests, |delta| &*delta.series.method))
            .bind(column(requests, |delta| delta.requests))
            .bind(column(requests, |delta| delta.errors))
            .bind(column(requests, |delta| delta.estimated_requests))
            .bind(column(requests, |delta| delta.duration_nanos));
        let counts = column(requests, buckets);
        for bucket in 0..12 {
            query = query.bind(column(&counts, |counts| counts[bucket]));
        }
        query
            .bind(writer)
            .execute(&mut self.connection)
            .await
            .map(drop)
            .during("add to request_totals")
    }

    async fn set_metrics(
        &mut self,
        writer: &str,
        metrics: &[MetricTotal],
    ) -> Result<(), StoreError> {
        const SET: &str = "INSERT INTO metric_totals \
            (writer, id, family, labels, value, sum, buckets) \
            SELECT $1, id, family, labels, value, sum, buckets \
            FROM UNNEST($2::uuid[], $3::text[], $4::text[], $5::int8[], $6::int8[], $7::text[]) \
            AS new (id, family, labels, value, sum, buckets) ORDER BY id \
            ON CONFLICT (writer, id) DO UPDATE SET value = excluded.value, sum = excluded.sum, \
            buckets = excluded.buckets";
        if metrics.is_empty() {
            return Ok(());
        }
        // By id, because a statement must not meet the same row twice.
        let rows: BTreeMap<_, _> = metrics
            .iter()
            .map(MetricRow::of)
            .map(|row| (row.id(), row))
            .collect();
        let rows: Vec<_> = rows.into_iter().collect();
        self.query(SET)
            .bind(writer)
            .bind(column(&rows, |(id, _)| *id))
            .bind(column(&rows, |(_, row)| &*row.family))
            .bind(column(&rows, |(_, row)| &*row.labels))
            .bind(column(&rows, |(_, row)| row.value))
            .bind(column(&rows, |(_, row)| row.sum))
            .bind(column(&rows, |(_, row)| &*row.buckets))
            .execute(&mut self.connection)
            .await
            .map(drop)
            .during("write metric_totals")
    }
}
