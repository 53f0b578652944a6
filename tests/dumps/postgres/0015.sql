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
CREATE TYPE redspan.pipeline_status AS ENUM (
    'initializing',
    'processing',
    'completed',
    'failed',
    'cancelled'
);
CREATE TYPE redspan.stage_status AS ENUM (
    'pending',
    'processing',
    'completed',
    'failed',
    'skipped'
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
CREATE TABLE redspan.assets (
    id character varying(255) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT assets_id_check CHECK (((id)::text <> ''::text))
);
CREATE TABLE redspan.audit_log (
    id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    actor text NOT NULL,
    action character varying(100) NOT NULL,
    entity character varying(100) NOT NULL,
    entity_id text NOT NULL,
    before jsonb,
    after jsonb,
    CONSTRAINT audit_log_action_check CHECK (((action)::text <> ''::text)),
    CONSTRAINT audit_log_entity_check CHECK (((entity)::text <> ''::text))
);
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
    forgotten_errors bigint DEFAULT 0 NOT NULL,
    CONSTRAINT error_aggregations_hour_bucket_check CHECK ((mod(EXTRACT(epoch FROM hour_bucket), (3600)::numeric) = (0)::numeric))
);
CREATE TABLE redspan.error_balance (
    reason character varying(100) NOT NULL,
    errors bigint NOT NULL,
    CONSTRAINT error_balance_errors_check CHECK ((errors >= 0)),
    CONSTRAINT error_balance_reason_check CHECK (((reason)::text = ANY (ARRAY[('imported'::character varying)::text, ('purged'::character varying)::text, ('counted'::character varying)::text, ('merged'::character varying)::text])))
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
    unlinked_errors bigint DEFAULT 0 NOT NULL,
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
CREATE TABLE redspan.generation_pipelines (
    id character varying(255) NOT NULL,
    user_id text,
    asset_id text,
    config jsonb NOT NULL,
    status redspan.pipeline_status DEFAULT 'initializing'::redspan.pipeline_status NOT NULL,
    progress integer DEFAULT 0 NOT NULL,
    current_stage character varying(100),
    error text,
    error_stage character varying(100),
    error_details jsonb,
    results jsonb DEFAULT '{}'::jsonb NOT NULL,
    meshy_task_id character varying(255),
    rigging_task_id character varying(255),
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    updated_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    name character varying(100),
    service_name character varying(512) DEFAULT 'unknown_service'::character varying NOT NULL,
    trace_id text,
    state_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone,
    status_by text DEFAULT 'api'::text NOT NULL,
    seen jsonb,
    CONSTRAINT generation_pipelines_id_check CHECK (((id)::text <> ''::text)),
    CONSTRAINT generation_pipelines_progress_check CHECK (((progress >= 0) AND (progress <= 100))),
    CONSTRAINT generation_pipelines_status_by_check CHECK ((status_by = ANY (ARRAY['api'::text, 'spans'::text]))),
    CONSTRAINT generation_pipelines_trace_id_check CHECK ((length(trace_id) = 32))
);
CREATE TABLE redspan.imported_hours (
    key bytea NOT NULL,
    linked_errors bigint NOT NULL,
    unlinked_errors bigint NOT NULL,
    CONSTRAINT imported_hours_key_check CHECK ((length(key) = 16)),
    CONSTRAINT imported_hours_linked_errors_check CHECK ((linked_errors >= 0)),
    CONSTRAINT imported_hours_unlinked_errors_check CHECK ((unlinked_errors >= 0))
);
CREATE TABLE redspan.imported_rows (
    key bytea NOT NULL,
    CONSTRAINT imported_rows_key_check CHECK ((length(key) = 16))
);
CREATE TABLE redspan.leases (
    name character varying(255) NOT NULL,
    holder character varying(255) NOT NULL,
    epoch bigint NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT leases_epoch_check CHECK ((epoch >= 0)),
    CONSTRAINT leases_name_check CHECK (((name)::text <> ''::text))
);
CREATE TABLE redspan.metric_totals (
    writer character varying(255) NOT NULL,
    id uuid NOT NULL,
    family character varying(100) NOT NULL,
    labels text NOT NULL,
    value bigint NOT NULL,
    sum bigint NOT NULL,
    buckets text NOT NULL,
    CONSTRAINT metric_totals_family_check CHECK (((family)::text <> ''::text)),
    CONSTRAINT metric_totals_writer_check CHECK (((writer)::text <> ''::text))
);
CREATE TABLE redspan.pipeline_stages (
    pipeline_id text NOT NULL,
    id character varying(255) NOT NULL,
    stage_name character varying(100) NOT NULL,
    stage_order integer NOT NULL,
    status redspan.stage_status DEFAULT 'pending'::redspan.stage_status NOT NULL,
    progress integer DEFAULT 0 NOT NULL,
    result jsonb,
    error text,
    error_details jsonb,
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    duration bigint,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    status_by text DEFAULT 'api'::text NOT NULL,
    state_at timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
    CONSTRAINT pipeline_stages_id_check CHECK (((id)::text <> ''::text)),
    CONSTRAINT pipeline_stages_progress_check CHECK (((progress >= 0) AND (progress <= 100))),
    CONSTRAINT pipeline_stages_status_by_check CHECK ((status_by = ANY (ARRAY['api'::text, 'spans'::text])))
);
CREATE TABLE redspan.pruned_requests (
    writer character varying(255) NOT NULL,
    requests bigint NOT NULL,
    errors bigint NOT NULL,
    duration_sum_nanos bigint NOT NULL,
    duration_to_5ms bigint NOT NULL,
    duration_to_10ms bigint NOT NULL,
    duration_to_25ms bigint NOT NULL,
    duration_to_50ms bigint NOT NULL,
    duration_to_100ms bigint NOT NULL,
    duration_to_250ms bigint NOT NULL,
    duration_to_500ms bigint NOT NULL,
    duration_to_1s bigint NOT NULL,
    duration_to_2500ms bigint NOT NULL,
    duration_to_5s bigint NOT NULL,
    duration_to_10s bigint NOT NULL,
    duration_beyond bigint NOT NULL,
    CONSTRAINT pruned_requests_writer_check CHECK (((writer)::text <> ''::text))
);
CREATE TABLE redspan.purged_errors (
    id uuid NOT NULL,
    purged_at timestamp with time zone NOT NULL
);
CREATE TABLE redspan.request_ledger (
    digest bytea NOT NULL,
    received_at timestamp with time zone NOT NULL,
    CONSTRAINT request_ledger_digest_check CHECK ((length(digest) = 16))
);
CREATE TABLE redspan.request_totals (
    hour_bucket timestamp with time zone NOT NULL,
    id uuid NOT NULL,
    service_name character varying(512) NOT NULL,
    environment character varying(255) NOT NULL,
    endpoint character varying(512) NOT NULL,
    method character varying(10) NOT NULL,
    writer character varying(255) NOT NULL,
    requests bigint NOT NULL,
    errors bigint NOT NULL,
    estimated_requests double precision NOT NULL,
    duration_sum_nanos bigint NOT NULL,
    duration_to_5ms bigint NOT NULL,
    duration_to_10ms bigint NOT NULL,
    duration_to_25ms bigint NOT NULL,
    duration_to_50ms bigint NOT NULL,
    duration_to_100ms bigint NOT NULL,
    duration_to_250ms bigint NOT NULL,
    duration_to_500ms bigint NOT NULL,
    duration_to_1s bigint NOT NULL,
    duration_to_2500ms bigint NOT NULL,
    duration_to_5s bigint NOT NULL,
    duration_to_10s bigint NOT NULL,
    duration_beyond bigint NOT NULL,
    CONSTRAINT request_totals_duration_sum_nanos_check CHECK ((duration_sum_nanos >= 0)),
    CONSTRAINT request_totals_errors_check CHECK ((errors >= 0)),
    CONSTRAINT request_totals_hour_bucket_check CHECK ((mod(EXTRACT(epoch FROM hour_bucket), (3600)::numeric) = (0)::numeric)),
    CONSTRAINT request_totals_requests_check CHECK ((requests >= 0)),
    CONSTRAINT request_totals_writer_check CHECK (((writer)::text <> ''::text))
);
CREATE TABLE redspan.settings (
    name character varying(100) NOT NULL,
    value text NOT NULL,
    CONSTRAINT settings_name_check CHECK (((name)::text <> ''::text))
);
CREATE TABLE redspan.users (
    id character varying(255) NOT NULL,
    first_seen_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    CONSTRAINT users_id_check CHECK (((id)::text <> ''::text))
);
CREATE TABLE redspan.users_to_forget (
    id character varying(255) NOT NULL,
    actor text NOT NULL,
    asked_at timestamp with time zone NOT NULL,
    CONSTRAINT users_to_forget_id_check CHECK (((id)::text <> ''::text))
);
CREATE TABLE redspan.writers (
    name character varying(255) NOT NULL,
    epoch bigint NOT NULL,
    last_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT writers_epoch_check CHECK ((epoch > 0)),
    CONSTRAINT writers_name_check CHECK (((name)::text <> ''::text))
);
INSERT INTO redspan._sqlx_migrations (version, description, installed_on, success, checksum, execution_time) VALUES (1, 'errors', '2026-11-23 21:21:09.05701+00', true, '\x52a6c26c3faaf5e9cbbd90877f239038ff8569aa38154f8d7e4d84d571927afaa738c06163ad283239463cb6491fb0e7', 56049351);
INSERT INTO redspan._sqlx_migrations (version, description, installed_on, success, checksum, execution_time) VALUES (2, 'pipelines', '2026-11-23 21:21:09.125818+00', true, '\x7166dca320e8571d50d103d310b03af7064966cd0af12ea76e32525f1516ab342e258e717a9fb660f1d66369ba82b338', 18419306);
INSERT INTO redspan._sqlx_migrations (version, description, installed_on, success, checksum, execution_time) VALUES (3, 'counters', '2026-11-23 21:21:09.157976+00', true, '\xae3fd093e84a25665dbbca72e6b39ac6d7f36532e9fc97d6154491442e1b231cb37294ddf674a8477466b33939d94b8b', 37847819);
INSERT INTO redspan._sqlx_migrations (version, description, installed_on, success, checksum, execution_time) VALUES (4, 'purges', '2026-11-23 21:21:09.205118+00', true, '\x84b13a70c74aa671f1c7f25c2c1a0b05ea5ca430bf88ddbd10565f60b8a68001b1b8f1c2a18bc6b8d9c43c2f9957112f', 2058492);
INSERT INTO redspan._sqlx_migrations (version, description, installed_on, success, checksum, execution_time) VALUES (5, 'pages', '2026-11-23 21:36:25.910272+00', true, '\x57c3794f13f68b93e369e7e06f9a86bbb0a8f3dfc125ba3bdc18032b81b2b97b3a3004677f5273496223255444909b67', 19535021);
INSERT INTO redspan._sqlx_migrations (version, description, installed_on, success, checksum, execution_time) VALUES (6, 'pruned requests', '2026-11-23 21:42:52.253578+00', true, '\xa9f412034217086e3ecbe8c174c7f8c11da34c2c02a6f64ff35dc2ef56da82e403086e37abfbd03d96dfbe40d522e228', 1514821);
INSERT INTO redspan._sqlx_migrations (version, description, installed_on, success, checksum, execution_time) VALUES (7, 'pipeline pages', '2026-11-23 22:09:02.707634+00', true, '\xc26e42a3af4f6c5af6dfd5274af4edd40e7ce628be6a764fed5c61c840d9b92b22db9f7c361ba3340d4861d3a48fcb55', 17852530);
INSERT INTO redspan._sqlx_migrations (version, description, installed_on, success, checksum, execution_time) VALUES (8, 'audit entity', '2026-11-23 22:34:18.175174+00', true, '\xe1cb7940a8a5884464c078ca791765591b6fe258a5367ac0c4a8acd45e8b7eef3610e745cfd1f20fb3ba7b85cc568d0d', 2004662);
INSERT INTO redspan._sqlx_migrations (version, description, installed_on, success, checksum, execution_time) VALUES (9, 'imports', '2026-11-23 23:54:31.834204+00', true, '\xf6211a712f5b2075d47f709016a8108595ef3659fcf462caeb6bcd29ece9b64a7a96c84aeecf1a3c514e0d2b1949fb3f', 5752634);
INSERT INTO redspan._sqlx_migrations (version, description, installed_on, success, checksum, execution_time) VALUES (10, 'audit pages', '2026-11-24 00:03:56.193735+00', true, '\xe34ebf59fec11bef406e78c1b33ce45b7569a14bd8c48f986482bbd62098c73cb728c9cf0f3a4a6e245e0ce9c6829745', 6606799);
INSERT INTO redspan._sqlx_migrations (version, description, installed_on, success, checksum, execution_time) VALUES (11, 'gone writers', '2026-11-24 00:24:42.516392+00', true, '\x99413e302f36f7eb77ae810fc8807e11321e71f2575b041c8fdba84d985847a4603326aa76601ee59536d2f345e5c5c0', 2748091);
INSERT INTO redspan._sqlx_migrations (version, description, installed_on, success, checksum, execution_time) VALUES (12, 'group pages', '2026-11-24 00:59:23.821184+00', true, '\x5e3a0b442056278c206a52f7aca4bb0a2d3135976f6548117c285e27c12dfed6f3dab96fc740293bcddc20b0fb270472', 2107245);
INSERT INTO redspan._sqlx_migrations (version, description, installed_on, success, checksum, execution_time) VALUES (13, 'remembered ids', '2026-11-24 03:00:29.613171+00', true, '\x7e9751d2c7c406bbf1ff688f40c906a1b28f3788121797675c778a0461167cb1bc2573c9c1cc96c7769e7fb9b868a1e3', 4330242);
INSERT INTO redspan._sqlx_migrations (version, description, installed_on, success, checksum, execution_time) VALUES (14, 'seen runs', '2026-11-24 03:22:00.357017+00', true, '\x7c2f3b980eb9ca6812f1c26fdf619b6bf1c56df79f00d1beb07b0587fed953c0e4a4ad945b34ead8fbadfac6066927f0', 1857882);
INSERT INTO redspan._sqlx_migrations (version, description, installed_on, success, checksum, execution_time) VALUES (15, 'run figures', '2026-11-24 04:59:23.819724+00', true, '\x5c47e7b54980584a31bc252c51e552557bdc64ef9a071dda7d901f8c0aec8fd23a36f77b6aa3cf85c9bdebf7e30d4289', 1316144);
INSERT INTO redspan.api_errors (id, user_id, request_id, endpoint, method, error_code, error_message, error_stack, severity, category, status_code, request_body, request_headers, response_body, external_service, external_error_code, external_error_message, context, tags, resolved, resolved_at, resolved_by, resolution, ip_address, user_agent, created_at, service_name, service_version, environment, trace_id, span_id, fingerprint, aggregation_id, received_at, deleted_at) VALUES ('037bfca4-2328-8669-b508-c8340512a690', 'ada', NULL, '/orders/{id}/pay', 'POST', 'psycopg.OperationalError', 'connection to server failed: refused', 'Traceback (most recent call last):
  File "/srv/shop/pay.py", line 12, in pay
    charge(order)
psycopg.OperationalError: refused', 'error', 'database', 500, NULL, NULL, NULL, NULL, NULL, NULL, '{"span": {"kind": "INTERNAL", "name": "pay", "startedAt": "2026-11-23T21:21:03.874045Z", "durationMs": 20.0}, "evidence": [{"kind": "failed_span", "type": "OperationalError", "spanId": "0202020202020202", "message": "connection to server failed: refused"}, {"kind": "failed_span", "spanId": "0101010101010101"}], "resource": {"service.name": "shop", "service.version": "1.4.2", "deployment.environment.name": "production"}, "fingerprintBasis": ["service shop", "type psycopg.OperationalError", "at pay.py pay"]}', '[]', false, NULL, NULL, NULL, '192.0.2.0', 'curl/8', '2026-11-23 21:21:03.894045+00', 'shop', '1.4.2', 'production', 'a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1', '0202020202020202', '1:07654a84fcbd2ac5eca6231cce5b32bd', 'a5efa9cd-88fd-8633-9b5d-1cbdac8fd83c', '2026-11-23 21:21:09.403784+00', NULL);
INSERT INTO redspan.api_errors (id, user_id, request_id, endpoint, method, error_code, error_message, error_stack, severity, category, status_code, request_body, request_headers, response_body, external_service, external_error_code, external_error_message, context, tags, resolved, resolved_at, resolved_by, resolution, ip_address, user_agent, created_at, service_name, service_version, environment, trace_id, span_id, fingerprint, aggregation_id, received_at, deleted_at) VALUES ('b7bb9fe6-1cad-8ed9-85c3-e5264d8560ca', NULL, NULL, 'charge', 'POST', 'Timeout', 'no answer', 'Timeout: no answer', 'error', 'external_api', NULL, NULL, NULL, NULL, 'api.stripe.example', '503', 'no answer', '{"span": {"kind": "CLIENT", "name": "charge", "startedAt": "2026-11-23T21:21:06.874045Z", "durationMs": 20.0}, "entry": "unknown", "evidence": [{"kind": "failed_span", "type": "Timeout", "spanId": "0101010101010101", "message": "no answer"}], "resource": {"service.name": "billing", "service.version": "2.0", "deployment.environment.name": "production"}, "attributes": {"server.address": "api.stripe.example", "http.request.method": "POST", "http.response.status_code": 503}, "fingerprintBasis": ["service billing", "type Timeout", "message no answer"]}', '[]', false, NULL, NULL, NULL, NULL, NULL, '2026-11-23 21:21:06.894045+00', 'billing', '2.0', 'production', 'a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6', '0101010101010101', '1:13f195113e2e69ed1f9e50d3850fe600', '7bcd98cd-a5cb-8d77-8207-bdd62c7908ca', '2026-11-23 21:21:09.637169+00', NULL);
INSERT INTO redspan.api_errors (id, user_id, request_id, endpoint, method, error_code, error_message, error_stack, severity, category, status_code, request_body, request_headers, response_body, external_service, external_error_code, external_error_message, context, tags, resolved, resolved_at, resolved_by, resolution, ip_address, user_agent, created_at, service_name, service_version, environment, trace_id, span_id, fingerprint, aggregation_id, received_at, deleted_at) VALUES ('a33038d3-7630-8019-91a9-90b2c14adba4', 'bob', 'req-1', '/orders/{id}/pay', 'POST', 'psycopg.OperationalError', 'connection to server failed: refused', 'Traceback (most recent call last):
  File "/srv/shop/pay.py", line 12, in pay
    charge(order)
psycopg.OperationalError: refused', 'error', 'database', 500, '{"card": "[hidden]"}', '{"accept": "*/*"}', '[1, "two", null]', NULL, 'E1', 'says no', '{"span": {"kind": "SERVER", "name": "POST /orders/{id}/pay", "startedAt": "2026-11-23T21:21:04.874045Z", "durationMs": 20.0}, "evidence": [{"kind": "failed_span", "type": "OperationalError", "spanId": "0101010101010101", "message": "connection to server failed: refused"}], "resource": {"service.name": "shop", "service.version": "1.4.2", "deployment.environment.name": "production"}, "attributes": {"http.route": "/orders/{id}/pay", "http.request.method": "POST", "http.response.status_code": 500}, "fingerprintBasis": ["service shop", "type psycopg.OperationalError", "at pay.py pay"]}', '["eu", "paid"]', true, '2026-11-23 21:21:18.894045+00', 'bob', 'restarted', '192.0.2.0', 'curl/8', '2026-11-23 21:21:04.894045+00', 'shop', '1.4.2', 'production', 'a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2', '0101010101010101', '1:07654a84fcbd2ac5eca6231cce5b32bd', 'a5efa9cd-88fd-8633-9b5d-1cbdac8fd83c', '2026-11-23 21:21:09.48665+00', NULL);
INSERT INTO redspan.api_errors (id, user_id, request_id, endpoint, method, error_code, error_message, error_stack, severity, category, status_code, request_body, request_headers, response_body, external_service, external_error_code, external_error_message, context, tags, resolved, resolved_at, resolved_by, resolution, ip_address, user_agent, created_at, service_name, service_version, environment, trace_id, span_id, fingerprint, aggregation_id, received_at, deleted_at) VALUES ('d0041cd2-bb6c-8f0e-b22e-7195ca725856', NULL, NULL, '/orders', 'GET', 'shop.NotFound', 'no such order', 'shop.NotFound: no such order
  at shop.find (shop.js:3:1)', 'warning', 'validation', 404, NULL, NULL, NULL, NULL, NULL, NULL, '{"span": {"kind": "SERVER", "name": "GET /orders", "startedAt": "2026-11-23T21:21:05.874045Z", "durationMs": 20.0}, "evidence": [{"kind": "exception", "type": "NotFound", "spanId": "0101010101010101", "message": "no such order"}], "resource": {"service.name": "shop", "service.version": "1.4.2", "deployment.environment.name": "production"}, "attributes": {"http.route": "/orders", "http.request.method": "GET", "http.response.status_code": 404}, "fingerprintBasis": ["service shop", "type shop.NotFound", "at shop.js shop.find"]}', '["handled", "client_error"]', false, NULL, NULL, NULL, NULL, NULL, '2026-11-23 21:21:05.894045+00', 'shop', '1.4.2', 'production', 'a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3', '0101010101010101', '1:4903e82ac8dc5cb2fea4f33033b7a19f', '0554d65d-bf95-8206-8c3b-c496a89a6f7b', '2026-11-23 21:21:09.529587+00', '2026-11-23 21:21:19.894045+00');
INSERT INTO redspan.assets (id, created_at) VALUES ('asset-1', '2026-11-23 21:21:09.894045+00');
INSERT INTO redspan.audit_log (id, at, actor, action, entity, entity_id, before, after) VALUES ('019ab000-0000-7000-8000-000000000001', '2026-11-23 21:21:18.894045+00', 'cli:bob', 'resolve', 'group', '1:x', '{"status": "open"}', '{"status": "resolved"}');
INSERT INTO redspan.error_aggregation_users (aggregation_id, user_key, errors) VALUES ('a5efa9cd-88fd-8633-9b5d-1cbdac8fd83c', -8166708734634990299, 1);
INSERT INTO redspan.error_aggregation_users (aggregation_id, user_key, errors) VALUES ('a5efa9cd-88fd-8633-9b5d-1cbdac8fd83c', 6127092889760833226, 1);
INSERT INTO redspan.error_aggregation_users (aggregation_id, user_key, errors) VALUES ('0554d65d-bf95-8206-8c3b-c496a89a6f7b', -8166708734634990299, 1);
INSERT INTO redspan.error_aggregations (id, hour_bucket, service_name, environment, endpoint, method, severity, category, external_service, status_code, total_errors, unique_users, unlinked_errors, first_occurrence, last_occurrence, updated_at, forgotten_errors) VALUES ('a5efa9cd-88fd-8633-9b5d-1cbdac8fd83c', '2026-11-23 21:00:00+00', 'shop', 'production', '/orders/{id}/pay', 'POST', 'error', 'database', NULL, 500, 2, 2, 0, '2026-11-23 21:21:03.894045+00', '2026-11-23 21:21:04.894045+00', '2026-11-23 21:21:09.48665+00', 0);
INSERT INTO redspan.error_aggregations (id, hour_bucket, service_name, environment, endpoint, method, severity, category, external_service, status_code, total_errors, unique_users, unlinked_errors, first_occurrence, last_occurrence, updated_at, forgotten_errors) VALUES ('7bcd98cd-a5cb-8d77-8207-bdd62c7908ca', '2026-11-23 21:00:00+00', 'billing', 'production', 'charge', 'POST', 'error', 'external_api', 'api.stripe.example', NULL, 2, 0, 1, '2026-11-23 21:21:06.894045+00', '2026-11-23 21:21:06.894045+00', '2026-11-23 21:21:09.637169+00', 0);
INSERT INTO redspan.error_aggregations (id, hour_bucket, service_name, environment, endpoint, method, severity, category, external_service, status_code, total_errors, unique_users, unlinked_errors, first_occurrence, last_occurrence, updated_at, forgotten_errors) VALUES ('0554d65d-bf95-8206-8c3b-c496a89a6f7b', '2026-11-23 21:00:00+00', 'shop', 'production', '/orders', 'GET', 'warning', 'validation', NULL, 404, 1, 1, 0, '2026-11-23 21:21:05.894045+00', '2026-11-23 21:21:05.894045+00', '2026-11-23 21:21:09.529587+00', 1);
INSERT INTO redspan.error_balance (reason, errors) VALUES ('purged', 1);
INSERT INTO redspan.error_balance (reason, errors) VALUES ('counted', 3);
INSERT INTO redspan.error_balance (reason, errors) VALUES ('merged', 3);
INSERT INTO redspan.error_groups (fingerprint, service_name, title, category, first_seen_at, last_seen_at, total_errors, status, resolved_at, resolved_by, resolved_version, regressed_at, first_version, last_version, unlinked_errors) VALUES ('1:07654a84fcbd2ac5eca6231cce5b32bd', 'shop', 'psycopg.OperationalError: connection to server failed: refused', 'database', '2026-11-23 21:21:03.894045+00', '2026-11-23 21:21:04.894045+00', 2, 'open', NULL, NULL, NULL, NULL, '1.4.2', '1.4.2', 0);
INSERT INTO redspan.error_groups (fingerprint, service_name, title, category, first_seen_at, last_seen_at, total_errors, status, resolved_at, resolved_by, resolved_version, regressed_at, first_version, last_version, unlinked_errors) VALUES ('1:4903e82ac8dc5cb2fea4f33033b7a19f', 'shop', 'shop.NotFound: no such order', 'validation', '2026-11-23 21:21:05.894045+00', '2026-11-23 21:21:05.894045+00', 1, 'open', NULL, NULL, NULL, NULL, '1.4.2', '1.4.2', 0);
INSERT INTO redspan.error_groups (fingerprint, service_name, title, category, first_seen_at, last_seen_at, total_errors, status, resolved_at, resolved_by, resolved_version, regressed_at, first_version, last_version, unlinked_errors) VALUES ('1:13f195113e2e69ed1f9e50d3850fe600', 'billing', 'Timeout: no answer', 'external_api', '2026-11-23 21:21:06.894045+00', '2026-11-23 21:21:06.894045+00', 2, 'resolved', '2026-11-23 21:21:18.894045+00', 'bob', '1.4.3', '2026-11-23 21:21:17.894045+00', '2.0', '2.0', 1);
INSERT INTO redspan.error_redirects (id, error_id) VALUES ('77777777-0000-8000-8000-000000000000', 'a33038d3-7630-8019-91a9-90b2c14adba4');
INSERT INTO redspan.error_traces (trace_key, service_name, trace_id, sightings, dropped_sightings, touched_at) VALUES ('488bac6e-5d8e-876f-9629-54e3ea0ae74f', 'shop', 'a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1', '[{"key":"037bfca4-2328-8669-b508-c8340512a690","kind":"failed_span","spanId":"0202020202020202","parentSpanId":"0101010101010101","endedAtNanos":1795468863894045218,"thrownAtMicros":1795468863894045,"endedAtMicros":1795468863894045,"facts":{"endpoint":"pay","method":"INTERNAL"},"thrown":{"shortType":"OperationalError","firstLine":"connection to server failed: refused"},"ownCategory":"database","because":"status_error","row":"037bfca4-2328-8669-b508-c8340512a690"},{"key":"06951efe-07cf-86b8-b7fd-613eaf87577e","kind":"failed_span","spanId":"0101010101010101","endedAtNanos":1795468863894045218,"endedAtMicros":1795468863894045,"isEntry":true,"facts":{"endpoint":"/orders/{id}/pay","method":"POST","statusCode":500,"userId":"ada","ipAddress":"192.0.2.0","userAgent":"curl/8"},"ownCategory":"unknown","because":"status_error","content":{"errorMessage":"HTTP 500","errorCode":"500","context":{"attributes":{"http.request.method":"POST","http.response.status_code":500,"http.route":"/orders/{id}/pay"},"fingerprintBasis":["service shop","code 500","message HTTP ?"],"resource":{"deployment.environment.name":"production","service.name":"shop","service.version":"1.4.2"},"span":{"durationMs":20.0,"kind":"SERVER","name":"POST /orders/{id}/pay","startedAt":"2026-11-23T21:21:03.874045Z"}},"serviceVersion":"1.4.2","environment":"production","fingerprint":"1:69189b8cb410ddd99bdde6fc3492c3e3"},"row":"037bfca4-2328-8669-b508-c8340512a690"}]', 0, '2026-11-23 21:21:09.449583+00');
INSERT INTO redspan.error_traces (trace_key, service_name, trace_id, sightings, dropped_sightings, touched_at) VALUES ('910d91fd-cae3-87cd-9eac-1dcb3564fde9', 'shop', 'a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2', '[{"key":"a33038d3-7630-8019-91a9-90b2c14adba4","kind":"failed_span","spanId":"0101010101010101","endedAtNanos":1795468864894045218,"thrownAtMicros":1795468864894045,"endedAtMicros":1795468864894045,"isEntry":true,"facts":{"endpoint":"/orders/{id}/pay","method":"POST","statusCode":500,"userId":"bob","ipAddress":"192.0.2.0","userAgent":"curl/8"},"thrown":{"shortType":"OperationalError","firstLine":"connection to server failed: refused"},"ownCategory":"database","because":"status_error","row":"a33038d3-7630-8019-91a9-90b2c14adba4"}]', 0, '2026-11-23 21:21:09.48665+00');
INSERT INTO redspan.error_traces (trace_key, service_name, trace_id, sightings, dropped_sightings, touched_at) VALUES ('44f226a8-122b-8084-8e39-05a29aa1ec8d', 'shop', 'a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3', '[{"key":"d0041cd2-bb6c-8f0e-b22e-7195ca725856","kind":"exception","spanId":"0101010101010101","endedAtNanos":1795468865894045218,"thrownAtMicros":1795468865894045,"endedAtMicros":1795468865894045,"isEntry":true,"facts":{"endpoint":"/orders","method":"GET","statusCode":404,"userId":"ada"},"thrown":{"shortType":"NotFound","firstLine":"no such order"},"ownCategory":"application","row":"d0041cd2-bb6c-8f0e-b22e-7195ca725856"}]', 0, '2026-11-23 21:21:09.529587+00');
INSERT INTO redspan.error_traces (trace_key, service_name, trace_id, sightings, dropped_sightings, touched_at) VALUES ('26d67b37-b19e-8398-9c87-df7ba84d22f9', 'billing', 'a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5', '[{"key":"48a5ccd1-d472-8bcf-94d8-980c5c5b296a","kind":"failed_span","spanId":"0101010101010101","endedAtNanos":1795468866894045218,"thrownAtMicros":1795468866894045,"endedAtMicros":1795468866894045,"facts":{"endpoint":"charge","method":"POST"},"thrown":{"shortType":"Timeout","firstLine":"no answer"},"ownCategory":"external_api","because":"status_error","row":"48a5ccd1-d472-8bcf-94d8-980c5c5b296a"}]', 0, '2026-11-23 21:21:09.589679+00');
INSERT INTO redspan.error_traces (trace_key, service_name, trace_id, sightings, dropped_sightings, touched_at) VALUES ('f25347d4-ddc9-8fad-9838-bd6ef22d5f93', 'billing', 'a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6', '[{"key":"b7bb9fe6-1cad-8ed9-85c3-e5264d8560ca","kind":"failed_span","spanId":"0101010101010101","endedAtNanos":1795468866894045218,"thrownAtMicros":1795468866894045,"endedAtMicros":1795468866894045,"facts":{"endpoint":"charge","method":"POST"},"thrown":{"shortType":"Timeout","firstLine":"no answer"},"ownCategory":"external_api","because":"status_error","row":"b7bb9fe6-1cad-8ed9-85c3-e5264d8560ca"}]', 0, '2026-11-23 21:21:09.637169+00');
INSERT INTO redspan.generation_pipelines (id, user_id, asset_id, config, status, progress, current_stage, error, error_stage, error_details, results, meshy_task_id, rigging_task_id, created_at, started_at, completed_at, updated_at, expires_at, name, service_name, trace_id, state_at, deleted_at, status_by, seen) VALUES ('pipeline-1', 'ada', 'asset-1', '{"n": 1.5, "type": "text-to-3d"}', 'failed', 40, 'mesh', 'no answer', 'mesh', '{"code": 503}', '{"preview": "a.png"}', 'meshy-1', 'rig-1', '2026-11-23 21:21:09.894045+00', '2026-11-23 21:21:10.894045+00', '2026-11-23 21:21:13.894045+00', '2026-11-23 21:21:13.894045+00', '2026-11-23 21:36:08.894045+00', 'text-to-3d', 'studio', 'abababababababababababababababab', '2026-11-23 21:21:13.894045+00', '2026-11-23 21:21:14.894045+00', 'api', NULL);
INSERT INTO redspan.generation_pipelines (id, user_id, asset_id, config, status, progress, current_stage, error, error_stage, error_details, results, meshy_task_id, rigging_task_id, created_at, started_at, completed_at, updated_at, expires_at, name, service_name, trace_id, state_at, deleted_at, status_by, seen) VALUES ('pipeline-2', NULL, NULL, '{}', 'initializing', 0, NULL, NULL, NULL, NULL, '{}', NULL, NULL, '2026-11-23 21:21:09.894045+00', NULL, NULL, '2026-11-23 21:21:09.894045+00', NULL, NULL, 'unknown_service', NULL, '2026-11-23 21:21:09.894045+00', NULL, 'api', NULL);
INSERT INTO redspan.generation_pipelines (id, user_id, asset_id, config, status, progress, current_stage, error, error_stage, error_details, results, meshy_task_id, rigging_task_id, created_at, started_at, completed_at, updated_at, expires_at, name, service_name, trace_id, state_at, deleted_at, status_by, seen) VALUES ('run-1', 'ada', NULL, '{}', 'failed', 40, 'mesh', 'no answer', 'mesh', NULL, '{}', NULL, NULL, '2026-11-24 02:00:01+00', '2026-11-24 02:00:01+00', '2026-11-24 02:00:04+00', '2026-11-24 02:00:05+00', NULL, 'text-to-3d', 'worker', '0af7651916cd43dd8448eb211c80319c', '2026-11-24 02:00:04+00', NULL, 'spans', '{"facts": {"name": {"at": "2026-11-24T02:00:04.000000Z", "value": "text-to-3d"}, "course": {"last": {"at": "2026-11-24T02:00:04.000000Z", "error": "no answer", "status": "failed"}, "firstEnd": {"at": "2026-11-24T02:00:04.000000Z", "status": "failed"}, "startedAt": "2026-11-24T02:00:01.000000Z"}, "seenAt": "2026-11-24T02:00:01.000000Z", "stages": {"mesh": {"last": {"at": "2026-11-24T02:00:03.000000Z", "error": "no answer", "status": "failed"}, "firstEnd": {"at": "2026-11-24T02:00:03.000000Z", "status": "failed"}, "startedAt": "2026-11-24T02:00:02.000000Z"}}, "userId": {"at": "2026-11-24T02:00:04.000000Z", "value": "ada"}, "heardAt": "2026-11-24T02:00:04.000000Z", "traceId": {"at": "2026-11-24T02:00:03.000000Z", "value": "0af7651916cd43dd8448eb211c80319c"}, "progress": ["2026-11-24T02:00:03.000000Z", 40], "serviceName": {"at": "2026-11-24T02:00:03.000000Z", "value": "worker"}}, "written": {"fields": []}}');
INSERT INTO redspan.imported_hours (key, linked_errors, unlinked_errors) VALUES ('\x101112131415161718191a1b1c1d1e1f', 12, 7);
INSERT INTO redspan.imported_rows (key) VALUES ('\x000102030405060708090a0b0c0d0e0f');
INSERT INTO redspan.leases (name, holder, epoch, expires_at) VALUES ('retention', 'pod-0', 3, '2026-11-23 21:22:08.894045+00');
INSERT INTO redspan.metric_totals (writer, id, family, labels, value, sum, buckets) VALUES ('pod-0', '10fcab68-6844-8ed4-93b4-0e5c10ddb629', 'redspan_errors_total', '{"category":"database","environment":"production","external_service":"","service_name":"shop","severity":"error"}', 2, 0, '[]');
INSERT INTO redspan.metric_totals (writer, id, family, labels, value, sum, buckets) VALUES ('pod-0', '2784c1f9-e8e7-8f45-b911-8ebd38b3ebd9', 'redspan_request_duration_seconds', '{"endpoint":"/orders/{id}/pay","environment":"production","method":"POST","service_name":"shop"}', 2, 40000000, '[0,0,2,0,0,0,0,0,0,0,0,0]');
INSERT INTO redspan.metric_totals (writer, id, family, labels, value, sum, buckets) VALUES ('pod-0', '4451d7ce-a8a7-85a0-a6c2-966b3a1d1e60', 'redspan_requests_total', '{"endpoint":"/orders/{id}/pay","environment":"production","method":"POST","outcome":"error","service_name":"shop"}', 2, 0, '[]');
INSERT INTO redspan.metric_totals (writer, id, family, labels, value, sum, buckets) VALUES ('pod-0', '49aaeaeb-44f0-8e40-827f-9c9edf102138', 'redspan_error_groups_new_total', '{"service_name":"shop"}', 2, 0, '[]');
INSERT INTO redspan.metric_totals (writer, id, family, labels, value, sum, buckets) VALUES ('pod-0', 'fe4cacae-778a-8306-9c57-6aa97b5a9ead', 'redspan_errors_total', '{"category":"validation","environment":"production","external_service":"","service_name":"shop","severity":"warning"}', 1, 0, '[]');
INSERT INTO redspan.metric_totals (writer, id, family, labels, value, sum, buckets) VALUES ('pod-0', 'bb8e06de-a45d-8617-984c-052a5305904a', 'redspan_requests_total', '{"endpoint":"/orders","environment":"production","method":"GET","outcome":"ok","service_name":"shop"}', 2, 0, '[]');
INSERT INTO redspan.metric_totals (writer, id, family, labels, value, sum, buckets) VALUES ('pod-0', 'f5493ec9-3659-865a-8c53-fc24779a9a9a', 'redspan_request_duration_seconds', '{"endpoint":"/orders","environment":"production","method":"GET","service_name":"shop"}', 2, 40000000, '[0,0,2,0,0,0,0,0,0,0,0,0]');
INSERT INTO redspan.metric_totals (writer, id, family, labels, value, sum, buckets) VALUES ('pod-0', '120e38ed-1250-8642-beda-f99cbd434c14', 'redspan_error_groups_new_total', '{"service_name":"billing"}', 1, 0, '[]');
INSERT INTO redspan.metric_totals (writer, id, family, labels, value, sum, buckets) VALUES ('pod-0', '4428ca01-3d90-874a-bd4e-c3c541497127', 'redspan_errors_total', '{"category":"external_api","environment":"production","external_service":"api.stripe.example","service_name":"billing","severity":"error"}', 2, 0, '[]');
INSERT INTO redspan.pipeline_stages (pipeline_id, id, stage_name, stage_order, status, progress, result, error, error_details, started_at, completed_at, duration, created_at, updated_at, status_by, state_at) VALUES ('pipeline-1', 'stage-1', 'sketch', 1, 'completed', 100, '{"ok": true}', NULL, NULL, '2026-11-23 21:21:10.894045+00', '2026-11-23 21:21:11.894045+00', 1000, '2026-11-23 21:21:09.894045+00', '2026-11-23 21:21:11.894045+00', 'api', '2026-11-23 21:21:11.894045+00');
INSERT INTO redspan.pipeline_stages (pipeline_id, id, stage_name, stage_order, status, progress, result, error, error_details, started_at, completed_at, duration, created_at, updated_at, status_by, state_at) VALUES ('pipeline-1', 'stage-2', 'mesh', 2, 'failed', 40, NULL, 'no answer', '{"code": 503}', '2026-11-23 21:21:11.894045+00', '2026-11-23 21:21:13.894045+00', 2000, '2026-11-23 21:21:09.894045+00', '2026-11-23 21:21:13.894045+00', 'api', '2026-11-23 21:21:13.894045+00');
INSERT INTO redspan.pipeline_stages (pipeline_id, id, stage_name, stage_order, status, progress, result, error, error_details, started_at, completed_at, duration, created_at, updated_at, status_by, state_at) VALUES ('run-1', 'mesh', 'mesh', 0, 'failed', 0, NULL, 'no answer', NULL, '2026-11-24 02:00:02+00', '2026-11-24 02:00:03+00', 1000, '2026-11-24 02:00:02+00', '2026-11-24 02:00:05+00', 'spans', '2026-11-24 02:00:03+00');
INSERT INTO redspan.pruned_requests (writer, requests, errors, duration_sum_nanos, duration_to_5ms, duration_to_10ms, duration_to_25ms, duration_to_50ms, duration_to_100ms, duration_to_250ms, duration_to_500ms, duration_to_1s, duration_to_2500ms, duration_to_5s, duration_to_10s, duration_beyond) VALUES ('pod-0', 2, 0, 40000000, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO redspan.pruned_requests (writer, requests, errors, duration_sum_nanos, duration_to_5ms, duration_to_10ms, duration_to_25ms, duration_to_50ms, duration_to_100ms, duration_to_250ms, duration_to_500ms, duration_to_1s, duration_to_2500ms, duration_to_5s, duration_to_10s, duration_beyond) VALUES ('pod-gone', -4, -1, -80000000, 0, 0, -4, 0, 0, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO redspan.purged_errors (id, purged_at) VALUES ('019a0000-0000-7000-8000-0000000000aa', '2026-11-23 22:00:00+00');
INSERT INTO redspan.request_ledger (digest, received_at) VALUES ('\x6b04ae3fe80b56bbf9c1074d4debe476', '2026-11-23 21:21:09.403784+00');
INSERT INTO redspan.request_ledger (digest, received_at) VALUES ('\x6b04ae3fc70f3911b9799e5a2eb620e7', '2026-11-23 21:21:09.449583+00');
INSERT INTO redspan.request_ledger (digest, received_at) VALUES ('\x6b04ae407d5cb7df4b6eb00421babccd', '2026-11-23 21:21:09.48665+00');
INSERT INTO redspan.request_ledger (digest, received_at) VALUES ('\x6b04ae41420dbe03391f5227f8c8f1ed', '2026-11-23 21:21:09.529587+00');
INSERT INTO redspan.request_ledger (digest, received_at) VALUES ('\x6b04ae421ebadf29e9d353520af795ea', '2026-11-23 21:21:09.582622+00');
INSERT INTO redspan.request_ledger (digest, received_at) VALUES ('\x6b04ae42d6ed449f212ab7f680592c97', '2026-11-23 21:21:09.589679+00');
INSERT INTO redspan.request_ledger (digest, received_at) VALUES ('\x6b04ae42b7fdc99157a4e6ee6b64c37a', '2026-11-23 21:21:09.637169+00');
INSERT INTO redspan.request_totals (hour_bucket, id, service_name, environment, endpoint, method, writer, requests, errors, estimated_requests, duration_sum_nanos, duration_to_5ms, duration_to_10ms, duration_to_25ms, duration_to_50ms, duration_to_100ms, duration_to_250ms, duration_to_500ms, duration_to_1s, duration_to_2500ms, duration_to_5s, duration_to_10s, duration_beyond) VALUES ('2026-11-23 21:00:00+00', 'c383c90e-a054-8d5e-8e74-306abde2d99b', 'shop', 'production', '/orders/{id}/pay', 'POST', 'pod-0', 2, 2, 2, 40000000, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO redspan.request_totals (hour_bucket, id, service_name, environment, endpoint, method, writer, requests, errors, estimated_requests, duration_sum_nanos, duration_to_5ms, duration_to_10ms, duration_to_25ms, duration_to_50ms, duration_to_100ms, duration_to_250ms, duration_to_500ms, duration_to_1s, duration_to_2500ms, duration_to_5s, duration_to_10s, duration_beyond) VALUES ('2026-11-23 21:00:00+00', '0d5f7a3e-3c1b-8a54-9d0e-5b7a9c1e2f30', 'shop', 'production', '/orders/{id}/pay', 'POST', 'pod-gone', 4, 1, 4, 80000000, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO redspan.settings (name, value) VALUES ('user_key', '981f48855764aa7ffa3e07c2ce4d4c34');
INSERT INTO redspan.users (id, first_seen_at, last_seen_at) VALUES ('ada', '2026-11-23 21:21:09.449583+00', '2026-11-23 21:21:09.449583+00');
INSERT INTO redspan.users (id, first_seen_at, last_seen_at) VALUES ('bob', '2026-11-23 21:21:09.48665+00', '2026-11-23 21:21:09.48665+00');
INSERT INTO redspan.users_to_forget (id, actor, asked_at) VALUES ('somebody', 'cli:ada', '2026-11-23 22:00:00+00');
INSERT INTO redspan.writers (name, epoch, last_seen_at) VALUES ('pod-0', 1, '2026-11-23 22:00:00+00');
INSERT INTO redspan.writers (name, epoch, last_seen_at) VALUES ('pod-1', 1795471200000001, '2026-11-23 23:00:00+00');
ALTER TABLE ONLY redspan._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY redspan.api_errors
    ADD CONSTRAINT api_errors_pkey PRIMARY KEY (id);
ALTER TABLE ONLY redspan.assets
    ADD CONSTRAINT assets_pkey PRIMARY KEY (id);
ALTER TABLE ONLY redspan.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);
ALTER TABLE ONLY redspan.error_aggregation_users
    ADD CONSTRAINT error_aggregation_users_pkey PRIMARY KEY (aggregation_id, user_key);
ALTER TABLE ONLY redspan.error_aggregations
    ADD CONSTRAINT error_aggregations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY redspan.error_balance
    ADD CONSTRAINT error_balance_pkey PRIMARY KEY (reason);
ALTER TABLE ONLY redspan.error_groups
    ADD CONSTRAINT error_groups_pkey PRIMARY KEY (fingerprint);
ALTER TABLE ONLY redspan.error_redirects
    ADD CONSTRAINT error_redirects_pkey PRIMARY KEY (id);
ALTER TABLE ONLY redspan.error_traces
    ADD CONSTRAINT error_traces_pkey PRIMARY KEY (trace_key);
ALTER TABLE ONLY redspan.generation_pipelines
    ADD CONSTRAINT generation_pipelines_pkey PRIMARY KEY (id);
ALTER TABLE ONLY redspan.imported_hours
    ADD CONSTRAINT imported_hours_pkey PRIMARY KEY (key);
ALTER TABLE ONLY redspan.imported_rows
    ADD CONSTRAINT imported_rows_pkey PRIMARY KEY (key);
ALTER TABLE ONLY redspan.leases
    ADD CONSTRAINT leases_pkey PRIMARY KEY (name);
ALTER TABLE ONLY redspan.metric_totals
    ADD CONSTRAINT metric_totals_pkey PRIMARY KEY (writer, id);
ALTER TABLE ONLY redspan.pipeline_stages
    ADD CONSTRAINT pipeline_stages_pipeline_id_stage_name_key UNIQUE (pipeline_id, stage_name);
ALTER TABLE ONLY redspan.pipeline_stages
    ADD CONSTRAINT pipeline_stages_pkey PRIMARY KEY (pipeline_id, id);
ALTER TABLE ONLY redspan.pruned_requests
    ADD CONSTRAINT pruned_requests_pkey PRIMARY KEY (writer);
ALTER TABLE ONLY redspan.purged_errors
    ADD CONSTRAINT purged_errors_pkey PRIMARY KEY (id);
ALTER TABLE ONLY redspan.request_ledger
    ADD CONSTRAINT request_ledger_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY redspan.request_totals
    ADD CONSTRAINT request_totals_pkey PRIMARY KEY (hour_bucket, id);
ALTER TABLE ONLY redspan.settings
    ADD CONSTRAINT settings_pkey PRIMARY KEY (name);
ALTER TABLE ONLY redspan.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);
ALTER TABLE ONLY redspan.users_to_forget
    ADD CONSTRAINT users_to_forget_pkey PRIMARY KEY (id);
ALTER TABLE ONLY redspan.writers
    ADD CONSTRAINT writers_pkey PRIMARY KEY (name);
CREATE INDEX api_errors_category ON redspan.api_errors USING btree (category, created_at DESC, id DESC);
CREATE INDEX api_errors_created ON redspan.api_errors USING btree (created_at DESC, id DESC);
CREATE INDEX api_errors_endpoint ON redspan.api_errors USING btree (endpoint, created_at DESC, id DESC);
CREATE INDEX api_errors_external_service ON redspan.api_errors USING btree (external_service, created_at DESC, id DESC) WHERE (external_service IS NOT NULL);
CREATE INDEX api_errors_fingerprint ON redspan.api_errors USING btree (fingerprint, created_at DESC, id DESC);
CREATE INDEX api_errors_request ON redspan.api_errors USING btree (request_id, created_at DESC, id DESC) WHERE (request_id IS NOT NULL);
CREATE INDEX api_errors_resolved ON redspan.api_errors USING btree (resolved, created_at DESC, id DESC);
CREATE INDEX api_errors_service ON redspan.api_errors USING btree (service_name, created_at DESC, id DESC);
CREATE INDEX api_errors_severity ON redspan.api_errors USING btree (severity, created_at DESC, id DESC);
CREATE INDEX api_errors_severity_category ON redspan.api_errors USING btree (severity, category, created_at DESC, id DESC);
CREATE INDEX api_errors_status_code ON redspan.api_errors USING btree (status_code, created_at DESC, id DESC) WHERE (status_code IS NOT NULL);
CREATE INDEX api_errors_trace ON redspan.api_errors USING btree (trace_id, created_at DESC, id DESC) WHERE (trace_id IS NOT NULL);
CREATE INDEX api_errors_unresolved ON redspan.api_errors USING btree (service_name, severity, category) WHERE ((NOT resolved) AND (deleted_at IS NULL));
CREATE INDEX api_errors_user ON redspan.api_errors USING btree (user_id, created_at DESC, id DESC) WHERE (user_id IS NOT NULL);
CREATE INDEX audit_log_entity ON redspan.audit_log USING btree (entity, id DESC);
CREATE INDEX audit_log_entity_id ON redspan.audit_log USING btree (entity_id, id DESC);
CREATE INDEX error_aggregations_category ON redspan.error_aggregations USING btree (category, hour_bucket DESC, id DESC);
CREATE INDEX error_aggregations_endpoint ON redspan.error_aggregations USING btree (endpoint, hour_bucket DESC, id DESC);
CREATE INDEX error_aggregations_external_service ON redspan.error_aggregations USING btree (external_service, hour_bucket DESC, id DESC) WHERE (external_service IS NOT NULL);
CREATE INDEX error_aggregations_hour ON redspan.error_aggregations USING btree (hour_bucket DESC, id DESC);
CREATE INDEX error_aggregations_hour_endpoint ON redspan.error_aggregations USING btree (hour_bucket DESC, endpoint);
CREATE INDEX error_aggregations_service ON redspan.error_aggregations USING btree (service_name, hour_bucket DESC, id DESC);
CREATE INDEX error_aggregations_severity ON redspan.error_aggregations USING btree (severity, hour_bucket DESC, id DESC);
CREATE INDEX error_groups_last_seen ON redspan.error_groups USING btree (last_seen_at DESC, fingerprint COLLATE "C" DESC);
CREATE INDEX error_groups_service ON redspan.error_groups USING btree (service_name, last_seen_at DESC);
CREATE INDEX error_groups_status ON redspan.error_groups USING btree (status, last_seen_at DESC, fingerprint COLLATE "C" DESC);
CREATE INDEX error_redirects_error ON redspan.error_redirects USING btree (error_id);
CREATE INDEX error_traces_touched ON redspan.error_traces USING btree (touched_at DESC);
CREATE INDEX generation_pipelines_asset ON redspan.generation_pipelines USING btree (asset_id, created_at DESC, id COLLATE "C" DESC) WHERE (asset_id IS NOT NULL);
CREATE INDEX generation_pipelines_created ON redspan.generation_pipelines USING btree (created_at DESC, id COLLATE "C" DESC);
CREATE INDEX generation_pipelines_ended ON redspan.generation_pipelines USING btree (status, completed_at) WHERE (deleted_at IS NULL);
CREATE INDEX generation_pipelines_expires ON redspan.generation_pipelines USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX generation_pipelines_meshy_task ON redspan.generation_pipelines USING btree (meshy_task_id, created_at DESC, id COLLATE "C" DESC) WHERE (meshy_task_id IS NOT NULL);
CREATE INDEX generation_pipelines_name ON redspan.generation_pipelines USING btree (name, created_at DESC, id COLLATE "C" DESC);
CREATE INDEX generation_pipelines_status ON redspan.generation_pipelines USING btree (status, created_at DESC, id COLLATE "C" DESC);
CREATE INDEX generation_pipelines_user ON redspan.generation_pipelines USING btree (user_id, created_at DESC, id COLLATE "C" DESC) WHERE (user_id IS NOT NULL);
CREATE INDEX generation_pipelines_user_status ON redspan.generation_pipelines USING btree (user_id, status, created_at DESC, id COLLATE "C" DESC) WHERE (user_id IS NOT NULL);
CREATE INDEX pipeline_stages_order ON redspan.pipeline_stages USING btree (pipeline_id, stage_order);
CREATE INDEX pipeline_stages_status ON redspan.pipeline_stages USING btree (status);
CREATE INDEX purged_errors_purged ON redspan.purged_errors USING btree (purged_at);
CREATE INDEX request_ledger_received ON redspan.request_ledger USING btree (received_at);
ALTER TABLE ONLY redspan.api_errors
    ADD CONSTRAINT api_errors_user_id_fkey FOREIGN KEY (user_id) REFERENCES redspan.users(id) ON DELETE SET NULL;
ALTER TABLE ONLY redspan.error_redirects
    ADD CONSTRAINT error_redirects_error_id_fkey FOREIGN KEY (error_id) REFERENCES redspan.api_errors(id) ON DELETE CASCADE;
ALTER TABLE ONLY redspan.generation_pipelines
    ADD CONSTRAINT generation_pipelines_asset_id_fkey FOREIGN KEY (asset_id) REFERENCES redspan.assets(id) ON DELETE SET NULL;
ALTER TABLE ONLY redspan.generation_pipelines
    ADD CONSTRAINT generation_pipelines_user_id_fkey FOREIGN KEY (user_id) REFERENCES redspan.users(id) ON DELETE CASCADE;
ALTER TABLE ONLY redspan.pipeline_stages
    ADD CONSTRAINT pipeline_stages_pipeline_id_fkey FOREIGN KEY (pipeline_id) REFERENCES redspan.generation_pipelines(id) ON DELETE CASCADE;
