//! `redspan pipelines list`: each run, newest first.

use clap::Args;

use crate::{
    cli::{
        json,
        screen::Style,
        table::{Cell, Table, column},
        text::{ago, one_line},
    },
    domain::Pipeline,
    failure::Failure,
    store::{Cursor, GenerationPipelineRepository, PageRequest, PipelineReader},
};

use super::{
    View,
    filter::{Filter, none_found},
    style, took,
};

const EXAMPLES: &str = "\
Examples:
  redspan pipelines list --status failed --since 1d       what failed lately
  redspan pipelines list --user ada --watch
  redspan pipelines list --status processing --json | jq '.items[].id'";

/// `pipelines list`
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct List {
    #[command(flatten)]
    filter: Filter,
    /// How many, 1 to 500
    #[arg(long, default_value_t = GenerationPipelineRepository::DEFAULT_LIMIT,
        value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// How many to leave out first
    #[arg(long, default_value_t = 0, conflicts_with = "after")]
    offset: u32,
    /// Go on after the page that ended with this cursor
    #[arg(long, value_name = "CURSOR")]
    after: Option<Cursor>,
    /// Show it anew every 2 seconds until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn is_watched(&self) -> bool {
        self.watch
    }

    pub(super) async fn answer<R: PipelineReader + ?Sized>(
        &self,
        reader: &R,
        view: &View,
    ) -> Result<String, Failure> {
        let filter = self.filter.to_filter(view.now)?;
        let page = PageRequest {
            limit: self.limit,
            offset: self.offset,
            after: self.after.clone(),
        };
        let runs = reader.find_pipelines(&filter, &page).await?;
        if self.json {
            return json(&runs);
        }
        if runs.items.is_empty() {
            return if self.offset == 0 && self.after.is_none() {
                none_found(&self.filter, reader, view.now).await
            } else {
                Ok(format!("No more runs{}.\n", self.filter.words(view.now)))
            };
        }
        let mut text = rows(&runs.items, view);
        if let Some(next) = runs.next {
            let next = one_line(&next.to_string()).into_owned();
            text.push('\n');
            text.push_str(&Style::Dim.paint(&format!("More of them: --after {next}")));
            text.push('\n');
        }
        Ok(text)
    }
}

fn rows(runs: &[Pipeline], view: &View) -> String {
    let mut table = Table::new(&[
        column("CREATED").whole(),
        // However long: another command needs all of it.
        column("ID").whole(),
        column("NAME").parts(2).for_wide(),
        column("USER").parts(2).for_wide(),
        column("STATUS").whole(),
        column("%").number(),
        column("TOOK").number(),
        column("STAGE").parts(2).for_wide(),
        column("ERROR").parts(4),
    ]);
    for run in runs {
        let stage = run.error_stage.as_deref().or(run.current_stage.as_deref());
        let is_deleted = run.deleted_at.is_some();
        table.row([
            Cell::from(ago(view.now, run.created_at)),
            Cell::new(run.id.as_str(), Style::Name),
            Cell::from(run.name.as_deref().unwrap_or("-")),
            Cell::from(run.user_id.as_deref().unwrap_or("-")),
            if is_deleted {
                Cell::new("deleted", Style::Dim)
            } else {
                Cell::new(run.status.as_str(), style(run.status))
            },
            Cell::from(run.progress.to_string()),
            Cell::from(
                took(run.started_at, run.completed_at, view.now).unwrap_or_else(|| "-".to_owned()),
            ),
            Cell::from(stage.unwrap_or("-")),
            Cell::from(run.error.as_deref().unwrap_or_default()),
        ]);
    }
    table.into_text(view.screen)
}
