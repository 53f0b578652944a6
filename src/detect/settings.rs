//! What the user decides about detection.

use regex::Regex;

use super::{Rules, scrub};

/// Settings of detection.
#[derive(Debug, Clone, Default)]
pub struct DetectSettings {
    /// What is kept of the people behind the requests.
    pub privacy: Privacy,
    /// Which secrets are taken out of what is kept.
    pub scrubbing: Scrubbing,
    /// What makes errors one kind.
    pub kinds_by: KindsBy,
    /// What users decide about failures.
    pub rules: Rules,
    /// The `service.instance.id` of this process's own spans. Those that come back are only counted.
    pub own_instance: Option<String>,
}

/// What is kept of the people behind the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Privacy {
    /// Client addresses. Default: cut.
    pub client_address: KeepAddress,
    /// Whether user ids are kept. Default true; without them `unique_users` stays 0.
    pub user_id: bool,
    /// Whether user agents are kept. Default true.
    pub user_agent: bool,
    /// Whether request headers that an application records are kept, scrubbed. Default true.
    pub request_headers: bool,
}

impl Default for Privacy {
    fn default() -> Self {
        Self {
            client_address: KeepAddress::Cut,
            user_id: true,
            user_agent: true,
            request_headers: true,
        }
    }
}

/// How much of an address is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAddress {
    /// All of it.
    Whole,
    /// Its network: /24 for IPv4, /48 for IPv6.
    Cut,
    /// Nothing.
    Drop,
}

/// Which secrets are taken out of what is kept.
#[derive(Debug, Clone)]
pub struct Scrubbing {
    /// Whether any are. Default true.
    pub is_on: bool,
    /// Further keys whose values are secrets.
    pub keys: KeyNames,
    /// Further secrets in texts: what the first group of a match holds, without groups all of it.
    pub patterns: Vec<Regex>,
    /// What is kept, scrubbed, although it is likely to hold what nobody can know as a secret.
    pub kept: Kept,
}

/// Attributes that are left out unless somebody asks for them. By default all are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kept {
    /// Texts of queries, and their parameters.
    pub query_text: bool,
    /// Bodies of requests, responses and messages.
    pub bodies: bool,
    /// What is said to models and by them.
    pub gen_ai_messages: bool,
}

/// What makes errors one kind, and gives them one fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KindsBy {
    /// Service and exception type, and the frames of the stack or the message.
    #[default]
    Failure,
    /// Service and exception type alone: few, coarse kinds, for which no stack is read.
    Type,
}

/// Names of keys. A name stands for every key that has its words one after the other, whatever
/// separates them.
#[derive(Debug, Clone, Default)]
pub struct KeyNames(pub(super) Vec<String>);

impl<'n> FromIterator<&'n str> for KeyNames {
    fn from_iter<I: IntoIterator<Item = &'n str>>(names: I) -> Self {
        Self(names.into_iter().map(scrub::words_of).collect())
    }
}

impl Default for Scrubbing {
    fn default() -> Self {
        Self {
            is_on: true,
            keys: KeyNames::default(),
            patterns: Vec::new(),
            kept: Kept::default(),
        }
    }
}
