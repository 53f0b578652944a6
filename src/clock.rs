//! The wall clock, asked in one place only. Everything else takes the time as an argument.

use chrono::Utc;

use crate::domain::Timestamp;

/// Now, in UTC.
#[must_use]
pub fn now() -> Timestamp {
    Utc::now().into()
}
