//! The hand-written layer's database, in one state, row by row. Each row comes as JSON, which makes
//! nothing of the types that the layer chose for its columns.

use futures_util::stream::BoxStream;
use sqlx::{Connection, Executor, PgConnection};

/// A table of the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Table {
    Errors,
    Hours,
    Pipelines,
}

impl Table {
    const fn name(self) -> &'static str {
        match self {
            Self::Errors => "api_errors",
            Self::Hours => "error_aggregations",
            Self::Pipelines => "generation_pipelines",
        }
    }

    const fn rows(self) -> &'static str {
        match self {
            Self::Errors => "SELECT CAST(to_jsonb(api_errors) AS TEXT) FROM api_errors",
            Self::Hours => {
                "SELECT CAST(to_jsonb(error_aggregations) AS TEXT) FROM error_aggregations"
            }
            Self::Pipelines => {
                "SELECT CAST(to_jsonb(runs) || jsonb_build_object('stages', COALESCE( \
                     (SELECT jsonb_agg(to_jsonb(stages) ORDER BY stages.stage_order) \
                      FROM pipeline_stages AS stages WHERE stages.pipeline_id = runs.id), \
                     CAST('[]' AS JSONB))) AS TEXT) \
                 FROM generation_pipelines AS runs"
            }
        }
    }
}

/// A connection to the hand-written layer's database.
#[derive(Debug)]
pub struct Source {
    connection: PgConnection,
}

impl Source {
    /// Connects; everything that is read from now on is of this moment.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn open(url: &str) -> Result<Self, sqlx::Error> {
        let mut connection = PgConnection::connect(url).await?;
        // Whatever limit the role has: reading takes as long as writing does.
        connection
            .execute(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
                 SET LOCAL statement_timeout = 0; \
                 SET LOCAL idle_in_transaction_session_timeout = 0; \
                 SET LOCAL TIME ZONE 'UTC'",
            )
            .await?;
        Ok(Self { connection })
    }

    /// Whether the layer had this table.
    pub(super) async fn has(&mut self, table: Table) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(table.name())
            .fetch_one(&mut self.connection)
            .await
    }

    /// Every row, a JSON object.
    pub(super) fn rows(&mut self, table: Table) -> BoxStream<'_, Result<String, sqlx::Error>> {
        sqlx::query_scalar(table.rows()).fetch(&mut self.connection)
    }

    /// Ends the connection.
    pub async fn close(self) {
        // Nothing was changed, so nothing depends on how it ends.
        drop(self.connection.close().await);
    }
}
