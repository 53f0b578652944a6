//! Figures over runs for /metrics: read every few seconds, so from indexes alone.

use std::collections::BTreeMap;

use crate::domain::PipelineStatus;

/// How far back each window of [`RunFigures::ended`] looks, with its name on /metrics.
pub const WINDOWS: [(&str, i64); 3] = [("1h", 3_600), ("24h", 86_400), ("7d", 604_800)];

/// Figures over the runs that are not deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFigures {
    /// Where they stand; statuses of none are left out.
    pub by_status: BTreeMap<PipelineStatus, i64>,
    /// For each window (1 h, 24 h, 7 d) the completed and the failed ones that ended in it.
    pub ended: [EndedInWindow; WINDOWS.len()],
    /// Those that are not finished and were silent for an hour.
    pub stuck: i64,
}

/// Runs that ended in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndedInWindow {
    /// As they should.
    pub completed: i64,
    /// Otherwise. Cancelled ones are neither.
    pub failed: i64,
}

impl RunFigures {
    /// The share of completed runs in each window, from 0 to 1; `None` when none ended.
    #[expect(
        clippy::cast_precision_loss,
        reason = "no database holds so many rows that a float could not count them"
    )]
    pub fn success_ratios(&self) -> impl Iterator<Item = (&'static str, Option<f64>)> {
        let names = WINDOWS.iter().map(|(name, _)| *name);
        names.zip(self.ended).map(|(name, ended)| {
            let all = ended.completed + ended.failed;
            let ratio = (all > 0).then(|| ended.completed as f64 / all as f64);
            (name, ratio)
        })
    }
}
