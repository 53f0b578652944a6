//! From the spans and log records of one service in one trace to its rows, by recursion over the
//! tree.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Row, columns,
    exception::Exception,
    hex,
    log::{Gravity, Log},
    span::Span,
};

/// What one service made of one trace.
#[derive(Default)]
pub(super) struct Tree<'a> {
    pub(super) spans: BTreeMap<Vec<u8>, Span<'a>>,
    pub(super) logs: Vec<Log<'a>>,
}

/// Everything that one row is made of.
struct Failure<'s, 'a> {
    /// The span that the row is built from; of a record alone, the record.
    origin: &'s Span<'a>,
    /// The record that says what was thrown there, when the span does not.
    said: Option<&'s Log<'a>>,
    /// What was thrown there.
    exception: Option<Exception>,
    entry: Option<&'s Span<'a>>,
    /// Contained or handled: somebody took care of it.
    handled: bool,
    /// Its span went on, but somebody logged it as an error.
    logged: bool,
    /// One of its records is grave beyond that.
    critical: bool,
    /// The times of all exceptions that joined.
    thrown_at_micros: Vec<i64>,
}

/// One exception on a span that did not fail.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Recorded {
    span_id: Vec<u8>,
    position: usize,
}

/// What a row hangs on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Top {
    Failed(Vec<u8>),
    Recorded(Recorded),
    /// Its place in the list of records.
    Log(usize),
}

/// Something that a record may be another word for.
struct Candidate {
    top: Top,
    span_id: Vec<u8>,
    exception: Exception,
    at_micros: i64,
}

pub(super) fn rows(tree: &Tree<'_>) -> Vec<Row> {
    let mut failures: BTreeMap<Top, Failure<'_, '_>> = BTreeMap::new();
    for span in tree.spans.values() {
        if span.failed() {
            if tree.top_of(span).is(span) {
                failures.insert(Top::Failed(span.id().to_vec()), tree.failure(span));
            }
            continue;
        }
        for (position, exception) in distinct_exceptions(span) {
            let recorded = Recorded {
                span_id: span.id().to_vec(),
                position,
            };
            if tree.top_of_recorded(&recorded) == Top::Recorded(recorded.clone()) {
                let failure = Tree::alone(span, exception, tree.nearest_entry(span));
                failures.insert(Top::Recorded(recorded), failure);
            }
        }
    }
    // Exceptions that joined only have a time to give.
    for span in tree.spans.values().filter(|span| !span.failed()) {
        for (position, exception) in distinct_exceptions(span) {
            let span_id = span.id().to_vec();
            let top = tree.top_of_recorded(&Recorded { span_id, position });
            let failure = failures.get_mut(&top).expect("its top has a failure");
            failure.thrown_at_micros.push(at_micros(span, &exception));
        }
    }

    let tops = tree.tops_of_logs();
    let of_logs: BTreeSet<&Top> = tops.iter().flatten().collect();
    for top in of_logs {
        let Top::Log(first) = top else {
            continue;
        };
        let log = &tree.logs[*first];
        let span = tree.spans.get(log.span_id());
        let entry = span.and_then(|span| tree.nearest_entry(span));
        let failure = Tree::alone(&log.words, log.exception.clone(), entry);
        failures.insert(top.clone(), failure);
    }
    for (top, failure) in &mut failures {
        let members: Vec<_> = tops
            .iter()
            .zip(&tree.logs)
            .filter(|(of_log, _)| of_log.as_ref() == Some(top))
            .map(|(_, log)| log)
            .collect();
        let times = members.iter().map(|log| log.at_micros());
        failure.thrown_at_micros.extend(times);
        let is_critical =
            |log: &&Log<'_>| log.is_fatal() || columns::is_critical(&log.exception.short_type());
        failure.critical = members.iter().any(is_critical);
        let gravest = members.iter().map(|log| log.gravity()).max();
        let is_grave = gravest == Some(Gravity::Failure);
        match top {
            Top::Failed(_) => {}
            Top::Recorded(_) => {
                failure.logged = is_grave;
                failure.handled = !is_grave;
            }
            Top::Log(first) => {
                let span = tree.spans.get(tree.logs[*first].span_id());
                let is_fine = span.is_some_and(|span| !span.failed());
                failure.logged = is_fine && is_grave;
                failure.handled = !is_grave;
            }
        }
    }
    failures.values().map(row).collect()
}

impl<'a> Tree<'a> {
    fn parent(&self, span: &Span<'a>) -> Option<&Span<'a>> {
        self.spans.get(span.parent_id())
    }

    /// Every known span above, nearest first.
    fn above(&self, span: &Span<'a>) -> Vec<&Span<'a>> {
        let mut seen = BTreeSet::from([span.id().to_vec()]);
        let mut above = Vec::new();
        let mut next = self.parent(span);
        while let Some(span) = next {
            if !seen.insert(span.id().to_vec()) {
                break;
            }
            above.push(span);
            next = self.parent(span);
        }
        above
    }

    fn failed_above(&self, span: &Span<'a>) -> Option<&Span<'a>> {
        self.above(span).into_iter().find(|span| span.failed())
    }

    fn nearest_entry<'s>(&'s self, span: &'s Span<'a>) -> Option<&'s Span<'a>> {
        std::iter::once(span)
            .chain(self.above(span))
            .find(|span| span.is_entry())
    }

    /// The failed descendant with no failed span between that ended last.
    fn cause(&self, failed: &Span<'a>) -> Option<&Span<'a>> {
        self.spans
            .values()
            .filter(|span| span.failed() && !span.is(failed))
            .filter(|span| {
                self.failed_above(span)
                    .is_some_and(|above| above.is(failed))
            })
            .max_by_key(|span| (span.end_nanos(), span.id().to_vec()))
    }

    /// The records of a failed span that does not say itself what was thrown.
    fn logs_of(&self, failed: &Span<'a>) -> Vec<&Log<'a>> {
        if failed.thrown().is_some() {
            return Vec::new();
        }
        let logs = self.logs.iter();
        logs.filter(|log| log.span_id() == failed.id()).collect()
    }

    /// The record that says it for the span: the gravest, then the last.
    fn said(&self, failed: &Span<'a>) -> Option<&Log<'a>> {
        let logs = self.logs_of(failed).into_iter();
        logs.max_by_key(|log| (log.gravity(), log.at_micros()))
    }

    /// The record that says it for a failure: at its lowest cause, else on the way up.
    fn said_of(&self, top: &Span<'a>) -> Option<&Log<'a>> {
        let mut chain = self.chain(top);
        chain.reverse();
        chain.into_iter().find_map(|span| self.said(span))
    }

    /// What a failed span is known by: what is thrown there, or, when it says nothing, at the
    /// lowest cause of its failure, or what was logged.
    fn exception_of(&self, failed: &Span<'a>) -> Option<Exception> {
        let of_lowest = || self.lowest_cause(failed).thrown();
        let logged = || self.said_of(failed).map(|log| log.exception.clone());
        failed.thrown().or_else(of_lowest).or_else(logged)
    }

    /// The cause of a failed span, when both are one failure.
    fn merged_cause(&self, failed: &Span<'a>) -> Option<&Span<'a>> {
        let cause = self.cause(failed)?;
        let one_failure = match (failed.thrown(), self.exception_of(cause)) {
            (None, _) => true,
            (Some(own), Some(of_cause)) => own.names(&of_cause),
            (Some(_), None) => false,
        };
        one_failure.then_some(cause)
    }

    /// The failed spans of one failure, from its top down.
    fn chain(&self, top: &Span<'a>) -> Vec<&Span<'a>> {
        let mut chain = vec![&self.spans[top.id()]];
        if let Some(cause) = self.merged_cause(top) {
            chain.extend(self.chain(cause));
        }
        chain
    }

    fn lowest_cause(&self, top: &Span<'a>) -> &Span<'a> {
        self.chain(top).pop().expect("it begins with the top")
    }

    /// The top of the failure that a failed span is part of.
    fn top_of<'s>(&'s self, failed: &'s Span<'a>) -> &'s Span<'a> {
        match self.failed_above(failed) {
            Some(above)
                if self
                    .merged_cause(above)
                    .is_some_and(|cause| cause.is(failed)) =>
            {
                self.top_of(above)
            }
            _ => failed,
        }
    }

    fn failure<'s>(&'s self, top: &'s Span<'a>) -> Failure<'s, 'a> {
        let origin = self.lowest_cause(top);
        let said = match origin.thrown() {
            Some(_) => None,
            None => self.said_of(top),
        };
        let entry = self.nearest_entry(top);
        let entry_succeeded = entry.is_some_and(|entry| !entry.failed());
        let times = self.chain(top).into_iter();
        Failure {
            origin,
            said,
            exception: origin
                .thrown()
                .or_else(|| said.map(|log| log.exception.clone())),
            entry: self.nearest_entry(origin),
            handled: self.failed_above(top).is_some() || entry_succeeded,
            logged: false,
            critical: false,
            thrown_at_micros: times.flat_map(Span::exception_times_micros).collect(),
        }
    }

    fn alone<'s>(
        origin: &'s Span<'a>,
        exception: Exception,
        entry: Option<&'s Span<'a>>,
    ) -> Failure<'s, 'a> {
        Failure {
            origin,
            said: None,
            exception: Some(exception),
            entry,
            handled: true,
            logged: false,
            critical: false,
            thrown_at_micros: Vec::new(),
        }
    }

    /// Where an exception on a span that did not fail goes.
    fn top_of_recorded(&self, recorded: &Recorded) -> Top {
        let span = &self.spans[&recorded.span_id];
        let (_, exception) = distinct_exceptions(span)
            .into_iter()
            .find(|(position, _)| *position == recorded.position)
            .expect("an exception was recorded at its position");
        let bearing = self
            .above(span)
            .into_iter()
            .find(|span| span.failed() || !span.exceptions().is_empty());
        let alone = Top::Recorded(recorded.clone());
        let Some(bearing) = bearing else {
            return alone;
        };
        let is_same = |other: &Exception| exception.names(other) || other.names(&exception);
        if bearing.failed() {
            return match self.exception_of(bearing) {
                Some(thrown) if is_same(&thrown) => Top::Failed(self.top_of(bearing).id().to_vec()),
                _ => alone,
            };
        }
        let same = distinct_exceptions(bearing)
            .into_iter()
            .find(|(_, other)| is_same(other));
        match same {
            None => alone,
            Some((position, _)) => self.top_of_recorded(&Recorded {
                span_id: bearing.id().to_vec(),
                position,
            }),
        }
    }

    /// Where each record goes; nowhere when it was only a remark.
    fn tops_of_logs(&self) -> Vec<Option<Top>> {
        let known = self.candidates();
        let mut tops: Vec<Option<Top>> = self
            .logs
            .iter()
            .map(|log| {
                let span = self.spans.get(log.span_id());
                match span.filter(|span| span.failed() && span.thrown().is_none()) {
                    Some(span) => Some(Top::Failed(self.top_of(span).id().to_vec())),
                    None => self.nearest(log, &known),
                }
            })
            .collect();

        // Those that are left, in groups that name each other.
        let alone: Vec<usize> = (0..self.logs.len())
            .filter(|at| tops[*at].is_none() && self.logs[*at].gravity() != Gravity::Remark)
            .collect();
        for at in &alone {
            let mut group = BTreeSet::from([*at]);
            loop {
                let more: Vec<usize> = alone
                    .iter()
                    .copied()
                    .filter(|other| !group.contains(other))
                    .filter(|other| {
                        let is_one = |member: &usize| {
                            let (one, other) = (&self.logs[*member], &self.logs[*other]);
                            let (span, others) = (one.span_id(), other.span_id());
                            are_one(span, &one.exception, others, &other.exception)
                        };
                        group.iter().any(is_one)
                    })
                    .collect();
                if more.is_empty() {
                    break;
                }
                group.extend(more);
            }
            let first = group.into_iter().min_by_key(|member| {
                let log = &self.logs[*member];
                (log.at_micros(), std::cmp::Reverse(log.gravity()))
            });
            tops[*at] = first.map(Top::Log);
        }
        let others: Vec<Candidate> = alone
            .iter()
            .map(|at| {
                let log = &self.logs[*at];
                Candidate {
                    top: tops[*at].clone().expect("it has just got one"),
                    span_id: log.span_id().to_vec(),
                    exception: log.exception.clone(),
                    at_micros: log.at_micros(),
                }
            })
            .collect();
        for (at, log) in self.logs.iter().enumerate() {
            if tops[at].is_none() {
                tops[at] = self.nearest(log, &others);
            }
        }
        tops
    }

    /// Everything that spans say was thrown, or that records say for them.
    fn candidates(&self) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for span in self.spans.values() {
            if !span.failed() {
                for (position, exception) in distinct_exceptions(span) {
                    let span_id = span.id().to_vec();
                    candidates.push(Candidate {
                        top: self.top_of_recorded(&Recorded {
                            span_id: span_id.clone(),
                            position,
                        }),
                        span_id,
                        at_micros: at_micros(span, &exception),
                        exception,
                    });
                }
                continue;
            }
            let top = Top::Failed(self.top_of(span).id().to_vec());
            let logged = self.logs_of(span).into_iter();
            let logged = logged.map(|log| (log.exception.clone(), log.at_micros()));
            let first = span.exception_times_micros().into_iter().min();
            let thrown = span.thrown().zip(first);
            for (exception, at_micros) in logged.chain(thrown) {
                candidates.push(Candidate {
                    top: top.clone(),
                    span_id: span.id().to_vec(),
                    exception,
                    at_micros,
                });
            }
        }
        candidates
    }

    /// Where the nearest of these goes that is the same failure as the record.
    fn nearest(&self, log: &Log<'a>, candidates: &[Candidate]) -> Option<Top> {
        let is_one = |other: &&Candidate| {
            are_one(
                log.span_id(),
                &log.exception,
                &other.span_id,
                &other.exception,
            )
        };
        let rank = |other: &&Candidate| {
            (
                self.distance(log.span_id(), &other.span_id),
                log.at_micros().abs_diff(other.at_micros),
                other.span_id.clone(),
                other.exception.short_type(),
                other.exception.first_line(),
            )
        };
        let nearest = candidates.iter().filter(is_one).min_by_key(rank)?;
        Some(nearest.top.clone())
    }

    /// The same span or one above comes first, by its steps, then those below, then all others.
    fn distance(&self, own: &[u8], others: &[u8]) -> (u8, usize) {
        let steps = |from: &[u8], to: &[u8]| {
            let from = self.spans.get(from)?;
            // A span that was lost is known by what names it as its parent.
            let mut above = vec![from.parent_id()];
            above.extend(self.above(from).into_iter().map(Span::parent_id));
            above.into_iter().position(|id| id == to)
        };
        if own.is_empty() || others.is_empty() {
            (2, 0)
        } else if own == others {
            (0, 0)
        } else if let Some(steps) = steps(own, others) {
            (0, steps + 1)
        } else if let Some(steps) = steps(others, own) {
            (1, steps + 1)
        } else {
            (2, 0)
        }
    }
}

/// Whether a record and another exception in its trace are one failure.
fn are_one(span: &[u8], log: &Exception, others: &[u8], other: &Exception) -> bool {
    let (line, others_line) = (log.first_line(), other.first_line());
    let same_type = log.short_type() == other.short_type();
    if !span.is_empty() && span == others && same_type && line == others_line {
        return true;
    }
    let is_another_of_its_type =
        same_type && line != others_line && !line.is_empty() && !others_line.is_empty();
    if is_another_of_its_type {
        log.quotes(other) || other.quotes(log)
    } else {
        log.names(other) || other.names(log)
    }
}

fn at_micros(span: &Span<'_>, exception: &Exception) -> i64 {
    span.clamped_micros(exception.at_nanos.unwrap_or(span.end_nanos()))
}

/// The exceptions of a span, each once: the same type and first line are the same exception.
fn distinct_exceptions(span: &Span<'_>) -> Vec<(usize, Exception)> {
    let mut seen = BTreeSet::new();
    span.exceptions()
        .into_iter()
        .enumerate()
        .filter(|(_, exception)| seen.insert((exception.short_type(), exception.first_line())))
        .collect()
}

fn row(failure: &Failure<'_, '_>) -> Row {
    let Failure {
        origin,
        said,
        entry,
        ..
    } = *failure;
    let exception = failure.exception.as_ref();
    let speaker = entry.unwrap_or(origin);
    let status_code = match entry {
        Some(entry) => entry.response_status(),
        None if origin.is_server_or_consumer() => origin.response_status(),
        None => None,
    };
    let client_error = entry
        .and_then(Span::response_status)
        .filter(|status| (400..500).contains(status));
    let probe = speaker.is_probe();
    let mut tags = Vec::new();
    for (tag, applies) in [
        ("logged", failure.logged),
        ("handled", failure.handled),
        ("client_error", client_error.is_some()),
        ("probe", probe),
    ] {
        if applies {
            tags.push(tag.to_owned());
        }
    }
    let (severity, category) = severity_and_category(failure, client_error, probe);
    let thrower = said.map_or(origin, |log| &log.words);
    let error_message = columns::error_message(thrower, exception);
    let error_code = said
        .and_then(|log| columns::error_code(&log.words, exception))
        .or_else(|| columns::error_code(origin, exception));
    let external = origin.is_client_or_producer();
    let external_error_code = match said {
        None => columns::external_error_code(origin, exception),
        Some(log) => columns::external_error_code(origin, None)
            .or_else(|| columns::error_code(&log.words, exception)),
    };
    let user_id = said.and_then(|log| log.words.user_id());
    Row {
        service_name: origin.service_name(),
        trace_id: hex(origin.trace_id()),
        span_id: hex(origin.id()),
        environment: origin.environment(),
        service_version: origin.service_version(),
        endpoint: speaker.endpoint(),
        method: speaker.method(),
        status_code,
        error_code,
        error_stack: exception.and_then(|exception| exception.stack.clone()),
        severity,
        category,
        tags,
        external_service: external.then(|| origin.external_service()).flatten(),
        external_error_code: external.then_some(external_error_code).flatten(),
        external_error_message: external.then(|| error_message.clone()),
        error_message,
        user_id: user_id
            .or_else(|| origin.user_id())
            .or_else(|| entry.and_then(Span::user_id)),
        request_id: origin
            .request_id()
            .or_else(|| entry.and_then(Span::request_id)),
        ip_address: origin
            .ip_address()
            .or_else(|| entry.and_then(Span::ip_address)),
        user_agent: origin
            .user_agent()
            .or_else(|| entry.and_then(Span::user_agent)),
        created_at_micros: failure
            .thrown_at_micros
            .iter()
            .copied()
            .min()
            .unwrap_or_else(|| origin.ended_at_micros()),
    }
}

fn severity_and_category(
    failure: &Failure<'_, '_>,
    client_error: Option<i32>,
    is_probe: bool,
) -> (String, String) {
    let Failure { origin, said, .. } = *failure;
    let exception = failure.exception.as_ref();
    let is_mild = failure.handled || client_error.is_some() || is_probe;
    let short_type = exception.map(Exception::short_type).unwrap_or_default();
    let stated_severity = said.and_then(|log| log.words.stated_severity());
    let stated_severity = stated_severity.or_else(|| origin.stated_severity());
    let severity = stated_severity.unwrap_or_else(|| {
        let word = if failure.critical || columns::is_critical(&short_type) {
            "critical"
        } else if is_mild {
            "warning"
        } else {
            "error"
        };
        word.to_owned()
    });
    let own_category = || match said {
        None => columns::own_category(origin, exception),
        Some(log) => columns::category_in_span(
            columns::own_category(&log.words, exception),
            columns::own_category(origin, None),
        ),
    };
    let stated_category = said.and_then(|log| log.words.stated_category());
    let stated_category = stated_category.or_else(|| origin.stated_category());
    let category = stated_category.unwrap_or_else(|| {
        client_error
            .map_or_else(own_category, columns::category_of_client_error)
            .to_owned()
    });
    (severity, category)
}
