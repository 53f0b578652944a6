//! Looks at the database over its own connection with its own arithmetic; knows nothing of the
//! program but its tables.

use std::collections::BTreeMap;

use sqlx::{Column, Connection, Row, postgres::PgConnection, sqlite::SqliteConnection};

use super::load::Truth;

/// A connection of the checker's own.
pub enum Checker {
    /// To an SQLite file, read-only.
    Sqlite(SqliteConnection),
    /// To a PostgreSQL server, with the ledger's schema on its search path.
    Postgres(PgConnection),
}

/// Each table: its rows, each a line of `column=value`, sorted.
pub type Dump = BTreeMap<String, Vec<String>>;

impl Checker {
    /// Opens the database of a URL.
    pub async fn open(url: &str, schema: &str) -> Self {
        if let Some(path) = url.strip_prefix("sqlite://") {
            let options = sqlx::sqlite::SqliteConnectOptions::new()
                .filename(path)
                .read_only(true);
            Self::Sqlite(
                SqliteConnection::connect_with(&options)
                    .await
                    .expect("the file can be read"),
            )
        } else {
            let mut connection = PgConnection::connect(url)
                .await
                .expect("the server can be reached");
            sqlx::query(sqlx::AssertSqlSafe(format!(
                "SET search_path = \"{schema}\", public"
            )))
            .execute(&mut connection)
            .await
            .expect("the schema is there");
            Self::Postgres(connection)
        }
    }

    /// One number.
    pub async fn number(&mut self, sql: &'static str) -> i64 {
        match self {
            Self::Sqlite(connection) => sqlx::query_scalar(sql).fetch_one(connection).await,
            Self::Postgres(connection) => sqlx::query_scalar(sql).fetch_one(connection).await,
        }
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// One column of text.
    pub async fn texts(&mut self, sql: &str) -> Vec<String> {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(connection) => sqlx::query_scalar(sql).fetch_all(connection).await,
            Self::Postgres(connection) => sqlx::query_scalar(sql).fetch_all(connection).await,
        }
        .expect("the query is right")
    }

    /// Everything in every table but those of the writers' names, which each start changes.
    pub async fn dump(&mut self) -> Dump {
        let tables = match self {
            Self::Sqlite(_) => {
                self.texts("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").await
            }
            Self::Postgres(_) => {
                self.texts("SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema()")
                    .await
            }
        };
        let mut dump = Dump::new();
        for table in tables {
            if table != "writers" && table != "leases" && !table.starts_with("_sqlx") {
                dump.insert(table.clone(), self.rows(&table).await);
            }
        }
        dump
    }

    async fn rows(&mut self, table: &str) -> Vec<String> {
        let columns = match self {
            Self::Sqlite(_) => self.texts(&format!("SELECT name FROM pragma_table_info('{table}')")).await,
            Self::Postgres(_) => {
                self.texts(&format!(
                    "SELECT column_name::text FROM information_schema.columns \
                     WHERE table_schema = current_schema() AND table_name = '{table}' ORDER BY ordinal_position"
                ))
                .await
            }
        };
        let mut rows: Vec<String> = match self {
            Self::Sqlite(connection) => {
                // A digest is a blob that is no text: shown as hex.
                let list: Vec<String> = columns
                    .iter()
                    .map(|name| format!("CASE typeof({name}) WHEN 'blob' THEN hex({name}) ELSE CAST({name} AS TEXT) END AS {name}"))
                    .collect();
                let sql = sqlx::AssertSqlSafe(format!("SELECT {} FROM {table}", list.join(", ")));
                lines(
                    &sqlx::query(sql)
                        .fetch_all(connection)
                        .await
                        .expect("a table can be read"),
                )
            }
            Self::Postgres(connection) => {
                let list: Vec<String> = columns
                    .iter()
                    .map(|name| format!("CAST({name} AS TEXT) AS {name}"))
                    .collect();
                let sql = sqlx::AssertSqlSafe(format!("SELECT {} FROM {table}", list.join(", ")));
                lines(
                    &sqlx::query(sql)
                        .fetch_all(connection)
                        .await
                        .expect("a table can be read"),
                )
            }
        };
        rows.sort_unstable();
        rows
    }

    /// That the tables hold exactly what was sent: no row, hour or total too few or too many.
    #[expect(clippy::too_many_lines, reason = "a list of questions")]
    pub async fn assert_holds(&mut self, truth: &Truth) {
        let mut stored = self
            .texts(
                "SELECT error_message || '|' || endpoint || '|' || method || '|' || \
                 COALESCE(CAST(status_code AS TEXT), '') || '|' || \
                 COALESCE(user_id, '') || '|' || CAST(severity AS TEXT) \
                 FROM api_errors",
            )
            .await;
        stored.sort_unstable();
        let mut sent = truth.rows.clone();
        sent.sort_unstable();
        assert_eq!(
            stored.len(),
            sent.len(),
            "rows; {}",
            first_difference(&stored, &sent)
        );
        assert_eq!(stored, sent);
        let rows = i64::try_from(sent.len()).unwrap();
        let rows_after_their_hour = match self {
            Self::Sqlite(_) => {
                "SELECT COUNT(*) FROM api_errors e JOIN error_aggregations a ON a.id = e.aggregation_id \
                 WHERE e.created_at >= a.hour_bucket + 3600000000"
            }
            Self::Postgres(_) => {
                "SELECT COUNT(*) FROM api_errors e JOIN error_aggregations a ON a.id = e.aggregation_id \
                 WHERE e.created_at >= a.hour_bucket + interval '1 hour'"
            }
        };
        let sums = [
            (
                "error_aggregations",
                "SELECT CAST(COALESCE(SUM(total_errors), 0) AS BIGINT) FROM error_aggregations",
                rows,
            ),
            (
                "error_groups",
                "SELECT CAST(COALESCE(SUM(total_errors), 0) AS BIGINT) FROM error_groups",
                rows,
            ),
            (
                "requests",
                "SELECT CAST(COALESCE(SUM(requests), 0) AS BIGINT) FROM request_totals",
                truth.requests,
            ),
            (
                "failed",
                "SELECT CAST(COALESCE(SUM(errors), 0) AS BIGINT) FROM request_totals",
                truth.failed_requests,
            ),
            (
                "requests counted",
                "SELECT CAST(COALESCE(SUM(value), 0) AS BIGINT) FROM metric_totals WHERE family = 'redspan_requests_total'",
                truth.requests,
            ),
            (
                "errors counted",
                "SELECT CAST(COALESCE(SUM(CASE family WHEN 'redspan_errors_total' THEN value ELSE -value END), 0) \
                 AS BIGINT) FROM metric_totals \
                 WHERE family IN ('redspan_errors_total', 'redspan_errors_merged_rows_total')",
                rows,
            ),
            (
                "groups counted as new, less those that are there",
                "SELECT CAST(COALESCE(SUM(value), 0) AS BIGINT) - (SELECT COUNT(*) FROM error_groups) \
                 FROM metric_totals WHERE family = 'redspan_error_groups_new_total'",
                truth.regrouped,
            ),
            (
                "durations counted, less requests",
                "SELECT CAST(COALESCE(SUM(value), 0) AS BIGINT) - \
                 (SELECT CAST(COALESCE(SUM(requests), 0) AS BIGINT) FROM request_totals) \
                 FROM metric_totals WHERE family = 'redspan_request_duration_seconds'",
                0,
            ),
            (
                "rows without their hour, or counted under what they are not",
                "SELECT COUNT(*) FROM api_errors e LEFT JOIN error_aggregations a ON a.id = e.aggregation_id \
                 WHERE a.id IS NULL OR a.service_name <> e.service_name OR a.endpoint <> e.endpoint OR \
                 a.method <> e.method OR a.severity <> e.severity OR a.category <> e.category OR \
                 a.status_code <> e.status_code OR e.created_at < a.hour_bucket",
                0,
            ),
            (
                "rows counted in an hour that was over",
                rows_after_their_hour,
                0,
            ),
            (
                "hours that do not count their rows",
                "SELECT COUNT(*) FROM error_aggregations a WHERE a.total_errors <> a.unlinked_errors + \
                 (SELECT COUNT(*) FROM api_errors e WHERE e.aggregation_id = a.id)",
                0,
            ),
            (
                "hours that do not count their users",
                "SELECT COUNT(*) FROM error_aggregations a WHERE a.unique_users <> \
                 (SELECT COUNT(DISTINCT e.user_id) FROM api_errors e WHERE e.aggregation_id = a.id)",
                0,
            ),
            (
                "hours whose first or last occurrence is wrong",
                "SELECT COUNT(*) FROM error_aggregations a WHERE \
                 a.first_occurrence <> (SELECT MIN(e.created_at) FROM api_errors e WHERE e.aggregation_id = a.id) OR \
                 a.last_occurrence <> (SELECT MAX(e.created_at) FROM api_errors e WHERE e.aggregation_id = a.id)",
                0,
            ),
        ];
        for (what, sql, expected) in sums {
            assert_eq!(self.number(sql).await, expected, "{what}");
        }
    }
}

fn first_difference(left: &[String], right: &[String]) -> String {
    let at = left
        .iter()
        .zip(right)
        .position(|(left, right)| left != right)
        .unwrap_or(left.len().min(right.len()));
    format!(
        "first difference: {:?} and {:?}",
        left.get(at),
        right.get(at)
    )
}

fn lines<R: Row>(rows: &[R]) -> Vec<String>
where
    usize: sqlx::ColumnIndex<R>,
    for<'a> Option<String>: sqlx::Decode<'a, R::Database> + sqlx::Type<R::Database>,
{
    rows.iter()
        .map(|row| {
            let fields = row.columns().iter().map(|column| {
                let value: Option<String> = row.get(column.ordinal());
                format!("{}={}", column.name(), value.as_deref().unwrap_or("NULL"))
            });
            fields.collect::<Vec<_>>().join(" ")
        })
        .collect()
}
