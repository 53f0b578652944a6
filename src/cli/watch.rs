//! A view of the terminal that is drawn anew until somebody has seen enough.

use std::{
    io::{IsTerminal as _, stdout},
    time::Duration,
};

use anstream::adapter::strip_str;
use crossterm::{
    Command,
    cursor::{Hide, MoveTo, MoveToNextLine, Show},
    terminal::{
        self, Clear, ClearType, DisableLineWrap, EnableLineWrap, EnterAlternateScreen,
        LeaveAlternateScreen,
    },
};
use tokio::signal::unix::{SignalKind, signal};
use unicode_width::UnicodeWidthStr as _;

use crate::failure::Failure;

use super::{screen::print, text::one_line};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(2);

/// Shows what `look` gives, again and again, until Ctrl-C; the last of it stays on the terminal.
/// While the database is away, the sentence that says so is shown.
///
/// # Errors
/// When standard output is no terminal, or is gone.
pub(super) async fn watch(look: impl AsyncFn() -> Result<String, Failure>) -> Result<(), Failure> {
    if !stdout().is_terminal() {
        return Err(Failure::Usage(
            "--watch draws on a terminal, and this is none: leave it out".to_owned(),
        ));
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut resized = signal(SignalKind::window_change())?;
    let view = AlternateScreen::enter()?;
    let mut shown = String::new();
    loop {
        let seen = async {
            let seen = match look().await {
                Ok(text) => text,
                Err(failure) => format!("{}\n", one_line(&failure.to_string())),
            };
            print(&frame(&seen, size()))?;
            shown = seen;
            Ok::<_, Failure>(())
        };
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            drawn = seen => drawn?,
        }
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = resized.recv() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
    drop(view);
    print(&shown)
}

/// Columns and rows; as many as there may be when the terminal does not say.
fn size() -> (usize, usize) {
    let known = |size: u16| match size {
        0 => usize::MAX,
        size => size.into(),
    };
    let (columns, rows) = terminal::size().unwrap_or_default();
    (known(columns), known(rows))
}

/// The text drawn over what was there before, in one piece: nothing is wiped first, so nothing
/// flickers.
fn frame(text: &str, (columns, rows): (usize, usize)) -> String {
    let mut frame = commands(&[&MoveTo(0, 0)]);
    for (index, line) in text.lines().take(rows).enumerate() {
        if index > 0 {
            frame.push('\n');
        }
        frame.push_str(line);
        // After a line that is full the cursor still stands on its last character.
        if strip_str(line).to_string().width() < columns {
            frame.push_str(&commands(&[&Clear(ClearType::UntilNewLine)]));
        }
    }
    if text.lines().count() < rows {
        frame.push_str(&commands(&[
            &MoveToNextLine(1),
            &Clear(ClearType::FromCursorDown),
        ]));
    }
    frame
}

/// The terminal's second screen, left when this is dropped.
struct AlternateScreen;

impl AlternateScreen {
    fn enter() -> Result<Self, Failure> {
        print(&commands(&[
            &EnterAlternateScreen,
            &DisableLineWrap,
            &Hide,
            &Clear(ClearType::All),
        ]))?;
        Ok(Self)
    }
}

impl Drop for AlternateScreen {
    fn drop(&mut self) {
        let leave = commands(&[&Show, &EnableLineWrap, &LeaveAlternateScreen]);
        // A terminal that is gone needs no restoring.
        let _ = print(&leave);
    }
}

fn commands(commands: &[&dyn Ansi]) -> String {
    let mut text = String::new();
    for command in commands {
        command.write(&mut text);
    }
    text
}

/// [`Command`] for any of them.
trait Ansi {
    fn write(&self, text: &mut String);
}

impl<C: Command> Ansi for C {
    fn write(&self, text: &mut String) {
        // Writing to a String cannot fail.
        let _ = self.write_ansi(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_overwrites_line_by_line_and_wipes_only_what_is_left_over() {
        assert_eq!(
            frame("one\ntwo\n", (80, 10)),
            "\u{1b}[1;1Hone\u{1b}[K\ntwo\u{1b}[K\u{1b}[1E\u{1b}[J"
        );
        assert_eq!(frame("one\ntwo\n", (80, 1)), "\u{1b}[1;1Hone\u{1b}[K");
    }

    #[test]
    fn the_last_character_of_a_full_line_stays() {
        assert_eq!(
            frame("\u{1b}[2m失敗\u{1b}[0m\nfull\n", (4, 2)),
            "\u{1b}[1;1H\u{1b}[2m失敗\u{1b}[0m\nfull"
        );
    }
}
