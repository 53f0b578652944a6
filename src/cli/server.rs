//! A running redspan, asked over its JSON API to change something. What it answers becomes a value
//! or a sentence.

use std::{error::Error as _, time::Duration};

use reqwest::{Client, Method, StatusCode, Url, header};
use serde_json::Value;

use crate::{config::HttpUrl, failure::Failure};

/// How long a connection may take to be made. The change itself takes as long as it takes.
const CONNECT: Duration = Duration::from_secs(3);

/// A server, and in whose name it is asked.
pub struct Server {
    url: Url,
    token: Option<String>,
    actor: String,
    client: Client,
}

impl Server {
    pub(super) fn new(url: &HttpUrl, token: Option<&str>, actor: &str) -> Result<Self, Failure> {
        let client = Client::builder().connect_timeout(CONNECT).build();
        Ok(Self {
            url: url
                .as_str()
                .parse()
                .map_err(|error| Failure::Usage(format!("--url {}: {error}", url.as_str())))?,
            token: token.map(str::to_owned),
            actor: actor.to_owned(),
            client: client.map_err(|error| Failure::Internal(error.to_string()))?,
        })
    }

    /// Posts a body below `/api/v1`; `None` when there is no such thing.
    pub(super) async fn post(&self, path: &[&str], body: &Value) -> Result<Option<Value>, Failure> {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// Deletes what is there; `None` when there is no such thing.
    pub(super) async fn delete(&self, path: &[&str]) -> Result<Option<Value>, Failure> {
        self.ask(Method::DELETE, path, None).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Option<Value>, Failure> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        let mut request = self
            .client
            .request(method, url)
            .header("X-Redspan-Actor", &self.actor);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(body) = body {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        let response = request.send().await.map_err(|error| self.silent(&error))?;
        let status = response.status();
        let answer = response
            .bytes()
            .await
            .map_err(|error| self.silent(&error))?;
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        if status.is_success() {
            return Ok(Some(answer));
        }
        // What is no problem answer comes from something else than redspan's API.
        match answer["detail"].as_str() {
            Some(_) if status == StatusCode::NOT_FOUND => Ok(None),
            Some(detail) => Err(refused(status, detail, &answer)),
            None => Err(Failure::Unreachable(format!(
                "{} answers {status} and is no API of redspan: --url is its http.listen, usually \
                 http://127.0.0.1:9464",
                self.url
            ))),
        }
    }

    fn silent(&self, error: &reqwest::Error) -> Failure {
        let mut cause = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            cause = error.to_string();
            source = error.source();
        }
        Failure::Unreachable(format!(
            "{} does not answer ({cause}): is redspan running there?",
            self.url
        ))
    }
}

/// A problem answer as the end of a command.
fn refused(status: StatusCode, detail: &str, answer: &Value) -> Failure {
    let fields = answer["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let sentences: Vec<String> = match fields {
        // One alone is told by the detail.
        [_] | [] => vec![detail.to_owned()],
        several => several.iter().map(sentence).collect(),
    };
    let text = sentences.join("\n");
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Usage(format!(
            "{text}\ngive this command the configuration of that redspan, or set \
             REDSPAN_AUTH_API_TOKEN"
        )),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Failure::Unreachable(text)
        }
        status if status.is_client_error() => Failure::Usage(text),
        _ => Failure::Internal(text),
    }
}

fn sentence(field: &Value) -> String {
    let name = field["field"].as_str().unwrap_or("a field");
    let advice = field["advice"].as_str().unwrap_or_default();
    match field["value"].as_str() {
        Some(value) => format!("{name} is {value}: {advice}"),
        None => format!("{name} is missing: {advice}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_is_told_field_by_field_with_its_exit_code() {
        let answer = json!({
            "errors": [
                {"field": "resolvedBy", "value": null, "advice": "say who resolved it"},
                {"field": "resolution", "value": "a\u{0}", "advice": "none of them NUL"}
            ]
        });
        let two = refused(StatusCode::BAD_REQUEST, "2 mistakes", &answer);
        assert_eq!(
            (two.to_string().as_str(), two.exit_code()),
            (
                "resolvedBy is missing: say who resolved it\nresolution is a\u{0}: none of them NUL",
                64
            )
        );
        for (status, exit_code) in [(401, 64), (409, 64), (503, 69), (500, 70)] {
            let status = StatusCode::from_u16(status).unwrap();
            let failure = refused(status, "no", &Value::Null);
            assert!(failure.to_string().starts_with("no"), "{failure}");
            assert_eq!(failure.exit_code(), exit_code, "{status}");
        }
    }
}
