//! Which runs: the flags that `pipelines list` and `pipelines stats` share, and how they read in a
//! sentence.

use clap::Args;

use crate::{
    cli::{
        text::{one_line, to_the_second},
        when::Period,
        word,
    },
    domain::{PipelineStatus, Timestamp},
    failure::Failure,
    store::{PageRequest, PipelineFilter, PipelineReader},
};

/// Which runs; everything that is given must hold.
#[derive(Args, Clone, Debug, Default)]
pub struct Filter {
    #[command(flatten)]
    period: Period,
    /// For whom
    #[arg(long, visible_alias = "user")]
    user_id: Option<String>,
    /// What they make
    #[arg(long, visible_alias = "asset")]
    asset_id: Option<String>,
    /// Where they stand; several separated by commas
    #[arg(long, value_delimiter = ',', value_parser = word(PipelineStatus::ALL, PipelineStatus::as_str))]
    status: Vec<PipelineStatus>,
    /// That wait for this task at Meshy
    #[arg(long)]
    meshy_task_id: Option<String>,
    /// Of which kind
    #[arg(long)]
    name: Option<String>,
    /// Those that were deleted too
    #[arg(long)]
    include_deleted: bool,
}

impl Filter {
    pub(super) fn to_filter(&self, now: Timestamp) -> Result<PipelineFilter, Failure> {
        let (from, to) = self.period.range(now)?;
        Ok(PipelineFilter {
            user_id: self.user_id.clone(),
            asset_id: self.asset_id.clone(),
            status: self.status.clone(),
            meshy_task_id: self.meshy_task_id.clone(),
            name: self.name.clone(),
            from,
            to,
            include_deleted: self.include_deleted,
        })
    }

    /// Whether it says nothing of when.
    pub(super) fn is_of_any_time(&self) -> bool {
        self.period.is_all()
    }

    /// The same with a beginning: its own, or a week before its end.
    pub(super) fn reaching_back(&self, now: Timestamp) -> Self {
        let seconds = PipelineFilter::REACHES_BACK_SECONDS;
        Self {
            period: self.period.reaching_back(seconds, now),
            ..self.clone()
        }
    }

    /// The end of a sentence that begins with "runs": ` since … with status failed`; empty when
    /// nothing is left out.
    pub(super) fn words(&self, now: Timestamp) -> String {
        let from = self.period.from(now);
        let from = from.map(|from| format!(" since {} UTC", to_the_second(from)));
        let to = self.period.to();
        let to = to.map(|to| format!(" before {} UTC", to_the_second(to)));
        let status: Vec<_> = self.status.iter().map(|it| it.as_str()).collect();
        let conditions = [
            ("user", self.user_id.clone()),
            ("asset", self.asset_id.clone()),
            (
                "status",
                Some(status.join(" or ")).filter(|words| !words.is_empty()),
            ),
            ("Meshy task", self.meshy_task_id.clone()),
            ("name", self.name.clone()),
        ];
        let conditions: Vec<String> = conditions
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name} {}", one_line(&value?))))
            .collect();
        let conditions = conditions.join(", ");
        let conditions = Some(conditions).filter(|words| !words.is_empty());
        let conditions = conditions.map(|words| format!(" with {words}"));
        [from, to, conditions].into_iter().flatten().collect()
    }
}

/// What to say when no run matches: whether there are others.
pub(super) async fn none_found<R: PipelineReader + ?Sized>(
    filter: &Filter,
    reader: &R,
    now: Timestamp,
) -> Result<String, Failure> {
    let words = filter.words(now);
    let newest = PageRequest::first(1);
    let all = PipelineFilter::default();
    let newest = reader.find_pipelines(&all, &newest).await?;
    Ok(match newest.items.first() {
        Some(newest) => format!(
            "No runs{words}. The latest of all was created at {} UTC.\n",
            to_the_second(newest.created_at)
        ),
        None => format!("No runs{words}, nor any others.\n"),
    })
}
