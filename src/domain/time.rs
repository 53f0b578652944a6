//! Instants and hours. Both are cut in one place to what every database keeps: microseconds.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, Unexpected},
};
use utoipa::ToSchema;

const MICROS_PER_HOUR: i64 = 3_600_000_000;

/// The last microsecond of the year 9999: the calendar of both databases and of RFC 3339 ends there.
const MAX_MICROS: i64 = 253_402_300_799_999_999;

/// The first microsecond of the year 1.
const MIN_MICROS: i64 = -62_135_596_800_000_000;

/// An instant in UTC with microsecond resolution, between the years 1 and 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// Microseconds since the Unix epoch; values outside the calendar are moved to its edge.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        if micros > MAX_MICROS {
            Self(MAX_MICROS)
        } else if micros < MIN_MICROS {
            Self(MIN_MICROS)
        } else {
            Self(micros)
        }
    }

    /// Nanoseconds since the Unix epoch, as OTLP counts, cut to the microsecond.
    #[must_use]
    pub const fn from_unix_nanos(nanos: u64) -> Self {
        Self::from_micros((nanos / 1_000).cast_signed())
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This instant moved by a number of seconds.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self::from_micros(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// The same instant in chrono's calendar.
    ///
    /// # Panics
    /// Never: the constructors keep every value inside chrono's range.
    #[must_use]
    pub fn to_datetime(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).expect("a Timestamp lies inside chrono's calendar")
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(at: DateTime<Utc>) -> Self {
        Self::from_micros(at.timestamp_micros())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            &self
                .to_datetime()
                .to_rfc3339_opts(SecondsFormat::Micros, true),
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        DateTime::parse_from_rfc3339(&text)
            .map(|at| at.with_timezone(&Utc).into())
            .map_err(|_| {
                let expected = "an RFC 3339 time such as 2026-11-23T10:15:00Z";
                D::Error::invalid_value(Unexpected::Str(&text), &expected)
            })
    }
}

/// A whole hour in UTC: the bucket of the hourly tables.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema,
)]
#[serde(from = "Timestamp")]
#[schema(value_type = String, format = DateTime)]
pub struct Hour(Timestamp);

impl From<Timestamp> for Hour {
    /// The hour that contains the instant.
    fn from(at: Timestamp) -> Self {
        Self::containing(at)
    }
}

impl Hour {
    /// The hour that contains the instant.
    #[must_use]
    pub const fn containing(at: Timestamp) -> Self {
        Self(Timestamp::from_micros(
            at.0 - at.0.rem_euclid(MICROS_PER_HOUR),
        ))
    }

    /// The instant at which the hour begins.
    #[must_use]
    pub const fn start(self) -> Timestamp {
        self.0
    }

    /// The instant at which the next hour begins.
    #[must_use]
    pub const fn end(self) -> Timestamp {
        Timestamp::from_micros(self.0.0 + MICROS_PER_HOUR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_begins_on_the_hour_before_and_after_the_epoch() {
        let after = Hour::containing(Timestamp::from_micros(MICROS_PER_HOUR + 1));
        assert_eq!(after.start().as_micros(), MICROS_PER_HOUR);
        let before = Hour::containing(Timestamp::from_micros(-1));
        assert_eq!(before.start().as_micros(), -MICROS_PER_HOUR);
    }

    #[test]
    fn every_nanosecond_count_is_an_instant() {
        assert_eq!(Timestamp::from_unix_nanos(1_999).as_micros(), 1);
        assert_eq!(
            Timestamp::from_unix_nanos(u64::MAX).to_string(),
            "2554-07-21T23:34:33.709551Z"
        );
        assert_eq!(
            Timestamp::from_micros(i64::MAX).to_string(),
            "9999-12-31T23:59:59.999999Z"
        );
    }
}
