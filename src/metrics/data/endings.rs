//! The counters of runs and stages that ended.

use super::{Labels, NAME, OUTCOME, STAGE, Staging, labels};
use crate::{
    domain::{Endings, PipelineStatus, StageStatus},
    store::MetricFamily,
};

/// How a run or a stage can end: in so many ways.
pub(super) const OUTCOMES: usize = 3;

const RUN_OUTCOMES: [PipelineStatus; OUTCOMES] = [
    PipelineStatus::Completed,
    PipelineStatus::Failed,
    PipelineStatus::Cancelled,
];

const STAGE_OUTCOMES: [StageStatus; OUTCOMES] = [
    StageStatus::Completed,
    StageStatus::Failed,
    StageStatus::Skipped,
];

impl Staging<'_> {
    /// Counts what ended. A name that is known has all of its outcomes, at 0 until one comes, so that
    /// the first failure is an increase like any other.
    pub(super) fn endings(&mut self, endings: &Endings) {
        let run_outcomes = RUN_OUTCOMES.map(PipelineStatus::as_str);
        for name in &endings.names {
            self.admit_outcomes(MetricFamily::Runs, NAME, name, run_outcomes);
        }
        for ((name, outcome), ended) in &endings.runs {
            let admitted = self.admit_outcomes(MetricFamily::Runs, NAME, name, run_outcomes);
            let labels = with_outcome(admitted, outcome.as_str());
            if ended.durations > 0 {
                self.observe(
                    MetricFamily::RunDuration,
                    labels.clone(),
                    ended.durations,
                    ended.duration_nanos,
                    &ended.buckets,
                );
            }
            self.count(MetricFamily::Runs, labels, ended.runs);
        }
        let stage_outcomes = STAGE_OUTCOMES.map(StageStatus::as_str);
        for stage in &endings.stage_names {
            self.admit_outcomes(MetricFamily::StageRuns, STAGE, stage, stage_outcomes);
        }
        for ((stage, outcome), count) in &endings.stages {
            let admitted =
                self.admit_outcomes(MetricFamily::StageRuns, STAGE, stage, stage_outcomes);
            let labels = with_outcome(admitted, outcome.as_str());
            self.count(MetricFamily::StageRuns, labels, *count);
        }
    }

    /// The label set under which this name is counted, with its first outcome; it has the others, too.
    fn admit_outcomes(
        &mut self,
        family: MetricFamily,
        label: &str,
        name: &str,
        outcomes: [&str; OUTCOMES],
    ) -> Labels {
        let first = labels([(label, name), (OUTCOME, outcomes[0])]);
        let admitted = self.admit(family, first);
        for outcome in outcomes {
            let labels = with_outcome(admitted.clone(), outcome);
            let is_shown =
                (self.mirror.get(&family)).is_some_and(|sets| sets.contains_key(&labels));
            if !is_shown {
                // The first was admitted; the others take their room with it.
                if outcome != outcomes[0] {
                    self.holds(family, &labels, usize::MAX);
                }
                self.total(family, labels);
            }
        }
        admitted
    }
}

fn with_outcome(mut labels: Labels, outcome: &str) -> Labels {
    labels.insert(OUTCOME.to_owned(), outcome.to_owned());
    labels
}
