//! `ApiErrorRepository`: errors, hours and groups for application code and for the parts of the
//! program that face people. Questions go to the store, changes to the one writer.

mod changes;
mod forgetting;

pub(crate) use changes::invalid_resolution;

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use async_trait::async_trait;

use crate::domain::{
    Aggregation, AggregationId, ApiError, Dimensions, ErrorGroup, ErrorId, Fingerprint, Hour,
    Timestamp,
};

use super::{
    AggregationDelta, AggregationFilter, ErrorFilter, ErrorStats, GroupFilter, InvalidField,
    NewApiError, Page, PageRequest, Reader, StoreError, Verification,
    edit::{Editor, Refusal},
};

/// Rows that are read by their ids in one statement.
const IDS_AT_ONCE: usize = 500;

/// The way of changes: into the queue of the one writer, and back when they are committed.
#[async_trait]
pub trait ErrorWriter: Editor {
    /// What kind of failure a row is one of, by the same rules as for telemetry.
    fn fingerprint(&self, row: &ApiError) -> Fingerprint;

    /// Stores rows; tells for each, in order, whether it is new. One that is there already changes nothing.
    async fn log_errors(&self, rows: Vec<ApiError>) -> Result<Vec<bool>, WriteError>;

    /// Adds counts without rows, in the name of `actor`.
    async fn add_unlinked(
        &self,
        actor: &str,
        counts: Vec<AggregationDelta>,
    ) -> Result<(), WriteError>;

    /// Counts the hours of a range again from their rows, in the name of `actor`; returns how many
    /// hours changed.
    async fn rebuild_aggregations(
        &self,
        actor: &str,
        from: Option<Hour>,
        to: Option<Hour>,
    ) -> Result<u64, WriteError>;
}

/// Why a change was not made, or is not known to have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Send the same again a little later: nothing is counted twice.
    #[error("try again: {0}")]
    TryAgain(String),
    /// The database refuses it: trying again is of no use.
    #[error("refused: {0}")]
    Refused(String),
}

/// Why a repository did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// What was given cannot be stored; nothing was.
    #[error("{}", sentence(.0))]
    Invalid(Vec<InvalidField>),
    /// The same for several at once: each mistake with the place of the one that it is about.
    #[error("{}", sentence_of_items(.0))]
    InvalidItems(Vec<(usize, InvalidField)>),
    /// The change.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The change does not fit what is stored: it names the field; nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The question.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn sentence(invalid: &[InvalidField]) -> String {
    let sentences: Vec<_> = invalid.iter().map(InvalidField::to_string).collect();
    sentences.join("; ")
}

fn sentence_of_items(invalid: &[(usize, InvalidField)]) -> String {
    let sentences = invalid
        .iter()
        .map(|(index, invalid)| format!("[{index}].{invalid}"));
    sentences.collect::<Vec<_>>().join("; ")
}

/// An error that was logged.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// The row as it is stored. When the id was there already: the row that was there.
    pub error: ApiError,
    /// Whether it is new.
    pub is_new: bool,
}

/// Errors that somebody else counted, to be added to an hour without having rows.
#[derive(Clone, Debug, PartialEq)]
pub struct UnlinkedErrors {
    /// Under which label set.
    pub dimensions: Dimensions,
    /// How many, at least 1.
    pub errors: i64,
    /// When the first of them happened. Its hour is the one they are counted in.
    pub first_occurrence: Timestamp,
    /// When the last of them happened, in the same hour.
    pub last_occurrence: Timestamp,
}

/// Errors, the hours they are counted in and the groups they belong to.
#[derive(Clone)]
pub struct ApiErrorRepository {
    reader: Arc<dyn Reader>,
    writer: Arc<dyn ErrorWriter>,
    actor: String,
}

impl ApiErrorRepository {
    /// A repository that asks `reader` and changes through `writer`, in the name of `library`
    /// ([`Self::acting_as`]).
    #[must_use]
    pub fn new(reader: Arc<dyn Reader>, writer: Arc<dyn ErrorWriter>) -> Self {
        Self {
            reader,
            writer,
            actor: "library".to_owned(),
        }
    }

    /// Logs one error. Sent again with the same id, it changes nothing.
    ///
    /// # Errors
    /// [`RepositoryError::Invalid`] names each bad field; a [`WriteError::TryAgain`] may be retried
    /// when the caller gave the id.
    pub async fn log_error(
        &self,
        error: NewApiError,
        now: Timestamp,
    ) -> Result<Logged, RepositoryError> {
        let mut logged = match self.log_errors(vec![error], now).await {
            Err(RepositoryError::InvalidItems(items)) => {
                let fields = items.into_iter().map(|(_, field)| field);
                return Err(RepositoryError::Invalid(fields.collect()));
            }
            logged => logged?,
        };
        let answer = logged
            .pop()
            .ok_or_else(|| WriteError::TryAgain("the writer gave no answer".to_owned()))?;
        Ok(answer)
    }

    /// Logs several errors, all or none of them; answers in their order.
    ///
    /// # Errors
    /// As [`Self::log_error`], with [`RepositoryError::InvalidItems`] for what is wrong.
    pub async fn log_errors(
        &self,
        errors: Vec<NewApiError>,
        now: Timestamp,
    ) -> Result<Vec<Logged>, RepositoryError> {
        let mut rows = Vec::with_capacity(errors.len());
        let mut invalid = Vec::new();
        for (index, error) in errors.into_iter().enumerate() {
            match error.into_row(now, |row| self.writer.fingerprint(row)) {
                Ok(row) => rows.push(row),
                Err(fields) => invalid.extend(fields.into_iter().map(|field| (index, field))),
            }
        }
        if !invalid.is_empty() {
            return Err(RepositoryError::InvalidItems(invalid));
        }
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let are_new = self.writer.log_errors(rows.clone()).await?;
        let known: Vec<ErrorId> = rows
            .iter()
            .zip(&are_new)
            .filter_map(|(row, is_new)| (!is_new).then_some(row.id))
            .collect();
        let mut stored = HashMap::with_capacity(known.len());
        for some in known.chunks(IDS_AT_ONCE) {
            stored.extend(self.reader.get_errors_by_ids(some).await?);
        }
        let logged = rows.into_iter().zip(are_new).map(|(row, is_new)| {
            let error = if is_new {
                row
            } else {
                stored.get(&row.id).cloned().unwrap_or(row)
            };
            Logged { error, is_new }
        });
        Ok(logged.collect())
    }

    /// One page of errors, newest first.
    ///
    /// # Errors
    /// [`RepositoryError::Invalid`] when the page cannot be, or the filter needs a `from`
    /// ([`ErrorFilter::without_bounds`]); else when the database cannot answer.
    pub async fn get_errors(
        &self,
        filter: &ErrorFilter,
        page: &PageRequest,
    ) -> Result<Page<ApiError>, RepositoryError> {
        valid_page(page)?;
        bounded(filter)?;
        Ok(self.reader.get_errors(filter, page).await?)
    }

    /// How many errors match.
    ///
    /// # Errors
    /// As [`Self::get_errors`].
    pub async fn count_errors(&self, filter: &ErrorFilter) -> Result<i64, RepositoryError> {
        bounded(filter)?;
        Ok(self.reader.count_errors(filter).await?)
    }

    /// One error, soft-deleted or not. The id of a row that turned out to be another's leads to that one.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn get_error_by_id(&self, id: ErrorId) -> Result<Option<ApiError>, RepositoryError> {
        Ok(self.reader.get_error_by_id(id).await?)
    }

    /// Figures over the errors that match, computed by the database.
    ///
    /// # Errors
    /// [`RepositoryError::Invalid`] when the filter needs a `from`
    /// ([`ErrorFilter::without_bounds`]); else when the database cannot answer.
    pub async fn get_error_stats(
        &self,
        filter: &ErrorFilter,
    ) -> Result<ErrorStats, RepositoryError> {
        bounded(filter)?;
        Ok(self.reader.get_error_stats(filter).await?)
    }

    /// One page of hours, latest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn get_aggregations(
        &self,
        filter: &AggregationFilter,
        page: &PageRequest,
    ) -> Result<Page<Aggregation>, RepositoryError> {
        valid_page(page)?;
        Ok(self.reader.get_aggregations(filter, page).await?)
    }

    /// How many rows of hours match.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn count_aggregations(
        &self,
        filter: &AggregationFilter,
    ) -> Result<i64, RepositoryError> {
        Ok(self.reader.count_aggregations(filter).await?)
    }

    /// One page of groups, last seen first. One that is seen again while pages are read moves to the
    /// front: no page has a group twice, but it may be on none. A [`GroupFilter::since`] of when the
    /// reading began finds those.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn get_groups(
        &self,
        filter: &GroupFilter,
        page: &PageRequest,
    ) -> Result<Page<ErrorGroup>, RepositoryError> {
        valid_page(page)?;
        Ok(self.reader.get_groups(filter, page).await?)
    }

    /// How many groups match.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn count_groups(&self, filter: &GroupFilter) -> Result<i64, RepositoryError> {
        Ok(self.reader.count_groups(filter).await?)
    }

    /// One group.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn get_group(
        &self,
        fingerprint: &Fingerprint,
    ) -> Result<Option<ErrorGroup>, RepositoryError> {
        Ok(self.reader.get_group(fingerprint).await?)
    }

    /// Adds errors to an hour that have no rows. The earliest first and the latest last occurrence stay.
    ///
    /// # Errors
    /// [`RepositoryError::Invalid`] when the counts or times cannot be; a [`WriteError::TryAgain`]
    /// leaves open whether they were added.
    pub async fn upsert_aggregation(&self, counts: UnlinkedErrors) -> Result<(), RepositoryError> {
        let delta = counts.into_delta().map_err(RepositoryError::Invalid)?;
        Ok(self.writer.add_unlinked(&self.actor, vec![delta]).await?)
    }

    /// Proves that hours, groups and counters say what the rows say, or tells where not.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn verify_aggregations(
        &self,
        from: Option<Hour>,
        to: Option<Hour>,
        now: Timestamp,
    ) -> Result<Verification, RepositoryError> {
        Ok(self.reader.verify_aggregations(from, to, now).await?)
    }

    /// Counts the hours of a range again from their rows; returns how many hours changed.
    ///
    /// # Errors
    /// When the database cannot do it now.
    pub async fn rebuild_aggregations(
        &self,
        from: Option<Hour>,
        to: Option<Hour>,
    ) -> Result<u64, RepositoryError> {
        Ok(self
            .writer
            .rebuild_aggregations(&self.actor, from, to)
            .await?)
    }
}

impl UnlinkedErrors {
    /// Checked, as it is counted.
    pub(crate) fn into_delta(self) -> Result<AggregationDelta, Vec<InvalidField>> {
        let mut invalid = Vec::new();
        let mut refuse = |field, value: String, advice: String| {
            invalid.push(InvalidField {
                field: Cow::Borrowed(field),
                value,
                advice,
            });
        };
        if self.errors < 1 {
            refuse(
                "totalErrors",
                self.errors.to_string(),
                "give at least 1".to_owned(),
            );
        }
        let hour = Hour::containing(self.first_occurrence);
        if self.last_occurrence < self.first_occurrence || self.last_occurrence >= hour.end() {
            refuse(
                "lastOccurrence",
                self.last_occurrence.to_string(),
                format!(
                    "give a time from {} on in the same hour",
                    self.first_occurrence
                ),
            );
        }
        let dimensions = self.dimensions;
        for (field, text, max, may_be_empty) in [
            ("serviceName", Some(&dimensions.service_name), 512, false),
            ("environment", Some(&dimensions.environment), 255, true),
            ("endpoint", Some(&dimensions.endpoint), 512, false),
            ("method", Some(&dimensions.method), 10, false),
            (
                "externalService",
                dimensions.external_service.as_ref(),
                100,
                false,
            ),
        ] {
            let Some(text) = text else { continue };
            if text.chars().count() > max
                || text.chars().any(char::is_control)
                || (text.is_empty() && !may_be_empty)
            {
                let shown: String = text.chars().take(60).collect();
                refuse(
                    field,
                    format!("{shown:?}"),
                    format!("give one line of at most {max} characters"),
                );
            }
        }
        if !invalid.is_empty() {
            return Err(invalid);
        }
        Ok(AggregationDelta {
            id: AggregationId::new(hour, &dimensions),
            hour,
            dimensions,
            linked_errors: 0,
            unlinked_errors: self.errors,
            first_occurrence: Some(self.first_occurrence),
            last_occurrence: Some(self.last_occurrence),
            shrinks: false,
        })
    }
}

/// That no more errors have to be looked at than lie in a time that was named, or than an index finds.
fn bounded(filter: &ErrorFilter) -> Result<(), RepositoryError> {
    let Some((field, value)) = filter.without_bounds() else {
        return Ok(());
    };
    Err(RepositoryError::Invalid(vec![InvalidField {
        field: field.into(),
        value: InvalidField::shown(value),
        advice: "give from, too: no index finds this, so all errors since then are looked at"
            .to_owned(),
    }]))
}

/// Refuses a page that cannot be.
pub(super) fn valid_page(page: &PageRequest) -> Result<(), RepositoryError> {
    let mistakes = page.mistakes();
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(RepositoryError::Invalid(mistakes))
    }
}
