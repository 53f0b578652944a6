//! `redspan pipelines purge`: deletes old finished runs for good, few at a time.

use clap::Args;
use serde_json::json;

use crate::{
    cli::{
        progress::Progress,
        screen::print,
        server::Deleted,
        text::{count, to_the_second},
        through::{Ledger, Through},
        when::ago,
    },
    clock,
    config::Config,
    domain::Timestamp,
    failure::Failure,
    store::{GenerationPipelineRepository, edit::ROWS_PER_EDIT},
};

const EXAMPLES: &str = "\
Examples:
  redspan pipelines purge --older-than 30d --yes
  redspan pipelines purge --older-than 30d --yes --url http://127.0.0.1:9464";

/// `pipelines purge`
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Purge {
    /// What was finished longer ago than this: 12h, 30d
    #[arg(long, value_name = "DURATION", value_parser = ago)]
    older_than: i64,
    /// Do it: nothing brings them back
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    through: Through,
}

impl Purge {
    /// Makes the change in the name of `actor`.
    pub(super) async fn run(&self, config: &Config, actor: &str) -> Result<(), Failure> {
        let older_than = clock::now().plus_seconds(-self.older_than);
        if !self.yes {
            return Err(Failure::Usage(format!(
                "this deletes runs for good that were finished before {} UTC, with their stages: \
                 say --yes to do it",
                to_the_second(older_than)
            )));
        }
        let ledger = self.through.open(config, actor).await?;
        let deleted = delete(&ledger, older_than).await;
        ledger.close().await;
        print(&format!("Deleted {}.\n", count(deleted?, "run")))
    }
}

/// How many.
async fn delete(ledger: &Ledger, older_than: Timestamp) -> Result<i64, Failure> {
    match ledger {
        Ledger::Server(server) => {
            let body = json!({"olderThan": older_than});
            let answer = server.post(&["pipelines", "cleanup"], &body).await?;
            let Deleted { deleted } = answer;
            Ok(deleted)
        }
        Ledger::Database(opened) => delete_in_steps(&opened.pipelines, older_than).await,
    }
}

async fn delete_in_steps(
    pipelines: &GenerationPipelineRepository,
    older_than: Timestamp,
) -> Result<i64, Failure> {
    let mut progress = Progress::new();
    let mut deleted = 0;
    loop {
        let step = pipelines.cleanup_step(older_than).await?;
        deleted += step.cast_signed();
        if step < u64::from(ROWS_PER_EDIT) {
            return Ok(deleted);
        }
        progress.show(&format!("{} deleted so far", count(deleted, "run")));
    }
}
