//! A run and its stages as a timeline: a line for each, with a bar on one scale from the first
//! instant of the run to its last. What is drawn depends on nothing but what comes in.

mod layout;
mod scale;

use std::iter::once;

use serde_json::Value;
use uuid::Uuid;

use crate::{
    cli::{
        errors::short_id,
        screen::{Screen, Style},
        text::{fit, one_line, to_the_second},
    },
    domain::{
        ErrorId, Pipeline, PipelineStatus, PipelineWithStages, Severity, Stage, StageStatus,
        Timestamp,
    },
};

use super::{duration, stage_style, style};
use layout::{Layout, Texts};
use scale::Scale;

/// The run and its stages, in their order.
pub(super) fn timeline(found: &PipelineWithStages, now: Timestamp, screen: Screen) -> String {
    let stages: Vec<Line<'_>> = found.stages.iter().map(Line::of_stage).collect();
    draw(&Line::of_run(&found.pipeline), &stages, now, screen)
}

/// What a line is about.
#[derive(Clone, Debug)]
struct Line<'a> {
    name: &'a str,
    name_style: Style,
    status: &'static str,
    style: Style,
    state: State,
    progress: i32,
    begun: Option<Timestamp>,
    ended: Option<Timestamp>,
    /// How long it took, in milliseconds, if its times do not say so.
    millis: Option<i64>,
    error: Option<&'a str>,
    error_id: Option<ErrorId>,
}

/// Where a run or a stage stands, as far as its times are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// There are none yet.
    Waiting,
    /// It began.
    AtWork,
    /// It began and ended.
    Ended,
    /// There may be any.
    LeftOut,
}

impl<'a> Line<'a> {
    fn of_run(run: &'a Pipeline) -> Self {
        Self {
            name: "(run)",
            name_style: Style::Dim,
            status: run.status.as_str(),
            style: style(run.status),
            state: match run.status {
                PipelineStatus::Initializing => State::Waiting,
                PipelineStatus::Processing => State::AtWork,
                PipelineStatus::Completed | PipelineStatus::Failed => State::Ended,
                PipelineStatus::Cancelled => State::LeftOut,
            },
            progress: run.progress,
            begun: run.started_at,
            ended: run.completed_at,
            millis: None,
            // What went wrong stands above the timeline.
            error: None,
            error_id: None,
        }
    }

    fn of_stage(stage: &'a Stage) -> Self {
        Self {
            name: &stage.stage_name,
            name_style: Style::Bold,
            status: stage.status.as_str(),
            style: stage_style(stage.status),
            state: match stage.status {
                StageStatus::Pending => State::Waiting,
                StageStatus::Processing => State::AtWork,
                StageStatus::Completed | StageStatus::Failed => State::Ended,
                StageStatus::Skipped => State::LeftOut,
            },
            progress: stage.progress,
            begun: stage.started_at,
            ended: stage.completed_at,
            millis: stage.duration,
            error: stage.error.as_deref(),
            error_id: error_id(stage.error_details.as_ref()),
        }
    }

    /// Its end, unless that lies before its beginning.
    fn end(&self) -> Option<Timestamp> {
        self.ended.filter(|ended| self.begun <= Some(*ended))
    }
}

/// The error that the details of a failure name. They may hold anything, and a command is made of
/// it: only an id is taken.
fn error_id(details: Option<&Value>) -> Option<ErrorId> {
    let id = details?.get("errorId")?.as_str()?;
    Uuid::try_parse(id).ok().map(ErrorId)
}

fn draw(run: &Line<'_>, stages: &[Line<'_>], now: Timestamp, screen: Screen) -> String {
    // What is at work in a run that is over has ended, too, but nobody knows when.
    let is_over = matches!(run.state, State::Ended | State::LeftOut);
    let until = (!is_over).then_some(now);
    let lines = || once(run).chain(stages);
    let told = lines().flat_map(|line| [line.begun, line.end()]);
    let scale = Scale::over(told.flatten(), until);
    let width = screen.width.map_or(usize::MAX, usize::from);
    let is_narrow = Layout::is_narrow(screen.width);
    let texts: Vec<Texts> = lines()
        .map(|line| Texts {
            name: one_line(line.name).into_owned(),
            status: status(line, is_narrow),
            took: took(line, until),
        })
        .collect();
    let layout = Layout::of(&texts, scale.is_some(), screen.width);
    let mut text = String::new();
    let mut axis = String::new();
    if let Some(scale) = &scale {
        let length = duration(scale.micros());
        let from = format!(" from {} UTC", to_the_second(scale.first));
        let from = fit(&from, width.saturating_sub(length.len()));
        text = [&Style::Bold.paint(&length), &*from, "\n"].concat();
        axis = scale.axis(layout.bars);
    }
    text.push_str(&layout.line([
        ("STAGE", Style::Dim),
        ("STATUS", Style::Dim),
        (&axis, Style::Dim),
        ("TOOK", Style::Dim),
    ]));
    for (line, texts) in lines().zip(&texts) {
        let bar = scale.map(|scale| bar(line, &scale, until, layout.bars));
        text.push_str(&layout.line([
            (&texts.name, line.name_style),
            (&texts.status, line.style),
            (&bar.unwrap_or_default(), bar_style(line)),
            (&texts.took, Style::Plain),
        ]));
        text.push_str(&notes(line, run, is_over, width));
    }
    text
}

/// How it stands, and how far it came where the bar does not tell.
fn status(line: &Line<'_>, is_narrow: bool) -> String {
    match line.progress {
        progress @ 1..100 if !is_narrow => format!("{} {progress}%", line.status),
        _ => line.status.to_owned(),
    }
}

/// How long it took, or takes until now.
fn took(line: &Line<'_>, until: Option<Timestamp>) -> String {
    let end = match line.state {
        State::AtWork => line.end().or(until),
        State::Waiting | State::Ended | State::LeftOut => line.end(),
    };
    let told = line.millis.map(|millis| millis.saturating_mul(1_000));
    let micros = match (line.begun, end) {
        (Some(begun), Some(end)) => Some(between(begun, end)),
        // What follows from an end before the beginning is no duration.
        _ => told.filter(|_| line.end() == line.ended),
    };
    micros.map_or_else(|| "-".to_owned(), duration)
}

/// Microseconds.
fn between(from: Timestamp, to: Timestamp) -> i64 {
    to.as_micros() - from.as_micros()
}

/// The bar in its place; a stroke where only one instant is known, or where a bar is too short to
/// be seen.
fn bar(line: &Line<'_>, scale: &Scale, until: Option<Timestamp>, columns: usize) -> String {
    const WHOLE: &str = "█";
    const NOT_ENDED: &str = "▒";
    const INSTANT: &str = "▏";
    let (from, to, block) = match (line.begun, line.end()) {
        (None, None) => return String::new(),
        (Some(from), Some(to)) => (from, to, WHOLE),
        (Some(from), None) if line.state == State::AtWork => {
            let to = until.unwrap_or(scale.last);
            (from, to.max(from), NOT_ENDED)
        }
        (Some(at), None) | (None, Some(at)) => (at, at, WHOLE),
    };
    let (from, to) = (scale.column(from, columns), scale.column(to, columns));
    if from == to {
        return " ".repeat(from.min(columns.saturating_sub(1))) + INSTANT;
    }
    " ".repeat(from) + &block.repeat(to - from)
}

fn bar_style(line: &Line<'_>) -> Style {
    match line.style {
        Style::Plain => Style::Name,
        other => other,
    }
}

/// Lines below a line: what its bar cannot show, what went wrong, and where to read more.
fn notes(line: &Line<'_>, run: &Line<'_>, is_over: bool, width: usize) -> String {
    let early = run.begun.zip(line.begun);
    let early = early.map(|(run, begun)| between(begun, run));
    let early = early.filter(|micros| *micros > 0);
    let early = early.map(|micros| format!("starts {} before the run", duration(micros)));
    let backwards = line.begun.zip(line.ended);
    let backwards = backwards.map(|(begun, ended)| between(ended, begun));
    let backwards = backwards.filter(|micros| *micros > 0);
    let backwards = backwards.map(|micros| format!("ends {} before it starts", duration(micros)));
    let strange = [early, backwards].into_iter().flatten();
    let strange = strange.map(|note| (note, Style::Severity(Severity::Warning)));
    let untold = untold(line, is_over).map(|note| (note.to_owned(), Style::Dim));
    let error = line.error.map(|error| one_line(error.trim()).into_owned());
    let error = error.filter(|error| !error.is_empty());
    let error = error.map(|error| (error, line.style));
    let mut text = String::new();
    for (note, style) in strange.chain(untold).chain(error) {
        let note = fit(&note, width.saturating_sub(INDENT.len())).into_owned();
        text.push_str(&[INDENT, &style.paint(&note), "\n"].concat());
    }
    if let Some(id) = line.error_id {
        // Never cut: it is made to be typed.
        let command = format!("redspan errors show {}", short_id(id));
        text.push_str(&[INDENT, &Style::Name.paint(&command), "\n"].concat());
    }
    text
}

/// Before the notes of a line.
const INDENT: &str = "  ";

/// Which times should be there and are not.
fn untold(line: &Line<'_>, is_over: bool) -> Option<&'static str> {
    let has_begun = matches!(line.state, State::AtWork | State::Ended);
    let has_ended = line.state == State::Ended || line.state == State::AtWork && is_over;
    match (line.begun, line.ended) {
        (None, None) if has_begun && has_ended => Some("no times were told"),
        (None, _) if has_begun => Some("its start was never told"),
        (Some(_), None) if has_ended => Some("its end was never told"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
