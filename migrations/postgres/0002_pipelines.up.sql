DO $migration$
BEGIN
    CREATE TYPE pipeline_status AS ENUM ('initializing', 'processing', 'completed', 'failed', 'cancelled');
    CREATE TYPE stage_status AS ENUM ('pending', 'processing', 'completed', 'failed', 'skipped');

    CREATE TABLE assets (
        id                     VARCHAR(255)     NOT NULL PRIMARY KEY CHECK (id <> ''),
        created_at             TIMESTAMPTZ      NOT NULL
    );

    CREATE TABLE generation_pipelines (
        id                     VARCHAR(255)     NOT NULL PRIMARY KEY CHECK (id <> ''),
        user_id                TEXT             REFERENCES users (id) ON DELETE CASCADE,
        asset_id               TEXT             REFERENCES assets (id) ON DELETE SET NULL,
        config                 JSONB            NOT NULL,
        status                 pipeline_status  NOT NULL DEFAULT 'initializing',
        progress               INTEGER          NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
        current_stage          VARCHAR(100),
        error                  TEXT,
        error_stage            VARCHAR(100),
        error_details          JSONB,
        results                JSONB            NOT NULL DEFAULT '{}',
        meshy_task_id          VARCHAR(255),
        rigging_task_id        VARCHAR(255),
        created_at             TIMESTAMPTZ      NOT NULL,
        started_at             TIMESTAMPTZ,
        completed_at           TIMESTAMPTZ,
        updated_at             TIMESTAMPTZ      NOT NULL,
        expires_at             TIMESTAMPTZ,
        name                   VARCHAR(100),
        service_name           VARCHAR(512)     NOT NULL DEFAULT 'unknown_service',
        trace_id               TEXT             CHECK (length(trace_id) = 32),
        state_at               TIMESTAMPTZ      NOT NULL,
        deleted_at             TIMESTAMPTZ
    );

    CREATE INDEX generation_pipelines_user ON generation_pipelines (user_id, created_at DESC) WHERE user_id IS NOT NULL;
    CREATE INDEX generation_pipelines_asset ON generation_pipelines (asset_id, created_at DESC) WHERE asset_id IS NOT NULL;
    CREATE INDEX generation_pipelines_status ON generation_pipelines (status, created_at DESC);
    CREATE INDEX generation_pipelines_created ON generation_pipelines (created_at DESC);
    CREATE INDEX generation_pipelines_expires ON generation_pipelines (expires_at) WHERE expires_at IS NOT NULL;
    CREATE INDEX generation_pipelines_user_status ON generation_pipelines (user_id, status, created_at DESC) WHERE user_id IS NOT NULL;
    CREATE INDEX generation_pipelines_meshy_task ON generation_pipelines (meshy_task_id) WHERE meshy_task_id IS NOT NULL;
    CREATE INDEX generation_pipelines_name ON generation_pipelines (name, created_at DESC);

    CREATE TABLE pipeline_stages (
        pipeline_id            TEXT             NOT NULL REFERENCES generation_pipelines (id) ON DELETE CASCADE,
        id                     VARCHAR(255)     NOT NULL CHECK (id <> ''),
        stage_name             VARCHAR(100)     NOT NULL,
        stage_order            INTEGER          NOT NULL,
        status                 stage_status     NOT NULL DEFAULT 'pending',
        progress               INTEGER          NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
        result                 JSONB,
        error                  TEXT,
        error_details          JSONB,
        started_at             TIMESTAMPTZ,
        completed_at           TIMESTAMPTZ,
        duration               BIGINT,
        created_at             TIMESTAMPTZ      NOT NULL,
        updated_at             TIMESTAMPTZ      NOT NULL,
        PRIMARY KEY (pipeline_id, id),
        UNIQUE (pipeline_id, stage_name)
    );

    CREATE INDEX pipeline_stages_status ON pipeline_stages (status);
    CREATE INDEX pipeline_stages_order ON pipeline_stages (pipeline_id, stage_order);
END
$migration$;
