CREATE TABLE assets (
    id         TEXT    NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 255),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE generation_pipelines (
    id              TEXT    NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 255),
    user_id         TEXT    REFERENCES users (id) ON DELETE CASCADE,
    asset_id        TEXT    REFERENCES assets (id) ON DELETE SET NULL,
    config          TEXT    NOT NULL CHECK (json_valid(config)),
    status          TEXT    NOT NULL DEFAULT 'initializing'
        CHECK (status IN ('initializing', 'processing', 'completed', 'failed', 'cancelled')),
    progress        INTEGER NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
    current_stage   TEXT    CHECK (length(current_stage) <= 100),
    error           TEXT,
    error_stage     TEXT    CHECK (length(error_stage) <= 100),
    error_details   TEXT    CHECK (error_details IS NULL OR json_valid(error_details)),
    results         TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(results)),
    meshy_task_id   TEXT    CHECK (length(meshy_task_id) <= 255),
    rigging_task_id TEXT    CHECK (length(rigging_task_id) <= 255),
    created_at      INTEGER NOT NULL,
    started_at      INTEGER,
    completed_at    INTEGER,
    updated_at      INTEGER NOT NULL,
    expires_at      INTEGER,
    name            TEXT    CHECK (length(name) <= 100),
    service_name    TEXT    NOT NULL DEFAULT 'unknown_service' CHECK (length(service_name) <= 512),
    trace_id        TEXT    CHECK (length(trace_id) = 32),
    state_at        INTEGER NOT NULL,
    deleted_at      INTEGER
) STRICT;

CREATE INDEX generation_pipelines_user ON generation_pipelines (user_id, created_at DESC) WHERE user_id IS NOT NULL;
CREATE INDEX generation_pipelines_asset ON generation_pipelines (asset_id, created_at DESC) WHERE asset_id IS NOT NULL;
CREATE INDEX generation_pipelines_status ON generation_pipelines (status, created_at DESC);
CREATE INDEX generation_pipelines_created ON generation_pipelines (created_at DESC);
CREATE INDEX generation_pipelines_expires ON generation_pipelines (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX generation_pipelines_user_status ON generation_pipelines (user_id, status, created_at DESC) WHERE user_id IS NOT NULL;
CREATE INDEX generation_pipelines_meshy_task ON generation_pipelines (meshy_task_id) WHERE meshy_task_id IS NOT NULL;
CREATE INDEX generation_pipelines_name ON generation_pipelines (name, created_at DESC);

CREATE TABLE pipeline_stages (
    pipeline_id   TEXT    NOT NULL REFERENCES generation_pipelines (id) ON DELETE CASCADE,
    id            TEXT    NOT NULL CHECK (length(id) BETWEEN 1 AND 255),
    stage_name    TEXT    NOT NULL CHECK (length(stage_name) <= 100),
    stage_order   INTEGER NOT NULL CHECK (stage_order BETWEEN -2147483648 AND 2147483647),
    status        TEXT    NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'skipped')),
    progress      INTEGER NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
    result        TEXT    CHECK (result IS NULL OR json_valid(result)),
    error         TEXT,
    error_details TEXT    CHECK (error_details IS NULL OR json_valid(error_details)),
    started_at    INTEGER,
    completed_at  INTEGER,
    duration      INTEGER,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    PRIMARY KEY (pipeline_id, id),
    UNIQUE (pipeline_id, stage_name)
) STRICT;

CREATE INDEX pipeline_stages_status ON pipeline_stages (status);
CREATE INDEX pipeline_stages_order ON pipeline_stages (pipeline_id, stage_order);
