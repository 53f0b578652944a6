DO $migration$
BEGIN
    -- When each writer was last seen: the counters of one that is gone for long are deleted, and
    -- what they proved is still proved by the tables below. A replica of the version before, which
    -- is still running, claims its name without it.
    ALTER TABLE writers ADD COLUMN last_seen_at TIMESTAMPTZ NOT NULL DEFAULT now();

    -- 'counted' and 'merged' are what the counters of writers said that are gone.
    ALTER TABLE error_balance DROP CONSTRAINT error_balance_reason_check;
    ALTER TABLE error_balance ADD CONSTRAINT error_balance_reason_check
        CHECK (reason IN ('imported', 'purged', 'counted', 'merged'));

    -- What a writer counted in hours that are gone, less what its counters said when they were
    -- deleted.
    ALTER TABLE pruned_requests DROP CONSTRAINT pruned_requests_requests_check;
    ALTER TABLE pruned_requests DROP CONSTRAINT pruned_requests_errors_check;
    ALTER TABLE pruned_requests DROP CONSTRAINT pruned_requests_duration_sum_nanos_check;
END
$migration$;
