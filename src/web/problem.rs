//! Answers that say what is wrong: RFC 9457, with each bad field named. Here, and nowhere else, a
//! failure becomes a status.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::{InvalidField, RepositoryError, StoreError, WriteError};

/// When to try again after a 503, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

/// Mistakes that are listed at most.
const MAX_ERRORS: usize = 100;

/// As much as is repeated of what was sent.
const MAX_SHOWN_CHARS: usize = 60;

/// What kind of problem a 404 is: the address is none of the API's.
const NO_SUCH_ROUTE: &str = "urn:redspan:no-such-route";

/// The address is fine, and there is nothing with the name in it. Clients take this one, and no other
/// 404 that something between them and redspan may answer, for the word that a thing is not there.
pub(crate) const NOT_FOUND: &str = "urn:redspan:not-found";

/// What is wrong with a question (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// `urn:redspan:not-found`: nothing has the name in the path; `urn:redspan:no-such-route`: the
    /// address is none of the API's; else `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What is wrong and what to do, for people.
    detail: String,
    /// Each field that is wrong, at most 100.
    errors: Vec<FieldProblem>,
}

/// What is wrong with a field.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct FieldProblem {
    /// The field, as it was sent: `limit`, `errors[3].method`, …
    field: String,
    /// What was given, cut short; null when nothing was.
    value: Option<String>,
    /// What to do.
    advice: String,
}

impl FieldProblem {
    /// A field that has this value, if any, and what to do about it.
    pub(super) fn new(field: &str, value: Option<&str>, advice: impl Into<String>) -> Self {
        Self {
            field: shortened(field),
            value: value.map(shortened),
            advice: advice.into(),
        }
    }

    /// The same inside of something else: `method` is `errors[3].method`.
    pub(super) fn inside(self, outer: &str) -> Self {
        Self {
            field: format!("{outer}.{}", self.field),
            ..self
        }
    }
}

impl From<InvalidField> for FieldProblem {
    fn from(invalid: InvalidField) -> Self {
        Self::new(&invalid.field, Some(&invalid.value), invalid.advice)
    }
}

impl Problem {
    /// About the whole question.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Problem"),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// About these fields.
    pub(super) fn of_fields(status: StatusCode, mut errors: Vec<FieldProblem>) -> Self {
        let detail = match &errors[..] {
            [only] => match &only.value {
                Some(value) => format!("{} is {value}: {}", only.field, only.advice),
                None => format!("{} is missing: {}", only.field, only.advice),
            },
            several => {
                let names = several.iter().take(MAX_ERRORS).map(|error| &*error.field);
                let names = names.collect::<Vec<_>>().join(", ");
                format!("{} mistakes, in {names}: see errors", several.len())
            }
        };
        errors.truncate(MAX_ERRORS);
        Self {
            errors,
            ..Self::new(status, detail)
        }
    }

    /// About several things that were sent together as `list`.
    pub(super) fn of_items(list: &str, error: RepositoryError) -> Self {
        let RepositoryError::InvalidItems(items) = error else {
            return error.into();
        };
        items
            .into_iter()
            .map(|(index, field)| FieldProblem::from(field).inside(&format!("{list}[{index}]")))
            .collect::<Vec<_>>()
            .into()
    }

    /// There is nothing with this id.
    pub(super) fn not_found(what: &str, id: &str) -> Self {
        let detail = format!("there is no {what} {}", shortened(id));
        Self {
            kind: NOT_FOUND,
            ..Self::new(StatusCode::NOT_FOUND, detail)
        }
    }

    /// There is no such address.
    pub(super) fn no_such_route(detail: &str) -> Self {
        Self {
            kind: NO_SUCH_ROUTE,
            ..Self::new(StatusCode::NOT_FOUND, detail)
        }
    }

    /// For now; the same may succeed a little later.
    pub(super) fn try_again(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }
}

impl From<Vec<FieldProblem>> for Problem {
    fn from(errors: Vec<FieldProblem>) -> Self {
        Self::of_fields(StatusCode::BAD_REQUEST, errors)
    }
}

impl From<RepositoryError> for Problem {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::Invalid(fields) => fields
                .into_iter()
                .map(FieldProblem::from)
                .collect::<Vec<_>>()
                .into(),
            several @ RepositoryError::InvalidItems(_) => Self::of_items("items", several),
            RepositoryError::Refused(refusal) => {
                Self::of_fields(StatusCode::CONFLICT, vec![refusal.0.into()])
            }
            RepositoryError::Write(WriteError::TryAgain(reason)) => {
                tracing::warn!(reason, "a change over the API is not known to be made");
                Self::try_again("the change is not known to be stored: send it again")
            }
            RepositoryError::Write(WriteError::Refused(reason)) => {
                tracing::warn!(reason, "the database refuses a change over the API");
                Self::refused()
            }
            RepositoryError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "a question over the API was not answered");
        match error {
            StoreError::Refused { .. } => Self::refused(),
            StoreError::Corrupt(_) => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the database holds what redspan cannot read; see its log",
            ),
            _ => Self::try_again(
                "the database did not answer in time: try again, or ask for less, such as a shorter time",
            ),
        }
    }
}

impl Problem {
    fn refused() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "the database cannot hold one of these values; see the log of redspan",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, kind);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let later = HeaderValue::from_static(RETRY_AFTER_SECONDS);
            headers.insert(header::RETRY_AFTER, later);
        }
        response
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
