//! Which runs, and the figures over them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

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

/// `get_statistics`. Durations are of finished runs that were at work: from the first work to the
/// end, however it was.
#[derive(Clone, Debug, PartialEq, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipelineStatistics {
    /// Runs that match.
    pub total: i64,
    /// By status; those with none are left out.
    pub by_status: BTreeMap<PipelineStatus, i64>,
    /// The mean; `None` without any.
    pub average_duration_seconds: Option<f64>,
    /// The median, between the two in the middle when there are two.
    pub p50_duration_seconds: Option<f64>,
    /// As long as 95 of 100 take at most, between the two nearest.
    pub p95_duration_seconds: Option<f64>,
    /// Completed ones among completed and failed ones, in percent; `None` without any.
    pub success_rate: Option<f64>,
}

impl PipelineStatistics {
    /// The figures of so many runs, without durations.
    #[must_use]
    pub fn of_counts(by_status: BTreeMap<PipelineStatus, i64>) -> Self {
        let count = |status| by_status.get(&status).copied().unwrap_or(0);
        let completed = count(PipelineStatus::Completed);
        let ended = completed + count(PipelineStatus::Failed);
        Self {
            total: by_status.values().sum(),
            success_rate: (ended > 0).then(|| percent(completed, ended)),
            by_status,
            ..Self::default()
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no database holds so many rows that a float could not count them"
)]
fn percent(part: i64, whole: i64) -> f64 {
    100.0 * part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn success_rate(completed: i64, failed: i64, cancelled: i64) -> Option<f64> {
        let counts = [
            (PipelineStatus::Processing, 7),
            (PipelineStatus::Completed, completed),
            (PipelineStatus::Failed, failed),
            (PipelineStatus::Cancelled, cancelled),
        ];
        PipelineStatistics::of_counts(counts.into_iter().collect()).success_rate
    }

    #[test]
    fn cancelled_runs_are_neither_success_nor_failure() {
        assert_eq!(success_rate(3, 1, 2), Some(75.0));
        assert_eq!(success_rate(0, 1, 2), Some(0.0));
        assert_eq!(success_rate(0, 0, 2), None);
    }
}
