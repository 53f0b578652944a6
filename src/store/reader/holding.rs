//! Where a text is held that names somebody: looked for here, so that the writer, who takes it out,
//! has not to read everything.

use crate::{
    domain::{AuditId, ErrorId, Timestamp, TraceKey},
    store::{StoreError, UserToForget},
};

use super::{SqlReader, dialect::Dialect, dialect::Limit, end, statement::Statement};

impl<DB: Dialect> SqlReader<DB> {
    /// See [`crate::store::Reader::traces_holding`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn traces_holding(
        &self,
        text: &str,
        after: Option<TraceKey>,
        limit: u32,
    ) -> Result<Vec<TraceKey>, StoreError> {
        const DURING: &str = "looking for a user in traces";
        let mut statement = Statement::<DB>::new("SELECT trace_key FROM error_traces");
        statement
            .with(" WHERE replace(sightings, ", in_json(text))
            .push(", '') <> sightings")
            .when(" AND trace_key > ", after)
            .with(" ORDER BY trace_key LIMIT ", i64::from(limit));
        self.found(statement, DURING, |row| DB::get(row, "trace_key"))
            .await
    }

    /// See [`crate::store::Reader::audit_holding`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn audit_holding(
        &self,
        text: &str,
        after: Option<AuditId>,
        limit: u32,
    ) -> Result<Vec<AuditId>, StoreError> {
        const DURING: &str = "looking for a user in the audit log";
        const SAID: &str =
            "(COALESCE(CAST(before AS TEXT), '') || COALESCE(CAST(after AS TEXT), ''))";
        let mut statement = Statement::<DB>::new("SELECT id FROM audit_log WHERE (replace(");
        statement
            .push(SAID)
            .with(", ", in_json(text))
            .push(", '') <> ")
            .push(SAID)
            .with(" OR entity_id = ", text.to_owned())
            .with(" OR actor = ", text.to_owned())
            .push(")")
            .when(" AND id > ", after)
            .with(" ORDER BY id LIMIT ", i64::from(limit));
        self.found(statement, DURING, |row| DB::get(row, "id"))
            .await
    }

    /// See [`crate::store::Reader::errors_resolved_by`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn errors_resolved_by(
        &self,
        name: &str,
        after: Option<ErrorId>,
        limit: u32,
    ) -> Result<Vec<ErrorId>, StoreError> {
        const DURING: &str = "looking for a user among those who resolved errors";
        let mut statement = Statement::<DB>::new("SELECT id FROM api_errors WHERE resolved_by = ");
        statement
            .bind(name.to_owned())
            .when(" AND id > ", after)
            .with(" ORDER BY id LIMIT ", i64::from(limit));
        self.found(statement, DURING, |row| DB::get(row, "id"))
            .await
    }

    /// See [`crate::store::Reader::users_to_forget`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn users_to_forget(
        &self,
        asked_before: Timestamp,
    ) -> Result<Vec<UserToForget>, StoreError> {
        const DURING: &str = "looking for users to forget";
        let mut statement =
            Statement::<DB>::new("SELECT id, actor FROM users_to_forget WHERE asked_at < ");
        statement.bind(asked_before).push(" ORDER BY id");
        let read = |row: &DB::Row| {
            Ok(UserToForget {
                id: DB::get(row, "id")?,
                actor: DB::get(row, "actor")?,
            })
        };
        self.found(statement, DURING, read).await
    }

    async fn found<T: Send>(
        &self,
        statement: Statement<DB>,
        during: &'static str,
        read: impl Fn(&DB::Row) -> Result<T, sqlx::Error> + Send + Sync,
    ) -> Result<Vec<T>, StoreError> {
        let mut snapshot = self.snapshot(Limit::None, during).await?;
        let found = statement
            .all(&mut snapshot, read)
            .await
            .map_err(|error| StoreError::of(during, error))?;
        end(snapshot).await;
        Ok(found)
    }
}

/// The text as it stands in JSON.
fn in_json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
