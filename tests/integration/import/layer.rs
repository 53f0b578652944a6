//! A database as hand-written layers keep it.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::{block_on, number};
use crate::{
    checker::Checker,
    databases::{Database, Kind},
};

const SCHEMA: &str = include_str!("schema.sql");

/// The database of the layer.
pub struct Layer(Database);

impl Layer {
    pub fn new() -> Self {
        let layer = Self(Database::new(Kind::Postgres));
        layer.execute(SCHEMA);
        layer
    }

    /// Where the program is told to find it.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    pub fn execute(&self, sql: &str) {
        block_on(async {
            let mut connection = PgConnection::connect(&self.0.url).await.unwrap();
            let sql = AssertSqlSafe(sql.to_owned());
            connection.execute(sql).await.unwrap();
            connection.close().await.unwrap();
        });
    }

    /// Errors of three months, one in three of a user and one in five resolved; hours that count
    /// them, of which some count 7 more; and runs in every status, each with two stages.
    pub fn fill(&self, errors: i64, runs: i64) {
        self.execute(&format!(
            "INSERT INTO api_errors (user_id, request_id, endpoint, method, error_code, error_message, \
               error_stack, severity, category, status_code, request_headers, external_service, \
               context, tags, resolved, resolved_at, resolved_by, resolution, ip_address, created_at) \
             SELECT CASE WHEN n % 3 = 0 THEN person.id END, 'request-' || n, '/orders/' || n % 40, 'POST', \
               'OrderRefused', 'order ' || n || ' — refused ''twice''', E'at refuse\\n  at pay', \
               (enum_range(NULL::error_severity))[1 + n % 5], (enum_range(NULL::error_category))[1 + n % 9], \
               CASE WHEN n % 4 > 0 THEN 500 + n % 4 END, '{{\"accept\": \"*/*\"}}', \
               CASE WHEN n % 6 = 0 THEN 'bank' END, jsonb_build_object('number', n), '[\"legacy\"]', \
               n % 5 = 0, CASE WHEN n % 5 = 0 THEN now() END, CASE WHEN n % 5 = 0 THEN person.id END, \
               CASE WHEN n % 5 = 0 THEN 'paid back' END, '203.0.113.7', \
               TIMESTAMPTZ '2026-02-01 00:00:00.123456+00' + n * (INTERVAL '90 days' / {errors}) \
             FROM generate_series(0, {errors} - 1) AS n \
             JOIN (SELECT id, row_number() OVER (ORDER BY email) - 1 AS number FROM users) AS person \
               ON person.number = n % 100"
        ));
        self.execute(
            "INSERT INTO error_aggregations (hour_bucket, endpoint, severity, category, \
               external_service, total_errors, unique_users, first_occurrence, last_occurrence) \
             SELECT date_trunc('hour', created_at, 'UTC'), endpoint, severity, category, external_service, \
               COUNT(*) + CASE WHEN endpoint = '/orders/7' THEN 7 ELSE 0 END, COUNT(DISTINCT user_id), \
               MIN(created_at), MAX(created_at) FROM api_errors GROUP BY 1, 2, 3, 4, 5",
        );
        self.execute(&format!(
            "INSERT INTO generation_pipelines (id, user_id, asset_id, config, status, progress, error, \
               error_details, meshy_task_id, created_at, started_at, completed_at, updated_at) \
             SELECT 'pipeline-' || n, person.id, (SELECT id FROM assets ORDER BY name LIMIT 1), \
               jsonb_build_object('type', 'model', 'n', n), (enum_range(NULL::pipeline_status))[1 + n % 5], \
               CASE WHEN n % 5 = 2 THEN 100 ELSE n % 101 END, CASE WHEN n % 5 = 3 THEN 'no mesh' END, CASE WHEN n % 5 = 3 THEN '{{\"a\": [1]}}'::jsonb END, \
               'task-' || n, at, at, CASE WHEN n % 5 > 1 THEN at + INTERVAL '90 seconds' END, at + INTERVAL '2 minutes' \
             FROM (SELECT n, TIMESTAMP '2026-02-01 00:00:00.5' + n * INTERVAL '1 minute' AS at \
                   FROM generate_series(0, {runs} - 1) AS n) AS numbers \
             JOIN (SELECT id, row_number() OVER (ORDER BY email) - 1 AS number FROM users) AS person \
               ON person.number = n % 100; \
             INSERT INTO pipeline_stages (pipeline_id, stage_name, stage_order, status, progress, result, duration) \
             SELECT id, stage, CASE stage WHEN 'mesh' THEN 0 ELSE 1 END, 'completed', 100, '{{\"ok\": true}}', 1500 \
             FROM generation_pipelines CROSS JOIN (VALUES ('mesh'), ('rig')) AS stages (stage)"
        ));
    }

    /// Label sets of hours that count 7 more than there are rows.
    pub fn hours(&self) -> i64 {
        self.number("SELECT COUNT(*) FROM error_aggregations WHERE endpoint = '/orders/7'")
    }

    /// What its hours count.
    pub fn counted(&self) -> i64 {
        self.number("SELECT CAST(SUM(total_errors) AS BIGINT) FROM error_aggregations")
    }

    /// Goes on as this role.
    pub fn connect_as(&mut self, role: &str) {
        let (_, place) = self.0.url.split_once('@').unwrap();
        let role = role.replace(' ', "%20");
        self.0.url = format!("postgres://{role}@{place}");
    }

    /// Moves its database to another name.
    pub fn rename(&mut self) {
        self.administer(&|from, to| format!("ALTER DATABASE {from} RENAME TO {to}"));
    }

    /// Copies its database, and goes on with the copy.
    pub fn copy(&mut self) {
        self.administer(&|from, to| format!("CREATE DATABASE {to} TEMPLATE {from}"));
    }

    fn administer(&mut self, statement: &dyn Fn(&str, &str) -> String) {
        let (place, parameters) = self.0.url.split_once('?').unwrap();
        let (server, name) = place.rsplit_once('/').unwrap();
        let other = format!("{name}_elsewhere");
        let sql = AssertSqlSafe(statement(name, &other));
        let (url, own) = (
            format!("{server}/{other}?{parameters}"),
            format!("{server}/postgres?{parameters}"),
        );
        block_on(async {
            let mut connection = PgConnection::connect(&own).await.unwrap();
            connection.execute(sql).await.unwrap();
            connection.close().await.unwrap();
        });
        self.0.url = url;
    }

    pub fn text(&self, sql: &str) -> String {
        self.texts(sql).swap_remove(0)
    }

    pub fn texts(&self, sql: &str) -> Vec<String> {
        block_on(async {
            let mut layer = Checker::open(&self.0.url, "public").await;
            layer.texts(sql).await
        })
    }

    pub fn number(&self, sql: &'static str) -> i64 {
        number(&self.0, "public", sql)
    }
}
