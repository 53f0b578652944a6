//! Migrating the file. Its lock keeps everybody else away meanwhile.

use sqlx::{SqliteConnection, migrate::Migrate};

use super::open;
use crate::store::{
    StoreError,
    error::During,
    migrate::{SQLITE, VERSIONS, check_unchanged, error, pending},
};

/// See [`crate::store::migrate::up`].
pub(in crate::store) async fn up(path: &str) -> Result<Vec<i64>, StoreError> {
    let (path, _lock) = open::prepare_to_migrate(path).await?;
    let mut connection = open::open_ours(&path, &open::writer_options(&path)).await?;
    run_up(&mut connection).await
}

/// See [`crate::store::migrate::down`].
pub(in crate::store) async fn down(path: &str) -> Result<Option<i64>, StoreError> {
    let (path, _lock) = open::prepare_to_migrate(path).await?;
    let mut connection = open::open_ours(&path, &open::writer_options(&path)).await?;
    let applied = applied_versions(&mut connection).await?;
    let Some((&latest, before)) = applied.split_last() else {
        return Ok(None);
    };
    SQLITE
        .undo(&mut connection, before.last().copied().unwrap_or(0))
        .await
        .map_err(|migration| error("migrate down", migration))?;
    Ok(Some(latest))
}

/// The versions that the file has; none when there is no file.
pub(in crate::store) async fn applied(path: &str) -> Result<Vec<i64>, StoreError> {
    let Some((_, mut connection)) = open::read_beside(path).await? else {
        return Ok(Vec::new());
    };
    applied_versions(&mut connection).await
}

/// Applies what is missing.
pub(super) async fn run_up(connection: &mut SqliteConnection) -> Result<Vec<i64>, StoreError> {
    let applied = applied_versions(connection).await?;
    SQLITE
        .run_direct(None, connection, false)
        .await
        .map_err(|migration| error("migrate up", migration))?;
    Ok(pending(&SQLITE, &applied))
}

/// The versions that are applied, in order.
pub(super) async fn applied_versions(
    connection: &mut SqliteConnection,
) -> Result<Vec<i64>, StoreError> {
    const EXISTS: &str = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = $1";
    let tables: i64 = sqlx::query_scalar(EXISTS)
        .bind(VERSIONS)
        .fetch_one(&mut *connection)
        .await
        .during("read the schema's versions")?;
    if tables == 0 {
        return Ok(Vec::new());
    }
    let applied: Vec<_> = connection
        .list_applied_migrations(VERSIONS)
        .await
        .map_err(|migration| error("read the schema's versions", migration))?
        .into_iter()
        .map(|migration| (migration.version, migration.checksum.into_owned()))
        .collect();
    check_unchanged(&SQLITE, &applied)?;
    Ok(applied.into_iter().map(|(version, _)| version).collect())
}
