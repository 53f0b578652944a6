//! Errors: checked like those that application code logs, but with the times they happened at, and
//! with what somebody did about them.

use futures_util::TryStreamExt;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    commit::{Imported, ImportedError},
    domain::{ApiError, Category, Fingerprint, Severity, Timestamp},
    store::{ErrorWriter, InvalidField, NewApiError, invalid_resolution},
};

use super::{
    BYTES_AT_ONCE, Balance, ImportError, ROWS_AT_ONCE, Source, Target, halving,
    hours::Rows,
    source::Table,
    values::{id_of, instant, key, unread},
};

/// A row of the source's `api_errors`.
#[derive(Deserialize)]
struct SourceError {
    id: Uuid,
    #[serde(default, deserialize_with = "key")]
    user_id: Option<String>,
    #[serde(default, deserialize_with = "key")]
    request_id: Option<String>,
    endpoint: String,
    method: String,
    error_code: Option<String>,
    error_message: String,
    error_stack: Option<String>,
    severity: Option<Severity>,
    category: Option<Category>,
    status_code: Option<i32>,
    request_body: Option<Value>,
    request_headers: Option<Value>,
    response_body: Option<Value>,
    external_service: Option<String>,
    external_error_code: Option<String>,
    external_error_message: Option<String>,
    context: Option<Map<String, Value>>,
    tags: Option<Vec<String>>,
    resolved: Option<bool>,
    #[serde(default, deserialize_with = "instant")]
    resolved_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "key")]
    resolved_by: Option<String>,
    resolution: Option<String>,
    ip_address: Option<String>,
    user_agent: Option<String>,
    #[serde(default, deserialize_with = "instant")]
    created_at: Option<Timestamp>,
}

impl SourceError {
    /// The row, or why there cannot be one.
    fn into_row(
        self,
        now: Timestamp,
        fingerprint: impl FnOnce(&ApiError) -> Fingerprint,
    ) -> Result<ApiError, String> {
        let id = self.id;
        let created_at = self.created_at.unwrap_or(now);
        let resolved = self.resolved == Some(true);
        let resolved_at = self.resolved_at.filter(|_| resolved);
        // A blank name says nothing.
        let resolved_by = self
            .resolved_by
            .filter(|by| resolved && !by.trim().is_empty());
        let resolution = self.resolution.filter(|_| resolved);
        let refused = |invalid: Vec<InvalidField>| {
            let sentences: Vec<String> = invalid.iter().map(ToString::to_string).collect();
            format!("error {id}: {}", sentences.join("; "))
        };
        let invalid = invalid_resolution(resolved_by.as_deref(), resolution.as_deref());
        if !invalid.is_empty() {
            return Err(refused(invalid));
        }
        let new = NewApiError {
            id: Some(id),
            user_id: self.user_id,
            request_id: self.request_id,
            endpoint: self.endpoint,
            method: self.method,
            error_code: self.error_code,
            error_message: self.error_message,
            error_stack: self.error_stack,
            severity: self.severity,
            category: self.category,
            status_code: self.status_code,
            request_body: self.request_body,
            request_headers: self.request_headers,
            response_body: self.response_body,
            external_service: self.external_service,
            external_error_code: self.external_error_code,
            external_error_message: self.external_error_message,
            context: self.context.unwrap_or_default(),
            tags: self.tags.unwrap_or_default(),
            ip_address: self.ip_address,
            user_agent: self.user_agent,
            created_at: Some(created_at),
            ..NewApiError::default()
        };
        // However old it is, it was logged in time.
        let row = new
            .into_row(created_at.min(now), fingerprint)
            .map_err(refused)?;
        Ok(ApiError {
            resolved,
            resolved_at: resolved_at.or(resolved.then_some(created_at)),
            resolved_by,
            resolution,
            ..row
        })
    }
}

pub(super) async fn import(
    source: &mut Source,
    target: &Target,
    now: Timestamp,
    seen: &mut Rows,
    balance: &mut Balance,
    progress: &mut impl FnMut(&Balance),
) -> Result<(), ImportError> {
    if !source.has(Table::Errors) {
        return Ok(());
    }
    let mut texts = source.errors();
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(text) = texts.try_next().await? {
        let hour = seen.add(&text);
        let row = serde_json::from_str(&text)
            .map_err(|error| format!("error {}: {}", id_of(&text), unread(&error)))
            .and_then(|error: SourceError| {
                error.into_row(now, |row| target.queue.fingerprint(row))
            });
        match row {
            Ok(row) => {
                bytes += text.len();
                rows.push(ImportedError { row, hour });
            }
            Err(reason) => {
                seen.refuse(hour);
                balance.refuse(|balance| &mut balance.errors, reason);
            }
        }
        if rows.len() == ROWS_AT_ONCE || bytes >= BYTES_AT_ONCE {
            write(target, std::mem::take(&mut rows), seen, balance).await?;
            bytes = 0;
            progress(balance);
        }
    }
    write(target, rows, seen, balance).await?;
    progress(balance);
    Ok(())
}

async fn write(
    target: &Target,
    rows: Vec<ImportedError>,
    seen: &mut Rows,
    balance: &mut Balance,
) -> Result<(), ImportError> {
    let names: Vec<_> = rows
        .iter()
        .map(|error| (error.row.id, error.hour))
        .collect();
    let written = halving(rows, async |errors| {
        let part = Imported {
            errors,
            ..Imported::default()
        };
        Ok(target.queue.import(part).await?.errors)
    });
    for ((id, hour), is_new) in names.into_iter().zip(written.await?) {
        match is_new {
            Ok(is_new) => balance.errors.add(is_new),
            Err(refused) => {
                seen.refuse(hour);
                balance.refuse(
                    |balance| &mut balance.errors,
                    format!("error {id}: {refused}"),
                );
            }
        }
    }
    Ok(())
}
