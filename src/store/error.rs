//! What can go wrong at the database, cut by what the caller can do.

use std::io;

use sqlx::sqlite::SqliteError;

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

impl StoreError {
    /// What an error of a driver means for the caller.
    pub(super) fn of(during: &'static str, source: sqlx::Error) -> Self {
        let Some(database) = source.as_database_error() else {
            return Self::of_driver(during, source);
        };
        let code = database.code().unwrap_or_default().into_owned();
        if database.try_downcast_ref::<SqliteError>().is_some() {
            Self::of_sqlite(during, source, code.parse().unwrap_or(0))
        } else {
            Self::of_postgres(during, source, &code)
        }
    }

    /// What an error of COMMIT means: nearly always that nobody knows.
    pub(super) fn of_commit(source: sqlx::Error) -> Self {
        match Self::of("commit", source) {
            error @ (Self::Collision { .. } | Self::Broken { .. }) => error,
            Self::Unavailable { source, .. } | Self::Refused { source, .. } => {
                Self::UnknownOutcome { source }
            }
            error => Self::UnknownOutcome {
                source: sqlx::Error::Protocol(error.to_string()),
            },
        }
    }

    /// The database gave no answer in time.
    pub(super) fn no_answer(during: &'static str) -> Self {
        Self::Unavailable {
            during,
            source: sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")),
            connection_lost: true,
        }
    }

    /// The connection was given up after an earlier error.
    pub(super) fn given_up(during: &'static str) -> Self {
        Self::Unavailable {
            during,
            source: sqlx::Error::Io(io::Error::new(
                io::ErrorKind::NotConnected,
                "this connection was lost before",
            )),
            connection_lost: true,
        }
    }

    /// Whether the connection is of no use any more.
    pub(crate) fn lost_connection(&self) -> bool {
        matches!(
            self,
            Self::Unavailable {
                connection_lost: true,
                ..
            } | Self::UnknownOutcome { .. }
                | Self::Broken { .. }
        )
    }

    fn of_driver(during: &'static str, source: sqlx::Error) -> Self {
        match source {
            sqlx::Error::Configuration(source) => Self::Configuration(source.to_string()),
            sqlx::Error::Encode(_) => Self::Refused {
                during,
                source,
                foreign_key: false,
            },
            sqlx::Error::Decode(_)
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::TypeNotFound { .. }
            | sqlx::Error::RowNotFound => Self::Corrupt(format!(
                "the database holds what cannot be ({during}): {source}"
            )),
            _ => Self::Unavailable {
                during,
                connection_lost: !matches!(source, sqlx::Error::PoolTimedOut),
                source,
            },
        }
    }

    /// By the extended result code (<https://www.sqlite.org/rescode.html>).
    fn of_sqlite(during: &'static str, source: sqlx::Error, code: i32) -> Self {
        const BUSY_SNAPSHOT: i32 = 517;
        const CONSTRAINT_FOREIGNKEY: i32 = 787;
        // Errors of the disk's kind that leave the file as it was: no memory, no lock, no room
        // to grow the shared memory file.
        const IOERR_NOMEM: i32 = 3082;
        const IOERR_LOCK: i32 = 3850;
        const IOERR_SHMSIZE: i32 = 4874;
        match (code & 0xff, code) {
            (_, BUSY_SNAPSHOT) => Self::Collision { during, source },
            (_, IOERR_NOMEM | IOERR_LOCK | IOERR_SHMSIZE) => Self::Unavailable {
                during,
                source,
                connection_lost: false,
            },
            // IOERR, CORRUPT, NOTADB.
            (10 | 11 | 26, _) => Self::Broken { during, source },
            // TOOBIG, CONSTRAINT, MISMATCH, RANGE.
            (18..=20 | 25, _) => Self::Refused {
                during,
                source,
                foreign_key: code == CONSTRAINT_FOREIGNKEY,
            },
            // BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, FULL, CANTOPEN and what has no business here.
            (primary, _) => Self::Unavailable {
                during,
                source,
                connection_lost: primary == 14,
            },
        }
    }

    /// By SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
    fn of_postgres(during: &'static str, source: sqlx::Error, code: &str) -> Self {
        const FOREIGN_KEY_VIOLATION: &str = "23503";
        /// Somebody else stored the same a moment ago: the next look will see it.
        const UNIQUE_VIOLATION: &str = "23505";
        match code.get(..2).unwrap_or_default() {
            "40" => Self::Collision { during, source },
            "23" if code == UNIQUE_VIOLATION => Self::Collision { during, source },
            "22" | "23" | "54" => Self::Refused {
                during,
                source,
                foreign_key: code == FOREIGN_KEY_VIOLATION,
            },
            // Connection, authorization, database; shutdown and too many connections beside them.
            class => Self::Unavailable {
                during,
                source,
                connection_lost: matches!(class, "08" | "28" | "3D" | "58" | "XX")
                    || code.starts_with("57P")
                    || code == "53300"
                    || code == "25006",
            },
        }
    }
}

/// Says what was being done when a driver failed.
pub(super) trait During<T> {
    /// See [`StoreError::of`].
    fn during(self, during: &'static str) -> Result<T, StoreError>;
}

impl<T> During<T> for Result<T, sqlx::Error> {
    fn during(self, during: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::of(during, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postgres(code: &'static str) -> StoreError {
        StoreError::of_postgres("a test", sqlx::Error::Protocol(code.to_owned()), code)
    }

    fn sqlite(code: i32) -> StoreError {
        StoreError::of_sqlite("a test", sqlx::Error::Protocol(code.to_string()), code)
    }

    #[test]
    fn a_sqlstate_says_whether_to_wait_to_retry_or_to_refuse() {
        for code in ["40001", "40P01"] {
            assert!(matches!(postgres(code), StoreError::Collision { .. }));
        }
        for (code, is_foreign_key) in [
            ("22001", false),
            ("22P05", false),
            ("23514", false),
            ("23503", true),
            ("54000", false),
        ] {
            assert!(
                matches!(postgres(code), StoreError::Refused { foreign_key, .. } if foreign_key == is_foreign_key)
            );
        }
        for (code, is_lost) in [
            ("08006", true),
            ("57P01", true),
            ("57P03", true),
            ("57014", false),
            ("53100", false),
            ("53300", true),
            ("25006", true),
            ("55P03", false),
            ("42P01", false),
        ] {
            assert!(
                matches!(postgres(code), StoreError::Unavailable { connection_lost, .. } if connection_lost == is_lost),
                "{code}"
            );
        }
    }

    #[test]
    fn a_sqlite_code_says_whether_the_file_can_still_be_trusted() {
        for code in [10, 1034, 266, 11, 779, 26] {
            assert!(matches!(sqlite(code), StoreError::Broken { .. }), "{code}");
        }
        for code in [5, 6, 7, 8, 9, 13, 1, 4874] {
            assert!(
                matches!(
                    sqlite(code),
                    StoreError::Unavailable {
                        connection_lost: false,
                        ..
                    }
                ),
                "{code}"
            );
        }
        assert!(matches!(sqlite(517), StoreError::Collision { .. }));
        assert!(matches!(
            sqlite(275),
            StoreError::Refused {
                foreign_key: false,
                ..
            }
        ));
        assert!(matches!(
            sqlite(787),
            StoreError::Refused {
                foreign_key: true,
                ..
            }
        ));
    }

    #[test]
    fn a_failed_commit_is_known_only_when_the_database_says_that_it_collided() {
        let lost = sqlx::Error::Io(io::Error::from(io::ErrorKind::ConnectionReset));
        assert!(matches!(
            StoreError::of_commit(lost),
            StoreError::UnknownOutcome { .. }
        ));
    }
}
