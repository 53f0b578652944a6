//! From the setting to an open store.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    SharedStore, StoreError,
    postgres::PostgresStore,
    sqlite::{self, SqliteStore},
};

/// The name of the user key in `settings`.
pub(super) const USER_KEY: &str = "user_key";

/// Which database, and how it is used.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseSettings {
    /// `sqlite://file`, relative to the working directory unless it begins with a third slash, or
    /// `postgres://user:password@host/database`. May hold a password: shown without it.
    pub url: String,
    /// The PostgreSQL schema that redspan keeps to.
    pub schema: String,
    /// The PostgreSQL server is reached through a pooler in transaction mode: no named statements,
    /// no settings of the session.
    pub pooler: bool,
    /// Bring the schema up to date when opening.
    pub migrate: bool,
    /// Connections to PostgreSQL for reading; the writer has one of its own.
    pub connections: u32,
    /// How long connecting to PostgreSQL may take.
    pub connect_timeout: Duration,
    /// How long a statement may take on PostgreSQL.
    pub statement_timeout: Duration,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            url: "sqlite://redspan.db".to_owned(),
            schema: "redspan".to_owned(),
            pooler: false,
            migrate: true,
            connections: 4,
            connect_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(3),
        }
    }
}

impl fmt::Debug for DatabaseSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseSettings")
            .field("url", &without_secrets(&self.url))
            .field("schema", &self.schema)
            .field("pooler", &self.pooler)
            .field("migrate", &self.migrate)
            .field("connections", &self.connections)
            .field("connect_timeout", &self.connect_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .finish()
    }
}

/// Which of the two databases a URL names.
pub(super) enum Kind<'a> {
    /// The path of the file.
    Sqlite(&'a str),
    /// A server.
    Postgres,
}

impl DatabaseSettings {
    /// Whether it is on a server, where others may use it too.
    #[must_use]
    pub fn is_server(&self) -> bool {
        matches!(self.kind(), Ok(Kind::Postgres))
    }

    /// Reads the URL's scheme.
    pub(super) fn kind(&self) -> Result<Kind<'_>, StoreError> {
        if let Some(path) = self.url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path == ":memory:" || path.contains('?') {
                return Err(StoreError::Configuration(format!(
                    "the database URL {:?} names no file; write sqlite://redspan.db or \
                     sqlite:///var/lib/redspan/redspan.db, without parameters",
                    self.url
                )));
            }
            Ok(Kind::Sqlite(path))
        } else if self.url.starts_with("postgres://") || self.url.starts_with("postgresql://") {
            Ok(Kind::Postgres)
        } else {
            Err(StoreError::Configuration(format!(
                "the database URL {:?} begins with neither sqlite:// nor postgres://",
                without_secrets(&self.url)
            )))
        }
    }
}

/// Opens the database to serve from it: creates and migrates it when that is asked for, and takes
/// the lock of an SQLite file.
///
/// # Errors
/// [`StoreError::Configuration`], [`StoreError::InUse`] and [`StoreError::Corrupt`] are sentences
/// for whoever started the program; the rest is for trying again.
pub async fn connect(settings: &DatabaseSettings) -> Result<SharedStore, StoreError> {
    Ok(match settings.kind()? {
        Kind::Sqlite(path) => Arc::new(SqliteStore::open(path, settings.migrate).await?),
        Kind::Postgres => Arc::new(PostgresStore::open(settings).await?),
    })
}

/// Opens the database for reading only, beside a server that may be using it.
///
/// # Errors
/// As [`connect`]; also when there is no database or its schema is not of this version.
pub async fn connect_reader(settings: &DatabaseSettings) -> Result<SharedStore, StoreError> {
    Ok(match settings.kind()? {
        Kind::Sqlite(path) => Arc::new(SqliteStore::open_reader(path).await?),
        Kind::Postgres => Arc::new(PostgresStore::open_reader(settings).await?),
    })
}

/// Copies an SQLite ledger to a new file, beside whoever uses it, and opens and checks the copy.
/// Returns how many bytes it has.
///
/// # Errors
/// [`StoreError::Configuration`] when the file is there already or cannot be written, and on
/// PostgreSQL, which has its own tools.
pub async fn backup(settings: &DatabaseSettings, to: &Path) -> Result<u64, StoreError> {
    match settings.kind()? {
        Kind::Sqlite(path) => sqlite::backup::backup(path, to).await,
        Kind::Postgres => Err(StoreError::Configuration(format!(
            "PostgreSQL copies its databases itself: pg_dump --format=custom --schema={} --file={} \
             and the database's URL",
            settings.schema,
            to.display()
        ))),
    }
}

/// A URL for people: without user, password and parameters.
pub(crate) fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let rest = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    format!("{scheme}://{rest}")
}

/// The answer to whoever wants to write where only reading was asked for.
pub(super) fn opened_for_reading(place: &str) -> StoreError {
    StoreError::Configuration(format!("{place} was opened for reading only"))
}

/// A new user key, in hexadecimal.
pub(super) fn new_user_key() -> String {
    // Two random UUIDs hold 244 random bits; the hash takes out the fixed ones.
    let digest = Sha256::new()
        .chain_update(Uuid::new_v4().as_bytes())
        .chain_update(Uuid::new_v4().as_bytes())
        .finalize();
    Uuid::from_slice(&digest[..16])
        .expect("half of a SHA-256 is as long as a UUID")
        .simple()
        .to_string()
}

/// The bytes of a user key as it is stored.
pub(super) fn parse_user_key(text: &str) -> Result<[u8; 16], StoreError> {
    Uuid::try_parse(text).map(Uuid::into_bytes).map_err(|_| {
        StoreError::Corrupt(format!(
            "the setting {USER_KEY} in the database is not 32 hexadecimal digits"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        assert_eq!(
            without_secrets("postgres://ada:p@ss@db:5432/errors?password=x"),
            "postgres://db:5432/errors"
        );
        assert_eq!(without_secrets("sqlite://a/b.db"), "sqlite://a/b.db");
        let settings = DatabaseSettings {
            url: "postgres://ada:secret@db/errors".to_owned(),
            ..DatabaseSettings::default()
        };
        assert!(!format!("{settings:?}").contains("secret"));
    }

    #[test]
    fn a_url_that_names_no_database_is_refused_with_a_sentence() {
        for url in [
            "",
            "mysql://db",
            "sqlite://",
            "sqlite::memory:",
            "sqlite://a.db?mode=ro",
        ] {
            let settings = DatabaseSettings {
                url: url.to_owned(),
                ..DatabaseSettings::default()
            };
            assert!(
                matches!(settings.kind(), Err(StoreError::Configuration(_))),
                "{url}"
            );
        }
    }

    #[test]
    fn each_new_user_key_is_another() {
        let (one, other) = (new_user_key(), new_user_key());
        assert_ne!(one, other);
        assert_ne!(
            parse_user_key(&one).expect("a key"),
            parse_user_key(&other).expect("a key")
        );
        assert!(parse_user_key("short").is_err());
    }
}
