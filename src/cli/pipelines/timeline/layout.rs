//! The columns of a timeline: what stands beside the bars gets what it needs, as far as the bars
//! leave room.

use std::iter::repeat_n;

use unicode_width::UnicodeWidthStr as _;

use crate::cli::{screen::Style, text::fit};

/// A terminal of fewer columns has no room for what can be left out.
const NARROW: u16 = 60;

/// Columns of the bars where nothing must fit.
const USUAL_BARS: usize = 60;

/// Columns of the bars at least, and at most: longer ones tell no more.
const MIN_BARS: usize = 8;
const MAX_BARS: usize = 100;

/// Columns of names that are kept whatever else there is.
const MIN_NAME: usize = 8;

/// The texts beside a bar.
pub(super) struct Texts {
    pub(super) name: String,
    pub(super) status: String,
    pub(super) took: String,
}

/// Columns that each part of a line takes.
pub(super) struct Layout {
    name: usize,
    status: usize,
    pub(super) bars: usize,
    took: usize,
    /// Between two of them.
    gap: usize,
}

impl Layout {
    pub(super) fn is_narrow(width: Option<u16>) -> bool {
        width.is_some_and(|width| width < NARROW)
    }

    /// For these texts; where nothing must fit none is cut.
    pub(super) fn of(texts: &[Texts], has_bars: bool, width: Option<u16>) -> Self {
        let widest = |heading: &str, text: fn(&Texts) -> &String| {
            let widths = texts.iter().map(|it| text(it).width());
            widths.max().unwrap_or(0).max(heading.len())
        };
        let name = widest("STAGE", |it| &it.name);
        let status = widest("STATUS", |it| &it.status);
        let took = widest("TOOK", |it| &it.took);
        let gap = if Self::is_narrow(width) { 1 } else { 2 };
        let room = width.map(|width| usize::from(width).saturating_sub(status + took + 3 * gap));
        let name = room.map_or(name, |room| name.min(MIN_NAME.max(room / 3)));
        let bars = room.map_or(USUAL_BARS, |room| room.saturating_sub(name));
        Self {
            name,
            status,
            bars: if has_bars {
                bars.clamp(MIN_BARS, MAX_BARS)
            } else {
                0
            },
            took,
            gap,
        }
    }

    /// A line of name, status, bar and duration.
    pub(super) fn line(&self, cells: [(&str, Style); 4]) -> String {
        let widths = [self.name, self.status, self.bars, self.took];
        let mut line = String::new();
        // Spaces are written before a text only, so that none end the line.
        let mut spaces = 0;
        for (number, ((text, style), width)) in cells.into_iter().zip(widths).enumerate() {
            let text = fit(text, width);
            let free = width.saturating_sub(text.width());
            let is_last = number + 1 == widths.len();
            let (before, after) = if is_last { (free, 0) } else { (0, free) };
            spaces += before;
            if !text.is_empty() {
                line.extend(repeat_n(' ', spaces));
                line.push_str(&style.paint(&text));
                spaces = 0;
            }
            spaces += after + self.gap;
        }
        line.push('\n');
        line
    }
}
