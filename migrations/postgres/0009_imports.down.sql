DO $migration$
BEGIN
    DROP TABLE imported_hours;
    DROP TABLE imported_rows;
END
$migration$;
