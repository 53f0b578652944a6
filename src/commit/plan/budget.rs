//! How much of a trace is remembered: at most 256 sightings and 64 KiB of JSON. What goes beyond
//! follows from the sightings alone, so every replica forgets the same.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::Value;

use crate::{
    detect::TRIMMED,
    domain::{Content, JsonObject, Sighting, SightingKind, SpanId},
};

/// How many sightings of a trace are remembered.
pub(super) const MAX_SIGHTINGS: usize = 256;

/// How many of them may be failures, when not all sightings have room: entry spans come last.
const MAX_FAILURES: usize = 192;

/// How long the JSON array of sightings may be.
pub(super) const MAX_BYTES: usize = 64 * 1024;

/// How much of it failures may fill, when not all sightings have room.
const MAX_FAILURE_BYTES: usize = 56 * 1024;

/// Room for `row`, which a failure gets when it is stored.
const ROW_BYTES: usize = 48;

/// Room for the frame of a content that was trimmed to nothing but its names.
const BARE_CONTENT_BYTES: usize = 112;

/// The longest message that trimming leaves at first.
const TRIMMED_MESSAGE_CHARS: usize = 200;

/// The sightings of a trace, cut in what is remembered and what is not.
pub(super) struct Admitted {
    /// In order of arrival.
    pub(super) remembered: Vec<Sighting>,
    /// New ones without room.
    pub(super) beyond: Vec<Sighting>,
    /// How many were forgotten or never remembered.
    pub(super) dropped: usize,
}

/// Finds room for what is new. Spans that no failure needs go first, the oldest of them first;
/// then new sightings stay out.
pub(super) fn admit(before: Vec<Sighting>, new: Vec<Sighting>) -> Admitted {
    let stored = before.len();
    let mut sightings = before;
    sightings.extend(new);
    let weights: Vec<usize> = sightings.iter_mut().map(weight).collect();
    let mut count = sightings.len();
    let mut bytes: usize = weights.iter().sum();
    if count <= MAX_SIGHTINGS && bytes <= MAX_BYTES {
        return Admitted {
            remembered: sightings,
            beyond: Vec::new(),
            dropped: 0,
        };
    }

    let needed = ancestors_of_failures(sightings.iter());
    let mut is_evicted = vec![false; sightings.len()];
    for (at, sighting) in sightings.iter().enumerate() {
        if count <= MAX_SIGHTINGS && bytes <= MAX_BYTES {
            break;
        }
        let is_above = sighting.span_id.is_some_and(|span| needed.contains(&span));
        let is_needed = sighting.is_failure() || sighting.is_entry || is_above;
        if !is_needed {
            is_evicted[at] = true;
            count -= 1;
            bytes -= weights[at];
        }
    }

    let everything_fits = count <= MAX_SIGHTINGS && bytes <= MAX_BYTES;
    let mut admitted = Admitted {
        remembered: Vec::new(),
        beyond: Vec::new(),
        dropped: 0,
    };
    let mut used = 0;
    for (at, sighting) in sightings.into_iter().enumerate() {
        let (max_count, max_bytes) = if sighting.is_failure() {
            (MAX_FAILURES, MAX_FAILURE_BYTES)
        } else {
            (MAX_SIGHTINGS, MAX_BYTES)
        };
        let has_room = admitted.remembered.len() < max_count && used + weights[at] <= max_bytes;
        if !is_evicted[at] && (at < stored || everything_fits || has_room) {
            used += weights[at];
            admitted.remembered.push(sighting);
        } else {
            admitted.dropped += 1;
            if at >= stored {
                admitted.beyond.push(sighting);
            }
        }
    }
    admitted
}

/// The bytes that the sighting takes at least, however much is trimmed, with its comma.
fn weight(sighting: &mut Sighting) -> usize {
    let content = sighting.content.take();
    let facts = sighting.facts.as_mut();
    let headers = facts.and_then(|facts| facts.request_headers.take());
    let mut bytes = to_json(sighting).len() + 1;
    if sighting.is_failure() {
        bytes += ROW_BYTES + BARE_CONTENT_BYTES;
    }
    if let Some(content) = &content {
        bytes += 2 * content.environment.len() + content.fingerprint.0.len();
    }
    if headers.is_some() {
        bytes += r#","requestHeaders":{}"#.len();
    }
    sighting.content = content;
    if let Some(facts) = &mut sighting.facts {
        facts.request_headers = headers;
    }
    bytes
}

/// The spans above failures, as far up as links are known.
pub(super) fn ancestors_of_failures<'a>(
    sightings: impl Iterator<Item = &'a Sighting> + Clone,
) -> HashSet<SpanId> {
    let mut parents: HashMap<SpanId, Option<SpanId>> = HashMap::new();
    for sighting in sightings.clone() {
        if let Some(span) = sighting.span_id
            && sighting.kind != SightingKind::Log
        {
            parents.entry(span).or_insert(sighting.parent_span_id);
        }
    }
    let mut ancestors = HashSet::new();
    for failure in sightings.filter(|sighting| sighting.is_failure()) {
        let of_span = failure.span_id.and_then(|span| parents.get(&span));
        let mut above = of_span.copied().unwrap_or(failure.parent_span_id);
        while let Some(span) = above {
            if !ancestors.insert(span) {
                break;
            }
            above = parents.get(&span).copied().flatten();
        }
    }
    ancestors
}

/// The JSON array of the sightings. Contents are trimmed, step by step and in order of arrival,
/// until it is short enough.
pub(super) fn write(sightings: &mut [Sighting]) -> String {
    let mut texts: Vec<String> = sightings.iter().map(to_json).collect();
    let mut bytes = texts.iter().map(|text| text.len() + 1).sum::<usize>() + 1;
    for step in TRIM_STEPS {
        for (sighting, text) in sightings.iter_mut().zip(&mut texts) {
            if bytes <= MAX_BYTES {
                break;
            }
            if step(sighting) {
                bytes -= text.len();
                *text = to_json(sighting);
                bytes += text.len();
            }
        }
    }
    format!("[{}]", texts.join(","))
}

fn to_json(sighting: &Sighting) -> String {
    serde_json::to_string(sighting).expect("a sighting has string keys only")
}

type TrimStep = fn(&mut Sighting) -> bool;

const TRIM_STEPS: [TrimStep; 5] = [
    |sighting| trim_content(sighting, |content| content.error_stack.take().is_some()),
    |sighting| {
        trim_content(sighting, |content| {
            let is_worth_it = !content.context.is_empty() && !is_trimmed(content);
            if is_worth_it {
                content.context = JsonObject::default();
            }
            is_worth_it
        })
    },
    trim_headers,
    |sighting| {
        trim_content(sighting, |content| {
            let message: String = content
                .error_message
                .chars()
                .take(TRIMMED_MESSAGE_CHARS)
                .collect();
            content.error_message = message;
            content.external_error_message = None;
            true
        })
    },
    |sighting| {
        trim_content(sighting, |content| {
            *content = Content {
                error_message: String::new(),
                error_code: None,
                error_stack: None,
                external_service: None,
                external_error_code: None,
                external_error_message: None,
                context: JsonObject::default(),
                service_version: None,
                environment: std::mem::take(&mut content.environment),
                fingerprint: content.fingerprint.clone(),
            };
            true
        })
    },
];

fn is_trimmed(content: &Content) -> bool {
    content.context == trimmed()
}

/// What is left of a context.
fn trimmed() -> JsonObject {
    JsonObject::from_iter([(TRIMMED.to_owned(), Value::Bool(true))])
}

fn trim_content(sighting: &mut Sighting, trim: impl Fn(&mut Content) -> bool) -> bool {
    let Some(content) = &mut sighting.content else {
        return false;
    };
    let content = Arc::make_mut(content);
    let is_shorter = trim(content);
    if is_shorter {
        let mut map = content.context.to_map();
        map.insert(TRIMMED.to_owned(), Value::Bool(true));
        content.context = JsonObject::from(&map);
    }
    is_shorter
}

/// Leaves an empty object, which no span has of itself: the row keeps the headers that it has.
fn trim_headers(sighting: &mut Sighting) -> bool {
    let headers = sighting
        .facts
        .as_mut()
        .and_then(|facts| facts.request_headers.as_mut());
    let Some(headers) = headers else {
        return false;
    };
    let is_shorter = !headers.is_empty();
    *headers = JsonObject::default();
    is_shorter
}
