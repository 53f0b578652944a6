//! What is stored of a trace, for whoever explains it.

use super::{ApiError, Sighting, Timestamp};

/// What is stored of one service's part of a trace.
#[derive(Clone, Debug)]
pub struct StoredPart {
    /// See `error_traces.service_name`.
    pub service_name: String,
    /// See `error_traces.touched_at`.
    pub touched_at: Timestamp,
    /// See `error_traces.dropped_sightings`.
    pub dropped_sightings: i64,
    /// See `error_traces.sightings`.
    pub sightings: Vec<Sighting>,
    /// The rows that they name.
    pub rows: Vec<ApiError>,
}
