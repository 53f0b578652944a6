//! [`RunFigures`], each from an index that holds nothing else.

use crate::{
    domain::{PipelineStatus, Timestamp},
    store::{RunFigures, RunStatistics, StoreError, pipelines::WINDOWS},
};

use super::{
    SqlReader,
    dialect::{Dialect, Limit},
    end,
    statement::Statement,
};

impl<DB: Dialect> SqlReader<DB> {
    /// See [`crate::store::PipelineReader::get_run_figures`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn get_run_figures(&self, now: Timestamp) -> Result<RunFigures, StoreError> {
        const DURING: &str = "reading figures over runs";
        let failed = |error| StoreError::of(DURING, error);
        let mut figures = RunFigures::default();
        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;

        let statement = Statement::<DB>::new(
            "SELECT CAST(status AS TEXT) AS status, COUNT(*) AS runs FROM generation_pipelines \
             WHERE deleted_at IS NULL GROUP BY generation_pipelines.status",
        );
        let count = statement.for_each(&mut snapshot, |row| {
            let status: PipelineStatus = DB::get(&row, "status")?;
            figures.by_status.insert(status, DB::get(&row, "runs")?);
            Ok(())
        });
        count.await.map_err(failed)?;

        let since = WINDOWS.map(|(_, seconds)| now.plus_seconds(-seconds));
        let [hour, day, week] = since;
        let mut statement = Statement::<DB>::new(
            "SELECT CAST(status AS TEXT) AS status, COUNT(*) AS week, \
             COUNT(CASE WHEN completed_at >= ",
        );
        statement
            .bind(day)
            .with(
                " THEN 1 END) AS day, COUNT(CASE WHEN completed_at >= ",
                hour,
            )
            .with(
                " THEN 1 END) AS hour FROM generation_pipelines WHERE deleted_at IS NULL \
                 AND status IN ('completed', 'failed') AND completed_at >= ",
                week,
            )
            .push(" GROUP BY generation_pipelines.status");
        let count = statement.for_each(&mut snapshot, |row| {
            let status: PipelineStatus = DB::get(&row, "status")?;
            for (ended, window) in figures.ended.iter_mut().zip(["hour", "day", "week"]) {
                let runs = DB::get(&row, window)?;
                match status {
                    PipelineStatus::Completed => ended.completed = runs,
                    _ => ended.failed = runs,
                }
            }
            Ok(())
        });
        count.await.map_err(failed)?;

        let mut statement = Statement::<DB>::new(
            "SELECT COUNT(*) AS runs FROM generation_pipelines WHERE deleted_at IS NULL \
             AND status IN ('initializing', 'processing') AND updated_at < ",
        );
        statement.bind(RunStatistics::stuck_since(now));
        let count = statement.for_each(&mut snapshot, |row| {
            figures.stuck = DB::get(&row, "runs")?;
            Ok(())
        });
        count.await.map_err(failed)?;
        end(snapshot).await;
        Ok(figures)
    }
}
