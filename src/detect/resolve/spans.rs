//! The known spans of a trace and what stands above each. Every question is answered once for all
//! spans, in linear time, whatever the parent links are; a ring of parents has no end above it.

use std::collections::HashMap;

use crate::domain::{Sighting, SightingKind, SpanId};

/// What is known of one span. Numbers are places in the list of sightings.
#[derive(Default)]
pub(super) struct Span {
    parent: Option<usize>,
    /// Its first sighting as a failed span.
    pub(super) failed: Option<usize>,
    /// The exceptions seen on it, should it not have failed.
    pub(super) exceptions: Vec<usize>,
    /// The sighting with its facts as an entry span.
    entry: Option<usize>,
    /// The span itself was seen, not only something that was logged in it.
    is_known: bool,
}

impl Span {
    fn is_bearing(&self) -> bool {
        self.failed.is_some() || !self.exceptions.is_empty()
    }
}

/// The spans of a trace.
pub(super) struct Spans {
    numbers: HashMap<SpanId, usize>,
    list: Vec<Span>,
    failed_above: Vec<Option<usize>>,
    bearing_above: Vec<Option<usize>>,
    entry_above: Vec<Option<usize>>,
}

impl Spans {
    pub(super) fn new(sightings: &[Sighting]) -> Self {
        let mut numbers: HashMap<SpanId, usize> = HashMap::new();
        let mut spans: Vec<Span> = Vec::new();
        let mut parents: Vec<Option<SpanId>> = Vec::new();
        let mut has_link: Vec<bool> = Vec::new();
        for (at, sighting) in sightings.iter().enumerate() {
            let Some(id) = sighting.span_id else {
                continue;
            };
            let number = *numbers.entry(id).or_insert_with(|| {
                spans.push(Span::default());
                parents.push(None);
                has_link.push(false);
                spans.len() - 1
            });
            // A log record names its span, but does not know where that hangs.
            if sighting.kind != SightingKind::Log && !has_link[number] {
                parents[number] = sighting.parent_span_id;
                has_link[number] = true;
            }
            let span = &mut spans[number];
            span.is_known |= sighting.kind != SightingKind::Log;
            match sighting.kind {
                SightingKind::FailedSpan => {
                    span.failed.get_or_insert(at);
                }
                SightingKind::Exception => span.exceptions.push(at),
                SightingKind::Log | SightingKind::Span => {}
            }
            if sighting.is_entry && sighting.facts.is_some() {
                span.entry.get_or_insert(at);
            }
        }
        for (span, parent) in spans.iter_mut().zip(parents) {
            span.parent = parent.and_then(|id| numbers.get(&id)).copied();
        }
        Self {
            failed_above: nearest_above(&spans, |span| span.failed.is_some()),
            bearing_above: nearest_above(&spans, Span::is_bearing),
            entry_above: nearest_above(&spans, |span| span.entry.is_some()),
            numbers,
            list: spans,
        }
    }

    /// The nearest failed span above this one.
    pub(super) fn failed_above(&self, span: SpanId) -> Option<usize> {
        let number = *self.numbers.get(&span)?;
        self.list[self.failed_above[number]?].failed
    }

    /// The sighting of this very span as a failed one.
    pub(super) fn failed(&self, span: SpanId) -> Option<usize> {
        self.list[*self.numbers.get(&span)?].failed
    }

    /// Whether the span is known and did not fail.
    pub(super) fn is_fine(&self, span: SpanId) -> bool {
        let number = self.numbers.get(&span);
        number.is_some_and(|number| {
            let span = &self.list[*number];
            span.is_known && span.failed.is_none()
        })
    }

    /// How many steps lead upwards from one span to another, as far as parents are known.
    pub(super) fn steps_up(&self, from: SpanId, to: SpanId) -> Option<usize> {
        let to = *self.numbers.get(&to)?;
        let mut at = *self.numbers.get(&from)?;
        // A ring of parents has no more steps than there are spans.
        for steps in 0..self.list.len() {
            if at == to {
                return Some(steps);
            }
            at = self.list[at].parent?;
        }
        None
    }

    /// The nearest span above an exception's on which something failed or was thrown; its own, when
    /// that failed after all.
    pub(super) fn bearing_above(&self, span: SpanId) -> Option<&Span> {
        let number = *self.numbers.get(&span)?;
        let own = &self.list[number];
        if own.failed.is_some() {
            return Some(own);
        }
        Some(&self.list[self.bearing_above[number]?])
    }

    /// The sighting of the entry span nearest to this span, at or above it.
    pub(super) fn entry_of(&self, span: Option<SpanId>) -> Option<usize> {
        self.list[self.entry_number(span)?].entry
    }

    /// Whether the entry span nearest to this one is known not to have failed.
    pub(super) fn entry_succeeded(&self, span: Option<SpanId>) -> bool {
        self.entry_number(span)
            .is_some_and(|number| self.list[number].failed.is_none())
    }

    fn entry_number(&self, span: Option<SpanId>) -> Option<usize> {
        let number = *self.numbers.get(&span?)?;
        if self.list[number].entry.is_some() {
            return Some(number);
        }
        self.entry_above[number]
    }
}

/// For each span the nearest other span above it that fits.
fn nearest_above(spans: &[Span], fits: impl Fn(&Span) -> bool) -> Vec<Option<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Answer {
        Unasked,
        Asked,
        Known(Option<usize>),
    }
    let mut answers = vec![Answer::Unasked; spans.len()];
    let mut path = Vec::new();
    for start in 0..spans.len() {
        let mut at = start;
        let mut answer = None;
        while answers[at] == Answer::Unasked {
            answers[at] = Answer::Asked;
            path.push(at);
            match spans[at].parent {
                None => break,
                Some(parent) if fits(&spans[parent]) => {
                    answer = Some(parent);
                    break;
                }
                Some(parent) => at = parent,
            }
        }
        if let Answer::Known(known) = answers[at] {
            answer = known;
        }
        for number in path.drain(..) {
            answers[number] = Answer::Known(answer);
        }
    }
    answers
        .into_iter()
        .enumerate()
        .map(|(number, answer)| match answer {
            Answer::Known(above) => above.filter(|above| *above != number),
            Answer::Unasked | Answer::Asked => None,
        })
        .collect()
}
