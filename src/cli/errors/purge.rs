//! `redspan errors purge`: deletes old errors for good, few at a time.

use clap::Args;
use serde_json::json;

use crate::{
    cli::{
        progress::Progress,
        screen::print,
        server::Deleted,
        text::{count, to_the_second},
        through::Ledger,
        when::ago,
    },
    clock,
    domain::Timestamp,
    failure::Failure,
    store::ErrorFilter,
};

use super::Through;

const EXAMPLES: &str = "\
Examples:
  redspan errors purge --older-than 30d          how many that would be
  redspan errors purge --older-than 30d --yes
  redspan errors purge --older-than 90d --include-unresolved --yes";

/// `errors purge`
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Purge {
    /// What happened longer ago than this: 12h, 30d
    #[arg(long, value_name = "DURATION", value_parser = ago)]
    older_than: i64,
    /// Also errors that nobody resolved
    #[arg(long)]
    include_unresolved: bool,
    /// Do it: nothing brings them back
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    pub(super) through: Through,
}

impl Purge {
    pub(super) async fn run(&self, ledger: &Ledger) -> Result<(), Failure> {
        let older_than = clock::now().plus_seconds(-self.older_than);
        if !self.yes {
            return Err(Failure::Usage(self.question(older_than, ledger).await?));
        }
        let deleted = match ledger {
            Ledger::Server(server) => {
                let body = json!({
                    "olderThan": older_than,
                    "includeUnresolved": self.include_unresolved,
                });
                let answer = server.post(&["errors", "cleanup"], &body).await?;
                let Deleted { deleted } = answer;
                deleted
            }
            Ledger::Database(opened) => {
                let mut progress = Progress::new();
                let mut deleted = 0;
                loop {
                    let some = opened
                        .errors
                        .delete_some_old_errors(older_than, self.include_unresolved)
                        .await?;
                    deleted += some.deleted.cast_signed();
                    if !some.is_more {
                        break;
                    }
                    progress.show(&format!("{} deleted so far", count(deleted, "error")));
                }
                deleted
            }
        };
        let deleted = count(deleted, "error");
        print(&format!("Deleted {deleted}. They stay counted.\n"))
    }

    /// What is asked before anything is deleted.
    async fn question(&self, older_than: Timestamp, ledger: &Ledger) -> Result<String, Failure> {
        let what = match ledger {
            Ledger::Server(_) => "errors".to_owned(),
            Ledger::Database(opened) => {
                let concerned = ErrorFilter {
                    to: Some(older_than),
                    resolved: (!self.include_unresolved).then_some(true),
                    include_deleted: true,
                    ..ErrorFilter::default()
                };
                let stats = opened.reader.get_error_stats(&concerned).await?;
                count(stats.total, "error")
            }
        };
        let resolved = if self.include_unresolved {
            "resolved or not"
        } else {
            "resolved"
        };
        Ok(format!(
            "this deletes {what} for good, {resolved}, from before {} UTC: say --yes to do it",
            to_the_second(older_than)
        ))
    }
}
