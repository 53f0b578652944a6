//! Values of the source's rows, whichever type their columns have.

use chrono::NaiveDateTime;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use crate::domain::Timestamp;

/// A key: a UUID, a text or a number.
pub(super) fn key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
        other => Err(D::Error::custom(format!("{other} is no key"))),
    }
}

/// The id of a row that cannot be read as a whole, as far as it has one.
pub(super) fn id_of(row: &str) -> String {
    let row: Value = serde_json::from_str(row).unwrap_or_default();
    match &row["id"] {
        Value::String(id) => id.clone(),
        other => other.to_string(),
    }
}

/// Why a row cannot be read, without where: the row's JSON is nothing that its owner ever saw.
pub(super) fn unread(error: &serde_json::Error) -> String {
    let error = error.to_string();
    let why = error
        .rsplit_once(" at line ")
        .map_or(&*error, |(why, _)| why);
    format!("it cannot be read: {why}")
}

/// An instant: with a time zone, or in UTC without one.
pub(super) fn instant<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    if let Ok(at) = serde_json::from_value(Value::String(text.clone())) {
        return Ok(Some(at));
    }
    NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f")
        .map(|at| Some(at.and_utc().into()))
        .map_err(|error| D::Error::custom(format!("{text:?} is no time: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_and_instants_are_read_whatever_their_type_was() {
        for (value, expected) in [
            (json!("pipeline-1"), Some("pipeline-1".to_owned())),
            (json!(17), Some("17".to_owned())),
            (json!(null), None),
        ] {
            assert_eq!(key(&value).unwrap(), expected);
        }
        key(json!([1])).unwrap_err();
        let at = Timestamp::EPOCH.plus_seconds(3_600);
        for text in [
            "1970-01-01T01:00:00+00:00",
            "1970-01-01T03:00:00.000+02:00",
            "1970-01-01T01:00:00",
        ] {
            assert_eq!(instant(json!(text)).unwrap(), Some(at), "{text}");
        }
        assert_eq!(instant(json!(null)).unwrap(), None);
        instant(json!("yesterday")).unwrap_err();
    }
}
