DO $migration$
BEGIN
    DROP TABLE pipeline_stages;
    DROP TABLE generation_pipelines;
    DROP TABLE assets;
    DROP TYPE stage_status;
    DROP TYPE pipeline_status;
END
$migration$;
