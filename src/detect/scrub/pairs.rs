//! `password=x`, `"password": "x"`, `<password>x</password>`, `--password x`: values in texts behind
//! a key that is a secret's, in whatever notation.

use std::ops::Range;

use memchr::{memchr2_iter, memchr3_iter, memmem};

use super::{Found, SCRUBBED};

/// As far as a key is looked for before its separator.
const MAX_KEY_BYTES: usize = 64;

/// As far as a tag begins before its end.
const MAX_TAG_BYTES: usize = 256;

/// Bytes that are searched for the ends of brackets, for each byte of a text: as many as no honest
/// text needs.
const BRACKET_EFFORT: usize = 4;

/// Adds the values of secret keys. `is_secret` decides about a key; its second argument says that
/// the value is a number.
pub(super) fn find(text: &str, is_secret: &dyn Fn(&str, bool) -> bool, found: &mut Found) {
    let bytes = text.as_bytes();
    let mut effort = BRACKET_EFFORT * text.len();
    let mut done = 0;
    for at in memchr3_iter(b'=', b':', b'>', bytes) {
        if at < done {
            continue;
        }
        let key = if bytes[at] == b'>' {
            tag_before(text, at)
        } else {
            key_before(text, at)
        };
        let Some(key) = key else { continue };
        // Most keys are none: their value is looked at later.
        if !is_secret(key.name, false) {
            continue;
        }
        let Some(value) = value_after(text, at, &key, &mut effort) else {
            continue;
        };
        let is_number = text[value.clone()].bytes().all(|it| it.is_ascii_digit());
        if !is_number || is_secret(key.name, true) {
            done = value.end;
            found.add(value);
        }
    }
    let mut done = 0;
    for at in memmem::find_iter(bytes, "--") {
        if at < done {
            continue;
        }
        if let Some(value) = value_of_flag(text, at, is_secret, &mut effort) {
            done = value.end;
            found.add(value);
        }
    }
    for at in memchr2_iter(b'\'', b'"', bytes) {
        if let Some(value) = value_in_quotes(text, at, is_secret) {
            found.add(value);
        }
    }
}

/// What stands before a separator.
struct Key<'t> {
    name: &'t str,
    is_quoted: bool,
}

fn key_before(text: &str, separator: usize) -> Option<Key<'_>> {
    let bytes = text.as_bytes();
    let mut end = separator;
    let back = |end: &mut usize, matches: fn(u8) -> bool| {
        let start = *end;
        while *end > 0 && matches(bytes[*end - 1]) && start - *end < 8 {
            *end -= 1;
        }
        *end < start
    };
    // Of `::`, `:=`, `==` and `!=` one half is not the separator.
    if bytes[separator] == b':' && end > 0 && bytes[end - 1] == b':' {
        return None;
    }
    back(&mut end, |byte| {
        matches!(byte, b' ' | b'\t' | b'!' | b':' | b'=')
    });
    let is_quoted = back(&mut end, |byte| matches!(byte, b'"' | b'\'' | b'`' | b'\\'));
    let mut start = end;
    while start > 0 && end - start < MAX_KEY_BYTES && is_of_key(bytes[start - 1]) {
        start -= 1;
    }
    if start == end {
        return None;
    }
    // `API key: x`
    let name = &text[start..end];
    if (name.eq_ignore_ascii_case("key") || name.eq_ignore_ascii_case("keys"))
        && start > 0
        && bytes[start - 1] == b' '
    {
        start -= 1;
        while start > 0 && end - start < MAX_KEY_BYTES && is_of_key(bytes[start - 1]) {
            start -= 1;
        }
    }
    Some(Key {
        name: &text[start..end],
        is_quoted,
    })
}

fn is_of_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'$' | b'[' | b']')
}

/// The name of the tag that ends with `>` here.
fn tag_before(text: &str, end: usize) -> Option<Key<'_>> {
    let earliest = text.floor_char_boundary(end.saturating_sub(MAX_TAG_BYTES));
    let start = text[earliest..end].rfind('<')? + earliest + 1;
    let tag = &text[start..end];
    let name = tag.split_ascii_whitespace().next()?;
    // `xs:password`
    let name = name.rsplit(':').next()?;
    (!tag.ends_with('/')).then_some(Key {
        name,
        is_quoted: true,
    })
}

/// The value after a separator; `None` when it is none, or nothing that must not be seen.
fn value_after(
    text: &str,
    separator: usize,
    key: &Key<'_>,
    effort: &mut usize,
) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    if bytes[separator] == b'>' {
        let start = separator + 1;
        let end = text[start..]
            .find('<')
            .map_or(text.len(), |end| start + end);
        return meant(text, start..end);
    }
    let is_colon = bytes[separator] == b':';
    let after = bytes.get(separator + 1);
    if is_colon && (after == Some(&b':') || text[separator + 1..].starts_with("//")) {
        return None;
    }
    if is_colon && !key.is_quoted && (is_type_or_file(key.name) || is_prose(text, separator, key)) {
        return None;
    }
    let mut start = separator + 1;
    while matches!(bytes.get(start), Some(b'=' | b'>' | b'~')) {
        start += 1;
    }
    let may_wrap = key.is_quoted;
    while bytes.get(start).is_some_and(|byte| {
        matches!(byte, b' ' | b'\t') || (may_wrap && matches!(byte, b'\r' | b'\n'))
    }) {
        start += 1;
    }
    let end = value_end(text, start, key.name, effort);
    meant(text, end)
}

/// From where a value begins to where it ends, without its quotes.
fn value_end(text: &str, start: usize, key: &str, effort: &mut usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let backslashes = bytes[start..].iter().take_while(|it| **it == b'\\').count();
    let mut open = start + backslashes;
    // b'…' and u'…' of Python.
    if matches!(bytes.get(open), Some(b'b' | b'u'))
        && matches!(bytes.get(open + 1), Some(b'\'' | b'"'))
    {
        open += 1;
    }
    match bytes.get(open) {
        Some(quote @ (b'"' | b'\'' | b'`')) => {
            let run = bytes[open..].iter().take_while(|it| *it == quote).count();
            if run == 2 {
                return open + 1..open + 1;
            }
            let inner = open + run.min(3);
            inner..closing_quote(bytes, inner, *quote, backslashes)
        }
        Some(b'[' | b'{' | b'(') if !text[open..].starts_with(SCRUBBED) => {
            open..closing_bracket(text, open, effort)
        }
        _ if is_whole_line(key) => start..end_of_line(text, start),
        _ => start..end_of_word(text, start),
    }
}

/// Where the quote closes that was opened behind so many backslashes.
fn closing_quote(bytes: &[u8], start: usize, quote: u8, backslashes: usize) -> usize {
    let mut escapes = 0;
    for (place, byte) in bytes.iter().enumerate().skip(start) {
        if *byte == b'\\' {
            escapes += 1;
            continue;
        }
        let closes = if backslashes == 0 {
            escapes % 2 == 0
        } else {
            escapes <= backslashes
        };
        if *byte == quote && closes {
            return place - escapes.min(backslashes);
        }
        escapes = 0;
    }
    bytes.len()
}

/// Where the bracket that opens here closes; the end of the line when it does not, or when too much
/// of the text has been searched for brackets.
fn closing_bracket(text: &str, open: usize, effort: &mut usize) -> usize {
    let mut depth = 0_u32;
    let searched = text.as_bytes()[open..].iter().take(*effort);
    for (place, byte) in (open..).zip(searched) {
        *effort -= 1;
        match byte {
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' if depth <= 1 => return place + 1,
            b']' | b'}' | b')' => depth -= 1,
            _ => {}
        }
    }
    text[open..].find('\n').map_or(text.len(), |end| open + end)
}

/// Headers whose values have spaces in them.
fn is_whole_line(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.ends_with("authorization") || key.ends_with("cookie") || key.ends_with("cookies")
}

fn end_of_line(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if matches!(bytes.get(at + 1), Some(b'n' | b'r')) => break,
            // `username="x"` within; else the quote that the whole header stands in.
            b'"' if at > start && bytes[at - 1] == b'=' => {
                let close = memchr::memchr(b'"', &bytes[at + 1..]);
                at += close.map_or(1, |close| close + 1);
            }
            b'\n' | b'\r' | b'"' | b'\'' => break,
            _ => {}
        }
        at += 1;
    }
    at.min(bytes.len())
}

/// A value without quotes ends at a space, or at punctuation that seems to be no part of it.
fn end_of_word(text: &str, start: usize) -> usize {
    let rest = &text[start..];
    for (place, letter) in rest.char_indices() {
        let after = &rest[place + letter.len_utf8()..];
        let ends = match letter {
            '<' | '>' | '|' => true,
            '"' | '\'' | '`' | ')' | ']' | '}' => {
                !after.starts_with(|next: char| next.is_alphanumeric())
            }
            '&' | ';' | ',' => {
                after.is_empty()
                    || after.starts_with(|next: char| {
                        next.is_whitespace() || matches!(next, '"' | '\'' | '\\')
                    })
                    || starts_pair(after)
            }
            '\\' => after.starts_with(['"', '\'', 'n', 'r', 't']),
            other => other.is_whitespace(),
        };
        if ends {
            return start + place;
        }
    }
    text.len()
}

/// `user=…`, `user: …`
fn starts_pair(text: &str) -> bool {
    let name = text
        .bytes()
        .take_while(|byte| is_of_key(*byte) || *byte == b' ');
    let length = name.count();
    length > 0 && matches!(text.as_bytes().get(length), Some(b'=' | b':'))
}

/// The range when it holds something that must not be seen.
fn meant(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let value = text.get(range.clone())?;
    let is_nothing = matches!(
        value,
        "null" | "None" | "nil" | "undefined" | "true" | "false" | "True" | "False" | "YES" | "NO"
    );
    let says_something = value.chars().any(char::is_alphanumeric);
    (says_something && !is_nothing && !value.starts_with(SCRUBBED)).then_some(range)
}

/// `InvalidTokenException: …`, `auth.js:17`: what stands before the colon is no key.
fn is_type_or_file(name: &str) -> bool {
    let types = ["Exception", "Error", "Failure", "Fault", "Warning"];
    let is_type = types.iter().any(|end| name.ends_with(end));
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    is_type || CODE.contains(&extension)
}

#[rustfmt::skip]
const CODE: &[&str] = &[
    "js", "ts", "jsx", "tsx", "mjs", "cjs", "mts", "cts", "vue", "svelte", "py", "pyx", "java", "kt",
    "scala", "groovy", "clj", "go", "cs", "fs", "vb", "rb", "erb", "php", "rs", "c", "cc", "cpp",
    "h", "swift", "dart", "ex", "exs", "erl", "lua", "pl", "html",
];

/// `auth: token expired` is how Go names a package; `Unexpected token: }` is no secret.
fn is_prose(text: &str, separator: usize, key: &Key<'_>) -> bool {
    let before = &text[..separator - key.name.len().min(separator)];
    if before.ends_with("nexpected ") {
        return true;
    }
    let words = text[separator + 1..].strip_prefix(' ').unwrap_or("");
    let letters = words.bytes().take_while(u8::is_ascii_lowercase).count();
    let goes_on = words[letters..].starts_with(' ');
    key.name == "auth" && letters > 0 && goes_on
}

/// `--password x`
fn value_of_flag(
    text: &str,
    at: usize,
    is_secret: &dyn Fn(&str, bool) -> bool,
    effort: &mut usize,
) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let start = at + 2;
    let length = bytes[start..]
        .iter()
        .take(MAX_KEY_BYTES)
        .take_while(|byte| is_of_key(**byte))
        .count();
    let end = start + length;
    if length == 0 || bytes.get(end) != Some(&b' ') || !is_secret(&text[start..end], false) {
        return None;
    }
    if bytes.get(end + 1) == Some(&b'-') {
        return None;
    }
    meant(text, value_end(text, end + 1, "", effort))
}

/// `PASSWORD 'x'`, `IDENTIFIED BY 'x'`
fn value_in_quotes(
    text: &str,
    at: usize,
    is_secret: &dyn Fn(&str, bool) -> bool,
) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let before = bytes[..at]
        .strip_suffix(b" ")
        .or_else(|| bytes[..at].strip_suffix(b"("))?;
    let length = before
        .iter()
        .rev()
        .take(MAX_KEY_BYTES)
        .take_while(|it| is_of_key(**it));
    let start = before.len() - length.count();
    let (earlier, word) = (&text[..start], &text[start..before.len()]);
    let is_key = (word.eq_ignore_ascii_case("by") && ends_with(earlier, "IDENTIFIED "))
        || (!word.is_empty() && is_secret(word, false) && !earlier.ends_with("nexpected "));
    if !is_key {
        return None;
    }
    let end = closing_quote(bytes, at + 1, bytes[at], 0);
    let value = meant(text, at + 1..end)?;
    (value.len() >= 4).then_some(value)
}

fn ends_with(text: &str, end: &str) -> bool {
    text.len()
        .checked_sub(end.len())
        .and_then(|start| text.get(start..))
        .is_some_and(|last| last.eq_ignore_ascii_case(end))
}
