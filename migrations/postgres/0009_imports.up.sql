DO $migration$
BEGIN
    -- Errors and runs that an import took over: each is taken once, whatever becomes of it here.
    -- The key is the hash of its id.
    CREATE TABLE imported_rows (
        key                    BYTEA            NOT NULL PRIMARY KEY CHECK (length(key) = 16)
    );

    -- What was taken of an hour's label set of another ledger. The key is the hash of both.
    CREATE TABLE imported_hours (
        key                    BYTEA            NOT NULL PRIMARY KEY CHECK (length(key) = 16),
        linked_errors          BIGINT           NOT NULL CHECK (linked_errors >= 0),
        unlinked_errors        BIGINT           NOT NULL CHECK (unlinked_errors >= 0)
    );
END
$migration$;
