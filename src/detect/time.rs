//! Times that can be true, and what becomes of those that cannot.

use crate::domain::Timestamp;

/// A clock may be this far ahead of ours.
const AHEAD_SECONDS: i64 = 5 * 60;

/// Telemetry may be this late.
const LATE_SECONDS: i64 = 30 * 24 * 60 * 60;

/// An instant as it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Clamped {
    pub at: Timestamp,
    /// It was sent as something impossible; `at` is the receive time.
    pub is_clamped: bool,
}

/// Nanoseconds since the epoch as sent: 0, more than 5 minutes ahead and older than 30 days become
/// the receive time.
pub(super) fn clamp(unix_nanos: u64, received_at: Timestamp) -> Clamped {
    let at = Timestamp::from_unix_nanos(unix_nanos);
    let is_clamped = unix_nanos == 0
        || at > received_at.plus_seconds(AHEAD_SECONDS)
        || at < received_at.plus_seconds(-LATE_SECONDS);
    Clamped {
        at: if is_clamped { received_at } else { at },
        is_clamped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_times_become_the_receive_time() {
        let received_at = Timestamp::from_micros(1_763_892_000_000_000);
        let nanos = |seconds: i64| {
            let at = received_at.plus_seconds(seconds).as_micros();
            u64::try_from(at).expect("it is after 1970") * 1000
        };
        for kept in [0, -1, 300, -LATE_SECONDS] {
            let clamped = clamp(nanos(kept), received_at);
            assert_eq!(clamped.at, received_at.plus_seconds(kept));
            assert!(!clamped.is_clamped);
        }
        for impossible in [0, 1, u64::MAX, nanos(301), nanos(-LATE_SECONDS - 1)] {
            let clamped = clamp(impossible, received_at);
            assert_eq!(clamped.at, received_at);
            assert!(clamped.is_clamped);
        }
    }
}
