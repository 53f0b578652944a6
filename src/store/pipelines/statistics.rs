//! Figures over runs: how they ended and how long they took, and the same of their stages.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{PipelineStatus, Timestamp};

use super::PipelineFilter;

/// An unfinished run of which nothing was heard for so many seconds is stuck.
const STUCK_AFTER_SECONDS: i64 = 3_600;

/// Figures over runs. Durations are of finished runs that were at work: from the first work to the
/// end, however it was.
#[derive(Clone, Debug, PartialEq, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunStatistics {
    /// Runs that match.
    pub total: i64,
    /// By status; those with none are left out.
    pub by_status: BTreeMap<PipelineStatus, i64>,
    /// Those that are not finished and have not changed for an hour.
    pub stuck: i64,
    /// The mean; `None` without any.
    pub average_duration_seconds: Option<f64>,
    /// The median, between the two in the middle when there are two.
    pub p50_duration_seconds: Option<f64>,
    /// As long as 95 of 100 take at most, between the two nearest.
    pub p95_duration_seconds: Option<f64>,
    /// Completed ones among completed and failed ones, in percent; `None` without any.
    pub success_rate: Option<f64>,
}

/// `get_statistics`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipelineStatistics {
    /// Of the runs that match.
    #[serde(flatten)]
    pub runs: RunStatistics,
    /// Of their stages, by name: the 100 that failed most often, in that order. Of the 50,000 runs
    /// at most that were created last; when `from` is not given, in the 7 days before `to`, or
    /// before now.
    pub by_stage: Vec<StageStatistics>,
}

/// How a stage ended in the runs that have it. Durations are of the completed and the failed ones.
#[derive(Clone, Debug, PartialEq, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StageStatistics {
    /// Its name.
    pub stage_name: String,
    /// Runs in which it ended well.
    pub completed: i64,
    /// In which it failed.
    pub failed: i64,
    /// In which it was left out.
    pub skipped: i64,
    /// In which it waits or is at work.
    pub unfinished: i64,
    /// The median, between the two in the middle when there are two; `None` without any.
    pub p50_duration_seconds: Option<f64>,
    /// As long as 95 of 100 take at most, between the two nearest.
    pub p95_duration_seconds: Option<f64>,
}

/// Figures over the runs that have something in common.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupedRuns {
    /// The name or user that they have in common; `None` for those without one.
    pub label: Option<String>,
    /// Of these runs.
    #[serde(flatten)]
    pub runs: RunStatistics,
}

/// What runs are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunsBy {
    /// Their kind.
    Name,
    /// For whom they run.
    User,
}

impl StageStatistics {
    /// Figures by stage are over so many runs at most, those that were created last: each has
    /// stages of its own to look at, while somebody waits.
    pub const MAX_RUNS: i64 = 50_000;
}

impl RunStatistics {
    /// The figures of so many runs, without what else must be known of them.
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

    /// Runs that changed last before this time are stuck, unless they are finished.
    pub(in crate::store) fn stuck_since(now: Timestamp) -> Timestamp {
        now.plus_seconds(-STUCK_AFTER_SECONDS)
    }
}

impl GroupedRuns {
    /// Groups that are told at most, and stages.
    pub const MAX: u8 = 100;
}

impl PipelineFilter {
    /// Figures by name, user or stage reach back so many seconds when nobody says how far.
    pub const REACHES_BACK_SECONDS: i64 = 7 * 86_400;

    /// The same with a beginning: its own, or [`Self::REACHES_BACK_SECONDS`] before its end.
    #[must_use]
    pub fn reaching_back(&self, now: Timestamp) -> Self {
        let end = self.to.unwrap_or(now);
        let begins = || end.plus_seconds(-Self::REACHES_BACK_SECONDS);
        Self {
            from: self.from.or_else(|| Some(begins())),
            ..self.clone()
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
        RunStatistics::of_counts(counts.into_iter().collect()).success_rate
    }

    #[test]
    fn cancelled_runs_are_neither_success_nor_failure() {
        assert_eq!(success_rate(3, 1, 2), Some(75.0));
        assert_eq!(success_rate(0, 1, 2), Some(0.0));
        assert_eq!(success_rate(0, 0, 2), None);
    }

    #[test]
    fn a_filter_without_a_beginning_reaches_back_a_week_from_its_end() {
        let day = |day: i64| Some(Timestamp::EPOCH.plus_seconds(day * 86_400));
        let now = Timestamp::EPOCH.plus_seconds(50 * 86_400);
        let from = |from, to| {
            let filter = PipelineFilter {
                from,
                to,
                ..PipelineFilter::default()
            };
            filter.reaching_back(now).from
        };
        assert_eq!(from(None, None), day(43));
        assert_eq!(from(None, day(20)), day(13));
        assert_eq!(from(day(1), day(20)), day(1));
    }
}
