//! What is an error, and what its row says. Pure: views in, findings out; sightings in, rows out.
//! No clock, no I/O. Rules and their order follow DETECTION in the project's design.

mod findings;

pub use findings::{Findings, OpenTraces, TraceFindings};
