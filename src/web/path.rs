//! What stands in the path of an address.

use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::{StatusCode, request::Parts},
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::problem::{FieldProblem, Problem};
use crate::domain::{ErrorId, Fingerprint, PipelineId};

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
    const ADVICE: &'static str = "give 1 to 255 characters, none of them NUL";

    fn parse(text: &str) -> Option<Self> {
        let fits = (1..=255).contains(&text.chars().count()) && !text.contains('\0');
        fits.then(|| Self(text.to_owned()))
    }
}

impl PathName for PipelineId {
    const ADVICE: &'static str = "give 1 to 255 characters without control characters";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// The name of a stage; whoever changes the stage says what is wrong with it.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 100, pattern = "stage name")]
pub(super) struct StageName(pub String);

impl PathName for StageName {
    const ADVICE: &'static str = "give a name";

    fn parse(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }
}

/// The last name in the path.
pub(super) struct InPath<T>(pub T);

impl<S: Send + Sync, T: PathName> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let names = names(parts, state).await?;
        let (name, text) = names.iter().last().ok_or_else(unnamed)?;
        parsed(name, text).map(Self)
    }
}

/// The first two names in the path.
pub(super) struct InPathTwo<T, U>(pub T, pub U);

impl<S: Send + Sync, T: PathName, U: PathName> FromRequestParts<S> for InPathTwo<T, U> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let names = names(parts, state).await?;
        let mut names = names.iter();
        let (Some((outer, outer_text)), Some((inner, inner_text))) = (names.next(), names.next())
        else {
            return Err(unnamed());
        };
        Ok(Self(parsed(outer, outer_text)?, parsed(inner, inner_text)?))
    }
}

async fn names<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<RawPathParams, Problem> {
    RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the path is no UTF-8"))
}

fn unnamed() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "the path names nothing")
}

fn parsed<T: PathName>(name: &str, text: &str) -> Result<T, Problem> {
    T::parse(text).ok_or_else(|| vec![FieldProblem::new(name, Some(text), T::ADVICE)].into())
}
