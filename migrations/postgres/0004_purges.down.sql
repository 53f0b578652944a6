DO $migration$
BEGIN
    DROP TABLE error_balance;
    ALTER TABLE error_aggregations DROP COLUMN forgotten_errors;
    ALTER TABLE error_groups DROP COLUMN unlinked_errors;
END
$migration$;
