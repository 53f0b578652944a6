//! Questions that are wrong: a clear 4xx that names each field, and nothing changed.

use super::*;

#[test]
fn every_wrong_parameter_is_named() {
    each_kind(|kind| {
        let api = Api::start(kind);
        for (path, wrong) in [
            (
                "/api/v1/errors?severity=fatal&limit=0&colour=red&from=yesterday&resolved=maybe",
                &["colour", "from", "limit", "resolved", "severity"][..],
            ),
            ("/api/v1/errors?limit=501", &["limit"]),
            ("/api/v1/errors?limit=-1&offset=x", &["limit", "offset"]),
            ("/api/v1/errors?offset=10001", &["offset"]),
            ("/api/v1/errors?cursor=12_x", &["cursor"]),
            ("/api/v1/errors?cursor=0123456789abcdef_12_x", &["cursor"]),
            ("/api/v1/errors?cursor=x", &["cursor"]),
            ("/api/v1/errors?limit=1&limit=2", &["limit"]),
            ("/api/v1/errors?statusCode=99999999999", &["statusCode"]),
            (
                "/api/v1/errors?traceId=0&category=,",
                &["category", "traceId"],
            ),
            ("/api/v1/errors?from=99999-01-01T00:00:00Z", &["from"]),
            ("/api/v1/errors/stats?limit=5", &["limit"]),
            ("/api/v1/errors?tag=a", &["tag"]),
            ("/api/v1/errors/not-an-id", &["id"]),
            (
                "/api/v1/aggregations?severity=a&to=b&x=c",
                &["severity", "to", "x"],
            ),
            ("/api/v1/groups?status=closed", &["status"]),
            (
                "/api/v1/requests?from=now&severity=error",
                &["from", "severity"],
            ),
            ("/api/v1/audit?actor=me", &["actor"]),
            ("/api/v1/explain", &["traceId"]),
        ] {
            assert_eq!(api.get(path).wrong_fields(400), wrong, "{path}");
        }
        let problem = api.get("/api/v1/errors?severity=fatal").body(400);
        assert_eq!(problem["title"], "Bad Request");
        assert_eq!(
            problem["errors"],
            json!([{
                "field": "severity", "value": "fatal",
                "advice": "give one of debug, info, warning, error, critical",
            }])
        );
        let problem = api.get("/api/v1/errors?offset=10001").body(400);
        assert!(problem["detail"].as_str().unwrap().contains("cursor"));
    });
}

#[test]
fn every_wrong_field_of_a_body_is_named_and_nothing_is_stored() {
    each_kind(|kind| {
        let api = Api::start(kind);
        for (fields, wrong) in [
            (
                json!({"colour": "red", "severity": "fatal"}),
                &["colour", "severity"][..],
            ),
            (json!({"endpoint": "e".repeat(513)}), &["endpoint"]),
            (
                json!({"endpoint": "a\u{0}b", "method": ""}),
                &["endpoint", "method"],
            ),
            (json!({"statusCode": 99_999_999_999_u64}), &["statusCode"]),
            (json!({"statusCode": 99, "userId": 7}), &["userId"]),
            (json!({"statusCode": 99}), &["statusCode"]),
            (
                json!({"id": "00000000-0000-8000-8000-000000000001"}),
                &["id"],
            ),
            (
                json!({"id": "7", "createdAt": "2020-13-01T00:00:00Z"}),
                &["createdAt", "id"],
            ),
            (json!({"tags": vec!["t"; 33]}), &["tags"]),
            (
                json!({"context": [], "traceId": "zz"}),
                &["context", "traceId"],
            ),
            (
                json!({"requestBody": "x".repeat(200_000)}),
                &["requestBody"],
            ),
            (json!({"errorMessage": " \n"}), &["errorMessage"]),
        ] {
            let answer = api.post("/api/v1/errors", &error(fields.clone()));
            assert_eq!(answer.wrong_fields(400), wrong, "{fields:.200}");
        }
        assert_eq!(
            api.post("/api/v1/errors", &json!({})).wrong_fields(400),
            ["endpoint", "errorMessage", "method"]
        );
        assert_eq!(api.messages("/api/v1/errors"), Vec::<String>::new());
    });
}

#[test]
fn hostile_bodies_are_stored_repaired_or_refused_and_never_break_anything() {
    each_kind(|kind| {
        let api = Api::start(kind);
        let json = [("content-type", "application/json")];
        let required = r#""endpoint":"/a","method":"GET","errorMessage":"m""#;
        for body in [
            "",
            "null",
            "[]",
            "{",
            "\u{feff}{}",
            r#"{"endpoint":"\ud800","method":"GET","errorMessage":"m"}"#,
            &format!(r#"{{{required},"context":{{"n":1e999}}}}"#),
            &format!(r#"{{{required},"endpoint":"/b"}}"#),
            &format!(
                r#"{{{required},"context":{}{}}}"#,
                r#"{"a":"#.repeat(200),
                "}".repeat(200)
            ),
            &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
        ] {
            let answer = api.ask("POST", "/api/v1/errors", &json, body.as_bytes());
            answer.wrong_fields(400);
        }
        let answer = api.ask("POST", "/api/v1/errors", &json, b"{\"endpoint\":\"\xff\"}");
        answer.wrong_fields(400);

        let row = api.log(json!({
            "errorMessage": "a\u{0}b", "context": {"\u{0}": "\u{0}", "huge": 1e308, "deep": [[[]]]},
            "errorStack": "x".repeat(1 << 20),
        }));
        assert_eq!(row["errorMessage"], "a\u{fffd}b");
        assert_eq!(row["context"]["\u{fffd}"], "\u{fffd}");
        assert_eq!(row["context"]["truncated"], json!(["error_stack"]));
        let long = api.log(json!({"errorMessage": "é".repeat(1 << 19)}));
        assert_eq!(long["errorMessage"].as_str().unwrap().len(), 8 << 10);
    });
}

#[test]
fn what_is_no_question_of_the_api_is_refused_as_a_problem() {
    each_kind(|kind| {
        let api = Api::start(kind);
        let json = [("content-type", "application/json")];
        let too_long = vec![b' '; (2 << 20) + 1];
        for (method, path, headers, body, status) in [
            ("GET", "/api/v1/nothing", &[][..], &b""[..], 404),
            ("GET", "/api/v1/errors/", &[], b"", 404),
            ("DELETE", "/api/v1/groups", &[], b"", 405),
            ("TRACE", "/api/v1/errors", &[], b"", 405),
            ("POST", "/api/v1/errors", &[], b"{}", 415),
            (
                "POST",
                "/api/v1/errors",
                &[("content-type", "text/plain")],
                b"{}",
                415,
            ),
            (
                "POST",
                "/api/v1/errors",
                &[("content-type", "application/x-protobuf")],
                b"{}",
                415,
            ),
            (
                "POST",
                "/api/v1/errors",
                &[
                    ("content-type", "application/json"),
                    ("content-encoding", "gzip"),
                ],
                b"{}",
                415,
            ),
            ("POST", "/api/v1/errors", &json, &too_long, 413),
            ("GET", "/api/v1/errors/%ff", &[], b"", 400),
        ] {
            let answer = api.ask(method, path, headers, body);
            let allowed = answer.headers.get("allow").cloned();
            if status == 404 {
                assert_eq!(answer.body["type"], "urn:redspan:no-such-route", "{path}");
            }
            assert_eq!(answer.wrong_fields(status), [""; 0], "{method} {path}");
            assert_eq!(allowed.is_some(), status == 405, "{method} {path}");
        }
        let nothing = api.ask("POST", "/api/v1/errors", &json, b" ").body(400);
        let detail = nothing["detail"].as_str().unwrap();
        assert!(detail.starts_with("the body is empty: "), "{detail}");
        let unknown = "/api/v1/errors/00000000-0000-7000-8000-000000000001";
        let answer = api.get(unknown);
        assert_eq!(answer.body["type"], "urn:redspan:not-found");
        assert_eq!(answer.wrong_fields(404), [""; 0]);
    });
}

#[test]
fn only_who_shows_a_token_is_let_in_when_there_is_one() {
    let token = "a-token-of-the-test";
    let api = Api::start_with(Kind::Sqlite, &[("REDSPAN_AUTH_API_TOKEN", token)]);
    let refused = api.get("/api/v1/errors");
    assert_eq!(refused.headers["www-authenticate"], "Bearer");
    assert_eq!(refused.wrong_fields(401), [""; 0]);
    let shown = [("authorization", &*format!("Bearer {token}"))];
    api.ask("GET", "/api/v1/errors", &shown, b"").body(200);
}

#[test]
fn a_cursor_leads_on_in_the_list_that_it_came_from_and_nowhere_else() {
    each_kind(|kind| {
        let api = Api::start(kind);
        for number in 0..3 {
            let fingerprint = format!("own:{number}");
            api.log(json!({"fingerprint": fingerprint, "userId": "ada"}));
        }
        let page = |path: &str| api.get(path).body(200);
        let first = page("/api/v1/errors?userId=ada&severity=error&limit=1");
        let cursor = first["nextCursor"].as_str().unwrap().to_owned();
        let rest =
            format!("/api/v1/errors?cursor={cursor}&severity=error&withTotal=true&userId=ada");
        let rest = page(&rest);
        assert_eq!(rest["items"].as_array().unwrap().len(), 2);
        assert_ne!(rest["items"][0], first["items"][0]);
        let other = page("/api/v1/groups?limit=1");
        let other = other["nextCursor"].as_str().unwrap();
        for (path, cursor) in [
            ("/api/v1/errors?userId=bob&severity=error", &*cursor),
            ("/api/v1/errors?userId=ada", &cursor),
            ("/api/v1/errors?userId=ada&severity=error,warning", &cursor),
            ("/api/v1/groups?since=2020-01-01T00:00:00Z", &cursor),
            ("/api/v1/errors?userId=ada&severity=error", other),
            (
                "/api/v1/errors?userId=ada&severity=error",
                &format!("{cursor}0"),
            ),
            ("/api/v1/errors?userId=ada&severity=error", &cursor[17..]),
        ] {
            let answer = api.get(&format!("{path}&cursor={cursor}"));
            assert_eq!(answer.wrong_fields(400), ["cursor"], "{path} {cursor}");
        }
        let both = format!("/api/v1/errors?userId=ada&severity=error&offset=1&cursor={cursor}");
        assert_eq!(api.get(&both).wrong_fields(400), ["offset"]);
    });
}

#[test]
fn a_mistake_inside_of_lists_is_named_with_its_place() {
    each_kind(|kind| {
        let api = Api::start(kind);
        let run = |stages| json!({"config": {}, "stages": stages});
        let fine = run(json!([{"stageName": "mesh"}]));
        for (stages, wrong) in [
            (
                json!([{"stageName": "a"}, {"stageName": " "}]),
                &["stages[1].stageName"][..],
            ),
            (
                json!([{"stageName": "a", "progress": 101}, {"stageName": "a"}]),
                &["stages[0].progress", "stages[1].stageName"],
            ),
            (
                json!([{"stageName": "a", "id": "1"}, {"stageName": "b", "id": "1"}]),
                &["stages[1].id"],
            ),
            (
                json!([{"stageName": "a"}, {"stageName": 1, "colour": 2}, 7]),
                &["stages[1].colour", "stages[1].stageName", "stages[2]"],
            ),
            // No object, though its values would do.
            (json!([{"stageName": "a"}, [null, "b"]]), &["stages[1]"]),
            (json!("mesh"), &["stages"]),
        ] {
            let one = api.post("/api/v1/pipelines", &run(stages.clone()));
            assert_eq!(one.wrong_fields(400), wrong, "{stages}");
            let runs = json!({"pipelines": [fine, run(stages.clone())]});
            let answer = api.post("/api/v1/pipelines/batch", &runs);
            let wrong: Vec<_> = wrong
                .iter()
                .map(|it| format!("pipelines[1].{it}"))
                .collect();
            assert_eq!(answer.wrong_fields(400), wrong, "{stages}");
        }
        let errors = json!({"errors": [error(json!({})), error(json!({"tags": ["a", 1]}))]});
        let answer = api.post("/api/v1/errors/batch", &errors);
        assert_eq!(answer.wrong_fields(400), ["errors[1].tags[1]"]);
        let nothing = json!([]);
        assert_eq!(api.get("/api/v1/pipelines").body(200)["items"], nothing);
        assert_eq!(api.get("/api/v1/errors").body(200)["items"], nothing);
    });
}

#[test]
fn what_no_address_leads_to_is_not_created_and_all_else_is_found_again() {
    each_kind(|kind| {
        let api = Api::start(kind);
        let json = [("content-type", "application/json")];
        for id in ["stats", "batch", "cleanup", ".", "..", "", "a\u{7}"] {
            let run = json!({"config": {}, "id": id});
            let answer = api.post("/api/v1/pipelines", &run);
            assert_eq!(answer.wrong_fields(400), ["id"], "{id}");
        }
        for name in [".", "..", ""] {
            let run = json!({"config": {}, "stages": [{"stageName": name}]});
            let answer = api.post("/api/v1/pipelines", &run);
            assert_eq!(answer.wrong_fields(400), ["stages[0].stageName"], "{name}");
        }
        for id in [
            "a/b", "/", "Stats", "...", "?#%", "%2F", "é ü", "a\\b", "restore", "stats/",
        ] {
            let run = json!({"config": {}, "id": id, "stages": [{"stageName": id}]});
            let created = api.post("/api/v1/pipelines", &run);
            let place = created.headers["location"].to_str().unwrap().to_owned();
            let created = created.body(201);
            assert_eq!(api.get(&place).body(200), created, "{id}");
            let stage = place.rsplit_once('/').unwrap().1;
            let stage = format!("{place}/stages/{stage}");
            let changed = api
                .ask("PUT", &stage, &json, br#"{"progress": 7}"#)
                .body(200);
            assert_eq!(changed["stageName"], id);
        }
    });
}

#[test]
fn pages_of_other_sites_change_nothing_and_other_names_lead_nowhere() {
    each_kind(|kind| {
        let api = Api::start(kind);
        let row = api.log(json!({"fingerprint": "own:1"}));
        let reopen = format!("/api/v1/errors/{}/reopen", row["id"].as_str().unwrap());
        for path in ["/api/v1/groups/own:1/ignore", &reopen] {
            let foreign = [("origin", "http://evil.example")];
            api.ask("POST", path, &foreign, b"").wrong_fields(403);
            let own = format!("http://{}", api.program.http);
            api.ask("POST", path, &[("origin", &own)], b"").body(200);
        }
        let rebound = [("host", "evil.example")];
        let path = "/api/v1/errors";
        api.ask("GET", path, &rebound, b"").wrong_fields(421);
        api.ask("GET", path, &[("host", "localhost:1")], b"")
            .body(200);
    });
}

#[test]
fn a_group_that_no_address_leads_to_is_not_made() {
    each_kind(|kind| {
        let api = Api::start(kind);
        for fingerprint in [".", ".."] {
            let answer = api.post(
                "/api/v1/errors",
                &error(json!({"fingerprint": fingerprint})),
            );
            assert_eq!(answer.wrong_fields(400), ["fingerprint"]);
        }
        let group = "/api/v1/groups/%00";
        assert_eq!(api.get(group).wrong_fields(400), ["fingerprint"]);
        let ignored = api.ask("POST", &format!("{group}/ignore"), &[], b"");
        assert_eq!(ignored.wrong_fields(400), ["fingerprint"]);
    });
}
