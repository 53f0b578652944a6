//! A pull parser for JSON: nothing is built, text is lent. Syntax is RFC 8259, but for bytes inside
//! strings, which need not be UTF-8.

#![expect(
    clippy::inline_always,
    reason = "small results would go through memory"
)]

use super::Refusal;
use super::json_fault::Fault;
use super::json_string::{NAME, Text};

/// How deep arrays and objects may be nested.
const DEPTH: u32 = 64;

/// Reads a document from its beginning on.
#[derive(Clone, Debug)]
pub(super) struct Parser<'a> {
    text: &'a [u8],
    rest: &'a [u8],
    /// Arrays and objects that are open.
    depth: u32,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            rest: text,
            depth: 0,
        }
    }

    #[cold]
    pub(super) fn fault(&self, reason: &str) -> Fault {
        let at = self.text.len() - self.rest.len();
        Refusal::Malformed(format!("{reason} at byte {at}")).into()
    }

    /// Refuses whatever follows the document.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.fault("something follows the end")),
        }
    }

    /// The next byte that is not white space; it is not consumed.
    #[inline(always)]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.rest {
                [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] => self.rest = rest,
                [byte, ..] => return Some(*byte),
                [] => return None,
            }
        }
    }

    #[inline(always)]
    fn take(&mut self, expected: u8, reason: &str) -> Result<(), Fault> {
        if self.peek() == Some(expected) {
            self.rest = &self.rest[1..];
            Ok(())
        } else {
            Err(self.fault(reason))
        }
    }

    #[inline(always)]
    fn open(&mut self, bracket: u8, reason: &str) -> Result<(), Fault> {
        self.take(bracket, reason)?;
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.fault("arrays and objects are nested more than 64 deep"));
        }
        Ok(())
    }

    #[inline]
    fn literal(&mut self, literal: &[u8]) -> Result<(), Fault> {
        match self.rest.strip_prefix(literal) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None => Err(self.fault("expected a JSON value")),
        }
    }

    /// Whether `null` comes next; consumed if so.
    #[inline(always)]
    pub(super) fn null(&mut self) -> Result<bool, Fault> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.literal(b"null").map(|()| true)
    }

    /// Reads an object. The reader of a field gets its name and must consume its value; a field
    /// that is `null` is passed over, as if it were not there.
    #[inline(always)]
    pub(super) fn object(
        &mut self,
        mut field: impl FnMut(&mut Self, &[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.open(b'{', "expected an object")?;
        let mut buffer = [0; NAME];
        let mut first = true;
        while let Some(key) = self.next_key(first)? {
            first = false;
            let name = key.name(&mut buffer);
            if !self.null()? {
                field(self, name).map_err(|fault| fault.in_field(name))?;
            }
        }
        Ok(())
    }

    /// Reads an array. The reader of an element must consume it; one that is `null` is passed over.
    #[inline(always)]
    pub(super) fn array(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.open(b'[', "expected an array")?;
        let mut index = 0;
        while self.next_element(index == 0)? {
            if !self.null()? {
                element(self).map_err(|fault| fault.in_element(index))?;
            }
            index += 1;
        }
        Ok(())
    }

    /// Enters an array whose elements are read with [`Self::next_element`].
    pub(super) fn enter_array(&mut self) -> Result<(), Fault> {
        self.open(b'[', "expected an array")
    }

    /// Whether an array that has been entered goes on.
    #[inline(always)]
    pub(super) fn next_element(&mut self, first: bool) -> Result<bool, Fault> {
        match self.peek() {
            Some(b']') => {
                self.rest = &self.rest[1..];
                self.depth -= 1;
                return Ok(false);
            }
            Some(b',') if !first => self.rest = &self.rest[1..],
            Some(_) if first => {}
            _ => return Err(self.fault("expected `,` or `]`")),
        }
        Ok(true)
    }

    /// The next key of an object that has been entered, up to its value.
    #[inline(always)]
    fn next_key(&mut self, first: bool) -> Result<Option<Text<'a>>, Fault> {
        match self.peek() {
            Some(b'}') => {
                self.rest = &self.rest[1..];
                self.depth -= 1;
                return Ok(None);
            }
            Some(b',') if !first => self.rest = &self.rest[1..],
            Some(_) if first => {}
            _ => return Err(self.fault("expected `,` or `}`")),
        }
        self.key().map(Some)
    }

    #[inline(always)]
    fn key(&mut self) -> Result<Text<'a>, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.fault("expected a key"));
        }
        let key = self.string()?;
        self.take(b':', "expected `:`")?;
        Ok(key)
    }

    /// From the value of a field on: a later field of the same object, the last of that name. The
    /// parser given stands before its value.
    pub(super) fn later_field(&self, name: &[u8]) -> Result<Option<Self>, Fault> {
        let mut ahead = self.clone();
        let mut found = None;
        let mut buffer = [0; NAME];
        ahead.skip()?;
        while let Some(key) = ahead.next_key(false)? {
            if ahead.null()? {
                continue;
            }
            if key.name(&mut buffer) == name {
                found = Some(ahead.clone());
            }
            ahead.skip()?;
        }
        Ok(found)
    }

    /// Reads a string.
    #[inline(always)]
    pub(super) fn string(&mut self) -> Result<Text<'a>, Fault> {
        self.take(b'"', "expected a string")?;
        match self.plain_string() {
            Some(raw) => Ok(Text {
                raw,
                escaped: false,
            }),
            None => self.escaped_string(),
        }
    }

    /// Reads a string from behind its quote, if it has no escapes.
    #[inline(always)]
    pub(super) fn plain_string(&mut self) -> Option<&'a [u8]> {
        let (raw, rest) = self.rest.split_at_checked(plain_length(self.rest))?;
        let [b'"', after @ ..] = rest else {
            return None;
        };
        self.rest = after;
        Some(raw)
    }

    #[cold]
    fn escaped_string(&mut self) -> Result<Text<'a>, Fault> {
        let start = self.rest;
        loop {
            let (_, rest) = self.rest.split_at(plain_length(self.rest));
            self.rest = match rest {
                [b'"', after @ ..] => {
                    self.rest = after;
                    return Ok(Text {
                        raw: &start[..start.len() - rest.len()],
                        escaped: true,
                    });
                }
                [
                    b'\\',
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
                    after @ ..,
                ] => after,
                [b'\\', b'u', a, b, c, d, after @ ..]
                    if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) =>
                {
                    after
                }
                _ => {
                    self.rest = rest;
                    return Err(self.fault(match rest {
                        [b'\\', ..] => "an escape that does not exist",
                        [] => "a string without end",
                        _ => "a control character in a string",
                    }));
                }
            };
        }
    }

    /// Skips these bytes if they come next, just so.
    #[inline(always)]
    pub(super) fn exactly(&mut self, text: &[u8]) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Whether so many arrays and objects may be opened.
    pub(super) fn may_open(&self, levels: u32) -> bool {
        self.depth + levels <= DEPTH
    }

    /// Reads digits.
    #[inline]
    pub(super) fn digits(&mut self) -> &'a [u8] {
        let start = self.rest;
        self.rest = after_digits(start);
        &start[..start.len() - self.rest.len()]
    }

    /// Reads a number, as its text.
    pub(super) fn number(&mut self) -> Result<&'a [u8], Fault> {
        self.peek();
        let start = self.rest;
        let mut rest = start.strip_prefix(b"-").unwrap_or(start);
        rest = match rest {
            [b'0', after @ ..] => after,
            [b'1'..=b'9', ..] => after_digits(rest),
            _ => return Err(self.fault("expected a number")),
        };
        if let [b'.', after @ ..] = rest {
            rest = self.some_digits(after)?;
        }
        if let [b'e' | b'E', after @ ..] = rest {
            let after = match after {
                [b'+' | b'-', after @ ..] => after,
                _ => after,
            };
            rest = self.some_digits(after)?;
        }
        self.rest = rest;
        Ok(&start[..start.len() - rest.len()])
    }

    fn some_digits(&self, text: &'a [u8]) -> Result<&'a [u8], Fault> {
        let after = after_digits(text);
        if after.len() == text.len() {
            return Err(self.fault("a number lacks digits"));
        }
        Ok(after)
    }

    /// Reads `true` or `false`.
    pub(super) fn boolean(&mut self) -> Result<bool, Fault> {
        match self.peek() {
            Some(b't') => self.literal(b"true").map(|()| true),
            Some(b'f') => self.literal(b"false").map(|()| false),
            _ => Err(self.fault("expected true or false")),
        }
    }

    /// Whether a string comes next.
    #[inline]
    pub(super) fn at_string(&mut self) -> bool {
        self.peek() == Some(b'"')
    }

    /// The text of a value that the reader consumes.
    #[inline]
    pub(super) fn text_of(
        &mut self,
        reader: impl FnOnce(&mut Self) -> Result<(), Fault>,
    ) -> Result<&'a [u8], Fault> {
        self.peek();
        let start = self.rest;
        reader(self)?;
        Ok(&start[..start.len() - self.rest.len()])
    }

    /// Reads any value, checking its syntax only.
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        let floor = self.depth;
        // Bit by bit, innermost last: whether what is open here is an array.
        let mut arrays = 0_u64;
        loop {
            let mut first = false;
            match self.peek() {
                Some(b'"') => {
                    self.string()?;
                }
                Some(b'{') => {
                    self.open(b'{', "")?;
                    arrays <<= 1;
                    first = true;
                }
                Some(b'[') => {
                    self.open(b'[', "")?;
                    arrays = arrays << 1 | 1;
                    first = true;
                }
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                Some(b'-' | b'0'..=b'9') => {
                    self.number()?;
                }
                _ => return Err(self.fault("expected a JSON value")),
            }
            // Up to the next value, leaving what ends here.
            loop {
                if self.depth == floor {
                    return Ok(());
                }
                let goes_on = if arrays & 1 == 1 {
                    self.next_element(first)?
                } else {
                    self.next_key(first)?.is_some()
                };
                if goes_on {
                    break;
                }
                first = false;
                arrays >>= 1;
            }
        }
    }
}

fn after_digits(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let [b'0'..=b'9', after @ ..] = rest {
        rest = after;
    }
    rest
}

/// How much of a string's text comes before a quote, a backslash or a control character.
#[inline]
fn plain_length(text: &[u8]) -> usize {
    let mut length = 0;
    let (chunks, rest) = text.as_chunks();
    for chunk in chunks {
        let special = special_bytes(u64::from_le_bytes(*chunk));
        if special != 0 {
            return length + special.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    length + rest.iter().position(special).unwrap_or(rest.len())
}

/// The high bit of each byte that is a quote, a backslash or a control character. Bits above the
/// lowest one that is set may be wrong.
#[inline]
fn special_bytes(chunk: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let quote = chunk ^ (ONES * 0x22);
    let backslash = chunk ^ (ONES * 0x5c);
    let quotes = quote.wrapping_sub(ONES) & !quote;
    let backslashes = backslash.wrapping_sub(ONES) & !backslash;
    let controls = chunk.wrapping_sub(ONES * 0x20) & !chunk;
    (quotes | backslashes | controls) & HIGH
}
