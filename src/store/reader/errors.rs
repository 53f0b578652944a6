//! Errors: pages, one by id, and the traces that they stand in.

use std::collections::BTreeMap;

use crate::{
    domain::{ApiError, Category, ErrorId, Severity, Sighting, Timestamp, TraceKey},
    store::{Cursor, ErrorFilter, Page, PageRequest, StoreError},
};

use super::{
    SqlReader,
    dialect::Dialect,
    dialect::Limit,
    end, into_page,
    matching::{matching, newest_first},
    rows::{ERROR_COLUMNS, api_error},
    statement::Statement,
};

/// Rows that lead from one to the next at most; far more than merges ever make.
pub(in crate::store) const MAX_REDIRECTS: i64 = 64;

impl<DB: Dialect> SqlReader<DB> {
    /// See [`crate::store::Reader::get_errors`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn get_errors(
        &self,
        filter: &ErrorFilter,
        page: &PageRequest,
    ) -> Result<Page<ApiError>, StoreError> {
        const DURING: &str = "reading errors";
        let statement = newest_first::<DB>(ERROR_COLUMNS, filter, page);

        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let errors = statement
            .all(&mut snapshot, api_error::<DB>)
            .await
            .map_err(|error| StoreError::of(DURING, error))?;
        end(snapshot).await;
        Ok(into_page(errors, page, |error| Cursor {
            at: error.created_at,
            id: error.id.to_string(),
        }))
    }

    /// See [`crate::store::Reader::get_matching_ids`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn get_matching_ids(
        &self,
        filter: &ErrorFilter,
        page: &PageRequest,
    ) -> Result<Page<ErrorId>, StoreError> {
        const DURING: &str = "looking for errors";
        let statement = newest_first::<DB>("created_at, id", filter, page);

        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let found = statement
            .all::<(Timestamp, ErrorId)>(&mut snapshot, |row| {
                Ok((DB::get(row, "created_at")?, DB::get(row, "id")?))
            })
            .await
            .map_err(|error| StoreError::of(DURING, error))?;
        end(snapshot).await;
        let found = into_page(found, page, |(at, id)| Cursor {
            at: *at,
            id: id.to_string(),
        });
        Ok(Page {
            items: found.items.into_iter().map(|(_, id)| id).collect(),
            next: found.next,
        })
    }

    /// See [`crate::store::Reader::count_errors`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn count_errors(&self, filter: &ErrorFilter) -> Result<i64, StoreError> {
        let mut statement = Statement::<DB>::new("SELECT COUNT(*) AS total FROM api_errors");
        matching(&mut statement, filter);
        self.count(statement, "counting errors").await
    }

    /// See [`crate::store::Reader::get_error_by_id`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn get_error_by_id(&self, id: ErrorId) -> Result<Option<ApiError>, StoreError> {
        let found = self.get_errors_by_ids(&[id]).await?;
        Ok(found.into_iter().next().map(|(_, error)| error))
    }

    /// See [`crate::store::Reader::get_errors_by_ids`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn get_errors_by_ids(
        &self,
        ids: &[ErrorId],
    ) -> Result<Vec<(ErrorId, ApiError)>, StoreError> {
        const DURING: &str = "reading errors by their ids";
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut statement = Statement::<DB>::new("WITH RECURSIVE given (id) AS (VALUES ");
        for (index, &id) in ids.iter().enumerate() {
            let before = if index == 0 { "(" } else { ", (" };
            statement.with(before, id).push(")");
        }
        statement
            .with("), names (asked, name, steps) AS (SELECT id, id, 0 FROM given UNION ALL SELECT names.asked, error_redirects.error_id, names.steps + 1 FROM names JOIN error_redirects ON error_redirects.id = names.name WHERE names.steps < ", MAX_REDIRECTS)
            .push(") SELECT names.asked AS asked, ")
            .push(ERROR_COLUMNS)
            .push(" FROM names JOIN api_errors ON api_errors.id = names.name");

        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let errors = statement
            .all(&mut snapshot, |row| {
                Ok((DB::get(row, "asked")?, api_error::<DB>(row)?))
            })
            .await
            .map_err(|error| StoreError::of(DURING, error))?;
        end(snapshot).await;
        Ok(errors)
    }

    /// See [`crate::store::Reader::get_error_ids`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn get_error_ids(
        &self,
        first: ErrorId,
        last: ErrorId,
        limit: u32,
    ) -> Result<Vec<ErrorId>, StoreError> {
        const DURING: &str = "looking for ids of errors";
        let mut statement = Statement::<DB>::new("SELECT id FROM api_errors");
        statement
            .with(" WHERE id BETWEEN ", first)
            .with(" AND ", last)
            .push(" UNION SELECT id FROM error_redirects")
            .with(" WHERE id BETWEEN ", first)
            .with(" AND ", last)
            .with(" ORDER BY id LIMIT ", i64::from(limit));

        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let ids = statement
            .all(&mut snapshot, |row| DB::get(row, "id"))
            .await
            .map_err(|error| StoreError::of(DURING, error))?;
        end(snapshot).await;
        Ok(ids)
    }

    /// See [`crate::store::Reader::get_sightings`].
    ///
    /// # Errors
    /// When the database cannot answer, or what it holds is damaged.
    pub async fn get_sightings(&self, trace: TraceKey) -> Result<Vec<Sighting>, StoreError> {
        const DURING: &str = "reading a trace";
        let mut statement = Statement::<DB>::new("SELECT sightings FROM error_traces");
        statement.with(" WHERE trace_key = ", trace);

        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let texts: Vec<String> = statement
            .all(&mut snapshot, |row| DB::get(row, "sightings"))
            .await
            .map_err(|error| StoreError::of(DURING, error))?;
        end(snapshot).await;
        let Some(text) = texts.into_iter().next() else {
            return Ok(Vec::new());
        };
        serde_json::from_str(&text).map_err(|error| {
            StoreError::Corrupt(format!(
                "the sightings of error_traces {trace} cannot be read: {error}"
            ))
        })
    }

    /// See [`crate::store::Reader::unresolved`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn unresolved(&self) -> Result<Vec<(String, Severity, Category, i64)>, StoreError> {
        const DURING: &str = "counting unresolved errors";
        // In the words of the index that holds nothing else.
        let statement = Statement::<DB>::new(
            "SELECT service_name, CAST(severity AS TEXT) AS severity, \
             CAST(category AS TEXT) AS category, COUNT(*) AS errors \
             FROM api_errors WHERE NOT resolved AND deleted_at IS NULL \
             GROUP BY service_name, api_errors.severity, api_errors.category",
        );

        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let mut counts = BTreeMap::new();
        statement
            .for_each(&mut snapshot, |row| {
                let labels: (String, Severity, Category) = (
                    DB::get(&row, "service_name")?,
                    DB::get(&row, "severity")?,
                    DB::get(&row, "category")?,
                );
                counts.insert(labels, DB::get(&row, "errors")?);
                Ok(())
            })
            .await
            .map_err(|error| StoreError::of(DURING, error))?;
        end(snapshot).await;
        Ok(counts
            .into_iter()
            .map(|((service_name, severity, category), errors)| {
                (service_name, severity, category, errors)
            })
            .collect())
    }

    /// See [`crate::store::Reader::open_traces`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn open_traces(
        &self,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<(TraceKey, Timestamp)>, StoreError> {
        const DURING: &str = "reading open traces";
        let mut statement = Statement::<DB>::new("SELECT trace_key, touched_at FROM error_traces");
        statement.with(" WHERE touched_at >= ", since).with(
            " ORDER BY touched_at DESC, trace_key LIMIT ",
            i64::try_from(limit).unwrap_or(i64::MAX),
        );

        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let traces = statement
            .all(&mut snapshot, |row| {
                Ok((DB::get(row, "trace_key")?, DB::get(row, "touched_at")?))
            })
            .await
            .map_err(|error| StoreError::of(DURING, error))?;
        end(snapshot).await;
        Ok(traces)
    }

    /// See [`crate::store::Reader::open_among`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn open_among(
        &self,
        traces: &[TraceKey],
        since: Timestamp,
    ) -> Result<Vec<TraceKey>, StoreError> {
        const DURING: &str = "looking for open traces";
        /// Below what either database binds in one statement.
        const KEYS: usize = 8_192;
        let mut open = Vec::new();
        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        for keys in traces.chunks(KEYS) {
            let mut statement = Statement::<DB>::new("SELECT trace_key FROM error_traces");
            statement
                .with(" WHERE touched_at >= ", since)
                .when_one_of(" AND trace_key IN (", keys);
            let found = statement
                .all::<TraceKey>(&mut snapshot, |row| DB::get(row, "trace_key"))
                .await
                .map_err(|error| StoreError::of(DURING, error))?;
            open.extend(found);
        }
        end(snapshot).await;
        Ok(open)
    }
}
