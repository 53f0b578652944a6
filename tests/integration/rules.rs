//! Rules of the user through the whole program, and SIGHUP.

use std::{fs, path::PathBuf, process::Command};

use super::{
    databases::{Database, each_kind},
    exactly_once::assert_holds,
    load::{self, Truth},
    program::{Program, path},
};

const DROPS: &str = "
[[rules]]
name = \"old shelves\"
match = { endpoint = \"/items/3\" }
drop = true
";

const BROKEN: &str = "
[[rules]]
match = { endpoint = \"/items/*\", color = \"red\" }
drop = true
";

const KNOWN: &str = "
[[rules]]
match = { exception_type = \"StockError*\" }
set = { severity = \"info\", tags = [\"known\"] }
";

fn config(database: &Database, rules: &str) -> PathBuf {
    let file = database.folder().join("redspan.toml");
    fs::write(&file, rules).unwrap();
    file
}

/// Sends SIGHUP and returns when the program has logged these words once more.
fn reload(program: &Program, words: &str) {
    let count = || program.log().matches(words).count();
    let before = count();
    let pid = program.pid().to_string();
    let sent = Command::new("kill").args(["-HUP", &pid]).status().unwrap();
    assert!(sent.success());
    while count() == before {
        assert_eq!(program.get("/livez").0, 200);
    }
}

#[test]
fn what_a_rule_drops_is_no_error_until_it_is_read_anew() {
    each_kind(|kind| {
        let database = Database::new(kind);
        let file = config(&database, DROPS);
        let file = file.to_str().unwrap();
        let mut environment = database.environment();
        environment.push(("REDSPAN_CONFIG", file));
        let program = Program::start(&database.url, &environment);
        let ended = load::now_nanos();
        // The endpoint of trace 3 is /items/3.
        let failing = |trace: u64| load::body("shop", vec![load::entry(trace, 500, ended)]);
        assert_eq!(program.send(&failing(3)).unwrap(), 200);
        assert_eq!(program.send(&failing(4)).unwrap(), 200);
        let row = |trace: u64, severity| {
            format!(
                "HTTP 500|/items/{}|GET|500|user-{trace}|{severity}",
                trace % 7
            )
        };
        let mut truth = Truth {
            rows: vec![row(4, "error")],
            requests: 2,
            failed_requests: 1,
            ..Truth::default()
        };
        assert_holds(&database, &truth);
        let dropped = program.metrics();
        let dropped = dropped.sum("redspan_records_total", &["result=\"dropped\""]);
        assert!((dropped - 1.0).abs() < 0.1);

        config(&database, BROKEN);
        reload(&program, "the configuration stays as it was");
        assert!(program.log().contains("unknown field `color`"));
        assert_eq!(program.send(&failing(10)).unwrap(), 200);
        truth.requests += 1;
        assert_holds(&database, &truth);

        config(&database, "");
        reload(&program, "are read anew");
        assert_eq!(program.send(&failing(17)).unwrap(), 200);
        truth.requests += 1;
        truth.failed_requests += 1;
        truth
            .rows
            .push(row(17 % 13, "error").replace("/items/4", "/items/3"));
        assert_holds(&database, &truth);
        program.metrics().assert_balanced();
    });
}

#[test]
fn no_request_is_lost_while_rules_are_read_anew() {
    each_kind(|kind| {
        let database = Database::new(kind);
        let file = config(&database, "");
        let file = file.to_str().unwrap();
        let mut environment = database.environment();
        environment.push(("REDSPAN_CONFIG", file));
        let program = Program::start(&database.url, &environment);
        let mut truth = Truth::default();
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let mut truth = Truth::default();
                for number in 0..60 {
                    let sent = load::whole_traces("shop", number * 8, 8);
                    assert_eq!(program.send(&sent.body).unwrap(), 200);
                    truth.add(&sent.truth);
                }
                truth
            });
            for round in 0..10 {
                config(&database, if round % 2 == 0 { KNOWN } else { "" });
                reload(&program, "are read anew");
            }
            truth = sending.join().unwrap();
        });
        // The severity of each row is that of the rules that were in force when it came.
        let rows = program_rows(&database);
        assert_eq!(rows.len(), truth.rows.len());
        let known = rows.iter().filter(|row| row.contains("known"));
        let infos = rows.iter().filter(|row| row.contains("\"info\""));
        assert_eq!(known.count(), infos.count());
        program.metrics().assert_balanced();
        assert!(!program.log().contains("panicked"));
    });
}

/// Each row as the command line prints it.
fn program_rows(database: &Database) -> Vec<String> {
    let output = Command::new(path())
        .args(["errors", "list", "--rows", "--json", "--limit", "500"])
        .env("REDSPAN_DATABASE_URL", &database.url)
        .envs(database.environment())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let page: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = page["items"].as_array().expect("a page has items");
    rows.iter().map(ToString::to_string).collect()
}

#[test]
fn config_check_says_which_rules_never_decide_and_show_lists_them_all() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("redspan.toml");
    fs::write(
        &file,
        format!("{DROPS}{}", DROPS.replace("old shelves", "again")),
    )
    .unwrap();
    let run = |command: &str| {
        let output = Command::new(path())
            .args(["config", command, "--config"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let said = run("check");
    assert!(said.contains("The rule \"again\" ("), "{said}");
    assert!(said.ends_with("\nok\n"), "{said}");
    let shown = run("show");
    for words in [
        "rules \"old shelves\"",
        "endpoint \"/items/3\": drop true",
        "rules \"cancelled\"",
        "built-in",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}
