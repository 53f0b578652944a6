//! The scale of a timeline: which column an instant stands in, and the axis that says so.

use unicode_width::UnicodeWidthStr as _;

use crate::domain::Timestamp;

use super::between;

/// Columns from one mark of the axis to the next, at least: what its label needs, with some air.
const BETWEEN_MARKS: usize = 10;

/// The same on an axis that is too short for two of these.
const BETWEEN_NEAR_MARKS: usize = 6;

/// Steps that people count in between a second and a day, in seconds.
const STEPS_SECONDS: [i64; 17] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
];

const SECOND_MICROS: i64 = 1_000_000;

const DAY_MICROS: i64 = 86_400 * SECOND_MICROS;

/// From the first instant to the last.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Scale {
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

impl Scale {
    /// Over all of these instants, and until then; none when nothing has begun.
    pub(super) fn over(
        told: impl Iterator<Item = Timestamp> + Clone,
        until: Option<Timestamp>,
    ) -> Option<Self> {
        Some(Self {
            first: told.clone().min()?,
            last: told.max().max(until)?,
        })
    }

    pub(super) fn micros(&self) -> i64 {
        between(self.first, self.last)
    }

    /// The column nearest to the instant, of so many; the last instant lies behind the last one.
    pub(super) fn column(&self, at: Timestamp, columns: usize) -> usize {
        column(between(self.first, at), self.micros(), columns)
    }

    /// Marks with the time since the first instant, in round steps.
    pub(super) fn axis(&self, columns: usize) -> String {
        let micros = self.micros();
        let step = step(micros, columns);
        let mut axis = String::new();
        let mut at = 0;
        while at <= micros {
            let column = column(at, micros, columns);
            if column >= columns {
                break;
            }
            let label = format!("╷{}", since(at));
            axis.push_str(&" ".repeat(column.saturating_sub(axis.width())));
            let has_room = column + label.width() <= columns;
            axis.push_str(if has_room { &label } else { "╷" });
            at += step;
        }
        axis
    }
}

fn column(offset: i64, micros: i64, columns: usize) -> usize {
    let (offset, micros) = (i128::from(offset), i128::from(micros.max(1)));
    let nearest = (2 * offset * columns as i128 + micros) / (2 * micros);
    usize::try_from(nearest).unwrap_or(0).min(columns)
}

/// The shortest step whose marks have room.
fn step(micros: i64, columns: usize) -> i64 {
    let decimal = |unit: i64, digits: u32| {
        (0..digits).flat_map(move |digit| [1, 2, 5].map(|number| number * unit * 10_i64.pow(digit)))
    };
    let steps = decimal(1, 6)
        .chain(STEPS_SECONDS.map(|seconds| seconds * SECOND_MICROS))
        .chain(decimal(DAY_MICROS, 7));
    let between = if columns < 2 * BETWEEN_MARKS {
        BETWEEN_NEAR_MARKS
    } else {
        BETWEEN_MARKS
    };
    let has_room = |step: &i64| column(*step, micros, columns) >= between;
    steps.clone().find(has_room).or(steps.last()).unwrap_or(1)
}

/// `0`, `250ms`, `1.5s`, `1m30s`, `2h`, `1d12h`: without what is zero.
fn since(micros: i64) -> String {
    match micros {
        0 => "0".to_owned(),
        1..1_000 => format!("{micros}µs"),
        1_000..SECOND_MICROS => thousandths(micros) + "ms",
        SECOND_MICROS..60_000_000 => thousandths(micros / 1_000) + "s",
        _ => {
            let seconds = micros / SECOND_MICROS;
            let parts = [
                (seconds / 86_400, "d"),
                (seconds % 86_400 / 3_600, "h"),
                (seconds % 3_600 / 60, "m"),
                (seconds % 60, "s"),
            ];
            let parts = parts.into_iter().filter(|(number, _)| *number != 0);
            parts
                .map(|(number, unit)| number.to_string() + unit)
                .collect()
        }
    }
}

/// `1.5` of 1500.
fn thousandths(number: i64) -> String {
    let text = format!("{}.{:03}", number / 1_000, number % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(micros: i64) -> Scale {
        Scale {
            first: Timestamp::EPOCH,
            last: Timestamp::from_micros(micros),
        }
    }

    #[test]
    fn marks_stand_at_round_times_whatever_the_length() {
        for (micros, axis) in [
            (0, "╷0"),
            (1, "╷0"),
            (40, "╷0        ╷10µs     ╷20µs     ╷30µs"),
            (1_300, "╷0             ╷500µs          ╷1ms"),
            (2_000_000, "╷0        ╷500ms    ╷1s       ╷1.5s"),
            (87_000_000, "╷0            ╷30s          ╷1m"),
            (210_000_000, "╷0         ╷1m         ╷2m        ╷3m"),
            (30 * DAY_MICROS, "╷0           ╷10d          ╷20d"),
            (5_400_000_000, "╷0           ╷30m          ╷1h"),
        ] {
            assert_eq!(scale(micros).axis(40), axis);
        }
    }

    #[test]
    fn a_short_axis_has_a_mark_beside_the_first_too() {
        assert_eq!(scale(140_000_000).axis(14), "╷0    ╷1m   ╷");
        assert_eq!(scale(12_000_000).axis(8), "╷0     ╷");
        assert_eq!(scale(9_000_000).axis(8), "╷0");
    }

    #[test]
    fn no_axis_is_wider_than_its_columns_and_no_mark_leaves_its_column() {
        let longest = Timestamp::from_micros(i64::MAX).as_micros();
        for columns in [0, 1, 8, 10, 36, 76, 100] {
            for power in 0..58 {
                for micros in [1_i64 << power, (1 << power) * 5 / 3, longest] {
                    let scale = scale(micros);
                    let axis = scale.axis(columns);
                    assert!(axis.width() <= columns, "{micros}: {axis}");
                    let marks = axis.chars().enumerate().filter(|(_, it)| *it == '╷');
                    let step = step(scale.micros(), columns);
                    for (number, (at, _)) in (0..).zip(marks) {
                        let instant = Timestamp::from_micros(step * number);
                        assert_eq!(scale.column(instant, columns), at);
                    }
                }
            }
        }
    }

    #[test]
    fn the_years_from_1_to_9999_have_an_axis_too() {
        let scale = Scale {
            first: Timestamp::from_micros(i64::MIN),
            last: Timestamp::from_micros(i64::MAX),
        };
        assert_eq!(scale.column(scale.last, 76), 76);
        let axis = scale.axis(76);
        assert!(axis.contains("╷1000000d"), "{axis}");
    }
}
