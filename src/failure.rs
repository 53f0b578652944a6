//! Why a command ends before it is done, and the exit code that says so.

use std::{io, net::SocketAddr};

use crate::{
    config::Mistakes,
    store::{RepositoryError, StoreError, WriteError},
};

/// Why a command ends before it is done.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Settings or arguments cannot work.
    #[error("{0}")]
    Configuration(#[from] Mistakes),
    /// Arguments cannot work.
    #[error("{0}")]
    Usage(String),
    /// An address cannot be listened on.
    #[error("{setting} is {address}, where nothing can be served: {source}")]
    Listen {
        /// The setting: `http.listen`.
        setting: &'static str,
        /// Its value.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Whoever should answer does not.
    #[error("{0}")]
    Unreachable(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The numbers do not add up, or are not what they should be.
    #[error("{0}")]
    Corrupt(String),
    /// A mistake of redspan's own.
    #[error("{0}")]
    Internal(String),
}

impl Failure {
    /// 64 usage or configuration, 65 data corrupt, 69 out of reach (the database, or redspan itself), 70 internal, 73 file
    /// in use (the numbers of `sysexits.h`).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Configuration(_) | Self::Usage(_) | Self::Listen { .. } => 64,
            Self::Corrupt(_) => 65,
            Self::Unreachable(_) => 69,
            Self::Io(_) | Self::Internal(_) => 70,
            Self::Store(error) => match error {
                StoreError::Configuration(_) => 64,
                StoreError::Corrupt(_) => 65,
                StoreError::Unavailable { .. }
                | StoreError::Collision { .. }
                | StoreError::UnknownOutcome { .. } => 69,
                StoreError::Refused { .. } | StoreError::Broken { .. } => 70,
                StoreError::InUse(_) => 73,
            },
        }
    }
}

impl From<RepositoryError> for Failure {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::Store(error) => error.into(),
            RepositoryError::Write(WriteError::TryAgain(_)) => Self::Unreachable(error.to_string()),
            RepositoryError::Write(WriteError::Refused(_)) => Self::Internal(error.to_string()),
            // What was given, or what it was given for.
            refused => Self::Usage(refused.to_string()),
        }
    }
}
