//! Writers that are gone. Their counters are shown nowhere any more: they are deleted, and what they
//! proved is proved without them.
//!
//! Three figures must not change by that. Every row was counted by some writer, imported, merged or
//! purged: the errors that are deleted here are added to `error_balance`. A writer's requests are
//! those of its hours (`request_totals`, which stay as they are) and of its hours that are gone
//! (`pruned_requests`): the latter become as many fewer as its counters said, so that what is left,
//! nothing, equals no counters, and goes on to when the writer comes back or its last hour goes.

use crate::{
    domain::Timestamp,
    store::{
        Dialect,
        reader::{Counters, DURATION_COLUMNS, Statement},
    },
};

use super::{
    Edit, EditError, EditTx, Purged, ROWS_PER_EDIT,
    prune::{into_pruned_requests, or_add_to_pruned_requests},
};

/// Deletes one writer that is gone, with its counters: all at once, because what they prove they
/// prove together, and they are no more than /metrics shows of a process.
#[derive(Debug)]
pub struct PruneWriters {
    /// Not seen since. Writers are seen every hour.
    pub before: Timestamp,
}

impl Edit for PruneWriters {
    type Answer = Purged;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        let mut statement = Statement::<DB>::new("SELECT name FROM writers WHERE last_seen_at < ");
        statement
            .bind(self.before)
            .push(" ORDER BY last_seen_at LIMIT 1")
            // Whoever comes back right now is not gone; whoever comes back later waits for this.
            .push(DB::FOR_UPDATE_SKIP_LOCKED);
        let gone: Option<String> = tx.first(statement, |row| DB::get(row, "name")).await?;
        let Some(writer) = gone else {
            delete_settled(tx).await?;
            return Ok(Purged {
                deleted: 0,
                is_more: false,
            });
        };
        balance(tx, &writer).await?;
        let mut statement = Statement::<DB>::new("DELETE FROM metric_totals WHERE writer = ");
        statement.bind(writer.clone());
        let deleted = tx.execute(statement).await?;
        // Should it not have been gone, it finds at its next commit that its name is not its own.
        let mut statement = Statement::<DB>::new("DELETE FROM writers WHERE name = ");
        statement.bind(writer);
        tx.execute(statement).await?;
        Ok(Purged {
            deleted,
            is_more: true,
        })
    }

    fn rows(&self) -> usize {
        ROWS_PER_EDIT as usize
    }
}

/// Moves what a writer's counters say to where it goes on counting.
async fn balance<DB: Dialect>(tx: &mut EditTx<'_, DB>, writer: &str) -> Result<(), sqlx::Error> {
    let mut statement = Statement::<DB>::new(
        "SELECT family, labels, value, sum, buckets FROM metric_totals WHERE writer = ",
    );
    statement.bind(writer.to_owned());
    let mut counters = Counters::default();
    let add = statement.for_each(tx.connection, |row| counters.add_row::<DB>(&row));
    add.await?;
    for (reason, errors) in [
        ("counted", counters.errors),
        ("merged", counters.merged_rows),
    ] {
        if errors == 0 {
            continue;
        }
        let mut statement =
            Statement::<DB>::new("INSERT INTO error_balance (reason, errors) VALUES (");
        statement.bind(reason.to_owned()).with(", ", errors).push(
            ") ON CONFLICT (reason) DO UPDATE SET errors = error_balance.errors + excluded.errors",
        );
        tx.execute(statement).await?;
    }
    let mut statement = into_pruned_requests();
    statement
        .with(" VALUES (", writer.to_owned())
        .with(", ", -counters.requests)
        .with(", ", -counters.request_errors)
        .with(", ", -counters.duration_sum);
    for count in counters.buckets {
        statement.with(", ", -count);
    }
    statement.push(")");
    or_add_to_pruned_requests(&mut statement);
    tx.execute(statement).await.map(drop)
}

/// Deletes what is nothing: all hours of these writers are gone, and so are they.
async fn delete_settled<DB: Dialect>(tx: &mut EditTx<'_, DB>) -> Result<(), sqlx::Error> {
    let mut statement = Statement::<DB>::new(
        "DELETE FROM pruned_requests WHERE requests = 0 AND errors = 0 AND duration_sum_nanos = 0",
    );
    for column in DURATION_COLUMNS {
        statement.push(" AND ").push(column).push(" = 0");
    }
    tx.execute(statement).await.map(drop)
}
