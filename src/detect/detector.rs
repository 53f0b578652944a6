//! The first pass over a request: each span or log record is looked at once, in order, and forgotten
//! unless it means something.

mod logs;
mod sight;

use std::{borrow::Cow, collections::BTreeMap};

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    domain::{
        EntrySpan, Hour, NameHasher, PipelineId, RequestDigest, RunFacts, Sighting, SpanId,
        Timestamp, TraceId, TraceKey,
    },
    lately::{LeftOut, Reason},
    otlp::{LogRecordView, ResourceView, ScopeView, SpanView, Value, Visitor},
};

use logs::Logs;

use super::{
    DetectSettings, Findings, OpenTraces, Room,
    attributes::{Attributes, Slot},
    category::own_category,
    codes::Codes,
    endpoint::{endpoint, method},
    entry::{Entry, entry, sampling},
    exceptions::{self, Exception},
    facts::{MAX_ENDPOINT, MAX_METHOD, Note, NoteBook},
    failed::{Outcome, outcome},
    requests::Requests,
    resource::Resources,
    row::Scope,
    rules::{RecordKind, Rule, Subject},
    runs::RunSpan,
    scrub::Scrubber,
    time::{Clamped, clamp},
    traces::{Seen, Traces},
    values::{Text, lossy},
};

/// Takes the spans or log records of one request, in order, and says what they come down to.
pub struct Detector<'d> {
    settings: &'d DetectSettings,
    received_at: Timestamp,
    open: &'d dyn OpenTraces,
    digest: NameHasher,
    latest_end_nanos: u64,
    records: u64,
    own_spans: u64,
    /// The resource at hand is this process.
    is_own: bool,
    dropped: u64,
    left_out: Vec<LeftOut>,
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
    logs: Option<Logs>,
    /// What is said of runs of pipelines.
    runs: BTreeMap<PipelineId, RunFacts>,
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

/// Why spans are rejected.
const BAD_TRACE_ID: &str = "bad_trace_id";
const BAD_SPAN_ID: &str = "bad_span_id";

/// Records of a request that are named as left out; the rest is only counted.
const MAX_LEFT_OUT: usize = 32;

impl<'d> Detector<'d> {
    /// A detector for one request of spans. `received_at` is what impossible times become.
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
            records: 0,
            dropped: 0,
            left_out: Vec::new(),
            bad_trace_ids: 0,
            bad_span_ids: 0,
            scrubbed: 0,
            resources: Resources::default(),
            scope: Scope::default(),
            requests: Requests::default(),
            notes: Vec::new(),
            note_book: NoteBook::default(),
            traces: Traces::default(),
            logs: None,
            runs: BTreeMap::new(),
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

    /// A detector for one request of log records, which is named by its whole body.
    #[must_use]
    pub fn of_logs(
        settings: &'d DetectSettings,
        received_at: Timestamp,
        open: &'d dyn OpenTraces,
        body: &[u8],
    ) -> Self {
        let mut detector = Self::new(settings, received_at, open);
        detector.digest.field(b"logs").field(body);
        detector.logs = Some(Logs::default());
        detector
    }

    /// The same, with findings that take no more memory than there is room for.
    #[must_use]
    pub fn within(mut self, room: &'d mut dyn Room) -> Self {
        self.room = Some(room);
        self
    }

    /// Spans or log records of the request so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// What the request comes down to; `None` when there was no room for all that was found. To be
    /// called when the whole body was read.
    #[must_use]
    pub fn finish(mut self) -> Option<Findings> {
        if self.is_full {
            return None;
        }
        if let Some(logs) = self.logs.take() {
            return Some(self.finish_logs(logs));
        }
        let digest = (self.records > 0).then(|| self.request_digest());
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
        let samplings = self.requests.samplings(&self.resources);
        let (series, entries) = self.requests.finish(&nested);
        Some(Findings {
            digest,
            records: self.records,
            own_spans: self.own_spans,
            scrubbed: self.scrubbed,
            dropped: self.dropped,
            rejected: [
                (BAD_TRACE_ID, self.bad_trace_ids),
                (BAD_SPAN_ID, self.bad_span_ids),
            ]
            .into_iter()
            .filter(|&(_, count)| count > 0)
            .collect(),
            series,
            entries,
            samplings,
            traces,
            rows: Vec::new(),
            runs: self.runs,
            left_out: self.left_out,
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
    fn add_request(&mut self, span: &Known<'_, '_>, span_id: SpanId, method: &str) -> u32 {
        let resource = self.resources.get(self.resources.current());
        let endpoint = Text::chars(&self.endpoint, MAX_ENDPOINT).text;
        let method = Text::chars(method, MAX_METHOD).text;
        let series = self.requests.series(resource, endpoint, method);
        let (sampling, stands_for) = sampling(span.view.trace_state);
        self.requests.sampled(resource, sampling);
        let mut name = [0; 24];
        name[..16].copy_from_slice(&span.trace_id.0);
        name[16..].copy_from_slice(&span_id.0);
        self.requests.push(EntrySpan {
            key: xxh3_64(&name),
            series,
            hour: Hour::containing(span.ended_at.at),
            duration_nanos: duration(span.view.start_time_unix_nano, span.view.end_time_unix_nano),
            failed: span.request_failed,
            stands_for,
        })
    }

    /// Adds what the span says of the run that it belongs to.
    fn add_run(&mut self, span: &Known<'_, '_>, exception: Option<&Exception<'_>>) {
        let mut scrubber = Scrubber::new(&self.settings.scrubbing);
        let trace = self.trace_key(span.trace_id);
        let resource = self.resources.get(self.resources.current());
        let run_span = RunSpan {
            view: span.view,
            attributes: span.attributes,
            outcome: span.outcome,
            exception,
            trace_id: span.trace_id,
            trace,
            span_id: span.span_id,
            service_name: &resource.facts.service_name,
            keeps_users: self.settings.privacy.user_id,
            received_at: self.received_at,
        };
        let facts = run_span.facts(&mut scrubber);
        self.scrubbed += scrubber.count;
        if let Some((id, facts)) = facts {
            self.found_bytes += facts.memory_bytes();
            let room = self.room.as_deref_mut();
            self.is_full |= !room.is_none_or(|room| room.grow(self.found_bytes));
            self.runs.entry(id).or_default().merge(facts);
        }
    }

    /// The rule of the user that decides about a span with this exception, whose own endpoint
    /// `self.endpoint` holds.
    fn rule(
        &self,
        span: &SpanView<'_>,
        attributes: &Attributes<'_>,
        codes: Codes,
        exception: Option<&Exception<'_>>,
    ) -> Option<&'d Rule> {
        let rules = &self.settings.rules;
        if rules.0.is_empty() {
            return None;
        }
        let type_name = match exception {
            Some(exception) => Cow::Borrowed(&*exception.type_name),
            None => attributes.text(Slot::ErrorType).unwrap_or_default(),
        };
        let message = exception.map(|exception| Cow::Borrowed(&*exception.message));
        let message = message.filter(|message| !message.is_empty());
        let message = message.unwrap_or_else(|| lossy(span.status_message));
        let subject = Subject {
            service: &self
                .resources
                .get(self.resources.current())
                .facts
                .service_name,
            span_name: &lossy(span.name),
            kind: match self.logs {
                None => RecordKind::Span(span.kind),
                Some(_) => RecordKind::Log,
            },
            endpoint: &self.endpoint,
            type_name: &type_name,
            message: &message,
            status_code: codes.status(),
        };
        let has_exception = exception.is_some();
        rules.find(&subject, || {
            own_category(span, attributes, codes, &type_name, &message, has_exception)
        })
    }

    /// Counts a record that would be an error, had not the rule dropped it.
    fn drop_by(&mut self, rule: Option<&Rule>, trace_id: Option<TraceId>) {
        self.dropped += 1;
        if let Some(rule) = rule {
            let rule = rule.name.clone();
            self.leave_out(trace_id, Reason::Dropped { rule });
        }
    }

    fn leave_out(&mut self, trace_id: Option<TraceId>, reason: Reason) {
        if self.left_out.len() < MAX_LEFT_OUT {
            self.left_out.push(LeftOut { trace_id, reason });
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

/// A span, or a log record, with what has been found out about it.
struct Known<'s, 'a> {
    /// The span; of a log record what a span would say in its place.
    view: &'s SpanView<'a>,
    log: Option<&'s LogRecordView<'a>>,
    attributes: &'s Attributes<'a>,
    codes: Codes<'a>,
    outcome: Outcome,
    /// The request that an entry span stands for failed.
    request_failed: bool,
    trace_id: TraceId,
    span_id: Option<SpanId>,
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
        self.records += 1;
        self.digest(view);
        let Some(trace_id) = TraceId::from_slice(view.trace_id) else {
            self.bad_trace_ids += 1;
            self.leave_out(
                None,
                Reason::Rejected {
                    reason: BAD_TRACE_ID,
                },
            );
            return;
        };
        let Some(span_id) = SpanId::from_slice(view.span_id) else {
            self.bad_span_ids += 1;
            self.leave_out(
                Some(trace_id),
                Reason::Rejected {
                    reason: BAD_SPAN_ID,
                },
            );
            return;
        };
        let attributes = Attributes::new(view.attributes);
        let codes = Codes::new(&attributes);
        let exceptions = exceptions::of_span(view, &attributes);
        let parent = SpanId::from_slice(view.parent_span_id);
        let entry = entry(view, parent, &attributes);
        let mut outcome = outcome(view, &attributes, codes, exceptions.last());
        let mut has_findings =
            outcome == Outcome::Failed || (outcome == Outcome::Fine && !exceptions.is_empty());
        let rules = &self.settings.rules;
        let mut rule = None;
        if !rules.0.is_empty() && (has_findings || rules.concern_requests()) {
            endpoint(view, &attributes, codes.http, &mut self.endpoint);
            rule = self.rule(view, &attributes, codes, exceptions.last());
        }
        let effect = rule.map(|rule| &rule.effect);
        if effect.is_some_and(|effect| effect.drop) && outcome == Outcome::Failed {
            self.drop_by(rule, Some(trace_id));
            (outcome, has_findings) = (Outcome::Dismissed, false);
        }
        let fails_request = effect.and_then(|effect| effect.fail_request);
        if fails_request == Some(true) {
            (outcome, has_findings) = (Outcome::Failed, true);
        }
        let span = Known {
            view,
            log: None,
            attributes: &attributes,
            codes,
            outcome,
            request_failed: fails_request.unwrap_or(outcome == Outcome::Failed),
            trace_id,
            span_id: Some(span_id),
            parent,
            ended_at: clamp(view.end_time_unix_nano, self.received_at),
        };

        let mut request = None;
        let method = if entry != Entry::No || has_findings {
            match effect.and_then(|effect| effect.endpoint.as_ref()) {
                Some(set) => self.endpoint.clone_from(set),
                None => endpoint(view, &attributes, codes.http, &mut self.endpoint),
            }
            let mut scrubber = Scrubber::new(&self.settings.scrubbing);
            scrubber.owned(&mut self.endpoint);
            self.scrubbed += scrubber.count;
            method(view, &attributes)
        } else {
            Cow::Borrowed("")
        };
        if entry != Entry::No {
            request = Some(self.add_request(&span, span_id, &method));
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
        if attributes.has(Slot::RunId) {
            self.add_run(&span, exceptions.last());
        }
        if has_findings {
            self.add_findings(&span, &exceptions, rule, &method);
        }
    }

    fn log_record(&mut self, record: &LogRecordView<'_>) {
        self.look_at_log_record(record);
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
