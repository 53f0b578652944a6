-- Errors that were purged, as far as no trace remembers them: what is sent again under such an id
-- was counted before.
CREATE TABLE purged_errors (
    id        TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    purged_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX purged_errors_purged ON purged_errors (purged_at);

-- Users that somebody asked to forget, until nothing names them any more.
CREATE TABLE users_to_forget (
    id       TEXT    NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 255),
    actor    TEXT    NOT NULL,
    asked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
