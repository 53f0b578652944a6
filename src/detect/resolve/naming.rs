//! Whether one exception speaks of another.

use std::cell::Cell;

use crate::domain::Sighting;

/// Types that say nothing of what happened.
pub(in crate::detect) const GENERIC_TYPES: [&str; 18] = [
    "",
    "BaseException",
    "Error",
    "Exception",
    "Object",
    "RuntimeError",
    "RuntimeException",
    "StandardError",
    "Throwable",
    "errorString",
    "fundamental",
    "joinError",
    "object",
    "string",
    "withMessage",
    "withStack",
    "wrapError",
    "wrapErrors",
];

/// The key of `context` that marks a content of which texts were cut off to save room.
pub const TRIMMED: &str = "trimmed";

/// A first line shorter than this says too little to be recognised by.
const MIN_LINE_CHARS: usize = 8;

/// How many bytes of long texts are searched for names in one trace: as many as real traces never
/// have, and as can be searched while others wait.
const MAX_SEARCHED_BYTES: usize = 64 * 1024 * 1024;

/// Texts up to this length are always searched.
const SHORT_TEXT_BYTES: usize = 4 * 1024;

/// The naming tests of one trace.
pub(super) struct Naming {
    bytes_left: Cell<usize>,
}

impl Naming {
    pub(super) fn new() -> Self {
        Self {
            bytes_left: Cell::new(MAX_SEARCHED_BYTES),
        }
    }

    /// Whether either names the other.
    pub(super) fn are_related(&self, one: &Sighting, other: &Sighting) -> bool {
        self.names(one, other) || self.names(other, one)
    }

    /// Whether a log record and another exception anywhere in its trace are one failure. Two of one
    /// type with different messages are two failures: a job logs many of them.
    pub(super) fn are_one(&self, log: &Sighting, other: &Sighting) -> bool {
        if log.span_id.is_some() && log.span_id == other.span_id && log.thrown == other.thrown {
            return true;
        }
        let differ = match (&log.thrown, &other.thrown) {
            (Some(one), Some(other)) => {
                one.short_type == other.short_type
                    && one.first_line != other.first_line
                    && !one.first_line.is_empty()
                    && !other.first_line.is_empty()
            }
            _ => false,
        };
        self.speaks_of(log, other, !differ) || self.speaks_of(other, log, !differ)
    }

    /// Whether the exception of `speaker` names that of `other`: its type as a word, or its first
    /// line.
    ///
    /// Of a speaker whose texts were trimmed or went with a purged row, what was found before still
    /// holds.
    pub(super) fn names(&self, speaker: &Sighting, other: &Sighting) -> bool {
        self.speaks_of(speaker, other, true)
    }

    fn speaks_of(&self, speaker: &Sighting, other: &Sighting, by_type: bool) -> bool {
        let Some(thrown) = &other.thrown else {
            return false;
        };
        if speaker.row.is_some() && speaker.row == other.row && lacks_texts(speaker) {
            return true;
        }
        let short_type = thrown.short_type.as_str();
        let line = thrown.first_line.trim();
        let has_telling_type = by_type && !GENERIC_TYPES.contains(&short_type);
        let has_telling_line = line.chars().nth(MIN_LINE_CHARS - 1).is_some();
        if !has_telling_type && !has_telling_line {
            return false;
        }
        texts(speaker).any(|text| {
            self.may_search(text)
                && ((has_telling_type && contains_word(text, short_type))
                    || (has_telling_line && text.contains(line)))
        })
    }

    fn may_search(&self, text: &str) -> bool {
        if text.len() <= SHORT_TEXT_BYTES {
            return true;
        }
        let bytes_left = self.bytes_left.get().checked_sub(text.len());
        self.bytes_left.set(bytes_left.unwrap_or(0));
        bytes_left.is_some()
    }
}

/// Type, message and stack, as far as they are known.
fn texts(sighting: &Sighting) -> impl Iterator<Item = &str> {
    let content = sighting.content.as_deref();
    let whole = content.into_iter().flat_map(|content| {
        let texts = [&content.error_code, &content.error_stack].into_iter();
        texts
            .flatten()
            .chain([&content.error_message])
            .map(String::as_str)
    });
    let thrown = sighting.thrown.as_ref();
    let short = thrown.map(|thrown| [thrown.short_type.as_str(), thrown.first_line.as_str()]);
    whole.chain(short.into_iter().flatten())
}

fn lacks_texts(sighting: &Sighting) -> bool {
    let content = sighting.content.as_ref();
    content.is_none_or(|content| content.context.contains_key(TRIMMED))
}

fn contains_word(text: &str, word: &str) -> bool {
    let is_part_of_word = |char: char| char.is_alphanumeric() || char == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_part_of_word) && !after.is_some_and(is_part_of_word)
    })
}
