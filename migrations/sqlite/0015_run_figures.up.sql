-- How many runs stand where, and how those of the last week ended, is asked every few seconds, and
-- read from here alone.
CREATE INDEX generation_pipelines_ended ON generation_pipelines (status, completed_at) WHERE deleted_at IS NULL;
