//! Text for people: aligned columns, and nothing that a terminal would take for a command.

use std::{borrow::Cow, io::Write as _};

use crate::failure::Failure;

/// Rows under headings; every column but the last is as wide as its widest cell.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub(super) fn new(headings: &[&str]) -> Self {
        Self {
            rows: vec![headings.iter().map(ToString::to_string).collect()],
        }
    }

    /// Adds a row, a cell for each heading.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().map(|cell| one_line(&cell).into_owned());
        self.rows.push(cells.collect());
    }

    /// The table as text, a line for each row.
    pub(super) fn into_text(self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths = vec![0; columns];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (width, cell) in widths.iter().zip(row) {
                line.push_str(cell);
                let padding = width - cell.chars().count() + 2;
                line.extend(std::iter::repeat_n(' ', padding));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// The text on one line, control characters spelled out.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(spelled_out).collect())
}

/// The text with its lines and tabs, other control characters spelled out.
pub(super) fn many_lines(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\n' | '\t' => character.to_string(),
            other => spelled_out(other),
        })
        .collect()
}

/// The first line of a text, at most so many characters of it.
pub(super) fn beginning(text: &str, max_chars: usize) -> String {
    let line = text.trim_start().lines().next().unwrap_or_default();
    match line.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// Control characters, and those that turn the direction of a line around.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn spelled_out(character: char) -> String {
    if is_unsafe(character) {
        character.escape_default().to_string()
    } else {
        character.to_string()
    }
}

/// A number of things: `1 error`, `2 errors`, `2 mismatches`.
pub(super) fn count(number: i64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ if what.ends_with("ch") => format!("{number} {what}es"),
        _ => format!("{number} {what}s"),
    }
}

/// Writes to standard output. A reader that stopped listening, as `head` does, is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters_and_lines_end_with_a_cell() {
        let mut table = Table::new(&["NAME", "N"]);
        table.row(["überlang".to_owned(), "1".to_owned()]);
        table.row(["x".to_owned(), String::new()]);
        assert_eq!(table.into_text(), "NAME      N\nüberlang  1\nx\n");
    }

    #[test]
    fn no_text_can_talk_to_the_terminal() {
        assert_eq!(one_line("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(many_lines("a\n\tb\r\u{7}"), "a\n\tb\\r\\u{7}");
        assert_eq!(one_line("\u{202e}txt"), "\\u{202e}txt");
    }

    #[test]
    fn a_beginning_is_the_first_line_up_to_a_length() {
        assert_eq!(beginning("\n first\nsecond", 20), "first");
        assert_eq!(beginning("äöü", 2), "äö…");
    }
}
