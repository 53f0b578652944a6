//! Entry spans: the spans that stand for a request.

use crate::{
    domain::{Sampling, SpanId},
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

/// How a span was sampled, and how many stand behind it. Consistent probability sampling writes
/// `ot=th:…` to the trace state: the rejection threshold, up to 14 hexadecimal digits of a 56-bit
/// fraction. Any other `ot=`, like the `p` and `r` that came before it, leaves the number open.
pub(super) fn sampling(trace_state: &[u8]) -> (Sampling, f64) {
    const ALL: u64 = 1 << 56;
    let mut members = trace_state.split(|byte| *byte == b',');
    let Some(ours) = members.find_map(|member| member.trim_ascii().strip_prefix(b"ot=")) else {
        return (Sampling::None, 1.0);
    };
    match threshold(ours) {
        None => (Sampling::Unknown, 1.0),
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        Some(threshold) => (Sampling::Threshold, ALL as f64 / (ALL - threshold) as f64),
    }
}

fn threshold(ours: &[u8]) -> Option<u64> {
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
        for (state, kind, expected) in [
            ("ot=th:8", Sampling::Threshold, 2.0),
            (
                "a=b, ot=rv:00112233445566;th:c ,x@ot=th:f",
                Sampling::Threshold,
                4.0,
            ),
            (
                "ot=th:c0000000000000;rv:00112233445566",
                Sampling::Threshold,
                4.0,
            ),
            ("ot=th:0", Sampling::Threshold, 1.0),
            ("ot=th:fffffffffffffff", Sampling::Unknown, 1.0),
            ("ot=th:zz", Sampling::Unknown, 1.0),
            ("ot=th:", Sampling::Unknown, 1.0),
            ("ot=p:8;r:62", Sampling::Unknown, 1.0),
            ("ot=rv:00112233445566", Sampling::Unknown, 1.0),
            ("th:8", Sampling::None, 1.0),
            ("vendor=th:8", Sampling::None, 1.0),
            ("", Sampling::None, 1.0),
        ] {
            let found = sampling(state.as_bytes());
            assert_eq!(found.0, kind, "{state}");
            assert!((found.1 - expected).abs() < 1e-9, "{state}");
        }
        assert!(sampling(b"ot=th:ffffffffffffff").1.is_finite());
    }
}
