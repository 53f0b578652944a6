//! What becomes a sighting: a failure, or an exception, that was found on a span or log record.

use std::sync::Arc;

use crate::{
    detect::{
        attributes::Slot,
        exceptions::{self, Exception},
        failed::{Outcome, failed_because},
        row::{self, Origin},
        rules::Rule,
        scrub::Scrubber,
        time::clamp,
        values::Text,
    },
    domain::{Sighting, SightingKind, Timestamp, TraceKey},
};

use super::{
    Detector, Known,
    logs::{FATAL, severity},
};

/// The contexts of all rows of a request: those beyond get none, so that a request of failed spans
/// only does not fill the memory.
pub(super) const MAX_CONTEXT_BYTES: usize = 24 * 1024 * 1024;

/// As much of a message as its first line is looked for in.
const MAX_FIRST_LINE_BYTES: usize = 1024;

/// The long texts of all rows of a request, which can be longer than the request: those beyond are
/// cut short.
pub(super) const MAX_TEXT_BYTES: usize = 32 * 1024 * 1024;

impl Detector<'_> {
    /// Adds what is to be said of a span that failed, or that has exceptions all the same.
    pub(super) fn add_findings(
        &mut self,
        span: &Known<'_, '_>,
        exceptions: &[Exception<'_>],
        rule: Option<&Rule>,
        method: &str,
    ) {
        if span.outcome == Outcome::Failed {
            let (last, earlier) = exceptions
                .split_last()
                .map_or((None, &[][..]), |(last, earlier)| (Some(last), earlier));
            let finding = Finding {
                kind: SightingKind::FailedSpan,
                exception: last,
                earlier,
                rule,
            };
            self.add_finding(span, &finding, method);
            return;
        }
        let mut found = false;
        for exception in exceptions {
            if !exception.is_control_flow() && !exception.is_cancellation() {
                let rule = self.rule(span.view, span.attributes, span.codes, Some(exception));
                if rule.is_some_and(|rule| rule.effect.drop) {
                    continue;
                }
                found = true;
                let finding = Finding {
                    kind: SightingKind::Exception,
                    exception: Some(exception),
                    earlier: &[],
                    rule,
                };
                self.add_finding(span, &finding, method);
            }
        }
        if !found {
            self.drop_by(rule, Some(span.trace_id));
        }
    }

    fn add_finding(&mut self, span: &Known<'_, '_>, finding: &Finding<'_, '_>, method: &str) {
        let trace = self.trace_key(span.trace_id);
        let sighting = self.sight(span, trace, finding, method);
        if let Some(sighting) = sighting {
            self.traces.found(trace, sighting);
        }
    }

    /// What is seen of a failure, if there is room for it.
    pub(super) fn sight(
        &mut self,
        span: &Known<'_, '_>,
        trace: TraceKey,
        finding: &Finding<'_, '_>,
        method: &str,
    ) -> Option<Sighting> {
        let Finding {
            kind,
            exception,
            earlier,
            rule,
        } = *finding;
        if self.is_full {
            return None;
        }
        let mut scrubber = Scrubber::new(&self.settings.scrubbing);
        let thrown = exception.map(|exception| {
            let mut scrubber = Scrubber::new(&self.settings.scrubbing);
            exceptions::thrown(
                &scrubber.text(&exception.type_name),
                &scrubber.text(Text::whole_words(&exception.message, MAX_FIRST_LINE_BYTES).text),
            )
        });
        let (thrown_at, clamped_exception_nanos) = finding.thrown_at(self.received_at);
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
        let effect = rule.map(|rule| &rule.effect);
        let share = self.resources.share(&self.settings.scrubbing);
        let origin = Origin {
            span: span.view,
            log: span.log,
            kind_of_rule: effect.and_then(|effect| effect.fingerprint.as_deref()),
            attributes: span.attributes,
            codes: span.codes,
            service: &self.resources.get(self.resources.current()).facts,
            exception,
            earlier,
            ended_at: span.ended_at,
            clamped_exception_nanos,
            kinds_by: self.settings.kinds_by,
            without_people: !privacy.user_id,
            without_context: self.context_bytes > MAX_CONTEXT_BYTES,
            without_texts: self.text_bytes > MAX_TEXT_BYTES,
        };
        let row = row::build(&origin, &self.scope, share, truncated, scrubber);
        self.scrubbed += row.scrubbed;
        self.context_bytes += row.content.context_bytes();
        self.text_bytes += row.content.text_bytes();
        let log_severity = span
            .log
            .map_or(0, |record| severity(record.severity_number));
        let stated = |slot| {
            let word = span.attributes.text(slot)?;
            Some(word.trim().to_ascii_lowercase())
        };
        let sighting = Sighting {
            key: if span.log.is_some() {
                let time = span.view.end_time_unix_nano;
                Sighting::log_key(trace, span.span_id, time, thrown.as_ref())
            } else {
                Sighting::key(trace, span.span_id, kind, thrown.as_ref())
            },
            kind,
            span_id: span.span_id,
            parent_span_id: span.parent,
            ended_at_nanos: span.view.end_time_unix_nano,
            thrown_at_micros: thrown_at.map(Timestamp::as_micros),
            ended_at_micros: span.ended_at.at.as_micros(),
            is_entry: false,
            facts: Some(facts),
            thrown,
            stated_severity: stated(Slot::ErrorSeverity)
                .and_then(|word| word.parse().ok())
                .or_else(|| effect?.severity),
            stated_category: stated(Slot::ErrorCategory)
                .and_then(|word| word.parse().ok())
                .or_else(|| effect?.category),
            own_category: Some(row.category),
            tags: effect.map_or_else(Vec::new, |effect| effect.tags.clone()),
            because: (kind == SightingKind::FailedSpan).then(|| {
                let by_rule = effect.is_some_and(|effect| effect.fail_request == Some(true));
                failed_because(span.view, span.codes, by_rule)
            }),
            rule: rule.map(|rule| rule.name.clone()),
            critical: row.critical || log_severity >= FATAL,
            log_severity,
            content: Some(Arc::new(row.content)),
            row: None,
        };
        self.found_bytes += sighting.memory_bytes();
        let room = self.room.as_deref_mut();
        self.is_full = !room.is_none_or(|room| room.grow(self.found_bytes));
        (!self.is_full).then_some(sighting)
    }
}

/// A failure, or an exception, of a span or log record.
pub(super) struct Finding<'f, 'a> {
    pub(super) kind: SightingKind,
    pub(super) exception: Option<&'f Exception<'a>>,
    /// Exceptions of the same span before it.
    pub(super) earlier: &'f [Exception<'a>],
    /// The rule of the user that decides about it.
    pub(super) rule: Option<&'f Rule>,
}

impl Finding<'_, '_> {
    /// When it was thrown first, and the last of its times, as sent, that could not be true.
    fn thrown_at(&self, received_at: Timestamp) -> (Option<Timestamp>, Option<u64>) {
        let mut thrown_at = None;
        let mut clamped_nanos = None;
        for exception in self.earlier.iter().chain(self.exception) {
            let clamped = clamp(exception.time_unix_nano, received_at);
            thrown_at = Some(thrown_at.map_or(clamped.at, |at: Timestamp| at.min(clamped.at)));
            if clamped.is_clamped {
                clamped_nanos = Some(exception.time_unix_nano);
            }
        }
        (thrown_at, clamped_nanos)
    }
}
