-- What a hand-written layer keeps, as such layers do.
CREATE TYPE error_severity AS ENUM ('debug', 'info', 'warning', 'error', 'critical');
CREATE TYPE error_category AS ENUM (
    'validation', 'authentication', 'authorization', 'external_api', 'database', 'file_system', 'network', 'application', 'unknown'
);
CREATE TYPE pipeline_status AS ENUM ('initializing', 'processing', 'completed', 'failed', 'cancelled');
CREATE TYPE stage_status AS ENUM ('pending', 'processing', 'completed', 'failed', 'skipped');

CREATE TABLE users (id UUID PRIMARY KEY DEFAULT gen_random_uuid(), email TEXT NOT NULL UNIQUE);
CREATE TABLE assets (id UUID PRIMARY KEY DEFAULT gen_random_uuid(), name TEXT NOT NULL);

CREATE TABLE api_errors (
    id                     UUID           PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id                UUID           REFERENCES users (id) ON DELETE SET NULL,
    request_id             VARCHAR(255),
    endpoint               VARCHAR(512)   NOT NULL,
    method                 VARCHAR(10)    NOT NULL,
    error_code             VARCHAR(100),
    error_message          TEXT           NOT NULL,
    error_stack            TEXT,
    severity               error_severity NOT NULL DEFAULT 'error',
    category               error_category NOT NULL DEFAULT 'unknown',
    status_code            INTEGER,
    request_body           JSONB,
    request_headers        JSONB,
    response_body          JSONB,
    external_service       VARCHAR(100),
    external_error_code    VARCHAR(100),
    external_error_message TEXT,
    context                JSONB          DEFAULT '{}',
    tags                   JSONB          DEFAULT '[]',
    resolved               BOOLEAN        NOT NULL DEFAULT false,
    resolved_at            TIMESTAMPTZ,
    resolved_by            UUID           REFERENCES users (id),
    resolution             TEXT,
    ip_address             VARCHAR(45),
    user_agent             VARCHAR(512),
    created_at             TIMESTAMPTZ    NOT NULL DEFAULT now()
);

CREATE TABLE error_aggregations (
    id                     UUID           PRIMARY KEY DEFAULT gen_random_uuid(),
    hour_bucket            TIMESTAMPTZ    NOT NULL,
    endpoint               VARCHAR(512),
    severity               error_severity,
    category               error_category,
    external_service       VARCHAR(100),
    total_errors           INTEGER        NOT NULL DEFAULT 0,
    unique_users           INTEGER        NOT NULL DEFAULT 0,
    first_occurrence       TIMESTAMPTZ,
    last_occurrence        TIMESTAMPTZ
);

CREATE TABLE generation_pipelines (
    id                     VARCHAR(255)    PRIMARY KEY,
    user_id                UUID            REFERENCES users (id) ON DELETE CASCADE,
    asset_id               UUID            REFERENCES assets (id) ON DELETE SET NULL,
    config                 JSONB           NOT NULL,
    status                 pipeline_status NOT NULL DEFAULT 'initializing',
    progress               INTEGER         NOT NULL DEFAULT 0,
    current_stage          VARCHAR(100),
    error                  TEXT,
    error_stage            VARCHAR(100),
    error_details          JSONB,
    results                JSONB           DEFAULT '{}',
    meshy_task_id          VARCHAR(255),
    rigging_task_id        VARCHAR(255),
    created_at             TIMESTAMP       NOT NULL DEFAULT now(),
    started_at             TIMESTAMP,
    completed_at           TIMESTAMP,
    updated_at             TIMESTAMP       NOT NULL DEFAULT now(),
    expires_at             TIMESTAMP
);

CREATE TABLE pipeline_stages (
    id                     UUID            PRIMARY KEY DEFAULT gen_random_uuid(),
    pipeline_id            VARCHAR(255)    NOT NULL REFERENCES generation_pipelines (id) ON DELETE CASCADE,
    stage_name             VARCHAR(100)    NOT NULL,
    stage_order            INTEGER         NOT NULL,
    status                 stage_status    NOT NULL DEFAULT 'pending',
    progress               INTEGER         NOT NULL DEFAULT 0,
    result                 JSONB,
    error                  TEXT,
    error_details          JSONB,
    started_at             TIMESTAMP,
    completed_at           TIMESTAMP,
    duration               INTEGER,
    created_at             TIMESTAMP       NOT NULL DEFAULT now(),
    updated_at             TIMESTAMP       NOT NULL DEFAULT now()
);

INSERT INTO users (email) SELECT 'user-' || n || '@shop.example' FROM generate_series(0, 99) AS n;
INSERT INTO assets (name) SELECT 'asset-' || n FROM generate_series(0, 9) AS n;
