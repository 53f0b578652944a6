//! Forgetting a user: many transactions of few rows, with telemetry between them. That it was asked
//! for is noted first and crossed out last, so that it is done whatever becomes of this process.

use crate::{
    domain::Timestamp,
    store::{
        as_stored,
        edit::{
            BeginForgetting, Edit, EndForgetting, ForgetInAudit, ForgetInErrors, ForgetInGroups,
            ForgetInPipelines, ForgetInResolutions, ForgetInTraces, ForgetUser, Forgotten,
            ROWS_PER_EDIT,
        },
    },
};

use super::{ApiErrorRepository, RepositoryError};

impl ApiErrorRepository {
    /// Forgets a user: empties what names them on their errors, as whoever resolved errors and
    /// groups, in the memory of traces and in the audit log, deletes their pipelines, then the user.
    /// Counts stay. `None` when there is no such user. What a failure leaves undone is done when it
    /// is asked again, or by [`Self::forget_the_rest`].
    ///
    /// # Errors
    /// When it cannot be done now.
    pub async fn forget_user(&self, user_id: &str) -> Result<Option<Forgotten>, RepositoryError> {
        // As it was stored.
        let user_id = &*as_stored(user_id);
        let user = || user_id.to_owned();
        self.order(BeginForgetting { user_id: user() }).await?;
        let errors = self
            .until_none_is_left(|| ForgetInErrors { user_id: user() })
            .await?;
        let pipelines = self
            .until_none_is_left(|| ForgetInPipelines { user_id: user() })
            .await?;
        self.forget_in_resolutions(user_id).await?;
        self.until_none_is_left(|| ForgetInGroups { user_id: user() })
            .await?;
        self.forget_in_traces(user_id).await?;
        self.forget_in_audit(user_id).await?;
        let forgotten = self.order(ForgetUser { user_id: user() }).await?;
        // What came meanwhile.
        self.forget_in_traces(user_id).await?;
        self.order(EndForgetting { user_id: user() }).await?;
        Ok(forgotten.map(|last| Forgotten {
            errors: last.errors + errors,
            pipelines: last.pipelines + pipelines,
        }))
    }

    /// Does what is left to do of users whom somebody asked to forget before the instant, in the
    /// name of who asked; returns how many users that were.
    ///
    /// # Errors
    /// When it cannot be done now.
    pub async fn forget_the_rest(&self, asked_before: Timestamp) -> Result<u64, RepositoryError> {
        let users = self.reader.users_to_forget(asked_before).await?;
        for user in &users {
            let repository = self.acting_as(user.actor.as_str());
            repository.forget_user(&user.id).await?;
        }
        Ok(users.len() as u64)
    }

    /// Has edits made that answer how many rows they changed, until one finds few.
    async fn until_none_is_left<E: Edit<Answer = u64>>(
        &self,
        edit: impl Fn() -> E,
    ) -> Result<u64, RepositoryError> {
        let mut changed = 0;
        loop {
            let some = self.order(edit()).await?;
            changed += some;
            if some < u64::from(ROWS_PER_EDIT) {
                return Ok(changed);
            }
        }
    }

    async fn forget_in_resolutions(&self, user_id: &str) -> Result<(), RepositoryError> {
        let mut after = None;
        loop {
            let errors = self
                .reader
                .errors_resolved_by(user_id, after, ROWS_PER_EDIT)
                .await?;
            let Some(last) = errors.last() else {
                return Ok(());
            };
            after = Some(*last);
            let user_id = user_id.to_owned();
            self.order(ForgetInResolutions { user_id, errors }).await?;
        }
    }

    async fn forget_in_traces(&self, user_id: &str) -> Result<(), RepositoryError> {
        let mut after = None;
        loop {
            let traces = self
                .reader
                .traces_holding(user_id, after, ROWS_PER_EDIT)
                .await?;
            let Some(last) = traces.last() else {
                return Ok(());
            };
            after = Some(*last);
            let user_id = user_id.to_owned();
            self.order(ForgetInTraces { user_id, traces }).await?;
        }
    }

    async fn forget_in_audit(&self, user_id: &str) -> Result<(), RepositoryError> {
        let mut after = None;
        loop {
            let entries = self
                .reader
                .audit_holding(user_id, after, ROWS_PER_EDIT)
                .await?;
            let Some(last) = entries.last() else {
                return Ok(());
            };
            after = Some(*last);
            let user_id = user_id.to_owned();
            self.order(ForgetInAudit { user_id, entries }).await?;
        }
    }
}
