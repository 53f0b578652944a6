DO $migration$
BEGIN
    -- Who said where a run and a stage stand, since when a stage stands there, and all that spans
    -- said of a run beside what application code wrote of it: what is said later is put together
    -- with that.
    ALTER TABLE generation_pipelines
        ADD COLUMN status_by TEXT NOT NULL DEFAULT 'api' CHECK (status_by IN ('api', 'spans')),
        ADD COLUMN seen JSONB;
    ALTER TABLE pipeline_stages
        ADD COLUMN status_by TEXT NOT NULL DEFAULT 'api' CHECK (status_by IN ('api', 'spans')),
        ADD COLUMN state_at TIMESTAMPTZ NOT NULL DEFAULT TIMESTAMPTZ 'epoch';
    UPDATE pipeline_stages SET state_at = coalesce(completed_at, started_at, created_at);
END
$migration$;
