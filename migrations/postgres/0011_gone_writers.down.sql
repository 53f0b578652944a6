DO $migration$
BEGIN
    -- What only counters of writers that are gone knew cannot be told to an older redspan: the
    -- errors they counted are its imported and purged ones, and hours that they counted more of
    -- than is left are not proved.
    DELETE FROM pruned_requests WHERE requests < 0 OR errors < 0 OR duration_sum_nanos < 0;
    ALTER TABLE pruned_requests ADD CONSTRAINT pruned_requests_requests_check CHECK (requests >= 0);
    ALTER TABLE pruned_requests ADD CONSTRAINT pruned_requests_errors_check CHECK (errors >= 0);
    ALTER TABLE pruned_requests ADD CONSTRAINT pruned_requests_duration_sum_nanos_check
        CHECK (duration_sum_nanos >= 0);

    INSERT INTO error_balance
        SELECT CASE reason WHEN 'counted' THEN 'imported' ELSE 'purged' END, errors
        FROM error_balance WHERE reason IN ('counted', 'merged')
        ON CONFLICT (reason) DO UPDATE SET errors = error_balance.errors + excluded.errors;
    DELETE FROM error_balance WHERE reason IN ('counted', 'merged');
    ALTER TABLE error_balance DROP CONSTRAINT error_balance_reason_check;
    ALTER TABLE error_balance ADD CONSTRAINT error_balance_reason_check
        CHECK (reason IN ('imported', 'purged'));

    ALTER TABLE writers DROP COLUMN last_seen_at;
END
$migration$;
