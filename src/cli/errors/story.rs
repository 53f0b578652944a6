//! The parts of an error's story that need shaping: its stack, the tree of what it is made of, and
//! values of its context.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    cli::text::{fit, many_lines, one_line},
    domain::{ApiError, Sighting, SightingKind, SpanId},
};

/// Lines of a long stack that are shown: where it was thrown stands at its beginning in some
/// languages, and at its end in others.
const FIRST_LINES: usize = 20;
const LAST_LINES: usize = 10;

/// Columns that are kept for the keys of values.
const MAX_KEY_COLUMNS: usize = 40;

/// Keys of the context that the tree and the group tell.
pub(super) fn is_told(key: &str) -> bool {
    matches!(key, "evidence" | "evidenceOmitted" | "fingerprintBasis")
}

/// What the errors of a group have in common, a line each.
pub(super) fn basis(error: &ApiError, width: usize) -> String {
    let lines = error
        .context
        .get("fingerprintBasis")
        .and_then(Value::as_array);
    let lines: Vec<&str> = lines
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    let lines = lines.iter().map(|line| {
        let line = format!("  {}", one_line(line));
        fit(&line, width).into_owned() + "\n"
    });
    "alike in\n".to_owned() + &lines.collect::<String>()
}

/// The stack, its middle left out when it is long.
pub(super) fn stack(stack: &str, full: bool) -> String {
    let stack = many_lines(stack.trim_end());
    let lines: Vec<&str> = stack.lines().collect();
    // What takes the place of one line saves nothing.
    if full || lines.len() <= FIRST_LINES + LAST_LINES + 1 {
        return lines.join("\n") + "\n";
    }
    let left_out = lines.len() - FIRST_LINES - LAST_LINES;
    let note = format!("  … {left_out} more lines: --full shows them");
    let (first, last) = (&lines[..FIRST_LINES], &lines[lines.len() - LAST_LINES..]);
    [first, &[&note], last].concat().join("\n") + "\n"
}

/// A value of the context: a line for each key, or the value alone.
pub(super) fn values(value: &Value, width: usize) -> String {
    let Value::Object(values) = value else {
        return fit(&plain(value), width).into_owned() + "\n";
    };
    let longest = values.keys().map(|key| one_line(key).chars().count()).max();
    // A long key must not push every value out of sight.
    let keys = longest.unwrap_or(0).min(width / 2).min(MAX_KEY_COLUMNS);
    values
        .iter()
        .map(|(key, value)| {
            let line = format!("{:<keys$}  {}", one_line(key), plain(value));
            fit(&line, width).into_owned() + "\n"
        })
        .collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => one_line(text).into_owned(),
        other => one_line(&other.to_string()).into_owned(),
    }
}

/// Which spans and exceptions the error is made of, as a tree; when its trace is remembered no
/// more, as a list.
pub(super) fn evidence(error: &ApiError, sightings: &[Sighting], width: usize) -> String {
    let mut text = if sightings.iter().any(|it| it.row == Some(error.id)) {
        Tree::new(error, sightings).text(width)
    } else {
        list(error, width)
    };
    if let Some(omitted) = error.context.get("evidenceOmitted").and_then(Value::as_u64) {
        let note = format!("and {omitted} more\n");
        text.push_str(&note);
    }
    if text.is_empty() {
        text.push_str("what was logged\n");
    }
    text
}

fn list(error: &ApiError, width: usize) -> String {
    let items = error.context.get("evidence").and_then(Value::as_array);
    let lines = items.into_iter().flatten().map(|item| {
        let part = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
        let kind = match part("kind") {
            "failed_span" => "failed span",
            other => other,
        };
        let what = thrown(part("type"), part("message"));
        let line = [kind, part("spanId"), &what].join(" ");
        fit(&one_line(line.trim_end()), width).into_owned() + "\n"
    });
    lines.collect()
}

fn thrown(short_type: &str, first_line: &str) -> String {
    match (short_type, first_line) {
        ("", message) => message.to_owned(),
        (short_type, "") => short_type.to_owned(),
        (short_type, message) => format!("{short_type}: {message}"),
    }
}

/// The spans of an error, and those between them and the request.
struct Tree<'a> {
    error: &'a ApiError,
    /// What was seen on each span, in order of arrival.
    spans: BTreeMap<SpanId, Vec<&'a Sighting>>,
    /// Spans that lead to a member.
    shown: BTreeSet<SpanId>,
}

impl<'a> Tree<'a> {
    fn new(error: &'a ApiError, sightings: &'a [Sighting]) -> Self {
        let mut spans = BTreeMap::<SpanId, Vec<&Sighting>>::new();
        for sighting in sightings {
            if let Some(span) = sighting.span_id {
                spans.entry(span).or_default().push(sighting);
            }
        }
        let mut tree = Self {
            error,
            spans,
            shown: BTreeSet::new(),
        };
        for sighting in sightings.iter().filter(|it| tree_member(error, it)) {
            let mut next = sighting.span_id;
            // Ends at a span that is shown already, so at a circle too.
            while let Some(span) = next.filter(|span| tree.spans.contains_key(span)) {
                if !tree.shown.insert(span) {
                    break;
                }
                next = tree.parent(span);
            }
        }
        tree
    }

    /// The first sighting of a span decides where it hangs.
    fn parent(&self, span: SpanId) -> Option<SpanId> {
        self.spans.get(&span)?.first()?.parent_span_id
    }

    fn text(mut self, width: usize) -> String {
        let mut text = String::new();
        while let Some(root) = self.root() {
            self.draw(root, "", "", width, &mut text);
        }
        text
    }

    /// A span that hangs on none of those left to show; on a circle any.
    fn root(&self) -> Option<SpanId> {
        let is_root = |span: &&SpanId| {
            self.parent(**span)
                .is_none_or(|parent| !self.shown.contains(&parent))
        };
        let root = self.shown.iter().find(is_root);
        root.or(self.shown.first()).copied()
    }

    fn draw(&mut self, span: SpanId, branch: &str, indent: &str, width: usize, text: &mut String) {
        self.shown.remove(&span);
        let line = format!("{branch}{}", one_line(&self.span_text(span)));
        text.push_str(&fit(&line, width));
        text.push('\n');
        let exceptions: Vec<String> = self.exceptions(span);
        let children: Vec<SpanId> = self
            .shown
            .iter()
            .copied()
            .filter(|child| self.parent(*child) == Some(span))
            .collect();
        let mut left = exceptions.len() + children.len();
        let mut next = || {
            left -= 1;
            if left > 0 {
                ("├─ ", "│  ")
            } else {
                ("└─ ", "   ")
            }
        };
        for exception in exceptions {
            let line = [indent, next().0, &*one_line(&exception)].concat();
            text.push_str(&fit(&line, width));
            text.push('\n');
        }
        for child in children {
            let (branch, below) = next();
            let (branch, below) = ([indent, branch].concat(), [indent, below].concat());
            self.draw(child, &branch, &below, width, text);
        }
    }

    fn sightings(&self, span: SpanId) -> &[&'a Sighting] {
        self.spans.get(&span).map_or(&[], Vec::as_slice)
    }

    fn span_text(&self, span: SpanId) -> String {
        let sightings = self.sightings(span);
        let facts = sightings
            .iter()
            .filter(|it| it.is_entry)
            .find_map(|it| it.facts.as_ref());
        let request = facts.map_or_else(String::new, |facts| {
            let status = facts.status_code.map(|it| format!(", answered {it}"));
            let status = status.unwrap_or_default();
            format!("  {} {}{status}", facts.method, facts.endpoint)
        });
        let failed = sightings
            .iter()
            .find(|it| it.kind == SightingKind::FailedSpan);
        let outcome = match failed.map(|failed| thrown_text(failed)) {
            None => "did not fail".to_owned(),
            Some(None) => "failed".to_owned(),
            Some(Some(thrown)) => format!("failed: {thrown}"),
        };
        let begins = self.error.span_id == Some(span) && self.spans.len() > 1;
        let begins = if begins { "  here it began," } else { " " };
        format!("span {span}{request}{begins} {outcome}")
    }

    /// What was thrown on a span that did not fail, or logged on it, and is part of the error.
    fn exceptions(&self, span: SpanId) -> Vec<String> {
        self.sightings(span)
            .iter()
            .filter(|it| tree_member(self.error, it))
            .filter_map(|sighting| {
                let what = thrown_text(sighting).unwrap_or_default();
                match sighting.kind {
                    SightingKind::Exception => Some(format!("exception {what}")),
                    SightingKind::Log => Some(format!("log record {what}")),
                    SightingKind::FailedSpan | SightingKind::Span => None,
                }
            })
            .collect()
    }
}

fn tree_member(error: &ApiError, sighting: &Sighting) -> bool {
    sighting.row == Some(error.id)
}

fn thrown_text(sighting: &Sighting) -> Option<String> {
    let it = sighting.thrown.as_ref()?;
    Some(thrown(&it.short_type, &it.first_line)).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        domain::{Fingerprint, Timestamp},
        store::NewApiError,
    };

    fn error(context: Value) -> ApiError {
        let new = NewApiError {
            endpoint: "/".to_owned(),
            method: "GET".to_owned(),
            error_message: "boom".to_owned(),
            ..NewApiError::default()
        };
        let row = new.into_row(Timestamp::EPOCH, |_| Fingerprint("1:x".to_owned()));
        let mut row = row.unwrap();
        row.context = serde_json::from_value(context).unwrap();
        row
    }

    #[test]
    fn what_a_group_has_in_common_is_told_line_by_line() {
        let error = error(json!({"fingerprintBasis": ["service shop", "at a\u{1b}[31m"]}));
        let told = basis(&error, usize::MAX);
        assert!(
            told.starts_with("alike in\n  service shop\n  at a"),
            "{told}"
        );
        assert!(!told.contains('\u{1b}'), "{told}");
        assert_eq!(basis(&self::error(json!({})), usize::MAX), "");
    }

    fn span(number: u8) -> String {
        format!("{number:02x}").repeat(8)
    }

    /// Failed spans, each with its parent, all of them members of the error.
    fn failed(error: &ApiError, spans: &[(u8, u8)]) -> Vec<Sighting> {
        let sightings = spans.iter().map(|(number, parent)| {
            json!({
                "key": uuid::Uuid::from_u128(u128::from(*number)),
                "kind": "failed_span", "spanId": span(*number), "parentSpanId": span(*parent),
                "thrown": {"shortType": "Boom", "firstLine": "\u{1b}[2J"}, "row": error.id
            })
        });
        serde_json::from_value(sightings.collect()).unwrap()
    }

    #[test]
    fn a_long_stack_loses_its_middle_and_says_so() {
        let lines = |count: usize| {
            let lines: Vec<String> = (1..=count).map(|it| it.to_string() + "\n").collect();
            lines.concat()
        };
        assert_eq!(stack(&lines(31), false), lines(31));
        let cut = stack(&lines(32), false);
        assert_eq!(cut.lines().count(), 31);
        assert!(
            cut.contains("\n20\n  … 2 more lines: --full shows them\n23\n"),
            "{cut}"
        );
        assert_eq!(stack(&lines(32), true), lines(32));
    }

    #[test]
    fn spans_hang_below_their_parents_whatever_order_they_came_in() {
        let error = error(json!({}));
        let tree = evidence(
            &error,
            &failed(&error, &[(4, 2), (3, 1), (2, 1), (1, 9)]),
            60,
        );
        let line = |number| format!("span {}  failed: Boom: \\u{{1b}}[2J\n", span(number));
        assert_eq!(
            tree,
            [
                line(1),
                "├─ ".to_owned() + &line(2),
                "│  └─ ".to_owned() + &line(4),
                "└─ ".to_owned() + &line(3)
            ]
            .concat()
        );
        for line in evidence(&error, &failed(&error, &[(2, 1), (1, 9)]), 20).lines() {
            assert!(line.chars().count() <= 20, "{line}");
        }
    }

    #[test]
    fn spans_that_are_their_own_ancestors_are_shown_once_each() {
        let error = error(json!({}));
        let tree = evidence(&error, &failed(&error, &[(1, 2), (2, 1), (3, 3)]), 80);
        assert_eq!(tree.lines().count(), 3, "{tree}");
        for number in 1..=3 {
            assert!(tree.contains(&span(number)), "{tree}");
        }
    }

    #[test]
    fn without_its_trace_an_error_still_lists_what_it_is_made_of() {
        let told = error(json!({
            "evidence": [
                {"kind": "failed_span", "spanId": span(1), "type": "Boom", "message": "no\u{7}"},
                {"kind": "exception", "spanId": span(2), "type": "", "message": "quiet"}
            ],
            "evidenceOmitted": 14
        }));
        assert_eq!(
            evidence(&told, &[], 80),
            format!(
                "failed span {} Boom: no\\u{{7}}\nexception {} quiet\nand 14 more\n",
                span(1),
                span(2)
            )
        );
        // The trace is remembered, but of another error.
        let other = error(json!({}));
        let lines = evidence(&told, &failed(&other, &[(1, 9)]), 80);
        assert!(lines.starts_with("failed span "), "{lines}");
        assert_eq!(evidence(&other, &[], 80), "what was logged\n");
    }

    #[test]
    fn values_stand_in_a_column_and_are_cut_to_the_width() {
        let value = json!({"a": "x\ny", "long.key": [1, {"b": null}], "n": 3});
        assert_eq!(
            values(&value, 80),
            "a         x\\ny\nlong.key  [1,{\"b\":null}]\nn         3\n"
        );
        assert_eq!(values(&json!("abcdefgh"), 5), "abcd…\n");
    }
}
