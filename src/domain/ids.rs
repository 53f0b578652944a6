//! Ids. What comes from telemetry is named by the hash of what it is, so that the same thing has
//! the same name in every replica, today and after a restart.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, Unexpected},
};
use utoipa::ToSchema;
use uuid::{Uuid, Version};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::{Dimensions, Hour, PipelineId, Timestamp};

/// Hashes a sequence of fields. Each field is closed by its length, so that no two different
/// sequences feed the same bytes.
#[derive(Clone)]
pub struct NameHasher {
    /// Not hashed yet. Most names are short, and hashing all of one at once is much cheaper than
    /// piece by piece.
    pending: Vec<u8>,
    /// What came before, when there was more.
    before: Option<Box<Xxh3>>,
}

impl NameHasher {
    /// So many bytes wait to be hashed at once.
    const PENDING_BYTES: usize = 4 * 1_024;

    /// A hasher for one kind of name; `kind` keeps names of different kinds apart.
    #[must_use]
    pub fn new(kind: &str) -> Self {
        let mut hasher = Self {
            pending: Vec::with_capacity(128),
            before: None,
        };
        hasher.field(kind.as_bytes());
        hasher
    }

    /// Adds one field.
    pub fn field(&mut self, bytes: &[u8]) -> &mut Self {
        if self.pending.len() + bytes.len() > Self::PENDING_BYTES {
            let before = self.before.get_or_insert_default();
            before.update(&self.pending);
            before.update(bytes);
            self.pending.clear();
        } else {
            self.pending.extend_from_slice(bytes);
        }
        self.pending
            .extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self
    }

    /// The 128-bit hash of all fields.
    #[must_use]
    pub fn finish(&self) -> u128 {
        match &self.before {
            None => xxh3_128(&self.pending),
            Some(before) => {
                let mut all = before.clone();
                all.update(&self.pending);
                all.digest128()
            }
        }
    }

    /// The same as a UUID version 8 (RFC 9562 §5.8: custom, here a hash).
    #[must_use]
    pub fn finish_uuid(&self) -> Uuid {
        Uuid::new_v8(self.finish().to_be_bytes())
    }
}

macro_rules! uuid_names {
    ($($(#[$doc:meta])* $name:ident,)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )+};
}

uuid_names! {
    /// `api_errors.id`: the key of the sighting that was stored first among those the row is made
    /// of; UUID v7 or the caller's own for errors logged through the API.
    ErrorId,
    /// `error_aggregations.id`.
    AggregationId,
    /// `error_traces.trace_key`: one service's part of one trace.
    TraceKey,
    /// The name of one sighting.
    SightingKey,
    /// `audit_log.id`: UUID v7, so that later entries have larger ids.
    AuditId,
    /// `request_totals.id`: with the hour the key of a row.
    RequestTotalsId,
}

impl AuditId {
    /// No entry that was made from this instant on has a smaller id, and none from before a larger
    /// one: RFC 9562 §5.7 begins with the milliseconds.
    #[must_use]
    pub fn first_at(at: Timestamp) -> Self {
        let millis = u128::try_from(at.as_micros() / 1_000).unwrap_or(0);
        Self(Uuid::from_u128((millis << 80) | (0x7 << 76) | (0b10 << 62)))
    }
}

impl TraceKey {
    /// The key of a service's part of a trace. `service` is the row's `service_name`.
    #[must_use]
    pub fn new(service: &str, trace_id: TraceId) -> Self {
        Self(
            NameHasher::new("trace")
                .field(service.as_bytes())
                .field(&trace_id.0)
                .finish_uuid(),
        )
    }
}

impl AggregationId {
    /// The id of the hour's row for these dimensions.
    #[must_use]
    pub fn new(hour: Hour, dimensions: &Dimensions) -> Self {
        let mut hasher = NameHasher::new("aggregation");
        hasher
            .field(&hour.start().as_micros().to_le_bytes())
            .field(dimensions.service_name.as_bytes())
            .field(dimensions.environment.as_bytes())
            .field(dimensions.endpoint.as_bytes())
            .field(dimensions.method.as_bytes())
            .field(dimensions.severity.as_str().as_bytes())
            .field(dimensions.category.as_str().as_bytes())
            .field(
                dimensions
                    .external_service
                    .as_deref()
                    .unwrap_or("")
                    .as_bytes(),
            )
            .field(&dimensions.status_code.unwrap_or(-1).to_le_bytes());
        Self(hasher.finish_uuid())
    }
}

impl ErrorId {
    /// Whether it is the name of what came as telemetry: a hash, which nobody may give.
    #[must_use]
    pub fn is_computed(self) -> bool {
        self.0.get_version() == Some(Version::Custom)
    }
}

macro_rules! hex_ids {
    ($($(#[$doc:meta])* $name:ident $len:literal $pattern:literal,)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
        #[schema(value_type = String, pattern = $pattern)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// The id of these bytes; `None` unless they are as many as the W3C demands and not all zero.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                let bytes: [u8; $len] = bytes.try_into().ok()?;
                (bytes != [0; $len]).then_some(Self(bytes))
            }

            /// The id of its hexadecimal form, in either case.
            #[must_use]
            pub fn from_hex(text: &[u8]) -> Option<Self> {
                let mut bytes = [0; $len];
                if text.len() != 2 * $len {
                    return None;
                }
                for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
                    *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
                }
                Self::from_slice(&bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                let expected = concat!("the hex digits of ", $len, " bytes that are not all zero");
                Self::from_hex(text.as_bytes())
                    .ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &expected))
            }
        }
    )+};
}

hex_ids! {
    /// A W3C trace id, never all zero.
    TraceId 16 "^(?!0{32}$)[0-9a-fA-F]{32}$",
    /// A W3C span id, never all zero.
    SpanId 8 "^(?!0{16}$)[0-9a-fA-F]{16}$",
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// `request_ledger.digest`: what makes a request the same request when it is sent again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestDigest(pub [u8; 16]);

/// `imported_rows.key` and `imported_hours.key`: the hash of what an import took over, which holds
/// nothing of a user who is forgotten.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ImportKey(pub [u8; 16]);

impl ImportKey {
    /// The key of an error, whichever ledger it was in.
    #[must_use]
    pub fn of_error(id: ErrorId) -> Self {
        Self::of(NameHasher::new("imported error").field(id.0.as_bytes()))
    }

    /// The key of a run.
    #[must_use]
    pub fn of_pipeline(id: &PipelineId) -> Self {
        Self::of(NameHasher::new("imported pipeline").field(id.as_str().as_bytes()))
    }

    /// The key of what was hashed.
    #[must_use]
    pub fn of(name: &NameHasher) -> Self {
        Self(name.finish().to_be_bytes())
    }
}

/// `error_aggregation_users.user_key`: a keyed hash of a user id, so that counting needs no id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UserKey(pub i64);

/// `fingerprint`: `<version>:<hash>`; the same for two errors of one kind.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(min_length = 1, max_length = 255)]
pub struct Fingerprint(pub String);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_hash_of_its_fields_however_long_they_are() {
        let long = vec![7; NameHasher::PENDING_BYTES];
        for fields in [
            vec![&b"a"[..], b"", b"bc"],
            vec![&long[..], b"bc"],
            vec![&long[..100], &long, &long[..4_000], b""],
        ] {
            let mut hasher = NameHasher::new("kind");
            let mut bytes = b"kind\x04\0\0\0\0\0\0\0".to_vec();
            for field in fields {
                hasher.field(field);
                bytes.extend_from_slice(field);
                bytes.extend_from_slice(&(field.len() as u64).to_le_bytes());
            }
            assert_eq!(hasher.finish(), xxh3_128(&bytes));
        }
    }
}
