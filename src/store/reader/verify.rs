//! The proof that hours, groups and counters say what the rows say. Each figure is compared with
//! one that another statement wrote, never with itself, and all are read in one snapshot. Here are
//! the checks and their statements; what figures have to agree stands in the modules below.

mod counters;
mod hour;

use std::collections::BTreeMap;

use crate::{
    domain::{AggregationId, ErrorId, Hour, Timestamp},
    store::{
        Check, MetricFamily, Mismatch, StoreError, Verification, rebuild::MEMBERS_KEPT_SECONDS,
    },
};

pub(in crate::store) use counters::{Counters, DURATION_COLUMNS};

use hour::HourFigures;

use super::{
    Snapshot, SqlReader, dialect::Dialect, dialect::Limit, end, rows::dimensions,
    statement::Statement,
};

impl<DB: Dialect> SqlReader<DB> {
    /// See [`crate::store::Reader::verify_aggregations`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn verify_aggregations(
        &self,
        from: Option<Hour>,
        to: Option<Hour>,
        now: Timestamp,
    ) -> Result<Verification, StoreError> {
        const DURING: &str = "verifying aggregations";
        let mut proof = Proof::<DB> {
            snapshot: self.snapshot(Limit::None, DURING).await?,
            from,
            to,
            members_since: now.plus_seconds(-MEMBERS_KEPT_SECONDS),
            found: Verification::default(),
        };
        match proof.run().await {
            Ok(()) => {
                end(proof.snapshot).await;
                Ok(proof.found)
            }
            Err(error) => Err(StoreError::of(DURING, error)),
        }
    }
}

struct Proof<DB: Dialect> {
    snapshot: Snapshot<DB>,
    from: Option<Hour>,
    to: Option<Hour>,
    members_since: Timestamp,
    found: Verification,
}

impl<DB: Dialect> Proof<DB> {
    async fn run(&mut self) -> Result<(), sqlx::Error> {
        self.hours().await?;
        self.rows_of_other_hours().await?;
        self.rows_without_hour().await?;
        if self.from.is_none() && self.to.is_none() {
            self.members_without_hour().await?;
            self.merged_rows().await?;
            let counters = self.counters().await?;
            self.errors_counter(&counters).await?;
            self.groups().await?;
            self.rows_without_group().await?;
            self.requests(counters).await?;
        }
        Ok(())
    }

    /// Every hour with what its rows and members say.
    async fn hours(&mut self) -> Result<(), sqlx::Error> {
        let mut statement = Statement::<DB>::new(
            "SELECT hours.id, hours.hour_bucket, hours.service_name, hours.environment, \
                 hours.endpoint, hours.method, CAST(hours.severity AS TEXT) AS severity, \
                 CAST(hours.category AS TEXT) AS category, hours.external_service, \
                 hours.status_code, hours.total_errors, hours.unique_users, \
                 hours.unlinked_errors, hours.forgotten_errors, hours.first_occurrence, hours.last_occurrence, \
                 COALESCE(counted.errors, 0) AS row_errors, \
                 COALESCE(counted.with_user, 0) AS rows_with_user, \
                 COALESCE(counted.users, 0) AS row_users, counted.first_at, counted.last_at, \
                 counted.example, COALESCE(members.users, 0) AS members, \
                 COALESCE(members.errors, 0) AS member_errors \
             FROM error_aggregations AS hours \
             LEFT JOIN (SELECT aggregation_id, COUNT(*) AS errors, COUNT(user_id) AS with_user, \
                     COUNT(DISTINCT user_id) AS users, MIN(created_at) AS first_at, \
                     MAX(created_at) AS last_at, MIN(CAST(id AS TEXT)) AS example \
                 FROM api_errors GROUP BY aggregation_id) AS counted \
                 ON counted.aggregation_id = hours.id \
             LEFT JOIN (SELECT aggregation_id, COUNT(*) AS users, \
                     CAST(SUM(errors) AS BIGINT) AS errors \
                 FROM error_aggregation_users GROUP BY aggregation_id) AS members \
                 ON members.aggregation_id = hours.id \
             WHERE TRUE",
        );
        statement
            .when(" AND hours.hour_bucket >= ", self.from)
            .when(" AND hours.hour_bucket < ", self.to)
            .push(" ORDER BY hours.hour_bucket, hours.id");
        let Self {
            snapshot,
            found,
            members_since,
            ..
        } = self;
        statement
            .for_each(snapshot, |row| {
                let hour = HourFigures::read::<DB>(&row)?;
                found.aggregations += 1;
                hour.compare(*members_since, found);
                Ok(())
            })
            .await
    }

    /// The hour and dimensions of a row name the hour's row that must count it.
    async fn rows_of_other_hours(&mut self) -> Result<(), sqlx::Error> {
        let mut statement = Statement::<DB>::new(
            "SELECT id, created_at, aggregation_id, service_name, environment, endpoint, method, \
                 CAST(severity AS TEXT) AS severity, CAST(category AS TEXT) AS category, \
                 external_service, status_code \
             FROM api_errors WHERE TRUE",
        );
        self.rows_in_range(&mut statement);
        let mut strangers = BTreeMap::new();
        let Self {
            snapshot, found, ..
        } = self;
        statement
            .for_each(snapshot, |row| {
                found.errors += 1;
                let created_at: Timestamp = DB::get(&row, "created_at")?;
                let counted_in: AggregationId = DB::get(&row, "aggregation_id")?;
                let hour = Hour::containing(created_at);
                let own = dimensions::<DB>(&row)?;
                if AggregationId::new(hour, &own) != counted_in
                    && AggregationId::new(hour, &own.folded()) != counted_in
                {
                    let id: ErrorId = DB::get(&row, "id")?;
                    let (errors, example) = strangers.entry((hour, counted_in)).or_insert((0, id));
                    *errors += 1;
                    *example = id.min(*example);
                }
                Ok(())
            })
            .await?;
        for ((hour, counted_in), (errors, example)) in strangers {
            found.report(Mismatch {
                check: Check::RowsInWrongHour,
                subject: counted_in.to_string(),
                hour_bucket: Some(hour),
                stored: 0,
                counted: errors,
                example: Some(example),
            });
        }
        Ok(())
    }

    async fn rows_without_hour(&mut self) -> Result<(), sqlx::Error> {
        let mut statement = Statement::<DB>::new(
            "SELECT aggregation_id, COUNT(*) AS errors, MIN(created_at) AS first_at, \
                 MIN(CAST(id AS TEXT)) AS example \
             FROM api_errors \
             WHERE NOT EXISTS (SELECT 1 FROM error_aggregations \
                 WHERE error_aggregations.id = api_errors.aggregation_id)",
        );
        self.rows_in_range(&mut statement);
        statement.push(" GROUP BY aggregation_id ORDER BY aggregation_id");
        let Self {
            snapshot, found, ..
        } = self;
        statement
            .for_each(snapshot, |row| {
                let id: AggregationId = DB::get(&row, "aggregation_id")?;
                found.report(Mismatch {
                    check: Check::RowsWithoutHour,
                    subject: id.to_string(),
                    hour_bucket: Some(Hour::containing(DB::get(&row, "first_at")?)),
                    stored: 0,
                    counted: DB::get(&row, "errors")?,
                    example: example::<DB>(&row)?,
                });
                Ok(())
            })
            .await
    }

    fn rows_in_range(&self, statement: &mut Statement<DB>) {
        statement
            .when(" AND created_at >= ", self.from.map(Hour::start))
            .when(" AND created_at < ", self.to.map(Hour::start));
    }

    async fn members_without_hour(&mut self) -> Result<(), sqlx::Error> {
        let statement = Statement::<DB>::new(
            "SELECT aggregation_id, COUNT(*) AS users FROM error_aggregation_users \
             WHERE NOT EXISTS (SELECT 1 FROM error_aggregations \
                 WHERE error_aggregations.id = error_aggregation_users.aggregation_id) \
             GROUP BY aggregation_id ORDER BY aggregation_id",
        );
        let Self {
            snapshot, found, ..
        } = self;
        statement
            .for_each(snapshot, |row| {
                let id: AggregationId = DB::get(&row, "aggregation_id")?;
                found.report(Mismatch {
                    check: Check::MembersWithoutHour,
                    subject: id.to_string(),
                    hour_bucket: None,
                    stored: 0,
                    counted: DB::get(&row, "users")?,
                    example: None,
                });
                Ok(())
            })
            .await
    }

    async fn merged_rows(&mut self) -> Result<(), sqlx::Error> {
        let statement = Statement::<DB>::new(
            "SELECT api_errors.id FROM error_redirects \
             JOIN api_errors ON api_errors.id = error_redirects.id ORDER BY api_errors.id",
        );
        let Self {
            snapshot, found, ..
        } = self;
        statement
            .for_each(snapshot, |row| {
                let id: ErrorId = DB::get(&row, "id")?;
                found.report(Mismatch {
                    check: Check::MergedRow,
                    subject: id.to_string(),
                    hour_bucket: None,
                    stored: 0,
                    counted: 1,
                    example: Some(id),
                });
                Ok(())
            })
            .await
    }

    /// What the data counters say, by writer.
    async fn counters(&mut self) -> Result<BTreeMap<String, Counters>, sqlx::Error> {
        let statement = Statement::<DB>::new(
            "SELECT writer, family, labels, value, sum, buckets FROM metric_totals",
        );
        let mut counters = BTreeMap::<String, Counters>::new();
        statement
            .for_each(&mut self.snapshot, |row| {
                let of_writer = counters.entry(DB::get(&row, "writer")?).or_default();
                of_writer.add_row::<DB>(&row)
            })
            .await?;
        Ok(counters)
    }

    /// Every row was imported, or counted once when it was first stored, by a writer that may be
    /// gone. Since then it was merged, or purged, or is still there.
    async fn errors_counter(
        &mut self,
        counters: &BTreeMap<String, Counters>,
    ) -> Result<(), sqlx::Error> {
        let statement = Statement::<DB>::new("SELECT reason, errors FROM error_balance");
        let balance = statement.all(&mut self.snapshot, |row| {
            let reason: String = DB::get(row, "reason")?;
            let errors: i64 = DB::get(row, "errors")?;
            Ok(match reason.as_str() {
                "purged" | "merged" => -errors,
                _ => errors,
            })
        });
        let balance: i64 = balance.await?.into_iter().sum();
        let ever: i64 = counters.values().map(|of_writer| of_writer.errors).sum();
        let merged: i64 = counters
            .values()
            .map(|of_writer| of_writer.merged_rows)
            .sum();
        let (stored, present) = (ever - merged + balance, self.found.errors);
        if stored != present {
            self.found.report(Mismatch {
                check: Check::ErrorsCounter,
                subject: MetricFamily::Errors.as_str().to_owned(),
                hour_bucket: None,
                stored,
                counted: present,
                example: None,
            });
        }
        Ok(())
    }

    /// A group counts its rows, and those that were purged.
    async fn groups(&mut self) -> Result<(), sqlx::Error> {
        let statement = Statement::<DB>::new(
            "SELECT error_groups.fingerprint, error_groups.total_errors, \
                 COALESCE(counted.errors, 0) + error_groups.unlinked_errors AS errors, \
                 counted.example \
             FROM error_groups \
             LEFT JOIN (SELECT fingerprint, COUNT(*) AS errors, MIN(CAST(id AS TEXT)) AS example \
                 FROM api_errors GROUP BY fingerprint) AS counted \
                 ON counted.fingerprint = error_groups.fingerprint \
             ORDER BY error_groups.fingerprint",
        );
        let Self {
            snapshot, found, ..
        } = self;
        statement
            .for_each(snapshot, |row| {
                found.groups += 1;
                let stored: i64 = DB::get(&row, "total_errors")?;
                let counted: i64 = DB::get(&row, "errors")?;
                if stored != counted {
                    found.report(Mismatch {
                        check: Check::GroupTotal,
                        subject: DB::get(&row, "fingerprint")?,
                        hour_bucket: None,
                        stored,
                        counted,
                        example: example::<DB>(&row)?,
                    });
                }
                Ok(())
            })
            .await
    }

    async fn rows_without_group(&mut self) -> Result<(), sqlx::Error> {
        let statement = Statement::<DB>::new(
            "SELECT fingerprint, COUNT(*) AS errors, MIN(CAST(id AS TEXT)) AS example \
             FROM api_errors \
             WHERE NOT EXISTS (SELECT 1 FROM error_groups \
                 WHERE error_groups.fingerprint = api_errors.fingerprint) \
             GROUP BY fingerprint ORDER BY fingerprint",
        );
        let Self {
            snapshot, found, ..
        } = self;
        statement
            .for_each(snapshot, |row| {
                found.report(Mismatch {
                    check: Check::RowsWithoutGroup,
                    subject: DB::get(&row, "fingerprint")?,
                    hour_bucket: None,
                    stored: 0,
                    counted: DB::get(&row, "errors")?,
                    example: example::<DB>(&row)?,
                });
                Ok(())
            })
            .await
    }

    /// What each writer's counters say against the hours that it wrote.
    async fn requests(&mut self, counters: BTreeMap<String, Counters>) -> Result<(), sqlx::Error> {
        let mut statement = Statement::<DB>::new(
            "SELECT writer, CAST(SUM(requests) AS BIGINT) AS requests, \
                 CAST(SUM(errors) AS BIGINT) AS errors, \
                 CAST(SUM(duration_sum_nanos) AS BIGINT) AS duration_sum_nanos",
        );
        for column in DURATION_COLUMNS {
            statement
                .push(", CAST(SUM(")
                .push(column)
                .push(") AS BIGINT) AS ")
                .push(column);
        }
        statement.push(" FROM (SELECT writer, requests, errors, duration_sum_nanos");
        for table in [
            " FROM request_totals UNION ALL SELECT writer, requests, errors, duration_sum_nanos",
            " FROM pruned_requests) AS counted GROUP BY writer",
        ] {
            for column in DURATION_COLUMNS {
                statement.push(", ").push(column);
            }
            statement.push(table);
        }
        let mut by_writer: BTreeMap<String, [Counters; 2]> = counters
            .into_iter()
            .map(|(writer, counters)| (writer, [counters, Counters::default()]))
            .collect();
        statement
            .for_each(&mut self.snapshot, |row| {
                let [_, hours] = by_writer.entry(DB::get(&row, "writer")?).or_default();
                hours.requests = DB::get(&row, "requests")?;
                hours.request_errors = DB::get(&row, "errors")?;
                // Each request was measured once.
                hours.durations = hours.requests;
                hours.duration_sum = DB::get(&row, "duration_sum_nanos")?;
                for (bucket, column) in hours.buckets.iter_mut().zip(DURATION_COLUMNS) {
                    *bucket = DB::get(&row, column)?;
                }
                Ok(())
            })
            .await?;
        self.found.writers = i64::try_from(by_writer.len()).unwrap_or(i64::MAX);
        for (writer, [counters, hours]) in &by_writer {
            counters.compare(hours, writer, &mut self.found);
        }
        Ok(())
    }
}

/// The row that a statement gives as an example, as text: PostgreSQL knows no least UUID.
fn example<DB: Dialect>(row: &DB::Row) -> Result<Option<ErrorId>, sqlx::Error> {
    let text: Option<String> = DB::get(row, "example")?;
    text.map(|text| {
        uuid::Uuid::try_parse(&text)
            .map(ErrorId)
            .map_err(|error| sqlx::Error::Decode(error.into()))
    })
    .transpose()
}
