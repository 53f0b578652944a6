DO $migration$
BEGIN
    DROP INDEX error_groups_last_seen;
    DROP INDEX error_groups_status;
    CREATE INDEX error_groups_last_seen ON error_groups (last_seen_at DESC, fingerprint DESC);
    CREATE INDEX error_groups_status ON error_groups (status, last_seen_at DESC, fingerprint DESC);
END
$migration$;
