//! Who changed what: entries of `audit_log`, written in the transaction of the change.

use std::collections::HashMap;

use serde_json::{Value, json};
use sqlx::types::Json;
use uuid::Uuid;

use super::EditTx;
use crate::{
    domain::{AggregationId, AuditId, Timestamp},
    store::{AggregationDelta, Dialect, reader::Statement},
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

/// Who gave counts without rows, after they were added to their hours.
pub(in crate::store) async fn audit_unlinked<DB: Dialect>(
    connection: &mut DB::Connection,
    given: &[(&str, &AggregationDelta)],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let mut counted = HashMap::new();
    let mut entries = Vec::with_capacity(given.len());
    // From what there is now back to what there was before the first of them.
    for (actor, delta) in given.iter().rev() {
        // Where the limit on label sets was reached, they are counted in the folded one.
        let folded = AggregationId::new(delta.hour, &delta.dimensions.folded());
        let mut statement =
            Statement::<DB>::new("SELECT id, unlinked_errors FROM error_aggregations WHERE TRUE");
        statement.when_one_of(" AND id IN (", &[delta.id, folded]);
        let found: Vec<(AggregationId, i64)> = statement
            .all(connection, |row| {
                Ok((DB::get(row, "id")?, DB::get(row, "unlinked_errors")?))
            })
            .await?;
        let own = found.iter().find(|(id, _)| *id == delta.id);
        let Some(&(id, stored)) = own.or(found.first()) else {
            continue;
        };
        let after = *counted.entry(id).or_insert(stored);
        let before = after - delta.unlinked_errors;
        counted.insert(id, before);
        entries.push((
            *actor,
            AuditEntry {
                action: "upsert",
                entity: "aggregation",
                entity_id: id.to_string(),
                before: Some(json!({ "unlinkedErrors": before })),
                after: Some(json!({ "unlinkedErrors": after })),
            },
        ));
    }
    for (actor, entry) in entries.into_iter().rev() {
        let mut tx = EditTx::<DB>::of(connection, actor, now);
        tx.audit(vec![entry]).await?;
    }
    Ok(())
}
