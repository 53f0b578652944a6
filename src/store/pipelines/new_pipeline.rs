//! A run that application code creates, with its stages: checked in one place, then rows.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{
    ToSchema,
    openapi::schema::{ObjectBuilder, SchemaType, Type},
};
use uuid::Uuid;

use crate::{
    domain::{
        InvalidPipelineId, Pipeline, PipelineId, PipelineStatus, PipelineWithStages, Stage,
        StageStatus, StatusBy, Timestamp, TraceId, is_progress, name_in_config,
    },
    store::{
        InvalidField,
        checks::{Checks, json_bytes},
        object::objects,
    },
};

use super::MAX_STAGES;

/// The service of runs of which nobody says it.
const UNKNOWN_SERVICE: &str = "unknown_service";

/// The column's limit.
pub(super) const MAX_NAME_CHARS: usize = 100;

/// What stands where the id of a run does in the addresses of the JSON API.
const ROUTES: [&str; 3] = ["batch", "cleanup", "stats"];

/// For names that no address of the JSON API can lead to.
const UNADDRESSABLE: &str = "give another: no address of the API leads to this one";

/// Whether a name means a folder in an address, even percent-encoded.
fn is_dots(name: &str) -> bool {
    matches!(name, "." | "..")
}

/// A run to be created. Only `config` must be given.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NewPipeline {
    /// The caller's own id: creating the same again changes nothing. Made (UUID version 7) when
    /// absent.
    #[schema(pattern = "run id", min_length = 1, max_length = 255)]
    pub id: Option<String>,
    /// For whom it runs.
    #[schema(pattern = "line", max_length = 255)]
    pub user_id: Option<String>,
    /// What it makes.
    #[schema(pattern = "line", max_length = 255)]
    pub asset_id: Option<String>,
    /// What it is asked to do: any JSON but null.
    #[schema(required, schema_with = any_but_null)]
    pub config: Value,
    /// `initializing` when absent.
    pub status: Option<PipelineStatus>,
    /// 0 when absent.
    #[schema(minimum = 0, maximum = 100)]
    pub progress: Option<i32>,
    /// The stage that it is in.
    #[schema(pattern = "line", max_length = 100)]
    pub current_stage: Option<String>,
    /// What it made: any JSON; `{}` when absent.
    pub results: Option<Value>,
    /// The task at Meshy that it waits for.
    #[schema(pattern = "line", max_length = 255)]
    pub meshy_task_id: Option<String>,
    /// The task that rigs the model.
    #[schema(pattern = "line", max_length = 255)]
    pub rigging_task_id: Option<String>,
    /// When its results are of no use any more.
    pub expires_at: Option<Timestamp>,
    /// The kind of run; `config.type` when absent.
    #[schema(pattern = "line", max_length = 100)]
    pub name: Option<String>,
    /// Which service runs it; `unknown_service` when absent.
    #[schema(pattern = "filled line", max_length = 512)]
    pub service_name: Option<String>,
    /// The trace that it is seen in.
    pub trace_id: Option<TraceId>,
    /// At most 256, each name once.
    #[serde(deserialize_with = "objects")]
    #[schema(max_items = 256)]
    pub stages: Vec<NewStage>,
}

/// A stage of a run that is created. Only `stageName` must be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NewStage {
    /// The stage's name when absent.
    #[schema(pattern = "line", max_length = 255)]
    pub id: Option<String>,
    /// Its name.
    #[schema(required, pattern = "stage name", max_length = 100)]
    pub stage_name: String,
    /// Its place in the list when absent.
    pub stage_order: Option<i32>,
    /// `pending` when absent.
    pub status: Option<StageStatus>,
    /// 0 when absent.
    #[schema(minimum = 0, maximum = 100)]
    pub progress: Option<i32>,
}

/// JSON that says something.
pub(super) fn any_but_null() -> utoipa::openapi::schema::Object {
    let kinds = [
        Type::Object,
        Type::Array,
        Type::String,
        Type::Number,
        Type::Boolean,
    ];
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter(kinds))
        .build()
}

impl NewPipeline {
    /// The rows, or everything that is wrong.
    ///
    /// # Errors
    /// Every field that cannot be stored, with what to do about it.
    ///
    /// # Panics
    /// Never: from its beginning a run may become anything.
    pub fn into_rows(self, now: Timestamp) -> Result<PipelineWithStages, Vec<InvalidField>> {
        let mut checks = Checks::default();
        let id = checked_id(&mut checks, self.id);
        let config = checked_config(&mut checks, Some(self.config)).unwrap_or_default();
        let name = self.name.or_else(|| {
            let name = name_in_config(&config).filter(|name| fits_name(name));
            name.map(str::to_owned)
        });
        let mut pipeline = Pipeline {
            id,
            user_id: checks.word("userId", self.user_id, 255),
            asset_id: checks.word("assetId", self.asset_id, 255),
            config,
            status: PipelineStatus::Initializing,
            status_by: StatusBy::Api,
            progress: checked_progress(&mut checks, self.progress.unwrap_or(0)),
            current_stage: checks.word("currentStage", self.current_stage, 100),
            error: None,
            error_stage: None,
            error_details: None,
            results: checks
                .json("results", self.results)
                .unwrap_or_else(|| Map::new().into()),
            meshy_task_id: checks.word("meshyTaskId", self.meshy_task_id, 255),
            rigging_task_id: checks.word("riggingTaskId", self.rigging_task_id, 255),
            created_at: now,
            started_at: None,
            completed_at: None,
            updated_at: now,
            expires_at: self.expires_at,
            name: checks.word("name", name, MAX_NAME_CHARS),
            service_name: checked_service(&mut checks, self.service_name),
            trace_id: self.trace_id,
            state_at: now,
            deleted_at: None,
        };
        let stages = checked_stages(&mut checks, self.stages, &pipeline);
        checks.row_size("run", &pipeline_sizes(&pipeline));
        if !checks.invalid.is_empty() {
            return Err(checks.invalid);
        }
        let status = self.status.unwrap_or(pipeline.status);
        pipeline
            .change_status(status, now)
            .expect("a run that is initializing may become anything");
        Ok(PipelineWithStages { pipeline, stages })
    }
}

/// A refused id is never stored: another takes its place until all is checked.
fn checked_id(checks: &mut Checks, id: Option<String>) -> PipelineId {
    if let Some(id) = id {
        match id.parse() {
            Ok(_) if is_dots(&id) || ROUTES.contains(&&*id) => {
                checks.refuse("id", id, UNADDRESSABLE);
            }
            Ok(id) => return id,
            Err(invalid @ InvalidPipelineId) => checks.refuse("id", id, invalid.to_string()),
        }
    }
    Uuid::now_v7()
        .to_string()
        .parse()
        .expect("a UUID can be the id of a run")
}

/// Whether a configuration's word can be a name: it was not meant to be one.
fn fits_name(name: &str) -> bool {
    name.chars().count() <= MAX_NAME_CHARS && !name.chars().any(char::is_control)
}

/// What must be there, and not be null.
pub(super) fn checked_config(checks: &mut Checks, config: Option<Value>) -> Option<Value> {
    if config.as_ref().is_none_or(Value::is_null) {
        checks.refuse(
            "config",
            format_args!("null"),
            "say what the run was asked to do",
        );
    }
    checks.json("config", config)
}

pub(super) fn checked_service(checks: &mut Checks, service_name: Option<String>) -> String {
    let service_name = service_name.unwrap_or_else(|| UNKNOWN_SERVICE.to_owned());
    checks.required("serviceName", service_name, 512)
}

pub(super) fn checked_progress(checks: &mut Checks, progress: i32) -> i32 {
    if !is_progress(progress) {
        checks.refuse("progress", progress, "give 0 to 100");
    }
    progress
}

/// The name of a stage, as all that name one give it.
pub(super) fn checked_stage_name(checks: &mut Checks, stage_name: String) -> String {
    if is_dots(&stage_name) {
        checks.refuse("stageName", &stage_name, UNADDRESSABLE);
    }
    checks.required("stageName", stage_name, 100)
}

fn checked_stages(checks: &mut Checks, new: Vec<NewStage>, pipeline: &Pipeline) -> Vec<Stage> {
    if new.len() > MAX_STAGES {
        let advice = format!("give at most {MAX_STAGES}");
        checks.refuse("stages", new.len(), advice);
    }
    let mut stages: Vec<Stage> = Vec::with_capacity(new.len().min(MAX_STAGES));
    for (place, new) in (0..).zip(new).take(MAX_STAGES) {
        let mut of_stage = Checks::default();
        let stage_name = checked_stage_name(&mut of_stage, new.stage_name);
        let mut stage = new_stage(pipeline, stage_name, new.stage_order.unwrap_or(place));
        stage.progress = checked_progress(&mut of_stage, new.progress.unwrap_or(0));
        if let Some(id) = of_stage.word("id", new.id, 255) {
            stage.id = id;
        }
        if stages.iter().any(|it| it.stage_name == stage.stage_name) {
            of_stage.refuse("stageName", &stage.stage_name, "name each stage once");
        } else if stages.iter().any(|it| it.id == stage.id) {
            of_stage.refuse("id", &stage.id, "give each stage an id of its own");
        }
        let wrong = of_stage.invalid.into_iter();
        let place = format!("stages[{place}]");
        checks.invalid.extend(wrong.map(|it| it.inside(&place)));
        stage
            .change_status(new.status.unwrap_or(stage.status), pipeline.created_at)
            .expect("a stage that is pending may become anything");
        stages.push(stage);
    }
    stages.sort_by(|one, next| {
        (one.stage_order, &one.stage_name).cmp(&(next.stage_order, &next.stage_name))
    });
    stages
}

/// A stage that has not begun.
pub(super) fn new_stage(pipeline: &Pipeline, stage_name: String, stage_order: i32) -> Stage {
    Stage {
        pipeline_id: pipeline.id.clone(),
        id: stage_name.clone(),
        stage_name,
        stage_order,
        status: StageStatus::Pending,
        status_by: StatusBy::Api,
        progress: 0,
        result: None,
        error: None,
        error_details: None,
        started_at: None,
        completed_at: None,
        duration: None,
        state_at: pipeline.updated_at,
        created_at: pipeline.updated_at,
        updated_at: pipeline.updated_at,
    }
}

/// What of a run can be long, in bytes.
pub(super) fn pipeline_sizes(pipeline: &Pipeline) -> [(&'static str, usize); 4] {
    [
        ("config", json_bytes(&pipeline.config)),
        ("results", json_bytes(&pipeline.results)),
        (
            "errorDetails",
            pipeline.error_details.as_ref().map_or(0, json_bytes),
        ),
        ("error", pipeline.error.as_deref().map_or(0, str::len)),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn new() -> NewPipeline {
        NewPipeline {
            config: json!({"type": "text-to-3d"}),
            ..NewPipeline::default()
        }
    }

    fn refused_fields(new: NewPipeline) -> Vec<String> {
        let refused = new.into_rows(NOW).expect_err("refused");
        refused
            .into_iter()
            .map(|invalid| invalid.field.into_owned())
            .collect()
    }

    #[test]
    fn what_is_not_given_gets_its_default() {
        let PipelineWithStages { pipeline, stages } = new().into_rows(NOW).unwrap();
        assert!(Uuid::try_parse(pipeline.id.as_str()).is_ok());
        assert_eq!(pipeline.status, PipelineStatus::Initializing);
        assert_eq!(pipeline.name.as_deref(), Some("text-to-3d"));
        assert_eq!(pipeline.service_name, "unknown_service");
        assert_eq!((pipeline.progress, pipeline.results), (0, json!({})));
        assert_eq!((pipeline.created_at, pipeline.state_at), (NOW, NOW));
        assert_eq!((pipeline.started_at, stages), (None, vec![]));
    }

    #[test]
    fn a_run_may_begin_anywhere_and_has_the_times_of_that() {
        let rows = NewPipeline {
            status: Some(PipelineStatus::Processing),
            progress: Some(7),
            stages: vec![NewStage {
                stage_name: "mesh".to_owned(),
                status: Some(StageStatus::Completed),
                ..NewStage::default()
            }],
            ..new()
        };
        let PipelineWithStages { pipeline, stages } = rows.into_rows(NOW).unwrap();
        assert_eq!((pipeline.started_at, pipeline.progress), (Some(NOW), 7));
        assert_eq!(
            (stages[0].completed_at, stages[0].progress),
            (Some(NOW), 100)
        );
        assert_eq!(
            (&*stages[0].id, &stages[0].pipeline_id),
            ("mesh", &pipeline.id)
        );
    }

    #[test]
    fn stages_are_in_their_order() {
        let stage = |name: &str, order| NewStage {
            stage_name: name.to_owned(),
            stage_order: order,
            ..NewStage::default()
        };
        let rows = NewPipeline {
            stages: vec![stage("c", None), stage("b", Some(0)), stage("a", Some(-1))],
            ..new()
        };
        let stages = rows.into_rows(NOW).unwrap().stages;
        let names: Vec<_> = stages.iter().map(|stage| &*stage.stage_name).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let stage = |name: &str, id: &str| NewStage {
            id: Some(id.to_owned()),
            stage_name: name.to_owned(),
            ..NewStage::default()
        };
        let rows = NewPipeline {
            id: Some("x".repeat(256)),
            config: Value::Null,
            user_id: Some("a\nb".to_owned()),
            progress: Some(101),
            current_stage: Some("x".repeat(101)),
            meshy_task_id: Some("\0".to_owned()),
            name: Some("x".repeat(101)),
            service_name: Some(" ".to_owned()),
            stages: vec![
                stage("mesh", "1"),
                stage("mesh", "2"),
                stage("rig", "1"),
                NewStage {
                    progress: Some(-1),
                    ..stage("", "")
                },
            ],
            ..new()
        };
        assert_eq!(
            refused_fields(rows),
            [
                "id",
                "config",
                "userId",
                "progress",
                "currentStage",
                "meshyTaskId",
                "name",
                "serviceName",
                "stages[1].stageName",
                "stages[2].id",
                "stages[3].stageName",
                "stages[3].progress",
            ]
        );
        let many = NewPipeline {
            stages: vec![stage("mesh", "1"); MAX_STAGES + 1],
            ..new()
        };
        assert_eq!(refused_fields(many)[0], "stages");
        let large = NewPipeline {
            config: "x".repeat(1 << 20).into(),
            ..new()
        };
        assert_eq!(refused_fields(large), ["config"]);
    }

    #[test]
    fn a_type_that_cannot_be_a_name_is_none() {
        for kind in ["", "a\nb", &"x".repeat(101)] {
            let rows = NewPipeline {
                config: json!({ "type": kind }),
                ..new()
            };
            assert_eq!(rows.into_rows(NOW).unwrap().pipeline.name, None);
        }
    }

    #[test]
    fn null_bytes_in_json_become_replacement_characters() {
        let rows = NewPipeline {
            config: json!({"prompt\0": "a\0b"}),
            ..new()
        };
        let pipeline = rows.into_rows(NOW).unwrap().pipeline;
        assert_eq!(pipeline.config, json!({"prompt\u{fffd}": "a\u{fffd}b"}));
    }
}
