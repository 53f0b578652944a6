//! What people see of runs, on narrow and wide terminals, and what runs cannot do to a terminal.

use clap::Parser;
use redspan::{
    cli::{
        pipelines::{self, View},
        screen::Screen,
    },
    domain::{PipelineStatus, StageStatus, TraceId},
    failure::Failure,
    store::{NewPipeline, NewStage, Patch, PipelineFailure, PipelineFilter, StagePatch},
};
use regex::Regex;
use serde_json::{Value, json};

use super::{NOON, Runs, id, new_run, new_stage};
use crate::databases::on_each_database;

#[derive(Parser)]
enum Command {
    #[command(subcommand)]
    Pipelines(pipelines::Look),
}

async fn answer(runs: &Runs, line: &[&str], screen: Screen) -> Result<String, Failure> {
    let line = [&["redspan", "pipelines"], line].concat();
    let Command::Pipelines(command) = Command::try_parse_from(line).unwrap();
    let now = runs.now();
    pipelines::answer(&command, &*runs.store, &View { now, screen }).await
}

async fn print(runs: &Runs, line: &[&str], width: Option<u16>, colour: bool) -> String {
    let screen = Screen { width, colour };
    answer(runs, line, screen).await.unwrap()
}

/// Runs that stand everywhere, one of which failed in its second stage.
async fn populate(runs: &Runs) {
    let failed = id("pipeline-123");
    runs.create(NewPipeline {
        user_id: Some("ada".to_owned()),
        asset_id: Some("chair-7".to_owned()),
        meshy_task_id: Some("m-1".to_owned()),
        rigging_task_id: Some("r-1".to_owned()),
        expires_at: Some(NOON.plus_seconds(86_400)),
        service_name: Some("studio".to_owned()),
        trace_id: TraceId::from_slice(&[0xab; 16]),
        status: Some(PipelineStatus::Processing),
        stages: vec![
            new_stage("mesh"),
            NewStage {
                progress: Some(10),
                ..new_stage("rig")
            },
            new_stage("animate"),
        ],
        ..new_run("pipeline-123")
    })
    .await;
    let stage = async |name: &str, status, error: Option<&str>| {
        let details = json!({"errorId": "7a51b2c3-d4e5-8f60-9123-456789abcdef"});
        let patch = StagePatch {
            status: Patch::Set(status),
            error: Patch::set_or_keep(error.map(str::to_owned)),
            error_details: Patch::set_or_keep(error.map(|_| details)),
            ..StagePatch::default()
        };
        runs.pipelines
            .update_stage(&failed, name, patch)
            .await
            .unwrap();
    };
    let wrong = "no bones were found in the mesh: give a model that stands upright\nor none";
    stage("mesh", StageStatus::Processing, None).await;
    runs.pass(83);
    stage("mesh", StageStatus::Completed, None).await;
    stage("rig", StageStatus::Processing, None).await;
    runs.pass(4);
    stage("rig", StageStatus::Failed, Some(wrong)).await;
    stage("animate", StageStatus::Skipped, None).await;
    let rig = Some("rig".to_owned());
    let progress = runs.pipelines.update_progress(&failed, 60, rig.clone());
    progress.await.unwrap();
    let failure = PipelineFailure {
        error: Some(wrong.to_owned()),
        error_stage: rig,
        error_details: Some(json!({"code": "E7"})),
    };
    let status = PipelineStatus::Failed;
    let ended = runs.pipelines.update_status(&failed, status, failure);
    ended.await.unwrap();
    runs.create(NewPipeline {
        name: Some("image-to-3d".to_owned()),
        stages: vec![new_stage("mesh")],
        ..new_run("silent")
    })
    .await;
    runs.pass(4_000);
    for (name, status) in [
        ("支払い", PipelineStatus::Completed),
        ("waiting", PipelineStatus::Initializing),
        ("stopped", PipelineStatus::Cancelled),
        ("at-work", PipelineStatus::Processing),
    ] {
        runs.create(NewPipeline {
            status: Some(status),
            ..new_run(name)
        })
        .await;
        runs.pass(600);
    }
    runs.pipelines.delete(&id("stopped")).await.unwrap();
}

#[test]
fn runs_are_shown_as_wide_as_the_terminal_with_and_without_colours() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        populate(&runs).await;
        let commands: [(&str, &[&str]); 6] = [
            ("list", &["list", "--include-deleted"]),
            ("show", &["show", "pipeline-123"]),
            ("stats", &["stats", "--since", "1d"]),
            ("windows", &["stats"]),
            ("by_user", &["stats", "--by", "user"]),
            ("by_stage", &["stats", "--by", "stage", "--since", "1d"]),
        ];
        let colours = Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
        for (name, line) in commands {
            for width in [80, 140] {
                let plain = print(&runs, line, Some(width), false).await;
                insta::assert_snapshot!(format!("{name}_{width}"), plain);
                let coloured = print(&runs, line, Some(width), true).await;
                assert_ne!(coloured, plain);
                assert_eq!(colours.replace_all(&coloured, ""), plain);
            }
        }
        runs.end().await;
    });
}

#[test]
fn programs_read_what_the_repository_says() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        populate(&runs).await;
        let read = async |line: &[&str]| -> Value {
            serde_json::from_str(&print(&runs, line, None, false).await).unwrap()
        };
        let shown = read(&["show", "pipeline-123", "--json"]).await;
        let found = runs.pipelines.find_with_stages(&id("pipeline-123")).await;
        assert_eq!(shown, serde_json::to_value(found.unwrap()).unwrap());
        let everything = PipelineFilter::default();
        let figures = runs.pipelines.get_statistics(&everything, runs.now());
        let figures = serde_json::to_value(figures.await.unwrap()).unwrap();
        let told = read(&["stats", "--json", "--by", "user"]).await;
        for (name, figure) in figures.as_object().unwrap() {
            assert_eq!(&told[name], figure, "{name}");
        }
        let windows = told["windows"].as_array().unwrap();
        let totals = windows.iter().map(|it| (&it["window"], &it["total"]));
        assert_eq!(
            totals.collect::<Vec<_>>(),
            [
                (&json!("1h"), &json!(3)),
                (&json!("24h"), &json!(5)),
                (&json!("7d"), &json!(5))
            ]
        );
        assert_eq!(told["byUser"][1]["label"], "ada");
        assert_eq!(told["byName"], Value::Null);
        let of_a_day = read(&["stats", "--json", "--since", "1d"]).await;
        assert_eq!(of_a_day["windows"], Value::Null);
        let first = read(&["list", "--limit", "2", "--json"]).await;
        assert_eq!(first["items"][0]["id"], "at-work");
        let cursor = first["nextCursor"].as_str().unwrap();
        let rest = read(&["list", "--after", cursor, "--json"]).await;
        assert_eq!(rest["items"].as_array().unwrap().len(), 3);
        assert_eq!(rest["nextCursor"], Value::Null);
        let stats = read(&["stats", "--status", "failed,completed", "--json"]).await;
        assert_eq!(stats["successRate"], 50.0);
        assert_eq!(stats["p50DurationSeconds"], 87.0);
        runs.end().await;
    });
}

#[test]
fn nothing_found_says_so_and_names_what_was_asked_for() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let failed = [
            "list",
            "--status",
            "failed,cancelled",
            "--user",
            "e\u{1b}ve",
        ];
        assert_eq!(
            print(&runs, &failed, None, false).await,
            "No runs with user e\\u{1b}ve, status failed or cancelled, nor any others.\n"
        );
        runs.create(new_run("a")).await;
        assert_eq!(
            print(&runs, &["stats", "--name", "x"], None, false).await,
            "No runs since 2026-09-14 12:00:00 UTC with name x. The latest of all was created at \
             2026-09-21 12:00:00 UTC.\n"
        );
        let by_stage = ["stats", "--by", "stage"];
        assert_eq!(
            print(&runs, &by_stage, None, false).await,
            "No stages in the runs since 2026-09-14 12:00:00 UTC.\n"
        );
        runs.pass(8 * 86_400);
        assert_eq!(
            print(&runs, &["stats"], None, false).await,
            "No runs since 2026-09-22 12:00:00 UTC. The latest of all was created at \
             2026-09-21 12:00:00 UTC.\n"
        );
        let end = print(&runs, &["list", "--offset", "1"], None, false).await;
        assert_eq!(end, "No more runs.\n");
        let screen = Screen {
            width: None,
            colour: false,
        };
        let unknown = answer(&runs, &["show", "b"], screen).await.unwrap_err();
        assert_eq!(unknown.to_string(), "there is no run b");
        runs.end().await;
    });
}

#[test]
fn nothing_that_a_run_says_reaches_the_terminal_as_a_command() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let hostile = "\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}\u{e0041}";
        // Words hold no control characters, but what turns lines around.
        let word = || Some("a\u{202e}b\u{e0041}".to_owned());
        runs.create(NewPipeline {
            user_id: word(),
            name: word(),
            current_stage: word(),
            service_name: word(),
            meshy_task_id: word(),
            config: json!({"prompt": hostile}),
            stages: vec![new_stage(&word().unwrap())],
            ..new_run("a\u{202e}b")
        })
        .await;
        let run = id("a\u{202e}b");
        let failure = PipelineFailure {
            error: Some(format!("{hostile}\n{hostile}")),
            error_stage: word(),
            error_details: Some(json!([hostile])),
        };
        let status = PipelineStatus::Failed;
        runs.pipelines
            .update_status(&run, status, failure)
            .await
            .unwrap();
        for line in [
            &["list"][..],
            &["list", "--json"],
            &["show", "a\u{202e}b"],
            &["show", "a\u{202e}b", "--json"],
            &["stats"],
            &["stats", "--by", "name"],
            &["stats", "--by", "user"],
            &["stats", "--by", "stage"],
            &["stats", "--by", "name", "--json"],
            &["list", "--user", "a\u{202e}"],
        ] {
            let text = print(&runs, line, None, false).await;
            let is_unsafe =
                |it: char| (it.is_control() && it != '\n') || "\u{202e}\u{e0041}".contains(it);
            assert!(!text.contains(is_unsafe), "{text:?}");
        }
        runs.end().await;
    });
}
