//! Connecting, and what is checked of a server and of each connection.

use std::{future::Future, str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, Connection, Executor, PgConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{
    Access, PostgresStore, Use, migrate,
    reach::{advice, is_wrong_setting, with_place},
};
use crate::store::{
    DatabaseSettings, SqlReader, StoreError,
    connect::{USER_KEY, new_user_key, parse_user_key},
    error::During,
    migrate::{POSTGRES, check},
};

/// PostgreSQL 14.
const OLDEST_SERVER: i32 = 140_000;

/// How a connection finds the server that it reaches.
#[derive(sqlx::FromRow)]
struct Surroundings {
    schema: Option<String>,
    version: i32,
    synchronous_commit: String,
    encoding: String,
    read_only: bool,
}

impl Access {
    pub(super) fn of(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        if !is_plain_name(&settings.schema) {
            return Err(StoreError::Configuration(format!(
                "the schema name {:?} is not made of lower-case letters, digits and _ alone",
                settings.schema
            )));
        }
        let options = PgConnectOptions::from_str(&settings.url)
            .map_err(|error| {
                StoreError::Configuration(format!("the database URL cannot be read: {error}"))
            })?
            .disable_statement_logging();
        let options = match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("redspan"),
        };
        Ok(Self {
            options,
            schema: settings.schema.clone(),
            pooler: settings.pooler,
            connect_timeout: settings.connect_timeout,
            statement_timeout: settings.statement_timeout,
        })
    }

    /// Options of connections that work under time limits.
    fn limited(&self) -> PgConnectOptions {
        if self.pooler {
            // A pooler in transaction mode refuses settings of the session; the time limit is
            // set in each transaction instead.
            self.options.clone().extra_float_digits(None)
        } else {
            self.options.clone().options([
                (
                    "statement_timeout",
                    self.statement_timeout.as_millis().to_string(),
                ),
                // A host that vanished must not hold locks.
                ("idle_in_transaction_session_timeout", "30000".to_owned()),
                ("tcp_keepalives_idle", "30".to_owned()),
                ("tcp_keepalives_interval", "10".to_owned()),
                ("tcp_keepalives_count", "3".to_owned()),
            ])
        }
    }

    /// A connection that works under time limits, to the right place.
    pub(super) async fn connect(&self) -> Result<PgConnection, StoreError> {
        let mut connection = self.establish(&self.limited()).await?;
        within(
            self.connect_timeout,
            "connect",
            check_connection(&mut connection, &self.schema),
        )
        .await?;
        Ok(connection)
    }

    /// A connection without time limits for statements, wherever it leads.
    pub(super) async fn connect_unlimited(&self) -> Result<PgConnection, StoreError> {
        let options = if self.pooler {
            self.options.clone().extra_float_digits(None)
        } else {
            self.options.clone()
        };
        self.establish(&options).await
    }

    async fn establish(&self, options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
        within(
            self.connect_timeout,
            "connect",
            PgConnection::connect_with(options),
        )
        .await
        .map_err(|error| match error {
            StoreError::Unavailable {
                during,
                source,
                connection_lost,
            } => StoreError::Unavailable {
                during,
                source: with_place(source, options),
                connection_lost,
            },
            error => error,
        })
    }
}

impl PostgresStore {
    /// Opens the schema; creates it when that is asked for.
    pub(in crate::store) async fn open(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        let opened = async {
            let access = Access::of(settings)?;
            if settings.migrate {
                migrate::run_up(&access).await?;
            }
            let mut connection = connect_checked(&access).await?;
            make_user_key(&mut connection)
                .await
                .during("make the user key")?;
            let user_key = read_user_key(&mut connection).await?.ok_or_else(|| {
                StoreError::Corrupt(format!("the setting {USER_KEY} has gone from the database"))
            })?;
            Self::on(settings, access, connection, user_key, Use::Serving).await
        };
        opened.await.map_err(at_open)
    }

    /// Opens a schema that is there for reading only, and changes nothing in it.
    pub(in crate::store) async fn open_reader(
        settings: &DatabaseSettings,
    ) -> Result<Self, StoreError> {
        let opened = async {
            let access = Access::of(settings)?;
            let mut connection = connect_checked(&access).await?;
            // Migrated, but never served: nobody is counted yet.
            let user_key = read_user_key(&mut connection).await?.unwrap_or_default();
            Self::on(settings, access, connection, user_key, Use::Reading).await
        };
        opened.await.map_err(at_open)
    }

    async fn on(
        settings: &DatabaseSettings,
        access: Access,
        connection: PgConnection,
        user_key: [u8; 16],
        purpose: Use,
    ) -> Result<Self, StoreError> {
        let readers = readers(&access, settings.connections).await?;
        connection.close().await.during("connect")?;
        Ok(Self {
            place: settings.url.clone(),
            access,
            purpose,
            reader: SqlReader::new(readers.clone()),
            readers,
            user_key,
        })
    }
}

/// A connection to a schema of this version.
async fn connect_checked(access: &Access) -> Result<PgConnection, StoreError> {
    let mut connection = access.connect().await?;
    let applied = migrate::applied_versions(&mut connection).await?;
    check(&POSTGRES, &applied)?;
    Ok(connection)
}

async fn readers(access: &Access, connections: u32) -> Result<sqlx::PgPool, StoreError> {
    let schema = access.schema.clone();
    PgPoolOptions::new()
        .max_connections(connections.max(1))
        .acquire_timeout(access.connect_timeout)
        .after_connect(move |connection, _| {
            let schema = schema.clone();
            Box::pin(async move { check_connection(connection, &schema).await })
        })
        .connect_with(access.limited())
        .await
        .during("connect")
}

/// Whether the connection leads to our schema on a server that keeps what it acknowledges.
async fn check_connection(connection: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    let surroundings = surroundings(connection).await?;
    surroundings.check_server()?;
    match surroundings.schema.as_deref() {
        Some(current) if current == schema => Ok(()),
        _ if !is_there(connection, schema).await? => Err(refused(format!(
            "the database has no schema {schema} yet: run `redspan migrate up`, which makes it"
        ))),
        current => Err(refused(format!(
            "connections lead to the schema {:?} and not to {schema:?}: run `redspan migrate up`, \
             and make a pooler forget its connections; one role serves one ledger",
            current.unwrap_or("none")
        ))),
    }
}

/// Whether the database has the schema, wherever the connection leads.
async fn is_there(connection: &mut PgConnection, schema: &str) -> Result<bool, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let is_there = sqlx::query_scalar("SELECT to_regnamespace($1) IS NOT NULL")
        .bind(schema)
        .persistent(false)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(is_there)
}

/// Where the connection leads, whatever schema that is.
pub(super) async fn current_schema(
    connection: &mut PgConnection,
) -> Result<Option<String>, StoreError> {
    let surroundings = surroundings(connection).await.during("connect")?;
    surroundings
        .check_server()
        .map_err(|source| StoreError::of("connect", source))?;
    Ok(surroundings.schema)
}

async fn surroundings(connection: &mut PgConnection) -> Result<Surroundings, sqlx::Error> {
    const SQL: &str = "SELECT current_schema()::text AS schema, \
        current_setting('server_version_num')::int AS version, \
        current_setting('synchronous_commit') AS synchronous_commit, \
        current_setting('server_encoding') AS encoding, \
        pg_is_in_recovery() AS read_only";
    let mut transaction = connection.begin().await?;
    let surroundings = sqlx::query_as(SQL)
        .persistent(false)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(surroundings)
}

impl Surroundings {
    fn check_server(&self) -> Result<(), sqlx::Error> {
        if self.version < OLDEST_SERVER {
            return Err(refused(format!(
                "the server is PostgreSQL {}; redspan needs 14 or newer",
                self.version / 10_000
            )));
        }
        if self.encoding != "UTF8" {
            return Err(refused(format!(
                "the database is encoded in {}; redspan needs UTF8",
                self.encoding
            )));
        }
        if !matches!(self.synchronous_commit.as_str(), "on" | "remote_apply") {
            return Err(refused(format!(
                "synchronous_commit is {} for this role and database: acknowledged data could be \
                 lost; set it to on",
                self.synchronous_commit
            )));
        }
        if self.read_only {
            // A standby: for the time being, or because the setting names the wrong server.
            return Err(sqlx::Error::Io(std::io::Error::new(
                std::io::ErrorKind::ReadOnlyFilesystem,
                "the server is a standby and takes no changes",
            )));
        }
        Ok(())
    }
}

fn refused(sentence: String) -> sqlx::Error {
    sqlx::Error::Configuration(sentence.into())
}

async fn make_user_key(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    const SQL: &str =
        "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    let mut transaction = connection.begin().await?;
    sqlx::query(SQL)
        .bind(USER_KEY)
        .bind(new_user_key())
        .persistent(false)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

async fn read_user_key(connection: &mut PgConnection) -> Result<Option<[u8; 16]>, StoreError> {
    const SQL: &str = "SELECT value FROM settings WHERE name = $1";
    let read = async {
        let mut transaction = connection.begin().await?;
        let key: Option<String> = sqlx::query_scalar(SQL)
            .bind(USER_KEY)
            .persistent(false)
            .fetch_optional(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok::<_, sqlx::Error>(key)
    };
    let key = read.await.during("read the user key")?;
    key.as_deref().map(parse_user_key).transpose()
}

/// Runs something that must answer in time.
pub(super) async fn within<T>(
    limit: Duration,
    during: &'static str,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done.during(during),
        Err(_) => Err(StoreError::no_answer(during)),
    }
}

/// Runs several statements at once, as one message.
pub(super) async fn script(
    connection: &mut PgConnection,
    sql: &'static str,
) -> Result<(), sqlx::Error> {
    connection.execute(sql).await.map(drop)
}

/// What an error means while the program starts: wrong names and passwords are settings then.
pub(super) fn at_open(error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable { during, source, .. } if is_wrong_setting(&source) => {
            StoreError::Configuration(format!(
                "the database refuses what redspan needs ({during}): {}",
                advice(&source)
            ))
        }
        error => error,
    }
}

/// A name that needs no quotes and is no other in another case.
fn is_plain_name(name: &str) -> bool {
    let mut characters = name.chars();
    name.len() <= 63
        && characters
            .next()
            .is_some_and(|first| first.is_ascii_lowercase() || first == '_')
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.starts_with("pg_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_name_needs_no_quotes() {
        for name in ["redspan", "_a1", "team_7"] {
            assert!(is_plain_name(name), "{name}");
        }
        for name in ["", "Redspan", "1a", "a-b", "a\"; DROP", "pg_catalog"] {
            assert!(!is_plain_name(name), "{name}");
        }
    }
}
