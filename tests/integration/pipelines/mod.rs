//! Runs of pipelines on both databases. Edits are made on the store's own writing connection at
//! times that a test says; that the program's writer makes them too is shown once.

mod changes;
mod figures;
mod filters;
mod pages;
mod purge;
mod random;
mod refused;
mod seen;
mod statistics;
mod terminal;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use redspan::{
    domain::{PipelineId, PipelineWithStages, Timestamp},
    store::{
        Created, GenerationPipelineRepository, Ingest, NewPipeline, NewStage, PageRequest,
        PipelineFilter, RepositoryError, SharedStore, StoreError, WriteError, connect,
        edit::{AnyEdit, Editor},
    },
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Column, Connection, Executor, PgConnection, Row, SqliteConnection};
use tokio::sync::Mutex;

use crate::databases::{Database, Kind};

/// Noon of some day.
const NOON: Timestamp = Timestamp::from_micros(1_789_992_000_000_000);

/// Makes each edit in a transaction of its own, at the time that it is set to.
struct AtTime {
    connection: Mutex<Box<dyn Ingest>>,
    now_micros: AtomicI64,
}

impl AtTime {
    fn new(connection: Box<dyn Ingest>, now: Timestamp) -> Self {
        Self {
            connection: Mutex::new(connection),
            now_micros: AtomicI64::new(now.as_micros()),
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now_micros.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl Editor for AtTime {
    async fn edit(&self, edit: Arc<dyn AnyEdit>) -> Result<(), WriteError> {
        let mut connection = self.connection.lock().await;
        let now = self.now();
        match connection.edit(&[&*edit], now).await {
            Ok(_) => {
                connection.commit().await.unwrap();
                Ok(())
            }
            Err(refused @ StoreError::Refused { .. }) => {
                connection.rollback().await;
                Err(WriteError::Refused(refused.to_string()))
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// A database with a repository whose changes happen when a test says.
struct Runs {
    database: Database,
    store: SharedStore,
    editor: Arc<AtTime>,
    pipelines: GenerationPipelineRepository,
}

impl Runs {
    async fn new(database: Database) -> Self {
        let store = connect(&database.settings()).await.unwrap();
        let editor = Arc::new(AtTime::new(store.writer().await.unwrap(), NOON));
        Self {
            pipelines: GenerationPipelineRepository::new(
                Arc::clone(&store) as _,
                Arc::clone(&editor) as _,
            )
            .acting_as("ada"),
            database,
            store,
            editor,
        }
    }

    fn now(&self) -> Timestamp {
        self.editor.now()
    }

    /// Another process that changes the same runs.
    async fn another_replica(&self) -> AtTime {
        AtTime::new(self.store.writer().await.unwrap(), self.now())
    }

    /// From now on changes happen so many seconds later.
    fn pass(&self, seconds: i64) {
        self.editor
            .now_micros
            .fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    async fn try_create(&self, new: NewPipeline) -> Result<Created, RepositoryError> {
        self.pipelines.create(new, self.now()).await
    }

    async fn create(&self, new: NewPipeline) -> PipelineWithStages {
        self.try_create(new).await.unwrap().pipeline
    }

    /// Every run with its stages, newest first, soft-deleted ones too.
    async fn all(&self) -> Vec<PipelineWithStages> {
        let everything = PipelineFilter {
            include_deleted: true,
            ..PipelineFilter::default()
        };
        let page = PageRequest::first(PageRequest::MAX_LIMIT);
        let page = self.pipelines.find_many(&everything, &page).await.unwrap();
        assert_eq!(page.next, None);
        let mut all = Vec::new();
        for run in page.items {
            let found = self.pipelines.find_with_stages(&run.id).await.unwrap();
            let found = found.unwrap();
            assert_eq!(found.pipeline, run);
            all.push(found);
        }
        all
    }

    /// All that the tables which runs concern hold, row for row.
    async fn dump(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for table in [
            "generation_pipelines",
            "pipeline_stages",
            "users",
            "assets",
            "audit_log",
        ] {
            let sql = format!("SELECT * FROM {table} ORDER BY id");
            rows.extend(self.rows(&sql).await);
        }
        rows
    }

    /// The rows that SQL by hand answers with, each as text.
    async fn rows(&self, sql: &str) -> Vec<String> {
        let url = &self.database.url;
        match self.database.kind {
            Kind::Sqlite => {
                let mut connection = SqliteConnection::connect(url).await.unwrap();
                let sql = AssertSqlSafe(sql.to_owned());
                let rows = connection.fetch_all(sql).await.unwrap();
                connection.close().await.unwrap();
                let text = |row: &sqlx::sqlite::SqliteRow| {
                    let columns = row.columns().iter().map(|column| {
                        let value: Option<String> =
                            row.try_get_unchecked(column.ordinal()).unwrap();
                        format!("{}={value:?}", column.name())
                    });
                    columns.collect::<Vec<_>>().join(" ")
                };
                rows.iter().map(text).collect()
            }
            Kind::Postgres => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                let path = format!("SET search_path = {}", self.database.schema);
                connection.execute(AssertSqlSafe(path)).await.unwrap();
                let sql = format!("SELECT CAST(row_to_json(rows) AS TEXT) FROM ({sql}) AS rows");
                let rows = sqlx::query_scalar(AssertSqlSafe(sql))
                    .fetch_all(&mut connection)
                    .await
                    .unwrap();
                connection.close().await.unwrap();
                rows
            }
        }
    }

    /// Runs SQL by hand.
    async fn by_hand(&self, sql: &str) {
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

    /// Closes the store; the database stays.
    async fn end(self) -> Database {
        drop((self.pipelines, self.editor));
        self.store.close().await;
        self.database
    }
}

fn id(text: &str) -> PipelineId {
    text.parse().unwrap()
}

/// A run with all that must be given.
fn new_run(id: &str) -> NewPipeline {
    NewPipeline {
        id: Some(id.to_owned()),
        config: json!({"type": "text-to-3d", "prompt": "a chair"}),
        ..NewPipeline::default()
    }
}

fn new_stage(name: &str) -> NewStage {
    NewStage {
        stage_name: name.to_owned(),
        ..NewStage::default()
    }
}
