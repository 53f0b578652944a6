//! The fields of OTLP in JSON: attributes and their values, ids, numbers and enums.

use bumpalo::Bump;

use super::json_fault::Fault;
use super::json_string::{SHOWN, Text};
use super::json_text::Parser;
use super::views::{Attribute, Nested, TOO_DEEP, VALUE_DEPTH, Value};

/// Stands for an id that is not hexadecimal: no id has this length.
const INVALID_ID: &[u8] = b"?";

/// What becomes of text that is read.
#[derive(Clone, Copy)]
pub(super) enum Read<'s> {
    /// It is shown: unescaped into the arena, lists in it are checked.
    Shown(&'s Bump),
    /// It is shown, and lists in it have been checked.
    Checked(&'s Bump),
    /// It is only checked; what comes back is not to be used.
    Check,
}

impl<'s> Read<'s> {
    #[inline]
    fn text<'a: 's>(self, text: Text<'a>) -> &'s [u8] {
        match self {
            Read::Shown(arena) | Read::Checked(arena) => text.unescape(arena),
            Read::Check => text.raw,
        }
    }
}

/// Reads a `KeyValue` with `depth` lists and maps around it.
#[inline]
pub(super) fn attribute<'a: 's, 's>(
    parser: &mut Parser<'a>,
    read: Read<'s>,
    depth: u8,
) -> Result<Attribute<'s>, Fault> {
    let mut attribute = Attribute {
        key: b"",
        value: Value::Empty,
    };
    parser.object(|parser, name| {
        match name {
            b"key" => attribute.key = read.text(parser.string()?),
            b"value" => attribute.value = any_value(parser, read, depth)?,
            _ => parser.skip()?,
        }
        Ok(())
    })?;
    Ok(attribute)
}

/// Reads a `KeyValue` if it is written as nearly all are: no white space, no escapes, first the key
/// and then text or a number. The attribute is handed on where it is made, because moving it costs
/// more than reading it.
#[expect(clippy::inline_always, reason = "so that it is made where it is kept")]
#[inline(always)]
pub(super) fn plain_attribute<'a>(
    parser: &mut Parser<'a>,
    put: impl FnOnce(Attribute<'a>),
) -> bool {
    let mut ahead = parser.clone();
    if !ahead.may_open(2) || !ahead.exactly(br#"{"key":""#) {
        return false;
    }
    let Some(key) = ahead.plain_string() else {
        return false;
    };
    if ahead.exactly(br#","value":{"stringValue":""#) {
        if let Some(text) = ahead.plain_string()
            && ahead.exactly(b"}}")
        {
            *parser = ahead;
            let value = Value::Str(text);
            put(Attribute { key, value });
            return true;
        }
    } else if ahead.exactly(br#","value":{"intValue":""#)
        && let Some(number) = short_integer(ahead.digits())
        && let Ok(number) = i64::try_from(number)
        && ahead.exactly(b"\"}}")
    {
        *parser = ahead;
        let value = Value::Int(number);
        put(Attribute { key, value });
        return true;
    }
    false
}

/// Reads an `AnyValue`; of several fields the last wins.
pub(super) fn any_value<'a: 's, 's>(
    parser: &mut Parser<'a>,
    read: Read<'s>,
    depth: u8,
) -> Result<Value<'s>, Fault> {
    let mut value = Value::Empty;
    parser.object(|parser, name| {
        value = match name {
            b"stringValue" => Value::Str(read.text(parser.string()?)),
            b"intValue" => Value::Int(signed(parser)?),
            b"boolValue" => Value::Bool(parser.boolean()?),
            b"doubleValue" => Value::Double(double(parser)?),
            b"bytesValue" => Value::Bytes(base64(parser, read)?),
            b"arrayValue" => list(parser, read, depth, |parser| {
                any_value(parser, Read::Check, 0).map(drop)
            })?
            .map_or(Value::Empty, Value::Array),
            b"kvlistValue" => list(parser, read, depth, |parser| {
                attribute(parser, Read::Check, 0).map(drop)
            })?
            .map_or(Value::Empty, Value::Map),
            _ => {
                parser.skip()?;
                value
            }
        };
        Ok(())
    })?;
    Ok(value)
}

/// Reads an `ArrayValue` or `KeyValueList`: none when it is not shown.
fn list<'a: 's, 's>(
    parser: &mut Parser<'a>,
    read: Read<'s>,
    depth: u8,
    check_element: fn(&mut Parser<'a>) -> Result<(), Fault>,
) -> Result<Option<Nested<'s>>, Fault> {
    let mut text: &[u8] = b"[]";
    parser.object(|parser, name| {
        match name {
            b"values" => {
                text = parser.text_of(|parser| match read {
                    Read::Checked(_) => parser.skip(),
                    Read::Shown(_) | Read::Check => parser.array(check_element),
                })?;
            }
            _ => parser.skip()?,
        }
        Ok(())
    })?;
    Ok(match read {
        Read::Shown(arena) | Read::Checked(arena) => Some(Nested::Json { text, arena, depth }),
        Read::Check => None,
    })
}

/// Goes over the elements of a JSON array that has been checked.
#[derive(Clone, Debug)]
pub(super) struct JsonElements<'a> {
    parser: Parser<'a>,
    first: bool,
    arena: &'a Bump,
    depth: u8,
}

impl<'a> JsonElements<'a> {
    /// Elements have `depth` lists and maps around them.
    pub(super) fn new(text: &'a [u8], arena: &'a Bump, depth: u8) -> Option<Self> {
        let mut parser = Parser::new(text);
        parser.enter_array().ok()?;
        Some(Self {
            parser,
            first: true,
            arena,
            depth,
        })
    }

    fn next(&mut self) -> Option<()> {
        let first = std::mem::replace(&mut self.first, false);
        self.parser.next_element(first).ok()?.then_some(())
    }

    /// The next value; `null` is one without content, so that the others keep their places.
    pub(super) fn next_value(&mut self) -> Option<Value<'a>> {
        self.next()?;
        if self.depth >= VALUE_DEPTH {
            self.parser.skip().ok()?;
            return Some(TOO_DEEP);
        }
        if self.parser.null().ok()? {
            return Some(Value::Empty);
        }
        any_value(&mut self.parser, Read::Checked(self.arena), self.depth).ok()
    }

    pub(super) fn next_attribute(&mut self) -> Option<Attribute<'a>> {
        self.next()?;
        while self.parser.null().ok()? {
            self.next()?;
        }
        let mut attribute =
            attribute(&mut self.parser, Read::Checked(self.arena), self.depth).ok()?;
        if self.depth >= VALUE_DEPTH {
            attribute.value = TOO_DEEP;
        }
        Some(attribute)
    }
}

/// Reads an id in hexadecimal of any case. What is not becomes an id of no valid length, so that
/// only the item that has it is refused.
pub(super) fn id<'a: 's, 's>(parser: &mut Parser<'a>, arena: &'s Bump) -> Result<&'s [u8], Fault> {
    let text = parser.string()?.unescape(arena);
    let mut bytes = [0; 16];
    let (digits, rest) = text.as_chunks::<2>();
    let Some(bytes) = bytes.get_mut(..digits.len()) else {
        return Ok(INVALID_ID);
    };
    let mut valid = rest.is_empty();
    for (byte, [high, low]) in bytes.iter_mut().zip(digits) {
        let (high, low) = (hex_digit(*high), hex_digit(*low));
        valid &= high | low < 16;
        *byte = high << 4 | low & 15;
    }
    if !valid {
        return Ok(INVALID_ID);
    }
    Ok(arena.alloc_slice_copy(bytes))
}

/// The value of a hexadecimal digit; of anything else a value with bits above the lowest four.
#[inline]
fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0xf0,
    }
}

/// Reads bytes in base64, of either alphabet, with or without padding; of very many the first.
fn base64<'a: 's, 's>(parser: &mut Parser<'a>, read: Read<'s>) -> Result<&'s [u8], Fault> {
    let before = parser.clone();
    let text = parser.string()?.unescaped();
    let digits = match &*text {
        [digits @ .., b'=', b'='] | [digits @ .., b'='] if text.len() % 4 == 0 => digits,
        text => text,
    };
    if digits.len() % 4 == 1 || digits.iter().any(|digit| base64_digit(*digit).is_none()) {
        return Err(before.fault("expected base64"));
    }
    let (Read::Shown(arena) | Read::Checked(arena)) = read else {
        return Ok(b"");
    };
    let bytes = arena.alloc_slice_fill_copy((digits.len() * 3 / 4).min(SHOWN), 0);
    for (bytes, digits) in bytes.chunks_mut(3).zip(digits.chunks(4)) {
        let mut group = [0; 4];
        for (value, digit) in group.iter_mut().zip(digits) {
            *value = base64_digit(*digit).unwrap_or_default();
        }
        let [a, b, c, d] = group;
        let decoded = [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d];
        bytes.copy_from_slice(&decoded[..bytes.len()]);
    }
    Ok(bytes)
}

fn base64_digit(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// Reads a 64-bit integer, as a number or a string.
fn signed(parser: &mut Parser<'_>) -> Result<i64, Fault> {
    integer(parser, "expected a 64-bit integer")
}

/// Reads a 64-bit integer without a sign, as a number or a string.
pub(super) fn unsigned(parser: &mut Parser<'_>) -> Result<u64, Fault> {
    integer(parser, "expected a 64-bit integer without a sign")
}

/// Reads a 32-bit integer without a sign.
pub(super) fn unsigned32(parser: &mut Parser<'_>) -> Result<u32, Fault> {
    integer(parser, "expected a 32-bit integer without a sign")
}

/// Reads an enum: its number or one of its names. Neither known number nor known name is 0.
pub(super) fn enumeration(parser: &mut Parser<'_>, names: &[(&[u8], i32)]) -> Result<i32, Fault> {
    let text = if parser.at_string() {
        parser.string()?.raw
    } else {
        parser.number()?
    };
    Ok(match names.iter().find(|(name, _)| *name == text) {
        Some((_, number)) => *number,
        None => parse_integer(text)
            .and_then(|number| i32::try_from(number).ok())
            .unwrap_or_default(),
    })
}

fn integer<T: TryFrom<i128>>(parser: &mut Parser<'_>, expected: &str) -> Result<T, Fault> {
    let before = parser.clone();
    let text = if parser.at_string() {
        parser.string()?.raw
    } else {
        parser.number().map_err(|_| before.fault(expected))?
    };
    parse_integer(text)
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| before.fault(expected))
}

/// An integer, also one written like `1e3` or `5.0`.
fn parse_integer(text: &[u8]) -> Option<i128> {
    if let Some(number) = short_integer(text) {
        return Some(number.into());
    }
    let text = number_text(text)?;
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        // Beyond this no integer of 64 bits is left.
        let whole = number.fract() == 0.0 && number.abs() < 1e20;
        #[expect(clippy::cast_possible_truncation, reason = "within the bounds of i128")]
        whole.then_some(number as i128)
    })
}

/// An integer of digits only, which fits in any case.
#[inline]
fn short_integer(text: &[u8]) -> Option<u64> {
    // Nineteen digits are always less than 2⁶⁴.
    let digits = (1..=19).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    let number = |number, digit: &u8| number * 10 + u64::from(digit - b'0');
    digits.then(|| text.iter().fold(0, number))
}

/// The text, when it is all of a JSON number.
fn number_text(text: &[u8]) -> Option<&str> {
    let number = Parser::new(text).number().ok()?;
    std::str::from_utf8(text)
        .ok()
        .filter(|_| number.len() == text.len())
}

/// Reads a floating point number, as a number or a string, which may also say `NaN` or `Infinity`.
fn double(parser: &mut Parser<'_>) -> Result<f64, Fault> {
    let before = parser.clone();
    let text = if parser.at_string() {
        match parser.string()?.raw {
            b"NaN" => return Ok(f64::NAN),
            b"Infinity" => return Ok(f64::INFINITY),
            b"-Infinity" => return Ok(f64::NEG_INFINITY),
            text => text,
        }
    } else {
        parser
            .number()
            .map_err(|_| before.fault("expected a number"))?
    };
    number_text(text)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| before.fault("expected a number"))
}
