//! From the spans of one service in one trace to its rows, by recursion over the tree.

use std::collections::{BTreeMap, BTreeSet};

use super::{Row, columns, exception::Exception, hex, span::Span};

/// The spans of one service in one trace.
pub(super) type Spans<'a> = BTreeMap<Vec<u8>, Span<'a>>;

/// Everything that one row is made of.
struct Failure<'s, 'a> {
    /// The span that the row is built from.
    origin: &'s Span<'a>,
    /// What was thrown there.
    exception: Option<Exception>,
    /// Contained or handled: somebody took care of it.
    handled: bool,
    /// The times of all exceptions that joined.
    thrown_at_micros: Vec<i64>,
}

/// One exception on a span that did not fail.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Recorded {
    span_id: Vec<u8>,
    position: usize,
}

/// Where a recorded exception goes.
enum Joins {
    Nothing,
    Failure(Vec<u8>),
    Recorded(Recorded),
}

pub(super) fn rows(spans: &Spans<'_>) -> Vec<Row> {
    // The failures, by the span at their top.
    let mut failures: BTreeMap<Vec<u8>, Failure<'_, '_>> = BTreeMap::new();
    for top in spans.values().filter(|span| span.failed()) {
        let above = failed_above(spans, top);
        let is_part_of_another =
            above.is_some_and(|above| merged_cause(spans, above).is_some_and(|it| it.is(top)));
        if is_part_of_another {
            continue;
        }
        let entry_succeeded = nearest_entry(spans, top).is_some_and(|entry| !entry.failed());
        let origin = lowest_cause(spans, top);
        failures.insert(
            top.id().to_vec(),
            Failure {
                origin,
                exception: origin.thrown(),
                handled: above.is_some() || entry_succeeded,
                thrown_at_micros: chain(spans, top)
                    .into_iter()
                    .flat_map(Span::exception_times_micros)
                    .collect(),
            },
        );
    }

    // The exceptions on spans that did not fail: into a failure, into another's row, or alone.
    let mut alone: BTreeMap<Recorded, Failure<'_, '_>> = BTreeMap::new();
    let mut joined: Vec<(Recorded, i64)> = Vec::new();
    for span in spans.values().filter(|span| !span.failed()) {
        for (position, exception) in distinct_exceptions(span) {
            let recorded = Recorded {
                span_id: span.id().to_vec(),
                position,
            };
            let at = span.clamped_micros(exception.at_nanos.unwrap_or(span.end_nanos()));
            match joins(spans, span, &exception) {
                Joins::Failure(top) => failures
                    .get_mut(&top)
                    .expect("the top of a failure has a failure")
                    .thrown_at_micros
                    .push(at),
                Joins::Recorded(other) => joined.push((other, at)),
                Joins::Nothing => {
                    alone.insert(
                        recorded,
                        Failure {
                            origin: span,
                            exception: Some(exception),
                            handled: true,
                            thrown_at_micros: vec![at],
                        },
                    );
                }
            }
        }
    }
    for (mut other, at) in joined {
        loop {
            let span = &spans[&other.span_id];
            let (_, exception) = distinct_exceptions(span)
                .into_iter()
                .find(|(position, _)| *position == other.position)
                .expect("an exception was joined at its position");
            match joins(spans, span, &exception) {
                Joins::Nothing => {
                    let row = alone.get_mut(&other).expect("it stands alone");
                    row.thrown_at_micros.push(at);
                    break;
                }
                Joins::Failure(top) => {
                    let failure = failures.get_mut(&top).expect("it is a failure's top");
                    failure.thrown_at_micros.push(at);
                    break;
                }
                Joins::Recorded(above) => other = above,
            }
        }
    }

    failures
        .into_values()
        .chain(alone.into_values())
        .map(|failure| row(spans, &failure))
        .collect()
}

fn parent<'s, 'a>(spans: &'s Spans<'a>, span: &Span<'a>) -> Option<&'s Span<'a>> {
    spans.get(span.parent_id())
}

/// Every known span above, nearest first.
fn above<'s, 'a>(spans: &'s Spans<'a>, span: &Span<'a>) -> Vec<&'s Span<'a>> {
    let mut seen = BTreeSet::from([span.id().to_vec()]);
    let mut above = Vec::new();
    let mut next = parent(spans, span);
    while let Some(span) = next {
        if !seen.insert(span.id().to_vec()) {
            break;
        }
        above.push(span);
        next = parent(spans, span);
    }
    above
}

fn failed_above<'s, 'a>(spans: &'s Spans<'a>, span: &Span<'a>) -> Option<&'s Span<'a>> {
    above(spans, span).into_iter().find(|span| span.failed())
}

fn nearest_entry<'s, 'a>(spans: &'s Spans<'a>, span: &'s Span<'a>) -> Option<&'s Span<'a>> {
    std::iter::once(span)
        .chain(above(spans, span))
        .find(|span| span.is_entry())
}

/// The failed descendant with no failed span between that ended last.
fn cause<'s, 'a>(spans: &'s Spans<'a>, failed: &Span<'a>) -> Option<&'s Span<'a>> {
    spans
        .values()
        .filter(|span| span.failed() && !span.is(failed))
        .filter(|span| failed_above(spans, span).is_some_and(|above| above.is(failed)))
        .max_by_key(|span| (span.end_nanos(), span.id().to_vec()))
}

/// What a failed span is known by: what is thrown there, or, when it says nothing, at the lowest
/// cause of its failure.
fn exception_of(spans: &Spans<'_>, failed: &Span<'_>) -> Option<Exception> {
    failed.thrown().or_else(|| {
        let lowest = lowest_cause(spans, merged_cause(spans, failed)?);
        lowest.thrown()
    })
}

/// The cause of a failed span, when both are one failure.
fn merged_cause<'s, 'a>(spans: &'s Spans<'a>, failed: &Span<'a>) -> Option<&'s Span<'a>> {
    let cause = cause(spans, failed)?;
    let one_failure = match (failed.thrown(), exception_of(spans, cause)) {
        (None, _) => true,
        (Some(own), Some(of_cause)) => own.names(&of_cause),
        (Some(_), None) => false,
    };
    one_failure.then_some(cause)
}

/// The failed spans of one failure, from its top down.
fn chain<'s, 'a>(spans: &'s Spans<'a>, top: &'s Span<'a>) -> Vec<&'s Span<'a>> {
    let mut chain = vec![top];
    if let Some(cause) = merged_cause(spans, top) {
        chain.extend(self::chain(spans, cause));
    }
    chain
}

fn lowest_cause<'s, 'a>(spans: &'s Spans<'a>, top: &'s Span<'a>) -> &'s Span<'a> {
    merged_cause(spans, top).map_or(top, |cause| lowest_cause(spans, cause))
}

/// The top of the failure that a failed span is part of.
fn top_of<'s, 'a>(spans: &'s Spans<'a>, failed: &'s Span<'a>) -> &'s Span<'a> {
    match failed_above(spans, failed) {
        Some(above) if merged_cause(spans, above).is_some_and(|cause| cause.is(failed)) => {
            top_of(spans, above)
        }
        _ => failed,
    }
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

fn joins(spans: &Spans<'_>, span: &Span<'_>, exception: &Exception) -> Joins {
    let bearing = above(spans, span)
        .into_iter()
        .find(|span| span.failed() || !span.exceptions().is_empty());
    let Some(bearing) = bearing else {
        return Joins::Nothing;
    };
    let is_same = |other: &Exception| exception.names(other) || other.names(exception);
    if bearing.failed() {
        let thrown = exception_of(spans, bearing);
        if thrown.as_ref().is_some_and(is_same) {
            return Joins::Failure(top_of(spans, bearing).id().to_vec());
        }
        return Joins::Nothing;
    }
    distinct_exceptions(bearing)
        .into_iter()
        .find(|(_, other)| is_same(other))
        .map_or(Joins::Nothing, |(position, _)| {
            Joins::Recorded(Recorded {
                span_id: bearing.id().to_vec(),
                position,
            })
        })
}

fn row(spans: &Spans<'_>, failure: &Failure<'_, '_>) -> Row {
    let origin = failure.origin;
    let exception = failure.exception.as_ref();
    let entry = nearest_entry(spans, origin);
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
        ("handled", failure.handled),
        ("client_error", client_error.is_some()),
        ("probe", probe),
    ] {
        if applies {
            tags.push(tag.to_owned());
        }
    }
    let short_type = exception.map(Exception::short_type).unwrap_or_default();
    let severity = origin.stated_severity().unwrap_or_else(|| {
        let word = if columns::is_critical(&short_type) {
            "critical"
        } else if tags.is_empty() {
            "error"
        } else {
            "warning"
        };
        word.to_owned()
    });
    let category = origin.stated_category().unwrap_or_else(|| {
        client_error
            .map_or_else(
                || columns::own_category(origin, exception),
                columns::category_of_client_error,
            )
            .to_owned()
    });
    let error_message = columns::error_message(origin, exception);
    let external = origin.is_client_or_producer();
    Row {
        service_name: origin.service_name(),
        trace_id: hex(origin.trace_id()),
        span_id: hex(origin.id()),
        environment: origin.environment(),
        service_version: origin.service_version(),
        endpoint: speaker.endpoint(),
        method: speaker.method(),
        status_code,
        error_code: columns::error_code(origin, exception),
        error_stack: exception.and_then(|exception| exception.stack.clone()),
        severity,
        category,
        tags,
        external_service: external.then(|| origin.external_service()).flatten(),
        external_error_code: external
            .then(|| columns::external_error_code(origin, exception))
            .flatten(),
        external_error_message: external.then(|| error_message.clone()),
        error_message,
        user_id: origin.user_id().or_else(|| entry.and_then(Span::user_id)),
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
