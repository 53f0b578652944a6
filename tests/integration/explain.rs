//! Why a trace has its rows: over HTTP and on the command line.

use std::{fs, process::Command};

use serde_json::{Value, json};

use super::{
    databases::{Database, each_kind},
    load,
    program::{Program, agent, path},
};

const RULE: &str = "
[[rules]]
name = \"old shelves\"
match = { endpoint = \"/items/5\" }
drop = true

[[rules]]
name = \"stock\"
match = { exception_type = \"StockError*\" }
set = { tags = [\"warehouse\"] }
";

fn ask(program: &Program, query: &str) -> (u16, Value) {
    let mut response = agent()
        .get(format!("http://{}/api/v1/explain{query}", program.http))
        .call()
        .unwrap();
    let body = response.body_mut().read_to_string().unwrap();
    (
        response.status().as_u16(),
        serde_json::from_str(&body).unwrap(),
    )
}

fn hex(trace: u64) -> String {
    let bytes: [u8; 16] = load::trace_id(trace).try_into().unwrap();
    redspan::domain::TraceId(bytes).to_string()
}

#[test]
fn a_trace_is_explained_with_its_sightings_rows_and_rules() {
    each_kind(|kind| {
        let database = Database::new(kind);
        let file = database.folder().join("redspan.toml");
        fs::write(&file, RULE).unwrap();
        let mut environment = database.environment();
        environment.push(("REDSPAN_CONFIG", file.to_str().unwrap()));
        let program = Program::start(&database.url, &environment);
        let ended = load::now_nanos();
        let spans = vec![
            load::failed(1, 2, 1, "no stock", ended - 3_000_000),
            load::fine(1, 1, 0, ended - 2_000_000),
            load::entry(1, 500, ended),
        ];
        assert_eq!(program.send(&load::body("shop", spans)).unwrap(), 200);
        let dropped = load::body("shop", vec![load::entry(5, 500, ended)]);
        assert_eq!(program.send(&dropped).unwrap(), 200);

        let (status, answer) = ask(&program, &format!("?traceId={}", hex(1)));
        assert_eq!(status, 200, "{answer}");
        let part = &answer["parts"][0];
        assert_eq!(part["serviceName"], "shop");
        let of = |sighting: &Value| {
            json!([
                sighting["kind"],
                sighting["outcome"],
                sighting["because"],
                sighting["rule"]
            ])
        };
        let sightings: Vec<Value> = part["sightings"]
            .as_array()
            .unwrap()
            .iter()
            .map(of)
            .collect();
        assert_eq!(
            Value::from(sightings),
            json!([
                [
                    "failed_span",
                    "cause_of_silent_span",
                    "status_error",
                    "stock"
                ],
                ["span", "did_not_fail", null, null],
                ["failed_span", "failure", "status_error", null],
            ])
        );
        let row = &part["rows"][0];
        assert_eq!(
            json!([
                row["builtFrom"],
                row["entry"],
                row["standing"],
                row["tags"],
                row["endpoint"]
            ]),
            json!([0, 2, "failure", ["warehouse"], "/items/1"])
        );
        assert_eq!(row["id"], part["sightings"][0]["row"]);
        assert_eq!(answer["lately"], json!([]));

        let (_, answer) = ask(&program, &format!("?traceId={}", hex(5)));
        assert_eq!(answer["parts"], json!([]));
        let lately = &answer["lately"][0];
        assert_eq!(
            json!([lately["result"], lately["rule"], lately["traceId"]]),
            json!(["dropped", "old shelves", hex(5)])
        );

        let run = |arguments: &[&str]| {
            let output = Command::new(path())
                .arg("explain")
                .args(arguments)
                .env("REDSPAN_DATABASE_URL", &database.url)
                .envs(database.environment())
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let text = run(&[&hex(1)]);
        for words in [
            "shop, last added to",
            "StockErrorA: no stock (status ERROR)",
            "the cause of the failed span above, which says none itself; rule \"stock\"",
            "did not fail; it says where others stand",
            "#1, request #3",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let json: Value = serde_json::from_str(&run(&[&hex(1), "--json"])).unwrap();
        assert_eq!(json[0]["rows"], part["rows"]);
        assert!(run(&[&hex(5)]).contains("Nothing is known of the trace"));
    });
}

#[test]
fn a_bad_question_is_answered_with_what_is_wrong_and_a_token_is_asked_for() {
    let database = Database::new(super::databases::Kind::Sqlite);
    let program = Program::start(&database.url, &[]);
    for (query, detail) in [
        ("", "traceId is missing"),
        (
            "?traceId=xyz",
            "traceId is xyz: give the hex digits of 16 bytes that are not all zero",
        ),
        ("?traceid=1", "there is no such field: give one of traceId"),
    ] {
        let (status, problem) = ask(&program, query);
        assert_eq!((status, &problem["status"]), (400, &json!(400)));
        let said = problem["detail"].as_str().unwrap();
        assert!(said.contains(detail), "{said}");
    }
    let (_, problem) = ask(&program, "?traceId=0");
    assert_eq!(problem["errors"][0]["field"], "traceId");
    drop(program);

    let token = "a-token-of-enough-bytes";
    let program = Program::start(&database.url, &[("REDSPAN_AUTH_API_TOKEN", token)]);
    let query = format!("?traceId={}", hex(1));
    let (status, problem) = ask(&program, &query);
    assert_eq!(status, 401, "{problem}");
    let allowed = agent()
        .get(format!("http://{}/api/v1/explain{query}", program.http))
        .header("Authorization", &format!("Bearer {token}"))
        .call()
        .unwrap();
    assert_eq!(allowed.status(), 200);
    assert_eq!(program.get("/metrics").0, 200, "metrics need no token");

    let output = Command::new(path())
        .args(["explain", "17"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(
        said.contains("TRACE is \"17\" but must have 32 hex digits"),
        "{said}"
    );
}
