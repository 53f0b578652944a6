//! What kind of failure: the same for two errors that a person would call the same.

use std::sync::LazyLock;

use regex::Regex;

use crate::domain::{ApiError, Fingerprint, NameHasher};

use super::{
    exceptions::short_type,
    frames::{self, MAX_FRAMES},
    resolve::naming::GENERIC_TYPES,
    values::Text,
};

/// The version of the rules below. A change to them makes new groups of old failures.
const VERSION: &str = "1";

/// As much of a message as tells failures apart.
const MESSAGE_BYTES: usize = 1024;

/// What a fingerprint is made of; texts are scrubbed.
pub(super) struct Kind<'t> {
    pub service_name: &'t str,
    /// The exception's whole type; empty when it has none.
    pub type_name: &'t str,
    /// What stands for the type when there is none.
    pub code: Option<&'t str>,
    pub message: &'t str,
    pub stack: &'t str,
}

impl Kind<'_> {
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hasher = NameHasher::new("fingerprint");
        hasher.field(self.service_name.as_bytes());
        let name = match self.type_name {
            // A code as it is: a 500 is another failure than a 503.
            "" => self.code.unwrap_or("").to_owned(),
            type_name if GENERIC_TYPES.contains(&short_type(type_name)) => String::new(),
            type_name => without_variables(type_name),
        };
        hasher.field(name.as_bytes());
        let frames = frames::in_app(self.stack);
        if frames.is_empty() {
            let message = Text::bytes(self.message, MESSAGE_BYTES).text;
            hasher.field(b"message");
            hasher.field(without_variables(message).as_bytes());
        } else {
            hasher.field(b"frames");
            for frame in frames.iter().take(MAX_FRAMES) {
                hasher.field(without_variables(frame).as_bytes());
            }
        }
        Fingerprint(format!("{VERSION}:{:032x}", hasher.finish()))
    }
}

/// The fingerprint of an error that application code logs, by the rules of telemetry. Its code
/// stands for the exception's type.
#[must_use]
pub fn fingerprint_of(row: &ApiError) -> Fingerprint {
    Kind {
        service_name: &row.service_name,
        type_name: row.error_code.as_deref().unwrap_or(""),
        code: None,
        message: &row.error_message,
        stack: row.error_stack.as_deref().unwrap_or(""),
    }
    .fingerprint()
}

/// A text with quotes, URLs, addresses, paths, ids, times and numbers replaced by `?`.
fn without_variables(text: &str) -> String {
    let mut text = text.trim().to_owned();
    for (pattern, replacement) in VARIABLES.iter() {
        if let std::borrow::Cow::Owned(replaced) = pattern.replace_all(&text, *replacement) {
            text = replaced;
        }
    }
    text
}

static VARIABLES: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [
        // Quoted text; an apostrophe inside a word opens none.
        (
            r#"(^|[\s(=:,\[{<])(?:"[^"\n]*"|'[^'\n]*'|`[^`\n]*`|“[^”\n]*”)"#,
            "${1}?",
        ),
        (r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s,;)\]}>]+", "?"),
        (r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+", "?"),
        // A path, of a file or a request.
        (
            r"(^|[\s(=:,\[{<])(?:[A-Za-z]:\\|\.{0,2}/)[^\s,;:()\[\]{}<>]*",
            "${1}?",
        ),
        (
            r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b",
            "?",
        ),
        (r"\b0[xX][0-9a-fA-F]+\b", "?"),
        // Hexadecimal ids: eight digits or more, one of them no letter.
        (
            r"\b(?:[0-9a-fA-F]{7,}[0-9][0-9a-fA-F]*|[0-9][0-9a-fA-F]{7,}|[0-9a-fA-F]{2,}[0-9][0-9a-fA-F]{5,})\b",
            "?",
        ),
        (r"\b(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{0,4}", "?"),
        // Numbers, versions, dates, times, amounts.
        (r"[0-9]+(?:[.,:/T+-]+[0-9]+)*Z?", "?"),
    ]
    .into_iter()
    .map(|(pattern, replacement)| {
        let regex = Regex::new(pattern).expect("the pattern is valid");
        (regex, replacement)
    })
    .collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    fn kind<'t>(type_name: &'t str, message: &'t str, stack: &'t str) -> Kind<'t> {
        Kind {
            service_name: "shop",
            type_name,
            code: None,
            message,
            stack,
        }
    }

    #[test]
    fn variables_in_messages_become_question_marks() {
        for (text, plain) in [
            ("order 17 not found", "order ? not found"),
            ("user 'ada' can't log in", "user ? can't log in"),
            ("no such key: \"x y\"", "no such key: ?"),
            ("open /var/lib/x.db: denied", "open ?: denied"),
            ("GET https://pay/charge/1?a=b failed", "GET ? failed"),
            ("dial tcp 10.0.0.1:5432: refused", "dial tcp ?: refused"),
            ("ada@example.com bounced", "? bounced"),
            ("at 2026-11-23T10:00:00.123Z", "at ?"),
            (
                "job 7b2f8c1e-55aa-4a0e-9c39-1f1111111111 died",
                "job ? died",
            ),
            ("object 0x7ffe12 freed", "object ? freed"),
            ("commit deadbee1 missing", "commit ? missing"),
            (
                "expected text/html and/or nothing",
                "expected text/html and/or nothing",
            ),
        ] {
            assert_eq!(without_variables(text), plain);
        }
    }

    #[test]
    fn the_same_failure_has_the_same_fingerprint_in_another_release() {
        let stack = |line: u32| {
            format!(
                "Traceback (most recent call last):\n  \
                 File \"/app/shop/cart.py\", line {line}, in add\n    self.save()\n  \
                 File \"/usr/lib/python3.12/site-packages/flask/app.py\", line {}, in run\n",
                line * 2
            )
        };
        let (old, new) = (stack(10), stack(12));
        let one = kind("ValueError", "item 1", &old).fingerprint();
        assert_eq!(kind("ValueError", "another text", &new).fingerprint(), one);
        assert_ne!(kind("KeyError", "item 1", &old).fingerprint(), one);
        assert!(one.0.starts_with("1:"));
        assert_eq!(one.0.len(), 34);
    }

    #[test]
    fn without_frames_the_message_tells_failures_apart() {
        let one = kind("", "order 1 not found", "").fingerprint();
        assert_eq!(kind("", "order 2 not found", "").fingerprint(), one);
        assert_ne!(kind("", "user 2 not found", "").fingerprint(), one);
        assert_eq!(
            kind("*errors.errorString", "order 3 not found", "").fingerprint(),
            one,
            "a generic type says nothing"
        );
    }

    #[test]
    fn status_codes_tell_failures_apart() {
        let of = |code| {
            let kind = Kind {
                code: Some(code),
                ..kind("", "HTTP", "")
            };
            kind.fingerprint()
        };
        assert_ne!(of("500"), of("503"));
    }

    #[test]
    fn fingerprints_stay_what_they_are() {
        let kind = kind("ValueError", "order 1 not found", "");
        assert_eq!(kind.fingerprint().0, "1:397762c2e1c71640d298f4d9d22d905c");
    }
}
