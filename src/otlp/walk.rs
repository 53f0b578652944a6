//! The one way from a request's bytes to what is in it.

use super::{Encoding, Limits, Refusal, Visitor, json, protobuf};

/// How much a request holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// `ResourceSpans`.
    pub resources: usize,
    /// `ScopeSpans`.
    pub scopes: usize,
    /// Spans.
    pub spans: usize,
}

/// Shows the visitor what an `ExportTraceServiceRequest` holds, checking all of it.
///
/// # Errors
/// When the body is not such a request or holds more than the limits allow. What the visitor has
/// been shown until then is void.
pub fn walk(
    body: &[u8],
    encoding: Encoding,
    limits: &Limits,
    visitor: &mut impl Visitor,
) -> Result<Counts, Refusal> {
    match encoding {
        Encoding::Protobuf => protobuf::walk(body, limits, visitor),
        Encoding::Json => json::walk(body, limits, visitor),
    }
}

impl Counts {
    /// Refuses a request that holds more than it may.
    #[inline]
    pub(super) fn check(&self, limits: &Limits) -> Result<(), Refusal> {
        if self.resources + self.scopes + self.spans <= limits.items {
            return Ok(());
        }
        Err(Refusal::TooLarge(format!(
            "more than {} resources, scopes and spans in one request",
            limits.items
        )))
    }
}
