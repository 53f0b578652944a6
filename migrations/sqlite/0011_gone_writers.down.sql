-- What only counters of writers that are gone knew cannot be told to an older redspan: the errors
-- they counted are its imported and purged ones, and hours that they counted more of than is left
-- are not proved.
ALTER TABLE pruned_requests RENAME TO old_pruned_requests;
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
INSERT INTO pruned_requests SELECT * FROM old_pruned_requests
    WHERE requests >= 0 AND errors >= 0 AND duration_sum_nanos >= 0;
DROP TABLE old_pruned_requests;

ALTER TABLE error_balance RENAME TO old_error_balance;
CREATE TABLE error_balance (
    reason TEXT    NOT NULL PRIMARY KEY CHECK (reason IN ('imported', 'purged')),
    errors INTEGER NOT NULL CHECK (errors >= 0)
) STRICT, WITHOUT ROWID;
INSERT INTO error_balance
    SELECT CASE WHEN reason IN ('imported', 'counted') THEN 'imported' ELSE 'purged' END, SUM(errors)
    FROM old_error_balance GROUP BY 1;
DROP TABLE old_error_balance;

ALTER TABLE writers RENAME TO old_writers;
CREATE TABLE writers (
    name       TEXT    NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 255),
    epoch      INTEGER NOT NULL CHECK (epoch > 0)
) STRICT, WITHOUT ROWID;
INSERT INTO writers SELECT name, epoch FROM old_writers;
DROP TABLE old_writers;
