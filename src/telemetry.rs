//! Logs of redspan itself: to stderr, for people on a terminal, as JSON for machines.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::config::{LogFormat, LogSettings};

/// From now on logs are written as the settings say. Where somebody else has taken the logs already
/// (a test, a program that uses the library), they stay with them.
pub fn start(settings: &LogSettings) {
    let for_people = match settings.format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => io::stderr().is_terminal(),
    };
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = if for_people {
        let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        lines.with_ansi(colours).boxed()
    } else {
        lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed()
    };
    let filter = EnvFilter::new(&settings.level);
    let taken = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init();
    if taken.is_err() {
        tracing::debug!("logs are written by somebody else already");
    }
}
