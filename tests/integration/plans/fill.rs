//! A database with any number of errors, made by the database itself: ten days of them, of which the
//! last fifth happened at one instant. In each column that a filter knows, one value stands in 10 of
//! them, all old, one in every tenth, and the others in the rest.

use std::cell::Cell;

use redspan::store::migrate;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

use crate::databases::{Database, Kind};

/// When the first of them happened, in microseconds.
pub const FIRST: i64 = 1_767_225_600_000_000;

/// How long the time is in which they happened.
const DAYS_MICROS: i64 = 10 * 86_400 * 1_000_000;

/// How many users there are.
pub const USERS: i64 = 5_002;

/// How often each filter's rare value is found.
pub const RARE: i64 = 10;

/// How many stages a run has, where it has any.
pub const STAGES: i64 = 4;

/// How many label sets of requests an hour has.
pub const REQUEST_SETS: i64 = 1_000;

/// When all of the last fifth happened, of so many errors.
pub fn last(errors: i64) -> i64 {
    at(errors, errors / 5 * 4)
}

/// When the error of this number happened, before the last fifth.
pub fn at(errors: i64, number: i64) -> i64 {
    FIRST + number * (DAYS_MICROS / errors)
}

/// Makes the schema, with so many errors, a multiple of 10,000.
pub async fn errors(database: &Database, errors: i64) {
    let sql = Sql {
        kind: database.kind,
        errors,
    };
    fill(database, vec![sql.users(), sql.errors()]).await;
}

/// Groups that were seen last at one instant. Those of one service among them are sorted, because
/// both names would not fit into an entry of its index.
const TIED_GROUPS: i64 = 4_000;

/// When the groups were seen last that were seen at one instant, of so many errors, in seconds after
/// the first.
pub fn tied_groups_at(errors: i64) -> i64 {
    (errors / 5 - TIED_GROUPS) / 10
}

/// The same with a fifth as many groups, without their errors.
pub async fn groups(database: &Database, errors: i64) {
    let sql = Sql {
        kind: database.kind,
        errors,
    };
    fill(database, vec![sql.users(), sql.groups()]).await;
}

/// The same with a fifth as many label sets of hours, without their errors.
pub async fn hours(database: &Database, errors: i64) {
    let sql = Sql {
        kind: database.kind,
        errors,
    };
    fill(database, vec![sql.users(), sql.hours()]).await;
}

/// The same with as many runs.
pub async fn runs(database: &Database, runs: i64) {
    let sql = Sql {
        kind: database.kind,
        errors: runs,
    };
    fill(database, vec![sql.users(), sql.assets(), sql.runs()]).await;
}

/// The same with [`STAGES`] stages in each run.
pub async fn runs_with_stages(database: &Database, runs: i64) {
    let sql = Sql {
        kind: database.kind,
        errors: runs,
    };
    let statements = vec![sql.users(), sql.assets(), sql.runs(), sql.stages()];
    fill(database, statements).await;
}

/// The same with as many entries in the audit log.
pub async fn audit(database: &Database, entries: i64) {
    let sql = Sql {
        kind: database.kind,
        errors: entries,
    };
    fill(database, vec![sql.users(), sql.audit()]).await;
}

/// The same with as many hourly totals of requests, half of them of either of two writers.
pub async fn requests(database: &Database, errors: i64) {
    let sql = Sql {
        kind: database.kind,
        errors,
    };
    fill(database, vec![sql.users(), sql.requests()]).await;
}

async fn fill(database: &Database, mut statements: Vec<String>) {
    migrate::up(&database.settings()).await.unwrap();
    statements.push(match database.kind {
        Kind::Sqlite => "PRAGMA wal_checkpoint(TRUNCATE)".to_owned(),
        // As autovacuum leaves it, sooner or later.
        Kind::Postgres => "VACUUM ANALYZE".to_owned(),
    });
    execute(database, &statements).await;
}

/// Runs statements, on a connection that need not survive a loss of power.
pub async fn execute(database: &Database, statements: &[String]) {
    match database.kind {
        Kind::Sqlite => {
            let mut connection = SqliteConnection::connect(&database.url).await.unwrap();
            let quick = "PRAGMA synchronous = OFF; PRAGMA cache_size = -200000";
            connection.execute(quick).await.unwrap();
            for sql in statements {
                let sql = AssertSqlSafe(sql.clone());
                connection.execute(sql).await.unwrap();
            }
            connection.close().await.unwrap();
        }
        Kind::Postgres => {
            let mut connection = PgConnection::connect(&database.url).await.unwrap();
            let path = AssertSqlSafe(format!("SET search_path = {}", database.schema));
            connection.execute(path).await.unwrap();
            for sql in statements {
                let sql = AssertSqlSafe(sql.clone());
                connection.execute(sql).await.unwrap();
            }
            connection.close().await.unwrap();
        }
    }
}

/// Statements in one database's words.
struct Sql {
    kind: Kind,
    errors: i64,
}

impl Sql {
    /// The numbers `n` from 0 on.
    fn numbers(&self, count: i64) -> String {
        let last = count - 1;
        match self.kind {
            Kind::Sqlite => format!(
                "(WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL \
                 SELECT n + 1 FROM numbers WHERE n < {last}) SELECT n FROM numbers) AS numbers"
            ),
            Kind::Postgres => format!("generate_series(CAST(0 AS BIGINT), {last}) AS numbers (n)"),
        }
    }

    /// An id for each number, in no order.
    fn id(&self) -> String {
        let mixed = "n * 2654435761 % 4294967296";
        match self.kind {
            Kind::Sqlite => format!("printf('%08x-0000-8000-8000-%012x', {mixed}, n)"),
            Kind::Postgres => format!(
                "CAST(lpad(to_hex({mixed}), 8, '0') || '-0000-8000-8000-' || lpad(to_hex(n), 12, '0') AS UUID)"
            ),
        }
    }

    fn time(&self, micros: &str) -> String {
        match self.kind {
            Kind::Sqlite => micros.to_owned(),
            Kind::Postgres => {
                format!("TIMESTAMPTZ 'epoch' + ({micros}) * INTERVAL '1 microsecond'")
            }
        }
    }

    /// The words as what PostgreSQL has a type for.
    fn typed(&self, words: &str, postgres: &str) -> String {
        match self.kind {
            Kind::Sqlite => words.to_owned(),
            Kind::Postgres => format!("CAST({words} AS {postgres})"),
        }
    }

    fn users(&self) -> String {
        let numbers = self.numbers(USERS - 2);
        let epoch = self.time("0");
        format!(
            "INSERT INTO users (id, first_seen_at, last_seen_at) SELECT id, {epoch}, {epoch} FROM \
             (SELECT 'user-' || n AS id FROM {numbers} UNION ALL SELECT 'rare' UNION ALL SELECT 'common') AS ids"
        )
    }

    fn errors(&self) -> String {
        let errors = self.errors;
        let (half, share) = (errors / 2, errors / 2 / RARE);
        // Another tenth, and other rare ones, in each column.
        let columns = Cell::new(0);
        let pick = |rare: &str, common: &str, other: &str| {
            let column = columns.get() + 1;
            columns.set(column);
            let (tenth, chosen) = (column % 10, column * 10 + (column + 5) % 10);
            format!(
                "CASE WHEN n % {share} = {chosen} AND n < {half} THEN {rare} \
                 WHEN n % 10 = {tenth} THEN {common} ELSE {other} END"
            )
        };
        let text = |name: &str, values: i64| {
            let other = format!("'{name}-' || (n * 7919 % {values})");
            pick("'rare'", "'common'", &other)
        };
        let stack = match self.kind {
            Kind::Sqlite => "replace(hex(zeroblob(40)), '00', 'at refuse (shop.js:10) ')",
            Kind::Postgres => "repeat('at refuse (shop.js:10) ', 40)",
        };
        let trace = match self.kind {
            Kind::Sqlite => "printf('%032x', n + 1)",
            Kind::Postgres => "lpad(to_hex(n + 1), 32, '0')",
        };
        let step = DAYS_MICROS / errors;
        let tied = errors / 5 * 4;
        let created = self.time(&format!(
            "{FIRST} + (CASE WHEN n < {tied} THEN n ELSE {tied} END) * {step}"
        ));
        let columns = [
            ("id", self.id()),
            ("user_id", text("user", USERS - 2)),
            ("request_id", text("request", errors)),
            ("endpoint", text("/orders", 300)),
            ("service_name", text("shop", 20)),
            ("fingerprint", text("1:kind", errors / 20)),
            ("environment", text("test", 3)),
            ("external_service", pick("'rare'", "'common'", "NULL")),
            ("method", pick("'HEAD'", "'POST'", "'GET'")),
            ("status_code", pick("418", "404", "500")),
            (
                "error_message",
                pick("'rare'", "'common'", "'order ' || n || ' is refused'"),
            ),
            (
                "severity",
                self.typed(&pick("'debug'", "'warning'", "'error'"), "error_severity"),
            ),
            (
                "category",
                self.typed(
                    &pick(
                        "'network'",
                        "'external_api'",
                        "CASE n % 3 WHEN 0 THEN 'database' ELSE 'unknown' END",
                    ),
                    "error_category",
                ),
            ),
            (
                "tags",
                self.typed(
                    &pick(r#"'["rare"]'"#, r#"'["common","handled"]'"#, "'[]'"),
                    "JSONB",
                ),
            ),
            (
                "trace_id",
                pick(
                    &format!("'{}'", "a".repeat(32)),
                    &format!("'{}'", "b".repeat(32)),
                    trace,
                ),
            ),
            ("error_stack", stack.to_owned()),
            ("created_at", created.clone()),
            ("received_at", created),
            ("aggregation_id", self.id()),
        ];
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let values: Vec<&str> = columns.iter().map(|(_, sql)| &**sql).collect();
        format!(
            "INSERT INTO api_errors ({}) SELECT {} FROM {}",
            names.join(", "),
            values.join(", "),
            self.numbers(errors)
        )
    }

    fn assets(&self) -> String {
        let epoch = self.time("0");
        format!(
            "INSERT INTO assets (id, created_at) SELECT id, {epoch} FROM \
             (SELECT 'rare' AS id UNION ALL SELECT 'common' UNION ALL SELECT 'other') AS ids"
        )
    }

    fn runs(&self) -> String {
        let runs = self.errors;
        let (half, share) = (runs / 2, runs / 2 / RARE);
        // Another tenth, and other rare ones, in each column.
        let pick = |column: i64, [rare, common, other]: [&str; 3]| {
            let (tenth, chosen) = (column % 10, column * 10 + (column + 5) % 10);
            format!(
                "CASE WHEN n % {share} = {chosen} AND n < {half} THEN '{rare}' \
                 WHEN n % 10 = {tenth} THEN '{common}' ELSE '{other}' END"
            )
        };
        let words = ["rare", "common", "other"];
        let status = pick(1, ["initializing", "failed", "completed"]);
        let step = DAYS_MICROS / runs;
        let tied = runs / 5 * 4;
        let created = format!("{FIRST} + (CASE WHEN n < {tied} THEN n ELSE {tied} END) * {step}");
        let ended = self.time(&format!("{created} + n * 7919 % 3600 * 1000000"));
        let created = self.time(&created);
        format!(
            "INSERT INTO generation_pipelines (id, user_id, asset_id, config, status, meshy_task_id, name, \
             created_at, started_at, completed_at, updated_at, state_at) \
             SELECT CAST({} AS TEXT), {}, {}, {}, {}, {}, {}, {created}, {created}, {ended}, {ended}, \
             {created} FROM {}",
            self.id(),
            pick(2, ["rare", "common", "user-1"]),
            pick(3, words),
            self.typed("'{}'", "JSONB"),
            self.typed(&status, "pipeline_status"),
            pick(4, words),
            pick(5, words),
            self.numbers(runs)
        )
    }

    fn stages(&self) -> String {
        let status = "CASE n WHEN 3 THEN 'skipped' WHEN 2 THEN 'failed' ELSE 'completed' END";
        let status = self.typed(status, "stage_status");
        format!(
            "INSERT INTO pipeline_stages (pipeline_id, id, stage_name, stage_order, status, \
             started_at, completed_at, created_at, updated_at) \
             SELECT runs.id, 'stage-' || n, 'stage-' || n, n, {status}, runs.started_at, \
             runs.completed_at, runs.created_at, runs.created_at \
             FROM generation_pipelines AS runs CROSS JOIN {}",
            self.numbers(STAGES)
        )
    }

    fn groups(&self) -> String {
        let groups = self.errors / 5;
        let tied = groups - TIED_GROUPS;
        let seen = format!("{FIRST} + CASE WHEN n < {tied} THEN n ELSE {tied} END / 10 * 1000000");
        let seen = self.time(&seen);
        format!(
            "INSERT INTO error_groups (fingerprint, service_name, title, category, first_seen_at, \
             last_seen_at, total_errors, status) \
             SELECT '1:kind-' || n, CASE WHEN n < {RARE} THEN 'rare' ELSE 'shop-' || (n % 20) END, 'refused', \
             {}, {seen}, {seen}, 20, CASE WHEN n < {RARE} THEN 'ignored' ELSE 'open' END FROM {}",
            self.typed("'unknown'", "error_category"),
            self.numbers(groups)
        )
    }

    fn hours(&self) -> String {
        let hours = self.errors / 5;
        let hour = self.time(&format!("{FIRST} + n / 5000 * 3600000000"));
        let rare = |rare: &str, other: &str| {
            format!(
                "CASE WHEN n < {RARE} THEN {rare} WHEN n % 10 = 1 THEN 'common' ELSE {other} END"
            )
        };
        format!(
            "INSERT INTO error_aggregations (id, hour_bucket, service_name, environment, endpoint, \
             method, severity, category, external_service, total_errors, unique_users, \
             unlinked_errors, first_occurrence, last_occurrence, updated_at) \
             SELECT {}, {hour}, {}, '', {}, 'GET', {}, {}, {}, 5, 0, 5, {hour}, {hour}, {hour} FROM {}",
            self.id(),
            rare("'rare'", "'shop'"),
            rare("'rare'", "'/orders-' || (n % 300)"),
            self.typed(
                &format!("CASE WHEN n < {RARE} THEN 'debug' ELSE 'error' END"),
                "error_severity"
            ),
            self.typed(
                &format!("CASE WHEN n < {RARE} THEN 'network' ELSE 'unknown' END"),
                "error_category"
            ),
            rare("'rare'", "NULL"),
            self.numbers(hours)
        )
    }

    fn audit(&self) -> String {
        let entries = self.errors;
        let (half, share) = (entries / 2, entries / 2 / RARE);
        let step = DAYS_MICROS / entries;
        let at = self.time(&format!("{FIRST} + n * {step}"));
        // Ids grow with time.
        let id = match self.kind {
            Kind::Sqlite => "printf('%08x-0000-7000-8000-%012x', n, n)".to_owned(),
            Kind::Postgres => "CAST(lpad(to_hex(n), 8, '0') || '-0000-7000-8000-' || \
                 lpad(to_hex(n), 12, '0') AS UUID)"
                .to_owned(),
        };
        format!(
            "INSERT INTO audit_log (id, at, actor, action, entity, entity_id) SELECT {id}, {at}, 'ana', \
             'update', \
             CASE WHEN n % {share} = 3 AND n < {half} THEN 'user' WHEN n % 10 = 1 THEN 'group' ELSE 'error' END, \
             CASE WHEN n % {share} = 4 AND n < {half} THEN 'rare' WHEN n % 10 = 2 THEN 'common' \
             ELSE 'error-' || n END FROM {}",
            self.numbers(entries)
        )
    }

    fn requests(&self) -> String {
        let per_hour = 2 * REQUEST_SETS;
        let hour = self.time(&format!("{FIRST} + n / {per_hour} * 3600000000"));
        let durations = [
            "5ms", "10ms", "25ms", "50ms", "100ms", "250ms", "500ms", "1s", "2500ms", "5s", "10s",
        ];
        let columns: Vec<String> = durations
            .iter()
            .map(|up_to| format!("duration_to_{up_to}"))
            .collect();
        format!(
            "INSERT INTO request_totals (hour_bucket, id, service_name, environment, endpoint, method, writer, \
             requests, errors, estimated_requests, duration_sum_nanos, {}, duration_beyond) \
             SELECT {hour}, {}, 'shop-' || (n / 2 % 20), '', '/orders-' || (n / 2 % {REQUEST_SETS}), 'GET', \
             'writer-' || (n % 2), 10, 1, 10, 1000000, 10, {} FROM {}",
            columns.join(", "),
            self.id(),
            vec!["0"; durations.len()].join(", "),
            self.numbers(self.errors)
        )
    }
}
