//! A run that spans speak of: all that they said, and what application code wrote of it. Its rows
//! follow from the two. A field that application code wrote stays as it is, and so does an outcome;
//! the rest is what spans say.

mod fields;
mod lay_over;
mod told;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Pipeline, PipelineId, PipelineStatus, PipelineWithStages, RunFacts, Stage, StageStatus,
    StatusBy, Timestamp,
};

use fields::{RunField, StageField, Written};
use lay_over::{lay_over_run, lay_over_stage};

/// What is kept of a run beside its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenRun {
    facts: RunFacts,
    /// Of the run.
    written: Written<PipelineStatus, RunField>,
    /// Of the stages that application code made or changed, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    written_stages: BTreeMap<String, Written<StageStatus, StageField>>,
}

impl SeenRun {
    /// A run that application code made, and of which no span has spoken yet.
    #[must_use]
    pub fn written(rows: &PipelineWithStages) -> Self {
        let run = &rows.pipeline;
        let nothing = RunFacts::default().rows(&run.id, run.created_at).pipeline;
        let nothing = Pipeline {
            started_at: None,
            ..nothing
        };
        let mut seen = Self::default();
        seen.note(&nothing, run);
        seen.written.fields.insert(RunField::CreatedAt);
        for stage in &rows.stages {
            seen.note_stage(None, stage);
        }
        seen
    }

    /// Whether application code made it.
    #[must_use]
    pub fn is_made_by_hand(&self) -> bool {
        self.written.fields.contains(&RunField::CreatedAt)
    }

    /// Application code has changed the run.
    pub fn note(&mut self, before: &Pipeline, after: &Pipeline) {
        let fields = RunField::differing(before, after);
        self.written.fields.extend(fields);
        self.keep_no_other_user();
        if after.status_by == StatusBy::Api {
            self.written.state = Some((after.status, after.state_at));
        }
    }

    /// Application code has changed a stage, or made it.
    pub fn note_stage(&mut self, before: Option<&Stage>, after: &Stage) {
        let mut fields = match before {
            Some(before) => StageField::differing(before, after),
            None => StageField::differing(&blank(after), after),
        };
        if before.is_none() {
            fields.extend([StageField::StageOrder, StageField::CreatedAt]);
        }
        let state = (after.status, after.state_at);
        let state = Some(state).filter(|_| after.status_by == StatusBy::Api);
        if fields.is_empty() && state.is_none() {
            return;
        }
        let name = after.stage_name.clone();
        let written = self.written_stages.entry(name).or_default();
        written.fields.extend(fields);
        written.state = state.or(written.state);
    }

    /// Application code makes a run that spans spoke of first. What it says of it is as if it had been
    /// said before all spans.
    pub fn adopt(
        &mut self,
        rows: &mut PipelineWithStages,
        new: &PipelineWithStages,
        now: Timestamp,
    ) {
        let made = Self::written(new);
        for field in &made.written.fields {
            field.copy(&new.pipeline, &mut rows.pipeline);
        }
        let run = &mut rows.pipeline;
        run.config.clone_from(&new.pipeline.config);
        run.expires_at = new.pipeline.expires_at.or(run.expires_at);
        self.written.add(made.written);
        self.keep_no_other_user();
        for new in &new.stages {
            let made = made.written_stages.get(&new.stage_name).cloned();
            let made = made.unwrap_or_default();
            let mut stages = rows.stages.iter_mut();
            match stages.find(|stage| stage.stage_name == new.stage_name) {
                Some(stage) => made.fields.iter().for_each(|field| field.copy(new, stage)),
                None => rows.stages.push(new.clone()),
            }
            let written = self.written_stages.entry(new.stage_name.clone());
            written.or_default().add(made);
        }
        self.bring_up_to_date(rows, now);
    }

    /// Spans say more; whether they had not said it before.
    pub fn merge(&mut self, facts: RunFacts) -> bool {
        let before = self.facts.clone();
        self.facts.merge(facts);
        self.keep_no_other_user();
        self.facts != before
    }

    /// Where application code said for whom it runs, nobody else is remembered: whoever forgets a user
    /// finds them in the run's row.
    fn keep_no_other_user(&mut self) {
        if self.written.fields.contains(&RunField::UserId) {
            self.facts.user_id = None;
        }
    }

    /// The rows of a run that spans alone speak of.
    #[must_use]
    pub fn rows(&self, id: &PipelineId, now: Timestamp) -> PipelineWithStages {
        self.facts.rows(id, now)
    }

    /// Brings rows up to what is said now; those of stages in their order.
    pub fn bring_up_to_date(&self, rows: &mut PipelineWithStages, now: Timestamp) {
        // What nobody told the time of was first heard of when the run was.
        let told = self.facts.rows(&rows.pipeline.id, rows.pipeline.created_at);
        lay_over_run(&mut rows.pipeline, &told.pipeline, &self.written);
        rows.pipeline.updated_at = now;
        // A stage that spans made is there as long as what they say of it is kept.
        rows.stages.retain(|stage| {
            self.facts.stages.contains_key(&stage.stage_name)
                || self.written_stages.contains_key(&stage.stage_name)
                || stage.status_by == StatusBy::Api
        });
        for mut told in told.stages {
            told.updated_at = now;
            let mut stages = rows.stages.iter_mut();
            if let Some(stage) = stages.find(|stage| stage.stage_name == told.stage_name) {
                let written = self.written_stages.get(&told.stage_name);
                lay_over_stage(stage, &told, written);
            } else {
                told.id = free_id(&rows.stages, &told.stage_name);
                rows.stages.push(told);
            }
        }
        self.put_in_order(&mut rows.stages, now);
    }

    /// Stages that only spans order come after those that application code ordered, as they began.
    fn put_in_order(&self, stages: &mut [Stage], now: Timestamp) {
        let is_ordered = |name: &str| {
            let written = self.written_stages.get(name);
            written.is_some_and(|written| written.fields.contains(&StageField::StageOrder))
        };
        let ordered = stages.iter().filter(|stage| is_ordered(&stage.stage_name));
        let last = ordered.map(|stage| stage.stage_order).max();
        let next = last.map_or(0, |last| last.saturating_add(1));
        let told = self.facts.stages_in_order().into_iter();
        let told = told.filter(|(name, _)| !is_ordered(name));
        for (place, (name, _)) in (0..).zip(told) {
            let place = next.saturating_add(place);
            let stage = stages.iter_mut().find(|stage| stage.stage_name == name);
            if let Some(stage) = stage.filter(|stage| stage.stage_order != place) {
                stage.stage_order = place;
                stage.updated_at = now;
            }
        }
        stages.sort_by(|one, next| {
            (one.stage_order, &one.stage_name).cmp(&(next.stage_order, &next.stage_name))
        });
    }
}

/// A stage of which nothing is known but its name.
fn blank(stage: &Stage) -> Stage {
    Stage {
        progress: 0,
        error: None,
        error_details: None,
        started_at: None,
        duration: None,
        ..stage.clone()
    }
}

/// An id for a stage: its name, unless another stage was given that.
fn free_id(stages: &[Stage], name: &str) -> String {
    let mut id = name.to_owned();
    while stages.iter().any(|stage| stage.id == id) {
        id.push('~');
    }
    id
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::domain::{course::Course, run_facts::tests::fact};

    const NOW: Timestamp = Timestamp::from_micros(1_000);

    fn id() -> PipelineId {
        "run".parse().unwrap()
    }

    /// A run as application code may have left it.
    fn by_hand() -> impl Strategy<Value = PipelineWithStages> {
        let taken = |all: usize| prop::option::of((0..all, 0..4_i64));
        let name = prop::option::of("[ab]");
        let stages = prop::collection::btree_map("[a-d]", (0..5_usize, 0..4_i64), 0..3);
        (taken(5), name, stages).prop_map(|(taken, name, by_name)| {
            let mut rows = RunFacts::default().rows(&id(), Timestamp::from_micros(2));
            let run = &mut rows.pipeline;
            (run.status, run.status_by) = (PipelineStatus::Initializing, StatusBy::Api);
            (run.started_at, run.name) = (None, name);
            if let Some((status, at)) = taken {
                let status = PipelineStatus::ALL[status];
                let _ = run.change_status(status, Timestamp::from_micros(at));
            }
            for (place, (name, (status, at))) in (0..).zip(by_name) {
                let mut facts = RunFacts::default();
                facts.stages.insert(name, Course::default());
                let mut made = facts
                    .rows(&id(), Timestamp::from_micros(2))
                    .stages
                    .remove(0);
                (made.status, made.status_by) = (StageStatus::Pending, StatusBy::Api);
                made.stage_order = place;
                let _ = made.change_status(StageStatus::ALL[status], Timestamp::from_micros(at));
                rows.stages.push(made);
            }
            rows
        })
    }

    proptest! {
        #[test]
        fn rows_that_are_changed_fact_by_fact_are_those_of_all_facts(
            facts in vec(fact(), 1..8),
            by_hand in prop::option::of(by_hand()),
            order in vec(any::<prop::sample::Index>(), 0..16),
        ) {
            let (mut seen, start) = match by_hand {
                Some(rows) => (SeenRun::written(&rows), rows),
                None => (SeenRun::default(), RunFacts::default().rows(&id(), NOW)),
            };
            let mut at_once = seen.clone();
            let mut rows_at_once = start.clone();
            for fact in &facts {
                at_once.merge(fact.clone());
            }
            at_once.bring_up_to_date(&mut rows_at_once, NOW);
            let mut rows = start.clone();
            let order = order.iter().map(|index| index.get(&facts));
            for fact in order.chain(facts.iter().rev()) {
                seen.merge(fact.clone());
                seen.bring_up_to_date(&mut rows, NOW);
            }
            prop_assert_eq!(&seen, &at_once);
            prop_assert_eq!(&rows, &rows_at_once);
            let json = serde_json::to_string(&seen).unwrap();
            prop_assert_eq!(serde_json::from_str::<SeenRun>(&json).unwrap(), seen);
            let written = &start.pipeline;
            if written.status_by == StatusBy::Api && written.status.is_finished() {
                let now = &rows.pipeline;
                prop_assert_eq!(now.status, written.status);
                prop_assert_eq!(now.completed_at, written.completed_at);
                prop_assert_eq!(now.progress, written.progress);
                prop_assert_eq!(&now.error, &written.error);
            }
            if let Some(name) = &written.name {
                prop_assert_eq!(rows.pipeline.name.as_ref(), Some(name));
            }
        }
    }
}
