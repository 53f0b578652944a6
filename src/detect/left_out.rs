//! Attributes that are not among those of a row: a column has them, or nobody asked for them.

use super::{
    Kept,
    attributes::{REQUEST_HEADER, Slot, slot},
};

/// Whether a column holds the attribute, as far as it may be kept.
pub(super) fn has_column(key: &[u8], is_request: bool) -> bool {
    match slot(key) {
        Some(
            Slot::UserId
            | Slot::UserAgent
            | Slot::RequestId
            | Slot::ExceptionType
            | Slot::ExceptionMessage
            | Slot::ExceptionStack,
        ) => true,
        Some(Slot::ClientAddress) => is_request,
        Some(_) => false,
        None => key.starts_with(REQUEST_HEADER.as_bytes()),
    }
}

/// Queries, bodies and what people say to models are stored when somebody asks for them.
pub(super) fn is_not_stored(key: &str, kept: Kept) -> bool {
    [
        (kept.query_text, QUERY_TEXTS),
        (kept.bodies, BODIES),
        (kept.gen_ai_messages, GEN_AI_MESSAGES),
    ]
    .iter()
    .filter(|(is_kept, _)| !is_kept)
    .flat_map(|(_, names)| *names)
    .any(|name| match name.strip_suffix('*') {
        Some(start) => key.starts_with(start),
        None => key == *name,
    })
}

// A name that ends in `*` stands for all that begin so.

#[rustfmt::skip]
const QUERY_TEXTS: &[&str] = &[
    "db.query.text", "db.statement", "db.query.parameter.*", "db.operation.parameter.*",
    "db.sql.parameters", "graphql.document", "graphql.variables*",
];

#[rustfmt::skip]
const BODIES: &[&str] = &[
    "http.request.body", "http.request.body.content", "http.request.body.text*",
    "http.response.body", "http.response.body.content", "http.response.body.text*",
    "messaging.message.body*", "messaging.message.payload", "rpc.request.body", "rpc.response.body",
    "faas.event", "lambda.event",
];

#[rustfmt::skip]
const GEN_AI_MESSAGES: &[&str] = &[
    "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions",
    "gen_ai.prompt", "gen_ai.prompt.*", "gen_ai.completion", "gen_ai.completion.*",
    "gen_ai.tool.call.arguments", "gen_ai.tool.call.result",
    "gen_ai.tool.definitions", "input.value", "output.value", "llm.input_messages*",
    "llm.output_messages*", "llm.prompts*", "traceloop.entity.input", "traceloop.entity.output",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_bodies_and_messages_are_stored_when_asked_for() {
        let names = [
            "db.query.parameter.id",
            "http.request.body",
            "gen_ai.input.messages",
        ];
        let stored = |kept: Kept| names.map(|name| !is_not_stored(name, kept));
        assert_eq!(stored(Kept::default()), [false, false, false]);
        let query_text = Kept {
            query_text: true,
            ..Kept::default()
        };
        assert_eq!(stored(query_text), [true, false, false]);
        let all = Kept {
            query_text: true,
            bodies: true,
            gen_ai_messages: true,
        };
        assert_eq!(stored(all), [true, true, true]);
        assert!(!is_not_stored("gen_ai.prompt_tokens", Kept::default()));
    }
}
