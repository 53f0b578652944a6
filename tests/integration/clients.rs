//! The clients of `examples/`, as applications use them.

use std::{fs, path::PathBuf, process::Command};

use redspan::store::{ErrorFilter, PipelineFilter, connect_reader};

use super::{
    apps::browser_packages,
    databases::{Database, each_kind, on_each_database},
    program::Program,
};

/// An example in Rust, which `cargo test` builds with the tests, into a folder beside theirs.
fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let folder = tests.ancestors().nth(2).unwrap().join("examples");
    let example = folder.join(name);
    assert!(example.exists(), "first: cargo build --example {name}");
    example
}

#[test]
fn the_example_in_rust_keeps_what_it_says_and_goes_on_counting_when_it_runs_again() {
    on_each_database(async |database| {
        for times in 1..=2 {
            let output = Command::new(example("repositories"))
                .arg(&database.url)
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            assert_eq!(
                String::from_utf8_lossy(&output.stdout),
                format!("errors: {times}, resolved: {times}\nruns: {times}, success rate: 100 %\n")
            );
        }
        let reader = connect_reader(&database.settings()).await.unwrap();
        let errors = ErrorFilter {
            user_id: Some("ada".to_owned()),
            resolved: Some(true),
            ..ErrorFilter::default()
        };
        let stats = reader.get_error_stats(&errors).await.unwrap();
        assert_eq!((stats.total, stats.unique_users), (2, 1));
        let runs = reader.count_pipelines(&PipelineFilter::default()).await;
        assert_eq!(runs.unwrap(), 2);
        let now = redspan::clock::now();
        let found = reader.verify_aggregations(None, None, now).await.unwrap();
        assert!(found.is_clean(), "{found:?}");
        reader.close().await;
    });
}

#[test]
fn the_client_in_typescript_does_what_the_repositories_do_and_never_throws() {
    let Some(packages) = browser_packages() else {
        return;
    };
    let stripped = Command::new("node")
        .arg(packages.join(".bin/esbuild"))
        .args(["--format=esm", "--log-level=warning", "examples/redspan.ts"])
        .output()
        .unwrap();
    assert!(stripped.status.success(), "{stripped:?}");
    each_kind(|kind| {
        let database = Database::new(kind);
        let program = Program::start(&database.url, &database.environment());
        let application = database.folder().join("repositories.mjs");
        fs::copy("tests/apps/node/repositories.mjs", &application).unwrap();
        fs::write(database.folder().join("redspan.mjs"), &stripped.stdout).unwrap();
        let ran = Command::new("node")
            .arg(&application)
            .arg(format!("http://{}", program.http))
            .output()
            .unwrap();
        assert!(
            ran.status.success(),
            "{}",
            String::from_utf8_lossy(&ran.stderr)
        );
    });
}
