//! What operators do to a group: resolve, ignore, reopen.

use serde_json::{Value, json};

use crate::{
    domain::{ErrorGroup, Fingerprint, GroupStatus},
    store::{
        Dialect,
        reader::{GROUP_COLUMNS, Statement, rows::error_group},
    },
};

use super::{AuditEntry, Edit, EditError, EditTx};

/// What to do to a group. What is done already is left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupChange {
    /// It is mended; errors that happen from now on, and not in a version from before the fix, reopen it.
    Resolve {
        /// By whom.
        resolved_by: String,
        /// The first version with the fix.
        resolved_version: Option<String>,
    },
    /// Nobody wants to hear of it.
    Ignore,
    /// It is of interest again.
    Reopen,
}

impl GroupChange {
    const fn action(&self) -> &'static str {
        match self {
            Self::Resolve { .. } => "resolve",
            Self::Ignore => "ignore",
            Self::Reopen => "reopen",
        }
    }

    const fn status(&self) -> GroupStatus {
        match self {
            Self::Resolve { .. } => GroupStatus::Resolved,
            Self::Ignore => GroupStatus::Ignored,
            Self::Reopen => GroupStatus::Open,
        }
    }
}

/// Changes a group; answers with it as it is then, `None` when there is none.
#[derive(Debug)]
pub struct ChangeGroup {
    /// Which.
    pub fingerprint: Fingerprint,
    /// What to do.
    pub change: GroupChange,
}

impl Edit for ChangeGroup {
    type Answer = Option<ErrorGroup>;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        let mut statement = Statement::<DB>::new("SELECT ");
        statement
            .push(GROUP_COLUMNS)
            .with(
                " FROM error_groups WHERE fingerprint = ",
                self.fingerprint.clone(),
            )
            .push(DB::FOR_UPDATE);
        let Some(before) = tx.first(statement, error_group::<DB>).await? else {
            return Ok(None);
        };
        if before.status == self.change.status() {
            return Ok(Some(before));
        }
        let mut after = before.clone();
        after.status = self.change.status();
        (after.resolved_at, after.resolved_by, after.resolved_version) = match &self.change {
            GroupChange::Resolve {
                resolved_by,
                resolved_version,
            } => (
                Some(tx.now),
                Some(resolved_by.clone()),
                resolved_version.clone(),
            ),
            GroupChange::Ignore | GroupChange::Reopen => (None, None, None),
        };
        let mut statement = Statement::<DB>::new("UPDATE error_groups SET status = ");
        statement
            .bind(after.status)
            .with(", resolved_at = ", after.resolved_at)
            .with(", resolved_by = ", after.resolved_by.clone())
            .with(", resolved_version = ", after.resolved_version.clone())
            .with(" WHERE fingerprint = ", self.fingerprint.clone());
        tx.execute(statement).await?;
        tx.audit(vec![AuditEntry {
            action: self.change.action(),
            entity: "group",
            entity_id: self.fingerprint.to_string(),
            before: Some(told(&before)),
            after: Some(told(&after)),
        }])
        .await?;
        Ok(Some(after))
    }
}

fn told(group: &ErrorGroup) -> Value {
    json!({
        "status": group.status,
        "resolvedAt": group.resolved_at,
        "resolvedBy": group.resolved_by,
        "resolvedVersion": group.resolved_version,
    })
}
