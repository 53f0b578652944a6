//! What the source's hours count without rows: its rows were pruned, or never kept. These errors are
//! counted here as unlinked, under a method of their own.
//!
//! What was taken under each label set, as the source names it, is remembered: its rows may be pruned
//! there or here, and its errors folded into `__other__` here, before it is looked at again.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use futures_util::TryStreamExt;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    commit::{CountedHour, Imported},
    domain::{Category, Dimensions, Hour, ImportKey, NameHasher, Severity, Timestamp},
    store::{AggregationDelta, InvalidField, UnlinkedErrors},
};

use super::{
    Balance, ImportError, ROWS_AT_ONCE, Source, Target, halving,
    source::Table,
    values::{instant, unread},
};

/// The method of errors of which only a number is left.
const METHOD: &str = "UNKNOWN";

/// The service of all that is imported.
const SERVICE: &str = "unknown_service";

/// How far ahead of ours the source's clock may be.
const MAX_AHEAD_SECONDS: i64 = 3_600;

/// By what the source counts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Labels {
    hour: Hour,
    endpoint: String,
    severity: Severity,
    category: Category,
    external_service: Option<String>,
}

impl Labels {
    /// Their name, after that of the source.
    fn key(&self, source: &NameHasher) -> ImportKey {
        let mut name = source.clone();
        name.field(&self.hour.start().as_micros().to_le_bytes())
            .field(self.endpoint.as_bytes())
            .field(self.severity.as_str().as_bytes())
            .field(self.category.as_str().as_bytes());
        if let Some(external_service) = &self.external_service {
            name.field(external_service.as_bytes());
        }
        ImportKey::of(&name)
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&told(
            &self.hour.start().to_string(),
            &self.endpoint,
            self.severity.as_str(),
            self.category.as_str(),
            self.external_service.as_deref(),
        ))
    }
}

/// A label set as reasons name it.
fn told(
    hour: &str,
    endpoint: &str,
    severity: &str,
    category: &str,
    external_service: Option<&str>,
) -> String {
    let endpoint = InvalidField::shown(endpoint);
    let of = external_service.map(|service| format!(" of {}", InvalidField::shown(service)));
    let of = of.unwrap_or_default();
    format!("hour {hour}, {severity} {category} at {endpoint}{of}")
}

/// The label set that counts are stored under.
fn told_of_counted(counts: &AggregationDelta) -> String {
    let dimensions = &counts.dimensions;
    told(
        &counts.hour.start().to_string(),
        &dimensions.endpoint,
        dimensions.severity.as_str(),
        dimensions.category.as_str(),
        dimensions.external_service.as_deref(),
    )
}

/// The labels of a row that cannot be read as a whole, as far as it has them.
fn told_of(row: &str) -> String {
    let row: Value = serde_json::from_str(row).unwrap_or_default();
    let label = |name: &str| row[name].as_str();
    told(
        label("hour_bucket").unwrap_or("unknown"),
        label("endpoint").unwrap_or_default(),
        label("severity").unwrap_or(Severity::Error.as_str()),
        label("category").unwrap_or(Category::Unknown.as_str()),
        label("external_service"),
    )
}

/// What a row of the source's `api_errors` says of the label set that counts it, even if the row
/// itself cannot be taken.
#[derive(Deserialize)]
struct RowLabels {
    #[serde(deserialize_with = "instant")]
    created_at: Option<Timestamp>,
    endpoint: Option<String>,
    severity: Option<Severity>,
    category: Option<Category>,
    external_service: Option<String>,
}

/// The rows that the source has now, by the label sets that count them.
pub(super) struct Rows {
    source: NameHasher,
    seen: HashMap<ImportKey, Seen>,
}

/// Rows of one label set.
#[derive(Clone, Copy, Default)]
struct Seen {
    rows: i64,
    refused: i64,
}

impl Rows {
    /// None yet, of the source of this name.
    pub(super) fn of(source: NameHasher) -> Self {
        Self {
            source,
            seen: HashMap::new(),
        }
    }

    /// One more; answers with the label set that counts it.
    pub(super) fn add(&mut self, text: &str) -> Option<ImportKey> {
        let row: RowLabels = serde_json::from_str(text).ok()?;
        let labels = Labels {
            hour: Hour::containing(row.created_at?),
            endpoint: row.endpoint.unwrap_or_default(),
            severity: row.severity.unwrap_or(Severity::Error),
            category: row.category.unwrap_or(Category::Unknown),
            external_service: row.external_service,
        };
        let key = labels.key(&self.source);
        self.seen.entry(key).or_default().rows += 1;
        Some(key)
    }

    /// One of those cannot be taken.
    pub(super) fn refuse(&mut self, hour: Option<ImportKey>) {
        if let Some(hour) = hour {
            self.seen.entry(hour).or_default().refused += 1;
        }
    }
}

/// A row of the source's `error_aggregations`.
#[derive(Deserialize)]
struct SourceHour {
    #[serde(deserialize_with = "instant")]
    hour_bucket: Option<Timestamp>,
    endpoint: Option<String>,
    severity: Option<Severity>,
    category: Option<Category>,
    external_service: Option<String>,
    total_errors: i64,
    #[serde(default, deserialize_with = "instant")]
    first_occurrence: Option<Timestamp>,
    #[serde(default, deserialize_with = "instant")]
    last_occurrence: Option<Timestamp>,
}

/// What the source counts under the same labels, in however many rows.
struct Counted {
    errors: i64,
    first: Timestamp,
    last: Timestamp,
}

pub(super) async fn import(
    source: &mut Source,
    target: &Target,
    now: Timestamp,
    rows: &Rows,
    balance: &mut Balance,
    progress: &mut impl FnMut(&Balance),
) -> Result<(), ImportError> {
    if !source.has(Table::Hours) {
        return Ok(());
    }
    let mut hours = BTreeMap::<Labels, Counted>::new();
    let mut texts = source.hours();
    while let Some(text) = texts.try_next().await? {
        let added = serde_json::from_str(&text)
            .map_err(|error| unread(&error))
            .and_then(|hour| add(&mut hours, hour, now));
        if let Err(reason) = added {
            let reason = format!("{}: {reason}", told_of(&text));
            balance.refuse(|balance| &mut balance.hours, reason);
        }
    }
    let mut part = Vec::with_capacity(ROWS_AT_ONCE);
    for (labels, counted) in hours {
        let key = labels.key(&rows.source);
        let seen = rows.seen.get(&key).copied().unwrap_or_default();
        if counted.errors <= seen.rows {
            continue;
        }
        match counted_hour(key, &labels, &counted, seen) {
            Ok(hour) => part.push(hour),
            Err(reason) => balance.refuse(|balance| &mut balance.hours, reason),
        }
        if part.len() == ROWS_AT_ONCE {
            write(target, std::mem::take(&mut part), balance).await?;
            progress(balance);
        }
    }
    write(target, part, balance).await?;
    progress(balance);
    Ok(())
}

/// Adds a row of the source, or says why it cannot be.
fn add(
    hours: &mut BTreeMap<Labels, Counted>,
    hour: SourceHour,
    now: Timestamp,
) -> Result<(), String> {
    let Some(at) = hour.hour_bucket else {
        let errors = hour.total_errors;
        return Err(format!("it counts {errors} errors without an hour_bucket"));
    };
    let bucket = Hour::containing(at);
    if bucket.start() > now.plus_seconds(MAX_AHEAD_SECONDS) {
        return Err("it has not begun yet".to_owned());
    }
    if hour.total_errors < 0 {
        let errors = hour.total_errors;
        return Err(format!("it counts {errors} errors"));
    }
    let labels = Labels {
        hour: bucket,
        endpoint: hour.endpoint.unwrap_or_default(),
        severity: hour.severity.unwrap_or(Severity::Error),
        category: hour.category.unwrap_or(Category::Unknown),
        external_service: hour.external_service,
    };
    // An hour's first and last lie in it, whatever was written down.
    let within = |at: Option<Timestamp>, otherwise: Timestamp| {
        at.filter(|at| Hour::containing(*at) == bucket)
            .unwrap_or(otherwise)
    };
    let first = within(hour.first_occurrence, bucket.start());
    let last = within(hour.last_occurrence, first).max(first);
    let counted = hours.entry(labels).or_insert(Counted {
        errors: 0,
        first,
        last,
    });
    counted.errors = counted
        .errors
        .checked_add(hour.total_errors)
        .ok_or("its rows count more errors than can be counted")?;
    counted.first = counted.first.min(first);
    counted.last = counted.last.max(last);
    Ok(())
}

/// What the source counts under a label set, or why it cannot be counted here.
fn counted_hour(
    key: ImportKey,
    labels: &Labels,
    counted: &Counted,
    seen: Seen,
) -> Result<CountedHour, String> {
    let endpoint = match &*labels.endpoint {
        "" => "(unknown)",
        endpoint => endpoint,
    };
    let unlinked = UnlinkedErrors {
        dimensions: Dimensions {
            service_name: SERVICE.to_owned(),
            environment: String::new(),
            endpoint: endpoint.to_owned(),
            method: METHOD.to_owned(),
            severity: labels.severity,
            category: labels.category,
            external_service: labels.external_service.clone(),
            status_code: None,
        },
        errors: counted.errors,
        first_occurrence: counted.first,
        last_occurrence: counted.last,
    };
    let counts = unlinked.into_delta().map_err(|invalid| {
        let sentences: Vec<String> = invalid.iter().map(ToString::to_string).collect();
        format!("{labels}: {}", sentences.join("; "))
    })?;
    Ok(CountedHour {
        key,
        counts,
        rows: seen.rows,
        refused: seen.refused,
    })
}

async fn write(
    target: &Target,
    hours: Vec<CountedHour>,
    balance: &mut Balance,
) -> Result<(), ImportError> {
    let names: Vec<String> = hours.iter().map(|it| told_of_counted(&it.counts)).collect();
    let written = halving(hours, async |hours| {
        let part = Imported {
            hours,
            ..Imported::default()
        };
        Ok(target.queue.import(part).await?.hours)
    });
    for (name, is_new) in names.into_iter().zip(written.await?) {
        match is_new {
            Ok(Some(is_new)) => balance.hours.add(is_new),
            Ok(None) => {}
            Err(refused) => {
                let reason = format!("{name}: {refused}");
                balance.refuse(|balance| &mut balance.hours, reason);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hour(at: &str, total_errors: i64) -> SourceHour {
        let row = json!({
            "hour_bucket": at,
            "endpoint": "/orders",
            "total_errors": total_errors,
        });
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn counts_that_cannot_be_are_refused_and_the_others_added() {
        let now: Timestamp = serde_json::from_value(json!("2026-03-01T10:30:00Z")).unwrap();
        let (this, next, later) = (
            "2026-03-01T10:00:00Z",
            "2026-03-01T11:00:00Z",
            "2026-03-01T12:00:00Z",
        );
        let mut hours = BTreeMap::new();
        for (at, errors) in [(this, 2), (this, 3), (next, 1)] {
            add(&mut hours, hour(at, errors), now).unwrap();
        }
        for (at, errors, reason) in [
            (this, -5, "it counts -5 errors"),
            (this, i64::MAX - 4, "more errors than can be counted"),
            (later, 1, "it has not begun yet"),
        ] {
            let refused = add(&mut hours, hour(at, errors), now).unwrap_err();
            assert!(refused.contains(reason), "{refused}");
        }
        let counted: Vec<i64> = hours.values().map(|counted| counted.errors).collect();
        assert_eq!(counted, [5, 1]);
    }
}
