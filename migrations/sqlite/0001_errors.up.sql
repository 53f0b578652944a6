CREATE TABLE users (
    id            TEXT    NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 255),
    first_seen_at INTEGER NOT NULL,
    last_seen_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_errors (
    id                     TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    user_id                TEXT    REFERENCES users (id) ON DELETE SET NULL,
    request_id             TEXT    CHECK (length(request_id) <= 255),
    endpoint               TEXT    NOT NULL CHECK (length(endpoint) <= 512),
    method                 TEXT    NOT NULL CHECK (length(method) <= 10),
    error_code             TEXT    CHECK (length(error_code) <= 100),
    error_message          TEXT    NOT NULL,
    error_stack            TEXT,
    severity               TEXT    NOT NULL DEFAULT 'error'
        CHECK (severity IN ('debug', 'info', 'warning', 'error', 'critical')),
    category               TEXT    NOT NULL DEFAULT 'unknown'
        CHECK (category IN ('validation', 'authentication', 'authorization', 'external_api',
                            'database', 'file_system', 'network', 'application', 'unknown')),
    status_code            INTEGER CHECK (status_code BETWEEN -2147483648 AND 2147483647),
    request_body           TEXT    CHECK (request_body IS NULL OR json_valid(request_body)),
    request_headers        TEXT    CHECK (request_headers IS NULL OR json_valid(request_headers)),
    response_body          TEXT    CHECK (response_body IS NULL OR json_valid(response_body)),
    external_service       TEXT    CHECK (length(external_service) <= 100),
    external_error_code    TEXT    CHECK (length(external_error_code) <= 100),
    external_error_message TEXT,
    context                TEXT    NOT NULL DEFAULT '{}'
        CHECK (CASE WHEN json_valid(context) THEN json_type(context) = 'object' ELSE 0 END),
    tags                   TEXT    NOT NULL DEFAULT '[]'
        CHECK (CASE WHEN json_valid(tags) THEN json_type(tags) = 'array' ELSE 0 END),
    resolved               INTEGER NOT NULL DEFAULT 0 CHECK (resolved IN (0, 1)),
    resolved_at            INTEGER,
    resolved_by            TEXT,
    resolution             TEXT,
    ip_address             TEXT    CHECK (length(ip_address) <= 45),
    user_agent             TEXT    CHECK (length(user_agent) <= 512),
    created_at             INTEGER NOT NULL,
    service_name           TEXT    NOT NULL DEFAULT 'unknown_service' CHECK (length(service_name) <= 512),
    service_version        TEXT    CHECK (length(service_version) <= 255),
    environment            TEXT    NOT NULL DEFAULT '' CHECK (length(environment) <= 255),
    trace_id               TEXT    CHECK (length(trace_id) = 32),
    span_id                TEXT    CHECK (length(span_id) = 16),
    fingerprint            TEXT    NOT NULL CHECK (length(fingerprint) BETWEEN 1 AND 255),
    aggregation_id         TEXT    NOT NULL CHECK (length(aggregation_id) = 36),
    received_at            INTEGER NOT NULL,
    deleted_at             INTEGER
) STRICT;

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

-- Ids of rows that turned out to be another's lead to that one.
CREATE TABLE error_redirects (
    id       TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    error_id TEXT NOT NULL REFERENCES api_errors (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX error_redirects_error ON error_redirects (error_id);

-- An hour's row is written after its users and its errors: no foreign keys between them.
CREATE TABLE error_aggregations (
    id               TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    hour_bucket      INTEGER NOT NULL CHECK (hour_bucket % 3600000000 = 0),
    service_name     TEXT    NOT NULL CHECK (length(service_name) <= 512),
    environment      TEXT    NOT NULL CHECK (length(environment) <= 255),
    endpoint         TEXT    NOT NULL CHECK (length(endpoint) <= 512),
    method           TEXT    NOT NULL CHECK (length(method) <= 10),
    severity         TEXT    NOT NULL
        CHECK (severity IN ('debug', 'info', 'warning', 'error', 'critical')),
    category         TEXT    NOT NULL
        CHECK (category IN ('validation', 'authentication', 'authorization', 'external_api',
                            'database', 'file_system', 'network', 'application', 'unknown')),
    external_service TEXT    CHECK (length(external_service) <= 100),
    status_code      INTEGER CHECK (status_code BETWEEN -2147483648 AND 2147483647),
    total_errors     INTEGER NOT NULL,
    unique_users     INTEGER NOT NULL,
    unlinked_errors  INTEGER NOT NULL,
    first_occurrence INTEGER NOT NULL,
    last_occurrence  INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
) STRICT;

CREATE INDEX error_aggregations_hour_endpoint ON error_aggregations (hour_bucket DESC, endpoint);
CREATE INDEX error_aggregations_endpoint ON error_aggregations (endpoint, hour_bucket DESC);
CREATE INDEX error_aggregations_severity ON error_aggregations (severity, hour_bucket DESC);
CREATE INDEX error_aggregations_category ON error_aggregations (category, hour_bucket DESC);
CREATE INDEX error_aggregations_external_service ON error_aggregations (external_service, hour_bucket DESC) WHERE external_service IS NOT NULL;

CREATE TABLE error_aggregation_users (
    aggregation_id TEXT    NOT NULL CHECK (length(aggregation_id) = 36),
    user_key       INTEGER NOT NULL,
    errors         INTEGER NOT NULL,
    PRIMARY KEY (aggregation_id, user_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE error_traces (
    trace_key         TEXT    NOT NULL PRIMARY KEY CHECK (length(trace_key) = 36),
    service_name      TEXT    NOT NULL CHECK (length(service_name) <= 512),
    trace_id          TEXT    NOT NULL CHECK (length(trace_id) = 32),
    sightings         TEXT    NOT NULL,
    dropped_sightings INTEGER NOT NULL DEFAULT 0 CHECK (dropped_sightings >= 0),
    touched_at        INTEGER NOT NULL
) STRICT;

CREATE INDEX error_traces_touched ON error_traces (touched_at DESC);

CREATE TABLE error_groups (
    fingerprint      TEXT    NOT NULL PRIMARY KEY CHECK (length(fingerprint) BETWEEN 1 AND 255),
    service_name     TEXT    NOT NULL CHECK (length(service_name) <= 512),
    title            TEXT    NOT NULL,
    category         TEXT    NOT NULL
        CHECK (category IN ('validation', 'authentication', 'authorization', 'external_api',
                            'database', 'file_system', 'network', 'application', 'unknown')),
    first_seen_at    INTEGER NOT NULL,
    last_seen_at     INTEGER NOT NULL,
    total_errors     INTEGER NOT NULL,
    status           TEXT    NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'resolved', 'ignored')),
    resolved_at      INTEGER,
    resolved_by      TEXT,
    resolved_version TEXT    CHECK (length(resolved_version) <= 255),
    regressed_at     INTEGER,
    first_version    TEXT    CHECK (length(first_version) <= 255),
    last_version     TEXT    CHECK (length(last_version) <= 255)
) STRICT, WITHOUT ROWID;
