//! What the audit log says of an import: that it began, and what came of it. Its rows are too many
//! to have an entry each, as they had none where they come from.

use serde_json::Value;
use uuid::Uuid;

use crate::store::Dialect;

use super::{AuditEntry, Edit, EditError, EditTx};

/// How far an import is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImportStep {
    /// It begins.
    Begin,
    /// It has seen everything.
    End,
}

/// Notes a step of an import.
#[derive(Debug)]
pub struct NoteImport {
    /// Its own id, the same for both steps.
    pub id: Uuid,
    /// Which step.
    pub step: ImportStep,
    /// From where, without secrets, and what was counted by then.
    pub after: Value,
}

impl Edit for NoteImport {
    type Answer = ();

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        let entry = AuditEntry {
            action: match self.step {
                ImportStep::Begin => "begin",
                ImportStep::End => "end",
            },
            entity: "import",
            entity_id: self.id.to_string(),
            before: None,
            after: Some(self.after.clone()),
        };
        Ok(tx.audit(vec![entry]).await?)
    }
}
