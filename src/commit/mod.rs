//! From findings to committed rows: a bounded queue, one writer that groups what is waiting into one
//! transaction, and the answer only after COMMIT. No database future lives inside a request.

mod direct;
mod errors;
mod failpoint;
mod group;
mod imported;
mod open;
mod queue;
mod seen;
mod totals;
mod writer;
mod written;

pub mod plan;

pub use direct::DirectWriter;
pub use imported::{CountedHour, Imported, ImportedError, Taken};
pub use open::{OPEN_SECONDS, OpenTraceSet, OpenTracesGuard};
pub use queue::{CommitQueue, NotTaken, Outcome, Place, QueueGauge, Tally, Work};
pub use seen::SeenEntries;
pub use writer::{Writer, WriterParts, WriterSettings};
pub use written::{Written, WrittenSoFar};
