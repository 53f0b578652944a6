//! What can go wrong at the database, cut by what the caller can do.

/// A failed store operation.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Out of reach, busy, failing over, read-only, out of space: try again later.
    #[error("the database cannot serve now ({during}): {source}")]
    Unavailable {
        /// What was being done.
        during: &'static str,
        /// The driver's word.
        #[source]
        source: sqlx::Error,
        /// The connection is lost; take a new one.
        connection_lost: bool,
    },
    /// Deadlock or serialization failure: the same transaction may succeed at once.
    #[error("the transaction collided with another ({during}): {source}")]
    Collision {
        /// What was being done.
        during: &'static str,
        /// The driver's word.
        #[source]
        source: sqlx::Error,
    },
    /// The answer to COMMIT was lost: committed or not, only the ledger knows.
    #[error("the outcome of COMMIT is unknown: {source}")]
    UnknownOutcome {
        /// The driver's word.
        #[source]
        source: sqlx::Error,
    },
    /// The database refuses a value (SQLSTATE class 22, 23, 54; SQLite constraint or size): the rest can go on.
    #[error("the database refuses a value ({during}): {source}")]
    Refused {
        /// What was being done.
        during: &'static str,
        /// The driver's word.
        #[source]
        source: sqlx::Error,
        /// A foreign key was missing: register users and assets again.
        foreign_key: bool,
    },
    /// The SQLite file or its disk failed. Never go on with a handle that saw this: exit 70.
    #[error("the database file failed ({during}): {source}")]
    Broken {
        /// What was being done.
        during: &'static str,
        /// The driver's word.
        #[source]
        source: sqlx::Error,
    },
    /// The content is not what this program wrote, or damaged: exit 65.
    #[error("{0}")]
    Corrupt(String),
    /// Another process serves this SQLite file: exit 73.
    #[error("{0}")]
    InUse(String),
    /// The setting cannot work: exit 64.
    #[error("{0}")]
    Configuration(String),
}
