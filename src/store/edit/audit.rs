//! Who changed what: entries of `audit_log`, written in the transaction of the change.

use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use super::EditTx;
use crate::{
    domain::AuditId,
    store::{Dialect, reader::Statement},
};

/// One thing that was changed.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// What was done: `resolve`, `delete`, …
    pub action: &'static str,
    /// To what kind of thing: `error`, `group`, `pipeline`, …
    pub entity: &'static str,
    /// To which.
    pub entity_id: String,
    /// What it said before, as far as that changed.
    pub before: Option<Value>,
    /// What it says now.
    pub after: Option<Value>,
}

impl<DB: Dialect> EditTx<'_, DB> {
    /// Writes the entries.
    ///
    /// # Errors
    /// What the database says.
    pub async fn audit(&mut self, entries: Vec<AuditEntry>) -> Result<(), sqlx::Error> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut statement = Statement::<DB>::new(
            "INSERT INTO audit_log (id, at, actor, action, entity, entity_id, before, after) VALUES ",
        );
        for (index, entry) in entries.into_iter().enumerate() {
            statement
                .push(if index == 0 { "(" } else { ", (" })
                .bind(AuditId(Uuid::now_v7()))
                .with(", ", self.now)
                .with(", ", self.actor.to_owned())
                .with(", ", entry.action.to_owned())
                .with(", ", entry.entity.to_owned())
                .with(", ", entry.entity_id)
                .with(", ", entry.before.map(Json))
                .with(", ", entry.after.map(Json))
                .push(")");
        }
        self.execute(statement).await.map(drop)
    }
}
