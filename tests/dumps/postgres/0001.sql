SELECT pg_catalog.set_config('search_path', '', false);
CREATE SCHEMA redspan;
CREATE TYPE redspan.error_category AS ENUM (
    'validation',
    'authentication',
    'authorization',
    'external_api',
    'database',
    'file_system',
    'network',
    'application',
    'unknown'
);
CREATE TYPE redspan.error_severity AS ENUM (
    'debug',
    'info',
    'warning',
    'error',
    'critical'
);
CREATE TABLE redspan._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);
CREATE TABLE redspan.api_errors (
    id uuid NOT NULL,
    user_id text,
    request_id character varying(255),
    endpoint character varying(512) NOT NULL,
    method character varying(10) NOT NULL,
    error_code character varying(100),
    error_message text NOT NULL,
    error_stack text,
    severity redspan.error_severity DEFAULT 'error'::redspan.error_severity NOT NULL,
    category redspan.error_category DEFAULT 'unknown'::redspan.error_category NOT NULL,
    status_code integer,
    request_body jsonb,
    request_headers jsonb,
    response_body jsonb,
    external_service character varying(100),
    external_error_code character varying(100),
    external_error_message text,
    context jsonb DEFAULT '{}'::jsonb NOT NULL,
    tags jsonb DEFAULT '[]'::jsonb NOT NULL,
    resolved boolean DEFAULT false NOT NULL,
    resolved_at timestamp with time zone,
    resolved_by text,
    resolution text,
    ip_address character varying(45),
    user_agent character varying(512),
    created_at timestamp with time zone NOT NULL,
    service_name character varying(512) DEFAULT 'unknown_service'::character varying NOT NULL,
    service_version character varying(255),
    environment character varying(255) DEFAULT ''::character varying NOT NULL,
    trace_id text,
    span_id text,
    fingerprint character varying(255) NOT NULL,
    aggregation_id uuid NOT NULL,
    received_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT api_errors_context_check CHECK ((jsonb_typeof(context) = 'object'::text)),
    CONSTRAINT api_errors_fingerprint_check CHECK (((fingerprint)::text <> ''::text)),
    CONSTRAINT api_errors_span_id_check CHECK ((length(span_id) = 16)),
    CONSTRAINT api_errors_tags_check CHECK ((jsonb_typeof(tags) = 'array'::text)),
    CONSTRAINT api_errors_trace_id_check CHECK ((length(trace_id) = 32))
);
ALTER TABLE ONLY redspan.api_errors ALTER COLUMN error_stack SET COMPRESSION lz4;
CREATE TABLE redspan.error_aggregation_users (
    aggregation_id uuid NOT NULL,
    user_key bigint NOT NULL,
    errors bigint NOT NULL
);
CREATE TABLE redspan.error_aggregations (
    id uuid NOT NULL,
    hour_bucket timestamp with time zone NOT NULL,
    service_name character varying(512) NOT NULL,
    environment character varying(255) NOT NULL,
    endpoint character varying(512) NOT NULL,
    method character varying(10) NOT NULL,
    severity redspan.error_severity NOT NULL,
    category redspan.error_category NOT NULL,
    external_service character varying(100),
    status_code integer,
    total_errors bigint NOT NULL,
    unique_users bigint NOT NULL,
    unlinked_errors bigint NOT NULL,
    first_occurrence timestamp with time zone NOT NULL,
    last_occurrence timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT error_aggregations_hour_bucket_check CHECK ((mod(EXTRACT(epoch FROM hour_bucket), (3600)::numeric) = (0)::numeric))
);
CREATE TABLE redspan.error_groups (
    fingerprint character varying(255) NOT NULL,
    service_name character varying(512) NOT NULL,
    title text NOT NULL,
    category redspan.error_category NOT NULL,
    first_seen_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    total_errors bigint NOT NULL,
    status text DEFAULT 'open'::text NOT NULL,
    resolved_at timestamp with time zone,
    resolved_by text,
    resolved_version character varying(255),
    regressed_at timestamp with time zone,
    first_version character varying(255),
    last_version character varying(255),
    CONSTRAINT error_groups_fingerprint_check CHECK (((fingerprint)::text <> ''::text)),
    CONSTRAINT error_groups_status_check CHECK ((status = ANY (ARRAY['open'::text, 'resolved'::text, 'ignored'::text])))
);
CREATE TABLE redspan.error_redirects (
    id uuid NOT NULL,
    error_id uuid NOT NULL
);
CREATE TABLE redspan.error_traces (
    trace_key uuid NOT NULL,
    service_name character varying(512) NOT NULL,
    trace_id text NOT NULL,
    sightings text NOT NULL,
    dropped_sightings bigint DEFAULT 0 NOT NULL,
    touched_at timestamp with time zone NOT NULL,
    CONSTRAINT error_traces_dropped_sightings_check CHECK ((dropped_sightings >= 0)),
    CONSTRAINT error_traces_trace_id_check CHECK ((length(trace_id) = 32))
);
CREATE TABLE redspan.users (
    id character varying(255) NOT NULL,
    first_seen_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    CONSTRAINT users_id_check CHECK (((id)::text <> ''::text))
);
INSERT INTO redspan._sqlx_migrations (version, description, installed_on, success, checksum, execution_time) VALUES (1, 'errors', '2026-11-23 21:21:09.05701+00', true, '\x52a6c26c3faaf5e9cbbd90877f239038ff8569aa38154f8d7e4d84d571927afaa738c06163ad283239463cb6491fb0e7', 56049351);
INSERT INTO redspan.api_errors (id, user_id, request_id, endpoint, method, error_code, error_message, error_stack, severity, category, status_code, request_body, request_headers, response_body, external_service, external_error_code, external_error_message, context, tags, resolved, resolved_at, resolved_by, resolution, ip_address, user_agent, created_at, service_name, service_version, environment, trace_id, span_id, fingerprint, aggregation_id, received_at, deleted_at) VALUES ('037bfca4-2328-8669-b508-c8340512a690', 'ada', NULL, '/orders/{id}/pay', 'POST', 'psycopg.OperationalError', 'connection to server failed: refused', 'Traceback (most recent call last):
  File "/srv/shop/pay.py", line 12, in pay
    charge(order)
psycopg.OperationalError: refused', 'error', 'database', 500, NULL, NULL, NULL, NULL, NULL, NULL, '{"span": {"kind": "INTERNAL", "name": "pay", "startedAt": "2026-11-23T21:21:03.874045Z", "durationMs": 20.0}, "evidence": [{"kind": "failed_span", "type": "OperationalError", "spanId": "0202020202020202", "message": "connection to server failed: refused"}, {"kind": "failed_span", "spanId": "0101010101010101"}], "resource": {"service.name": "shop", "service.version": "1.4.2", "deployment.environment.name": "production"}, "fingerprintBasis": ["service shop", "type psycopg.OperationalError", "at pay.py pay"]}', '[]', false, NULL, NULL, NULL, '192.0.2.0', 'curl/8', '2026-11-23 21:21:03.894045+00', 'shop', '1.4.2', 'production', 'a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1', '0202020202020202', '1:07654a84fcbd2ac5eca6231cce5b32bd', 'a5efa9cd-88fd-8633-9b5d-1cbdac8fd83c', '2026-11-23 21:21:09.403784+00', NULL);
INSERT INTO redspan.api_errors (id, user_id, request_id, endpoint, method, error_code, error_message, error_stack, severity, category, status_code, request_body, request_headers, response_body, external_service, external_error_code, external_error_message, context, tags, resolved, resolved_at, resolved_by, resolution, ip_address, user_agent, created_at, service_name, service_version, environment, trace_id, span_id, fingerprint, aggregation_id, received_at, deleted_at) VALUES ('48a5ccd1-d472-8bcf-94d8-980c5c5b296a', NULL, NULL, 'charge', 'POST', 'Timeout', 'no answer', 'Timeout: no answer', 'error', 'external_api', NULL, NULL, NULL, NULL, 'api.stripe.example', '503', 'no answer', '{"span": {"kind": "CLIENT", "name": "charge", "startedAt": "2026-11-23T21:21:06.874045Z", "durationMs": 20.0}, "entry": "unknown", "evidence": [{"kind": "failed_span", "type": "Timeout", "spanId": "0101010101010101", "message": "no answer"}], "resource": {"service.name": "billing", "service.version": "2.0", "deployment.environment.name": "production"}, "attributes": {"server.address": "api.stripe.example", "http.request.method": "POST", "http.response.status_code": 503}, "fingerprintBasis": ["service billing", "type Timeout", "message no answer"]}', '[]', false, NULL, NULL, NULL, NULL, NULL, '2026-11-23 21:21:06.894045+00', 'billing', '2.0', 'production', 'a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5', '0101010101010101', '1:13f195113e2e69ed1f9e50d3850fe600', '7bcd98cd-a5cb-8d77-8207-bdd62c7908ca', '2026-11-23 21:21:09.589679+00', NULL);
INSERT INTO redspan.api_errors (id, user_id, request_id, endpoint, method, error_code, error_message, error_stack, severity, category, status_code, request_body, request_headers, response_body, external_service, external_error_code, external_error_message, context, tags, resolved, resolved_at, resolved_by, resolution, ip_address, user_agent, created_at, service_name, service_version, environment, trace_id, span_id, fingerprint, aggregation_id, received_at, deleted_at) VALUES ('b7bb9fe6-1cad-8ed9-85c3-e5264d8560ca', NULL, NULL, 'charge', 'POST', 'Timeout', 'no answer', 'Timeout: no answer', 'error', 'external_api', NULL, NULL, NULL, NULL, 'api.stripe.example', '503', 'no answer', '{"span": {"kind": "CLIENT", "name": "charge", "startedAt": "2026-11-23T21:21:06.874045Z", "durationMs": 20.0}, "entry": "unknown", "evidence": [{"kind": "failed_span", "type": "Timeout", "spanId": "0101010101010101", "message": "no answer"}], "resource": {"service.name": "billing", "service.version": "2.0", "deployment.environment.name": "production"}, "attributes": {"server.address": "api.stripe.example", "http.request.method": "POST", "http.response.status_code": 503}, "fingerprintBasis": ["service billing", "type Timeout", "message no answer"]}', '[]', false, NULL, NULL, NULL, NULL, NULL, '2026-11-23 21:21:06.894045+00', 'billing', '2.0', 'production', 'a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6', '0101010101010101', '1:13f195113e2e69ed1f9e50d3850fe600', '7bcd98cd-a5cb-8d77-8207-bdd62c7908ca', '2026-11-23 21:21:09.637169+00', NULL);
INSERT INTO redspan.api_errors (id, user_id, request_id, endpoint, method, error_code, error_message, error_stack, severity, category, status_code, request_body, request_headers, response_body, external_service, external_error_code, external_error_message, context, tags, resolved, resolved_at, resolved_by, resolution, ip_address, user_agent, created_at, service_name, service_version, environment, trace_id, span_id, fingerprint, aggregation_id, received_at, deleted_at) VALUES ('a33038d3-7630-8019-91a9-90b2c14adba4', 'bob', 'req-1', '/orders/{id}/pay', 'POST', 'psycopg.OperationalError', 'connection to server failed: refused', 'Traceback (most recent call last):
  File "/srv/shop/pay.py", line 12, in pay
    charge(order)
psycopg.OperationalError: refused', 'error', 'database', 500, '{"card": "[hidden]"}', '{"accept": "*/*"}', '[1, "two", null]', NULL, 'E1', 'says no', '{"span": {"kind": "SERVER", "name": "POST /orders/{id}/pay", "startedAt": "2026-11-23T21:21:04.874045Z", "durationMs": 20.0}, "evidence": [{"kind": "failed_span", "type": "OperationalError", "spanId": "0101010101010101", "message": "connection to server failed: refused"}], "resource": {"service.name": "shop", "service.version": "1.4.2", "deployment.environment.name": "production"}, "attributes": {"http.route": "/orders/{id}/pay", "http.request.method": "POST", "http.response.status_code": 500}, "fingerprintBasis": ["service shop", "type psycopg.OperationalError", "at pay.py pay"]}', '["eu", "paid"]', true, '2026-11-23 21:21:18.894045+00', 'bob', 'restarted', '192.0.2.0', 'curl/8', '2026-11-23 21:21:04.894045+00', 'shop', '1.4.2', 'production', 'a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2', '0101010101010101', '1:07654a84fcbd2ac5eca6231cce5b32bd', 'a5efa9cd-88fd-8633-9b5d-1cbdac8fd83c', '2026-11-23 21:21:09.48665+00', NULL);
INSERT INTO redspan.api_errors (id, user_id, request_id, endpoint, method, error_code, error_message, error_stack, severity, category, status_code, request_body, request_headers, response_body, external_service, external_error_code, external_error_message, context, tags, resolved, resolved_at, resolved_by, resolution, ip_address, user_agent, created_at, service_name, service_version, environment, trace_id, span_id, fingerprint, aggregation_id, received_at, deleted_at) VALUES ('d0041cd2-bb6c-8f0e-b22e-7195ca725856', 'ada', NULL, '/orders', 'GET', 'shop.NotFound', 'no such order', 'shop.NotFound: no such order
  at shop.find (shop.js:3:1)', 'warning', 'validation', 404, NULL, NULL, NULL, NULL, NULL, NULL, '{"span": {"kind": "SERVER", "name": "GET /orders", "startedAt": "2026-11-23T21:21:05.874045Z", "durationMs": 20.0}, "evidence": [{"kind": "exception", "type": "NotFound", "spanId": "0101010101010101", "message": "no such order"}], "resource": {"service.name": "shop", "service.version": "1.4.2", "deployment.environment.name": "production"}, "attributes": {"http.route": "/orders", "http.request.method": "GET", "http.response.status_code": 404}, "fingerprintBasis": ["service shop", "type shop.NotFound", "at shop.js shop.find"]}', '["handled", "client_error"]', false, NULL, NULL, NULL, NULL, NULL, '2026-11-23 21:21:05.894045+00', 'shop', '1.4.2', 'production', 'a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3', '0101010101010101', '1:4903e82ac8dc5cb2fea4f33033b7a19f', '0554d65d-bf95-8206-8c3b-c496a89a6f7b', '2026-11-23 21:21:09.529587+00', '2026-11-23 21:21:19.894045+00');
INSERT INTO redspan.error_aggregation_users (aggregation_id, user_key, errors) VALUES ('a5efa9cd-88fd-8633-9b5d-1cbdac8fd83c', -8166708734634990299, 1);
INSERT INTO redspan.error_aggregation_users (aggregation_id, user_key, errors) VALUES ('a5efa9cd-88fd-8633-9b5d-1cbdac8fd83c', 6127092889760833226, 1);
INSERT INTO redspan.error_aggregation_users (aggregation_id, user_key, errors) VALUES ('0554d65d-bf95-8206-8c3b-c496a89a6f7b', -8166708734634990299, 1);
INSERT INTO redspan.error_aggregations (id, hour_bucket, service_name, environment, endpoint, method, severity, category, external_service, status_code, total_errors, unique_users, unlinked_errors, first_occurrence, last_occurrence, updated_at) VALUES ('a5efa9cd-88fd-8633-9b5d-1cbdac8fd83c', '2026-11-23 21:00:00+00', 'shop', 'production', '/orders/{id}/pay', 'POST', 'error', 'database', NULL, 500, 2, 2, 0, '2026-11-23 21:21:03.894045+00', '2026-11-23 21:21:04.894045+00', '2026-11-23 21:21:09.48665+00');
INSERT INTO redspan.error_aggregations (id, hour_bucket, service_name, environment, endpoint, method, severity, category, external_service, status_code, total_errors, unique_users, unlinked_errors, first_occurrence, last_occurrence, updated_at) VALUES ('0554d65d-bf95-8206-8c3b-c496a89a6f7b', '2026-11-23 21:00:00+00', 'shop', 'production', '/orders', 'GET', 'warning', 'validation', NULL, 404, 1, 1, 0, '2026-11-23 21:21:05.894045+00', '2026-11-23 21:21:05.894045+00', '2026-11-23 21:21:09.529587+00');
INSERT INTO redspan.error_aggregations (id, hour_bucket, service_name, environment, endpoint, method, severity, category, external_service, status_code, total_errors, unique_users, unlinked_errors, first_occurrence, last_occurrence, updated_at) VALUES ('7bcd98cd-a5cb-8d77-8207-bdd62c7908ca', '2026-11-23 21:00:00+00', 'billing', 'production', 'charge', 'POST', 'error', 'external_api', 'api.stripe.example', NULL, 2, 0, 0, '2026-11-23 21:21:06.894045+00', '2026-11-23 21:21:06.894045+00', '2026-11-23 21:21:09.637169+00');
INSERT INTO redspan.error_groups (fingerprint, service_name, title, category, first_seen_at, last_seen_at, total_errors, status, resolved_at, resolved_by, resolved_version, regressed_at, first_version, last_version) VALUES ('1:07654a84fcbd2ac5eca6231cce5b32bd', 'shop', 'psycopg.OperationalError: connection to server failed: refused', 'database', '2026-11-23 21:21:03.894045+00', '2026-11-23 21:21:04.894045+00', 2, 'open', NULL, NULL, NULL, NULL, '1.4.2', '1.4.2');
INSERT INTO redspan.error_groups (fingerprint, service_name, title, category, first_seen_at, last_seen_at, total_errors, status, resolved_at, resolved_by, resolved_version, regressed_at, first_version, last_version) VALUES ('1:4903e82ac8dc5cb2fea4f33033b7a19f', 'shop', 'shop.NotFound: no such order', 'validation', '2026-11-23 21:21:05.894045+00', '2026-11-23 21:21:05.894045+00', 1, 'open', NULL, NULL, NULL, NULL, '1.4.2', '1.4.2');
INSERT INTO redspan.error_groups (fingerprint, service_name, title, category, first_seen_at, last_seen_at, total_errors, status, resolved_at, resolved_by, resolved_version, regressed_at, first_version, last_version) VALUES ('1:13f195113e2e69ed1f9e50d3850fe600', 'billing', 'Timeout: no answer', 'external_api', '2026-11-23 21:21:06.894045+00', '2026-11-23 21:21:06.894045+00', 2, 'resolved', '2026-11-23 21:21:18.894045+00', 'bob', '1.4.3', '2026-11-23 21:21:17.894045+00', '2.0', '2.0');
INSERT INTO redspan.error_redirects (id, error_id) VALUES ('77777777-0000-8000-8000-000000000000', 'a33038d3-7630-8019-91a9-90b2c14adba4');
INSERT INTO redspan.error_traces (trace_key, service_name, trace_id, sightings, dropped_sightings, touched_at) VALUES ('488bac6e-5d8e-876f-9629-54e3ea0ae74f', 'shop', 'a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1', '[{"key":"037bfca4-2328-8669-b508-c8340512a690","kind":"failed_span","spanId":"0202020202020202","parentSpanId":"0101010101010101","endedAtNanos":1795468863894045218,"thrownAtMicros":1795468863894045,"endedAtMicros":1795468863894045,"facts":{"endpoint":"pay","method":"INTERNAL"},"thrown":{"shortType":"OperationalError","firstLine":"connection to server failed: refused"},"ownCategory":"database","because":"status_error","row":"037bfca4-2328-8669-b508-c8340512a690"},{"key":"06951efe-07cf-86b8-b7fd-613eaf87577e","kind":"failed_span","spanId":"0101010101010101","endedAtNanos":1795468863894045218,"endedAtMicros":1795468863894045,"isEntry":true,"facts":{"endpoint":"/orders/{id}/pay","method":"POST","statusCode":500,"userId":"ada","ipAddress":"192.0.2.0","userAgent":"curl/8"},"ownCategory":"unknown","because":"status_error","content":{"errorMessage":"HTTP 500","errorCode":"500","context":{"attributes":{"http.request.method":"POST","http.response.status_code":500,"http.route":"/orders/{id}/pay"},"fingerprintBasis":["service shop","code 500","message HTTP ?"],"resource":{"deployment.environment.name":"production","service.name":"shop","service.version":"1.4.2"},"span":{"durationMs":20.0,"kind":"SERVER","name":"POST /orders/{id}/pay","startedAt":"2026-11-23T21:21:03.874045Z"}},"serviceVersion":"1.4.2","environment":"production","fingerprint":"1:69189b8cb410ddd99bdde6fc3492c3e3"},"row":"037bfca4-2328-8669-b508-c8340512a690"}]', 0, '2026-11-23 21:21:09.449583+00');
INSERT INTO redspan.error_traces (trace_key, service_name, trace_id, sightings, dropped_sightings, touched_at) VALUES ('910d91fd-cae3-87cd-9eac-1dcb3564fde9', 'shop', 'a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2', '[{"key":"a33038d3-7630-8019-91a9-90b2c14adba4","kind":"failed_span","spanId":"0101010101010101","endedAtNanos":1795468864894045218,"thrownAtMicros":1795468864894045,"endedAtMicros":1795468864894045,"isEntry":true,"facts":{"endpoint":"/orders/{id}/pay","method":"POST","statusCode":500,"userId":"bob","ipAddress":"192.0.2.0","userAgent":"curl/8"},"thrown":{"shortType":"OperationalError","firstLine":"connection to server failed: refused"},"ownCategory":"database","because":"status_error","row":"a33038d3-7630-8019-91a9-90b2c14adba4"}]', 0, '2026-11-23 21:21:09.48665+00');
INSERT INTO redspan.error_traces (trace_key, service_name, trace_id, sightings, dropped_sightings, touched_at) VALUES ('44f226a8-122b-8084-8e39-05a29aa1ec8d', 'shop', 'a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3', '[{"key":"d0041cd2-bb6c-8f0e-b22e-7195ca725856","kind":"exception","spanId":"0101010101010101","endedAtNanos":1795468865894045218,"thrownAtMicros":1795468865894045,"endedAtMicros":1795468865894045,"isEntry":true,"facts":{"endpoint":"/orders","method":"GET","statusCode":404,"userId":"ada"},"thrown":{"shortType":"NotFound","firstLine":"no such order"},"ownCategory":"application","row":"d0041cd2-bb6c-8f0e-b22e-7195ca725856"}]', 0, '2026-11-23 21:21:09.529587+00');
INSERT INTO redspan.error_traces (trace_key, service_name, trace_id, sightings, dropped_sightings, touched_at) VALUES ('26d67b37-b19e-8398-9c87-df7ba84d22f9', 'billing', 'a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5', '[{"key":"48a5ccd1-d472-8bcf-94d8-980c5c5b296a","kind":"failed_span","spanId":"0101010101010101","endedAtNanos":1795468866894045218,"thrownAtMicros":1795468866894045,"endedAtMicros":1795468866894045,"facts":{"endpoint":"charge","method":"POST"},"thrown":{"shortType":"Timeout","firstLine":"no answer"},"ownCategory":"external_api","because":"status_error","row":"48a5ccd1-d472-8bcf-94d8-980c5c5b296a"}]', 0, '2026-11-23 21:21:09.589679+00');
INSERT INTO redspan.error_traces (trace_key, service_name, trace_id, sightings, dropped_sightings, touched_at) VALUES ('f25347d4-ddc9-8fad-9838-bd6ef22d5f93', 'billing', 'a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6', '[{"key":"b7bb9fe6-1cad-8ed9-85c3-e5264d8560ca","kind":"failed_span","spanId":"0101010101010101","endedAtNanos":1795468866894045218,"thrownAtMicros":1795468866894045,"endedAtMicros":1795468866894045,"facts":{"endpoint":"charge","method":"POST"},"thrown":{"shortType":"Timeout","firstLine":"no answer"},"ownCategory":"external_api","because":"status_error","row":"b7bb9fe6-1cad-8ed9-85c3-e5264d8560ca"}]', 0, '2026-11-23 21:21:09.637169+00');
INSERT INTO redspan.users (id, first_seen_at, last_seen_at) VALUES ('ada', '2026-11-23 21:21:09.449583+00', '2026-11-23 21:21:09.449583+00');
INSERT INTO redspan.users (id, first_seen_at, last_seen_at) VALUES ('bob', '2026-11-23 21:21:09.48665+00', '2026-11-23 21:21:09.48665+00');
ALTER TABLE ONLY redspan._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY redspan.api_errors
    ADD CONSTRAINT api_errors_pkey PRIMARY KEY (id);
ALTER TABLE ONLY redspan.error_aggregation_users
    ADD CONSTRAINT error_aggregation_users_pkey PRIMARY KEY (aggregation_id, user_key);
ALTER TABLE ONLY redspan.error_aggregations
    ADD CONSTRAINT error_aggregations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY redspan.error_groups
    ADD CONSTRAINT error_groups_pkey PRIMARY KEY (fingerprint);
ALTER TABLE ONLY redspan.error_redirects
    ADD CONSTRAINT error_redirects_pkey PRIMARY KEY (id);
ALTER TABLE ONLY redspan.error_traces
    ADD CONSTRAINT error_traces_pkey PRIMARY KEY (trace_key);
ALTER TABLE ONLY redspan.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);
CREATE INDEX api_errors_category ON redspan.api_errors USING btree (category, created_at DESC);
CREATE INDEX api_errors_created ON redspan.api_errors USING btree (created_at DESC);
CREATE INDEX api_errors_endpoint ON redspan.api_errors USING btree (endpoint, created_at DESC);
CREATE INDEX api_errors_external_service ON redspan.api_errors USING btree (external_service, created_at DESC) WHERE (external_service IS NOT NULL);
CREATE INDEX api_errors_fingerprint ON redspan.api_errors USING btree (fingerprint, created_at DESC);
CREATE INDEX api_errors_request ON redspan.api_errors USING btree (request_id, created_at DESC) WHERE (request_id IS NOT NULL);
CREATE INDEX api_errors_resolved ON redspan.api_errors USING btree (resolved, created_at DESC);
CREATE INDEX api_errors_service ON redspan.api_errors USING btree (service_name, created_at DESC);
CREATE INDEX api_errors_severity ON redspan.api_errors USING btree (severity, created_at DESC);
CREATE INDEX api_errors_severity_category ON redspan.api_errors USING btree (severity, category, created_at DESC);
CREATE INDEX api_errors_status_code ON redspan.api_errors USING btree (status_code, created_at DESC) WHERE (status_code IS NOT NULL);
CREATE INDEX api_errors_trace ON redspan.api_errors USING btree (trace_id) WHERE (trace_id IS NOT NULL);
CREATE INDEX api_errors_user ON redspan.api_errors USING btree (user_id, created_at DESC) WHERE (user_id IS NOT NULL);
CREATE INDEX error_aggregations_category ON redspan.error_aggregations USING btree (category, hour_bucket DESC);
CREATE INDEX error_aggregations_endpoint ON redspan.error_aggregations USING btree (endpoint, hour_bucket DESC);
CREATE INDEX error_aggregations_external_service ON redspan.error_aggregations USING btree (external_service, hour_bucket DESC) WHERE (external_service IS NOT NULL);
CREATE INDEX error_aggregations_hour_endpoint ON redspan.error_aggregations USING btree (hour_bucket DESC, endpoint);
CREATE INDEX error_aggregations_severity ON redspan.error_aggregations USING btree (severity, hour_bucket DESC);
CREATE INDEX error_redirects_error ON redspan.error_redirects USING btree (error_id);
CREATE INDEX error_traces_touched ON redspan.error_traces USING btree (touched_at DESC);
ALTER TABLE ONLY redspan.api_errors
    ADD CONSTRAINT api_errors_user_id_fkey FOREIGN KEY (user_id) REFERENCES redspan.users(id) ON DELETE SET NULL;
ALTER TABLE ONLY redspan.error_redirects
    ADD CONSTRAINT error_redirects_error_id_fkey FOREIGN KEY (error_id) REFERENCES redspan.api_errors(id) ON DELETE CASCADE;
