//! The rules that are there without anybody's writing them, in words, for `redspan config show`.

use super::{
    exceptions::{CANCELLATION_MESSAGE, CANCELLATION_TYPES, CONTROL_FLOW_TYPES},
    failed::{CLIENT_GRPC_ANSWERS, CLIENT_HTTP_ANSWERS},
};

/// Why a span that looks failed is not: each rule's name and what it says. A rule of the user with
/// `fail_request = true` overrides them.
#[must_use]
pub fn built_in_rules() -> Vec<(&'static str, String)> {
    let codes = |codes: &[i32]| {
        let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
        codes.join(", ")
    };
    let names: Vec<&str> = CLIENT_GRPC_ANSWERS.iter().map(|code| code.name()).collect();
    vec![
        (
            "cancelled",
            format!(
                "gRPC CANCELLED, HTTP 499, {}, {CANCELLATION_MESSAGE:?}, and no word of a timeout: no error",
                CANCELLATION_TYPES.join(", ")
            ),
        ),
        (
            "control flow",
            format!("{}, SystemExit 0: no error", CONTROL_FLOW_TYPES.join(", ")),
        ),
        (
            "client error",
            "a SERVER that answered 400-499 did not fail".to_owned(),
        ),
        (
            "asked whether it is there",
            format!(
                "a CLIENT that was answered {} or gRPC {}, without exception, did not fail",
                codes(CLIENT_HTTP_ANSWERS),
                names.join(", ")
            ),
        ),
    ]
}
