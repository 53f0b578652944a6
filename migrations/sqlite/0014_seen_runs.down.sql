ALTER TABLE pipeline_stages DROP COLUMN state_at;
ALTER TABLE pipeline_stages DROP COLUMN status_by;
ALTER TABLE generation_pipelines DROP COLUMN seen;
ALTER TABLE generation_pipelines DROP COLUMN status_by;
