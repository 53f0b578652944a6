//! Who asks for a change, as the audit log names them.

use axum::{extract::FromRequestParts, http::request::Parts};

use super::problem::{FieldProblem, Problem};

/// The header in which a client says in whose name it asks; a token with a name says it itself.
pub(super) const HEADER: &str = "X-Redspan-Actor";

/// Who asks when nobody says it.
const UNNAMED: &str = "api";

/// The longest name, in characters.
const MAX_CHARS: usize = 255;

/// Who asks for a change.
pub(super) struct Actor(pub String);

impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(HEADER) else {
            return Ok(Self(UNNAMED.to_owned()));
        };
        match str::from_utf8(value.as_bytes()) {
            Ok(name)
                if (1..=MAX_CHARS).contains(&name.chars().count())
                    && !name.chars().any(char::is_control) =>
            {
                Ok(Self(name.to_owned()))
            }
            _ => {
                let shown = String::from_utf8_lossy(value.as_bytes());
                let advice = format!("give 1 to {MAX_CHARS} characters of UTF-8");
                Err(vec![FieldProblem::new(HEADER, Some(&shown), advice)].into())
            }
        }
    }
}
