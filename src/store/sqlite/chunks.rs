//! Statements with many rows of values, in a few fixed sizes, so that each is prepared once.

use std::sync::OnceLock;

/// Rows in one statement: any number is a few of these, because each statement is a way to the
/// database's thread and back. Of the widest table, 64 stay far below SQLite's 32,766 parameters.
const SIZES: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// A statement around a list of values.
pub(super) struct Chunked {
    head: &'static str,
    row: Row,
    tail: &'static str,
    sql: [OnceLock<String>; SIZES.len()],
}

enum Row {
    /// `(?, ?, …)`, this many.
    Tuple(usize),
    /// `?`
    Single,
}

impl Chunked {
    /// `head (?, …), (?, …) tail`: rows of so many values.
    pub(super) const fn rows(head: &'static str, columns: usize, tail: &'static str) -> Self {
        Self::new(head, Row::Tuple(columns), tail)
    }

    /// `head ?, ?, ? tail`.
    pub(super) const fn list(head: &'static str, tail: &'static str) -> Self {
        Self::new(head, Row::Single, tail)
    }

    const fn new(head: &'static str, row: Row, tail: &'static str) -> Self {
        Self {
            head,
            row,
            tail,
            sql: [const { OnceLock::new() }; SIZES.len()],
        }
    }

    /// The items in order, cut into pieces, each with the statement for so many.
    pub(super) fn pieces<'a, T>(
        &'static self,
        items: &'a [T],
    ) -> impl Iterator<Item = (&'static str, &'a [T])> + use<'a, T> {
        let mut rest = items;
        std::iter::from_fn(move || {
            let (index, &size) = SIZES
                .iter()
                .enumerate()
                .find(|&(_, &size)| size <= rest.len())?;
            let (piece, after) = rest.split_at(size);
            rest = after;
            Some((self.sql(index), piece))
        })
    }

    fn sql(&'static self, index: usize) -> &'static str {
        self.sql[index].get_or_init(|| {
            let row = match self.row {
                Row::Tuple(columns) => format!("({})", vec!["?"; columns].join(", ")),
                Row::Single => "?".to_owned(),
            };
            let rows = vec![row; SIZES[index]].join(", ");
            format!("{}{rows}{}", self.head, self.tail)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_in_one_piece_and_in_order() {
        static STATEMENT: Chunked = Chunked::rows("VALUES ", 2, "");
        for count in [0, 1, 2, 7, 63, 64, 65, 127, 161] {
            let items: Vec<usize> = (0..count).collect();
            let pieces: Vec<_> = STATEMENT.pieces(&items).collect();
            let together: Vec<usize> = pieces
                .iter()
                .flat_map(|(_, piece)| *piece)
                .copied()
                .collect();
            assert_eq!(together, items);
            for (sql, piece) in pieces {
                assert_eq!(sql.matches("(?, ?)").count(), piece.len());
            }
        }
    }

    #[test]
    fn a_list_stands_between_head_and_tail() {
        static STATEMENT: Chunked = Chunked::list("SELECT 1 WHERE 1 IN (", ")");
        let (sql, _) = STATEMENT.pieces(&[7]).next().expect("a piece");
        assert_eq!(sql, "SELECT 1 WHERE 1 IN (?)");
    }
}
