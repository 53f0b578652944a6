//! Exceptions: span events and log records with `exception.type` or `exception.message`, whatever
//! their name.

use std::borrow::Cow;

use crate::{
    domain::Thrown,
    otlp::{LogRecordView, SpanView, Value},
};

use super::{
    attributes::{Attributes, Slot},
    values::{Text, text},
};

/// An exception as recorded. Not scrubbed yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Exception<'a> {
    /// The whole type; may be empty.
    pub type_name: Cow<'a, str>,
    /// May be empty.
    pub message: Cow<'a, str>,
    /// May be empty.
    pub stack: Cow<'a, str>,
    /// When it was recorded; the span's end when it stands on the span itself.
    pub time_unix_nano: u64,
}

/// The exceptions of a span, in the order sent. Its own attributes count when no event has any.
pub(super) fn of_span<'a>(span: &SpanView<'a>, attributes: &Attributes<'a>) -> Vec<Exception<'a>> {
    let mut exceptions = Vec::new();
    for event in span.events {
        let mut exception = Exception {
            time_unix_nano: event.time_unix_nano,
            ..Exception::default()
        };
        let mut is_remark = false;
        for attribute in &event.attributes {
            match attribute.key {
                b"exception.type" => exception.type_name = text(attribute.value),
                b"exception.message" => exception.message = text(attribute.value),
                b"exception.stacktrace" => exception.stack = text(attribute.value),
                b"level" => is_remark = is_below_warning(attribute.value),
                _ => {}
            }
        }
        if exception.is_one() && !is_remark {
            exceptions.push(exception);
        }
    }
    if exceptions.is_empty() {
        exceptions.extend(in_attributes(attributes, span.end_time_unix_nano));
    }
    exceptions
}

/// The exception of a log record. One without a time of its own was observed at some time.
pub(super) fn of_log<'a>(
    record: &LogRecordView<'a>,
    attributes: &Attributes<'a>,
) -> Option<Exception<'a>> {
    let time_unix_nano = match record.time_unix_nano {
        0 => record.observed_time_unix_nano,
        time => time,
    };
    in_attributes(attributes, time_unix_nano)
}

fn in_attributes<'a>(attributes: &Attributes<'a>, time_unix_nano: u64) -> Option<Exception<'a>> {
    let part = |slot| attributes.text(slot).unwrap_or_default();
    let exception = Exception {
        type_name: part(Slot::ExceptionType),
        message: part(Slot::ExceptionMessage),
        stack: part(Slot::ExceptionStack),
        time_unix_nano,
    };
    exception.is_one().then_some(exception)
}

fn is_below_warning(level: Value<'_>) -> bool {
    let Value::Str(level) = level else {
        return false;
    };
    [&b"TRACE"[..], b"DEBUG", b"INFO"]
        .iter()
        .any(|low| level.eq_ignore_ascii_case(low))
}

impl Exception<'_> {
    fn is_one(&self) -> bool {
        !self.type_name.is_empty() || !self.message.is_empty()
    }

    pub fn short_type(&self) -> &str {
        short_type(&self.type_name)
    }

    /// Not an error but the way a program goes: a retry, the end of an iteration, a redirect.
    pub fn is_control_flow(&self) -> bool {
        let short = self.short_type();
        let message = self.message.trim();
        CONTROL_FLOW_TYPES.contains(&short)
            || (short == "SystemExit" && matches!(message, "" | "0" | "None"))
            || CONTROL_FLOW_MESSAGES
                .iter()
                .any(|start| message.starts_with(start))
    }

    /// Somebody did not want the answer any more. Not so when time ran out.
    pub fn is_cancellation(&self) -> bool {
        (CANCELLATION_TYPES.contains(&self.short_type())
            || self.message.contains(CANCELLATION_MESSAGE))
            && !self.speaks_of_a_timeout()
    }

    pub fn speaks_of_a_timeout(&self) -> bool {
        speaks_of_a_timeout(&self.message) || speaks_of_a_timeout(&self.stack)
    }
}

/// `Retry` of Celery, the signals of Python's iterators and greenlets, aborted scripts.
pub(super) const CONTROL_FLOW_TYPES: &[&str] = &[
    "Retry",
    "Ignore",
    "StopIteration",
    "StopAsyncIteration",
    "GeneratorExit",
    "GreenletExit",
    "KeyboardInterrupt",
];

/// What Next.js throws to redirect and to answer 404.
const CONTROL_FLOW_MESSAGES: &[&str] = &[
    "NEXT_REDIRECT",
    "NEXT_NOT_FOUND",
    "NEXT_HTTP_ERROR_FALLBACK;",
];

pub(super) const CANCELLATION_TYPES: &[&str] = &[
    "CancelledError",
    "CancellationException",
    "JobCancellationException",
    "OperationCanceledException",
    "TaskCanceledException",
    "AbortError",
    "ClientAbortException",
    "ClientDisconnect",
];

/// What Go says.
pub(super) const CANCELLATION_MESSAGE: &str = "context canceled";

/// Whether a message or stack says that time ran out.
pub(super) fn speaks_of_a_timeout(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["timeout", "timed out", "time out", "deadline exceeded"]
        .iter()
        .any(|words| text.contains(words))
}

/// What follows the last `.`, `:`, `\`, `$` or `/` of a type, without `*` and without what the type
/// is a generic one of: that has names of its own.
pub(crate) fn short_type(type_name: &str) -> &str {
    let type_name = type_name.trim().trim_matches('*');
    let name = match type_name.find(['<', '[', '`', '(']) {
        None => type_name,
        Some(0) => return type_name,
        Some(end) => type_name[..end].trim_end(),
    };
    let start = name
        .rfind(['.', ':', '\\', '$', '/'])
        .map_or(0, |separator| separator + 1);
    name[start..].trim_matches('*')
}

/// The part of an exception by which others are compared with it; of scrubbed texts.
pub(super) fn thrown(type_name: &str, message: &str) -> Thrown {
    let first_line = message.trim_start().lines().next().unwrap_or("").trim_end();
    Thrown {
        short_type: Text::bytes(short_type(type_name), 256).into_string(),
        first_line: Text::bytes(first_line, 256).into_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exception(type_name: &'static str, message: &'static str) -> Exception<'static> {
        Exception {
            type_name: type_name.into(),
            message: message.into(),
            ..Exception::default()
        }
    }

    #[test]
    fn a_short_type_is_what_follows_the_last_separator() {
        for (type_name, short) in [
            ("ValueError", "ValueError"),
            ("java.util.Map$Entry", "Entry"),
            ("*errors.errorString", "errorString"),
            ("*url.Error", "Error"),
            ("std::io::Error", "Error"),
            (r"App\Http\NotFound", "NotFound"),
            ("pkg/sub.Type", "Type"),
            ("", ""),
            ("alloc::boxed::Box<dyn std::error::Error>", "Box"),
            (
                "KeyNotFoundException`1[[System.String]]",
                "KeyNotFoundException",
            ),
            ("(anonymous)", "(anonymous)"),
        ] {
            assert_eq!(short_type(type_name), short);
        }
    }

    #[test]
    fn a_cancellation_is_none_when_time_ran_out() {
        assert!(exception("asyncio.CancelledError", "").is_cancellation());
        assert!(exception("*errors.errorString", "rpc error: context canceled").is_cancellation());
        assert!(
            !exception(
                "System.Threading.Tasks.TaskCanceledException",
                "canceled due to the configured HttpClient.Timeout of 100 seconds elapsing"
            )
            .is_cancellation()
        );
        let mut cancelled = exception("CancelledError", "");
        cancelled.stack = "Traceback\nTimeoutError".into();
        assert!(!cancelled.is_cancellation());
        assert!(!exception("ValueError", "cancelled").is_cancellation());
    }

    #[test]
    fn control_flow_is_no_error_but_a_failing_exit_is() {
        assert!(exception("celery.exceptions.Retry", "Retry in 180s").is_control_flow());
        assert!(exception("SystemExit", "0").is_control_flow());
        assert!(!exception("SystemExit", "1").is_control_flow());
        assert!(exception("Error", "NEXT_REDIRECT;replace;/login").is_control_flow());
        assert!(!exception("RetryError", "gave up").is_control_flow());
    }

    #[test]
    fn the_first_line_is_what_is_compared() {
        let thrown = thrown("a.B", "\n one line \r\n another");
        assert_eq!(thrown.short_type, "B");
        assert_eq!(thrown.first_line, "one line");
        let long = "é".repeat(200);
        assert_eq!(super::thrown("", &long).first_line.len(), 256);
    }
}
