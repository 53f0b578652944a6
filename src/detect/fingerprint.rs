//! What kind of failure: the same for two errors that a person would call the same, and why.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::domain::{ApiError, Fingerprint, NameHasher};

use super::{
    KindsBy, exceptions::short_type, frames::Stack, resolve::naming::GENERIC_TYPES, values::Text,
};

/// The version of the rules below. A change to them makes new groups of old failures.
const VERSION: &str = "1";

/// As much of a message as tells failures apart.
const MESSAGE_BYTES: usize = 1024;

/// What is shown of a basis.
const MAX_SHOWN_LINES: usize = 24;
const MAX_SHOWN_BYTES: usize = 160;

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
        self.basis(KindsBy::Failure).fingerprint()
    }

    /// Service, type, the application's own frames with those of all causes, and the message where
    /// these do not tell one failure from another: without frames, and where an anonymous function
    /// failed, of which a file may have many.
    pub fn basis(&self, by: KindsBy) -> Basis {
        let mut lines = vec![format!("service {}", self.service_name)];
        match self.type_name {
            // A code as it is: a 500 is another failure than a 503.
            "" => lines.extend(self.code.map(|code| format!("code {code}"))),
            type_name
                if by == KindsBy::Failure && GENERIC_TYPES.contains(&short_type(type_name)) => {}
            type_name => lines.push(format!("type {}", without_variables(type_name))),
        }
        if by == KindsBy::Type {
            return Basis(lines);
        }
        let stack = Stack::read(self.stack);
        for (place, link) in stack.chain.iter().enumerate() {
            if place > 0 {
                lines.push(format!("caused by {}", without_variables(&link.type_name)));
            }
            lines.extend(link.frames.iter().map(|frame| format!("at {frame}")));
        }
        if !stack.has_frames() || !stack.is_telling() {
            let message = Text::bytes(self.message, MESSAGE_BYTES).text;
            lines.push(format!("message {}", without_variables(message)));
        }
        Basis(lines)
    }
}

/// What makes two errors one kind, line by line.
pub(super) struct Basis(Vec<String>);

impl Basis {
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hasher = NameHasher::new("fingerprint");
        for line in &self.0 {
            hasher.field(line.as_bytes());
        }
        Fingerprint(format!("{VERSION}:{:032x}", hasher.finish()))
    }

    /// The lines for people, cut: of a deep stack the beginning says enough.
    pub fn shown(self) -> Vec<String> {
        let more = self.0.len().saturating_sub(MAX_SHOWN_LINES);
        let mut lines: Vec<String> = self
            .0
            .iter()
            .take(MAX_SHOWN_LINES)
            .map(|line| Text::bytes(line, MAX_SHOWN_BYTES).into_string())
            .collect();
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        lines
    }
}

/// The fingerprint that a rule of the user gives to errors of a service, and its basis.
pub(super) fn named_by_rule(service_name: &str, name: &str) -> (Fingerprint, Vec<String>) {
    let mut hasher = NameHasher::new("fingerprint of a rule");
    hasher.field(service_name.as_bytes()).field(name.as_bytes());
    let fingerprint = Fingerprint(format!("{VERSION}:{:032x}", hasher.finish()));
    (fingerprint, vec![format!("rule {name}")])
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
    let signs = Signs::of(&text);
    for variable in VARIABLES.iter() {
        if !signs.has(variable.sign) {
            continue;
        }
        let replaced = variable.regex.replace_all(&text, |found: &Captures<'_>| {
            let whole = &found[0];
            if variable.is_id && !is_id(whole) {
                return whole.to_owned();
            }
            [found.get(1).map_or("", |before| before.as_str()), "?"].concat()
        });
        if let std::borrow::Cow::Owned(replaced) = replaced {
            text = replaced;
        }
    }
    text
}

/// Letters and digits without order: `01HXK5V8Z9`, `Nffrfeuf9vs71`.
fn is_id(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    digits >= 2 && digits < word.len()
}

/// What a text must have for a variable to be in it.
#[derive(Clone, Copy, PartialEq)]
enum Sign {
    Quote,
    At,
    Slash,
    Colon,
    Digit,
}

/// The signs of a text: most patterns need not be looked for.
struct Signs(u8);

impl Signs {
    fn of(text: &str) -> Self {
        Self(text.bytes().fold(0, |signs, byte| {
            signs
                | match byte {
                    // The last two begin typographic quotes.
                    b'"' | b'\'' | b'`' | 0xe2 => 1 << Sign::Quote as u8,
                    b'@' => 1 << Sign::At as u8,
                    b'/' | b'\\' => 1 << Sign::Slash as u8,
                    b':' => 1 << Sign::Colon as u8,
                    b'0'..=b'9' => 1 << Sign::Digit as u8,
                    _ => 0,
                }
        }))
    }

    fn has(&self, sign: Sign) -> bool {
        self.0 & (1 << sign as u8) != 0
    }
}

/// What differs between messages of one kind.
struct Variable {
    sign: Sign,
    /// Only what looks like an id is one.
    is_id: bool,
    /// Its first group stays.
    regex: Regex,
}

static VARIABLES: LazyLock<Vec<Variable>> = LazyLock::new(|| {
    let variable = |sign, pattern| Variable {
        sign,
        is_id: false,
        regex: Regex::new(pattern).expect("the pattern is valid"),
    };
    vec![
        // Quoted text; an apostrophe inside a word opens none.
        variable(
            Sign::Quote,
            r#"(^|[\s(=:,\[{<])(?:"[^"\n]*"|'[^'\n]*'|`[^`\n]*`|“[^”\n]*”)"#,
        ),
        variable(Sign::Slash, r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s,;)\]}>]+"),
        variable(
            Sign::At,
            r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
        ),
        // Which object: `Cart@1b6d35`.
        variable(Sign::At, r"(@)[0-9a-f]{5,16}\b"),
        // A path, of a file or a request.
        variable(
            Sign::Slash,
            r"(^|[\s(=:,\[{<])(?:[A-Za-z]:\\|\.{0,2}/)[^\s,;:()\[\]{}<>]*",
        ),
        variable(
            Sign::Digit,
            r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b",
        ),
        variable(Sign::Digit, r"\b0[xX][0-9a-fA-F]+\b"),
        // Hexadecimal ids: eight digits or more, one of them no letter.
        variable(
            Sign::Digit,
            r"\b(?:[0-9a-fA-F]{7,}[0-9][0-9a-fA-F]*|[0-9][0-9a-fA-F]{7,}|[0-9a-fA-F]{2,}[0-9][0-9a-fA-F]{5,})\b",
        ),
        Variable {
            is_id: true,
            ..variable(Sign::Digit, r"[A-Za-z0-9]{12,}")
        },
        variable(Sign::Colon, r"\b(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{0,4}"),
        // Numbers, versions, dates, times, amounts.
        variable(Sign::Digit, r"[0-9]+(?:[.,:/T+-]+[0-9]+)*Z?"),
    ]
});

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

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
            ("Cart@1b6d35 is empty", "Cart@? is empty"),
            ("no charge cus_Nffrfeuf9vs71", "no charge cus_?"),
            ("ULID 01HXK5V8Z9QRST", "ULID ?"),
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
    fn kinds_by_type_are_coarse() {
        let of = |type_name, stack| {
            let kind = kind(type_name, "text", stack);
            kind.basis(KindsBy::Type).fingerprint()
        };
        let stack = "    at add (/app/a.js:1:1)";
        assert_eq!(of("Error", stack), of("Error", ""));
        assert_ne!(of("Error", stack), of("TypeError", stack));
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

    /// Real stacks: `NAME.1.txt`, `NAME.2.txt`, … are one failure of another release, with other
    /// line numbers, ids, addresses and folders; another name is another failure.
    #[test]
    fn one_failure_has_one_fingerprint_in_every_language_and_another_has_another() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/stacks");
        let mut languages = 0;
        for language in std::fs::read_dir(folder).unwrap() {
            let language = language.unwrap().path();
            let mut kinds: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
            for file in std::fs::read_dir(&language).unwrap() {
                let path = file.unwrap().path();
                let text = std::fs::read_to_string(&path).unwrap();
                let (head, stack) = text.split_once("\n\n").unwrap();
                let (type_name, message) = head.split_once('\n').unwrap();
                let basis = kind(
                    type_name.strip_prefix("type: ").unwrap(),
                    message.strip_prefix("message: ").unwrap(),
                    stack,
                )
                .basis(KindsBy::Failure);
                let file = path.file_name().unwrap().to_str().unwrap();
                let (name, _) = file.split_once('.').unwrap();
                kinds
                    .entry(basis.fingerprint().0)
                    .or_insert_with(|| BTreeMap::from([("basis".to_owned(), basis.shown())]))
                    .entry(name.to_owned())
                    .or_default()
                    .push(file.to_owned());
            }
            let names: BTreeSet<_> = kinds.values().flat_map(BTreeMap::keys).collect();
            // The basis is one entry of each kind.
            let is_one_each = kinds.values().all(|kind| kind.len() == 2);
            assert!(
                is_one_each && kinds.len() + 1 == names.len(),
                "{}: {kinds:#?}",
                language.display()
            );
            languages += 1;
        }
        assert!(languages >= 9, "only {languages} languages");
    }

    #[test]
    fn a_person_sees_why_two_errors_are_one() {
        let stack = "Error: x\n    at /app/src/server.js:9:1\n    at f (/app/src/a.js:1:2)\n";
        let shown = kind("TypeError", "order 17 is empty", stack)
            .basis(KindsBy::Failure)
            .shown();
        assert_eq!(
            shown,
            [
                "service shop",
                "type TypeError",
                "at src/server.js",
                "at src/a.js f",
                "message order ? is empty",
            ]
        );
        let deep: Vec<String> = (0..60)
            .map(|number| format!("    at f{number} (/app/src/a.js:1:2)"))
            .collect();
        let deep = deep.join("\n");
        let shown = kind("TypeError", "", &deep).basis(KindsBy::Failure).shown();
        assert_eq!(shown.len(), MAX_SHOWN_LINES + 1);
        assert_eq!(shown[MAX_SHOWN_LINES], "and 38 more");
    }

    #[test]
    fn fingerprints_stay_what_they_are() {
        let kind = kind("ValueError", "order 1 not found", "");
        assert_eq!(kind.fingerprint().0, "1:351ce876d15e94483e10de2ba573b40d");
    }
}
