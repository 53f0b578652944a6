-- When each writer was last seen: the counters of one that is gone for long are deleted, and what
-- they proved is still proved by the tables below. A check cannot be changed: they are made anew.
ALTER TABLE writers RENAME TO old_writers;
CREATE TABLE writers (
    name         TEXT    NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 255),
    epoch        INTEGER NOT NULL CHECK (epoch > 0),
    last_seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO writers SELECT name, epoch, CAST(unixepoch('subsec') * 1000000 AS INTEGER) FROM old_writers;
DROP TABLE old_writers;

-- 'counted' and 'merged' are what the counters of writers said that are gone.
ALTER TABLE error_balance RENAME TO old_error_balance;
CREATE TABLE error_balance (
    reason TEXT    NOT NULL PRIMARY KEY CHECK (reason IN ('imported', 'purged', 'counted', 'merged')),
    errors INTEGER NOT NULL CHECK (errors >= 0)
) STRICT, WITHOUT ROWID;
INSERT INTO error_balance SELECT reason, errors FROM old_error_balance;
DROP TABLE old_error_balance;

-- What a writer counted in hours that are gone, less what its counters said when they were deleted.
ALTER TABLE pruned_requests RENAME TO old_pruned_requests;
CREATE TABLE pruned_requests (
    writer             TEXT    NOT NULL PRIMARY KEY CHECK (length(writer) BETWEEN 1 AND 255),
    requests           INTEGER NOT NULL,
    errors             INTEGER NOT NULL,
    duration_sum_nanos INTEGER NOT NULL,
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
INSERT INTO pruned_requests SELECT * FROM old_pruned_requests;
DROP TABLE old_pruned_requests;
