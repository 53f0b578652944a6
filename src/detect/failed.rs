//! Which spans failed: the first rule that matches decides.

use crate::{
    domain::FailedBecause,
    otlp::{SpanKind, SpanView, StatusCode},
};

use super::{
    attributes::{Attributes, Slot},
    codes::{Codes, Grpc},
    exceptions::{CANCELLATION_MESSAGE, Exception, speaks_of_a_timeout},
    values::lossy,
};

/// What a span's end was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// It did not fail; exceptions on it were handled.
    Fine,
    /// It was given up, or ended by an exception that is no error: there is no row, whatever
    /// exceptions it has.
    Dismissed,
    /// It failed.
    Failed,
}

/// A SERVER that answers one of these, without saying more, failed.
const SERVER_GRPC_FAILURES: &[Grpc] = &[
    Grpc::UNKNOWN,
    Grpc::DEADLINE_EXCEEDED,
    Grpc::UNIMPLEMENTED,
    Grpc::INTERNAL,
    Grpc::UNAVAILABLE,
    Grpc::DATA_LOSS,
];

/// A CLIENT that is answered one of these below 500, without saying more, failed.
const CLIENT_HTTP_FAILURES: &[i32] = &[401, 403, 407, 408, 429];

/// Answers that a CLIENT may well have asked for.
pub(super) const CLIENT_HTTP_ANSWERS: &[i32] = &[404, 409, 410, 412];

/// The same in gRPC.
pub(super) const CLIENT_GRPC_ANSWERS: &[Grpc] = &[Grpc::NOT_FOUND, Grpc::ALREADY_EXISTS];

/// The outcome of a span. `last` is its last exception.
pub(super) fn outcome(
    span: &SpanView<'_>,
    attributes: &Attributes<'_>,
    codes: Codes<'_>,
    last: Option<&Exception<'_>>,
) -> Outcome {
    let is_server = span.kind == SpanKind::Server;
    let is_client = span.kind == SpanKind::Client;
    let http = codes.http.unwrap_or(0);

    if span.status == StatusCode::Ok {
        return Outcome::Fine;
    }
    let named = match last {
        None => named_only(span, attributes),
        Some(_) => None,
    };
    let thrown = last.or(named.as_ref());
    if was_cancelled(span, codes, thrown) {
        return Outcome::Dismissed;
    }
    if thrown.is_some_and(Exception::is_control_flow) && !(is_server && http >= 500) {
        return Outcome::Dismissed;
    }
    if is_server && (400..500).contains(&http) {
        return Outcome::Fine;
    }
    if is_client
        && last.is_none()
        && (CLIENT_HTTP_ANSWERS.contains(&http)
            || codes
                .grpc
                .is_some_and(|code| CLIENT_GRPC_ANSWERS.contains(&code)))
    {
        return Outcome::Fine;
    }
    if span.status == StatusCode::Error {
        return Outcome::Failed;
    }
    let answered_failure = match span.kind {
        SpanKind::Server => {
            http >= 500
                || codes
                    .grpc
                    .is_some_and(|code| SERVER_GRPC_FAILURES.contains(&code))
        }
        SpanKind::Client => {
            http >= 500
                || CLIENT_HTTP_FAILURES.contains(&http)
                || codes.grpc.is_some_and(|code| code != Grpc::OK)
                || codes.other_rpc.is_some()
        }
        SpanKind::Internal | SpanKind::Producer | SpanKind::Consumer => false,
    };
    if answered_failure || attributes.has(Slot::ErrorType) {
        return Outcome::Failed;
    }
    Outcome::Fine
}

/// What was thrown, when nothing but `error.type` and the status tells of it.
fn named_only<'a>(span: &SpanView<'a>, attributes: &Attributes<'a>) -> Option<Exception<'a>> {
    Some(Exception {
        type_name: attributes.text(Slot::ErrorType)?,
        message: lossy(span.status_message),
        ..Exception::default()
    })
}

/// Why a span failed that did.
pub(super) fn failed_because(
    span: &SpanView<'_>,
    codes: Codes<'_>,
    by_rule: bool,
) -> FailedBecause {
    if by_rule {
        FailedBecause::Rule
    } else if span.status == StatusCode::Error {
        FailedBecause::StatusError
    } else if codes.text().is_some() {
        FailedBecause::Answer
    } else {
        FailedBecause::ErrorType
    }
}

fn was_cancelled(span: &SpanView<'_>, codes: Codes<'_>, thrown: Option<&Exception<'_>>) -> bool {
    let by_code = codes.grpc == Some(Grpc::CANCELLED) || codes.http == Some(499);
    let by_exception = thrown.is_some_and(Exception::is_cancellation);
    let by_status = contains(span.status_message, CANCELLATION_MESSAGE);
    (by_code || by_exception || by_status)
        && !thrown.is_some_and(Exception::speaks_of_a_timeout)
        && !speaks_of_a_timeout(&lossy(span.status_message))
}

fn contains(text: &[u8], words: &str) -> bool {
    text.windows(words.len())
        .any(|part| part == words.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::{Attribute, Value};

    /// One line of the rules' table.
    struct Case {
        says: &'static str,
        kind: SpanKind,
        status: StatusCode,
        attributes: &'static [(&'static str, Value<'static>)],
        exception: Option<(&'static str, &'static str)>,
        outcome: Outcome,
    }

    #[rustfmt::skip]
    const CASES: &[Case] = {
        use Outcome::{Dismissed, Failed, Fine};
        use SpanKind::{Client, Internal, Server};
        use StatusCode::{Error, Ok, Unset};
        const NONE: &[(&str, Value<'static>)] = &[];
        &[
            Case { says: "1: OK wins over everything", kind: Server, status: Ok, attributes: &[("http.response.status_code", Value::Int(500))], exception: Some(("ValueError", "x")), outcome: Fine },
            Case { says: "2: gRPC CANCELLED", kind: Client, status: Error, attributes: &[("rpc.status_code", Value::Str(b"CANCELLED"))], exception: None, outcome: Dismissed },
            Case { says: "2: HTTP 499", kind: Server, status: Error, attributes: &[("http.response.status_code", Value::Int(499))], exception: None, outcome: Dismissed },
            Case { says: "2: cancelled exception", kind: Internal, status: Error, attributes: NONE, exception: Some(("asyncio.CancelledError", "")), outcome: Dismissed },
            Case { says: "2: Go's message", kind: Internal, status: Error, attributes: NONE, exception: Some(("*errors.errorString", "context canceled")), outcome: Dismissed },
            Case { says: "2: time ran out", kind: Internal, status: Error, attributes: NONE, exception: Some(("TaskCanceledException", "HttpClient.Timeout elapsed")), outcome: Failed },
            Case { says: "2: error.type names a cancellation", kind: Client, status: Error, attributes: &[("error.type", Value::Str(b"AbortError"))], exception: None, outcome: Dismissed },
            Case { says: "2: even without a status", kind: Internal, status: Unset, attributes: &[("error.type", Value::Str(b"java.util.concurrent.CancellationException"))], exception: None, outcome: Dismissed },
            Case { says: "2: the exception knows better than error.type", kind: Client, status: Error, attributes: &[("error.type", Value::Str(b"AbortError"))], exception: Some(("TypeError", "terminated")), outcome: Failed },
            Case { says: "control flow, by error.type", kind: Internal, status: Error, attributes: &[("error.type", Value::Str(b"celery.exceptions.Retry"))], exception: None, outcome: Dismissed },
            Case { says: "control flow, but 500 was answered", kind: Server, status: Error, attributes: &[("error.type", Value::Str(b"StopIteration")), ("http.response.status_code", Value::Int(500))], exception: None, outcome: Failed },
            Case { says: "control flow", kind: Internal, status: Error, attributes: NONE, exception: Some(("celery.exceptions.Retry", "again")), outcome: Dismissed },
            Case { says: "3: the client's mistake", kind: Server, status: Error, attributes: &[("http.response.status_code", Value::Int(404))], exception: Some(("NotFound", "x")), outcome: Fine },
            Case { says: "3: old name, text", kind: Server, status: Error, attributes: &[("http.status_code", Value::Str(b"422"))], exception: None, outcome: Fine },
            Case { says: "4: asked whether it is there", kind: Client, status: Error, attributes: &[("http.response.status_code", Value::Int(404)), ("error.type", Value::Str(b"404"))], exception: None, outcome: Fine },
            Case { says: "4: not with an exception", kind: Client, status: Error, attributes: &[("http.response.status_code", Value::Int(404))], exception: Some(("HTTPError", "404")), outcome: Failed },
            Case { says: "4: gRPC by number", kind: Client, status: Error, attributes: &[("rpc.grpc.status_code", Value::Int(5))], exception: None, outcome: Fine },
            Case { says: "4: only those", kind: Client, status: Error, attributes: &[("http.response.status_code", Value::Int(400))], exception: None, outcome: Failed },
            Case { says: "5: ERROR", kind: Internal, status: Error, attributes: NONE, exception: None, outcome: Failed },
            Case { says: "6: SERVER 500", kind: Server, status: Unset, attributes: &[("http.response.status_code", Value::Int(500))], exception: None, outcome: Failed },
            Case { says: "6: SERVER 200", kind: Server, status: Unset, attributes: &[("http.response.status_code", Value::Int(200))], exception: None, outcome: Fine },
            Case { says: "6: gRPC SERVER 14", kind: Server, status: Unset, attributes: &[("rpc.grpc.status_code", Value::Int(14))], exception: None, outcome: Failed },
            Case { says: "6: gRPC SERVER 3", kind: Server, status: Unset, attributes: &[("rpc.grpc.status_code", Value::Int(3))], exception: None, outcome: Fine },
            Case { says: "6: CLIENT 401", kind: Client, status: Unset, attributes: &[("http.response.status_code", Value::Int(401))], exception: None, outcome: Failed },
            Case { says: "6: CLIENT 400", kind: Client, status: Unset, attributes: &[("http.response.status_code", Value::Int(400))], exception: None, outcome: Fine },
            Case { says: "6: gRPC CLIENT 3", kind: Client, status: Unset, attributes: &[("rpc.grpc.status_code", Value::Int(3))], exception: None, outcome: Failed },
            Case { says: "6: gRPC CLIENT 0", kind: Client, status: Unset, attributes: &[("rpc.grpc.status_code", Value::Int(0))], exception: None, outcome: Fine },
            Case { says: "6: JSON-RPC CLIENT", kind: Client, status: Unset, attributes: &[("rpc.jsonrpc.error_code", Value::Int(-32601))], exception: None, outcome: Failed },
            Case { says: "6: JSON-RPC SERVER", kind: Server, status: Unset, attributes: &[("rpc.jsonrpc.error_code", Value::Int(-32601))], exception: None, outcome: Fine },
            Case { says: "6: error.type", kind: Internal, status: Unset, attributes: &[("error.type", Value::Str(b"timeout"))], exception: None, outcome: Failed },
            Case { says: "6: nothing", kind: Internal, status: Unset, attributes: NONE, exception: Some(("ValueError", "handled")), outcome: Fine },
        ]
    };

    #[test]
    fn the_first_rule_that_matches_decides() {
        for case in CASES {
            let attributes: Vec<_> = case
                .attributes
                .iter()
                .map(|(key, value)| Attribute {
                    key: key.as_bytes(),
                    value: *value,
                })
                .collect();
            let attributes = Attributes::new(&attributes);
            let span = SpanView {
                kind: case.kind,
                status: case.status,
                ..SpanView::default()
            };
            let exception = case.exception.map(|(type_name, message)| Exception {
                type_name: type_name.into(),
                message: message.into(),
                ..Exception::default()
            });
            let codes = Codes::new(&attributes);
            let outcome = outcome(&span, &attributes, codes, exception.as_ref());
            assert_eq!(outcome, case.outcome, "{}", case.says);
        }
    }
}
