//! The one way from a request's bytes to what is in it.

use super::{Encoding, Limits, Refusal, Visitor, json, protobuf};

/// What a request is made of. Traces and logs have the same envelope: resources, in them scopes, in
/// them records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Records {
    /// `ExportTraceServiceRequest`.
    Spans,
    /// `ExportLogsServiceRequest`.
    Logs,
}

/// How much a request holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// `ResourceSpans` or `ResourceLogs`.
    pub resources: usize,
    /// `ScopeSpans` or `ScopeLogs`.
    pub scopes: usize,
    /// Spans or log records.
    pub records: usize,
}

/// Shows the visitor what a request for these records holds, checking all of it.
///
/// # Errors
/// When the body is not such a request or holds more than the limits allow. What the visitor has
/// been shown until then is void.
pub fn walk(
    records: Records,
    body: &[u8],
    encoding: Encoding,
    limits: &Limits,
    visitor: &mut impl Visitor,
) -> Result<Counts, Refusal> {
    match encoding {
        Encoding::Protobuf => protobuf::walk(records, body, limits, visitor),
        Encoding::Json => json::walk(records, body, limits, visitor),
    }
}

impl Counts {
    /// Refuses a request that holds more than it may.
    #[inline]
    pub(super) fn check(&self, limits: &Limits) -> Result<(), Refusal> {
        if self.resources + self.scopes + self.records <= limits.items {
            return Ok(());
        }
        Err(Refusal::TooLarge(format!(
            "more than {} resources, scopes and records in one request",
            limits.items
        )))
    }
}
