//! The API against its own document: schemathesis asks everything that the document allows and much
//! that it forbids, and looks at every answer. None may be a 5xx, have a status, type or body that the
//! document does not name, or say yes to what it forbids.

use std::{fs, path::PathBuf, process::Command, thread};

use super::*;
use crate::apps::python;

/// Every run asks the same.
const SEED: &str = "5";

/// What has no texts of thousands of characters: to invent those at every limit takes minutes.
const QUICK: [&str; 4] = [
    "--phases=coverage",
    "--include-method=GET",
    "--include-method=DELETE",
    "--include-path-regex=/(reopen|restore|ignore|progress)$",
];

const SHORT: [&str; 2] = ["--phases=fuzzing", "--max-examples=10"];
const LONG: [&str; 2] = ["--phases=coverage,fuzzing", "--max-examples=100"];

/// What deletes for good comes last: the others have something to change.
const WITHOUT_THE_LAST: &str = "--exclude-path-regex=/cleanup$|/users/";
const THE_LAST: &str = "--include-path-regex=/cleanup$|/users/";

#[test]
fn no_answer_is_outside_of_the_document() {
    let Some(python) = python() else { return };
    let schemathesis = python.with_file_name("schemathesis");
    thread::scope(|scope| {
        for kind in [Kind::Sqlite, Kind::Postgres] {
            let schemathesis = schemathesis.clone();
            scope.spawn(move || fuzz(kind, schemathesis));
        }
    });
}

fn fuzz(kind: Kind, schemathesis: PathBuf) {
    let api = Api::start(kind);
    fill(&api);
    let fuzz = Fuzz { api, schemathesis };
    let (most, last): (&[&str], &[&str]) = if std::env::var_os("FULL").is_some() {
        // With a time it begins again until that is over.
        (&[LONG[0], LONG[1], "--max-time=400"], &LONG)
    } else {
        fuzz.run(&[&QUICK[..], &[WITHOUT_THE_LAST]].concat());
        (&SHORT, &SHORT)
    };
    let reports = [
        fuzz.run(&[most, &[WITHOUT_THE_LAST]].concat()),
        fuzz.run(&[last, &[THE_LAST]].concat()),
    ];
    let answered: usize = reports.iter().map(Report::answered).sum();
    assert_eq!(answered, operations());
}

/// A ledger in which there is something of everything.
fn fill(api: &Api) {
    for number in 1..=4 {
        let user = format!("user-{number}");
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let fingerprint = format!("own:{number}");
        api.log(json!({"id": id, "userId": user, "fingerprint": fingerprint}));
        let id = format!("run-{number}");
        let stages = [json!({"stageName": "mesh"})];
        let run = json!({"id": id, "userId": user, "config": {}, "stages": stages});
        api.post("/api/v1/pipelines", &run).body(201);
    }
}

/// How many operations the document has.
fn operations() -> usize {
    let paths = redspan::web::document()["paths"].as_object().unwrap();
    paths
        .values()
        .map(|path| path.as_object().unwrap().len())
        .sum()
}

struct Fuzz {
    api: Api,
    schemathesis: PathBuf,
}

impl Fuzz {
    /// Runs it with these options; panics with what it says when an answer is wrong.
    fn run(&self, options: &[&str]) -> Report {
        let folder = self.api.database.folder();
        let report = folder.join("report.json");
        let output = Command::new(&self.schemathesis)
            .arg("--config-file")
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/integration/api/schemathesis.toml"
            ))
            // It writes down there what it found.
            .current_dir(folder)
            .arg("run")
            .arg(format!("http://{}/api/openapi.json", self.api.program.http))
            .args(["--seed", SEED, "--no-color", "--report=json"])
            .arg("--report-json-path")
            .arg(&report)
            .args(options)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{complained}");
        let report = fs::read_to_string(report).unwrap();
        Report(serde_json::from_str(&report).unwrap())
    }
}

/// What schemathesis did.
struct Report(Value);

impl Report {
    /// How many operations were asked, each of which said yes to something.
    fn answered(&self) -> usize {
        let Self(report) = self;
        assert_eq!(report["failures"], json!([]));
        assert_eq!(report["errors"], json!([]));
        let rates = report["valid_rates"].as_object().unwrap();
        for (operation, phases) in rates {
            let phases = phases.as_object().unwrap().values();
            let accepted: u64 = phases.map(|it| it["accepted"].as_u64().unwrap()).sum();
            assert!(accepted > 0, "{operation} was never answered with 2xx");
        }
        assert_eq!(report["operations"]["tested"], json!(rates.len()));
        rates.len()
    }
}
