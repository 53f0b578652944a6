//! What operators do to errors: resolve, reopen, hide, show again. None of it changes a count.

use serde_json::{Value, json};

use crate::{
    domain::{ApiError, ErrorId, Timestamp},
    store::{
        Dialect,
        reader::{ERROR_COLUMNS, Statement, rows::api_error},
    },
};

use super::{AuditEntry, Edit, EditError, EditTx, held::HeldError};

/// What to do to errors. What is done already is left as it is.
#[derive(Clone, Debug, PartialEq)]
pub enum ErrorChange {
    /// Somebody took care of it.
    Resolve {
        /// Who.
        resolved_by: String,
        /// How.
        resolution: Option<String>,
        /// When; the time of the edit, unless it is part of something that began before.
        at: Option<Timestamp>,
    },
    /// It is not taken care of after all.
    Reopen {
        /// Only what was resolved at this instant.
        resolved_at: Option<Timestamp>,
    },
    /// Hide it (soft delete): it stays counted.
    Delete,
    /// Show it again.
    Restore,
}

impl ErrorChange {
    const fn action(&self) -> &'static str {
        match self {
            Self::Resolve { .. } => "resolve",
            Self::Reopen { .. } => "reopen",
            Self::Delete => "delete",
            Self::Restore => "restore",
        }
    }

    fn concerns(&self, error: &HeldError) -> bool {
        match self {
            Self::Resolve { .. } => !error.resolved,
            Self::Reopen { resolved_at } => {
                error.resolved && resolved_at.is_none_or(|at| error.resolved_at == Some(at))
            }
            Self::Delete => error.deleted_at.is_none(),
            Self::Restore => error.deleted_at.is_some(),
        }
    }

    /// What an audit entry tells of the error after it.
    fn after(&self, now: Timestamp) -> Value {
        match self {
            Self::Resolve {
                resolved_by,
                resolution,
                at,
            } => json!({
                "resolved": true,
                "resolvedAt": at.unwrap_or(now),
                "resolvedBy": resolved_by,
                "resolution": resolution,
            }),
            Self::Reopen { .. } => json!({"resolved": false}),
            Self::Delete => json!({"deletedAt": now}),
            Self::Restore => json!({"deletedAt": null}),
        }
    }

    fn before(&self, error: &HeldError) -> Value {
        match self {
            Self::Resolve { .. } => json!({"resolved": false}),
            Self::Reopen { .. } => json!({
                "resolved": true,
                "resolvedAt": error.resolved_at,
                "resolvedBy": error.resolved_by,
                "resolution": error.resolution,
            }),
            Self::Delete | Self::Restore => json!({"deletedAt": error.deleted_at}),
        }
    }

    /// Adds what the columns become.
    fn assign<DB: Dialect>(&self, statement: &mut Statement<DB>, now: Timestamp) {
        match self {
            Self::Resolve {
                resolved_by,
                resolution,
                at,
            } => statement
                .with("resolved = ", true)
                .with(", resolved_at = ", at.unwrap_or(now))
                .with(", resolved_by = ", resolved_by.clone())
                .with(", resolution = ", resolution.clone()),
            Self::Reopen { .. } => statement
                .with("resolved = ", false)
                .push(", resolved_at = NULL, resolved_by = NULL, resolution = NULL"),
            Self::Delete => statement.with("deleted_at = ", now),
            Self::Restore => statement.push("deleted_at = NULL"),
        };
    }
}

/// Changes one error; answers with the row as it is then, `None` when there is none.
#[derive(Debug)]
pub struct ChangeError {
    /// Which, or one that was merged into it.
    pub id: ErrorId,
    /// What to do.
    pub change: ErrorChange,
}

impl Edit for ChangeError {
    type Answer = Option<ApiError>;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        let Some(id) = tx.find_error(self.id).await? else {
            return Ok(None);
        };
        change(tx, &[id], &self.change).await?;
        let mut statement = Statement::<DB>::new("SELECT ");
        statement
            .push(ERROR_COLUMNS)
            .with(" FROM api_errors WHERE id = ", id);
        Ok(tx.first(statement, api_error::<DB>).await?)
    }
}

/// Changes several errors; answers how many were not so already.
#[derive(Debug)]
pub struct ChangeErrors {
    /// At most [`super::ROWS_PER_EDIT`] of them.
    pub ids: Vec<ErrorId>,
    /// What to do.
    pub change: ErrorChange,
}

impl Edit for ChangeErrors {
    type Answer = u64;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        Ok(change(tx, &self.ids, &self.change).await?)
    }

    fn rows(&self) -> usize {
        self.ids.len()
    }
}

/// Changes those of the errors that the change concerns; how many these are.
async fn change<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    ids: &[ErrorId],
    change: &ErrorChange,
) -> Result<u64, sqlx::Error> {
    let mut errors = tx.hold(ids).await?;
    errors.retain(|error| change.concerns(error));
    if errors.is_empty() {
        return Ok(0);
    }
    let ids: Vec<ErrorId> = errors.iter().map(|error| error.id).collect();
    let mut statement = Statement::<DB>::new("UPDATE api_errors SET ");
    change.assign(&mut statement, tx.now);
    statement
        .push(" WHERE TRUE")
        .when_one_of(" AND id IN (", &ids);
    let changed = tx.execute(statement).await?;
    let entries = errors.iter().map(|error| AuditEntry {
        action: change.action(),
        entity: "error",
        entity_id: error.id.to_string(),
        before: Some(change.before(error)),
        after: Some(change.after(tx.now)),
    });
    let entries = entries.collect();
    tx.audit(entries).await?;
    Ok(changed)
}
