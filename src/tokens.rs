//! Bearer tokens: who shows one that is known may come in.

use hyper::{
    HeaderMap,
    header::{AUTHORIZATION, HeaderValue},
};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// SHA-256 digests of the tokens of which clients must show one; none: anybody may come in.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Vec<[u8; 32]>);

impl<'t> FromIterator<&'t str> for Tokens {
    fn from_iter<I: IntoIterator<Item = &'t str>>(tokens: I) -> Self {
        let digests = tokens.into_iter().map(|token| Sha256::digest(token).into());
        Self(digests.collect())
    }
}

impl Tokens {
    /// Whether the head of a request shows a known one, or none is needed.
    #[must_use]
    pub fn admit(&self, headers: &HeaderMap) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let Some(token) = headers.get(AUTHORIZATION).and_then(bearer) else {
            return false;
        };
        let shown: [u8; 32] = Sha256::digest(token).into();
        // Every digest is compared, so that the time tells nothing.
        let equal = self.0.iter().fold(Choice::from(0), |equal, digest| {
            equal | digest.ct_eq(&shown)
        });
        equal.into()
    }
}

/// The token of `Authorization: Bearer TOKEN`.
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(b"bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &'static str) -> HeaderMap {
        [(AUTHORIZATION, HeaderValue::from_static(value))]
            .into_iter()
            .collect()
    }

    #[test]
    fn one_of_the_tokens_must_be_shown_when_there_are_any() {
        assert!(Tokens::default().admit(&HeaderMap::new()));
        let tokens: Tokens = ["first-token", "second-token"].into_iter().collect();
        for (shown, admitted) in [
            ("Bearer second-token", true),
            ("bearer  first-token ", true),
            ("Bearer third-token", false),
            ("Basic second-token", false),
            ("Bearer", false),
        ] {
            assert_eq!(tokens.admit(&headers(shown)), admitted, "{shown}");
        }
        assert!(!tokens.admit(&HeaderMap::new()));
    }
}
