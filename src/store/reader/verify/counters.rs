//! What a writer's data counters say, against the hours that it wrote.

use crate::{
    domain::DURATION_BUCKETS_SECONDS,
    store::{Check, Labels, MetricFamily, Mismatch, Verification, reader::dialect::Dialect},
};

/// Counts of one duration histogram: one for each bound, and one beyond them all.
const BUCKETS: usize = DURATION_BUCKETS_SECONDS.len() + 1;

/// The columns of `request_totals` that hold them.
pub(in crate::store) const DURATION_COLUMNS: [&str; BUCKETS] = [
    "duration_to_5ms",
    "duration_to_10ms",
    "duration_to_25ms",
    "duration_to_50ms",
    "duration_to_100ms",
    "duration_to_250ms",
    "duration_to_500ms",
    "duration_to_1s",
    "duration_to_2500ms",
    "duration_to_5s",
    "duration_to_10s",
    "duration_beyond",
];

/// Counts of one writer, as its counters have them, or as its hours do.
#[derive(Debug, Default, Clone)]
pub(in crate::store) struct Counters {
    pub(in crate::store) errors: i64,
    pub(in crate::store) merged_rows: i64,
    pub(in crate::store) requests: i64,
    pub(in crate::store) request_errors: i64,
    pub(super) durations: i64,
    pub(in crate::store) duration_sum: i64,
    pub(in crate::store) buckets: [i64; BUCKETS],
}

impl Counters {
    /// Adds a row of `metric_totals`.
    pub(in crate::store) fn add_row<DB: Dialect>(
        &mut self,
        row: &DB::Row,
    ) -> Result<(), sqlx::Error> {
        let family: String = DB::get(row, "family")?;
        let labels: String = DB::get(row, "labels")?;
        let buckets: String = DB::get(row, "buckets")?;
        self.add(
            &family,
            &from_json(&labels)?,
            DB::get(row, "value")?,
            DB::get(row, "sum")?,
            &from_json::<Vec<i64>>(&buckets)?,
        );
        Ok(())
    }

    fn add(&mut self, family: &str, labels: &Labels, value: i64, sum: i64, buckets: &[i64]) {
        match MetricFamily::ALL
            .iter()
            .find(|known| known.as_str() == family)
        {
            Some(MetricFamily::Errors) => self.errors += value,
            Some(MetricFamily::MergedRows) => self.merged_rows += value,
            Some(MetricFamily::Requests) => {
                self.requests += value;
                if labels
                    .get("outcome")
                    .is_some_and(|outcome| outcome == "error")
                {
                    self.request_errors += value;
                }
            }
            Some(MetricFamily::RequestDuration) => {
                self.durations += value;
                self.duration_sum = self.duration_sum.saturating_add(sum);
                for (total, count) in self.buckets.iter_mut().zip(buckets) {
                    *total += count;
                }
            }
            // Groups come and go with no trace in the rows, and other families are another
            // version's.
            _ => {}
        }
    }

    /// Reports every figure that `writer` counted otherwise than its hours say.
    pub(super) fn compare(&self, hours: &Self, writer: &str, found: &mut Verification) {
        let figures = |of: &Self| {
            let mut figures = vec![
                (Check::RequestsCounter, of.requests),
                (Check::RequestErrorsCounter, of.request_errors),
                (Check::DurationsCounter, of.durations),
                (Check::DurationSum, of.duration_sum),
            ];
            figures.extend(of.buckets.map(|count| (Check::DurationBucket, count)));
            figures
        };
        for ((check, stored), (_, counted)) in figures(self).into_iter().zip(figures(hours)) {
            if stored != counted {
                found.report(Mismatch {
                    check,
                    subject: writer.to_owned(),
                    hour_bucket: None,
                    stored,
                    counted,
                    example: None,
                });
            }
        }
    }
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}
