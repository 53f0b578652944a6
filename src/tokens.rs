//! Bearer tokens: who shows one that is known may come in.

use hyper::{
    HeaderMap,
    header::{AUTHORIZATION, HeaderValue},
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The tokens of which clients must show one; none: anybody may come in.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Vec<Token>);

/// A token, of which nothing is kept but its SHA-256 digest and its name.
#[derive(Clone, Debug)]
struct Token {
    digest: [u8; 32],
    name: Option<String>,
}

/// Whoever was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted<'t> {
    /// The name of the token, which stands before its first colon.
    pub name: Option<&'t str>,
}

impl<'t> FromIterator<&'t str> for Tokens {
    fn from_iter<I: IntoIterator<Item = &'t str>>(tokens: I) -> Self {
        let tokens = tokens.into_iter().map(|token| Token {
            digest: Sha256::digest(token).into(),
            name: token.split_once(':').and_then(|(name, _)| valid(name)),
        });
        Self(tokens.collect())
    }
}

impl Tokens {
    /// Whoever shows a known one in the head of a request, or needs none.
    #[must_use]
    pub fn admit(&self, headers: &HeaderMap) -> Option<Admitted<'_>> {
        if self.0.is_empty() {
            return Some(Admitted { name: None });
        }
        let token = headers.get(AUTHORIZATION).and_then(bearer)?;
        let shown: [u8; 32] = Sha256::digest(token).into();
        // Every digest is compared, so that the time tells nothing.
        let mut admitted = None;
        for token in &self.0 {
            if token.digest.ct_eq(&shown).into() {
                let name = token.name.as_deref();
                admitted = Some(Admitted { name });
            }
        }
        admitted
    }
}

/// A text that can be somebody's name.
fn valid(name: &str) -> Option<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    ((1..=64).contains(&name.len()) && name.chars().all(is_name)).then(|| name.to_owned())
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
        assert!(Tokens::default().admit(&HeaderMap::new()).is_some());
        let tokens: Tokens = ["first-token", "second-token"].into_iter().collect();
        for (shown, admitted) in [
            ("Bearer second-token", true),
            ("bearer  first-token ", true),
            ("Bearer third-token", false),
            ("Basic second-token", false),
            ("Bearer", false),
        ] {
            assert_eq!(tokens.admit(&headers(shown)).is_some(), admitted, "{shown}");
        }
        assert!(tokens.admit(&HeaderMap::new()).is_none());
    }

    #[test]
    fn a_token_has_the_name_that_stands_before_its_colon() {
        let tokens: Tokens = ["alice:first-token", "b b:second-token", "third-token"]
            .into_iter()
            .collect();
        for (shown, name) in [
            ("Bearer alice:first-token", Some("alice")),
            ("Bearer b b:second-token", None),
            ("Bearer third-token", None),
        ] {
            assert_eq!(tokens.admit(&headers(shown)), Some(Admitted { name }));
        }
        assert_eq!(tokens.admit(&headers("Bearer first-token")), None);
    }
}
