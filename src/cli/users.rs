//! `redspan users`: forgets them.

use clap::{Args, Subcommand};
use serde::Deserialize;

use crate::{config::Config, failure::Failure};

use super::{
    screen::print,
    text::{count, one_line},
    through::{Ledger, Through},
};

const FORGET_EXAMPLES: &str = "\
Examples:
  redspan users forget user-4711 --yes
  redspan users forget user-4711 --yes --url http://127.0.0.1:9464";

/// What to do with users.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Empty what names a user, delete their pipelines, then the user; counts stay
    Forget(Forget),
}

/// `users forget`
#[derive(Args, Debug)]
#[command(after_help = FORGET_EXAMPLES)]
pub struct Forget {
    /// The user's id
    id: String,
    /// Do it: nothing brings it back
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    through: Through,
}

/// Runs the command.
///
/// # Errors
/// When there is no such user, or it cannot be done now.
pub async fn run(command: Command, config: &Config, actor: &str) -> Result<(), Failure> {
    let Command::Forget(forget) = command;
    if !forget.yes {
        return Err(Failure::Usage(format!(
            "this empties what names the user {} for good, and deletes their pipelines: say --yes \
             to do it",
            one_line(&forget.id)
        )));
    }
    let ledger = forget.through.open(config, actor).await?;
    let forgotten = forget.run(&ledger).await;
    ledger.close().await;
    print(&forgotten?)
}

/// What named the user.
#[derive(Deserialize)]
struct Emptied {
    errors: i64,
    pipelines: i64,
}

impl Forget {
    async fn run(&self, ledger: &Ledger) -> Result<String, Failure> {
        let forgotten = match ledger {
            Ledger::Server(server) => server.delete(&["users", &self.id]).await?,
            Ledger::Database(opened) => {
                let forgotten = opened.errors.forget_user(&self.id).await?;
                forgotten.map(|it| Emptied {
                    errors: it.errors.cast_signed(),
                    pipelines: it.pipelines.cast_signed(),
                })
            }
        };
        let user = one_line(&self.id);
        let Some(Emptied { errors, pipelines }) = forgotten else {
            return Err(Failure::Usage(format!("there is no user {user}")));
        };
        Ok(format!(
            "Forgot {user}: {} emptied, {} deleted.\n",
            count(errors, "error"),
            count(pipelines, "pipeline")
        ))
    }
}
