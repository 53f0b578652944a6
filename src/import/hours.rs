//! What the source's hours count without rows: its rows were pruned, or never kept. These errors are
//! counted here as unlinked, under a method of their own.
//!
//! What was taken under each label set, as the source names it, is remembered: its rows may be pruned
//! there or here, and its errors folded into `__other__` here, before it is looked at again.

use std::collections::{BTreeMap, HashMap};

use futures_util::TryStreamExt;
use serde::Deserialize;

use crate::{
    commit::{CountedHour, Imported},
    domain::{Category, Dimensions, Hour, ImportKey, NameHasher, Severity, Timestamp},
    store::UnlinkedErrors,
};

use super::{
    Balance, ImportError, ROWS_AT_ONCE, Source, Target, halving, source::Table, values::instant,
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
            .map_err(|error| format!("an hour cannot be read: {error}"))
            .and_then(|hour| add(&mut hours, hour, now));
        if let Err(reason) = added {
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
        match counted_hour(key, labels, &counted, seen) {
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
        return Err(format!("an hour of {errors} errors has no hour_bucket"));
    };
    let bucket = Hour::containing(at);
    if bucket.start() > now.plus_seconds(MAX_AHEAD_SECONDS) {
        return Err(format!("hour {}: it has not begun yet", bucket.start()));
    }
    if hour.total_errors < 0 {
        let errors = hour.total_errors;
        return Err(format!(
            "hour {}: it counts {errors} errors",
            bucket.start()
        ));
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
        .ok_or_else(|| {
            let start = bucket.start();
            format!("hour {start}: its rows count more errors than can be counted")
        })?;
    counted.first = counted.first.min(first);
    counted.last = counted.last.max(last);
    Ok(())
}

/// What the source counts under a label set, or why it cannot be counted here.
fn counted_hour(
    key: ImportKey,
    labels: Labels,
    counted: &Counted,
    seen: Seen,
) -> Result<CountedHour, String> {
    let endpoint = match &*labels.endpoint {
        "" => "(unknown)".to_owned(),
        _ => labels.endpoint,
    };
    let unlinked = UnlinkedErrors {
        dimensions: Dimensions {
            service_name: SERVICE.to_owned(),
            environment: String::new(),
            endpoint,
            method: METHOD.to_owned(),
            severity: labels.severity,
            category: labels.category,
            external_service: labels.external_service,
            status_code: None,
        },
        errors: counted.errors,
        first_occurrence: counted.first,
        last_occurrence: counted.last,
    };
    let counts = unlinked.into_delta().map_err(|invalid| {
        let sentences: Vec<String> = invalid.iter().map(ToString::to_string).collect();
        format!("hour {}: {}", labels.hour.start(), sentences.join("; "))
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
    let starts: Vec<Timestamp> = hours.iter().map(|it| it.counts.hour.start()).collect();
    let written = halving(hours, async |hours| {
        let part = Imported {
            hours,
            ..Imported::default()
        };
        Ok(target.queue.import(part).await?.hours)
    });
    for (start, is_new) in starts.into_iter().zip(written.await?) {
        match is_new {
            Ok(Some(is_new)) => balance.hours.add(is_new),
            Ok(None) => {}
            Err(refused) => {
                let reason = format!("hour {start}: {refused}");
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
            let named = format!("hour {}", at.trim_end_matches('Z'));
            assert!(refused.starts_with(&named), "{refused}");
            assert!(refused.contains(reason), "{refused}");
        }
        let counted: Vec<i64> = hours.values().map(|counted| counted.errors).collect();
        assert_eq!(counted, [5, 1]);
    }
}
