//! Secrets out of keys, URLs and texts, before anything is stored or logged. Each file here finds
//! one kind of them; what they find is replaced in one go.

mod cards;
mod hidden;
mod keys;
mod pairs;
mod tokens;
mod urls;

use std::{borrow::Cow, ops::Range};

use serde_json::Value as Json;

use super::settings::{Kept, Scrubbing};

pub(in crate::detect) use keys::words_of;

/// What stands in place of a secret.
pub(super) const SCRUBBED: &str = "[scrubbed]";

/// Takes secrets out, and counts them.
#[derive(Debug)]
pub(super) struct Scrubber<'s> {
    settings: &'s Scrubbing,
    /// How many were taken out.
    pub count: u64,
}

impl<'s> Scrubber<'s> {
    pub fn new(settings: &'s Scrubbing) -> Self {
        Self { settings, count: 0 }
    }

    pub fn kept(&self) -> Kept {
        self.settings.kept
    }

    /// A value under its key, in place: all of it when the key is a secret's, else what its texts
    /// hold.
    pub fn json(&mut self, key: &str, value: &mut Json) {
        if !self.settings.is_on {
            return;
        }
        let says_something = match value {
            Json::Null | Json::Bool(_) => false,
            Json::String(text) => !text.is_empty() && text != SCRUBBED,
            Json::Number(_) | Json::Array(_) | Json::Object(_) => true,
        };
        let is_query = QUERY_KEYS.contains(&key);
        if says_something
            && (self.is_secret_key(key, value.is_number()) || (is_query && !value.is_string()))
        {
            self.take(value);
            return;
        }
        match value {
            Json::String(text) => {
                let scrubbed = if is_query {
                    self.query(text)
                } else {
                    self.text(text)
                };
                if let Cow::Owned(scrubbed) = scrubbed {
                    *text = scrubbed;
                }
            }
            Json::Number(number) => {
                let digits = number.to_string();
                let digits: Vec<u32> = digits.chars().filter_map(|it| it.to_digit(10)).collect();
                if number.is_u64() && cards::is_card_number(&digits) {
                    self.take(value);
                }
            }
            Json::Array(items) => self.list(items),
            Json::Object(entries) => self.object(entries),
            Json::Null | Json::Bool(_) => {}
        }
    }

    /// A text of any kind.
    pub fn text<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        if !self.settings.is_on {
            return Cow::Borrowed(text);
        }
        let mut found = Found::default();
        let look = Look::at(text);
        self.find(text, look, &mut found);
        if look.may_be_disguised() && hidden::is_disguised(text) {
            let view = hidden::View::of(text);
            let mut meant = Found::default();
            self.find(view.text(), Look::at(view.text()), &mut meant);
            for range in &meant.0 {
                found.add(view.range(range));
            }
        }
        self.replace(text, found)
    }

    /// A text that is kept as a key, a name or a column.
    pub fn owned(&mut self, text: &mut String) {
        if let Cow::Owned(scrubbed) = self.text(text) {
            *text = scrubbed;
        }
    }

    fn find(&self, text: &str, look: Look, found: &mut Found) {
        if look.has(Look::PAIR | Look::QUOTE | Look::DASH) {
            let is_secret = |key: &str, of_number| self.is_secret_key(key, of_number);
            pairs::find(text, &is_secret, found);
        }
        if look.has(Look::URL) {
            urls::find(text, found);
        }
        if text.len() >= tokens::MIN_BYTES {
            tokens::find(text, found);
        }
        if look.digits >= cards::MIN_DIGITS {
            cards::find(text, found);
        }
        for pattern in &self.settings.patterns {
            for captures in pattern.captures_iter(text) {
                let secret = captures.iter().skip(1).flatten().next();
                found.add(secret.or(captures.get(0)).map_or(0..0, |it| it.range()));
            }
        }
    }

    /// The query of a URL, without `?`.
    fn query<'t>(&mut self, query: &'t str) -> Cow<'t, str> {
        let mut found = Found::default();
        urls::find_values(query, 0..query.len(), true, &mut found);
        self.replace(query, found)
    }

    /// Names and values that follow each other: `["--token", "x"]`, `["password", "x"]`.
    fn list(&mut self, items: &mut [Json]) {
        let is_pair = items.len() == 2;
        let mut names_secret = false;
        for item in items {
            if names_secret && !matches!(item, Json::Null | Json::Bool(_)) {
                self.take(item);
                names_secret = false;
                continue;
            }
            names_secret = item.as_str().is_some_and(|name| {
                (is_pair || name.starts_with('-'))
                    && !name.contains(['=', ' '])
                    && self.is_secret_key(name, false)
            });
            self.json("", item);
        }
    }

    /// Each value under its key. In `{"name": "password", "value": "x"}` the name is the key.
    pub fn object(&mut self, entries: &mut serde_json::Map<String, Json>) {
        let name = ["name", "key", "header"]
            .iter()
            .find_map(|name| entries.get(*name)?.as_str().map(str::to_owned));
        let mut has_secret_in_key = false;
        for (key, value) in entries.iter_mut() {
            let key = match &name {
                Some(name) if key.eq_ignore_ascii_case("value") => name,
                _ => key,
            };
            self.json(key, value);
            has_secret_in_key |= self.holds_secret(key);
        }
        if has_secret_in_key {
            let whole = std::mem::take(entries);
            for (mut key, value) in whole {
                self.owned(&mut key);
                entries.insert(key, value);
            }
        }
    }

    fn holds_secret(&self, text: &str) -> bool {
        let mut scrubber = Self::new(self.settings);
        matches!(scrubber.text(text), Cow::Owned(_))
    }

    fn is_secret_key(&self, key: &str, of_number: bool) -> bool {
        keys::is_secret_key(key, of_number) || keys::is_named(key, &self.settings.keys.0)
    }

    fn take(&mut self, value: &mut Json) {
        self.count += 1;
        *value = Json::from(SCRUBBED);
    }

    fn replace<'t>(&mut self, text: &'t str, found: Found) -> Cow<'t, str> {
        let ranges = found.merged(text);
        if ranges.is_empty() {
            return Cow::Borrowed(text);
        }
        self.count += ranges.len() as u64;
        let mut scrubbed = String::with_capacity(text.len());
        let mut end = 0;
        for range in ranges {
            scrubbed.push_str(&text[end..range.start]);
            scrubbed.push_str(SCRUBBED);
            end = range.end;
        }
        scrubbed.push_str(&text[end..]);
        Cow::Owned(scrubbed)
    }
}

/// Attributes whose value is a query.
const QUERY_KEYS: &[&str] = &["url.query"];

/// Where secrets stand in a text.
#[derive(Debug, Default)]
struct Found(Vec<Range<usize>>);

impl Found {
    fn add(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.0.push(range);
        }
    }

    /// In order, without overlaps, and without what was taken out before.
    fn merged(mut self, text: &str) -> Vec<Range<usize>> {
        self.0.sort_by_key(|range| (range.start, range.end));
        let mut merged: Vec<Range<usize>> = Vec::with_capacity(self.0.len());
        for range in self.0 {
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ if is_scrubbed(&text[range.start..], range.len()) => {}
                _ => merged.push(range),
            }
        }
        merged
    }
}

/// Whether a text begins with what stands in place of a secret, and that is all that was found.
fn is_scrubbed(text: &str, length: usize) -> bool {
    text.starts_with(SCRUBBED) && length <= SCRUBBED.len()
}

/// What the bytes of a text alone say of what may be in it: most texts are done with this.
#[derive(Clone, Copy)]
struct Look {
    classes: u8,
    digits: usize,
}

impl Look {
    const PAIR: u8 = 1;
    const QUOTE: u8 = 2;
    const DASH: u8 = 4;
    const URL: u8 = 8;
    const DISGUISE: u8 = 16;

    const CLASSES: [u8; 256] = {
        let mut classes = [0; 256];
        classes[b'=' as usize] = Self::PAIR;
        classes[b':' as usize] = Self::PAIR | Self::URL;
        classes[b'>' as usize] = Self::PAIR;
        classes[b'\'' as usize] = Self::QUOTE;
        classes[b'"' as usize] = Self::QUOTE;
        classes[b'-' as usize] = Self::DASH;
        classes[b'?' as usize] = Self::URL;
        classes[b'#' as usize] = Self::URL;
        classes[b'%' as usize] = Self::DISGUISE;
        classes[b'\\' as usize] = Self::DISGUISE;
        let mut high = 0x80;
        while high < 256 {
            classes[high] = Self::DISGUISE;
            high += 1;
        }
        classes
    };

    fn at(text: &str) -> Self {
        let bytes = text.as_bytes();
        let classes = bytes.iter().fold(0, |classes, byte| {
            classes | Self::CLASSES[usize::from(*byte)]
        });
        Self {
            classes,
            digits: bytes.iter().filter(|byte| byte.is_ascii_digit()).count(),
        }
    }

    fn has(self, classes: u8) -> bool {
        self.classes & classes != 0
    }

    fn may_be_disguised(self) -> bool {
        self.has(Self::DISGUISE)
    }
}

#[cfg(test)]
mod tests;
