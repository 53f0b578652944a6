//! How far long work has come, on a line of the terminal that is gone when the work is done. Files
//! and pipes see nothing of it.

use std::io::{IsTerminal as _, Write as _, stderr};

use crossterm::{
    Command as _,
    terminal::{Clear, ClearType},
};

/// The line.
pub(super) struct Progress {
    is_seen: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            is_seen: stderr().is_terminal(),
        }
    }

    /// Shows how far it has come now.
    pub(super) fn show(&mut self, text: &str) {
        if !self.is_seen {
            return;
        }
        let mut line = String::from("\r");
        // Writing to a String cannot fail, and work goes on when nobody can be told of it.
        let _ = Clear(ClearType::CurrentLine).write_ansi(&mut line);
        line.push_str(text);
        let mut screen = stderr().lock();
        let _ = screen.write_all(line.as_bytes());
        let _ = screen.flush();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.show("");
    }
}
