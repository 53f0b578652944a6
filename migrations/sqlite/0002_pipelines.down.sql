DROP TABLE pipeline_stages;
DROP TABLE generation_pipelines;
DROP TABLE assets;
