DROP TABLE error_groups;
DROP TABLE error_traces;
DROP TABLE error_aggregation_users;
DROP TABLE error_aggregations;
DROP TABLE error_redirects;
DROP TABLE api_errors;
DROP TABLE users;
