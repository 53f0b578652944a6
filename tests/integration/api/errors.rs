//! Errors that application code logs over HTTP, and what is read of them.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::*;
use crate::load;

#[test]
fn an_error_is_stored_once_and_its_row_answered() {
    each_kind(|kind| {
        let api = Api::start(kind);
        let id = Uuid::now_v7().to_string();
        let sent = error(json!({
            "id": id, "severity": "critical", "category": "external_api", "statusCode": 502,
            "userId": "user-1", "externalService": "payments", "tags": ["paid", "paid"],
            "context": {"order": 17}, "requestBody": {"a": [1, null]}, "serviceName": "shop",
            "createdAt": "2020-01-01T00:00:00+01:00",
        }));
        let answer = api.post("/api/v1/errors", &sent);
        assert_eq!(answer.headers["location"], format!("/api/v1/errors/{id}"));
        let row = answer.body(201);
        assert_eq!(row["id"], json!(id));
        assert_eq!(row["tags"], json!(["paid"]));
        assert_eq!(row["requestBody"], json!({"a": [1, null]}));
        assert_eq!(row["resolved"], json!(false));
        assert_eq!(row["errorStack"], Value::Null);
        // Too old for its hour.
        assert_eq!(
            row["context"]["timeClamped"],
            json!("2019-12-31T23:00:00.000000Z")
        );
        assert_eq!(row["createdAt"], row["receivedAt"]);

        let again = error(json!({"id": id, "errorMessage": "another"}));
        assert_eq!(api.post("/api/v1/errors", &again).body(200), row);
        assert_eq!(api.get(&format!("/api/v1/errors/{id}")).body(200), row);
        let page = api.get("/api/v1/errors?withTotal=true").body(200);
        assert_eq!(
            page,
            json!({"items": [row], "nextCursor": null, "total": 1})
        );
        let counted = api.program.metrics().sum("redspan_errors_total", &["shop"]);
        assert!((counted - 1.0).abs() < 0.5, "{counted}");
    });
}

#[test]
fn a_batch_is_stored_whole_or_not_at_all() {
    each_kind(|kind| {
        let api = Api::start(kind);
        let known = api.log(json!({"errorMessage": "known"}));
        let batch = json!({"errors": [
            error(json!({"errorMessage": "new"})),
            error(json!({"id": known["id"]})),
        ]});
        let logged = api.post("/api/v1/errors/batch", &batch).body(201);
        assert_eq!(logged["items"][0]["isNew"], json!(true));
        assert_eq!(logged["items"][0]["error"]["errorMessage"], "new");
        assert_eq!(logged["items"][1], json!({"isNew": false, "error": known}));
        let again = json!({"errors": [error(json!({"id": known["id"]}))]});
        api.post("/api/v1/errors/batch", &again).body(200);

        let wrong = json!({"errors": [
            error(json!({})),
            error(json!({"method": "FARTOOLONGAMETHOD", "severity": "error"})),
            error(json!({"endpoint": ""})),
        ]});
        assert_eq!(
            api.post("/api/v1/errors/batch", &wrong).wrong_fields(400),
            ["errors[1].method", "errors[2].endpoint"]
        );
        let wrong = json!({"errors": [error(json!({"severity": "bad"})), 7]});
        assert_eq!(
            api.post("/api/v1/errors/batch", &wrong).wrong_fields(400),
            ["errors[0].severity", "errors[1]"]
        );
        for number in [0, 501] {
            let many = json!({"errors": vec![error(json!({})); number]});
            assert_eq!(
                api.post("/api/v1/errors/batch", &many).wrong_fields(400),
                ["errors"]
            );
        }
        assert_eq!(api.messages("/api/v1/errors"), ["new", "known"]);
    });
}

#[test]
fn each_filter_finds_what_it_names() {
    each_kind(|kind| {
        let api = Api::start(kind);
        let trace = "5b8efff798038103d269b633813fc60c";
        let first = api.log(json!({
            "errorMessage": "first: 100 % lost", "userId": "user-1", "serviceName": "shop",
            "environment": "test", "endpoint": "/a?b&c", "method": "PUT", "severity": "warning",
            "category": "network", "statusCode": 504, "externalService": "payments",
            "requestId": "request-1", "traceId": trace, "fingerprint": "mine:1", "tags": ["a,b"],
            "createdAt": "2020-01-01T00:00:00Z",
        }));
        api.log(json!({"errorMessage": "second", "severity": "critical"}));
        let first_at = first["createdAt"].as_str().unwrap();
        let (first, second, both) = (
            vec!["first: 100 % lost"],
            vec!["second"],
            vec!["second", "first: 100 % lost"],
        );
        for (query, found) in [
            ("userId=user-1", &first),
            ("serviceName=shop", &first),
            ("environment=test", &first),
            ("environment=", &second),
            ("endpoint=%2Fa%3Fb%26c", &first),
            ("method=PUT", &first),
            ("severity=warning", &first),
            ("severity=warning,critical", &both),
            ("severity=critical&severity=warning", &both),
            ("category=network", &first),
            ("category=network&category=database,unknown", &both),
            ("statusCode=504", &first),
            ("externalService=payments", &first),
            ("resolved=false", &both),
            ("resolved=true", &Vec::new()),
            ("requestId=request-1", &first),
            (&format!("traceId={}", trace.to_uppercase()), &first),
            ("fingerprint=mine%3A1", &first),
            ("tag=a%2Cb", &first),
            (&format!("to={first_at}"), &Vec::new()),
            (&format!("from={first_at}"), &both),
            ("from=2999-01-01T00:00:00%2B01:00", &Vec::new()),
            ("text=100+%25+", &first),
            ("text=FIRST", &Vec::new()),
            ("includeDeleted=true", &both),
            ("userId=user-1&severity=critical", &Vec::new()),
            ("userId=%00", &Vec::new()),
        ] {
            // Some are only looked for since a time.
            let mut query = query.to_owned();
            if !query.contains("from=") {
                query.push_str("&from=2000-01-01T00:00:00Z");
            }
            assert_eq!(
                api.messages(&format!("/api/v1/errors?{query}")),
                *found,
                "{query}"
            );
            let stats = api.get(&format!("/api/v1/errors/stats?{query}")).body(200);
            assert_eq!(stats["total"], json!(found.len()), "{query}");
            let page = api.get(&format!("/api/v1/errors?{query}&withTotal=true&limit=1"));
            assert_eq!(page.body(200)["total"], json!(found.len()), "{query}");
        }
    });
}

#[test]
fn figures_are_of_what_matches_and_see_own_changes_at_once() {
    each_kind(|kind| {
        let api = Api::start(kind);
        let stats = || api.get("/api/v1/errors/stats").body(200);
        assert_eq!(
            stats(),
            json!({
                "total": 0, "bySeverity": {}, "byCategory": {}, "topEndpoints": [],
                "uniqueUsers": 0, "resolved": 0, "unresolved": 0,
            })
        );
        for user in ["user-1", "user-2", "user-1"] {
            api.log(json!({"userId": user, "severity": "warning"}));
        }
        assert_eq!(
            stats(),
            json!({
                "total": 3, "bySeverity": {"warning": 3}, "byCategory": {"unknown": 3},
                "topEndpoints": [{"endpoint": "/orders/{id}", "errors": 3}],
                "uniqueUsers": 2, "resolved": 0, "unresolved": 3,
            })
        );
        let hours = api.get("/api/v1/aggregations?withTotal=true").body(200);
        let counted: i64 = (hours["items"].as_array().unwrap().iter())
            .map(|hour| hour["totalErrors"].as_i64().unwrap())
            .sum();
        assert_eq!(counted, 3);
        assert_eq!(
            hours["total"],
            json!(hours["items"].as_array().unwrap().len())
        );
    });
}

#[test]
fn a_row_leads_to_its_trace_where_somebody_says_where_that_is_seen() {
    let link = "https://jaeger.example/trace/{trace_id}";
    let api = Api::start_with(Kind::Sqlite, &[("REDSPAN_LINKS_TRACE", link)]);
    let trace = "ab".repeat(16);
    let traced = api.log(json!({"traceId": trace}));
    assert_eq!(
        traced["traceUrl"],
        format!("https://jaeger.example/trace/{trace}")
    );
    let page = api.get(&format!("/api/v1/errors?traceId={trace}"));
    assert_eq!(page.body(200)["items"], json!([traced]));
    assert_eq!(api.log(json!({}))["traceUrl"], Value::Null);
}

#[test]
fn figures_show_what_this_process_wrote_however_it_came() {
    each_kind(|kind| {
        let api = Api::start(kind);
        let figure = |path: &str, name: &str| api.get(path).body(200)[name].clone();
        let errors = "/api/v1/errors/stats";
        let runs = "/api/v1/pipelines/stats";
        for number in 0..5 {
            assert_eq!(figure(errors, "total"), json!(number));
            assert_eq!(figure(runs, "total"), json!(number));
            api.log(json!({}));
            let run = json!({"config": {}});
            api.post("/api/v1/pipelines", &run).body(201);
        }
        // Telemetry makes a figure old after as long again as it took, which is no time here: less
        // than what another process writes may take to be seen.
        let asked = Instant::now();
        assert_eq!(figure(errors, "total"), json!(5));
        let span = load::failed(1, 1, 0, "no such order", load::now_nanos());
        assert_eq!(
            api.program.send(&load::body("shop", vec![span])).unwrap(),
            200
        );
        while figure(errors, "total") == json!(5) {
            assert!(
                asked.elapsed() < Duration::from_millis(1_500),
                "it stays old"
            );
        }
        assert_eq!(figure(errors, "total"), json!(6));
    });
}
