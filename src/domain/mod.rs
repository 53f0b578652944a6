//! The vocabulary: what an error, an hour, a run, a sighting and their names are. No I/O, no async, no clock.

mod course;
mod endings;
mod entry;
mod error;
mod ids;
mod json_object;
mod kinds;
mod pipeline;
mod pipeline_states;
mod run_facts;
mod seen_run;
mod sighting;
mod stored_part;
mod time;
mod users;

pub use course::{Course, Taken};
pub use endings::{EndedRuns, Endings, RUN_BUCKETS, RUN_BUCKETS_SECONDS};
pub use entry::{
    DURATION_BUCKETS, DURATION_BUCKETS_SECONDS, EntrySpan, Sampling, Series, duration_bucket,
};
pub use error::{Aggregation, ApiError, Dimensions, ErrorGroup, ErrorLabels, GroupStatus, OTHER};
pub use ids::{
    AggregationId, AuditId, ErrorId, Fingerprint, ImportKey, NameHasher, RequestDigest,
    RequestTotalsId, SightingKey, SpanId, TraceId, TraceKey, UserKey,
};
pub use json_object::JsonObject;
pub use kinds::{Category, PipelineStatus, Severity, StageStatus, StatusBy, UnknownName};
pub use pipeline::{
    InvalidPipelineId, Pipeline, PipelineId, PipelineWithStages, Stage, name_in_config,
};
pub use pipeline_states::{StateConflict, is_progress};
pub use run_facts::{RunFacts, Said};
pub use seen_run::SeenRun;
pub use sighting::{Content, EntryFacts, FailedBecause, Gravity, Sighting, SightingKind, Thrown};
pub use stored_part::StoredPart;
pub use time::{Hour, Timestamp};
pub use users::UserHasher;
