DROP TABLE imported_hours;
DROP TABLE imported_rows;
