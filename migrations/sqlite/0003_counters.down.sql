DROP TABLE settings;
DROP TABLE audit_log;
DROP TABLE leases;
DROP TABLE writers;
DROP TABLE metric_totals;
DROP TABLE request_totals;
DROP TABLE request_ledger;
