//! Times on the command line: how long ago, or an instant in UTC.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use clap::Args;

use crate::{
    config::parse_duration,
    domain::{Hour, Timestamp},
    failure::Failure,
};

/// From when to when.
#[derive(Args, Debug, Default, Clone)]
pub struct Period {
    /// Only what happened within this time: 30m, 2h, 7d
    #[arg(long, value_name = "DURATION", value_parser = ago, conflicts_with = "from")]
    since: Option<i64>,
    /// Only from then on, in UTC: 2026-05-04, 2026-05-04T10:00 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<Timestamp>,
    /// Only before then
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
}

impl Period {
    /// The first instant of it and the first after it.
    ///
    /// # Errors
    /// When nothing can lie between them.
    pub(super) fn range(
        &self,
        now: Timestamp,
    ) -> Result<(Option<Timestamp>, Option<Timestamp>), Failure> {
        let range = (self.from(now), self.to);
        if let (Some(from), Some(to)) = range
            && to <= from
        {
            let flag = match self.since {
                Some(_) => "--since",
                None => "--from",
            };
            return Err(Failure::Usage(format!(
                "--to ({to}) must lie after {flag} ({from}): it is the first instant that is left out"
            )));
        }
        Ok(range)
    }

    /// The same, which begins so many seconds before its end unless it has a beginning.
    pub(super) fn reaching_back(&self, seconds: i64, now: Timestamp) -> Self {
        let begins = self.to.unwrap_or(now).plus_seconds(-seconds);
        Self {
            since: self.since,
            from: self.from(now).or(Some(begins)),
            to: self.to,
        }
    }

    /// The first instant of it.
    pub(super) fn from(&self, now: Timestamp) -> Option<Timestamp> {
        let since = self.since.map(|seconds| now.plus_seconds(-seconds));
        since.or(self.from)
    }

    /// The first instant after it.
    pub(super) fn to(&self) -> Option<Timestamp> {
        self.to
    }

    /// Whether it leaves nothing out.
    pub(super) fn is_all(&self) -> bool {
        self.since.is_none() && self.from.is_none() && self.to.is_none()
    }

    /// The hours that lie in it, at least in part: the first, and the first after.
    pub(super) fn hours(&self, now: Timestamp) -> Result<(Option<Hour>, Option<Hour>), Failure> {
        let (from, to) = self.range(now)?;
        let to = to.map(|to| {
            let hour = Hour::containing(to);
            if hour.start() == to {
                hour
            } else {
                Hour::containing(hour.end())
            }
        });
        Ok((from.map(Hour::containing), to))
    }
}

/// A duration, in seconds.
pub(super) fn ago(text: &str) -> Result<i64, String> {
    parse_duration(text)
        .and_then(|duration| i64::try_from(duration.as_secs()).ok())
        .filter(|seconds| *seconds > 0)
        .ok_or_else(|| "give a duration like 30m, 2h or 7d".to_owned())
}

/// An instant: RFC 3339, or date and time in UTC with as much of the time as is wanted.
fn instant(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc().into());
    }
    let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    formats
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| {
            let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
            Some(date.and_time(NaiveTime::MIN))
        })
        .map(|at| at.and_utc().into())
        .ok_or_else(|| {
            "give a time in UTC like 2026-05-04, 2026-05-04T10:00 or 2026-05-04T10:00:00Z"
                .to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_may_leave_out_what_is_zero() {
        for text in [
            "2026-05-04",
            "2026-05-04T00:00",
            "2026-05-04 00:00",
            "2026-05-04T00:00:00Z",
            "2026-05-04T02:00:00+02:00",
        ] {
            assert_eq!(
                instant(text).map(|at| at.to_string()),
                Ok("2026-05-04T00:00:00.000000Z".to_owned())
            );
        }
        for text in ["", "yesterday", "2026-13-01", "12:00"] {
            assert!(instant(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_period_covers_every_hour_that_it_touches() {
        let at = |text| instant(text).expect("an instant");
        let period = Period {
            since: None,
            from: Some(at("2026-05-04T10:30")),
            to: Some(at("2026-05-04T12:01")),
        };
        let (from, to) = period.hours(Timestamp::EPOCH).expect("hours");
        assert_eq!(from.map(Hour::start), Some(at("2026-05-04T10:00")));
        assert_eq!(to.map(Hour::start), Some(at("2026-05-04T13:00")));
    }

    #[test]
    fn a_period_in_which_nothing_can_lie_is_refused() {
        let at = |text| instant(text).expect("an instant");
        let refused = |from, since, to| {
            let period = Period {
                since,
                from,
                to: Some(to),
            };
            let now = at("2026-05-04T12:00");
            assert!(period.hours(now).is_err());
            period.range(now).expect_err("no such period").to_string()
        };
        assert_eq!(
            refused(Some(at("2026-05-04")), None, at("2026-05-04")),
            "--to (2026-05-04T00:00:00.000000Z) must lie after --from \
             (2026-05-04T00:00:00.000000Z): it is the first instant that is left out"
        );
        refused(Some(at("2026-05-05")), None, at("2026-05-04"));
        let since = refused(None, Some(3_600), at("2026-05-04T10:00"));
        assert!(since.contains("after --since (2026-05-04T11:"), "{since}");
    }

    #[test]
    fn since_counts_back_from_now() {
        assert_eq!(ago("2h"), Ok(7_200));
        assert!(ago("2").is_err() && ago("0s").is_err() && ago("500ms").is_err());
    }
}
