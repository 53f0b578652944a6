-- What writers counted in hours of request_totals that are gone: their counters are still proved by it.
CREATE TABLE pruned_requests (
    writer             TEXT    NOT NULL PRIMARY KEY CHECK (length(writer) BETWEEN 1 AND 255),
    requests           INTEGER NOT NULL CHECK (requests >= 0),
    errors             INTEGER NOT NULL CHECK (errors >= 0),
    duration_sum_nanos INTEGER NOT NULL CHECK (duration_sum_nanos >= 0),
    duration_to_5ms    INTEGER NOT NULL,
    duration_to_10ms   INTEGER NOT NULL,
    duration_to_25ms   INTEGER NOT NULL,
    duration_to_50ms   INTEGER NOT NULL,
    duration_to_100ms  INTEGER NOT NULL,
    duration_to_250ms  INTEGER NOT NULL,
    duration_to_500ms  INTEGER NOT NULL,
    duration_to_1s     INTEGER NOT NULL,
    duration_to_2500ms INTEGER NOT NULL,
    duration_to_5s     INTEGER NOT NULL,
    duration_to_10s    INTEGER NOT NULL,
    duration_beyond    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
