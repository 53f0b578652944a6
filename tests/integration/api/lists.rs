//! Lists: pages of everything that can be listed.

use std::collections::BTreeSet;

use super::*;
use crate::load;

/// Every item of a list, page by page.
fn whole_list(api: &Api, path: &str, limit: usize) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = api.get(&format!("{path}limit={limit}{cursor}")).body(200);
        let found = page["items"].as_array().unwrap();
        items.extend_from_slice(found);
        let Some(next) = page["nextCursor"].as_str() else {
            return items;
        };
        assert_eq!(found.len(), limit);
        let encoded: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
        cursor = format!("&cursor={encoded}");
    }
}

#[test]
fn pages_hold_every_item_once_whatever_is_listed() {
    each_kind(|kind| {
        let api = Api::start(kind);
        let errors: Vec<Value> = (0..11)
            .map(|number| {
                error(json!({
                    "endpoint": format!("/orders/{number}"), "fingerprint": format!("own:{number}"),
                }))
            })
            .collect();
        api.post("/api/v1/errors/batch", &json!({"errors": errors}))
            .body(201);
        let ended = load::now_nanos();
        let spans = (1..=11)
            .map(|trace| load::entry(trace, 200, ended))
            .collect();
        assert_eq!(api.program.send(&load::body("shop", spans)).unwrap(), 200);

        for (path, name, number) in [
            ("/api/v1/errors?", "id", 11),
            ("/api/v1/aggregations?", "id", 11),
            ("/api/v1/groups?", "fingerprint", 11),
            // As many as the load has.
            ("/api/v1/requests?", "endpoint", 7),
        ] {
            let whole = whole_list(&api, path, 500);
            assert_eq!(whole.len(), number, "{path}");
            let names: BTreeSet<&str> = whole
                .iter()
                .map(|item| item[name].as_str().unwrap())
                .collect();
            assert_eq!(names.len(), number, "{path}");
            for limit in [1, 2, 5] {
                assert_eq!(whole_list(&api, path, limit), whole, "{path} by {limit}");
            }
            let page = api.get(&format!("{path}limit=4&offset=5&withTotal=true"));
            let page = page.body(200);
            assert_eq!(page["items"], json!(whole[5..whole.len().min(9)]), "{path}");
            assert_eq!(page["total"], json!(number), "{path}");
            assert_eq!(page["nextCursor"].is_null(), number <= 9, "{path}");
        }
        assert_eq!(
            api.get("/api/v1/audit?entity=error&withTotal=true")
                .body(200),
            json!({"items": [], "nextCursor": null, "total": 0})
        );
    });
}

#[test]
fn hours_and_groups_are_found_by_their_filters() {
    each_kind(|kind| {
        let api = Api::start(kind);
        let row = api.log(json!({
            "serviceName": "shop", "severity": "warning", "category": "network",
            "externalService": "payments", "endpoint": "/pay", "fingerprint": "own:1",
        }));
        api.log(json!({"serviceName": "other"}));
        let found = |path: &str| api.get(path).body(200)["items"].as_array().unwrap().len();
        for filter in [
            "serviceName=shop",
            "endpoint=/pay",
            "severity=warning",
            "category=network",
            "externalService=payments",
        ] {
            assert_eq!(
                found(&format!("/api/v1/aggregations?{filter}")),
                1,
                "{filter}"
            );
        }
        // The hour that contains the time, whichever of its times is given.
        let at = row["createdAt"].as_str().unwrap();
        assert_eq!(found(&format!("/api/v1/aggregations?from={at}&to={at}")), 2);
        assert_eq!(found("/api/v1/aggregations?to=2020-01-01T00:00:00Z"), 0);

        let group = api.get("/api/v1/groups/own:1").body(200);
        assert_eq!(group["title"], "no such order");
        assert_eq!(group["totalErrors"], 1);
        assert_eq!(
            api.get("/api/v1/groups?serviceName=shop&status=open")
                .body(200),
            json!({"items": [group], "nextCursor": null})
        );
        assert_eq!(found("/api/v1/groups?status=resolved"), 0);
        assert_eq!(found("/api/v1/groups?since=2999-01-01T00:00:00Z"), 0);
        api.get("/api/v1/groups/own:2").body(404);
    });
}

#[test]
fn requests_are_summed_over_those_who_counted_them_with_their_error_rate() {
    each_kind(|kind| {
        let database = Database::new(kind);
        let ended = load::now_nanos();
        let send = |writer: &str, statuses: &[i64], first: u64| {
            let environment = [
                &database.environment(),
                &[("REDSPAN_WRITER_NAME", writer)][..],
            ];
            let mut program = Program::start(&database.url, &environment.concat());
            let spans = (first..)
                .zip(statuses)
                .map(|(trace, status)| {
                    let mut span = load::entry(trace, *status, ended);
                    let route = span
                        .attributes
                        .iter_mut()
                        .find(|attribute| attribute.key == "http.route");
                    *route.unwrap() = load::attribute("http.route", "/pay");
                    span
                })
                .collect();
            assert_eq!(program.send(&load::body("shop", spans)).unwrap(), 200);
            let (status, text) = program.get("/api/v1/requests?serviceName=shop&endpoint=/pay");
            assert_eq!(status, 200, "{text}");
            assert!(program.terminate().success());
            let mut answer: Value = serde_json::from_str(&text).unwrap();
            answer["items"][0].take()
        };
        let hour = send("one", &[500, 200, 200], 1);
        assert_eq!(hour["requests"], 3);
        let hour = send("two", &[200], 11);
        assert_eq!(hour["requests"], 4);
        assert_eq!(hour["errors"], 1);
        assert_eq!(hour["errorRate"], json!(25.0));
        assert_eq!(hour["estimatedRequests"], json!(4.0));
        assert!(hour["durationSumSeconds"].as_f64().unwrap() > 0.0);
    });
}
