//! `redspan pipelines purge`, as people type it.

use std::process::Command;

use redspan::{domain::PipelineStatus, store::NewPipeline};

use super::{Runs, id, new_run, new_stage};
use crate::{
    databases::{Database, Kind, on_each_database},
    program,
};

/// Exit code, standard output and standard error of the program, as ada calls it.
fn purge(database: &Database, flags: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(program::path())
        .args(["pipelines", "purge", "--older-than", "30d"])
        .args(flags)
        .current_dir(database.folder())
        .env_clear()
        .env("USER", "ada")
        .envs(database.environment())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn old_finished_runs_are_deleted_when_it_is_meant() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let days_ago = |days: i64| {
            let now = redspan::clock::now().as_micros() - runs.now().as_micros();
            runs.pass(now / 1_000_000 - days * 86_400);
        };
        days_ago(40);
        runs.create(new_run("unfinished")).await;
        let old = |number: usize| NewPipeline {
            status: Some(PipelineStatus::ALL[2 + number % 3]),
            stages: vec![new_stage("mesh")],
            ..new_run(&format!("old-{number}"))
        };
        let many = (0..240).map(old).collect();
        runs.pipelines.create_many(many, runs.now()).await.unwrap();
        let more = (240..510).map(|number| NewPipeline {
            stages: Vec::new(),
            ..old(number)
        });
        let more = more.collect();
        runs.pipelines.create_many(more, runs.now()).await.unwrap();
        days_ago(20);
        runs.create(old(510)).await;

        let (code, _, stderr) = purge(&runs.database, &[]);
        assert_eq!(code, Some(64));
        let said = "redspan: this deletes runs for good that were finished before ";
        assert!(stderr.starts_with(said), "{stderr}");
        assert!(stderr.ends_with("with their stages: say --yes to do it\n"));
        assert!(runs.pipelines.exists(&id("old-0")).await.unwrap());

        if runs.database.kind == Kind::Sqlite {
            // Whoever has the file says how to ask it.
            let (code, _, stderr) = purge(&runs.database, &["--yes"]);
            assert_eq!(code, Some(73));
            assert!(stderr.contains("--url http://127.0.0.1:9464"), "{stderr}");
        }
        let database = runs.end().await;
        let done = |said: &str| (Some(0), said.to_owned(), String::new());
        assert_eq!(purge(&database, &["--yes"]), done("Deleted 510 runs.\n"));
        assert_eq!(purge(&database, &["--yes"]), done("Deleted 0 runs.\n"));
        let runs = Runs::new(database).await;
        let left = runs.all().await;
        let left = left.iter().map(|run| run.pipeline.id.as_str());
        assert_eq!(left.collect::<Vec<_>>(), ["old-510", "unfinished"]);
        let audit = "SELECT actor FROM audit_log WHERE action = 'purge'";
        let audit = runs.rows(audit).await;
        assert_eq!(audit.len(), 2);
        assert!(audit[0].contains("ada"), "{audit:?}");
        runs.end().await;
    });
}
