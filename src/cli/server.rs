//! A running redspan, asked over its JSON API to change something. What it answers becomes a value
//! or a sentence.

use std::{error::Error as _, time::Duration};

use reqwest::{Client, Method, StatusCode, Url, header, redirect::Policy};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{config::HttpUrl, failure::Failure, web};

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
        // Who is sent elsewhere asks with GET there, and would take any answer for a change.
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .redirect(Policy::none())
            .build();
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

    /// Posts a body below `/api/v1`.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &Value,
    ) -> Result<T, Failure> {
        let answer = self.ask(Method::POST, path, Some(body)).await?;
        answer.ok_or_else(|| self.strange(StatusCode::NOT_FOUND))
    }

    /// Posts a body about one thing; `None` when there is no such thing.
    pub(super) async fn post_to<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &Value,
    ) -> Result<Option<T>, Failure> {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// Deletes what is there; `None` when there is no such thing.
    pub(super) async fn delete<T: DeserializeOwned>(
        &self,
        path: &[&str],
    ) -> Result<Option<T>, Failure> {
        self.ask(Method::DELETE, path, None).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Option<T>, Failure> {
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
        if status.is_success() {
            let answer = serde_json::from_slice(&answer);
            return answer.map(Some).map_err(|_| self.strange(status));
        }
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        match answer["detail"].as_str() {
            Some(_) if answer["type"] == web::NOT_FOUND => Ok(None),
            Some(detail) if status != StatusCode::NOT_FOUND => {
                Err(refused(status, detail, &answer))
            }
            _ => Err(self.strange(status)),
        }
    }

    /// It answers what redspan's API would not: nothing was changed that anybody knows of.
    fn strange(&self, status: StatusCode) -> Failure {
        Failure::Unreachable(format!(
            "{} answers {status} and is no API of redspan: --url is its http.listen, usually \
             http://127.0.0.1:9464",
            self.url
        ))
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

/// How much was deleted.
#[derive(Deserialize)]
pub(super) struct Deleted {
    pub(super) deleted: i64,
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
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

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

    /// What a command makes of an answer to it.
    async fn asked(answer: &str) -> Result<Option<Deleted>, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = listener.local_addr().unwrap();
        let url = format!("http://{place}").parse().unwrap();
        let server = Server::new(&url, None, "ada").unwrap();
        let answering = async {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut question = Vec::new();
            while !question.ends_with(b"\r\n\r\n{}") {
                connection.read_buf(&mut question).await.unwrap();
            }
            let answer = answer.replace("HERE", &place.to_string());
            connection.write_all(answer.as_bytes()).await.unwrap();
            connection.shutdown().await.unwrap();
        };
        let body = json!({});
        let asking = server.post_to(&["errors", "cleanup"], &body);
        tokio::join!(answering, asking).1
    }

    #[tokio::test]
    async fn only_an_answer_of_redspan_is_taken_for_one() {
        let fine = asked("HTTP/1.1 200 OK\r\n\r\n{\"deleted\":7}").await;
        assert_eq!(fine.unwrap().map(|it| it.deleted), Some(7));
        let not_there = "HTTP/1.1 404 Not Found\r\n\r\n\
            {\"type\":\"urn:redspan:not-found\",\"detail\":\"there is no error 7\"}";
        assert!(asked(not_there).await.unwrap().is_none());
        for strange in [
            "HTTP/1.1 200 OK\r\n\r\n<html>",
            "HTTP/1.1 200 OK\r\n\r\n{\"ok\":true}",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 302 Found\r\nLocation: http://HERE/\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\n\r\n{\"type\":\"about:blank\",\"detail\":\"no such page\"}",
            "HTTP/1.1 404 Not Found\r\n\r\n\
             {\"type\":\"urn:redspan:no-such-route\",\"detail\":\"there is no /x\"}",
        ] {
            let failure = asked(strange).await.err().unwrap();
            assert_eq!(failure.exit_code(), 69, "{strange} {failure}");
            assert!(
                failure.to_string().contains("no API of redspan"),
                "{failure}"
            );
        }
    }
}
