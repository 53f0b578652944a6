//! Checks of what application code gives to be stored: every column's limits, said at once, and
//! texts and JSON as both databases keep them.

use serde::Serialize;
use serde_json::{Map, Number, Value};

use super::InvalidField;

/// Deeper JSON is refused.
pub(super) const MAX_JSON_DEPTH: usize = 64;

/// All texts and JSON of one row together.
pub(super) const MAX_ROW_BYTES: usize = 128 * 1024;

/// As much of a wrong value as an answer repeats.
const MAX_SHOWN_CHARS: usize = 60;

/// What was found to be wrong so far.
#[derive(Default)]
pub(super) struct Checks {
    /// Fields that cannot be stored.
    pub(super) invalid: Vec<InvalidField>,
    /// Columns that had to be cut.
    pub(super) cut: Vec<&'static str>,
}

impl Checks {
    /// Refuses a field.
    pub(super) fn refuse(
        &mut self,
        field: &'static str,
        value: impl std::fmt::Debug,
        advice: impl Into<String>,
    ) {
        let mut value = format!("{value:?}");
        if let Some((end, _)) = value.char_indices().nth(MAX_SHOWN_CHARS) {
            value.truncate(end);
            value.push('…');
        }
        self.invalid.push(InvalidField {
            field: field.into(),
            value,
            advice: advice.into(),
        });
    }

    /// A text of one line with a column's limit. An empty one is none.
    pub(super) fn word(
        &mut self,
        field: &'static str,
        value: Option<String>,
        max: usize,
    ) -> Option<String> {
        let value = value.filter(|value| !value.is_empty())?;
        if value.chars().any(char::is_control) {
            self.refuse(field, &value, "take the control characters out");
        } else if value.chars().count() > max {
            let advice = format!("give at most {max} characters");
            self.refuse(field, &value, advice);
        }
        Some(value)
    }

    /// The same for a field that must be given.
    pub(super) fn required(&mut self, field: &'static str, value: String, max: usize) -> String {
        if value.trim().is_empty() {
            self.refuse(field, &value, "it must be given and not be blank");
        }
        self.word(field, Some(value), max).unwrap_or_default()
    }

    /// A text of any lines, cut when it is too long. PostgreSQL keeps no NUL.
    pub(super) fn text(&mut self, column: &'static str, text: String, max_bytes: usize) -> String {
        let mut text = without_nul(text);
        if text.len() > max_bytes {
            let mut end = max_bytes;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            self.cut.push(column);
        }
        text
    }

    /// A text of any lines, refused when it is too long. An empty one is none.
    pub(super) fn whole_text(
        &mut self,
        field: &'static str,
        text: Option<String>,
        max_bytes: usize,
    ) -> Option<String> {
        let text = text.filter(|text| !text.is_empty())?;
        if text.len() > max_bytes {
            let bytes = text.len();
            let advice = format!("give at most {max_bytes} bytes of UTF-8");
            self.refuse(field, format_args!("{bytes} bytes"), advice);
            return None;
        }
        Some(without_nul(text))
    }

    /// JSON as both databases keep it; `null` is none.
    pub(super) fn json(&mut self, field: &'static str, value: Option<Value>) -> Option<Value> {
        let value = value.filter(|value| !value.is_null())?;
        if depth(&value) > MAX_JSON_DEPTH {
            let advice = format!("nest it at most {MAX_JSON_DEPTH} deep");
            self.refuse(field, "nested deeply", advice);
            return None;
        }
        Some(as_kept(value))
    }

    /// The same for an object.
    pub(super) fn object(
        &mut self,
        field: &'static str,
        object: Map<String, Value>,
    ) -> Map<String, Value> {
        match self.json(field, Some(Value::Object(object))) {
            Some(Value::Object(object)) => object,
            _ => Map::new(),
        }
    }

    /// Bounds what the fields have together, each with its bytes; `what` is the row's name.
    pub(super) fn row_size(&mut self, what: &str, parts: &[(&'static str, usize)]) {
        let bytes: usize = parts.iter().map(|(_, bytes)| bytes).sum();
        if bytes > MAX_ROW_BYTES
            && let Some((field, most)) = parts.iter().max_by_key(|(_, bytes)| *bytes)
        {
            let advice = format!(
                "the whole {what} has {bytes} bytes and may have {MAX_ROW_BYTES}: shorten this field first"
            );
            self.refuse(field, format_args!("{most} bytes"), advice);
        }
    }
}

/// The bytes of a value's JSON.
pub(super) fn json_bytes(value: &impl Serialize) -> usize {
    /// Counts what is written.
    struct Count(usize);

    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let mut count = Count(0);
    // Neither the JSON that is counted nor the counting can fail.
    serde_json::to_writer(&mut count, value).map_or(usize::MAX / 16, |()| count.0)
}

fn depth(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn without_nul(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

fn as_kept(value: Value) -> Value {
    match value {
        Value::String(text) => without_nul(text).into(),
        Value::Number(number) => number_as_kept(number).into(),
        Value::Array(items) => items.into_iter().map(as_kept).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (without_nul(key), as_kept(value)))
            .collect(),
        other => other,
    }
}

/// PostgreSQL writes numbers out: `1e16` comes back as an integer, and a zero has no sign.
fn number_as_kept(number: Number) -> Number {
    match number.as_f64() {
        Some(0.0) if number.is_f64() => Number::from_f64(0.0).unwrap_or(number),
        Some(float) if number.is_f64() && float.abs() >= 1e16 => {
            // Beyond the integers it is read as the same float again.
            let digits = format!("{float:.0}");
            serde_json::from_str(&digits).unwrap_or(number)
        }
        _ => number,
    }
}
