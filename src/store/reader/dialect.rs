//! What reading needs of a database beside the SQL that both share: values in and out, snapshots,
//! and the two or three words that differ.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use futures_util::TryStreamExt;
use sqlx::{
    Arguments, AssertSqlSafe, Database, Decode, Encode, Pool, Postgres, Row, Sqlite, Transaction,
    Type, error::BoxDynError,
};

/// How long a page's statement may take.
const PAGE_TIME: Duration = Duration::from_secs(3);

/// SQLite asks whether to go on every so many instructions of its machine: about once a millisecond.
const INSTRUCTIONS_BETWEEN_CHECKS: i32 = 50_000;

/// A value that both databases can store.
pub trait Stored:
    Send
    + for<'q> Encode<'q, Sqlite>
    + for<'q> Encode<'q, Postgres>
    + for<'r> Decode<'r, Sqlite>
    + for<'r> Decode<'r, Postgres>
    + Type<Sqlite>
    + Type<Postgres>
{
}

impl<T> Stored for T where
    T: Send
        + for<'q> Encode<'q, Sqlite>
        + for<'q> Encode<'q, Postgres>
        + for<'r> Decode<'r, Sqlite>
        + for<'r> Decode<'r, Postgres>
        + Type<Sqlite>
        + Type<Postgres>
{
}

/// How long a read may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// Three seconds a statement: somebody waits for the page.
    Page,
    /// As long as it takes.
    None,
    /// Whatever was set on the connection by whoever made it.
    Unchanged,
}

/// One database's way of reading.
pub trait Dialect: Database {
    /// Whether statements are prepared under a name and kept: a pooler in transaction mode does
    /// not bear that.
    const NAMED_STATEMENTS: bool;

    /// SQL around a bound string that is true when `tags` holds it.
    const HAS_TAG: [&'static str; 2];

    /// SQL around a bound word that makes it a severity. The parameter itself stays text: the
    /// driver would look the type of any other up, which unnamed statements do not survive.
    const SEVERITY: [&'static str; 2];

    /// The same for a category.
    const CATEGORY: [&'static str; 2];

    /// The same for the status of a run.
    const PIPELINE_STATUS: [&'static str; 2];

    /// The same for the status of a stage.
    const STAGE_STATUS: [&'static str; 2];

    /// SQL for how many microseconds a run or a stage took.
    const RUN_MICROS: &'static str;

    /// SQL for the hour in which an error happened.
    const CREATED_HOUR: &'static str;

    /// Before a column that is compared, to say that its index is not the one to use. SQLite keeps
    /// no statistics that would tell.
    const NOT_BY_INDEX: &'static str;

    /// Whether each part of a UNION ALL must say its own order and limit, so that the whole is read
    /// in order from the parts, as far as it goes. PostgreSQL else sorts all of it; SQLite then would.
    const BOUNDS_PARTS: bool;

    /// Sorts text by its bytes, whatever the database's locale.
    const BY_BYTES: &'static str;

    /// What ends a SELECT whose rows nobody else is to change before the transaction ends; empty
    /// where only one transaction writes at a time.
    const FOR_UPDATE: &'static str;

    /// The same, of those alone that nobody else changes right now.
    const FOR_UPDATE_SKIP_LOCKED: &'static str;

    /// An hour, to be added to a time.
    const ONE_HOUR: &'static str;

    /// The database's own clock.
    const NOW: &'static str;

    /// SQL around a bound number of seconds that is the time so long after now.
    const SECONDS_FROM_NOW: [&'static str; 2];

    /// Binds a value after those that are bound already.
    ///
    /// # Errors
    /// When the value has no form in this database.
    fn bind<T: Stored>(arguments: &mut Self::Arguments, value: T) -> Result<(), BoxDynError>;

    /// A column of a row.
    ///
    /// # Errors
    /// When it is not there, or holds something else.
    fn get<T: Stored>(row: &Self::Row, column: &str) -> Result<T, sqlx::Error>;

    /// A transaction whose statements all see the same state.
    fn snapshot(
        pool: &Pool<Self>,
        limit: Limit,
    ) -> impl Future<Output = Result<Transaction<'static, Self>, sqlx::Error>> + Send;

    /// Hands every row of the answer to `each`, in order.
    fn for_each<F>(
        connection: &mut Self::Connection,
        sql: String,
        arguments: Self::Arguments,
        each: F,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send
    where
        F: FnMut(Self::Row) -> Result<(), sqlx::Error> + Send;

    /// Runs a statement; gives how many rows it changed.
    fn execute(
        connection: &mut Self::Connection,
        sql: String,
        arguments: Self::Arguments,
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;
}

macro_rules! values_and_rows {
    () => {
        fn bind<T: Stored>(arguments: &mut Self::Arguments, value: T) -> Result<(), BoxDynError> {
            arguments.add(value)
        }

        fn get<T: Stored>(row: &Self::Row, column: &str) -> Result<T, sqlx::Error> {
            row.try_get(column)
        }

        async fn for_each<F>(
            connection: &mut Self::Connection,
            sql: String,
            arguments: Self::Arguments,
            mut each: F,
        ) -> Result<(), sqlx::Error>
        where
            F: FnMut(Self::Row) -> Result<(), sqlx::Error> + Send,
        {
            // Safe: a `Statement` is made of texts of the program and of bound values only.
            let mut rows = sqlx::query_with(AssertSqlSafe(sql), arguments)
                .persistent(Self::NAMED_STATEMENTS)
                .fetch(connection);
            while let Some(row) = rows.try_next().await? {
                each(row)?;
            }
            Ok(())
        }

        async fn execute(
            connection: &mut Self::Connection,
            sql: String,
            arguments: Self::Arguments,
        ) -> Result<u64, sqlx::Error> {
            // Safe, as above.
            let done = sqlx::query_with(AssertSqlSafe(sql), arguments)
                .persistent(Self::NAMED_STATEMENTS)
                .execute(connection)
                .await?;
            Ok(done.rows_affected())
        }
    };
}

impl Dialect for Sqlite {
    const NAMED_STATEMENTS: bool = true;
    const HAS_TAG: [&'static str; 2] = [
        "EXISTS (SELECT 1 FROM json_each(api_errors.tags) WHERE json_each.value = ",
        ")",
    ];
    const SEVERITY: [&'static str; 2] = ["", ""];
    const CATEGORY: [&'static str; 2] = ["", ""];
    const PIPELINE_STATUS: [&'static str; 2] = ["", ""];
    const STAGE_STATUS: [&'static str; 2] = ["", ""];
    const RUN_MICROS: &'static str = "completed_at - started_at";
    // The remainder of a time before 1970 is negative.
    const CREATED_HOUR: &'static str =
        "created_at - (created_at % 3600000000 + 3600000000) % 3600000000";
    const NOT_BY_INDEX: &'static str = "+";
    const BOUNDS_PARTS: bool = false;
    // The only way that SQLite's columns are sorted here; said once more, it would keep an index from
    // being used.
    const BY_BYTES: &'static str = "";
    const FOR_UPDATE: &'static str = "";
    const FOR_UPDATE_SKIP_LOCKED: &'static str = "";
    const ONE_HOUR: &'static str = "3600000000";
    const NOW: &'static str = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)";
    const SECONDS_FROM_NOW: [&'static str; 2] =
        ["CAST((unixepoch('subsec') + ", ") * 1000000 AS INTEGER)"];

    values_and_rows!();

    async fn snapshot(
        pool: &Pool<Self>,
        limit: Limit,
    ) -> Result<Transaction<'static, Self>, sqlx::Error> {
        let mut transaction = pool.begin().await?;
        let mut handle = transaction.lock_handle().await?;
        match limit {
            Limit::Page => {
                let deadline = Instant::now() + PAGE_TIME;
                handle.set_progress_handler(INSTRUCTIONS_BETWEEN_CHECKS, move || {
                    Instant::now() < deadline
                });
            }
            Limit::None => handle.remove_progress_handler(),
            Limit::Unchanged => {}
        }
        drop(handle);
        Ok(transaction)
    }
}

impl Dialect for Postgres {
    const NAMED_STATEMENTS: bool = false;
    const HAS_TAG: [&'static str; 2] = ["tags @> jsonb_build_array(CAST(", " AS TEXT))"];
    const SEVERITY: [&'static str; 2] = ["CAST(CAST(", " AS TEXT) AS error_severity)"];
    const CATEGORY: [&'static str; 2] = ["CAST(CAST(", " AS TEXT) AS error_category)"];
    const PIPELINE_STATUS: [&'static str; 2] = ["CAST(CAST(", " AS TEXT) AS pipeline_status)"];
    const STAGE_STATUS: [&'static str; 2] = ["CAST(CAST(", " AS TEXT) AS stage_status)"];
    const RUN_MICROS: &'static str =
        "CAST(extract(epoch FROM completed_at - started_at) * 1000000 AS BIGINT)";
    const CREATED_HOUR: &'static str = "date_trunc('hour', created_at, 'UTC')";
    const NOT_BY_INDEX: &'static str = "";
    const BOUNDS_PARTS: bool = true;
    const BY_BYTES: &'static str = "COLLATE \"C\"";
    const FOR_UPDATE: &'static str = " FOR UPDATE";
    const FOR_UPDATE_SKIP_LOCKED: &'static str = " FOR UPDATE SKIP LOCKED";
    const ONE_HOUR: &'static str = "INTERVAL '1 hour'";
    const NOW: &'static str = "now()";
    const SECONDS_FROM_NOW: [&'static str; 2] = ["now() + ", " * INTERVAL '1 second'"];

    values_and_rows!();

    async fn snapshot(
        pool: &Pool<Self>,
        limit: Limit,
    ) -> Result<Transaction<'static, Self>, sqlx::Error> {
        pool.begin_with(match limit {
            Limit::Page => {
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
                 SET LOCAL statement_timeout = '3s'"
            }
            Limit::None => {
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
                 SET LOCAL statement_timeout = 0"
            }
            Limit::Unchanged => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        })
        .await
    }
}
