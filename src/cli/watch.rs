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

use crate::{clock, domain::Timestamp, failure::Failure};

use super::{
    screen::print,
    text::{fit, one_line, time_of_day},
};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(2);

/// Shows what `look` gives, again and again, until Ctrl-C; the last of it stays on the terminal.
/// While the database is away, what was seen last stays in sight, with the sentence that says why.
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
    let mut seen = Seen::default();
    // The first look at a large ledger may take its time.
    draw(&seen)?;
    loop {
        let look = async {
            let looked = look().await;
            seen.take(looked, clock::now());
            draw(&seen)
        };
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            drawn = look => drawn?,
        }
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = resized.recv() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
    drop(view);
    print(&seen.last())
}

/// What the looks have shown so far.
#[derive(Default)]
struct Seen {
    /// What the last good look showed, and when.
    good: Option<(String, Timestamp)>,
    /// Why there was nothing to see since.
    failed: Option<(String, Timestamp)>,
}

impl Seen {
    fn take(&mut self, looked: Result<String, Failure>, now: Timestamp) {
        match looked {
            Ok(text) => {
                self.good = Some((text, now));
                self.failed = None;
            }
            Err(failure) => self.failed = Some((one_line(&failure.to_string()).into_owned(), now)),
        }
    }

    /// A screen of it: how this goes on, what was seen, and at the bottom why it is not of now.
    fn page(&self, columns: usize, rows: usize) -> String {
        let looked = self.failed.as_ref().or(self.good.as_ref());
        let at = looked.map_or_else(String::new, |(_, at)| format!(", {} UTC", time_of_day(*at)));
        let every = INTERVAL.as_secs();
        let first = format!("every {every} s, Ctrl-C ends{at}");
        let failed = self.failed_line();
        let room = rows.saturating_sub(if failed.is_some() { 2 } else { 1 });
        let text = self.good.as_ref().map_or("", |(text, _)| text);
        let mut page = fit(&first, columns).into_owned() + "\n";
        for line in text.lines().take(room) {
            page.push_str(line);
            page.push('\n');
        }
        if let Some(line) = failed {
            page.push_str(&fit(&line, columns));
            page.push('\n');
        }
        page
    }

    /// What stays when nobody watches any more.
    fn last(&self) -> String {
        let text = self.good.as_ref().map_or("", |(text, _)| text);
        let failed = self.failed_line().map(|line| line + "\n");
        [text, failed.as_deref().unwrap_or_default()].concat()
    }

    fn failed_line(&self) -> Option<String> {
        let (why, _) = self.failed.as_ref()?;
        Some(match &self.good {
            Some((_, at)) => format!("this was seen at {} UTC: {why}", time_of_day(*at)),
            None => why.clone(),
        })
    }
}

fn draw(seen: &Seen) -> Result<(), Failure> {
    let (columns, rows) = size();
    print(&frame(&seen.page(columns, rows), (columns, rows)))
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
    fn what_was_seen_last_stays_while_the_database_is_away() {
        let at = |seconds| Timestamp::EPOCH.plus_seconds(seconds);
        let away = || Err(Failure::Unreachable("away\u{7}".to_owned()));
        let mut seen = Seen::default();
        assert_eq!(seen.page(80, 10), "every 2 s, Ctrl-C ends\n");
        seen.take(away(), at(0));
        assert_eq!(
            seen.page(80, 10),
            "every 2 s, Ctrl-C ends, 00:00:00 UTC\naway\\u{7}\n"
        );
        seen.take(Ok("one\ntwo\nthree\n".to_owned()), at(2));
        assert_eq!(
            seen.page(80, 3),
            "every 2 s, Ctrl-C ends, 00:00:02 UTC\none\ntwo\n"
        );
        seen.take(away(), at(4));
        assert_eq!(
            seen.page(30, 4),
            "every 2 s, Ctrl-C ends, 00:00…\none\ntwo\nthis was seen at 00:00:02 UTC…\n"
        );
        assert_eq!(
            seen.last(),
            "one\ntwo\nthree\nthis was seen at 00:00:02 UTC: away\\u{7}\n"
        );
        seen.take(Ok("two\n".to_owned()), at(6));
        assert_eq!(seen.last(), "two\n");
    }

    #[test]
    fn the_last_character_of_a_full_line_stays() {
        assert_eq!(
            frame("\u{1b}[2m失敗\u{1b}[0m\nfull\n", (4, 2)),
            "\u{1b}[1;1H\u{1b}[2m失敗\u{1b}[0m\nfull"
        );
    }
}
