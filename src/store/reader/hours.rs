//! Hours: what is counted already.

use crate::{
    domain::{Aggregation, AggregationId, Hour, Series},
    store::{AggregationFilter, Cursor, LabelSets, Page, PageRequest, StoreError},
};

use super::{
    SqlReader, bound_page, cursor_uuid,
    dialect::Dialect,
    dialect::Limit,
    end, into_page,
    rows::{AGGREGATION_COLUMNS, aggregation},
    statement::Statement,
};

impl<DB: Dialect> SqlReader<DB> {
    /// See [`crate::store::Reader::get_aggregations`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn get_aggregations(
        &self,
        filter: &AggregationFilter,
        page: &PageRequest,
    ) -> Result<Page<Aggregation>, StoreError> {
        const DURING: &str = "reading hours";
        let mut statement = Statement::<DB>::new("SELECT ");
        statement
            .push(AGGREGATION_COLUMNS)
            .push(" FROM error_aggregations");
        matching(&mut statement, filter);
        if let Some(after) = &page.after {
            statement
                .with(" AND (hour_bucket, id) < (", after.at)
                .with(", ", AggregationId(cursor_uuid(after)))
                .push(")");
        }
        statement.push(" ORDER BY hour_bucket DESC, id DESC");
        bound_page(&mut statement, page);

        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let hours = statement
            .all(&mut snapshot, aggregation::<DB>)
            .await
            .map_err(|error| StoreError::of(DURING, error))?;
        end(snapshot).await;
        Ok(into_page(hours, page, |hour| Cursor {
            at: hour.hour_bucket.start(),
            id: hour.id.to_string(),
        }))
    }

    /// See [`crate::store::Reader::count_aggregations`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn count_aggregations(&self, filter: &AggregationFilter) -> Result<i64, StoreError> {
        let mut statement =
            Statement::<DB>::new("SELECT COUNT(*) AS total FROM error_aggregations");
        matching(&mut statement, filter);
        self.count(statement, "counting hours").await
    }

    /// See [`crate::store::Reader::error_label_sets`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn error_label_sets(&self, since: Hour, ids: u32) -> Result<LabelSets, StoreError> {
        const SQL: &str = "SELECT hour_bucket, service_name, id FROM error_aggregations";
        self.label_sets(SQL, since, ids, |row, _| DB::get(row, "id"))
            .await
    }

    /// See [`crate::store::Reader::request_label_sets`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn request_label_sets(&self, since: Hour, ids: u32) -> Result<LabelSets, StoreError> {
        // Each writer has rows of its own.
        const SQL: &str = "SELECT DISTINCT hour_bucket, service_name, environment, endpoint, method \
            FROM request_totals";
        self.label_sets(SQL, since, ids, |row, hour| {
            let series = Series {
                service_name: DB::get(row, "service_name")?,
                environment: DB::get(row, "environment")?,
                endpoint: DB::get(row, "endpoint")?,
                method: DB::get(row, "method")?,
            };
            Ok(AggregationId::new(hour, &series.into()))
        })
        .await
    }

    /// How many of the rows that are selected each service has in each hour, and the ids of the
    /// latest.
    async fn label_sets(
        &self,
        rows: &'static str,
        since: Hour,
        ids: u32,
        id: impl Fn(&DB::Row, Hour) -> Result<AggregationId, sqlx::Error> + Send + Sync,
    ) -> Result<LabelSets, StoreError> {
        const DURING: &str = "counting the label sets of hours";
        let mut counting =
            Statement::<DB>::new("SELECT hour_bucket, service_name, COUNT(*) AS label_sets FROM (");
        counting
            .push(rows)
            .with(" WHERE hour_bucket >= ", since)
            .push(
                ") AS sets GROUP BY hour_bucket, service_name ORDER BY hour_bucket, service_name",
            );
        let mut naming = Statement::<DB>::new(rows);
        naming
            .with(" WHERE hour_bucket >= ", since)
            .with(" ORDER BY hour_bucket DESC LIMIT ", i64::from(ids));

        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let counts = counting
            .all(&mut snapshot, |row| {
                Ok((
                    DB::get(row, "hour_bucket")?,
                    DB::get(row, "service_name")?,
                    DB::get(row, "label_sets")?,
                ))
            })
            .await
            .map_err(|error| StoreError::of(DURING, error))?;
        let ids = naming
            .all(&mut snapshot, |row| {
                let hour = DB::get(row, "hour_bucket")?;
                Ok((hour, id(row, hour)?))
            })
            .await
            .map_err(|error| StoreError::of(DURING, error))?;
        end(snapshot).await;
        Ok(LabelSets { counts, ids })
    }

    /// See [`crate::store::Reader::latest_request_hour`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn latest_request_hour(&self) -> Result<Option<Hour>, StoreError> {
        const DURING: &str = "reading the latest hour of requests";
        let statement = Statement::<DB>::new(
            "SELECT hour_bucket FROM request_totals ORDER BY hour_bucket DESC LIMIT 1",
        );
        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let hours = statement
            .all(&mut snapshot, |row| DB::get(row, "hour_bucket"))
            .await
            .map_err(|error| StoreError::of(DURING, error))?;
        end(snapshot).await;
        Ok(hours.into_iter().next())
    }
}

fn matching<DB: Dialect>(statement: &mut Statement<DB>, filter: &AggregationFilter) {
    statement
        .push(" WHERE TRUE")
        .when(" AND hour_bucket >= ", filter.from)
        .when(" AND hour_bucket < ", filter.to)
        .when_text(" AND service_name = ", filter.service_name.as_deref())
        .when_text(" AND endpoint = ", filter.endpoint.as_deref())
        .when_one_of_words(
            " AND severity IN (",
            DB::SEVERITY,
            filter.severity.as_slice(),
        )
        .when_one_of_words(
            " AND category IN (",
            DB::CATEGORY,
            filter.category.as_slice(),
        )
        .when_text(
            " AND external_service = ",
            filter.external_service.as_deref(),
        );
}
