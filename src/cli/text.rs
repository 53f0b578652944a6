//! Text for people. What telemetry says is shown as text, whatever a terminal would make of it:
//! every character that could move the cursor, recolour, or turn a line around is spelled out.

use std::{borrow::Cow, fmt::Write as _};

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::domain::Timestamp;

/// The text on one line, control characters spelled out.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(spelled_out).collect())
}

/// The text with its lines and tabs, other control characters spelled out.
pub(super) fn many_lines(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .map(|character| match character {
            '\n' | '\t' => character.to_string(),
            other => spelled_out(other),
        })
        .collect()
}

/// JSON that means the same, with those characters as `\u` escapes: a terminal may be what reads it.
pub(super) fn safe_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        if character == '\n' || !is_unsafe(character) {
            safe.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            let _ = write!(safe, "\\u{unit:04x}");
        }
    }
    safe
}

/// The line cut to so many columns of a terminal, which wide characters take two of.
pub(super) fn fit(line: &str, columns: usize) -> Cow<'_, str> {
    if line.width() <= columns {
        return Cow::Borrowed(line);
    }
    // Each character alone is at least as wide as in its place.
    let mut used = 1;
    let end = line.char_indices().find(|(_, character)| {
        used += character.width().unwrap_or(0);
        used > columns
    });
    let end = end.map_or(line.len(), |(at, _)| at);
    Cow::Owned(format!("{}…", &line[..end]))
}

/// The same, cut at its beginning.
pub(super) fn fit_end(line: &str, columns: usize) -> Cow<'_, str> {
    if line.width() <= columns {
        return Cow::Borrowed(line);
    }
    let mut used = 1;
    let before = line.char_indices().rev().find(|(_, character)| {
        used += character.width().unwrap_or(0);
        used > columns
    });
    let start = before.map_or(0, |(at, character)| at + character.len_utf8());
    Cow::Owned(format!("…{}", &line[start..]))
}

/// Control characters, other line ends, and what is not seen but changes what is: direction marks
/// and tags.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}')
}

fn spelled_out(character: char) -> String {
    if is_unsafe(character) {
        character.escape_default().to_string()
    } else {
        character.to_string()
    }
}

/// A number of things: `1 error`, `2 errors`, `2 mismatches`, `3,412 errors`.
pub(super) fn count(number: i64, what: &str) -> String {
    let shown = thousands(number);
    match number {
        1 => format!("{shown} {what}"),
        _ if what.ends_with("ch") => format!("{shown} {what}es"),
        _ => format!("{shown} {what}s"),
    }
}

/// `3,412`
pub(super) fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `2026-05-04 10:00:00`, UTC.
pub(super) fn to_the_second(at: Timestamp) -> String {
    at.to_datetime().format("%Y-%m-%d %H:%M:%S").to_string()
}

/// `10:00:00`, UTC.
pub(super) fn time_of_day(at: Timestamp) -> String {
    at.to_datetime().format("%H:%M:%S").to_string()
}

/// How long ago: `12s ago`, `4m ago`, `3h ago`, `2d ago`.
pub(super) fn ago(now: Timestamp, at: Timestamp) -> String {
    let seconds = (now.as_micros() - at.as_micros()) / 1_000_000;
    match seconds {
        ..=0 => "now".to_owned(),
        1..60 => format!("{seconds}s ago"),
        60..3_600 => format!("{}m ago", seconds / 60),
        3_600..86_400 => format!("{}h ago", seconds / 3_600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_talk_to_the_terminal() {
        assert_eq!(one_line("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(one_line("\u{9b}31m\u{7f}"), "\\u{9b}31m\\u{7f}");
        assert_eq!(one_line("\u{202e}txt\u{2028}"), "\\u{202e}txt\\u{2028}");
        assert_eq!(many_lines("a\r\n\tb\r\u{7}"), "a\n\tb\\r\\u{7}");
        // Wide and joined characters are text.
        assert_eq!(one_line("Zahlung 失敗 👩‍💻"), "Zahlung 失敗 👩‍💻");
    }

    #[test]
    fn json_stays_the_same_value_and_cannot_talk_to_the_terminal() {
        let value = serde_json::json!({"k": "\u{1b}]0;\u{9b}2J\u{7f}\u{202e}\u{e0041}\n"});
        let safe = safe_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(safe.is_ascii() && !safe.contains('\u{1b}'), "{safe}");
        assert!(safe.contains("\\udb40\\udc41"), "{safe}");
        let read: serde_json::Value = serde_json::from_str(&safe).unwrap();
        assert_eq!(read, value);
    }

    #[test]
    fn a_line_is_cut_by_the_columns_it_takes() {
        assert_eq!(fit("abcdef", 6), "abcdef");
        assert_eq!(fit("abcdef", 5), "abcd…");
        assert_eq!(fit("決済に失敗", 10), "決済に失敗");
        assert_eq!(fit("決済に失敗", 9), "決済に失…");
        assert_eq!(fit("決済に失敗", 8), "決済に…");
        assert_eq!(fit("ab", 0), "…");
        // Joined characters take less than each of them.
        assert_eq!(fit("👩‍💻", 2), "👩‍💻");
        assert_eq!(fit_end("abcdef", 6), "abcdef");
        assert_eq!(fit_end("abcdef", 5), "…cdef");
        assert_eq!(fit_end("決済に失敗", 10), "決済に失敗");
        assert_eq!(fit_end("決済に失敗", 9), "…済に失敗");
        assert_eq!(fit_end("決済に失敗", 8), "…に失敗");
        assert_eq!(fit_end("ab", 0), "…");
    }

    #[test]
    fn one_thing_is_not_many() {
        assert_eq!(count(0, "error"), "0 errors");
        assert_eq!(count(1, "error"), "1 error");
        assert_eq!(count(1_234_567, "mismatch"), "1,234,567 mismatches");
        assert_eq!(thousands(-1_000), "-1,000");
        assert_eq!(thousands(999), "999");
    }

    #[test]
    fn times_are_as_long_ago_as_people_say() {
        let ago = |seconds| ago(Timestamp::EPOCH.plus_seconds(seconds), Timestamp::EPOCH);
        assert_eq!([ago(-5), ago(0), ago(59)], ["now", "now", "59s ago"]);
        assert_eq!([ago(60), ago(3_599)], ["1m ago", "59m ago"]);
        assert_eq!([ago(7_199), ago(86_400 * 40)], ["1h ago", "40d ago"]);
    }
}
