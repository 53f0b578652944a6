//! Forgetting a user: whatever names them is emptied, what counts them goes on counting. Few rows
//! at a time, until only the user's own row is left, which goes last.

use serde_json::{Map, Value, json};
use sqlx::types::Json;

use crate::{
    domain::{AggregationId, AuditId, ErrorId, TraceKey},
    store::{Dialect, reader::Statement},
};

use super::{AuditEntry, Edit, EditError, EditTx, ROWS_PER_EDIT};

/// Attributes of a person, by how their names begin.
const OF_PEOPLE: [&str; 4] = ["user.", "enduser.", "client.", "user_agent."];

/// Notes that a user is to be forgotten, so that it is done even if this process ends before.
#[derive(Debug)]
pub struct BeginForgetting {
    /// Whom.
    pub user_id: String,
}

impl Edit for BeginForgetting {
    type Answer = ();

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        let mut statement =
            Statement::<DB>::new("INSERT INTO users_to_forget (id, actor, asked_at) VALUES (");
        statement
            .bind(self.user_id.clone())
            .with(", ", tx.actor.to_owned())
            .with(", ", tx.now)
            .push(") ON CONFLICT (id) DO UPDATE SET asked_at = excluded.asked_at");
        tx.execute(statement).await?;
        Ok(())
    }
}

/// Notes that nothing names the user any more.
#[derive(Debug)]
pub struct EndForgetting {
    /// Whom.
    pub user_id: String,
}

impl Edit for EndForgetting {
    type Answer = ();

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        let mut statement = Statement::<DB>::new("DELETE FROM users_to_forget WHERE id = ");
        statement.bind(self.user_id.clone());
        tx.execute(statement).await?;
        Ok(())
    }
}

/// Empties who resolved these errors, where it was the user; answers how many.
#[derive(Debug)]
pub struct ForgetInResolutions {
    /// Whom.
    pub user_id: String,
    /// At most [`ROWS_PER_EDIT`] of them.
    pub errors: Vec<ErrorId>,
}

impl Edit for ForgetInResolutions {
    type Answer = u64;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        tx.hold(&self.errors).await?;
        let mut statement =
            Statement::<DB>::new("UPDATE api_errors SET resolved_by = NULL WHERE resolved_by = ");
        statement
            .bind(self.user_id.clone())
            .when_one_of(" AND id IN (", &self.errors);
        Ok(tx.execute(statement).await?)
    }

    fn rows(&self) -> usize {
        self.errors.len()
    }
}

/// Empties who resolved groups, where it was the user; answers how many.
#[derive(Debug)]
pub struct ForgetInGroups {
    /// Whom.
    pub user_id: String,
}

impl Edit for ForgetInGroups {
    type Answer = u64;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        let mut statement =
            Statement::<DB>::new("SELECT fingerprint FROM error_groups WHERE resolved_by = ");
        statement
            .bind(self.user_id.clone())
            .push(" ORDER BY fingerprint ")
            .push(DB::BY_BYTES)
            .with(" LIMIT ", i64::from(ROWS_PER_EDIT))
            .push(DB::FOR_UPDATE);
        let groups: Vec<String> = tx.all(statement, |row| DB::get(row, "fingerprint")).await?;
        if groups.is_empty() {
            return Ok(0);
        }
        let mut statement = Statement::<DB>::new(
            "UPDATE error_groups SET resolved_by = NULL WHERE fingerprint IN (",
        );
        statement.list(groups).push(")");
        Ok(tx.execute(statement).await?)
    }

    fn rows(&self) -> usize {
        ROWS_PER_EDIT as usize
    }
}

/// Empties some of a user's errors; answers how many. Fewer than [`ROWS_PER_EDIT`]: no more are left.
#[derive(Debug)]
pub struct ForgetInErrors {
    /// Whom.
    pub user_id: String,
}

impl Edit for ForgetInErrors {
    type Answer = u64;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        Ok(empty_errors(tx, &self.user_id).await?)
    }

    fn rows(&self) -> usize {
        ROWS_PER_EDIT as usize
    }
}

/// Deletes some of a user's pipelines; answers how many. Fewer than [`ROWS_PER_EDIT`]: no more are left.
#[derive(Debug)]
pub struct ForgetInPipelines {
    /// Whom.
    pub user_id: String,
}

impl Edit for ForgetInPipelines {
    type Answer = u64;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        Ok(delete_pipelines(tx, &self.user_id).await?)
    }

    fn rows(&self) -> usize {
        ROWS_PER_EDIT as usize
    }
}

/// Empties what traces remember of a user; answers how many of them did.
#[derive(Debug)]
pub struct ForgetInTraces {
    /// Whom.
    pub user_id: String,
    /// At most [`ROWS_PER_EDIT`] of them.
    pub traces: Vec<TraceKey>,
}

impl Edit for ForgetInTraces {
    type Answer = u64;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        let mut statement =
            Statement::<DB>::new("SELECT trace_key, sightings FROM error_traces WHERE TRUE");
        statement
            .when_one_of(" AND trace_key IN (", &self.traces)
            .push(" ORDER BY trace_key")
            .push(DB::FOR_UPDATE);
        let traces: Vec<(TraceKey, String)> = tx
            .all(statement, |row| {
                Ok((DB::get(row, "trace_key")?, DB::get(row, "sightings")?))
            })
            .await?;
        let mut changed = 0;
        for (key, text) in traces {
            let mut sightings: Value =
                serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(error.into()))?;
            if !forget_in_sightings(&mut sightings, &self.user_id) {
                continue;
            }
            let mut statement = Statement::<DB>::new("UPDATE error_traces SET sightings = ");
            statement
                .bind(sightings.to_string())
                .with(" WHERE trace_key = ", key);
            changed += tx.execute(statement).await?;
        }
        Ok(changed)
    }

    fn rows(&self) -> usize {
        self.traces.len()
    }
}

/// Id, actor, entity and its id, before and after.
type SaidInAudit = (AuditId, String, String, String, [Option<Json<Value>>; 2]);

/// Id, hour, context, and the columns of requests.
type SaidInError = (
    ErrorId,
    AggregationId,
    Json<Value>,
    [Option<Json<Value>>; 3],
);

/// Empties what earlier audit entries say of a user; answers how many did.
#[derive(Debug)]
pub struct ForgetInAudit {
    /// Whom.
    pub user_id: String,
    /// At most [`ROWS_PER_EDIT`] of them.
    pub entries: Vec<AuditId>,
}

impl Edit for ForgetInAudit {
    type Answer = u64;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        let mut statement = Statement::<DB>::new(
            "SELECT id, actor, entity, entity_id, before, after FROM audit_log WHERE TRUE",
        );
        statement
            .when_one_of(" AND id IN (", &self.entries)
            .push(" ORDER BY id")
            .push(DB::FOR_UPDATE);
        let entries: Vec<SaidInAudit> = tx
            .all(statement, |row| {
                Ok((
                    DB::get(row, "id")?,
                    DB::get(row, "actor")?,
                    DB::get(row, "entity")?,
                    DB::get(row, "entity_id")?,
                    [DB::get(row, "before")?, DB::get(row, "after")?],
                ))
            })
            .await?;
        let mut changed = 0;
        for (id, actor, entity, entity_id, [mut before, mut after]) in entries {
            let mut names = actor == self.user_id;
            let is_user = entity == "user" && entity_id == self.user_id;
            names |= is_user;
            for Json(value) in [&mut before, &mut after].into_iter().flatten() {
                names |= blank(value, &self.user_id);
            }
            if !names {
                continue;
            }
            let actor = if actor == self.user_id {
                String::new()
            } else {
                actor
            };
            let entity_id = if is_user { String::new() } else { entity_id };
            let mut statement = Statement::<DB>::new("UPDATE audit_log SET actor = ");
            statement
                .bind(actor)
                .with(", entity_id = ", entity_id)
                .with(", before = ", before)
                .with(", after = ", after)
                .with(" WHERE id = ", id);
            changed += tx.execute(statement).await?;
        }
        Ok(changed)
    }

    fn rows(&self) -> usize {
        self.entries.len()
    }
}

/// What forgetting a user did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Forgotten {
    /// Errors that named them.
    pub errors: u64,
    /// Pipelines that were theirs, deleted.
    pub pipelines: u64,
}

/// Deletes the user with their pipelines, and empties what still names them among errors; `None`
/// when there is no such user.
#[derive(Debug)]
pub struct ForgetUser {
    /// Whom.
    pub user_id: String,
}

impl Edit for ForgetUser {
    type Answer = Option<Forgotten>;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        // Whoever stores another error of the user waits here, and registers them anew.
        let mut statement = Statement::<DB>::new("SELECT id FROM users WHERE id = ");
        statement.bind(self.user_id.clone()).push(DB::FOR_UPDATE);
        let user: Option<String> = tx.first(statement, |row| DB::get(row, "id")).await?;
        if user.is_none() {
            return Ok(None);
        }
        let mut forgotten = Forgotten::default();
        loop {
            let errors = empty_errors(tx, &self.user_id).await?;
            forgotten.errors += errors;
            if errors < u64::from(ROWS_PER_EDIT) {
                break;
            }
        }
        loop {
            let pipelines = delete_pipelines(tx, &self.user_id).await?;
            forgotten.pipelines += pipelines;
            if pipelines < u64::from(ROWS_PER_EDIT) {
                break;
            }
        }
        let mut statement = Statement::<DB>::new("DELETE FROM users WHERE id = ");
        statement.bind(self.user_id.clone());
        tx.execute(statement).await?;
        tx.audit(vec![AuditEntry {
            action: "forget",
            entity: "user",
            entity_id: String::new(),
            before: None,
            after: Some(json!(forgotten)),
        }])
        .await?;
        Ok(Some(forgotten))
    }
}

/// Empties some of the user's errors.
async fn empty_errors<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    user_id: &str,
) -> Result<u64, sqlx::Error> {
    let mut statement = Statement::<DB>::new("SELECT id FROM api_errors WHERE user_id = ");
    statement
        .bind(user_id.to_owned())
        .with(" ORDER BY created_at DESC LIMIT ", i64::from(ROWS_PER_EDIT));
    let ids: Vec<ErrorId> = tx.all(statement, |row| DB::get(row, "id")).await?;
    if ids.is_empty() {
        return Ok(0);
    }
    tx.hold(&ids).await?;
    let mut statement = Statement::<DB>::new(
        "SELECT id, aggregation_id, context, request_body, request_headers, response_body FROM api_errors",
    );
    statement
        .with(" WHERE user_id = ", user_id.to_owned())
        .when_one_of(" AND id IN (", &ids)
        .push(" ORDER BY id");
    let errors: Vec<SaidInError> = tx
        .all(statement, |row| {
            Ok((
                DB::get(row, "id")?,
                DB::get(row, "aggregation_id")?,
                DB::get(row, "context")?,
                [
                    DB::get(row, "request_body")?,
                    DB::get(row, "request_headers")?,
                    DB::get(row, "response_body")?,
                ],
            ))
        })
        .await?;
    let ids: Vec<ErrorId> = errors.iter().map(|(id, ..)| *id).collect();
    let mut hours: Vec<AggregationId> = errors.iter().map(|(_, hour, ..)| *hour).collect();
    hours.sort_unstable();
    hours.dedup();
    for (id, _, Json(mut context), mut of_request) in errors {
        let mut named = without_people(&mut context) | blank(&mut context, user_id);
        for Json(value) in of_request.iter_mut().flatten() {
            named |= blank(value, user_id);
        }
        if named {
            let [request_body, request_headers, response_body] = of_request;
            let mut statement = Statement::<DB>::new("UPDATE api_errors SET context = ");
            statement
                .bind(Json(context))
                .with(", request_body = ", request_body)
                .with(", request_headers = ", request_headers)
                .with(", response_body = ", response_body)
                .with(" WHERE id = ", id);
            tx.execute(statement).await?;
        }
    }
    // The hours' members stay: they are hashes under a key, and what makes unique_users exact.
    tx.hold_hours(&hours).await?;
    let mut statement = Statement::<DB>::new(
        "UPDATE error_aggregations SET forgotten_errors = forgotten_errors + counted.errors FROM \
         (SELECT aggregation_id, COUNT(*) AS errors FROM api_errors WHERE TRUE",
    );
    statement.when_one_of(" AND id IN (", &ids).push(
        " GROUP BY aggregation_id) AS counted \
         WHERE error_aggregations.id = counted.aggregation_id",
    );
    tx.execute(statement).await?;
    let mut statement = Statement::<DB>::new(
        "UPDATE api_errors SET user_id = NULL, ip_address = NULL, user_agent = NULL WHERE TRUE",
    );
    statement.when_one_of(" AND id IN (", &ids);
    tx.execute(statement).await
}

/// Deletes some of the user's pipelines with their stages; the audit log keeps their ids alone.
async fn delete_pipelines<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    user_id: &str,
) -> Result<u64, sqlx::Error> {
    let mut statement =
        Statement::<DB>::new("SELECT id FROM generation_pipelines WHERE user_id = ");
    statement
        .bind(user_id.to_owned())
        .with(" ORDER BY id LIMIT ", i64::from(ROWS_PER_EDIT))
        .push(DB::FOR_UPDATE);
    let ids: Vec<String> = tx.all(statement, |row| DB::get(row, "id")).await?;
    if ids.is_empty() {
        return Ok(0);
    }
    let mut statement = Statement::<DB>::new(
        "UPDATE audit_log SET before = NULL, after = NULL WHERE entity = 'pipeline' AND entity_id IN (",
    );
    statement.list(ids.iter().cloned()).push(")");
    tx.execute(statement).await?;
    let entries = ids.iter().map(|id| AuditEntry {
        action: "forget",
        entity: "pipeline",
        entity_id: id.clone(),
        before: None,
        after: None,
    });
    let entries = entries.collect();
    tx.audit(entries).await?;
    let mut statement = Statement::<DB>::new("DELETE FROM generation_pipelines WHERE id IN (");
    statement.list(ids).push(")");
    tx.execute(statement).await
}

/// Takes the user out of the sightings that name them.
fn forget_in_sightings(sightings: &mut Value, user_id: &str) -> bool {
    let mut changed = false;
    for sighting in sightings.as_array_mut().into_iter().flatten() {
        let facts = sighting.get_mut("facts").and_then(Value::as_object_mut);
        let theirs = |facts: &&mut Map<String, Value>| {
            facts.get("userId").and_then(Value::as_str) == Some(user_id)
        };
        if let Some(facts) = facts.filter(theirs) {
            for fact in ["userId", "ipAddress", "userAgent"] {
                facts.remove(fact);
            }
            without_people(sighting);
            changed = true;
        }
        // It may stand in attributes of whatever they were part of. Nothing else is touched: a word
        // of ours may be somebody's name.
        if let Some(context) = sighting.pointer_mut("/content/context") {
            changed |= blank(context, user_id);
        }
    }
    changed
}

/// Takes out attributes of people, however deep; whether there were any.
fn without_people(value: &mut Value) -> bool {
    match value {
        Value::Object(object) => {
            let before = object.len();
            object.retain(|key, _| !OF_PEOPLE.iter().any(|prefix| key.starts_with(prefix)));
            let mut found = object.len() != before;
            for value in object.values_mut() {
                found |= without_people(value);
            }
            found
        }
        Value::Array(items) => items
            .iter_mut()
            .fold(false, |found, item| without_people(item) | found),
        _ => false,
    }
}

/// Makes null of every text that is exactly the user's id; whether there were any.
fn blank(value: &mut Value, user_id: &str) -> bool {
    match value {
        Value::String(text) if text == user_id => {
            *value = Value::Null;
            true
        }
        Value::Object(object) => object
            .values_mut()
            .fold(false, |found, value| blank(value, user_id) | found),
        Value::Array(items) => items
            .iter_mut()
            .fold(false, |found, item| blank(item, user_id) | found),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_goes_out_of_the_sightings_that_name_them_and_of_no_other() {
        let of = |user: &str| {
            json!({
                "key": "k",
                "facts": {"userId": user, "ipAddress": "192.0.2.0", "userAgent": "x", "endpoint": "/me"},
                "content": {"context": {"attributes": {"user.email": "a@example.com", "shop": 1}}},
            })
        };
        let mut sightings = json!([of("ada"), of("bob"), {"key": "none"}]);
        assert!(forget_in_sightings(&mut sightings, "ada"));
        let without = json!({
            "key": "k",
            "facts": {"endpoint": "/me"},
            "content": {"context": {"attributes": {"shop": 1}}},
        });
        assert_eq!(sightings, json!([without, of("bob"), {"key": "none"}]));
        assert!(!forget_in_sightings(&mut sightings, "ada"));
    }

    #[test]
    fn only_texts_that_are_the_id_become_null() {
        let mut value = json!({"a": ["ada", "adams"], "b": {"c": "ada"}, "ada": 1});
        assert!(blank(&mut value, "ada"));
        assert_eq!(
            value,
            json!({"a": [null, "adams"], "b": {"c": null}, "ada": 1})
        );
        assert!(!blank(&mut value, "ada"));
    }
}
