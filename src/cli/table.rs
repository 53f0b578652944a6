//! Tables for people: aligned columns as wide as what they hold, cut to the width of a terminal.

use std::{borrow::Cow, iter::repeat_n};

use unicode_width::UnicodeWidthStr as _;

use super::{
    screen::{Screen, Style},
    text::{fit, fit_end, one_line},
};

/// Spaces between columns.
const GAP: usize = 2;

/// A text that is cut to less says nothing any more.
const MIN_TEXT: usize = 4;

/// A terminal of so many columns or more has room for what is left out elsewhere.
const WIDE: u16 = 120;

/// A heading, and what its column needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    heading: &'static str,
    /// How much of the room for what may be cut is its own; 0 when it may not.
    parts: usize,
    keeps_end: bool,
    is_number: bool,
    is_for_wide: bool,
}

/// A column that is cut when there is no room.
pub(super) const fn column(heading: &'static str) -> Column {
    Column {
        heading,
        parts: 1,
        keeps_end: false,
        is_number: false,
        is_for_wide: false,
    }
}

impl Column {
    /// Never cut.
    pub(super) const fn whole(mut self) -> Self {
        self.parts = 0;
        self
    }

    /// Where texts must be cut, so many parts of the room for them, while another has 1.
    pub(super) const fn parts(mut self, parts: usize) -> Self {
        self.parts = parts;
        self
    }

    /// Cut at its beginning: its end tells more.
    pub(super) const fn keeps_end(mut self) -> Self {
        self.keeps_end = true;
        self
    }

    /// Numbers: to the right, never cut.
    pub(super) const fn number(mut self) -> Self {
        self.is_number = true;
        self.whole()
    }

    /// Left out on narrow terminals.
    pub(super) const fn for_wide(mut self) -> Self {
        self.is_for_wide = true;
        self
    }

    fn cut(self, text: &str, width: usize) -> Cow<'_, str> {
        if self.keeps_end {
            fit_end(text, width)
        } else {
            fit(text, width)
        }
    }
}

/// One line of text in a table.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// The text in a style; control characters are spelled out.
    pub(super) fn new(text: &str, style: Style) -> Self {
        Self {
            text: one_line(text.trim_start()).into_owned(),
            style,
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text.as_ref(), Style::Plain)
    }
}

/// Rows under headings.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns.
    pub(super) fn new(columns: &[Column]) -> Self {
        let headings = columns.iter().map(|it| Cell::new(it.heading, Style::Dim));
        Self {
            columns: columns.to_vec(),
            rows: vec![headings.collect()],
        }
    }

    /// Adds a row, a cell for each column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as styled text, a line for each row.
    pub(super) fn into_text(mut self, screen: Screen) -> String {
        if screen.width.is_some_and(|width| width < WIDE) {
            self.narrow();
        }
        let mut widths = self.needed();
        if let Some(width) = screen.width {
            share(&self.columns, &mut widths, width.into());
        }
        let lines = self.rows.iter().map(|row| self.line(row, &widths));
        lines.collect()
    }

    /// Takes out what is for wide terminals.
    fn narrow(&mut self) {
        for row in &mut self.rows {
            let mut columns = self.columns.iter();
            row.retain(|_| columns.next().is_some_and(|column| !column.is_for_wide));
        }
        self.columns.retain(|column| !column.is_for_wide);
    }

    /// How wide each column would be with nothing cut.
    fn needed(&self) -> Vec<usize> {
        let widest = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.text.width()).max().unwrap_or(0)
        };
        (0..self.columns.len()).map(widest).collect()
    }

    fn line(&self, row: &[Cell], widths: &[usize]) -> String {
        let mut line = String::new();
        // Spaces are written before a text only, so that none end the line.
        let mut spaces = 0;
        for ((cell, column), width) in row.iter().zip(&self.columns).zip(widths) {
            let text = column.cut(&cell.text, *width);
            let free = width.saturating_sub(text.width());
            let (before, after) = if column.is_number {
                (free, 0)
            } else {
                (0, free)
            };
            spaces += before;
            if !text.is_empty() {
                line.extend(repeat_n(' ', spaces));
                line.push_str(&cell.style.paint(&text));
                spaces = 0;
            }
            spaces += after + GAP;
        }
        line.push('\n');
        line
    }
}

/// Makes the columns fit a line: what may not be cut keeps what it needs, each other gets its parts
/// of the rest, and what one does not need the others have.
fn share(columns: &[Column], widths: &mut [usize], line: usize) {
    let (mut cut, whole): (Vec<usize>, Vec<usize>) =
        (0..columns.len()).partition(|column| columns[*column].parts > 0);
    let whole: usize = whole.iter().map(|column| widths[*column]).sum();
    let gaps = GAP * columns.len().saturating_sub(1);
    let mut room = line.saturating_sub(whole + gaps);
    let parts = |cut: &[usize]| -> usize { cut.iter().map(|it| columns[*it].parts).sum() };
    while let Some(content) = cut
        .iter()
        .position(|it| widths[*it] * parts(&cut) <= room * columns[*it].parts)
    {
        room -= widths[cut.remove(content)];
    }
    for (at, column) in cut.iter().enumerate() {
        let width = room * columns[*column].parts / parts(&cut[at..]);
        room -= width;
        widths[*column] = width.max(MIN_TEXT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(table: Table, width: Option<u16>) -> String {
        let screen = Screen {
            width,
            colour: false,
        };
        screen.show(&table.into_text(screen)).into_owned()
    }

    fn sample() -> Table {
        let mut table = Table::new(&[
            column("N").number(),
            column("NAME"),
            column("KIND").for_wide(),
            column("TEXT"),
        ]);
        let row = |cells: [&str; 4]| cells.map(Cell::from);
        table.row(row(["1", "überlang", "a", "x"]));
        table.row(row([
            "12,345",
            "支払い",
            "b",
            "決済に失敗しました: 接続が拒否されました",
        ]));
        table.row(row(["7", "", "c", "\u{1b}[2J\r\nboom \u{202e}"]));
        table
    }

    #[test]
    fn columns_are_as_wide_as_their_cells_where_nothing_must_fit() {
        assert_eq!(
            shown(sample(), None),
            "     N  NAME      KIND  TEXT\n     \
                  1  überlang  a     x\n\
             12,345  支払い    b     決済に失敗しました: 接続が拒否されました\n     \
                  7            c     \\u{1b}[2J\\r\\nboom \\u{202e}\n"
        );
    }

    #[test]
    fn on_a_terminal_each_row_is_one_line_that_fits() {
        for width in 24..130 {
            let text = shown(sample(), Some(width));
            assert_eq!(text.lines().count(), 4, "{text}");
            for line in text.lines() {
                assert!(line.width() <= width.into(), "{width}: {line}");
            }
            assert_eq!(text.contains("KIND"), width >= WIDE);
            assert!(text.contains("12,345"), "{text}");
        }
        assert!(shown(sample(), Some(40)).contains('…'));
    }

    #[test]
    fn no_text_takes_the_room_of_another() {
        let table = |service: &str, endpoint: &str| {
            let mut table = Table::new(&[
                column("COUNT").number(),
                column("SERVICE").parts(2).keeps_end(),
                column("ENDPOINT").parts(3).keeps_end(),
                column("ERROR").parts(5),
            ]);
            let error = "0123456789".repeat(9);
            table.row(["1", service, endpoint, &error].map(Cell::from));
            shown(table, Some(61)).lines().nth(1).unwrap().to_owned()
        };
        assert_eq!(
            table("a-long-namespace/payment", "/api/v1/orders/{id}/pay"),
            "    1  …e/payment  …rders/{id}/pay  012345678901234567890123…"
        );
        // What one leaves the others take, in proportion.
        assert_eq!(
            table("x", "/api/v1/orders/{id}/pay"),
            "    1  x        …orders/{id}/pay  01234567890123456789012345…"
        );
        assert_eq!(
            table("x", "/"),
            format!(
                "    1  x        /         {}…",
                &"0123456789".repeat(4)[..34]
            )
        );
    }

    #[test]
    fn in_a_pipe_nothing_is_cut() {
        let long = "long ".repeat(2_000) + "end";
        let mut table = Table::new(&[column("A"), column("B")]);
        table.row([long.as_str(), "b"].map(Cell::from));
        let text = shown(table, None);
        assert!(text.ends_with("long end  b\n"), "{}", text.len());
    }
}
