-- Errors and runs that an import took over: each is taken once, whatever becomes of it here. The
-- key is the hash of its id.
CREATE TABLE imported_rows (
    key BLOB NOT NULL PRIMARY KEY CHECK (length(key) = 16)
) STRICT, WITHOUT ROWID;

-- What was taken of an hour's label set of another ledger. The key is the hash of both.
CREATE TABLE imported_hours (
    key             BLOB    NOT NULL PRIMARY KEY CHECK (length(key) = 16),
    linked_errors   INTEGER NOT NULL CHECK (linked_errors >= 0),
    unlinked_errors INTEGER NOT NULL CHECK (unlinked_errors >= 0)
) STRICT, WITHOUT ROWID;
