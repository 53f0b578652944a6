//! Reading a request's body into memory: within its own limits and the budget of all.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::Body;
use hyper::header::HeaderName;

use super::budget::{Budget, BudgetFull, Reservation, STEP_BYTES};

/// How large one body may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BodyLimits {
    /// Bytes as they arrive. Default 8 MiB; beyond it 413.
    pub wire_bytes: usize,
    /// Bytes after inflation. Default 20 MiB; beyond it 413.
    pub inflated_bytes: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            wire_bytes: 8 * 1_024 * 1_024,
            inflated_bytes: 20 * 1_024 * 1_024,
        }
    }
}

/// Why a body is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is larger than a limit: 413.
    #[error("the body is larger than {limit_bytes} bytes {measured}: send smaller batches")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
        /// Where the limit applies.
        measured: &'static str,
    },
    /// Other bodies fill the budget: 429.
    #[error(transparent)]
    BudgetFull(#[from] BudgetFull),
    /// It is not what its content coding says: 400.
    #[error("the body is not valid {0}")]
    Malformed(&'static str),
    /// The client went away, or broke the rules of HTTP, in the middle of it: 400, if anybody
    /// listens.
    #[error("the body did not arrive whole")]
    Broken,
}

/// How a body is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// RFC 1952, one member or several.
    Gzip,
    /// The zlib format of RFC 1950, which HTTP calls deflate; and RFC 1951 alone, which some clients
    /// take that for.
    Deflate,
    /// RFC 8878, one frame or several.
    Zstd,
}

impl Coding {
    /// Reads the header that names it; `None` when it names something else, or several codings.
    #[must_use]
    pub fn of(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let mut values = headers.get_all(name).iter();
        let Some(value) = values.next() else {
            return Some(Self::Identity);
        };
        let name = value.as_bytes().trim_ascii();
        let alone = values.next().is_none();
        let is = |known: &str| alone && name.eq_ignore_ascii_case(known.as_bytes());
        if is("") || is("identity") {
            Some(Self::Identity)
        } else if is("gzip") || is("x-gzip") {
            Some(Self::Gzip)
        } else if is("deflate") || is("zlib") {
            Some(Self::Deflate)
        } else if is("zstd") {
            Some(Self::Zstd)
        } else {
            None
        }
    }
}

/// Up to this size memory for a body grows in large steps.
const FIRST_BYTES: usize = 512 * 1_024;

/// Bytes with their part of the budget.
#[derive(Debug)]
pub struct Buffer {
    /// All of it is memory to write to.
    memory: Vec<u8>,
    /// So much of it is written.
    filled: usize,
    reservation: Reservation,
}

impl Buffer {
    /// Holds nothing yet.
    pub(super) fn empty(budget: &Budget) -> Self {
        Self {
            memory: Vec::new(),
            filled: 0,
            reservation: budget.reservation(),
        }
    }

    /// Has room for this many bytes, or a few times more.
    pub(super) fn with_room(bytes: usize, budget: &Budget) -> Result<Self, BudgetFull> {
        let mut buffer = Self::empty(budget);
        buffer.make_room(bytes)?;
        Ok(buffer)
    }

    /// So much of its memory, to be written over.
    pub(super) fn room(&mut self, bytes: usize) -> &mut [u8] {
        &mut self.memory[..bytes]
    }

    /// The first bytes are written, and memory for not much more is needed.
    pub(super) fn set_filled(&mut self, bytes: usize) {
        self.filled = bytes;
        if self.memory.len() > 8 * bytes + STEP_BYTES {
            self.memory.truncate(bytes);
            self.memory.shrink_to_fit();
            self.reservation.shrink(self.memory.len());
        }
    }

    /// Appends to a body of at most `limit_bytes`, the size that was stated if one was. Memory grows
    /// eightfold while it is small and doubles from then on: few copies for a body that comes, and no
    /// more than twice of what came for one that does not.
    pub(super) fn append(&mut self, more: &[u8], limit_bytes: usize) -> Result<(), BudgetFull> {
        let needed = self.filled + more.len();
        if needed > self.memory.len() {
            let roomy = (8 * needed).min(FIRST_BYTES).max(2 * self.memory.len());
            self.make_room(needed.max(roomy.min(limit_bytes)))?;
        }
        self.memory[self.filled..needed].copy_from_slice(more);
        self.filled = needed;
        Ok(())
    }

    /// Moves to memory of this size at least.
    fn make_room(&mut self, bytes: usize) -> Result<(), BudgetFull> {
        let memory = match self.reservation.spare(bytes) {
            Some(spare) if self.reservation.cover(spare.len()).is_ok() => spare,
            spare => {
                self.reservation.leave(spare.unwrap_or_default());
                self.reservation.cover(bytes)?;
                vec![0; bytes]
            }
        };
        let outgrown = std::mem::replace(&mut self.memory, memory);
        self.memory[..self.filled].copy_from_slice(&outgrown[..self.filled]);
        self.reservation.leave(outgrown);
        Ok(())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.reservation.leave(std::mem::take(&mut self.memory));
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.filled]
    }
}

impl From<Buffer> for Bytes {
    /// The reservation goes with the last clone.
    fn from(buffer: Buffer) -> Self {
        Self::from_owner(buffer)
    }
}

/// Reads a body to its end.
///
/// # Errors
/// It is too large, the budget is full, or it broke off.
pub async fn read<B>(mut body: B, limit_bytes: usize, budget: &Budget) -> Result<Buffer, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let most_bytes = stated_bytes(&body, limit_bytes)?.unwrap_or(limit_bytes);
    let mut buffer = Buffer::empty(budget);
    while let Some(data) = next_data(&mut body).await? {
        if buffer.filled + data.len() > limit_bytes {
            return Err(too_large_on_the_wire(limit_bytes));
        }
        buffer.append(&data, most_bytes)?;
    }
    Ok(buffer)
}

/// Reads a body to its end and keeps nothing of it.
///
/// # Errors
/// It is too large, or it broke off.
pub async fn discard<B>(mut body: B, limit_bytes: usize) -> Result<(), BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    stated_bytes(&body, limit_bytes)?;
    let mut bytes = 0;
    while let Some(data) = next_data(&mut body).await? {
        bytes += data.len();
        if bytes > limit_bytes {
            return Err(too_large_on_the_wire(limit_bytes));
        }
    }
    Ok(())
}

/// The size that `Content-Length` states. One over the limit is refused before anything is read.
fn stated_bytes<B: Body>(body: &B, limit_bytes: usize) -> Result<Option<usize>, BodyError> {
    let Some(stated) = body.size_hint().exact() else {
        return Ok(None);
    };
    usize::try_from(stated)
        .ok()
        .filter(|stated| *stated <= limit_bytes)
        .map(Some)
        .ok_or_else(|| too_large_on_the_wire(limit_bytes))
}

/// The next piece of the body itself; trailers are passed over.
pub(super) async fn next_data<B>(body: &mut B) -> Result<Option<Bytes>, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyError::Broken)?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

pub(super) fn too_large_on_the_wire(limit_bytes: usize) -> BodyError {
    BodyError::TooLarge {
        limit_bytes,
        measured: "on the wire",
    }
}
