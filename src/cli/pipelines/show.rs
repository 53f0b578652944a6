//! `redspan pipelines show`: a run, and its stages on a timeline.

use clap::Args;
use serde_json::Value;

use crate::{
    cli::{
        json,
        screen::Style,
        text::{ago, many_lines, one_line, to_the_second},
    },
    domain::{Pipeline, PipelineId, PipelineWithStages, Timestamp},
    failure::Failure,
    store::PipelineReader,
};

use super::{View, style, timeline::timeline, took};

/// Columns that the names of fields take.
const NAMES: usize = 11;

const EXAMPLES: &str = "\
Examples:
  redspan pipelines show pipeline-123
  redspan pipelines show pipeline-123 --json | jq '.stages[] | {stageName, duration}'";

/// `pipelines show`
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Show {
    /// The run's id
    id: PipelineId,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) async fn answer<R: PipelineReader + ?Sized>(
        &self,
        reader: &R,
        view: &View,
    ) -> Result<String, Failure> {
        let found = reader.find_pipeline_with_stages(&self.id).await?;
        let Some(found) = found else {
            let id = self.id.to_string();
            return Err(Failure::Usage(format!("there is no run {}", one_line(&id))));
        };
        if self.json {
            return json(&found);
        }
        Ok(story(&found, view))
    }
}

fn story(found: &PipelineWithStages, view: &View) -> String {
    let run = &found.pipeline;
    let mut text = heading(run, view.now);
    let at = |at: Option<Timestamp>| at.map(|at| format!("{} UTC", to_the_second(at)));
    let ended =
        at(run.completed_at).map(
            |at| match took(run.started_at, run.completed_at, view.now) {
                Some(took) => format!("{at}, after {took}"),
                None => format!("{at}, without having begun"),
            },
        );
    let error = run.error.as_deref().map(|error| {
        let stage = run.error_stage.as_deref();
        stage.map_or(error.to_owned(), |stage| format!("in {stage}: {error}"))
    });
    let fields = [
        ("name", run.name.clone()),
        ("service", Some(run.service_name.clone())),
        ("user", run.user_id.clone()),
        ("asset", run.asset_id.clone()),
        ("Meshy", run.meshy_task_id.clone()),
        ("rigging", run.rigging_task_id.clone()),
        ("created", at(Some(run.created_at))),
        ("started", at(run.started_at)),
        ("ended", ended),
        ("expires", at(run.expires_at)),
        ("deleted", at(run.deleted_at)),
        ("trace", run.trace_id.map(|trace| trace.to_string())),
        ("error", error),
        ("details", run.error_details.as_ref().map(Value::to_string)),
        ("config", Some(run.config.to_string())),
        ("results", Some(run.results.to_string())),
    ];
    for (name, value) in fields {
        let Some(value) = value else { continue };
        let indent = format!("\n{:NAMES$}", "");
        let value = many_lines(&value).replace('\n', &indent);
        text.push_str(&Style::Dim.paint(name));
        text.push_str(&" ".repeat(NAMES.saturating_sub(name.len())));
        text.push_str(&value);
        text.push('\n');
    }
    if !found.stages.is_empty() {
        text.push('\n');
        text.push_str(&timeline(found, view.now, view.screen));
    }
    text
}

/// `pipeline-123 failed at 60% in rig, 4m ago`
fn heading(run: &Pipeline, now: Timestamp) -> String {
    let stage = run.current_stage.as_deref();
    let stage = stage.map_or_else(String::new, |stage| format!(" in {}", one_line(stage)));
    format!(
        "{} {} at {}%{stage}, {}\n\n",
        Style::Bold.paint(&one_line(run.id.as_str())),
        style(run.status).paint(run.status.as_str()),
        run.progress,
        ago(now, run.state_at)
    )
}
