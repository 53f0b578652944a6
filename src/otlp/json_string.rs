//! Strings of JSON as they are lent: between their quotes, unescaped when somebody needs them.

use std::borrow::Cow;

use bumpalo::Bump;

/// Names longer than this once unescaped are nobody's.
pub(super) const NAME: usize = 32;

/// Of a longer text with escapes only the beginning is shown: a text can be as long as a request,
/// is unescaped as often as its list is gone over, and nobody keeps as much of it. Whole groups of
/// base64, of its digits and of its bytes.
pub(super) const SHOWN: usize = 384 * 1_024;

/// A string as it stands between its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub(super) raw: &'a [u8],
    pub(super) escaped: bool,
}

impl<'a> Text<'a> {
    /// Its characters, of a very long one the first; unescaped into the arena only when there is
    /// something to unescape.
    #[inline]
    pub(super) fn unescape<'s>(self, arena: &'s Bump) -> &'s [u8]
    where
        'a: 's,
    {
        if !self.escaped {
            return self.raw;
        }
        // An escape is never shorter than what it stands for.
        let buffer = arena.alloc_slice_fill_copy(self.raw.len().min(SHOWN), 0);
        let length = unescape(self.raw, buffer);
        &buffer[..length]
    }

    /// Its characters, of a very long one with escapes the first, for the moment.
    pub(super) fn unescaped(self) -> Cow<'a, [u8]> {
        if !self.escaped {
            return Cow::Borrowed(self.raw);
        }
        let mut buffer = vec![0; self.raw.len().min(SHOWN)];
        let length = unescape(self.raw, &mut buffer);
        buffer.truncate(length);
        Cow::Owned(buffer)
    }

    /// As the name of a field. Longer ones than any name become the empty name.
    #[inline]
    pub(super) fn name<'s>(self, buffer: &'s mut [u8; NAME]) -> &'s [u8]
    where
        'a: 's,
    {
        if !self.escaped {
            return self.raw;
        }
        // Six bytes are the longest escape of one.
        let mut unescaped = [0; 6 * NAME];
        if self.raw.len() > unescaped.len() {
            return b"";
        }
        let length = unescape(self.raw, &mut unescaped);
        match buffer.get_mut(..length) {
            Some(name) => {
                name.copy_from_slice(&unescaped[..length]);
                name
            }
            None => b"",
        }
    }
}

/// Unescapes a string that has been checked, as far as there is room. Gives the length.
fn unescape(raw: &[u8], into: &mut [u8]) -> usize {
    let room = into.len();
    let mut left = into;
    let mut put = |bytes: &[u8]| {
        let fitting = bytes.len().min(left.len());
        let (filled, rest) = std::mem::take(&mut left).split_at_mut(fitting);
        filled.copy_from_slice(&bytes[..fitting]);
        left = rest;
        !left.is_empty()
    };
    let mut rest = raw;
    let mut has_room = true;
    while has_room && !rest.is_empty() {
        let plain = rest.iter().position(|byte| *byte == b'\\');
        let (before, escape) = rest.split_at(plain.unwrap_or(rest.len()));
        has_room = put(before);
        rest = match escape {
            [_, b'u', after @ ..] => {
                let (character, after) = unescape_unicode(after);
                has_room = put(character.encode_utf8(&mut [0; 4]).as_bytes());
                after
            }
            [_, byte, after @ ..] => {
                has_room = put(&[match byte {
                    b'b' => 0x08,
                    b'f' => 0x0c,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    other => *other,
                }]);
                after
            }
            _ => b"",
        };
    }
    room - left.len()
}

/// The character after `\u`, and what follows it. A surrogate without its other half is U+FFFD.
fn unescape_unicode(text: &[u8]) -> (char, &[u8]) {
    let (unit, rest) = utf16_unit(text);
    if let (0xd800..0xdc00, [b'\\', b'u', low @ ..]) = (unit, rest) {
        let (low, after) = utf16_unit(low);
        if (0xdc00..0xe000).contains(&low) {
            let scalar = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            return (char::from_u32(scalar).unwrap_or('\u{fffd}'), after);
        }
    }
    (char::from_u32(unit).unwrap_or('\u{fffd}'), rest)
}

fn utf16_unit(text: &[u8]) -> (u32, &[u8]) {
    let (digits, rest) = text.split_at(text.len().min(4));
    let unit = digits.iter().fold(0, |unit, digit| {
        unit << 4 | char::from(*digit).to_digit(16).unwrap_or_default()
    });
    (unit, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_text_as_long_as_a_request_only_the_beginning_is_unescaped() {
        for (unit, character) in [
            (r"\u0041", "A"),
            (r"\ud83d\ude00", "😀"),
            (r"\u00e4x", "äx"),
        ] {
            let raw = unit.repeat(SHOWN);
            let arena = Bump::new();
            let text = Text {
                raw: raw.as_bytes(),
                escaped: true,
            };
            let shown = text.unescape(&arena);
            let shown_bytes = shown.len();
            let shown = String::from_utf8_lossy(shown);
            let characters = character.repeat(SHOWN / character.len());
            assert_eq!(&shown[..characters.len()], characters);
            assert!(arena.allocated_bytes() < 2 * SHOWN);
            assert_eq!(text.unescaped().len(), shown_bytes);
        }
    }
}
