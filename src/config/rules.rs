//! `[[rules]]` of the file: read, checked, and each mistake named with its line.

use std::{ops::Range, path::Path};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, Unexpected},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use crate::{
    detect::{Condition, Effect, RecordKind, Rule, Rules, StatusCodes, Wildcard},
    domain::{Category, Severity},
};

use super::{
    layers::{Mistake, line_at, place},
    values::compiled,
};

/// The key of the list in the file.
pub(super) const KEY: &str = "rules";

/// As many as one looks through for every failure.
const MAX_RULES: usize = 200;
const MAX_TAGS: usize = 10;
const MAX_TAG_CHARS: usize = 50;
const MAX_TEXT_CHARS: usize = 512;

/// The rules of a file, and where each stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleSettings {
    /// In their order.
    pub rules: Rules,
    /// `redspan.toml:12` for each.
    pub places: Vec<String>,
}

impl RuleSettings {
    /// For each rule that can never decide a sentence that says why.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let shadowed = self.rules.shadowed().into_iter();
        shadowed
            .map(|(rule, earlier)| {
                format!(
                    "The rule {:?} ({}) never decides: all that it matches is matched by {:?} ({}) before it.",
                    self.rules.0[rule].name,
                    self.places[rule],
                    self.rules.0[earlier].name,
                    self.places[earlier],
                )
            })
            .collect()
    }

    /// Reads `[[rules]]`. `text` is TOML.
    pub(super) fn read(file: &Path, text: &str, mistakes: &mut Vec<Mistake>) -> Self {
        let mut found = Self::default();
        let Some(list) = DeTable::parse(text)
            .ok()
            .and_then(|table| table.into_inner().remove(KEY))
        else {
            return found;
        };
        let place_of = |span: &Range<usize>| place(file, Some(line_at(text, span.start)));
        let at = place_of(&list.span());
        let DeValue::Array(items) = list.into_inner() else {
            mistakes.push(Mistake(format!("{KEY} at {at} must be a list: [[{KEY}]].")));
            return found;
        };
        for (index, item) in items.into_iter().enumerate() {
            let span = item.span();
            if index == MAX_RULES {
                mistakes.push(Mistake(format!(
                    "There are more than {MAX_RULES} rules; the first beyond stands at {}.",
                    place_of(&span)
                )));
                break;
            }
            match read_rule(item, index) {
                Ok(rule) => {
                    let same = found
                        .rules
                        .0
                        .iter()
                        .position(|other| other.name == rule.name);
                    if let Some(same) = same {
                        mistakes.push(Mistake(format!(
                            "The rules at {} and {} are both called {:?}.",
                            found.places[same],
                            place_of(&span),
                            rule.name
                        )));
                    }
                    found.rules.0.push(rule);
                    found.places.push(place_of(&span));
                }
                Err(error) => {
                    let span = error.span().unwrap_or(span);
                    let message = error.message().trim_end_matches('.').replace('\n', ", ");
                    mistakes.push(Mistake(format!(
                        "The rule at {} cannot work: {message}.",
                        place_of(&span)
                    )));
                }
            }
        }
        found
    }
}

fn read_rule(item: Spanned<DeValue<'_>>, index: usize) -> Result<Rule, toml::de::Error> {
    let given = GivenRule::deserialize(ValueDeserializer::from(item))?;
    let condition = Condition::from(given.condition);
    if condition.is_empty() {
        return Err(toml::de::Error::custom(
            "match says nothing, so it would be about everything",
        ));
    }
    let effect = Effect {
        drop: given.drop,
        ..given.set.into()
    };
    if effect == Effect::default() {
        return Err(toml::de::Error::custom(
            "it says neither drop = true nor what to set",
        ));
    }
    if effect.drop
        && (Effect {
            drop: false,
            ..effect.clone()
        }) != Effect::default()
    {
        return Err(toml::de::Error::custom(
            "what is dropped has nothing that could be set",
        ));
    }
    Ok(Rule {
        name: match given.name {
            Some(name) => name.0,
            None => (index + 1).to_string(),
        },
        condition,
        effect,
    })
}

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct GivenRule {
    name: Option<Text>,
    #[serde(rename = "match")]
    condition: GivenCondition,
    #[serde(default)]
    drop: bool,
    #[serde(default)]
    set: GivenEffect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct GivenCondition {
    service: Option<Text>,
    span_name: Option<Text>,
    kind: Option<Word<RecordKind>>,
    endpoint: Option<Text>,
    exception_type: Option<Text>,
    message: Option<Pattern>,
    status_code: Option<GivenStatusCodes>,
    category: Option<Word<Category>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
struct GivenEffect {
    severity: Option<Word<Severity>>,
    category: Option<Word<Category>>,
    endpoint: Option<Text>,
    tags: Tags,
    fingerprint: Option<Text>,
    fail_request: Option<bool>,
}

impl From<GivenCondition> for Condition {
    fn from(given: GivenCondition) -> Self {
        let wildcard = |text: Option<Text>| text.map(|text| Wildcard(text.0));
        Self {
            service: wildcard(given.service),
            span_name: wildcard(given.span_name),
            kind: given.kind.map(|kind| kind.0),
            endpoint: wildcard(given.endpoint),
            exception_type: wildcard(given.exception_type),
            message: given.message.map(|pattern| pattern.0),
            status_code: given.status_code.map(|codes| codes.0),
            category: given.category.map(|category| category.0),
        }
    }
}

impl From<GivenEffect> for Effect {
    fn from(given: GivenEffect) -> Self {
        Self {
            drop: false,
            severity: given.severity.map(|severity| severity.0),
            category: given.category.map(|category| category.0),
            endpoint: given.endpoint.map(|text| text.0),
            tags: given.tags.0,
            fingerprint: given.fingerprint.map(|text| text.0),
            fail_request: given.fail_request,
        }
    }
}

/// A text that says something.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_good = (1..=MAX_TEXT_CHARS).contains(&text.chars().count());
        if text.trim().is_empty() || !is_good || text.contains(char::is_control) {
            return Err(D::Error::custom(format!(
                "expected a text of 1 to {MAX_TEXT_CHARS} characters without control characters"
            )));
        }
        Ok(Self(text))
    }
}

/// One of a closed set of words.
struct Word<T>(T);

/// The words that there are for a type.
trait Words: Copy + 'static {
    const ALL: &'static [Self];

    fn word(self) -> &'static str;
}

macro_rules! words {
    ($($type:ty),+) => {$(
        impl Words for $type {
            const ALL: &'static [Self] = &<$type>::ALL;

            fn word(self) -> &'static str {
                self.as_str()
            }
        }
    )+};
}

words!(RecordKind, Category, Severity);

impl<'de, T: Words> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let found = T::ALL.iter().find(|word| word.word() == text);
        found.map(|word| Self(*word)).ok_or_else(|| {
            let words: Vec<&str> = T::ALL.iter().map(|word| word.word()).collect();
            D::Error::custom(format!("{text:?} is none of {}", words.join(", ")))
        })
    }
}

struct Pattern(regex::Regex);

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let regex = compiled(&text).map_err(|reason| {
            D::Error::custom(format!("{text:?} is no regular expression: {reason}"))
        })?;
        Ok(Self(regex))
    }
}

#[derive(Default)]
struct Tags(Vec<String>);

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tags = Vec::<String>::deserialize(deserializer)?;
        let is_good = |tag: &String| {
            (1..=MAX_TAG_CHARS).contains(&tag.chars().count()) && !tag.contains(char::is_control)
        };
        if tags.len() > MAX_TAGS || !tags.iter().all(is_good) {
            return Err(D::Error::custom(format!(
                "expected at most {MAX_TAGS} tags of 1 to {MAX_TAG_CHARS} characters without control characters"
            )));
        }
        Ok(Self(tags))
    }
}

/// `404`, `"4xx"`, `"500-503"`, or a list of these.
struct GivenStatusCodes(StatusCodes);

impl<'de> Deserialize<'de> for GivenStatusCodes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = match toml::Value::deserialize(deserializer)? {
            toml::Value::Array(given) if !given.is_empty() => given,
            one => vec![one],
        };
        let ranges = given.iter().map(|one| {
            range(one).ok_or_else(|| {
                let expected = "a status from 100 to 599, \"4xx\", \"500-503\" or a list of these";
                D::Error::invalid_value(Unexpected::Other(&one.to_string()), &expected)
            })
        });
        Ok(Self(StatusCodes(ranges.collect::<Result<_, _>>()?)))
    }
}

fn range(given: &toml::Value) -> Option<(u16, u16)> {
    let (first, last) = match given {
        toml::Value::Integer(status) => {
            let status = u16::try_from(*status).ok()?;
            (status, status)
        }
        toml::Value::String(text) => {
            if let Some(hundreds) = text.strip_suffix("xx") {
                let hundreds: u16 = hundreds.parse().ok().filter(|it| *it < 10)?;
                (hundreds * 100, hundreds * 100 + 99)
            } else {
                let (first, last) = text.split_once('-')?;
                (first.trim().parse().ok()?, last.trim().parse().ok()?)
            }
        }
        _ => return None,
    };
    ((100..=599).contains(&first) && (first..=599).contains(&last)).then_some((first, last))
}
