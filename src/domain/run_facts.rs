//! What spans say of a run and its stages, put together. Whatever the order in which they come,
//! however they are cut into requests and however often they are sent, it is the same: each field is
//! the greatest, or the least, of what was said, and nothing is ever added up.

use std::{cmp::Ordering, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use super::{
    ErrorId, PipelineStatus, SpanId, StageStatus, Timestamp, TraceId, TraceKey,
    course::{Course, Taken, keep_greatest, keep_least},
};

/// Stages of one run that are kept; those whose names sort after them are not.
pub const MAX_SEEN_STAGES: usize = 256;

/// A value and when it was said; of several the first counts, of those said at once the least. One
/// without a time comes after all others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said<T> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    /// The value.
    pub value: T,
}

impl<T: Ord> Said<T> {
    /// The value, as said at a time, if one is known.
    pub fn new(at: Option<Timestamp>, value: T) -> Self {
        Self { at, value }
    }

    fn rank(&self) -> (bool, Option<Timestamp>, &T) {
        (self.at.is_none(), self.at, &self.value)
    }
}

impl<T: Ord> Ord for Said<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl<T: Ord> PartialOrd for Said<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What spans have said of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunFacts {
    /// What became of it.
    pub course: Course<PipelineStatus>,
    /// When the first of its spans began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Timestamp>,
    /// When the last of its spans ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard_at: Option<Timestamp>,
    /// The kind of run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Said<String>>,
    /// Which service runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<Said<String>>,
    /// The trace that it is seen in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<Said<TraceId>>,
    /// For whom it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Said<String>>,
    /// What it makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asset_id: Option<Said<String>>,
    /// The task at Meshy that it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meshy_task_id: Option<Said<String>>,
    /// The task that rigs the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rigging_task_id: Option<Said<String>>,
    /// When it was how far: the last time counts, then the greatest progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<(Option<Timestamp>, i32)>,
    /// Its stages by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub stages: BTreeMap<String, Course<StageStatus>>,
}

impl RunFacts {
    /// Adds what others say.
    pub fn merge(&mut self, other: Self) {
        self.course.merge(other.course);
        keep_least(&mut self.seen_at, other.seen_at);
        keep_greatest(&mut self.heard_at, other.heard_at);
        keep_least(&mut self.name, other.name);
        keep_least(&mut self.service_name, other.service_name);
        keep_least(&mut self.trace_id, other.trace_id);
        keep_least(&mut self.user_id, other.user_id);
        keep_least(&mut self.asset_id, other.asset_id);
        keep_least(&mut self.meshy_task_id, other.meshy_task_id);
        keep_least(&mut self.rigging_task_id, other.rigging_task_id);
        keep_greatest(&mut self.progress, other.progress);
        for (name, course) in other.stages {
            self.stages.entry(name).or_default().merge(course);
        }
        while self.stages.len() > MAX_SEEN_STAGES {
            self.stages.pop_last();
        }
    }

    /// About how many bytes of memory they take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let error = |error: Option<&String>| error.map_or(0, String::len);
        let stages = self.stages.values().map(|stage| {
            let last = stage.last.as_ref();
            size_of::<(String, Course<StageStatus>)>()
                + error(last.and_then(|last| last.error.as_ref()))
        });
        let last = self.course.last.as_ref();
        // The texts of a run's own fields are short.
        size_of::<Self>()
            + 512
            + error(last.and_then(|last| last.error.as_ref()))
            + stages.sum::<usize>()
    }

    /// The spans that tell of failures in it.
    pub fn failures(&self) -> impl Iterator<Item = (TraceKey, SpanId)> {
        let run = self.course.last.iter().map(|last| last.failed_span);
        let stages = self.stages.values();
        let stages = stages.filter_map(|course| Some(course.last.as_ref()?.failed_span));
        run.chain(stages).flatten()
    }

    /// The same with the places for the rows of these failures.
    pub fn failures_mut(
        &mut self,
    ) -> impl Iterator<Item = (TraceKey, SpanId, &mut Option<ErrorId>)> {
        let run = self.course.last.as_mut();
        let run = run.map(|last| (last.failed_span, &mut last.error_id));
        let stages = self
            .stages
            .values_mut()
            .filter_map(|course| course.last.as_mut());
        let stages = stages.map(|last| (last.failed_span, &mut last.error_id));
        run.into_iter()
            .chain(stages)
            .filter_map(|(span, error_id)| {
                let (trace, span) = span?;
                Some((trace, span, error_id))
            })
    }

    /// The failed stage whose failure came last.
    pub(super) fn failed_stage(&self) -> Option<(&str, &Taken<StageStatus>)> {
        let failed = self.stages.iter().filter_map(|(name, course)| {
            let last = course.last.as_ref()?;
            (last.status == StageStatus::Failed).then_some((&**name, last))
        });
        failed.max_by_key(|(name, last)| (last.at, *name))
    }

    /// The stages in the order in which they began.
    pub(super) fn stages_in_order(&self) -> Vec<(&str, &Course<StageStatus>)> {
        let mut stages: Vec<_> = self.stages.iter().map(|(name, it)| (&**name, it)).collect();
        // Those of which no time is known come last.
        stages.sort_by_key(|(name, it)| (it.started_at.is_none(), it.started_at, *name));
        stages
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::domain::course::Status;

    fn at() -> impl Strategy<Value = Option<Timestamp>> {
        prop::option::weighted(0.9, (0..4_i64).prop_map(Timestamp::from_micros))
    }

    fn taken<S: Status + std::fmt::Debug + 'static>(
        all: &'static [S],
    ) -> impl Strategy<Value = Taken<S>> {
        let error = prop::option::of("[ab]");
        (prop::sample::select(all), at(), error).prop_map(|(status, at, error)| Taken {
            status,
            at,
            error,
            failed_span: None,
            error_id: None,
        })
    }

    fn said() -> impl Strategy<Value = Option<Said<String>>> {
        prop::option::of((at(), "[ab]").prop_map(|(at, text)| Said::new(at, text)))
    }

    /// What one span says.
    pub fn fact() -> impl Strategy<Value = RunFacts> {
        let course = prop::option::of((taken(PipelineStatus::ALL), at()));
        let stage = prop::option::of(("[a-d]", taken(StageStatus::ALL), at()));
        let progress = prop::option::of((at(), 0..=100));
        (course, stage, said(), said(), progress, at()).prop_map(
            |(course, stage, name, user_id, progress, seen_at)| RunFacts {
                course: course.map_or_else(Course::default, |(taken, at)| Course::of(taken, at)),
                stages: stage
                    .into_iter()
                    .map(|(name, taken, at)| (name, Course::of(taken, at)))
                    .collect(),
                name,
                user_id,
                progress,
                seen_at,
                heard_at: seen_at,
                ..RunFacts::default()
            },
        )
    }

    fn merged<'f>(facts: impl IntoIterator<Item = &'f RunFacts>) -> RunFacts {
        let mut all = RunFacts::default();
        for fact in facts {
            all.merge(fact.clone());
        }
        all
    }

    proptest! {
        #[test]
        fn whatever_the_order_the_cuts_and_the_replays_it_is_the_same(
            facts in vec(fact(), 1..12),
            order in vec(any::<prop::sample::Index>(), 0..24),
            cut in any::<prop::sample::Index>(),
        ) {
            let once = merged(&facts);
            let shuffled = order.iter().map(|index| index.get(&facts)).chain(facts.iter().rev());
            let shuffled: Vec<_> = shuffled.cloned().collect();
            let (left, right) = shuffled.split_at(cut.index(shuffled.len()));
            prop_assert_eq!(&merged([&merged(left), &merged(right)]), &once);
            let json = serde_json::to_string(&once).unwrap();
            prop_assert_eq!(serde_json::from_str::<RunFacts>(&json).unwrap(), once);
        }
    }

    #[test]
    fn of_too_many_stages_the_same_are_kept_in_any_order() {
        let stage = |number: usize| RunFacts {
            stages: BTreeMap::from([(format!("stage {number:04}"), Course::default())]),
            ..RunFacts::default()
        };
        let numbers = || 0..MAX_SEEN_STAGES + 50;
        let up = merged(&numbers().map(stage).collect::<Vec<_>>());
        let down = merged(&numbers().rev().map(stage).collect::<Vec<_>>());
        assert_eq!(up.stages.len(), MAX_SEEN_STAGES);
        assert_eq!(up, down);
    }
}
