//! The repositories on both databases, over the real writer.

mod changing;
mod commands;
mod filters;
mod gone_writers;
mod hostile;
mod logging;
mod mixed;
mod operators;
mod pages;
mod purging;
mod retention;
mod terminal;
mod verify;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use redspan::{
    commit::{
        CommitQueue, OpenTraceSet, Outcome, Work, Writer, WriterParts, WriterSettings,
        plan::{HourlyLabelSets, UserHasher},
    },
    detect::Findings,
    domain::{ApiError, EntrySpan, Hour, RequestDigest, Series, Timestamp},
    metrics::Metrics,
    store::{
        ApiErrorRepository, ErrorFilter, GenerationPipelineRepository, NewApiError, PageRequest,
        SharedStore, Verification, connect,
    },
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};
use tokio::{task::JoinHandle, time::timeout};

use crate::databases::{Database, Kind};

/// A store with the program's own writer behind a repository.
pub struct World {
    pub database: Database,
    pub store: SharedStore,
    pub errors: ApiErrorRepository,
    pub now: Timestamp,
    queue: CommitQueue,
    writer: JoinHandle<()>,
}

impl World {
    pub async fn new(database: Database) -> Self {
        Self::under(database, "here").await
    }

    /// The same with a writer of this name.
    pub async fn under(database: Database, name: &str) -> Self {
        let store = connect(&database.settings()).await.unwrap();
        let parts = WriterParts {
            store: Arc::clone(&store),
            metrics: Arc::new(Metrics::new(2_000)),
            open: Arc::new(OpenTraceSet::default()),
            users: UserHasher::new(store.user_hash_key()),
            error_labels: HourlyLabelSets::default(),
            request_labels: HourlyLabelSets::default(),
        };
        let settings = WriterSettings {
            name: name.to_owned(),
            queue_bytes: 64 << 20,
            attempt_timeout: None,
            answer_timeout: Duration::from_mins(1),
            ledger: Duration::from_hours(6),
        };
        let (writer, queue) = Writer::new(parts, settings);
        let writer = tokio::spawn(async move { writer.run().await.unwrap() });
        let reader: Arc<dyn redspan::store::Reader> = Arc::clone(&store) as _;
        Self {
            errors: ApiErrorRepository::new(reader, Arc::new(queue.clone())),
            database,
            store,
            now: redspan::clock::now(),
            queue,
            writer,
        }
    }

    /// A repository of runs through the same writer.
    pub fn pipelines(&self) -> GenerationPipelineRepository {
        let reader: Arc<dyn redspan::store::PipelineReader> = Arc::clone(&self.store) as _;
        GenerationPipelineRepository::new(reader, Arc::new(self.queue.clone()))
    }

    /// Logs errors and returns their rows.
    pub async fn log(&self, errors: Vec<NewApiError>) -> Vec<ApiError> {
        let logged = self.errors.log_errors(errors, self.now).await.unwrap();
        logged.into_iter().map(|logged| logged.error).collect()
    }

    /// Commits a request of telemetry with these entry spans: (endpoint, failed, nanoseconds).
    pub async fn requests(&self, entries: &[(&str, bool, u64)]) {
        let hour = Hour::containing(self.now);
        let mut findings = Findings {
            digest: Some(RequestDigest(uuid::Uuid::now_v7().into_bytes())),
            records: entries.len() as u64,
            ..Findings::default()
        };
        for (index, (endpoint, failed, duration_nanos)) in (0..).zip(entries) {
            findings.series.push(Series {
                service_name: "shop".to_owned(),
                environment: "test".to_owned(),
                endpoint: (*endpoint).to_owned(),
                method: "GET".to_owned(),
            });
            findings.entries.push(EntrySpan {
                key: uuid::Uuid::now_v7().as_u64_pair().1 ^ u64::from(index),
                series: index,
                hour,
                duration_nanos: *duration_nanos,
                failed: *failed,
                stands_for: 1.0,
            });
        }
        let outcome = self.submit(Work::Telemetry(findings)).await;
        assert!(matches!(outcome, Outcome::Committed(_)));
    }

    /// Commits some work; what became of it.
    pub async fn submit(&self, work: Work) -> Outcome {
        self.queue.submit(work).unwrap().await.unwrap()
    }

    /// All that match, with filters too that a repository refuses without a time.
    pub async fn all(&self, filter: &ErrorFilter) -> Vec<ApiError> {
        let page = PageRequest::first(PageRequest::MAX_LIMIT);
        let page = self.store.get_errors(filter, &page).await.unwrap();
        assert_eq!(page.next, None);
        page.items
    }

    pub async fn verify(&self) -> Verification {
        let found = self.errors.verify_aggregations(None, None, self.now).await;
        found.unwrap()
    }

    /// Runs SQL by hand, on a connection of its own.
    pub async fn by_hand(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self.database.kind {
            Kind::Sqlite => {
                let mut connection = SqliteConnection::connect(&self.database.url).await.unwrap();
                connection.execute(sql).await.unwrap();
                connection.close().await.unwrap();
            }
            Kind::Postgres => {
                let mut connection = PgConnection::connect(&self.database.url).await.unwrap();
                let path = format!("SET search_path = {}", self.database.schema);
                connection.execute(AssertSqlSafe(path)).await.unwrap();
                connection.execute(sql).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    /// The one text column of every row that a question by hand finds, in order.
    pub async fn rows(&self, sql: &str) -> Vec<String> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self.database.kind {
            Kind::Sqlite => {
                let mut connection = SqliteConnection::connect(&self.database.url).await.unwrap();
                let rows = sqlx::query_scalar(sql).fetch_all(&mut connection).await;
                connection.close().await.unwrap();
                rows.unwrap()
            }
            Kind::Postgres => {
                let mut connection = PgConnection::connect(&self.database.url).await.unwrap();
                let path = format!("SET search_path = {}", self.database.schema);
                connection.execute(AssertSqlSafe(path)).await.unwrap();
                let rows = sqlx::query_scalar(sql).fetch_all(&mut connection).await;
                connection.close().await.unwrap();
                rows.unwrap()
            }
        }
    }

    /// Every table with its columns.
    pub async fn text_columns(&self) -> BTreeMap<String, Vec<String>> {
        let names = match self.database.kind {
            Kind::Sqlite => {
                "SELECT tables.name || ' ' || columns.name FROM sqlite_master AS tables, \
                pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'"
                    .to_owned()
            }
            Kind::Postgres => format!(
                "SELECT table_name || ' ' || column_name FROM information_schema.columns \
                 WHERE table_schema = '{}'",
                self.database.schema
            ),
        };
        let mut columns = BTreeMap::<String, Vec<String>>::new();
        for name in self.rows(&names).await {
            let (table, column) = name.split_once(' ').unwrap();
            columns
                .entry(table.to_owned())
                .or_default()
                .push(column.to_owned());
        }
        columns
    }

    /// Takes every row out of every table, but for the schema's own and what the database is called by.
    pub async fn empty(&self) {
        let mut tables = self.text_columns().await;
        tables.retain(|table, _| table != "settings" && table != "_sqlx_migrations");
        let tables: Vec<String> = tables.into_keys().collect();
        let sql = match self.database.kind {
            Kind::Sqlite => format!("DELETE FROM {}", tables.join("; DELETE FROM ")),
            Kind::Postgres => format!("TRUNCATE {}", tables.join(", ")),
        };
        self.by_hand(&sql).await;
    }

    /// Stops the writer and closes the store; the database stays.
    pub async fn end(self) -> Database {
        drop((self.errors, self.queue));
        let ended = timeout(Duration::from_mins(1), self.writer).await;
        ended.expect("something still holds the queue").unwrap();
        self.store.close().await;
        drop(self.store);
        self.database.wait_for_lock();
        self.database
    }
}

/// An error with all that must be given.
pub fn new_error() -> NewApiError {
    NewApiError {
        endpoint: "/orders/{id}".to_owned(),
        method: "GET".to_owned(),
        error_message: "no such order".to_owned(),
        ..NewApiError::default()
    }
}

/// Newest first, as every list is.
pub fn newest_first(mut rows: Vec<ApiError>) -> Vec<ApiError> {
    rows.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.id)));
    rows
}
