//! The changes of runs and stages, each one transaction with its audit entry.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    domain::{ImportKey, Pipeline, PipelineId, PipelineWithStages, Stage, Timestamp},
    store::{
        Dialect,
        checks::json_bytes,
        edit::{AuditEntry, Edit, EditError, EditTx, ROWS_PER_EDIT, Refusal},
        reader::{
            Statement,
            pipelines::{stage, stages_of},
        },
    },
};

use super::{
    MAX_STAGES, PipelinePatch, StagePatch,
    held::{Held, hold, hold_with_stages, store_seen},
    new_pipeline::{new_stage, pipeline_sizes},
    rows::{
        NewRun, insert_pipelines, insert_stages, register_assets, register_users, store,
        store_stage, write,
    },
};

/// Larger values are told in an audit entry by their size.
const MAX_AUDITED_BYTES: usize = 1_024;

/// What becomes of a run that is to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct Created {
    /// The run as it is stored. When the id was there already: the run that was there.
    pub pipeline: PipelineWithStages,
    /// Whether it is new.
    pub is_new: bool,
}

/// Creates runs, all or none of them. One that is there already stays as it is, if it was asked to
/// do the same.
#[derive(Debug)]
pub(super) struct CreatePipelines(pub(super) Vec<PipelineWithStages>);

impl Edit for CreatePipelines {
    type Answer = Vec<Created>;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        let are_new = insert_new(tx, "create", &self.0.iter().collect::<Vec<_>>()).await?;
        for (run, _) in self.0.iter().zip(&are_new).filter(|(_, is_new)| **is_new) {
            tx.endings.new_run(run);
        }
        let answer = self.0.iter().zip(are_new);
        let mut answer: Vec<_> = answer
            .map(|(new, is_new)| Created {
                pipeline: new.clone(),
                is_new,
            })
            .collect();
        for created in answer.iter_mut().filter(|created| !created.is_new) {
            *created = find_same(tx, &created.pipeline).await?;
        }
        Ok(answer)
    }

    fn rows(&self) -> usize {
        rows(&self.0)
    }

    fn memory_bytes(&self) -> usize {
        memory_bytes(&self.0)
    }
}

/// Takes over runs that another ledger held, as they are. One that is there already stays as it is,
/// and one that was taken over before is not taken again; answers for each, in order, whether it is
/// new.
#[derive(Debug)]
pub(super) struct ImportPipelines(pub(super) Vec<PipelineWithStages>);

impl Edit for ImportPipelines {
    type Answer = Vec<bool>;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        let mut keys: Vec<ImportKey> = self.0.iter().map(import_key).collect();
        keys.sort_unstable();
        keys.dedup();
        let keys: HashSet<ImportKey> = tx.take_over(&keys).await?.into_iter().collect();
        let runs = self.0.iter().filter(|run| keys.contains(&import_key(run)));
        let runs: Vec<&PipelineWithStages> = runs.collect();
        let are_new = insert_new(tx, "import", &runs).await?;
        let new = runs.iter().zip(are_new).filter(|(_, is_new)| *is_new);
        let new: HashSet<&PipelineId> = new.map(|(run, _)| &run.pipeline.id).collect();
        let answer = self.0.iter().map(|run| new.contains(&run.pipeline.id));
        Ok(answer.collect())
    }

    fn rows(&self) -> usize {
        rows(&self.0)
    }

    fn memory_bytes(&self) -> usize {
        memory_bytes(&self.0)
    }
}

/// Inserts the runs that are not there, with their stages and an audit entry each; tells for each,
/// in order, whether it is new.
async fn insert_new<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    action: &'static str,
    new: &[&PipelineWithStages],
) -> Result<Vec<bool>, sqlx::Error> {
    let runs = || new.iter().map(|new| &new.pipeline);
    register_users(tx, runs().filter_map(|run| run.user_id.as_deref())).await?;
    register_assets(tx, runs().filter_map(|run| run.asset_id.as_deref())).await?;
    let rows = runs().map(|run| NewRun { run, seen: None });
    let mut inserted = insert_pipelines(tx, rows).await?;
    let mut are_new = Vec::with_capacity(new.len());
    let (mut stages, mut entries) = (Vec::new(), Vec::new());
    for new in new {
        // Of an id that is given twice the first is new.
        let is_new = inserted.remove(&new.pipeline.id);
        if is_new {
            stages.extend(&new.stages);
            entries.push(entry(action, &new.pipeline.id, None, audited(new)));
        }
        are_new.push(is_new);
    }
    insert_stages(tx, &stages).await?;
    tx.audit(entries).await?;
    Ok(are_new)
}

fn import_key(run: &PipelineWithStages) -> ImportKey {
    ImportKey::of_pipeline(&run.pipeline.id)
}

fn rows(runs: &[PipelineWithStages]) -> usize {
    runs.iter().map(|new| 1 + new.stages.len()).sum()
}

fn memory_bytes(runs: &[PipelineWithStages]) -> usize {
    let bytes = |new: &PipelineWithStages| {
        let sizes = pipeline_sizes(&new.pipeline);
        let texts: usize = sizes.iter().map(|(_, bytes)| bytes).sum();
        // JSON takes a few times its text.
        4 * texts + 1_024 * (1 + new.stages.len())
    };
    runs.iter().map(bytes).sum()
}

/// Changes a run; answers with the run as it is then, `None` when there is none.
#[derive(Debug)]
pub(super) struct UpdatePipeline {
    pub(super) id: PipelineId,
    /// Checked.
    pub(super) patch: PipelinePatch,
}

impl Edit for UpdatePipeline {
    type Answer = Option<Pipeline>;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        let Some(Held { run: before, seen }) = hold(tx, &self.id).await? else {
            return Ok(None);
        };
        is_not_deleted(&before)?;
        let mut after = before.clone();
        self.patch.clone().apply_to(&mut after, tx.now)?;
        if after != before {
            register_users(tx, after.user_id.as_deref()).await?;
            register_assets(tx, after.asset_id.as_deref()).await?;
            store(tx, &after).await?;
            if let Some(mut seen) = seen {
                seen.note(&before, &after);
                store_seen(tx, &self.id, &seen).await?;
            }
            tx.endings.run(Some(before.status), &after);
            let (before, after) = differences(&before, &after);
            let entry = entry("update", &self.id, Some(before), after);
            tx.audit(vec![entry]).await?;
        }
        Ok(Some(after))
    }

    fn memory_bytes(&self) -> usize {
        self.patch.memory_bytes()
    }
}

/// Changes a stage of a run, which is made if it is not there; answers with the stage as it is
/// then, `None` when there is no such run.
#[derive(Debug)]
pub(super) struct UpdateStage {
    pub(super) id: PipelineId,
    /// Checked.
    pub(super) stage_name: String,
    /// Checked.
    pub(super) patch: StagePatch,
}

impl Edit for UpdateStage {
    type Answer = Option<Stage>;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        // Holding the run keeps others from adding the same stage.
        let Some(Held { mut run, seen }) = hold(tx, &self.id).await? else {
            return Ok(None);
        };
        is_not_deleted(&run)?;
        run.updated_at = tx.now;
        let stages = tx.all(stages_of::<DB>(&self.id), stage::<DB>).await?;
        let before = stages.iter().find(|it| it.stage_name == self.stage_name);
        let mut after = match before {
            Some(before) => before.clone(),
            None => self.new_stage(&run, &stages)?,
        };
        self.patch.clone().apply_to(&mut after, tx.now)?;
        if before == Some(&after) {
            return Ok(Some(after));
        }
        match before {
            Some(_) => store_stage(tx, &after).await?,
            None => insert_stages(tx, &[&after]).await?,
        }
        tx.endings.stage(before.map(|stage| stage.status), &after);
        // A run of which a stage goes on is not silent.
        store(tx, &run).await?;
        if let Some(mut seen) = seen {
            seen.note_stage(before, &after);
            store_seen(tx, &self.id, &seen).await?;
        }
        let entry = match before {
            Some(before) => {
                let (mut before, mut after) = differences(before, &after);
                before["stageName"] = self.stage_name.clone().into();
                after["stageName"] = self.stage_name.clone().into();
                entry("update_stage", &self.id, Some(before), after)
            }
            None => entry("create_stage", &self.id, None, audited(&after)),
        };
        tx.audit(vec![entry]).await?;
        Ok(Some(after))
    }

    fn rows(&self) -> usize {
        2
    }

    fn memory_bytes(&self) -> usize {
        self.patch.memory_bytes()
    }
}

impl UpdateStage {
    fn new_stage(&self, run: &Pipeline, stages: &[Stage]) -> Result<Stage, Refusal> {
        if stages.len() >= MAX_STAGES {
            let advice = format!("the run has {MAX_STAGES} stages already: it can have no other");
            return Err(Refusal::new("stageName", &*self.stage_name, advice));
        }
        let last = stages.iter().map(|stage| stage.stage_order).max();
        let place = last.map_or(0, |last| last.saturating_add(1));
        let mut stage = new_stage(run, self.stage_name.clone(), place);
        if stages.iter().any(|other| other.id == stage.id) {
            stage.id = Uuid::now_v7().to_string();
        }
        Ok(stage)
    }
}

/// Hides a run, or shows it again; answers with the run as it is then, `None` when there is none.
#[derive(Debug)]
pub(super) struct SetDeleted {
    pub(super) id: PipelineId,
    pub(super) is_deleted: bool,
}

impl Edit for SetDeleted {
    type Answer = Option<Pipeline>;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        let Some(Held { run: before, .. }) = hold(tx, &self.id).await? else {
            return Ok(None);
        };
        if before.deleted_at.is_some() == self.is_deleted {
            return Ok(Some(before));
        }
        let after = Pipeline {
            deleted_at: self.is_deleted.then_some(tx.now),
            updated_at: tx.now,
            ..before.clone()
        };
        store(tx, &after).await?;
        let action = if self.is_deleted { "delete" } else { "restore" };
        let (before, changed) = differences(&before, &after);
        tx.audit(vec![entry(action, &self.id, Some(before), changed)])
            .await?;
        Ok(Some(after))
    }
}

/// Deletes for good some of the runs that were finished before an instant, with their stages, the
/// oldest first; answers how many. When these are fewer than [`ROWS_PER_EDIT`], no more are left.
#[derive(Debug)]
pub(super) struct PurgePipelines {
    pub(super) older_than: Timestamp,
}

impl Edit for PurgePipelines {
    type Answer = u64;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        // What was created later cannot have been finished before.
        let mut statement =
            Statement::<DB>::new("SELECT id FROM generation_pipelines WHERE created_at < ");
        statement
            .bind(self.older_than)
            .push(" AND status IN ('completed', 'failed', 'cancelled')")
            .with(
                " AND coalesce(completed_at, updated_at) < ",
                self.older_than,
            )
            .with(" ORDER BY created_at, id LIMIT ", i64::from(ROWS_PER_EDIT))
            .push(DB::FOR_UPDATE);
        let ids: Vec<PipelineId> = tx.all(statement, |row| DB::get(row, "id")).await?;
        let Some(first) = ids.first() else {
            return Ok(0);
        };
        let after = json!({"deleted": ids.len(), "olderThan": self.older_than});
        // One entry for all that are deleted at once, under the first of them.
        let entry = entry("purge", first, None, after);
        let mut statement = Statement::<DB>::new("DELETE FROM generation_pipelines WHERE id IN (");
        statement.list(ids.iter().cloned()).push(")");
        let deleted = tx.execute(statement).await?;
        tx.audit(vec![entry]).await?;
        Ok(deleted)
    }

    fn rows(&self) -> usize {
        ROWS_PER_EDIT as usize
    }
}

fn is_not_deleted(run: &Pipeline) -> Result<(), Refusal> {
    if run.deleted_at.is_none() {
        return Ok(());
    }
    Err(Refusal::new(
        "id",
        run.id.as_str(),
        "the run was deleted: restore it first",
    ))
}

/// The run that is there under the id of a new one: one that was asked to do the same, or one of which
/// only spans spoke so far, which becomes the new one.
async fn find_same<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    new: &PipelineWithStages,
) -> Result<Created, EditError> {
    let id = &new.pipeline.id;
    let taken = || Refusal::new("id", id.as_str(), "another run has this id already");
    let held = hold_with_stages(tx, &[id]).await?.remove(id);
    let (stored, seen) = held.ok_or_else(taken)?;
    is_not_deleted(&stored.pipeline)?;
    let of_spans = seen.filter(|seen| !seen.is_made_by_hand());
    if let Some(mut seen) = of_spans {
        let mut adopted = stored.clone();
        seen.adopt(&mut adopted, new, tx.now);
        write(tx, &stored, &adopted).await?;
        store_seen(tx, id, &seen).await?;
        let entry = entry("create", id, None, audited(&adopted));
        tx.audit(vec![entry]).await?;
        return Ok(Created {
            pipeline: adopted,
            is_new: true,
        });
    }
    if asks_the_same(new, &stored) {
        Ok(Created {
            pipeline: stored,
            is_new: false,
        })
    } else {
        Err(taken().into())
    }
}

/// Whether a new run asks for what a stored one was created for. How far that came meanwhile, and
/// what it learned, makes no difference.
fn asks_the_same(new: &PipelineWithStages, stored: &PipelineWithStages) -> bool {
    fn agrees<T: PartialEq>(new: Option<&T>, stored: Option<&T>) -> bool {
        new.is_none() || new == stored
    }
    let (run, old) = (&new.pipeline, &stored.pipeline);
    let has_stage = |stage: &Stage| {
        let mut names = stored.stages.iter().map(|stored| &stored.stage_name);
        names.any(|name| *name == stage.stage_name)
    };
    run.config == old.config
        && agrees(run.user_id.as_ref(), old.user_id.as_ref())
        && agrees(run.asset_id.as_ref(), old.asset_id.as_ref())
        && agrees(run.name.as_ref(), old.name.as_ref())
        && agrees(run.meshy_task_id.as_ref(), old.meshy_task_id.as_ref())
        && agrees(run.rigging_task_id.as_ref(), old.rigging_task_id.as_ref())
        && new.stages.iter().all(has_stage)
}

fn entry(action: &'static str, id: &PipelineId, before: Option<Value>, after: Value) -> AuditEntry {
    AuditEntry {
        action,
        entity: "pipeline",
        entity_id: id.to_string(),
        before,
        after: Some(after),
    }
}

/// A row as an audit entry tells it: what is not empty, and large values by their size.
fn audited(row: &impl Serialize) -> Value {
    let mut fields = fields(row);
    fields.retain(|_, value| !value.is_null());
    Value::Object(shortened(fields))
}

/// What two states of a row say where they differ.
fn differences<T: Serialize>(before: &T, after: &T) -> (Value, Value) {
    let (mut before, mut after) = (fields(before), fields(after));
    before.retain(|field, value| after.get(field) != Some(value));
    after.retain(|field, _| before.contains_key(field));
    (
        Value::Object(shortened(before)),
        Value::Object(shortened(after)),
    )
}

fn fields(row: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(row) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn shortened(mut fields: Map<String, Value>) -> Map<String, Value> {
    for value in fields.values_mut() {
        let bytes = json_bytes(value);
        if bytes > MAX_AUDITED_BYTES {
            *value = format!("{bytes} bytes").into();
        }
    }
    fields
}
