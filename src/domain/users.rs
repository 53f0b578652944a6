//! Users are counted without their ids: by a keyed hash that only the holder of the key can repeat.

use std::fmt;

use xxhash_rust::xxh3::Xxh3;

use super::UserKey;

/// Hashes user ids under a key of 16 bytes that belongs to the database.
#[derive(Clone)]
pub struct UserHasher(Xxh3);

impl UserHasher {
    /// A hasher with this key.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Self {
        let (seed, prefix) = key.split_at(8);
        let seed = seed.try_into().map_or(0, u64::from_le_bytes);
        let mut hasher = Xxh3::with_seed(seed);
        hasher.update(prefix);
        Self(hasher)
    }

    /// The name under which a user is counted.
    #[must_use]
    pub fn key(&self, user_id: &str) -> UserKey {
        let mut hasher = self.0.clone();
        hasher.update(user_id.as_bytes());
        UserKey(hasher.digest().cast_signed())
    }
}

impl fmt::Debug for UserHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserHasher(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_one_name_under_one_key_and_another_under_another() {
        let hasher = UserHasher::new([7; 16]);
        assert_eq!(hasher.key("ada"), UserHasher::new([7; 16]).key("ada"));
        assert_ne!(hasher.key("ada"), hasher.key("bob"));
        for at in [0, 15] {
            let mut other = [7; 16];
            other[at] = 8;
            assert_ne!(hasher.key("ada"), UserHasher::new(other).key("ada"));
        }
    }
}
