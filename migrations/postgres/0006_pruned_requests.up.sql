-- What writers counted in hours of request_totals that are gone: their counters are still proved by it.
CREATE TABLE pruned_requests (
    writer                 VARCHAR(255)     NOT NULL PRIMARY KEY CHECK (writer <> ''),
    requests               BIGINT           NOT NULL CHECK (requests >= 0),
    errors                 BIGINT           NOT NULL CHECK (errors >= 0),
    duration_sum_nanos     BIGINT           NOT NULL CHECK (duration_sum_nanos >= 0),
    duration_to_5ms        BIGINT           NOT NULL,
    duration_to_10ms       BIGINT           NOT NULL,
    duration_to_25ms       BIGINT           NOT NULL,
    duration_to_50ms       BIGINT           NOT NULL,
    duration_to_100ms      BIGINT           NOT NULL,
    duration_to_250ms      BIGINT           NOT NULL,
    duration_to_500ms      BIGINT           NOT NULL,
    duration_to_1s         BIGINT           NOT NULL,
    duration_to_2500ms     BIGINT           NOT NULL,
    duration_to_5s         BIGINT           NOT NULL,
    duration_to_10s        BIGINT           NOT NULL,
    duration_beyond        BIGINT           NOT NULL
);
