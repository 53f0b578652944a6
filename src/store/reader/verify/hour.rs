//! What an hour's row says, against what its rows and members say.

use super::example;
use crate::{
    domain::{AggregationId, ErrorId, Hour, Timestamp},
    store::{
        Check, Mismatch, Verification,
        reader::{dialect::Dialect, rows::dimensions},
    },
};

/// One hour's row, and what its rows and members say.
#[derive(Debug)]
pub(super) struct HourFigures {
    id: AggregationId,
    /// The id that follows from hour and dimensions.
    named: AggregationId,
    hour: Hour,
    total_errors: i64,
    unique_users: i64,
    unlinked_errors: i64,
    forgotten_errors: i64,
    first_occurrence: Timestamp,
    last_occurrence: Timestamp,
    rows: i64,
    rows_with_user: i64,
    row_users: i64,
    first_at: Option<Timestamp>,
    last_at: Option<Timestamp>,
    example: Option<ErrorId>,
    members: i64,
    member_errors: i64,
}

impl HourFigures {
    pub(super) fn read<DB: Dialect>(row: &DB::Row) -> Result<Self, sqlx::Error> {
        let hour = DB::get(row, "hour_bucket")?;
        Ok(Self {
            id: DB::get(row, "id")?,
            named: AggregationId::new(hour, &dimensions::<DB>(row)?),
            hour,
            total_errors: DB::get(row, "total_errors")?,
            unique_users: DB::get(row, "unique_users")?,
            unlinked_errors: DB::get(row, "unlinked_errors")?,
            forgotten_errors: DB::get(row, "forgotten_errors")?,
            first_occurrence: DB::get(row, "first_occurrence")?,
            last_occurrence: DB::get(row, "last_occurrence")?,
            rows: DB::get(row, "row_errors")?,
            rows_with_user: DB::get(row, "rows_with_user")?,
            row_users: DB::get(row, "row_users")?,
            first_at: DB::get(row, "first_at")?,
            last_at: DB::get(row, "last_at")?,
            example: example::<DB>(row)?,
            members: DB::get(row, "members")?,
            member_errors: DB::get(row, "member_errors")?,
        })
    }

    /// Reports every check that fails; members are proved of hours since `members_since`.
    pub(super) fn compare(&self, members_since: Timestamp, found: &mut Verification) {
        let mut differs = |check, stored, counted| {
            found.report(Mismatch {
                check,
                subject: self.id.to_string(),
                hour_bucket: Some(self.hour),
                stored,
                counted,
                example: self.example,
            });
        };
        if self.id != self.named {
            differs(Check::HourName, 0, 0);
        }
        let counted = self.rows + self.unlinked_errors;
        if self.total_errors != counted {
            differs(Check::HourTotal, self.total_errors, counted);
        }
        // Errors without a row, or not with one any more, may have had users, and happened at any time.
        let spare = self.unlinked_errors;
        if self.hour.start() >= members_since {
            if self.unique_users != self.members {
                differs(Check::HourUsers, self.unique_users, self.members);
            }
            // A user who was forgotten is a member that no row names.
            let most = self.row_users + spare + self.forgotten_errors;
            if !(self.row_users..=most).contains(&self.members) {
                differs(Check::HourMembers, self.members, self.row_users);
            }
            let with_user = self.rows_with_user + self.forgotten_errors;
            if !(with_user..=with_user + spare).contains(&self.member_errors) {
                differs(Check::HourMemberErrors, self.member_errors, with_user);
            }
        }
        if let (Some(first_at), Some(last_at)) = (self.first_at, self.last_at) {
            let (first, last) = (self.first_occurrence, self.last_occurrence);
            if first > first_at || (spare == 0 && first != first_at) {
                differs(Check::HourFirst, first.as_micros(), first_at.as_micros());
            }
            if last < last_at || (spare == 0 && last != last_at) {
                differs(Check::HourLast, last.as_micros(), last_at.as_micros());
            }
        }
    }
}
