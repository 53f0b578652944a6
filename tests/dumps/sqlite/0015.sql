PRAGMA application_id = 1919247443;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO _sqlx_migrations VALUES(1,'errors','2026-11-23 21:21:07',1,X'30a619a640e20622f4c79e053f2d35805ba5d5809269a0ef62910aab492e41cda45218e0dd5e1367aa2eee359f7fe42a',12017002);
INSERT INTO _sqlx_migrations VALUES(2,'pipelines','2026-11-23 21:21:07',1,X'7893e6a2b2a2902d634668a1de430d78c8617430347b06c4007d67e650c5ec2b2b598a2006f99a8c60a5cd8fa3aca9c0',8989395);
INSERT INTO _sqlx_migrations VALUES(3,'counters','2026-11-23 21:21:07',1,X'b6bc9430fb2ae237929b6d6ba66d0ba7acb55a18826b1da42e3c3c96c1b7f8ea3e4ac57a7a54107b65adb882733dd107',5716321);
INSERT INTO _sqlx_migrations VALUES(4,'purges','2026-11-23 21:21:07',1,X'3f3f2a3184ef61239be7114827d55f3470904cf987f792033b4ad3e2c5c509c3eea85757556e504631ef6f2c938e1f18',3775625);
INSERT INTO _sqlx_migrations VALUES(5,'pages','2026-11-23 21:36:25',1,X'841afa583114e81616543fa14e1693dc3e656b000ad015d95b7cc3900d78f04d988ff6bd707f28a1b996f875d1614647',19272680);
INSERT INTO _sqlx_migrations VALUES(6,'pruned requests','2026-11-23 21:42:51',1,X'166e4517bbf0c38a186e61fedac1177ffb108fc2fb860bd6b30dd96849f5e684ca3bc4e1f7be47839ce73da553898de2',6970011);
INSERT INTO _sqlx_migrations VALUES(7,'pipeline pages','2026-11-23 22:09:02',1,X'8822f39aa7719cd3c2db060348a2c2918faf8978259e2bd16e2a0f7f33f47f2f84568f09f64c3cd33d3558633bfdf52e',2309096);
INSERT INTO _sqlx_migrations VALUES(8,'audit entity','2026-11-23 22:34:17',1,X'e1cb7940a8a5884464c078ca791765591b6fe258a5367ac0c4a8acd45e8b7eef3610e745cfd1f20fb3ba7b85cc568d0d',1018610);
INSERT INTO _sqlx_migrations VALUES(9,'imports','2026-11-23 23:54:31',1,X'66ba826ae1f1bfbcaa4970b173fdcc507d25f510fa1dafa5361ca821c8a2f56a573d9c6e0314e300128eb7e452b4af0c',7622495);
INSERT INTO _sqlx_migrations VALUES(10,'audit pages','2026-11-24 00:03:54',1,X'e34ebf59fec11bef406e78c1b33ce45b7569a14bd8c48f986482bbd62098c73cb728c9cf0f3a4a6e245e0ce9c6829745',16301636);
INSERT INTO _sqlx_migrations VALUES(11,'gone writers','2026-11-24 00:24:42',1,X'83cf0f0ae40b3bd49f18cc051d0a2fe3c690e3d653f71118f3c6ebc98b084ec8e58b80630b6c63906cf23ad1f5b67345',4726864);
INSERT INTO _sqlx_migrations VALUES(12,'group pages','2026-11-24 00:59:24',1,X'0846de414d05e5a206490c166b9039573f4a4bfe17e69bd7300b7e729f7c6d78b57fd13fa8433b540dfd775743c392c1',4314628);
INSERT INTO _sqlx_migrations VALUES(13,'remembered ids','2026-11-24 03:00:29',1,X'ef3e57022ebd8ff162189573c8d446b75585f8cedde917d50c6cbd99d338debdb3bf1ff158463e68c7b2303aee5d44c6',711482);
INSERT INTO _sqlx_migrations VALUES(14,'seen runs','2026-11-24 03:21:59',1,X'ac967731bed2e67b8f39caf35e0be5032ec220723bd2e4b37c59ba7ec2d2674f40f2eb4cfcaa1b835101750b54d9dc87',3357541);
INSERT INTO _sqlx_migrations VALUES(15,'run figures','2026-11-24 04:59:23',1,X'5c47e7b54980584a31bc252c51e552557bdc64ef9a071dda7d901f8c0aec8fd23a36f77b6aa3cf85c9bdebf7e30d4289',790630);
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
INSERT INTO api_errors VALUES('037bfca4-2328-8669-b508-c8340512a690','ada',NULL,'/orders/{id}/pay','POST','psycopg.OperationalError','connection to server failed: refused',replace('Traceback (most recent call last):\n  File "/srv/shop/pay.py", line 12, in pay\n    charge(order)\npsycopg.OperationalError: refused','\n',char(10)),'error','database',500,NULL,NULL,NULL,NULL,NULL,NULL,'{"evidence":[{"kind":"failed_span","message":"connection to server failed: refused","spanId":"0202020202020202","type":"OperationalError"},{"kind":"failed_span","spanId":"0101010101010101"}],"fingerprintBasis":["service shop","type psycopg.OperationalError","at pay.py pay"],"resource":{"deployment.environment.name":"production","service.name":"shop","service.version":"1.4.2"},"span":{"durationMs":20.0,"kind":"INTERNAL","name":"pay","startedAt":"2026-11-23T21:21:02.418091Z"}}','[]',0,NULL,NULL,NULL,'192.0.2.0','curl/8',1795468862438091,'shop','1.4.2','production','a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1','0202020202020202','1:07654a84fcbd2ac5eca6231cce5b32bd','a5efa9cd-88fd-8633-9b5d-1cbdac8fd83c',1795468867595595,NULL);
INSERT INTO api_errors VALUES('a33038d3-7630-8019-91a9-90b2c14adba4','bob','req-1','/orders/{id}/pay','POST','psycopg.OperationalError','connection to server failed: refused',replace('Traceback (most recent call last):\n  File "/srv/shop/pay.py", line 12, in pay\n    charge(order)\npsycopg.OperationalError: refused','\n',char(10)),'error','database',500,'{"card":"[hidden]"}','{"accept":"*/*"}','[1,"two",null]',NULL,'E1','says no','{"attributes":{"http.request.method":"POST","http.response.status_code":500,"http.route":"/orders/{id}/pay"},"evidence":[{"kind":"failed_span","message":"connection to server failed: refused","spanId":"0101010101010101","type":"OperationalError"}],"fingerprintBasis":["service shop","type psycopg.OperationalError","at pay.py pay"],"resource":{"deployment.environment.name":"production","service.name":"shop","service.version":"1.4.2"},"span":{"durationMs":20.0,"kind":"SERVER","name":"POST /orders/{id}/pay","startedAt":"2026-11-23T21:21:03.418091Z"}}','["eu","paid"]',1,1795468877438091,'bob','restarted','192.0.2.0','curl/8',1795468863438091,'shop','1.4.2','production','a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2','0101010101010101','1:07654a84fcbd2ac5eca6231cce5b32bd','a5efa9cd-88fd-8633-9b5d-1cbdac8fd83c',1795468867666380,NULL);
INSERT INTO api_errors VALUES('d0041cd2-bb6c-8f0e-b22e-7195ca725856',NULL,NULL,'/orders','GET','shop.NotFound','no such order',replace('shop.NotFound: no such order\n  at shop.find (shop.js:3:1)','\n',char(10)),'warning','validation',404,NULL,NULL,NULL,NULL,NULL,NULL,'{"attributes":{"http.request.method":"GET","http.response.status_code":404,"http.route":"/orders"},"evidence":[{"kind":"exception","message":"no such order","spanId":"0101010101010101","type":"NotFound"}],"fingerprintBasis":["service shop","type shop.NotFound","at shop.js shop.find"],"resource":{"deployment.environment.name":"production","service.name":"shop","service.version":"1.4.2"},"span":{"durationMs":20.0,"kind":"SERVER","name":"GET /orders","startedAt":"2026-11-23T21:21:04.418091Z"}}','["handled","client_error"]',0,NULL,NULL,NULL,NULL,NULL,1795468864438091,'shop','1.4.2','production','a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3','0101010101010101','1:4903e82ac8dc5cb2fea4f33033b7a19f','0554d65d-bf95-8206-8c3b-c496a89a6f7b',1795468867677055,1795468878438091);
INSERT INTO api_errors VALUES('b7bb9fe6-1cad-8ed9-85c3-e5264d8560ca',NULL,NULL,'charge','POST','Timeout','no answer','Timeout: no answer','error','external_api',NULL,NULL,NULL,NULL,'api.stripe.example','503','no answer','{"attributes":{"http.request.method":"POST","http.response.status_code":503,"server.address":"api.stripe.example"},"entry":"unknown","evidence":[{"kind":"failed_span","message":"no answer","spanId":"0101010101010101","type":"Timeout"}],"fingerprintBasis":["service billing","type Timeout","message no answer"],"resource":{"deployment.environment.name":"production","service.name":"billing","service.version":"2.0"},"span":{"durationMs":20.0,"kind":"CLIENT","name":"charge","startedAt":"2026-11-23T21:21:05.418091Z"}}','[]',0,NULL,NULL,NULL,NULL,NULL,1795468865438091,'billing','2.0','production','a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6','0101010101010101','1:13f195113e2e69ed1f9e50d3850fe600','7bcd98cd-a5cb-8d77-8207-bdd62c7908ca',1795468867712872,NULL);
CREATE TABLE assets (
    id         TEXT    NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 255),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO assets VALUES('asset-1',1795468868438091);
CREATE TABLE audit_log (
    id        TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    at        INTEGER NOT NULL,
    actor     TEXT    NOT NULL,
    action    TEXT    NOT NULL CHECK (length(action) BETWEEN 1 AND 100),
    entity    TEXT    NOT NULL CHECK (length(entity) BETWEEN 1 AND 100),
    entity_id TEXT    NOT NULL,
    before    TEXT    CHECK (before IS NULL OR json_valid(before)),
    after     TEXT    CHECK (after IS NULL OR json_valid(after))
) STRICT, WITHOUT ROWID;
INSERT INTO audit_log VALUES('019ab000-0000-7000-8000-000000000001',1795468877438091,'cli:bob','resolve','group','1:x','{"status":"open"}','{"status":"resolved"}');
CREATE TABLE error_aggregation_users (
    aggregation_id TEXT    NOT NULL CHECK (length(aggregation_id) = 36),
    user_key       INTEGER NOT NULL,
    errors         INTEGER NOT NULL,
    PRIMARY KEY (aggregation_id, user_key)
) STRICT, WITHOUT ROWID;
INSERT INTO error_aggregation_users VALUES('0554d65d-bf95-8206-8c3b-c496a89a6f7b',4775780274923217236,1);
INSERT INTO error_aggregation_users VALUES('a5efa9cd-88fd-8633-9b5d-1cbdac8fd83c',-9033632568015767629,1);
INSERT INTO error_aggregation_users VALUES('a5efa9cd-88fd-8633-9b5d-1cbdac8fd83c',4775780274923217236,1);
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
, forgotten_errors INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO error_aggregations VALUES('a5efa9cd-88fd-8633-9b5d-1cbdac8fd83c',1795467600000000,'shop','production','/orders/{id}/pay','POST','error','database',NULL,500,2,2,0,1795468862438091,1795468863438091,1795468867666380,0);
INSERT INTO error_aggregations VALUES('0554d65d-bf95-8206-8c3b-c496a89a6f7b',1795467600000000,'shop','production','/orders','GET','warning','validation',NULL,404,1,1,0,1795468864438091,1795468864438091,1795468867677055,1);
INSERT INTO error_aggregations VALUES('7bcd98cd-a5cb-8d77-8207-bdd62c7908ca',1795467600000000,'billing','production','charge','POST','error','external_api','api.stripe.example',NULL,2,0,1,1795468865438091,1795468865438091,1795468867712872,0);
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
, unlinked_errors INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
INSERT INTO error_groups VALUES('1:07654a84fcbd2ac5eca6231cce5b32bd','shop','psycopg.OperationalError: connection to server failed: refused','database',1795468862438091,1795468863438091,2,'open',NULL,NULL,NULL,NULL,'1.4.2','1.4.2',0);
INSERT INTO error_groups VALUES('1:13f195113e2e69ed1f9e50d3850fe600','billing','Timeout: no answer','external_api',1795468865438091,1795468865438091,2,'resolved',1795468877438091,'bob','1.4.3',1795468876438091,'2.0','2.0',1);
INSERT INTO error_groups VALUES('1:4903e82ac8dc5cb2fea4f33033b7a19f','shop','shop.NotFound: no such order','validation',1795468864438091,1795468864438091,1,'open',NULL,NULL,NULL,NULL,'1.4.2','1.4.2',0);
CREATE TABLE error_redirects (
    id       TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    error_id TEXT NOT NULL REFERENCES api_errors (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
INSERT INTO error_redirects VALUES('77777777-0000-8000-8000-000000000000','a33038d3-7630-8019-91a9-90b2c14adba4');
CREATE TABLE error_traces (
    trace_key         TEXT    NOT NULL PRIMARY KEY CHECK (length(trace_key) = 36),
    service_name      TEXT    NOT NULL CHECK (length(service_name) <= 512),
    trace_id          TEXT    NOT NULL CHECK (length(trace_id) = 32),
    sightings         TEXT    NOT NULL,
    dropped_sightings INTEGER NOT NULL DEFAULT 0 CHECK (dropped_sightings >= 0),
    touched_at        INTEGER NOT NULL
) STRICT;
INSERT INTO error_traces VALUES('488bac6e-5d8e-876f-9629-54e3ea0ae74f','shop','a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1','[{"key":"037bfca4-2328-8669-b508-c8340512a690","kind":"failed_span","spanId":"0202020202020202","parentSpanId":"0101010101010101","endedAtNanos":1795468862438091876,"thrownAtMicros":1795468862438091,"endedAtMicros":1795468862438091,"facts":{"endpoint":"pay","method":"INTERNAL"},"thrown":{"shortType":"OperationalError","firstLine":"connection to server failed: refused"},"ownCategory":"database","because":"status_error","row":"037bfca4-2328-8669-b508-c8340512a690"},{"key":"06951efe-07cf-86b8-b7fd-613eaf87577e","kind":"failed_span","spanId":"0101010101010101","endedAtNanos":1795468862438091876,"endedAtMicros":1795468862438091,"isEntry":true,"facts":{"endpoint":"/orders/{id}/pay","method":"POST","statusCode":500,"userId":"ada","ipAddress":"192.0.2.0","userAgent":"curl/8"},"ownCategory":"unknown","because":"status_error","content":{"errorMessage":"HTTP 500","errorCode":"500","context":{"attributes":{"http.request.method":"POST","http.response.status_code":500,"http.route":"/orders/{id}/pay"},"fingerprintBasis":["service shop","code 500","message HTTP ?"],"resource":{"deployment.environment.name":"production","service.name":"shop","service.version":"1.4.2"},"span":{"durationMs":20.0,"kind":"SERVER","name":"POST /orders/{id}/pay","startedAt":"2026-11-23T21:21:02.418091Z"}},"serviceVersion":"1.4.2","environment":"production","fingerprint":"1:69189b8cb410ddd99bdde6fc3492c3e3"},"row":"037bfca4-2328-8669-b508-c8340512a690"}]',0,1795468867651465);
INSERT INTO error_traces VALUES('910d91fd-cae3-87cd-9eac-1dcb3564fde9','shop','a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2','[{"key":"a33038d3-7630-8019-91a9-90b2c14adba4","kind":"failed_span","spanId":"0101010101010101","endedAtNanos":1795468863438091876,"thrownAtMicros":1795468863438091,"endedAtMicros":1795468863438091,"isEntry":true,"facts":{"endpoint":"/orders/{id}/pay","method":"POST","statusCode":500,"userId":"bob","ipAddress":"192.0.2.0","userAgent":"curl/8"},"thrown":{"shortType":"OperationalError","firstLine":"connection to server failed: refused"},"ownCategory":"database","because":"status_error","row":"a33038d3-7630-8019-91a9-90b2c14adba4"}]',0,1795468867666380);
INSERT INTO error_traces VALUES('44f226a8-122b-8084-8e39-05a29aa1ec8d','shop','a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3','[{"key":"d0041cd2-bb6c-8f0e-b22e-7195ca725856","kind":"exception","spanId":"0101010101010101","endedAtNanos":1795468864438091876,"thrownAtMicros":1795468864438091,"endedAtMicros":1795468864438091,"isEntry":true,"facts":{"endpoint":"/orders","method":"GET","statusCode":404,"userId":"ada"},"thrown":{"shortType":"NotFound","firstLine":"no such order"},"ownCategory":"application","row":"d0041cd2-bb6c-8f0e-b22e-7195ca725856"}]',0,1795468867677055);
INSERT INTO error_traces VALUES('26d67b37-b19e-8398-9c87-df7ba84d22f9','billing','a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5','[{"key":"48a5ccd1-d472-8bcf-94d8-980c5c5b296a","kind":"failed_span","spanId":"0101010101010101","endedAtNanos":1795468865438091876,"thrownAtMicros":1795468865438091,"endedAtMicros":1795468865438091,"facts":{"endpoint":"charge","method":"POST"},"thrown":{"shortType":"Timeout","firstLine":"no answer"},"ownCategory":"external_api","because":"status_error","row":"48a5ccd1-d472-8bcf-94d8-980c5c5b296a"}]',0,1795468867708211);
INSERT INTO error_traces VALUES('f25347d4-ddc9-8fad-9838-bd6ef22d5f93','billing','a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6','[{"key":"b7bb9fe6-1cad-8ed9-85c3-e5264d8560ca","kind":"failed_span","spanId":"0101010101010101","endedAtNanos":1795468865438091876,"thrownAtMicros":1795468865438091,"endedAtMicros":1795468865438091,"facts":{"endpoint":"charge","method":"POST"},"thrown":{"shortType":"Timeout","firstLine":"no answer"},"ownCategory":"external_api","because":"status_error","row":"b7bb9fe6-1cad-8ed9-85c3-e5264d8560ca"}]',0,1795468867712872);
CREATE TABLE generation_pipelines (
    id              TEXT    NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 255),
    user_id         TEXT    REFERENCES users (id) ON DELETE CASCADE,
    asset_id        TEXT    REFERENCES assets (id) ON DELETE SET NULL,
    config          TEXT    NOT NULL CHECK (json_valid(config)),
    status          TEXT    NOT NULL DEFAULT 'initializing'
        CHECK (status IN ('initializing', 'processing', 'completed', 'failed', 'cancelled')),
    progress        INTEGER NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
    current_stage   TEXT    CHECK (length(current_stage) <= 100),
    error           TEXT,
    error_stage     TEXT    CHECK (length(error_stage) <= 100),
    error_details   TEXT    CHECK (error_details IS NULL OR json_valid(error_details)),
    results         TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(results)),
    meshy_task_id   TEXT    CHECK (length(meshy_task_id) <= 255),
    rigging_task_id TEXT    CHECK (length(rigging_task_id) <= 255),
    created_at      INTEGER NOT NULL,
    started_at      INTEGER,
    completed_at    INTEGER,
    updated_at      INTEGER NOT NULL,
    expires_at      INTEGER,
    name            TEXT    CHECK (length(name) <= 100),
    service_name    TEXT    NOT NULL DEFAULT 'unknown_service' CHECK (length(service_name) <= 512),
    trace_id        TEXT    CHECK (length(trace_id) = 32),
    state_at        INTEGER NOT NULL,
    deleted_at      INTEGER
, status_by TEXT NOT NULL DEFAULT 'api' CHECK (status_by IN ('api', 'spans')), seen TEXT CHECK (seen IS NULL OR json_valid(seen))) STRICT;
INSERT INTO generation_pipelines VALUES('pipeline-1','ada','asset-1','{"type":"text-to-3d","n":1.5}','failed',40,'mesh','no answer','mesh','{"code":503}','{"preview":"a.png"}','meshy-1','rig-1',1795468868438091,1795468869438091,1795468872438091,1795468872438091,1795469767438091,'text-to-3d','studio','abababababababababababababababab',1795468872438091,1795468873438091,'api',NULL);
INSERT INTO generation_pipelines VALUES('pipeline-2',NULL,NULL,'{}','initializing',0,NULL,NULL,NULL,NULL,'{}',NULL,NULL,1795468868438091,NULL,NULL,1795468868438091,NULL,NULL,'unknown_service',NULL,1795468868438091,NULL,'api',NULL);
INSERT INTO generation_pipelines VALUES('run-1','ada',NULL,'{}','failed',40,'mesh','no answer','mesh',NULL,'{}',NULL,NULL,1795485601000000,1795485601000000,1795485604000000,1795485605000000,NULL,'text-to-3d','worker','0af7651916cd43dd8448eb211c80319c',1795485604000000,NULL,'spans','{"facts": {"course": {"last": {"status": "failed", "at": "2026-11-24T02:00:04.000000Z", "error": "no answer"}, "firstEnd": {"status": "failed", "at": "2026-11-24T02:00:04.000000Z"}, "startedAt": "2026-11-24T02:00:01.000000Z"}, "seenAt": "2026-11-24T02:00:01.000000Z", "heardAt": "2026-11-24T02:00:04.000000Z", "name": {"at": "2026-11-24T02:00:04.000000Z", "value": "text-to-3d"}, "serviceName": {"at": "2026-11-24T02:00:03.000000Z", "value": "worker"}, "traceId": {"at": "2026-11-24T02:00:03.000000Z", "value": "0af7651916cd43dd8448eb211c80319c"}, "userId": {"at": "2026-11-24T02:00:04.000000Z", "value": "ada"}, "progress": ["2026-11-24T02:00:03.000000Z", 40], "stages": {"mesh": {"last": {"status": "failed", "at": "2026-11-24T02:00:03.000000Z", "error": "no answer"}, "firstEnd": {"status": "failed", "at": "2026-11-24T02:00:03.000000Z"}, "startedAt": "2026-11-24T02:00:02.000000Z"}}}, "written": {"fields": []}}');
CREATE TABLE leases (
    name       TEXT    NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 255),
    holder     TEXT    NOT NULL CHECK (length(holder) <= 255),
    epoch      INTEGER NOT NULL CHECK (epoch >= 0),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO leases VALUES('retention','pod-0',3,1795468927438091);
CREATE TABLE metric_totals (
    writer  TEXT    NOT NULL CHECK (length(writer) BETWEEN 1 AND 255),
    id      TEXT    NOT NULL CHECK (length(id) = 36),
    family  TEXT    NOT NULL CHECK (length(family) BETWEEN 1 AND 100),
    labels  TEXT    NOT NULL CHECK (json_valid(labels)),
    value   INTEGER NOT NULL,
    sum     INTEGER NOT NULL,
    buckets TEXT    NOT NULL CHECK (json_valid(buckets)),
    PRIMARY KEY (writer, id)
) STRICT, WITHOUT ROWID;
INSERT INTO metric_totals VALUES('pod-0','10fcab68-6844-8ed4-93b4-0e5c10ddb629','redspan_errors_total','{"category":"database","environment":"production","external_service":"","service_name":"shop","severity":"error"}',2,0,'[]');
INSERT INTO metric_totals VALUES('pod-0','120e38ed-1250-8642-beda-f99cbd434c14','redspan_error_groups_new_total','{"service_name":"billing"}',1,0,'[]');
INSERT INTO metric_totals VALUES('pod-0','2784c1f9-e8e7-8f45-b911-8ebd38b3ebd9','redspan_request_duration_seconds','{"endpoint":"/orders/{id}/pay","environment":"production","method":"POST","service_name":"shop"}',2,40000000,'[0,0,2,0,0,0,0,0,0,0,0,0]');
INSERT INTO metric_totals VALUES('pod-0','4428ca01-3d90-874a-bd4e-c3c541497127','redspan_errors_total','{"category":"external_api","environment":"production","external_service":"api.stripe.example","service_name":"billing","severity":"error"}',2,0,'[]');
INSERT INTO metric_totals VALUES('pod-0','4451d7ce-a8a7-85a0-a6c2-966b3a1d1e60','redspan_requests_total','{"endpoint":"/orders/{id}/pay","environment":"production","method":"POST","outcome":"error","service_name":"shop"}',2,0,'[]');
INSERT INTO metric_totals VALUES('pod-0','49aaeaeb-44f0-8e40-827f-9c9edf102138','redspan_error_groups_new_total','{"service_name":"shop"}',2,0,'[]');
INSERT INTO metric_totals VALUES('pod-0','bb8e06de-a45d-8617-984c-052a5305904a','redspan_requests_total','{"endpoint":"/orders","environment":"production","method":"GET","outcome":"ok","service_name":"shop"}',2,0,'[]');
INSERT INTO metric_totals VALUES('pod-0','f5493ec9-3659-865a-8c53-fc24779a9a9a','redspan_request_duration_seconds','{"endpoint":"/orders","environment":"production","method":"GET","service_name":"shop"}',2,40000000,'[0,0,2,0,0,0,0,0,0,0,0,0]');
INSERT INTO metric_totals VALUES('pod-0','fe4cacae-778a-8306-9c57-6aa97b5a9ead','redspan_errors_total','{"category":"validation","environment":"production","external_service":"","service_name":"shop","severity":"warning"}',1,0,'[]');
CREATE TABLE pipeline_stages (
    pipeline_id   TEXT    NOT NULL REFERENCES generation_pipelines (id) ON DELETE CASCADE,
    id            TEXT    NOT NULL CHECK (length(id) BETWEEN 1 AND 255),
    stage_name    TEXT    NOT NULL CHECK (length(stage_name) <= 100),
    stage_order   INTEGER NOT NULL CHECK (stage_order BETWEEN -2147483648 AND 2147483647),
    status        TEXT    NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'skipped')),
    progress      INTEGER NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
    result        TEXT    CHECK (result IS NULL OR json_valid(result)),
    error         TEXT,
    error_details TEXT    CHECK (error_details IS NULL OR json_valid(error_details)),
    started_at    INTEGER,
    completed_at  INTEGER,
    duration      INTEGER,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL, status_by TEXT NOT NULL DEFAULT 'api' CHECK (status_by IN ('api', 'spans')), state_at INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (pipeline_id, id),
    UNIQUE (pipeline_id, stage_name)
) STRICT;
INSERT INTO pipeline_stages VALUES('pipeline-1','stage-1','sketch',1,'completed',100,'{"ok":true}',NULL,NULL,1795468869438091,1795468870438091,1000,1795468868438091,1795468870438091,'api',1795468870438091);
INSERT INTO pipeline_stages VALUES('pipeline-1','stage-2','mesh',2,'failed',40,NULL,'no answer','{"code":503}',1795468870438091,1795468872438091,2000,1795468868438091,1795468872438091,'api',1795468872438091);
INSERT INTO pipeline_stages VALUES('run-1','mesh','mesh',0,'failed',0,NULL,'no answer',NULL,1795485602000000,1795485603000000,1000,1795485602000000,1795485605000000,'spans',1795485603000000);
CREATE TABLE request_ledger (
    digest      BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 16),
    received_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO request_ledger VALUES(X'6b04ae3eaf63403b399be29e0f0956eb',1795468867595595);
INSERT INTO request_ledger VALUES(X'6b04ae3efc55a7b83f2a1736f270f1cb',1795468867651465);
INSERT INTO request_ledger VALUES(X'6b04ae3fbd95df225b0292d7f97014da',1795468867666380);
INSERT INTO request_ledger VALUES(X'6b04ae401c31987705fb7579600e8529',1795468867677055);
INSERT INTO request_ledger VALUES(X'6b04ae41491e00581aa2e1fd49117902',1795468867690944);
INSERT INTO request_ledger VALUES(X'6b04ae41393f2c30bf2c650200255a63',1795468867708211);
INSERT INTO request_ledger VALUES(X'6b04ae41342f0bad07df68e4e1efa159',1795468867712872);
CREATE TABLE request_totals (
    hour_bucket         INTEGER NOT NULL CHECK (hour_bucket % 3600000000 = 0),
    id                  TEXT    NOT NULL CHECK (length(id) = 36),
    service_name        TEXT    NOT NULL CHECK (length(service_name) <= 512),
    environment         TEXT    NOT NULL CHECK (length(environment) <= 255),
    endpoint            TEXT    NOT NULL CHECK (length(endpoint) <= 512),
    method              TEXT    NOT NULL CHECK (length(method) <= 10),
    writer              TEXT    NOT NULL CHECK (length(writer) BETWEEN 1 AND 255),
    requests            INTEGER NOT NULL CHECK (requests >= 0),
    errors              INTEGER NOT NULL CHECK (errors >= 0),
    estimated_requests  REAL    NOT NULL,
    duration_sum_nanos  INTEGER NOT NULL CHECK (duration_sum_nanos >= 0),
    duration_to_5ms     INTEGER NOT NULL,
    duration_to_10ms    INTEGER NOT NULL,
    duration_to_25ms    INTEGER NOT NULL,
    duration_to_50ms    INTEGER NOT NULL,
    duration_to_100ms   INTEGER NOT NULL,
    duration_to_250ms   INTEGER NOT NULL,
    duration_to_500ms   INTEGER NOT NULL,
    duration_to_1s      INTEGER NOT NULL,
    duration_to_2500ms  INTEGER NOT NULL,
    duration_to_5s      INTEGER NOT NULL,
    duration_to_10s     INTEGER NOT NULL,
    duration_beyond     INTEGER NOT NULL,
    PRIMARY KEY (hour_bucket, id)
) STRICT, WITHOUT ROWID;
INSERT INTO request_totals VALUES(1795467600000000,'0d5f7a3e-3c1b-8a54-9d0e-5b7a9c1e2f30','shop','production','/orders/{id}/pay','POST','pod-gone',4,1,4.0,80000000,0,0,4,0,0,0,0,0,0,0,0,0);
INSERT INTO request_totals VALUES(1795467600000000,'c383c90e-a054-8d5e-8e74-306abde2d99b','shop','production','/orders/{id}/pay','POST','pod-0',2,2,2.0,40000000,0,0,2,0,0,0,0,0,0,0,0,0);
CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 100),
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO settings VALUES('user_key','87a72146aab8c397def3b9dbe8bfebb4');
CREATE TABLE users (
    id            TEXT    NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 255),
    first_seen_at INTEGER NOT NULL,
    last_seen_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO users VALUES('ada',1795468867651465,1795468867651465);
INSERT INTO users VALUES('bob',1795468867666380,1795468867666380);
CREATE TABLE imported_rows (
    key BLOB NOT NULL PRIMARY KEY CHECK (length(key) = 16)
) STRICT, WITHOUT ROWID;
INSERT INTO imported_rows VALUES(X'000102030405060708090a0b0c0d0e0f');
CREATE TABLE imported_hours (
    key             BLOB    NOT NULL PRIMARY KEY CHECK (length(key) = 16),
    linked_errors   INTEGER NOT NULL CHECK (linked_errors >= 0),
    unlinked_errors INTEGER NOT NULL CHECK (unlinked_errors >= 0)
) STRICT, WITHOUT ROWID;
INSERT INTO imported_hours VALUES(X'101112131415161718191a1b1c1d1e1f',12,7);
CREATE TABLE writers (
    name         TEXT    NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 255),
    epoch        INTEGER NOT NULL CHECK (epoch > 0),
    last_seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO writers VALUES('pod-0',1,1795471200000000);
INSERT INTO writers VALUES('pod-1',1795471200000001,1795474800000000);
CREATE TABLE error_balance (
    reason TEXT    NOT NULL PRIMARY KEY CHECK (reason IN ('imported', 'purged', 'counted', 'merged')),
    errors INTEGER NOT NULL CHECK (errors >= 0)
) STRICT, WITHOUT ROWID;
INSERT INTO error_balance VALUES('counted',3);
INSERT INTO error_balance VALUES('merged',3);
INSERT INTO error_balance VALUES('purged',1);
CREATE TABLE pruned_requests (
    writer             TEXT    NOT NULL PRIMARY KEY CHECK (length(writer) BETWEEN 1 AND 255),
    requests           INTEGER NOT NULL,
    errors             INTEGER NOT NULL,
    duration_sum_nanos INTEGER NOT NULL,
    duration_to_5ms    INTEGER NOT NULL,
    duration_to_10ms   INTEGER NOT NULL,
    duration_to_25ms   INTEGER NOT NULL,
    duration_to_50ms   INTEGER NOT NULL,
    duration_to_100ms  INTEGER NOT NULL,
    duration_to_250ms  INTEGER NOT NULL,
    duration_to_500ms  INTEGER NOT NULL,
    duration_to_1s     INTEGER NOT NULL,
    duration_to_2500ms INTEGER NOT NULL,
    duration_to_5s     INTEGER NOT NULL,
    duration_to_10s    INTEGER NOT NULL,
    duration_beyond    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO pruned_requests VALUES('pod-0',2,0,40000000,0,0,2,0,0,0,0,0,0,0,0,0);
INSERT INTO pruned_requests VALUES('pod-gone',-4,-1,-80000000,0,0,-4,0,0,0,0,0,0,0,0,0);
CREATE TABLE purged_errors (
    id        TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    purged_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO purged_errors VALUES('019a0000-0000-7000-8000-0000000000aa',1795471200000000);
CREATE TABLE users_to_forget (
    id       TEXT    NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 255),
    actor    TEXT    NOT NULL,
    asked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO users_to_forget VALUES('somebody','cli:ada',1795471200000000);
CREATE INDEX error_redirects_error ON error_redirects (error_id);
CREATE INDEX error_aggregations_hour_endpoint ON error_aggregations (hour_bucket DESC, endpoint);
CREATE INDEX error_traces_touched ON error_traces (touched_at DESC);
CREATE INDEX generation_pipelines_expires ON generation_pipelines (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX pipeline_stages_status ON pipeline_stages (status);
CREATE INDEX pipeline_stages_order ON pipeline_stages (pipeline_id, stage_order);
CREATE INDEX request_ledger_received ON request_ledger (received_at);
CREATE INDEX api_errors_user ON api_errors (user_id, created_at DESC, id DESC) WHERE user_id IS NOT NULL;
CREATE INDEX api_errors_endpoint ON api_errors (endpoint, created_at DESC, id DESC);
CREATE INDEX api_errors_severity ON api_errors (severity, created_at DESC, id DESC);
CREATE INDEX api_errors_category ON api_errors (category, created_at DESC, id DESC);
CREATE INDEX api_errors_external_service ON api_errors (external_service, created_at DESC, id DESC) WHERE external_service IS NOT NULL;
CREATE INDEX api_errors_created ON api_errors (created_at DESC, id DESC);
CREATE INDEX api_errors_resolved ON api_errors (resolved, created_at DESC, id DESC);
CREATE INDEX api_errors_status_code ON api_errors (status_code, created_at DESC, id DESC) WHERE status_code IS NOT NULL;
CREATE INDEX api_errors_request ON api_errors (request_id, created_at DESC, id DESC) WHERE request_id IS NOT NULL;
CREATE INDEX api_errors_severity_category ON api_errors (severity, category, created_at DESC, id DESC);
CREATE INDEX api_errors_service ON api_errors (service_name, created_at DESC, id DESC);
CREATE INDEX api_errors_fingerprint ON api_errors (fingerprint, created_at DESC, id DESC);
CREATE INDEX api_errors_trace ON api_errors (trace_id, created_at DESC, id DESC) WHERE trace_id IS NOT NULL;
CREATE INDEX api_errors_unresolved ON api_errors (service_name, severity, category) WHERE NOT resolved AND deleted_at IS NULL;
CREATE INDEX error_aggregations_hour ON error_aggregations (hour_bucket DESC, id DESC);
CREATE INDEX error_aggregations_endpoint ON error_aggregations (endpoint, hour_bucket DESC, id DESC);
CREATE INDEX error_aggregations_severity ON error_aggregations (severity, hour_bucket DESC, id DESC);
CREATE INDEX error_aggregations_category ON error_aggregations (category, hour_bucket DESC, id DESC);
CREATE INDEX error_aggregations_external_service ON error_aggregations (external_service, hour_bucket DESC, id DESC) WHERE external_service IS NOT NULL;
CREATE INDEX error_aggregations_service ON error_aggregations (service_name, hour_bucket DESC, id DESC);
CREATE INDEX error_groups_last_seen ON error_groups (last_seen_at DESC, fingerprint DESC);
CREATE INDEX error_groups_status ON error_groups (status, last_seen_at DESC, fingerprint DESC);
CREATE INDEX error_groups_service ON error_groups (service_name, last_seen_at DESC);
CREATE INDEX generation_pipelines_user ON generation_pipelines (user_id, created_at DESC, id DESC) WHERE user_id IS NOT NULL;
CREATE INDEX generation_pipelines_asset ON generation_pipelines (asset_id, created_at DESC, id DESC) WHERE asset_id IS NOT NULL;
CREATE INDEX generation_pipelines_status ON generation_pipelines (status, created_at DESC, id DESC);
CREATE INDEX generation_pipelines_created ON generation_pipelines (created_at DESC, id DESC);
CREATE INDEX generation_pipelines_user_status ON generation_pipelines (user_id, status, created_at DESC, id DESC) WHERE user_id IS NOT NULL;
CREATE INDEX generation_pipelines_meshy_task ON generation_pipelines (meshy_task_id, created_at DESC, id DESC) WHERE meshy_task_id IS NOT NULL;
CREATE INDEX generation_pipelines_name ON generation_pipelines (name, created_at DESC, id DESC);
CREATE INDEX audit_log_entity ON audit_log (entity, id DESC);
CREATE INDEX audit_log_entity_id ON audit_log (entity_id, id DESC);
CREATE INDEX purged_errors_purged ON purged_errors (purged_at);
CREATE INDEX generation_pipelines_ended ON generation_pipelines (status, completed_at) WHERE deleted_at IS NULL;
COMMIT;
