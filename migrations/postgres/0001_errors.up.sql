DO $migration$
BEGIN
    CREATE TYPE error_severity AS ENUM ('debug', 'info', 'warning', 'error', 'critical');
    CREATE TYPE error_category AS ENUM (
        'validation', 'authentication', 'authorization', 'external_api', 'database', 'file_system',
        'network', 'application', 'unknown'
    );

    CREATE TABLE users (
        id                     VARCHAR(255)     NOT NULL PRIMARY KEY CHECK (id <> ''),
        first_seen_at          TIMESTAMPTZ      NOT NULL,
        last_seen_at           TIMESTAMPTZ      NOT NULL
    );

    CREATE TABLE api_errors (
        id                     UUID             NOT NULL PRIMARY KEY,
        user_id                TEXT             REFERENCES users (id) ON DELETE SET NULL,
        request_id             VARCHAR(255),
        endpoint               VARCHAR(512)     NOT NULL,
        method                 VARCHAR(10)      NOT NULL,
        error_code             VARCHAR(100),
        error_message          TEXT             NOT NULL,
        error_stack            TEXT,
        severity               error_severity   NOT NULL DEFAULT 'error',
        category               error_category   NOT NULL DEFAULT 'unknown',
        status_code            INTEGER,
        request_body           JSONB,
        request_headers        JSONB,
        response_body          JSONB,
        external_service       VARCHAR(100),
        external_error_code    VARCHAR(100),
        external_error_message TEXT,
        context                JSONB            NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(context) = 'object'),
        tags                   JSONB            NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(tags) = 'array'),
        resolved               BOOLEAN          NOT NULL DEFAULT false,
        resolved_at            TIMESTAMPTZ,
        resolved_by            TEXT,
        resolution             TEXT,
        ip_address             VARCHAR(45),
        user_agent             VARCHAR(512),
        created_at             TIMESTAMPTZ      NOT NULL,
        service_name           VARCHAR(512)     NOT NULL DEFAULT 'unknown_service',
        service_version        VARCHAR(255),
        environment            VARCHAR(255)     NOT NULL DEFAULT '',
        trace_id               TEXT             CHECK (length(trace_id) = 32),
        span_id                TEXT             CHECK (length(span_id) = 16),
        fingerprint            VARCHAR(255)     NOT NULL CHECK (fingerprint <> ''),
        aggregation_id         UUID             NOT NULL,
        received_at            TIMESTAMPTZ      NOT NULL,
        deleted_at             TIMESTAMPTZ
    );

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
        id                     UUID             NOT NULL PRIMARY KEY,
        error_id               UUID             NOT NULL REFERENCES api_errors (id) ON DELETE CASCADE
    );

    CREATE INDEX error_redirects_error ON error_redirects (error_id);

    -- An hour's row is written after its users and its errors: no foreign keys between them.
    CREATE TABLE error_aggregations (
        id                     UUID             NOT NULL PRIMARY KEY,
        hour_bucket            TIMESTAMPTZ      NOT NULL CHECK (mod(extract(epoch FROM hour_bucket), 3600) = 0),
        service_name           VARCHAR(512)     NOT NULL,
        environment            VARCHAR(255)     NOT NULL,
        endpoint               VARCHAR(512)     NOT NULL,
        method                 VARCHAR(10)      NOT NULL,
        severity               error_severity   NOT NULL,
        category               error_category   NOT NULL,
        external_service       VARCHAR(100),
        status_code            INTEGER,
        total_errors           BIGINT           NOT NULL,
        unique_users           BIGINT           NOT NULL,
        unlinked_errors        BIGINT           NOT NULL,
        first_occurrence       TIMESTAMPTZ      NOT NULL,
        last_occurrence        TIMESTAMPTZ      NOT NULL,
        updated_at             TIMESTAMPTZ      NOT NULL
    );

    CREATE INDEX error_aggregations_hour_endpoint ON error_aggregations (hour_bucket DESC, endpoint);
    CREATE INDEX error_aggregations_endpoint ON error_aggregations (endpoint, hour_bucket DESC);
    CREATE INDEX error_aggregations_severity ON error_aggregations (severity, hour_bucket DESC);
    CREATE INDEX error_aggregations_category ON error_aggregations (category, hour_bucket DESC);
    CREATE INDEX error_aggregations_external_service ON error_aggregations (external_service, hour_bucket DESC) WHERE external_service IS NOT NULL;

    CREATE TABLE error_aggregation_users (
        aggregation_id         UUID             NOT NULL,
        user_key               BIGINT           NOT NULL,
        errors                 BIGINT           NOT NULL,
        PRIMARY KEY (aggregation_id, user_key)
    );

    CREATE TABLE error_traces (
        trace_key              UUID             NOT NULL PRIMARY KEY,
        service_name           VARCHAR(512)     NOT NULL,
        trace_id               TEXT             NOT NULL CHECK (length(trace_id) = 32),
        sightings              TEXT             NOT NULL,
        dropped_sightings      BIGINT           NOT NULL DEFAULT 0 CHECK (dropped_sightings >= 0),
        touched_at             TIMESTAMPTZ      NOT NULL
    );

    CREATE INDEX error_traces_touched ON error_traces (touched_at DESC);

    CREATE TABLE error_groups (
        fingerprint            VARCHAR(255)     NOT NULL PRIMARY KEY CHECK (fingerprint <> ''),
        service_name           VARCHAR(512)     NOT NULL,
        title                  TEXT             NOT NULL,
        category               error_category   NOT NULL,
        first_seen_at          TIMESTAMPTZ      NOT NULL,
        last_seen_at           TIMESTAMPTZ      NOT NULL,
        total_errors           BIGINT           NOT NULL,
        status                 TEXT             NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'resolved', 'ignored')),
        resolved_at            TIMESTAMPTZ,
        resolved_by            TEXT,
        resolved_version       VARCHAR(255),
        regressed_at           TIMESTAMPTZ,
        first_version          VARCHAR(255),
        last_version           VARCHAR(255)
    );

    -- Stacks compress well; a server built without lz4 keeps its default.
    BEGIN
        ALTER TABLE api_errors ALTER COLUMN error_stack SET COMPRESSION lz4;
    EXCEPTION WHEN feature_not_supported THEN
        NULL;
    END;
END
$migration$;
