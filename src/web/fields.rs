//! Fields that somebody sent, in a query or in a body, of a type whose fields all have defaults:
//! every one that is unknown or wrong is named, not only the first.

use serde::de::{
    self, DeserializeOwned, Deserializer, IntoDeserializer, Visitor,
    value::{Error as Unread, MapDeserializer},
};
use serde_json::{Value, json};

use super::problem::FieldProblem;

/// A value as it was sent.
pub(super) trait Given: IntoDeserializer<'static, Self::Refusal> {
    /// How it is refused.
    type Refusal: de::Error;

    /// For the answer.
    fn shown(&self) -> String;

    /// What a list is made of.
    fn parts(&self) -> Vec<Part<Self>>
    where
        Self: Sized,
    {
        Vec::new()
    }
}

/// An item of a list, or a field of one that is an object.
pub(super) struct Part<V> {
    /// Where it stands in the list: `[1].stageName`.
    place: String,
    /// For the answer.
    shown: String,
    /// A list of nothing else.
    alone: V,
}

impl Given for Value {
    type Refusal = serde_json::Error;

    fn shown(&self) -> String {
        self.to_string()
    }

    fn parts(&self) -> Vec<Part<Self>> {
        let items = self.as_array().into_iter().flatten().enumerate();
        let parts = items.flat_map(|(index, item)| {
            let fields = item.as_object().into_iter().flatten();
            let fields = fields.map(move |(name, value)| Part {
                place: format!("[{index}].{name}"),
                shown: value.to_string(),
                alone: json!([{ name: value }]),
            });
            let whole = (!item.is_object()).then(|| Part {
                place: format!("[{index}]"),
                shown: item.to_string(),
                alone: json!([item]),
            });
            fields.chain(whole)
        });
        parts.collect()
    }
}

/// What is wrong with each of the fields, asked for it alone. Nothing, when each is fine by itself.
pub(super) fn mistakes<T: DeserializeOwned, V: Given>(
    given: impl IntoIterator<Item = (String, V)>,
) -> Vec<FieldProblem> {
    let names = names_of::<T>();
    let mistakes = |(name, value): (String, V)| {
        let shown = value.shown();
        if !names.contains(&&*name) {
            return vec![unknown(&name, &shown, names)];
        }
        let parts = value.parts();
        let Some(refused) = refusal::<T, V>(&name, value) else {
            return Vec::new();
        };
        let inside = parts.into_iter().filter_map(|part| {
            let refused = refusal::<T, V>(&name, part.alone)?;
            let field = format!("{name}{}", part.place);
            Some(FieldProblem::new(&field, Some(&part.shown), refused))
        });
        let inside: Vec<_> = inside.collect();
        if inside.is_empty() {
            vec![FieldProblem::new(&name, Some(&shown), refused)]
        } else {
            inside
        }
    };
    given.into_iter().flat_map(mistakes).collect()
}

/// What to do about a field when it cannot have this value.
fn refusal<T: DeserializeOwned, V: Given>(name: &str, value: V) -> Option<String> {
    let alone = MapDeserializer::new([(name, value)].into_iter());
    let refusal = T::deserialize(alone).err()?;
    Some(advice(&refusal))
}

/// A field that there is not, among those that there are.
pub(super) fn unknown(name: &str, shown: &str, names: &[&str]) -> FieldProblem {
    let advice = if names.is_empty() {
        "there is no such field: give none".to_owned()
    } else {
        format!("there is no such field: give one of {}", names.join(", "))
    };
    FieldProblem::new(name, Some(shown), advice)
}

/// What to do, from the sentence of a refusal, which ends with what was expected.
fn advice(refusal: &impl de::Error) -> String {
    let sentence = refusal.to_string();
    match sentence.rsplit_once(", expected ") {
        Some((unknown, names)) if unknown.starts_with("unknown field ") => {
            let names = names.trim_start_matches("one of ").replace('`', "");
            format!("there is no such field: give one of {names}")
        }
        Some((_, expected)) => {
            let expected = match expected {
                "i32" | "u32" | "i64" | "u64" => "a whole number",
                "a sequence" => "an array",
                "a map" => "an object",
                other => other,
            };
            format!("give {}", expected.replace('`', ""))
        }
        None => sentence,
    }
}

/// The names of the fields that `T` knows, as they are sent.
pub(super) fn names_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // A type is asked for by its names, and never given.
    drop(T::deserialize(NamesOnly(&mut names)));
    names
}

/// Learns for which fields a type asks.
struct NamesOnly<'n>(&'n mut &'static [&'static str]);

impl<'de> Deserializer<'de> for NamesOnly<'_> {
    type Error = Unread;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Unread> {
        Err(de::Error::custom("only its names were asked for"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::NewApiError;

    #[test]
    fn every_field_that_is_wrong_is_named_with_what_to_do() {
        let Value::Object(sent) = json!({
            "endpoint": "/orders",
            "severity": "fatal",
            "statusCode": "500",
            "colour": [1],
            "traceId": "00000000000000000000000000000000",
            "createdAt": "yesterday",
            "tags": ["one", 2],
        }) else {
            unreachable!("it is an object")
        };
        let mistakes = mistakes::<NewApiError, Value>(sent);
        let told: Vec<Value> = (mistakes.iter())
            .map(|mistake| serde_json::to_value(mistake).unwrap())
            .collect();
        let of = |field: &str| {
            told.iter()
                .find(|mistake| mistake["field"] == field)
                .unwrap()
        };
        assert_eq!(told.len(), 6);
        assert_eq!(
            of("severity")["advice"],
            "give one of debug, info, warning, error, critical"
        );
        assert_eq!(of("statusCode")["value"], "\"500\"");
        assert_eq!(of("statusCode")["advice"], "give a whole number");
        assert!(
            of("colour")["advice"]
                .as_str()
                .unwrap()
                .contains("errorMessage")
        );
        assert_eq!(
            of("traceId")["advice"],
            "give the hex digits of 16 bytes that are not all zero"
        );
        assert_eq!(
            of("createdAt")["advice"],
            "give an RFC 3339 time such as 2026-11-23T10:15:00Z"
        );
        assert_eq!(of("tags[1]")["advice"], "give a string");
    }
}
