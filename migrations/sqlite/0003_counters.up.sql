-- What makes a request that is sent again the same request.
CREATE TABLE request_ledger (
    digest      BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 16),
    received_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX request_ledger_received ON request_ledger (received_at);

-- `id` is the hash of service, environment, endpoint, method and writer. The duration columns
-- count the requests that took up to so long and longer than the column before says.
CREATE TABLE request_totals (
    hour_bucket         INTEGER NOT NULL CHECK (hour_bucket % 3600000000 = 0),
    id                  TEXT    NOT NULL CHECK (length(id) = 36),
    service_name        TEXT    NOT NULL CHECK (length(service_name) <= 512),
    environment         TEXT    NOT NULL CHECK (length(environment) <= 255),
    endpoint            TEXT    NOT NULL CHECK (length(endpoint) <= 512),
    method              TEXT    NOT NULL CHECK (length(method) <= 10),
    writer              TEXT    NOT NULL CHECK (length(writer) BETWEEN 1 AND 255),
    requests            INTEGER NOT NULL CHECK (requests >= 0),
    errors              INTEGER NOT NULL CHECK (errors >= 0),
    estimated_requests  REAL    NOT NULL,
    duration_sum_nanos  INTEGER NOT NULL CHECK (duration_sum_nanos >= 0),
    duration_to_5ms     INTEGER NOT NULL,
    duration_to_10ms    INTEGER NOT NULL,
    duration_to_25ms    INTEGER NOT NULL,
    duration_to_50ms    INTEGER NOT NULL,
    duration_to_100ms   INTEGER NOT NULL,
    duration_to_250ms   INTEGER NOT NULL,
    duration_to_500ms   INTEGER NOT NULL,
    duration_to_1s      INTEGER NOT NULL,
    duration_to_2500ms  INTEGER NOT NULL,
    duration_to_5s      INTEGER NOT NULL,
    duration_to_10s     INTEGER NOT NULL,
    duration_beyond     INTEGER NOT NULL,
    PRIMARY KEY (hour_bucket, id)
) STRICT, WITHOUT ROWID;

-- Counters of data that go on across restarts; absolute, each owned by its writer. `id` is the
-- hash of family and labels, because labels can be longer than an index entry.
CREATE TABLE metric_totals (
    writer  TEXT    NOT NULL CHECK (length(writer) BETWEEN 1 AND 255),
    id      TEXT    NOT NULL CHECK (length(id) = 36),
    family  TEXT    NOT NULL CHECK (length(family) BETWEEN 1 AND 100),
    labels  TEXT    NOT NULL CHECK (json_valid(labels)),
    value   INTEGER NOT NULL,
    sum     INTEGER NOT NULL,
    buckets TEXT    NOT NULL CHECK (json_valid(buckets)),
    PRIMARY KEY (writer, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE writers (
    name       TEXT    NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 255),
    epoch      INTEGER NOT NULL CHECK (epoch > 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    name       TEXT    NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 255),
    holder     TEXT    NOT NULL CHECK (length(holder) <= 255),
    epoch      INTEGER NOT NULL CHECK (epoch >= 0),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_log (
    id        TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    at        INTEGER NOT NULL,
    actor     TEXT    NOT NULL,
    action    TEXT    NOT NULL CHECK (length(action) BETWEEN 1 AND 100),
    entity    TEXT    NOT NULL CHECK (length(entity) BETWEEN 1 AND 100),
    entity_id TEXT    NOT NULL,
    before    TEXT    CHECK (before IS NULL OR json_valid(before)),
    after     TEXT    CHECK (after IS NULL OR json_valid(after))
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 100),
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
