//! Runs and stages that begin and end: what a transaction adds to their counters.

use std::collections::{BTreeMap, BTreeSet};

use super::{Pipeline, PipelineStatus, PipelineWithStages, Stage, StageStatus};

/// Upper bounds of the buckets of `redspan_pipeline_duration_seconds`, in seconds.
pub const RUN_BUCKETS_SECONDS: [f64; 10] = [
    1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0,
];

/// The buckets of a run's duration, the last one beyond every bound.
pub const RUN_BUCKETS: usize = RUN_BUCKETS_SECONDS.len() + 1;

/// Runs and stages that came to their end, each once: whatever is learned of one later changes its
/// row, and no counter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endings {
    /// By `name` (empty without one) and outcome.
    pub runs: BTreeMap<(String, PipelineStatus), EndedRuns>,
    /// By `stage_name` and outcome.
    pub stages: BTreeMap<(String, StageStatus), i64>,
    /// Names of runs that are not over, so that they are known before the first of them ends.
    pub names: BTreeSet<String>,
    /// The same of stages.
    pub stage_names: BTreeSet<String>,
}

/// How many runs of a name ended in one way, and how long they took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndedRuns {
    /// All of them.
    pub runs: i64,
    /// Those of which that is known.
    pub durations: i64,
    /// Of these, in nanoseconds.
    pub duration_nanos: i64,
    /// Of these, in each bucket, not cumulative.
    pub buckets: [i64; RUN_BUCKETS],
}

impl Endings {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A run that is new, with its stages.
    pub fn new_run(&mut self, new: &PipelineWithStages) {
        self.run(None, &new.pipeline);
        for stage in &new.stages {
            self.stage(None, stage);
        }
    }

    /// A run as it is now; `before` is where it stood, `None` when it is new.
    pub fn run(&mut self, before: Option<PipelineStatus>, run: &Pipeline) {
        if before.is_some_and(PipelineStatus::is_finished) {
            return;
        }
        let name = run.name.clone().unwrap_or_default();
        if !run.status.is_finished() {
            self.names.insert(name);
            return;
        }
        let ended = self.runs.entry((name, run.status)).or_default();
        ended.runs += 1;
        let micros = run.started_at.zip(run.completed_at);
        let micros = micros.map(|(from, to)| to.as_micros() - from.as_micros());
        // Clocks differ: an end before the beginning is no duration.
        if let Some(micros) = micros.filter(|micros| *micros >= 0) {
            let nanos = micros.saturating_mul(1_000);
            ended.durations += 1;
            ended.duration_nanos = ended.duration_nanos.saturating_add(nanos);
            ended.buckets[bucket(micros)] += 1;
        }
    }

    /// A stage as it is now; `before` is where it stood, `None` when it is new.
    pub fn stage(&mut self, before: Option<StageStatus>, stage: &Stage) {
        if before.is_some_and(StageStatus::is_finished) {
            return;
        }
        let name = stage.stage_name.clone();
        if stage.status.is_finished() {
            *self.stages.entry((name, stage.status)).or_default() += 1;
        } else {
            self.stage_names.insert(name);
        }
    }

    /// Adds what another edit of the same transaction ended.
    pub fn append(&mut self, other: Self) {
        for (key, more) in other.runs {
            let ended = self.runs.entry(key).or_default();
            ended.runs += more.runs;
            ended.durations += more.durations;
            ended.duration_nanos = ended.duration_nanos.saturating_add(more.duration_nanos);
            for (sum, bucket) in ended.buckets.iter_mut().zip(more.buckets) {
                *sum += bucket;
            }
        }
        for (key, stages) in other.stages {
            *self.stages.entry(key).or_default() += stages;
        }
        self.names.extend(other.names);
        self.stage_names.extend(other.stage_names);
    }
}

/// The bucket that a duration falls into; a bound belongs to its bucket.
fn bucket(micros: i64) -> usize {
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact for durations below 285 years, and beyond every bound after that"
    )]
    let micros = micros as f64;
    RUN_BUCKETS_SECONDS.partition_point(|bound| bound * 1e6 < micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        for (micros, expected) in [
            (0, 0),
            (1_000_000, 0),
            (1_000_001, 1),
            (3_600_000_000, 9),
            (3_600_000_001, 10),
            (i64::MAX, 10),
        ] {
            assert_eq!(bucket(micros), expected, "{micros}");
        }
    }
}
