//! What both databases write and read of a row in the same words.

/// The columns of `api_errors`, in the order in which both databases bind them.
macro_rules! error_columns {
    () => {
        "id, user_id, request_id, endpoint, method, error_code, error_message, error_stack, \
         severity, category, status_code, request_body, request_headers, response_body, \
         external_service, external_error_code, external_error_message, context, tags, resolved, \
         resolved_at, resolved_by, resolution, ip_address, user_agent, created_at, service_name, \
         service_version, environment, trace_id, span_id, fingerprint, aggregation_id, \
         received_at, deleted_at"
    };
}

/// The same for reading. Enums are read as text: the driver would look their types up by queries
/// of its own, with named statements, which a pooler in transaction mode does not bear.
macro_rules! error_columns_read {
    () => {
        "id, user_id, request_id, endpoint, method, error_code, error_message, error_stack, \
         CAST(severity AS TEXT) AS severity, CAST(category AS TEXT) AS category, status_code, \
         request_body, request_headers, response_body, external_service, external_error_code, \
         external_error_message, context, tags, resolved, resolved_at, resolved_by, resolution, \
         ip_address, user_agent, created_at, service_name, service_version, environment, \
         trace_id, span_id, fingerprint, aggregation_id, received_at, deleted_at"
    };
}

/// The end of an INSERT that rewrites a row which is there already.
macro_rules! rewrite_error {
    () => {
        " ON CONFLICT (id) DO UPDATE SET \
         user_id = excluded.user_id, request_id = excluded.request_id, \
         endpoint = excluded.endpoint, method = excluded.method, \
         error_code = excluded.error_code, error_message = excluded.error_message, \
         error_stack = excluded.error_stack, severity = excluded.severity, \
         category = excluded.category, status_code = excluded.status_code, \
         request_body = excluded.request_body, request_headers = excluded.request_headers, \
         response_body = excluded.response_body, external_service = excluded.external_service, \
         external_error_code = excluded.external_error_code, \
         external_error_message = excluded.external_error_message, context = excluded.context, \
         tags = excluded.tags, resolved = excluded.resolved, resolved_at = excluded.resolved_at, \
         resolved_by = excluded.resolved_by, resolution = excluded.resolution, \
         ip_address = excluded.ip_address, user_agent = excluded.user_agent, \
         created_at = excluded.created_at, service_name = excluded.service_name, \
         service_version = excluded.service_version, environment = excluded.environment, \
         trace_id = excluded.trace_id, span_id = excluded.span_id, \
         fingerprint = excluded.fingerprint, aggregation_id = excluded.aggregation_id, \
         received_at = excluded.received_at, deleted_at = excluded.deleted_at"
    };
}

/// The end of an INSERT that adds to a row of `request_totals`.
macro_rules! add_totals {
    () => {
        " ON CONFLICT (hour_bucket, id) DO UPDATE SET \
         requests = request_totals.requests + excluded.requests, \
         errors = request_totals.errors + excluded.errors, \
         estimated_requests = request_totals.estimated_requests + excluded.estimated_requests, \
         duration_sum_nanos = request_totals.duration_sum_nanos + excluded.duration_sum_nanos, \
         duration_to_5ms = request_totals.duration_to_5ms + excluded.duration_to_5ms, \
         duration_to_10ms = request_totals.duration_to_10ms + excluded.duration_to_10ms, \
         duration_to_25ms = request_totals.duration_to_25ms + excluded.duration_to_25ms, \
         duration_to_50ms = request_totals.duration_to_50ms + excluded.duration_to_50ms, \
         duration_to_100ms = request_totals.duration_to_100ms + excluded.duration_to_100ms, \
         duration_to_250ms = request_totals.duration_to_250ms + excluded.duration_to_250ms, \
         duration_to_500ms = request_totals.duration_to_500ms + excluded.duration_to_500ms, \
         duration_to_1s = request_totals.duration_to_1s + excluded.duration_to_1s, \
         duration_to_2500ms = request_totals.duration_to_2500ms + excluded.duration_to_2500ms, \
         duration_to_5s = request_totals.duration_to_5s + excluded.duration_to_5s, \
         duration_to_10s = request_totals.duration_to_10s + excluded.duration_to_10s, \
         duration_beyond = request_totals.duration_beyond + excluded.duration_beyond"
    };
}

pub(super) use {add_totals, error_columns, error_columns_read, rewrite_error};

/// Adds to the rows that are there and that the data counters never counted.
pub(super) const IMPORTED: &str = "INSERT INTO error_balance (reason, errors) VALUES ('imported', $1) \
     ON CONFLICT (reason) DO UPDATE SET errors = error_balance.errors + excluded.errors";
