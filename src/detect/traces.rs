//! The spans of a request by trace: which of them stand in a trace where something failed, and what
//! they tell about it, wherever they stand in the request.

use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::{EntryFacts, Sighting, SightingKind, SpanId, Timestamp, TraceId, TraceKey};

use super::{OpenTraces, TraceFindings, entry::Entry, resource::Resources, time::clamp};

/// Of a trace that has more spans than this without a finding of their own, only those are kept
/// that can matter to one that has.
const MAX_PLAIN_SPANS: usize = 200;

/// What is kept of every span until the request is read: a few bytes.
pub(super) struct Seen {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    pub parent: Option<SpanId>,
    pub ended_at_nanos: u64,
    pub resource: u32,
    pub entry: Entry,
    /// Where its entry stands among the requests and its note among the notes, when it has them.
    pub request: Option<u32>,
}

/// All spans with good ids, and the sightings of those that failed.
#[derive(Default)]
pub(super) struct Traces {
    seen: Vec<Seen>,
    /// In order, with their span's place in `seen`.
    found: Vec<(usize, TraceKey, Box<Sighting>)>,
    may_be_nested: bool,
}

impl Traces {
    pub fn push(&mut self, seen: Seen) {
        self.may_be_nested |= seen.entry == Entry::UnlessNested;
        self.seen.push(seen);
    }

    /// Adds a sighting of the span pushed last.
    pub fn found(&mut self, trace: TraceKey, sighting: Sighting) {
        // In a box, so that the list grows, and is moved from, without their size.
        let sighting = Box::new(sighting);
        self.found.push((self.seen.len() - 1, trace, sighting));
    }

    /// Decides which spans are entries now that all are known; the places among the requests of
    /// those that are none.
    pub fn settle_entries(&mut self) -> Vec<u32> {
        if !self.may_be_nested {
            return Vec::new();
        }
        let mut filter = Filter::default();
        let mut parents = HashSet::new();
        for span in &self.seen {
            if let (Entry::UnlessNested, Some(parent)) = (span.entry, span.parent) {
                filter.add(&parent.0);
                parents.insert((span.resource, span.trace_id, parent));
            }
        }
        let mut beside = HashSet::new();
        for span in &self.seen {
            if filter.may_hold(&span.span_id.0) {
                let name = (span.resource, span.trace_id, span.span_id);
                if parents.contains(&name) {
                    beside.insert(name);
                }
            }
        }
        let mut nested = Vec::new();
        for span in &mut self.seen {
            if let (Entry::UnlessNested, Some(parent)) = (span.entry, span.parent) {
                if beside.contains(&(span.resource, span.trace_id, parent)) {
                    span.entry = Entry::No;
                    nested.extend(span.request);
                } else {
                    span.entry = Entry::Yes;
                }
            }
        }
        nested
    }

    /// The sightings of each trace in which something failed now or lately, after
    /// [`Traces::settle_entries`]. `facts` tells what an entry span says of its request; `None` when
    /// there is no room for that.
    pub fn finish(
        self,
        resources: &Resources,
        open: &dyn OpenTraces,
        received_at: Timestamp,
        facts: impl Fn(u32) -> EntryFacts,
        mut has_room: impl FnMut(&Sighting) -> bool,
    ) -> Option<Vec<TraceFindings>> {
        if self.found.is_empty() && open.is_empty() {
            return Some(Vec::new());
        }
        let mut filter = Filter::default();
        let mut with_findings = HashSet::new();
        for (place, key, _) in &self.found {
            filter.add(&self.seen[*place].trace_id.0);
            with_findings.insert(*key);
        }

        let mut traces: Vec<TraceFindings> = Vec::new();
        let mut places: HashMap<TraceKey, usize> = HashMap::new();
        let mut found = self.found.into_iter().peekable();
        // Spans of one trace mostly stand side by side.
        let mut last: Option<(u32, TraceId, Option<TraceKey>)> = None;
        for (place, span) in self.seen.iter().enumerate() {
            if open.is_empty() && !filter.may_hold(&span.trace_id.0) {
                continue;
            }
            let service_name = &resources.get(span.resource).facts.service_name;
            let key = match last {
                Some((resource, trace_id, key))
                    if (resource, trace_id) == (span.resource, span.trace_id) =>
                {
                    key
                }
                _ => {
                    let key = TraceKey::new(service_name, span.trace_id);
                    (with_findings.contains(&key) || open.is_open(key)).then_some(key)
                }
            };
            last = Some((span.resource, span.trace_id, key));
            let Some(key) = key else {
                continue;
            };
            let trace = *places.entry(key).or_insert_with(|| {
                traces.push(TraceFindings {
                    key,
                    service_name: service_name.clone(),
                    trace_id: span.trace_id,
                    // Of most traces there is one; a vector would begin with room for four.
                    sightings: Vec::with_capacity(1),
                });
                traces.len() - 1
            });
            let sightings = &mut traces[trace].sightings;
            let before = sightings.len();
            while let Some((_, _, mut sighting)) = found.next_if(|(at, ..)| *at == place) {
                sighting.is_entry = span.entry == Entry::Yes;
                sightings.push(*sighting);
            }
            if sightings.len() == before {
                let facts = (span.entry == Entry::Yes)
                    .then_some(span.request)
                    .flatten()
                    .map(&facts);
                let has_facts = facts.is_some();
                let sighting = plain(key, span, received_at, facts);
                if has_facts && !has_room(&sighting) {
                    return None;
                }
                sightings.push(sighting);
            }
        }
        for trace in &mut traces {
            leave_out_what_cannot_matter(&mut trace.sightings);
            trace.sightings.shrink_to_fit();
        }
        Some(traces)
    }
}

/// The sighting of a span that has nothing to say but where it stands.
fn plain(
    trace: TraceKey,
    span: &Seen,
    received_at: Timestamp,
    facts: Option<EntryFacts>,
) -> Sighting {
    let kind = SightingKind::Span;
    Sighting {
        key: Sighting::key(trace, Some(span.span_id), kind, None),
        kind,
        span_id: Some(span.span_id),
        parent_span_id: span.parent,
        ended_at_nanos: span.ended_at_nanos,
        thrown_at_micros: None,
        ended_at_micros: clamp(span.ended_at_nanos, received_at).at.as_micros(),
        is_entry: span.entry == Entry::Yes,
        facts,
        thrown: None,
        stated_severity: None,
        stated_category: None,
        own_category: None,
        tags: Vec::new(),
        because: None,
        rule: None,
        critical: false,
        log_severity: 0,
        content: None,
        row: None,
    }
}

fn leave_out_what_cannot_matter(sightings: &mut Vec<Sighting>) {
    let is_plain = |sighting: &Sighting| sighting.kind == SightingKind::Span;
    if sightings
        .iter()
        .filter(|sighting| is_plain(sighting))
        .count()
        <= MAX_PLAIN_SPANS
    {
        return;
    }
    let parents: HashMap<SpanId, SpanId> = sightings
        .iter()
        .filter_map(|sighting| Some((sighting.span_id?, sighting.parent_span_id?)))
        .collect();
    let mut above_failures = HashSet::new();
    for sighting in sightings.iter().filter(|sighting| !is_plain(sighting)) {
        let mut above = sighting.parent_span_id;
        while let Some(span) = above
            && above_failures.insert(span)
        {
            above = parents.get(&span).copied();
        }
    }
    sightings.retain(|sighting| {
        !is_plain(sighting)
            || sighting.is_entry
            || sighting
                .span_id
                .is_some_and(|span| above_failures.contains(&span))
    });
}

/// Says "certainly not" for most ids that were not added, in a nanosecond.
struct Filter([u64; 64]);

impl Default for Filter {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl Filter {
    fn add(&mut self, id: &[u8]) {
        let (word, bit) = Self::place(id);
        self.0[word] |= bit;
    }

    fn may_hold(&self, id: &[u8]) -> bool {
        let (word, bit) = Self::place(id);
        self.0[word] & bit != 0
    }

    fn place(id: &[u8]) -> (usize, u64) {
        let hash = xxh3_64(id);
        ((hash & 63) as usize, 1 << (hash >> 6 & 63))
    }
}
