//! Inflation of bodies, never beyond a limit.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use libdeflater::{DecompressionError, Decompressor};
use zstd_safe::zstd_sys::ZSTD_ErrorCode;

use super::body::{BodyError, Buffer, Coding};
use super::budget::Budget;

/// The most that deflate can make of one byte.
const MAX_RATIO: usize = 1_032;

/// The least that is made room for.
const MIN_BYTES: usize = 1_024;

/// What zstd needs beside the memory of the result.
const ZSTD_CONTEXT_BYTES: usize = 160 * 1_024;

/// Undoes a coding. The result, too, is within the budget.
///
/// # Errors
/// The body is not what its coding says, is too large, or the budget is full.
pub fn inflate(
    wire: Buffer,
    coding: Coding,
    limit_bytes: usize,
    budget: &Budget,
) -> Result<Buffer, BodyError> {
    match coding {
        Coding::Identity if wire.as_ref().len() > limit_bytes => Err(too_large(limit_bytes)),
        Coding::Identity => Ok(wire),
        Coding::Gzip => inflate_gzip(wire.as_ref(), limit_bytes, budget),
        Coding::Deflate => {
            let guess = wire.as_ref().len().saturating_mul(8);
            let is_zlib = has_zlib_header(wire.as_ref());
            inflate_at_once(wire.as_ref(), guess, limit_bytes, budget, |wire, out| {
                let mut decompressor = Decompressor::new();
                if is_zlib {
                    decompressor.zlib_decompress(wire, out)
                } else {
                    decompressor.deflate_decompress(wire, out)
                }
            })?
            .ok_or(BodyError::Malformed("deflate (zlib)"))
        }
        Coding::Zstd => inflate_zstd(wire.as_ref(), limit_bytes, budget),
    }
}

/// Whether data begins as RFC 1950 has it.
fn has_zlib_header(wire: &[u8]) -> bool {
    wire.first_chunk()
        .is_some_and(|head| head[0] & 0xf == 8 && u16::from_be_bytes(*head) % 31 == 0)
}

/// Straight into the memory of the result: there is no window, whatever the frames ask for.
fn inflate_zstd(wire: &[u8], limit_bytes: usize, budget: &Budget) -> Result<Buffer, BodyError> {
    let mut context = budget.reservation();
    context.cover(ZSTD_CONTEXT_BYTES)?;
    // The size that the first frame states is a hint for memory, no more.
    let stated = zstd_safe::get_frame_content_size(wire).ok().flatten();
    let hint = stated.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    let hint = hint.unwrap_or(wire.len().saturating_mul(8));
    inflate_at_once(wire, hint, limit_bytes, budget, |wire, out| {
        zstd_safe::decompress(out, wire).map_err(|code| {
            if zstd_safe::is_error_kind(code, ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall) {
                DecompressionError::InsufficientSpace
            } else {
                DecompressionError::BadData
            }
        })
    })?
    .ok_or(BodyError::Malformed("zstd"))
}

fn inflate_gzip(wire: &[u8], limit_bytes: usize, budget: &Budget) -> Result<Buffer, BodyError> {
    // The size that the last member states is a hint for memory, no more; and what deflate
    // cannot reach is no hint.
    let stated = stated_size(wire).ok_or(BodyError::Malformed("gzip"))?;
    let hint = (stated as usize).min(wire.len().saturating_mul(MAX_RATIO));
    let inflated = inflate_at_once(wire, hint, limit_bytes, budget, |wire, out| {
        Decompressor::new().gzip_decompress(wire, out)
    })?
    .ok_or(BodyError::Malformed("gzip"))?;
    // This was the first member. When it was the last one as well, its size stands at the end.
    if stated as usize == inflated.as_ref().len() && !another_member_follows(wire, stated) {
        return Ok(inflated);
    }
    drop(inflated);
    inflate_members(wire, limit_bytes, budget)
}

/// Into one buffer that is made larger until it is large enough. None: the data is bad.
fn inflate_at_once(
    wire: &[u8],
    hint_bytes: usize,
    limit_bytes: usize,
    budget: &Budget,
    mut decompress: impl FnMut(&[u8], &mut [u8]) -> Result<usize, DecompressionError>,
) -> Result<Option<Buffer>, BodyError> {
    let mut room_bytes = hint_bytes.max(MIN_BYTES).min(limit_bytes);
    loop {
        let mut buffer = Buffer::with_room(room_bytes, budget)?;
        match decompress(wire, buffer.room(room_bytes)) {
            Ok(inflated_bytes) => {
                buffer.set_filled(inflated_bytes);
                return Ok(Some(buffer));
            }
            Err(DecompressionError::BadData) => return Ok(None),
            Err(DecompressionError::InsufficientSpace) if room_bytes >= limit_bytes => {
                return Err(too_large(limit_bytes));
            }
            Err(DecompressionError::InsufficientSpace) => {
                room_bytes = room_bytes.saturating_mul(4).min(limit_bytes);
            }
        }
    }
}

/// The last four bytes: the size, modulo 2³², of the last member.
fn stated_size(wire: &[u8]) -> Option<u32> {
    wire.last_chunk().map(|last| u32::from_le_bytes(*last))
}

/// Whether a member of this size ends somewhere before the end with another one behind it. The
/// library does not say how much it read, so we look for what must stand there: the size, and the
/// beginning of a gzip header. Seven bytes that stand elsewhere by chance only cost time.
fn another_member_follows(wire: &[u8], size: u32) -> bool {
    let [a, b, c, d] = size.to_le_bytes();
    let border = [a, b, c, d, 0x1f, 0x8b, 0x08];
    memchr::memmem::find(wire, &border).is_some()
}

/// Several members: read once to know how large they are in all, and once more into memory of that
/// size.
fn inflate_members(wire: &[u8], limit_bytes: usize, budget: &Budget) -> Result<Buffer, BodyError> {
    let within_limit = limit_bytes as u64;
    let mut counted = MultiGzDecoder::new(wire).take(within_limit + 1);
    let bytes = std::io::copy(&mut counted, &mut std::io::sink())
        .map_err(|_| BodyError::Malformed("gzip"))?;
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    if bytes > limit_bytes {
        return Err(too_large(limit_bytes));
    }
    let mut buffer = Buffer::with_room(bytes, budget)?;
    MultiGzDecoder::new(wire)
        .read_exact(buffer.room(bytes))
        .map_err(|_| BodyError::Malformed("gzip"))?;
    buffer.set_filled(bytes);
    Ok(buffer)
}

fn too_large(limit_bytes: usize) -> BodyError {
    BodyError::TooLarge {
        limit_bytes,
        measured: "when inflated",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use zstd_safe::{CCtx, InBuffer, OutBuffer};

    use super::*;

    const LIMIT_BYTES: usize = 1 << 20;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        let mut wire = Vec::with_capacity(zstd_safe::compress_bound(text.len()));
        zstd_safe::compress(&mut wire, text, 3).expect("room");
        wire
    }

    /// As a client that begins before it knows how much there will be: the frame states no size.
    fn streamed_zstd(text: &[u8]) -> Vec<u8> {
        let mut wire = Vec::with_capacity(zstd_safe::compress_bound(text.len()) + 64);
        let mut stream = CCtx::create();
        let mut output = OutBuffer::around(&mut wire);
        let mut input = InBuffer::around(text);
        while input.pos() < text.len() {
            stream
                .compress_stream(&mut output, &mut input)
                .expect("room");
        }
        assert_eq!(stream.end_stream(&mut output), Ok(0));
        let stated = zstd_safe::get_frame_content_size(&wire).ok().flatten();
        assert_eq!(stated, text.is_empty().then_some(0));
        wire
    }

    fn inflated(wire: &[u8], coding: Coding) -> Result<Vec<u8>, BodyError> {
        let budget = Budget::new(4 * LIMIT_BYTES);
        let mut buffer = Buffer::empty(&budget);
        buffer.append(wire, wire.len())?;
        let result = inflate(buffer, coding, LIMIT_BYTES, &budget);
        let result = result.map(|buffer| buffer.as_ref().to_vec());
        assert_eq!(budget.used_bytes(), 0, "all is given back");
        result
    }

    #[test]
    fn one_member_is_inflated() {
        for size in [0, 1, 1_000, 1_025, 100_000, LIMIT_BYTES] {
            let text: Vec<u8> = (0..=250_u8).cycle().take(size).collect();
            assert_eq!(inflated(&gzip(&text), Coding::Gzip), Ok(text));
        }
    }

    #[test]
    fn every_member_is_inflated_also_when_they_are_equal() {
        let one = gzip(b"one");
        let equal = [one.clone(), one.clone(), one.clone()].concat();
        assert_eq!(inflated(&equal, Coding::Gzip), Ok(b"oneoneone".to_vec()));
        let different = [one, gzip(b""), gzip(b"three")].concat();
        assert_eq!(inflated(&different, Coding::Gzip), Ok(b"onethree".to_vec()));
    }

    #[test]
    fn members_count_against_the_limit_together() {
        let half = gzip(&vec![0; LIMIT_BYTES / 2]);
        let whole = [half.clone(), half.clone()].concat();
        assert_eq!(
            inflated(&whole, Coding::Gzip).map(|b| b.len()),
            Ok(LIMIT_BYTES)
        );
        let more = [half.clone(), half, gzip(b"x")].concat();
        assert!(matches!(
            inflated(&more, Coding::Gzip),
            Err(BodyError::TooLarge { .. })
        ));
    }

    #[test]
    fn one_byte_over_the_limit_is_too_large() {
        let bomb = gzip(&vec![0; LIMIT_BYTES + 1]);
        assert!(bomb.len() < 2_000);
        assert!(matches!(
            inflated(&bomb, Coding::Gzip),
            Err(BodyError::TooLarge { .. })
        ));
    }

    #[test]
    fn a_stated_size_is_not_believed() {
        let text = vec![7; 50_000];
        for lie in [0_u32, 1, 49_999, u32::MAX] {
            let mut wire = gzip(&text);
            let end = wire.len();
            wire[end - 4..].copy_from_slice(&lie.to_le_bytes());
            assert_eq!(
                inflated(&wire, Coding::Gzip),
                Err(BodyError::Malformed("gzip"))
            );
        }
    }

    #[test]
    fn cut_off_or_other_data_is_malformed() {
        let whole = gzip(b"some text that is long enough to be cut");
        for end in 0..whole.len() {
            assert_eq!(
                inflated(&whole[..end], Coding::Gzip),
                Err(BodyError::Malformed("gzip")),
                "cut at {end}"
            );
        }
        let second_cut = [&whole[..], &whole[..whole.len() - 1]].concat();
        assert_eq!(
            inflated(&second_cut, Coding::Gzip),
            Err(BodyError::Malformed("gzip"))
        );
        assert_eq!(
            inflated(b"plain text", Coding::Gzip),
            Err(BodyError::Malformed("gzip"))
        );
    }

    #[test]
    fn deflate_means_zlib() {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&vec![5; 30_000]).expect("memory");
        let wire = encoder.finish().expect("memory");
        assert_eq!(inflated(&wire, Coding::Deflate), Ok(vec![5; 30_000]));
        assert!(inflated(&wire[..wire.len() - 1], Coding::Deflate).is_err());
    }

    #[test]
    fn deflate_without_its_header_is_inflated_too() {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&vec![5; 30_000]).expect("memory");
        let wire = encoder.finish().expect("memory");
        assert_eq!(inflated(&wire, Coding::Deflate), Ok(vec![5; 30_000]));
    }

    #[test]
    fn every_frame_of_zstd_is_inflated_whether_its_size_is_stated_or_not() {
        for size in [0, 1, 1_000, 100_000, LIMIT_BYTES] {
            let text: Vec<u8> = (0..=250_u8).cycle().take(size).collect();
            assert_eq!(inflated(&zstd(&text), Coding::Zstd), Ok(text.clone()));
            assert_eq!(inflated(&streamed_zstd(&text), Coding::Zstd), Ok(text));
        }
        let two = [zstd(b"one"), streamed_zstd(b"two")].concat();
        assert_eq!(inflated(&two, Coding::Zstd), Ok(b"onetwo".to_vec()));
    }

    #[test]
    fn zstd_has_the_limit_over_all_frames() {
        let bomb = vec![0; LIMIT_BYTES + 1];
        let half = zstd(&bomb[..LIMIT_BYTES / 2]);
        for wire in [
            zstd(&bomb),
            streamed_zstd(&bomb),
            [&half[..], &half, &zstd(b"x")].concat(),
        ] {
            assert!(wire.len() < 1_000);
            assert!(matches!(
                inflated(&wire, Coding::Zstd),
                Err(BodyError::TooLarge { .. })
            ));
        }
    }

    #[test]
    fn zstd_that_is_cut_off_is_malformed() {
        let whole = zstd(b"some text that is long enough to be cut");
        for end in 1..whole.len() {
            assert_eq!(
                inflated(&whole[..end], Coding::Zstd),
                Err(BodyError::Malformed("zstd")),
                "cut at {end}"
            );
        }
        let mut other = whole;
        *other.last_mut().expect("a byte") ^= 1;
        other.extend_from_slice(b"more");
        assert_eq!(
            inflated(&other, Coding::Zstd),
            Err(BodyError::Malformed("zstd"))
        );
    }

    #[test]
    fn zstd_counts_what_it_needs_itself() {
        let budget = Budget::new(2 * super::super::budget::STEP_BYTES);
        let mut buffer = Buffer::empty(&budget);
        let wire = zstd(b"small");
        buffer.append(&wire, wire.len()).expect("room");
        let result = inflate(buffer, Coding::Zstd, LIMIT_BYTES, &budget);
        assert!(matches!(result, Err(BodyError::BudgetFull(_))));
    }

    #[test]
    fn identity_has_the_limit_too() {
        assert_eq!(inflated(b"abc", Coding::Identity), Ok(b"abc".to_vec()));
        let large = vec![0; LIMIT_BYTES + 1];
        assert!(matches!(
            inflated(&large, Coding::Identity),
            Err(BodyError::TooLarge { .. })
        ));
    }
}
