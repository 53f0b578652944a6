-- Pages of groups are read in the order of (time, fingerprint), by bytes, as on SQLite.
DO $migration$
BEGIN
    DROP INDEX error_groups_last_seen;
    DROP INDEX error_groups_status;
    CREATE INDEX error_groups_last_seen ON error_groups (last_seen_at DESC, fingerprint COLLATE "C" DESC);
    CREATE INDEX error_groups_status ON error_groups (status, last_seen_at DESC, fingerprint COLLATE "C" DESC);
END
$migration$;
