//! The rival of `store`: a bulk insert into `api_errors` as somebody would write it who wants
//! nothing else. Plain values, one prepared statement, one transaction for a group; nothing of
//! redspan but the schema.

use std::time::Duration;

use redspan::domain::ApiError;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
    types::{
        Uuid,
        chrono::{DateTime, Utc},
    },
};

/// Rows in one statement on SQLite.
const ROWS_OF_VALUES: usize = 50;

/// The columns that are written, with the type of each as PostgreSQL's arrays have it, and the one
/// that it is turned into.
const COLUMNS: [(&str, &str, &str); 28] = [
    ("id", "uuid", ""),
    ("user_id", "text", ""),
    ("request_id", "text", ""),
    ("endpoint", "text", ""),
    ("method", "text", ""),
    ("error_code", "text", ""),
    ("error_message", "text", ""),
    ("error_stack", "text", ""),
    ("severity", "text", "::error_severity"),
    ("category", "text", "::error_category"),
    ("status_code", "int4", ""),
    ("request_headers", "text", "::jsonb"),
    ("external_service", "text", ""),
    ("external_error_code", "text", ""),
    ("external_error_message", "text", ""),
    ("context", "text", "::jsonb"),
    ("tags", "text", "::jsonb"),
    ("ip_address", "text", ""),
    ("user_agent", "text", ""),
    ("created_at", "timestamptz", ""),
    ("service_name", "text", ""),
    ("service_version", "text", ""),
    ("environment", "text", ""),
    ("trace_id", "text", ""),
    ("span_id", "text", ""),
    ("fingerprint", "text", ""),
    ("aggregation_id", "uuid", ""),
    ("received_at", "timestamptz", ""),
];

/// A row in the types of a driver.
#[derive(Clone)]
pub struct Row {
    id: Uuid,
    user_id: Option<String>,
    request_id: Option<String>,
    endpoint: String,
    method: String,
    error_code: Option<String>,
    error_message: String,
    error_stack: Option<String>,
    severity: &'static str,
    category: &'static str,
    status_code: Option<i32>,
    request_headers: Option<String>,
    external_service: Option<String>,
    external_error_code: Option<String>,
    external_error_message: Option<String>,
    context: String,
    tags: String,
    ip_address: Option<String>,
    user_agent: Option<String>,
    created_at: DateTime<Utc>,
    service_name: String,
    service_version: Option<String>,
    environment: String,
    trace_id: String,
    span_id: Option<String>,
    fingerprint: String,
    aggregation_id: Uuid,
    received_at: DateTime<Utc>,
}

impl Row {
    /// The same values as a row that redspan has stored.
    pub fn of(row: &ApiError) -> Self {
        let context = serde_json::Value::Object(row.context.clone());
        let tags = serde_json::json!(row.tags);
        Self {
            id: row.id.0,
            user_id: row.user_id.clone(),
            request_id: row.request_id.clone(),
            endpoint: row.endpoint.clone(),
            method: row.method.clone(),
            error_code: row.error_code.clone(),
            error_message: row.error_message.clone(),
            error_stack: row.error_stack.clone(),
            severity: row.severity.as_str(),
            category: row.category.as_str(),
            status_code: row.status_code,
            request_headers: row.request_headers.as_ref().map(ToString::to_string),
            external_service: row.external_service.clone(),
            external_error_code: row.external_error_code.clone(),
            external_error_message: row.external_error_message.clone(),
            context: context.to_string(),
            tags: tags.to_string(),
            ip_address: row.ip_address.clone(),
            user_agent: row.user_agent.clone(),
            created_at: row.created_at.to_datetime(),
            service_name: row.service_name.clone(),
            service_version: row.service_version.clone(),
            environment: row.environment.clone(),
            trace_id: row.trace_id.map_or_else(String::new, |id| id.to_string()),
            span_id: row.span_id.map(|id| id.to_string()),
            fingerprint: row.fingerprint.0.clone(),
            aggregation_id: row.aggregation_id.0,
            received_at: row.received_at.to_datetime(),
        }
    }
}

impl Row {
    /// The name of the row.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The same row under another name, of another trace.
    pub fn renamed(&self, id: Uuid, trace_id: String) -> Self {
        Self {
            id,
            trace_id,
            ..self.clone()
        }
    }
}

/// A connection that inserts rows.
pub enum Bare {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Bare {
    /// Connects to a database that has the schema; on PostgreSQL to the one that the role's
    /// search path names.
    pub async fn open(url: &str) -> Self {
        let Some(path) = url.strip_prefix("sqlite://") else {
            let connection = PgConnection::connect(url).await;
            return Self::Postgres(connection.expect("the server answers"));
        };
        // The settings under which redspan writes.
        let connection = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(Duration::from_secs(2))
            .page_size(16_384)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("wal_autocheckpoint", "4000")
            .pragma("journal_size_limit", "67108864")
            .pragma("cache_size", "-16384")
            .pragma("temp_store", "MEMORY")
            .disable_statement_logging()
            .connect()
            .await;
        Self::Sqlite(connection.expect("the file opens"))
    }

    /// One transaction.
    pub async fn insert(&mut self, rows: &[Row]) {
        match self {
            Self::Sqlite(connection) => insert_values(connection, rows).await,
            Self::Postgres(connection) => insert_arrays(connection, rows).await,
        }
        .expect("rows are inserted");
    }
}

fn names() -> String {
    COLUMNS.map(|(name, ..)| name).join(", ")
}

async fn insert_values(connection: &mut SqliteConnection, rows: &[Row]) -> Result<(), sqlx::Error> {
    let tuple = format!("({})", vec!["?"; COLUMNS.len()].join(", "));
    let statement = |rows: usize| {
        let values = vec![tuple.as_str(); rows].join(", ");
        format!("INSERT INTO api_errors ({}) VALUES {values}", names())
    };
    let whole = statement(ROWS_OF_VALUES);
    let mut transaction = connection.begin().await?;
    for piece in rows.chunks(ROWS_OF_VALUES) {
        let sql = if piece.len() == ROWS_OF_VALUES {
            whole.clone()
        } else {
            statement(piece.len())
        };
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for row in piece {
            query = query
                .bind(row.id.to_string())
                .bind(row.user_id.as_deref())
                .bind(row.request_id.as_deref())
                .bind(row.endpoint.as_str())
                .bind(row.method.as_str())
                .bind(row.error_code.as_deref())
                .bind(row.error_message.as_str())
                .bind(row.error_stack.as_deref())
                .bind(row.severity)
                .bind(row.category)
                .bind(row.status_code)
                .bind(row.request_headers.as_deref())
                .bind(row.external_service.as_deref())
                .bind(row.external_error_code.as_deref())
                .bind(row.external_error_message.as_deref())
                .bind(row.context.as_str())
                .bind(row.tags.as_str())
                .bind(row.ip_address.as_deref())
                .bind(row.user_agent.as_deref())
                .bind(row.created_at.timestamp_micros())
                .bind(row.service_name.as_str())
                .bind(row.service_version.as_deref())
                .bind(row.environment.as_str())
                .bind(row.trace_id.as_str())
                .bind(row.span_id.as_deref())
                .bind(row.fingerprint.as_str())
                .bind(row.aggregation_id.to_string())
                .bind(row.received_at.timestamp_micros());
        }
        query.execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

async fn insert_arrays(connection: &mut PgConnection, rows: &[Row]) -> Result<(), sqlx::Error> {
    fn column<'a, T>(rows: &'a [Row], value: impl Fn(&'a Row) -> T) -> Vec<T> {
        rows.iter().map(value).collect()
    }
    let arrays = COLUMNS
        .iter()
        .zip(1..)
        .map(|((_, array, _), number)| format!("${number}::{array}[]"));
    let sql = format!(
        "INSERT INTO api_errors ({names}) SELECT {values} FROM UNNEST({arrays}) AS new ({names})",
        names = names(),
        values = COLUMNS
            .map(|(name, _, cast)| format!("{name}{cast}"))
            .join(", "),
        arrays = arrays.collect::<Vec<_>>().join(", "),
    );
    let mut transaction = connection.begin().await?;
    sqlx::query(AssertSqlSafe(sql))
        .bind(column(rows, |row| row.id))
        .bind(column(rows, |row| row.user_id.as_deref()))
        .bind(column(rows, |row| row.request_id.as_deref()))
        .bind(column(rows, |row| row.endpoint.as_str()))
        .bind(column(rows, |row| row.method.as_str()))
        .bind(column(rows, |row| row.error_code.as_deref()))
        .bind(column(rows, |row| row.error_message.as_str()))
        .bind(column(rows, |row| row.error_stack.as_deref()))
        .bind(column(rows, |row| row.severity))
        .bind(column(rows, |row| row.category))
        .bind(column(rows, |row| row.status_code))
        .bind(column(rows, |row| row.request_headers.as_deref()))
        .bind(column(rows, |row| row.external_service.as_deref()))
        .bind(column(rows, |row| row.external_error_code.as_deref()))
        .bind(column(rows, |row| row.external_error_message.as_deref()))
        .bind(column(rows, |row| row.context.as_str()))
        .bind(column(rows, |row| row.tags.as_str()))
        .bind(column(rows, |row| row.ip_address.as_deref()))
        .bind(column(rows, |row| row.user_agent.as_deref()))
        .bind(column(rows, |row| row.created_at))
        .bind(column(rows, |row| row.service_name.as_str()))
        .bind(column(rows, |row| row.service_version.as_deref()))
        .bind(column(rows, |row| row.environment.as_str()))
        .bind(column(rows, |row| row.trace_id.as_str()))
        .bind(column(rows, |row| row.span_id.as_deref()))
        .bind(column(rows, |row| row.fingerprint.as_str()))
        .bind(column(rows, |row| row.aggregation_id))
        .bind(column(rows, |row| row.received_at))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}
