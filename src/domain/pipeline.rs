//! A run of a generation pipeline and its stages.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{PipelineStatus, StageStatus, StatusBy, Timestamp, TraceId};

/// The name of a run: the caller's own, or made. 1 to 255 characters, none of them a control
/// character.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, min_length = 1, max_length = 255, pattern = "run id")]
pub struct PipelineId(String);

/// A text that cannot be the id of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "give 1 to {} characters without control characters",
    PipelineId::MAX_CHARS
)]
pub struct InvalidPipelineId;

impl PipelineId {
    /// Characters at most.
    pub const MAX_CHARS: usize = 255;

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PipelineId {
    type Error = InvalidPipelineId;

    fn try_from(text: String) -> Result<Self, InvalidPipelineId> {
        let fits = (1..=Self::MAX_CHARS).contains(&text.chars().count());
        if fits && !text.chars().any(char::is_control) {
            Ok(Self(text))
        } else {
            Err(InvalidPipelineId)
        }
    }
}

impl FromStr for PipelineId {
    type Err = InvalidPipelineId;

    fn from_str(text: &str) -> Result<Self, InvalidPipelineId> {
        text.to_owned().try_into()
    }
}

impl From<PipelineId> for String {
    fn from(id: PipelineId) -> Self {
        id.0
    }
}

impl fmt::Display for PipelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One row of `generation_pipelines`. Field for field the table's columns.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pipeline {
    /// Primary key.
    pub id: PipelineId,
    /// For whom it runs; references `users`.
    pub user_id: Option<String>,
    /// What it makes; references `assets`.
    pub asset_id: Option<String>,
    /// What it was asked to do. Never null.
    pub config: Value,
    /// Where it stands.
    pub status: PipelineStatus,
    /// Who said so.
    pub status_by: StatusBy,
    /// How far it is, 0 to 100.
    pub progress: i32,
    /// The stage that it is in, ≤ 100 characters.
    pub current_stage: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// In which stage, ≤ 100 characters.
    pub error_stage: Option<String>,
    /// More about that.
    pub error_details: Option<Value>,
    /// What it made. Never null.
    pub results: Value,
    /// The task at Meshy that it waits for, ≤ 255 characters.
    pub meshy_task_id: Option<String>,
    /// The task that rigs the model, ≤ 255 characters.
    pub rigging_task_id: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was at work for the first time.
    pub started_at: Option<Timestamp>,
    /// When it was finished, however it ended.
    pub completed_at: Option<Timestamp>,
    /// When this row was last written.
    pub updated_at: Timestamp,
    /// When its results are of no use any more.
    pub expires_at: Option<Timestamp>,
    /// The kind of run, ≤ 100 characters.
    pub name: Option<String>,
    /// Which service runs it, ≤ 512 characters.
    pub service_name: String,
    /// The trace that it was seen in.
    pub trace_id: Option<TraceId>,
    /// When what set the status happened.
    pub state_at: Timestamp,
    /// Hidden since.
    pub deleted_at: Option<Timestamp>,
}

/// One row of `pipeline_stages`. Field for field the table's columns.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// Whose stage it is.
    pub pipeline_id: PipelineId,
    /// Its own id, unique in its pipeline; ≤ 255 characters.
    pub id: String,
    /// Its name, unique in its pipeline; ≤ 100 characters.
    pub stage_name: String,
    /// Its place in the pipeline.
    pub stage_order: i32,
    /// Where it stands.
    pub status: StageStatus,
    /// Who said so.
    pub status_by: StatusBy,
    /// How far it is, 0 to 100.
    pub progress: i32,
    /// What it made.
    pub result: Option<Value>,
    /// Why it failed.
    pub error: Option<String>,
    /// More about that.
    pub error_details: Option<Value>,
    /// When it was at work for the first time.
    pub started_at: Option<Timestamp>,
    /// When it was finished, however it ended.
    pub completed_at: Option<Timestamp>,
    /// How long it took, in milliseconds.
    pub duration: Option<i64>,
    /// When what set the status happened.
    pub state_at: Timestamp,
    /// When it was created.
    pub created_at: Timestamp,
    /// When this row was last written.
    pub updated_at: Timestamp,
}

/// A run and its stages, in their order.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipelineWithStages {
    /// The run.
    #[serde(flatten)]
    pub pipeline: Pipeline,
    /// Its stages.
    pub stages: Vec<Stage>,
}

/// The kind of run that its configuration names, if it does.
#[must_use]
pub fn name_in_config(config: &Value) -> Option<&str> {
    config.get("type")?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_has_one_to_255_characters_of_one_line() {
        for text in ["a", "pipeline-123", "ä/ö?", &"ü".repeat(255)] {
            assert_eq!(text.parse::<PipelineId>().unwrap().as_str(), text);
        }
        for text in ["", "a\nb", "a\0", &"ü".repeat(256)] {
            assert_eq!(text.parse::<PipelineId>(), Err(InvalidPipelineId));
            assert!(serde_json::from_value::<PipelineId>(json!(text)).is_err());
        }
    }

    #[test]
    fn a_configuration_may_name_the_kind_of_run() {
        assert_eq!(
            name_in_config(&json!({"type": "text-to-3d"})),
            Some("text-to-3d")
        );
        for config in [json!({}), json!({"type": 3}), json!("type")] {
            assert_eq!(name_in_config(&config), None);
        }
    }
}
