//! What the source's hours count without rows: its rows were pruned, or never kept. These errors are
//! counted here as unlinked, under a method of their own, by which a second run finds them.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use serde::Deserialize;

use crate::{
    domain::{AggregationId, ApiError, Category, Dimensions, Hour, Severity, Timestamp},
    store::{AggregationFilter, PageRequest, RepositoryError, UnlinkedErrors},
};

use super::{Balance, ImportError, Source, Target, source::Table, values::instant};

/// The method of errors of which only a number is left.
const METHOD: &str = "UNKNOWN";

/// The service of all that is imported.
const SERVICE: &str = "unknown_service";

/// By what the source counts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Labels {
    hour: Hour,
    endpoint: String,
    severity: Severity,
    category: Category,
    external_service: Option<String>,
}

/// How many rows there are.
#[derive(Debug, Default)]
pub(super) struct Rows(BTreeMap<Labels, i64>);

impl Rows {
    /// One more.
    pub(super) fn add(&mut self, row: &ApiError) {
        let labels = Labels {
            hour: row.hour(),
            endpoint: row.endpoint.clone(),
            severity: row.severity,
            category: row.category,
            external_service: row.external_service.clone(),
        };
        *self.0.entry(labels).or_default() += 1;
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
    rows: &Rows,
    balance: &mut Balance,
    progress: &mut impl FnMut(&Balance),
) -> Result<(), ImportError> {
    if !source.has(Table::Hours).await? {
        return Ok(());
    }
    let mut hours = BTreeMap::<Labels, Counted>::new();
    let mut texts = source.rows(Table::Hours);
    while let Some(text) = texts.try_next().await? {
        match serde_json::from_str(&text) {
            Ok(hour) => add(&mut hours, hour),
            Err(error) => balance.refuse(
                |balance| &mut balance.hours,
                format!("an hour cannot be read: {error}"),
            ),
        }
    }
    for (labels, counted) in hours {
        let missing = counted.errors - rows.0.get(&labels).copied().unwrap_or(0);
        if missing > 0 {
            add_unlinked(target, &labels, &counted, missing, balance).await?;
            progress(balance);
        }
    }
    Ok(())
}

fn add(hours: &mut BTreeMap<Labels, Counted>, hour: SourceHour) {
    let Some(at) = hour.hour_bucket else { return };
    let bucket = Hour::containing(at);
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
    counted.errors += hour.total_errors;
    counted.first = counted.first.min(first);
    counted.last = counted.last.max(last);
}

/// Adds what of the missing errors an earlier run did not add.
async fn add_unlinked(
    target: &Target,
    labels: &Labels,
    counted: &Counted,
    missing: i64,
    balance: &mut Balance,
) -> Result<(), ImportError> {
    let endpoint = match &*labels.endpoint {
        "" => "(unknown)",
        endpoint => endpoint,
    };
    let dimensions = Dimensions {
        service_name: SERVICE.to_owned(),
        environment: String::new(),
        endpoint: endpoint.to_owned(),
        method: METHOD.to_owned(),
        severity: labels.severity,
        category: labels.category,
        external_service: labels.external_service.clone(),
        status_code: None,
    };
    let there = unlinked(target, labels.hour, &dimensions).await?;
    if there >= missing {
        balance.hours.add(false);
        return Ok(());
    }
    let unlinked = UnlinkedErrors {
        dimensions,
        errors: missing - there,
        first_occurrence: counted.first,
        last_occurrence: counted.last,
    };
    match target.errors.upsert_aggregation(unlinked).await {
        Ok(()) => balance.hours.add(true),
        Err(RepositoryError::Invalid(invalid)) => {
            let sentences: Vec<String> = invalid.iter().map(ToString::to_string).collect();
            let reason = format!("hour {}: {}", labels.hour.start(), sentences.join("; "));
            balance.refuse(|balance| &mut balance.hours, reason);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// What the label set counts here already without rows.
async fn unlinked(
    target: &Target,
    hour: Hour,
    dimensions: &Dimensions,
) -> Result<i64, ImportError> {
    let filter = AggregationFilter {
        from: Some(hour),
        to: Some(Hour::containing(hour.end())),
        service_name: Some(dimensions.service_name.clone()),
        endpoint: Some(dimensions.endpoint.clone()),
        severity: Some(dimensions.severity),
        category: Some(dimensions.category),
        external_service: dimensions.external_service.clone(),
    };
    let id = AggregationId::new(hour, dimensions);
    let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
    loop {
        let found = target.errors.get_aggregations(&filter, &page).await?;
        if let Some(row) = found.items.iter().find(|row| row.id == id) {
            return Ok(row.unlinked_errors);
        }
        match found.next {
            Some(next) => page = PageRequest::after(PageRequest::MAX_LIMIT, next),
            None => return Ok(0),
        }
    }
}
