//! Requests: hourly totals, whichever writer counted them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    domain::Hour,
    store::{Cursor, Page, PageRequest, RequestFilter, StoreError},
};

use super::{
    SqlReader, bound_page,
    dialect::{Dialect, Limit},
    end, into_page,
    statement::{Statement, as_stored},
};

const DURING: &str = "reading totals of requests";

/// What parts the rows of an hour from each other, after its column.
const SERIES: [&str; 4] = [
    ", service_name ",
    ", environment ",
    ", endpoint ",
    ", method ",
];

/// The requests to one endpoint in one hour.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestHour {
    /// The hour.
    pub hour_bucket: Hour,
    /// The service.
    pub service_name: String,
    /// The environment; empty when unknown.
    pub environment: String,
    /// Route template, RPC method, destination or operation.
    pub endpoint: String,
    /// HTTP method, or `RPC`, `RECEIVE`, …
    pub method: String,
    /// Requests that arrived as spans.
    pub requests: i64,
    /// How many of them failed.
    pub errors: i64,
    /// Failed ones in percent; null without requests.
    pub error_rate: Option<f64>,
    /// How many requests those that arrived stand for, as far as their sampling is known.
    pub estimated_requests: f64,
    /// Seconds that all of them together took.
    pub duration_sum_seconds: f64,
}

impl<DB: Dialect> SqlReader<DB> {
    /// See [`crate::store::Reader::get_requests`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn get_requests(
        &self,
        filter: &RequestFilter,
        page: &PageRequest,
    ) -> Result<Page<RequestHour>, StoreError> {
        let mut statement = Statement::<DB>::new(
            "SELECT hour_bucket, service_name, environment, endpoint, method, \
             CAST(SUM(requests) AS BIGINT) AS requests, CAST(SUM(errors) AS BIGINT) AS errors, \
             SUM(estimated_requests) AS estimated_requests, \
             CAST(SUM(duration_sum_nanos) AS DOUBLE PRECISION) AS duration_sum_nanos \
             FROM request_totals",
        );
        matching(&mut statement, filter);
        if let Some(after) = &page.after {
            let names: [String; 4] = serde_json::from_str(&after.id).unwrap_or_default();
            let [service_name, environment, endpoint, method] =
                names.map(|name| as_stored(&name).into_owned());
            statement.push(" AND (hour_bucket");
            for column in SERIES {
                statement.push(column).push(DB::BY_BYTES);
            }
            statement
                .with(") < (", Hour::containing(after.at))
                .with(", ", service_name)
                .with(", ", environment)
                .with(", ", endpoint)
                .with(", ", method)
                .push(")");
        }
        statement.push(
            " GROUP BY hour_bucket, service_name, environment, endpoint, method \
             ORDER BY hour_bucket DESC",
        );
        for column in SERIES {
            statement.push(column).push(DB::BY_BYTES).push(" DESC");
        }
        bound_page(&mut statement, page);

        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let hours = statement
            .all(&mut snapshot, request_hour::<DB>)
            .await
            .map_err(|error| StoreError::of(DURING, error))?;
        end(snapshot).await;
        Ok(into_page(hours, page, |hour| {
            let names = [
                &hour.service_name,
                &hour.environment,
                &hour.endpoint,
                &hour.method,
            ];
            Cursor {
                at: hour.hour_bucket.start(),
                id: serde_json::json!(names).to_string(),
            }
        }))
    }

    /// See [`crate::store::Reader::count_requests`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn count_requests(&self, filter: &RequestFilter) -> Result<i64, StoreError> {
        let mut statement = Statement::<DB>::new(
            "SELECT COUNT(*) AS total FROM (SELECT DISTINCT hour_bucket, service_name, \
             environment, endpoint, method FROM request_totals",
        );
        matching(&mut statement, filter);
        statement.push(") AS hours");
        self.count(statement, DURING).await
    }
}

fn matching<DB: Dialect>(statement: &mut Statement<DB>, filter: &RequestFilter) {
    statement
        .push(" WHERE TRUE")
        .when(" AND hour_bucket >= ", filter.from)
        .when(" AND hour_bucket < ", filter.to)
        .when_text(" AND service_name = ", filter.service_name.as_deref())
        .when_text(" AND environment = ", filter.environment.as_deref())
        .when_text(" AND endpoint = ", filter.endpoint.as_deref())
        .when_text(" AND method = ", filter.method.as_deref());
}

fn request_hour<DB: Dialect>(row: &DB::Row) -> Result<RequestHour, sqlx::Error> {
    let requests: i64 = DB::get(row, "requests")?;
    let errors: i64 = DB::get(row, "errors")?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact for fewer than 2^53 requests an hour"
    )]
    let error_rate = (requests > 0).then(|| 100.0 * errors as f64 / requests as f64);
    let duration_sum_nanos: f64 = DB::get(row, "duration_sum_nanos")?;
    Ok(RequestHour {
        hour_bucket: DB::get(row, "hour_bucket")?,
        service_name: DB::get(row, "service_name")?,
        environment: DB::get(row, "environment")?,
        endpoint: DB::get(row, "endpoint")?,
        method: DB::get(row, "method")?,
        requests,
        errors,
        error_rate,
        estimated_requests: DB::get(row, "estimated_requests")?,
        duration_sum_seconds: duration_sum_nanos / 1e9,
    })
}
