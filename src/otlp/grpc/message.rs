//! The one message of a request or an answer: a flag, a length and so many bytes.

use bytes::{BufMut, Bytes, BytesMut};
use hyper::body::Body;

use super::super::body::{BodyError, Buffer, Coding, next_data, too_large_on_the_wire};
use super::super::budget::Budget;

/// A byte that says whether the message is compressed, and its length.
const PREFIX_BYTES: usize = 5;

const MALFORMED: BodyError = BodyError::Malformed("gRPC: exactly one whole message is expected");

/// Reads a request to its end. `coding` is that of a message whose flag says that it is compressed;
/// the message comes with its own.
pub(super) async fn read<B>(
    mut body: B,
    coding: Coding,
    limit_bytes: usize,
    budget: &Budget,
) -> Result<(Buffer, Coding), BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut prefix = Vec::with_capacity(PREFIX_BYTES);
    let mut stated = None;
    let mut buffer = Buffer::empty(budget);
    while let Some(mut data) = next_data(&mut body).await? {
        let missing = PREFIX_BYTES - prefix.len();
        prefix.extend_from_slice(&data.split_to(missing.min(data.len())));
        if stated.is_none() && prefix.len() == PREFIX_BYTES {
            stated = Some(stated_bytes(&prefix, limit_bytes)?);
        }
        let stated = stated.unwrap_or_default();
        if buffer.as_ref().len() + data.len() > stated {
            return Err(MALFORMED);
        }
        buffer.append(&data, stated)?;
    }
    if stated != Some(buffer.as_ref().len()) {
        return Err(MALFORMED);
    }
    match prefix[0] {
        0 => Ok((buffer, Coding::Identity)),
        1 if coding != Coding::Identity => Ok((buffer, coding)),
        _ => Err(MALFORMED),
    }
}

fn stated_bytes(prefix: &[u8], limit_bytes: usize) -> Result<usize, BodyError> {
    let length = prefix
        .last_chunk()
        .map(|length| u32::from_be_bytes(*length));
    length
        .and_then(|length| usize::try_from(length).ok())
        .filter(|length| *length <= limit_bytes)
        .ok_or_else(|| too_large_on_the_wire(limit_bytes))
}

/// The message of an answer, which is small and not compressed.
pub(super) fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).expect("answers are small"));
    framed.put_slice(message);
    framed.freeze()
}
