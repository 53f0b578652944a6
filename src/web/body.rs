//! Bodies of JSON, read strictly.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    fields::mistakes,
    problem::{FieldProblem, Problem},
};
use crate::store::Object;

/// Nothing: no body, or an object without fields.
pub(super) struct Nothing;

/// A body that may be left out.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NoFields {}

impl<S: Send + Sync> FromRequest<S> for Nothing {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let headers = request.headers().clone();
        let bytes = bytes(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self);
        }
        check_type(&headers)?;
        read::<NoFields>(&bytes).map(|NoFields {}| Self)
    }
}

/// A JSON object of which every field has a default.
pub(super) struct Sent<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_type(request.headers())?;
        read(&bytes(request, state).await?).map(Self)
    }
}

/// The body, which came whole before the request was let in.
async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let bytes = Bytes::from_request(request, state).await;
    bytes.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body did not come whole"))
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let error = match serde_json::from_slice(bytes) {
        Ok(Object(sent)) => return Ok(sent),
        Err(error) => error,
    };
    let object: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|error| no_object(&error, bytes))?;
    let mistakes = mistakes::<T, Value>(object);
    if mistakes.is_empty() {
        // Such as a field that is there twice.
        return Err(no_object(&error, bytes));
    }
    Err(mistakes.into())
}

/// A part of a body as `T`, or everything that is wrong with it. `place` is where it stands.
pub(super) fn read_part<T: DeserializeOwned>(
    part: Value,
    place: &str,
) -> Result<T, Vec<FieldProblem>> {
    let Value::Object(object) = part else {
        let mistake = FieldProblem::new(place, Some(&part.to_string()), "give an object");
        return Err(vec![mistake]);
    };
    serde_json::from_value(Value::Object(object.clone())).map_err(|_| {
        let mistakes = mistakes::<T, Value>(object);
        mistakes
            .into_iter()
            .map(|mistake| mistake.inside(place))
            .collect()
    })
}

fn no_object(error: &serde_json::Error, bytes: &[u8]) -> Problem {
    if bytes.trim_ascii().is_empty() {
        let detail = "the body is empty: send a JSON object with what /api/openapi.json names";
        return Problem::new(StatusCode::BAD_REQUEST, detail);
    }
    let detail = format!("the body is no JSON object that can be read: {error}");
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or_default())
    };
    let kind = text(header::CONTENT_TYPE).and_then(|kind| kind.split(';').next());
    if !kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send JSON, with Content-Type: application/json",
        ));
    }
    if text(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send the body as it is, without Content-Encoding",
        ));
    }
    Ok(())
}
