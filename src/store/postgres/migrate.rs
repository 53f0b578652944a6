//! Migrating the schema. Replicas that start together take turns: a table lock on a second
//! connection, because advisory locks strand behind a pooler.

use std::time::{Duration, Instant};

use sqlx::{
    AssertSqlSafe, Connection, Executor, PgConnection,
    migrate::{Migrate, MigrateError, Migration},
};

use super::{
    Access,
    open::{at_open, current_schema, script, within},
};
use crate::store::{
    DatabaseSettings, StoreError,
    error::During,
    migrate::{POSTGRES, VERSIONS, check_unchanged, error, pending},
};

/// How long to wait for another process that migrates.
const LOCK_TIME: Duration = Duration::from_mins(1);

/// See [`crate::store::migrate::up`].
pub(in crate::store) async fn up(settings: &DatabaseSettings) -> Result<Vec<i64>, StoreError> {
    run_up(&Access::of(settings)?).await.map_err(at_open)
}

/// See [`crate::store::migrate::down`].
pub(in crate::store) async fn down(settings: &DatabaseSettings) -> Result<Option<i64>, StoreError> {
    run_down(&Access::of(settings)?).await.map_err(at_open)
}

async fn run_down(access: &Access) -> Result<Option<i64>, StoreError> {
    let mut connection = access.connect_unlimited().await?;
    if current_schema(&mut connection).await?.as_deref() != Some(&*access.schema) {
        return Ok(None);
    }
    let lock = Lock::take(access).await?;
    let applied = applied_versions(&mut connection).await?;
    let Some(&latest) = applied.last() else {
        return Ok(None);
    };
    let migration = POSTGRES
        .iter()
        .find(|migration| {
            migration.migration_type.is_down_migration() && migration.version == latest
        })
        .ok_or_else(|| error("migrate down", MigrateError::VersionMissing(latest)))?;
    run(&mut connection, migration)
        .await
        .during("migrate down")?;
    lock.release().await;
    Ok(Some(latest))
}

/// The versions that the schema has; none when there is no schema.
pub(in crate::store) async fn applied(settings: &DatabaseSettings) -> Result<Vec<i64>, StoreError> {
    let access = Access::of(settings)?;
    let read = async {
        let mut connection = access.connect_unlimited().await?;
        if current_schema(&mut connection).await?.as_deref() != Some(&*access.schema) {
            return Ok(Vec::new());
        }
        applied_versions(&mut connection).await
    };
    read.await.map_err(at_open)
}

/// Makes the schema and applies what is missing.
pub(super) async fn run_up(access: &Access) -> Result<Vec<i64>, StoreError> {
    let mut connection = connect_to_schema(access).await?;
    let applied = applied_versions(&mut connection).await?;
    if pending(&POSTGRES, &applied).is_empty() {
        return Ok(Vec::new());
    }
    check_privileges(&mut connection, &access.schema).await?;
    let lock = Lock::take(access).await?;
    let applied = applied_versions(&mut connection).await?;
    let pending = pending(&POSTGRES, &applied);
    for migration in POSTGRES.iter().filter(|migration| {
        migration.migration_type.is_up_migration() && pending.contains(&migration.version)
    }) {
        run(&mut connection, migration).await.during("migrate up")?;
    }
    lock.release().await;
    Ok(pending)
}

/// Runs one migration and writes down that it was, in one transaction. sqlx's own way does the
/// same, but with named statements, which a pooler in transaction mode does not bear.
async fn run(connection: &mut PgConnection, migration: &Migration) -> Result<(), sqlx::Error> {
    const APPLIED: &str = "INSERT INTO _sqlx_migrations \
        (version, description, success, checksum, execution_time) VALUES ($1, $2, true, $3, $4)";
    const REVERTED: &str = "DELETE FROM _sqlx_migrations WHERE version = $1";
    let start = Instant::now();
    let mut transaction = connection.begin().await?;
    transaction.execute(migration.sql.clone()).await?;
    if migration.migration_type.is_up_migration() {
        let nanos = i64::try_from(start.elapsed().as_nanos()).unwrap_or(i64::MAX);
        sqlx::query(APPLIED)
            .bind(migration.version)
            .bind(&*migration.description)
            .bind(&*migration.checksum)
            .bind(nanos)
            .persistent(false)
            .execute(&mut *transaction)
            .await?;
    } else {
        sqlx::query(REVERTED)
            .bind(migration.version)
            .persistent(false)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

/// The versions that are applied, in order.
pub(super) async fn applied_versions(
    connection: &mut PgConnection,
) -> Result<Vec<i64>, StoreError> {
    const READ: &str =
        "SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version";
    let read = async {
        if !has_versions(connection).await? {
            return Ok(Vec::new());
        }
        let mut transaction = connection.begin().await?;
        let applied: Vec<(i64, Vec<u8>)> = sqlx::query_as(READ)
            .persistent(false)
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok::<_, sqlx::Error>(applied)
    };
    let applied = read.await.during("read the schema's versions")?;
    check_unchanged(&POSTGRES, &applied)?;
    Ok(applied.into_iter().map(|(version, _)| version).collect())
}

/// Whether the table of versions is there.
async fn has_versions(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    const SQL: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_tables \
        WHERE schemaname = current_schema() AND tablename = $1)";
    let mut transaction = connection.begin().await?;
    let is_there = sqlx::query_scalar(SQL)
        .bind(VERSIONS)
        .persistent(false)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(is_there)
}

/// What the role may do where the schema is or will be. Names are quoted where they need it.
#[derive(sqlx::FromRow)]
struct Privileges {
    role: String,
    database: String,
    schema_is_there: bool,
    may_create: bool,
}

/// Whether the role may make the schema, or tables in it; if not, what would let it.
async fn check_privileges(connection: &mut PgConnection, schema: &str) -> Result<(), StoreError> {
    const SQL: &str = "SELECT quote_ident(current_user) AS role, \
        quote_ident(current_database()) AS database, \
        schema IS NOT NULL AS schema_is_there, \
        CASE WHEN schema IS NULL THEN has_database_privilege(current_database(), 'CREATE') \
            ELSE has_schema_privilege(schema, 'USAGE') AND has_schema_privilege(schema, 'CREATE') \
            END AS may_create \
        FROM CAST(to_regnamespace($1) AS oid) AS found (schema)";
    let read = async {
        let mut transaction = connection.begin().await?;
        let privileges: Privileges = sqlx::query_as(SQL)
            .bind(schema)
            .persistent(false)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok::<_, sqlx::Error>(privileges)
    };
    let Privileges {
        role,
        database,
        schema_is_there,
        may_create,
    } = read.await.during("read the role's privileges")?;
    if may_create {
        return Ok(());
    }
    Err(StoreError::Configuration(if schema_is_there {
        format!(
            "the role {role} may not make tables in the schema {schema} of the database \
             {database}: let its owner run `GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}`"
        )
    } else {
        format!(
            "the role {role} may not make the schema {schema} in the database {database}: let its \
             owner run `GRANT CREATE ON DATABASE {database} TO {role}`"
        )
    }))
}

/// A connection to our schema, which is made, and made the role's own in this database, when a
/// new connection does not lead there by itself.
async fn connect_to_schema(access: &Access) -> Result<PgConnection, StoreError> {
    let mut connection = access.connect_unlimited().await?;
    if current_schema(&mut connection).await?.as_deref() == Some(&*access.schema) {
        return Ok(connection);
    }
    check_privileges(&mut connection, &access.schema).await?;
    // Safe: the schema's name is plain (checked with the settings), the database's is quoted.
    let sql = format!(
        "DO $make$ BEGIN \
         IF to_regnamespace('{schema}') IS NULL THEN CREATE SCHEMA {schema}; END IF; \
         EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path = {schema}', \
         current_user, current_database()); \
         END $make$",
        schema = access.schema
    );
    // Replicas that start together can collide here; whoever loses finds it done.
    let made = connection.execute(AssertSqlSafe(sql)).await;
    drop(connection);
    let mut connection = access.connect_unlimited().await?;
    match current_schema(&mut connection).await? {
        Some(current) if current == access.schema => Ok(connection),
        current => {
            made.during("make the schema")?;
            Err(StoreError::Configuration(format!(
                "new connections lead to the schema {:?} and not to {:?}: make a pooler forget its \
                 connections, or run `redspan migrate up` once without it",
                current.as_deref().unwrap_or("none"),
                access.schema
            )))
        }
    }
}

/// The turn to migrate.
struct Lock(PgConnection);

impl Lock {
    async fn take(access: &Access) -> Result<Self, StoreError> {
        let mut connection = access.connect_unlimited().await?;
        if !has_versions(&mut connection).await.during("migrate")? {
            let mut made = connection.ensure_migrations_table(VERSIONS).await;
            if made.is_err() {
                // Another process made the table at the same moment.
                made = connection.ensure_migrations_table(VERSIONS).await;
            }
            made.map_err(|migration| error("migrate", migration))?;
        }
        // Conflicts with itself alone, and not with the migrator's own changes of the table.
        within(
            LOCK_TIME,
            "wait for another migration",
            script(
                &mut connection,
                "BEGIN; LOCK TABLE _sqlx_migrations IN SHARE UPDATE EXCLUSIVE MODE",
            ),
        )
        .await?;
        Ok(Self(connection))
    }

    async fn release(mut self) {
        // The lock ends with the connection in any case.
        let ended = script(&mut self.0, "COMMIT").await;
        if ended.is_ok() {
            drop(self.0.close().await);
        }
    }
}
