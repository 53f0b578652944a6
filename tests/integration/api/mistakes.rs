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
            ("/api/v1/errors?offset=1&cursor=12_x", &["offset"]),
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
            assert_eq!(answer.wrong_fields(status), [""; 0], "{method} {path}");
            assert_eq!(allowed.is_some(), status == 405, "{method} {path}");
        }
        let unknown = "/api/v1/errors/00000000-0000-7000-8000-000000000001";
        assert_eq!(api.get(unknown).wrong_fields(404), [""; 0]);
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
