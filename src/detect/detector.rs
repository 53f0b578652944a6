//! The first pass over a request: each span is looked at once, in order, and forgotten unless it
//! means something.

use crate::{
    domain::{NameHasher, RequestDigest, SpanId, Timestamp, TraceId},
    otlp::{ResourceView, ScopeView, SpanView, Visitor},
};

use super::{DetectSettings, Findings, OpenTraces};

/// Takes the spans of one request, in order, and says what they come down to.
pub struct Detector<'d> {
    settings: &'d DetectSettings,
    received_at: Timestamp,
    open: &'d dyn OpenTraces,
    digest: NameHasher,
    spans: u64,
    bad_trace_ids: u64,
    bad_span_ids: u64,
}

impl<'d> Detector<'d> {
    /// A detector for one request. `received_at` is what impossible times become.
    #[must_use]
    pub fn new(
        settings: &'d DetectSettings,
        received_at: Timestamp,
        open: &'d dyn OpenTraces,
    ) -> Self {
        Self {
            settings,
            received_at,
            open,
            digest: NameHasher::new("request"),
            spans: 0,
            bad_trace_ids: 0,
            bad_span_ids: 0,
        }
    }

    /// What the request comes down to. To be called when the whole body was read.
    #[must_use]
    pub fn finish(self) -> Findings {
        let _ = (self.settings, self.received_at, self.open);
        Findings {
            digest: (self.spans > 0).then(|| RequestDigest(self.digest.finish().to_be_bytes())),
            spans: self.spans,
            rejected: [
                ("bad_trace_id", self.bad_trace_ids),
                ("bad_span_id", self.bad_span_ids),
            ]
            .into_iter()
            .filter(|&(_, count)| count > 0)
            .collect(),
            ..Findings::default()
        }
    }

    /// Adds the span to what makes the request the same when it is sent again.
    fn digest(&mut self, span: &SpanView<'_>) {
        let ended = span.end_time_unix_nano.to_le_bytes();
        let status = span.status as u8;
        if span.trace_id.len() == 16 && span.span_id.len() == 8 {
            // One field instead of four: this is done for every span.
            let mut record = [0; 33];
            record[..16].copy_from_slice(span.trace_id);
            record[16..24].copy_from_slice(span.span_id);
            record[24..32].copy_from_slice(&ended);
            record[32] = status;
            self.digest.field(&record);
        } else {
            self.digest
                .field(span.trace_id)
                .field(span.span_id)
                .field(&ended)
                .field(&[status]);
        }
    }
}

impl Visitor for Detector<'_> {
    fn resource(&mut self, _resource: &ResourceView<'_>) {}

    fn scope(&mut self, _scope: &ScopeView<'_>) {}

    fn span(&mut self, span: &SpanView<'_>) {
        self.spans += 1;
        self.digest(span);
        let Some(_trace_id) = TraceId::from_slice(span.trace_id) else {
            self.bad_trace_ids += 1;
            return;
        };
        let Some(_span_id) = SpanId::from_slice(span.span_id) else {
            self.bad_span_ids += 1;
            return;
        };
    }
}
