//! Records that were left out lately, so that whoever misses one can ask why. In this process, and
//! only the last of them.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Timestamp, TraceId};

/// How many are remembered.
const CAPACITY: usize = 256;

/// A record that makes no row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// Its trace, when it has one.
    pub trace_id: Option<TraceId>,
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
}

/// Why a record makes no row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Reason {
    /// A rule of the user drops it.
    Dropped {
        /// The rule's name.
        rule: String,
    },
    /// It cannot be stored.
    Rejected {
        /// As in `redspan_records_rejected_total`.
        reason: &'static str,
    },
}

/// The last of them, the latest first.
#[derive(Debug, Default)]
pub struct Lately(Mutex<VecDeque<(Timestamp, LeftOut)>>);

impl Lately {
    /// Remembers what a request left out.
    pub fn note(&self, at: Timestamp, left_out: Vec<LeftOut>) {
        if left_out.is_empty() {
            return;
        }
        let mut latest = self.latest();
        for one in left_out {
            latest.push_front((at, one));
        }
        latest.truncate(CAPACITY);
    }

    /// Those of a trace, and those of which the trace is not known.
    #[must_use]
    pub fn of(&self, trace: TraceId) -> Vec<(Timestamp, LeftOut)> {
        let concerns = |of: &&(Timestamp, LeftOut)| of.1.trace_id.is_none_or(|id| id == trace);
        self.latest().iter().filter(concerns).cloned().collect()
    }

    fn latest(&self) -> MutexGuard<'_, VecDeque<(Timestamp, LeftOut)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_of_a_trace_and_of_no_trace_are_told() {
        let lately = Lately::default();
        let at = Timestamp::from_micros;
        let dropped = |trace: Option<u8>, rule: &str| LeftOut {
            trace_id: trace.map(|trace| TraceId([trace; 16])),
            reason: Reason::Dropped {
                rule: rule.to_owned(),
            },
        };
        lately.note(at(1), vec![dropped(Some(1), "a"), dropped(Some(2), "b")]);
        lately.note(at(2), vec![dropped(None, "c")]);
        let found = lately.of(TraceId([1; 16]));
        assert_eq!(
            found,
            [(at(2), dropped(None, "c")), (at(1), dropped(Some(1), "a"))]
        );
        lately.note(at(3), vec![dropped(Some(2), "d"); CAPACITY]);
        assert!(lately.of(TraceId([1; 16])).is_empty());
        assert_eq!(lately.of(TraceId([2; 16])).len(), CAPACITY);
    }
}
