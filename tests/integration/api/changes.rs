//! What operators change over HTTP, and what the audit log says of it.

use super::*;

/// Actor, action and entity of each entry, newest first.
fn audited(api: &Api) -> Vec<String> {
    let log = api.get("/api/v1/audit").body(200);
    let entries = log["items"].as_array().unwrap().iter();
    entries
        .map(|entry| {
            let words = ["actor", "action", "entity"].map(|name| entry[name].as_str().unwrap());
            words.join(" ")
        })
        .collect()
}

#[test]
fn an_error_is_resolved_reopened_hidden_and_shown_again() {
    each_kind(|kind| {
        let api = Api::start(kind);
        let row = api.log(json!({"userId": "user-1"}));
        let path = format!("/api/v1/errors/{}", row["id"].as_str().unwrap());
        let how = json!({"resolvedBy": "alice", "resolution": "paid by hand"});
        let resolved = api.post(&format!("{path}/resolve"), &how).body(200);
        assert_eq!(resolved["resolved"], json!(true));
        assert_eq!(resolved["resolvedBy"], "alice");
        assert_eq!(
            api.post(&format!("{path}/resolve"), &how).body(200),
            resolved
        );
        assert_eq!(
            api.get("/api/v1/errors/stats").body(200)["resolved"],
            json!(1)
        );
        let bob = [("x-redspan-actor", "bob")];
        let reopened = api.ask("POST", &format!("{path}/reopen"), &bob, b"");
        assert_eq!(reopened.body(200), row);
        let hidden = api.ask("DELETE", &path, &bob, b"").body(200);
        assert!(hidden["deletedAt"].is_string());
        assert_eq!(api.messages("/api/v1/errors"), Vec::<String>::new());
        assert_eq!(api.get("/api/v1/errors/stats").body(200)["total"], json!(0));
        assert_eq!(
            api.post(&format!("{path}/restore"), &json!({})).body(200),
            row
        );
        assert_eq!(
            audited(&api),
            [
                "api restore error",
                "bob delete error",
                "bob reopen error",
                "api resolve error"
            ]
        );
        let of_error = format!(
            "/api/v1/audit?entity=error&entityId={}",
            row["id"].as_str().unwrap()
        );
        assert_eq!(
            api.get(&of_error).body(200)["items"]
                .as_array()
                .unwrap()
                .len(),
            4
        );

        let unknown = "/api/v1/errors/00000000-0000-7000-8000-000000000001";
        api.post(&format!("{unknown}/resolve"), &how).body(404);
        api.ask("DELETE", unknown, &[], b"").body(404);
        for (body, wrong) in [
            (json!({}), &["resolvedBy"][..]),
            (json!({"resolvedBy": " ", "how": 1}), &["how"]),
            (json!({"resolvedBy": "a".repeat(256)}), &["resolvedBy"]),
            (json!({"resolvedBy": "a\u{3}b"}), &["resolvedBy"]),
            (json!({"resolvedBy": "a\u{0}b"}), &["resolvedBy"]),
        ] {
            let answer = api.post(&format!("{path}/resolve"), &body);
            assert_eq!(answer.wrong_fields(400), wrong, "{body}");
        }
        let nobody = api.ask("DELETE", &path, &[("x-redspan-actor", "")], b"");
        assert_eq!(nobody.wrong_fields(400), ["X-Redspan-Actor"]);
        assert_eq!(api.get(&path).body(200), row);
    });
}

#[test]
fn groups_are_resolved_ignored_and_reopened() {
    each_kind(|kind| {
        let api = Api::start(kind);
        api.log(json!({"fingerprint": "own:1"}));
        let path = "/api/v1/groups/own:1";
        let how = json!({"resolvedBy": "alice", "resolvedVersion": "1.2"});
        let group = api.post(&format!("{path}/resolve"), &how).body(200);
        assert_eq!(group["status"], "resolved");
        assert_eq!(group["resolvedVersion"], "1.2");
        assert_eq!(
            api.get("/api/v1/errors/stats").body(200)["resolved"],
            json!(1)
        );
        let group = api.post(&format!("{path}/reopen"), &json!({})).body(200);
        assert_eq!(group["status"], "open");
        assert_eq!(
            api.get("/api/v1/errors/stats").body(200)["resolved"],
            json!(0)
        );
        let group = api.post(&format!("{path}/ignore"), &json!({})).body(200);
        assert_eq!(group["status"], "ignored");
        assert_eq!(api.get(path).body(200), group);
        api.post("/api/v1/groups/own:2/ignore", &json!({}))
            .body(404);
    });
}

#[test]
fn old_errors_are_deleted_and_users_forgotten() {
    each_kind(|kind| {
        let api = Api::start(kind);
        let row = api.log(json!({"userId": "user/1", "ipAddress": "192.0.2.1"}));
        let forgotten = api.ask("DELETE", "/api/v1/users/user%2F1", &[], b"");
        assert_eq!(forgotten.body(200), json!({"errors": 1, "pipelines": 0}));
        api.ask("DELETE", "/api/v1/users/user%2F1", &[], b"")
            .body(404);
        let path = format!("/api/v1/errors/{}", row["id"].as_str().unwrap());
        let kept = api.get(&path).body(200);
        assert_eq!(
            (&kept["userId"], &kept["ipAddress"]),
            (&Value::Null, &Value::Null)
        );

        let clean = |body| api.post("/api/v1/errors/cleanup", &body);
        assert_eq!(clean(json!({})).wrong_fields(400), ["olderThan"]);
        let all = "2999-01-01T00:00:00Z";
        assert_eq!(
            clean(json!({"olderThan": all})).body(200),
            json!({"deleted": 0})
        );
        assert_eq!(
            clean(json!({"olderThan": all, "includeUnresolved": true})).body(200),
            json!({"deleted": 1})
        );
        api.get(&path).body(404);
        let hours = api.get("/api/v1/aggregations").body(200);
        assert_eq!(hours["items"][0]["totalErrors"], json!(1));
    });
}

#[test]
fn a_named_token_is_who_changes_whatever_else_is_said() {
    let token = "alice:a-token-of-the-test";
    let api = Api::start_with(Kind::Sqlite, &[("REDSPAN_AUTH_API_TOKEN", token)]);
    let shown = format!("Bearer {token}");
    let headers = [
        ("authorization", &*shown),
        ("content-type", "application/json"),
        ("x-redspan-actor", "mallory"),
    ];
    let sent = error(json!({})).to_string();
    let row = api
        .ask("POST", "/api/v1/errors", &headers, sent.as_bytes())
        .body(201);
    let path = format!("/api/v1/errors/{}", row["id"].as_str().unwrap());
    api.ask("DELETE", &path, &headers, b"").body(200);
    let log = api.ask("GET", "/api/v1/audit", &headers, b"").body(200);
    assert_eq!(log["items"][0]["actor"], "alice");
}

#[test]
fn what_takes_no_fields_refuses_any() {
    each_kind(|kind| {
        let api = Api::start(kind);
        let row = api.log(json!({"fingerprint": "own:1"}));
        let run = api.post("/api/v1/pipelines", &json!({"config": {}, "id": "run-1"}));
        run.body(201);
        let error = format!("/api/v1/errors/{}", row["id"].as_str().unwrap());
        let json = [("content-type", "application/json")];
        for path in [
            &*format!("{error}/reopen"),
            &*format!("{error}/restore"),
            "/api/v1/groups/own:1/ignore",
            "/api/v1/groups/own:1/reopen",
            "/api/v1/pipelines/run-1/restore",
        ] {
            let why = api.post(path, &json!({"reason": "a mistake"}));
            assert_eq!(why.wrong_fields(400), ["reason"], "{path}");
            for body in ["[]", "null", "{"] {
                let answer = api.ask("POST", path, &json, body.as_bytes());
                assert_eq!(answer.wrong_fields(400), [""; 0], "{path} {body}");
            }
            let form = [("content-type", "text/plain")];
            api.ask("POST", path, &form, b"{}").wrong_fields(415);
            assert_eq!(audited(&api).len(), 1, "{path}: only the run was made");
        }
        for (body, headers) in [("", &[][..]), (" {} ", &json)] {
            let path = "/api/v1/groups/own:1/ignore";
            api.ask("POST", path, headers, body.as_bytes()).body(200);
        }
    });
}
