//! What stands in the path of an address.

use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::{StatusCode, request::Parts},
};
use uuid::Uuid;

use super::problem::{FieldProblem, Problem};
use crate::domain::{ErrorId, Fingerprint};

/// Names something that is asked for by its path.
pub(super) trait PathName: Sized {
    /// What to do when a text is none.
    const ADVICE: &'static str;

    fn parse(text: &str) -> Option<Self>;
}

impl PathName for ErrorId {
    const ADVICE: &'static str = "give a UUID";

    fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl PathName for Fingerprint {
    const ADVICE: &'static str = "give 1 to 255 characters";

    fn parse(text: &str) -> Option<Self> {
        (1..=255)
            .contains(&text.chars().count())
            .then(|| Self(text.to_owned()))
    }
}

/// The last name in the path.
pub(super) struct InPath<T>(pub T);

impl<S: Send + Sync, T: PathName> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let names = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the path is no UTF-8"))?;
        let Some((name, text)) = names.iter().last() else {
            let detail = "the path names nothing";
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        };
        match T::parse(text) {
            Some(found) => Ok(Self(found)),
            None => Err(vec![FieldProblem::new(name, Some(text), T::ADVICE)].into()),
        }
    }
}
