//! What people and jobs change, as against what telemetry brings: each change is an [`Edit`], one
//! transaction on the writer's connection, written once for both databases, with its audit entries
//! inside.

mod audit;
mod errors;
mod forget;
mod groups;
mod held;
mod import;
mod lease;
mod prune;
mod purge;
mod writers;

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use sqlx::{PgConnection, Postgres, Sqlite, SqliteConnection};

pub use audit::AuditEntry;
pub(super) use audit::audit_unlinked;
pub use errors::{ChangeError, ChangeErrors, ErrorChange};
pub use forget::{
    BeginForgetting, EndForgetting, ForgetInAudit, ForgetInErrors, ForgetInGroups,
    ForgetInPipelines, ForgetInResolutions, ForgetInTraces, ForgetUser, Forgotten,
};
pub use groups::{ChangeGroup, GroupChange};
pub use import::{ImportStep, NoteImport};
pub use lease::{GiveLeaseBack, TakeLease};
pub use prune::{Prunable, Prune, PruneRegistry, PrunedPage, Registry};
pub use purge::{PurgeErrors, Purged};
pub use writers::PruneWriters;

use super::{Dialect, InvalidField, RepositoryError, WriteError, imported, reader::Statement};
use crate::domain::{Endings, ImportKey, Timestamp};

/// Rows that one edit changes at most, so that telemetry never waits long behind it.
pub const ROWS_PER_EDIT: u32 = 500;

/// A change that somebody asks for.
///
/// It is one transaction, together with edits that wait beside it, and may be applied again after a
/// collision: so it keeps nothing outside of the transaction.
pub trait Edit: fmt::Debug + Send + Sync + 'static {
    /// What whoever asked for it is told.
    type Answer: fmt::Debug + Send + 'static;

    /// Makes the change. What it has written is taken back when it ends with an error.
    fn apply<DB: Dialect>(
        &self,
        tx: &mut EditTx<'_, DB>,
    ) -> impl Future<Output = Result<Self::Answer, EditError>> + Send;

    /// About how many rows it writes, at most [`ROWS_PER_EDIT`].
    fn rows(&self) -> usize {
        1
    }

    /// About how many bytes it holds.
    fn memory_bytes(&self) -> usize {
        1_024
    }
}

/// Why an edit was not made.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// It cannot be made as things are.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}

/// An edit that does not fit what is stored. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub InvalidField);

impl Refusal {
    /// Names the field, its value and what to do.
    pub fn new(field: &'static str, value: impl Into<String>, advice: impl Into<String>) -> Self {
        Self(InvalidField {
            field: field.into(),
            value: value.into(),
            advice: advice.into(),
        })
    }
}

/// The transaction of an edit.
pub struct EditTx<'c, DB: Dialect> {
    connection: &'c mut DB::Connection,
    /// When it is made.
    pub now: Timestamp,
    /// Who asked for it.
    pub actor: &'c str,
    /// What of it is counted for good. Kept only if the edit is.
    pub endings: Endings,
}

impl<'c, DB: Dialect> EditTx<'c, DB> {
    /// What somebody changes in a transaction that is open already.
    pub(super) fn of(connection: &'c mut DB::Connection, actor: &'c str, now: Timestamp) -> Self {
        Self {
            connection,
            now,
            actor,
            endings: Endings::default(),
        }
    }

    /// Every row of the answer, made into something by `read`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn all<T: Send>(
        &mut self,
        statement: Statement<DB>,
        read: impl Fn(&DB::Row) -> Result<T, sqlx::Error> + Send + Sync,
    ) -> Result<Vec<T>, sqlx::Error> {
        statement.all(self.connection, read).await
    }

    /// The first row of the answer.
    ///
    /// # Errors
    /// What the database says.
    pub async fn first<T: Send>(
        &mut self,
        statement: Statement<DB>,
        read: impl Fn(&DB::Row) -> Result<T, sqlx::Error> + Send + Sync,
    ) -> Result<Option<T>, sqlx::Error> {
        Ok(self.all(statement, read).await?.into_iter().next())
    }

    /// Remembers what is taken over from another ledger (sorted, no duplicates); returns what of it
    /// is new, in no order.
    ///
    /// # Errors
    /// What the database says.
    pub async fn take_over(&mut self, keys: &[ImportKey]) -> Result<Vec<ImportKey>, sqlx::Error> {
        imported::take_over::<DB>(self.connection, keys).await
    }

    /// Changes rows; returns how many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn execute(&mut self, statement: Statement<DB>) -> Result<u64, sqlx::Error> {
        statement.execute(self.connection).await
    }
}

/// The way of edits: to the one writer, and back when they are committed.
#[async_trait]
pub trait Editor: Send + Sync + 'static {
    /// Commits the edit, or takes it back when it is refused; either way its answer is left in it.
    async fn edit(&self, edit: Arc<dyn AnyEdit>) -> Result<(), WriteError>;
}

impl dyn Editor {
    /// Has an edit made that `actor` asks for.
    ///
    /// # Errors
    /// [`RepositoryError::Refused`] when it does not fit what is stored; a
    /// [`WriteError::TryAgain`] leaves open whether it was made.
    pub async fn order<E: Edit>(&self, actor: &str, edit: E) -> Result<E::Answer, RepositoryError> {
        let order = Arc::new(Order::new(actor, edit));
        self.edit(Arc::clone(&order) as Arc<dyn AnyEdit>).await?;
        let answer = order
            .take_answer()
            .ok_or_else(|| WriteError::TryAgain("the writer left no answer".to_owned()))?;
        Ok(answer?)
    }
}

/// What became of an edit in its transaction: what is counted of it for good, or `None` when it was
/// refused and is to be taken back.
pub type Made = Option<Endings>;

/// An edit on its way to whatever database there is.
pub trait AnyEdit: fmt::Debug + Send + Sync {
    /// Applies it inside a transaction.
    fn on_sqlite<'a>(
        &'a self,
        connection: &'a mut SqliteConnection,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Made, sqlx::Error>>;

    /// Applies it inside a transaction.
    fn on_postgres<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Made, sqlx::Error>>;

    /// See [`Edit::rows`].
    fn rows(&self) -> usize;

    /// See [`Edit::memory_bytes`].
    fn memory_bytes(&self) -> usize;
}

/// An edit with the name of whoever asks for it, and the place where its answer is left.
#[derive(Debug)]
pub struct Order<E: Edit> {
    actor: String,
    edit: E,
    /// Of the last attempt.
    answer: Mutex<Option<Result<E::Answer, Refusal>>>,
}

impl<E: Edit> Order<E> {
    /// An edit that `actor` asks for.
    #[must_use]
    pub fn new(actor: &str, edit: E) -> Self {
        Self {
            actor: actor.to_owned(),
            edit,
            answer: Mutex::new(None),
        }
    }

    /// The answer, once, after its transaction was committed.
    #[must_use]
    pub fn take_answer(&self) -> Option<Result<E::Answer, Refusal>> {
        self.answer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    async fn apply<DB: Dialect>(
        &self,
        connection: &mut DB::Connection,
        now: Timestamp,
    ) -> Result<Made, sqlx::Error> {
        let mut tx = EditTx::of(connection, &self.actor, now);
        let answer = match self.edit.apply::<DB>(&mut tx).await {
            Ok(answer) => Ok(answer),
            Err(EditError::Refused(refusal)) => Err(refusal),
            Err(EditError::Sql(error)) => return Err(error),
        };
        let made = answer.is_ok().then_some(tx.endings);
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        Ok(made)
    }
}

impl<E: Edit> AnyEdit for Order<E> {
    fn on_sqlite<'a>(
        &'a self,
        connection: &'a mut SqliteConnection,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Made, sqlx::Error>> {
        Box::pin(self.apply::<Sqlite>(connection, now))
    }

    fn on_postgres<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Made, sqlx::Error>> {
        Box::pin(self.apply::<Postgres>(connection, now))
    }

    fn rows(&self) -> usize {
        self.edit.rows()
    }

    fn memory_bytes(&self) -> usize {
        self.edit.memory_bytes()
    }
}
