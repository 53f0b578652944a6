//! A JSON object kept as its text: of a request of failures that is a tenth of the memory of its
//! values.

use memchr::memmem;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};

/// An object with sorted keys and without white space, so that equal ones are equal texts.
#[derive(Clone, Debug, Serialize)]
pub struct JsonObject(Box<RawValue>);

impl JsonObject {
    /// Its keys and values.
    ///
    /// # Panics
    /// Never: it was made of a map.
    #[must_use]
    pub fn to_map(&self) -> Map<String, Value> {
        serde_json::from_str(self.text()).expect("it was made of a map")
    }

    /// Whether it has no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text() == "{}"
    }

    /// Whether it has the key itself, not one of its objects.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        // Most do not even have the word, and are not read.
        memmem::find(self.text().as_bytes(), key.as_bytes()).is_some()
            && self.to_map().contains_key(key)
    }

    /// The length of its text.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text().len()
    }

    fn text(&self) -> &str {
        self.0.get()
    }
}

impl From<&Map<String, Value>> for JsonObject {
    fn from(map: &Map<String, Value>) -> Self {
        Self(to_raw_value(map).expect("values with text for keys can be written"))
    }
}

impl Default for JsonObject {
    fn default() -> Self {
        Self::from(&Map::new())
    }
}

impl FromIterator<(String, Value)> for JsonObject {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(entries: I) -> Self {
        Self::from(&Map::from_iter(entries))
    }
}

impl PartialEq for JsonObject {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for JsonObject {}

impl<'de> Deserialize<'de> for JsonObject {
    /// Whoever wrote the text may have sorted otherwise.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(|map| Self::from(&map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> JsonObject {
        match value {
            Value::Object(map) => JsonObject::from(&map),
            _ => panic!("not an object"),
        }
    }

    #[test]
    fn an_object_is_the_same_before_and_after() {
        let value = json!({"b": [1, -2.5, 1e300, 0.1], "a": {"x": null, "ä\n\"": true},
            "precise": 12_345.678_901_234_567, "large": u64::MAX});
        let object = object(value.clone());
        assert_eq!(Value::Object(object.to_map()), value);
        let text = serde_json::to_string(&object).unwrap();
        assert_eq!(text.len(), object.bytes());
        assert_eq!(serde_json::from_str::<JsonObject>(&text).unwrap(), object);
    }

    #[test]
    fn order_and_white_space_make_no_difference() {
        let other = serde_json::from_str::<JsonObject>(r#" { "b" : 2, "a" : [ 1 ] } "#).unwrap();
        assert_eq!(other, object(json!({"a": [1], "b": 2})));
        assert!(serde_json::from_str::<JsonObject>("[]").is_err());
    }

    #[test]
    fn only_its_own_keys_are_its_keys() {
        let object = object(json!({"a": {"inner": "trimmed"}}));
        assert!(object.contains_key("a"));
        assert!(!object.contains_key("inner") && !object.contains_key("trimmed"));
        assert!(!object.is_empty() && JsonObject::default().is_empty());
    }
}
