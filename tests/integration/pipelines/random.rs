//! Random changes of runs: both databases answer and hold the same, row for row, and the same as a
//! model in memory that is written without the program's rules.

use std::collections::BTreeMap;

use proptest::prelude::*;
use redspan::{
    domain::{PipelineStatus, PipelineWithStages, StageStatus, Timestamp},
    store::{
        NewPipeline, Patch, PipelineFailure, PipelineFilter, PipelinePatch, RepositoryError,
        StagePatch,
    },
};
use serde_json::{Value, json};

use super::{NOON, Runs, id, new_run, new_stage};
use crate::{
    cases,
    databases::{Database, Kind},
};

/// One thing that somebody does.
#[derive(Clone, Debug)]
enum Change {
    Create {
        run: u8,
        config: u8,
        user: Option<u8>,
        asset: Option<u8>,
        stages: Vec<u8>,
    },
    Progress {
        run: u8,
        progress: i32,
        stage: Option<u8>,
    },
    Status {
        run: u8,
        status: usize,
        error: bool,
    },
    Fields {
        run: u8,
        user: Patch<u8>,
        results: Patch<u8>,
        expires: Patch<i64>,
    },
    Stage {
        run: u8,
        stage: u8,
        status: Option<usize>,
        progress: Option<i32>,
    },
    Delete(u8),
    Restore(u8),
    CleanUp(i64),
    Wait(i64),
}

/// Few runs and stages, and changes of them above all, so that most change what is there.
fn change() -> impl Strategy<Value = Change> {
    let run = 0..2_u8;
    let status = prop::sample::select(vec![0, 1, 1, 1, 2, 3, 4_usize]);
    let stage_status = prop::option::of(status.clone());
    prop_oneof![
        4 => (run.clone(), prop::sample::select(vec![0, 0, 0, 1_u8]), option(0..2), option(0..2), prop::collection::vec(0..2_u8, 0..3))
            .prop_map(|(run, config, user, asset, stages)| Change::Create {
                run, config, user, asset, stages,
            }),
        4 => (run.clone(), -1..=101, option(0..3)).prop_map(|(run, progress, stage)| {
            Change::Progress { run, progress, stage }
        }),
        8 => (run.clone(), status, any::<bool>()).prop_map(|(run, status, error)| {
            Change::Status { run, status, error }
        }),
        2 => (run.clone(), patch(0..2_u8), patch(0..2_u8), patch(0..100_i64)).prop_map(
            |(run, user, results, expires)| Change::Fields { run, user, results, expires }
        ),
        12 => (run.clone(), 0..2_u8, stage_status, prop::option::weighted(0.2, -1..=101))
            .prop_map(|(run, stage, status, progress)| Change::Stage {
                run, stage, status, progress,
            }),
        1 => run.clone().prop_map(Change::Delete),
        3 => run.prop_map(Change::Restore),
        1 => (0..200_i64).prop_map(Change::CleanUp),
        3 => (1..20_i64).prop_map(Change::Wait),
    ]
}

fn option(of: std::ops::Range<u8>) -> impl Strategy<Value = Option<u8>> {
    prop::option::of(of)
}

fn patch<T: Clone + std::fmt::Debug + 'static>(
    of: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Patch<T>> {
    prop_oneof![
        Just(Patch::Keep),
        Just(Patch::Clear),
        of.prop_map(Patch::Set)
    ]
}

fn run_id(run: u8) -> String {
    format!("run-{run}")
}

fn config(number: u8) -> Value {
    json!({"type": "t", "number": number})
}

fn stage_name(stage: u8) -> String {
    format!("stage {stage}")
}

fn user(user: u8) -> String {
    format!("user {user}")
}

/// What a change leads to: a row as JSON, nothing there, or the field that is wrong.
type Told = Result<Option<Value>, String>;

fn told<T: serde::Serialize>(answer: Result<Option<T>, RepositoryError>) -> Told {
    match answer {
        Ok(row) => Ok(row.map(|row| serde_json::to_value(row).unwrap())),
        Err(RepositoryError::Invalid(fields)) => Err(fields[0].field.to_string()),
        Err(RepositoryError::Refused(refusal)) => Err(refusal.0.field.into_owned()),
        Err(error) => panic!("{error}"),
    }
}

/// Does it to the database.
async fn apply(runs: &Runs, change: &Change) -> Told {
    let repository = &runs.pipelines;
    match change.clone() {
        Change::Create {
            run,
            config: number,
            user: by,
            asset,
            stages,
        } => {
            let new = NewPipeline {
                config: config(number),
                user_id: by.map(user),
                asset_id: asset.map(|asset| asset.to_string()),
                stages: stages
                    .into_iter()
                    .map(|stage| new_stage(&stage_name(stage)))
                    .collect(),
                ..new_run(&run_id(run))
            };
            let created = runs.try_create(new).await;
            told(created.map(|created| Some(created.pipeline)))
        }
        Change::Progress {
            run,
            progress,
            stage,
        } => {
            let stage = stage.map(stage_name);
            let run = id(&run_id(run));
            told(repository.update_progress(&run, progress, stage).await)
        }
        Change::Status { run, status, error } => {
            let failure = PipelineFailure {
                error: error.then(|| "broken".to_owned()),
                ..PipelineFailure::default()
            };
            let status = PipelineStatus::ALL[status];
            let run = id(&run_id(run));
            told(repository.update_status(&run, status, failure).await)
        }
        Change::Fields {
            run,
            user: by,
            results,
            expires,
        } => {
            let patch = PipelinePatch {
                user_id: mapped(by, user),
                results: mapped(results, |results| json!([results])),
                expires_at: mapped(expires, |seconds| NOON.plus_seconds(seconds)),
                ..PipelinePatch::default()
            };
            told(repository.update(&id(&run_id(run)), patch).await)
        }
        Change::Stage {
            run,
            stage,
            status,
            progress,
        } => {
            let patch = StagePatch {
                status: Patch::set_or_keep(status.map(|status| StageStatus::ALL[status])),
                progress: Patch::set_or_keep(progress),
                ..StagePatch::default()
            };
            let (run, stage) = (id(&run_id(run)), stage_name(stage));
            told(repository.update_stage(&run, &stage, patch).await)
        }
        Change::Delete(run) => told(repository.delete(&id(&run_id(run))).await),
        Change::Restore(run) => told(repository.restore(&id(&run_id(run))).await),
        Change::CleanUp(seconds) => {
            let older_than = NOON.plus_seconds(seconds);
            told(repository.cleanup_old_pipelines(older_than).await.map(Some))
        }
        Change::Wait(seconds) => {
            runs.pass(seconds);
            Ok(None)
        }
    }
}

fn mapped<T, U>(patch: Patch<T>, map: impl FnOnce(T) -> U) -> Patch<U> {
    match patch {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(value) => Patch::Set(map(value)),
    }
}

/// The runs as JSON objects, changed as the documents say.
#[derive(Default)]
struct Model {
    runs: BTreeMap<String, Value>,
    stages: BTreeMap<String, Vec<Value>>,
    seconds: i64,
}

impl Model {
    fn now(&self) -> Timestamp {
        NOON.plus_seconds(self.seconds)
    }

    fn whole(&self, run: &str) -> Value {
        let mut whole = self.runs[run].clone();
        whole["stages"] = self.stages[run].clone().into();
        whole
    }

    fn create(&mut self, change: &Change) -> Told {
        let Change::Create {
            run,
            config: number,
            user: by,
            asset,
            stages,
        } = change
        else {
            unreachable!("only creations come here");
        };
        let name = run_id(*run);
        for (place, stage) in stages.iter().enumerate() {
            if stages[..place].contains(stage) {
                return Err(format!("stages[{place}].stageName"));
            }
        }
        let by = json!(by.map(user));
        let asset = json!(asset.map(|asset| asset.to_string()));
        if let Some(there) = self.runs.get(&name) {
            let same = there["config"] == config(*number)
                && (by.is_null() || there["userId"] == by)
                && (asset.is_null() || there["assetId"] == asset)
                && stages.iter().all(|stage| {
                    let mut there = self.stages[&name].iter();
                    there.any(|it| it["stageName"] == stage_name(*stage))
                });
            let is_deleted = !there["deletedAt"].is_null();
            return if same && !is_deleted {
                Ok(Some(self.whole(&name)))
            } else {
                Err("id".into())
            };
        }
        let now = self.now();
        self.runs.insert(
            name.clone(),
            json!({
                "id": name, "userId": by, "assetId": asset, "config": config(*number),
                "status": "initializing", "statusBy": "api", "progress": 0, "currentStage": null, "error": null,
                "errorStage": null, "errorDetails": null, "results": {}, "meshyTaskId": null,
                "riggingTaskId": null, "createdAt": now, "startedAt": null, "completedAt": null,
                "updatedAt": now, "expiresAt": null, "name": "t",
                "serviceName": "unknown_service", "traceId": null, "stateAt": now,
                "deletedAt": null,
            }),
        );
        let stages = stages.iter().enumerate();
        let stages = stages.map(|(place, stage)| self.new_stage(&name, *stage, place));
        let stages = stages.collect();
        self.stages.insert(name.clone(), stages);
        Ok(Some(self.whole(&name)))
    }

    fn new_stage(&self, run: &str, stage: u8, place: usize) -> Value {
        let (name, now) = (stage_name(stage), self.now());
        json!({
            "pipelineId": run, "id": name, "stageName": name, "stageOrder": place,
            "status": "pending", "statusBy": "api", "progress": 0, "result": null, "error": null,
            "errorDetails": null, "startedAt": null, "completedAt": null, "duration": null,
            "stateAt": now, "createdAt": now, "updatedAt": now,
        })
    }

    /// Changes a run that is there and not deleted.
    fn update(
        &mut self,
        run: u8,
        change: impl FnOnce(&mut Value, Timestamp) -> Option<&'static str>,
    ) -> Told {
        let now = self.now();
        let Some(row) = self.runs.get_mut(&run_id(run)) else {
            return Ok(None);
        };
        if !row["deletedAt"].is_null() {
            return Err("id".into());
        }
        let mut after = row.clone();
        if let Some(field) = change(&mut after, now) {
            return Err(field.into());
        }
        if after != *row {
            after["updatedAt"] = json!(now);
        }
        *row = after.clone();
        Ok(Some(after))
    }

    fn apply(&mut self, change: &Change) -> Told {
        match change.clone() {
            Change::Create { .. } => self.create(change),
            Change::Progress { progress, .. } if !(0..=100).contains(&progress) => {
                Err("progress".into())
            }
            Change::Progress {
                run,
                progress,
                stage,
            } => self.update(run, |row, _| {
                if is_over(row) && row["progress"] != progress {
                    return Some("progress");
                }
                if let Some(stage) = stage.map(stage_name) {
                    if is_over(row) && row["currentStage"] != *stage {
                        return Some("currentStage");
                    }
                    row["currentStage"] = stage.into();
                }
                row["progress"] = progress.into();
                None
            }),
            Change::Status { run, status, error } => self.update(run, |row, now| {
                if error {
                    row["error"] = "broken".into();
                }
                let status = PipelineStatus::ALL[status].as_str();
                move_on(row, status, now, "initializing", true)
            }),
            Change::Fields {
                run,
                user: by,
                results,
                expires,
            } => self.update(run, |row, _| {
                let mut put = |field: &str, empty: Value, patch: Patch<Value>| match patch {
                    Patch::Keep => {}
                    Patch::Clear => row[field] = empty,
                    Patch::Set(value) => row[field] = value,
                };
                put("userId", Value::Null, mapped(by, |by| user(by).into()));
                put("results", json!({}), mapped(results, |it| json!([it])));
                let at = |seconds| json!(NOON.plus_seconds(seconds));
                put("expiresAt", Value::Null, mapped(expires, at));
                None
            }),
            Change::Stage {
                run,
                stage,
                status,
                progress,
            } => self.stage(run, stage, status, progress),
            Change::Delete(run) => Ok(self.set_deleted(run, true)),
            Change::Restore(run) => Ok(self.set_deleted(run, false)),
            Change::CleanUp(seconds) => {
                let older_than = json!(NOON.plus_seconds(seconds));
                let before = self.runs.len();
                // Times in RFC 3339 sort as text.
                self.runs.retain(|_, run| {
                    !(is_over(run) && run["completedAt"].as_str() < older_than.as_str())
                });
                self.stages.retain(|run, _| self.runs.contains_key(run));
                Ok(Some((before - self.runs.len()).into()))
            }
            Change::Wait(seconds) => {
                self.seconds += seconds;
                Ok(None)
            }
        }
    }

    fn stage(&mut self, run: u8, stage: u8, status: Option<usize>, progress: Option<i32>) -> Told {
        if progress.is_some_and(|progress| !(0..=100).contains(&progress)) {
            return Err("progress".into());
        }
        if self.update(run, |_, _| None)?.is_none() {
            return Ok(None);
        }
        let (run, name, now) = (run_id(run), stage_name(stage), self.now());
        let stages = &self.stages[&run];
        let there = stages.iter().position(|it| it["stageName"] == *name);
        let last = stages
            .iter()
            .filter_map(|it| it["stageOrder"].as_u64())
            .max();
        let place = usize::try_from(last.map_or(0, |last| last + 1)).unwrap();
        let mut after = match there {
            Some(there) => stages[there].clone(),
            None => self.new_stage(&run, stage, place),
        };
        if let Some(progress) = progress {
            if is_over(&after) && after["progress"] != progress {
                return Err("progress".into());
            }
            after["progress"] = progress.into();
        }
        if let Some(status) = status {
            let status = StageStatus::ALL[status].as_str();
            if let Some(field) = move_on(&mut after, status, now, "pending", false) {
                return Err(field.into());
            }
        }
        let stages = self.stages.get_mut(&run).unwrap();
        let is_changed = match there {
            Some(there) if stages[there] == after => false,
            Some(there) => {
                after["updatedAt"] = json!(now);
                stages[there] = after.clone();
                true
            }
            None => {
                stages.push(after.clone());
                true
            }
        };
        if is_changed {
            self.runs.get_mut(&run).unwrap()["updatedAt"] = json!(now);
        }
        Ok(Some(after))
    }

    fn set_deleted(&mut self, run: u8, is_deleted: bool) -> Option<Value> {
        let now = self.now();
        let row = self.runs.get_mut(&run_id(run))?;
        if row["deletedAt"].is_null() == is_deleted {
            row["deletedAt"] = if is_deleted { json!(now) } else { Value::Null };
            row["updatedAt"] = json!(now);
        }
        Some(row.clone())
    }
}

fn is_over(row: &Value) -> bool {
    let over = ["completed", "failed", "cancelled", "skipped"];
    over.iter().any(|word| row["status"] == *word)
}

/// A step of a status, forward only; the field when it is none.
fn move_on(
    row: &mut Value,
    status: &str,
    now: Timestamp,
    first: &str,
    is_run: bool,
) -> Option<&'static str> {
    if row["status"] == status {
        return None;
    }
    if is_over(row) || status == first {
        return Some("status");
    }
    row["status"] = status.into();
    row["stateAt"] = json!(now);
    if status == "processing" {
        row["startedAt"] = json!(now);
    } else {
        row["completedAt"] = json!(now);
        if let (false, Some(started)) = (is_run, row["startedAt"].as_str()) {
            let started: Timestamp = serde_json::from_value(started.into()).unwrap();
            row["duration"] = ((now.as_micros() - started.as_micros()) / 1_000).into();
        }
    }
    if status == "completed" {
        row["progress"] = 100.into();
    }
    None
}

/// Every run as JSON, newest first.
fn as_json(all: &[PipelineWithStages]) -> Vec<Value> {
    all.iter()
        .map(|run| serde_json::to_value(run).unwrap())
        .collect()
}

#[test]
fn random_changes_lead_to_the_same_rows_on_both_databases_and_in_a_model() {
    cases::check(24, &prop::collection::vec(change(), 20..90), |changes| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(same_everywhere(&changes))
    });
}

async fn same_everywhere(changes: &[Change]) -> Result<(), TestCaseError> {
    let sqlite = Runs::new(Database::new(Kind::Sqlite)).await;
    let postgres = Runs::new(Database::new(Kind::Postgres)).await;
    let mut model = Model::default();
    for change in changes {
        let expected = model.apply(change);
        prop_assert_eq!(&apply(&sqlite, change).await, &expected, "{:?}", change);
        prop_assert_eq!(&apply(&postgres, change).await, &expected, "{:?}", change);
    }
    let rows = sqlite.all().await;
    prop_assert_eq!(&rows, &postgres.all().await);
    let mut expected: Vec<_> = model.runs.keys().map(|run| model.whole(run)).collect();
    expected.sort_by_key(|run| (run["createdAt"].to_string(), run["id"].to_string()));
    expected.reverse();
    prop_assert_eq!(as_json(&rows), expected);
    let everything = PipelineFilter::default();
    let figures = async |runs: &Runs| {
        let found = runs.pipelines.get_statistics(&everything, runs.now()).await;
        found.unwrap()
    };
    prop_assert_eq!(figures(&sqlite).await, figures(&postgres).await);
    sqlite.end().await;
    postgres.end().await;
    Ok(())
}
