DO $migration$
BEGIN
    -- Errors that were purged, as far as no trace remembers them: what is sent again under such an
    -- id was counted before.
    CREATE TABLE purged_errors (
        id                     UUID             NOT NULL PRIMARY KEY,
        purged_at              TIMESTAMPTZ      NOT NULL
    );
    CREATE INDEX purged_errors_purged ON purged_errors (purged_at);

    -- Users that somebody asked to forget, until nothing names them any more.
    CREATE TABLE users_to_forget (
        id                     VARCHAR(255)     NOT NULL PRIMARY KEY CHECK (id <> ''),
        actor                  TEXT             NOT NULL,
        asked_at               TIMESTAMPTZ      NOT NULL
    );
END
$migration$;
