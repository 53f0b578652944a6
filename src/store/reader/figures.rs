//! Figures over the errors that match a filter, counted by the database.

use sqlx::Transaction;

use crate::{
    domain::{Category, Severity},
    store::{EndpointErrors, ErrorFilter, ErrorStats, HourErrors, StoreError},
};

use super::{
    SqlReader,
    dialect::{Dialect, Limit},
    end,
    matching::matching,
    statement::Statement,
};

const DURING: &str = "reading figures over errors";

/// Hours that are counted at most: more than a year.
const MAX_HOURS: i64 = 10_000;

impl<DB: Dialect> SqlReader<DB> {
    /// See [`crate::store::Reader::get_error_stats`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn get_error_stats(&self, filter: &ErrorFilter) -> Result<ErrorStats, StoreError> {
        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let stats = stats(&mut snapshot, filter)
            .await
            .map_err(|error| StoreError::of(DURING, error))?;
        end(snapshot).await;
        Ok(stats)
    }

    /// See [`crate::store::Reader::get_error_stats_by_hour`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn get_error_stats_by_hour(
        &self,
        filter: &ErrorFilter,
    ) -> Result<(ErrorStats, Vec<HourErrors>), StoreError> {
        let failed = |error| StoreError::of(DURING, error);
        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let stats = stats(&mut snapshot, filter).await.map_err(failed)?;
        let hours = hours(&mut snapshot, filter).await.map_err(failed)?;
        end(snapshot).await;
        Ok((stats, hours))
    }
}

async fn stats<DB: Dialect>(
    snapshot: &mut Transaction<'static, DB>,
    filter: &ErrorFilter,
) -> Result<ErrorStats, sqlx::Error> {
    // Counted one by one, not grouped: SQLite would sort all of them, which takes three times as long.
    let mut kinds = Statement::<DB>::new(
        "SELECT COUNT(*) AS errors, COUNT(CASE WHEN resolved THEN 1 END) AS resolved",
    );
    for severity in Severity::ALL {
        count_word(&mut kinds, "severity", severity.as_str());
    }
    for category in Category::ALL {
        count_word(&mut kinds, "category", category.as_str());
    }
    kinds.push(" FROM api_errors");
    matching(&mut kinds, filter);

    // By an expression, not by the column: in the order of its index SQLite would fetch row by row
    // from all over the file, which takes four times as long.
    let mut endpoints = Statement::<DB>::new(
        "SELECT endpoint, COUNT(*) AS errors \
         FROM (SELECT CAST(endpoint AS TEXT) AS endpoint FROM api_errors",
    );
    matching(&mut endpoints, filter);
    endpoints
        .push(") AS found GROUP BY endpoint ORDER BY errors DESC, endpoint ")
        .push(DB::BY_BYTES)
        .push(" LIMIT 10");

    // What COUNT(DISTINCT …) counts, which PostgreSQL sorts for, in one process.
    let mut users = Statement::<DB>::new(
        "SELECT COUNT(user_id) AS users \
         FROM (SELECT DISTINCT CAST(user_id AS TEXT) AS user_id FROM api_errors",
    );
    matching(&mut users, filter);
    users.push(") AS found");

    let mut stats = ErrorStats::default();
    kinds
        .for_each(snapshot, |row| {
            stats.total = DB::get(&row, "errors")?;
            stats.resolved = DB::get(&row, "resolved")?;
            stats.unresolved = stats.total - stats.resolved;
            let count = |column: &str, word: &str| -> Result<i64, sqlx::Error> {
                DB::get(&row, &[column, "_", word].concat())
            };
            for severity in Severity::ALL {
                stats
                    .by_severity
                    .insert(*severity, count("severity", severity.as_str())?);
            }
            for category in Category::ALL {
                stats
                    .by_category
                    .insert(*category, count("category", category.as_str())?);
            }
            Ok(())
        })
        .await?;
    stats.by_severity.retain(|_, errors| *errors > 0);
    stats.by_category.retain(|_, errors| *errors > 0);
    stats.top_endpoints = endpoints
        .all(snapshot, |row| {
            Ok(EndpointErrors {
                endpoint: DB::get(row, "endpoint")?,
                errors: DB::get(row, "errors")?,
            })
        })
        .await?;
    users
        .for_each(snapshot, |row| {
            stats.unique_users = DB::get(&row, "users")?;
            Ok(())
        })
        .await?;
    Ok(stats)
}

/// Adds a column `severity_error` with the number of errors that have this word there.
fn count_word<DB: Dialect>(
    statement: &mut Statement<DB>,
    column: &'static str,
    word: &'static str,
) {
    statement
        .push(", COUNT(CASE ")
        .push(column)
        .push(" WHEN '")
        .push(word)
        .push("' THEN 1 END) AS ")
        .push(column)
        .push("_")
        .push(word);
}

/// The latest of them, in order.
async fn hours<DB: Dialect>(
    snapshot: &mut Transaction<'static, DB>,
    filter: &ErrorFilter,
) -> Result<Vec<HourErrors>, sqlx::Error> {
    let mut statement = Statement::<DB>::new("SELECT ");
    statement
        .push(DB::CREATED_HOUR)
        .push(" AS hour, COUNT(*) AS errors FROM api_errors");
    matching(&mut statement, filter);
    statement
        .push(" GROUP BY 1 ORDER BY 1 DESC")
        .with(" LIMIT ", MAX_HOURS);
    let mut hours = statement
        .all(snapshot, |row| {
            Ok(HourErrors {
                hour: DB::get(row, "hour")?,
                errors: DB::get(row, "errors")?,
            })
        })
        .await?;
    hours.reverse();
    Ok(hours)
}
