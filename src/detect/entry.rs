//! Entry spans: the spans that stand for a request.

use crate::{
    domain::SpanId,
    otlp::{SpanKind, SpanView, Value},
};

use super::attributes::{Attributes, Slot};

/// Whether a span is an entry span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Entry {
    No,
    Yes,
    /// Unless its parent turns out to be a span of the same resource in the same request.
    UnlessNested,
}

/// The parent's remoteness is known, and: it is remote (OTLP `SpanFlags`).
const REMOTE_IS_KNOWN: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// What a CONSUMER calls its work on a message.
const PROCESSING: &[&str] = &["process", "deliver"];

/// What a CONSUMER does besides working on a message.
const NOT_PROCESSING: &[&str] = &[
    "receive", "poll", "create", "send", "publish", "settle", "ack", "commit",
];

pub(super) fn entry(
    span: &SpanView<'_>,
    parent: Option<SpanId>,
    attributes: &Attributes<'_>,
) -> Entry {
    match span.kind {
        SpanKind::Server => unless_nested(span, parent),
        SpanKind::Consumer => {
            let is_one_of = |words: &[&str]| match attributes.get(Slot::MessagingOperation) {
                Some(Value::Str(operation)) => words
                    .iter()
                    .any(|word| operation.eq_ignore_ascii_case(word.as_bytes())),
                _ => false,
            };
            if is_one_of(PROCESSING) {
                Entry::Yes
            } else if is_one_of(NOT_PROCESSING) {
                Entry::No
            } else {
                unless_nested(span, parent)
            }
        }
        SpanKind::Internal | SpanKind::Client | SpanKind::Producer => Entry::No,
    }
}

/// An entry unless the parent is local.
fn unless_nested(span: &SpanView<'_>, parent: Option<SpanId>) -> Entry {
    if parent.is_none() || span.flags & (REMOTE_IS_KNOWN | IS_REMOTE) == REMOTE_IS_KNOWN | IS_REMOTE
    {
        Entry::Yes
    } else if span.flags & REMOTE_IS_KNOWN == 0 {
        Entry::UnlessNested
    } else {
        Entry::No
    }
}

/// How many spans stand behind one that was kept by consistent probability sampling: `ot=th:…` in
/// the trace state is the rejection threshold, up to 14 hexadecimal digits of a 56-bit fraction.
pub(super) fn stands_for(trace_state: &[u8]) -> f64 {
    threshold(trace_state).map_or(1.0, |threshold| {
        const ALL: u64 = 1 << 56;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        {
            ALL as f64 / (ALL - threshold) as f64
        }
    })
}

fn threshold(trace_state: &[u8]) -> Option<u64> {
    let ours = trace_state
        .split(|byte| *byte == b',')
        .find_map(|member| member.trim_ascii().strip_prefix(b"ot="))?;
    let digits = ours
        .split(|byte| *byte == b';')
        .find_map(|field| field.strip_prefix(b"th:"))?;
    if digits.is_empty() || digits.len() > 14 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let value = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    Some(value << (4 * (14 - digits.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::Attribute;

    fn of(kind: SpanKind, parent: bool, flags: u32, operation: &str) -> Entry {
        let attributes = [Attribute {
            key: b"messaging.operation.type",
            value: Value::Str(operation.as_bytes()),
        }];
        let span = SpanView {
            flags,
            kind,
            ..SpanView::default()
        };
        entry(
            &span,
            parent.then_some(SpanId([1; 8])),
            &Attributes::new(&attributes),
        )
    }

    #[test]
    fn a_server_is_an_entry_unless_its_parent_is_local() {
        use SpanKind::{Client, Internal, Server};
        assert_eq!(of(Server, false, 0, ""), Entry::Yes);
        assert_eq!(of(Server, false, 0x101, ""), Entry::Yes);
        assert_eq!(of(Server, true, 0x301, ""), Entry::Yes);
        assert_eq!(of(Server, true, 0x101, ""), Entry::No);
        assert_eq!(of(Server, true, 0x001, ""), Entry::UnlessNested);
        assert_eq!(of(Internal, false, 0, ""), Entry::No);
        assert_eq!(of(Client, false, 0, ""), Entry::No);
    }

    #[test]
    fn a_consumer_is_an_entry_when_it_works_on_a_message() {
        for operation in ["process", "deliver"] {
            assert_eq!(of(SpanKind::Consumer, true, 0x101, operation), Entry::Yes);
        }
        assert_eq!(of(SpanKind::Consumer, true, 0x101, "run"), Entry::No);
        assert_eq!(of(SpanKind::Consumer, true, 0x301, ""), Entry::Yes);
        assert_eq!(of(SpanKind::Consumer, true, 0, ""), Entry::UnlessNested);
        for operation in ["receive", "poll", "settle", "Ack", "commit"] {
            assert_eq!(of(SpanKind::Consumer, false, 0, operation), Entry::No);
        }
    }

    #[test]
    fn a_threshold_says_how_many_a_span_stands_for() {
        for (state, expected) in [
            ("ot=th:8", 2.0),
            ("a=b, ot=rv:00112233445566;th:c", 4.0),
            ("ot=th:0", 1.0),
            ("ot=th:fffffffffffffff", 1.0),
            ("ot=th:zz", 1.0),
            ("th:8", 1.0),
            ("", 1.0),
        ] {
            assert!(
                (stands_for(state.as_bytes()) - expected).abs() < 1e-9,
                "{state}"
            );
        }
        assert!(stands_for(b"ot=th:ffffffffffffff").is_finite());
    }
}
