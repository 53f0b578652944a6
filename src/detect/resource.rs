//! The resources of a request: who sends, and what the rows say of it.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use crate::{
    domain::NameHasher,
    otlp::{ResourceView, Value},
};

use super::{
    Scrubbing,
    attributes::ServiceFacts,
    scrub::Scrubber,
    values::{self, MAX_KEY_BYTES, Text, lossy},
};

/// A resource's share of a row.
const MAX_SHARE_BYTES: usize = 16 * 1024;

/// The shares of all rows of a request: what is beyond is left out, so that many small spans of a
/// large resource do not fill the memory.
const MAX_SHARES_BYTES: usize = 16 * 1024 * 1024;

/// The longest text of an attribute.
pub(super) const MAX_VALUE_BYTES: usize = 4 * 1024;

/// What is known of a resource as long as the request is being read.
pub(super) struct Resource {
    pub facts: ServiceFacts,
    /// Index of its pair of service and environment.
    pub label: u32,
}

/// The resources of a request, the same one once.
#[derive(Default)]
pub(super) struct Resources {
    all: Vec<Resource>,
    by_identity: HashMap<u128, u32>,
    labels: HashMap<(String, String), u32>,
    current: u32,
    /// The current one's attributes, until a row asks for them.
    copy: Copy,
    shares_bytes: usize,
}

/// A resource as a part of a row.
pub(super) struct Share {
    pub attributes: Map<String, Json>,
    pub is_truncated: bool,
    /// Secrets taken out.
    pub scrubbed: u64,
}

impl Resources {
    /// The spans that follow belong to this one.
    pub fn enter(&mut self, resource: &ResourceView<'_>) {
        let identity = identity(resource);
        if let Some(known) = self.by_identity.get(&identity) {
            if *known != self.current {
                self.current = *known;
                self.copy.take(resource);
            }
            return;
        }
        let facts = ServiceFacts::new(resource.attributes);
        let labels = u32::try_from(self.labels.len()).unwrap_or(u32::MAX);
        let label = *self
            .labels
            .entry((facts.service_name.clone(), facts.environment.clone()))
            .or_insert(labels);
        self.current = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(Resource { facts, label });
        self.by_identity.insert(identity, self.current);
        self.copy.take(resource);
    }

    /// The index of the one that the spans belong to now.
    pub fn current(&self) -> u32 {
        self.current
    }

    pub fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.all.iter()
    }

    pub fn get(&self, index: u32) -> &Resource {
        &self.all[index as usize]
    }

    /// What the current one gives to a row. Empty and truncated when the request's rows have got
    /// enough.
    pub fn share(&mut self, scrubbing: &Scrubbing) -> Share {
        if self.shares_bytes >= MAX_SHARES_BYTES {
            return Share {
                attributes: Map::new(),
                is_truncated: true,
                scrubbed: 0,
            };
        }
        let mut scrubber = Scrubber::new(scrubbing);
        let mut left = MAX_SHARE_BYTES;
        let mut share = Share {
            attributes: Map::new(),
            is_truncated: self.copy.is_truncated,
            scrubbed: 0,
        };
        for (key, value) in self.copy.items() {
            share.is_truncated |=
                insert(&mut share.attributes, key, value, &mut left, &mut scrubber);
        }
        share.scrubbed = scrubber.count;
        // Maps cost more than their texts.
        self.shares_bytes += MAX_SHARE_BYTES - left + share.attributes.len() * 128;
        share
    }
}

/// Adds an attribute, scrubbed, as far as `left` bytes allow; true when something had to be cut.
pub(super) fn insert(
    attributes: &mut Map<String, Json>,
    key: &str,
    mut value: Json,
    left: &mut usize,
    scrubber: &mut Scrubber<'_>,
) -> bool {
    scrubber.json(key, &mut value);
    let clean_key = scrubber.text(key);
    let kept_key = Text::bytes(&clean_key, MAX_KEY_BYTES);
    let mut is_cut = kept_key.cut;
    if let Json::String(text) = &mut value {
        let kept = Text::bytes(text, MAX_VALUE_BYTES);
        if kept.cut {
            *text = kept.into_string();
            is_cut = true;
        }
    }
    let bytes = kept_key.text.len() + bytes(&value);
    if bytes > *left {
        return true;
    }
    *left -= bytes;
    attributes.insert(kept_key.into_string(), value);
    is_cut
}

/// About as many bytes as a value needs.
fn bytes(value: &Json) -> usize {
    match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => 8,
        Json::String(text) => text.len(),
        Json::Array(items) => items.iter().map(|item| bytes(item) + 4).sum(),
        Json::Object(entries) => entries
            .iter()
            .map(|(key, value)| key.len() + bytes(value) + 4)
            .sum(),
    }
}

/// What makes two resources of a request the same one.
fn identity(resource: &ResourceView<'_>) -> u128 {
    if resource.attributes.is_empty() {
        return 0;
    }
    let mut hasher = NameHasher::new("resource");
    for attribute in resource.attributes {
        hasher.field(attribute.key);
        add_value(&mut hasher, attribute.value);
    }
    hasher.finish()
}

fn add_value(hasher: &mut NameHasher, value: Value<'_>) {
    match value {
        Value::Empty => hasher.field(b""),
        Value::Str(bytes) | Value::Bytes(bytes) => hasher.field(bytes),
        Value::Bool(value) => hasher.field(&[u8::from(value)]),
        Value::Int(value) => hasher.field(&value.to_le_bytes()),
        Value::Double(value) => hasher.field(&value.to_le_bytes()),
        Value::Array(_) => {
            value.items().for_each(|item| add_value(hasher, item));
            hasher.field(b"]")
        }
        Value::Map(_) => {
            for entry in value.entries() {
                hasher.field(entry.key);
                add_value(hasher, entry.value);
            }
            hasher.field(b"}")
        }
    };
}

/// A copy of a resource's attributes in one buffer that is used again.
#[derive(Default)]
struct Copy {
    texts: Vec<u8>,
    /// Where a key ends in `texts`, and its value: the text up to there, or what is no text.
    items: Vec<(usize, Copied)>,
    is_truncated: bool,
}

enum Copied {
    TextUpTo(usize),
    Other(Json),
}

impl Copy {
    fn take(&mut self, resource: &ResourceView<'_>) {
        self.texts.clear();
        self.items.clear();
        self.is_truncated = false;
        for attribute in resource.attributes {
            if self.texts.len() > 2 * MAX_SHARE_BYTES {
                self.is_truncated = true;
                break;
            }
            self.push(attribute.key);
            let key_end = self.texts.len();
            let copied = match attribute.value {
                Value::Str(text) => {
                    self.push(text);
                    Copied::TextUpTo(self.texts.len())
                }
                other => Copied::Other(values::json(other, &mut MAX_VALUE_BYTES.clone())),
            };
            self.items.push((key_end, copied));
        }
    }

    /// A text, cut where nothing of it can be kept any more.
    fn push(&mut self, text: &[u8]) {
        let kept = &text[..text.len().min(2 * MAX_VALUE_BYTES)];
        self.is_truncated |= kept.len() < text.len();
        self.texts.extend_from_slice(kept);
    }

    fn items(&self) -> impl Iterator<Item = (&str, Json)> {
        let mut start = 0;
        self.items.iter().map(move |(key_end, value)| {
            let key = &self.texts[start..*key_end];
            start = *key_end;
            let value = match value {
                Copied::TextUpTo(end) => {
                    let text = lossy(&self.texts[start..*end]).into_owned();
                    start = *end;
                    Json::String(text)
                }
                Copied::Other(value) => value.clone(),
            };
            // A key that is no text at all is not worth an allocation.
            (std::str::from_utf8(key).unwrap_or("(not UTF-8)"), value)
        })
    }
}
