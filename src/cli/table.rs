//! Tables for people: aligned columns as wide as what they hold, cut to the width of a terminal.

use comfy_table::{
    Attribute, Cell as StyledCell, CellAlignment, ColumnConstraint, ContentArrangement, Row,
    Table as Layout, presets,
};

use super::{
    screen::{Screen, Style, always_styled},
    text::{beginning, one_line},
};

/// Spaces between columns.
const GAP: u16 = 2;

/// As much of a text as a cell shows, whatever its width.
const MAX_CELL_CHARS: usize = 160;

/// A terminal of so many columns or more has room for what is left out elsewhere.
const WIDE: u16 = 120;

/// A heading, and what its column needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    heading: &'static str,
    is_whole: bool,
    is_number: bool,
    is_for_wide: bool,
}

/// A column that is cut when there is no room.
pub(super) const fn column(heading: &'static str) -> Column {
    Column {
        heading,
        is_whole: false,
        is_number: false,
        is_for_wide: false,
    }
}

impl Column {
    /// Never cut.
    pub(super) const fn whole(mut self) -> Self {
        self.is_whole = true;
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
        let text = beginning(&one_line(text), MAX_CELL_CHARS);
        // Escapes around nothing would be kept at the end of a line.
        let style = if text.is_empty() { Style::Plain } else { style };
        Self { text, style }
    }

    fn styled(self) -> StyledCell {
        let mut cell = StyledCell::new_owned(self.text);
        if let Some(color) = self.style.color() {
            cell = cell.fg(color);
        }
        if self.style.is_bold() {
            cell = cell.add_attribute(Attribute::Bold);
        }
        if self.style.is_dim() {
            cell = cell.add_attribute(Attribute::Dim);
        }
        cell
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
    layout: Layout,
}

impl Table {
    /// A table with these columns.
    pub(super) fn new(columns: &[Column]) -> Self {
        always_styled();
        let mut layout = Layout::new();
        layout.load_style(presets::NOTHING).enforce_styling();
        layout.style_text_only();
        // No text has one: a cell is cut where the column ends, not at a word before.
        layout.set_delimiter('\0');
        let headings = columns.iter().map(|column| column.heading);
        layout.set_header(line(headings.map(|heading| Cell::new(heading, Style::Dim))));
        Self {
            columns: columns.to_vec(),
            layout,
        }
    }

    /// Adds a row, a cell for each column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.layout.add_row(line(cells));
    }

    /// The table as styled text, a line for each row.
    pub(super) fn into_text(mut self, screen: Screen) -> String {
        if let Some(width) = screen.width {
            self.layout
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width);
        }
        let is_wide = screen.width.is_none_or(|width| width >= WIDE);
        for (column, laid_out) in self.columns.iter().zip(self.layout.column_iter_mut()) {
            laid_out.set_padding((0, GAP));
            if column.is_number {
                laid_out.set_cell_alignment(CellAlignment::Right);
            }
            if column.is_for_wide && !is_wide {
                laid_out.set_constraint(ColumnConstraint::Hidden);
            } else if column.is_whole {
                laid_out.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        if let Some(last) = self.layout.column_mut(self.columns.len() - 1) {
            last.set_padding((0, 0));
        }
        let mut text = self.layout.trim_fmt();
        text.push('\n');
        text
    }
}

fn line(cells: impl IntoIterator<Item = Cell>) -> Row {
    let mut row = Row::from(cells.into_iter().map(Cell::styled).collect::<Vec<_>>());
    row.max_height(1);
    row
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

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
}
