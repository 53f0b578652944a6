//! Changes of a run and of a stage: checked in one place, then applied to the rows as they are.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    domain::{Pipeline, PipelineStatus, Stage, StageStatus, StateConflict, Timestamp, TraceId},
    store::{
        InvalidField,
        checks::{Checks, json_bytes},
        edit::Refusal,
    },
};

use super::{
    MAX_ERROR_BYTES,
    new_pipeline::{
        MAX_NAME_CHARS, any_but_null, checked_config, checked_progress, checked_service,
        pipeline_sizes,
    },
};

/// What happens to a field. In JSON an absent field is kept and a `null` one is cleared.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Patch<T> {
    /// It stays.
    #[default]
    Keep,
    /// It becomes empty.
    Clear,
    /// It becomes this.
    Set(T),
}

impl<T> Patch<T> {
    /// Sets what is given, and keeps otherwise.
    pub fn set_or_keep(value: Option<T>) -> Self {
        value.map_or(Self::Keep, Self::Set)
    }

    fn apply_to(self, field: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *field = None,
            Self::Set(value) => *field = Some(value),
        }
    }

    /// What remains of it when a value that is set must be so; an empty one clears.
    fn checked(self, check: impl FnOnce(T) -> Option<T>) -> Self {
        match self {
            Self::Set(value) => check(value).map_or(Self::Clear, Self::Set),
            other => other,
        }
    }
}

impl<T: Serialize> Serialize for Patch<T> {
    /// As a value of its own; of a struct, what is kept is to be left out.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep | Self::Clear => serializer.serialize_none(),
            Self::Set(value) => serializer.serialize_some(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Option::<T>::deserialize(deserializer)?;
        Ok(value.map_or(Self::Clear, Self::Set))
    }
}

/// What changes of a run. Status, progress and stage follow the rules of the states.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PipelinePatch {
    /// For whom it runs.
    #[schema(value_type = Option<String>, pattern = "line", max_length = 255)]
    pub user_id: Patch<String>,
    /// What it makes.
    #[schema(value_type = Option<String>, pattern = "line", max_length = 255)]
    pub asset_id: Patch<String>,
    /// What it is asked to do: any JSON but null.
    #[schema(schema_with = any_but_null)]
    pub config: Patch<Value>,
    /// Where it stands; goes forward only. Cannot be cleared.
    #[schema(value_type = PipelineStatus)]
    pub status: Patch<PipelineStatus>,
    /// How far it is, in percent. Cannot be cleared.
    #[schema(value_type = i32, minimum = 0, maximum = 100)]
    pub progress: Patch<i32>,
    /// The stage that it is in.
    #[schema(value_type = Option<String>, pattern = "line", max_length = 100)]
    pub current_stage: Patch<String>,
    /// Why it failed, at most 64 KiB.
    #[schema(value_type = Option<String>, max_length = 65_536)]
    pub error: Patch<String>,
    /// In which stage.
    #[schema(value_type = Option<String>, pattern = "line", max_length = 100)]
    pub error_stage: Patch<String>,
    /// More about that: any JSON.
    #[schema(value_type = Option<Value>)]
    pub error_details: Patch<Value>,
    /// What it made: any JSON; `{}` when cleared.
    #[schema(value_type = Option<Value>)]
    pub results: Patch<Value>,
    /// The task at Meshy that it waits for.
    #[schema(value_type = Option<String>, pattern = "line", max_length = 255)]
    pub meshy_task_id: Patch<String>,
    /// The task that rigs the model.
    #[schema(value_type = Option<String>, pattern = "line", max_length = 255)]
    pub rigging_task_id: Patch<String>,
    /// When its results are of no use any more.
    #[schema(value_type = Option<Timestamp>)]
    pub expires_at: Patch<Timestamp>,
    /// The kind of run.
    #[schema(value_type = Option<String>, pattern = "line", max_length = 100)]
    pub name: Patch<String>,
    /// Which service runs it; `unknown_service` when cleared.
    #[schema(value_type = Option<String>, pattern = "filled line", max_length = 512)]
    pub service_name: Patch<String>,
    /// The trace that it is seen in.
    #[schema(value_type = Option<TraceId>)]
    pub trace_id: Patch<TraceId>,
}

/// What changes of a stage. Status and progress follow the rules of the states.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StagePatch {
    /// Its place; a new stage without one comes last. Cannot be cleared.
    #[schema(value_type = i32)]
    pub stage_order: Patch<i32>,
    /// Where it stands; goes forward only. Cannot be cleared.
    #[schema(value_type = StageStatus)]
    pub status: Patch<StageStatus>,
    /// How far it is, in percent. Cannot be cleared.
    #[schema(value_type = i32, minimum = 0, maximum = 100)]
    pub progress: Patch<i32>,
    /// What it made: any JSON.
    #[schema(value_type = Option<Value>)]
    pub result: Patch<Value>,
    /// Why it failed, at most 64 KiB.
    #[schema(value_type = Option<String>, max_length = 65_536)]
    pub error: Patch<String>,
    /// More about that: any JSON.
    #[schema(value_type = Option<Value>)]
    pub error_details: Patch<Value>,
}

impl PipelinePatch {
    /// The same with all values as they are stored, or everything that is wrong.
    pub(super) fn checked(self) -> Result<Self, Vec<InvalidField>> {
        let mut checks = Checks::default();
        let mut word = |field, patch: Patch<String>, max| {
            patch.checked(|text| checks.word(field, Some(text), max))
        };
        let (user_id, asset_id) = (
            word("userId", self.user_id, 255),
            word("assetId", self.asset_id, 255),
        );
        let current_stage = word("currentStage", self.current_stage, 100);
        let error_stage = word("errorStage", self.error_stage, 100);
        let meshy_task_id = word("meshyTaskId", self.meshy_task_id, 255);
        let rigging_task_id = word("riggingTaskId", self.rigging_task_id, 255);
        let name = word("name", self.name, MAX_NAME_CHARS);
        let checked = Self {
            user_id,
            asset_id,
            config: match self.config {
                Patch::Keep => Patch::Keep,
                Patch::Clear => Patch::set_or_keep(checked_config(&mut checks, None)),
                Patch::Set(config) => Patch::set_or_keep(checked_config(&mut checks, Some(config))),
            },
            status: not_cleared(&mut checks, "status", self.status),
            progress: checked_progress_patch(&mut checks, self.progress),
            current_stage,
            error: checked_error(&mut checks, self.error),
            error_stage,
            error_details: checked_json(&mut checks, "errorDetails", self.error_details),
            results: checked_json(&mut checks, "results", self.results),
            meshy_task_id,
            rigging_task_id,
            expires_at: self.expires_at,
            name,
            service_name: match self.service_name {
                Patch::Keep => Patch::Keep,
                Patch::Clear => Patch::Set(checked_service(&mut checks, None)),
                Patch::Set(name) => Patch::Set(checked_service(&mut checks, Some(name))),
            },
            trace_id: self.trace_id,
        };
        if checks.invalid.is_empty() {
            Ok(checked)
        } else {
            Err(checks.invalid)
        }
    }

    /// About how many bytes it holds.
    pub(super) fn memory_bytes(&self) -> usize {
        let json = [&self.config, &self.results, &self.error_details];
        let json: usize = json.into_iter().map(patch_bytes).sum();
        // JSON takes a few times its text.
        1_024 + 4 * json + patch_bytes(&self.error)
    }

    /// Changes the run. What it says already changes nothing, `updated_at` neither.
    pub(super) fn apply_to(self, pipeline: &mut Pipeline, now: Timestamp) -> Result<(), Refusal> {
        let before = pipeline.clone();
        self.user_id.apply_to(&mut pipeline.user_id);
        self.asset_id.apply_to(&mut pipeline.asset_id);
        if let Patch::Set(config) = self.config {
            pipeline.config = config;
        }
        self.error.apply_to(&mut pipeline.error);
        self.error_stage.apply_to(&mut pipeline.error_stage);
        self.error_details.apply_to(&mut pipeline.error_details);
        match self.results {
            Patch::Keep => {}
            Patch::Clear => pipeline.results = Map::new().into(),
            Patch::Set(results) => pipeline.results = results,
        }
        self.meshy_task_id.apply_to(&mut pipeline.meshy_task_id);
        self.rigging_task_id.apply_to(&mut pipeline.rigging_task_id);
        self.expires_at.apply_to(&mut pipeline.expires_at);
        self.name.apply_to(&mut pipeline.name);
        if let Patch::Set(service_name) = self.service_name {
            pipeline.service_name = service_name;
        }
        self.trace_id.apply_to(&mut pipeline.trace_id);

        let mut current_stage = pipeline.current_stage.clone();
        self.current_stage.apply_to(&mut current_stage);
        let progress = match self.progress {
            Patch::Set(progress) => progress,
            Patch::Keep | Patch::Clear => pipeline.progress,
        };
        pipeline
            .change_progress(progress, current_stage)
            .map_err(|refused| conflict(&refused))?;
        if let Patch::Set(status) = self.status {
            pipeline
                .change_status(status, now)
                .map_err(|refused| conflict(&refused))?;
        }
        if *pipeline != before {
            pipeline.updated_at = now;
            size_allowed("run", &pipeline_sizes(pipeline))?;
        }
        Ok(())
    }
}

impl StagePatch {
    /// The same with all values as they are stored, or everything that is wrong.
    pub(super) fn checked(self) -> Result<Self, Vec<InvalidField>> {
        let mut checks = Checks::default();
        let checked = Self {
            stage_order: not_cleared(&mut checks, "stageOrder", self.stage_order),
            status: not_cleared(&mut checks, "status", self.status),
            progress: checked_progress_patch(&mut checks, self.progress),
            result: checked_json(&mut checks, "result", self.result),
            error: checked_error(&mut checks, self.error),
            error_details: checked_json(&mut checks, "errorDetails", self.error_details),
        };
        if checks.invalid.is_empty() {
            Ok(checked)
        } else {
            Err(checks.invalid)
        }
    }

    /// About how many bytes it holds.
    pub(super) fn memory_bytes(&self) -> usize {
        let json = patch_bytes(&self.result) + patch_bytes(&self.error_details);
        1_024 + 4 * json + patch_bytes(&self.error)
    }

    /// Changes the stage. What it says already changes nothing, `updated_at` neither.
    pub(super) fn apply_to(self, stage: &mut Stage, now: Timestamp) -> Result<(), Refusal> {
        let before = stage.clone();
        if let Patch::Set(stage_order) = self.stage_order {
            stage.stage_order = stage_order;
        }
        self.result.apply_to(&mut stage.result);
        self.error.apply_to(&mut stage.error);
        self.error_details.apply_to(&mut stage.error_details);
        if let Patch::Set(progress) = self.progress {
            stage
                .change_progress(progress)
                .map_err(|refused| conflict(&refused))?;
        }
        if let Patch::Set(status) = self.status {
            stage
                .change_status(status, now)
                .map_err(|refused| conflict(&refused))?;
        }
        if *stage != before {
            stage.updated_at = now;
            let json = |value: &Option<Value>| value.as_ref().map_or(0, json_bytes);
            let parts = [
                ("result", json(&stage.result)),
                ("errorDetails", json(&stage.error_details)),
                ("error", stage.error.as_deref().map_or(0, str::len)),
            ];
            size_allowed("stage", &parts)?;
        }
        Ok(())
    }
}

fn patch_bytes(patch: &Patch<impl Serialize>) -> usize {
    match patch {
        Patch::Keep | Patch::Clear => 0,
        Patch::Set(value) => json_bytes(value),
    }
}

fn not_cleared<T>(checks: &mut Checks, field: &'static str, patch: Patch<T>) -> Patch<T> {
    if matches!(patch, Patch::Clear) {
        checks.refuse(
            field,
            Value::Null,
            "it cannot be empty: leave it out to keep it",
        );
    }
    patch
}

fn checked_progress_patch(checks: &mut Checks, patch: Patch<i32>) -> Patch<i32> {
    let patch = not_cleared(checks, "progress", patch);
    patch.checked(|progress| Some(checked_progress(checks, progress)))
}

fn checked_error(checks: &mut Checks, patch: Patch<String>) -> Patch<String> {
    patch.checked(|error| checks.whole_text("error", Some(error), MAX_ERROR_BYTES))
}

fn checked_json(checks: &mut Checks, field: &'static str, patch: Patch<Value>) -> Patch<Value> {
    patch.checked(|value| checks.json(field, Some(value)))
}

fn conflict(conflict: &StateConflict) -> Refusal {
    let value = match conflict {
        StateConflict::Status { to, .. } => to,
        StateConflict::Finished { .. } => "another",
    };
    Refusal::new(conflict.field(), value, conflict.to_string())
}

fn size_allowed(what: &str, parts: &[(&'static str, usize)]) -> Result<(), Refusal> {
    let mut checks = Checks::default();
    checks.row_size(what, parts);
    match checks.invalid.pop() {
        Some(invalid) => Err(Refusal(invalid)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::{NewPipeline, pipelines::new_pipeline::new_stage};

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
    const LATER: Timestamp = NOW.plus_seconds(5);

    fn pipeline() -> Pipeline {
        let new = NewPipeline {
            id: Some("run".to_owned()),
            user_id: Some("ada".to_owned()),
            config: json!({}),
            ..NewPipeline::default()
        };
        new.into_rows(NOW).unwrap().pipeline
    }

    fn patch(json: Value) -> PipelinePatch {
        let patch: PipelinePatch = serde_json::from_value(json).unwrap();
        patch.checked().unwrap()
    }

    fn refused_fields<T: std::fmt::Debug>(checked: Result<T, Vec<InvalidField>>) -> Vec<String> {
        let refused = checked.expect_err("refused");
        refused
            .into_iter()
            .map(|invalid| invalid.field.into_owned())
            .collect()
    }

    #[test]
    fn null_clears_and_what_is_absent_stays() {
        let mut run = pipeline();
        let patch = patch(json!({"userId": null, "meshyTaskId": "m-1", "results": {"url": "x"}}));
        assert_eq!(patch.asset_id, Patch::Keep);
        patch.apply_to(&mut run, LATER).unwrap();
        let expected = Pipeline {
            user_id: None,
            meshy_task_id: Some("m-1".to_owned()),
            results: json!({"url": "x"}),
            updated_at: LATER,
            ..pipeline()
        };
        assert_eq!(run, expected);
        let clear = serde_json::from_value::<PipelinePatch>(json!({"results": null})).unwrap();
        clear.apply_to(&mut run, LATER).unwrap();
        assert_eq!(run.results, json!({}));
    }

    #[test]
    fn what_is_there_already_changes_nothing() {
        let mut run = pipeline();
        let same = json!({"userId": "ada", "progress": 0, "status": "initializing", "config": {}});
        patch(same).apply_to(&mut run, LATER).unwrap();
        assert_eq!(run, pipeline());
    }

    #[test]
    fn the_last_word_of_a_failed_run_may_come_with_how_far_it_was() {
        let mut run = pipeline();
        let failed = json!({"status": "failed", "progress": 40, "currentStage": "rig",
            "error": "a\0b", "errorStage": "rig", "errorDetails": {"code": 7}});
        patch(failed.clone()).apply_to(&mut run, LATER).unwrap();
        assert_eq!((run.progress, run.completed_at), (40, Some(LATER)));
        assert_eq!(run.error.as_deref(), Some("a\u{fffd}b"));
        let before = run.clone();
        patch(failed)
            .apply_to(&mut run, LATER.plus_seconds(1))
            .unwrap();
        assert_eq!(run, before);
    }

    #[test]
    fn a_finished_run_keeps_its_state_and_takes_results() {
        let mut run = pipeline();
        patch(json!({"status": "completed"}))
            .apply_to(&mut run, NOW)
            .unwrap();
        for (change, field) in [
            (json!({"status": "processing"}), "status"),
            (json!({"progress": 99}), "progress"),
            (json!({"currentStage": "rig"}), "currentStage"),
        ] {
            let refused = patch(change).apply_to(&mut run.clone(), LATER);
            assert_eq!(refused.unwrap_err().0.field, field);
        }
        patch(json!({"results": [1], "progress": 100}))
            .apply_to(&mut run, LATER)
            .unwrap();
        assert_eq!((run.results, run.updated_at), (json!([1]), LATER));
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let wrong = PipelinePatch {
            config: Patch::Clear,
            status: Patch::Clear,
            progress: Patch::Set(-1),
            error: Patch::Set("x".repeat(1 << 20)),
            error_stage: Patch::Set("x".repeat(101)),
            user_id: Patch::Set("a\0b".to_owned()),
            service_name: Patch::Set("x".repeat(513)),
            ..PipelinePatch::default()
        };
        assert_eq!(
            refused_fields(wrong.checked()),
            [
                "userId",
                "errorStage",
                "config",
                "status",
                "progress",
                "error",
                "serviceName"
            ]
        );
        let wrong = StagePatch {
            stage_order: Patch::Clear,
            progress: Patch::Set(101),
            error: Patch::Set("x".repeat(1 << 20)),
            ..StagePatch::default()
        };
        assert_eq!(
            refused_fields(wrong.checked()),
            ["stageOrder", "progress", "error"]
        );
    }

    #[test]
    fn a_row_that_grew_too_large_is_refused() {
        let mut run = pipeline();
        let large = "x".repeat(100 * 1_024);
        patch(json!({"results": large}))
            .apply_to(&mut run, NOW)
            .unwrap();
        let refused = patch(json!({"config": large})).apply_to(&mut run, NOW);
        assert!(
            refused
                .unwrap_err()
                .to_string()
                .contains("the whole run has")
        );
    }

    #[test]
    fn a_stage_is_patched_by_the_same_rules() {
        let before = new_stage(&pipeline(), "mesh".to_owned(), 1);
        let mut stage = before.clone();
        StagePatch::default().apply_to(&mut stage, LATER).unwrap();
        assert_eq!(stage, before);
        let patch = |json| serde_json::from_value::<StagePatch>(json).unwrap();
        let done = patch(json!({"status": "completed", "result": {"url": "x"}, "stageOrder": 3}));
        done.apply_to(&mut stage, LATER).unwrap();
        assert_eq!((stage.progress, stage.stage_order), (100, 3));
        assert_eq!((stage.completed_at, stage.updated_at), (Some(LATER), LATER));
        let again = patch(json!({"status": "processing"}));
        assert_eq!(
            again.apply_to(&mut stage, LATER).unwrap_err().0.field,
            "status"
        );
    }
}
