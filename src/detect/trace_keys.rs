//! Which traces a request has spans of, for asking the database which of them are open.

use std::collections::HashSet;

use crate::{
    domain::{TraceId, TraceKey},
    otlp::{ResourceView, ScopeView, SpanView, Visitor},
};

use super::attributes::ServiceFacts;

/// Collects the keys of the traces of a request.
#[derive(Debug, Default)]
pub struct TraceKeys {
    service_name: String,
    /// Spans of one trace mostly stand side by side.
    last: Option<TraceId>,
    keys: HashSet<TraceKey>,
}

impl TraceKeys {
    /// The keys, each once, sorted.
    #[must_use]
    pub fn into_sorted(self) -> Vec<TraceKey> {
        let mut keys: Vec<TraceKey> = self.keys.into_iter().collect();
        keys.sort_unstable();
        keys
    }
}

impl Visitor for TraceKeys {
    fn resource(&mut self, resource: &ResourceView<'_>) {
        self.service_name = ServiceFacts::new(resource.attributes).service_name;
        self.last = None;
    }

    fn scope(&mut self, _scope: &ScopeView<'_>) {}

    fn span(&mut self, span: &SpanView<'_>) {
        let Some(trace_id) = TraceId::from_slice(span.trace_id) else {
            return;
        };
        if self.last != Some(trace_id) {
            self.keys
                .insert(TraceKey::new(&self.service_name, trace_id));
            self.last = Some(trace_id);
        }
    }
}
