//! What spans say of runs comes into their rows, in the transaction of the spans.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    domain::{PipelineId, PipelineWithStages, RunFacts, SeenRun},
    store::{
        Dialect,
        edit::{Edit, EditError, EditTx},
    },
};

use super::{
    failures::find_rows,
    held::{hold_with_stages, store_seen},
    rows::{NewRun, insert_pipelines, insert_stages, register_assets, write},
};

/// Runs, and assets, that are looked at at once.
const AT_ONCE: usize = 200;

/// Puts what spans say together with what is stored of their runs. The users whom they name are
/// registered.
#[derive(Debug)]
pub struct MergeRuns(pub BTreeMap<PipelineId, RunFacts>);

impl Edit for MergeRuns {
    type Answer = ();

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<(), EditError> {
        let assets = self.0.values().filter_map(|facts| facts.asset_id.as_ref());
        let assets: BTreeSet<&str> = assets.map(|said| &*said.value).collect();
        for assets in assets.into_iter().collect::<Vec<_>>().chunks(AT_ONCE) {
            register_assets(tx, assets.iter().copied()).await?;
        }
        let runs: Vec<_> = self.0.iter().collect();
        for runs in runs.chunks(AT_ONCE) {
            let ids: Vec<&PipelineId> = runs.iter().map(|(id, _)| *id).collect();
            let mut facts: Vec<RunFacts> = runs.iter().map(|(_, it)| (*it).clone()).collect();
            find_rows(tx, &mut facts).await?;
            merge(tx, ids.into_iter().zip(facts).collect()).await?;
        }
        Ok(())
    }

    fn rows(&self) -> usize {
        self.0.values().map(|facts| 1 + facts.stages.len()).sum()
    }

    fn memory_bytes(&self) -> usize {
        self.0.values().map(RunFacts::memory_bytes).sum()
    }
}

/// Inserts the runs that are not there, and changes the others.
async fn merge<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    mut runs: BTreeMap<&PipelineId, RunFacts>,
) -> Result<(), sqlx::Error> {
    change(tx, &mut runs).await?;
    if runs.is_empty() {
        return Ok(());
    }
    insert(tx, &mut runs).await?;
    // Another replica has inserted what is left now, and committed it.
    change(tx, &mut runs).await
}

/// Changes those of the runs that are there, and takes them out.
async fn change<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    runs: &mut BTreeMap<&PipelineId, RunFacts>,
) -> Result<(), sqlx::Error> {
    let ids: Vec<&PipelineId> = runs.keys().copied().collect();
    let mut stored = hold_with_stages(tx, &ids).await?;
    for id in ids {
        let Some((before, seen)) = stored.remove(id) else {
            continue;
        };
        let mut seen = seen.unwrap_or_else(|| SeenRun::written(&before));
        let facts = runs.remove(id).unwrap_or_default();
        if seen.merge(facts) {
            let mut after = before.clone();
            seen.bring_up_to_date(&mut after, tx.now);
            write(tx, &before, &after).await?;
            store_seen(tx, id, &seen).await?;
        }
    }
    Ok(())
}

/// Inserts runs, and takes out those that were not there.
async fn insert<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    runs: &mut BTreeMap<&PipelineId, RunFacts>,
) -> Result<(), sqlx::Error> {
    let new = runs.iter().map(|(id, facts)| {
        let mut seen = SeenRun::default();
        seen.merge(facts.clone());
        (seen.rows(id, tx.now), seen)
    });
    let new: Vec<(PipelineWithStages, SeenRun)> = new.collect();
    let rows = new.iter().map(|(rows, seen)| NewRun {
        run: &rows.pipeline,
        seen: Some(seen),
    });
    // Whoever inserts the same run at the same time is waited for.
    let inserted = insert_pipelines(tx, rows).await?;
    let rows = new.iter().map(|(rows, _)| rows);
    let rows = rows.filter(|rows| inserted.contains(&rows.pipeline.id));
    for rows in rows.clone() {
        tx.endings.new_run(rows);
    }
    let stages = rows.flat_map(|rows| &rows.stages);
    for stages in stages.collect::<Vec<_>>().chunks(AT_ONCE) {
        insert_stages(tx, stages).await?;
    }
    runs.retain(|id, _| !inserted.contains(*id));
    Ok(())
}
