//! One log record that is an exception.

use opentelemetry_proto::tonic::{
    common::v1::any_value::Value,
    logs::v1::LogRecord,
    resource::v1::Resource,
    trace::v1::{Span as Sent, Status},
};

use super::{exception::Exception, span::Span};

/// How grave whoever logged it thought it was.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gravity {
    Remark,
    Warning,
    Failure,
}

/// The record in the words of a span: what it would say if it stood alone.
pub(super) fn in_words_of_a_span(logger: &str, record: &LogRecord) -> Sent {
    let body = record.body.as_ref().and_then(|body| body.value.as_ref());
    let message = match body {
        Some(Value::StringValue(text)) => text.clone(),
        _ => String::new(),
    };
    Sent {
        trace_id: record.trace_id.clone(),
        span_id: record.span_id.clone(),
        name: [logger, &record.event_name, "log"]
            .into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or_default()
            .to_owned(),
        kind: 1,
        end_time_unix_nano: match record.time_unix_nano {
            0 => record.observed_time_unix_nano,
            time => time,
        },
        attributes: record.attributes.clone(),
        status: Some(Status { code: 2, message }),
        ..Sent::default()
    }
}

#[derive(Clone)]
pub(super) struct Log<'a> {
    pub(super) words: Span<'a>,
    pub(super) exception: Exception,
    severity_number: i32,
}

impl<'a> Log<'a> {
    /// `None` when it is no exception, or one that is no error.
    pub(super) fn new(
        resource: Option<&'a Resource>,
        record: &LogRecord,
        words: &'a Sent,
        received_at_micros: i64,
    ) -> Option<Self> {
        let words = Span::new(resource, words, false, received_at_micros);
        let exception = words.exceptions().pop()?;
        Some(Self {
            words,
            exception,
            severity_number: record.severity_number,
        })
    }

    pub(super) fn span_id(&self) -> &'a [u8] {
        self.words.id()
    }

    pub(super) fn at_micros(&self) -> i64 {
        self.words.ended_at_micros()
    }

    pub(super) fn gravity(&self) -> Gravity {
        match self.severity_number {
            1..=12 => Gravity::Remark,
            13..=16 => Gravity::Warning,
            _ => Gravity::Failure,
        }
    }

    /// Sent again.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let what = |log: &Self| {
            let exception = &log.exception;
            (
                log.words.end_nanos(),
                exception.short_type(),
                exception.first_line(),
            )
        };
        self.span_id() == other.span_id() && what(self) == what(other)
    }

    pub(super) fn is_fatal(&self) -> bool {
        self.severity_number >= 21
    }
}
