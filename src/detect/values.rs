//! Attribute values as text, number and JSON, and texts cut to what is stored. Text is always valid
//! UTF-8 without NUL afterwards, the same in both databases.

use std::borrow::Cow;

use serde_json::Value as Json;

use crate::otlp::Value;

/// Lists and maps inside each other that are shown.
const MAX_DEPTH: u8 = 16;

/// As much of a value as is ever looked at: twice the longest text that is stored. A value can be as
/// long as a request, and longer than that once it is text.
const MAX_LOOKED_AT_BYTES: usize = 128 * 1024;

/// Text as it is kept: invalid UTF-8 and NUL become U+FFFD.
pub(super) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = beginning(bytes, MAX_LOOKED_AT_BYTES);
    // Most texts are ASCII, which is read eight bytes at a time here and one by one below.
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    };
    if text.as_bytes().contains(&0) {
        return Cow::Owned(text.replace('\0', "\u{fffd}"));
    }
    text
}

/// At most so many bytes, not cut within a character.
fn beginning(bytes: &[u8], max: usize) -> &[u8] {
    let is_inside = |byte: &u8| (byte & 0xc0) == 0x80;
    match bytes.split_at_checked(max) {
        Some((beginning, rest)) if rest.first().is_some_and(is_inside) => {
            let start = beginning.iter().rposition(|byte| !is_inside(byte));
            &beginning[..start.unwrap_or(beginning.len())]
        }
        Some((beginning, _)) => beginning,
        None => bytes,
    }
}

/// A text without spaces for longer than this is cut anywhere.
const MAX_WORD_BYTES: usize = 512;

/// A text that was cut to its limit.
pub(super) struct Text<'a> {
    pub text: &'a str,
    /// Something is missing.
    pub cut: bool,
}

impl<'a> Text<'a> {
    /// At most so many characters.
    pub fn chars(text: &'a str, max: usize) -> Self {
        if text.len() <= max {
            return Self { text, cut: false };
        }
        match text.char_indices().nth(max) {
            Some((end, _)) => Self {
                text: &text[..end],
                cut: true,
            },
            None => Self { text, cut: false },
        }
    }

    /// At most so many bytes, not cut within a word: half a secret may no longer look like one.
    pub fn whole_words(text: &'a str, max: usize) -> Self {
        let mut kept = Self::bytes(text, max);
        if kept.cut
            && let Some(space) = kept.text.rfind(char::is_whitespace)
            && kept.text.len() - space <= MAX_WORD_BYTES
        {
            kept.text = &kept.text[..space];
        }
        kept
    }

    /// At most so many bytes, ending on a character's boundary.
    pub fn bytes(text: &'a str, max: usize) -> Self {
        Self {
            text: &text[..text.floor_char_boundary(max)],
            cut: text.len() > max,
        }
    }

    pub fn into_string(self) -> String {
        self.text.to_owned()
    }
}

/// A value as text: lists are joined by newlines (Rust sends a stack as a list of lines).
pub(super) fn text(value: Value<'_>) -> Cow<'_, str> {
    match value {
        Value::Empty => Cow::Borrowed(""),
        Value::Str(bytes) => lossy(bytes),
        Value::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
        Value::Int(value) => Cow::Owned(value.to_string()),
        Value::Double(value) => Cow::Owned(value.to_string()),
        Value::Bytes(bytes) => printable(beginning(bytes, MAX_LOOKED_AT_BYTES)),
        Value::Array(_) => Cow::Owned(lines(value)),
        Value::Map(_) => Cow::Owned(json(value, &mut { MAX_LOOKED_AT_BYTES }).to_string()),
    }
}

fn lines(list: Value<'_>) -> String {
    let mut lines = String::new();
    for (place, item) in list.items().enumerate() {
        if lines.len() >= MAX_LOOKED_AT_BYTES {
            break;
        }
        if place > 0 {
            lines.push('\n');
        }
        lines.push_str(&text(item));
    }
    lines
}

/// A value as a whole number; `None` when it is none.
pub(super) fn int(value: Value<'_>) -> Option<i64> {
    match value {
        Value::Int(value) => Some(value),
        Value::Str(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
        Value::Double(value) => {
            (value.fract() == 0.0 && value.abs() < 1e15).then_some(value as i64)
        }
        Value::Array(_) => {
            let mut items = value.items();
            let first = items.next()?;
            (items.next().is_none() && !matches!(first, Value::Array(_)))
                .then(|| int(first))
                .flatten()
        }
        _ => None,
    }
}

/// A value as JSON. Texts take what they need from `left`, the bytes that may still be kept, and
/// are cut when it is used up.
pub(super) fn json(value: Value<'_>, left: &mut usize) -> Json {
    json_at(value, left, 0)
}

fn json_at(value: Value<'_>, left: &mut usize, depth: u8) -> Json {
    match value {
        Value::Empty => Json::Null,
        Value::Str(bytes) => json_text(&lossy(bytes), left),
        Value::Bool(value) => Json::Bool(value),
        Value::Int(value) => Json::from(value),
        Value::Double(value) => serde_json::Number::from_f64(value)
            .map_or_else(|| json_text(&value.to_string(), left), Json::Number),
        Value::Bytes(bytes) => {
            let kept = beginning(bytes, left.saturating_add(1));
            json_text(&printable(kept), left)
        }
        Value::Array(_) | Value::Map(_) if depth >= MAX_DEPTH => json_text("[too deep]", left),
        Value::Array(_) => {
            let mut items = Vec::new();
            for item in value.items() {
                if !take(left, ITEM_BYTES) {
                    break;
                }
                items.push(json_at(item, left, depth + 1));
            }
            Json::Array(items)
        }
        Value::Map(_) => {
            let mut entries = serde_json::Map::new();
            for entry in value.entries() {
                if !take(left, ITEM_BYTES) {
                    break;
                }
                let key = lossy(entry.key);
                let key = Text::bytes(&key, MAX_KEY_BYTES).text;
                take(left, key.len());
                entries.insert(key.to_owned(), json_at(entry.value, left, depth + 1));
            }
            Json::Object(entries)
        }
    }
}

/// The longest key that is kept.
pub(super) const MAX_KEY_BYTES: usize = 256;

/// What an item of a list or map costs beside its texts.
const ITEM_BYTES: usize = 4;

fn json_text(text: &str, left: &mut usize) -> Json {
    let kept = Text::whole_words(text, *left);
    if kept.cut {
        *left = 0;
    } else {
        take(left, kept.text.len());
    }
    Json::String(kept.into_string())
}

/// Takes so many bytes from what is left; false, with nothing left, when there are not as many.
fn take(left: &mut usize, bytes: usize) -> bool {
    let enough = *left >= bytes;
    *left = left.saturating_sub(bytes);
    enough
}

/// Bytes that are text are shown, and scrubbed, as such; others as hexadecimal digits.
fn printable(bytes: &[u8]) -> Cow<'_, str> {
    let is_unreadable = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t');
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(is_unreadable) => Cow::Borrowed(text),
        _ => Cow::Owned(hex(bytes)),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_value_as_long_as_a_request_only_the_beginning_is_looked_at() {
        let long = "ä".repeat(1_000_000);
        for text in [
            lossy(long.as_bytes()),
            lossy(&vec![0xff; 1_000_000]),
            text(Value::Bytes(&vec![7; 1_000_000])),
        ] {
            assert!(text.len() <= 3 * MAX_LOOKED_AT_BYTES);
        }
        for start in [long.clone(), format!("x{long}")] {
            assert!(matches!(lossy(start.as_bytes()), Cow::Borrowed(_)));
        }
    }
}
