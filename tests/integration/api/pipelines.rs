//! Runs of pipelines over HTTP.

use super::*;

impl Api {
    fn create(&self, fields: Value) -> Value {
        self.post("/api/v1/pipelines", &run(fields)).body(201)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let json = [("content-type", "application/json")];
        self.ask(method, path, &json, body.to_string().as_bytes())
    }

    /// Every run, as `GET` tells it.
    fn runs(&self) -> Value {
        self.get("/api/v1/pipelines?includeDeleted=true").body(200)
    }
}

/// A run with all that must be given, and these fields.
fn run(fields: Value) -> Value {
    let mut run = json!({"config": {"type": "text-to-3d"}});
    let Value::Object(fields) = fields else {
        panic!("{fields} are no fields");
    };
    run.as_object_mut().unwrap().extend(fields);
    run
}

#[test]
fn a_run_is_created_goes_on_and_ends() {
    each_kind(|kind| {
        let api = Api::start(kind);
        let new = run(json!({"id": "a", "userId": "ada", "stages": [{"stageName": "mesh"}]}));
        let answer = api.post("/api/v1/pipelines", &new);
        assert_eq!(answer.headers["location"], "/api/v1/pipelines/a");
        let created = answer.body(201);
        assert_eq!(created["status"], "initializing");
        assert_eq!(created["name"], "text-to-3d");
        assert_eq!(created["stages"][0]["status"], "pending");
        assert_eq!(api.post("/api/v1/pipelines", &new).body(200), created);

        let post = |to: &str, body: Value| api.post(&format!("/api/v1/pipelines/a/{to}"), &body);
        let begun = post("status", json!({"status": "processing"})).body(200);
        assert_ne!(begun["startedAt"], Value::Null);
        let further = post("progress", json!({"progress": 40, "stage": "rig"})).body(200);
        assert_eq!(further["progress"], 40);
        assert_eq!(further["currentStage"], "rig");
        let path = "/api/v1/pipelines/a/stages/rig";
        let stage = json!({"status": "failed", "error": "no bones"});
        let stage = api.send("PUT", path, &stage).body(200);
        assert_eq!(
            (&stage["stageOrder"], &stage["status"]),
            (&json!(1), &json!("failed"))
        );
        let failed = json!({
            "status": "failed", "error": "no bones", "errorStage": "rig", "errorDetails": {"n": 1},
        });
        let failed = post("status", failed).body(200);
        assert_eq!(failed["errorDetails"], json!({"n": 1}));

        let mut found = api.get("/api/v1/pipelines/a").body(200);
        assert_eq!(found["stages"][1], stage);
        found.as_object_mut().unwrap().remove("stages");
        assert_eq!(found, failed);
        let stats = api.get("/api/v1/pipelines/stats?userId=ada").body(200);
        assert_eq!(stats["byStatus"], json!({"failed": 1}));
        assert_eq!(stats["successRate"], 0.0);
        assert!(stats["p95DurationSeconds"].is_f64());
        assert_eq!(stats["stuck"], 0);
        let [first, second] = &stats["byStage"].as_array().unwrap()[..] else {
            panic!("two stages: {stats}");
        };
        assert_eq!(
            (&first["stageName"], &first["failed"]),
            (&json!("rig"), &json!(1))
        );
        assert_eq!(
            (&second["stageName"], &second["unfinished"]),
            (&json!("mesh"), &json!(1))
        );
    });
}

#[test]
fn a_patch_clears_what_is_null_and_keeps_what_is_absent() {
    each_kind(|kind| {
        let api = Api::start(kind);
        api.create(json!({"id": "a", "userId": "ada", "meshyTaskId": "m-1", "results": [1]}));
        let patch = json!({"meshyTaskId": null, "results": null, "currentStage": "mesh"});
        let patched = api.send("PATCH", "/api/v1/pipelines/a", &patch).body(200);
        assert_eq!(patched["userId"], "ada");
        assert_eq!(patched["meshyTaskId"], Value::Null);
        assert_eq!(patched["results"], json!({}));
        assert_eq!(patched["currentStage"], "mesh");
        let nothing = api.send("PATCH", "/api/v1/pipelines/a", &json!({}));
        assert_eq!(nothing.body(200), patched);
    });
}

#[test]
fn a_deleted_run_can_be_restored_and_old_ones_are_gone() {
    each_kind(|kind| {
        let api = Api::start(kind);
        api.create(json!({"id": "a", "status": "completed"}));
        api.create(json!({"id": "b"}));
        let deleted = api.ask("DELETE", "/api/v1/pipelines/a", &[], b"").body(200);
        assert_ne!(deleted["deletedAt"], Value::Null);
        let page = api.get("/api/v1/pipelines?withTotal=true").body(200);
        assert_eq!(page["items"].as_array().unwrap().len(), 1);
        assert_eq!(page["total"], 1);
        let restored = api.post("/api/v1/pipelines/a/restore", &json!({}));
        assert_eq!(restored.body(200)["deletedAt"], Value::Null);

        let cleanup = |older_than: &str| {
            let body = json!({"olderThan": older_than});
            api.post("/api/v1/pipelines/cleanup", &body).body(200)
        };
        assert_eq!(cleanup("2020-01-01T00:00:00Z"), json!({"deleted": 0}));
        assert_eq!(cleanup("2999-01-01T00:00:00Z"), json!({"deleted": 1}));
        api.get("/api/v1/pipelines/a").wrong_fields(404);
        api.get("/api/v1/pipelines/b").body(200);
    });
}

#[test]
fn runs_are_listed_by_what_they_are_fifty_on_a_page() {
    each_kind(|kind| {
        let api = Api::start(kind);
        let runs: Vec<Value> = (0..60)
            .map(|number| {
                run(json!({
                    "id": format!("run-{number}"),
                    "userId": (["ada", "bob"][number % 2]),
                    "status": (["processing", "failed", "cancelled"][number % 3]),
                    "meshyTaskId": format!("m-{number}"),
                }))
            })
            .collect();
        let batch = json!({"pipelines": runs});
        let created = api.post("/api/v1/pipelines/batch", &batch).body(201);
        assert_eq!(created["items"][59]["isNew"], true);
        assert_eq!(created["items"][59]["pipeline"]["id"], "run-59");
        let again = api.post("/api/v1/pipelines/batch", &batch).body(200);
        assert_eq!(again["items"][0]["isNew"], false);

        let page = api.get("/api/v1/pipelines").body(200);
        assert_eq!(page["items"].as_array().unwrap().len(), 50);
        let cursor = page["nextCursor"].as_str().unwrap();
        let rest = api
            .get(&format!("/api/v1/pipelines?cursor={cursor}"))
            .body(200);
        assert_eq!(rest["items"].as_array().unwrap().len(), 10);
        assert_eq!(rest["nextCursor"], Value::Null);
        for (query, number) in [
            ("userId=ada", 30),
            ("status=failed", 20),
            ("status=failed,cancelled", 40),
            ("status=failed&status=cancelled&userId=bob", 20),
            ("meshyTaskId=m-7", 1),
            ("name=text-to-3d", 60),
            ("name=other", 0),
            ("from=2999-01-01T00:00:00Z", 0),
        ] {
            let page = api
                .get(&format!("/api/v1/pipelines?limit=500&{query}"))
                .body(200);
            assert_eq!(page["items"].as_array().unwrap().len(), number, "{query}");
        }
    });
}

#[expect(clippy::too_many_lines, reason = "a list")]
#[test]
fn every_wrong_field_is_named_and_nothing_is_changed() {
    each_kind(|kind| {
        let api = Api::start(kind);
        api.create(json!({"id": "a", "status": "completed", "stages": [{"stageName": "mesh"}]}));
        let before = api.runs();
        let long = |chars| "e".repeat(chars);
        let (post, change, put) = ("POST", "PATCH", "PUT");
        for (method, path, body, status, wrong) in [
            (post, "", json!({}), 400, &["config"][..]),
            (
                post,
                "",
                json!({"config": {}, "id": long(256), "status": "completed", "progress": 101}),
                400,
                &["id", "progress"],
            ),
            (
                post,
                "",
                json!({"config": {}, "colour": 1, "status": "done"}),
                400,
                &["colour", "status"],
            ),
            (post, "", json!({"config": long(1 << 20)}), 400, &["config"]),
            (
                post,
                "",
                json!({"config": {}, "userId": "a\0"}),
                400,
                &["userId"],
            ),
            (
                post,
                "",
                json!({"config": {}, "stages": [{}]}),
                400,
                &["stages[0].stageName"],
            ),
            (post, "", json!({"config": {}, "id": "a"}), 409, &["id"]),
            (post, "/batch", json!({}), 400, &["pipelines"]),
            (
                post,
                "/batch",
                json!({"pipelines": [run(json!({})), {"config": {}, "progress": -1}, {"x": 1}]}),
                400,
                &["pipelines[2].x"],
            ),
            (
                post,
                "/batch",
                json!({"pipelines": [run(json!({})), {"config": {}, "progress": -1}]}),
                400,
                &["pipelines[1].progress"],
            ),
            (change, "/a", json!({"id": "b"}), 400, &["id"]),
            (
                change,
                "/a",
                json!({"config": null, "name": long(101)}),
                400,
                &["config", "name"],
            ),
            (
                change,
                "/a",
                json!({"status": "processing"}),
                409,
                &["status"],
            ),
            (change, "/nobody", json!({}), 404, &[]),
            (post, "/a/progress", json!({}), 400, &["progress"]),
            (
                post,
                "/a/progress",
                json!({"progress": "x"}),
                400,
                &["progress"],
            ),
            (
                post,
                "/a/progress",
                json!({"progress": -1}),
                400,
                &["progress"],
            ),
            (
                post,
                "/a/progress",
                json!({"progress": 7}),
                409,
                &["progress"],
            ),
            (post, "/nobody/progress", json!({"progress": 7}), 404, &[]),
            (post, "/a/status", json!({"error": "e"}), 400, &["status"]),
            (
                post,
                "/a/status",
                json!({"status": "failed"}),
                409,
                &["status"],
            ),
            (
                post,
                "/a/status",
                json!({"status": "completed", "error": long(65_537)}),
                400,
                &["error"],
            ),
            (
                post,
                "/nobody/status",
                json!({"status": "failed"}),
                404,
                &[],
            ),
            (
                put,
                "/a/stages/mesh",
                json!({"progress": 101}),
                400,
                &["progress"],
            ),
            (put, "/a/stages/%20", json!({}), 400, &["stageName"]),
            (put, "/nobody/stages/mesh", json!({}), 404, &[]),
            (post, "/cleanup", json!({}), 400, &["olderThan"]),
            (
                post,
                "/cleanup",
                json!({"olderThan": "30d"}),
                400,
                &["olderThan"],
            ),
            (post, "/nobody/restore", json!({}), 404, &[]),
        ] {
            let answer = api.send(method, &format!("/api/v1/pipelines{path}"), &body);
            assert_eq!(
                answer.wrong_fields(status),
                wrong,
                "{method} {path} {body:.200}"
            );
        }
        for (path, wrong) in [
            (
                "?status=done&limit=0&colour=red",
                &["colour", "limit", "status"][..],
            ),
            ("/stats?limit=5", &["limit"]),
            ("/%0a", &["id"]),
        ] {
            let answer = api.get(&format!("/api/v1/pipelines{path}"));
            assert_eq!(answer.wrong_fields(400), wrong, "{path}");
        }
        assert_eq!(api.runs(), before);
    });
}

#[test]
fn an_id_may_hold_whatever_a_path_does_not() {
    let api = Api::start(Kind::Sqlite);
    let id = "a b/ü?#%2F+..";
    let answer = api.post("/api/v1/pipelines", &run(json!({"id": id})));
    let location = answer.headers["location"].to_str().unwrap().to_owned();
    answer.body(201);
    assert_eq!(api.get(&location).body(200)["id"], id);
    let stage = api.send("PUT", &format!("{location}/stages/1%2F2"), &json!({}));
    assert_eq!(stage.body(200)["stageName"], "1/2");
}

#[test]
fn the_audit_log_names_who_asked() {
    each_kind(|kind| {
        let api = Api::start(kind);
        let json = ("content-type", "application/json");
        let body = run(json!({"id": "a"})).to_string();
        let grace = [json, ("x-redspan-actor", "grace")];
        api.ask("POST", "/api/v1/pipelines", &grace, body.as_bytes())
            .body(201);
        api.ask("DELETE", "/api/v1/pipelines/a", &[], b"").body(200);
        let entries = api
            .get("/api/v1/audit?entity=pipeline&entityId=a")
            .body(200);
        let did = |index: usize| {
            let entry = &entries["items"][index];
            format!("{} {}", entry["actor"].as_str().unwrap(), entry["action"])
        };
        assert_eq!([did(0), did(1)], ["api \"delete\"", "grace \"create\""]);
        let nobody = [json, ("x-redspan-actor", "")];
        let answer = api.ask("POST", "/api/v1/pipelines", &nobody, body.as_bytes());
        assert_eq!(answer.wrong_fields(400), ["X-Redspan-Actor"]);
    });
}

#[test]
fn what_ends_is_counted_once_and_goes_on_counting_after_a_kill() {
    each_kind(|kind| {
        let mut api = Api::start(kind);
        let count = |api: &Api, family: &str, parts: &[&str]| {
            let family = format!("redspan_pipeline_{family}");
            api.program.metrics().sum(&family, parts)
        };
        let status = |api: &Api, id: &str, status: &str, expected| {
            let path = format!("/api/v1/pipelines/{id}/status");
            api.post(&path, &json!({"status": status})).body(expected);
        };
        for id in ["a", "b", "c", "d"] {
            let stages = json!([{"stageName": "mesh"}, {"stageName": "rig"}]);
            api.create(json!({"id": id, "stages": stages}));
        }
        let failed = ["name=\"text-to-3d\"", "outcome=\"failed\""];
        let shown = api.program.metrics();
        let zeros = |family| {
            let all = shown.0.iter();
            let of_family = all.filter(move |(series, _)| series.starts_with(family));
            of_family.map(|(_, value)| *value).collect::<Vec<_>>()
        };
        assert_eq!(zeros("redspan_pipeline_runs_total{"), [0.0; 3]);
        assert_eq!(zeros("redspan_pipeline_stage_runs_total{"), [0.0; 6]);

        for (id, way) in [("a", "completed"), ("b", "failed"), ("c", "failed")] {
            status(&api, id, "processing", 200);
            status(&api, id, way, 200);
            // Neither the same again nor what is refused counts.
            status(&api, id, way, 200);
            status(&api, id, "processing", 409);
        }
        // It never was at work: nobody knows how long it took.
        status(&api, "d", "cancelled", 200);
        let mesh = "/api/v1/pipelines/b/stages/mesh";
        api.send("PUT", mesh, &json!({"status": "completed"}))
            .body(200);
        let rig = "/api/v1/pipelines/b/stages/rig";
        for _ in 0..2 {
            api.send("PUT", rig, &json!({"status": "failed"})).body(200);
        }
        // One that is there already, and one that is made over again.
        api.create(json!({"id": "e", "name": "build"}));
        api.post(
            "/api/v1/pipelines",
            &run(json!({"id": "e", "name": "build"})),
        )
        .body(200);
        let expect = |api: &Api| {
            for (family, parts, expected) in [
                ("runs_total", &failed[..], 2.0),
                ("runs_total", &["outcome=\"completed\""], 1.0),
                ("runs_total", &["outcome=\"cancelled\""], 1.0),
                ("runs_total", &["name=\"build\""], 0.0),
                ("duration_seconds_count", &failed[..], 2.0),
                ("duration_seconds_count", &[], 3.0),
                ("duration_seconds_bucket", &["le=\"1\""], 3.0),
                ("stage_runs_total", &["stage=\"mesh\""], 1.0),
                (
                    "stage_runs_total",
                    &["stage=\"rig\"", "outcome=\"failed\""],
                    1.0,
                ),
                ("stage_runs_total", &[], 2.0),
            ] {
                let found = count(api, family, parts);
                assert!(
                    (found - expected).abs() < 0.5,
                    "{family} {parts:?}: {found}"
                );
            }
        };
        expect(&api);
        let before = api.program.metrics().data_counters();
        assert!(before.sum("redspan_pipeline_runs_total", &[]) > 3.0);
        api.program.kill();
        api.program = Program::start(&api.database.url, &api.database.environment());
        assert_eq!(api.program.metrics().data_counters(), before);
        status(&api, "e", "completed", 200);
        let builds = count(
            &api,
            "runs_total",
            &["name=\"build\"", "outcome=\"completed\""],
        );
        assert!((builds - 1.0).abs() < 0.5, "{builds}");
    });
}
