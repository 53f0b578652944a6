//! The schema's versions: embedded pairs of `migrations/`, the same numbers on both databases.

use sqlx::migrate::{MigrateError, Migrator};

use super::{
    DatabaseSettings, StoreError, connect::Kind, postgres::migrate as postgres,
    sqlite::migrate as sqlite,
};

/// For SQLite.
pub(super) static SQLITE: Migrator = sqlx::migrate!("./migrations/sqlite");

/// For PostgreSQL. Never with sqlx's advisory lock, which strands behind a pooler.
pub(super) static POSTGRES: Migrator = Migrator {
    locking: false,
    ..sqlx::migrate!("./migrations/postgres")
};

/// The table in which sqlx keeps what was applied.
pub(super) const VERSIONS: &str = "_sqlx_migrations";

/// One version of the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its number.
    pub number: i64,
    /// Its name.
    pub name: String,
    /// Whether the database has it.
    pub applied: bool,
}

/// Applies every version that the database does not have yet. Returns their numbers.
///
/// # Errors
/// See [`super::connect`].
pub async fn up(settings: &DatabaseSettings) -> Result<Vec<i64>, StoreError> {
    match settings.kind()? {
        Kind::Sqlite(path) => sqlite::up(path).await,
        Kind::Postgres => postgres::up(settings).await,
    }
}

/// Takes the latest version back, with everything that it holds. Returns its number; `None` when
/// there is none.
///
/// # Errors
/// See [`super::connect`].
pub async fn down(settings: &DatabaseSettings) -> Result<Option<i64>, StoreError> {
    match settings.kind()? {
        Kind::Sqlite(path) => sqlite::down(path).await,
        Kind::Postgres => postgres::down(settings).await,
    }
}

/// Every version that this program knows, oldest first.
///
/// # Errors
/// See [`super::connect`].
pub async fn status(settings: &DatabaseSettings) -> Result<Vec<Version>, StoreError> {
    let (migrator, applied) = match settings.kind()? {
        Kind::Sqlite(path) => (&SQLITE, sqlite::applied(path).await?),
        Kind::Postgres => (&POSTGRES, postgres::applied(settings).await?),
    };
    Ok(migrator
        .iter()
        .filter(|migration| migration.migration_type.is_up_migration())
        .map(|migration| Version {
            number: migration.version,
            name: migration.description.to_string(),
            applied: applied.contains(&migration.version),
        })
        .collect())
}

/// Whether what was applied is what this program works with.
pub(super) fn check(migrator: &Migrator, applied: &[i64]) -> Result<(), StoreError> {
    let missing = migrator.iter().find(|migration| {
        migration.migration_type.is_up_migration() && !applied.contains(&migration.version)
    });
    match missing {
        None => Ok(()),
        Some(missing) => Err(StoreError::Configuration(format!(
            "the database lacks version {} of the schema ({}): run `redspan migrate up`",
            missing.version, missing.description
        ))),
    }
}

/// Whether each version that was applied is the one that this program knows by its number.
pub(super) fn check_unchanged(
    migrator: &Migrator,
    applied: &[(i64, Vec<u8>)],
) -> Result<(), StoreError> {
    for (version, checksum) in applied {
        let known = migrator.iter().find(|migration| {
            migration.version == *version && migration.migration_type.is_up_migration()
        });
        match known {
            None => return Err(error("migrate", MigrateError::VersionMissing(*version))),
            Some(known) if known.checksum[..] != checksum[..] => {
                return Err(error("migrate", MigrateError::VersionMismatch(*version)));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// What sqlx's migrator says, in our words.
pub(super) fn error(during: &'static str, error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
            StoreError::of(during, source)
        }
        MigrateError::VersionMissing(version) => StoreError::Configuration(format!(
            "the database has version {version} of the schema, which this redspan does not know: \
             it was migrated by a newer one"
        )),
        MigrateError::VersionMismatch(version) => StoreError::Corrupt(format!(
            "version {version} of the schema was not made by this program: its migration differs \
             from the one that was applied"
        )),
        MigrateError::Dirty(version) => StoreError::Corrupt(format!(
            "version {version} of the schema is applied in part: restore the database from a backup"
        )),
        other => StoreError::Configuration(other.to_string()),
    }
}

/// The up migrations whose number is not among `applied`.
pub(super) fn pending(migrator: &Migrator, applied: &[i64]) -> Vec<i64> {
    migrator
        .iter()
        .filter(|migration| migration.migration_type.is_up_migration())
        .map(|migration| migration.version)
        .filter(|version| !applied.contains(version))
        .collect()
}
