//! What another ledger kept, on its way into this one. Each thing is taken once, remembered in the
//! transaction that writes it.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    domain::{ApiError, ImportKey},
    store::{AggregationDelta, ImportedHour, Ingest, StoreError},
};

/// A part of what another ledger kept.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// Its errors.
    pub errors: Vec<ImportedError>,
    /// Its hours, as far as they count more than there are rows; each label set once.
    pub hours: Vec<CountedHour>,
}

/// A row of another ledger.
#[derive(Clone, Debug)]
pub struct ImportedError {
    /// The row. One whose id is here already changes nothing.
    pub row: ApiError,
    /// The label set of that ledger's hours that counts it.
    pub hour: Option<ImportKey>,
}

/// What another ledger counts under a label set of an hour.
#[derive(Clone, Debug)]
pub struct CountedHour {
    /// The ledger and the label set.
    pub key: ImportKey,
    /// Where its errors are counted here; `unlinked_errors` are all of them.
    pub counts: AggregationDelta,
    /// How many of them have rows there.
    pub rows: i64,
    /// How many of the rows cannot be taken.
    pub refused: i64,
}

/// What became of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Of each error, in order, whether it is new.
    pub errors: Vec<bool>,
    /// Of each label set, in order: whether errors without rows are new; `None` when every error
    /// that it counts is one that had a row.
    pub hours: Vec<Option<bool>>,
}

/// What is new of a part, to be written.
#[derive(Debug, Default)]
pub(super) struct New<'i> {
    pub(super) errors: Vec<&'i ApiError>,
    pub(super) unlinked: Vec<AggregationDelta>,
    pub(super) taken: Taken,
}

impl Imported {
    /// Remembers what is taken now; answers what that is.
    pub(super) async fn take_over(
        &self,
        connection: &mut dyn Ingest,
    ) -> Result<New<'_>, StoreError> {
        let mut new = New::default();
        self.take_errors(connection, &mut new).await?;
        self.take_hours(connection, &mut new).await?;
        Ok(new)
    }

    async fn take_errors<'i>(
        &'i self,
        connection: &mut dyn Ingest,
        new: &mut New<'i>,
    ) -> Result<(), StoreError> {
        let key = |error: &ImportedError| ImportKey::of_error(error.row.id);
        let mut keys: Vec<ImportKey> = self.errors.iter().map(key).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut new_keys: HashSet<ImportKey> =
            connection.take_over(&keys).await?.into_iter().collect();
        let mut linked = BTreeMap::<ImportKey, i64>::new();
        for error in &self.errors {
            let is_new = new_keys.remove(&key(error));
            new.taken.errors.push(is_new);
            if is_new {
                new.errors.push(&error.row);
                if let Some(hour) = error.hour {
                    *linked.entry(hour).or_default() += 1;
                }
            }
        }
        let linked = linked.into_iter().map(|(key, linked_errors)| ImportedHour {
            key,
            linked_errors,
            unlinked_errors: 0,
        });
        connection
            .count_imported(&linked.collect::<Vec<_>>())
            .await?;
        Ok(())
    }

    async fn take_hours(
        &self,
        connection: &mut dyn Ingest,
        new: &mut New<'_>,
    ) -> Result<(), StoreError> {
        let mut hours: Vec<ImportedHour> = self.hours.iter().map(CountedHour::nothing).collect();
        hours.sort_unstable_by_key(|hour| hour.key);
        let before = connection.count_imported(&hours).await?;
        let mut taken: HashMap<ImportKey, ImportedHour> =
            before.into_iter().map(|hour| (hour.key, hour)).collect();
        hours.clear();
        for hour in &self.hours {
            let before = taken.remove(&hour.key).unwrap_or_else(|| hour.nothing());
            let without_row = hour.without_row(&before);
            let missing = without_row - before.unlinked_errors;
            new.taken
                .hours
                .push((without_row > 0).then_some(missing > 0));
            if missing > 0 {
                new.unlinked.push(AggregationDelta {
                    unlinked_errors: missing,
                    ..hour.counts.clone()
                });
                hours.push(ImportedHour {
                    unlinked_errors: missing,
                    ..hour.nothing()
                });
            }
        }
        hours.sort_unstable_by_key(|hour| hour.key);
        connection.count_imported(&hours).await?;
        Ok(())
    }
}

impl CountedHour {
    fn nothing(&self) -> ImportedHour {
        ImportedHour {
            key: self.key,
            linked_errors: 0,
            unlinked_errors: 0,
        }
    }

    /// How many of its errors never had a row that could be taken. Rows that were taken may be gone
    /// there by now; rows that are there may have been taken under another key, from a copy of that
    /// ledger.
    fn without_row(&self, taken: &ImportedHour) -> i64 {
        let rows = (taken.linked_errors + self.refused).max(self.rows);
        self.counts.unlinked_errors - rows
    }
}
