//! What describes the API to programs: OpenAPI 3.1, made from the routes and the types of their
//! questions and answers. `openapi.json` in the repository is the same.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::{api, path::StageName, problem::Problem, users::UserId};
use crate::domain::PipelineId;

/// What stands above the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "redspan",
        description = "Errors of applications, their hours and groups, the requests among which \
            they happened, and runs of pipelines. Times are RFC 3339 in UTC. What is wrong with a question is said as a \
            problem (RFC 9457) that names each field.",
    ),
    tags(
        (name = "errors", description = "Errors, and the hours in which they are counted."),
        (name = "groups", description = "Kinds of failure."),
        (name = "requests", description = "Requests, whether they failed or not."),
        (name = "pipelines", description = "Runs of pipelines and their stages."),
        (name = "users", description = "Who is named by errors and pipelines."),
        (name = "audit", description = "Who changed what."),
    ),
    components(schemas(Problem, UserId, PipelineId, StageName)),
    security((), ("token" = [])),
)]
struct Head;

/// What goes wrong at several routes: name, status and description.
type Told = (&'static str, &'static str, &'static str);

/// At every route.
const PROBLEMS: [Told; 5] = [
    (
        "Wrong",
        "400",
        "Something in the question is wrong: the fields are named.",
    ),
    (
        "TokenRequired",
        "401",
        "A token is required, as `Authorization: Bearer TOKEN`.",
    ),
    (
        "Closed",
        "403",
        "The API is closed: others could reach it, and it has no token. Or a page of another origin \
         wants to change something.",
    ),
    (
        "Misdirected",
        "421",
        "The request asks for a name that is not known to be this machine's, and no token is set.",
    ),
    (
        "NotNow",
        "503",
        "Not now: try again after `Retry-After` seconds.",
    ),
];

/// At routes that take a body.
const PROBLEMS_OF_BODIES: [Told; 3] = [
    ("TooSlow", "408", "The body took more than 10 seconds."),
    ("TooLarge", "413", "The body has more than 2 MiB."),
    ("NoJson", "415", "The body is not plain JSON."),
];

/// At routes that name something in their path.
const PROBLEMS_OF_NAMES: [Told; 1] = [("NotFound", "404", "There is none with this name.")];

/// Patterns that types name, as the store checks them.
const PATTERNS: [(&str, &str); 7] = [
    // No control characters.
    ("line", r"^[^\x00-\x1f\x7f-\x9f]*$"),
    ("filled line", r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]*$"),
    ("filled", r"\S"),
    // What an address of the API can lead to.
    (
        "run id",
        r"^(?!\.{1,2}$|batch$|cleanup$|stats$)[^\x00-\x1f\x7f-\x9f]*$",
    ),
    (
        "stage name",
        r"^(?!\.{1,2}$)(?=.*\S)[^\x00-\x1f\x7f-\x9f]*$",
    ),
    ("no nul", r"^[^\x00]*$"),
    // Any UUID but the nil one and those of version 8.
    (
        "own id",
        "^(?!0{8}-0{4}-0{4}-0{4}-0{12}$)[0-9a-fA-F]{8}-[0-9a-fA-F]{4}\
         -[0-79a-fA-F][0-9a-fA-F]{3}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
    ),
];

/// The one field of an answer that is not always there.
const SOMETIMES: &str = "total";

pub(super) fn head() -> utoipa::openapi::OpenApi {
    Head::openapi()
}

/// The document.
///
/// # Panics
/// Never: a test reads it.
pub fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let described = api::documented().into_openapi();
        let mut document = serde_json::to_value(described).expect("it is made of names and texts");
        complete(&mut document);
        document
    })
}

/// Adds what is the same for all routes and all types, and so stands at none of them.
fn complete(document: &mut Value) {
    document["components"]["securitySchemes"] =
        json!({ "token": { "type": "http", "scheme": "bearer" } });
    document["components"]["responses"] = described_problems();
    for path in values(&mut document["paths"]) {
        for operation in values(path) {
            for parameter in items(operation, "parameters") {
                without_null(&mut parameter["schema"]);
            }
            let body = "/requestBody/content/application~1json/schema";
            if let Some(schema) = operation.pointer_mut(body) {
                without_null(schema);
            }
            refer_to_problems(operation);
        }
    }
    say_exactly(document);
    let schemas = document["components"]["schemas"].as_object_mut();
    for (name, schema) in schemas.into_iter().flatten() {
        if let Some(item) = name.strip_prefix("List_") {
            schema["properties"]["items"]["items"] = reference("schemas", item);
        }
        // What is sent may leave fields out; what is answered has them all.
        if schema["additionalProperties"] != json!(false) {
            require_all(schema);
        }
    }
}

fn refer_to_problems(operation: &mut Value) {
    let is_named = items(operation, "parameters").any(|parameter| parameter["in"] == "path");
    let has_body = operation.get("requestBody").is_some();
    let problems = (PROBLEMS.iter())
        .chain(PROBLEMS_OF_BODIES.iter().filter(|_| has_body))
        .chain(PROBLEMS_OF_NAMES.iter().filter(|_| is_named));
    for (name, status, _) in problems {
        operation["responses"][*status] = reference("responses", name);
    }
}

fn described_problems() -> Value {
    let all = (PROBLEMS.iter())
        .chain(&PROBLEMS_OF_BODIES)
        .chain(&PROBLEMS_OF_NAMES);
    let described = all.map(|(name, status, description)| {
        let schema = reference("schemas", "Problem");
        let mut answer = json!({
            "description": description,
            "content": { "application/problem+json": { "schema": schema } },
        });
        if *status == "503" {
            let seconds = json!({ "type": "integer", "minimum": 0 });
            answer["headers"] = json!({ "Retry-After": { "required": true, "schema": seconds } });
        }
        ((*name).to_owned(), answer)
    });
    Value::Object(described.collect())
}

/// A parameter or a body that is not given is not there; none is null.
fn without_null(schema: &mut Value) {
    let is_null = |kind: &Value| *kind == "null" || kind["type"] == "null";
    if let Value::Array(kinds) = &mut schema["type"] {
        kinds.retain(|kind| !is_null(kind));
        if let [only] = &kinds[..] {
            schema["type"] = only.clone();
        }
    } else if let Some(Value::Array(kinds)) = schema.get_mut("oneOf") {
        kinds.retain(|kind| !is_null(kind));
        if let [only] = &kinds[..] {
            *schema = only.clone();
        }
    } else if schema["type"].is_null() {
        remove(schema, "type");
    }
}

/// Writes out what the types only name, and leaves out what is no help: that a field has a default
/// does not say which, where nothing stands for whatever the store makes of it.
fn say_exactly(part: &mut Value) {
    match part {
        Value::Array(parts) => parts.iter_mut().for_each(say_exactly),
        Value::Object(fields) => {
            if let Some(Value::String(pattern)) = fields.get_mut("pattern")
                && let Some((_, written)) = PATTERNS.iter().find(|(name, _)| name == pattern)
            {
                (*written).clone_into(pattern);
            }
            if fields.get("format") == Some(&json!("int32")) {
                fields.entry("minimum").or_insert(i32::MIN.into());
                fields.entry("maximum").or_insert(i32::MAX.into());
            }
            let is_nothing = |value: &Value| [json!(null), json!(""), json!([])].contains(value);
            if fields.get("default").is_some_and(is_nothing) {
                fields.remove("default");
            }
            fields.values_mut().for_each(say_exactly);
        }
        _ => {}
    }
}

fn reference(section: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{section}/{name}") })
}

fn require_all(schema: &mut Value) {
    for part in ["allOf", "oneOf"] {
        items(schema, part).for_each(require_all);
    }
    if let Some(Value::Object(properties)) = schema.get("properties") {
        let names = properties.keys().filter(|name| *name != SOMETIMES);
        schema["required"] = names.cloned().collect();
    }
}

fn remove(schema: &mut Value, key: &str) {
    if let Value::Object(schema) = schema {
        schema.remove(key);
    }
}

fn values(object: &mut Value) -> impl Iterator<Item = &mut Value> {
    object.as_object_mut().into_iter().flat_map(Map::values_mut)
}

fn items<'v>(part: &'v mut Value, list: &str) -> impl Iterator<Item = &'v mut Value> {
    let list = part.get_mut(list).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every reference in a part of the document.
    fn references(part: &Value) -> Vec<&str> {
        match part {
            Value::Array(parts) => parts.iter().flat_map(references).collect(),
            Value::Object(fields) => {
                let own = fields.get("$ref").and_then(Value::as_str);
                let below = fields.values().flat_map(references);
                own.into_iter().chain(below).collect()
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_no_operation_has_parameters_of_null() {
        for reference in references(document()) {
            let place = reference.trim_start_matches('#');
            assert!(document().pointer(place).is_some(), "{reference}");
        }
        let paths = document()["paths"].as_object().unwrap().values();
        for operation in paths.flat_map(|path| path.as_object().unwrap().values()) {
            let parameters = operation.get("parameters");
            assert!(parameters.is_none_or(Value::is_array), "{operation}");
        }
    }

    /// `UPDATE_OPENAPI=1 cargo test openapi` writes the file anew.
    #[test]
    fn the_file_in_the_repository_is_what_is_served() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let served = format!("{:#}\n", document());
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(file, &served).unwrap();
        }
        let kept = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            kept == served,
            "openapi.json is not what is served: write it anew with UPDATE_OPENAPI=1"
        );
    }
}
