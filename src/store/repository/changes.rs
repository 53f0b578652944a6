//! What operators and jobs change of errors and groups. Each change has its audit entries in its
//! transaction; many rows are changed in several transactions of few rows, with telemetry between
//! them.

use crate::{
    domain::{ApiError, ErrorGroup, ErrorId, Fingerprint, GroupStatus, Timestamp},
    store::{
        ErrorFilter, InvalidField, PageRequest,
        edit::{
            ChangeError, ChangeErrors, ChangeGroup, Edit, ErrorChange, GroupChange, PurgeErrors,
            Purged, ROWS_PER_EDIT,
        },
    },
};

use super::{ApiErrorRepository, RepositoryError};

/// The longest name of whoever resolves, in characters.
const MAX_RESOLVED_BY: usize = 255;

/// The longest resolution, in characters.
const MAX_RESOLUTION: usize = 8_192;

/// The longest version, in characters.
const MAX_VERSION: usize = 255;

impl ApiErrorRepository {
    /// The same repository, whose changes are made in this name (`audit_log.actor`).
    #[must_use]
    pub fn acting_as(&self, actor: impl Into<String>) -> Self {
        Self {
            actor: actor.into(),
            ..self.clone()
        }
    }

    /// Marks an error as taken care of; one that is so already stays as it is. `None` when there
    /// is no such error.
    ///
    /// # Errors
    /// [`RepositoryError::Invalid`] names each bad field.
    pub async fn resolve_error(
        &self,
        id: ErrorId,
        resolved_by: &str,
        resolution: Option<&str>,
    ) -> Result<Option<ApiError>, RepositoryError> {
        let change = resolve(resolved_by, resolution, None)?;
        self.order(ChangeError { id, change }).await
    }

    /// Undoes [`Self::resolve_error`].
    ///
    /// # Errors
    /// When it cannot be done now.
    pub async fn reopen_error(&self, id: ErrorId) -> Result<Option<ApiError>, RepositoryError> {
        let change = ErrorChange::Reopen { resolved_at: None };
        self.order(ChangeError { id, change }).await
    }

    /// Hides an error. It stays counted.
    ///
    /// # Errors
    /// When it cannot be done now.
    pub async fn delete_error(&self, id: ErrorId) -> Result<Option<ApiError>, RepositoryError> {
        let change = ErrorChange::Delete;
        self.order(ChangeError { id, change }).await
    }

    /// Undoes [`Self::delete_error`].
    ///
    /// # Errors
    /// When it cannot be done now.
    pub async fn restore_error(&self, id: ErrorId) -> Result<Option<ApiError>, RepositoryError> {
        let change = ErrorChange::Restore;
        self.order(ChangeError { id, change }).await
    }

    /// Resolves all errors that match now; returns how many were not resolved before. When it
    /// fails half-way it can be asked again.
    ///
    /// # Errors
    /// [`RepositoryError::Invalid`] names each bad field.
    pub async fn resolve_errors(
        &self,
        filter: &ErrorFilter,
        resolved_by: &str,
        resolution: Option<&str>,
    ) -> Result<u64, RepositoryError> {
        let change = resolve(resolved_by, resolution, None)?;
        let unresolved = ErrorFilter {
            resolved: Some(false),
            ..filter.clone()
        };
        self.change_all(&unresolved, &change).await
    }

    /// Resolves a group, and its errors that happened until then. `resolved_version` is the first
    /// with the fix: errors of older ones do not reopen it. `None` when there is no such group.
    ///
    /// # Errors
    /// [`RepositoryError::Invalid`] names each bad field.
    pub async fn resolve_group(
        &self,
        fingerprint: &Fingerprint,
        resolved_by: &str,
        resolution: Option<&str>,
        resolved_version: Option<&str>,
    ) -> Result<Option<ErrorGroup>, RepositoryError> {
        resolve(resolved_by, resolution, None)?;
        let mut invalid = Vec::new();
        check(
            "resolvedVersion",
            resolved_version,
            MAX_VERSION,
            &mut invalid,
        );
        refuse(invalid)?;
        let change = GroupChange::Resolve {
            resolved_by: resolved_by.to_owned(),
            resolved_version: resolved_version.map(str::to_owned),
        };
        let Some(group) = self.change_group(fingerprint, change).await? else {
            return Ok(None);
        };
        if let Some(at) = group.resolved_at {
            let until_then = ErrorFilter {
                fingerprint: Some(fingerprint.clone()),
                resolved: Some(false),
                to: Some(Timestamp::from_micros(at.as_micros().saturating_add(1))),
                include_deleted: true,
                ..ErrorFilter::default()
            };
            let change = resolve(resolved_by, resolution, Some(at))?;
            self.change_all(&until_then, &change).await?;
        }
        Ok(Some(group))
    }

    /// Says that nobody wants to hear of a group: it is counted, and never regresses.
    ///
    /// # Errors
    /// When it cannot be done now.
    pub async fn ignore_group(
        &self,
        fingerprint: &Fingerprint,
    ) -> Result<Option<ErrorGroup>, RepositoryError> {
        self.change_group(fingerprint, GroupChange::Ignore).await
    }

    /// Opens a group again, and the errors that were resolved with it.
    ///
    /// # Errors
    /// When it cannot be done now.
    pub async fn reopen_group(
        &self,
        fingerprint: &Fingerprint,
    ) -> Result<Option<ErrorGroup>, RepositoryError> {
        let Some(group) = self.reader.get_group(fingerprint).await? else {
            return Ok(None);
        };
        // The group last: while it is resolved, its errors can be told from those that somebody
        // resolved one by one, also when this is asked a second time.
        if group.status == GroupStatus::Resolved && group.resolved_at.is_some() {
            let resolved = ErrorFilter {
                fingerprint: Some(fingerprint.clone()),
                resolved: Some(true),
                include_deleted: true,
                ..ErrorFilter::default()
            };
            let change = ErrorChange::Reopen {
                resolved_at: group.resolved_at,
            };
            self.change_all(&resolved, &change).await?;
        }
        self.change_group(fingerprint, GroupChange::Reopen).await
    }

    /// Deletes errors that happened before an instant for good: resolved ones, or all. Hours,
    /// groups and counters go on counting them. Returns how many.
    ///
    /// # Errors
    /// When it cannot be done now; what was deleted until then stays deleted.
    pub async fn delete_old_errors(
        &self,
        older_than: Timestamp,
        include_unresolved: bool,
    ) -> Result<u64, RepositoryError> {
        let mut deleted = 0;
        loop {
            let some = self
                .delete_some_old_errors(older_than, include_unresolved)
                .await?;
            deleted += some.deleted;
            if !some.is_more {
                return Ok(deleted);
            }
        }
    }

    /// One step of [`Self::delete_old_errors`], at most [`ROWS_PER_EDIT`] of them.
    ///
    /// # Errors
    /// As there.
    pub async fn delete_some_old_errors(
        &self,
        older_than: Timestamp,
        include_unresolved: bool,
    ) -> Result<Purged, RepositoryError> {
        self.order(PurgeErrors {
            older_than,
            include_unresolved,
        })
        .await
    }

    async fn change_group(
        &self,
        fingerprint: &Fingerprint,
        change: GroupChange,
    ) -> Result<Option<ErrorGroup>, RepositoryError> {
        let fingerprint = fingerprint.clone();
        self.order(ChangeGroup {
            fingerprint,
            change,
        })
        .await
    }

    /// Changes all errors that match, page by page.
    async fn change_all(
        &self,
        filter: &ErrorFilter,
        change: &ErrorChange,
    ) -> Result<u64, RepositoryError> {
        let mut changed = 0;
        let mut page = PageRequest::first(ROWS_PER_EDIT);
        loop {
            let found = self.reader.get_matching_ids(filter, &page).await?;
            if !found.items.is_empty() {
                let mut ids = found.items;
                ids.sort_unstable();
                let change = change.clone();
                changed += self.order(ChangeErrors { ids, change }).await?;
            }
            match found.next {
                Some(next) => page = PageRequest::after(ROWS_PER_EDIT, next),
                None => return Ok(changed),
            }
        }
    }

    pub(super) async fn order<E: Edit>(&self, edit: E) -> Result<E::Answer, RepositoryError> {
        let editor: &dyn crate::store::edit::Editor = &*self.writer;
        editor.order(&self.actor, edit).await
    }
}

/// The change that resolves, or what is wrong with it.
fn resolve(
    resolved_by: &str,
    resolution: Option<&str>,
    at: Option<Timestamp>,
) -> Result<ErrorChange, RepositoryError> {
    refuse(invalid_resolution(Some(resolved_by), resolution))?;
    Ok(ErrorChange::Resolve {
        resolved_by: resolved_by.to_owned(),
        resolution: resolution.map(str::to_owned),
        at,
    })
}

/// What is wrong with who resolved something, as far as that is known, and with how.
pub(crate) fn invalid_resolution(
    resolved_by: Option<&str>,
    resolution: Option<&str>,
) -> Vec<InvalidField> {
    let mut invalid = Vec::new();
    if let Some(resolved_by) = resolved_by {
        check(
            "resolvedBy",
            Some(resolved_by),
            MAX_RESOLVED_BY,
            &mut invalid,
        );
        if resolved_by.trim().is_empty() {
            invalid.push(InvalidField {
                field: "resolvedBy".into(),
                value: InvalidField::shown(resolved_by),
                advice: "say who resolved it".to_owned(),
            });
        } else if resolved_by.contains(|char: char| char.is_control() && char != '\0') {
            invalid.push(InvalidField {
                field: "resolvedBy".into(),
                value: InvalidField::shown(resolved_by),
                advice: "take the control characters out".to_owned(),
            });
        }
    }
    check("resolution", resolution, MAX_RESOLUTION, &mut invalid);
    invalid
}

fn check(field: &'static str, text: Option<&str>, max: usize, invalid: &mut Vec<InvalidField>) {
    let Some(text) = text else { return };
    if text.chars().count() > max || text.contains('\0') {
        invalid.push(InvalidField {
            field: field.into(),
            value: InvalidField::shown(text),
            advice: format!("give at most {max} characters, none of them NUL"),
        });
    }
}

fn refuse(invalid: Vec<InvalidField>) -> Result<(), RepositoryError> {
    if invalid.is_empty() {
        Ok(())
    } else {
        Err(RepositoryError::Invalid(invalid))
    }
}
