//! What a span says of a run of a pipeline and of its stages: by `cicd.*` of the semantic conventions,
//! or by `pipeline.*`.

use sha2::{Digest, Sha256};

use crate::{
    domain::{
        Course, PipelineId, PipelineStatus, RunFacts, Said, SpanId, StageStatus, Taken, Timestamp,
        TraceId, TraceKey, is_progress,
    },
    otlp::{SpanView, Value},
};

use super::{
    attributes::{Attributes, Slot},
    exceptions::Exception,
    failed::Outcome,
    scrub::Scrubber,
    time::clamp,
    values::{self, Text, lossy},
};

/// Columns' limits, in characters.
const MAX_ID: usize = 255;
const MAX_NAME: usize = 100;

/// Characters of an id that is too long that are kept before its hash.
const KEPT_OF_LONG_ID: usize = 190;

/// Bytes of the reason that is kept of a failure: the row of the failure has all of it.
const MAX_ERROR_BYTES: usize = 4 * 1024;

/// What is known of a span that may be a run's.
pub(super) struct RunSpan<'s, 'a> {
    pub view: &'s SpanView<'a>,
    pub attributes: &'s Attributes<'a>,
    pub outcome: Outcome,
    /// Its last exception.
    pub exception: Option<&'s Exception<'a>>,
    pub trace_id: TraceId,
    pub trace: TraceKey,
    pub span_id: Option<SpanId>,
    pub service_name: &'s str,
    pub keeps_users: bool,
    pub received_at: Timestamp,
}

/// The bits of a span's flags that tell of its parent: that it is known whether it is remote, and
/// that it is.
const REMOTE_KNOWN: u32 = 0x100;
const REMOTE: u32 = 0x200;

impl RunSpan<'_, '_> {
    /// What the span says, if it belongs to a run.
    pub fn facts(&self, scrubber: &mut Scrubber<'_>) -> Option<(PipelineId, RunFacts)> {
        let id = run_id(&self.attributes.text(Slot::RunId)?)?;
        let started_at = self.instant(self.view.start_time_unix_nano);
        let ended_at = self.instant(self.view.end_time_unix_nano);
        let mut said = |slot, max| {
            let text = self.attributes.text(slot)?;
            let text = one_line(&scrubber.text(&text), max);
            (!text.is_empty()).then(|| Said::new(ended_at, text))
        };
        let mut facts = RunFacts {
            seen_at: started_at.or(ended_at),
            heard_at: ended_at,
            name: said(Slot::RunName, MAX_NAME),
            user_id: said(Slot::RunUser, MAX_ID)
                .or_else(|| said(Slot::UserId, MAX_ID))
                .filter(|_| self.keeps_users),
            asset_id: said(Slot::RunAsset, MAX_ID),
            meshy_task_id: said(Slot::RunMeshyTask, MAX_ID),
            rigging_task_id: said(Slot::RunRiggingTask, MAX_ID),
            service_name: Some(Said::new(ended_at, self.service_name.to_owned())),
            trace_id: Some(Said::new(ended_at, self.trace_id)),
            progress: self.progress().map(|progress| (ended_at, progress)),
            ..RunFacts::default()
        };
        let stage = said(Slot::StageName, MAX_NAME);
        if self.speaks_for_run(stage.is_some()) {
            let status = self.result(Slot::RunResult, run_status);
            let status = status.unwrap_or_else(|| self.own_result());
            let is_failed = status == PipelineStatus::Failed;
            facts.course = Course::of(self.taken(status, is_failed, scrubber), started_at);
        }
        if let Some(stage) = stage {
            let status = self.result(Slot::StageResult, stage_status);
            let status = status.unwrap_or_else(|| match self.own_result() {
                PipelineStatus::Failed => StageStatus::Failed,
                _ => StageStatus::Completed,
            });
            let is_failed = status == StageStatus::Failed;
            let taken = self.taken(status, is_failed, scrubber);
            facts
                .stages
                .insert(stage.value, Course::of(taken, started_at));
        }
        Some((id, facts))
    }

    /// Whether it tells how the run goes: it says so, or the run began with it. A stage that another
    /// process took over begins there, too, without being the run.
    fn speaks_for_run(&self, is_stage: bool) -> bool {
        let is_first = self.view.parent_span_id.is_empty()
            || self.view.flags & (REMOTE_KNOWN | REMOTE) == REMOTE_KNOWN | REMOTE;
        self.attributes.has(Slot::RunResult) || (is_first && !is_stage)
    }

    fn result<S>(&self, slot: Slot, status: fn(&str) -> Option<S>) -> Option<S> {
        let word = self.attributes.text(slot)?;
        status(&word.trim().to_ascii_lowercase())
    }

    /// How it ended, by the span alone.
    fn own_result(&self) -> PipelineStatus {
        match self.outcome {
            Outcome::Failed => PipelineStatus::Failed,
            Outcome::Fine | Outcome::Dismissed => PipelineStatus::Completed,
        }
    }

    fn taken<S>(&self, status: S, is_failed: bool, scrubber: &mut Scrubber<'_>) -> Taken<S> {
        Taken {
            status,
            at: self.instant(self.view.end_time_unix_nano),
            error: if is_failed {
                self.error(scrubber)
            } else {
                None
            },
            failed_span: self
                .span_id
                .filter(|_| is_failed)
                .map(|span_id| (self.trace, span_id)),
            error_id: None,
        }
    }

    /// Why it failed, in one sentence.
    fn error(&self, scrubber: &mut Scrubber<'_>) -> Option<String> {
        let thrown =
            self.exception.map(
                |exception| match (&*exception.type_name, &*exception.message) {
                    (type_name, "") => type_name.to_owned(),
                    ("", message) => message.to_owned(),
                    (type_name, message) => format!("{type_name}: {message}"),
                },
            );
        let error = thrown.unwrap_or_else(|| lossy(self.view.status_message).into_owned());
        let error = Text::whole_words(&scrubber.text(error.trim()), MAX_ERROR_BYTES).into_string();
        (!error.is_empty()).then_some(error)
    }

    /// A number from 0 to 100, of which the whole percents count; another says nothing.
    fn progress(&self) -> Option<i32> {
        let said = self.attributes.get(Slot::RunProgress)?;
        let number = match said {
            Value::Double(number) => values::int(Value::Double(number.floor())),
            other => values::int(other),
        };
        i32::try_from(number?).ok().filter(|it| is_progress(*it))
    }

    /// An instant that can be true.
    fn instant(&self, unix_nanos: u64) -> Option<Timestamp> {
        let clamped = clamp(unix_nanos, self.received_at);
        (!clamped.is_clamped).then_some(clamped.at)
    }
}

/// The id of a run: one that is too long by its beginning and its hash.
fn run_id(text: &str) -> Option<PipelineId> {
    let text = text.trim();
    let id = if text.chars().nth(MAX_ID).is_some() {
        let kept = one_line(text, KEPT_OF_LONG_ID);
        format!("{kept}~{:x}", Sha256::digest(text))
    } else {
        one_line(text, MAX_ID)
    };
    id.try_into().ok()
}

/// At most so many characters, and none of them a control character.
fn one_line(text: &str, max: usize) -> String {
    let text = Text::chars(text.trim(), max).text;
    text.replace(char::is_control, "\u{fffd}")
}

/// The state of a run by the word for it.
fn run_status(word: &str) -> Option<PipelineStatus> {
    Some(match word {
        "success" | "completed" => PipelineStatus::Completed,
        "failure" | "error" | "timeout" | "failed" => PipelineStatus::Failed,
        "cancellation" | "skip" | "cancelled" => PipelineStatus::Cancelled,
        "pending" | "initializing" => PipelineStatus::Initializing,
        "executing" | "finalizing" | "processing" => PipelineStatus::Processing,
        _ => return None,
    })
}

/// The state of a stage by the word for it.
fn stage_status(word: &str) -> Option<StageStatus> {
    Some(match word {
        "success" | "completed" => StageStatus::Completed,
        "failure" | "error" | "timeout" | "failed" => StageStatus::Failed,
        // A stage that was given up did not do its work, and did not fail at it either.
        "cancellation" | "cancelled" | "skip" | "skipped" => StageStatus::Skipped,
        "pending" => StageStatus::Pending,
        "executing" | "finalizing" | "processing" => StageStatus::Processing,
        _ => return None,
    })
}
