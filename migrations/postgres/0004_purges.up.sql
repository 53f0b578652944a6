DO $migration$
BEGIN
    -- Errors that the group counts and that have no row any more.
    ALTER TABLE error_groups ADD COLUMN unlinked_errors BIGINT NOT NULL DEFAULT 0;

    -- Errors whose user was forgotten: counted under a member that no row names.
    ALTER TABLE error_aggregations ADD COLUMN forgotten_errors BIGINT NOT NULL DEFAULT 0;

    -- What parts the rows that are there from those that redspan_errors_total counted.
    CREATE TABLE error_balance (
        reason                 VARCHAR(100)     NOT NULL PRIMARY KEY CHECK (reason IN ('imported', 'purged')),
        errors                 BIGINT           NOT NULL CHECK (errors >= 0)
    );
END
$migration$;
