//! The JSON API of the real program, on both databases.

mod changes;
mod errors;
mod fuzz;
mod lists;
mod load;
mod mistakes;
mod openapi;
mod pipelines;

use serde_json::{Value, json};

use super::{
    databases::{Database, Kind, each_kind},
    program::{Program, agent},
};

/// A running redspan with an empty ledger, and a client of it.
struct Api {
    program: Program,
    agent: ureq::Agent,
    /// Its ledger, which goes with it.
    database: Database,
}

/// What was answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: ureq::http::HeaderMap,
    body: Value,
}

impl Answer {
    /// The body of an answer with this status.
    #[track_caller]
    fn body(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{:#}", self.body);
        self.body
    }

    /// The fields that a problem names, sorted.
    #[track_caller]
    fn wrong_fields(self, status: u16) -> Vec<String> {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.body(status);
        let names = problem["errors"].as_array().unwrap().iter();
        let mut names: Vec<String> = names
            .map(|error| {
                assert_ne!(error["advice"], "", "{problem:#}");
                error["field"].as_str().unwrap().to_owned()
            })
            .collect();
        names.sort();
        names
    }
}

impl Api {
    fn start(kind: Kind) -> Self {
        Self::start_with(kind, &[])
    }

    fn start_with(kind: Kind, settings: &[(&str, &str)]) -> Self {
        let database = Database::new(kind);
        let environment = [&database.environment(), settings].concat();
        Self {
            program: Program::start(&database.url, &environment),
            agent: agent(),
            database,
        }
    }

    /// Asks with any method, headers and body.
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.program.http));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).unwrap();
        let config = self.agent.configure_request(request);
        let mut response = self
            .agent
            .run(config.allow_non_standard_methods(true).build())
            .unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        let json = [("content-type", "application/json")];
        self.ask("POST", path, &json, body.to_string().as_bytes())
    }

    /// Logs an error with these fields beside those that must be given.
    fn log(&self, fields: Value) -> Value {
        self.post("/api/v1/errors", &error(fields)).body(201)
    }

    /// The messages on a page.
    #[track_caller]
    fn messages(&self, path: &str) -> Vec<String> {
        let page = self.get(path).body(200);
        let items = page["items"].as_array().unwrap().iter();
        items
            .map(|item| item["errorMessage"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// An error with all that must be given, and these fields.
fn error(fields: Value) -> Value {
    let mut error = json!({
        "endpoint": "/orders/{id}", "method": "GET", "errorMessage": "no such order",
    });
    let Value::Object(fields) = fields else {
        panic!("{fields} are no fields");
    };
    error.as_object_mut().unwrap().extend(fields);
    error
}
