//! The audit log: who changed what, newest first.

use serde::Serialize;
use serde_json::Value;
use sqlx::types::Json;
use utoipa::ToSchema;

use crate::{
    domain::{AuditId, Timestamp},
    store::{AuditFilter, Cursor, Page, PageRequest, StoreError},
};

use super::{
    SqlReader, bound_page, cursor_uuid,
    dialect::{Dialect, Limit},
    end, into_page,
    statement::Statement,
};

const DURING: &str = "reading the audit log";

/// One change that was made through the API, on the command line or by a job.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    /// Names the entry; later ones have larger ids.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What was done: `resolve`, `delete`, …
    pub action: String,
    /// To what kind of thing: `error`, `group`, `pipeline`, …
    pub entity: String,
    /// To which.
    pub entity_id: String,
    /// What it said before, as far as that changed.
    #[schema(value_type = Option<Value>)]
    pub before: Option<Value>,
    /// What it says since.
    #[schema(value_type = Option<Value>)]
    pub after: Option<Value>,
}

impl<DB: Dialect> SqlReader<DB> {
    /// See [`crate::store::Reader::get_audit`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn get_audit(
        &self,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError> {
        let mut statement = Statement::<DB>::new(
            "SELECT id, at, actor, action, entity, entity_id, before, after FROM audit_log",
        );
        matching(&mut statement, filter);
        // By the primary key: ids are UUIDs of version 7, which grow with time.
        let after = page
            .after
            .as_ref()
            .map(|cursor| AuditId(cursor_uuid(cursor)));
        statement.when(" AND id < ", after);
        statement.push(" ORDER BY id DESC");
        bound_page(&mut statement, page);

        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let records = statement
            .all(&mut snapshot, audit_record::<DB>)
            .await
            .map_err(|error| StoreError::of(DURING, error))?;
        end(snapshot).await;
        Ok(into_page(records, page, |record| Cursor {
            at: record.at,
            id: record.id.to_string(),
        }))
    }

    /// See [`crate::store::Reader::count_audit`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn count_audit(&self, filter: &AuditFilter) -> Result<i64, StoreError> {
        let mut statement = Statement::<DB>::new("SELECT COUNT(*) AS total FROM audit_log");
        matching(&mut statement, filter);
        self.count(statement, DURING).await
    }
}

fn matching<DB: Dialect>(statement: &mut Statement<DB>, filter: &AuditFilter) {
    statement
        .push(" WHERE TRUE")
        .when_text(" AND entity = ", filter.entity.as_deref())
        .when_text(" AND entity_id = ", filter.entity_id.as_deref());
}

fn audit_record<DB: Dialect>(row: &DB::Row) -> Result<AuditRecord, sqlx::Error> {
    let json = |column| {
        let json: Option<Json<Value>> = DB::get(row, column)?;
        Ok::<_, sqlx::Error>(json.map(|Json(value)| value))
    };
    Ok(AuditRecord {
        id: DB::get(row, "id")?,
        at: DB::get(row, "at")?,
        actor: DB::get(row, "actor")?,
        action: DB::get(row, "action")?,
        entity: DB::get(row, "entity")?,
        entity_id: DB::get(row, "entity_id")?,
        before: json("before")?,
        after: json("after")?,
    })
}
