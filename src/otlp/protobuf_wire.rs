//! The protobuf wire format: keys, varints, lengths, and fields to skip. What is accepted and what
//! is refused is the same as with prost, to the byte.
//!
//! What nearly every field needs is inlined and leaves the rest to functions that take the input by
//! value: an input whose address is never taken stays in registers.

#![expect(
    clippy::inline_always,
    reason = "or the input goes through memory for each field"
)]

/// What is wrong with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("it ends in the middle of a field")]
    Truncated,
    #[error("an integer has more than 64 bits")]
    Varint,
    #[error("a field has number 0, or a number or wire type that does not exist")]
    Key,
    #[error("a field has another wire type than its number says")]
    WireType,
    #[error("a group ends that did not start, or not with the number it started with")]
    Group,
    #[error("messages are nested more than 100 deep")]
    TooDeep,
}

/// How deep messages and groups may be nested, as in prost.
pub(super) const NESTING: u32 = 100;

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;
const START_GROUP: u32 = 3;
const END_GROUP: u32 = 4;
const FIXED32: u32 = 5;

/// The nesting left inside a message.
#[inline(always)]
pub(super) fn enter(nesting: u32) -> Result<u32, Fault> {
    nesting.checked_sub(1).ok_or(Fault::TooDeep)
}

/// The next key (number and wire type), or `None` at the end. Whether the number and the wire type
/// exist is left to [`skip_unknown`], where all keys end that no reader knows.
#[inline(always)]
pub(super) fn next_key(input: &mut &[u8]) -> Result<Option<u32>, Fault> {
    match *input {
        [] => Ok(None),
        [byte, rest @ ..] if *byte < 0x80 => {
            *input = rest;
            Ok(Some(u32::from(*byte)))
        }
        _ => {
            let (key, rest) = long_varint(input)?;
            *input = rest;
            u32::try_from(key).map(Some).map_err(|_| Fault::Key)
        }
    }
}

#[inline(always)]
pub(super) fn varint(input: &mut &[u8]) -> Result<u64, Fault> {
    match *input {
        [byte, rest @ ..] if *byte < 0x80 => {
            *input = rest;
            Ok(u64::from(*byte))
        }
        _ => {
            let (value, rest) = long_varint(input)?;
            *input = rest;
            Ok(value)
        }
    }
}

#[inline(never)]
fn long_varint(input: &[u8]) -> Result<(u64, &[u8]), Fault> {
    let mut value = 0;
    for (index, byte) in input.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            if index == 9 && *byte > 1 {
                return Err(Fault::Varint);
            }
            return Ok((value, &input[index + 1..]));
        }
    }
    Err(if input.len() < 10 {
        Fault::Truncated
    } else {
        Fault::Varint
    })
}

/// A varint of a field of 32 bits: higher bits are cut off.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "protobuf cuts it off")]
pub(super) fn varint32(input: &mut &[u8]) -> Result<u32, Fault> {
    Ok(varint(input)? as u32)
}

/// What a length stands before: text, bytes or a message.
#[inline(always)]
pub(super) fn bytes<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], Fault> {
    let length = usize::try_from(varint(input)?).map_err(|_| Fault::Truncated)?;
    let (bytes, rest) = input.split_at_checked(length).ok_or(Fault::Truncated)?;
    *input = rest;
    Ok(bytes)
}

#[inline(always)]
pub(super) fn fixed64(input: &mut &[u8]) -> Result<u64, Fault> {
    let (bytes, rest) = input.split_first_chunk().ok_or(Fault::Truncated)?;
    *input = rest;
    Ok(u64::from_le_bytes(*bytes))
}

#[inline(always)]
pub(super) fn fixed32(input: &mut &[u8]) -> Result<u32, Fault> {
    let (bytes, rest) = input.split_first_chunk().ok_or(Fault::Truncated)?;
    *input = rest;
    Ok(u32::from_le_bytes(*bytes))
}

/// Skips a field that the message does not have. `known` are the numbers of those that it has: one
/// of them here means another wire type than it should have.
#[inline(always)]
pub(super) fn skip_unknown(
    input: &mut &[u8],
    key: u32,
    known: std::ops::RangeInclusive<u32>,
    nesting: u32,
) -> Result<(), Fault> {
    *input = after_unknown(input, key, known, nesting)?;
    Ok(())
}

#[cold]
fn after_unknown(
    mut input: &[u8],
    key: u32,
    known: std::ops::RangeInclusive<u32>,
    nesting: u32,
) -> Result<&[u8], Fault> {
    if known.contains(&(key >> 3)) {
        return Err(Fault::WireType);
    }
    skip(&mut input, key, nesting)?;
    Ok(input)
}

fn skip(input: &mut &[u8], key: u32, nesting: u32) -> Result<(), Fault> {
    let inside = enter(nesting)?;
    let number = key >> 3;
    if number == 0 {
        return Err(Fault::Key);
    }
    match key & 7 {
        VARINT => varint(input).map(drop),
        FIXED64 => fixed64(input).map(drop),
        LENGTH => bytes(input).map(drop),
        FIXED32 => fixed32(input).map(drop),
        START_GROUP => loop {
            let inner = next_key(input)?.ok_or(Fault::Truncated)?;
            if inner & 7 != END_GROUP {
                skip(input, inner, inside)?;
            } else if inner >> 3 == number {
                return Ok(());
            } else {
                return Err(Fault::Group);
            }
        },
        END_GROUP => Err(Fault::Group),
        _ => Err(Fault::Key),
    }
}
