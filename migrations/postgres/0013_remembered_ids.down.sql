DO $migration$
BEGIN
    DROP TABLE users_to_forget;
    DROP TABLE purged_errors;
END
$migration$;
