//! What a command prints to: how wide it is, and whether it shows colours.

use std::{
    borrow::Cow,
    io::{IsTerminal as _, Write as _, stdout},
};

use anstream::{AutoStream, adapter::strip_str};
use clap::ValueEnum;
use crossterm::{
    style::{Color, ContentStyle, Stylize as _, force_color_output},
    terminal,
};

use crate::{domain::Severity, failure::Failure};

/// What a terminal is taken for that does not say how wide it is.
const USUAL_WIDTH: u16 = 80;

/// Whether to colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Into files and pipes too
    Always,
    /// Not at all
    Never,
}

/// Where the answer goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Screen {
    /// Columns; `None` when nothing needs to fit, as in a file or a pipe.
    pub width: Option<u16>,
    /// Whether colours are shown.
    pub colour: bool,
}

impl Screen {
    /// The standard output. `COLUMNS` says how wide a terminal is that does not say so itself; it
    /// says nothing of files and pipes, though some shells pass it on to them.
    #[must_use]
    pub fn stdout(choice: ColorChoice) -> Self {
        let width = stdout().is_terminal().then(|| {
            let size = terminal::size().ok().map(|(columns, _)| columns);
            let stated = || std::env::var("COLUMNS").ok()?.parse().ok();
            size.filter(|columns| *columns > 0)
                .or_else(|| stated().filter(|columns| *columns > 0))
                .unwrap_or(USUAL_WIDTH)
        });
        Self {
            width,
            colour: match choice {
                ColorChoice::Always => true,
                ColorChoice::Never => false,
                ColorChoice::Auto => AutoStream::choice(&stdout()) != anstream::ColorChoice::Never,
            },
        }
    }

    /// Columns that text for people is laid out in where nothing must fit.
    pub(super) fn reading_width(self) -> usize {
        usize::from(self.width.unwrap_or(USUAL_WIDTH))
    }

    /// The styled text as this screen shows it. Escapes in it are ours alone: what telemetry says
    /// has been spelled out.
    pub(super) fn show(self, styled: &str) -> Cow<'_, str> {
        if self.colour {
            Cow::Borrowed(styled)
        } else {
            Cow::Owned(strip_str(styled).to_string())
        }
    }
}

/// How a piece of text stands out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    /// Not at all.
    Plain,
    /// A heading, or what matters most.
    Bold,
    /// What matters least.
    Dim,
    /// What can be given to another command.
    Name,
    /// As bad as this.
    Severity(Severity),
}

impl Style {
    pub(super) fn color(self) -> Option<Color> {
        match self {
            Self::Name => Some(Color::DarkCyan),
            Self::Severity(Severity::Critical | Severity::Error) => Some(Color::DarkRed),
            Self::Severity(Severity::Warning) => Some(Color::DarkYellow),
            Self::Severity(_) | Self::Plain | Self::Bold | Self::Dim => None,
        }
    }

    pub(super) fn is_bold(self) -> bool {
        matches!(self, Self::Bold | Self::Severity(Severity::Critical))
    }

    pub(super) fn is_dim(self) -> bool {
        matches!(
            self,
            Self::Dim | Self::Severity(Severity::Info | Severity::Debug)
        )
    }

    /// The text in this style, to be shown by [`Screen::show`].
    pub(super) fn paint(self, text: &str) -> String {
        // Always: [`Screen::show`] takes styles out again, so that one place decides, and
        // `--color always` is stronger than `NO_COLOR`.
        force_color_output(true);
        let mut style = ContentStyle::new();
        style.foreground_color = self.color();
        if self.is_bold() {
            style = style.bold();
        }
        if self.is_dim() {
            style = style.dim();
        }
        style.apply(text).to_string()
    }
}

/// Writes to standard output. A reader that stopped listening, as `head` does, is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
