DO $migration$
BEGIN
    -- As in 0005: pages of runs are read in the order of (time, id), by bytes.
    DROP INDEX generation_pipelines_user;
    DROP INDEX generation_pipelines_asset;
    DROP INDEX generation_pipelines_status;
    DROP INDEX generation_pipelines_created;
    DROP INDEX generation_pipelines_user_status;
    DROP INDEX generation_pipelines_meshy_task;
    DROP INDEX generation_pipelines_name;
    CREATE INDEX generation_pipelines_user ON generation_pipelines (user_id, created_at DESC, id COLLATE "C" DESC) WHERE user_id IS NOT NULL;
    CREATE INDEX generation_pipelines_asset ON generation_pipelines (asset_id, created_at DESC, id COLLATE "C" DESC) WHERE asset_id IS NOT NULL;
    CREATE INDEX generation_pipelines_status ON generation_pipelines (status, created_at DESC, id COLLATE "C" DESC);
    CREATE INDEX generation_pipelines_created ON generation_pipelines (created_at DESC, id COLLATE "C" DESC);
    CREATE INDEX generation_pipelines_user_status ON generation_pipelines (user_id, status, created_at DESC, id COLLATE "C" DESC) WHERE user_id IS NOT NULL;
    CREATE INDEX generation_pipelines_meshy_task ON generation_pipelines (meshy_task_id, created_at DESC, id COLLATE "C" DESC) WHERE meshy_task_id IS NOT NULL;
    CREATE INDEX generation_pipelines_name ON generation_pipelines (name, created_at DESC, id COLLATE "C" DESC);
END
$migration$;
