DO $migration$
BEGIN
    ALTER TABLE pipeline_stages DROP COLUMN state_at, DROP COLUMN status_by;
    ALTER TABLE generation_pipelines DROP COLUMN seen, DROP COLUMN status_by;
END
$migration$;
