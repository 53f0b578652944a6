//! What became of a run, or of a stage, by all that spans say of it. Courses are put together by the
//! greatest and the least of what was said, and nothing is added up: so order, cuts and replays make
//! no difference.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::{ErrorId, PipelineStatus, SpanId, StageStatus, Timestamp, TraceKey};

/// A status in which a run or a stage can be.
pub trait Status: Copy + Ord {
    /// Whether it is an end.
    fn is_finished(self) -> bool;

    /// Which of two that were taken at the same time counts: failed before cancelled or skipped,
    /// these before completed; at work before not yet.
    fn weight(self) -> u8;
}

impl Status for PipelineStatus {
    fn is_finished(self) -> bool {
        Self::is_finished(self)
    }

    fn weight(self) -> u8 {
        match self {
            Self::Failed => 2,
            Self::Cancelled | Self::Processing => 1,
            Self::Completed | Self::Initializing => 0,
        }
    }
}

impl Status for StageStatus {
    fn is_finished(self) -> bool {
        Self::is_finished(self)
    }

    fn weight(self) -> u8 {
        match self {
            Self::Failed => 2,
            Self::Skipped | Self::Processing => 1,
            Self::Completed | Self::Pending => 0,
        }
    }
}

/// A status that a run or a stage took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Taken<S> {
    /// The status.
    pub status: S,
    /// When; `None` when the time that was sent cannot be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Why it failed, if it did and says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The span that tells of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_span: Option<(TraceKey, SpanId)>,
    /// The row of that failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_id: Option<ErrorId>,
}

impl<S: Status> Taken<S> {
    /// What makes one count rather than another: that it is an end, then that it came later. Two
    /// of one rank say the same.
    fn rank(&self) -> impl Ord + '_ {
        (
            self.status.is_finished(),
            self.at,
            self.status.weight(),
            &self.error,
            self.failed_span,
        )
    }

    /// What makes an end the first one: attempts before the last are told by it.
    fn is_before(&self, other: &Self) -> bool {
        // One without a time cannot be said to come before another.
        let rank = |it: &Self| (it.at.is_none(), it.at, Reverse(it.status.weight()));
        rank(self) < rank(other)
    }
}

/// What became of a run, or of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Course<S> {
    /// Where it stands.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub last: Option<Taken<S>>,
    /// How its first attempt ended.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub first_end: Option<Taken<S>>,
    /// When it began first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
}

impl<S> Default for Course<S> {
    fn default() -> Self {
        Self {
            last: None,
            first_end: None,
            started_at: None,
        }
    }
}

impl<S: Status> Course<S> {
    /// One attempt, as its span tells it.
    pub fn of(taken: Taken<S>, started_at: Option<Timestamp>) -> Self {
        Self {
            first_end: taken.status.is_finished().then(|| Taken {
                error: None,
                failed_span: None,
                error_id: None,
                ..taken.clone()
            }),
            last: Some(taken),
            started_at,
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        match (&mut self.last, other.last) {
            // A row that turned out to be another's leads there: either will do, and the same always.
            (Some(old), Some(new)) if new.rank() == old.rank() => {
                keep_least(&mut old.error_id, new.error_id);
            }
            (old, new) => keep_if(old, new, |new, old| new.rank() > old.rank()),
        }
        keep_if(&mut self.first_end, other.first_end, Taken::is_before);
        keep_least(&mut self.started_at, other.started_at);
    }
}

pub(super) fn keep_least<T: Ord>(kept: &mut Option<T>, other: Option<T>) {
    keep_if(kept, other, |new, old| new < old);
}

pub(super) fn keep_greatest<T: Ord>(kept: &mut Option<T>, other: Option<T>) {
    keep_if(kept, other, |new, old| new > old);
}

fn keep_if<T>(kept: &mut Option<T>, other: Option<T>, counts: impl FnOnce(&T, &T) -> bool) {
    if let Some(new) = other
        && kept.as_ref().is_none_or(|old| counts(&new, old))
    {
        *kept = Some(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken<S>(status: S, at: i64) -> Taken<S> {
        Taken {
            status,
            at: Some(Timestamp::from_micros(at)),
            error: None,
            failed_span: None,
            error_id: None,
        }
    }

    #[test]
    fn an_end_counts_rather_than_work_then_the_later_then_the_worse() {
        use PipelineStatus::{Cancelled, Completed, Failed, Initializing, Processing};
        let last = |facts: &[(PipelineStatus, i64)]| {
            let mut course = Course::default();
            for (status, at) in facts {
                course.merge(Course::of(taken(*status, *at), None));
            }
            course.last.unwrap().status
        };
        assert_eq!(last(&[(Completed, 1), (Processing, 2)]), Completed);
        assert_eq!(last(&[(Failed, 1), (Completed, 2)]), Completed);
        assert_eq!(last(&[(Completed, 1), (Failed, 2)]), Failed);
        assert_eq!(last(&[(Completed, 1), (Cancelled, 1)]), Cancelled);
        assert_eq!(last(&[(Failed, 1), (Cancelled, 1)]), Failed);
        assert_eq!(last(&[(Initializing, 3), (Processing, 2)]), Initializing);
    }

    #[test]
    fn the_first_attempt_is_told_by_its_end() {
        let mut course = Course::of(taken(StageStatus::Completed, 5), None);
        course.merge(Course::of(taken(StageStatus::Failed, 2), None));
        course.merge(Course::of(taken(StageStatus::Processing, 1), None));
        assert_eq!(course.last.unwrap().status, StageStatus::Completed);
        assert_eq!(course.first_end.unwrap().status, StageStatus::Failed);
    }

    #[test]
    fn a_row_that_is_known_stays_known_and_is_the_same_in_any_order() {
        let with = |id: Option<u128>| Taken {
            error_id: id.map(|id| ErrorId(uuid::Uuid::from_u128(id))),
            ..taken(StageStatus::Failed, 1)
        };
        for order in [[Some(1), None, Some(2)], [Some(2), Some(1), None]] {
            let mut course = Course::default();
            for id in order {
                course.merge(Course::of(with(id), None));
            }
            assert_eq!(course.last, Some(with(Some(1))));
        }
    }
}
