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
