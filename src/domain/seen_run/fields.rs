//! What application code wrote of a run or a stage: a field that it wrote is its own from then on.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::{Pipeline, Stage, Timestamp};

/// What application code wrote of a run, or of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Written<S, F: Ord> {
    /// Where it said that it stands, and since when.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<(S, Timestamp)>,
    /// The fields that it wrote.
    pub(super) fields: BTreeSet<F>,
}

impl<S, F: Ord> Default for Written<S, F> {
    fn default() -> Self {
        Self {
            state: None,
            fields: BTreeSet::new(),
        }
    }
}

impl<S, F: Ord> Written<S, F> {
    /// Adds what was written when the row was made; where it was said to stand since counts more.
    pub(super) fn add(&mut self, made: Self) {
        self.state = self.state.take().or(made.state);
        self.fields.extend(made.fields);
    }
}

/// Declares the fields of a row that can be said, and how each is compared and copied.
macro_rules! fields {
    ($(#[$meta:meta])* $name:ident of $row:ident { $($variant:ident = $field:ident,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub(super) enum $name { $($variant,)+ }

        impl $name {
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The fields in which two rows are not the same.
            pub(super) fn differing(one: &$row, other: &$row) -> BTreeSet<Self> {
                let mut fields = BTreeSet::new();
                $(if one.$field != other.$field {
                    fields.insert(Self::$variant);
                })+
                fields
            }

            pub(super) fn copy(self, from: &$row, to: &mut $row) {
                match self { $(Self::$variant => to.$field.clone_from(&from.$field),)+ }
            }
        }
    };
}

fields! {
    /// A field of a run.
    RunField of Pipeline {
        UserId = user_id,
        AssetId = asset_id,
        MeshyTaskId = meshy_task_id,
        RiggingTaskId = rigging_task_id,
        Name = name,
        ServiceName = service_name,
        TraceId = trace_id,
        CreatedAt = created_at,
        StartedAt = started_at,
        CurrentStage = current_stage,
        Progress = progress,
        Error = error,
        ErrorStage = error_stage,
        ErrorDetails = error_details,
    }
}

impl RunField {
    /// Whether it belongs to the outcome, and stays when that stays.
    pub(super) const fn is_of_outcome(self) -> bool {
        matches!(
            self,
            Self::CurrentStage
                | Self::Progress
                | Self::Error
                | Self::ErrorStage
                | Self::ErrorDetails
        )
    }
}

fields! {
    /// A field of a stage.
    StageField of Stage {
        StageOrder = stage_order,
        CreatedAt = created_at,
        StartedAt = started_at,
        Duration = duration,
        Progress = progress,
        Error = error,
        ErrorDetails = error_details,
    }
}

impl StageField {
    /// Whether it belongs to the outcome, and stays when that stays.
    pub(super) const fn is_of_outcome(self) -> bool {
        matches!(self, Self::Progress | Self::Error | Self::ErrorDetails)
    }
}
