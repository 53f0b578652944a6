//! Repairs one hour: each of its rows in `error_aggregations` counts its errors again. What is
//! counted without a row (`unlinked_errors`) is kept, so no history is lost.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use sqlx::error::BoxDynError;

use super::{
    Dialect,
    connect::{USER_KEY, parse_user_key},
    edit::{AuditEntry, EditTx},
    reader::rows::dimensions,
};
use crate::domain::{AggregationId, Dimensions, Hour, Timestamp, UserHasher, UserKey};

/// The members of older hours are not kept; their number is.
pub(super) const MEMBERS_KEPT_SECONDS: i64 = 30 * 24 * 3_600;

/// Bound values of one statement.
macro_rules! bound {
    ($($value:expr),* $(,)?) => {
        (|| {
            let mut arguments = DB::Arguments::default();
            $(DB::bind(&mut arguments, $value)?;)*
            Ok::<_, BoxDynError>(arguments)
        })()
        .map_err(sqlx::Error::Encode)?
    };
}

/// The first hour at or after `from` that has errors or counts.
pub(super) async fn next_hour<DB: Dialect>(
    connection: &mut DB::Connection,
    from: Timestamp,
) -> Result<Option<Hour>, sqlx::Error> {
    const ERRORS: &str = "SELECT MIN(created_at) AS at FROM api_errors WHERE created_at >= $1";
    const HOURS: &str =
        "SELECT MIN(hour_bucket) AS at FROM error_aggregations WHERE hour_bucket >= $1";
    let mut next = None;
    for sql in [ERRORS, HOURS] {
        let found =
            all::<DB, Option<Timestamp>>(connection, sql, bound![from], |row| DB::get(row, "at"))
                .await?;
        next = found
            .into_iter()
            .flatten()
            .map(Hour::containing)
            .chain(next)
            .min();
    }
    Ok(next)
}

/// Repairs the hour inside a transaction, with an audit entry when something was wrong. Returns how
/// many of its rows were. `lock` ends
/// the statement that reads them.
pub(super) async fn rebuild_hour<DB: Dialect>(
    connection: &mut DB::Connection,
    hour: Hour,
    actor: &str,
    now: Timestamp,
    lock: &'static str,
) -> Result<u64, sqlx::Error> {
    // Errors that are committed after this and count in one of these rows wait for the lock.
    let stored = stored_hours::<DB>(connection, hour, lock).await?;
    let counted = count_errors::<DB>(connection, hour).await?;
    let users = count_users::<DB>(connection, hour).await?;
    let mut members = BTreeMap::new();
    if hour.start() >= now.plus_seconds(-MEMBERS_KEPT_SECONDS) {
        let ids: BTreeSet<_> = stored.keys().chain(counted.keys()).copied().collect();
        for id in ids {
            let users = users.get(&id).cloned().unwrap_or_default();
            let alone = stored
                .get(&id)
                .is_none_or(|it| it.unlinked_errors == 0 && it.forgotten_errors == 0);
            members.insert(
                id,
                repair_members::<DB>(connection, id, users, alone).await?,
            );
        }
    }
    let mut changed = 0;
    let mut total_errors = 0;
    for (id, stored) in &stored {
        let mut right = *stored;
        let rows = counted.get(id);
        let mut were_members_wrong = false;
        right.total_errors = rows.map_or(0, |rows| rows.errors) + stored.unlinked_errors;
        if let Some(members) = members.get(id) {
            right.unique_users = members.users;
            were_members_wrong = members.were_wrong;
        }
        if let Some(rows) = rows {
            let alone = stored.unlinked_errors == 0;
            if alone || rows.first < stored.first_occurrence {
                right.first_occurrence = rows.first;
            }
            if alone || rows.last > stored.last_occurrence {
                right.last_occurrence = rows.last;
            }
        }
        total_errors += right.total_errors;
        if right.total_errors == 0 {
            delete_hour::<DB>(connection, *id).await?;
        } else if right != *stored || were_members_wrong {
            update_hour::<DB>(connection, *id, right, now).await?;
        } else {
            continue;
        }
        changed += 1;
    }
    for (id, rows) in counted.iter().filter(|(id, _)| !stored.contains_key(id)) {
        let users = users.get(id).map_or(0, BTreeMap::len);
        insert_hour::<DB>(connection, *id, hour, rows, users, now).await?;
        total_errors += rows.errors;
        changed += 1;
    }
    if changed > 0 {
        let were: i64 = stored.values().map(|it| it.total_errors).sum();
        let entry = AuditEntry {
            action: "rebuild",
            entity: "hour",
            entity_id: hour.start().to_string(),
            before: Some(json!({ "totalErrors": were })),
            after: Some(json!({ "totalErrors": total_errors, "corrected": changed })),
        };
        let mut tx = EditTx::<DB>::of(connection, actor, now);
        tx.audit(vec![entry]).await?;
    }
    Ok(changed)
}

/// What a row of `error_aggregations` says.
#[derive(Clone, Copy, PartialEq)]
struct StoredHour {
    total_errors: i64,
    unique_users: i64,
    unlinked_errors: i64,
    forgotten_errors: i64,
    first_occurrence: Timestamp,
    last_occurrence: Timestamp,
}

/// What the errors say that are counted in it.
struct CountedHour {
    errors: i64,
    first: Timestamp,
    last: Timestamp,
    dimensions: Dimensions,
}

async fn stored_hours<DB: Dialect>(
    connection: &mut DB::Connection,
    hour: Hour,
    lock: &'static str,
) -> Result<BTreeMap<AggregationId, StoredHour>, sqlx::Error> {
    const SQL: &str = "SELECT id, total_errors, unique_users, unlinked_errors, forgotten_errors, \
        first_occurrence, last_occurrence FROM error_aggregations WHERE hour_bucket = $1 \
        ORDER BY id";
    let stored = all::<DB, _>(connection, &format!("{SQL}{lock}"), bound![hour], |row| {
        Ok((
            DB::get(row, "id")?,
            StoredHour {
                total_errors: DB::get(row, "total_errors")?,
                unique_users: DB::get(row, "unique_users")?,
                unlinked_errors: DB::get(row, "unlinked_errors")?,
                forgotten_errors: DB::get(row, "forgotten_errors")?,
                first_occurrence: DB::get(row, "first_occurrence")?,
                last_occurrence: DB::get(row, "last_occurrence")?,
            },
        ))
    })
    .await?;
    Ok(stored.into_iter().collect())
}

/// The hour's errors by the row that they say counts them. An error that says a row which its
/// hour and dimensions do not name is put right first.
async fn count_errors<DB: Dialect>(
    connection: &mut DB::Connection,
    hour: Hour,
) -> Result<BTreeMap<AggregationId, CountedHour>, sqlx::Error> {
    const SQL: &str = "SELECT aggregation_id, service_name, environment, endpoint, method, \
        CAST(severity AS TEXT) AS severity, CAST(category AS TEXT) AS category, \
        external_service, status_code, COUNT(*) AS errors, MIN(created_at) AS first_at, \
        MAX(created_at) AS last_at FROM api_errors WHERE created_at >= $1 AND created_at < $2 \
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9";
    let groups = all::<DB, _>(connection, SQL, bound![hour, hour.end()], |row| {
        let id: AggregationId = DB::get(row, "aggregation_id")?;
        let rows = CountedHour {
            errors: DB::get(row, "errors")?,
            first: DB::get(row, "first_at")?,
            last: DB::get(row, "last_at")?,
            dimensions: dimensions::<DB>(row)?,
        };
        Ok((id, rows))
    })
    .await?;
    let mut counted = BTreeMap::<AggregationId, CountedHour>::new();
    for (said, mut rows) in groups {
        let own = AggregationId::new(hour, &rows.dimensions);
        let folded = rows.dimensions.folded();
        let id = if said == own {
            own
        } else if said == AggregationId::new(hour, &folded) {
            rows.dimensions = folded;
            said
        } else {
            point_errors::<DB>(connection, hour, said, own, &rows.dimensions).await?;
            own
        };
        counted
            .entry(id)
            .and_modify(|together| {
                together.errors += rows.errors;
                together.first = together.first.min(rows.first);
                together.last = together.last.max(rows.last);
            })
            .or_insert(rows);
    }
    Ok(counted)
}

async fn point_errors<DB: Dialect>(
    connection: &mut DB::Connection,
    hour: Hour,
    from: AggregationId,
    to: AggregationId,
    dimensions: &Dimensions,
) -> Result<(), sqlx::Error> {
    let (severity, category) = (DB::SEVERITY.join("$9"), DB::CATEGORY.join("$10"));
    let sql = format!(
        "UPDATE api_errors SET aggregation_id = $1 \
         WHERE created_at >= $2 AND created_at < $3 AND aggregation_id = $4 \
         AND service_name = $5 AND environment = $6 AND endpoint = $7 AND method = $8 \
         AND severity = {severity} AND category = {category} \
         AND external_service IS NOT DISTINCT FROM $11 \
         AND status_code IS NOT DISTINCT FROM $12"
    );
    let arguments = bound![
        to,
        hour,
        hour.end(),
        from,
        dimensions.service_name.clone(),
        dimensions.environment.clone(),
        dimensions.endpoint.clone(),
        dimensions.method.clone(),
        dimensions.severity,
        dimensions.category,
        dimensions.external_service.clone(),
        dimensions.status_code,
    ];
    execute::<DB>(connection, &sql, arguments).await
}

/// The users of the hour's errors, as they are counted: hour's row, user, errors.
async fn count_users<DB: Dialect>(
    connection: &mut DB::Connection,
    hour: Hour,
) -> Result<BTreeMap<AggregationId, BTreeMap<UserKey, i64>>, sqlx::Error> {
    const KEY: &str = "SELECT value FROM settings WHERE name = $1";
    const USERS: &str = "SELECT aggregation_id, user_id, COUNT(*) AS errors FROM api_errors \
        WHERE created_at >= $1 AND created_at < $2 AND user_id IS NOT NULL GROUP BY 1, 2";
    let keys = all::<DB, String>(connection, KEY, bound![USER_KEY.to_owned()], |row| {
        DB::get(row, "value")
    })
    .await?;
    // A database without a key has no users yet.
    let Some(key) = keys.first() else {
        return Ok(BTreeMap::new());
    };
    let key = parse_user_key(key).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let hasher = UserHasher::new(key);
    let mut users = BTreeMap::<AggregationId, BTreeMap<UserKey, i64>>::new();
    let counted = all::<DB, (AggregationId, String, i64)>(
        connection,
        USERS,
        bound![hour, hour.end()],
        |row| {
            Ok((
                DB::get(row, "aggregation_id")?,
                DB::get(row, "user_id")?,
                DB::get(row, "errors")?,
            ))
        },
    )
    .await?;
    for (id, user, errors) in counted {
        *users
            .entry(id)
            .or_default()
            .entry(hasher.key(&user))
            .or_default() += errors;
    }
    Ok(users)
}

/// The members of an hour's row after their repair.
struct Members {
    users: i64,
    were_wrong: bool,
}

/// Makes the members say what the users of the rows say. Errors without a row, and those of users who
/// were forgotten, had users too: unless the rows are `alone`, members beyond theirs are left as they are.
async fn repair_members<DB: Dialect>(
    connection: &mut DB::Connection,
    id: AggregationId,
    users: BTreeMap<UserKey, i64>,
    alone: bool,
) -> Result<Members, sqlx::Error> {
    const MEMBERS: &str =
        "SELECT user_key, errors FROM error_aggregation_users WHERE aggregation_id = $1";
    const DELETE: &str =
        "DELETE FROM error_aggregation_users WHERE aggregation_id = $1 AND user_key = $2";
    const WRITE: &str = "INSERT INTO error_aggregation_users (aggregation_id, user_key, errors) \
        VALUES ($1, $2, $3) \
        ON CONFLICT (aggregation_id, user_key) DO UPDATE SET errors = excluded.errors";
    let stored = all::<DB, (UserKey, i64)>(connection, MEMBERS, bound![id], |row| {
        Ok((DB::get(row, "user_key")?, DB::get(row, "errors")?))
    })
    .await?;
    let stored: BTreeMap<UserKey, i64> = stored.into_iter().collect();
    let mut right = users;
    if !alone {
        for (&user, &errors) in &stored {
            let of_rows = right.entry(user).or_default();
            *of_rows = errors.max(*of_rows);
        }
    }
    for &user in stored.keys().filter(|user| !right.contains_key(*user)) {
        execute::<DB>(connection, DELETE, bound![id, user]).await?;
    }
    for (&user, &errors) in &right {
        if stored.get(&user) != Some(&errors) {
            execute::<DB>(connection, WRITE, bound![id, user, errors]).await?;
        }
    }
    Ok(Members {
        users: i64::try_from(right.len()).unwrap_or(i64::MAX),
        were_wrong: right != stored,
    })
}

async fn update_hour<DB: Dialect>(
    connection: &mut DB::Connection,
    id: AggregationId,
    right: StoredHour,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    const SQL: &str = "UPDATE error_aggregations SET total_errors = $2, unique_users = $3, \
        first_occurrence = $4, last_occurrence = $5, updated_at = $6 WHERE id = $1";
    let arguments = bound![
        id,
        right.total_errors,
        right.unique_users,
        right.first_occurrence,
        right.last_occurrence,
        now,
    ];
    execute::<DB>(connection, SQL, arguments).await
}

async fn delete_hour<DB: Dialect>(
    connection: &mut DB::Connection,
    id: AggregationId,
) -> Result<(), sqlx::Error> {
    const USERS: &str = "DELETE FROM error_aggregation_users WHERE aggregation_id = $1";
    const HOUR: &str = "DELETE FROM error_aggregations WHERE id = $1";
    execute::<DB>(connection, USERS, bound![id]).await?;
    execute::<DB>(connection, HOUR, bound![id]).await
}

async fn insert_hour<DB: Dialect>(
    connection: &mut DB::Connection,
    id: AggregationId,
    hour: Hour,
    rows: &CountedHour,
    unique_users: usize,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    // One that is there by now was counted by the transaction that made it.
    let (severity, category) = (DB::SEVERITY.join("$7"), DB::CATEGORY.join("$8"));
    let sql = format!(
        "INSERT INTO error_aggregations (id, hour_bucket, service_name, environment, endpoint, \
         method, severity, category, external_service, status_code, total_errors, unique_users, \
         unlinked_errors, first_occurrence, last_occurrence, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, {severity}, {category}, $9, $10, $11, $12, 0, $13, $14, \
         $15) ON CONFLICT (id) DO NOTHING"
    );
    let dimensions = &rows.dimensions;
    let arguments = bound![
        id,
        hour,
        dimensions.service_name.clone(),
        dimensions.environment.clone(),
        dimensions.endpoint.clone(),
        dimensions.method.clone(),
        dimensions.severity,
        dimensions.category,
        dimensions.external_service.clone(),
        dimensions.status_code,
        rows.errors,
        i64::try_from(unique_users).unwrap_or(i64::MAX),
        rows.first,
        rows.last,
        now,
    ];
    execute::<DB>(connection, &sql, arguments).await
}

async fn all<DB: Dialect, T: Send>(
    connection: &mut DB::Connection,
    sql: &str,
    arguments: DB::Arguments,
    mut read: impl FnMut(&DB::Row) -> Result<T, sqlx::Error> + Send,
) -> Result<Vec<T>, sqlx::Error> {
    let mut rows = Vec::new();
    DB::for_each(connection, sql.to_owned(), arguments, |row| {
        rows.push(read(&row)?);
        Ok(())
    })
    .await?;
    Ok(rows)
}

async fn execute<DB: Dialect>(
    connection: &mut DB::Connection,
    sql: &str,
    arguments: DB::Arguments,
) -> Result<(), sqlx::Error> {
    DB::for_each(connection, sql.to_owned(), arguments, |_| Ok(())).await
}
