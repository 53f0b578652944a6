//! Which runs.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::domain::{PipelineStatus, Timestamp};

/// Which runs. Empty matches all that are not soft-deleted.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct PipelineFilter {
    /// Of this user.
    pub user_id: Option<String>,
    /// Of this asset.
    pub asset_id: Option<String>,
    /// One of these, with commas between them or each by itself; none for any.
    pub status: Vec<PipelineStatus>,
    /// That wait for this task.
    pub meshy_task_id: Option<String>,
    /// Of this kind.
    pub name: Option<String>,
    /// Created at or after.
    pub from: Option<Timestamp>,
    /// Created before.
    pub to: Option<Timestamp>,
    /// Soft-deleted ones too.
    pub include_deleted: bool,
}
