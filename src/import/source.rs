//! The hand-written layer's database, in one state, row by row. Each row comes as JSON, which makes
//! nothing of the types that the layer chose for its columns.

use std::{collections::BTreeMap, io, str::FromStr, time::Duration};

use futures_util::stream::BoxStream;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, postgres::PgConnectOptions};

use crate::{
    domain::NameHasher,
    store::{postgres::reach::with_place, without_secrets},
};

use super::ImportError;

/// A table of the source.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Table {
    Errors,
    Hours,
    Pipelines,
    Stages,
}

impl Table {
    const ALL: [Self; 4] = [Self::Errors, Self::Hours, Self::Pipelines, Self::Stages];

    const fn name(self) -> &'static str {
        match self {
            Self::Errors => "api_errors",
            Self::Hours => "error_aggregations",
            Self::Pipelines => "generation_pipelines",
            Self::Stages => "pipeline_stages",
        }
    }
}

/// A connection to the hand-written layer's database.
#[derive(Debug)]
pub struct Source {
    connection: PgConnection,
    place: String,
    /// The tables that are there, each with its schema's number.
    tables: BTreeMap<Table, i64>,
}

impl Source {
    /// Connects, and looks where the tables are; everything that is read from now on is of this
    /// moment.
    ///
    /// # Errors
    /// When the server cannot be reached in time, or has no tables of a layer that may be read.
    pub async fn open(url: &str, connect_timeout: Duration) -> Result<Self, ImportError> {
        // Its statements last as long as the import, and none of them is slow for that.
        let options = PgConnectOptions::from_str(url)
            .map_err(ImportError::Url)?
            .disable_statement_logging();
        let mut connection = tokio::time::timeout(connect_timeout, options.connect())
            .await
            .unwrap_or_else(|_| {
                let late = io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
                Err(sqlx::Error::Io(late))
            })
            .map_err(|error| ImportError::unopened(with_place(error, &options)))?;
        // Whatever limit the role has: reading takes as long as writing does.
        connection
            .execute(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
                 SET LOCAL statement_timeout = 0; \
                 SET LOCAL idle_in_transaction_session_timeout = 0; \
                 SET LOCAL TIME ZONE 'UTC'",
            )
            .await?;
        let mut tables = BTreeMap::new();
        let (mut unreadable, mut reader) = (Vec::new(), String::new());
        for table in Table::ALL {
            if let Some(found) = find(&mut connection, table).await? {
                tables.insert(table, found.schema_id);
                if !found.is_readable {
                    unreadable.push(found.name);
                }
                reader = found.role;
            }
        }
        if tables.keys().all(|table| *table == Table::Stages) {
            return Err(ImportError::NoTables);
        }
        if !unreadable.is_empty() {
            return Err(ImportError::Unreadable {
                role: reader,
                tables: unreadable.join(", "),
            });
        }
        Ok(Self {
            connection,
            place: without_secrets(url),
            tables,
        })
    }

    /// Where it is, without secrets.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// The tables that the layer does not have.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let missing = Table::ALL.into_iter().filter(|table| !self.has(*table));
        missing.map(Table::name).collect()
    }

    /// Whether the layer has this table.
    pub(super) fn has(&self, table: Table) -> bool {
        self.tables.contains_key(&table)
    }

    /// Begins the names of what only this layer can tell apart: the same wherever its server is
    /// reached, and another for every other.
    pub(super) async fn name(&mut self, kind: &str) -> Result<NameHasher, ImportError> {
        const SQL: &str = "SELECT system_identifier, CAST(pg_database.oid AS BIGINT) \
            FROM pg_control_system(), pg_database WHERE datname = current_database()";
        let (server, database): (i64, i64) =
            sqlx::query_as(SQL).fetch_one(&mut self.connection).await?;
        let schema = self.tables.values().next().copied().unwrap_or_default();
        let mut name = NameHasher::new(kind);
        for part in [server, database, schema] {
            name.field(&part.to_le_bytes());
        }
        Ok(name)
    }

    /// Every row of `api_errors`, a JSON object.
    pub(super) fn errors(&mut self) -> Rows<'_> {
        self.rows("SELECT CAST(to_jsonb(api_errors) AS TEXT) FROM api_errors")
    }

    /// Every row of `error_aggregations`.
    pub(super) fn hours(&mut self) -> Rows<'_> {
        self.rows("SELECT CAST(to_jsonb(error_aggregations) AS TEXT) FROM error_aggregations")
    }

    /// Every row of `generation_pipelines`, with its stages.
    pub(super) fn pipelines(&mut self) -> Rows<'_> {
        if !self.has(Table::Stages) {
            return self.rows(
                "SELECT CAST(to_jsonb(runs) || '{\"stages\": []}' AS TEXT) \
                 FROM generation_pipelines AS runs",
            );
        }
        self.rows(
            "SELECT CAST(to_jsonb(runs) || jsonb_build_object('stages', COALESCE( \
                 (SELECT jsonb_agg(to_jsonb(stages) ORDER BY stages.stage_order) \
                  FROM pipeline_stages AS stages WHERE stages.pipeline_id = runs.id), \
                 CAST('[]' AS JSONB))) AS TEXT) \
             FROM generation_pipelines AS runs",
        )
    }

    fn rows(&mut self, sql: &'static str) -> Rows<'_> {
        sqlx::query_scalar(sql).fetch(&mut self.connection)
    }

    /// Ends the connection.
    pub async fn close(self) {
        // Nothing was changed, so nothing depends on how it ends.
        drop(self.connection.close().await);
    }
}

/// A table of the layer. Names are quoted where they need it.
#[derive(sqlx::FromRow)]
struct Found {
    /// The number of its schema.
    schema_id: i64,
    schema: String,
    /// Its name, after that of its schema.
    name: String,
    /// Whether redspan's own tables are in its schema.
    is_own: bool,
    /// Who asks.
    role: String,
    is_readable: bool,
}

/// Looks for the table. Its name has no schema, so whatever comes first in the search path is
/// found: for a role with redspan's name that is redspan's own.
async fn find(connection: &mut PgConnection, table: Table) -> Result<Option<Found>, ImportError> {
    const SQL: &str = "SELECT CAST(namespaces.oid AS BIGINT) AS schema_id, \
            CAST(namespaces.nspname AS TEXT) AS schema, \
            quote_ident(namespaces.nspname) || '.' || quote_ident(tables.relname) AS name, \
            EXISTS (SELECT 1 FROM pg_class \
                WHERE relnamespace = namespaces.oid AND relname = 'request_ledger') AS is_own, \
            quote_ident(current_user) AS role, \
            has_table_privilege(tables.oid, 'SELECT') AS is_readable \
        FROM pg_class AS tables \
        JOIN pg_namespace AS namespaces ON namespaces.oid = tables.relnamespace \
        WHERE tables.oid = to_regclass($1)";
    let found: Option<Found> = sqlx::query_as(SQL)
        .bind(table.name())
        .fetch_optional(connection)
        .await?;
    match found {
        Some(Found { is_own, schema, .. }) if is_own => Err(ImportError::OwnTables {
            table: table.name(),
            schema,
        }),
        found => Ok(found),
    }
}

/// Rows, each a JSON object.
pub(super) type Rows<'s> = BoxStream<'s, Result<String, sqlx::Error>>;
