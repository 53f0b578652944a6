DO $migration$
BEGIN
    DROP INDEX error_groups_service;
    DROP INDEX error_groups_status;
    DROP INDEX error_groups_last_seen;

    DROP INDEX error_aggregations_service;
    DROP INDEX error_aggregations_hour;
    DROP INDEX error_aggregations_endpoint;
    DROP INDEX error_aggregations_severity;
    DROP INDEX error_aggregations_category;
    DROP INDEX error_aggregations_external_service;
    CREATE INDEX error_aggregations_endpoint ON error_aggregations (endpoint, hour_bucket DESC);
    CREATE INDEX error_aggregations_severity ON error_aggregations (severity, hour_bucket DESC);
    CREATE INDEX error_aggregations_category ON error_aggregations (category, hour_bucket DESC);
    CREATE INDEX error_aggregations_external_service ON error_aggregations (external_service, hour_bucket DESC) WHERE external_service IS NOT NULL;

    DROP INDEX api_errors_unresolved;
    DROP INDEX api_errors_user;
    DROP INDEX api_errors_endpoint;
    DROP INDEX api_errors_severity;
    DROP INDEX api_errors_category;
    DROP INDEX api_errors_external_service;
    DROP INDEX api_errors_created;
    DROP INDEX api_errors_resolved;
    DROP INDEX api_errors_status_code;
    DROP INDEX api_errors_request;
    DROP INDEX api_errors_severity_category;
    DROP INDEX api_errors_service;
    DROP INDEX api_errors_fingerprint;
    DROP INDEX api_errors_trace;
    CREATE INDEX api_errors_user ON api_errors (user_id, created_at DESC) WHERE user_id IS NOT NULL;
    CREATE INDEX api_errors_endpoint ON api_errors (endpoint, created_at DESC);
    CREATE INDEX api_errors_severity ON api_errors (severity, created_at DESC);
    CREATE INDEX api_errors_category ON api_errors (category, created_at DESC);
    CREATE INDEX api_errors_external_service ON api_errors (external_service, created_at DESC) WHERE external_service IS NOT NULL;
    CREATE INDEX api_errors_created ON api_errors (created_at DESC);
    CREATE INDEX api_errors_resolved ON api_errors (resolved, created_at DESC);
    CREATE INDEX api_errors_status_code ON api_errors (status_code, created_at DESC) WHERE status_code IS NOT NULL;
    CREATE INDEX api_errors_request ON api_errors (request_id, created_at DESC) WHERE request_id IS NOT NULL;
    CREATE INDEX api_errors_severity_category ON api_errors (severity, category, created_at DESC);
    CREATE INDEX api_errors_service ON api_errors (service_name, created_at DESC);
    CREATE INDEX api_errors_fingerprint ON api_errors (fingerprint, created_at DESC);
    CREATE INDEX api_errors_trace ON api_errors (trace_id) WHERE trace_id IS NOT NULL;
END
$migration$;
