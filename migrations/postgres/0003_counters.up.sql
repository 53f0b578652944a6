DO $migration$
BEGIN
    -- What makes a request that is sent again the same request.
    CREATE TABLE request_ledger (
        digest                 BYTEA            NOT NULL PRIMARY KEY CHECK (length(digest) = 16),
        received_at            TIMESTAMPTZ      NOT NULL
    );

    CREATE INDEX request_ledger_received ON request_ledger (received_at);

    -- `id` is the hash of service, environment, endpoint, method and writer. The duration columns
    -- count the requests that took up to so long and longer than the column before says.
    CREATE TABLE request_totals (
        hour_bucket            TIMESTAMPTZ      NOT NULL CHECK (mod(extract(epoch FROM hour_bucket), 3600) = 0),
        id                     UUID             NOT NULL,
        service_name           VARCHAR(512)     NOT NULL,
        environment            VARCHAR(255)     NOT NULL,
        endpoint               VARCHAR(512)     NOT NULL,
        method                 VARCHAR(10)      NOT NULL,
        writer                 VARCHAR(255)     NOT NULL CHECK (writer <> ''),
        requests               BIGINT           NOT NULL CHECK (requests >= 0),
        errors                 BIGINT           NOT NULL CHECK (errors >= 0),
        estimated_requests     DOUBLE PRECISION NOT NULL,
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
        duration_beyond        BIGINT           NOT NULL,
        PRIMARY KEY (hour_bucket, id)
    );

    -- Counters of data that go on across restarts; absolute, each owned by its writer. `id` is the
    -- hash of family and labels, because labels can be longer than an index entry.
    CREATE TABLE metric_totals (
        writer                 VARCHAR(255)     NOT NULL CHECK (writer <> ''),
        id                     UUID             NOT NULL,
        family                 VARCHAR(100)     NOT NULL CHECK (family <> ''),
        labels                 TEXT             NOT NULL,
        value                  BIGINT           NOT NULL,
        sum                    BIGINT           NOT NULL,
        buckets                TEXT             NOT NULL,
        PRIMARY KEY (writer, id)
    );

    CREATE TABLE writers (
        name                   VARCHAR(255)     NOT NULL PRIMARY KEY CHECK (name <> ''),
        epoch                  BIGINT           NOT NULL CHECK (epoch > 0)
    );

    CREATE TABLE leases (
        name                   VARCHAR(255)     NOT NULL PRIMARY KEY CHECK (name <> ''),
        holder                 VARCHAR(255)     NOT NULL,
        epoch                  BIGINT           NOT NULL CHECK (epoch >= 0),
        expires_at             TIMESTAMPTZ      NOT NULL
    );

    CREATE TABLE audit_log (
        id                     UUID             NOT NULL PRIMARY KEY,
        at                     TIMESTAMPTZ      NOT NULL,
        actor                  TEXT             NOT NULL,
        action                 VARCHAR(100)     NOT NULL CHECK (action <> ''),
        entity                 VARCHAR(100)     NOT NULL CHECK (entity <> ''),
        entity_id              TEXT             NOT NULL,
        before                 JSONB,
        after                  JSONB
    );

    CREATE TABLE settings (
        name                   VARCHAR(100)     NOT NULL PRIMARY KEY CHECK (name <> ''),
        value                  TEXT             NOT NULL
    );
END
$migration$;
