PRAGMA foreign_keys = OFF;
PRAGMA application_id = 1919247443;
BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO "_sqlx_migrations" VALUES(1,'errors','2026-11-23 21:21:07',1,X'30A619A640E20622F4C79E053F2D35805BA5D5809269A0EF62910AAB492E41CDA45218E0DD5E1367AA2EEE359F7FE42A',12017002);
CREATE TABLE api_errors (
    id                     TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    user_id                TEXT    REFERENCES users (id) ON DELETE SET NULL,
    request_id             TEXT    CHECK (length(request_id) <= 255),
    endpoint               TEXT    NOT NULL CHECK (length(endpoint) <= 512),
    method                 TEXT    NOT NULL CHECK (length(method) <= 10),
    error_code             TEXT    CHECK (length(error_code) <= 100),
    error_message          TEXT    NOT NULL,
    error_stack            TEXT,
    severity               TEXT    NOT NULL DEFAULT 'error'
        CHECK (severity IN ('debug', 'info', 'warning', 'error', 'critical')),
    category               TEXT    NOT NULL DEFAULT 'unknown'
        CHECK (category IN ('validation', 'authentication', 'authorization', 'external_api',
                            'database', 'file_system', 'network', 'application', 'unknown')),
    status_code            INTEGER CHECK (status_code BETWEEN -2147483648 AND 2147483647),
    request_body           TEXT    CHECK (request_body IS NULL OR json_valid(request_body)),
    request_headers        TEXT    CHECK (request_headers IS NULL OR json_valid(request_headers)),
    response_body          TEXT    CHECK (response_body IS NULL OR json_valid(response_body)),
    external_service       TEXT    CHECK (length(external_service) <= 100),
    external_error_code    TEXT    CHECK (length(external_error_code) <= 100),
    external_error_message TEXT,
    context                TEXT    NOT NULL DEFAULT '{}'
        CHECK (CASE WHEN json_valid(context) THEN json_type(context) = 'object' ELSE 0 END),
    tags                   TEXT    NOT NULL DEFAULT '[]'
        CHECK (CASE WHEN json_valid(tags) THEN json_type(tags) = 'array' ELSE 0 END),
    resolved               INTEGER NOT NULL DEFAULT 0 CHECK (resolved IN (0, 1)),
    resolved_at            INTEGER,
    resolved_by            TEXT,
    resolution             TEXT,
    ip_address             TEXT    CHECK (length(ip_address) <= 45),
    user_agent             TEXT    CHECK (length(user_agent) <= 512),
    created_at             INTEGER NOT NULL,
    service_name           TEXT    NOT NULL DEFAULT 'unknown_service' CHECK (length(service_name) <= 512),
    service_version        TEXT    CHECK (length(service_version) <= 255),
    environment            TEXT    NOT NULL DEFAULT '' CHECK (length(environment) <= 255),
    trace_id               TEXT    CHECK (length(trace_id) = 32),
    span_id                TEXT    CHECK (length(span_id) = 16),
    fingerprint            TEXT    NOT NULL CHECK (length(fingerprint) BETWEEN 1 AND 255),
    aggregation_id         TEXT    NOT NULL CHECK (length(aggregation_id) = 36),
    received_at            INTEGER NOT NULL,
    deleted_at             INTEGER
) STRICT;
INSERT INTO "api_errors" VALUES('037bfca4-2328-8669-b508-c8340512a690','ada',NULL,'/orders/{id}/pay','POST','psycopg.OperationalError','connection to server failed: refused','Traceback (most recent call last):
  File "/srv/shop/pay.py", line 12, in pay
    charge(order)
psycopg.OperationalError: refused','error','database',500,NULL,NULL,NULL,NULL,NULL,NULL,'{"evidence":[{"kind":"failed_span","message":"connection to server failed: refused","spanId":"0202020202020202","type":"OperationalError"},{"kind":"failed_span","spanId":"0101010101010101"}],"fingerprintBasis":["service shop","type psycopg.OperationalError","at pay.py pay"],"resource":{"deployment.environment.name":"production","service.name":"shop","service.version":"1.4.2"},"span":{"durationMs":20.0,"kind":"INTERNAL","name":"pay","startedAt":"2026-11-23T21:21:02.418091Z"}}','[]',0,NULL,NULL,NULL,'192.0.2.0','curl/8',1795468862438091,'shop','1.4.2','production','a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1','0202020202020202','1:07654a84fcbd2ac5eca6231cce5b32bd','a5efa9cd-88fd-8633-9b5d-1cbdac8fd83c',1795468867595595,NULL);
INSERT INTO "api_errors" VALUES('a33038d3-7630-8019-91a9-90b2c14adba4','bob','req-1','/orders/{id}/pay','POST','psycopg.OperationalError','connection to server failed: refused','Traceback (most recent call last):
  File "/srv/shop/pay.py", line 12, in pay
    charge(order)
psycopg.OperationalError: refused','error','database',500,'{"card":"[hidden]"}','{"accept":"*/*"}','[1,"two",null]',NULL,'E1','says no','{"attributes":{"http.request.method":"POST","http.response.status_code":500,"http.route":"/orders/{id}/pay"},"evidence":[{"kind":"failed_span","message":"connection to server failed: refused","spanId":"0101010101010101","type":"OperationalError"}],"fingerprintBasis":["service shop","type psycopg.OperationalError","at pay.py pay"],"resource":{"deployment.environment.name":"production","service.name":"shop","service.version":"1.4.2"},"span":{"durationMs":20.0,"kind":"SERVER","name":"POST /orders/{id}/pay","startedAt":"2026-11-23T21:21:03.418091Z"}}','["eu","paid"]',1,1795468877438091,'bob','restarted','192.0.2.0','curl/8',1795468863438091,'shop','1.4.2','production','a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2','0101010101010101','1:07654a84fcbd2ac5eca6231cce5b32bd','a5efa9cd-88fd-8633-9b5d-1cbdac8fd83c',1795468867666380,NULL);
INSERT INTO "api_errors" VALUES('d0041cd2-bb6c-8f0e-b22e-7195ca725856','ada',NULL,'/orders','GET','shop.NotFound','no such order','shop.NotFound: no such order
  at shop.find (shop.js:3:1)','warning','validation',404,NULL,NULL,NULL,NULL,NULL,NULL,'{"attributes":{"http.request.method":"GET","http.response.status_code":404,"http.route":"/orders"},"evidence":[{"kind":"exception","message":"no such order","spanId":"0101010101010101","type":"NotFound"}],"fingerprintBasis":["service shop","type shop.NotFound","at shop.js shop.find"],"resource":{"deployment.environment.name":"production","service.name":"shop","service.version":"1.4.2"},"span":{"durationMs":20.0,"kind":"SERVER","name":"GET /orders","startedAt":"2026-11-23T21:21:04.418091Z"}}','["handled","client_error"]',0,NULL,NULL,NULL,NULL,NULL,1795468864438091,'shop','1.4.2','production','a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3','0101010101010101','1:4903e82ac8dc5cb2fea4f33033b7a19f','0554d65d-bf95-8206-8c3b-c496a89a6f7b',1795468867677055,1795468878438091);
INSERT INTO "api_errors" VALUES('48a5ccd1-d472-8bcf-94d8-980c5c5b296a',NULL,NULL,'charge','POST','Timeout','no answer','Timeout: no answer','error','external_api',NULL,NULL,NULL,NULL,'api.stripe.example','503','no answer','{"attributes":{"http.request.method":"POST","http.response.status_code":503,"server.address":"api.stripe.example"},"entry":"unknown","evidence":[{"kind":"failed_span","message":"no answer","spanId":"0101010101010101","type":"Timeout"}],"fingerprintBasis":["service billing","type Timeout","message no answer"],"resource":{"deployment.environment.name":"production","service.name":"billing","service.version":"2.0"},"span":{"durationMs":20.0,"kind":"CLIENT","name":"charge","startedAt":"2026-11-23T21:21:05.418091Z"}}','[]',0,NULL,NULL,NULL,NULL,NULL,1795468865438091,'billing','2.0','production','a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5','0101010101010101','1:13f195113e2e69ed1f9e50d3850fe600','7bcd98cd-a5cb-8d77-8207-bdd62c7908ca',1795468867708211,NULL);
INSERT INTO "api_errors" VALUES('b7bb9fe6-1cad-8ed9-85c3-e5264d8560ca',NULL,NULL,'charge','POST','Timeout','no answer','Timeout: no answer','error','external_api',NULL,NULL,NULL,NULL,'api.stripe.example','503','no answer','{"attributes":{"http.request.method":"POST","http.response.status_code":503,"server.address":"api.stripe.example"},"entry":"unknown","evidence":[{"kind":"failed_span","message":"no answer","spanId":"0101010101010101","type":"Timeout"}],"fingerprintBasis":["service billing","type Timeout","message no answer"],"resource":{"deployment.environment.name":"production","service.name":"billing","service.version":"2.0"},"span":{"durationMs":20.0,"kind":"CLIENT","name":"charge","startedAt":"2026-11-23T21:21:05.418091Z"}}','[]',0,NULL,NULL,NULL,NULL,NULL,1795468865438091,'billing','2.0','production','a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6','0101010101010101','1:13f195113e2e69ed1f9e50d3850fe600','7bcd98cd-a5cb-8d77-8207-bdd62c7908ca',1795468867712872,NULL);
CREATE TABLE error_aggregation_users (
    aggregation_id TEXT    NOT NULL CHECK (length(aggregation_id) = 36),
    user_key       INTEGER NOT NULL,
    errors         INTEGER NOT NULL,
    PRIMARY KEY (aggregation_id, user_key)
) STRICT, WITHOUT ROWID;
INSERT INTO "error_aggregation_users" VALUES('0554d65d-bf95-8206-8c3b-c496a89a6f7b',4775780274923217236,1);
INSERT INTO "error_aggregation_users" VALUES('a5efa9cd-88fd-8633-9b5d-1cbdac8fd83c',-9033632568015767629,1);
INSERT INTO "error_aggregation_users" VALUES('a5efa9cd-88fd-8633-9b5d-1cbdac8fd83c',4775780274923217236,1);
CREATE TABLE error_aggregations (
    id               TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    hour_bucket      INTEGER NOT NULL CHECK (hour_bucket % 3600000000 = 0),
    service_name     TEXT    NOT NULL CHECK (length(service_name) <= 512),
    environment      TEXT    NOT NULL CHECK (length(environment) <= 255),
    endpoint         TEXT    NOT NULL CHECK (length(endpoint) <= 512),
    method           TEXT    NOT NULL CHECK (length(method) <= 10),
    severity         TEXT    NOT NULL
        CHECK (severity IN ('debug', 'info', 'warning', 'error', 'critical')),
    category         TEXT    NOT NULL
        CHECK (category IN ('validation', 'authentication', 'authorization', 'external_api',
                            'database', 'file_system', 'network', 'application', 'unknown')),
    external_service TEXT    CHECK (length(external_service) <= 100),
    status_code      INTEGER CHECK (status_code BETWEEN -2147483648 AND 2147483647),
    total_errors     INTEGER NOT NULL,
    unique_users     INTEGER NOT NULL,
    unlinked_errors  INTEGER NOT NULL,
    first_occurrence INTEGER NOT NULL,
    last_occurrence  INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
) STRICT;
INSERT INTO "error_aggregations" VALUES('a5efa9cd-88fd-8633-9b5d-1cbdac8fd83c',1795467600000000,'shop','production','/orders/{id}/pay','POST','error','database',NULL,500,2,2,0,1795468862438091,1795468863438091,1795468867666380);
INSERT INTO "error_aggregations" VALUES('0554d65d-bf95-8206-8c3b-c496a89a6f7b',1795467600000000,'shop','production','/orders','GET','warning','validation',NULL,404,1,1,0,1795468864438091,1795468864438091,1795468867677055);
INSERT INTO "error_aggregations" VALUES('7bcd98cd-a5cb-8d77-8207-bdd62c7908ca',1795467600000000,'billing','production','charge','POST','error','external_api','api.stripe.example',NULL,2,0,0,1795468865438091,1795468865438091,1795468867712872);
CREATE TABLE error_groups (
    fingerprint      TEXT    NOT NULL PRIMARY KEY CHECK (length(fingerprint) BETWEEN 1 AND 255),
    service_name     TEXT    NOT NULL CHECK (length(service_name) <= 512),
    title            TEXT    NOT NULL,
    category         TEXT    NOT NULL
        CHECK (category IN ('validation', 'authentication', 'authorization', 'external_api',
                            'database', 'file_system', 'network', 'application', 'unknown')),
    first_seen_at    INTEGER NOT NULL,
    last_seen_at     INTEGER NOT NULL,
    total_errors     INTEGER NOT NULL,
    status           TEXT    NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'resolved', 'ignored')),
    resolved_at      INTEGER,
    resolved_by      TEXT,
    resolved_version TEXT    CHECK (length(resolved_version) <= 255),
    regressed_at     INTEGER,
    first_version    TEXT    CHECK (length(first_version) <= 255),
    last_version     TEXT    CHECK (length(last_version) <= 255)
) STRICT, WITHOUT ROWID;
INSERT INTO "error_groups" VALUES('1:07654a84fcbd2ac5eca6231cce5b32bd','shop','psycopg.OperationalError: connection to server failed: refused','database',1795468862438091,1795468863438091,2,'open',NULL,NULL,NULL,NULL,'1.4.2','1.4.2');
INSERT INTO "error_groups" VALUES('1:13f195113e2e69ed1f9e50d3850fe600','billing','Timeout: no answer','external_api',1795468865438091,1795468865438091,2,'resolved',1795468877438091,'bob','1.4.3',1795468876438091,'2.0','2.0');
INSERT INTO "error_groups" VALUES('1:4903e82ac8dc5cb2fea4f33033b7a19f','shop','shop.NotFound: no such order','validation',1795468864438091,1795468864438091,1,'open',NULL,NULL,NULL,NULL,'1.4.2','1.4.2');
CREATE TABLE error_redirects (
    id       TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    error_id TEXT NOT NULL REFERENCES api_errors (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
INSERT INTO "error_redirects" VALUES('77777777-0000-8000-8000-000000000000','a33038d3-7630-8019-91a9-90b2c14adba4');
CREATE TABLE error_traces (
    trace_key         TEXT    NOT NULL PRIMARY KEY CHECK (length(trace_key) = 36),
    service_name      TEXT    NOT NULL CHECK (length(service_name) <= 512),
    trace_id          TEXT    NOT NULL CHECK (length(trace_id) = 32),
    sightings         TEXT    NOT NULL,
    dropped_sightings INTEGER NOT NULL DEFAULT 0 CHECK (dropped_sightings >= 0),
    touched_at        INTEGER NOT NULL
) STRICT;
INSERT INTO "error_traces" VALUES('488bac6e-5d8e-876f-9629-54e3ea0ae74f','shop','a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1','[{"key":"037bfca4-2328-8669-b508-c8340512a690","kind":"failed_span","spanId":"0202020202020202","parentSpanId":"0101010101010101","endedAtNanos":1795468862438091876,"thrownAtMicros":1795468862438091,"endedAtMicros":1795468862438091,"facts":{"endpoint":"pay","method":"INTERNAL"},"thrown":{"shortType":"OperationalError","firstLine":"connection to server failed: refused"},"ownCategory":"database","because":"status_error","row":"037bfca4-2328-8669-b508-c8340512a690"},{"key":"06951efe-07cf-86b8-b7fd-613eaf87577e","kind":"failed_span","spanId":"0101010101010101","endedAtNanos":1795468862438091876,"endedAtMicros":1795468862438091,"isEntry":true,"facts":{"endpoint":"/orders/{id}/pay","method":"POST","statusCode":500,"userId":"ada","ipAddress":"192.0.2.0","userAgent":"curl/8"},"ownCategory":"unknown","because":"status_error","content":{"errorMessage":"HTTP 500","errorCode":"500","context":{"attributes":{"http.request.method":"POST","http.response.status_code":500,"http.route":"/orders/{id}/pay"},"fingerprintBasis":["service shop","code 500","message HTTP ?"],"resource":{"deployment.environment.name":"production","service.name":"shop","service.version":"1.4.2"},"span":{"durationMs":20.0,"kind":"SERVER","name":"POST /orders/{id}/pay","startedAt":"2026-11-23T21:21:02.418091Z"}},"serviceVersion":"1.4.2","environment":"production","fingerprint":"1:69189b8cb410ddd99bdde6fc3492c3e3"},"row":"037bfca4-2328-8669-b508-c8340512a690"}]',0,1795468867651465);
INSERT INTO "error_traces" VALUES('910d91fd-cae3-87cd-9eac-1dcb3564fde9','shop','a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2','[{"key":"a33038d3-7630-8019-91a9-90b2c14adba4","kind":"failed_span","spanId":"0101010101010101","endedAtNanos":1795468863438091876,"thrownAtMicros":1795468863438091,"endedAtMicros":1795468863438091,"isEntry":true,"facts":{"endpoint":"/orders/{id}/pay","method":"POST","statusCode":500,"userId":"bob","ipAddress":"192.0.2.0","userAgent":"curl/8"},"thrown":{"shortType":"OperationalError","firstLine":"connection to server failed: refused"},"ownCategory":"database","because":"status_error","row":"a33038d3-7630-8019-91a9-90b2c14adba4"}]',0,1795468867666380);
INSERT INTO "error_traces" VALUES('44f226a8-122b-8084-8e39-05a29aa1ec8d','shop','a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3','[{"key":"d0041cd2-bb6c-8f0e-b22e-7195ca725856","kind":"exception","spanId":"0101010101010101","endedAtNanos":1795468864438091876,"thrownAtMicros":1795468864438091,"endedAtMicros":1795468864438091,"isEntry":true,"facts":{"endpoint":"/orders","method":"GET","statusCode":404,"userId":"ada"},"thrown":{"shortType":"NotFound","firstLine":"no such order"},"ownCategory":"application","row":"d0041cd2-bb6c-8f0e-b22e-7195ca725856"}]',0,1795468867677055);
INSERT INTO "error_traces" VALUES('26d67b37-b19e-8398-9c87-df7ba84d22f9','billing','a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5','[{"key":"48a5ccd1-d472-8bcf-94d8-980c5c5b296a","kind":"failed_span","spanId":"0101010101010101","endedAtNanos":1795468865438091876,"thrownAtMicros":1795468865438091,"endedAtMicros":1795468865438091,"facts":{"endpoint":"charge","method":"POST"},"thrown":{"shortType":"Timeout","firstLine":"no answer"},"ownCategory":"external_api","because":"status_error","row":"48a5ccd1-d472-8bcf-94d8-980c5c5b296a"}]',0,1795468867708211);
INSERT INTO "error_traces" VALUES('f25347d4-ddc9-8fad-9838-bd6ef22d5f93','billing','a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6','[{"key":"b7bb9fe6-1cad-8ed9-85c3-e5264d8560ca","kind":"failed_span","spanId":"0101010101010101","endedAtNanos":1795468865438091876,"thrownAtMicros":1795468865438091,"endedAtMicros":1795468865438091,"facts":{"endpoint":"charge","method":"POST"},"thrown":{"shortType":"Timeout","firstLine":"no answer"},"ownCategory":"external_api","because":"status_error","row":"b7bb9fe6-1cad-8ed9-85c3-e5264d8560ca"}]',0,1795468867712872);
CREATE TABLE users (
    id            TEXT    NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 255),
    first_seen_at INTEGER NOT NULL,
    last_seen_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "users" VALUES('ada',1795468867651465,1795468867651465);
INSERT INTO "users" VALUES('bob',1795468867666380,1795468867666380);
CREATE INDEX api_errors_user ON api_errors (user_id, created_at DESC) WHERE user_id IS NOT NULL;
CREATE INDEX api_errors_endpoint ON api_errors (endpoint, created_at DESC);
CREATE INDEX api_errors_severity ON api_errors (severity, created_at DESC);
CREATE INDEX api_errors_category ON api_errors (category, created_at DESC);
CREATE INDEX api_errors_external_service ON api_errors (external_service, created_at DESC) WHERE external_service IS NOT NULL;
CREATE INDEX api_errors_created ON api_errors (created_at DESC);
CREATE INDEX api_errors_resolved ON api_errors (resolved, created_at DESC);
CREATE INDEX api_errors_status_code ON api_errors (status_code, created_at DESC) WHERE status_code IS NOT NULL;
CREATE INDEX api_errors_request ON api_errors (request_id, created_at DESC) WHERE request_id IS NOT NULL;
CREATE INDEX api_errors_severity_category ON api_errors (severity, category, created_at DESC);
CREATE INDEX api_errors_service ON api_errors (service_name, created_at DESC);
CREATE INDEX api_errors_fingerprint ON api_errors (fingerprint, created_at DESC);
CREATE INDEX api_errors_trace ON api_errors (trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX error_redirects_error ON error_redirects (error_id);
CREATE INDEX error_aggregations_hour_endpoint ON error_aggregations (hour_bucket DESC, endpoint);
CREATE INDEX error_aggregations_endpoint ON error_aggregations (endpoint, hour_bucket DESC);
CREATE INDEX error_aggregations_severity ON error_aggregations (severity, hour_bucket DESC);
CREATE INDEX error_aggregations_category ON error_aggregations (category, hour_bucket DESC);
CREATE INDEX error_aggregations_external_service ON error_aggregations (external_service, hour_bucket DESC) WHERE external_service IS NOT NULL;
CREATE INDEX error_traces_touched ON error_traces (touched_at DESC);
COMMIT;
