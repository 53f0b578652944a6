//! "Pipelines": an application with the lines for its language runs one pipeline that succeeds and
//! one that fails, beside a running redspan. Those for Rust are part of a worker of the tests.

use std::fs;

use serde_json::{Value, json};

use super::{Newcomer, snippets};

/// Python's lines, as part of an application.
pub(super) fn run_python(newcomer: &Newcomer, lines: &str) {
    let rest = "def work(name):\n    \
                    if (run_id, name) == ('failed-1', 'texture'):\n        \
                        raise ValueError('no colours')\n\
                for run_id in ('made-1', 'failed-1'):\n    \
                    try:\n        \
                        make_model(run_id, 'ada')\n    \
                    except ValueError:\n        \
                        pass\n";
    if newcomer
        .folder
        .path()
        .join("opentelemetry-instrument")
        .exists()
    {
        let command = "opentelemetry-instrument python models.py";
        run(newcomer, "models.py", &[lines, rest], command);
        assert_told(newcomer, 1, "ValueError: no colours");
    }
}

/// Node's.
pub(super) fn run_node(newcomer: &Newcomer, lines: &str) {
    // Spans begin at a millisecond there: stages that are known in their order take longer.
    let rest = "let failing = null;\n\
                const work = async (name) => {\n  \
                    await new Promise((done) => setTimeout(done, 3));\n  \
                    if (name === failing) throw new RangeError('no colours');\n\
                };\n\
                makeModel('made-2', 'ada').then(() => {\n  \
                    failing = 'texture';\n  \
                    return makeModel('failed-2', 'ada').catch(() => {});\n\
                });\n";
    if newcomer.folder.path().join("node_modules").exists() {
        let command = "node --require @opentelemetry/auto-instrumentations-node/register models.js";
        run(newcomer, "models.js", &[lines, rest], command);
        assert_told(newcomer, 2, "RangeError: no colours");
    }
}

fn run(newcomer: &Newcomer, file: &str, parts: &[&str], command: &str) {
    fs::write(newcomer.folder.path().join(file), parts.concat()).unwrap();
    newcomer.run(&format!("{}{command}", snippets::block("sh environment")));
}

/// What is kept of the two runs with this number.
fn assert_told(newcomer: &Newcomer, number: usize, error: &str) {
    let shown = |id: &str| {
        let show = format!("target/release/redspan pipelines show {id}-{number} --json");
        let run: Value = serde_json::from_str(&newcomer.run(&show)).unwrap();
        let stages = run["stages"].as_array().unwrap().iter();
        let stages = stages.map(|stage| json!([stage["stageName"], stage["status"]]));
        json!([
            run["name"],
            run["userId"],
            run["status"],
            run["error"],
            run["errorStage"],
            stages.collect::<Value>()
        ])
    };
    let completed = |name| json!([name, "completed"]);
    let all = ["sketch", "mesh", "texture", "export"].map(completed);
    assert_eq!(
        shown("made"),
        json!(["text-to-3d", "ada", "completed", null, null, all])
    );
    assert_eq!(
        shown("failed"),
        json!([
            "text-to-3d",
            "ada",
            "failed",
            error,
            "texture",
            [
                completed("sketch"),
                completed("mesh"),
                json!(["texture", "failed"])
            ]
        ])
    );
}
