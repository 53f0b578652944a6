//! Rows as they are read, made into the domain's words. Enums are read as text: the driver would
//! look their types up by queries of its own.

use serde_json::{Map, Value};
use sqlx::types::Json;

use crate::store::rows::error_columns_read;

use crate::domain::{Aggregation, ApiError, Dimensions, ErrorGroup};

use super::Dialect;

/// The columns of [`api_error`].
pub(in crate::store) const ERROR_COLUMNS: &str = error_columns_read!();

/// The columns of [`aggregation`].
pub(super) const AGGREGATION_COLUMNS: &str = "\
    id, hour_bucket, service_name, environment, endpoint, method, \
    CAST(severity AS TEXT) AS severity, CAST(category AS TEXT) AS category, \
    external_service, status_code, total_errors, unique_users, unlinked_errors, first_occurrence, \
    last_occurrence, updated_at";

/// The columns of [`error_group`].
pub(in crate::store) const GROUP_COLUMNS: &str = "\
    fingerprint, service_name, title, CAST(category AS TEXT) AS category, first_seen_at, last_seen_at, total_errors, status, \
    resolved_at, resolved_by, resolved_version, regressed_at, first_version, last_version";

pub(super) fn json<DB: Dialect>(row: &DB::Row, column: &str) -> Result<Option<Value>, sqlx::Error> {
    let value: Option<Json<Value>> = DB::get(row, column)?;
    Ok(value.map(|Json(value)| value))
}

/// A row of `api_errors`.
pub(in crate::store) fn api_error<DB: Dialect>(row: &DB::Row) -> Result<ApiError, sqlx::Error> {
    let Json(context): Json<Map<String, Value>> = DB::get(row, "context")?;
    let Json(tags): Json<Vec<String>> = DB::get(row, "tags")?;
    Ok(ApiError {
        id: DB::get(row, "id")?,
        user_id: DB::get(row, "user_id")?,
        request_id: DB::get(row, "request_id")?,
        endpoint: DB::get(row, "endpoint")?,
        method: DB::get(row, "method")?,
        error_code: DB::get(row, "error_code")?,
        error_message: DB::get(row, "error_message")?,
        error_stack: DB::get(row, "error_stack")?,
        severity: DB::get(row, "severity")?,
        category: DB::get(row, "category")?,
        status_code: DB::get(row, "status_code")?,
        request_body: json::<DB>(row, "request_body")?,
        request_headers: json::<DB>(row, "request_headers")?,
        response_body: json::<DB>(row, "response_body")?,
        external_service: DB::get(row, "external_service")?,
        external_error_code: DB::get(row, "external_error_code")?,
        external_error_message: DB::get(row, "external_error_message")?,
        context,
        tags,
        resolved: DB::get(row, "resolved")?,
        resolved_at: DB::get(row, "resolved_at")?,
        resolved_by: DB::get(row, "resolved_by")?,
        resolution: DB::get(row, "resolution")?,
        ip_address: DB::get(row, "ip_address")?,
        user_agent: DB::get(row, "user_agent")?,
        created_at: DB::get(row, "created_at")?,
        service_name: DB::get(row, "service_name")?,
        service_version: DB::get(row, "service_version")?,
        environment: DB::get(row, "environment")?,
        trace_id: DB::get(row, "trace_id")?,
        span_id: DB::get(row, "span_id")?,
        fingerprint: DB::get(row, "fingerprint")?,
        aggregation_id: DB::get(row, "aggregation_id")?,
        received_at: DB::get(row, "received_at")?,
        deleted_at: DB::get(row, "deleted_at")?,
    })
}

/// The dimensions of a row of `api_errors` or `error_aggregations`.
pub(in crate::store) fn dimensions<DB: Dialect>(row: &DB::Row) -> Result<Dimensions, sqlx::Error> {
    Ok(Dimensions {
        service_name: DB::get(row, "service_name")?,
        environment: DB::get(row, "environment")?,
        endpoint: DB::get(row, "endpoint")?,
        method: DB::get(row, "method")?,
        severity: DB::get(row, "severity")?,
        category: DB::get(row, "category")?,
        external_service: DB::get(row, "external_service")?,
        status_code: DB::get(row, "status_code")?,
    })
}

/// A row of `error_aggregations`.
pub(super) fn aggregation<DB: Dialect>(row: &DB::Row) -> Result<Aggregation, sqlx::Error> {
    Ok(Aggregation {
        id: DB::get(row, "id")?,
        hour_bucket: DB::get(row, "hour_bucket")?,
        dimensions: dimensions::<DB>(row)?,
        total_errors: DB::get(row, "total_errors")?,
        unique_users: DB::get(row, "unique_users")?,
        unlinked_errors: DB::get(row, "unlinked_errors")?,
        first_occurrence: DB::get(row, "first_occurrence")?,
        last_occurrence: DB::get(row, "last_occurrence")?,
        updated_at: DB::get(row, "updated_at")?,
    })
}

/// A row of `error_groups`.
pub(in crate::store) fn error_group<DB: Dialect>(row: &DB::Row) -> Result<ErrorGroup, sqlx::Error> {
    Ok(ErrorGroup {
        fingerprint: DB::get(row, "fingerprint")?,
        service_name: DB::get(row, "service_name")?,
        title: DB::get(row, "title")?,
        category: DB::get(row, "category")?,
        first_seen_at: DB::get(row, "first_seen_at")?,
        last_seen_at: DB::get(row, "last_seen_at")?,
        total_errors: DB::get(row, "total_errors")?,
        status: DB::get(row, "status")?,
        resolved_at: DB::get(row, "resolved_at")?,
        resolved_by: DB::get(row, "resolved_by")?,
        resolved_version: DB::get(row, "resolved_version")?,
        regressed_at: DB::get(row, "regressed_at")?,
        first_version: DB::get(row, "first_version")?,
        last_version: DB::get(row, "last_version")?,
    })
}
