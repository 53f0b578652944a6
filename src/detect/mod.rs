//! What is an error, and what its row says. Pure: views in, findings out; sightings in, rows out.
//! No clock, no I/O. Each table of rules stands in a file of its own.

mod attributes;
mod built_in;
mod category;
mod codes;
mod detector;
mod endpoint;
mod entry;
mod exceptions;
mod explain;
mod facts;
mod failed;
mod findings;
mod fingerprint;
mod frames;
mod left_out;
mod requests;
mod resolve;
mod resource;
mod row;
mod rules;
mod runs;
mod scrub;
mod settings;
mod steps;
mod time;
mod trace_keys;
mod traces;
mod values;

pub use built_in::built_in_rules;
pub use detector::Detector;
pub(crate) use exceptions::short_type;
pub use explain::{ExplainedPart, ExplainedRow, ExplainedSighting, SightingOutcome, explain};
pub use findings::{Findings, OpenTraces, Room, TraceFindings};
pub use fingerprint::fingerprint_of;
#[cfg(test)]
pub(crate) use resolve::sample;
pub use resolve::{
    ResolvedFailure, ResolvedRow, RowContext, TRIMMED, build_row, content_of, resolve,
    resolve_beyond,
};
pub use rules::{Condition, Effect, RecordKind, Rule, Rules, StatusCodes, Wildcard};
pub use settings::{DetectSettings, KeepAddress, Kept, KeyNames, KindsBy, Privacy, Scrubbing};
pub use trace_keys::TraceKeys;
