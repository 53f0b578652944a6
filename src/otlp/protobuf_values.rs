//! Attributes and their values in protobuf: checked once by the walk, read as often as wanted.

use super::protobuf_wire::{Fault, NESTING, bytes, enter, fixed64, next_key, skip_unknown, varint};
use super::views::{Attribute, Nested, TOO_DEEP, VALUE_DEPTH, Value};

const KEY: u32 = 0x0a;
const VALUE: u32 = 0x12;
const STRING: u32 = 0x0a;
const BOOL: u32 = 0x10;
const INT: u32 = 0x18;
const DOUBLE: u32 = 0x21;
const ARRAY: u32 = 0x2a;
const MAP: u32 = 0x32;
const BYTES: u32 = 0x3a;
/// `values` of `ArrayValue` and of `KeyValueList`.
const VALUES: u32 = 0x0a;

/// Reads a `KeyValue` and checks all that is in it.
///
/// What nearly all are is read here: a key and a value, once and in this order, the value not a
/// list. The attribute is handed on where it is made, because moving it costs more than reading it.
#[expect(clippy::inline_always, reason = "so that it is made where it is kept")]
#[inline(always)]
pub(super) fn attribute<'a>(
    message: &'a [u8],
    nesting: u32,
    put: impl FnOnce(Attribute<'a>),
) -> Result<(), Fault> {
    if let Some((key, mut any)) = key_and_value(message) {
        match any {
            [0x0a, rest @ ..] => {
                any = rest;
                if let Ok(text) = bytes(&mut any)
                    && any.is_empty()
                {
                    let value = Value::Str(text);
                    put(Attribute { key, value });
                    return Ok(());
                }
            }
            [0x18, rest @ ..] => {
                any = rest;
                if let Ok(number) = varint(&mut any)
                    && any.is_empty()
                {
                    let value = Value::Int(number.cast_signed());
                    put(Attribute { key, value });
                    return Ok(());
                }
            }
            _ => {}
        }
    }
    put(any_attribute::<true>(message, 0, nesting)?);
    Ok(())
}

/// Reads an `AnyValue` that is not in a `KeyValue`, and checks all that is in it.
pub(super) fn value(message: &[u8], nesting: u32) -> Result<Value<'_>, Fault> {
    let mut value = ValueReader::new(message, false, 0);
    value.read::<true>(message, nesting)?;
    Ok(value.value)
}

#[inline]
fn key_and_value(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let [0x0a, rest @ ..] = message else {
        return None;
    };
    let mut rest = rest;
    let key = bytes(&mut rest).ok()?;
    let [0x12, rest @ ..] = rest else {
        return None;
    };
    let mut rest = rest;
    let value = bytes(&mut rest).ok()?;
    rest.is_empty().then_some((key, value))
}

/// Reads a `KeyValue`. Lists in it are checked when `CHECK` is set, else have been before.
#[inline(never)]
fn any_attribute<const CHECK: bool>(
    message: &[u8],
    depth: u8,
    nesting: u32,
) -> Result<Attribute<'_>, Fault> {
    let mut key: &[u8] = b"";
    let mut value = ValueReader::new(message, true, depth);
    let mut input = message;
    while let Some(field) = next_key(&mut input)? {
        match field {
            KEY => key = bytes(&mut input)?,
            VALUE => value.read::<CHECK>(bytes(&mut input)?, enter(nesting)?)?,
            0x18 => {
                varint(&mut input)?;
            }
            _ => skip_unknown(&mut input, field, 1..=3, nesting)?,
        }
    }
    Ok(Attribute {
        key,
        value: value.value,
    })
}

/// Reads an `AnyValue`, or several that stand for one value: as in prost, the last field wins, but
/// a list that follows a list of its kind continues it.
struct ValueReader<'a> {
    value: Value<'a>,
    /// What the value stands in: the `KeyValue`, or the `AnyValue` itself.
    holder: &'a [u8],
    in_attribute: bool,
    depth: u8,
    arrays: u32,
    maps: u32,
    /// Lists of the value's kind that stand in the holder before it.
    before: u32,
}

impl<'a> ValueReader<'a> {
    fn new(holder: &'a [u8], in_attribute: bool, depth: u8) -> Self {
        Self {
            value: Value::Empty,
            holder,
            in_attribute,
            depth,
            arrays: 0,
            maps: 0,
            before: 0,
        }
    }

    fn read<const CHECK: bool>(&mut self, message: &'a [u8], nesting: u32) -> Result<(), Fault> {
        let mut input = message;
        while let Some(field) = next_key(&mut input)? {
            self.value = match field {
                STRING => Value::Str(bytes(&mut input)?),
                BOOL => Value::Bool(varint(&mut input)? != 0),
                INT => Value::Int(varint(&mut input)?.cast_signed()),
                DOUBLE => Value::Double(f64::from_bits(fixed64(&mut input)?)),
                ARRAY => {
                    let list = bytes(&mut input)?;
                    if CHECK {
                        check_array(list, enter(nesting)?)?;
                    }
                    self.arrays += 1;
                    let continues = matches!(self.value, Value::Array(_));
                    Value::Array(self.list(list, continues, self.arrays))
                }
                MAP => {
                    let list = bytes(&mut input)?;
                    if CHECK {
                        check_map(list, enter(nesting)?)?;
                    }
                    self.maps += 1;
                    let continues = matches!(self.value, Value::Map(_));
                    Value::Map(self.list(list, continues, self.maps))
                }
                BYTES => Value::Bytes(bytes(&mut input)?),
                // `string_value_strindex` says nothing outside profiles.
                0x40 => {
                    varint(&mut input)?;
                    Value::Empty
                }
                _ => {
                    skip_unknown(&mut input, field, 1..=8, nesting)?;
                    self.value
                }
            }
        }
        Ok(())
    }

    fn list(&mut self, list: &'a [u8], continues: bool, count: u32) -> Nested<'a> {
        let depth = self.depth;
        if continues {
            Nested::Split {
                bytes: self.holder,
                before: self.before,
                in_attribute: self.in_attribute,
                depth,
            }
        } else {
            self.before = count - 1;
            Nested::Protobuf { bytes: list, depth }
        }
    }
}

fn check_array(list: &[u8], nesting: u32) -> Result<(), Fault> {
    let mut input = list;
    while let Some(field) = next_key(&mut input)? {
        match field {
            VALUES => {
                let message = bytes(&mut input)?;
                ValueReader::new(message, false, 0).read::<true>(message, enter(nesting)?)?;
            }
            _ => skip_unknown(&mut input, field, 1..=1, nesting)?,
        }
    }
    Ok(())
}

fn check_map(list: &[u8], nesting: u32) -> Result<(), Fault> {
    let mut input = list;
    while let Some(field) = next_key(&mut input)? {
        match field {
            VALUES => {
                any_attribute::<true>(bytes(&mut input)?, 0, enter(nesting)?)?;
            }
            _ => skip_unknown(&mut input, field, 1..=1, nesting)?,
        }
    }
    Ok(())
}

/// Goes over the messages that stand under one key in a message that has been checked.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    input: &'a [u8],
    key: u32,
}

impl<'a> Fields<'a> {
    pub(super) fn numbered(input: &'a [u8], number: u32) -> Self {
        Self {
            input,
            key: number << 3 | 2,
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let key = next_key(&mut self.input).ok()??;
            if key == self.key {
                return bytes(&mut self.input).ok();
            }
            // No number is known here: the message has been checked.
            skip_unknown(&mut self.input, key, 0..=0, NESTING).ok()?;
        }
    }
}

/// Goes over the elements of an array or map, still as messages.
#[derive(Clone, Debug)]
pub(super) struct Elements<'a> {
    /// Those of the list at hand.
    current: Fields<'a>,
    /// Where the list goes on: the lists of its kind that follow in the `AnyValue` at hand,
    lists: Fields<'a>,
    /// and the `AnyValue`s that follow in the `KeyValue`.
    values: Fields<'a>,
    /// Elements are given this many lists around them.
    depth: u8,
}

const NO_FIELDS: Fields<'static> = Fields { input: b"", key: 0 };

impl<'a> Elements<'a> {
    /// The messages under one number of a message.
    pub(super) fn of_message(message: &'a [u8], number: u32) -> Self {
        Self {
            current: Fields::numbered(message, number),
            lists: NO_FIELDS,
            values: NO_FIELDS,
            depth: 0,
        }
    }

    pub(super) fn of_array(list: &Nested<'a>) -> Option<Self> {
        Self::new(list, ARRAY)
    }

    pub(super) fn of_map(list: &Nested<'a>) -> Option<Self> {
        Self::new(list, MAP)
    }

    fn new(list: &Nested<'a>, kind: u32) -> Option<Self> {
        match *list {
            Nested::Protobuf { bytes, depth } => Some(Self {
                current: Fields::numbered(bytes, 1),
                lists: NO_FIELDS,
                values: NO_FIELDS,
                depth: depth + 1,
            }),
            Nested::Split {
                bytes,
                before,
                in_attribute,
                depth,
            } => {
                let kind = kind >> 3;
                let (lists, values) = if in_attribute {
                    (
                        Fields::numbered(b"", kind),
                        Fields::numbered(bytes, VALUE >> 3),
                    )
                } else {
                    (Fields::numbered(bytes, kind), NO_FIELDS)
                };
                let mut elements = Self {
                    current: NO_FIELDS,
                    lists,
                    values,
                    depth: depth + 1,
                };
                for _ in 0..before {
                    elements.next_list()?;
                }
                Some(elements)
            }
            Nested::Json { .. } => None,
        }
    }

    fn next_list(&mut self) -> Option<&'a [u8]> {
        loop {
            if let Some(list) = self.lists.next() {
                return Some(list);
            }
            self.lists.input = self.values.next()?;
        }
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            if let Some(element) = self.current.next() {
                return Some(element);
            }
            self.current = Fields::numbered(self.next_list()?, VALUES >> 3);
        }
    }

    pub(super) fn next_value(&mut self) -> Option<Value<'a>> {
        let message = self.next()?;
        if self.depth >= VALUE_DEPTH {
            return Some(TOO_DEEP);
        }
        let mut value = ValueReader::new(message, false, self.depth);
        value.read::<false>(message, NESTING).ok()?;
        Some(value.value)
    }

    pub(super) fn next_attribute(&mut self) -> Option<Attribute<'a>> {
        let message = self.next()?;
        let mut attribute = any_attribute::<false>(message, self.depth, NESTING).ok()?;
        if self.depth >= VALUE_DEPTH {
            attribute.value = TOO_DEEP;
        }
        Some(attribute)
    }
}
