//! Texts that hide what they say: letters that nobody sees between others, percent-encoding,
//! escapes, wide letters. Secrets are looked for in what is meant, and taken out of what was sent.

use std::ops::Range;

/// Encodings inside each other that are taken off.
const MAX_LAYERS: usize = 3;

/// Whether a text may say something else than it seems to. Cheap, and rather yes than no.
pub(super) fn is_disguised(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.any(|byte| matches!(byte, b'%' | b'\\') || byte >= 0x80) && reveal(text).is_some()
}

/// A letter that takes no room.
pub(super) fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// What a text means, and where each byte of that stands in the text.
pub(super) struct View {
    text: String,
    /// For each byte of `text`, and for its end.
    places: Vec<usize>,
}

impl View {
    pub fn of(text: &str) -> Self {
        let mut view = reveal(text).unwrap_or_else(|| Self {
            text: text.to_owned(),
            places: (0..=text.len()).collect(),
        });
        for _ in 1..MAX_LAYERS {
            let Some(mut deeper) = reveal(&view.text) else {
                break;
            };
            for place in &mut deeper.places {
                *place = view.places[*place];
            }
            view = deeper;
        }
        view
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where a part of the view stands in the text.
    pub fn range(&self, part: &Range<usize>) -> Range<usize> {
        self.places[part.start]..self.places[part.end]
    }

    fn push(&mut self, letter: char, place: usize) {
        if is_invisible(letter) {
            return;
        }
        let letter = match letter {
            // The wide forms of ASCII.
            '\u{ff01}'..='\u{ff5e}' => {
                char::from_u32(u32::from(letter) - 0xff01 + 0x21).unwrap_or(letter)
            }
            other => other,
        };
        self.text.push(letter);
        self.places.resize(self.text.len(), place);
    }
}

/// One layer less; `None` when there is none.
fn reveal(text: &str) -> Option<View> {
    let mut view = View {
        text: String::with_capacity(text.len()),
        places: Vec::with_capacity(text.len() + 1),
    };
    let mut has_changed = false;
    let mut place = 0;
    while let Some(letter) = text[place..].chars().next() {
        let rest = &text[place..];
        let taken = match letter {
            '%' => percent(rest).map(|(encoded, bytes)| {
                for letter in String::from_utf8_lossy(&bytes).chars() {
                    view.push(letter, place);
                }
                encoded
            }),
            '\\' => escape(rest).map(|(encoded, letter)| {
                view.push(letter, place);
                encoded
            }),
            _ => None,
        };
        if letter == '\\' && taken.is_none() {
            // All of a run at once: each would be asked again what follows the last.
            let run = rest.bytes().take_while(|byte| *byte == b'\\').count();
            for place in place..place + run {
                view.push(letter, place);
            }
            place += run;
            continue;
        }
        if let Some(taken) = taken {
            has_changed = true;
            place += taken;
            continue;
        }
        has_changed |= is_invisible(letter) || matches!(letter, '\u{ff01}'..='\u{ff5e}');
        view.push(letter, place);
        place += letter.len_utf8();
    }
    view.places.push(text.len());
    has_changed.then_some(view)
}

/// The bytes of as many `%XX` as make one letter, and their length.
fn percent(text: &str) -> Option<(usize, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [b'%', high, low, after @ ..] = rest {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
            break;
        };
        bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
        rest = after;
        // Only what is no letter yet goes on.
        if std::str::from_utf8(&bytes).is_ok() || bytes.len() == 4 {
            break;
        }
    }
    (!bytes.is_empty()).then(|| (text.len() - rest.len(), bytes))
}

/// `\u0070`, `\x70`, whose backslash may itself be escaped.
fn escape(text: &str) -> Option<(usize, char)> {
    let start = text.bytes().take_while(|byte| *byte == b'\\').count();
    let digits = match text.as_bytes().get(start)? {
        b'u' => 4,
        b'x' => 2,
        _ => return None,
    };
    let end = start + 1 + digits;
    let number = u32::from_str_radix(text.get(start + 1..end)?, 16).ok()?;
    Some((end, char::from_u32(number)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_seen_and_its_place_known() {
        for (text, meant) in [
            ("pass\u{200b}word", "password"),
            ("p%61ss%3Dx", "pass=x"),
            ("p%2561ss", "pass"),
            (r"pa\u0073s\x3dx", "pass=x"),
            (r"pa\\u0073s", "pass"),
            ("%E2%80%8Ba%C3%A4", "aä"),
            ("ｐａｓｓ", "pass"),
            ("100% %zz %f", "100% %zz %f"),
            ("%ff%", "\u{fffd}%"),
        ] {
            let view = View::of(text);
            assert_eq!(view.text(), meant);
            assert_eq!(view.range(&(0..meant.len())).end, text.len(), "{text}");
        }
        let view = View::of("x%3Dy\u{200b}z");
        assert_eq!(view.text(), "x=yz");
        assert_eq!(view.range(&(0..1)), 0..1);
        assert_eq!(view.range(&(1..2)), 1..4);
        assert_eq!(view.range(&(2..4)), 4..9);
    }

    #[test]
    fn what_is_plain_is_not_disguised() {
        for text in ["plain", "100 %", "C:\\users", "Grüße 👩‍🚀"] {
            let is_plain = !is_disguised(text) || text.contains('\u{200d}');
            assert!(is_plain, "{text}");
        }
        assert!(is_disguised("a\u{200b}b"));
        assert!(is_disguised("a%20b"));
    }
}
