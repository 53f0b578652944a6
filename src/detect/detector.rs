//! The first pass over a request: each span is looked at once, in order, and forgotten unless it
//! means something.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    domain::{
        EntrySpan, Hour, NameHasher, RequestDigest, Sighting, SightingKind, SpanId, Timestamp,
        TraceId, TraceKey,
    },
    otlp::{ResourceView, ScopeView, SpanView, Value, Visitor},
};

use super::{
    DetectSettings, Findings, OpenTraces, Room,
    attributes::{Attributes, Slot},
    codes::Codes,
    endpoint::{endpoint, method},
    entry::{Entry, entry, stands_for},
    exceptions::{self, Exception},
    facts::{MAX_ENDPOINT, MAX_METHOD, Note, NoteBook},
    failed::{Outcome, outcome},
    requests::Requests,
    resource::Resources,
    row::{self, Origin, Scope},
    scrub::Scrubber,
    time::{Clamped, clamp},
    traces::{Seen, Traces},
    values::Text,
};

/// Takes the spans of one request, in order, and says what they come down to.
pub struct Detector<'d> {
    settings: &'d DetectSettings,
    received_at: Timestamp,
    open: &'d dyn OpenTraces,
    digest: NameHasher,
    latest_end_nanos: u64,
    spans: u64,
    own_spans: u64,
    /// The resource at hand is this process.
    is_own: bool,
    bad_trace_ids: u64,
    bad_span_ids: u64,
    /// Secrets that were taken out.
    scrubbed: u64,
    resources: Resources,
    scope: Scope,
    requests: Requests,
    /// Of each request, what its entry span says of it.
    notes: Vec<Note>,
    note_book: NoteBook,
    traces: Traces,
    /// The last trace in which something was found, and its key.
    last_trace: Option<(u32, TraceId, TraceKey)>,
    /// The endpoint of the span at hand.
    endpoint: String,
    /// Memory that the contexts of rows take, their long texts, and all that was found.
    context_bytes: usize,
    text_bytes: usize,
    found_bytes: usize,
    room: Option<&'d mut dyn Room>,
    /// There was no room for all that was found.
    is_full: bool,
}

/// The contexts of all rows of a request: those beyond get none, so that a request of failed spans
/// only does not fill the memory.
const MAX_CONTEXT_BYTES: usize = 24 * 1024 * 1024;

/// As much of a message as its first line is looked for in.
const MAX_FIRST_LINE_BYTES: usize = 1024;

/// The long texts of all rows of a request, which can be longer than the request: those beyond are
/// cut short.
const MAX_TEXT_BYTES: usize = 32 * 1024 * 1024;

impl<'d> Detector<'d> {
    /// A detector for one request. `received_at` is what impossible times become.
    #[must_use]
    pub fn new(
        settings: &'d DetectSettings,
        received_at: Timestamp,
        open: &'d dyn OpenTraces,
    ) -> Self {
        let mut detector = Self {
            settings,
            received_at,
            open,
            digest: NameHasher::new("request"),
            latest_end_nanos: 0,
            own_spans: 0,
            is_own: false,
            spans: 0,
            bad_trace_ids: 0,
            bad_span_ids: 0,
            scrubbed: 0,
            resources: Resources::default(),
            scope: Scope::default(),
            requests: Requests::default(),
            notes: Vec::new(),
            note_book: NoteBook::default(),
            traces: Traces::default(),
            last_trace: None,
            endpoint: String::new(),
            context_bytes: 0,
            text_bytes: 0,
            found_bytes: 0,
            room: None,
            is_full: false,
        };
        detector.resources.enter(&ResourceView::default());
        detector
    }

    /// The same, with findings that take no more memory than there is room for.
    #[must_use]
    pub fn within(mut self, room: &'d mut dyn Room) -> Self {
        self.room = Some(room);
        self
    }

    /// Spans of the request so far.
    #[must_use]
    pub fn spans(&self) -> u64 {
        self.spans
    }

    /// What the request comes down to; `None` when there was no room for all that was found. To be
    /// called when the whole body was read.
    #[must_use]
    pub fn finish(mut self) -> Option<Findings> {
        if self.is_full {
            return None;
        }
        let digest = (self.spans > 0).then(|| self.request_digest());
        let nested = self.traces.settle_entries();
        let traces = {
            let facts = |request: u32| {
                let labels = self.requests.labels_of(request);
                self.note_book.facts(
                    &labels.endpoint,
                    &labels.method,
                    &self.notes[request as usize],
                    self.settings.privacy,
                    &mut Vec::new(),
                    &mut Scrubber::new(&self.settings.scrubbing),
                )
            };
            let mut found_bytes = self.found_bytes;
            let mut room = self.room;
            let has_room = |sighting: &Sighting| {
                found_bytes += sighting.memory_bytes();
                let room = room.as_deref_mut();
                room.is_none_or(|room| room.grow(found_bytes))
            };
            self.traces.finish(
                &self.resources,
                self.open,
                self.received_at,
                facts,
                has_room,
            )?
        };
        let (series, entries) = self.requests.finish(&nested);
        Some(Findings {
            digest,
            spans: self.spans,
            own_spans: self.own_spans,
            scrubbed: self.scrubbed,
            rejected: [
                ("bad_trace_id", self.bad_trace_ids),
                ("bad_span_id", self.bad_span_ids),
            ]
            .into_iter()
            .filter(|&(_, count)| count > 0)
            .collect(),
            series,
            entries,
            traces,
        })
    }

    /// What makes the request the same when it is sent again. The second in which its last span
    /// ended stands first, so that requests of one time are neighbours in the ledger: among keys
    /// without order, each new one would cost the database a page of its own.
    fn request_digest(&self) -> RequestDigest {
        let mut digest = self.digest.finish().to_be_bytes();
        let seconds = u32::try_from(self.latest_end_nanos / 1_000_000_000).unwrap_or(u32::MAX);
        digest[..4].copy_from_slice(&seconds.to_be_bytes());
        RequestDigest(digest)
    }

    /// Adds the span to it.
    fn digest(&mut self, span: &SpanView<'_>) {
        self.latest_end_nanos = self.latest_end_nanos.max(span.end_time_unix_nano);
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

    /// Adds one request of its endpoint, which `self.endpoint` holds.
    fn add_request(&mut self, span: &Known<'_, '_>, method: &str) -> u32 {
        let resource = self.resources.get(self.resources.current());
        let endpoint = Text::chars(&self.endpoint, MAX_ENDPOINT).text;
        let method = Text::chars(method, MAX_METHOD).text;
        let series = self.requests.series(resource, endpoint, method);
        let mut name = [0; 24];
        name[..16].copy_from_slice(&span.trace_id.0);
        name[16..].copy_from_slice(&span.span_id.0);
        self.requests.push(EntrySpan {
            key: xxh3_64(&name),
            series,
            hour: Hour::containing(span.ended_at.at),
            duration_nanos: duration(span.view.start_time_unix_nano, span.view.end_time_unix_nano),
            failed: span.outcome == Outcome::Failed,
            stands_for: stands_for(span.view.trace_state),
        })
    }

    /// Adds what is to be said of a span that failed, or that has exceptions all the same.
    fn add_findings(&mut self, span: &Known<'_, '_>, exceptions: &[Exception<'_>], method: &str) {
        if span.outcome == Outcome::Failed {
            let (last, earlier) = exceptions
                .split_last()
                .map_or((None, &[][..]), |(last, earlier)| (Some(last), earlier));
            self.add_finding(span, SightingKind::FailedSpan, last, earlier, method);
            return;
        }
        for exception in exceptions {
            if !exception.is_control_flow() && !exception.is_cancellation() {
                let kind = SightingKind::Exception;
                self.add_finding(span, kind, Some(exception), &[], method);
            }
        }
    }

    fn add_finding(
        &mut self,
        span: &Known<'_, '_>,
        kind: SightingKind,
        exception: Option<&Exception<'_>>,
        earlier: &[Exception<'_>],
        method: &str,
    ) {
        if self.is_full {
            return;
        }
        let trace = self.trace_key(span.trace_id);
        let mut scrubber = Scrubber::new(&self.settings.scrubbing);
        let thrown = exception.map(|exception| {
            let mut scrubber = Scrubber::new(&self.settings.scrubbing);
            exceptions::thrown(
                &scrubber.text(&exception.type_name),
                &scrubber.text(Text::whole_words(&exception.message, MAX_FIRST_LINE_BYTES).text),
            )
        });
        let mut thrown_at = None;
        let mut clamped_exception_nanos = None;
        for exception in earlier.iter().chain(exception) {
            let clamped = clamp(exception.time_unix_nano, self.received_at);
            thrown_at = Some(thrown_at.map_or(clamped.at, |at: Timestamp| at.min(clamped.at)));
            if clamped.is_clamped {
                clamped_exception_nanos = Some(exception.time_unix_nano);
            }
        }

        let privacy = self.settings.privacy;
        let mut truncated = Vec::new();
        let facts = self.note_book.with_note(
            |book| book.note(span.view, span.attributes, span.codes, privacy),
            |book, note| {
                book.facts(
                    &self.endpoint,
                    method,
                    note,
                    privacy,
                    &mut truncated,
                    &mut scrubber,
                )
            },
        );
        let share = self.resources.share(&self.settings.scrubbing);
        let origin = Origin {
            span: span.view,
            attributes: span.attributes,
            codes: span.codes,
            service: &self.resources.get(self.resources.current()).facts,
            exception,
            earlier,
            ended_at: span.ended_at,
            clamped_exception_nanos,
            without_people: !privacy.user_id,
            without_context: self.context_bytes > MAX_CONTEXT_BYTES,
            without_texts: self.text_bytes > MAX_TEXT_BYTES,
        };
        let row = row::build(&origin, &self.scope, share, truncated, scrubber);
        self.scrubbed += row.scrubbed;
        self.context_bytes += row.content.context_bytes();
        self.text_bytes += row.content.text_bytes();
        let stated = |slot| {
            let word = span.attributes.text(slot)?;
            Some(word.trim().to_ascii_lowercase())
        };
        let sighting = Sighting {
            key: Sighting::key(trace, Some(span.span_id), kind, thrown.as_ref()),
            kind,
            span_id: Some(span.span_id),
            parent_span_id: span.parent,
            ended_at_nanos: span.view.end_time_unix_nano,
            thrown_at_micros: thrown_at.map(Timestamp::as_micros),
            ended_at_micros: span.ended_at.at.as_micros(),
            is_entry: false,
            facts: Some(facts),
            thrown,
            stated_severity: stated(Slot::ErrorSeverity).and_then(|word| word.parse().ok()),
            stated_category: stated(Slot::ErrorCategory).and_then(|word| word.parse().ok()),
            own_category: Some(row.category),
            critical: row.critical,
            log_severity: 0,
            content: Some(Arc::new(row.content)),
            row: None,
        };
        self.found_bytes += sighting.memory_bytes();
        let room = self.room.as_deref_mut();
        if room.is_none_or(|room| room.grow(self.found_bytes)) {
            self.traces.found(trace, sighting);
        } else {
            self.is_full = true;
        }
    }

    fn trace_key(&mut self, trace_id: TraceId) -> TraceKey {
        let resource = self.resources.current();
        match self.last_trace {
            Some((of, trace, key)) if (of, trace) == (resource, trace_id) => key,
            _ => {
                let service = &self.resources.get(resource).facts.service_name;
                let key = TraceKey::new(service, trace_id);
                self.last_trace = Some((resource, trace_id, key));
                key
            }
        }
    }
}

/// A span with what has been found out about it.
struct Known<'s, 'a> {
    view: &'s SpanView<'a>,
    attributes: &'s Attributes<'a>,
    codes: Codes,
    outcome: Outcome,
    trace_id: TraceId,
    span_id: SpanId,
    parent: Option<SpanId>,
    ended_at: Clamped,
}

impl Visitor for Detector<'_> {
    fn resource(&mut self, resource: &ResourceView<'_>) {
        self.resources.enter(resource);
        self.scope = Scope::default();
        let own = self.settings.own_instance.as_ref();
        self.is_own = own.is_some_and(|own| {
            let mut attributes = resource.attributes.iter();
            attributes.any(|attribute| {
                attribute.key == b"service.instance.id"
                    && matches!(attribute.value, Value::Str(id) if id == own.as_bytes())
            })
        });
    }

    fn scope(&mut self, scope: &ScopeView<'_>) {
        self.scope.enter(scope);
    }

    fn span(&mut self, view: &SpanView<'_>) {
        if self.is_own {
            self.own_spans += 1;
            return;
        }
        self.spans += 1;
        self.digest(view);
        let Some(trace_id) = TraceId::from_slice(view.trace_id) else {
            self.bad_trace_ids += 1;
            return;
        };
        let Some(span_id) = SpanId::from_slice(view.span_id) else {
            self.bad_span_ids += 1;
            return;
        };
        let attributes = Attributes::new(view.attributes);
        let codes = Codes::new(&attributes);
        let exceptions = exceptions::of_span(view, &attributes);
        let parent = SpanId::from_slice(view.parent_span_id);
        let entry = entry(view, parent, &attributes);
        let span = Known {
            view,
            attributes: &attributes,
            codes,
            outcome: outcome(view, &attributes, codes, exceptions.last()),
            trace_id,
            span_id,
            parent,
            ended_at: clamp(view.end_time_unix_nano, self.received_at),
        };
        let has_findings = span.outcome == Outcome::Failed
            || (span.outcome == Outcome::Fine && !exceptions.is_empty());

        let mut request = None;
        let method = if entry != Entry::No || has_findings {
            endpoint(view, &attributes, codes.http, &mut self.endpoint);
            let mut scrubber = Scrubber::new(&self.settings.scrubbing);
            scrubber.owned(&mut self.endpoint);
            self.scrubbed += scrubber.count;
            method(view, &attributes)
        } else {
            std::borrow::Cow::Borrowed("")
        };
        if entry != Entry::No {
            request = Some(self.add_request(&span, &method));
            self.notes.push(
                self.note_book
                    .note(view, &attributes, codes, self.settings.privacy),
            );
        }
        self.traces.push(Seen {
            trace_id,
            span_id,
            parent,
            ended_at_nanos: view.end_time_unix_nano,
            resource: self.resources.current(),
            entry,
            request,
        });
        if has_findings {
            self.add_findings(&span, &exceptions, &method);
        }
    }
}

/// How long a request took, in nanoseconds. A clock that cannot be right must not make the hour's
/// sum useless: without a start, or beyond a day, it took no time that is known.
fn duration(start: u64, end: u64) -> u64 {
    const DAY: u64 = 86_400_000_000_000;
    let nanos = end.saturating_sub(start);
    if start == 0 || nanos > DAY { 0 } else { nanos }
}

#[cfg(test)]
mod tests;
